/*
 * span_store.c - see span_store.h.
 *
 * Life of a chunk: taken from the pool or the heap as the current one; sealed when the next span
 * does not fit; on the sparse list when less than a quarter of it is alive; back to the pool when
 * nothing is. Sparse chunks are let alone while they are few against the rest: in steady traffic
 * they empty by themselves moments later, and moving what is about to go is wasted work.
 */
#include "span_store.h"

#include <spangate/base/mem.h>
#include <stdlib.h>

enum {
    SPARSE_PART = 4,     /* less than 1/4 alive */
    SPARSE_KEPT_MAX = 8, /* sparse chunks let alone… */
    SPARSE_KEPT_PART = 8 /* …but never more than 1/8 of all chunks */
};

void span_store_init(struct span_store *store, size_t chunk_bytes, struct account *account)
{
    if (chunk_bytes > CHUNK_BYTES_MAX) {
        chunk_bytes = CHUNK_BYTES_MAX;
    }
    if (chunk_bytes < CHUNK_BYTES_MIN) {
        chunk_bytes = CHUNK_BYTES_MIN;
    }
    *store = (struct span_store){
        .free_number = SPAN_NONE,
        .current = SPAN_NONE,
        .sparse_first = SPAN_NONE,
        .sparse_last = SPAN_NONE,
        .chunk_bytes = chunk_bytes / SPAN_UNIT * SPAN_UNIT,
        .account = account,
    };
}

void span_store_deinit(struct span_store *store)
{
    span_store_trim(store, 0);
    for (uint32_t c = 0; c < store->chunk_total; c++) {
        if (store->chunks[c].data != NULL) {
            account_give(store->account, store->chunks[c].cap);
            free(store->chunks[c].data);
        }
    }
    account_give(store->account, store->chunk_cap * sizeof(*store->chunks));
    account_give(store->account, store->pool_cap * sizeof(*store->pool));
    free(store->chunks);
    free(store->pool);
    *store = (struct span_store){0};
}

static size_t record_bytes(uint8_t flags, size_t raw_len)
{
    size_t bytes = sizeof(struct span_record) + (flags == 0 ? 0 : sizeof(struct span_times));
    return (bytes + raw_len + SPAN_UNIT - 1) / SPAN_UNIT * SPAN_UNIT;
}

static uint32_t new_number(struct span_store *store)
{
    uint32_t number = store->free_number;

    if (number != SPAN_NONE) {
        store->free_number = store->chunks[number].next;
        return number;
    }
    if (store->chunk_total == store->chunk_cap) {
        uint32_t cap = store->chunk_cap == 0 ? 16 : store->chunk_cap * 2;
        store->chunks = mem_realloc(store->chunks, cap * sizeof(*store->chunks));
        account_take(store->account, (cap - store->chunk_cap) * sizeof(*store->chunks));
        store->chunk_cap = cap;
    }
    assert(store->chunk_total < SPAN_NONE >> SPAN_OFFSET_BITS);
    return store->chunk_total++;
}

static uint32_t new_chunk(struct span_store *store, size_t cap)
{
    uint32_t number = new_number(store);
    uint8_t *data;

    if (cap == store->chunk_bytes && store->pool_count > 0) {
        data = store->pool[--store->pool_count];
    } else {
        data = mem_alloc(cap);
        account_take(store->account, cap);
    }
    store->chunks[number] =
        (struct chunk){.data = data, .cap = cap, .prev = SPAN_NONE, .next = SPAN_NONE};
    store->chunk_count++;
    return number;
}

static void keep_or_free(struct span_store *store, const struct chunk *chunk)
{
    if (chunk->cap != store->chunk_bytes || store->pool_count > store->chunk_count / 8) {
        account_give(store->account, chunk->cap);
        free(chunk->data);
        return;
    }
    if (store->pool_count == store->pool_cap) {
        uint32_t cap = store->pool_cap == 0 ? 16 : store->pool_cap * 2;
        store->pool = mem_realloc(store->pool, cap * sizeof(*store->pool));
        account_take(store->account, (cap - store->pool_cap) * sizeof(*store->pool));
        store->pool_cap = cap;
    }
    store->pool[store->pool_count++] = chunk->data;
}

static void link_sparse(struct span_store *store, uint32_t number)
{
    struct chunk *chunk = &store->chunks[number];

    chunk->sparse = true;
    chunk->prev = store->sparse_last;
    chunk->next = SPAN_NONE;
    if (store->sparse_last != SPAN_NONE) {
        store->chunks[store->sparse_last].next = number;
    } else {
        store->sparse_first = number;
    }
    store->sparse_last = number;
    store->sparse_count++;
}

static void unlink_sparse(struct span_store *store, uint32_t number)
{
    struct chunk *chunk = &store->chunks[number];

    if (chunk->prev != SPAN_NONE) {
        store->chunks[chunk->prev].next = chunk->next;
    } else {
        store->sparse_first = chunk->next;
    }
    if (chunk->next != SPAN_NONE) {
        store->chunks[chunk->next].prev = chunk->prev;
    } else {
        store->sparse_last = chunk->prev;
    }
    chunk->sparse = false;
    store->sparse_count--;
}

