/*
 * block_sample.h - finished traces and blocks whose content follows from a number, for the tests
 * of the trace log and of what reads it.
 *
 * Trace n has id {n, n * golden ratio}, revision 1, and spans that differ in everything but what
 * usually repeats (services, scopes, names).
 */
#ifndef SPANGATE_TEST_BLOCK_SAMPLE_H
#define SPANGATE_TEST_BLOCK_SAMPLE_H

#include "unit.h"

#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <spangate/blocks/block.h>
#include <spangate/otlp/pb.h>

#define SAMPLE_START_NS UINT64_C(1763690400000000000) /* 2025-11-21T02:00:00Z */

enum { SAMPLE_SERVICES = 5, SAMPLE_NAMES = 20 };

static inline struct trace_id sample_id(uint64_t n)
{
    struct trace_id id;
    uint64_t words[2] = {n, n * UINT64_C(0x9e3779b97f4a7c15) + 1};

    memcpy(id.bytes, words, sizeof(id.bytes));
    return id;
}

static inline struct span_id sample_span_id(uint64_t n, size_t i)
{
    struct span_id id;
    uint64_t word = (n + 1) * UINT64_C(0xd6e8feb86659fd93) + i;

    memcpy(id.bytes, &word, sizeof(id.bytes));
    return id;
}

static inline struct slice sample_keep(struct arena *arena, struct strbuf *sb)
{
    struct slice kept = arena_copy(arena, strbuf_slice(sb));

    strbuf_clear(sb);
    return kept;
}

static inline struct slice sample_text(struct arena *arena, const char *fmt, unsigned long long a)
{
    char text[64];
    int n = snprintf(text, sizeof(text), fmt, a);

    return arena_copy(arena, (struct slice){(const uint8_t *)text, (size_t)n});
}

static inline void sample_raw(struct strbuf *out, const struct span *span)
{
    static const struct span_id none = {{0}};

    pb_put_bytes(out, 1, (struct slice){span->trace_id.bytes, sizeof(span->trace_id.bytes)});
    pb_put_bytes(out, 2, (struct slice){span->span_id.bytes, sizeof(span->span_id.bytes)});
    if (!span_id_equal(&span->parent_id, &none)) {
        pb_put_bytes(out, 4, (struct slice){span->parent_id.bytes, sizeof(span->parent_id.bytes)});
    }
    pb_put_bytes(out, 5, span->name);
    pb_put_uint(out, 6, span->kind);
    pb_put_fixed64(out, 7, span->start_ns);
    pb_put_fixed64(out, 8, span->end_ns);
}

/* Trace n with span_count spans; everything lies in the arena. lsn of its spans: n + 1. */
static inline struct finished_trace sample_trace(struct arena *arena, uint64_t n, size_t span_count)
{
    struct finished_span *spans = arena_alloc(arena, (span_count + 1) * sizeof(*spans));
    struct slice resources[SAMPLE_SERVICES];
    struct slice scopes[SAMPLE_SERVICES];
    struct slice services[SAMPLE_SERVICES];
    struct strbuf sb;

    strbuf_init(&sb, 1 << 20);
    for (size_t i = 0; i < SAMPLE_SERVICES; i++) {
        services[i] = sample_text(arena, "service-%llu", i);
        pb_put_bytes(&sb, 1, services[i]);
        resources[i] = sample_keep(arena, &sb);
        pb_put_bytes(&sb, 1, sample_text(arena, "scope-%llu", i % 2));
        scopes[i] = i == 4 ? (struct slice){0} : sample_keep(arena, &sb);
        strbuf_clear(&sb);
    }
    for (size_t i = 0; i < span_count; i++) {
        size_t service = (n + i) % SAMPLE_SERVICES;
        struct span span = {
            .trace_id = sample_id(n),
            .span_id = sample_span_id(n, i),
            .start_ns = SAMPLE_START_NS + n * 1000000 + i * 1000,
            .end_ns = SAMPLE_START_NS + n * 1000000 + i * 1000 + 12345 + n % 7,
            .name = sample_text(arena, "operation-%llu", (n + i) % SAMPLE_NAMES),
            .kind = (uint8_t)(i % 6),
            .status = (uint8_t)((n + i) % 11 == 0 ? SPAN_STATUS_ERROR : SPAN_STATUS_OK),
            .flags = (uint8_t)(n % 13 == 0 ? SPAN_INCOMPLETE : 0),
        };
        if (i > 0) {
            span.parent_id = sample_span_id(n, 0);
        }
        sample_raw(&sb, &span);
        span.raw = sample_keep(arena, &sb);
        spans[i] = (struct finished_span){
            .span = span,
            .resource = resources[service],
            .scope = scopes[service],
            .service = services[service],
            .resource_hash = hash_stable(resources[service].data, resources[service].len),
            .scope_hash = hash_stable(scopes[service].data, scopes[service].len),
            .raw_hash = hash_stable(span.raw.data, span.raw.len),
            .lsn = n + 1,
        };
    }
    strbuf_deinit(&sb);
    return (struct finished_trace){
        .trace_id = sample_id(n),
        .reason = TRACE_ROOT_QUIET,
        .revision = 1,
        .route = (uint32_t)(n % 3 + 1),
        .spans = spans,
        .span_count = span_count,
    };
}

