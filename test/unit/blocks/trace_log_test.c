/*
 * trace_log_test.c - submit, write, read: what each reader sees and when, and what faults of the
 * disk do.
 */
#include "log_sample.h"

#include <errno.h>
#include <spangate/base/thread.h>
#include <unistd.h>

static void what_was_written_is_read_back_from_disk(void **state)
{
    (void)state;
    struct log_fixture f;
    struct block_info info;

    fixture_init(&f);
    fixture_open(&f);
    fixture_write_many(&f, 10);
    fixture_reopen(&f); /* nothing cached */
    assert_int_equal(f.found.blocks, 10);
    assert_int_equal(f.found.partitions, 1);
    assert_int_equal(f.found.quarantined, 0);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        assert_true(trace_log_next(f.log, seq, &info));
        assert_int_equal(info.seq, seq);
        assert_int_equal(info.trace_count, TRACES_PER_BLOCK);
        assert_int_equal(info.span_count, TRACES_PER_BLOCK * SPANS_PER_TRACE);
        assert_int_equal(info.sealed_ns, SAMPLE_START_NS);
        assert_int_equal(info.partition, SAMPLE_START_NS / HOUR_NS);
        assert_loads(&f, seq);
    }
    assert_false(trace_log_next(f.log, 11, &info));
    assert_int_equal(trace_log_bytes(f.log), f.found.bytes);
    fixture_deinit(&f);
}

