/*
 * recover_test.c - starting on a log that was cut, flipped or recycled.
 */
#include "wal_support.h"

#include "../../../src/wal/format.h"

#include <errno.h>
#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>

enum { FIRST = SEGMENT_HEADER_BYTES };

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

/* Three records of 100 bytes, one sync each, closed; the file's bytes. */
static void three_records(struct rig *rig, char path[64], uint8_t **data, size_t *len)
{
    rig_open(rig);
    for (uint64_t key = 1; key <= 3; key++) {
        (void)rig_put(rig, key, 100);
    }
    rig_close(rig);
    assert_true(rig_segment(rig, 0, path));
    assert_true(fs_mem_read(rig->mem, path, data, len));
}

static size_t record_offset(size_t n)
{
    return FIRST + n * (size_t)record_bytes(100);
}

static void a_tail_torn_at_any_byte_is_cut_and_the_rest_replays(void **state)
{
    struct rig *rig = *state;
    char path[64];
    uint8_t *data;
    size_t len;

    three_records(rig, path, &data, &len);
    for (size_t cut = record_offset(2); cut < record_offset(2) + 56 + 100; cut++) {
        bool nothing = true;
        uint8_t *torn = mem_alloc(len);
        memcpy(torn, data, len);
        memset(torn + cut, 0, len - cut);
        for (size_t i = record_offset(2); i < cut; i++) {
            nothing = nothing && torn[i] == 0;
        }
        if (memcmp(torn, data, len) == 0) {
            free(torn); /* the bytes cut were zero */
            continue;
        }
        fs_mem_write(rig->mem, path, torn, len);
        rig_open(rig);
        ASSERT_SEEN(rig, 1, 2);
        assert_int_equal(rig->report.quarantined, 0);
        assert_true(nothing == (rig->report.torn_bytes == 0));
        /* Once cut it stays cut, and the log goes on. */
        (void)rig_put(rig, 9, 50);
        rig_reopen(rig);
        ASSERT_SEEN(rig, 1, 2, 9);
        assert_int_equal(rig->report.torn_bytes, 0);
        for (size_t i = 0; i < rig->seen_count; i++) {
            rig_release(rig, rig->seen[i].lsn);
        }
        rig_close(rig);
        char other[64];
        while (rig_segment(rig, 1, other)) {
            const struct fs *fs = fs_mem_fs(rig->mem);
            assert_int_equal(fs->unlink(fs, other), 0);
        }
        if (rig_segment(rig, 0, other) && strcmp(other, path) != 0) {
            const struct fs *fs = fs_mem_fs(rig->mem);
            assert_int_equal(fs->unlink(fs, other), 0);
        }
        free(torn);
    }
    free(data);
}

static void a_file_cut_short_at_any_byte_loses_only_what_is_cut(void **state)
{
    struct rig *rig = *state;
    char path[64];
    uint8_t *data;
    size_t len;

    three_records(rig, path, &data, &len);
    for (size_t cut = 0; cut <= record_offset(3); cut++) {
        size_t whole = 0;
        while (whole < 3 && record_offset(whole + 1) <= cut) {
            whole++;
        }
        fs_mem_write(rig->mem, path, data, cut);
        rig_open(rig);
        assert_int_equal(rig->seen_count, whole);
        rig_close(rig);
    }
    free(data);
}

/* The middle record's header or payload. */
static void any_flipped_byte_loses_that_record_alone(void **state)
{
    struct rig *rig = *state;
    char path[64], copy[96];
    uint8_t *data;
    size_t len;

    three_records(rig, path, &data, &len);
    for (size_t at = record_offset(1); at < record_offset(1) + 56 + 100; at++) {
        uint64_t counted = metric_value(METRIC_WAL_QUARANTINED);
        uint8_t *kept = NULL;
        size_t kept_len = 0;
        fs_mem_write(rig->mem, path, data, len);
        rig_flip(rig, path, at, 0xff);
        rig_open(rig);
        ASSERT_SEEN(rig, 1, 3);
        assert_int_equal(rig->report.quarantined, 1);
        assert_int_equal(metric_value(METRIC_WAL_QUARANTINED), counted + 1);
        rig_close(rig);
        /* The damaged stretch is kept for a person to look at. */
        (void)snprintf(copy, sizeof(copy), RIG_DIR "/corrupt/0000000000000001-%08zx.bin",
                       record_offset(1));
        assert_true(fs_mem_read(rig->mem, copy, &kept, &kept_len));
        assert_int_equal(kept_len, record_bytes(100));
        data[at] ^= 0xff;
        assert_memory_equal(kept, data + record_offset(1), kept_len);
        data[at] ^= 0xff;
        free(kept);
    }
    free(data);
}

