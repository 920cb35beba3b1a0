/*
 * cursor_test.c - the file that says where a destination has come to.
 */
#include "unit.h"

#include "../../../src/sink/cursor.h"
#include "fs_fault.h"
#include "fs_mem.h"
#include <errno.h>

static const struct sink_cursor sample = {.seq = UINT64_MAX - 1, .trace = 4000000000U, .span = 7};

static void a_cursor_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct fs_mem *mem = fs_mem_new();
    const struct fs *fs = fs_mem_fs(mem);
    struct sink_cursor cursor;
    struct error err = {0};
    assert_false(sink_cursor_read(fs, "/c", &cursor, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(cursor_write(fs, "/d/c", &sample, &err) || fs->mkdir(fs, "/d", 0700) == 0);
    assert_true(cursor_write(fs, "/d/c", &sample, &err));
    assert_true(sink_cursor_read(fs, "/d/c", &cursor, &err));
    assert_int_equal(cursor_compare(&cursor, &sample), 0);
    fs_mem_crash(mem, 1);
    fs_mem_restart(mem);
    assert_true(sink_cursor_read(fs, "/d/c", &cursor, &err));
    assert_int_equal(cursor_compare(&cursor, &sample), 0);
    fs_mem_free(mem);
}

static void every_cut_and_every_changed_byte_is_noticed(void **state)
{
    (void)state;
    struct fs_mem *mem = fs_mem_new();
    const struct fs *fs = fs_mem_fs(mem);
    struct sink_cursor cursor = {0};
    struct error err = {0};
    uint8_t *good;
    size_t len;
    (void)fs->mkdir(fs, "/d", 0700);
    assert_true(cursor_write(fs, "/d/c", &sample, &err));
    assert_true(fs_mem_read(mem, "/d/c", &good, &len));
    for (size_t cut = 0; cut < len; cut++) {
        fs_mem_write(mem, "/d/c", good, cut);
        assert_false(sink_cursor_read(fs, "/d/c", &cursor, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
    for (size_t at = 0; at < len; at++) {
        for (int flip = 1; flip < 256; flip += 41) {
            uint8_t *bad = malloc(len);
            assert_non_null(bad);
            memcpy(bad, good, len);
            bad[at] ^= (uint8_t)flip;
            fs_mem_write(mem, "/d/c", bad, len);
            assert_false(sink_cursor_read(fs, "/d/c", &cursor, &err));
            assert_int_equal(err.code, ERR_CORRUPT);
            free(bad);
        }
    }
    uint8_t large[1000] = {0};
    fs_mem_write(mem, "/d/c", large, sizeof(large));
    assert_false(sink_cursor_read(fs, "/d/c", &cursor, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(cursor.seq, 0); /* nothing was given out */
    free(good);
    fs_mem_free(mem);
}

static void a_failed_write_leaves_the_cursor_before(void **state)
{
    (void)state;
    struct fs_mem *mem = fs_mem_new();
    struct fs_fault fault;
    struct sink_cursor old = {.seq = 1};
    bool failed = true;
    fs_fault_init(&fault, fs_mem_fs(mem));
    (void)fault.fs.mkdir(&fault.fs, "/d", 0700);
    for (uint64_t n = 1; failed; n++) {
        struct sink_cursor cursor;
        struct error err = {0};
        assert_true(cursor_write(&fault.fs, "/d/c", &old, &err));
        fs_fault_plan(&fault, FS_OP_ANY, n, 1, FS_FAULT_FAIL, EIO);
        bool ok = cursor_write(&fault.fs, "/d/c", &sample, &err);
        failed = fault.fired > 0;
        fs_fault_clear(&fault);
        assert_true(ok || failed);
        assert_true(sink_cursor_read(&fault.fs, "/d/c", &cursor, &err));
        assert_true(cursor.seq == old.seq || cursor.seq == sample.seq);
    }
    fs_fault_deinit(&fault);
    fs_mem_free(mem);
}

static void cursors_are_ordered_by_seq_then_trace_then_span(void **state)
{
    (void)state;
    static const struct sink_cursor ascending[] = {{0, 0, 0}, {0, 0, 1}, {0, 1, 0}, {0, 1, 9},
                                                   {1, 0, 0}, {1, 0, 2}, {2, 0, 0}};
    for (size_t i = 0; i < COUNT_OF(ascending); i++) {
        for (size_t j = 0; j < COUNT_OF(ascending); j++) {
            int order = cursor_compare(&ascending[i], &ascending[j]);
            assert_int_equal(order < 0, i < j);
            assert_int_equal(order == 0, i == j);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_is_read_as_it_was_written),
        cmocka_unit_test(every_cut_and_every_changed_byte_is_noticed),
        cmocka_unit_test(a_failed_write_leaves_the_cursor_before),
        cmocka_unit_test(cursors_are_ordered_by_seq_then_trace_then_span),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