static void tables_come_without_touching_the_raw_section(void **state)
{
    (void)state;
    struct log_fixture f;
    struct error err = {0};
    struct block *block = NULL;
    uint8_t *bytes = NULL;
    size_t len = 0;

    fixture_init(&f);
    fixture_open(&f);
    (void)fixture_write(&f);
    fixture_close(&f);
    /* Break the raw section: it is the last one before the directory of one entry. */
    assert_true(fs_mem_read(f.mem, "/data/blocks/2025-11-21T02/000001.blk", &bytes, &len));
    bytes[len - 112 - 128] ^= 1;
    fs_mem_write(f.mem, "/data/blocks/2025-11-21T02/000001.blk", bytes, len);
    free(bytes);

    fixture_open(&f);
    assert_true(trace_log_load(f.log, 1, BLOCK_TABLES, &block, &err));
    assert_int_equal(block->span_count, TRACES_PER_BLOCK * SPANS_PER_TRACE);
    assert_int_equal(block->raw.len, 0);
    block_unref(block);
    assert_false(trace_log_load(f.log, 1, BLOCK_ALL, &block, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    fixture_deinit(&f);
}

static bool collect(void *ctx, const struct block_info *info)
{
    uint64_t *seqs = ctx;

    seqs[++seqs[0]] = info->seq;
    return seqs[0] < 5;
}

static void blocks_are_walked_newest_first_until_told_to_stop(void **state)
{
    (void)state;
    struct log_fixture f;
    uint64_t seqs[8] = {0};

    fixture_init(&f);
    fixture_open(&f);
    fixture_write_many(&f, 4);
    fixture_pass(&f, HOUR_NS);
    fixture_write_many(&f, 4);
    trace_log_each(f.log, collect, seqs);
    assert_int_equal(seqs[0], 5);
    for (size_t i = 1; i <= 5; i++) {
        assert_int_equal(seqs[i], 9 - i);
    }
    fixture_deinit(&f);
}

static bool collect_pending(void *ctx, const struct block *block)
{
    uint64_t *seqs = ctx;

    seqs[++seqs[0]] = block->seq;
    return true;
}

static void a_submitted_block_is_pending_until_it_is_written(void **state)
{
    (void)state;
    struct log_fixture f;
    struct error err = {0};
    uint64_t seqs[8] = {0};

    fixture_init(&f);
    fixture_open(&f);
    struct block *first = fixture_block(&f, 1);
    struct block *second = fixture_block(&f, 2);
    trace_log_submit(f.log, first);
    trace_log_submit(f.log, second);
    trace_log_pending_each(f.log, collect_pending, seqs);
    assert_int_equal(seqs[0], 2);
    assert_int_equal(seqs[1], 2);
    assert_int_equal(seqs[2], 1);
    assert_not_found(&f, 1);
    assert_int_equal(trace_log_end(f.log), 1);

    assert_true(trace_log_write(f.log, first, &err));
    seqs[0] = 0;
    trace_log_pending_each(f.log, collect_pending, seqs);
    assert_int_equal(seqs[0], 1);
    assert_int_equal(seqs[1], 2);
    assert_loads(&f, 1);
    assert_int_equal(trace_log_end(f.log), 2);
    fixture_deinit(&f); /* the second is lost, and released */
}

static void partitions_follow_the_sealing_time_and_never_go_back(void **state)
{
    (void)state;
    struct log_fixture f;
    struct block_info info;
    char dir[4096];

    fixture_init(&f);
    fixture_open(&f);
    (void)fixture_write(&f);
    fixture_pass(&f, HOUR_NS);
    (void)fixture_write(&f);
    f.clock.wall_ns -= 5 * HOUR_NS;
    (void)fixture_write(&f);
    assert_true(trace_log_next(f.log, 2, &info));
    assert_int_equal(info.partition, SAMPLE_START_NS / HOUR_NS + 1);
    assert_true(trace_log_next(f.log, 3, &info));
    assert_int_equal(info.partition, SAMPLE_START_NS / HOUR_NS + 1);
    assert_int_equal(info.sealed_ns, SAMPLE_START_NS + HOUR_NS);
    trace_log_partition_dir(f.log, info.partition, dir);
    assert_string_equal(dir, "/data/blocks/2025-11-21T03");
    fixture_reopen(&f); /* the clock is still behind */
    assert_int_equal(fixture_write(&f), 4);
    assert_true(trace_log_next(f.log, 4, &info));
    assert_int_equal(info.partition, SAMPLE_START_NS / HOUR_NS + 1);
    fixture_deinit(&f);
}

static void a_large_log_is_cut_into_segment_files(void **state)
{
    (void)state;
    struct log_fixture f;
    char **names = NULL;
    size_t count = 0;

    fixture_init(&f);
    f.config.disk_bytes_max = 1; /* so segments have the least size, 1 MiB */
    fixture_open(&f);
    while (trace_log_bytes(f.log) < 5 << 19) {
        uint64_t seq = trace_log_end(f.log);
        struct block *block = sample_block(seq * 1000, 1000, 20, f.clock.wall_ns);
        struct error err = {0};
        trace_log_submit(f.log, block);
        assert_true(trace_log_write(f.log, block, &err));
    }
    assert_int_equal(f.fs->list(f.fs, "/data/blocks/2025-11-21T02", &names), 0);
    while (names[count] != NULL) {
        count++;
    }
    fs_free_names(names);
    assert_int_equal(count, 3);
    fixture_reopen(&f);
    for (uint64_t seq = 1; seq < trace_log_end(f.log); seq++) {
        struct error err = {0};
        struct block *block = NULL;
        assert_true(trace_log_load(f.log, seq, BLOCK_ALL, &block, &err));
        assert_block_has(block, seq * 1000 + 999, 20);
        block_unref(block);
    }
    fixture_deinit(&f);
}

/* Every operation that a write uses fails once, in turn and in each kind. */
static void a_failed_write_can_be_repeated_and_loses_nothing(void **state)
{
    (void)state;
    static const struct {
        enum fs_op op;
        enum fs_fault_kind kind;
    } plans[] = {{FS_OP_ANY, FS_FAULT_FAIL},
                 {FS_OP_PWRITEV, FS_FAULT_TORN},
                 {FS_OP_PWRITEV, FS_FAULT_SHORT}};

    for (size_t p = 0; p < COUNT_OF(plans); p++) {
        bool fired = true;
        for (uint64_t nth = 1; fired; nth++) {
            struct log_fixture f;
            fixture_init(&f);
            fixture_open(&f);
            fs_fault_plan(&f.fault, plans[p].op, nth, 1, plans[p].kind,
                          nth % 2 == 0 ? ENOSPC : EIO);
            for (uint64_t seq = 1; seq <= 4; seq++) {
                struct error err = {0};
                struct block *block = fixture_block(&f, seq);
                trace_log_submit(f.log, block);
                if (!trace_log_write(f.log, block, &err)) {
                    assert_int_equal(trace_log_end(f.log), seq);
                    assert_not_found(&f, seq);
                    assert_true(trace_log_write(f.log, block, &err));
                }
                assert_loads(&f, seq);
                if (seq == 2) {
                    fixture_pass(&f, HOUR_NS);
                }
            }
            fired = f.fault.fired > 0;
            fs_fault_clear(&f.fault);
            fixture_reopen(&f);
            assert_int_equal(count_blocks(&f), 4);
            for (uint64_t seq = 1; seq <= 4; seq++) {
                assert_loads(&f, seq);
            }
            assert_int_equal(fixture_write(&f), 5);
            fixture_deinit(&f);
        }
    }
}

static void a_full_disk_is_survived_and_writing_resumes(void **state)
{
    (void)state;
    struct log_fixture f;
    struct error err = {0};

    fixture_init(&f);
    fs_mem_set_space(f.mem, 8192);
    fixture_open(&f);
    uint64_t seq = 1;
    struct block *block = NULL;
    for (;; seq++) {
        block = fixture_block(&f, seq);
        trace_log_submit(f.log, block);
        if (!trace_log_write(f.log, block, &err)) {
            break;
        }
    }
    assert_int_equal(err.code, ERR_LIMIT);
    for (int i = 0; i < 5; i++) {
        assert_false(trace_log_write(f.log, block, &err));
    }
    for (uint64_t i = 1; i < seq; i++) {
        assert_loads(&f, i);
    }
    fs_mem_set_space(f.mem, 1 << 20);
    assert_true(trace_log_write(f.log, block, &err));
    fixture_write_many(&f, 3);
    fixture_reopen(&f);
    assert_int_equal(count_blocks(&f), seq + 3);
    fixture_deinit(&f);
}

static void a_read_error_is_no_damage(void **state)
{
    (void)state;
    struct log_fixture f;
    struct error err = {0};
    struct block *block = NULL;

    fixture_init(&f);
    fixture_open(&f);
    (void)fixture_write(&f);
    fixture_reopen(&f);
    fs_fault_plan(&f.fault, FS_OP_PREAD, 1, 1, FS_FAULT_FAIL, EIO);
    assert_false(trace_log_load(f.log, 1, BLOCK_ALL, &block, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_loads(&f, 1);
    fixture_deinit(&f);
}

static void the_cache_stays_within_its_limit_and_holds_the_newest(void **state)
{
    (void)state;
    struct log_fixture f;
    struct block *held = NULL;
    struct error err = {0};

    fixture_init(&f);
    f.config.cache_bytes_max = 96 * 1024;
    fixture_open(&f);
    fixture_write_many(&f, 200);
    assert_true(budget_used(&f.budget) <= f.config.cache_bytes_max);
    /* The newest is read without the disk. */
    fs_fault_plan(&f.fault, FS_OP_ANY, 1, UINT64_MAX, FS_FAULT_FAIL, EIO);
    assert_loads(&f, 200);
    fs_fault_clear(&f.fault);
    /* Searching through all tables leaves it there. */
    for (uint64_t seq = 1; seq < 200; seq++) {
        assert_true(trace_log_load(f.log, seq, BLOCK_TABLES, &held, &err));
        block_unref(held);
    }
    assert_true(budget_used(&f.budget) <= f.config.cache_bytes_max);
    fs_fault_plan(&f.fault, FS_OP_ANY, 1, UINT64_MAX, FS_FAULT_FAIL, EIO);
    assert_loads(&f, 200);
    fs_fault_clear(&f.fault);
    /* A block outlives its place in the cache while somebody holds it. */
    assert_true(trace_log_load(f.log, 1, BLOCK_ALL, &held, &err));
    fixture_write_many(&f, 50);
    assert_is_block(held, 1);
    block_unref(held);
    fixture_deinit(&f);
}

static void a_log_without_cache_works(void **state)
{
    (void)state;
    struct log_fixture f;

    fixture_init(&f);
    f.config.cache_bytes_max = 0;
    fixture_open(&f);
    fixture_write_many(&f, 3);
    assert_loads(&f, 2);
    assert_int_equal(budget_used(&f.budget), 0);
    fixture_deinit(&f);
}

static void lag_is_the_bytes_from_a_block_on(void **state)
{
    (void)state;
    struct log_fixture f;
    struct block_info info;
    uint64_t all = 0;

    fixture_init(&f);
    fixture_open(&f);
    for (int i = 0; i < 3; i++) {
        fixture_write_many(&f, 3);
        fixture_pass(&f, HOUR_NS);
    }
    assert_int_equal(trace_log_bytes_from(f.log, 10), 0);
    for (uint64_t seq = 9; seq > 0; seq--) {
        assert_true(trace_log_next(f.log, seq, &info));
        all += info.stored_bytes;
        assert_int_equal(trace_log_bytes_from(f.log, seq), all);
    }
    assert_int_equal(trace_log_bytes_from(f.log, 0), trace_log_bytes(f.log));
    fixture_deinit(&f);
}

static bool add_partition(void *ctx, const struct partition_info *info)
{
    struct partition_info *infos = ctx;

    infos[infos[3].block_count++] = *info;
    return true;
}

static void partitions_are_listed_with_their_sums(void **state)
{
    (void)state;
    struct log_fixture f;
    struct partition_info infos[4] = {0};

    fixture_init(&f);
    fixture_open(&f);
    fixture_write_many(&f, 3);
    fixture_pass(&f, 2 * HOUR_NS);
    fixture_write_many(&f, 2);
    trace_log_partitions(f.log, add_partition, infos);
    assert_int_equal(infos[3].block_count, 2);
    assert_int_equal(infos[0].first_seq, 1);
    assert_int_equal(infos[0].last_seq, 3);
    assert_int_equal(infos[1].first_seq, 4);
    assert_int_equal(infos[1].block_count, 2);
    assert_int_equal(infos[0].bytes + infos[1].bytes, trace_log_bytes(f.log));
    assert_int_equal(infos[1].partition, infos[0].partition + 2);
    fixture_deinit(&f);
}

struct waiter {
    struct trace_log *log;
    bool found;
};

static void wait_for_second(void *arg)
{
    struct waiter *w = arg;

    w->found = trace_log_wait(w->log, 2, UINT64_MAX);
}

static void a_waiting_reader_sees_the_next_block(void **state)
{
    (void)state;
    struct log_fixture f;
    struct thread thread = {0};

    fixture_init(&f);
    fixture_open(&f);
    (void)fixture_write(&f);
    assert_true(trace_log_wait(f.log, 1, 0));
    assert_false(trace_log_wait(f.log, 2, 0));
    assert_false(trace_log_wait(f.log, 2, NS_PER_MS));
    struct waiter w = {.log = f.log};
    thread_start(&thread, "waiter", wait_for_second, &w);
    (void)fixture_write(&f);
    thread_join(&thread);
    assert_true(w.found);
    fixture_deinit(&f);
}

static void wake_until_done(void *arg)
{
    struct waiter *w = arg;

    (void)trace_log_wait(w->log, 2, UINT64_MAX);
    w->found = true;
}

static void waiting_can_be_ended_early(void **state)
{
    (void)state;
    struct log_fixture f;
    struct thread thread = {0};
    struct block_info info;

    fixture_init(&f);
    fixture_open(&f);
    (void)fixture_write(&f);
    struct waiter w = {.log = f.log};
    thread_start(&thread, "waiter", wake_until_done, &w);
    /* The thread may not wait yet: only a wake after that counts, so give one until it has ended.
     * */
    while (pthread_tryjoin_np(thread.handle, NULL) != 0) {
        trace_log_wake(f.log);
    }
    assert_true(w.found);
    assert_false(trace_log_next(f.log, 2, &info));
    fixture_deinit(&f);
}

static void without_persistence_blocks_stay_until_everybody_has_them(void **state)
{
    (void)state;
    struct log_fixture f;
    struct error err = {0};
    bool full = false;

    fixture_init(&f);
    f.config.persist = false;
    f.config.cache_bytes_max = 64 * 1024;
    fixture_open(&f);
    trace_log_set_cursor(f.log, "slow", 1);
    trace_log_set_cursor(f.log, "fast", 1);
    while (trace_log_bytes(f.log) <= f.config.cache_bytes_max) {
        trace_log_set_cursor(f.log, "fast", fixture_write(&f) + 1);
    }
    assert_loads(&f, 1);
    assert_true(trace_log_retain(f.log, NULL, NULL, &full, &err));
    assert_true(full); /* the pipeline refuses new data now */
    trace_log_set_cursor(f.log, "slow", 3);
    assert_true(trace_log_retain(f.log, NULL, NULL, &full, &err));
    assert_false(full);
    assert_not_found(&f, 1);
    /* Delivered blocks stay for queries while there is room. */
    uint64_t last = trace_log_end(f.log) - 1;
    trace_log_set_cursor(f.log, "slow", last + 1);
    assert_loads(&f, last);
    assert_int_equal(f.fault.calls[FS_OP_OPEN], 0);
    fixture_write_many(&f, 100);
    trace_log_set_cursor(f.log, "slow", 200);
    trace_log_set_cursor(f.log, "fast", 200);
    assert_true(trace_log_bytes(f.log) <= f.config.cache_bytes_max);
    assert_true(count_blocks(&f) > 0);
    fixture_deinit(&f);
}

static void without_persistence_age_counts_too(void **state)
{
    (void)state;
    struct log_fixture f;
    struct error err = {0};
    bool full = false;

    fixture_init(&f);
    f.config.persist = false;
    f.config.retention_ns = 3 * HOUR_NS;
    fixture_open(&f);
    trace_log_set_cursor(f.log, "slow", 1);
    (void)fixture_write(&f);
    fixture_pass(&f, 2 * HOUR_NS);
    (void)fixture_write(&f);
    assert_true(trace_log_retain(f.log, NULL, NULL, &full, &err));
    assert_loads(&f, 1);
    fixture_pass(&f, 2 * HOUR_NS);
    assert_true(trace_log_retain(f.log, NULL, NULL, &full, &err));
    assert_not_found(&f, 1);
    assert_loads(&f, 2);
    fixture_deinit(&f);
}

static void real_files_hold_the_same(void **state)
{
    (void)state;
    char dir[] = "/tmp/spangate-trace-log-XXXXXX";
    char blocks[64];
    struct log_fixture f;
    struct error err = {0};
    bool full = false;

    assert_non_null(mkdtemp(dir));
    (void)snprintf(blocks, sizeof(blocks), "%s/deep/blocks", dir);
    fixture_init(&f);
    f.fs = &fs_posix;
    f.config.dir = blocks;
    f.config.partition_ns = NS_PER_S; /* names with seconds */
    fixture_open(&f);
    fixture_write_many(&f, 3);
    fixture_pass(&f, NS_PER_S);
    fixture_write_many(&f, 3);
    fixture_reopen(&f);
    assert_int_equal(f.found.partitions, 2);
    for (uint64_t seq = 1; seq <= 6; seq++) {
        assert_loads(&f, seq);
    }
    struct trace_log *second = NULL;
    struct trace_log_recovery found;
    assert_false(trace_log_open(&second, &f.config, f.fs, &f.clock.clock, &f.budget, &found, &err));
    assert_int_equal(err.code, ERR_IN_USE);
    fixture_close(&f);
    f.config.retention_ns = 1;
    fixture_open(&f);
    fixture_pass(&f, 10 * NS_PER_S);
    assert_true(trace_log_retain(f.log, NULL, NULL, &full, &err));
    assert_int_equal(trace_log_bytes(f.log), 0);
    fixture_deinit(&f);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/next-seq", blocks);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof(path), "%s/lock", blocks);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(blocks), 0); /* nothing else was left */
    (void)snprintf(path, sizeof(path), "%s/deep", dir);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_back_from_disk),
        cmocka_unit_test(tables_come_without_touching_the_raw_section),
        cmocka_unit_test(blocks_are_walked_newest_first_until_told_to_stop),
        cmocka_unit_test(a_submitted_block_is_pending_until_it_is_written),
        cmocka_unit_test(partitions_follow_the_sealing_time_and_never_go_back),
        cmocka_unit_test(a_large_log_is_cut_into_segment_files),
        cmocka_unit_test(a_failed_write_can_be_repeated_and_loses_nothing),
        cmocka_unit_test(a_full_disk_is_survived_and_writing_resumes),
        cmocka_unit_test(a_read_error_is_no_damage),
        cmocka_unit_test(the_cache_stays_within_its_limit_and_holds_the_newest),
        cmocka_unit_test(a_log_without_cache_works),
        cmocka_unit_test(lag_is_the_bytes_from_a_block_on),
        cmocka_unit_test(partitions_are_listed_with_their_sums),
        cmocka_unit_test(a_waiting_reader_sees_the_next_block),
        cmocka_unit_test(waiting_can_be_ended_early),
        cmocka_unit_test(without_persistence_blocks_stay_until_everybody_has_them),
        cmocka_unit_test(without_persistence_age_counts_too),
        cmocka_unit_test(real_files_hold_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
