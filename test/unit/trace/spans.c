/* spans.c - see spans.h. */
#include "spans.h"

#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <spangate/otlp/pb.h>
#include <stdlib.h>

static void put_number(uint8_t *at, uint64_t number)
{
    for (int i = 0; i < 8; i++) {
        at[i] = (uint8_t)(number >> (8 * (7 - i)));
    }
}

static uint64_t get_number(const uint8_t *at)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++) {
        number = number << 8 | at[i];
    }
    return number;
}

struct trace_id trace_id_of(uint64_t number)
{
    struct trace_id id = {{0x77}};
    put_number(id.bytes + 8, number);
    return id;
}

struct span_id span_id_of(uint64_t number)
{
    struct span_id id;
    put_number(id.bytes, number);
    return id;
}

uint64_t trace_number(const struct trace_id *id)
{
    return get_number(id->bytes + 8);
}

uint64_t span_number(const struct span_id *id)
{
    return get_number(id->bytes);
}

struct spans *spans_new(void)
{
    struct spans *spans = mem_zalloc(1, sizeof(*spans));
    arena_init(&spans->batch.arena);
    spans->batch.received_ns = SPANS_RECEIVED_NS;
    spans_service(spans, "shop");
    return spans;
}

void spans_free(struct spans *spans)
{
    free(spans->batch.spans);
    free(spans->batch.scopes);
    free(spans->batch.resources);
    arena_deinit(&spans->batch.arena);
    free(spans);
}

void spans_clear(struct spans *spans)
{
    spans->batch.span_count = 0;
    spans->batch.scope_count = 0;
    spans->batch.resource_count = 0;
    arena_reset(&spans->batch.arena);
    spans_service(spans, "shop");
}

static struct slice keep(struct spans *spans, struct strbuf *bytes)
{
    struct slice kept = arena_copy(&spans->batch.arena, strbuf_slice(bytes));
    strbuf_deinit(bytes);
    return kept;
}

void spans_service(struct spans *spans, const char *service)
{
    struct span_batch *batch = &spans->batch;
    struct strbuf out;

    if (batch->resource_count == spans->service_cap) {
        spans->service_cap = spans->service_cap == 0 ? 4 : spans->service_cap * 2;
        batch->resources =
            mem_realloc(batch->resources, spans->service_cap * sizeof(*batch->resources));
        batch->scopes = mem_realloc(batch->scopes, spans->service_cap * sizeof(*batch->scopes));
    }
    struct batch_resource *resource = &batch->resources[batch->resource_count];
    strbuf_init(&out, 4096);
    strbuf_append_text(&out, "resource envelope of ");
    strbuf_append_text(&out, service);
    resource->envelope = keep(spans, &out);
    resource->service = arena_copy(&batch->arena, slice_of(service));
    resource->hash = hash_stable(resource->envelope.data, resource->envelope.len);

    struct batch_scope *scope = &batch->scopes[batch->scope_count++];
    scope->resource = (uint32_t)batch->resource_count++;
    scope->envelope = arena_copy(&batch->arena, slice_of("scope envelope"));
    scope->hash = hash_stable(scope->envelope.data, scope->envelope.len);
}

static void put_ids(struct strbuf *out, const struct span *span)
{
    pb_put_bytes(out, 1, (struct slice){span->trace_id.bytes, 16});
    pb_put_bytes(out, 2, (struct slice){span->span_id.bytes, 8});
    if (!span_is_root(span)) {
        pb_put_bytes(out, 4, (struct slice){span->parent_id.bytes, 8});
    }
}

static void put_times(struct strbuf *out, const struct span_spec *spec)
{
    if (spec->start_ns != 0) {
        pb_put_fixed64(out, 7, spec->start_ns);
    }
    if (spec->end_ns != 0) {
        pb_put_fixed64(out, 8, spec->end_ns);
    }
}

static void put_padding(struct strbuf *out, size_t padding)
{
    if (padding > 0) {
        uint8_t *bytes = mem_zalloc(padding, 1);
        size_t attribute = pb_begin(out, 9);
        pb_put_bytes(out, 1, slice_of("padding"));
        size_t value = pb_begin(out, 2);
        pb_put_bytes(out, 7, (struct slice){bytes, padding});
        pb_end(out, value);
        pb_end(out, attribute);
        free(bytes);
    }
}

void spans_put(struct spans *spans, const struct span_spec *spec)
{
    struct span_batch *batch = &spans->batch;
    const char *name = spec->name == NULL ? "work" : spec->name;
    struct strbuf out;

    if (batch->span_count == spans->span_cap) {
        spans->span_cap = spans->span_cap == 0 ? 16 : spans->span_cap * 2;
        batch->spans = mem_realloc(batch->spans, spans->span_cap * sizeof(*batch->spans));
    }
    struct span *span = &batch->spans[batch->span_count++];
    *span = (struct span){
        .trace_id = trace_id_of(spec->trace),
        .span_id = span_id_of(spec->id),
        .parent_id = span_id_of(spec->parent),
        .start_ns = spec->start_ns == 0 ? SPANS_RECEIVED_NS : spec->start_ns,
        .end_ns = spec->end_ns,
        .scope = (uint32_t)(batch->scope_count - 1),
        .kind = spec->kind,
        .status = spec->status,
        .flags = spec->start_ns == 0 || spec->end_ns == 0 ? SPAN_INCOMPLETE : 0,
    };
    if (span->flags != 0 || span->end_ns < span->start_ns) {
        span->end_ns = span->start_ns;
    }
    strbuf_init(&out, (size_t)1 << 30);
    if (spec->backwards) {
        put_padding(&out, spec->padding);
        put_times(&out, spec);
        pb_put_bytes(&out, 5, slice_of(name));
        put_ids(&out, span);
    } else {
        put_ids(&out, span);
        pb_put_bytes(&out, 5, slice_of(name));
        put_times(&out, spec);
        put_padding(&out, spec->padding);
    }
    strbuf_append_slice(&out, spec->more);
    span->raw = keep(spans, &out);
    span->name =
        (struct slice){memmem(span->raw.data, span->raw.len, name, strlen(name)), strlen(name)};
}

void spans_add(struct spans *spans, uint64_t trace, uint64_t id, uint64_t parent)
{
    spans_put(spans, &(struct span_spec){.trace = trace,
                                         .id = id,
                                         .parent = parent,
                                         .start_ns = 1000000 * id + 1,
                                         .end_ns = 1000000 * (id + 1)});
}
