/*
 * builder.c - collects finished traces into a block. Trace thread.
 *
 * The tables grow in the form they have in a block, so sealing hands them over without a copy. Each
 * span costs one copy of its bytes and one row; names, scopes and resources are looked up in
 * dictionaries that live as long as the block is open. Blocks tend to resemble each other: the
 * next one starts with the room that the last one needed.
 */
#include "memory.h"

#include <assert.h>
#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

/* Open addressing; the bytes are compared by whoever asks. */
struct dict_slot {
    uint64_t hash;
    uint32_t item; /* index + 1; 0: free */
    uint32_t unused;
};

struct dict {
    struct dict_slot *slots;
    size_t cap; /* power of two */
    size_t count;
};

/*
 * Envelope hashes are not seeded, so somebody may send many envelopes with the same one. After so
 * many comparisons an envelope is simply stored once more.
 */
enum { DICT_COMPARE_MAX = 16, DICT_CAP_MIN = 64, DICT_CAP_KEPT = 8192 };

/* Pairs of (resource, scope) seen within the trace being added, found by their addresses. */
enum { RECENT_SCOPES = 8 };

struct recent_scope {
    struct slice resource, envelope;
    uint32_t scope;
    bool used;
};

struct block_builder {
    struct budget *budget;
    size_t charged;

    struct block_trace *traces;
    size_t trace_count, trace_cap;
    struct block_span *spans;
    size_t span_count, span_cap;
    struct slice *strings;
    size_t string_count, string_cap;
    struct block_scope *scopes;
    size_t scope_count, scope_cap;
    struct block_resource *resources;
    size_t resource_count, resource_cap;
    uint8_t *raw;
    size_t raw_len, raw_cap;
    uint64_t *lsns;
    size_t lsn_count, lsn_cap;
    struct arena bytes;

    struct dict string_dict, scope_dict, resource_dict;
    uint64_t lsn_max, start_ns_min, start_ns_max;
    size_t raw_hint, span_hint; /* what the last block needed */
    struct block peek;          /* block_builder_peek() hands it out; no reference counts it */
};

static void dict_grow(struct dict *dict)
{
    size_t cap = dict->cap == 0 ? DICT_CAP_MIN : dict->cap * 2;
    struct dict_slot *slots = mem_zalloc(cap, sizeof(*slots));

    for (size_t i = 0; i < dict->cap; i++) {
        if (dict->slots[i].item != 0) {
            size_t at = dict->slots[i].hash & (cap - 1);
            while (slots[at].item != 0) {
                at = (at + 1) & (cap - 1);
            }
            slots[at] = dict->slots[i];
        }
    }
    free(dict->slots);
    dict->slots = slots;
    dict->cap = cap;
}

static void dict_put(struct dict *dict, uint64_t hash, size_t item)
{
    if (dict->count * 2 >= dict->cap) {
        dict_grow(dict);
    }
    size_t at = hash & (dict->cap - 1);
    while (dict->slots[at].item != 0) {
        at = (at + 1) & (dict->cap - 1);
    }
    dict->slots[at] = (struct dict_slot){.hash = hash, .item = (uint32_t)item + 1};
    dict->count++;
}

static void dict_clear(struct dict *dict)
{
    if (dict->cap > DICT_CAP_KEPT) {
        free(dict->slots);
        *dict = (struct dict){0};
    } else if (dict->count > 0) {
        memset(dict->slots, 0, dict->cap * sizeof(*dict->slots));
        dict->count = 0;
    }
}

static void *grown(void *array, size_t *cap, size_t need, size_t item_size, size_t cap_min)
{
    if (need <= *cap) {
        return array;
    }
    size_t next = *cap < cap_min ? cap_min : *cap * 2;
    while (next < need) {
        next *= 2;
    }
    *cap = next;
    return mem_realloc(array, next * item_size);
}

