/*
 * tag_table.h - open addressing from a 32-bit tag (upper half of a seeded hash) to a 32-bit value.
 *
 * The table does not know the keys: whoever looks up compares what the value stands for and goes on
 * with the next candidate. The place of an entry follows from its tag alone, so growing and
 * removing touch nothing else. Linear probing, at most three quarters full, shrinks again when it
 * empties.
 */
#ifndef SPANGATE_TRACE_TAG_TABLE_H
#define SPANGATE_TRACE_TAG_TABLE_H

#include "account.h"
#include <stdint.h>

#define TAG_NONE UINT32_MAX /* no value, no place */

struct tag_slot {
    uint32_t tag;
    uint32_t value; /* TAG_NONE: free */
};

struct tag_table {
    struct tag_slot *slots; /* NULL while empty */
    uint32_t mask;          /* slots - 1 */
    uint32_t shift;         /* home of a tag: tag >> shift */
    uint32_t count;
    struct account *account;
};

void tag_table_init(struct tag_table *table, struct account *account);
void tag_table_deinit(struct tag_table *table);
void tag_table_put(struct tag_table *table, uint32_t tag, uint32_t value);
void tag_table_remove_at(struct tag_table *table, uint32_t at);

static inline uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

/*
 * The place of the first entry whose tag equals `tag` in the bits of `care`; TAG_NONE when there is
 * none. tag_table_after() goes on behind a place that was not the one wanted. `care` must hold the
 * bits that decide the home: all but the lowest few.
 */
static inline uint32_t tag_table_scan(const struct tag_table *table, uint32_t at, uint32_t tag,
                                      uint32_t care)
{
    for (;; at = (at + 1) & table->mask) {
        const struct tag_slot *slot = &table->slots[at];
        if (slot->value == TAG_NONE) {
            return TAG_NONE;
        }
        if (((slot->tag ^ tag) & care) == 0) {
            return at;
        }
    }
}

static inline uint32_t tag_table_find(const struct tag_table *table, uint32_t tag, uint32_t care)
{
    if (table->slots == NULL) {
        return TAG_NONE;
    }
    return tag_table_scan(table, tag >> table->shift, tag, care);
}

static inline uint32_t tag_table_after(const struct tag_table *table, uint32_t at, uint32_t tag,
                                       uint32_t care)
{
    return tag_table_scan(table, (at + 1) & table->mask, tag, care);
}

#endif
