/*
 * span.h - the internal span model: the OTLP protobuf bytes, and the fixed fields we look at.
 *
 * A struct span_batch is one decoded request: one body, one arena, the spans that point into both,
 * one reference count. After decoding it never changes, so any thread may read it without a lock.
 *
 * What a span belongs to is kept as *envelopes*: the bytes of its ResourceSpans without the
 * scope_spans fields, and of its ScopeSpans without the spans fields. Envelopes hold everything
 * else, also fields this version does not know, so that
 *   ResourceSpans = resource envelope + scope_spans fields
 *   ScopeSpans = scope envelope + spans fields
 * rebuilds the message without loss (field order is free in protobuf).
 */
#ifndef SPANGATE_OTLP_SPAN_H
#define SPANGATE_OTLP_SPAN_H

#include <spangate/base/arena.h>
#include <spangate/base/buf.h>
#include <spangate/base/slice.h>

enum otlp_signal { OTLP_TRACES, OTLP_METRICS, OTLP_LOGS, OTLP_SIGNALS };

struct trace_id {
    uint8_t bytes[16];
};

struct span_id {
    uint8_t bytes[8];
};

/* Values as in opentelemetry.proto.trace.v1.Span.SpanKind; unknown numbers are kept in raw. */
enum span_kind {
    SPAN_KIND_UNSPECIFIED,
    SPAN_KIND_INTERNAL,
    SPAN_KIND_SERVER,
    SPAN_KIND_CLIENT,
    SPAN_KIND_PRODUCER,
    SPAN_KIND_CONSUMER,
};

enum span_status { SPAN_STATUS_UNSET, SPAN_STATUS_OK, SPAN_STATUS_ERROR };

enum span_flags {
    SPAN_INCOMPLETE = 1, /* start or end was 0: start_ns is then the arrival, end_ns the start */
};

struct span {
    struct trace_id trace_id;
    struct span_id span_id;
    struct span_id parent_id; /* all zero for a root span */
    uint64_t start_ns;        /* since 1970 */
    uint64_t end_ns;          /* never below start_ns here; raw keeps what was sent */
    struct slice name;
    struct slice raw; /* the encoded Span message, without its tag and length */
    uint32_t scope;   /* index into span_batch.scopes */
    uint8_t kind;     /* enum span_kind, 255 for a number beyond */
    uint8_t status;   /* enum span_status */
    uint8_t flags;    /* enum span_flags */
};

struct batch_resource {
    struct slice envelope;
    struct slice service; /* service.name, empty when absent or not a string */
    uint64_t hash;        /* hash_stable() of the envelope */
};

struct batch_scope {
    uint32_t resource; /* index into span_batch.resources */
    struct slice envelope;
    uint64_t hash; /* hash_stable() of the envelope */
};

struct span_batch {
    atomic_uint refs;
    struct buf *body;
    struct arena arena;
    size_t charged; /* bytes of the arena, to the body's budget */
    struct span *spans;
    size_t span_count;
    struct batch_scope *scopes;
    size_t scope_count;
    struct batch_resource *resources;
    size_t resource_count;
    uint64_t received_ns;    /* wall time of arrival */
    size_t rejected_count;   /* spans refused one by one */
    char reject_reason[160]; /* the first of them, "" when none */
};

struct span_batch *span_batch_ref(struct span_batch *batch);
void span_batch_unref(struct span_batch *batch); /* NULL is allowed */

static inline bool trace_id_equal(const struct trace_id *a, const struct trace_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static inline bool span_id_equal(const struct span_id *a, const struct span_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static inline bool span_is_root(const struct span *span)
{
    static const struct span_id none = {{0}};
    return span_id_equal(&span->parent_id, &none);
}

#endif
