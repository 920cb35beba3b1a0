/*
 * reader_test.c - following the log: what a destination of accepted records sees.
 */
#include "wal_support.h"

#include "../../../src/wal/format.h"

#include <errno.h>
#include <pthread.h>
#include <spangate/base/mem.h>

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

/* The key of the next record at or behind *lsn; 0: none yet. */
static uint64_t next_key(struct wal_reader *reader, uint64_t *lsn)
{
    struct wal_record record;
    struct error err = {0};

    if (!wal_reader_next(reader, lsn, 0, &record, &err)) {
        fail_msg("%s", err.message);
    }
    if (record.lsn == 0) {
        return 0;
    }
    assert_int_equal(record.lsn, *lsn);
    assert_int_equal(record.route, payload_key(record.payload) * 3);
    return payload_key(record.payload);
}

static void records_are_seen_when_synced_and_not_before(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *reader;
    uint64_t lsn = 1;

    rig_open(rig);
    reader = wal_reader_open(rig->wal, 1);
    assert_int_equal(next_key(reader, &lsn), 0);
    (void)rig_append(rig, 1, 100);
    (void)rig_append(rig, 2, 100);
    assert_int_equal(next_key(reader, &lsn), 0);
    rig_sync(rig);
    assert_int_equal(next_key(reader, &lsn), 1);
    assert_int_equal(lsn, 1);
    lsn++;
    assert_int_equal(next_key(reader, &lsn), 2);
    lsn++;
    assert_int_equal(next_key(reader, &lsn), 0);
    (void)rig_put(rig, 3, 5000);
    assert_int_equal(next_key(reader, &lsn), 3);
    wal_reader_close(reader);
}

static void the_same_record_may_be_asked_for_again_and_older_ones_too(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *reader;
    uint64_t lsn;

    rig_open(rig);
    for (uint64_t key = 1; key <= 9; key++) {
        (void)rig_put(rig, key, 1000);
    }
    reader = wal_reader_open(rig->wal, 1);
    static const uint64_t order[] = {1, 1, 2, 5, 5, 4, 9, 9, 1, 3};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        lsn = order[i];
        assert_int_equal(next_key(reader, &lsn), order[i]);
    }
    wal_reader_close(reader);
}

/* Releases all at once: only the reader holds them. */
static bool release(void *ctx, const struct wal_record *record, struct error *err)
{
    (void)err;
    wal_release(ctx, &record->lsn, 1);
    return true;
}

static void a_reader_opened_before_replay_sees_what_replay_saw(void **state)
{
    struct rig *rig = *state;
    struct wal_recovery report;
    struct wal_reader *reader;
    struct error err = {0};
    uint64_t lsn = 4;

    rig_open(rig);
    for (uint64_t key = 1; key <= 9; key++) {
        (void)rig_put(rig, key, 1000);
    }
    rig_close(rig);
    assert_true(wal_open(&rig->wal, &rig->config, &rig->fault.fs, &rig->clock.clock, &err));
    reader = wal_reader_open(rig->wal, 4);
    assert_int_equal(next_key(reader, &lsn), 0);
    assert_true(wal_replay(rig->wal, release, rig->wal, &report, &err));
    for (uint64_t key = 4; key <= 9; key++) {
        assert_int_equal(next_key(reader, &lsn), key);
        lsn++;
    }
    wal_reader_close(reader);
}

static void segments_stay_until_the_slowest_reader_has_passed(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *slow, *fast;
    uint64_t lsn = 1;

    rig_open(rig);
    slow = wal_reader_open(rig->wal, 1);
    fast = wal_reader_open(rig->wal, 1);
    for (uint64_t key = 1; key <= 20; key++) {
        rig_release(rig, rig_put(rig, key, 1000));
    }
    assert_int_equal(wal_oldest(rig->wal), 1);
    wal_reader_release(fast, 21);
    assert_int_equal(wal_oldest(rig->wal), 1);
    assert_true(wal_size(rig->wal) >= 6 * 4096);
    wal_reader_release(slow, 11);
    wal_reader_release(slow, 5); /* never backwards */
    assert_int_equal(wal_oldest(rig->wal), 11);
    assert_int_equal(next_key(slow, &lsn), 11); /* what it released is not read again */
    wal_reader_release(slow, 21);
    wal_reader_close(slow);
    assert_int_equal(wal_oldest(rig->wal), 21);
    assert_int_equal(wal_size(rig->wal), 0);
    assert_int_equal(rig_file_count(rig, RIG_DIR, ".seg"), 1);
    wal_reader_close(fast);
}

