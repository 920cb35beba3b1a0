/*
 * api.c - our own endpoints under /api/v1: traces as OTLP/JSON with what we know about them.
 *
 *   GET  /api/v1/services                {"services":[…]}
 *   GET  /api/v1/operations?service=     {"operations":[{"name","kind"}]}
 *   GET  /api/v1/traces?service&operation&tag&tags&start&end&minDuration&maxDuration&limit
 *        {"traces":[{traceId, rootService, rootName, startTimeUnixNano, durationNanos,
 *                    spanCount, errorCount, serviceCount, state, revision, reason}],
 *         "truncated":bool}
 *   GET  /api/v1/traces/{id}
 *        {"traceId","state":"open"|"finalized","revision","reason","spanCount","incomplete",
 *         "resourceSpans":[…]}
 *   POST /api/v1/traces/{id}/finish      {"traceId","state":"finalized"}
 *   GET  /api/v1/status
 *
 * 64-bit times are decimal strings, as in OTLP/JSON. "incomplete": no root, a parent that is not
 * there, or a span without start or end. Errors are {"error":"text"}.
 */
#include "query_private.h"

#include <inttypes.h>
#include <spangate/base/fs.h>
#include <spangate/base/map.h>
#include <spangate/base/mem.h>
#include <spangate/base/text.h>
#include <spangate/otlp/otlp.h>
#include <stdlib.h>
#include <string.h>

static void reply_error(struct call *call, int status, const char *message)
{
    struct strbuf out;

    strbuf_init(&out, TEXT_BYTES_MAX);
    strbuf_append_text(&out, "{\"error\":");
    json_put_string(&out, slice_of(message));
    strbuf_putc(&out, '}');
    call_reply_json(call, status, &out);
}

static void reply(struct call *call, struct strbuf *out)
{
    if (out->overflow) {
        strbuf_deinit(out);
        reply_error(call, 500, "the answer is over 64 MiB: ask for less");
        return;
    }
    call_reply_json(call, 200, out);
}

void api_services(struct call *call)
{
    struct strbuf out;
    struct error err;
    char **names = NULL;

    if (!pipeline_services(call->query->pipeline, &names, &err)) {
        reply_error(call, status_of_error(&err), err.message);
        return;
    }
    strbuf_init(&out, ANSWER_BYTES_MAX);
    strbuf_append_text(&out, "{\"services\":[");
    for (size_t i = 0; names[i] != NULL; i++) {
        strbuf_append_text(&out, i > 0 ? "," : "");
        json_put_string(&out, slice_of(names[i]));
    }
    strbuf_append_text(&out, "]}");
    fs_free_names(names);
    reply(call, &out);
}

void api_operations(struct call *call)
{
    const char *service = httpd_query(call->request, "service", 0);
    struct trace_operation *operations = NULL;
    struct strbuf out;
    struct error err;
    size_t count = 0;

    if (service == NULL) {
        reply_error(call, 400, "parameter 'service' is required");
        return;
    }
    if (!pipeline_operations(call->query->pipeline, slice_of(service), &operations, &count, &err)) {
        reply_error(call, status_of_error(&err), err.message);
        return;
    }
    strbuf_init(&out, ANSWER_BYTES_MAX);
    strbuf_append_text(&out, "{\"operations\":[");
    for (size_t i = 0; i < count; i++) {
        strbuf_append_text(&out, i > 0 ? ",{\"name\":" : "{\"name\":");
        json_put_string(&out, slice_of(operations[i].name));
        strbuf_printf(&out, ",\"kind\":%u}", operations[i].kind);
        free(operations[i].name);
    }
    strbuf_append_text(&out, "]}");
    free(operations);
    reply(call, &out);
}

/* --- search --- */

static void put_state(struct strbuf *out, bool open, uint32_t revision, enum trace_reason reason)
{
    strbuf_printf(out, "\"state\":\"%s\",\"revision\":%" PRIu32 ",\"reason\":\"%s\"",
                  open ? "open" : "finalized", revision, trace_reason_name(reason));
}

