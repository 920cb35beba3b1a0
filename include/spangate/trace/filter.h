/*
 * filter.h - which spans a search asks for (Jaeger's /api/traces parameters).
 *
 * Empty or zero members do not filter. All conditions must hold for one span.
 */
#ifndef SPANGATE_TRACE_FILTER_H
#define SPANGATE_TRACE_FILTER_H

#include <spangate/otlp/span.h>

struct filter_tag {
    struct slice key, value; /* value as text: any_to_text() */
};

struct trace_filter {
    struct slice service;
    struct slice operation;                    /* span name */
    uint64_t start_ns_min, start_ns_max;       /* inclusive; max 0: open */
    uint64_t duration_ns_min, duration_ns_max; /* max 0: open */
    const struct filter_tag *tags;
    size_t tag_count;
    size_t limit; /* traces */
};

/* The cheap part: everything but tags. duration is end - start. */
bool filter_fixed(const struct trace_filter *filter, struct slice service, struct slice name,
                  uint64_t start_ns, uint64_t duration_ns);

/*
 * The tags: each must be a span attribute, a resource or scope attribute, an attribute or (as
 * `event`) the name of one of the events, or one of the tags Jaeger derives (span.kind, error=true,
 * otel.status_code, otel.status_description, otel.scope.name, otel.scope.version,
 * w3c.tracestate) with that text as value.
 */
bool filter_tags(const struct trace_filter *filter, struct slice raw_span, uint8_t kind,
                 uint8_t status, struct slice resource_envelope, struct slice scope_envelope);

#endif
