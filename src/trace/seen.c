/*
 * seen.c - see seen.h.
 *
 * The kind of an entry is in the lowest two bits of its tag, so that "is this id present" meets
 * only entries of that kind. A parent that arrives turns its WANTED entry into its own PRESENT one.
 */
#include "seen.h"

#include "span_scan.h"
#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

enum seen_kind { KIND_PRESENT, KIND_EXTRA, KIND_WANTED, KIND_MASK = 3 };

#define WHOLE_TAG UINT32_MAX

static uint32_t tag_for(const void *key, size_t len, enum seen_kind kind)
{
    return (tag_of(hash_bytes(key, len)) & ~(uint32_t)KIND_MASK) | (uint32_t)kind;
}

static uint32_t tag_for_id(const struct span_id *id, enum seen_kind kind)
{
    return tag_for(id->bytes, sizeof(id->bytes), kind);
}

struct seen *seen_new(struct account *account)
{
    struct seen *seen = mem_zalloc(1, sizeof(*seen));
    tag_table_init(&seen->table, account);
    account_take(account, sizeof(*seen));
    return seen;
}

void seen_free(struct seen *seen, struct account *account)
{
    if (seen != NULL) {
        tag_table_deinit(&seen->table);
        account_give(account, sizeof(*seen));
        free(seen);
    }
}

/* The entry of this kind for the id: the span's own, or for WANTED its child's parent. */
static uint32_t find_id(const struct seen *seen, const struct span_store *store,
                        const struct span_id *id, enum seen_kind kind)
{
    uint32_t tag = tag_for_id(id, kind);

    for (uint32_t at = tag_table_find(&seen->table, tag, WHOLE_TAG); at != TAG_NONE;
         at = tag_table_after(&seen->table, at, tag, WHOLE_TAG)) {
        struct span_fields fields;
        span_read(span_at(store, seen->table.slots[at].value), &fields);
        if (span_id_equal(kind == KIND_WANTED ? &fields.parent_id : &fields.span_id, id)) {
            return at;
        }
    }
    return TAG_NONE;
}

static bool has_extra(const struct seen *seen, const struct span_store *store, struct slice raw)
{
    uint32_t tag = tag_for(raw.data, raw.len, KIND_EXTRA);

    for (uint32_t at = tag_table_find(&seen->table, tag, WHOLE_TAG); at != TAG_NONE;
         at = tag_table_after(&seen->table, at, tag, WHOLE_TAG)) {
        if (slice_equal(span_raw(span_at(store, seen->table.slots[at].value)), raw)) {
            return true;
        }
    }
    return false;
}

enum seen_verdict seen_check(const struct seen *seen, const struct span_store *store,
                             const struct span_id *id, struct slice raw)
{
    uint32_t at = find_id(seen, store, id, KIND_PRESENT);

    if (at == TAG_NONE) {
        return SEEN_NEW;
    }
    if (slice_equal(span_raw(span_at(store, seen->table.slots[at].value)), raw) ||
        has_extra(seen, store, raw)) {
        return SEEN_DUPLICATE;
    }
    return SEEN_CONFLICT;
}

void seen_add(struct seen *seen, const struct span_store *store, uint32_t ref,
              const struct span_id *id, const struct span_id *parent, struct slice raw,
              enum seen_verdict verdict)
{
    static const struct span_id none = {{0}};

    if (verdict == SEEN_CONFLICT) {
        tag_table_put(&seen->table, tag_for(raw.data, raw.len, KIND_EXTRA), ref);
    } else {
        uint32_t at = find_id(seen, store, id, KIND_WANTED);
        if (at != TAG_NONE) {
            /* The kind is not among the bits that decide the place. */
            seen->table.slots[at].tag = tag_for_id(id, KIND_PRESENT);
            seen->table.slots[at].value = ref;
            seen->wanted--;
        } else {
            tag_table_put(&seen->table, tag_for_id(id, KIND_PRESENT), ref);
        }
    }
    if (!span_id_equal(parent, &none) && find_id(seen, store, parent, KIND_PRESENT) == TAG_NONE &&
        find_id(seen, store, parent, KIND_WANTED) == TAG_NONE) {
        tag_table_put(&seen->table, tag_for_id(parent, KIND_WANTED), ref);
        seen->wanted++;
    }
}

static void move_entry(struct seen *seen, uint32_t tag, uint32_t from, uint32_t to)
{
    for (uint32_t at = tag_table_find(&seen->table, tag, WHOLE_TAG); at != TAG_NONE;
         at = tag_table_after(&seen->table, at, tag, WHOLE_TAG)) {
        if (seen->table.slots[at].value == from) {
            seen->table.slots[at].value = to;
            return;
        }
    }
}

void seen_move(struct seen *seen, uint32_t from, uint32_t to, struct slice raw)
{
    struct span_fields fields;

    span_scan(raw, &fields);
    move_entry(seen, tag_for_id(&fields.span_id, KIND_PRESENT), from, to);
    move_entry(seen, tag_for(raw.data, raw.len, KIND_EXTRA), from, to);
    move_entry(seen, tag_for_id(&fields.parent_id, KIND_WANTED), from, to);
}