static void what_a_closed_reader_has_not_released_is_there_in_the_next_life(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *reader;
    uint64_t lsn = 7;

    rig_open(rig);
    reader = wal_reader_open(rig->wal, 1);
    for (uint64_t key = 1; key <= 20; key++) {
        rig_release(rig, rig_put(rig, key, 1000));
    }
    wal_reader_release(reader, 7);
    wal_reader_close(reader); /* as at a stop: destinations first, then the log */
    rig_close(rig);

    struct error err = {0};
    struct wal_recovery report;
    assert_true(wal_open(&rig->wal, &rig->config, &rig->fault.fs, &rig->clock.clock, &err));
    reader = wal_reader_open(rig->wal, lsn);
    assert_true(wal_replay(rig->wal, release, rig->wal, &report, &err));
    for (uint64_t key = 7; key <= 20; key++, lsn++) {
        assert_int_equal(next_key(reader, &lsn), key);
    }
    wal_reader_close(reader);
}

static void a_reader_at_the_limit_blocks_appends_until_it_moves(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *reader;
    struct error err = {0};
    uint64_t lsn;

    rig->config.total_bytes_max = 8 * 4096;
    rig_open(rig);
    reader = wal_reader_open(rig->wal, 1);
    while ((lsn = rig_try_append(rig, 1, 1500, &err)) != 0) {
        rig_sync(rig);
        rig_release(rig, lsn);
    }
    assert_int_equal(err.code, ERR_LIMIT);
    wal_reader_release(reader, 3);
    assert_true(rig_try_append(rig, 2, 1500, &err) != 0);
    rig_sync(rig);
    wal_reader_close(reader);
}

static void a_reader_from_the_past_begins_at_the_oldest_there_is(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *reader;
    uint64_t lsn = 0;

    rig_open(rig);
    for (uint64_t key = 1; key <= 20; key++) {
        uint64_t put = rig_put(rig, key, 1000);
        if (put <= 12) {
            rig_release(rig, put);
        }
    }
    reader = wal_reader_open(rig->wal, 0);
    assert_int_equal(next_key(reader, &lsn), 13);
    assert_int_equal(lsn, 13);
    wal_reader_close(reader);
}

static void void_records_are_never_seen(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *reader;
    struct error err = {0};
    uint64_t lsn = 1;

    rig_open(rig);
    reader = wal_reader_open(rig->wal, 1);
    (void)rig_put(rig, 1, 100);
    (void)rig_append(rig, 2, 100);
    fs_fault_plan(&rig->fault, FS_OP_FDATASYNC, 1, 1, FS_FAULT_FAIL, EIO);
    assert_false(wal_sync(rig->wal, &err));
    (void)rig_put(rig, 3, 100);
    assert_int_equal(next_key(reader, &lsn), 1);
    lsn++;
    assert_int_equal(next_key(reader, &lsn), 3);
    assert_int_equal(lsn, 3);
    wal_reader_close(reader);
}