static void any_flipped_byte_of_the_last_record_is_noticed(void **state)
{
    struct rig *rig = *state;
    char path[64];
    uint8_t *data;
    size_t len;

    three_records(rig, path, &data, &len);
    for (size_t at = record_offset(2); at < record_offset(2) + 56 + 100; at++) {
        fs_mem_write(rig->mem, path, data, len);
        rig_flip(rig, path, at, 0x40);
        rig_open(rig);
        ASSERT_SEEN(rig, 1, 2);
        assert_true(rig->report.torn_bytes > 0);
        assert_true(wal_last(rig->wal) >= 2);
        rig_close(rig);
    }
    free(data);
}

static void a_damaged_segment_header_loses_no_record(void **state)
{
    struct rig *rig = *state;
    char path[64];
    uint8_t *data;
    size_t len;

    three_records(rig, path, &data, &len);
    for (size_t at = 0; at < SEGMENT_HEADER_BYTES; at++) {
        fs_mem_write(rig->mem, path, data, len);
        rig_flip(rig, path, at, 0x10);
        rig_open(rig);
        ASSERT_SEEN(rig, 1, 2, 3);
        assert_int_equal(rig->report.quarantined, 1);
        assert_true(wal_last(rig->wal) >= 3);
        rig_close(rig);
        assert_int_equal(rig_file_count(rig, RIG_DIR "/corrupt", "-00000000.bin"), 1);
    }
    free(data);
}

static void a_damaged_header_and_first_record_lose_that_record_alone(void **state)
{
    struct rig *rig = *state;
    char path[64];
    uint8_t *data;
    size_t len;

    three_records(rig, path, &data, &len);
    rig_flip(rig, path, 20, 0xff);
    rig_flip(rig, path, record_offset(0) + 3, 0xff);
    rig_open(rig);
    ASSERT_SEEN(rig, 2, 3);
    assert_int_equal(rig->report.quarantined, 2);
    assert_true(rig_put(rig, 4, 16) > 3);
    rig_release(rig, rig->seen[0].lsn);
    rig_release(rig, rig->seen[1].lsn);
    assert_int_equal(rig_file_count(rig, RIG_DIR, ".seg"), 1);
    free(data);
}

static void the_lsn_go_on_when_the_newest_header_is_lost_and_the_segment_empty(void **state)
{
    struct rig *rig = *state;
    struct error err = {0};
    char path[64];

    rig_open(rig);
    for (uint64_t key = 1; key <= 9; key++) {
        rig_release(rig, rig_put(rig, key, 3000));
    }
    fs_fault_plan(&rig->fault, FS_OP_PWRITEV, 2, 1, FS_FAULT_FAIL, EIO);
    (void)rig_try_append(rig, 10, 3000, &err);
    assert_false(wal_sync(rig->wal, &err));
    rig_reopen(rig);
    rig_release(rig, rig->seen[0].lsn);
    rig_close(rig);
    assert_true(rig_segment(rig, 0, path));
    assert_false(rig_segment(rig, 1, path));
    rig_flip(rig, path, 10, 1);
    rig_open(rig);
    assert_int_equal(rig->seen_count, 0);
    assert_int_equal(rig->report.quarantined, 1);
    assert_int_equal(rig_file_count(rig, RIG_DIR "/corrupt", ".seg"), 1);
    assert_true(rig_put(rig, 11, 16) > 10);
    rig_reopen(rig);
    ASSERT_SEEN(rig, 11);
}

