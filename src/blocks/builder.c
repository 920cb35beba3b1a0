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

static uint32_t string_index(struct block_builder *builder, struct slice text)
{
    uint64_t hash = hash_bytes(text.data, text.len);
    const struct dict *dict = &builder->string_dict;

    if (dict->cap > 0) {
        for (size_t at = hash & (dict->cap - 1); dict->slots[at].item != 0;
             at = (at + 1) & (dict->cap - 1)) {
            if (dict->slots[at].hash == hash &&
                slice_equal(builder->strings[dict->slots[at].item - 1], text)) {
                return dict->slots[at].item - 1;
            }
        }
    }
    builder->strings = grown(builder->strings, &builder->string_cap, builder->string_count + 1,
                             sizeof(*builder->strings), 64);
    builder->strings[builder->string_count] = arena_copy(&builder->bytes, text);
    dict_put(&builder->string_dict, hash, builder->string_count);
    return (uint32_t)builder->string_count++;
}

static uint32_t resource_index(struct block_builder *builder, const struct finished_span *span)
{
    const struct dict *dict = &builder->resource_dict;
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
            if (slice_equal(builder->resources[dict->slots[at].item - 1].envelope,
                            span->resource)) {
                return dict->slots[at].item - 1;
            }
        }
    }
    builder->resources = grown(builder->resources, &builder->resource_cap,
                               builder->resource_count + 1, sizeof(*builder->resources), 16);
    builder->resources[builder->resource_count] = (struct block_resource){
        .service = string_index(builder, span->service),
        .envelope = arena_copy(&builder->bytes, span->resource),
    };
    if (compared < DICT_COMPARE_MAX) {
        dict_put(&builder->resource_dict, hash, builder->resource_count);
    }
    return (uint32_t)builder->resource_count++;
}

static uint32_t scope_index(struct block_builder *builder, const struct finished_span *span)
{
    uint32_t resource = resource_index(builder, span);
    const struct dict *dict = &builder->scope_dict;
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
            const struct block_scope *scope = &builder->scopes[dict->slots[at].item - 1];
            if (scope->resource == resource && slice_equal(scope->envelope, span->scope)) {
                return dict->slots[at].item - 1;
            }
        }
    }
    builder->scopes = grown(builder->scopes, &builder->scope_cap, builder->scope_count + 1,
                            sizeof(*builder->scopes), 16);
    builder->scopes[builder->scope_count] = (struct block_scope){
        .resource = resource,
        .envelope = arena_copy(&builder->bytes, span->scope),
    };
    if (compared < DICT_COMPARE_MAX) {
        dict_put(&builder->scope_dict, hash, builder->scope_count);
    }
    return (uint32_t)builder->scope_count++;
}

/* The same by the addresses of the envelopes: they are equal for equal ones within one trace. */
static uint32_t recent_index(struct block_builder *builder, struct recent_scope *recent,
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
        .scope = scope_index(builder, span),
        .used = true,
    };
    return slot->scope;
}

struct block_builder *block_builder_new(struct budget *budget)
{
    struct block_builder *builder = mem_zalloc(1, sizeof(*builder));

    builder->budget = budget;
    arena_init(&builder->bytes);
    return builder;
}

void block_builder_free(struct block_builder *builder)
{
    if (builder == NULL) {
        return;
    }
    free(builder->traces);
    free(builder->spans);
    free(builder->strings);
    free(builder->scopes);
    free(builder->resources);
    free(builder->raw);
    free(builder->lsns);
    free(builder->string_dict.slots);
    free(builder->scope_dict.slots);
    free(builder->resource_dict.slots);
    arena_deinit(&builder->bytes);
    if (builder->budget != NULL) {
        budget_release(builder->budget, builder->charged);
    }
    free(builder);
}

static size_t table_bytes(const struct block_builder *builder)
{
    return builder->trace_cap * sizeof(*builder->traces) +
           builder->span_cap * sizeof(*builder->spans) +
           builder->string_cap * sizeof(*builder->strings) +
           builder->scope_cap * sizeof(*builder->scopes) +
           builder->resource_cap * sizeof(*builder->resources) + builder->raw_cap +
           builder->bytes.reserved;
}

