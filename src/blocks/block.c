/*
 * block.c - blocks in memory: counting references, reading spans, collecting a trace.
 *
 * A block does not change after it was made, so everything here may run on any thread.
 */
#include "memory.h"

#include <assert.h>
#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <spangate/otlp/pb.h>
#include <stdlib.h>

struct block *block_new(struct budget *budget)
{
    struct block_memory *memory = mem_zalloc(1, sizeof(*memory));

    memory->budget = budget;
    arena_init(&memory->bytes);
    memory->block.memory = memory;
    atomic_init(&memory->block.refs, 1);
    return &memory->block;
}

void block_charge(struct block *block, size_t bytes)
{
    struct block_memory *memory = block->memory;

    assert(memory->charged == 0);
    memory->charged = bytes;
    if (memory->budget != NULL) {
        budget_charge(memory->budget, bytes);
    }
}

size_t block_bytes(const struct block *block)
{
    return block->memory->charged;
}

struct block *block_ref(const struct block *block)
{
    struct block *same = &block->memory->block;

    atomic_fetch_add_explicit(&same->refs, 1, memory_order_relaxed);
    return same;
}

void block_unref(struct block *block)
{
    if (block == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1) {
        return;
    }
    struct block_memory *memory = block->memory;
    for (size_t i = 0; i < BLOCK_PARTS; i++) {
        free(memory->parts[i]);
    }
    arena_deinit(&memory->bytes);
    if (memory->budget != NULL) {
        budget_release(memory->budget, memory->charged);
    }
    free(memory);
}

enum { SPAN_FIELD_SPAN_ID = 2, SPAN_FIELD_PARENT_SPAN_ID = 4 };

/*
 * Both ids stand in the span's own bytes; a table of them would not compress. In protobuf the last
 * occurrence of a field counts, so the walk goes to the end.
 */
static void read_ids(struct slice raw, struct span *out)
{
    struct pb_reader reader = pb_over(raw);
    struct pb_field field;
    struct error ignored;

    while (pb_next(&reader, &field, &ignored) == PB_FIELD) {
        if (field.wire != PB_BYTES) {
            continue;
        }
        if (field.number == SPAN_FIELD_SPAN_ID && field.bytes.len == sizeof(out->span_id.bytes)) {
            memcpy(out->span_id.bytes, field.bytes.data, sizeof(out->span_id.bytes));
        } else if (field.number == SPAN_FIELD_PARENT_SPAN_ID) {
            if (field.bytes.len == sizeof(out->parent_id.bytes)) {
                memcpy(out->parent_id.bytes, field.bytes.data, sizeof(out->parent_id.bytes));
            } else if (field.bytes.len == 0) {
                memset(&out->parent_id, 0, sizeof(out->parent_id));
            }
        }
    }
}

void block_span_read(const struct block *block, const struct block_trace *trace,
                     const struct block_span *from, struct span *out)
{
    *out = (struct span){
        .trace_id = trace->trace_id,
        .start_ns = from->start_ns,
        .end_ns = from->start_ns + from->duration_ns,
        .name = block->strings[from->name],
        .raw = block_span_raw(block, from),
        .scope = from->scope,
        .kind = from->kind,
        .status = from->status,
        .flags = from->flags,
    };
    read_ids(out->raw, out);
}

static void view_trace(const struct block *block, const struct block_trace *trace,
                       struct trace_view *view)
{
    for (uint32_t i = 0; i < trace->span_count; i++) {
        const struct block_span *stored = &block->spans[trace->span_first + i];
        const struct block_scope *scope = &block->scopes[stored->scope];
        const struct block_resource *resource = &block->resources[scope->resource];
        struct span span;

        block_span_read(block, trace, stored, &span);
        trace_view_add(view, &span, resource->envelope, scope->envelope,
                       block->strings[resource->service], hash_stable(span.raw.data, span.raw.len));
    }
    if (trace->revision >= view->revision) {
        view->revision = trace->revision;
        view->reason = (enum trace_reason)trace->reason;
    }
}

bool block_view(const struct block *block, const struct trace_id *id, struct trace_view *view)
{
    bool found = false;

    for (uint32_t i = 0; i < block->trace_count; i++) {
        const struct block_trace *trace = &block->traces[i];
        if (trace_id_equal(&trace->trace_id, id)) {
            view_trace(block, trace, view);
            found = true;
        }
    }
    return found;
}