static void put_summary(struct strbuf *out, const struct trace_summary *trace)
{
    char id[TRACE_ID_TEXT];

    hex_encode(trace->trace_id.bytes, sizeof(trace->trace_id.bytes), id);
    strbuf_printf(out, "{\"traceId\":\"%s\",\"rootService\":", id);
    json_put_string(out, slice_of(trace->root_service));
    strbuf_append_text(out, ",\"rootName\":");
    json_put_string(out, slice_of(trace->root_name));
    strbuf_printf(
        out,
        ",\"startTimeUnixNano\":\"%" PRIu64 "\",\"durationNanos\":\"%" PRIu64
        "\",\"spanCount\":%" PRIu32 ",\"errorCount\":%" PRIu32 ",\"serviceCount\":%" PRIu32 ",",
        trace->start_ns, trace->end_ns > trace->start_ns ? trace->end_ns - trace->start_ns : 0,
        trace->span_count, trace->error_count, trace->service_count);
    put_state(out, trace->open, trace->revision, trace->reason);
    strbuf_putc(out, '}');
}

void api_search(struct call *call)
{
    struct search search;
    struct trace_summary *found = NULL;
    size_t count = 0;
    bool truncated = false;
    struct strbuf out;
    struct error err;

    if (!search_parse(call, TIME_NANOSECONDS, &search, &err)) {
        search_deinit(&search);
        reply_error(call, 400, err.message);
        return;
    }
    bool ok = pipeline_search(call->query->pipeline, &search.filter, SEARCH_TIME_NS, &found, &count,
                              &truncated, &err);
    search_deinit(&search);
    if (!ok) {
        reply_error(call, status_of_error(&err), err.message);
        return;
    }
    strbuf_init(&out, ANSWER_BYTES_MAX);
    strbuf_append_text(&out, "{\"traces\":[");
    for (size_t i = 0; i < count; i++) {
        strbuf_append_text(&out, i > 0 ? "," : "");
        put_summary(&out, &found[i]);
    }
    strbuf_printf(&out, "],\"truncated\":%s}", truncated ? "true" : "false");
    free(found);
    reply(call, &out);
}

/* --- one trace --- */

static bool is_incomplete(const struct trace_view *view)
{
    struct map ids;
    bool root = false;
    bool incomplete = false;

    map_init(&ids);
    for (size_t i = 0; i < view->span_count; i++) {
        struct span *span = &view->spans[i].span;
        map_put(&ids, (struct slice){span->span_id.bytes, 8}, span);
        root |= span_is_root(span);
        incomplete |= (span->flags & SPAN_INCOMPLETE) != 0;
    }
    for (size_t i = 0; i < view->span_count && !incomplete; i++) {
        const struct span *span = &view->spans[i].span;
        incomplete =
            !span_is_root(span) && map_get(&ids, (struct slice){span->parent_id.bytes, 8}) == NULL;
    }
    map_deinit(&ids);
    return incomplete || !root;
}

/* A span's place in the output: envelopes in the order in which they first appear. */
struct place {
    size_t resource, scope; /* index of the first span with that envelope */
    size_t index;
};

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left;
    const struct place *b = right;

    if (a->resource != b->resource) {
        return a->resource < b->resource ? -1 : 1;
    }
    if (a->scope != b->scope) {
        return a->scope < b->scope ? -1 : 1;
    }
    return a->index < b->index ? -1 : a->index > b->index;
}

/*
 * The index of the first span with this envelope, which is span `index`'s. Equal envelopes of a
 * view are one in memory, so where they are is who they are.
 */
static size_t first_with(struct map *seen, struct trace_view *view, size_t index,
                         const struct slice *envelope)
{
    struct slice key = {(const uint8_t *)&envelope->data, sizeof(envelope->data)};
    struct view_span *first = map_get(seen, key);

    if (first == NULL) {
        map_put(seen, key, &view->spans[index]);
        return index;
    }
    return (size_t)(first - view->spans);
}

