/*
 * format.c - encode and decode one block. Pure functions, any thread.
 *
 * The tables are written column by column, numbers as varints of small differences, because that is
 * what zstd's fast levels do well with. A decoder walks the columns in the same order; a cursor
 * that ran out stays "bad" and is checked once a table.
 */
#include "format.h"

#include "memory.h"

#include <assert.h>
#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <spangate/codec/codec.h>
#include <stdlib.h>

enum { CODEC_STORED = 0, CODEC_ZSTANDARD = 1 };

/* Offsets in the header. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_FLAGS = 10,
    AT_HEADER_LEN = 12,
    AT_SEQ = 16,
    AT_SEALED = 24,
    AT_LSN_MAX = 32,
    AT_START_MIN = 40,
    AT_START_MAX = 48,
    AT_LENGTH = 56,
    AT_TRACES = 64,
    AT_SPANS = 68,
    AT_STRINGS = 72,
    AT_SCOPES = 76,
    AT_RESOURCES = 80,
    AT_SECTION_COUNT = 84,
    AT_SECTION_TABLE = 88,
    SECTION_ENTRY_BYTES = 24,
    AT_SALT = 208,
    AT_CRC = 252,
};

/* The most bytes one row can take, for sizing the scratch memory. */
enum { TRACE_ROW_MAX = 16 + 10 + 10 + 5 + 1 + 1 + 5 + 5 + 5 + 5, SPAN_ROW_MAX = 10 + 10 + 15 + 3 };
/* And the least, for refusing counts that the bytes cannot hold before memory is taken for them. */
enum { TRACE_ROW_MIN = 16 + 9, SPAN_ROW_MIN = 8, ENVELOPE_ROW_MIN = 2 };

/* zstd's best case is 128 KiB from 4 bytes: more than that was never written by us. */
enum { ZSTD_RATIO_MAX = 40000, ZSTD_SLACK = 1 << 17 };

/* --- numbers --- */

static uint8_t *put_varint(uint8_t *at, uint64_t v)
{
    while (v >= 0x80) {
        *at++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *at++ = (uint8_t)v;
    return at;
}

static uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (uint64_t)((int64_t)difference >> 63);
}

static uint64_t unzigzag(uint64_t v)
{
    return v >> 1 ^ (0 - (v & 1));
}

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static uint64_t take_varint_slow(struct cursor *c)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64 && c->at < c->end; shift += 7) {
        uint8_t byte = *c->at++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (shift == 63 && byte > 1) {
                break;
            }
            return v;
        }
    }
    c->bad = true;
    return 0;
}

static inline uint64_t take_varint(struct cursor *c)
{
    if (c->at < c->end && *c->at < 0x80) {
        return *c->at++;
    }
    return take_varint_slow(c);
}

/* A number below limit. */
static inline uint32_t take_below(struct cursor *c, uint64_t limit)
{
    uint64_t v = take_varint(c);

    if (v >= limit) {
        c->bad = true;
        return 0;
    }
    return (uint32_t)v;
}

static inline uint32_t take_u32(struct cursor *c)
{
    return take_below(c, UINT64_C(1) << 32);
}

static const uint8_t *take_bytes(struct cursor *c, uint64_t len)
{
    if (len > (uint64_t)(c->end - c->at)) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *at = c->at;
    c->at += len;
    return at;
}

/* --- encode --- */

static uint8_t *encode_traces(const struct block *block, uint8_t *at)
{
    const struct block_trace *t = block->traces;
    uint64_t before = block->start_ns_min;

    for (uint32_t i = 0; i < block->trace_count; i++, at += sizeof(t->trace_id.bytes)) {
        memcpy(at, t[i].trace_id.bytes, sizeof(t->trace_id.bytes));
    }
    for (uint32_t i = 0; i < block->trace_count; i++) {
        at = put_varint(at, zigzag(t[i].start_ns - before));
        before = t[i].start_ns;
    }
    for (uint32_t i = 0; i < block->trace_count; i++) {
        at = put_varint(at, t[i].end_ns - t[i].start_ns);
    }
    for (uint32_t i = 0; i < block->trace_count; i++) {
        at = put_varint(at, t[i].revision);
    }
    for (uint32_t i = 0; i < block->trace_count; i++) {
        *at++ = t[i].reason;
    }
    for (uint32_t i = 0; i < block->trace_count; i++) {
        *at++ = t[i].flags;
    }
    for (uint32_t i = 0; i < block->trace_count; i++) {
        at = put_varint(at, t[i].route);
    }
    for (uint32_t i = 0; i < block->trace_count; i++) {
        at = put_varint(at, t[i].span_count);
    }
    for (uint32_t i = 0; i < block->trace_count; i++) {
        at = put_varint(at, t[i].root == UINT32_MAX ? 0 : t[i].root - t[i].span_first + 1);
    }
    for (uint32_t i = 0; i < block->trace_count; i++) {
        at = put_varint(at, t[i].error_count);
    }
    return at;
}

