/*
 * spans.h - batches of spans for the tests of src/trace, written down instead of decoded.
 *
 * Traces and spans are named by numbers: the number is the last eight bytes of the id, big-endian;
 * parent 0 is none.
 */
#ifndef SPANGATE_TEST_TRACE_SPANS_H
#define SPANGATE_TEST_TRACE_SPANS_H

#include <spangate/otlp/span.h>

struct span_spec {
    uint64_t trace, id, parent;
    uint64_t start_ns,
        end_ns;       /* 0 as in a span that lacks it: marked incomplete, as the decoder does */
    const char *name; /* NULL: "work" */
    uint8_t kind, status;
    size_t padding;    /* bytes of an attribute that makes the span larger */
    struct slice more; /* further encoded fields, at the end */
    bool backwards;    /* fields in an unusual order */
};

/* Wall time of arrival of every batch. */
enum { SPANS_RECEIVED_NS = 5000 };

struct spans {
    struct span_batch batch;
    size_t span_cap, service_cap;
};

struct spans *spans_new(void);
void spans_free(struct spans *spans);

/* Spans added from here on belong to this service, in a resource and a scope of its own. */
void spans_service(struct spans *spans, const char *service);
void spans_put(struct spans *spans, const struct span_spec *spec);
/* The common case: an ended span of a millisecond. */
void spans_add(struct spans *spans, uint64_t trace, uint64_t id, uint64_t parent);
void spans_clear(struct spans *spans);

struct trace_id trace_id_of(uint64_t number);
struct span_id span_id_of(uint64_t number);
uint64_t trace_number(const struct trace_id *id);
uint64_t span_number(const struct span_id *id);

#endif