/* All spans as one ExportTraceServiceRequest. */
static void encode_view(struct trace_view *view, struct strbuf *out)
{
    struct place *places = mem_alloc((view->span_count + 1) * sizeof(*places));
    struct otlp_writer writer;
    struct map resources;
    struct map scopes;

    map_init(&resources);
    map_init(&scopes);
    for (size_t i = 0; i < view->span_count; i++) {
        places[i] = (struct place){
            .resource = first_with(&resources, view, i, &view->spans[i].resource),
            .scope = first_with(&scopes, view, i, &view->spans[i].scope),
            .index = i,
        };
    }
    map_deinit(&resources);
    map_deinit(&scopes);
    qsort(places, view->span_count, sizeof(*places), compare_places);

    otlp_writer_begin(&writer, out);
    for (size_t i = 0; i < view->span_count; i++) {
        const struct view_span *span = &view->spans[places[i].index];
        otlp_writer_add(&writer, span->resource, span->scope, span->span.raw);
    }
    otlp_writer_end(&writer);
    free(places);
}

static bool put_view(struct trace_view *view, struct strbuf *out, struct error *err)
{
    struct strbuf request;
    char id[TRACE_ID_TEXT];

    hex_encode(view->trace_id.bytes, sizeof(view->trace_id.bytes), id);
    strbuf_printf(out, "{\"traceId\":\"%s\",", id);
    put_state(out, view->open, view->revision, view->reason);
    strbuf_printf(out, ",\"spanCount\":%zu,\"incomplete\":%s", view->span_count,
                  is_incomplete(view) ? "true" : "false");

    strbuf_init(&request, ANSWER_BYTES_MAX);
    encode_view(view, &request);
    size_t at = out->len;
    bool ok = !request.overflow ? otlp_json_encode(OTLP_TRACES, strbuf_slice(&request), out, err)
                                : error_set(err, ERR_TOO_LARGE, "the trace is over 64 MiB");
    strbuf_deinit(&request);
    if (!ok) {
        return false;
    }
    if (out->overflow) {
        return error_set(err, ERR_TOO_LARGE, "the trace is over 64 MiB");
    }
    out->data[at] = ','; /* the brace of {"resourceSpans":…}: its members become ours */
    return true;
}

void api_trace(struct call *call)
{
    struct trace_id id;
    struct trace_view view;
    struct strbuf out;
    struct error err;

    if (!parse_trace_id(call->name, false, &id, &err)) {
        reply_error(call, 400, err.message);
        return;
    }
    if (!pipeline_trace(call->query->pipeline, &id, &view, &err)) {
        bool missing = err.code == ERR_NOT_FOUND;
        reply_error(call, status_of_error(&err), missing ? "trace not found" : err.message);
        return;
    }
    strbuf_init(&out, ANSWER_BYTES_MAX);
    if (view.span_count == 0) {
        strbuf_deinit(&out);
        reply_error(call, 404, "trace not found");
    } else if (put_view(&view, &out, &err)) {
        call_reply_json(call, 200, &out);
    } else {
        strbuf_deinit(&out);
        reply_error(call, 500, err.message);
    }
    trace_view_deinit(&view);
}

void api_finish(struct call *call)
{
    struct trace_id id;
    struct strbuf out;
    struct error err;
    char text[TRACE_ID_TEXT];

    if (!parse_trace_id(call->name, false, &id, &err)) {
        reply_error(call, 400, err.message);
        return;
    }
    if (!pipeline_finish_trace(call->query->pipeline, &id, &err)) {
        bool missing = err.code == ERR_NOT_FOUND;
        reply_error(call, status_of_error(&err), missing ? "no such trace is open" : err.message);
        return;
    }
    hex_encode(id.bytes, sizeof(id.bytes), text);
    strbuf_init(&out, 1024);
    strbuf_printf(&out, "{\"traceId\":\"%s\",\"state\":\"finalized\"}", text);
    reply(call, &out);
}

void api_status(struct call *call)
{
    const struct query_status_source *status = &call->query->status;
    struct strbuf out;

    strbuf_init(&out, ANSWER_BYTES_MAX);
    if (status->write != NULL) {
        status->write(status->ctx, &out);
    } else {
        strbuf_append_text(&out, "{}");
    }
    reply(call, &out);
}
