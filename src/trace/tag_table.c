/* tag_table.c - see tag_table.h. */
#include "tag_table.h"

#include <spangate/base/mem.h>
#include <stdlib.h>
#include <string.h>

enum { SLOT_BITS_MIN = 4, SLOT_BITS_MAX = 30 };

void tag_table_init(struct tag_table *table, struct account *account)
{
    *table = (struct tag_table){.account = account};
}

static size_t table_bytes(const struct tag_table *table)
{
    return table->slots == NULL ? 0 : ((size_t)table->mask + 1) * sizeof(*table->slots);
}

void tag_table_deinit(struct tag_table *table)
{
    account_give(table->account, table_bytes(table));
    free(table->slots);
    table->slots = NULL;
    table->count = 0;
}

static void place(struct tag_table *table, uint32_t tag, uint32_t value)
{
    uint32_t at = tag >> table->shift;

    while (table->slots[at].value != TAG_NONE) {
        at = (at + 1) & table->mask;
    }
    table->slots[at] = (struct tag_slot){.tag = tag, .value = value};
}

static void resize(struct tag_table *table, uint32_t bits)
{
    struct tag_slot *old = table->slots;
    size_t old_bytes = table_bytes(table);
    size_t old_count = old == NULL ? 0 : (size_t)table->mask + 1;
    size_t count = (size_t)1 << bits;

    assert(bits <= SLOT_BITS_MAX);
    table->slots = mem_alloc(count * sizeof(*table->slots));
    memset(table->slots, 0xff, count * sizeof(*table->slots)); /* every value TAG_NONE */
    table->mask = (uint32_t)(count - 1);
    table->shift = 32 - bits;
    account_take(table->account, table_bytes(table));
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].value != TAG_NONE) {
            place(table, old[i].tag, old[i].value);
        }
    }
    free(old);
    account_give(table->account, old_bytes);
}

void tag_table_put(struct tag_table *table, uint32_t tag, uint32_t value)
{
    if (table->slots == NULL) {
        resize(table, SLOT_BITS_MIN);
    } else if (((uint64_t)table->count + 1) * 4 > ((uint64_t)table->mask + 1) * 3) {
        resize(table, 32 - table->shift + 1);
    }
    place(table, tag, value);
    table->count++;
}

/* Close the gap: move back each following entry that may stand there, up to the next free slot. */
void tag_table_remove_at(struct tag_table *table, uint32_t at)
{
    uint32_t gap = at;

    for (uint32_t i = (at + 1) & table->mask; table->slots[i].value != TAG_NONE;
         i = (i + 1) & table->mask) {
        uint32_t home = table->slots[i].tag >> table->shift;
        if (((i - home) & table->mask) >= ((i - gap) & table->mask)) {
            table->slots[gap] = table->slots[i];
            gap = i;
        }
    }
    table->slots[gap].value = TAG_NONE;
    table->count--;
    if (table->mask >= 1024 && (uint64_t)table->count * 8 < table->mask) {
        resize(table, 32 - table->shift - 1);
    }
}
