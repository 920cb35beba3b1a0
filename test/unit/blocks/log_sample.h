/*
 * log_sample.h - a trace log in a simulated file system, with a clock that tests turn.
 */
#ifndef SPANGATE_TEST_LOG_SAMPLE_H
#define SPANGATE_TEST_LOG_SAMPLE_H

#include "block_sample.h"
#include "fs_fault.h"
#include "fs_mem.h"

#include <spangate/blocks/trace_log.h>
#include <spangate/codec/codec.h>

#define HOUR_NS (3600 * NS_PER_S)

struct test_clock {
    struct clock clock;
    uint64_t wall_ns, monotonic_ns;
};

static inline uint64_t test_clock_wall(const struct clock *clock)
{
    return ((const struct test_clock *)(const void *)clock)->wall_ns;
}

static inline uint64_t test_clock_monotonic(const struct clock *clock)
{
    return ((const struct test_clock *)(const void *)clock)->monotonic_ns;
}

enum { TRACES_PER_BLOCK = 4, SPANS_PER_TRACE = 3 };

struct log_fixture {
    struct fs_mem *mem;
    struct fs_fault fault;
    const struct fs *fs; /* mem behind fault */
    struct test_clock clock;
    struct budget budget;
    struct trace_log_config config;
    struct trace_log *log;
    struct trace_log_recovery found;
    uint64_t written; /* blocks so far: block seq holds traces seq * 100 … */
};

static char log_dir[] = "/data/blocks";

static inline void fixture_open(struct log_fixture *f)
{
    struct error err = {0};

    if (!trace_log_open(&f->log, &f->config, f->fs, &f->clock.clock, &f->budget, &f->found, &err)) {
        fail_msg("%s", err.message);
    }
}

static inline void fixture_init(struct log_fixture *f)
{
    *f = (struct log_fixture){
        .mem = fs_mem_new(),
        .clock =
            {
                .clock = {.monotonic_ns = test_clock_monotonic, .wall_ns = test_clock_wall},
                .wall_ns = SAMPLE_START_NS,
                .monotonic_ns = 1000 * NS_PER_S,
            },
        .config = {.dir = log_dir, .persist = true, .cache_bytes_max = 1 << 20},
    };
    fs_fault_init(&f->fault, fs_mem_fs(f->mem));
    f->fs = &f->fault.fs;
    budget_init(&f->budget, 1 << 30, NULL);
}

static inline void fixture_close(struct log_fixture *f)
{
    trace_log_close(f->log);
    f->log = NULL;
}

static inline void fixture_reopen(struct log_fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

static inline void fixture_deinit(struct log_fixture *f)
{
    fixture_close(f);
    assert_int_equal(budget_used(&f->budget), 0);
    assert_int_equal(fs_mem_open_count(f->mem), 0);
    assert_int_equal(f->fault.resyncs, 0);
    fs_fault_deinit(&f->fault);
    fs_mem_free(f->mem);
    codec_thread_exit();
}

static inline void fixture_pass(struct log_fixture *f, uint64_t ns)
{
    f->clock.wall_ns += ns;
    f->clock.monotonic_ns += ns;
}

/* A block that tells by its traces which seq it should have. */
static inline struct block *fixture_block(struct log_fixture *f, uint64_t seq)
{
    struct block_builder *builder = block_builder_new(&f->budget);
    uint64_t *lsns = NULL;
    size_t lsn_count = 0;

    for (uint64_t i = 0; i < TRACES_PER_BLOCK; i++) {
        struct arena arena;
        arena_init(&arena);
        struct finished_trace trace = sample_trace(&arena, seq * 100 + i, SPANS_PER_TRACE);
        block_builder_add(builder, &trace, NULL);
        arena_deinit(&arena);
    }
    struct block *block = block_builder_seal(builder, f->clock.wall_ns, &lsns, &lsn_count);
    free(lsns);
    block_builder_free(builder);
    return block;
}

static inline void assert_is_block(const struct block *block, uint64_t seq)
{
    assert_int_equal(block->seq, seq);
    assert_int_equal(block->trace_count, TRACES_PER_BLOCK);
    for (uint64_t i = 0; i < TRACES_PER_BLOCK; i++) {
        assert_block_has(block, seq * 100 + i, SPANS_PER_TRACE);
    }
}

/* Submit and write one block; it must get the next number of the log. */
static inline uint64_t fixture_write(struct log_fixture *f)
{
    struct error err = {0};
    uint64_t seq = trace_log_end(f->log);
    struct block *block = fixture_block(f, seq);

    trace_log_submit(f->log, block);
    assert_int_equal(block->seq, seq);
    if (!trace_log_write(f->log, block, &err)) {
        fail_msg("%s", err.message);
    }
    return seq;
}

static inline void fixture_write_many(struct log_fixture *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)fixture_write(f);
    }
}

static inline void assert_loads(struct log_fixture *f, uint64_t seq)
{
    struct error err = {0};
    struct block *block = NULL;

    if (!trace_log_load(f->log, seq, BLOCK_ALL, &block, &err)) {
        fail_msg("block %llu: %s", (unsigned long long)seq, err.message);
    }
    assert_is_block(block, seq);
    block_unref(block);
}

static inline void assert_not_found(struct log_fixture *f, uint64_t seq)
{
    struct error err = {0};
    struct block *block = NULL;

    assert_false(trace_log_load(f->log, seq, BLOCK_ALL, &block, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* All blocks in the log, walking upwards. */
static inline size_t count_blocks(struct log_fixture *f)
{
    struct block_info info = {0};
    size_t count = 0;

    for (uint64_t from = 0; trace_log_next(f->log, from, &info); from = info.seq + 1) {
        assert_true(info.seq >= from);
        count++;
    }
    return count;
}

#endif