static uint32_t string_index(struct block_builder *b, struct slice text)
{
    uint64_t hash = hash_bytes(text.data, text.len);
    const struct dict *dict = &b->string_dict;

    if (dict->cap > 0) {
        for (size_t at = hash & (dict->cap - 1); dict->slots[at].item != 0;
             at = (at + 1) & (dict->cap - 1)) {
            if (dict->slots[at].hash == hash &&
                slice_equal(b->strings[dict->slots[at].item - 1], text)) {
                return dict->slots[at].item - 1;
            }
        }
    }
    b->strings = grown(b->strings, &b->string_cap, b->string_count + 1, sizeof(*b->strings), 64);
    b->strings[b->string_count] = arena_copy(&b->bytes, text);
    dict_put(&b->string_dict, hash, b->string_count);
    return (uint32_t)b->string_count++;
}

static uint32_t resource_index(struct block_builder *b, const struct finished_span *span)
{
    const struct dict *dict = &b->resource_dict;
    uint64_t hash = span->resource_hash;
    unsigned compared = 0;

    if (dict->cap > 0) {
        for (size_t at = hash & (dict->cap - 1);
             dict->slots[at].item != 0 && compared < DICT_COMPARE_MAX;
             at = (at + 1) & (dict->cap - 1)) {
            if (dict->slots[at].hash != hash) {
                continue;
            }
            compared++;
            if (slice_equal(b->resources[dict->slots[at].item - 1].envelope, span->resource)) {
                return dict->slots[at].item - 1;
            }
        }
    }
    b->resources =
        grown(b->resources, &b->resource_cap, b->resource_count + 1, sizeof(*b->resources), 16);
    b->resources[b->resource_count] = (struct block_resource){
        .service = string_index(b, span->service),
        .envelope = arena_copy(&b->bytes, span->resource),
    };
    if (compared < DICT_COMPARE_MAX) {
        dict_put(&b->resource_dict, hash, b->resource_count);
    }
    return (uint32_t)b->resource_count++;
}

static uint32_t scope_index(struct block_builder *b, const struct finished_span *span)
{
    uint32_t resource = resource_index(b, span);
    const struct dict *dict = &b->scope_dict;
    uint64_t hash = hash_mix(span->scope_hash, resource);
    unsigned compared = 0;

    if (dict->cap > 0) {
        for (size_t at = hash & (dict->cap - 1);
             dict->slots[at].item != 0 && compared < DICT_COMPARE_MAX;
             at = (at + 1) & (dict->cap - 1)) {
            if (dict->slots[at].hash != hash) {
                continue;
            }
            compared++;
            const struct block_scope *scope = &b->scopes[dict->slots[at].item - 1];
            if (scope->resource == resource && slice_equal(scope->envelope, span->scope)) {
                return dict->slots[at].item - 1;
            }
        }
    }
    b->scopes = grown(b->scopes, &b->scope_cap, b->scope_count + 1, sizeof(*b->scopes), 16);
    b->scopes[b->scope_count] = (struct block_scope){
        .resource = resource,
        .envelope = arena_copy(&b->bytes, span->scope),
    };
    if (compared < DICT_COMPARE_MAX) {
        dict_put(&b->scope_dict, hash, b->scope_count);
    }
    return (uint32_t)b->scope_count++;
}

/* The same by the addresses of the envelopes: they are equal for equal ones within one trace. */
static uint32_t recent_index(struct block_builder *b, struct recent_scope *recent,
                             const struct finished_span *span)
{
    uintptr_t key = (uintptr_t)span->resource.data + (uintptr_t)span->scope.data;
    struct recent_scope *slot = &recent[(key >> 4) % RECENT_SCOPES];

    if (slot->used && slot->resource.data == span->resource.data &&
        slot->resource.len == span->resource.len && slot->envelope.data == span->scope.data &&
        slot->envelope.len == span->scope.len) {
        return slot->scope;
    }
    *slot = (struct recent_scope){
        .resource = span->resource,
        .envelope = span->scope,
        .scope = scope_index(b, span),
        .used = true,
    };
    return slot->scope;
}

struct block_builder *block_builder_new(struct budget *budget)
{
    struct block_builder *b = mem_zalloc(1, sizeof(*b));

    b->budget = budget;
    arena_init(&b->bytes);
    return b;
}

void block_builder_free(struct block_builder *b)
{
    if (b == NULL) {
        return;
    }
    free(b->traces);
    free(b->spans);
    free(b->strings);
    free(b->scopes);
    free(b->resources);
    free(b->raw);
    free(b->lsns);
    free(b->string_dict.slots);
    free(b->scope_dict.slots);
    free(b->resource_dict.slots);
    arena_deinit(&b->bytes);
    if (b->budget != NULL) {
        budget_release(b->budget, b->charged);
    }
    free(b);
}

