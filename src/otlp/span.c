/*
 * span.c - the reference count of a decoded request.
 */

#include <spangate/otlp/span.h>

#include <assert.h>
#include <stdlib.h>

struct span_batch *span_batch_ref(struct span_batch *batch)
{
    atomic_fetch_add_explicit(&batch->refs, 1, memory_order_relaxed);
    return batch;
}

void span_batch_unref(struct span_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    /* Whoever frees must see what the other owners did before they let go. */
    unsigned before = atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1) {
        if (batch->charged > 0) {
            budget_release(batch->body->budget, batch->charged);
        }
        buf_unref(batch->body);
        arena_deinit(&batch->arena);
        free(batch);
    }
}
