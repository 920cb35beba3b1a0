/*
 * lsn_refs.c - a ring of counters indexed by lsn.
 */
#include "lsn_refs.h"

#include <spangate/base/mem.h>

#include <assert.h>
#include <stdlib.h>

enum { FIRST_CAP = 1024 };

void lsn_refs_init(struct lsn_refs *refs)
{
    *refs = (struct lsn_refs){0};
    (void)pthread_mutex_init(&refs->lock, NULL);
}

void lsn_refs_deinit(struct lsn_refs *refs)
{
    (void)pthread_mutex_destroy(&refs->lock);
    free(refs->counts);
}

static uint32_t *count_at(struct lsn_refs *refs, size_t i)
{
    return &refs->counts[(refs->head + i) & (refs->cap - 1)];
}

static void grow(struct lsn_refs *refs, size_t need)
{
    size_t cap = refs->cap == 0 ? FIRST_CAP : refs->cap;
    while (cap < need) {
        cap *= 2;
    }
    uint32_t *bigger = mem_zalloc(cap, sizeof(*bigger));
    for (size_t i = 0; i < refs->len; i++) {
        bigger[i] = *count_at(refs, i);
    }
    free(refs->counts);
    refs->counts = bigger;
    refs->cap = cap;
    refs->head = 0;
}

void lsn_refs_set(struct lsn_refs *refs, uint64_t lsn, uint32_t spans)
{
    (void)pthread_mutex_lock(&refs->lock);
    if (refs->len == 0) {
        refs->base = lsn;
    }
    assert(lsn >= refs->base + refs->len);
    size_t len = (size_t)(lsn - refs->base) + 1;
    if (len > refs->cap) {
        grow(refs, len);
    }
    while (refs->len < len) {
        refs->len++;
        *count_at(refs, refs->len - 1) = 0;
    }
    *count_at(refs, len - 1) = spans;
    (void)pthread_mutex_unlock(&refs->lock);
}

size_t lsn_refs_drop(struct lsn_refs *refs, uint64_t *lsns, size_t count)
{
    size_t done = 0;
    (void)pthread_mutex_lock(&refs->lock);
    for (size_t i = 0; i < count; i++) {
        uint64_t lsn = lsns[i];
        assert(lsn >= refs->base && lsn < refs->base + refs->len);
        uint32_t *left = count_at(refs, (size_t)(lsn - refs->base));
        assert(*left > 0);
        if (--*left == 0) {
            lsns[done++] = lsn; /* done <= i: the entry was read already */
        }
    }
    while (refs->len > 0 && *count_at(refs, 0) == 0) {
        refs->head = (refs->head + 1) & (refs->cap - 1);
        refs->base++;
        refs->len--;
    }
    (void)pthread_mutex_unlock(&refs->lock);
    return done;
}
