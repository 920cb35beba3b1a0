/*
 * budget.c - counting bytes before they are allocated. Lock-free: a charge is one addition, undone
 * when it went over.
 */
#include <spangate/base/budget.h>

#include <assert.h>

void budget_init(struct budget *budget, size_t limit, struct budget *parent)
{
    atomic_init(&budget->used, 0);
    atomic_init(&budget->limit, limit);
    atomic_init(&budget->peak, 0);
    budget->parent = parent;
}

static void note_peak(struct budget *budget, size_t used)
{
    size_t peak = atomic_load_explicit(&budget->peak, memory_order_relaxed);
    while (used > peak &&
           !atomic_compare_exchange_weak_explicit(&budget->peak, &peak, used, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

bool budget_try_charge(struct budget *budget, size_t bytes)
{
    size_t before = atomic_fetch_add_explicit(&budget->used, bytes, memory_order_relaxed);
    size_t limit = atomic_load_explicit(&budget->limit, memory_order_relaxed);
    if (before > limit || bytes > limit - before) {
        atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed);
        return false;
    }
    if (budget->parent != NULL && !budget_try_charge(budget->parent, bytes)) {
        atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed);
        return false;
    }
    note_peak(budget, before + bytes);
    return true;
}

void budget_charge(struct budget *budget, size_t bytes)
{
    for (struct budget *b = budget; b != NULL; b = b->parent) {
        size_t before = atomic_fetch_add_explicit(&b->used, bytes, memory_order_relaxed);
        note_peak(b, before + bytes);
    }
}

void budget_release(struct budget *budget, size_t bytes)
{
    for (struct budget *b = budget; b != NULL; b = b->parent) {
        size_t before = atomic_fetch_sub_explicit(&b->used, bytes, memory_order_relaxed);
        assert(before >= bytes);
        (void)before;
    }
}

size_t budget_used(const struct budget *budget)
{
    return atomic_load_explicit(&budget->used, memory_order_relaxed);
}

unsigned budget_level(const struct budget *budget)
{
    unsigned level = 0;
    for (const struct budget *b = budget; b != NULL; b = b->parent) {
        size_t limit = atomic_load_explicit(&b->limit, memory_order_relaxed);
        size_t used = budget_used(b);
        double part = limit == 0 ? 1000.0 : 1000.0 * (double)used / (double)limit;
        unsigned here = part > 100000.0 ? 100000 : (unsigned)part;
        level = here > level ? here : level;
    }
    return level;
}
