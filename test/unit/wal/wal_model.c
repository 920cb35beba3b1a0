/*
 * wal_model.c - see wal_model.h.
 */
#include "wal_model.h"

#include <spangate/base/mem.h>

void model_deinit(struct model *model)
{
    free(model->list);
    *model = (struct model){0};
}

bool model_append(struct model *model, struct rig *rig, uint64_t key, size_t len)
{
    struct error err = {0};
    uint64_t lsn = rig_try_append(rig, key, len, &err);

    if (lsn == 0) {
        assert_true(err.code == ERR_LIMIT || err.code == ERR_UNAVAILABLE);
        assert_true(err.message[0] != '\0');
        return false;
    }
    assert_true(lsn > model->last_acked);
    for (size_t i = 0; i < model->count; i++) {
        assert_true(model->list[i].fate == FATE_GONE || model->list[i].lsn < lsn);
    }
    model->list = mem_realloc(model->list, (model->count + 1) * sizeof(*model->list));
    model->list[model->count++] = (struct owed){.lsn = lsn, .key = key, .fate = FATE_PENDING};
    return true;
}

static void turn(struct model *model, enum fate from, enum fate to)
{
    for (size_t i = 0; i < model->count; i++) {
        if (model->list[i].fate == from) {
            model->list[i].fate = to;
            if (to == FATE_ACKED) {
                model->last_acked = model->list[i].lsn;
            }
        }
    }
}

bool model_sync(struct model *model, struct rig *rig)
{
    struct error err = {0};
    bool any = false;

    for (size_t i = 0; i < model->count; i++) {
        any = any || model->list[i].fate == FATE_PENDING;
    }
    if (!wal_sync(rig->wal, &err)) {
        assert_true(err.code == ERR_LIMIT || err.code == ERR_UNAVAILABLE);
        turn(model, FATE_PENDING, FATE_VOID);
        return false;
    }
    if (any) {
        turn(model, FATE_VOID, FATE_GONE);
        turn(model, FATE_PENDING, FATE_ACKED);
        assert_int_equal(wal_last(rig->wal), model->last_acked);
        model->acks++;
    }
    return true;
}

void model_release(struct model *model, struct rig *rig, size_t index)
{
    struct owed *owed = &model->list[index];

    if (owed->fate == FATE_ACKED) {
        owed->fate = FATE_RELEASED;
        rig_release(rig, owed->lsn);
    }
}

void model_stopped(struct model *model)
{
    turn(model, FATE_PENDING, FATE_VOID);
}

static struct owed *find(struct model *model, const struct seen *seen)
{
    for (size_t i = 0; i < model->count; i++) {
        if (model->list[i].key == seen->key) {
            return &model->list[i];
        }
    }
    return NULL;
}

void model_check(struct model *model, const struct rig *rig)
{
    for (size_t i = 0; i < rig->seen_count; i++) {
        struct owed *owed = find(model, &rig->seen[i]);
        assert_non_null(owed);
        assert_int_equal(owed->lsn, rig->seen[i].lsn);
        if (owed->fate == FATE_GONE) {
            fail_msg("void record %llu came back", (unsigned long long)owed->lsn);
        }
        if (owed->lsn > model->last_acked) {
            model->last_acked = owed->lsn;
        }
    }
    for (size_t i = 0; i < model->count; i++) {
        struct owed *owed = &model->list[i];
        bool there = false;
        for (size_t j = 0; j < rig->seen_count; j++) {
            there = there || rig->seen[j].key == owed->key;
        }
        if (owed->fate == FATE_ACKED && !there) {
            fail_msg("acknowledged record %llu is lost", (unsigned long long)owed->lsn);
        }
        if (there) {
            owed->fate = FATE_ACKED;
        } else if (owed->fate != FATE_RELEASED) { /* a power cut can undo the removal of its file */
            owed->fate = FATE_GONE;
        }
    }
    assert_true(wal_last(rig->wal) >= model->last_acked);
}
