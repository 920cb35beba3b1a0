/*
 * recover_test.c - opening the trace log after crashes, power cuts and damage.
 */
#include "log.h"
#include "log_sample.h"

#include <errno.h>
#include <spangate/base/random.h>

static const char first_file[] = "/data/blocks/2025-11-21T02/000001.blk";
static const char second_file[] = "/data/blocks/2025-11-21T02/000002.blk";

static size_t names_in(struct log_fixture *f, const char *dir)
{
    char **names = NULL;
    size_t count = 0;

    if (f->fs->list(f->fs, dir, &names) != 0) {
        return 0;
    }
    while (names[count] != NULL) {
        count++;
    }
    fs_free_names(names);
    return count;
}

/* End the process without a word; what was written is there. */
static void kill_log(struct log_fixture *f)
{
    fs_mem_kill(f->mem);
    fixture_close(f);
    fs_mem_restart(f->mem);
}

static void numbers_continue_after_a_restart(void **state)
{
    (void)state;
    struct log_fixture f;

    fixture_init(&f);
    fixture_open(&f);
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(fixture_write(&f), 2 * i + 1);
        assert_int_equal(fixture_write(&f), 2 * i + 2);
        if (i % 2 == 0) {
            fixture_reopen(&f);
        } else {
            kill_log(&f);
            fixture_open(&f);
        }
    }
    assert_int_equal(count_blocks(&f), 10);
    assert_int_equal(f.found.quarantined, 0);
    fixture_deinit(&f);
}

static void a_file_without_directory_is_walked_once(void **state)
{
    (void)state;
    struct log_fixture f;
    struct entry_list list = {0};
    struct blockfile_report report;
    struct error err;

    fixture_init(&f);
    fixture_open(&f);
    fixture_write_many(&f, 5);
    kill_log(&f);
    assert_true(blockfile_list(f.fs, first_file, 1, &list, &report, NULL, NULL, &err));
    assert_false(report.has_directory);
    assert_int_equal(list.count, 5);
    fixture_open(&f);
    assert_int_equal(f.found.blocks, 5);
    list.count = 0;
    assert_true(blockfile_list(f.fs, first_file, 1, &list, &report, NULL, NULL, &err));
    assert_true(report.has_directory);
    assert_int_equal(list.count, 5);
    for (uint64_t seq = 1; seq <= 5; seq++) {
        assert_loads(&f, seq);
    }
    free(list.entries);
    fixture_deinit(&f);
}

/* Cut the file of a killed process at every length: the whole blocks are there, nothing else is. */
static void a_torn_tail_is_cut_at_every_length(void **state)
{
    (void)state;
    struct log_fixture f;
    struct entry_list list = {0};
    struct blockfile_report report;
    struct error err;
    uint8_t *bytes = NULL;
    size_t len = 0;

    fixture_init(&f);
    fixture_open(&f);
    fixture_write_many(&f, 3);
    kill_log(&f);
    assert_true(blockfile_list(f.fs, first_file, 1, &list, &report, NULL, NULL, &err));
    assert_true(fs_mem_read(f.mem, first_file, &bytes, &len));
    for (size_t cut = 0; cut < len; cut++) {
        size_t whole = 0;
        for (size_t i = 0; i < list.count; i++) {
            whole += list.entries[i].offset + list.entries[i].stored_bytes <= cut;
        }
        assert_int_equal(f.fs->mkdir(f.fs, "/data/blocks/2025-11-21T02", 0700), 0);
        fs_mem_write(f.mem, first_file, bytes, cut);
        fixture_open(&f);
        assert_int_equal(f.found.blocks, whole);
        assert_int_equal(count_blocks(&f), whole);
        for (uint64_t seq = 1; seq <= whole; seq++) {
            assert_loads(&f, seq);
        }
        uint64_t next = trace_log_end(f.log);
        assert_true(next > whole);
        assert_int_equal(fixture_write(&f), next);
        assert_loads(&f, next);
        fixture_reopen(&f);
        assert_int_equal(f.found.quarantined, 0);
        assert_int_equal(count_blocks(&f), whole + 1);
        fixture_close(&f);
        (void)f.fs->unlink(f.fs, first_file);
        (void)f.fs->unlink(f.fs, second_file);
    }
    free(bytes);
    free(list.entries);
    fixture_deinit(&f);
}

