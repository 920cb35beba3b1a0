/*
 * wal_model.h - what the log owes its caller, kept beside it while everything around it fails.
 *
 *   acknowledged and not released      must replay, whole, once
 *   released                           may come back
 *   void or never synced               may come back until something later is acknowledged or a
 *                                      replay went without it; then never again
 */
#ifndef SPANGATE_TEST_UNIT_WAL_MODEL_H
#define SPANGATE_TEST_UNIT_WAL_MODEL_H

#include "wal_support.h"

enum fate { FATE_PENDING, FATE_ACKED, FATE_RELEASED, FATE_VOID, FATE_GONE };

struct owed {
    uint64_t lsn, key;
    enum fate fate;
};

struct model {
    struct owed *list;
    size_t count;
    uint64_t last_acked; /* the highest lsn acknowledged or replayed */
    uint64_t acks;       /* good syncs with something new */
};

void model_deinit(struct model *model);

/* Do it on the log and note the outcome. */
bool model_append(struct model *model, struct rig *rig, uint64_t key, size_t len);
bool model_sync(struct model *model, struct rig *rig);
void model_release(struct model *model, struct rig *rig, size_t index); /* if acknowledged */

/* The process ended. */
void model_stopped(struct model *model);
/* rig's last replay against what is owed; what replayed is owed from now on. */
void model_check(struct model *model, const struct rig *rig);

#endif
