/*
 * jaeger_json.c - a trace as Jaeger's HTTP API writes it, from OTLP spans.
 *
 * Rules: OpenTelemetry "Jaeger" transformation, and what Jaeger 2.20 does to a trace before it
 * shows it (its adjusters), unless raw is asked for:
 *   - a server span that shares its id with a client span gets an id of its own, which its children
 *     follow
 *   - attributes are sorted by key
 *   - numeric ip and peer.ipv4 become dotted quads
 *   - telemetry.sdk.* and telemetry.distro.* of a span move to its process
 *   - links to no trace are dropped
 *   - a parent that is not there is a warning
 * Differs from Jaeger: events stay in the order of time.
 *
 * One pass writes the spans; the processes they turn out to need come after them in the object.
 */
#include "query_private.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <spangate/base/mem.h>
#include <spangate/base/text.h>
#include <spangate/otlp/attributes.h>
#include <stdlib.h>
#include <string.h>

#define SAFE_INTEGER INT64_C(9007199254740991) /* 2^53 - 1: beyond, JavaScript rounds */

/* A list of attributes that can be sorted; memory is kept from span to span. */
struct attribute_list {
    struct attribute *items;
    size_t count, cap;
};

/* Where the ids of a trace are, and what some of them become. */
struct ids {
    struct map spans;   /* span id -> struct view_span, the first with it */
    struct map servers; /* shared span id -> struct span_id of the server span */
};

/* An entry of the trace's processes: p1, p2 … */
struct process {
    size_t number;
};

struct writer {
    struct strbuf *out;
    struct trace_view *view;
    bool raw;
    struct ids ids;
    struct attribute_list list;
    struct attribute_list moved; /* attributes of the span that belong to its process */
    struct strbuf process;       /* the process of the span, as JSON */
    struct map by_resource;      /* envelope -> process: spans without moved attributes */
    struct map by_text;          /* JSON -> process */
    struct strbuf processes;     /* members of the processes object */
    size_t process_count;
    struct strbuf warnings; /* elements of the span's warnings */
    struct strbuf text;     /* scratch */
    char trace_id[TRACE_ID_TEXT];
};

/* --- attributes --- */

static void list_add(struct attribute_list *list, const struct attribute *attribute)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 32 : 2 * list->cap;
        list->items = mem_realloc(list->items, list->cap * sizeof(*list->items));
    }
    list->items[list->count++] = *attribute;
}

static int compare_keys(const void *left, const void *right)
{
    const struct attribute *a = left;
    const struct attribute *b = right;
    size_t len = a->key.len < b->key.len ? a->key.len : b->key.len;
    int order = len > 0 ? memcmp(a->key.data, b->key.data, len) : 0;

    if (order != 0) {
        return order;
    }
    if (a->key.len != b->key.len) {
        return a->key.len < b->key.len ? -1 : 1;
    }
    /* Equal keys keep their order; both lie in one message. */
    return a->key.data < b->key.data ? -1 : a->key.data > b->key.data;
}

static void list_read(struct attribute_list *list, struct attribute_iter iter, bool sorted)
{
    struct attribute attribute;

    list->count = 0;
    while (attribute_next(&iter, &attribute)) {
        list_add(list, &attribute);
    }
    if (sorted && list->count > 1) {
        qsort(list->items, list->count, sizeof(*list->items), compare_keys);
    }
}

static void separate(struct strbuf *out, char opened)
{
    if (out->len > 0 && out->data[out->len - 1] != opened) {
        strbuf_putc(out, ',');
    }
}

static void put_text_tag(struct strbuf *out, const char *key, struct slice value)
{
    separate(out, '[');
    strbuf_printf(out, "{\"key\":\"%s\",\"type\":\"string\",\"value\":", key);
    json_put_string(out, value);
    strbuf_putc(out, '}');
}

static bool is_ip_key(struct slice key)
{
    return slice_equal_text(key, "ip") || slice_equal_text(key, "peer.ipv4");
}

