/*
 * jaeger.c - the endpoints of Jaeger's HTTP API, version 2.20 ("legacy" there), which Grafana's
 * data source calls.
 */
#include "query_private.h"

#include <spangate/base/fs.h>
#include <spangate/base/text.h>
#include <stdlib.h>
#include <string.h>

/* Grafana sends milliseconds where Jaeger reads microseconds: told apart by size (1973 to 5138). */
#define MILLISECONDS_MIN INT64_C(100000000000)
#define MILLISECONDS_MAX INT64_C(100000000000000)

/* --- the envelope --- */

void jaeger_begin(struct strbuf *out)
{
    strbuf_init(out, ANSWER_BYTES_MAX);
    strbuf_append_text(out, "{\"data\":");
}

/* errors: a JSON array, or "null". */
static void finish_envelope(struct call *call, struct strbuf *out, size_t total, const char *errors)
{
    if (out->overflow) {
        strbuf_deinit(out);
        jaeger_reply_error(call, 500, "the answer is over 64 MiB: ask for less");
        return;
    }
    out->limit += 4096 + strlen(errors); /* the end always fits */
    strbuf_printf(out, ",\"total\":%zu,\"limit\":0,\"offset\":0,\"errors\":%s}", total, errors);
    call_reply_json(call, 200, out);
}

void jaeger_reply(struct call *call, struct strbuf *out, size_t total)
{
    finish_envelope(call, out, total, "null");
}

void jaeger_reply_error(struct call *call, int status, const char *message)
{
    struct strbuf out;

    strbuf_init(&out, TEXT_BYTES_MAX);
    strbuf_printf(
        &out,
        "{\"data\":null,\"total\":0,\"limit\":0,\"offset\":0,\"errors\":[{\"code\":%d,\"msg\":",
        status);
    json_put_string(&out, slice_of(message));
    strbuf_append_text(&out, "}]}");
    call_reply_json(call, status, &out);
}

static void reply_failure(struct call *call, const struct error *err)
{
    jaeger_reply_error(call, status_of_error(err), err->message);
}

/* --- names --- */

void jaeger_services(struct call *call)
{
    struct strbuf out;
    struct error err;
    char **names = NULL;
    size_t count = 0;

    if (!pipeline_services(call->query->pipeline, &names, &err)) {
        reply_failure(call, &err);
        return;
    }
    jaeger_begin(&out);
    strbuf_putc(&out, '[');
    for (size_t i = 0; names[i] != NULL; i++) {
        if (names[i][0] != '\0') {
            strbuf_append_text(&out, count++ > 0 ? "," : "");
            json_put_string(&out, slice_of(names[i]));
        }
    }
    strbuf_putc(&out, ']');
    fs_free_names(names);
    jaeger_reply(call, &out, count);
}

static void free_operations(struct trace_operation *operations, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(operations[i].name);
    }
    free(operations);
}

void jaeger_service_operations(struct call *call)
{
    struct trace_operation *operations = NULL;
    size_t count = 0;
    size_t shown = 0;
    struct strbuf out;
    struct error err;

    if (!pipeline_operations(call->query->pipeline, slice_of(call->name), &operations, &count,
                             &err)) {
        reply_failure(call, &err);
        return;
    }
    jaeger_begin(&out);
    strbuf_putc(&out, '[');
    for (size_t i = 0; i < count;
         i++) { /* sorted by name: the same name with another kind is next to it */
        if (i == 0 || strcmp(operations[i].name, operations[i - 1].name) != 0) {
            strbuf_append_text(&out, shown++ > 0 ? "," : "");
            json_put_string(&out, slice_of(operations[i].name));
        }
    }
    strbuf_putc(&out, ']');
    free_operations(operations, count);
    jaeger_reply(call, &out, shown);
}

static const char *kind_name(uint8_t kind)
{
    static const char *const names[] = {"", "internal", "server", "client", "producer", "consumer"};

    return kind < COUNT_OF(names) ? names[kind] : "";
}