static void update_charge(struct block_builder *builder)
{
    size_t now = table_bytes(builder) + builder->lsn_cap * sizeof(*builder->lsns) +
                 (builder->string_dict.cap + builder->scope_dict.cap + builder->resource_dict.cap) *
                     sizeof(struct dict_slot);

    if (builder->budget == NULL) {
        return;
    }
    if (now > builder->charged) {
        budget_charge(builder->budget, now - builder->charged);
    } else {
        budget_release(builder->budget, builder->charged - now);
    }
    builder->charged = now;
}

static void reserve(struct block_builder *builder, const struct finished_trace *trace,
                    size_t raw_bytes)
{
    builder->traces = grown(builder->traces, &builder->trace_cap, builder->trace_count + 1,
                            sizeof(*builder->traces), 64);
    builder->spans =
        grown(builder->spans, &builder->span_cap, builder->span_count + trace->span_count,
              sizeof(*builder->spans), builder->span_hint < 64 ? 64 : builder->span_hint);
    builder->lsns =
        grown(builder->lsns, &builder->lsn_cap, builder->lsn_count + trace->span_count,
              sizeof(*builder->lsns), builder->span_hint < 64 ? 64 : builder->span_hint);
    assert(raw_bytes <= UINT32_MAX - builder->raw_len);
    builder->raw = grown(builder->raw, &builder->raw_cap, builder->raw_len + raw_bytes, 1,
                         builder->raw_hint < 4096 ? 4096 : builder->raw_hint);
}

static void append_span(struct block_builder *builder, struct block_trace *row,
                        const struct finished_span *from, uint32_t scope)
{
    const struct span *span = &from->span;

    if (row->root == UINT32_MAX && span_is_root(span)) {
        row->root = (uint32_t)builder->span_count;
    }
    row->error_count += span->status == SPAN_STATUS_ERROR;
    if (span->start_ns < row->start_ns) {
        row->start_ns = span->start_ns;
    }
    if (span->end_ns > row->end_ns) {
        row->end_ns = span->end_ns;
    }
    if (from->lsn > builder->lsn_max) {
        builder->lsn_max = from->lsn;
    }
    if (span->start_ns > builder->start_ns_max) {
        builder->start_ns_max = span->start_ns;
    }
    builder->spans[builder->span_count++] = (struct block_span){
        .start_ns = span->start_ns,
        .duration_ns = span->end_ns > span->start_ns ? span->end_ns - span->start_ns : 0,
        .raw_at = (uint32_t)builder->raw_len,
        .raw_len = (uint32_t)span->raw.len,
        .name = string_index(builder, span->name),
        .scope = scope,
        .kind = span->kind,
        .status = span->status,
        .flags = span->flags,
    };
    if (span->raw.len > 0) {
        memcpy(builder->raw + builder->raw_len, span->raw.data, span->raw.len);
        builder->raw_len += span->raw.len;
    }
}

void block_builder_add(struct block_builder *builder, const struct finished_trace *trace,
                       const bool *skip)
{
    struct recent_scope recent[RECENT_SCOPES] = {0};
    struct block_trace row = {
        .trace_id = trace->trace_id,
        .revision = trace->revision,
        .reason = (uint8_t)trace->reason,
        .route = trace->route,
        .span_first = (uint32_t)builder->span_count,
        .root = UINT32_MAX,
        .start_ns = UINT64_MAX,
    };
    size_t raw_bytes = 0;

    for (size_t i = 0; i < trace->span_count; i++) {
        raw_bytes += skip != NULL && skip[i] ? 0 : trace->spans[i].span.raw.len;
    }
    reserve(builder, trace, raw_bytes);
    if (builder->span_count == 0) {
        builder->start_ns_min = UINT64_MAX;
    }
    for (size_t i = 0; i < trace->span_count; i++) {
        const struct finished_span *span = &trace->spans[i];
        builder->lsns[builder->lsn_count++] = span->lsn;
        if (skip == NULL || !skip[i]) {
            append_span(builder, &row, span, recent_index(builder, recent, span));
        }
    }
    row.span_count = (uint32_t)builder->span_count - row.span_first;
    if (row.span_count > 0) {
        builder->traces[builder->trace_count++] = row;
        if (row.start_ns < builder->start_ns_min) {
            builder->start_ns_min = row.start_ns;
        }
    }
    update_charge(builder);
}