static void put_number(struct strbuf *out, int64_t number)
{
    if (number > SAFE_INTEGER || number < -SAFE_INTEGER) {
        strbuf_printf(out, "\"int64\",\"value\":\"%" PRId64 "\"", number);
    } else {
        strbuf_printf(out, "\"int64\",\"value\":%" PRId64, number);
    }
}

static void put_double(struct strbuf *out, double real)
{
    bool finite = real - real == 0;

    strbuf_append_text(out, finite ? "\"float64\",\"value\":" : "\"string\",\"value\":\"");
    double_to_text(real, out);
    if (!finite) { /* JSON has no such number, and Jaeger's answer breaks on it */
        strbuf_putc(out, '"');
    }
}

/* "type":…,"value":… without the first key. */
static void put_typed_value(struct writer *w, struct strbuf *out, const struct attribute *attribute)
{
    const struct any_value *value = &attribute->value;

    switch (value->type) {
    case ANY_BOOL:
        strbuf_printf(out, "\"bool\",\"value\":%s", value->number != 0 ? "true" : "false");
        return;
    case ANY_INT:
        if (!w->raw && is_ip_key(attribute->key)) {
            uint32_t ip = (uint32_t)value->number;
            strbuf_printf(out, "\"string\",\"value\":\"%u.%u.%u.%u\"", ip >> 24, ip >> 16 & 255,
                          ip >> 8 & 255, ip & 255);
            return;
        }
        put_number(out, value->number);
        return;
    case ANY_DOUBLE:
        put_double(out, value->real);
        return;
    case ANY_BYTES:
        strbuf_append_text(out, "\"binary\",\"value\":\"");
        base64_encode(value->bytes, out);
        strbuf_putc(out, '"');
        return;
    case ANY_STRING:
        strbuf_append_text(out, "\"string\",\"value\":");
        json_put_string(out, value->bytes);
        return;
    case ANY_EMPTY:
    case ANY_ARRAY:
    case ANY_MAP:
        break;
    }
    strbuf_clear(&w->text);
    any_to_text(value, &w->text);
    strbuf_append_text(out, "\"string\",\"value\":");
    json_put_string(out, strbuf_slice(&w->text));
}

static void put_tag(struct writer *w, struct strbuf *out, const struct attribute *attribute)
{
    separate(out, '[');
    strbuf_append_text(out, "{\"key\":");
    json_put_string(out, attribute->key);
    strbuf_append_text(out, ",\"type\":");
    put_typed_value(w, out, attribute);
    strbuf_putc(out, '}');
}

/* --- ids --- */

static struct slice id_slice(const struct span_id *id)
{
    return (struct slice){id->bytes, sizeof(id->bytes)};
}

/* Zipkin's way: both sides of a call under one id. The server's becomes another. */
static void find_shared_ids(struct writer *w)
{
    struct trace_view *view = w->view;

    for (size_t i = 0; i < view->span_count; i++) {
        struct slice id = id_slice(&view->spans[i].span.span_id);
        if (map_get(&w->ids.spans, id) == NULL) {
            map_put(&w->ids.spans, id, &view->spans[i]);
        }
    }
    for (size_t i = 0; i < view->span_count && !w->raw; i++) {
        struct view_span *span = &view->spans[i];
        struct slice id = id_slice(&span->span.span_id);
        const struct view_span *other = map_get(&w->ids.spans, id);
        bool pair = (span->span.kind == SPAN_KIND_SERVER && other->span.kind == SPAN_KIND_CLIENT) ||
                    (span->span.kind == SPAN_KIND_CLIENT && other->span.kind == SPAN_KIND_SERVER);
        if (!pair || map_get(&w->ids.servers, id) != NULL) {
            continue;
        }
        struct span_id *fresh = arena_alloc(&view->arena, sizeof(*fresh));
        *fresh = span->span.span_id;
        do { /* the next number that nobody has */
            for (size_t k = sizeof(fresh->bytes); k-- > 0 && ++fresh->bytes[k] == 0;) {
            }
        } while (map_get(&w->ids.spans, id_slice(fresh)) != NULL);
        map_put(&w->ids.servers, id, fresh);
        map_put(&w->ids.spans, id_slice(fresh), span);
    }
}