static void damage_at_the_end_of_an_older_segment_is_noticed(void **state)
{
    struct rig *rig = *state;
    char path[64];

    /* Twice: in fresh files, and in recycled ones, which end in bytes of an earlier life. */
    for (int life = 0; life < 2; life++) {
        uint64_t last_of_first = 0;
        uint64_t kept_number = 0;
        rig_open(rig);
        for (size_t i = 0; i < rig->seen_count; i++) {
            rig_release(rig, rig->seen[i].lsn);
        }
        if (life == 1) {
            for (uint64_t key = 1; key <= 12; key++) {
                rig_release(rig, rig_put(rig, key, 1300));
            }
        }
        for (uint64_t key = 21; key <= 29; key++) {
            (void)rig_put(rig, key, 1000);
        }
        rig_reopen(rig);
        /* The second segment of the nine records, whichever it is: flip its last record's magic. */
        for (size_t i = 0; rig_segment(rig, i, path); i++) {
            uint8_t *data = NULL;
            size_t len = 0;
            struct record_header header;
            assert_true(fs_mem_read(rig->mem, path, &data, &len));
            memcpy(&header, data + SEGMENT_HEADER_BYTES + 2 * record_bytes(1000), sizeof(header));
            free(data);
            if (header.magic == RECORD_MAGIC && header.lsn > 3 && i == 1) {
                kept_number = header.segment;
                last_of_first = header.lsn;
                rig_flip(rig, path, SEGMENT_HEADER_BYTES + 2 * record_bytes(1000), 0xff);
            }
        }
        assert_true(kept_number != 0);
        rig_reopen(rig);
        assert_int_equal(rig->report.quarantined, 1);
        assert_int_equal(rig->report.torn_bytes, 0);
        for (size_t i = 0; i < rig->seen_count; i++) {
            assert_true(rig->seen[i].lsn != last_of_first);
            assert_true(rig->seen[i].key != 0);
        }
        for (size_t i = 0; i < rig->seen_count; i++) {
            rig_release(rig, rig->seen[i].lsn);
        }
        rig_close(rig);
    }
}

static void stale_records_of_a_recycled_segment_are_not_taken_for_live_ones(void **state)
{
    struct rig *rig = *state;

    rig_open(rig);
    for (uint64_t key = 1; key <= 200; key++) {
        /* Sizes so that old and new record boundaries meet in every way. */
        uint64_t lsn = rig_put(rig, key, 16 + key * 97 % 900);
        rig_release(rig, lsn);
        if (key % 7 == 0) {
            rig_reopen(rig);
            for (size_t i = 0; i < rig->seen_count; i++) {
                assert_int_equal(rig->seen[i].key, rig->seen[i].lsn);
                rig_release(rig, rig->seen[i].lsn);
            }
            assert_int_equal(rig->seen[rig->seen_count - 1].key, key);
            assert_int_equal(rig->report.torn_bytes, 0);
            assert_int_equal(rig->report.quarantined, 0);
        }
    }
}

static void a_recycled_segment_whose_header_was_not_yet_written_is_no_damage(void **state)
{
    struct rig *rig = *state;
    const struct fs *fs = fs_mem_fs(rig->mem);
    char path[64];

    rig_open(rig);
    (void)rig_put(rig, 1, 3000);
    (void)rig_put(rig, 2, 3000);
    rig_close(rig);
    /* As after a cut between the rename and the header: the file of number 1 under a later name. */
    assert_true(rig_segment(rig, 0, path));
    assert_int_equal(fs->rename(fs, path, RIG_DIR "/0000000000000009.seg"), 0);
    fs_mem_write(rig->mem, RIG_DIR "/000000000000000a.seg", "", 0);
    rig_open(rig);
    ASSERT_SEEN(rig, 2);
    assert_int_equal(rig->report.quarantined, 0);
    assert_int_equal(rig->report.torn_bytes, 0);
    (void)rig_put(rig, 3, 3000);
    rig_reopen(rig);
    ASSERT_SEEN(rig, 2, 3);
    assert_int_equal(wal_last(rig->wal), 3);
}

