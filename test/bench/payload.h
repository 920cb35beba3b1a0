/*
 * payload.h - the reference workloads as OTLP requests; fresh trace ids and times for each sending.
 *
 *   w1     1000 spans a request: 100 traces of 10 spans over five services, 16 attributes and an
 *          event, about 800 B a span
 *   w2     100 spans a request, one trace, two integer attributes
 *   small  10 spans a request, one trace, like those of w1
 */
#ifndef SPANGATE_BENCH_PAYLOAD_H
#define SPANGATE_BENCH_PAYLOAD_H

#include <spangate/base/strbuf.h>

#include <stddef.h>
#include <stdint.h>

enum workload { WORKLOAD_W1, WORKLOAD_W2, WORKLOAD_SMALL };

struct payload_time {
    size_t at;          /* offset of a fixed64 in the body */
    uint64_t before_ns; /* so long before the sending */
};

struct payload {
    struct strbuf body;
    size_t span_count;
    size_t *id_at;   /* offsets of trace ids in body, by span */
    uint32_t *trace; /* which trace of the request that span belongs to */
    size_t trace_count;
    struct payload_time *times;
    size_t time_count;
};

/* A request drawn from a seed; different seeds give different text throughout. */
void payload_make(struct payload *payload, enum workload workload, uint64_t seed);
void payload_free(struct payload *payload);

/* The id of the number-th trace that a run sends. */
void payload_trace_id(uint8_t out[16], uint64_t run, uint64_t number);

/* Write the trace ids of the request-th request of a run, which no other request has, and times of
 * now. */
void payload_renew(struct payload *payload, uint64_t run, uint64_t request);

#endif