static struct span_id shown_id(const struct writer *w, const struct view_span *span)
{
    const struct span_id *server = span->span.kind == SPAN_KIND_SERVER
                                       ? map_get(&w->ids.servers, id_slice(&span->span.span_id))
                                       : NULL;

    return server != NULL ? *server : span->span.span_id;
}

/* A server span with a shared id has the client span as parent, and gets that one's children. */
static struct span_id shown_parent(const struct writer *w, const struct view_span *span)
{
    const struct span_id *server;

    if (span->span.kind == SPAN_KIND_SERVER &&
        map_get(&w->ids.servers, id_slice(&span->span.span_id)) != NULL) {
        return span->span.span_id;
    }
    server = map_get(&w->ids.servers, id_slice(&span->span.parent_id));
    return server != NULL ? *server : span->span.parent_id;
}

/* --- parts of a span --- */

static void warn(struct writer *w, struct slice text)
{
    if (w->warnings.len > 0) {
        strbuf_putc(&w->warnings, ',');
    }
    json_put_string(&w->warnings, text);
}

static void put_reference(struct writer *w, const char *type, const char *trace_id,
                          const struct span_id *id)
{
    char text[17];

    hex_encode(id->bytes, sizeof(id->bytes), text);
    separate(w->out, '[');
    strbuf_printf(w->out, "{\"refType\":\"%s\",\"traceID\":\"%s\",\"spanID\":\"%s\"}", type,
                  trace_id, text);
}

static const char *link_type(const struct span_link *link)
{
    struct attribute_iter iter = link_attributes(link->message);
    struct attribute attribute;

    while (attribute_next(&iter, &attribute)) {
        if (slice_equal_text(attribute.key, "opentracing.ref_type") &&
            attribute.value.type == ANY_STRING &&
            slice_equal_text(attribute.value.bytes, "child_of")) {
            return "CHILD_OF";
        }
    }
    return "FOLLOWS_FROM";
}

static bool is_parent_link(const struct writer *w, const struct view_span *span,
                           const struct span_link *link)
{
    return !span_is_root(&span->span) && trace_id_equal(&link->trace_id, &w->view->trace_id) &&
           span_id_equal(&link->span_id, &span->span.parent_id);
}

static void put_references(struct writer *w, const struct view_span *span)
{
    static const struct trace_id no_trace = {{0}};
    struct span_link link;
    const char *parent_type = "CHILD_OF";

    for (size_t at = 0; span_link_next(span->span.raw, &at, &link);) {
        if (is_parent_link(w, span, &link)) {
            parent_type = link_type(&link);
        }
    }
    strbuf_append_text(w->out, ",\"references\":[");
    struct span_id parent = shown_parent(w, span);
    struct span span_with_parent = {.parent_id = parent};
    if (!span_is_root(&span_with_parent)) {
        put_reference(w, parent_type, w->trace_id, &parent);
        if (!w->raw && map_get(&w->ids.spans, id_slice(&parent)) == NULL) {
            char id[17];
            strbuf_clear(&w->text);
            hex_encode(parent.bytes, sizeof(parent.bytes), id);
            strbuf_printf(&w->text,
                          "parent span ID=%s is not in the trace; skipping clock skew adjustment",
                          id);
            warn(w, strbuf_slice(&w->text));
        }
    }
    for (size_t at = 0; span_link_next(span->span.raw, &at, &link);) {
        char trace_id[TRACE_ID_TEXT];
        if (is_parent_link(w, span, &link)) {
            continue;
        }
        if (!w->raw && trace_id_equal(&link.trace_id, &no_trace)) {
            warn(w, slice_of("Invalid span link removed"));
            continue;
        }
        trace_id_text(&link.trace_id, trace_id);
        put_reference(w, link_type(&link), trace_id, &link.span_id);
    }
    strbuf_putc(w->out, ']');
}

static bool belongs_to_process(struct slice key)
{
    static const char *const moved[] = {
        "telemetry.sdk.language", "telemetry.sdk.name",       "telemetry.sdk.version",
        "telemetry.distro.name",  "telemetry.distro.version",
    };

    for (size_t i = 0; i < COUNT_OF(moved); i++) {
        if (slice_equal_text(key, moved[i])) {
            return true;
        }
    }
    return false;
}

