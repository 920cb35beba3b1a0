/* intern.c - see intern.h. Resources and scopes share one table; a scope's key includes its
 * resource. */
#include "intern.h"

#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

#define WHOLE_TAG UINT32_MAX

void intern_init(struct intern *intern, struct account *account)
{
    slab_init(&intern->slab, sizeof(struct interned), account);
    tag_table_init(&intern->table, account);
    intern->account = account;
}

static void free_bytes(struct intern *intern, struct interned *entry)
{
    account_give(intern->account, entry->envelope.len + entry->service.len);
    free(entry->memory);
}

void intern_deinit(struct intern *intern)
{
    for (uint32_t at = 0; intern->table.slots != NULL && at <= intern->table.mask; at++) {
        if (intern->table.slots[at].value != TAG_NONE) {
            free_bytes(intern, slab_at(&intern->slab, intern->table.slots[at].value));
        }
    }
    tag_table_deinit(&intern->table);
    slab_deinit(&intern->slab);
}

/* The seeded hash of the bytes: the stable one would let a sender prepare collisions. */
static uint32_t tag_for(struct slice envelope, uint32_t resource)
{
    uint64_t hash = envelope.len == 0 ? 0 : hash_bytes(envelope.data, envelope.len);
    return tag_of(hash_mix(hash, resource));
}

static uint32_t find(const struct intern *intern, uint32_t tag, struct slice envelope,
                     uint32_t resource)
{
    const struct tag_table *table = &intern->table;

    for (uint32_t at = tag_table_find(table, tag, WHOLE_TAG); at != TAG_NONE;
         at = tag_table_after(table, at, tag, WHOLE_TAG)) {
        const struct interned *entry = intern_at(intern, table->slots[at].value);
        if (entry->resource == resource && slice_equal(entry->envelope, envelope)) {
            return table->slots[at].value;
        }
    }
    return SLAB_NONE;
}

static struct slice put_bytes(uint8_t *at, struct slice bytes)
{
    if (bytes.len > 0) {
        memcpy(at, bytes.data, bytes.len);
    }
    return (struct slice){at, bytes.len};
}

static uint32_t insert(struct intern *intern, uint32_t tag, const struct interned *what)
{
    uint32_t handle = slab_alloc(&intern->slab);
    struct interned *entry = slab_at(&intern->slab, handle);

    *entry = *what;
    entry->tag = tag;
    entry->refs = 1;
    entry->memory = mem_alloc(what->envelope.len + what->service.len + 1);
    entry->envelope = put_bytes(entry->memory, what->envelope);
    entry->service = put_bytes(entry->memory + what->envelope.len, what->service);
    account_take(intern->account, entry->envelope.len + entry->service.len);
    tag_table_put(&intern->table, tag, handle);
    return handle;
}

static uint32_t take(struct intern *intern, const struct interned *what)
{
    uint32_t tag = tag_for(what->envelope, what->resource);
    uint32_t handle = find(intern, tag, what->envelope, what->resource);

    if (handle == SLAB_NONE) {
        return insert(intern, tag, what);
    }
    intern_ref(intern, handle, 1);
    return handle;
}

uint32_t intern_scope(struct intern *intern, const struct batch_scope *scope,
                      const struct batch_resource *resource)
{
    uint32_t parent = take(intern, &(struct interned){.stable_hash = resource->hash,
                                                      .envelope = resource->envelope,
                                                      .service = resource->service,
                                                      .resource = SLAB_NONE});
    uint32_t handle = take(intern, &(struct interned){.stable_hash = scope->hash,
                                                      .envelope = scope->envelope,
                                                      .resource = parent});

    /* A scope holds one reference to its resource, taken when it was new. */
    if (intern_at(intern, handle)->refs > 1) {
        intern_unref(intern, parent, 1);
    }
    return handle;
}

void intern_ref(struct intern *intern, uint32_t handle, uint32_t count)
{
    struct interned *entry = slab_at(&intern->slab, handle);
    entry->refs += count;
}

void intern_unref(struct intern *intern, uint32_t handle, uint32_t count)
{
    while (handle != SLAB_NONE) {
        struct interned *entry = slab_at(&intern->slab, handle);
        struct tag_table *table = &intern->table;
        uint32_t parent = entry->resource;

        assert(entry->refs >= count);
        entry->refs -= count;
        if (entry->refs > 0) {
            return;
        }
        uint32_t at = tag_table_find(table, entry->tag, WHOLE_TAG);
        while (table->slots[at].value != handle) {
            at = tag_table_after(table, at, entry->tag, WHOLE_TAG);
        }
        tag_table_remove_at(table, at);
        free_bytes(intern, entry);
        slab_free(&intern->slab, handle);
        handle = parent; /* the scope is gone, and with it its reference to the resource */
        count = 1;
    }
}