static uint8_t *encode_spans(const struct block *block, uint8_t *at)
{
    const struct block_span *s = block->spans;

    for (uint32_t t = 0; t < block->trace_count; t++) {
        uint64_t before = block->traces[t].start_ns;
        for (uint32_t i = 0; i < block->traces[t].span_count; i++) {
            uint64_t start = s[block->traces[t].span_first + i].start_ns;
            at = put_varint(at, zigzag(start - before));
            before = start;
        }
    }
    for (uint32_t i = 0; i < block->span_count; i++) {
        at = put_varint(at, s[i].duration_ns);
    }
    for (uint32_t i = 0; i < block->span_count; i++) {
        at = put_varint(at, s[i].raw_len);
    }
    for (uint32_t i = 0; i < block->span_count; i++) {
        at = put_varint(at, s[i].name);
    }
    for (uint32_t i = 0; i < block->span_count; i++) {
        at = put_varint(at, s[i].scope);
    }
    for (uint32_t i = 0; i < block->span_count; i++) {
        *at++ = s[i].kind;
    }
    for (uint32_t i = 0; i < block->span_count; i++) {
        *at++ = s[i].status;
    }
    for (uint32_t i = 0; i < block->span_count; i++) {
        *at++ = s[i].flags;
    }
    return at;
}

static uint8_t *put_slice(uint8_t *at, struct slice s)
{
    if (s.len > 0) {
        memcpy(at, s.data, s.len);
    }
    return at + s.len;
}

static uint8_t *encode_strings(const struct block *block, uint8_t *at)
{
    for (uint32_t i = 0; i < block->string_count; i++) {
        at = put_varint(at, block->strings[i].len);
    }
    for (uint32_t i = 0; i < block->string_count; i++) {
        at = put_slice(at, block->strings[i]);
    }
    return at;
}

static uint8_t *encode_envelopes(const struct block *block, uint8_t *at)
{
    for (uint32_t i = 0; i < block->resource_count; i++) {
        at = put_varint(at, block->resources[i].service);
        at = put_varint(at, block->resources[i].envelope.len);
    }
    for (uint32_t i = 0; i < block->scope_count; i++) {
        at = put_varint(at, block->scopes[i].resource);
        at = put_varint(at, block->scopes[i].envelope.len);
    }
    for (uint32_t i = 0; i < block->resource_count; i++) {
        at = put_slice(at, block->resources[i].envelope);
    }
    for (uint32_t i = 0; i < block->scope_count; i++) {
        at = put_slice(at, block->scopes[i].envelope);
    }
    return at;
}

static size_t strings_bound(const struct block *block)
{
    size_t bytes = (size_t)block->string_count * 10;

    for (uint32_t i = 0; i < block->string_count; i++) {
        bytes += block->strings[i].len;
    }
    return bytes;
}

static size_t envelopes_bound(const struct block *block)
{
    size_t bytes = ((size_t)block->resource_count + block->scope_count) * 20;

    for (uint32_t i = 0; i < block->resource_count; i++) {
        bytes += block->resources[i].envelope.len;
    }
    for (uint32_t i = 0; i < block->scope_count; i++) {
        bytes += block->scopes[i].envelope.len;
    }
    return bytes;
}

static void image_reserve(struct block_image *image, size_t extra)
{
    if (image->len + extra > image->cap) {
        image->cap = image->len + extra;
        image->data = mem_realloc(image->data, image->cap);
    }
}