static void take_warnings(struct writer *w, const struct any_value *value)
{
    struct any_value element;

    if (value->type == ANY_STRING) {
        warn(w, value->bytes);
    }
    for (size_t at = 0; value->type == ANY_ARRAY && any_array_next(value->bytes, &at, &element);) {
        strbuf_clear(&w->text);
        any_to_text(&element, &w->text);
        warn(w, strbuf_slice(&w->text));
    }
}

static void put_scope_tags(struct writer *w, struct slice envelope)
{
    struct scope_detail scope;

    scope_detail_of(envelope, &scope);
    if (scope.name.len > 0) {
        put_text_tag(w->out, "otel.scope.name", scope.name);
    }
    if (scope.version.len > 0) {
        put_text_tag(w->out, "otel.scope.version", scope.version);
    }
    list_read(&w->list, scope_attributes(envelope), !w->raw);
    for (size_t i = 0; i < w->list.count; i++) {
        put_tag(w, w->out, &w->list.items[i]);
    }
}

static void put_count_tag(struct strbuf *out, const char *key, uint64_t count)
{
    if (count > 0) {
        separate(out, '[');
        strbuf_printf(out, "{\"key\":\"%s\",\"type\":", key);
        put_number(out, count > INT64_MAX ? INT64_MAX : (int64_t)count);
        strbuf_putc(out, '}');
    }
}

static void put_derived_tags(struct writer *w, const struct span *span,
                             const struct span_detail *detail)
{
    static const char *const kinds[] = {
        [SPAN_KIND_INTERNAL] = "internal", [SPAN_KIND_SERVER] = "server",
        [SPAN_KIND_CLIENT] = "client",     [SPAN_KIND_PRODUCER] = "producer",
        [SPAN_KIND_CONSUMER] = "consumer",
    };

    if (span->kind < COUNT_OF(kinds) && kinds[span->kind] != NULL) {
        put_text_tag(w->out, "span.kind", slice_of(kinds[span->kind]));
    }
    if (span->status == SPAN_STATUS_OK) {
        put_text_tag(w->out, "otel.status_code", slice_of("OK"));
    } else if (span->status == SPAN_STATUS_ERROR) {
        put_text_tag(w->out, "otel.status_code", slice_of("ERROR"));
        strbuf_append_text(w->out, ",{\"key\":\"error\",\"type\":\"bool\",\"value\":true}");
    }
    if (detail->status_message.len > 0) {
        put_text_tag(w->out, "otel.status_description", detail->status_message);
    }
    if (detail->trace_state.len > 0) {
        put_text_tag(w->out, "w3c.tracestate", detail->trace_state);
    }
    put_count_tag(w->out, "otel.dropped_attributes_count", detail->dropped_attributes);
    put_count_tag(w->out, "otel.dropped_events_count", detail->dropped_events);
    put_count_tag(w->out, "otel.dropped_links_count", detail->dropped_links);
}

static void put_tags(struct writer *w, const struct view_span *span,
                     const struct span_detail *detail)
{
    strbuf_append_text(w->out, ",\"tags\":[");
    put_scope_tags(w, span->scope);
    w->moved.count = 0;
    list_read(&w->list, span_attributes(span->span.raw), !w->raw);
    for (size_t i = 0; i < w->list.count; i++) {
        const struct attribute *attribute = &w->list.items[i];
        if (slice_equal_text(attribute->key, "@jaeger@warnings")) {
            take_warnings(w, &attribute->value);
        } else if (!w->raw && belongs_to_process(attribute->key)) {
            list_add(&w->moved, attribute);
        } else {
            put_tag(w, w->out, attribute);
        }
    }
    put_derived_tags(w, &span->span, detail);
    strbuf_putc(w->out, ']');
}