static bool load_if_good(struct log_fixture *f, uint64_t seq, struct error *err)
{
    struct block *block = NULL;

    if (!trace_log_load(f->log, seq, BLOCK_ALL, &block, err)) {
        return false;
    }
    assert_is_block(block, seq);
    block_unref(block);
    return true;
}

/* Flip every byte of a file with and without directory: a block is what it was, or it is reported.
 * */
static void flips(bool directory)
{
    struct log_fixture f;
    uint8_t *bytes = NULL;
    size_t len = 0;
    size_t lost = 0;

    fixture_init(&f);
    fixture_open(&f);
    fixture_write_many(&f, 3);
    if (directory) {
        fixture_close(&f);
    } else {
        kill_log(&f);
    }
    assert_true(fs_mem_read(f.mem, first_file, &bytes, &len));
    for (size_t at = 0; at < len; at++) {
        bytes[at] ^= 0x10;
        fs_mem_write(f.mem, first_file, bytes, len);
        bytes[at] ^= 0x10;
        fixture_open(&f);
        size_t good = 0;
        size_t reported = 0;
        for (uint64_t seq = 1; seq <= 3; seq++) {
            struct error err = {0};
            if (load_if_good(&f, seq, &err)) {
                good++;
            } else {
                reported += err.code == ERR_CORRUPT;
                /* Reported once; from then on it is gone. */
                assert_not_found(&f, seq);
            }
        }
        assert_true(good >= 2);
        assert_true(good + reported + f.found.quarantined >= 3);
        lost += 3 - good;
        /* The damaged block's number is not used again, and all goes on. */
        assert_true(trace_log_end(f.log) >= 4);
        uint64_t next = fixture_write(&f);
        fixture_reopen(&f);
        assert_int_equal(f.found.quarantined, 0);
        assert_loads(&f, next);
        fixture_close(&f);
        (void)f.fs->unlink(f.fs, first_file);
        (void)f.fs->unlink(f.fs, second_file);
    }
    assert_true(lost > 0);
    assert_true(names_in(&f, "/data/blocks/corrupt") > 0);
    free(bytes);
    fixture_deinit(&f);
}

static void a_flipped_byte_costs_at_most_its_block(void **state)
{
    (void)state;
    flips(false);
}

static void a_flipped_byte_in_a_finished_file_costs_at_most_its_block(void **state)
{
    (void)state;
    flips(true);
}

static void a_damaged_stretch_in_the_middle_is_stepped_over_and_kept(void **state)
{
    (void)state;
    struct log_fixture f;
    struct entry_list list = {0};
    struct blockfile_report report;
    struct error err;
    uint8_t *bytes = NULL;
    size_t len = 0;

    fixture_init(&f);
    fixture_open(&f);
    fixture_write_many(&f, 4);
    kill_log(&f);
    assert_true(blockfile_list(f.fs, first_file, 1, &list, &report, NULL, NULL, &err));
    assert_true(fs_mem_read(f.mem, first_file, &bytes, &len));
    memset(bytes + list.entries[1].offset, 0xa5, list.entries[1].stored_bytes);
    fs_mem_write(f.mem, first_file, bytes, len);
    fixture_open(&f);
    assert_int_equal(f.found.quarantined, 1);
    assert_int_equal(f.found.blocks, 3);
    assert_not_found(&f, 2);
    assert_loads(&f, 1);
    assert_loads(&f, 3);
    assert_loads(&f, 4);
    assert_int_equal(names_in(&f, "/data/blocks/corrupt"), 1);
    fixture_reopen(&f);
    assert_int_equal(f.found.quarantined, 0);
    assert_int_equal(f.found.blocks, 3);
    free(bytes);
    free(list.entries);
    fixture_deinit(&f);
}