size_t block_builder_bytes(const struct block_builder *builder)
{
    return builder->raw_len;
}

size_t block_builder_spans(const struct block_builder *builder)
{
    return builder->span_count;
}

size_t block_builder_traces(const struct block_builder *builder)
{
    return builder->trace_count;
}

size_t block_builder_lsns(const struct block_builder *builder)
{
    return builder->lsn_count;
}

static void set_tables(struct block *block, const struct block_builder *builder)
{
    block->lsn_max = builder->lsn_max;
    block->start_ns_min = builder->span_count > 0 ? builder->start_ns_min : 0;
    block->start_ns_max = builder->start_ns_max;
    block->traces = builder->traces;
    block->trace_count = (uint32_t)builder->trace_count;
    block->spans = builder->spans;
    block->span_count = (uint32_t)builder->span_count;
    block->strings = builder->strings;
    block->string_count = (uint32_t)builder->string_count;
    block->scopes = builder->scopes;
    block->scope_count = (uint32_t)builder->scope_count;
    block->resources = builder->resources;
    block->resource_count = (uint32_t)builder->resource_count;
    block->raw = (struct slice){builder->raw, builder->raw_len};
}

bool block_builder_view(const struct block_builder *builder, const struct trace_id *id,
                        struct trace_view *view)
{
    struct block open = {0};

    set_tables(&open, builder);
    return block_view(&open, id, view);
}

const struct block *block_builder_peek(struct block_builder *builder)
{
    if (builder->span_count == 0) {
        return NULL;
    }
    set_tables(&builder->peek, builder);
    return &builder->peek;
}

static void *fitted(void *array, size_t *cap, size_t count, size_t item_size)
{
    if (count == *cap || count == 0) {
        return array;
    }
    *cap = count;
    return mem_realloc(array, count * item_size);
}

static void fit_tables(struct block_builder *builder)
{
    builder->traces = fitted(builder->traces, &builder->trace_cap, builder->trace_count,
                             sizeof(*builder->traces));
    builder->spans =
        fitted(builder->spans, &builder->span_cap, builder->span_count, sizeof(*builder->spans));
    builder->strings = fitted(builder->strings, &builder->string_cap, builder->string_count,
                              sizeof(*builder->strings));
    builder->scopes = fitted(builder->scopes, &builder->scope_cap, builder->scope_count,
                             sizeof(*builder->scopes));
    builder->resources = fitted(builder->resources, &builder->resource_cap, builder->resource_count,
                                sizeof(*builder->resources));
    builder->raw = fitted(builder->raw, &builder->raw_cap, builder->raw_len, 1);
}

struct block *block_builder_seal(struct block_builder *builder, uint64_t sealed_ns, uint64_t **lsns,
                                 size_t *lsn_count)
{
    struct block *block = block_new(builder->budget);
    struct block_memory *memory = block->memory;

    fit_tables(builder);
    set_tables(block, builder);
    block->sealed_ns = sealed_ns;
    memory->parts[0] = builder->traces;
    memory->parts[1] = builder->spans;
    memory->parts[2] = builder->strings;
    memory->parts[3] = builder->scopes;
    memory->parts[4] = builder->resources;
    memory->parts[5] = builder->raw;
    memory->bytes = builder->bytes;
    block_charge(block, table_bytes(builder));
    *lsns = builder->lsns;
    *lsn_count = builder->lsn_count;

    struct block_builder next = {
        .budget = builder->budget,
        .charged = builder->charged,
        .string_dict = builder->string_dict,
        .scope_dict = builder->scope_dict,
        .resource_dict = builder->resource_dict,
        .raw_hint = builder->raw_len + builder->raw_len / 8,
        .span_hint = builder->span_count + builder->span_count / 8,
    };
    arena_init(&next.bytes);
    dict_clear(&next.string_dict);
    dict_clear(&next.scope_dict);
    dict_clear(&next.resource_dict);
    *builder = next;
    update_charge(builder);
    return block;
}
