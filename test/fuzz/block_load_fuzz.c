/*
 * block_load_fuzz.c - any bytes as a segment file of the trace log: opening succeeds or says why,
 * every block is whole or reported, and the log goes on.
 *
 * The first byte chooses: odd, checksums are made right first, so that the checks behind them are
 * reached; otherwise the bytes stay as they are.
 */
#include "format.h"
#include "fs_mem.h"

#include <assert.h>
#include <spangate/base/hash.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/blocks/trace_log.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCK_TABLE_AT = 88, BLOCK_CRC_AT = 252, SECTION_BYTES = 24 };

static uint64_t fixed_wall_ns(const struct clock *clock)
{
    (void)clock;
    return UINT64_C(1763690400000000000);
}

static const struct clock fixed_clock = {.monotonic_ns = fixed_wall_ns, .wall_ns = fixed_wall_ns};

/* Right checksums for each header that stands where one may begin. */
static void forge(uint8_t *data, size_t size)
{
    for (size_t at = 0; at + BLOCK_HEADER_BYTES <= size; at += BLOCK_ALIGN) {
        uint8_t *header = data + at;
        size_t section = at + BLOCK_HEADER_BYTES;
        if (memcmp(header, BLOCK_MAGIC, BLOCK_MAGIC_BYTES) != 0) {
            continue;
        }
        for (size_t i = 0; i < BLOCK_SECTIONS; i++) {
            uint8_t *entry = header + BLOCK_TABLE_AT + i * SECTION_BYTES;
            uint64_t stored = get_u64(entry + 16);
            if (stored > size - section) {
                break;
            }
            put_u32(entry + 4, crc32c(0, data + section, stored));
            section += stored;
        }
        put_u32(header + BLOCK_CRC_AT, crc32c(0, header, BLOCK_CRC_AT));
    }
}

static void check_block(const struct block *block)
{
    uint32_t spans = 0;

    for (uint32_t t = 0; t < block->trace_count; t++) {
        const struct block_trace *trace = &block->traces[t];
        assert(trace->span_first == spans);
        spans += trace->span_count;
        assert(trace->root == UINT32_MAX ||
               (trace->root >= trace->span_first && trace->root < spans));
        for (uint32_t i = trace->span_first; i < spans; i++) {
            struct span span;
            block_span_read(block, trace, &block->spans[i], &span);
            assert(span.end_ns >= span.start_ns);
            (void)hash_bytes(span.raw.data, span.raw.len);
            (void)hash_bytes(span.name.data, span.name.len);
            const struct block_scope *scope = &block->scopes[block->spans[i].scope];
            const struct block_resource *resource = &block->resources[scope->resource];
            (void)hash_bytes(scope->envelope.data, scope->envelope.len);
            (void)hash_bytes(resource->envelope.data, resource->envelope.len);
            (void)hash_bytes(block->strings[resource->service].data,
                             block->strings[resource->service].len);
        }
    }
    assert(spans == block->span_count);
}

static void load_all(struct trace_log *log)
{
    struct block_info info = {0};

    for (uint64_t from = 0; trace_log_next(log, from, &info); from = info.seq + 1) {
        struct block *block = NULL;
        struct error err;
        assert(info.seq >= from);
        if (trace_log_load(log, info.seq, BLOCK_ALL, &block, &err)) {
            assert(block->seq == info.seq);
            check_block(block);
            block_unref(block);
        } else {
            assert(err.code == ERR_CORRUPT || err.code == ERR_NOT_FOUND ||
                   err.code == ERR_UNSUPPORTED);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char dir[] = "/blocks";
    struct trace_log_config config = {.dir = dir, .persist = true, .cache_bytes_max = 1 << 16};
    struct trace_log_recovery found;
    struct trace_log *log = NULL;
    struct budget budget;
    struct error err;

    if (size == 0) {
        return 0;
    }
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    budget_init(&budget, SIZE_MAX, NULL);
    struct fs_mem *mem = fs_mem_new();
    const struct fs *fs = fs_mem_fs(mem);
    uint8_t *copy = mem_alloc(size);
    memcpy(copy, data + 1, size - 1);
    if ((data[0] & 1) != 0) {
        forge(copy, size - 1);
    }
    (void)fs->mkdir(fs, "/blocks", 0700);
    (void)fs->mkdir(fs, "/blocks/2025-11-21T02", 0700);
    fs_mem_write(mem, "/blocks/2025-11-21T02/000001.blk", copy, size - 1);

    if (trace_log_open(&log, &config, fs, &fixed_clock, &budget, &found, &err)) {
        load_all(log);
        trace_log_close(log);
        /* What was reported is gone: the second time nothing is damaged but what loading finds. */
        assert(trace_log_open(&log, &config, fs, &fixed_clock, &budget, &found, &err));
        load_all(log);
        trace_log_close(log);
    } else {
        assert(err.code == ERR_UNSUPPORTED);
    }
    assert(budget_used(&budget) == 0);
    free(copy);
    fs_mem_free(mem);
    return 0;
}