static void add_section(struct block_image *image, struct section *section, struct slice content,
                        int level)
{
    size_t stored = 0;

    if (content.len > 0) {
        image_reserve(image, codec_zstd_bound(content.len));
        if (level != BLOCK_LEVEL_NONE) {
            stored = codec_zstd(content.data, content.len, image->data + image->len,
                                image->cap - image->len, level);
        }
        section->codec = CODEC_ZSTANDARD;
        if (stored == 0 || stored >= content.len) {
            memcpy(image->data + image->len, content.data, content.len);
            stored = content.len;
            section->codec = CODEC_STORED;
        }
    }
    section->raw_len = content.len;
    section->stored_len = stored;
    section->crc = crc32c(0, image->data + image->len, stored);
    image->len += stored;
}

static void encode_header(const struct block_header *h, uint8_t *out)
{
    memset(out, 0, BLOCK_HEADER_BYTES);
    memcpy(out + AT_MAGIC, BLOCK_MAGIC, BLOCK_MAGIC_BYTES);
    put_u16(out + AT_VERSION, h->version);
    put_u16(out + AT_FLAGS, h->flags);
    put_u32(out + AT_HEADER_LEN, BLOCK_HEADER_BYTES);
    put_u64(out + AT_SEQ, h->seq);
    put_u64(out + AT_SEALED, h->sealed_ns);
    put_u64(out + AT_LSN_MAX, h->lsn_max);
    put_u64(out + AT_START_MIN, h->start_ns_min);
    put_u64(out + AT_START_MAX, h->start_ns_max);
    put_u64(out + AT_LENGTH, h->length);
    put_u32(out + AT_TRACES, h->trace_count);
    put_u32(out + AT_SPANS, h->span_count);
    put_u32(out + AT_STRINGS, h->string_count);
    put_u32(out + AT_SCOPES, h->scope_count);
    put_u32(out + AT_RESOURCES, h->resource_count);
    put_u32(out + AT_SECTION_COUNT, BLOCK_SECTIONS);
    for (size_t i = 0; i < BLOCK_SECTIONS; i++) {
        uint8_t *at = out + AT_SECTION_TABLE + i * SECTION_ENTRY_BYTES;
        put_u32(at, h->sections[i].codec);
        put_u32(at + 4, h->sections[i].crc);
        put_u64(at + 8, h->sections[i].raw_len);
        put_u64(at + 16, h->sections[i].stored_len);
    }
    put_u64(out + AT_SALT, h->salt);
    put_u32(out + AT_CRC, crc32c(0, out, AT_CRC));
}

void block_encode(const struct block *block, int level, uint64_t salt, struct block_image *out)
{
    struct block_header header = {
        .version = BLOCK_VERSION,
        .seq = block->seq,
        .sealed_ns = block->sealed_ns,
        .lsn_max = block->lsn_max,
        .start_ns_min = block->start_ns_min,
        .start_ns_max = block->start_ns_max,
        .trace_count = block->trace_count,
        .span_count = block->span_count,
        .string_count = block->string_count,
        .scope_count = block->scope_count,
        .resource_count = block->resource_count,
        .salt = salt,
    };
    static uint8_t *(*const encoders[])(const struct block *, uint8_t *) = {
        [SECTION_TRACES] = encode_traces,
        [SECTION_SPANS] = encode_spans,
        [SECTION_STRINGS] = encode_strings,
        [SECTION_ENVELOPES] = encode_envelopes,
    };
    size_t bounds[] = {
        [SECTION_TRACES] = (size_t)block->trace_count * TRACE_ROW_MAX,
        [SECTION_SPANS] = (size_t)block->span_count * SPAN_ROW_MAX,
        [SECTION_STRINGS] = strings_bound(block),
        [SECTION_ENVELOPES] = envelopes_bound(block),
    };
    size_t scratch_len = 1;
    for (size_t i = 0; i < COUNT_OF(bounds); i++) {
        scratch_len = bounds[i] > scratch_len ? bounds[i] : scratch_len;
    }
    uint8_t *scratch = mem_alloc(scratch_len);

    out->len = 0;
    image_reserve(out, BLOCK_HEADER_BYTES + codec_zstd_bound(block->raw.len) + scratch_len);
    out->len = BLOCK_HEADER_BYTES;
    for (size_t i = 0; i < COUNT_OF(encoders); i++) {
        const uint8_t *end = encoders[i](block, scratch);
        struct slice content = {scratch, (size_t)(end - scratch)};
        assert(content.len <= bounds[i]);
        add_section(out, &header.sections[i], content, level);
    }
    add_section(out, &header.sections[SECTION_RAW], block->raw, level);
    free(scratch);
    header.length = out->len;
    encode_header(&header, out->data);
}

