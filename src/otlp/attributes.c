/*
 * attributes.c - iterators over encoded spans, resources and scopes (attributes.h).
 *
 * The bytes were checked when they were decoded, so a malformed field only ends a walk.
 */

#include <spangate/otlp/attributes.h>

#include "wire.h"

enum {
    ENVELOPE_HEAD = 1,
    ENVELOPE_SCHEMA_URL = 3,
    RESOURCE_ATTRIBUTES = 1,
    SCOPE_NAME = 1,
    SCOPE_VERSION = 2,
    SCOPE_ATTRIBUTES = 3,
    SPAN_TRACE_STATE = 3,
    SPAN_START_TIME = 7,
    SPAN_END_TIME = 8,
    SPAN_ATTRIBUTES = 9,
    SPAN_DROPPED_ATTRIBUTES = 10,
    SPAN_EVENTS = 11,
    SPAN_DROPPED_EVENTS = 12,
    SPAN_LINKS = 13,
    SPAN_DROPPED_LINKS = 14,
    SPAN_STATUS = 15,
    SPAN_FLAGS = 16,
    STATUS_MESSAGE = 2,
    EVENT_TIME = 1,
    EVENT_NAME = 2,
    EVENT_ATTRIBUTES = 3,
    EVENT_DROPPED_ATTRIBUTES = 4,
    LINK_TRACE_ID = 1,
    LINK_SPAN_ID = 2,
    LINK_TRACE_STATE = 3,
    LINK_ATTRIBUTES = 4,
    KEY_VALUE_KEY = 1,
    KEY_VALUE_VALUE = 2,
    ANY_VALUE_STRING = 1,
    ANY_VALUE_BOOL = 2,
    ANY_VALUE_INT = 3,
    ANY_VALUE_DOUBLE = 4,
    ANY_VALUE_ARRAY = 5,
    ANY_VALUE_MAP = 6,
    ANY_VALUE_BYTES = 7,
    LIST_VALUES = 1, /* of ArrayValue and KeyValueList */
};

static struct attribute_iter attributes_in(struct slice message, uint32_t field)
{
    return (struct attribute_iter){.reader = pb_over(message), .field = field};
}

/* The Resource or InstrumentationScope of an envelope; decoding left at most one. */
static struct slice head_of(struct slice envelope)
{
    struct pb_reader reader = pb_over(envelope);
    struct pb_field field;

    while (wire_next(&reader, &field)) {
        if (field.number == ENVELOPE_HEAD) {
            return field.bytes;
        }
    }
    return (struct slice){0};
}

struct attribute_iter span_attributes(struct slice raw_span)
{
    return attributes_in(raw_span, SPAN_ATTRIBUTES);
}

struct attribute_iter event_attributes(struct slice event)
{
    return attributes_in(event, EVENT_ATTRIBUTES);
}

struct attribute_iter link_attributes(struct slice link)
{
    return attributes_in(link, LINK_ATTRIBUTES);
}

struct attribute_iter resource_attributes(struct slice resource_envelope)
{
    return attributes_in(head_of(resource_envelope), RESOURCE_ATTRIBUTES);
}

struct attribute_iter scope_attributes(struct slice scope_envelope)
{
    return attributes_in(head_of(scope_envelope), SCOPE_ATTRIBUTES);
}

struct attribute_iter any_map_entries(struct slice map)
{
    return attributes_in(map, LIST_VALUES);
}

struct any_value any_value_of(struct slice message)
{
    struct pb_reader reader = pb_over(message);
    struct pb_field field;
    struct any_value value = {.type = ANY_EMPTY};

    /* A oneof: of several members the last one counts. */
    while (wire_next(&reader, &field)) {
        switch (field.number) {
        case ANY_VALUE_STRING:
            value = (struct any_value){.type = ANY_STRING, .bytes = field.bytes};
            break;
        case ANY_VALUE_BOOL:
            value = (struct any_value){.type = ANY_BOOL, .number = field.value != 0};
            break;
        case ANY_VALUE_INT:
            value = (struct any_value){.type = ANY_INT, .number = (int64_t)field.value};
            break;
        case ANY_VALUE_DOUBLE:
            value = (struct any_value){.type = ANY_DOUBLE};
            memcpy(&value.real, &field.value, sizeof(value.real));
            break;
        case ANY_VALUE_ARRAY:
            value = (struct any_value){.type = ANY_ARRAY, .bytes = field.bytes};
            break;
        case ANY_VALUE_MAP:
            value = (struct any_value){.type = ANY_MAP, .bytes = field.bytes};
            break;
        case ANY_VALUE_BYTES:
            value = (struct any_value){.type = ANY_BYTES, .bytes = field.bytes};
            break;
        default:
            break;
        }
    }
    return value;
}

static void key_value_of(struct slice message, struct attribute *out)
{
    struct pb_reader reader = pb_over(message);
    struct pb_field field;
    struct slice value = {0};

    out->key = (struct slice){0};
    while (wire_next(&reader, &field)) {
        if (field.number == KEY_VALUE_KEY) {
            out->key = field.bytes;
        } else if (field.number == KEY_VALUE_VALUE) {
            value = field.bytes;
        }
    }
    out->value = any_value_of(value);
}

