/*
 * wal_test.c - appending, syncing, releasing, and the bounds.
 */
#include "wal_support.h"

#include <errno.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>
#include <unistd.h>

static int set_up(void **state)
{
    struct rig *rig = mem_zalloc(1, sizeof(*rig));

    rig_init(rig);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_deinit(*state);
    free(*state);
    return 0;
}

static void what_was_synced_comes_back_in_order(void **state)
{
    struct rig *rig = *state;

    rig_open(rig);
    assert_int_equal(rig->seen_count, 0);
    assert_int_equal(rig_append(rig, 11, 100), 1);
    assert_int_equal(rig_append(rig, 12, 16), 2);
    rig_sync(rig);
    assert_int_equal(rig_put(rig, 13, 777), 3);
    assert_int_equal(wal_last(rig->wal), 3);
    rig_reopen(rig);
    ASSERT_SEEN(rig, 11, 12, 13);
    assert_int_equal(rig->report.segments, 1);
    assert_int_equal(rig->report.records, 3);
    assert_int_equal(rig->report.bytes, 893);
    assert_int_equal(rig->report.torn_bytes, 0);
    assert_int_equal(rig->report.quarantined, 0);
    assert_int_equal(rig_put(rig, 14, 16), 4);
    rig_reopen(rig);
    ASSERT_SEEN(rig, 11, 12, 13, 14);
}

static void an_empty_payload_is_a_record(void **state)
{
    struct rig *rig = *state;
    struct wal_record record = {.signal = OTLP_LOGS, .received_ns = 5};
    struct error err = {0};

    rig_open(rig);
    assert_true(wal_append(rig->wal, &record, &err));
    rig_sync(rig);
    rig_reopen(rig);
    assert_int_equal(rig->seen_count, 1);
    assert_int_equal(rig->seen[0].len, 0);
    assert_int_equal(rig->seen[0].signal, OTLP_LOGS);
}

static void what_was_not_synced_is_lost_with_the_log(void **state)
{
    struct rig *rig = *state;

    rig_open(rig);
    (void)rig_put(rig, 1, 100);
    (void)rig_append(rig, 2, 100);
    assert_int_equal(wal_last(rig->wal), 1);
    rig_reopen(rig);
    ASSERT_SEEN(rig, 1);
}

static void records_of_every_size_survive(void **state)
{
    struct rig *rig = *state;
    static const size_t lens[] = {16,     17,     4000,    4040,    8192,   100000,
                                  131071, 131072, 1048576, 1500000, 300001, 24};

    rig->config.segment_bytes = 256 * 1024;
    rig_open(rig);
    for (size_t i = 0; i < COUNT_OF(lens); i++) {
        (void)rig_append(rig, i + 1, lens[i]);
        if (i % 3 == 2) {
            rig_sync(rig);
        }
    }
    rig_sync(rig);
    rig_reopen(rig);
    assert_int_equal(rig->seen_count, COUNT_OF(lens));
    for (size_t i = 0; i < COUNT_OF(lens); i++) {
        assert_int_equal(rig->seen[i].key, i + 1);
        assert_int_equal(rig->seen[i].len, lens[i]);
    }
}