static void foreign_files_are_left_alone(void **state)
{
    struct rig *rig = *state;
    static const char *const names[] = {"README", "0000000000000001.bak", "1.seg",
                                        "fffffffffffffff0.seg", "0000000000000000.seg"};
    char path[64];

    rig_open(rig);
    (void)rig_put(rig, 1, 100);
    rig_close(rig);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)snprintf(path, sizeof(path), RIG_DIR "/%s", names[i]);
        fs_mem_write(rig->mem, path, "mine", 4);
    }
    rig_open(rig);
    ASSERT_SEEN(rig, 1);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        uint8_t *data = NULL;
        size_t len = 0;
        (void)snprintf(path, sizeof(path), RIG_DIR "/%s", names[i]);
        assert_true(fs_mem_read(rig->mem, path, &data, &len));
        free(data);
    }
}

static void reseal_segment(uint8_t *data)
{
    uint32_t crc = crc32c(0, data, SEGMENT_HEADER_BYTES - 4);

    memcpy(data + SEGMENT_HEADER_BYTES - 4, &crc, sizeof(crc));
}

static void reseal_record(uint8_t *data, size_t payload_len)
{
    uint32_t crc = crc32c(0, data, 48);
    uint32_t payload_crc = crc32c(crc, data + 56, payload_len);

    memcpy(data + 48, &crc, sizeof(crc));
    memcpy(data + 52, &payload_crc, sizeof(payload_crc));
}

static void a_later_version_is_refused_and_left_untouched(void **state)
{
    struct rig *rig = *state;
    char path[64];
    uint8_t *data, *after = NULL;
    size_t len, after_len = 0;
    struct error err = {0};

    three_records(rig, path, &data, &len);
    data[4] = 99;
    reseal_segment(data);
    fs_mem_write(rig->mem, path, data, len);
    assert_false(rig_try_open(rig, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "unsupported WAL version 99"));
    assert_non_null(strstr(err.message, path));
    assert_true(fs_mem_read(rig->mem, path, &after, &after_len));
    assert_int_equal(after_len, len);
    assert_memory_equal(after, data, len);
    free(after);

    data[4] = WAL_VERSION;
    reseal_segment(data);
    data[record_offset(1) + 4] = 99;
    reseal_record(data + record_offset(1), 100);
    fs_mem_write(rig->mem, path, data, len);
    assert_false(rig_try_open(rig, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "unsupported WAL version 99"));
    free(data);
}

static void an_unknown_tag_is_set_aside_and_the_rest_replays(void **state)
{
    struct rig *rig = *state;
    char path[64];
    uint8_t *data;
    size_t len;

    three_records(rig, path, &data, &len);
    data[record_offset(1) + 5] = 77;
    reseal_record(data + record_offset(1), 100);
    fs_mem_write(rig->mem, path, data, len);
    rig_open(rig);
    ASSERT_SEEN(rig, 1, 3);
    assert_int_equal(rig->report.quarantined, 1);
    free(data);
}

/* A payload that is itself a record of this segment, as far as a sender can know. */
static void a_record_forged_in_a_payload_is_not_found_in_damage(void **state)
{
    struct rig *rig = *state;
    uint8_t forged[512] = {0};
    struct wal_record inner = {.lsn = 2, .payload = BYTES("forged payload..")};
    struct wal_record outer = {.payload = {forged, sizeof(forged)}};
    struct record_header header;
    struct error err = {0};
    char path[64];

    for (size_t at = 0; at + 80 <= sizeof(forged); at += 8 * 10) {
        record_header_make(&header, &inner, 1, 0x1234);
        memcpy(forged + at, &header, sizeof(header));
        memcpy(forged + at + sizeof(header), inner.payload.data, inner.payload.len);
    }
    rig_open(rig);
    assert_true(wal_append(rig->wal, &outer, &err));
    rig_sync(rig);
    (void)rig_put(rig, 2, 100);
    rig_close(rig);
    assert_true(rig_segment(rig, 0, path));
    rig_flip(rig, path, FIRST, 0xff);
    rig_open(rig);
    ASSERT_SEEN(rig, 2);
    assert_int_equal(rig->report.quarantined, 1);
}

static bool stop_at_second(void *ctx, const struct wal_record *record, struct error *err)
{
    (void)ctx;
    return record->lsn != 2 || error_set(err, ERR_LIMIT, "enough");
}

