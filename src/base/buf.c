/*
 * buf.c - reference-counted bytes.
 */
#include <spangate/base/buf.h>

#include <spangate/base/mem.h>
#include <stdlib.h>

struct buf *buf_new(size_t cap, struct budget *budget)
{
    if (budget != NULL && !budget_try_charge(budget, cap)) {
        return NULL;
    }
    struct buf *buf = mem_alloc(sizeof(*buf));
    *buf = (struct buf){.budget = budget, .cap = cap, .data = mem_alloc(cap > 0 ? cap : 1)};
    atomic_init(&buf->refs, 1);
    return buf;
}

struct buf *buf_copy(struct slice bytes, struct budget *budget)
{
    struct buf *buf = buf_new(bytes.len, budget);
    if (buf != NULL && bytes.len > 0) {
        memcpy(buf->data, bytes.data, bytes.len);
        buf->len = bytes.len;
    }
    return buf;
}

bool buf_reserve(struct buf *buf, size_t cap)
{
    if (cap <= buf->cap) {
        return true;
    }
    if (buf->budget != NULL && !budget_try_charge(buf->budget, cap - buf->cap)) {
        return false;
    }
    buf->data = mem_realloc(buf->data, cap);
    buf->cap = cap;
    return true;
}

struct buf *buf_ref(struct buf *buf)
{
    atomic_fetch_add_explicit(&buf->refs, 1, memory_order_relaxed);
    return buf;
}

void buf_unref(struct buf *buf)
{
    if (buf == NULL || atomic_fetch_sub_explicit(&buf->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (buf->budget != NULL) {
        budget_release(buf->budget, buf->cap);
    }
    free(buf->data);
    free(buf);
}
