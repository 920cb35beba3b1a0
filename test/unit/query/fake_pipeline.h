/*
 * fake_pipeline.h - a pipeline that holds what a test gives it as OTLP/JSON, and nothing else. It
 * stands in for pipeline.h's queries, so the query port can be tested without disks and threads.
 */
#ifndef SPANGATE_TEST_FAKE_PIPELINE_H
#define SPANGATE_TEST_FAKE_PIPELINE_H

#include "http_client.h"

#include <spangate/base/clock.h>
#include <spangate/query/query.h>

enum { FAKE_BATCHES_MAX = 32 };

struct pipeline {
    struct span_batch *batches[FAKE_BATCHES_MAX];
    size_t batch_count;
    bool open; /* what is said of every trace */
    uint32_t revision;
    enum trace_reason reason;
    bool fails;     /* every call: ERR_UNAVAILABLE */
    bool truncated; /* what searches say */

    /* What was asked last. */
    struct trace_filter filter;
    char service[64], operation[64];
    char tags[256]; /* key=value; … */
    struct trace_id finished;
};

/* An ExportTraceServiceRequest in JSON. */
void fake_add(struct pipeline *pipeline, const char *json);
void fake_clear(struct pipeline *pipeline);

/* The query port in front of a fake pipeline. */
struct query_fixture {
    struct pipeline pipeline;
    struct query *query;
};

void query_fixture_open(struct query_fixture *f, const char *endpoint, const char *const *hosts,
                        size_t host_count);
int query_setup(void **state);
int query_teardown(void **state);

/* GET on a connection of its own. */
struct answer query_get(struct query_fixture *f, const char *target);
/* …and what must come back. */
void expect_answer(struct query_fixture *f, const char *target, int status, const char *body);

#endif
