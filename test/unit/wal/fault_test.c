/*
 * fault_test.c - every n-th call of every file operation fails, in every way, while the log works.
 */
#include "wal_model.h"

#include <errno.h>
#include <spangate/base/mem.h>
#include <spangate/base/random.h>

/* A failed turn of the log thread: what was appended is taken back, and it goes on. */
static void turn(struct model *model, struct rig *rig, uint64_t *key, size_t count, size_t len)
{
    for (size_t i = 0; i < count; i++) {
        (void)model_append(model, rig, ++*key, len + 211 * i);
    }
    (void)model_sync(model, rig);
}

/* What a reader gets is what was acknowledged, in order, without a hole. */
static void read_along(struct model *model, struct wal_reader *reader, size_t *at)
{
    while (*at < model->count) {
        struct wal_record record;
        struct error err = {0};
        uint64_t lsn = model->list[*at].lsn;
        if (model->list[*at].fate != FATE_ACKED && model->list[*at].fate != FATE_RELEASED) {
            ++*at;
            continue;
        }
        if (!wal_reader_next(reader, &lsn, 0, &record, &err)) {
            assert_true(err.code == ERR_UNAVAILABLE || err.code == ERR_LIMIT); /* again later */
            assert_int_equal(lsn, model->list[*at].lsn);
            return;
        }
        assert_int_equal(record.lsn, model->list[*at].lsn);
        assert_int_equal(payload_key(record.payload), model->list[*at].key);
        wal_reader_release(reader, record.lsn + 1);
        ++*at;
    }
}

struct plan {
    enum fs_op op;
    enum fs_fault_kind kind;
    int sys_errno;
    uint64_t times;
};

static const struct plan plans[] = {
    {FS_OP_OPEN, FS_FAULT_FAIL, EMFILE, 1},      {FS_OP_OPEN, FS_FAULT_FAIL, EIO, 3},
    {FS_OP_CLOSE, FS_FAULT_FAIL, EIO, 1},        {FS_OP_PREAD, FS_FAULT_FAIL, EIO, 1},
    {FS_OP_PREAD, FS_FAULT_FAIL, EINTR, 2},      {FS_OP_PWRITEV, FS_FAULT_FAIL, EIO, 1},
    {FS_OP_PWRITEV, FS_FAULT_FAIL, ENOSPC, 2},   {FS_OP_PWRITEV, FS_FAULT_FAIL, EINTR, 1},
    {FS_OP_PWRITEV, FS_FAULT_TORN, EIO, 1},      {FS_OP_PWRITEV, FS_FAULT_TORN, EIO, 3},
    {FS_OP_PWRITEV, FS_FAULT_SHORT, 0, 3},       {FS_OP_FDATASYNC, FS_FAULT_FAIL, EIO, 1},
    {FS_OP_FDATASYNC, FS_FAULT_FAIL, ENOSPC, 2}, {FS_OP_FDATASYNC, FS_FAULT_FAIL, EIO, 5},
    {FS_OP_ALLOCATE, FS_FAULT_FAIL, ENOSPC, 1},  {FS_OP_ALLOCATE, FS_FAULT_FAIL, EIO, 2},
    {FS_OP_TRUNCATE, FS_FAULT_FAIL, EIO, 1},     {FS_OP_RENAME, FS_FAULT_FAIL, EIO, 1},
    {FS_OP_UNLINK, FS_FAULT_FAIL, EIO, 1},       {FS_OP_MKDIR, FS_FAULT_FAIL, EIO, 1},
    {FS_OP_SYNC_DIR, FS_FAULT_FAIL, EIO, 1},     {FS_OP_LIST, FS_FAULT_FAIL, EIO, 1},
    {FS_OP_SIZE, FS_FAULT_FAIL, EIO, 1},         {FS_OP_ANY, FS_FAULT_FAIL, EIO, 1},
    {FS_OP_ANY, FS_FAULT_FAIL, EIO, 4},          {FS_OP_ANY, FS_FAULT_TORN, EIO, 2},
};

enum ending { ENDS_CLOSED, ENDS_KILLED, ENDS_WITHOUT_POWER, ENDINGS };

static void end_process(struct rig *rig, enum ending ending, uint64_t seed)
{
    if (ending == ENDS_KILLED) {
        fs_mem_kill(rig->mem);
    } else if (ending == ENDS_WITHOUT_POWER) {
        fs_mem_crash(rig->mem, seed);
    }
    rig_close(rig);
    fs_mem_restart(rig->mem);
}

