/*
 * budget.h - how much memory a part of the process may hold.
 *
 * Bytes are charged before they are allocated and released after they are freed. A budget may have
 * a parent: a charge must then fit both. Any thread may call.
 */
#ifndef SPANGATE_BASE_BUDGET_H
#define SPANGATE_BASE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget {
    atomic_size_t used;
    atomic_size_t limit;
    atomic_size_t peak;
    struct budget *parent;
};

void budget_init(struct budget *budget, size_t limit, struct budget *parent);

/* Take `bytes` if they fit. false: nothing was taken, and the caller answers "retry later". */
bool budget_try_charge(struct budget *budget, size_t bytes);

/* Take `bytes` even over the limit: for bytes that exist already and cannot be refused. */
void budget_charge(struct budget *budget, size_t bytes);

void budget_release(struct budget *budget, size_t bytes);

size_t budget_used(const struct budget *budget);

/* Used bytes in per mille of the limit, the higher of this budget and its parents. */
unsigned budget_level(const struct budget *budget);

#endif