static void replay_ends_with_the_error_of_the_callback(void **state)
{
    struct rig *rig = *state;
    char path[64];
    uint8_t *data;
    size_t len;
    struct wal *wal = NULL;
    struct wal_recovery report;
    struct error err = {0};

    three_records(rig, path, &data, &len);
    assert_true(wal_open(&wal, &rig->config, &rig->fault.fs, &rig->clock.clock, &err));
    assert_false(wal_replay(wal, stop_at_second, NULL, &report, &err));
    assert_string_equal(err.message, "enough");
    wal_close(wal);
    rig_open(rig);
    ASSERT_SEEN(rig, 1, 2, 3);
    free(data);
}

static bool release_at_once(void *ctx, const struct wal_record *record, struct error *err)
{
    (void)err;
    wal_release(*(struct wal **)ctx, &record->lsn, 1);
    return true;
}

static void records_may_be_released_while_they_are_replayed(void **state)
{
    struct rig *rig = *state;
    struct wal_recovery report;
    struct wal *wal = NULL;
    struct error err = {0};

    rig_open(rig);
    for (uint64_t key = 1; key <= 20; key++) {
        (void)rig_put(rig, key, 1000);
    }
    rig_close(rig);
    assert_true(wal_open(&wal, &rig->config, &rig->fault.fs, &rig->clock.clock, &err));
    assert_true(wal_replay(wal, release_at_once, &wal, &report, &err));
    assert_int_equal(report.records, 20);
    assert_int_equal(wal_oldest(wal), 21);
    assert_int_equal(rig_file_count(rig, RIG_DIR, ".seg"), 1);
    wal_close(wal);
}

static void many_damaged_stretches_do_not_fill_the_disk_with_copies(void **state)
{
    struct rig *rig = *state;
    char path[64];
    uint8_t *data = NULL;
    size_t len = 0;

    rig->config.segment_bytes = 65536;
    rig_open(rig);
    for (uint64_t key = 1; key <= 700; key++) {
        (void)rig_append(rig, key, 16);
    }
    rig_sync(rig);
    rig_close(rig);
    assert_true(rig_segment(rig, 0, path));
    assert_true(fs_mem_read(rig->mem, path, &data, &len));
    for (size_t i = 0; i < 700; i += 2) {
        data[FIRST + i * record_bytes(16) + 60] ^= 1;
    }
    fs_mem_write(rig->mem, path, data, len);
    rig_open(rig);
    assert_int_equal(rig->seen_count, 350);
    assert_int_equal(rig->report.quarantined, 350);
    assert_int_equal(rig_file_count(rig, RIG_DIR "/corrupt", ".bin"), 256);
    free(data);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(a_tail_torn_at_any_byte_is_cut_and_the_rest_replays),
        WITH_RIG(a_file_cut_short_at_any_byte_loses_only_what_is_cut),
        WITH_RIG(any_flipped_byte_loses_that_record_alone),
        WITH_RIG(any_flipped_byte_of_the_last_record_is_noticed),
        WITH_RIG(a_damaged_segment_header_loses_no_record),
        WITH_RIG(a_damaged_header_and_first_record_lose_that_record_alone),
        WITH_RIG(the_lsn_go_on_when_the_newest_header_is_lost_and_the_segment_empty),
        WITH_RIG(damage_at_the_end_of_an_older_segment_is_noticed),
        WITH_RIG(stale_records_of_a_recycled_segment_are_not_taken_for_live_ones),
        WITH_RIG(a_recycled_segment_whose_header_was_not_yet_written_is_no_damage),
        WITH_RIG(foreign_files_are_left_alone),
        WITH_RIG(a_later_version_is_refused_and_left_untouched),
        WITH_RIG(an_unknown_tag_is_set_aside_and_the_rest_replays),
        WITH_RIG(a_record_forged_in_a_payload_is_not_found_in_damage),
        WITH_RIG(replay_ends_with_the_error_of_the_callback),
        WITH_RIG(records_may_be_released_while_they_are_replayed),
        WITH_RIG(many_damaged_stretches_do_not_fill_the_disk_with_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
