/*
 * dependencies.c - which service calls which: /api/dependencies.
 *
 * Counted from the traces of the window as they are asked for: nothing is kept up to date for it.
 * The newest traces are looked at until their number or the time for an answer runs out.
 */
#include "query_private.h"

#include <inttypes.h>
#include <spangate/base/map.h>
#include <spangate/base/mem.h>
#include <spangate/base/text.h>
#include <stdlib.h>
#include <string.h>

#define LOOKBACK_MS INT64_C(86400000)

struct edge {
    struct slice parent, child; /* in the arena */
    uint64_t calls;
};

struct edges {
    struct arena arena;
    struct map by_names; /* parent, a zero byte, child -> struct edge */
    struct strbuf key;
};

static void count_call(struct edges *edges, struct slice parent, struct slice child)
{
    strbuf_clear(&edges->key);
    strbuf_append_slice(&edges->key, parent);
    strbuf_putc(&edges->key, '\0');
    strbuf_append_slice(&edges->key, child);
    struct edge *edge = map_get(&edges->by_names, strbuf_slice(&edges->key));
    if (edge == NULL) {
        struct slice key = arena_copy(&edges->arena, strbuf_slice(&edges->key));
        edge = arena_alloc(&edges->arena, sizeof(*edge));
        *edge = (struct edge){{key.data, parent.len}, slice_from(key, parent.len + 1), 0};
        map_put(&edges->by_names, key, edge);
    }
    edge->calls++;
}

static void count_trace(struct edges *edges, const struct trace_view *view, uint64_t from_ns,
                        uint64_t to_ns)
{
    struct map spans;

    map_init(&spans);
    for (size_t i = 0; i < view->span_count; i++) {
        const struct span_id *id = &view->spans[i].span.span_id;
        map_put(&spans, (struct slice){id->bytes, sizeof(id->bytes)}, &view->spans[i]);
    }
    for (size_t i = 0; i < view->span_count; i++) {
        const struct view_span *span = &view->spans[i];
        if (span_is_root(&span->span) || span->span.start_ns <= from_ns ||
            span->span.start_ns > to_ns) {
            continue;
        }
        const struct view_span *parent =
            map_get(&spans, (struct slice){span->span.parent_id.bytes, 8});
        if (parent != NULL && !slice_equal(parent->service, span->service)) {
            count_call(edges, parent->service, span->service);
        }
    }
    map_deinit(&spans);
}

static int compare_slices(struct slice a, struct slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.data, b.data, len) : 0;

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_edges(const void *left, const void *right)
{
    const struct edge *a = *(struct edge *const *)left;
    const struct edge *b = *(struct edge *const *)right;
    int order = compare_slices(a->parent, b->parent);

    return order != 0 ? order : compare_slices(a->child, b->child);
}

static void put_edges(const struct edges *edges, const char *service, struct strbuf *out)
{
    struct edge **sorted = mem_alloc((edges->by_names.count + 1) * sizeof(struct edge *));
    struct map_slot *slot;
    size_t count = 0;

    for (size_t at = 0; (slot = map_next(&edges->by_names, &at)) != NULL;) {
        struct edge *edge = slot->value;
        if (service[0] == '\0' || slice_equal_text(edge->parent, service) ||
            slice_equal_text(edge->child, service)) {
            sorted[count++] = edge;
        }
    }
    qsort(sorted, count, sizeof(struct edge *), compare_edges);
    strbuf_putc(out, '[');
    for (size_t i = 0; i < count; i++) {
        strbuf_append_text(out, i > 0 ? ",{\"parent\":" : "{\"parent\":");
        json_put_string(out, sorted[i]->parent);
        strbuf_append_text(out, ",\"child\":");
        json_put_string(out, sorted[i]->child);
        strbuf_printf(out, ",\"callCount\":%" PRIu64 "}", sorted[i]->calls);
    }
    strbuf_putc(out, ']');
    free(sorted);
}

static bool count_window(struct call *call, struct edges *edges, uint64_t from_ns, uint64_t to_ns,
                         struct error *err)
{
    uint64_t end = clock_monotonic(&clock_system) + SEARCH_TIME_NS;
    struct trace_filter filter = {
        .start_ns_min = from_ns, .start_ns_max = to_ns > 0 ? to_ns : 1, .limit = LIMIT_MAX};
    struct trace_summary *found = NULL;
    size_t count = 0;
    bool truncated;

    if (!pipeline_search(call->query->pipeline, &filter, SEARCH_TIME_NS / 2, &found, &count,
                         &truncated, err)) {
        return false;
    }
    for (size_t i = 0; i < count && clock_monotonic(&clock_system) < end; i++) {
        struct trace_view view;
        struct error ignored; /* gone since the search */
        if (found[i].span_count > 0 &&
            pipeline_trace(call->query->pipeline, &found[i].trace_id, &view, &ignored)) {
            count_trace(edges, &view, from_ns, to_ns);
            trace_view_deinit(&view);
        }
    }
    free(found);
    return true;
}

static bool millis_param(struct call *call, const char *name, int64_t otherwise, int64_t *out,
                         struct error *err)
{
    const char *text = httpd_query(call->request, name, 0);

    *out = otherwise;
    if (text != NULL && text[0] != '\0' && !parse_int(text, 64, out, err)) {
        return error_wrap(err, "unable to parse param '%s'", name);
    }
    return true;
}

void jaeger_dependencies(struct call *call)
{
    const char *service = httpd_query(call->request, "service", 0);
    int64_t now_ms = (int64_t)(clock_wall(&clock_system) / NS_PER_MS);
    int64_t end_ms;
    int64_t lookback_ms;
    struct edges edges = {0};
    struct strbuf out;
    struct error err;

    if (!millis_param(call, "endTs", now_ms, &end_ms, &err) ||
        !millis_param(call, "lookback", LOOKBACK_MS, &lookback_ms, &err)) {
        jaeger_reply_error(call, 400, err.message);
        return;
    }
    int64_t start_ms = end_ms < 0 || lookback_ms >= end_ms ? 0 : end_ms - lookback_ms;

    arena_init(&edges.arena);
    map_init(&edges.by_names);
    strbuf_init(&edges.key, ANSWER_BYTES_MAX);
    if (count_window(call, &edges, scaled(start_ms, NS_PER_MS), scaled(end_ms, NS_PER_MS), &err)) {
        jaeger_begin(&out);
        put_edges(&edges, service != NULL ? service : "", &out);
        jaeger_reply(call, &out, 0);
    } else {
        jaeger_reply_error(call, status_of_error(&err), err.message);
    }
    strbuf_deinit(&edges.key);
    map_deinit(&edges.by_names);
    arena_deinit(&edges.arena);
}