static size_t table_bytes(const struct block_builder *b)
{
    return b->trace_cap * sizeof(*b->traces) + b->span_cap * sizeof(*b->spans) +
           b->string_cap * sizeof(*b->strings) + b->scope_cap * sizeof(*b->scopes) +
           b->resource_cap * sizeof(*b->resources) + b->raw_cap + b->bytes.reserved;
}

static void update_charge(struct block_builder *b)
{
    size_t now =
        table_bytes(b) + b->lsn_cap * sizeof(*b->lsns) +
        (b->string_dict.cap + b->scope_dict.cap + b->resource_dict.cap) * sizeof(struct dict_slot);

    if (b->budget == NULL) {
        return;
    }
    if (now > b->charged) {
        budget_charge(b->budget, now - b->charged);
    } else {
        budget_release(b->budget, b->charged - now);
    }
    b->charged = now;
}

static void reserve(struct block_builder *b, const struct finished_trace *trace, size_t raw_bytes)
{
    b->traces = grown(b->traces, &b->trace_cap, b->trace_count + 1, sizeof(*b->traces), 64);
    b->spans = grown(b->spans, &b->span_cap, b->span_count + trace->span_count, sizeof(*b->spans),
                     b->span_hint < 64 ? 64 : b->span_hint);
    b->lsns = grown(b->lsns, &b->lsn_cap, b->lsn_count + trace->span_count, sizeof(*b->lsns),
                    b->span_hint < 64 ? 64 : b->span_hint);
    assert(raw_bytes <= UINT32_MAX - b->raw_len);
    b->raw = grown(b->raw, &b->raw_cap, b->raw_len + raw_bytes, 1,
                   b->raw_hint < 4096 ? 4096 : b->raw_hint);
}

static void append_span(struct block_builder *b, struct block_trace *row,
                        const struct finished_span *from, uint32_t scope)
{
    const struct span *span = &from->span;

    if (row->root == UINT32_MAX && span_is_root(span)) {
        row->root = (uint32_t)b->span_count;
    }
    row->error_count += span->status == SPAN_STATUS_ERROR;
    if (span->start_ns < row->start_ns) {
        row->start_ns = span->start_ns;
    }
    if (span->end_ns > row->end_ns) {
        row->end_ns = span->end_ns;
    }
    if (from->lsn > b->lsn_max) {
        b->lsn_max = from->lsn;
    }
    if (span->start_ns > b->start_ns_max) {
        b->start_ns_max = span->start_ns;
    }
    b->spans[b->span_count++] = (struct block_span){
        .start_ns = span->start_ns,
        .duration_ns = span->end_ns > span->start_ns ? span->end_ns - span->start_ns : 0,
        .raw_at = (uint32_t)b->raw_len,
        .raw_len = (uint32_t)span->raw.len,
        .name = string_index(b, span->name),
        .scope = scope,
        .kind = span->kind,
        .status = span->status,
        .flags = span->flags,
    };
    if (span->raw.len > 0) {
        memcpy(b->raw + b->raw_len, span->raw.data, span->raw.len);
        b->raw_len += span->raw.len;
    }
}

void block_builder_add(struct block_builder *b, const struct finished_trace *trace,
                       const bool *skip)
{
    struct recent_scope recent[RECENT_SCOPES] = {0};
    struct block_trace row = {
        .trace_id = trace->trace_id,
        .revision = trace->revision,
        .reason = (uint8_t)trace->reason,
        .route = trace->route,
        .span_first = (uint32_t)b->span_count,
        .root = UINT32_MAX,
        .start_ns = UINT64_MAX,
    };
    size_t raw_bytes = 0;

    for (size_t i = 0; i < trace->span_count; i++) {
        raw_bytes += skip != NULL && skip[i] ? 0 : trace->spans[i].span.raw.len;
    }
    reserve(b, trace, raw_bytes);
    if (b->span_count == 0) {
        b->start_ns_min = UINT64_MAX;
    }
    for (size_t i = 0; i < trace->span_count; i++) {
        const struct finished_span *span = &trace->spans[i];
        b->lsns[b->lsn_count++] = span->lsn;
        if (skip == NULL || !skip[i]) {
            append_span(b, &row, span, recent_index(b, recent, span));
        }
    }
    row.span_count = (uint32_t)b->span_count - row.span_first;
    if (row.span_count > 0) {
        b->traces[b->trace_count++] = row;
        if (row.start_ns < b->start_ns_min) {
            b->start_ns_min = row.start_ns;
        }
    }
    update_charge(b);
}

