/*
 * format.h - the bytes of the ingest log: segment header and record header.
 *
 * docs/formats.md, "Ingest log", is the specification. Numbers are little-endian, as on every
 * machine we run on. Both headers begin with magic and version; a record's segment and salt must be
 * those of the segment it stands in, so neither a stale record of a recycled file nor bytes that a
 * sender forged inside a payload are taken for one.
 */
#ifndef SPANGATE_SRC_WAL_FORMAT_H
#define SPANGATE_SRC_WAL_FORMAT_H

#include <spangate/wal/wal.h>

enum {
    WAL_VERSION = 1,
    SEGMENT_HEADER_BYTES = 64,
    RECORD_HEADER_BYTES = 56,
    RECORD_ALIGN = 8,
    RECORD_PAYLOAD_MAX = 80 * 1024 * 1024,
};

#define SEGMENT_MAGIC UINT32_C(0x534c4757) /* "WGLS" */
#define RECORD_MAGIC UINT32_C(0x524c4757)  /* "WGLR" */
#define LSN_MAX (UINT64_C(1) << 62)
/* Numbers beyond are not ours. A segment holds fewer than 2^26 records, so number << 26 is an lsn
 * that none up to it can have had. */
#define SEGMENT_NUMBER_MAX ((UINT64_C(1) << 36) - 1)
#define SEGMENT_LSN_SHIFT 26

enum segment_flags {
    SEGMENT_FRESH = 1, /* the file was all zeros behind this header */
};

struct segment_header {
    uint32_t magic;
    uint8_t version;
    uint8_t flags; /* enum segment_flags */
    uint8_t zero[2];
    uint64_t number;
    uint64_t salt;        /* random, a new one each life of the file */
    uint64_t base_lsn;    /* no record here or later has a lesser one */
    uint64_t durable_lsn; /* records of earlier segments beyond this lsn are void */
    uint64_t created_ns;  /* wall time */
    uint64_t file_bytes;
    uint32_t zero2;
    uint32_t crc; /* CRC-32C of the 60 bytes before */
};

struct record_header {
    uint32_t magic;
    uint8_t version;
    uint8_t tag; /* enum otlp_signal + 1 */
    uint16_t flags;
    uint64_t segment;
    uint64_t salt;
    uint64_t lsn;
    uint64_t received_ns;
    uint32_t route;
    uint32_t length;      /* of the payload, which follows; then zeros up to a multiple of 8 */
    uint32_t header_crc;  /* CRC-32C of the 48 bytes before */
    uint32_t payload_crc; /* CRC-32C of the payload, continued from header_crc */
};

/* Header, payload and padding. */
static inline uint64_t record_bytes(uint64_t payload_len)
{
    return (RECORD_HEADER_BYTES + payload_len + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

void segment_header_seal(struct segment_header *header); /* magic, version, crc */

enum header_verdict {
    HEADER_OK,
    HEADER_EMPTY,       /* all zeros: never written */
    HEADER_STALE,       /* whole, but of another segment: the file was about to be recycled */
    HEADER_DAMAGED,     /* err: "crc mismatch" and the like */
    HEADER_UNSUPPORTED, /* a later version wrote it; err: "unsupported WAL version 99" */
};

/* err is filled for the last two. */
enum header_verdict segment_header_check(const uint8_t bytes[SEGMENT_HEADER_BYTES], uint64_t number,
                                         struct segment_header *out, struct error *err);

/* The header of a record, with both checksums. */
void record_header_make(struct record_header *header, const struct wal_record *record,
                        uint64_t segment, uint64_t salt);

/*
 * A record header at the start of bytes. salt NULL: any. Of the verdicts, HEADER_STALE means that
 * it belongs to another segment or life; HEADER_DAMAGED includes "too short" and a tag not known
 * (then *out is filled, so that the record can be stepped over; else out->length is 0).
 */
enum header_verdict record_header_check(struct slice bytes, uint64_t segment, const uint64_t *salt,
                                        struct record_header *out, struct error *err);

/* Whether the payload is what was written. */
bool record_payload_check(const struct record_header *header, struct slice payload,
                          struct error *err) MUST_CHECK;

#endif