void block_encode_dead(uint64_t seq, uint64_t length, uint64_t salt,
                       uint8_t out[BLOCK_HEADER_BYTES])
{
    struct block_header header = {
        .version = BLOCK_VERSION,
        .flags = BLOCK_DEAD,
        .seq = seq,
        .length = length,
        .salt = salt,
    };

    encode_header(&header, out);
}

/* --- decode --- */

uint64_t block_tables_len(const struct block_header *header)
{
    uint64_t len = 0;

    for (size_t i = 0; i < SECTION_RAW; i++) {
        len += header->sections[i].stored_len;
    }
    return len;
}

/* Whether the sections' lengths can be true, so that nobody allocates or reads by a lie. */
static bool check_lengths(const struct block_header *h, struct error *err)
{
    uint64_t length = BLOCK_HEADER_BYTES;

    if (h->seq == 0 || h->seq > BLOCK_SEQ_MAX) {
        return error_set(err, ERR_CORRUPT, "block without a number");
    }
    if ((h->flags & BLOCK_DEAD) != 0) {
        return h->length >= BLOCK_HEADER_BYTES ||
               error_set(err, ERR_CORRUPT, "block of %llu bytes", (unsigned long long)h->length);
    }
    for (size_t i = 0; i < BLOCK_SECTIONS; i++) {
        const struct section *s = &h->sections[i];
        bool possible = s->stored_len <= UINT32_MAX && s->raw_len <= UINT32_MAX;
        if (s->codec == CODEC_STORED) {
            possible = possible && s->raw_len == s->stored_len;
        } else if (s->codec == CODEC_ZSTANDARD) {
            possible = possible && s->raw_len <= s->stored_len * ZSTD_RATIO_MAX + ZSTD_SLACK;
        } else {
            possible = false;
        }
        if (!possible) {
            return error_set(err, ERR_CORRUPT, "section %zu cannot have these lengths", i);
        }
        length += s->stored_len;
    }
    if (length != h->length) {
        return error_set(err, ERR_CORRUPT, "sections and block differ in length");
    }
    if (h->trace_count > h->sections[SECTION_TRACES].raw_len / TRACE_ROW_MIN ||
        h->span_count > h->sections[SECTION_SPANS].raw_len / SPAN_ROW_MIN ||
        h->string_count > h->sections[SECTION_STRINGS].raw_len ||
        (uint64_t)h->scope_count + h->resource_count >
            h->sections[SECTION_ENVELOPES].raw_len / ENVELOPE_ROW_MIN) {
        return error_set(err, ERR_CORRUPT, "more rows than the tables can hold");
    }
    return true;
}

bool block_header_parse(const uint8_t bytes[BLOCK_HEADER_BYTES], struct block_header *out,
                        struct error *err)
{
    if (memcmp(bytes + AT_MAGIC, BLOCK_MAGIC, BLOCK_MAGIC_BYTES) != 0) {
        return error_set(err, ERR_CORRUPT, "no block begins here");
    }
    if (get_u32(bytes + AT_CRC) != crc32c(0, bytes, AT_CRC)) {
        return error_set(err, ERR_CORRUPT, "block header has a wrong checksum");
    }
    *out = (struct block_header){
        .version = get_u16(bytes + AT_VERSION),
        .flags = get_u16(bytes + AT_FLAGS),
        .seq = get_u64(bytes + AT_SEQ),
        .sealed_ns = get_u64(bytes + AT_SEALED),
        .lsn_max = get_u64(bytes + AT_LSN_MAX),
        .start_ns_min = get_u64(bytes + AT_START_MIN),
        .start_ns_max = get_u64(bytes + AT_START_MAX),
        .length = get_u64(bytes + AT_LENGTH),
        .trace_count = get_u32(bytes + AT_TRACES),
        .span_count = get_u32(bytes + AT_SPANS),
        .string_count = get_u32(bytes + AT_STRINGS),
        .scope_count = get_u32(bytes + AT_SCOPES),
        .resource_count = get_u32(bytes + AT_RESOURCES),
        .salt = get_u64(bytes + AT_SALT),
    };
    if (out->version != BLOCK_VERSION) {
        return error_set(err, ERR_UNSUPPORTED, "block format version %u: a newer spangate wrote it",
                         out->version);
    }
    if (get_u32(bytes + AT_HEADER_LEN) != BLOCK_HEADER_BYTES ||
        get_u32(bytes + AT_SECTION_COUNT) != BLOCK_SECTIONS) {
        return error_set(err, ERR_CORRUPT, "block header of another shape");
    }
    for (size_t i = 0; i < BLOCK_SECTIONS; i++) {
        const uint8_t *at = bytes + AT_SECTION_TABLE + i * SECTION_ENTRY_BYTES;
        out->sections[i] = (struct section){
            .codec = get_u32(at),
            .crc = get_u32(at + 4),
            .raw_len = get_u64(at + 8),
            .stored_len = get_u64(at + 16),
        };
    }
    return check_lengths(out, err);
}

