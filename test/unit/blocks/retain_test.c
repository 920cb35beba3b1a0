/*
 * retain_test.c - letting blocks go: by age, by size, and when every destination has them.
 */
#include "log_sample.h"

#include <errno.h>

struct drops {
    uint64_t count;
    uint64_t partitions[16];
    struct log_fixture *fixture;
};

static void note_drop(void *ctx, uint64_t partition)
{
    struct drops *drops = ctx;
    char dir[4096];
    char **names = NULL;

    drops->partitions[drops->count++] = partition;
    /* The index has its file there: the folder must still exist. */
    trace_log_partition_dir(drops->fixture->log, partition, dir);
    assert_int_equal(drops->fixture->fs->list(drops->fixture->fs, dir, &names), 0);
    fs_free_names(names);
}

static struct drops retain(struct log_fixture *f, bool expect_full)
{
    struct drops drops = {.fixture = f};
    struct error err = {0};
    bool full = !expect_full;

    if (!trace_log_retain(f->log, note_drop, &drops, &full, &err)) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(full, expect_full);
    return drops;
}

static bool exists(struct log_fixture *f, const char *path)
{
    uint64_t size = 0;

    return f->fs->size(f->fs, path, &size) == 0;
}

static void old_partitions_go_as_a_whole_delivered_or_not(void **state)
{
    (void)state;
    struct log_fixture f;

    fixture_init(&f);
    f.config.retention_ns = 3 * HOUR_NS;
    fixture_open(&f);
    trace_log_set_cursor(f.log, "slow", 1);
    for (int i = 0; i < 5; i++) {
        fixture_write_many(&f, 2);
        fixture_pass(&f, HOUR_NS);
    }
    struct drops drops = retain(&f, false);
    assert_int_equal(drops.count, 2);
    assert_int_equal(drops.partitions[0], SAMPLE_START_NS / HOUR_NS);
    assert_false(exists(&f, "/data/blocks/2025-11-21T02/000001.blk"));
    assert_true(exists(&f, "/data/blocks/2025-11-21T04/000001.blk"));
    assert_not_found(&f, 4);
    assert_loads(&f, 5);
    assert_int_equal(count_blocks(&f), 6);
    fixture_reopen(&f);
    assert_int_equal(count_blocks(&f), 6);
    assert_int_equal(f.found.partitions, 3);
    fixture_deinit(&f);
}

static void numbers_are_not_used_again_when_all_blocks_went(void **state)
{
    (void)state;
    struct log_fixture f;

    fixture_init(&f);
    f.config.retention_ns = HOUR_NS;
    fixture_open(&f);
    fixture_write_many(&f, 3);
    fixture_pass(&f, 10 * HOUR_NS);
    assert_int_equal(retain(&f, false).count, 1);
    assert_int_equal(count_blocks(&f), 0);
    assert_int_equal(trace_log_bytes(f.log), 0);
    assert_int_equal(trace_log_end(f.log), 4);
    assert_false(trace_log_wait(f.log, 1, 0));
    fixture_reopen(&f);
    assert_int_equal(fixture_write(&f), 4);
    assert_loads(&f, 4);
    fixture_deinit(&f);
}

static void what_a_reader_holds_outlives_its_partition(void **state)
{
    (void)state;
    struct log_fixture f;
    struct block *block = NULL;
    struct error err;

    fixture_init(&f);
    f.config.retention_ns = HOUR_NS;
    fixture_open(&f);
    (void)fixture_write(&f);
    assert_true(trace_log_load(f.log, 1, BLOCK_ALL, &block, &err));
    fixture_pass(&f, 10 * HOUR_NS);
    (void)retain(&f, false);
    assert_not_found(&f, 1); /* also not from the cache */
    assert_is_block(block, 1);
    block_unref(block);
    fixture_deinit(&f);
}

static void a_clock_that_jumps_before_the_first_housekeeping_drops_nothing(void **state)
{
    (void)state;
    struct log_fixture f;

    fixture_init(&f);
    f.config.retention_ns = 3 * HOUR_NS;
    fixture_open(&f);
    (void)fixture_write(&f);
    f.clock.wall_ns += 24 * HOUR_NS;
    assert_int_equal(retain(&f, false).count, 0);
    assert_loads(&f, 1);
    fixture_deinit(&f);
}

static void a_clock_that_jumps_drops_nothing(void **state)
{
    (void)state;
    struct log_fixture f;

    fixture_init(&f);
    f.config.retention_ns = 3 * HOUR_NS;
    fixture_open(&f);
    (void)fixture_write(&f);
    (void)retain(&f, false);
    f.clock.wall_ns += 24 * HOUR_NS; /* the monotonic clock stands still */
    assert_int_equal(retain(&f, false).count, 0);
    f.clock.wall_ns -= 24 * HOUR_NS;
    assert_int_equal(retain(&f, false).count, 0);
    assert_loads(&f, 1);
    fixture_pass(&f, 5 * HOUR_NS); /* real time counts */
    assert_int_equal(retain(&f, false).count, 1);
    fixture_deinit(&f);
}