void jaeger_operations(struct call *call)
{
    const char *service = httpd_query(call->request, "service", 0);
    const char *kind = httpd_query(call->request, "spanKind", 0);
    struct trace_operation *operations = NULL;
    size_t count = 0;
    size_t shown = 0;
    struct strbuf out;
    struct error err;

    if (service == NULL || service[0] == '\0') {
        jaeger_reply_error(call, 400, "parameter 'service' is required");
        return;
    }
    if (!pipeline_operations(call->query->pipeline, slice_of(service), &operations, &count, &err)) {
        reply_failure(call, &err);
        return;
    }
    jaeger_begin(&out);
    strbuf_putc(&out, '[');
    for (size_t i = 0; i < count; i++) {
        const char *name = kind_name(operations[i].kind);
        if (kind == NULL || kind[0] == '\0' || strcmp(kind, name) == 0) {
            strbuf_append_text(&out, shown++ > 0 ? ",{\"name\":" : "{\"name\":");
            json_put_string(&out, slice_of(operations[i].name));
            strbuf_printf(&out, ",\"spanKind\":\"%s\"}", name);
        }
    }
    strbuf_putc(&out, ']');
    free_operations(operations, count);
    jaeger_reply(call, &out, shown);
}

/* --- traces --- */

static uint64_t view_start(const struct trace_view *view)
{
    return view->span_count > 0 ? view->spans[0].span.start_ns : 0;
}

static uint64_t view_end(const struct trace_view *view)
{
    uint64_t end = 0;

    for (size_t i = 0; i < view->span_count; i++) {
        end = view->spans[i].span.end_ns > end ? view->spans[i].span.end_ns : end;
    }
    return end;
}

/* Put one trace into the list. false: it is not there, or did not fit (*full then). */
static bool put_trace(struct call *call, const struct trace_id *id, bool raw, uint64_t from_ns,
                      uint64_t to_ns, struct strbuf *out, bool *full)
{
    struct trace_view view;
    struct error err;
    size_t before = out->len;

    if (!pipeline_trace(call->query->pipeline, id, &view, &err)) {
        return false;
    }
    bool there = view.span_count > 0 && view_start(&view) <= to_ns && view_end(&view) >= from_ns;
    if (there) {
        if (before > 0 && out->data[before - 1] != '[') {
            strbuf_putc(out, ',');
        }
        jaeger_put_trace(out, &view, raw);
    }
    trace_view_deinit(&view);
    if (out->overflow) { /* whole traces or nothing */
        *full = true;
        out->overflow = false;
        out->len = before;
        out->data[before] = '\0';
        return false;
    }
    return there;
}

static void reply_traces_by_id(struct call *call, const struct search *search)
{
    struct strbuf out;
    struct strbuf errors;
    const char *text;
    size_t missing = 0;

    strbuf_init(&errors, ANSWER_BYTES_MAX);
    jaeger_begin(&out);
    strbuf_putc(&out, '[');
    strbuf_putc(&errors, '[');
    for (size_t i = 0; i < LIMIT_MAX && (text = httpd_query(call->request, "traceID", i)) != NULL;
         i++) {
        struct trace_id id;
        struct error err;
        bool full = false;
        char shown[TRACE_ID_TEXT];
        if (!parse_trace_id(text, false, &id, &err)) {
            (void)error_wrap(&err, "cannot parse traceID param");
            strbuf_deinit(&out);
            strbuf_deinit(&errors);
            jaeger_reply_error(call, 400, err.message);
            return;
        }
        if (!put_trace(call, &id, search->raw, search->filter.start_ns_min,
                       search->filter.start_ns_max, &out, &full)) {
            trace_id_text(&id, shown);
            strbuf_printf(
                &errors, "%s{\"msg\":\"%s\",\"traceID\":\"%s\"}", missing++ > 0 ? "," : "",
                full ? "trace left out: the answer is over 64 MiB" : "trace not found", shown);
        }
    }
    strbuf_putc(&out, ']');
    strbuf_putc(&errors, ']');
    finish_envelope(call, &out, 0, missing > 0 ? errors.data : "null");
    strbuf_deinit(&errors);
}

