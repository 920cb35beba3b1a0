/*
 * account.h - what the correlator holds in bytes, told to the process' budget as it changes.
 *
 * Charged per chunk, slab block or table, never per span. The bytes are there already when they are
 * charged (a request was admitted for them), so charging cannot fail.
 */
#ifndef SPANGATE_TRACE_ACCOUNT_H
#define SPANGATE_TRACE_ACCOUNT_H

#include <assert.h>
#include <spangate/base/budget.h>

struct account {
    size_t bytes;
    struct budget *budget; /* NULL: not charged */
};

static inline void account_take(struct account *account, size_t bytes)
{
    account->bytes += bytes;
    if (account->budget != NULL) {
        budget_charge(account->budget, bytes);
    }
}

static inline void account_give(struct account *account, size_t bytes)
{
    assert(account->bytes >= bytes);
    account->bytes -= bytes;
    if (account->budget != NULL) {
        budget_release(account->budget, bytes);
    }
}

#endif