uint64_t block_header_salt(const uint8_t bytes[BLOCK_HEADER_BYTES])
{
    return get_u64(bytes + AT_SALT);
}

static bool decode_traces(const struct block_header *h, struct cursor c, struct block_trace *t)
{
    uint64_t before = h->start_ns_min;
    uint64_t spans = 0;
    uint32_t n = h->trace_count;

    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *id = take_bytes(&c, sizeof(t->trace_id.bytes));
        if (id == NULL) {
            return false;
        }
        t[i] = (struct block_trace){0};
        memcpy(t[i].trace_id.bytes, id, sizeof(t->trace_id.bytes));
    }
    for (uint32_t i = 0; i < n; i++) {
        before += unzigzag(take_varint(&c));
        t[i].start_ns = before;
    }
    for (uint32_t i = 0; i < n; i++) {
        t[i].end_ns = t[i].start_ns + take_varint(&c);
        c.bad = c.bad || t[i].end_ns < t[i].start_ns;
    }
    for (uint32_t i = 0; i < n; i++) {
        t[i].revision = take_u32(&c);
    }
    const uint8_t *reasons = take_bytes(&c, n);
    const uint8_t *flags = take_bytes(&c, n);
    if (reasons == NULL || flags == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        t[i].reason = reasons[i];
        t[i].flags = flags[i];
        c.bad = c.bad || reasons[i] >= TRACE_REASONS;
    }
    for (uint32_t i = 0; i < n; i++) {
        t[i].route = take_u32(&c);
    }
    for (uint32_t i = 0; i < n; i++) {
        t[i].span_first = (uint32_t)spans;
        t[i].span_count = take_below(&c, h->span_count - spans + 1);
        spans += t[i].span_count;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t root = take_below(&c, (uint64_t)t[i].span_count + 1);
        t[i].root = root == 0 ? UINT32_MAX : t[i].span_first + root - 1;
    }
    for (uint32_t i = 0; i < n; i++) {
        t[i].error_count = take_below(&c, (uint64_t)t[i].span_count + 1);
    }
    return !c.bad && c.at == c.end && spans == h->span_count;
}

static bool decode_spans(const struct block_header *h, struct cursor c, const struct block_trace *t,
                         struct block_span *s)
{
    uint64_t raw_at = 0;
    uint64_t raw_len = h->sections[SECTION_RAW].raw_len;
    uint32_t n = h->span_count;

    for (uint32_t i = 0; i < h->trace_count; i++) {
        uint64_t before = t[i].start_ns;
        for (uint32_t k = 0; k < t[i].span_count; k++) {
            before += unzigzag(take_varint(&c));
            s[t[i].span_first + k] = (struct block_span){.start_ns = before};
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        s[i].duration_ns = take_varint(&c);
        c.bad = c.bad || s[i].duration_ns > UINT64_MAX - s[i].start_ns;
    }
    for (uint32_t i = 0; i < n; i++) {
        s[i].raw_at = (uint32_t)raw_at;
        s[i].raw_len = take_below(&c, raw_len - raw_at + 1);
        raw_at += s[i].raw_len;
    }
    for (uint32_t i = 0; i < n; i++) {
        s[i].name = take_below(&c, h->string_count);
    }
    for (uint32_t i = 0; i < n; i++) {
        s[i].scope = take_below(&c, h->scope_count);
    }
    const uint8_t *kinds = take_bytes(&c, n);
    const uint8_t *statuses = take_bytes(&c, n);
    const uint8_t *flags = take_bytes(&c, n);
    if (c.bad || c.at != c.end || raw_at != raw_len) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        s[i].kind = kinds[i];
        s[i].status = statuses[i];
        s[i].flags = flags[i];
    }
    return true;
}