/* Somebody sends a span that holds a block; the disk damages the real block around it. */
static void bytes_of_a_span_never_pass_for_a_block(void **state)
{
    (void)state;
    struct log_fixture f;
    struct entry_list list = {0};
    struct blockfile_report report;
    struct block_image image = {0};
    struct error err;
    uint8_t *bytes = NULL;
    size_t len = 0;

    fixture_init(&f);
    fixture_open(&f);
    fixture_write_many(&f, 3);
    kill_log(&f);
    assert_true(blockfile_list(f.fs, first_file, 1, &list, &report, NULL, NULL, &err));
    assert_true(fs_mem_read(f.mem, first_file, &bytes, &len));
    struct block *block = sample_block(0, 0, 0, 1);
    block->seq = 1000000;
    block_encode(block, 1, 42, &image);
    memset(bytes + list.entries[1].offset, 0xa5, 64);
    memcpy(bytes + list.entries[1].offset + 64, image.data, image.len);
    memcpy(bytes + list.entries[1].offset + 384, "SGBLDIR\n", 8);
    fs_mem_write(f.mem, first_file, bytes, len);
    fixture_open(&f);
    assert_int_equal(f.found.blocks, 2);
    assert_loads(&f, 1);
    assert_loads(&f, 3);
    assert_true(trace_log_end(f.log) < 10);
    block_unref(block);
    free(image.data);
    free(bytes);
    free(list.entries);
    fixture_deinit(&f);
}