static void a_record_longer_than_any_segment_is_too_large(void **state)
{
    struct rig *rig = *state;
    struct error err = {0};
    struct wal_record record = {.payload = {(const uint8_t *)"", 80 * 1024 * 1024 + 1}};

    rig_open(rig);
    assert_false(wal_append(rig->wal, &record, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_int_equal(rig_put(rig, 1, 16), 1);
}

static void one_sync_serves_many_appends(void **state)
{
    struct rig *rig = *state;
    uint64_t before;

    rig_open(rig);
    (void)rig_put(rig, 1, 16);
    before = rig->fault.calls[FS_OP_FDATASYNC];
    for (uint64_t key = 2; key < 20; key++) {
        (void)rig_append(rig, key, 64);
    }
    rig_sync(rig);
    rig_sync(rig); /* nothing waits: no call */
    assert_int_equal(rig->fault.calls[FS_OP_FDATASYNC], before + 1);
}

static void released_segments_are_recycled_and_two_spares_kept(void **state)
{
    struct rig *rig = *state;
    uint64_t lsns[60];

    rig_open(rig);
    for (size_t i = 0; i < COUNT_OF(lsns); i++) {
        lsns[i] = rig_put(rig, i + 1, 1000);
    }
    assert_true(rig_file_count(rig, RIG_DIR, ".seg") > 10);
    wal_release(rig->wal, lsns, COUNT_OF(lsns));
    assert_int_equal(rig_file_count(rig, RIG_DIR, ".seg"), 1);
    assert_int_equal(rig_file_count(rig, RIG_DIR, ".spare"), 2);
    assert_int_equal(wal_size(rig->wal), 0);
    assert_int_equal(wal_oldest(rig->wal), 61);

    for (uint64_t key = 100; key < 110; key++) {
        (void)rig_put(rig, key, 1000);
    }
    assert_int_equal(rig_file_count(rig, RIG_DIR, ".spare"), 0);
    rig_reopen(rig);
    for (size_t i = 0; i < rig->seen_count; i++) {
        /* The newest segment stayed, with released records in it; nothing older comes back. */
        assert_true(rig->seen[i].key > 56);
    }
    assert_int_equal(rig->seen[rig->seen_count - 1].key, 109);
}

static void order_of_release_does_not_matter_and_twice_does_no_harm(void **state)
{
    struct rig *rig = *state;
    uint64_t lsns[30];

    rig_open(rig);
    for (size_t i = 0; i < COUNT_OF(lsns); i++) {
        lsns[i] = rig_put(rig, i + 1, 1000);
    }
    for (size_t i = COUNT_OF(lsns); i > 1; i--) {
        uint64_t twice[] = {lsns[i - 1], lsns[i - 1], 999999};
        wal_release(rig->wal, twice, COUNT_OF(twice));
        assert_int_equal(wal_oldest(rig->wal), 1);
    }
    /* Out of order: only what holds the first record is left, and the newest. */
    assert_int_equal(rig_file_count(rig, RIG_DIR, ".seg"), 2);
    assert_int_equal(wal_size(rig->wal), 4096);
    rig_release(rig, 1);
    assert_int_equal(wal_oldest(rig->wal), 31);
    assert_int_equal(rig_file_count(rig, RIG_DIR, ".seg"), 1);
}

static void a_segment_with_one_needed_record_stays(void **state)
{
    struct rig *rig = *state;

    rig_open(rig);
    for (uint64_t key = 1; key <= 12; key++) {
        (void)rig_put(rig, key, 1000);
    }
    for (uint64_t lsn = 1; lsn <= 12; lsn++) {
        if (lsn != 2) {
            rig_release(rig, lsn);
        }
    }
    assert_int_equal(wal_oldest(rig->wal), 2);
    rig_reopen(rig);
    assert_int_equal(rig->seen[1].key, 2);
    /* Records of the same segment come back once more, those of others do not. */
    assert_int_equal(rig->seen[0].key, 1);
    assert_int_equal(rig->seen[2].key, 3);
    assert_true(rig->seen[3].key > 9);
}

static void lsn_are_not_reused_when_everything_was_released(void **state)
{
    struct rig *rig = *state;
    uint64_t last = 0;

    rig_open(rig);
    for (int round = 0; round < 5; round++) {
        for (uint64_t key = 1; key <= 9; key++) {
            uint64_t lsn = rig_put(rig, key, 1000);
            assert_true(lsn > last);
            last = lsn;
            rig_release(rig, lsn);
        }
        rig_reopen(rig);
        for (size_t i = 0; i < rig->seen_count; i++) {
            rig_release(rig, rig->seen[i].lsn);
        }
        assert_int_equal(wal_last(rig->wal), last);
    }
}

static void an_empty_newest_segment_keeps_the_next_lsn(void **state)
{
    struct rig *rig = *state;
    struct error err = {0};

    rig_open(rig);
    (void)rig_put(rig, 1, 3000);
    rig_release(rig, 1);
    fs_fault_plan(&rig->fault, FS_OP_PWRITEV, 2, 1, FS_FAULT_FAIL, EIO); /* header, then record */
    assert_int_equal(rig_try_append(rig, 2, 3000, &err), 2);
    assert_false(wal_sync(rig->wal, &err));
    /* The new header is not synced, so the old segment stays, for the next lsn. */
    rig_reopen(rig);
    ASSERT_SEEN(rig, 1);
    rig_release(rig, 1);
    assert_int_equal(rig_file_count(rig, RIG_DIR, ".seg"), 1);
    rig_reopen(rig);
    assert_int_equal(rig->seen_count, 0);
    assert_int_equal(rig_put(rig, 3, 16), 2);
}

static void at_the_limit_appends_are_refused_until_records_are_released(void **state)
{
    struct rig *rig = *state;
    struct error err = {0};
    uint64_t lsn = 0, last = 0;

    rig->config.total_bytes_max = 16 * 4096;
    rig_open(rig);
    while ((lsn = rig_try_append(rig, 1, 1500, &err)) != 0) {
        rig_sync(rig);
        last = lsn;
    }
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(last, 32);
    assert_int_equal(wal_size(rig->wal), 16 * 4096);
    assert_int_equal(rig_try_append(rig, 1, 1500, &err), 0);
    assert_int_equal(rig_append(rig, 2, 16), 33); /* what still fits is taken */
    rig_sync(rig);
    rig_release(rig, 1);
    rig_release(rig, 2);
    assert_int_equal(rig_put(rig, 3, 1500), 34);
    rig_reopen(rig);
    assert_int_equal(rig->seen_count, 32);
}

static void spares_give_way_to_a_large_record_at_the_limit(void **state)
{
    struct rig *rig = *state;

    rig->config.total_bytes_max = 5 * 4096;
    rig_open(rig);
    for (uint64_t key = 1; key <= 5; key++) {
        uint64_t lsn = rig_put(rig, key, 3000);
        rig_release(rig, lsn);
    }
    assert_int_equal(rig_file_count(rig, RIG_DIR, ".spare"), 1);
    (void)rig_put(rig, 6, 3000);
    (void)rig_put(rig, 7, 7000);
    rig_reopen(rig);
    assert_int_equal(rig->seen[rig->seen_count - 1].key, 7);
}

static void a_full_disk_means_limit_and_each_append_tries_again(void **state)
{
    struct rig *rig = *state;
    struct error err = {0};

    rig_open(rig);
    fs_mem_set_space(rig->mem, 3 * 4096);
    for (uint64_t key = 1; key <= 2; key++) {
        (void)rig_put(rig, key, 3000);
    }
    assert_int_equal(rig_try_append(rig, 3, 3000, &err), 0);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(err.sys_errno, ENOSPC);
    assert_int_equal(rig_put(rig, 4, 100), 3); /* fits into what is reserved */
    assert_int_equal(rig_try_append(rig, 5, 3000, &err), 0);
    fs_mem_set_space(rig->mem, 100 * 4096);
    (void)rig_put(rig, 6, 3000);
    rig_reopen(rig);
    ASSERT_SEEN(rig, 1, 2, 4, 6);
}

static void a_second_opener_is_kept_out(void **state)
{
    char dir[] = "/tmp/spangate-wal-XXXXXX";
    char path[128];
    struct wal_config config = {.durability = DURABILITY_SYNC, .segment_bytes = 65536};
    struct wal *first = NULL;
    struct wal *second = NULL;
    struct error err = {0};
    char *pid = mem_printf("process %ld", (long)getpid());
    (void)state;

    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/a/wal", dir);
    config.dir = path;
    assert_true(wal_open(&first, &config, &fs_posix, &clock_system, &err));
    assert_false(wal_open(&second, &config, &fs_posix, &clock_system, &err));
    assert_null(second);
    assert_int_equal(err.code, ERR_IN_USE);
    assert_non_null(strstr(err.message, pid));
    wal_close(first);
    err = (struct error){0};
    assert_true(wal_open(&second, &config, &fs_posix, &clock_system, &err));
    wal_close(second);
    free(pid);
    (void)snprintf(path, sizeof(path), "%s/a/wal/lock", dir);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof(path), "%s/a/wal", dir);
    assert_int_equal(rmdir(path), 0);
    (void)snprintf(path, sizeof(path), "%s/a", dir);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

static bool collect_last(void *ctx, const struct wal_record *record, struct error *err)
{
    (void)err;
    *(uint64_t *)ctx = payload_key(record->payload);
    return true;
}

static void it_works_on_the_real_file_system(void **state)
{
    char dir[] = "/tmp/spangate-wal-XXXXXX";
    struct wal_config config = {.durability = DURABILITY_SYNC, .segment_bytes = 65536};
    struct error err = {0};
    struct wal_recovery report;
    uint64_t last = 0;
    char **names = NULL;
    (void)state;

    assert_non_null(mkdtemp(dir));
    config.dir = dir;
    for (uint64_t round = 0; round < 3; round++) {
        struct wal *wal = NULL;
        assert_true(wal_open(&wal, &config, &fs_posix, &clock_system, &err));
        assert_true(wal_replay(wal, collect_last, &last, &report, &err));
        assert_int_equal(last, round * 100);
        assert_int_equal(report.torn_bytes + report.quarantined, 0);
        for (uint64_t i = 1; i <= 100; i++) {
            uint64_t key = round * 100 + i;
            uint8_t *data = payload_make(key, 100 * i + 16);
            struct wal_record record = {.payload = {data, 100 * i + 16}};
            assert_true(wal_append(wal, &record, &err));
            free(data);
            if (i % 10 == 0) {
                assert_true(wal_sync(wal, &err));
            }
            if (i > 20) {
                uint64_t lsn = record.lsn - 20;
                wal_release(wal, &lsn, 1);
            }
        }
        wal_close(wal);
    }
    assert_int_equal(fs_posix.list(&fs_posix, dir, &names), 0);
    for (size_t i = 0; names[i] != NULL; i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    fs_free_names(names);
    assert_int_equal(rmdir(dir), 0);
}

static void interval_acknowledges_after_the_write_and_syncs_when_due(void **state)
{
    struct rig *rig = *state;
    uint64_t before;

    rig->config.durability = DURABILITY_INTERVAL;
    rig->config.interval_ns = NS_PER_S;
    rig_open(rig);
    (void)rig_put(rig, 1, 100);
    (void)rig_put(rig, 2, 100);
    assert_int_equal(wal_last(rig->wal), 2);
    before = rig->fault.calls[FS_OP_FDATASYNC];
    (void)rig_put(rig, 3, 100);
    assert_int_equal(rig->fault.calls[FS_OP_FDATASYNC], before);
    rig->clock.monotonic += NS_PER_S;
    rig_sync(rig); /* nothing new: the regular call does the syncing */
    assert_int_equal(rig->fault.calls[FS_OP_FDATASYNC], before + 1);
    rig->clock.monotonic += NS_PER_S;
    rig_sync(rig);
    assert_int_equal(rig->fault.calls[FS_OP_FDATASYNC], before + 1);

    (void)rig_put(rig, 4, 100);
    fs_mem_kill(rig->mem); /* kill -9 loses nothing */
    rig_close(rig);
    fs_mem_restart(rig->mem);
    rig_open(rig);
    ASSERT_SEEN(rig, 1, 2, 3, 4);
}

static void interval_is_synced_at_a_regular_end(void **state)
{
    struct rig *rig = *state;

    rig->config.durability = DURABILITY_INTERVAL;
    rig->config.interval_ns = 1000 * NS_PER_S;
    rig_open(rig);
    (void)rig_put(rig, 1, 100);
    rig_close(rig);
    fs_mem_crash(rig->mem, 1);
    fs_mem_restart(rig->mem);
    rig_open(rig);
    ASSERT_SEEN(rig, 1);
}

static void memory_uses_no_files(void **state)
{
    struct rig *rig = *state;
    uint64_t calls = 0;

    rig->config.durability = DURABILITY_MEMORY;
    rig_open(rig);
    assert_int_equal(rig_put(rig, 1, 100), 1);
    assert_int_equal(rig_put(rig, 2, 100), 2);
    rig_release(rig, 1);
    assert_int_equal(wal_last(rig->wal), 2);
    assert_int_equal(wal_oldest(rig->wal), 3);
    assert_int_equal(wal_size(rig->wal), 0);
    rig_close(rig);
    for (size_t op = 0; op < FS_OPS; op++) {
        calls += rig->fault.calls[op];
    }
    assert_int_equal(calls, 0);
}

static void appends_and_syncs_are_counted(void **state)
{
    struct rig *rig = *state;
    uint64_t records = metric_value(METRIC_WAL_RECORDS);
    uint64_t bytes = metric_value(METRIC_WAL_BYTES);
    uint64_t syncs = metric_value(METRIC_WAL_SYNC_SECONDS);
    uint64_t failures = metric_value(METRIC_WAL_SYNC_FAILURES);
    struct error err = {0};

    rig_open(rig);
    (void)rig_append(rig, 1, 1000);
    (void)rig_append(rig, 2, 1000);
    rig_sync(rig);
    assert_int_equal(metric_value(METRIC_WAL_RECORDS), records + 2);
    assert_true(metric_value(METRIC_WAL_BYTES) > bytes + 2000);
    assert_int_equal(metric_value(METRIC_WAL_SYNC_SECONDS), syncs + 1);
    assert_int_equal(metric_value(METRIC_WAL_SIZE_BYTES), 4096);
    fs_fault_plan(&rig->fault, FS_OP_FDATASYNC, 1, 1, FS_FAULT_FAIL, EIO);
    (void)rig_append(rig, 3, 1000);
    assert_false(wal_sync(rig->wal, &err));
    assert_int_equal(metric_value(METRIC_WAL_SYNC_FAILURES), failures + 1);
    assert_int_equal(metric_value(METRIC_WAL_RECORDS), records + 2);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(what_was_synced_comes_back_in_order),
        WITH_RIG(an_empty_payload_is_a_record),
        WITH_RIG(what_was_not_synced_is_lost_with_the_log),
        WITH_RIG(records_of_every_size_survive),
        WITH_RIG(a_record_longer_than_any_segment_is_too_large),
        WITH_RIG(one_sync_serves_many_appends),
        WITH_RIG(released_segments_are_recycled_and_two_spares_kept),
        WITH_RIG(order_of_release_does_not_matter_and_twice_does_no_harm),
        WITH_RIG(a_segment_with_one_needed_record_stays),
        WITH_RIG(lsn_are_not_reused_when_everything_was_released),
        WITH_RIG(an_empty_newest_segment_keeps_the_next_lsn),
        WITH_RIG(at_the_limit_appends_are_refused_until_records_are_released),
        WITH_RIG(spares_give_way_to_a_large_record_at_the_limit),
        WITH_RIG(a_full_disk_means_limit_and_each_append_tries_again),
        cmocka_unit_test(a_second_opener_is_kept_out),
        cmocka_unit_test(it_works_on_the_real_file_system),
        WITH_RIG(interval_acknowledges_after_the_write_and_syncs_when_due),
        WITH_RIG(interval_is_synced_at_a_regular_end),
        WITH_RIG(memory_uses_no_files),
        WITH_RIG(appends_and_syncs_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