static void reply_search(struct call *call, const struct search *search)
{
    struct trace_summary *found = NULL;
    size_t count = 0;
    bool truncated = false;
    bool full = false;
    struct strbuf out;
    struct error err;

    if (!pipeline_search(call->query->pipeline, &search->filter, SEARCH_TIME_NS, &found, &count,
                         &truncated, &err)) {
        reply_failure(call, &err);
        return;
    }
    jaeger_begin(&out);
    strbuf_putc(&out, '[');
    for (size_t i = 0; i < count && !full; i++) {
        /* The whole trace, not only what lies within the window. */
        (void)put_trace(call, &found[i].trace_id, search->raw, 0, UINT64_MAX, &out, &full);
    }
    strbuf_putc(&out, ']');
    free(found);
    finish_envelope(call, &out, 0,
                    full ? "[{\"msg\":\"traces left out: the answer is over 64 MiB\"}]" : "null");
}

void jaeger_search(struct call *call)
{
    const char *trace_id = httpd_query(call->request, "traceID", 0);
    struct search search;
    struct error err;

    if (!search_parse(call, TIME_MICROSECONDS, &search, &err)) {
        jaeger_reply_error(call, 400, err.message);
    } else if (trace_id != NULL) {
        reply_traces_by_id(call, &search);
    } else if (search.filter.service.len == 0) {
        jaeger_reply_error(call, 400, "parameter 'service' is required");
    } else {
        reply_search(call, &search);
    }
    search_deinit(&search);
}

static bool window_param(struct call *call, const char *name, uint64_t otherwise, uint64_t *ns,
                         struct error *err)
{
    const char *text = httpd_query(call->request, name, 0);
    int64_t value;

    *ns = otherwise;
    if (text == NULL || text[0] == '\0') {
        return true;
    }
    if (!parse_int(text, 64, &value, err)) {
        return error_wrap(err, "unable to parse param '%s'", name);
    }
    *ns = scaled(value,
                 value >= MILLISECONDS_MIN && value < MILLISECONDS_MAX ? NS_PER_MS : NS_PER_US);
    return true;
}

void jaeger_trace(struct call *call)
{
    const char *raw_text = httpd_query(call->request, "raw", 0);
    struct trace_id id;
    struct strbuf out;
    struct error err;
    uint64_t from_ns;
    uint64_t to_ns;
    bool raw = false;
    bool full = false;

    if (!parse_trace_id(call->name, true, &id, &err) ||
        !window_param(call, "start", 0, &from_ns, &err) ||
        !window_param(call, "end", UINT64_MAX, &to_ns, &err)) {
        jaeger_reply_error(call, 400, err.message);
        return;
    }
    if (raw_text != NULL && raw_text[0] != '\0' && !parse_bool(raw_text, &raw, &err)) {
        (void)error_wrap(&err, "unable to parse param 'raw'");
        jaeger_reply_error(call, 400, err.message);
        return;
    }
    jaeger_begin(&out);
    strbuf_putc(&out, '[');
    if (!put_trace(call, &id, raw, from_ns, to_ns, &out, &full)) {
        strbuf_deinit(&out);
        /* Clients of old index data[0]: an unknown trace is never an empty list. */
        jaeger_reply_error(call, full ? 500 : 404,
                           full ? "the trace is over 64 MiB" : "trace not found");
        return;
    }
    strbuf_putc(&out, ']');
    jaeger_reply(call, &out, 0);
}

void jaeger_metrics(struct call *call)
{
    jaeger_reply_error(call, 501, "metrics querying is currently disabled");
}