/* While it works. Returns whether the plan fired. */
static bool run_with_fault(const struct plan *plan, uint64_t nth, enum ending ending)
{
    struct rig rig;
    struct model model = {0};
    struct wal_reader *reader;
    size_t read = 0;
    uint64_t key = 0;
    bool fired;

    rig_init(&rig);
    rig_open(&rig);
    turn(&model, &rig, &key, 3, 700); /* it begins well */
    reader = wal_reader_open(rig.wal, 1);
    fs_fault_plan(&rig.fault, plan->op, nth, plan->times, plan->kind, plan->sys_errno);
    for (size_t i = 0; i < 8; i++) {
        turn(&model, &rig, &key, 1 + i % 4, i == 5 ? 140000 : 100 + 300 * i);
        read_along(&model, reader, &read);
        for (size_t j = 0; j < model.count; j++) {
            if (model.list[j].key % 5 != 0 && j + 6 < model.count) {
                model_release(&model, &rig, j);
            }
        }
    }
    fired = rig.fault.fired > 0;
    fs_fault_clear(&rig.fault);
    read_along(&model, reader, &read);
    assert_int_equal(read, model.count);
    wal_reader_close(reader);
    /* Whatever it was, it is over: the log must be usable again. */
    if (nth % 2 == 0) {
        assert_true(model_append(&model, &rig, ++key, 500) || model_sync(&model, &rig) == false);
        (void)model_sync(&model, &rig);
        assert_true(model_append(&model, &rig, ++key, 500));
        assert_true(model_sync(&model, &rig));
    }
    assert_int_equal(rig.fault.resyncs, 0);

    end_process(&rig, ending, nth);
    model_stopped(&model);
    rig_open(&rig);
    model_check(&model, &rig);
    turn(&model, &rig, &key, 4, 900);
    rig_close(&rig);
    rig_open(&rig);
    model_check(&model, &rig);
    rig_deinit(&rig);
    model_deinit(&model);
    return fired;
}

static void no_fault_loses_what_was_acknowledged_or_brings_back_what_is_void(void **state)
{
    (void)state;
    for (size_t p = 0; p < COUNT_OF(plans); p++) {
        for (uint64_t nth = 1; run_with_fault(&plans[p], nth, (nth + p) % ENDINGS); nth++) {
        }
    }
}

/* While it starts, on a log with a torn tail, damage, void records and spares. */
static bool start_with_fault(const struct plan *plan, uint64_t nth)
{
    struct rig rig;
    struct model model = {0};
    struct error err = {0};
    uint64_t key = 0;
    char path[64];
    bool fired;

    rig_init(&rig);
    rig_open(&rig);
    for (size_t i = 0; i < 6; i++) {
        turn(&model, &rig, &key, 3, 600);
    }
    fs_fault_plan(&rig.fault, FS_OP_FDATASYNC, 1, 1, FS_FAULT_FAIL, EIO);
    turn(&model, &rig, &key, 2, 300);
    fs_fault_clear(&rig.fault);
    turn(&model, &rig, &key, 2, 300);
    for (size_t i = 0; i < 12; i++) {
        model_release(&model, &rig, i);
    }
    (void)model_append(&model, &rig, ++key, 200000); /* written, not synced */
    end_process(&rig, ENDS_WITHOUT_POWER, nth);
    model_stopped(&model);
    assert_true(rig_segment(&rig, 0, path));
    rig_flip(&rig, path, 5, 0xff); /* a segment header: costs nothing but the alarm */

    fs_fault_plan(&rig.fault, plan->op, nth, plan->times, plan->kind, plan->sys_errno);
    if (rig_try_open(&rig, &err)) {
        model_check(&model, &rig);
        rig_close(&rig);
    } else {
        assert_true(err.code != ERR_NONE && err.message[0] != '\0');
    }
    fired = rig.fault.fired > 0;
    fs_fault_clear(&rig.fault);
    rig_open(&rig);
    model_check(&model, &rig);
    turn(&model, &rig, &key, 3, 1000);
    rig_reopen(&rig);
    model_check(&model, &rig);
    assert_int_equal(rig.fault.resyncs, 0);
    rig_deinit(&rig);
    model_deinit(&model);
    return fired;
}

static void a_start_that_fails_does_no_harm_and_the_next_one_works(void **state)
{
    (void)state;
    for (size_t p = 0; p < COUNT_OF(plans); p++) {
        for (uint64_t nth = 1; start_with_fault(&plans[p], nth); nth++) {
        }
    }
}

