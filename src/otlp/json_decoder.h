/*
 * json_decoder.h - what the two halves of the JSON decoder share: json_decode.c knows objects, and
 * json_scalar.c everything else. The output, and lengths that are filled in afterwards.
 *
 * As in json_reader.h, what reads returns where it stopped, or NULL with the error filled.
 */
#ifndef SPANGATE_SRC_OTLP_JSON_DECODER_H
#define SPANGATE_SRC_OTLP_JSON_DECODER_H

#include "json_reader.h"
#include "schema.h"
#include "wire.h"

#include <spangate/base/strbuf.h>

enum {
    LENGTH_MAX = 5,         /* bytes of a length: messages are far smaller than 32 GiB */
    MOVED_BYTES_MAX = 4096, /* larger contents keep a length with more bytes than needed */
    SCALAR_MAX = 2 + 10,    /* a tag and the longest number */
};

struct frame; /* json_decode.c */

struct decoder {
    struct json_reader r;
    struct strbuf *out;
    struct strbuf scratch; /* the last string that had escapes */
    struct frame *frames;
    /* Which row followed which: senders write the same members in the same order every time. */
    uint8_t guess[SCHEMA_MESSAGES][SCHEMA_NUMBERS];
};

/* --- json_scalar.c ---------------------------------------------------------------------------- */

/*
 * The text of the string at `at`: in place when it has no escapes, otherwise in the scratch buffer
 * until the next call.
 */
const uint8_t *json_read_string(struct decoder *d, const uint8_t *at, struct slice *text);

/* A value of any type but message and int_value, written as the field. */
const uint8_t *json_put_scalar(struct decoder *d, const uint8_t *at,
                               const struct schema_field *field);

/* An int_value; what is no int64 is a double instead, and then *real is set. */
const uint8_t *json_read_int_or_double(struct decoder *d, const uint8_t *at,
                                       const struct schema_field *field, uint64_t *value,
                                       bool *real);

/* A singular number in its wire form; zero is left out where that means absent. */
bool json_put_number(struct decoder *d, const struct schema_field *field, uint64_t value);

/* An array of scalars from behind its bracket: numbers become one packed field. */
const uint8_t *json_put_scalars(struct decoder *d, const uint8_t *at,
                                const struct schema_field *field);

/* A field that is bytes. */
bool json_put_slice(struct decoder *d, const struct schema_field *field, struct slice bytes);

/* --- output ----------------------------------------------------------------------------------- */

/* Fill the error. */
bool json_too_large(struct decoder *d);
uint8_t *json_make_room(struct decoder *d, size_t bytes);

/* Where the next `bytes` bytes of output go, or NULL with the error filled. */
static inline uint8_t *room(struct decoder *d, size_t bytes)
{
    const struct strbuf *out = d->out;

    if (out->cap - out->len <= bytes || out->limit - out->len < bytes) {
        return json_make_room(d, bytes);
    }
    return (uint8_t *)out->data + out->len;
}

static inline void advance(struct decoder *d, const uint8_t *to)
{
    d->out->len = (size_t)(to - (const uint8_t *)d->out->data);
}

static inline uint8_t *write_varint(uint8_t *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

static inline uint8_t *write_tag(uint8_t *to, const struct schema_field *field, enum pb_wire wire)
{
    return write_varint(to, WIRE_TAG(field->number, wire));
}

static inline uint8_t *write_fixed64(uint8_t *to, uint64_t value)
{
    value = htole64(value);
    memcpy(to, &value, sizeof(value));
    return to + sizeof(value);
}

static inline size_t varint_size(uint64_t value)
{
    size_t size = 1;

    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

/* The tag of a length-delimited field and free bytes for its length; *begun is where they are. */
static inline bool begin_length(struct decoder *d, const struct schema_field *field,
                                size_t length_bytes, size_t *begun)
{
    uint8_t *to = room(d, SCALAR_MAX + LENGTH_MAX);

    if (to == NULL) {
        return false;
    }
    to = write_tag(to, field, PB_BYTES);
    *begun = (size_t)(to - (uint8_t *)d->out->data);
    advance(d, to + length_bytes);
    return true;
}

/* Fill in the length of what was written since. */
static inline bool end_length(struct decoder *d, size_t begun, size_t length_bytes)
{
    size_t from = begun + length_bytes;
    size_t len = d->out->len - from;
    size_t need = varint_size(len);

    if (need > length_bytes || (need < length_bytes && len <= MOVED_BYTES_MAX)) {
        if (room(d, LENGTH_MAX) == NULL) {
            return false;
        }
        uint8_t *at = (uint8_t *)d->out->data + begun;
        memmove(at + need, at + length_bytes, len);
        d->out->len = begun + need + len;
        length_bytes = need;
    }
    uint8_t *at = (uint8_t *)d->out->data + begun;
    for (; length_bytes > 1; length_bytes--) {
        *at++ = (uint8_t)(len | 0x80);
        len >>= 7;
    }
    *at = (uint8_t)len;
    return true;
}

#endif