/* A block of traces first … first + traces - 1. */
static inline struct block *sample_block(uint64_t first, size_t traces, size_t spans,
                                         uint64_t sealed_ns)
{
    struct block_builder *builder = block_builder_new(NULL);
    uint64_t *lsns = NULL;
    size_t lsn_count = 0;

    for (size_t i = 0; i < traces; i++) {
        struct arena arena;
        arena_init(&arena);
        struct finished_trace trace = sample_trace(&arena, first + i, spans);
        block_builder_add(builder, &trace, NULL);
        arena_deinit(&arena);
    }
    struct block *block = block_builder_seal(builder, sealed_ns, &lsns, &lsn_count);
    assert_int_equal(lsn_count, traces * spans);
    free(lsns);
    block_builder_free(builder);
    return block;
}

static inline void assert_slice_equal(struct slice a, struct slice b)
{
    assert_int_equal(a.len, b.len);
    if (a.len > 0) {
        assert_memory_equal(a.data, b.data, a.len);
    }
}

/* The view holds exactly the spans of that trace. */
static inline void assert_view_is(struct trace_view *view, const struct finished_trace *trace)
{
    trace_view_finish(view);
    assert_int_equal(view->span_count, trace->span_count);
    assert_int_equal(view->revision, trace->revision);
    assert_int_equal(view->reason, trace->reason);
    for (size_t i = 0; i < trace->span_count; i++) {
        const struct view_span *got = &view->spans[i];
        const struct finished_span *want = &trace->spans[i];
        assert_memory_equal(&got->span.trace_id, &want->span.trace_id, sizeof(struct trace_id));
        assert_memory_equal(&got->span.span_id, &want->span.span_id, sizeof(struct span_id));
        assert_memory_equal(&got->span.parent_id, &want->span.parent_id, sizeof(struct span_id));
        assert_int_equal(got->span.start_ns, want->span.start_ns);
        assert_int_equal(got->span.end_ns, want->span.end_ns);
        assert_int_equal(got->span.kind, want->span.kind);
        assert_int_equal(got->span.status, want->span.status);
        assert_int_equal(got->span.flags, want->span.flags);
        assert_int_equal(got->raw_hash, want->raw_hash);
        assert_slice_equal(got->span.name, want->span.name);
        assert_slice_equal(got->span.raw, want->span.raw);
        assert_slice_equal(got->resource, want->resource);
        assert_slice_equal(got->scope, want->scope);
        assert_slice_equal(got->service, want->service);
    }
}

/* The block holds trace n as sample_trace() makes it. */
static inline void assert_block_has(const struct block *block, uint64_t n, size_t span_count)
{
    struct trace_view view;
    struct trace_id id = sample_id(n);
    struct arena arena;

    arena_init(&arena);
    struct finished_trace trace = sample_trace(&arena, n, span_count);
    trace_view_init(&view, &id);
    assert_true(block_view(block, &id, &view));
    assert_view_is(&view, &trace);
    trace_view_deinit(&view);
    arena_deinit(&arena);
}

#endif
