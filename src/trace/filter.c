/*
 * filter.c - whether a span is one that a search asks for. See filter.h.
 *
 * A tag is looked for in the cheapest places first: what Jaeger derives from fixed fields, then the
 * span's attributes, scope, resource, events.
 */
#include <spangate/trace/filter.h>

#include <spangate/base/strbuf.h>
#include <spangate/otlp/attributes.h>

enum { TAG_TEXT_MAX = 1 << 20 }; /* a value longer than this as text matches nothing */

static bool is_wanted(struct slice wanted, struct slice is)
{
    return wanted.len == 0 || slice_equal(wanted, is);
}

static bool is_within(uint64_t value, uint64_t min, uint64_t max)
{
    return value >= min && (max == 0 || value <= max);
}

bool filter_fixed(const struct trace_filter *filter, struct slice service, struct slice name,
                  uint64_t start_ns, uint64_t duration_ns)
{
    return is_within(start_ns, filter->start_ns_min, filter->start_ns_max) &&
           is_within(duration_ns, filter->duration_ns_min, filter->duration_ns_max) &&
           is_wanted(filter->service, service) && is_wanted(filter->operation, name);
}

/* One span under test. Details are read only when a tag asks for them. */
struct subject {
    struct slice raw, resource, scope;
    uint8_t kind, status;
    struct strbuf text; /* of the value at hand */
};

static bool value_equals(struct subject *subject, const struct any_value *value, struct slice text)
{
    if (value->type == ANY_STRING) {
        return slice_equal(value->bytes, text);
    }
    strbuf_clear(&subject->text);
    any_to_text(value, &subject->text);
    return !subject->text.overflow && slice_equal(strbuf_slice(&subject->text), text);
}

static bool list_has(struct subject *subject, struct attribute_iter list,
                     const struct filter_tag *tag)
{
    struct attribute attribute;

    while (attribute_next(&list, &attribute)) {
        if (slice_equal(attribute.key, tag->key) &&
            value_equals(subject, &attribute.value, tag->value)) {
            return true;
        }
    }
    return false;
}

static bool events_have(struct subject *subject, const struct filter_tag *tag)
{
    bool by_name = slice_equal_text(tag->key, "event"); /* what Jaeger calls the name of an event */
    struct span_event event;
    size_t at = 0;

    while (span_event_next(subject->raw, &at, &event)) {
        if ((by_name && slice_equal(event.name, tag->value)) ||
            list_has(subject, event_attributes(event.message), tag)) {
            return true;
        }
    }
    return false;
}

static bool kind_is(uint8_t kind, struct slice text)
{
    static const char *const names[] = {
        [SPAN_KIND_INTERNAL] = "internal", [SPAN_KIND_SERVER] = "server",
        [SPAN_KIND_CLIENT] = "client",     [SPAN_KIND_PRODUCER] = "producer",
        [SPAN_KIND_CONSUMER] = "consumer",
    };

    return kind < COUNT_OF(names) && names[kind] != NULL && slice_equal_text(text, names[kind]);
}

static bool status_is(uint8_t status, struct slice text)
{
    return (status == SPAN_STATUS_OK && slice_equal_text(text, "OK")) ||
           (status == SPAN_STATUS_ERROR && slice_equal_text(text, "ERROR"));
}

/* A text that is there when it is not empty. */
static bool text_is(struct slice is, struct slice wanted)
{
    return is.len > 0 && slice_equal(is, wanted);
}

static bool derived_has(const struct subject *subject, const struct filter_tag *tag)
{
    struct slice key = tag->key;

    if (slice_equal_text(key, "span.kind")) {
        return kind_is(subject->kind, tag->value);
    }
    if (slice_equal_text(key, "error")) {
        return subject->status == SPAN_STATUS_ERROR && slice_equal_text(tag->value, "true");
    }
    if (slice_equal_text(key, "otel.status_code")) {
        return status_is(subject->status, tag->value);
    }
    if (slice_equal_text(key, "otel.status_description") ||
        slice_equal_text(key, "w3c.tracestate")) {
        struct span_detail detail;
        span_detail_of(subject->raw, &detail);
        return text_is(key.data[0] == 'o' ? detail.status_message : detail.trace_state, tag->value);
    }
    if (slice_equal_text(key, "otel.scope.name") || slice_equal_text(key, "otel.scope.version")) {
        struct scope_detail detail;
        scope_detail_of(subject->scope, &detail);
        return text_is(slice_equal_text(key, "otel.scope.name") ? detail.name : detail.version,
                       tag->value);
    }
    return false;
}

static bool has_tag(struct subject *subject, const struct filter_tag *tag)
{
    return derived_has(subject, tag) || list_has(subject, span_attributes(subject->raw), tag) ||
           list_has(subject, scope_attributes(subject->scope), tag) ||
           list_has(subject, resource_attributes(subject->resource), tag) ||
           events_have(subject, tag);
}

bool filter_tags(const struct trace_filter *filter, struct slice raw_span, uint8_t kind,
                 uint8_t status, struct slice resource_envelope, struct slice scope_envelope)
{
    struct subject subject = {
        .raw = raw_span,
        .resource = resource_envelope,
        .scope = scope_envelope,
        .kind = kind,
        .status = status,
    };
    bool all = true;

    strbuf_init(&subject.text, TAG_TEXT_MAX);
    for (size_t i = 0; all && i < filter->tag_count; i++) {
        all = has_tag(&subject, &filter->tags[i]);
    }
    strbuf_deinit(&subject.text);
    return all;
}
