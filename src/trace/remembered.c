/*
 * remembered.c - see remembered.h.
 *
 * A ring in order of finishing and a table from hash to place in the ring. An entry that is renewed
 * leaves an empty place behind, which is reused when the ring comes round.
 */
#include "remembered.h"

#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

#define WHOLE_TAG UINT32_MAX

enum { RING_MIN = 256, RING_MAX = 1 << 29 };

static uint32_t bounded(size_t max)
{
    return max > RING_MAX ? RING_MAX : (uint32_t)max;
}

void remembered_init(struct remembered *remembered, size_t max, struct account *account)
{
    *remembered = (struct remembered){.max = bounded(max), .account = account};
    tag_table_init(&remembered->table, account);
}

void remembered_deinit(struct remembered *remembered)
{
    account_give(remembered->account, remembered->cap * sizeof(*remembered->ring));
    free(remembered->ring);
    tag_table_deinit(&remembered->table);
    *remembered = (struct remembered){0};
}

static struct remembered_entry entry_of(const struct trace_id *id, uint32_t revision)
{
    uint64_t hash = hash_bytes(id->bytes, sizeof(id->bytes));
    return (struct remembered_entry){tag_of(hash), (uint32_t)hash, revision};
}

/* Where in the table the entry with this hash is, or TAG_NONE. */
static uint32_t place_of(const struct remembered *remembered, const struct remembered_entry *wanted)
{
    const struct tag_table *table = &remembered->table;

    for (uint32_t at = tag_table_find(table, wanted->hash_high, WHOLE_TAG); at != TAG_NONE;
         at = tag_table_after(table, at, wanted->hash_high, WHOLE_TAG)) {
        if (remembered->ring[table->slots[at].value].hash_low == wanted->hash_low) {
            return at;
        }
    }
    return TAG_NONE;
}

uint32_t remembered_get(const struct remembered *remembered, const struct trace_id *id)
{
    struct remembered_entry wanted = entry_of(id, 0);
    uint32_t at = place_of(remembered, &wanted);

    return at == TAG_NONE ? 0 : remembered->ring[remembered->table.slots[at].value].revision;
}

static void grow(struct remembered *remembered)
{
    uint32_t cap = remembered->cap == 0 ? RING_MIN : remembered->cap * 2;

    if (cap > remembered->max) {
        cap = remembered->max;
    }
    remembered->ring = mem_realloc(remembered->ring, cap * sizeof(*remembered->ring));
    account_take(remembered->account, (cap - remembered->cap) * sizeof(*remembered->ring));
    remembered->cap = cap;
}

/* The place for the next entry; whoever stands there is forgotten. */
static uint32_t next_place(struct remembered *remembered)
{
    if (remembered->count == remembered->cap && remembered->cap < remembered->max) {
        grow(remembered);
    }
    if (remembered->count < remembered->cap) {
        return remembered->count++;
    }
    uint32_t place = remembered->head;
    remembered->head = place + 1 == remembered->cap ? 0 : place + 1;
    if (remembered->ring[place].revision != 0) {
        tag_table_remove_at(&remembered->table, place_of(remembered, &remembered->ring[place]));
    }
    return place;
}

static void put(struct remembered *remembered, struct remembered_entry entry)
{
    if (remembered->max == 0) {
        return;
    }
    uint32_t at = place_of(remembered, &entry);
    if (at != TAG_NONE) {
        remembered->ring[remembered->table.slots[at].value].revision = 0;
        tag_table_remove_at(&remembered->table, at);
    }
    uint32_t place = next_place(remembered);
    remembered->ring[place] = entry;
    tag_table_put(&remembered->table, entry.hash_high, place);
}

void remembered_put(struct remembered *remembered, const struct trace_id *id, uint32_t revision)
{
    put(remembered, entry_of(id, revision));
}

void remembered_resize(struct remembered *remembered, size_t max)
{
    if (bounded(max) == remembered->max) {
        return;
    }
    struct remembered old = *remembered;

    remembered_init(remembered, max, old.account);
    for (uint32_t i = 0; i < old.count; i++) {
        const struct remembered_entry *entry = &old.ring[(old.head + i) % old.count];
        if (entry->revision != 0) {
            put(remembered, *entry);
        }
    }
    remembered_deinit(&old);
}
