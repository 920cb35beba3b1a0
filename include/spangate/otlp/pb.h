/*
 * pb.h - walk and write protobuf wire format without allocating.
 *
 * Every slice handed out points into the message given to pb_over() and lives as long. The reader
 * never reads past the end, skips unknown fields and groups (to a depth of 100), and reports
 * malformed input as ERR_INVALID with the offset of the bad byte.
 */
#ifndef SPANGATE_OTLP_PB_H
#define SPANGATE_OTLP_PB_H

#include <spangate/base/error.h>
#include <spangate/base/slice.h>
#include <spangate/base/strbuf.h>

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_field {
    uint32_t number;
    enum pb_wire wire;
    uint64_t value;     /* PB_VARINT, PB_FIXED64, PB_FIXED32 */
    struct slice bytes; /* PB_BYTES */
    struct slice whole; /* the field with its tag: what an envelope keeps */
};

struct pb_reader {
    const uint8_t *begin;
    const uint8_t *at;
    const uint8_t *end;
};

enum pb_step { PB_FIELD, PB_END, PB_ERROR };

struct pb_reader pb_over(struct slice message);

/* The next field. PB_END: the message ended where a field would start. */
enum pb_step pb_next(struct pb_reader *reader, struct pb_field *field,
                     struct error *err) MUST_CHECK;

/* Writing. Numbers below 16 take a one-byte tag. */
void pb_put_tag(struct strbuf *out, uint32_t number, enum pb_wire wire);
void pb_put_varint(struct strbuf *out, uint64_t value); /* bare */
void pb_put_uint(struct strbuf *out, uint32_t number, uint64_t value);
void pb_put_fixed64(struct strbuf *out, uint32_t number, uint64_t value);
void pb_put_fixed32(struct strbuf *out, uint32_t number, uint32_t value);
void pb_put_bytes(struct strbuf *out, uint32_t number, struct slice bytes);

/*
 * A sub-message whose length is not known yet: begin writes tag and a 5-byte (non-minimal, legal)
 * length, end fills it in. The value between them is whatever was appended.
 */
size_t pb_begin(struct strbuf *out, uint32_t number);
void pb_end(struct strbuf *out, size_t begun);

#endif