static bool decode_strings(const struct block_header *h, struct cursor c, struct slice *strings)
{
    for (uint32_t i = 0; i < h->string_count; i++) {
        strings[i] = (struct slice){.len = take_u32(&c)};
    }
    for (uint32_t i = 0; i < h->string_count && !c.bad; i++) {
        strings[i].data = take_bytes(&c, strings[i].len);
    }
    return !c.bad && c.at == c.end;
}

static bool decode_envelopes(const struct block_header *h, struct cursor c,
                             struct block_resource *resources, struct block_scope *scopes)
{
    for (uint32_t i = 0; i < h->resource_count; i++) {
        resources[i].service = take_below(&c, h->string_count);
        resources[i].envelope = (struct slice){.len = take_u32(&c)};
    }
    for (uint32_t i = 0; i < h->scope_count; i++) {
        scopes[i].resource = take_below(&c, h->resource_count);
        scopes[i].envelope = (struct slice){.len = take_u32(&c)};
    }
    for (uint32_t i = 0; i < h->resource_count && !c.bad; i++) {
        resources[i].envelope.data = take_bytes(&c, resources[i].envelope.len);
    }
    for (uint32_t i = 0; i < h->scope_count && !c.bad; i++) {
        scopes[i].envelope.data = take_bytes(&c, scopes[i].envelope.len);
    }
    return !c.bad && c.at == c.end;
}

static const char *const section_names[BLOCK_SECTIONS] = {"traces", "spans", "strings", "envelopes",
                                                          "raw"};

/* Check one section and expand it into `to`, which holds raw_len bytes. */
static bool expand(const struct block_header *h, enum block_section which, struct slice stored,
                   void *to, struct error *err)
{
    const struct section *s = &h->sections[which];

    if (crc32c(0, stored.data, stored.len) != s->crc) {
        return error_set(err, ERR_CORRUPT, "section %s has a wrong checksum", section_names[which]);
    }
    if (s->codec == CODEC_STORED) {
        if (stored.len > 0) {
            memcpy(to, stored.data, stored.len);
        }
        return true;
    }
    if (!codec_unzstd(stored, to, s->raw_len, err)) {
        err->code = ERR_CORRUPT;
        return error_wrap(err, "section %s", section_names[which]);
    }
    return true;
}

static void *carve(uint8_t **at, size_t bytes)
{
    void *piece = *at;

    *at += (bytes + 15) & ~(size_t)15;
    return piece;
}

static size_t carved(size_t bytes)
{
    return (bytes + 15) & ~(size_t)15;
}