bool attribute_next(struct attribute_iter *iter, struct attribute *out)
{
    struct pb_field field;

    while (wire_next(&iter->reader, &field)) {
        if (field.number == iter->field && field.wire == PB_BYTES) {
            key_value_of(field.bytes, out);
            return true;
        }
    }
    return false;
}

/* The next sub-message `number` of message from offset *at on. */
static bool message_next(struct slice message, uint32_t number, size_t *at, struct slice *out)
{
    struct pb_reader reader = pb_over(slice_from(message, *at));
    struct pb_field field;

    while (wire_next(&reader, &field)) {
        if (field.number == number && field.wire == PB_BYTES) {
            *at = (size_t)(reader.at - message.data);
            *out = field.bytes;
            return true;
        }
    }
    *at = message.len;
    return false;
}

bool any_array_next(struct slice array, size_t *at, struct any_value *out)
{
    struct slice message;

    if (!message_next(array, LIST_VALUES, at, &message)) {
        return false;
    }
    *out = any_value_of(message);
    return true;
}

void span_detail_of(struct slice raw_span, struct span_detail *out)
{
    struct pb_reader reader = pb_over(raw_span);
    struct pb_field field;

    *out = (struct span_detail){0};
    while (wire_next(&reader, &field)) {
        switch (field.number) {
        case SPAN_TRACE_STATE:
            out->trace_state = field.bytes;
            break;
        case SPAN_START_TIME:
            out->has_start = field.value != 0;
            break;
        case SPAN_END_TIME:
            out->has_end = field.value != 0;
            break;
        case SPAN_DROPPED_ATTRIBUTES:
            out->dropped_attributes = (uint32_t)field.value;
            break;
        case SPAN_DROPPED_EVENTS:
            out->dropped_events = (uint32_t)field.value;
            break;
        case SPAN_DROPPED_LINKS:
            out->dropped_links = (uint32_t)field.value;
            break;
        case SPAN_STATUS: {
            struct pb_reader status = pb_over(field.bytes);
            while (wire_next(&status, &field)) {
                if (field.number == STATUS_MESSAGE) {
                    out->status_message = field.bytes;
                }
            }
            break;
        }
        case SPAN_FLAGS:
            out->flags = (uint32_t)field.value;
            break;
        default:
            break;
        }
    }
}

static struct slice schema_url_of(struct slice envelope)
{
    struct pb_reader reader = pb_over(envelope);
    struct pb_field field;
    struct slice url = {0};

    while (wire_next(&reader, &field)) {
        if (field.number == ENVELOPE_SCHEMA_URL) {
            url = field.bytes;
        }
    }
    return url;
}

void scope_detail_of(struct slice scope_envelope, struct scope_detail *out)
{
    struct pb_reader reader = pb_over(head_of(scope_envelope));
    struct pb_field field;

    *out = (struct scope_detail){.schema_url = schema_url_of(scope_envelope)};
    while (wire_next(&reader, &field)) {
        if (field.number == SCOPE_NAME) {
            out->name = field.bytes;
        } else if (field.number == SCOPE_VERSION) {
            out->version = field.bytes;
        }
    }
}

struct slice resource_schema_url(struct slice resource_envelope)
{
    return schema_url_of(resource_envelope);
}

bool span_event_next(struct slice raw_span, size_t *at, struct span_event *out)
{
    struct slice message;

    if (!message_next(raw_span, SPAN_EVENTS, at, &message)) {
        return false;
    }
    struct pb_reader reader = pb_over(message);
    struct pb_field field;
    *out = (struct span_event){.message = message};
    while (wire_next(&reader, &field)) {
        switch (field.number) {
        case EVENT_TIME:
            out->time_ns = field.value;
            break;
        case EVENT_NAME:
            out->name = field.bytes;
            break;
        case EVENT_DROPPED_ATTRIBUTES:
            out->dropped_attributes = (uint32_t)field.value;
            break;
        default:
            break;
        }
    }
    return true;
}

/* Ids of links are not checked when decoding: one of the wrong length reads as all zero. */
static void copy_id(struct slice id, uint8_t *out, size_t len)
{
    if (id.len == len) {
        memcpy(out, id.data, len);
    } else {
        memset(out, 0, len);
    }
}

bool span_link_next(struct slice raw_span, size_t *at, struct span_link *out)
{
    struct slice message;

    if (!message_next(raw_span, SPAN_LINKS, at, &message)) {
        return false;
    }
    struct pb_reader reader = pb_over(message);
    struct pb_field field;
    *out = (struct span_link){.message = message};
    while (wire_next(&reader, &field)) {
        switch (field.number) {
        case LINK_TRACE_ID:
            copy_id(field.bytes, out->trace_id.bytes, sizeof(out->trace_id.bytes));
            break;
        case LINK_SPAN_ID:
            copy_id(field.bytes, out->span_id.bytes, sizeof(out->span_id.bytes));
            break;
        case LINK_TRACE_STATE:
            out->trace_state = field.bytes;
            break;
        default:
            break;
        }
    }
    return true;
}
