/*
 * format.c - see format.h.
 */
#include "format.h"

#include <spangate/base/hash.h>

_Static_assert(sizeof(struct segment_header) == SEGMENT_HEADER_BYTES, "no padding");
_Static_assert(offsetof(struct segment_header, crc) == SEGMENT_HEADER_BYTES - 4, "crc is last");
_Static_assert(sizeof(struct record_header) == RECORD_HEADER_BYTES, "no padding");
_Static_assert(offsetof(struct record_header, header_crc) == 48, "as docs/formats.md says");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the files are little-endian");

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static uint32_t segment_crc(const struct segment_header *header)
{
    return crc32c(0, header, offsetof(struct segment_header, crc));
}

void segment_header_seal(struct segment_header *header)
{
    header->magic = SEGMENT_MAGIC;
    header->version = WAL_VERSION;
    header->crc = segment_crc(header);
}

static enum header_verdict damaged(struct error *err, const char *what)
{
    error_set(err, ERR_CORRUPT, "%s", what);
    return HEADER_DAMAGED;
}

static enum header_verdict unsupported(struct error *err, unsigned version)
{
    error_set(err, ERR_UNSUPPORTED,
              "unsupported WAL version %u: a later release wrote it, and only that can read it",
              version);
    return HEADER_UNSUPPORTED;
}

enum header_verdict segment_header_check(const uint8_t bytes[SEGMENT_HEADER_BYTES], uint64_t number,
                                         struct segment_header *out, struct error *err)
{
    memcpy(out, bytes, sizeof(*out));
    if (is_zero(bytes, SEGMENT_HEADER_BYTES)) {
        return HEADER_EMPTY;
    }
    if (out->magic != SEGMENT_MAGIC) {
        return damaged(err, "no segment header");
    }
    if (out->crc != segment_crc(out)) {
        return damaged(err, "crc mismatch in the segment header");
    }
    if (out->version != WAL_VERSION) {
        return unsupported(err, out->version);
    }
    if (out->number != number) {
        return HEADER_STALE;
    }
    if (out->base_lsn == 0 || out->base_lsn > LSN_MAX || out->durable_lsn >= out->base_lsn) {
        return damaged(err, "impossible lsn in the segment header");
    }
    return HEADER_OK;
}

static uint32_t record_crc(const struct record_header *header)
{
    return crc32c(0, header, offsetof(struct record_header, header_crc));
}

void record_header_make(struct record_header *header, const struct wal_record *record,
                        uint64_t segment, uint64_t salt)
{
    *header = (struct record_header){
        .magic = RECORD_MAGIC,
        .version = WAL_VERSION,
        .tag = (uint8_t)(record->signal + 1),
        .segment = segment,
        .salt = salt,
        .lsn = record->lsn,
        .received_ns = record->received_ns,
        .route = record->route,
        .length = (uint32_t)record->payload.len,
    };
    header->header_crc = record_crc(header);
    header->payload_crc = crc32c(header->header_crc, record->payload.data, record->payload.len);
}

enum header_verdict record_header_check(struct slice bytes, uint64_t segment, const uint64_t *salt,
                                        struct record_header *out, struct error *err)
{
    struct record_header header;

    out->length = 0;
    if (bytes.len < RECORD_HEADER_BYTES) {
        error_set(err, ERR_CORRUPT, "too short: %zu bytes where a record header has %d", bytes.len,
                  RECORD_HEADER_BYTES);
        return HEADER_DAMAGED;
    }
    memcpy(&header, bytes.data, sizeof(header));
    if (header.magic != RECORD_MAGIC) {
        return damaged(err, "no record header");
    }
    if (header.segment != segment || (salt != NULL && header.salt != *salt)) {
        return HEADER_STALE;
    }
    if (header.header_crc != record_crc(&header)) {
        return damaged(err, "crc mismatch in the record header");
    }
    if (header.version != WAL_VERSION) {
        return unsupported(err, header.version);
    }
    if (header.length > RECORD_PAYLOAD_MAX) {
        return damaged(err, "impossible length in the record header");
    }
    *out = header;
    if (header.tag < 1 || header.tag > OTLP_SIGNALS) {
        error_set(err, ERR_CORRUPT, "unknown WAL tag %u", header.tag);
        return HEADER_DAMAGED;
    }
    return HEADER_OK;
}

bool record_payload_check(const struct record_header *header, struct slice payload,
                          struct error *err)
{
    if (payload.len < header->length) {
        return error_set(err, ERR_CORRUPT, "too short: %zu bytes of a payload of %u", payload.len,
                         header->length);
    }
    return header->payload_crc == crc32c(header->header_crc, payload.data, header->length) ||
           error_set(err, ERR_CORRUPT, "crc mismatch in the payload of lsn %llu",
                     (unsigned long long)header->lsn);
}
