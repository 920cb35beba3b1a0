/*
 * format.h - a block as bytes in a segment file (docs/formats.md, "Trace log").
 *
 *   header (256 bytes) | traces | spans | strings | envelopes | raw
 *
 * Each section is compressed and checksummed on its own; the header has its own checksum. Reading
 * trusts nothing: whatever the bytes, the result is a valid block or ERR_CORRUPT. No I/O, no
 * threads.
 */
#ifndef SPANGATE_SRC_BLOCKS_FORMAT_H
#define SPANGATE_SRC_BLOCKS_FORMAT_H

#include <limits.h>
#include <spangate/base/error.h>
#include <spangate/blocks/block.h>

enum { BLOCK_HEADER_BYTES = 256, BLOCK_ALIGN = 64, BLOCK_VERSION = 1 };

#define BLOCK_MAGIC "SGBLOCK\n"
enum { BLOCK_MAGIC_BYTES = 8 };

/* No number is higher, so that the next one always exists. */
#define BLOCK_SEQ_MAX (UINT64_MAX / 2)

/* For `level`: leave all sections uncompressed. */
#define BLOCK_LEVEL_NONE INT_MIN

enum block_section {
    SECTION_TRACES,
    SECTION_SPANS,
    SECTION_STRINGS,
    SECTION_ENVELOPES,
    SECTION_RAW,
    BLOCK_SECTIONS
};

enum block_header_flags {
    BLOCK_DEAD = 1 /* found damaged and set aside: only seq and length hold */
};

struct section {
    uint32_t codec; /* 0: as it is, 1: zstd */
    uint32_t crc;   /* crc32c of the stored bytes */
    uint64_t raw_len;
    uint64_t stored_len;
};

struct block_header {
    uint16_t version;
    uint16_t flags;
    uint64_t seq;
    uint64_t sealed_ns;
    uint64_t lsn_max;
    uint64_t start_ns_min, start_ns_max;
    uint64_t length; /* header and sections, without padding */
    uint64_t salt;   /* the file's */
    uint32_t trace_count, span_count, string_count, scope_count, resource_count;
    struct section sections[BLOCK_SECTIONS];
};

/* A block ready to be written. One owner; reuse it, release data with free(). */
struct block_image {
    uint8_t *data;
    size_t cap;
    size_t len;
};

/*
 * Encode the whole block. Cannot fail: what does not shrink is stored as it is. salt: a random
 * number of the file, which a sender cannot know; so bytes of a span never pass for a block.
 */
void block_encode(const struct block *block, int level, uint64_t salt, struct block_image *out);

/* The header of a block that was set aside, so that walking the file still steps over it. */
void block_encode_dead(uint64_t seq, uint64_t length, uint64_t salt,
                       uint8_t out[BLOCK_HEADER_BYTES]);

/* ERR_CORRUPT: this is no header. ERR_UNSUPPORTED: an intact one of a newer version. */
bool block_header_parse(const uint8_t bytes[BLOCK_HEADER_BYTES], struct block_header *out,
                        struct error *err) MUST_CHECK;

/* The salt as it stands there, whether the header is sound or not. */
uint64_t block_header_salt(const uint8_t bytes[BLOCK_HEADER_BYTES]);

/* Bytes of all sections but raw. */
uint64_t block_tables_len(const struct block_header *header);

/*
 * Make the block of its stored sections. tables: those before raw; raw: that section, ignored
 * unless with_raw. Both are borrowed and not kept. ERR_CORRUPT: damaged.
 */
bool block_decode(const struct block_header *header, struct slice tables, struct slice raw,
                  bool with_raw, struct budget *budget, struct block **out,
                  struct error *err) MUST_CHECK;

/* Little-endian numbers, as everywhere in the file formats. */
static inline void put_u16(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)v;
    at[1] = (uint8_t)(v >> 8);
}

static inline void put_u32(uint8_t *at, uint32_t v)
{
    put_u16(at, (uint16_t)v);
    put_u16(at + 2, (uint16_t)(v >> 16));
}

static inline void put_u64(uint8_t *at, uint64_t v)
{
    put_u32(at, (uint32_t)v);
    put_u32(at + 4, (uint32_t)(v >> 32));
}

static inline uint16_t get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t get_u32(const uint8_t *at)
{
    return get_u16(at) | (uint32_t)get_u16(at + 2) << 16;
}

static inline uint64_t get_u64(const uint8_t *at)
{
    return get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

#endif