static void put_log(struct writer *w, const struct span_event *event)
{
    bool named = false;

    separate(w->out, '[');
    strbuf_printf(w->out, "{\"timestamp\":%" PRIu64 ",\"fields\":[", event->time_ns / NS_PER_US);
    list_read(&w->list, event_attributes(event->message), !w->raw);
    for (size_t i = 0; i < w->list.count && !named; i++) {
        named = slice_equal_text(w->list.items[i].key, "event");
    }
    if (!named && event->name.len > 0) {
        put_text_tag(w->out, "event", event->name);
    }
    for (size_t i = 0; i < w->list.count; i++) {
        put_tag(w, w->out, &w->list.items[i]);
    }
    strbuf_append_text(w->out, "]}");
}

struct timed_event {
    struct span_event event;
    size_t index;
};

static int compare_events(const void *left, const void *right)
{
    const struct timed_event *a = left;
    const struct timed_event *b = right;

    if (a->event.time_ns != b->event.time_ns) {
        return a->event.time_ns < b->event.time_ns ? -1 : 1;
    }
    return a->index < b->index ? -1 : a->index > b->index;
}

static void put_logs(struct writer *w, const struct view_span *span)
{
    struct timed_event *events = NULL;
    struct span_event event;
    size_t count = 0;
    size_t cap = 0;

    for (size_t at = 0; span_event_next(span->span.raw, &at, &event); count++) {
        if (count == cap) {
            cap = cap == 0 ? 8 : 2 * cap;
            events = mem_realloc(events, cap * sizeof(*events));
        }
        events[count] = (struct timed_event){event, count};
    }
    if (!w->raw && count > 1) {
        qsort(events, count, sizeof(*events), compare_events);
    }
    strbuf_append_text(w->out, ",\"logs\":[");
    for (size_t i = 0; i < count; i++) {
        put_log(w, &events[i].event);
    }
    strbuf_putc(w->out, ']');
    free(events);
}

/* --- processes --- */

static struct slice service_name(struct slice resource)
{
    struct attribute_iter iter = resource_attributes(resource);
    struct attribute attribute;

    while (attribute_next(&iter, &attribute)) {
        if (!slice_equal_text(attribute.key, "service.name")) {
            continue;
        }
        if (attribute.value.type != ANY_STRING) {
            return slice_of("service-name-wrong-type");
        }
        return attribute.value.bytes.len > 0 ? attribute.value.bytes
                                             : slice_of("empty-service-name");
    }
    return slice_of("missing-service-name");
}

/* Writes the span's process unless there is one like it. */
static const struct process *process_of(struct writer *w, const struct view_span *span)
{
    bool by_resource = w->moved.count == 0 && span->resource.len > 0;
    struct process *process = by_resource ? map_get(&w->by_resource, span->resource) : NULL;

    if (process != NULL) {
        return process;
    }
    strbuf_clear(&w->process);
    strbuf_append_text(&w->process, "{\"serviceName\":");
    json_put_string(&w->process, service_name(span->resource));
    strbuf_append_text(&w->process, ",\"tags\":[");
    list_read(&w->list, resource_attributes(span->resource), !w->raw);
    for (size_t i = 0; i < w->moved.count; i++) {
        list_add(&w->list, &w->moved.items[i]);
    }
    for (size_t i = 0; i < w->list.count; i++) {
        if (!slice_equal_text(w->list.items[i].key, "service.name")) {
            put_tag(w, &w->process, &w->list.items[i]);
        }
    }
    strbuf_append_text(&w->process, "]}");

    process = map_get(&w->by_text, strbuf_slice(&w->process));
    if (process == NULL) {
        struct slice key = arena_copy(&w->view->arena, strbuf_slice(&w->process));
        process = arena_alloc(&w->view->arena, sizeof(*process));
        process->number = ++w->process_count;
        map_put(&w->by_text, key, process);
        separate(&w->processes, '{');
        strbuf_printf(&w->processes, "\"p%zu\":", process->number);
        strbuf_append_slice(&w->processes, key);
    }
    if (by_resource) {
        map_put(&w->by_resource, span->resource, process);
    }
    return process;
}

/* --- spans --- */