/* Damage at a whole record: payload or header, of record 3 of 6. */
static void a_damaged_record_is_named_and_stepped_over(void **state)
{
    struct rig *rig = *state;
    static const size_t places[] = {2, 30, 36, 60};
    char path[64];

    rig->config.segment_bytes = 65536;
    rig_open(rig);
    for (uint64_t key = 1; key <= 6; key++) {
        (void)rig_put(rig, key, 100);
    }
    assert_true(rig_segment(rig, 0, path));
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        struct wal_reader *reader = wal_reader_open(rig->wal, 1);
        struct wal_record record;
        struct error err = {0};
        uint64_t lsn = 1;
        size_t at = SEGMENT_HEADER_BYTES + 2 * record_bytes(100) + places[i];
        rig_flip(rig, path, at, 0xff);
        assert_int_equal(next_key(reader, &lsn), 1);
        lsn = 2;
        assert_int_equal(next_key(reader, &lsn), 2);
        lsn = 3;
        assert_false(wal_reader_next(reader, &lsn, 0, &record, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_int_equal(lsn, 3);
        lsn++;
        assert_int_equal(next_key(reader, &lsn), 4);
        lsn++;
        assert_int_equal(next_key(reader, &lsn), 5);
        wal_reader_close(reader);

        /* Who begins behind it never hears of it. */
        reader = wal_reader_open(rig->wal, 5);
        lsn = 5;
        assert_int_equal(next_key(reader, &lsn), 5);
        wal_reader_close(reader);
        rig_flip(rig, path, at, 0xff);
    }
}

static void damage_over_several_records_and_at_the_end_does_not_stop_a_reader(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *reader;
    uint64_t lsn = 1;
    uint64_t seen = 0;
    size_t corrupt = 0;
    char path[64];

    rig->config.segment_bytes = 65536;
    rig_open(rig);
    for (uint64_t key = 1; key <= 9; key++) {
        (void)rig_put(rig, key, 100);
    }
    assert_true(rig_segment(rig, 0, path));
    static const size_t bad[] = {1, 2, 3, 7, 8};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        rig_flip(rig, path, SEGMENT_HEADER_BYTES + bad[i] * record_bytes(100), 0xff);
    }
    reader = wal_reader_open(rig->wal, 1);
    while (lsn <= 9) {
        struct wal_record record;
        struct error err = {0};
        if (wal_reader_next(reader, &lsn, 0, &record, &err)) {
            assert_true(record.lsn != 0);
            seen = seen * 10 + record.lsn;
        } else {
            assert_int_equal(err.code, ERR_CORRUPT);
            corrupt++;
        }
        lsn++;
    }
    assert_int_equal(seen, 1567);
    assert_in_range(corrupt, 2, 5);
    (void)rig_put(rig, 10, 100);
    assert_int_equal(next_key(reader, &lsn), 10);
    wal_reader_close(reader);
}

static void a_disk_that_does_not_answer_is_asked_again(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *reader;
    struct wal_record record;
    struct error err = {0};
    uint64_t lsn = 1;

    rig_open(rig);
    (void)rig_put(rig, 1, 100);
    reader = wal_reader_open(rig->wal, 1);
    static const enum fs_op ops[] = {FS_OP_OPEN, FS_OP_PREAD};
    for (size_t i = 0; i < COUNT_OF(ops); i++) {
        fs_fault_plan(&rig->fault, ops[i], 1, 1, FS_FAULT_FAIL, EIO);
        assert_false(wal_reader_next(reader, &lsn, 0, &record, &err));
        assert_int_equal(err.code, ERR_UNAVAILABLE);
        assert_int_equal(lsn, 1);
    }
    assert_int_equal(next_key(reader, &lsn), 1);
    wal_reader_close(reader);
}

static void a_record_larger_than_the_read_buffer_is_read(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *reader;
    uint64_t lsn = 1;

    rig->config.segment_bytes = 65536;
    rig_open(rig);
    (void)rig_put(rig, 1, 100);
    (void)rig_put(rig, 2, 3000000);
    (void)rig_put(rig, 3, 100);
    (void)rig_put(rig, 4, 100);
    reader = wal_reader_open(rig->wal, 1);
    for (uint64_t key = 1; key <= 4; key++) {
        assert_int_equal(next_key(reader, &lsn), key);
        lsn++;
    }
    wal_reader_close(reader);
}

