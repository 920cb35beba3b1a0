/*
 * fake_pipeline.c - see fake_pipeline.h.
 */
#include "fake_pipeline.h"

#include <spangate/base/mem.h>
#include <spangate/otlp/otlp.h>
#include <spangate/trace/filter.h>

void fake_add(struct pipeline *pipeline, const char *json)
{
    struct strbuf request;
    struct error err;

    strbuf_init(&request, 1024 * 1024);
    if (!otlp_json_decode(OTLP_TRACES, slice_of(json), &otlp_limits_default, &request, &err)) {
        fail_msg("%s", err.message);
    }
    struct buf *body = buf_copy(strbuf_slice(&request), NULL);
    strbuf_deinit(&request);
    assert_true(pipeline->batch_count < FAKE_BATCHES_MAX);
    assert_true(otlp_decode_traces(body, 1, &otlp_limits_default,
                                   &pipeline->batches[pipeline->batch_count++], &err));
}

void fake_clear(struct pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->batch_count; i++) {
        span_batch_unref(pipeline->batches[i]);
    }
    pipeline->batch_count = 0;
}

static const struct batch_resource *resource_of(const struct span_batch *batch,
                                                const struct span *span)
{
    return &batch->resources[batch->scopes[span->scope].resource];
}

bool pipeline_trace(struct pipeline *pipeline, const struct trace_id *id, struct trace_view *view,
                    struct error *err)
{
    if (pipeline->fails) {
        return error_set(err, ERR_UNAVAILABLE, "the disk is away");
    }
    trace_view_init(view, id);
    for (size_t b = 0; b < pipeline->batch_count; b++) {
        const struct span_batch *batch = pipeline->batches[b];
        for (size_t i = 0; i < batch->span_count; i++) {
            const struct span *span = &batch->spans[i];
            if (trace_id_equal(&span->trace_id, id)) {
                const struct batch_resource *resource = resource_of(batch, span);
                trace_view_add(view, span, resource->envelope, batch->scopes[span->scope].envelope,
                               resource->service, b * 1000 + i);
            }
        }
    }
    if (view->span_count == 0) {
        trace_view_deinit(view);
        return error_set(err, ERR_NOT_FOUND, "no such trace");
    }
    trace_view_finish(view);
    view->open = pipeline->open;
    view->revision = pipeline->revision;
    view->reason = pipeline->reason;
    return true;
}

static void remember(struct pipeline *pipeline, const struct trace_filter *filter)
{
    size_t at = 0;

    pipeline->filter = *filter;
    (void)snprintf(pipeline->service, sizeof(pipeline->service), "%.*s",
                   SLICE_ARGS(filter->service));
    (void)snprintf(pipeline->operation, sizeof(pipeline->operation), "%.*s",
                   SLICE_ARGS(filter->operation));
    pipeline->tags[0] = '\0';
    for (size_t i = 0; i < filter->tag_count; i++) {
        int n = snprintf(pipeline->tags + at, sizeof(pipeline->tags) - at, "%.*s=%.*s;",
                         SLICE_ARGS(filter->tags[i].key), SLICE_ARGS(filter->tags[i].value));
        assert_true(n > 0 && (size_t)n < sizeof(pipeline->tags) - at);
        at += (size_t)n;
    }
}

static void summarize(struct trace_summary *summary, const struct span *span, struct slice service,
                      const struct pipeline *pipeline)
{
    if (summary->span_count == 0) {
        *summary = (struct trace_summary){
            .trace_id = span->trace_id,
            .start_ns = span->start_ns,
            .end_ns = span->end_ns,
            .service_count = 1,
            .open = pipeline->open,
            .revision = pipeline->revision,
            .reason = pipeline->reason,
        };
    }
    summary->span_count++;
    summary->error_count += span->status == SPAN_STATUS_ERROR;
    if (span_is_root(span)) {
        (void)snprintf(summary->root_service, sizeof(summary->root_service), "%.*s",
                       SLICE_ARGS(service));
        (void)snprintf(summary->root_name, sizeof(summary->root_name), "%.*s",
                       SLICE_ARGS(span->name));
    }
}