/* Whether the sender said that the span ended before it began. */
static bool ended_before_start(struct slice raw, uint64_t *end_ns)
{
    struct pb_reader reader = pb_over(raw);
    struct pb_field field;
    struct error err;
    uint64_t start = 0;

    *end_ns = 0;
    while (pb_next(&reader, &field, &err) == PB_FIELD) {
        if (field.number == 7 && field.wire == PB_FIXED64) {
            start = field.value;
        } else if (field.number == 8 && field.wire == PB_FIXED64) {
            *end_ns = field.value;
        }
    }
    return start > 0 && *end_ns > 0 && *end_ns < start;
}

static void put_times(struct writer *w, const struct span *span)
{
    uint64_t end_ns;

    strbuf_printf(w->out, ",\"startTime\":%" PRIu64 ",\"duration\":%" PRIu64,
                  span->start_ns / NS_PER_US, (span->end_ns - span->start_ns) / NS_PER_US);
    if (ended_before_start(span->raw, &end_ns)) {
        strbuf_clear(&w->text);
        strbuf_printf(&w->text,
                      "Negative duration detected, sanitizing end timestamp. "
                      "Original end timestamp: %" PRIu64 " ns",
                      end_ns);
        warn(w, strbuf_slice(&w->text));
    } else if ((span->flags & SPAN_INCOMPLETE) != 0) {
        warn(w, slice_of("start or end time is missing"));
    }
}

static void put_span(struct writer *w, const struct view_span *span)
{
    struct span_detail detail;
    struct span_id id = shown_id(w, span);
    char text[17];

    span_detail_of(span->span.raw, &detail);
    strbuf_clear(&w->warnings);
    separate(w->out, '[');
    hex_encode(id.bytes, sizeof(id.bytes), text);
    strbuf_printf(w->out, "{\"traceID\":\"%s\",\"spanID\":\"%s\"", w->trace_id, text);
    if ((detail.flags & 0xff) != 0) {
        strbuf_printf(w->out, ",\"flags\":%u", detail.flags & 0xff);
    }
    strbuf_append_text(w->out, ",\"operationName\":");
    json_put_string(w->out,
                    span->span.name.len > 0 ? span->span.name : slice_of("empty-span-name"));
    put_references(w, span);
    put_times(w, &span->span);
    put_tags(w, span, &detail);
    put_logs(w, span);
    strbuf_printf(w->out, ",\"processID\":\"p%zu\",\"warnings\":", process_of(w, span)->number);
    if (w->warnings.len > 0) {
        strbuf_putc(w->out, '[');
        strbuf_append_slice(w->out, strbuf_slice(&w->warnings));
        strbuf_append_text(w->out, "]}");
    } else {
        strbuf_append_text(w->out, "null}");
    }
}

void jaeger_put_trace(struct strbuf *out, struct trace_view *view, bool raw)
{
    struct writer w = {.out = out, .view = view, .raw = raw};

    map_init(&w.ids.spans);
    map_init(&w.ids.servers);
    map_init(&w.by_resource);
    map_init(&w.by_text);
    strbuf_init(&w.process, ANSWER_BYTES_MAX);
    strbuf_init(&w.processes, ANSWER_BYTES_MAX);
    strbuf_init(&w.warnings, ANSWER_BYTES_MAX);
    strbuf_init(&w.text, ANSWER_BYTES_MAX);
    trace_id_text(&view->trace_id, w.trace_id);
    find_shared_ids(&w);

    strbuf_printf(out, "{\"traceID\":\"%s\",\"spans\":[", w.trace_id);
    for (size_t i = 0; i < view->span_count && !out->overflow; i++) {
        put_span(&w, &view->spans[i]);
    }
    strbuf_append_text(out, "],\"processes\":{");
    strbuf_append_slice(out, strbuf_slice(&w.processes));
    strbuf_append_text(out, "},\"warnings\":null}");

    map_deinit(&w.ids.spans);
    map_deinit(&w.ids.servers);
    map_deinit(&w.by_resource);
    map_deinit(&w.by_text);
    strbuf_deinit(&w.process);
    strbuf_deinit(&w.processes);
    strbuf_deinit(&w.warnings);
    strbuf_deinit(&w.text);
    free(w.list.items);
    free(w.moved.items);
}