static void reads_are_large(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *reader;
    uint64_t lsn = 1;
    uint64_t before;

    rig->config.segment_bytes = 256 * 1024;
    rig_open(rig);
    for (uint64_t key = 1; key <= 1000; key++) {
        (void)rig_append(rig, key, 100);
    }
    rig_sync(rig);
    reader = wal_reader_open(rig->wal, 1);
    before = rig->fault.calls[FS_OP_PREAD];
    for (uint64_t key = 1; key <= 1000; key++) {
        assert_int_equal(next_key(reader, &lsn), key);
        lsn++;
    }
    assert_int_equal(rig->fault.calls[FS_OP_PREAD], before + 1);
    wal_reader_close(reader);
}

/* Records that a power cut took under DURABILITY_INTERVAL, but that a destination has already. */
static void lsn_that_a_reader_has_passed_are_not_given_out_again(void **state)
{
    struct rig *rig = *state;
    struct wal_recovery report;
    struct wal_reader *reader;
    struct error err = {0};
    uint64_t lsn = 8;

    rig->config.durability = DURABILITY_INTERVAL;
    rig->config.interval_ns = 1000 * NS_PER_S;
    assert_true(wal_open(&rig->wal, &rig->config, &rig->fault.fs, &rig->clock.clock, &err));
    reader = wal_reader_open(rig->wal, 8);
    assert_true(wal_replay(rig->wal, release, rig->wal, &report, &err));
    assert_int_equal(rig_put(rig, 1, 100), 8);
    assert_int_equal(next_key(reader, &lsn), 1);
    wal_reader_close(reader);
}

static void memory_keeps_records_only_for_open_readers(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *first, *second;
    uint64_t lsn = 1;

    rig->config.durability = DURABILITY_MEMORY;
    rig_open(rig);
    (void)rig_put(rig, 1, 100);
    assert_int_equal(wal_size(rig->wal), 0);
    first = wal_reader_open(rig->wal, 1);
    second = wal_reader_open(rig->wal, 1);
    for (uint64_t key = 2; key <= 200; key++) {
        (void)rig_append(rig, key, 100);
    }
    assert_int_equal(next_key(first, &lsn), 0); /* not before the sync */
    rig_sync(rig);
    for (uint64_t key = 2; key <= 200; key++) {
        assert_int_equal(next_key(first, &lsn), key);
        lsn++;
        wal_reader_release(first, lsn);
    }
    assert_int_equal(next_key(first, &lsn), 0);
    assert_int_equal(wal_oldest(rig->wal), 2);
    assert_true(wal_size(rig->wal) >= 199 * 100);
    lsn = 150;
    assert_int_equal(next_key(second, &lsn), 150);
    wal_reader_release(second, 150);
    assert_int_equal(wal_oldest(rig->wal), 150);
    wal_reader_close(second);
    assert_int_equal(wal_size(rig->wal), 0);
    (void)rig_put(rig, 300, 100);
    lsn = 201;
    assert_int_equal(next_key(first, &lsn), 300);
    wal_reader_close(first);
    assert_int_equal(wal_size(rig->wal), 0);
    assert_int_equal(rig_put(rig, 301, 100), 202);
}

static void memory_at_its_limit_refuses(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *reader;
    struct error err = {0};
    uint64_t lsn, last = 0;

    rig->config.durability = DURABILITY_MEMORY;
    rig->config.total_bytes_max = 100000;
    rig_open(rig);
    reader = wal_reader_open(rig->wal, 1);
    while ((lsn = rig_try_append(rig, 1, 1000, &err)) != 0) {
        last = lsn;
    }
    assert_int_equal(err.code, ERR_LIMIT);
    assert_in_range(last, 80, 100);
    rig_sync(rig);
    wal_reader_release(reader, 3);
    assert_int_equal(rig_append(rig, 2, 1000), last + 1);
    wal_reader_close(reader);
}

struct follower {
    struct wal_reader *reader;
    uint64_t last;
    uint64_t sum;
};