static void a_failed_sync_voids_all_since_the_last_good_one(void **state)
{
    struct rig rig;
    struct error err = {0};
    (void)state;

    rig_init(&rig);
    rig_open(&rig);
    (void)rig_put(&rig, 1, 100);
    (void)rig_append(&rig, 2, 100);
    (void)rig_append(&rig, 3, 100);
    fs_fault_plan(&rig.fault, FS_OP_FDATASYNC, 1, 1, FS_FAULT_FAIL, EIO);
    assert_false(wal_sync(rig.wal, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(err.sys_errno, EIO);
    assert_int_equal(wal_last(rig.wal), 1);
    assert_int_equal(rig_put(&rig, 4, 100), 4); /* their lsn are not reused */
    rig_reopen(&rig);
    ASSERT_SEEN(&rig, 1, 4); /* although 2 and 3 are in the file */
    /* The void records stay void as long as their segment is there. */
    rig_release(&rig, 4);
    (void)rig_put(&rig, 5, 4000);
    (void)rig_put(&rig, 6, 4000);
    rig_release(&rig, 5);
    rig_reopen(&rig);
    for (size_t i = 0; i < rig.seen_count; i++) {
        assert_true(rig.seen[i].key != 2 && rig.seen[i].key != 3);
    }
    assert_int_equal(rig.seen[0].key, 1);
    rig_deinit(&rig);
}

static void void_records_may_return_only_if_nothing_came_after(void **state)
{
    struct rig rig;
    struct error err = {0};
    (void)state;

    rig_init(&rig);
    rig_open(&rig);
    (void)rig_put(&rig, 1, 100);
    (void)rig_append(&rig, 2, 100);
    fs_fault_plan(&rig.fault, FS_OP_FDATASYNC, 1, 1, FS_FAULT_FAIL, EIO);
    assert_false(wal_sync(rig.wal, &err));
    fs_mem_kill(rig.mem);
    rig_close(&rig);
    fs_mem_restart(rig.mem);
    rig_open(&rig);
    ASSERT_SEEN(&rig, 1, 2); /* a repeated delivery: its sender was told to retry */
    assert_int_equal(rig_put(&rig, 3, 100), 3);
    rig_deinit(&rig);
}

static void a_failed_write_in_append_takes_earlier_appends_along(void **state)
{
    struct rig rig;
    struct error err = {0};
    (void)state;

    rig_init(&rig);
    rig.config.segment_bytes = 1024 * 1024;
    rig_open(&rig);
    (void)rig_put(&rig, 1, 100);
    (void)rig_append(&rig, 2, 100);
    fs_fault_plan(&rig.fault, FS_OP_PWRITEV, 1, 1, FS_FAULT_TORN, EIO);
    assert_int_equal(rig_try_append(&rig, 3, 200000, &err), 0);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(rig_try_append(&rig, 4, 100, &err), 0); /* not before sync has said so */
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_false(wal_sync(rig.wal, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_true(rig_put(&rig, 5, 100) > 3);
    rig_reopen(&rig);
    ASSERT_SEEN(&rig, 1, 5);
    rig_deinit(&rig);
}

static void a_failed_append_alone_does_not_fail_the_next_sync(void **state)
{
    struct rig rig;
    struct error err = {0};
    (void)state;

    rig_init(&rig);
    rig_open(&rig);
    fs_fault_plan(&rig.fault, FS_OP_SYNC_DIR, 1, 1, FS_FAULT_FAIL, EIO);
    assert_int_equal(rig_try_append(&rig, 1, 100, &err), 0);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    (void)rig_put(&rig, 2, 100);
    rig_reopen(&rig);
    ASSERT_SEEN(&rig, 2);
    rig_deinit(&rig);
}

static void flapping_disks_do_not_pile_up_segments(void **state)
{
    struct rig rig;
    struct error err = {0};
    (void)state;

    rig_init(&rig);
    rig_open(&rig);
    (void)rig_put(&rig, 1, 100); /* stays needed */
    for (uint64_t key = 2; key < 60; key++) {
        fs_fault_plan(&rig.fault, FS_OP_FDATASYNC, 1, 1, FS_FAULT_FAIL, EIO);
        if (rig_try_append(&rig, key, 100, &err) != 0) {
            assert_false(wal_sync(rig.wal, &err));
        }
    }
    fs_fault_clear(&rig.fault);
    assert_true(rig_file_count(&rig, RIG_DIR, ".seg") <= 3);
    (void)rig_put(&rig, 100, 100);
    rig_reopen(&rig);
    ASSERT_SEEN(&rig, 1, 100);
    rig_deinit(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_sync_voids_all_since_the_last_good_one),
        cmocka_unit_test(void_records_may_return_only_if_nothing_came_after),
        cmocka_unit_test(a_failed_write_in_append_takes_earlier_appends_along),
        cmocka_unit_test(a_failed_append_alone_does_not_fail_the_next_sync),
        cmocka_unit_test(flapping_disks_do_not_pile_up_segments),
        cmocka_unit_test(no_fault_loses_what_was_acknowledged_or_brings_back_what_is_void),
        cmocka_unit_test(a_start_that_fails_does_no_harm_and_the_next_one_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