size_t block_builder_bytes(const struct block_builder *b)
{
    return b->raw_len;
}

size_t block_builder_spans(const struct block_builder *b)
{
    return b->span_count;
}

size_t block_builder_traces(const struct block_builder *b)
{
    return b->trace_count;
}

size_t block_builder_lsns(const struct block_builder *b)
{
    return b->lsn_count;
}

static void set_tables(struct block *block, const struct block_builder *b)
{
    block->lsn_max = b->lsn_max;
    block->start_ns_min = b->span_count > 0 ? b->start_ns_min : 0;
    block->start_ns_max = b->start_ns_max;
    block->traces = b->traces;
    block->trace_count = (uint32_t)b->trace_count;
    block->spans = b->spans;
    block->span_count = (uint32_t)b->span_count;
    block->strings = b->strings;
    block->string_count = (uint32_t)b->string_count;
    block->scopes = b->scopes;
    block->scope_count = (uint32_t)b->scope_count;
    block->resources = b->resources;
    block->resource_count = (uint32_t)b->resource_count;
    block->raw = (struct slice){b->raw, b->raw_len};
}

bool block_builder_view(const struct block_builder *b, const struct trace_id *id,
                        struct trace_view *view)
{
    struct block open = {0};

    set_tables(&open, b);
    return block_view(&open, id, view);
}

const struct block *block_builder_peek(struct block_builder *b)
{
    if (b->span_count == 0) {
        return NULL;
    }
    set_tables(&b->peek, b);
    return &b->peek;
}

static void *fitted(void *array, size_t *cap, size_t count, size_t item_size)
{
    if (count == *cap || count == 0) {
        return array;
    }
    *cap = count;
    return mem_realloc(array, count * item_size);
}

static void fit_tables(struct block_builder *b)
{
    b->traces = fitted(b->traces, &b->trace_cap, b->trace_count, sizeof(*b->traces));
    b->spans = fitted(b->spans, &b->span_cap, b->span_count, sizeof(*b->spans));
    b->strings = fitted(b->strings, &b->string_cap, b->string_count, sizeof(*b->strings));
    b->scopes = fitted(b->scopes, &b->scope_cap, b->scope_count, sizeof(*b->scopes));
    b->resources = fitted(b->resources, &b->resource_cap, b->resource_count, sizeof(*b->resources));
    b->raw = fitted(b->raw, &b->raw_cap, b->raw_len, 1);
}

struct block *block_builder_seal(struct block_builder *b, uint64_t sealed_ns, uint64_t **lsns,
                                 size_t *lsn_count)
{
    struct block *block = block_new(b->budget);
    struct block_memory *memory = block->memory;

    fit_tables(b);
    set_tables(block, b);
    block->sealed_ns = sealed_ns;
    memory->parts[0] = b->traces;
    memory->parts[1] = b->spans;
    memory->parts[2] = b->strings;
    memory->parts[3] = b->scopes;
    memory->parts[4] = b->resources;
    memory->parts[5] = b->raw;
    memory->bytes = b->bytes;
    block_charge(block, table_bytes(b));
    *lsns = b->lsns;
    *lsn_count = b->lsn_count;

    struct block_builder next = {
        .budget = b->budget,
        .charged = b->charged,
        .string_dict = b->string_dict,
        .scope_dict = b->scope_dict,
        .resource_dict = b->resource_dict,
        .raw_hint = b->raw_len + b->raw_len / 8,
        .span_hint = b->span_count + b->span_count / 8,
    };
    arena_init(&next.bytes);
    dict_clear(&next.string_dict);
    dict_clear(&next.scope_dict);
    dict_clear(&next.resource_dict);
    *b = next;
    update_charge(b);
    return block;
}