static void *follow(void *arg)
{
    struct follower *follower = arg;
    uint64_t lsn = 1;

    while (lsn <= follower->last) {
        struct wal_record record;
        struct error err = {0};
        if (!wal_reader_next(follower->reader, &lsn, NS_PER_S, &record, &err)) {
            break;
        }
        if (record.lsn == 0) {
            continue;
        }
        if (payload_key(record.payload) != record.lsn) {
            break;
        }
        follower->sum += record.lsn;
        lsn++;
        wal_reader_release(follower->reader, lsn);
    }
    return NULL;
}

static void *release_behind(void *arg)
{
    struct wal *wal = arg;
    uint64_t lsn = 1;

    while (lsn <= 600) {
        if (lsn <= wal_last(wal)) {
            wal_release(wal, &lsn, 1);
            lsn++;
        } else {
            (void)wal_size(wal);
            (void)wal_oldest(wal);
        }
    }
    return NULL;
}

static void threads_follow_and_release_while_it_is_written(void **state)
{
    struct rig *rig = *state;
    static const enum durability modes[] = {DURABILITY_SYNC, DURABILITY_MEMORY};

    for (size_t mode = 0; mode < COUNT_OF(modes); mode++) {
        pthread_t threads[3];
        struct follower followers[2] = {{.last = 600}, {.last = 600}};
        rig->config.durability = modes[mode];
        rig_open(rig);
        for (size_t i = 0; i < 2; i++) {
            followers[i].reader = wal_reader_open(rig->wal, 1);
            assert_int_equal(pthread_create(&threads[i], NULL, follow, &followers[i]), 0);
        }
        assert_int_equal(pthread_create(&threads[2], NULL, release_behind, rig->wal), 0);
        for (uint64_t key = 1; key <= 600; key++) {
            assert_int_equal(rig_append(rig, key, 16 + key % 700), key);
            if (key % 3 == 0) {
                rig_sync(rig);
            }
        }
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        }
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(followers[i].sum, 600 * 601 / 2);
            wal_reader_close(followers[i].reader);
        }
        assert_int_equal(wal_size(rig->wal), 0);
        rig_close(rig);
    }
}

static void *wait_long(void *arg)
{
    struct wal_record record;
    struct error err = {0};
    uint64_t lsn = 1;
    bool ok = wal_reader_next(arg, &lsn, UINT64_MAX, &record, &err);

    return ok && record.lsn == 0 ? arg : NULL;
}

static void a_wait_can_be_ended_early(void **state)
{
    struct rig *rig = *state;
    struct wal_reader *reader;
    pthread_t thread;
    void *result = NULL;

    rig_open(rig);
    reader = wal_reader_open(rig->wal, 1);
    assert_int_equal(pthread_create(&thread, NULL, wait_long, reader), 0);
    wal_reader_wake(reader); /* before or during the wait: both end it */
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, reader);
    wal_reader_close(reader);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(records_are_seen_when_synced_and_not_before),
        WITH_RIG(the_same_record_may_be_asked_for_again_and_older_ones_too),
        WITH_RIG(a_reader_opened_before_replay_sees_what_replay_saw),
        WITH_RIG(segments_stay_until_the_slowest_reader_has_passed),
        WITH_RIG(what_a_closed_reader_has_not_released_is_there_in_the_next_life),
        WITH_RIG(a_reader_at_the_limit_blocks_appends_until_it_moves),
        WITH_RIG(a_reader_from_the_past_begins_at_the_oldest_there_is),
        WITH_RIG(void_records_are_never_seen),
        WITH_RIG(a_damaged_record_is_named_and_stepped_over),
        WITH_RIG(damage_over_several_records_and_at_the_end_does_not_stop_a_reader),
        WITH_RIG(a_disk_that_does_not_answer_is_asked_again),
        WITH_RIG(a_record_larger_than_the_read_buffer_is_read),
        WITH_RIG(reads_are_large),
        WITH_RIG(lsn_that_a_reader_has_passed_are_not_given_out_again),
        WITH_RIG(memory_keeps_records_only_for_open_readers),
        WITH_RIG(memory_at_its_limit_refuses),
        WITH_RIG(threads_follow_and_release_while_it_is_written),
        WITH_RIG(a_wait_can_be_ended_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