static void the_disk_limit_takes_the_oldest_delivered_and_never_others(void **state)
{
    (void)state;
    struct log_fixture f;

    fixture_init(&f);
    fixture_open(&f);
    trace_log_set_cursor(f.log, "a", 1);
    trace_log_set_cursor(f.log, "b", 100);
    for (int i = 0; i < 4; i++) {
        fixture_write_many(&f, 2);
        fixture_pass(&f, HOUR_NS);
    }
    uint64_t all = trace_log_bytes(f.log);
    fixture_close(&f);
    f.config.disk_bytes_max = all / 2 + all / 8;
    fixture_open(&f);
    trace_log_set_cursor(f.log, "a", 1);
    trace_log_set_cursor(f.log, "b", 100);
    assert_int_equal(retain(&f, true).count, 0);
    assert_loads(&f, 1);
    trace_log_set_cursor(f.log, "a", 3);
    assert_int_equal(retain(&f, true).count, 1);
    assert_not_found(&f, 2);
    trace_log_set_cursor(f.log, "a", 4); /* half of the next */
    assert_int_equal(retain(&f, true).count, 0);
    trace_log_set_cursor(f.log, "a", 9);
    assert_int_equal(retain(&f, false).count, 1);
    assert_true(trace_log_bytes(f.log) <= f.config.disk_bytes_max);
    assert_loads(&f, 5);
    fixture_deinit(&f);
}

static void without_destinations_the_disk_limit_takes_what_is_oldest(void **state)
{
    (void)state;
    struct log_fixture f;

    fixture_init(&f);
    f.config.disk_bytes_max = 8000;
    fixture_open(&f);
    for (int i = 0; i < 30; i++) {
        fixture_write_many(&f, 2);
        fixture_pass(&f, HOUR_NS);
        (void)retain(&f, false);
        assert_true(trace_log_bytes(f.log) <= 8000);
    }
    assert_loads(&f, 60);
    fixture_deinit(&f);
}

static void one_partition_over_the_disk_limit_loses_its_oldest_files(void **state)
{
    (void)state;
    struct log_fixture f;

    fixture_init(&f);
    f.config.disk_bytes_max = 8000;
    fixture_open(&f);
    for (int i = 0; i < 10; i++) {
        fixture_write_many(&f, 2);
        fixture_reopen(&f); /* another file */
    }
    assert_true(trace_log_bytes(f.log) > 8000);
    assert_int_equal(retain(&f, false).count, 0);
    assert_true(trace_log_bytes(f.log) <= 8000);
    assert_not_found(&f, 1);
    assert_loads(&f, 20);
    size_t left = count_blocks(&f);
    fixture_reopen(&f);
    assert_int_equal(count_blocks(&f), left);
    assert_int_equal(fixture_write(&f), 21);
    fixture_deinit(&f);
}

static void for_destinations_only_nothing_delivered_stays(void **state)
{
    (void)state;
    struct log_fixture f;

    fixture_init(&f);
    f.config.keep_only_for_sinks = true;
    fixture_open(&f);
    fixture_write_many(&f, 3);
    (void)retain(&f, false);
    assert_int_equal(count_blocks(&f), 3); /* nobody was announced yet */
    trace_log_set_cursor(f.log, "a", 1);
    (void)retain(&f, false);
    assert_int_equal(count_blocks(&f), 3);
    trace_log_set_cursor(f.log, "a", 4);
    (void)retain(&f, false);
    assert_int_equal(count_blocks(&f), 0);
    assert_int_equal(fixture_write(&f), 4);
    assert_loads(&f, 4);
    fixture_pass(&f, HOUR_NS);
    assert_int_equal(fixture_write(&f), 5);
    trace_log_set_cursor(f.log, "a", 5);
    assert_int_equal(retain(&f, false).count, 1);
    assert_int_equal(count_blocks(&f), 1);
    assert_loads(&f, 5);
    fixture_deinit(&f);
}

/* Whatever fails in a turn: no block that had to stay is lost, and a later turn gets there. */
static void a_turn_that_fails_can_be_repeated(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct log_fixture f;
        struct error err;
        bool full = false;
        fixture_init(&f);
        f.config.retention_ns = 2 * HOUR_NS;
        fixture_open(&f);
        for (int i = 0; i < 4; i++) {
            fixture_write_many(&f, 2);
            fixture_pass(&f, HOUR_NS);
        }
        fs_fault_plan(&f.fault, FS_OP_ANY, nth, 1, FS_FAULT_FAIL, EIO);
        bool ok = trace_log_retain(f.log, NULL, NULL, &full, &err);
        uint64_t fired = f.fault.fired;
        fs_fault_clear(&f.fault);
        if (!ok) {
            assert_int_equal(err.code, ERR_UNAVAILABLE);
        }
        assert_loads(&f, 5);
        assert_loads(&f, 8);
        fixture_reopen(&f);
        assert_true(trace_log_retain(f.log, NULL, NULL, &full, &err));
        assert_int_equal(count_blocks(&f), 4);
        assert_int_equal(fixture_write(&f), 9);
        fixture_deinit(&f);
        if (fired == 0) {
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_partitions_go_as_a_whole_delivered_or_not),
        cmocka_unit_test(numbers_are_not_used_again_when_all_blocks_went),
        cmocka_unit_test(what_a_reader_holds_outlives_its_partition),
        cmocka_unit_test(a_clock_that_jumps_before_the_first_housekeeping_drops_nothing),
        cmocka_unit_test(a_clock_that_jumps_drops_nothing),
        cmocka_unit_test(the_disk_limit_takes_the_oldest_delivered_and_never_others),
        cmocka_unit_test(without_destinations_the_disk_limit_takes_what_is_oldest),
        cmocka_unit_test(one_partition_over_the_disk_limit_loses_its_oldest_files),
        cmocka_unit_test(for_destinations_only_nothing_delivered_stays),
        cmocka_unit_test(a_turn_that_fails_can_be_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
