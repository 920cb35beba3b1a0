/*
 * attributes.h - read KeyValue lists, events and links out of encoded spans, resources and scopes.
 *
 * Iterators over bytes that otlp_decode_traces() accepted: malformed input ends the walk early and
 * is not reported. Nothing is allocated. Threads: any.
 */
#ifndef SPANGATE_OTLP_ATTRIBUTES_H
#define SPANGATE_OTLP_ATTRIBUTES_H

#include <spangate/base/strbuf.h>
#include <spangate/otlp/pb.h>
#include <spangate/otlp/span.h>

enum any_type {
    ANY_EMPTY,
    ANY_STRING,
    ANY_BOOL,
    ANY_INT,
    ANY_DOUBLE,
    ANY_BYTES,
    ANY_ARRAY,
    ANY_MAP
};

struct any_value {
    enum any_type type;
    struct slice bytes; /* ANY_STRING, ANY_BYTES: the content; ANY_ARRAY, ANY_MAP: the message */
    int64_t number;     /* ANY_BOOL (0, 1), ANY_INT */
    double real;        /* ANY_DOUBLE */
};

struct attribute {
    struct slice key;
    struct any_value value;
};

/* Where a list of KeyValue stands: message bytes and its field number. */
struct attribute_iter {
    struct pb_reader reader;
    uint32_t field;
};

struct attribute_iter span_attributes(struct slice raw_span);
struct attribute_iter event_attributes(struct slice event);
struct attribute_iter link_attributes(struct slice link);
struct attribute_iter resource_attributes(struct slice resource_envelope);
struct attribute_iter scope_attributes(struct slice scope_envelope);
bool attribute_next(struct attribute_iter *iter, struct attribute *out);

struct any_value any_value_of(struct slice message); /* an encoded AnyValue */
/* Elements of ANY_ARRAY (false at the end): start with at 0. */
bool any_array_next(struct slice array, size_t *at, struct any_value *out);
/* Entries of ANY_MAP. */
struct attribute_iter any_map_entries(struct slice map);

/* As text: strings as they are, numbers in shortest form, bool true/false, bytes base64, arrays
 * and maps as JSON (["a",1], {"k":"v"}; nested at most 32 deep), empty as "". */
void any_to_text(const struct any_value *value, struct strbuf *out);
/* As a JSON value: like any_to_text but strings quoted, numbers plain, empty null. */
void any_to_json(const struct any_value *value, struct strbuf *out);
/* The shortest decimal that reads back as the same double; NaN, Infinity, -Infinity as text. */
void double_to_text(double value, struct strbuf *out);

/* Scalar parts of a span that are not in struct span. Absent: empty or 0. */
struct span_detail {
    struct slice trace_state;
    struct slice status_message;
    uint32_t flags; /* field 16 */
    uint64_t dropped_attributes, dropped_events, dropped_links;
    bool has_start, has_end;
};
void span_detail_of(struct slice raw_span, struct span_detail *out);

struct scope_detail {
    struct slice name, version, schema_url;
};
void scope_detail_of(struct slice scope_envelope, struct scope_detail *out);
struct slice resource_schema_url(struct slice resource_envelope);

/* Events (field 11) and links (field 13) of a span: false at the end. start with at 0. */
struct span_event {
    uint64_t time_ns;
    struct slice name;
    struct slice message; /* for event_attributes() */
    uint32_t dropped_attributes;
};
bool span_event_next(struct slice raw_span, size_t *at, struct span_event *out);

struct span_link {
    struct trace_id trace_id;
    struct span_id span_id;
    struct slice trace_state;
    struct slice message; /* for link_attributes() */
};
bool span_link_next(struct slice raw_span, size_t *at, struct span_link *out);

#endif