/* All tables lie in one piece of memory, the bytes of strings and envelopes at its end. */
static bool decode_tables(struct block *block, const struct block_header *h,
                          const struct slice stored[SECTION_RAW], bool with_raw, struct error *err)
{
    const struct section *s = h->sections;
    size_t bytes = carved(h->trace_count * sizeof(struct block_trace)) +
                   carved(h->span_count * sizeof(struct block_span)) +
                   carved(h->string_count * sizeof(struct slice)) +
                   carved(h->scope_count * sizeof(struct block_scope)) +
                   carved(h->resource_count * sizeof(struct block_resource)) +
                   carved(s[SECTION_STRINGS].raw_len) + carved(s[SECTION_ENVELOPES].raw_len);
    uint64_t scratch_len = s[SECTION_TRACES].raw_len > s[SECTION_SPANS].raw_len
                               ? s[SECTION_TRACES].raw_len
                               : s[SECTION_SPANS].raw_len;
    uint8_t *at = mem_alloc(bytes + 1);
    block->memory->parts[0] = at;
    block_charge(block, bytes + (with_raw ? s[SECTION_RAW].raw_len : 0));

    struct block_trace *traces = carve(&at, h->trace_count * sizeof(*traces));
    struct block_span *spans = carve(&at, h->span_count * sizeof(*spans));
    struct slice *strings = carve(&at, h->string_count * sizeof(*strings));
    struct block_scope *scopes = carve(&at, h->scope_count * sizeof(*scopes));
    struct block_resource *resources = carve(&at, h->resource_count * sizeof(*resources));
    uint8_t *string_bytes = carve(&at, s[SECTION_STRINGS].raw_len);
    uint8_t *envelope_bytes = carve(&at, s[SECTION_ENVELOPES].raw_len);
    uint8_t *scratch = mem_alloc(scratch_len + 1);

    bool ok = expand(h, SECTION_TRACES, stored[SECTION_TRACES], scratch, err);
    if (ok &&
        !decode_traces(h, (struct cursor){scratch, scratch + s[SECTION_TRACES].raw_len, false},
                       traces)) {
        ok = error_set(err, ERR_CORRUPT, "table of traces is inconsistent");
    }
    ok = ok && expand(h, SECTION_SPANS, stored[SECTION_SPANS], scratch, err);
    if (ok && !decode_spans(h, (struct cursor){scratch, scratch + s[SECTION_SPANS].raw_len, false},
                            traces, spans)) {
        ok = error_set(err, ERR_CORRUPT, "table of spans is inconsistent");
    }
    ok = ok && expand(h, SECTION_STRINGS, stored[SECTION_STRINGS], string_bytes, err);
    struct cursor at_strings = {string_bytes, string_bytes + s[SECTION_STRINGS].raw_len, false};
    if (ok && !decode_strings(h, at_strings, strings)) {
        ok = error_set(err, ERR_CORRUPT, "table of strings is inconsistent");
    }
    ok = ok && expand(h, SECTION_ENVELOPES, stored[SECTION_ENVELOPES], envelope_bytes, err);
    struct cursor at_envelopes = {envelope_bytes, envelope_bytes + s[SECTION_ENVELOPES].raw_len,
                                  false};
    if (ok && !decode_envelopes(h, at_envelopes, resources, scopes)) {
        ok = error_set(err, ERR_CORRUPT, "table of envelopes is inconsistent");
    }
    free(scratch);

    block->traces = traces;
    block->spans = spans;
    block->strings = strings;
    block->scopes = scopes;
    block->resources = resources;
    return ok;
}

bool block_decode(const struct block_header *h, struct slice tables, struct slice raw,
                  bool with_raw, struct budget *budget, struct block **out, struct error *err)
{
    struct slice stored[SECTION_RAW];
    const struct section *raw_section = &h->sections[SECTION_RAW];

    if ((h->flags & BLOCK_DEAD) != 0 || tables.len != block_tables_len(h) ||
        (with_raw && raw.len != raw_section->stored_len)) {
        return error_set(err, ERR_CORRUPT, "block does not have the length that its header says");
    }
    for (size_t i = 0; i < SECTION_RAW; i++) {
        stored[i] = (struct slice){tables.data, h->sections[i].stored_len};
        tables = (struct slice){tables.data + stored[i].len, tables.len - stored[i].len};
    }
    struct block *block = block_new(budget);
    block->seq = h->seq;
    block->sealed_ns = h->sealed_ns;
    block->lsn_max = h->lsn_max;
    block->start_ns_min = h->start_ns_min;
    block->start_ns_max = h->start_ns_max;
    block->trace_count = h->trace_count;
    block->span_count = h->span_count;
    block->string_count = h->string_count;
    block->scope_count = h->scope_count;
    block->resource_count = h->resource_count;
    block->stored_bytes = h->length;
    if (!decode_tables(block, h, stored, with_raw, err)) {
        block_unref(block);
        return false;
    }
    if (with_raw) {
        uint8_t *bytes = mem_alloc(raw_section->raw_len + 1);
        block->memory->parts[1] = bytes;
        block->raw = (struct slice){bytes, raw_section->raw_len};
        if (!expand(h, SECTION_RAW, raw, bytes, err)) {
            block_unref(block);
            return false;
        }
    }
    *out = block;
    return true;
}