/* After a chunk lost a span, or stopped being the current one. */
static void settle_chunk(struct span_store *store, uint32_t number)
{
    struct chunk *chunk = &store->chunks[number];

    if (number == store->current) {
        if (chunk->live == 0) {
            chunk->used = 0;
        }
    } else if (chunk->live == 0) {
        if (chunk->sparse) {
            unlink_sparse(store, number);
        }
        keep_or_free(store, chunk);
        *chunk = (struct chunk){.next = store->free_number};
        store->free_number = number;
        store->chunk_count--;
    } else if (!chunk->sparse && chunk->live < chunk->cap / SPARSE_PART) {
        link_sparse(store, number);
    }
}

/* Room for one record: where it stands and its reference. */
static struct span_record *take_room(struct span_store *store, size_t bytes, uint32_t *ref)
{
    uint32_t number = store->current;

    if (bytes > store->chunk_bytes / 4) {
        number = new_chunk(store, bytes);
    } else if (number == SPAN_NONE ||
               store->chunks[number].cap - store->chunks[number].used < bytes) {
        store->current = new_chunk(store, store->chunk_bytes);
        if (number != SPAN_NONE) {
            settle_chunk(store, number);
        }
        number = store->current;
    }
    struct chunk *chunk = &store->chunks[number];
    *ref = number << SPAN_OFFSET_BITS | (uint32_t)(chunk->used / SPAN_UNIT);
    void *room = chunk->data + chunk->used;
    chunk->used += bytes;
    chunk->live += bytes;
    return room;
}

/* Whether the front of a span's bytes leads to what the decoder read from all of them. */
static bool is_in_front(const struct span *span)
{
    struct span_fields fields;

    span_scan_front(span->raw, &fields);
    return span_id_equal(&fields.span_id, &span->span_id) &&
           span_id_equal(&fields.parent_id, &span->parent_id) &&
           slice_equal(fields.name, span->name) &&
           (span->flags != 0 ||
            (fields.start_ns == span->start_ns &&
             (fields.end_ns == span->end_ns ||
              (fields.end_ns < fields.start_ns && span->end_ns == span->start_ns))));
}

uint32_t span_store_append(struct span_store *store, const struct span *span, uint32_t scope,
                           uint64_t lsn)
{
    uint32_t ref;
    struct span_record *record = take_room(store, record_bytes(span->flags, span->raw.len), &ref);
    uint8_t *at = (uint8_t *)(record + 1);

    assert(span->raw.len <= UINT32_MAX);
    *record = (struct span_record){
        .lsn = lsn,
        .next = SPAN_NONE,
        .prev = SPAN_NONE,
        .trace = SPAN_NONE,
        .scope = scope,
        .raw_len = (uint32_t)span->raw.len,
        .kind = span->kind,
        .status = span->status,
        .flags = span->flags,
        .in_front = is_in_front(span),
    };
    if (span->flags != 0) {
        struct span_times times = {.start_ns = span->start_ns, .end_ns = span->end_ns};
        memcpy(at, &times, sizeof(times));
        at += sizeof(times);
    }
    memcpy(at, span->raw.data, span->raw.len);
    return ref;
}

void span_store_release(struct span_store *store, uint32_t ref)
{
    struct span_record *record = span_at(store, ref);
    uint32_t number = ref >> SPAN_OFFSET_BITS;

    record->trace = SPAN_NONE;
    store->chunks[number].live -= record_bytes(record->flags, record->raw_len);
    settle_chunk(store, number);
}

uint32_t span_store_sparse(const struct span_store *store, bool all)
{
    uint32_t kept = store->chunk_count / SPARSE_KEPT_PART;

    if (kept > SPARSE_KEPT_MAX) {
        kept = SPARSE_KEPT_MAX;
    }
    return store->sparse_count > (all ? 0 : kept) ? store->sparse_first : SPAN_NONE;
}

uint32_t span_store_walk(const struct span_store *store, uint32_t number, size_t *at)
{
    const struct chunk *chunk = &store->chunks[number];

    while (chunk->data != NULL && *at < chunk->used) {
        uint32_t ref = number << SPAN_OFFSET_BITS | (uint32_t)(*at / SPAN_UNIT);
        const struct span_record *record = span_at(store, ref);
        *at += record_bytes(record->flags, record->raw_len);
        if (record->trace != SPAN_NONE) {
            return ref;
        }
    }
    return SPAN_NONE;
}

uint32_t span_store_move(struct span_store *store, uint32_t ref)
{
    const struct span_record *record = span_at(store, ref);
    size_t bytes = record_bytes(record->flags, record->raw_len);
    uint32_t moved;

    assert(ref >> SPAN_OFFSET_BITS != store->current);
    memcpy(take_room(store, bytes, &moved), record, bytes);
    span_store_release(store, ref);
    return moved;
}

void span_store_trim(struct span_store *store, uint32_t keep)
{
    while (store->pool_count > keep) {
        free(store->pool[--store->pool_count]);
        account_give(store->account, store->chunk_bytes);
    }
}