bool pipeline_search(struct pipeline *pipeline, const struct trace_filter *filter,
                     uint64_t deadline_ns, struct trace_summary **summaries, size_t *count,
                     bool *truncated, struct error *err)
{
    struct trace_summary *found = mem_zalloc(64, sizeof(*found));

    (void)deadline_ns;
    remember(pipeline, filter);
    if (pipeline->fails) {
        free(found);
        return error_set(err, ERR_UNAVAILABLE, "the disk is away");
    }
    *count = 0;
    for (size_t b = 0; b < pipeline->batch_count; b++) {
        const struct span_batch *batch = pipeline->batches[b];
        for (size_t i = 0; i < batch->span_count; i++) {
            const struct span *span = &batch->spans[i];
            const struct batch_resource *resource = resource_of(batch, span);
            size_t at = 0;
            if (!filter_fixed(filter, resource->service, span->name, span->start_ns,
                              span->end_ns - span->start_ns) ||
                !filter_tags(filter, span->raw, span->kind, span->status, resource->envelope,
                             batch->scopes[span->scope].envelope)) {
                continue;
            }
            while (at < *count && !trace_id_equal(&found[at].trace_id, &span->trace_id)) {
                at++;
            }
            *count += at == *count;
            assert_true(*count <= 64);
            summarize(&found[at], span, resource->service, pipeline);
        }
    }
    *summaries = found;
    *truncated = pipeline->truncated;
    return true;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

bool pipeline_services(struct pipeline *pipeline, char ***names, struct error *err)
{
    size_t count = 0;

    if (pipeline->fails) {
        return error_set(err, ERR_UNAVAILABLE, "the disk is away");
    }
    *names = mem_zalloc(64, sizeof(char *));
    for (size_t b = 0; b < pipeline->batch_count; b++) {
        for (size_t r = 0; r < pipeline->batches[b]->resource_count; r++) {
            struct slice service = pipeline->batches[b]->resources[r].service;
            bool known = false;
            for (size_t i = 0; i < count && !known; i++) {
                known = slice_equal_text(service, (*names)[i]);
            }
            if (!known) {
                (*names)[count++] = mem_strndup(service.data, service.len);
            }
        }
    }
    qsort(*names, count, sizeof(char *), compare_names);
    return true;
}

static int compare_operations(const void *left, const void *right)
{
    const struct trace_operation *a = left;
    const struct trace_operation *b = right;
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : a->kind - b->kind;
}

bool pipeline_operations(struct pipeline *pipeline, struct slice service,
                         struct trace_operation **operations, size_t *count, struct error *err)
{
    if (pipeline->fails) {
        return error_set(err, ERR_UNAVAILABLE, "the disk is away");
    }
    *count = 0;
    *operations = mem_zalloc(64, sizeof(**operations));
    for (size_t b = 0; b < pipeline->batch_count; b++) {
        const struct span_batch *batch = pipeline->batches[b];
        for (size_t i = 0; i < batch->span_count; i++) {
            const struct span *span = &batch->spans[i];
            bool known = !slice_equal(resource_of(batch, span)->service, service);
            for (size_t k = 0; k < *count && !known; k++) {
                known = slice_equal_text(span->name, (*operations)[k].name) &&
                        span->kind == (*operations)[k].kind;
            }
            if (!known) {
                (*operations)[(*count)++] = (struct trace_operation){
                    mem_strndup(span->name.data, span->name.len), span->kind};
            }
        }
    }
    qsort(*operations, *count, sizeof(**operations), compare_operations);
    return true;
}

bool pipeline_finish_trace(struct pipeline *pipeline, const struct trace_id *id, struct error *err)
{
    if (!pipeline->open) {
        return error_set(err, ERR_NOT_FOUND, "not open");
    }
    pipeline->finished = *id;
    return true;
}

/* --- the port in front of it --- */

static void write_status(void *ctx, struct strbuf *out)
{
    (void)ctx;
    strbuf_append_text(out, "{\"version\":\"test\"}");
}

void query_fixture_open(struct query_fixture *f, const char *endpoint, const char *const *hosts,
                        size_t host_count)
{
    const struct query_status_source status = {.write = write_status};
    const struct query_config config = {.endpoint = endpoint,
                                        .allowed_hosts = hosts,
                                        .allowed_host_count = host_count,
                                        .threads = 2};
    struct error err;

    f->pipeline.revision = 1;
    f->pipeline.reason = TRACE_ROOT_QUIET;
    if (!query_open(&f->query, &config, &f->pipeline, &status, &err)) {
        fail_msg("%s", err.message);
    }
}

int query_setup(void **state)
{
    struct query_fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    query_fixture_open(f, "127.0.0.1:0", NULL, 0);
    *state = f;
    return 0;
}

int query_teardown(void **state)
{
    struct query_fixture *f = *state;

    query_close(f->query);
    fake_clear(&f->pipeline);
    free(f);
    return 0;
}

struct answer query_get(struct query_fixture *f, const char *target)
{
    char request[4096];

    (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", target);
    return client_ask(query_port(f->query), request);
}

void expect_answer(struct query_fixture *f, const char *target, int status, const char *body)
{
    struct answer answer = query_get(f, target);

    if (answer.status != status || strcmp(answer.body, body) != 0) {
        fail_msg("%s\n  got  %d %s\n  want %d %s", target, answer.status, answer.body, status,
                 body);
    }
    answer_free(&answer);
}