static void a_newer_format_is_not_opened(void **state)
{
    (void)state;
    struct log_fixture f;
    struct error err = {0};
    uint8_t *bytes = NULL;
    size_t len = 0;

    fixture_init(&f);
    fixture_open(&f);
    (void)fixture_write(&f);
    kill_log(&f);
    assert_true(fs_mem_read(f.mem, first_file, &bytes, &len));
    put_u16(bytes + 8, 2);
    put_u32(bytes + 252, crc32c(0, bytes, 252));
    fs_mem_write(f.mem, first_file, bytes, len);
    assert_false(
        trace_log_open(&f.log, &f.config, f.fs, &f.clock.clock, &f.budget, &f.found, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    f.log = NULL;
    free(bytes);
    fixture_deinit(&f);
}

static void foreign_names_in_the_folders_are_left_alone(void **state)
{
    (void)state;
    struct log_fixture f;

    fixture_init(&f);
    fixture_open(&f);
    (void)fixture_write(&f);
    fixture_close(&f);
    fs_mem_write(f.mem, "/data/blocks/2025-11-21T02/notes.txt", "x", 1);
    fs_mem_write(f.mem, "/data/blocks/2025-11-21T02/0001.blk", "x", 1);
    fs_mem_write(f.mem, "/data/blocks/next-seq", "not a number", 12);
    assert_int_equal(f.fs->mkdir(f.fs, "/data/blocks/2025-13-40T99", 0700), 0);
    assert_int_equal(f.fs->mkdir(f.fs, "/data/blocks/lost+found", 0700), 0);
    fixture_open(&f);
    assert_int_equal(f.found.blocks, 1);
    assert_int_equal(f.found.quarantined, 0);
    assert_int_equal(fixture_write(&f), 2);
    fixture_deinit(&f);
}

static void an_empty_partition_left_by_a_crash_is_removed(void **state)
{
    (void)state;
    struct log_fixture f;

    fixture_init(&f);
    fixture_open(&f);
    (void)fixture_write(&f);
    fixture_close(&f);
    assert_int_equal(f.fs->mkdir(f.fs, "/data/blocks/2025-11-21T05", 0700), 0);
    fs_mem_write(f.mem, "/data/blocks/2025-11-21T05/000001.blk", "", 0);
    size_t before = names_in(&f, "/data/blocks");
    fixture_open(&f);
    assert_int_equal(names_in(&f, "/data/blocks"), before - 1);
    fixture_deinit(&f);
}

/* Going on without its blocks would let destinations pass by them. */
static void a_disk_that_does_not_answer_keeps_the_log_closed_and_costs_nothing(void **state)
{
    (void)state;
    struct log_fixture f;
    struct error err = {0};

    fixture_init(&f);
    fixture_open(&f);
    (void)fixture_write(&f);
    fixture_reopen(&f);
    (void)fixture_write(&f);
    fixture_close(&f);
    fs_fault_plan(&f.fault, FS_OP_OPEN, 2, 1, FS_FAULT_FAIL, EIO); /* the first is the lock */
    assert_false(
        trace_log_open(&f.log, &f.config, f.fs, &f.clock.clock, &f.budget, &f.found, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    fs_fault_clear(&f.fault);
    fixture_open(&f);
    assert_loads(&f, 1);
    assert_loads(&f, 2);
    assert_int_equal(trace_log_end(f.log), 3);
    fixture_deinit(&f);
}

struct death {
    struct fs_mem *mem;
    enum fs_op op;
    unsigned nth;
};

static void die_within(void *ctx, enum fs_op op)
{
    struct death *death = ctx;

    if (op == death->op && --death->nth == 0) {
        fs_mem_kill(death->mem);
    }
}

/* Written, and killed before the file or its name was synced; then the power goes. */
static void what_a_killed_process_left_is_durable_once_it_was_found(void **state)
{
    (void)state;
    static const struct death deaths[] = {{NULL, FS_OP_FDATASYNC, 1}, {NULL, FS_OP_SYNC_DIR, 2}};

    for (size_t i = 0; i < COUNT_OF(deaths); i++) {
        struct log_fixture f;
        struct error err = {0};
        fixture_init(&f);
        fixture_open(&f);
        struct death death = {f.mem, deaths[i].op, deaths[i].nth};
        struct block *block = fixture_block(&f, 1);
        trace_log_submit(f.log, block);
        f.fault.hook = die_within;
        f.fault.hook_ctx = &death;
        assert_false(trace_log_write(f.log, block, &err));
        f.fault.hook = NULL;
        fixture_close(&f);
        fs_mem_restart(f.mem);

        fixture_open(&f);
        assert_int_equal(count_blocks(&f), 1);
        fs_mem_crash(f.mem, i);
        fixture_close(&f);
        fs_mem_restart(f.mem);
        fixture_open(&f);
        assert_int_equal(count_blocks(&f), 1);
        fixture_deinit(&f);
    }
}

/* Whatever operation fails while opening: either it opens, or it says why and leaves all in place.
 * */
static void every_fault_while_opening_is_survived(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct log_fixture f;
        struct error err = {0};
        fixture_init(&f);
        fixture_open(&f);
        fixture_write_many(&f, 3);
        fixture_pass(&f, HOUR_NS);
        fixture_write_many(&f, 3);
        kill_log(&f);
        fs_fault_plan(&f.fault, FS_OP_ANY, nth, 1, FS_FAULT_FAIL, EIO);
        bool opened =
            trace_log_open(&f.log, &f.config, f.fs, &f.clock.clock, &f.budget, &f.found, &err);
        uint64_t fired = f.fault.fired;
        fs_fault_clear(&f.fault);
        if (!opened) {
            f.log = NULL;
            assert_int_equal(err.code, ERR_UNAVAILABLE);
        } else {
            fixture_close(&f);
        }
        fixture_open(&f);
        assert_int_equal(count_blocks(&f), 6);
        for (uint64_t seq = 1; seq <= 6; seq++) {
            assert_loads(&f, seq);
        }
        fixture_deinit(&f);
        if (fired == 0) {
            break;
        }
    }
}

static bool count_downwards(void *ctx, const struct block_info *info)
{
    uint64_t *last = ctx;

    assert_int_equal(info->seq, *last - 1);
    *last = info->seq;
    return true;
}

/* Many lists of blocks do not stay in memory; they are read again when asked for. */
static void lists_of_old_partitions_are_read_again(void **state)
{
    (void)state;
    struct log_fixture f;
    struct block_info info;

    fixture_init(&f);
    f.config.cache_bytes_max = 0;
    fixture_open(&f);
    for (int i = 0; i < 20; i++) {
        fixture_write_many(&f, 3);
        fixture_pass(&f, HOUR_NS);
    }
    fixture_reopen(&f);
    uint64_t bytes = trace_log_bytes(f.log);
    log_lock(f.log);
    f.log->entries_loaded_max = 6;
    log_unload_some(f.log, NULL);
    assert_false(f.log->shared.partitions[0].loaded);
    assert_true(f.log->shared.partitions[19].loaded);
    log_unlock(f.log);

    assert_int_equal(count_blocks(&f), 60);
    for (uint64_t seq = 60; seq > 0; seq--) {
        assert_loads(&f, seq);
        assert_true(trace_log_next(f.log, seq, &info));
        assert_int_equal(info.seq, seq);
    }
    trace_log_each(f.log, count_downwards, &(uint64_t){61});
    assert_int_equal(trace_log_bytes(f.log), bytes);
    assert_false(f.log->shared.partitions[10].loaded);
    /* The estimate for a list that is not in memory lies between its neighbours. */
    assert_true(trace_log_bytes_from(f.log, 32) <= trace_log_bytes_from(f.log, 31));
    assert_true(trace_log_bytes_from(f.log, 32) >= trace_log_bytes_from(f.log, 34));
    /* A partition that cannot be read is passed over. */
    log_lock(f.log);
    partition_unload(&f.log->shared.partitions[0]);
    log_unlock(f.log);
    fs_fault_plan(&f.fault, FS_OP_OPEN, 1, 1, FS_FAULT_FAIL, EIO);
    assert_true(trace_log_next(f.log, 1, &info));
    assert_int_equal(info.seq, 4);
    fixture_deinit(&f);
}

/* Power cuts at random moments: a block whose write had returned is there afterwards. */
static void a_power_cut_loses_no_written_block(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct log_fixture f;
        uint64_t random = seed;
        uint64_t stored[64] = {0};
        size_t count = 0;

        fixture_init(&f);
        for (int life = 0; life < 4; life++) {
            fixture_open(&f);
            for (size_t i = 0; i < count; i++) {
                assert_loads(&f, stored[i]);
            }
            uint64_t end = trace_log_end(f.log);
            assert_true(count == 0 || end > stored[count - 1]);
            size_t writes = random_next(&random) % 6;
            enum fs_op op = random_next(&random) % 2 == 0 ? FS_OP_FDATASYNC : FS_OP_ANY;
            fs_fault_plan(&f.fault, op, 1 + random_next(&random) % 12, 1 + random_next(&random) % 4,
                          random_next(&random) % 2 == 0 ? FS_FAULT_FAIL : FS_FAULT_TORN, EIO);
            for (size_t i = 0; i < writes; i++) {
                uint64_t seq = trace_log_end(f.log);
                struct block *block = fixture_block(&f, seq);
                struct error err;
                trace_log_submit(f.log, block);
                bool ok = false;
                for (int tries = 0; tries < 3 && !ok; tries++) {
                    ok = trace_log_write(f.log, block, &err);
                }
                if (!ok) {
                    break;
                }
                stored[count++] = seq;
                fixture_pass(&f, random_next(&random) % HOUR_NS);
            }
            fs_fault_clear(&f.fault);
            fs_mem_crash(f.mem, random_next(&random));
            fixture_close(&f);
            fs_mem_restart(f.mem);
            /* The kernel hands out the numbers of descriptors anew. */
            f.fault.failed_sync_count = 0;
        }
        fixture_open(&f);
        for (size_t i = 0; i < count; i++) {
            assert_loads(&f, stored[i]);
        }
        fixture_deinit(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_continue_after_a_restart),
        cmocka_unit_test(a_file_without_directory_is_walked_once),
        cmocka_unit_test(a_torn_tail_is_cut_at_every_length),
        cmocka_unit_test(a_flipped_byte_costs_at_most_its_block),
        cmocka_unit_test(a_flipped_byte_in_a_finished_file_costs_at_most_its_block),
        cmocka_unit_test(a_damaged_stretch_in_the_middle_is_stepped_over_and_kept),
        cmocka_unit_test(bytes_of_a_span_never_pass_for_a_block),
        cmocka_unit_test(a_newer_format_is_not_opened),
        cmocka_unit_test(foreign_names_in_the_folders_are_left_alone),
        cmocka_unit_test(an_empty_partition_left_by_a_crash_is_removed),
        cmocka_unit_test(a_disk_that_does_not_answer_keeps_the_log_closed_and_costs_nothing),
        cmocka_unit_test(what_a_killed_process_left_is_durable_once_it_was_found),
        cmocka_unit_test(every_fault_while_opening_is_survived),
        cmocka_unit_test(lists_of_old_partitions_are_read_again),
        cmocka_unit_test(a_power_cut_loses_no_written_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
