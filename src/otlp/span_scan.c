/*
 * span_scan.c - reading one encoded span (span_scan.h).
 *
 * This is the hot path of the gateway: every span goes through here. It looks at each byte that
 * must be looked at once (is the text UTF-8, are the messages whole, how deep do values nest) and
 * keeps what struct span holds. Attributes in the form that every SDK writes are checked inline;
 * anything unusual goes to message_check(), which knows the schema.
 */

#include "span_scan.h"

#include "wire.h"

#include <spangate/base/text.h>

/* Tags of Span. A known number with another wire type is none of these and is refused. */
enum {
    SPAN_TRACE_ID = 1 << 3 | PB_BYTES,
    SPAN_SPAN_ID = 2 << 3 | PB_BYTES,
    SPAN_TRACE_STATE = 3 << 3 | PB_BYTES,
    SPAN_PARENT_SPAN_ID = 4 << 3 | PB_BYTES,
    SPAN_NAME = 5 << 3 | PB_BYTES,
    SPAN_KIND = 6 << 3 | PB_VARINT,
    SPAN_START_TIME = 7 << 3 | PB_FIXED64,
    SPAN_END_TIME = 8 << 3 | PB_FIXED64,
    SPAN_ATTRIBUTES = 9 << 3 | PB_BYTES,
    SPAN_DROPPED_ATTRIBUTES = 10 << 3 | PB_VARINT,
    SPAN_EVENTS = 11 << 3 | PB_BYTES,
    SPAN_DROPPED_EVENTS = 12 << 3 | PB_VARINT,
    SPAN_LINKS = 13 << 3 | PB_BYTES,
    SPAN_DROPPED_LINKS = 14 << 3 | PB_VARINT,
    SPAN_STATUS = 15 << 3 | PB_BYTES,
    SPAN_FLAGS = 16 << 3 | PB_FIXED32,
    SPAN_FIELDS_KNOWN = 16,
};

enum {
    EVENT_TIME = 1 << 3 | PB_FIXED64,
    EVENT_NAME = 2 << 3 | PB_BYTES,
    EVENT_ATTRIBUTES = 3 << 3 | PB_BYTES,
};

enum {
    KEY_VALUE_KEY = 1 << 3 | PB_BYTES,
    KEY_VALUE_VALUE = 2 << 3 | PB_BYTES,
    ANY_VALUE_STRING = 1 << 3 | PB_BYTES,
    ANY_VALUE_BOOL = 2 << 3 | PB_VARINT,
    ANY_VALUE_INT = 3 << 3 | PB_VARINT,
    ANY_VALUE_DOUBLE = 4 << 3 | PB_FIXED64,
};

enum { STATUS_CODE = 3 };

static inline void check_text(struct slice text, const uint8_t *limit,
                              struct message_findings *findings)
{
    if (!bytes_are_ascii_within(text.data, text.len, limit)) {
        findings->bad_strings += !utf8_is_valid(text);
    }
}

/*
 * The form in which every SDK writes an attribute: a key, then a value that is a number, a bool or
 * ASCII text, and nothing else. true: nothing is wrong with it. false: look closer.
 * Memory may be read up to limit.
 */
static inline bool key_value_is_plain(struct slice message, const uint8_t *limit)
{
    const uint8_t *at = message.data;
    const uint8_t *end = at + message.len;
    struct slice key = {0};
    struct slice value = {0};
    struct slice text = {0};
    uint64_t number;

    if (at == end || *at != KEY_VALUE_KEY) {
        return false;
    }
    at = wire_bytes(at + 1, end, &key);
    if (at == NULL || at == end || *at != KEY_VALUE_VALUE ||
        wire_bytes(at + 1, end, &value) != end ||
        !bytes_are_ascii_within(key.data, key.len, limit) || value.len == 0) {
        return false;
    }
    at = value.data;
    switch (*at++) {
    case ANY_VALUE_STRING:
        return wire_bytes(at, end, &text) == end &&
               bytes_are_ascii_within(text.data, text.len, limit);
    case ANY_VALUE_BOOL:
    case ANY_VALUE_INT:
        return wire_varint(at, end, &number) == end;
    case ANY_VALUE_DOUBLE:
        return end - at == 8;
    default:
        return false;
    }
}

static inline bool check_key_value(struct slice message, const uint8_t *limit, size_t depth_max,
                                   struct message_findings *findings)
{
    return (key_value_is_plain(message, limit) && depth_max > 0) ||
           message_check(MSG_KEY_VALUE, message, depth_max, findings);
}

/* As message_check(MSG_EVENT), quicker for events of plain attributes. */
static bool check_event(struct slice event, const uint8_t *limit, size_t depth_max,
                        struct message_findings *findings)
{
    const uint8_t *at = event.data;
    const uint8_t *end = at + event.len;
    struct slice part;
    uint64_t number;

    while (at < end) {
        const uint8_t *after = NULL;
        switch (*at) {
        case EVENT_TIME:
            after = wire_fixed64(at + 1, end, &number);
            break;
        case EVENT_NAME:
            after = wire_bytes(at + 1, end, &part);
            if (after != NULL && !bytes_are_ascii_within(part.data, part.len, limit)) {
                after = NULL;
            }
            break;
        case EVENT_ATTRIBUTES:
            after = wire_bytes(at + 1, end, &part);
            if (after != NULL && !key_value_is_plain(part, limit)) {
                after = NULL;
            }
            break;
        default:
            break;
        }
        if (after == NULL || depth_max == 0) {
            /* Not plain, so from here on by the schema. */
            return message_check(MSG_EVENT, (struct slice){at, (size_t)(end - at)}, depth_max,
                                 findings);
        }
        at = after;
    }
    return true;
}

/* A Status may come in pieces, which merge: only a piece that has a code changes it. */
static bool scan_status(struct slice status, uint8_t *code, struct message_findings *findings)
{
    struct pb_reader reader = pb_over(status);
    struct pb_field field;

    if (!message_check(MSG_STATUS, status, 0, findings)) {
        return false;
    }
    while (wire_next(&reader, &field)) {
        if (field.number == STATUS_CODE) {
            uint32_t value = (uint32_t)field.value;
            *code = value <= SPAN_STATUS_ERROR ? (uint8_t)value : SPAN_STATUS_UNSET;
        }
    }
    return true;
}

static bool span_fault(struct span_scan *scan, const uint8_t *at, const char *why)
{
    scan->findings.fault = at;
    scan->findings.fault_in = MSG_SPAN;
    scan->findings.fault_why = why;
    return false;
}

bool scan_span(struct slice raw, const uint8_t *limit, size_t depth_max, struct span *span,
               struct span_scan *scan)
{
    const uint8_t *at = raw.data;
    const uint8_t *end = at + raw.len;
    struct message_findings *findings = &scan->findings;

    *scan = (struct span_scan){0};
    *span = (struct span){.raw = raw};
    while (at < end) {
        const uint8_t *begin = at;
        struct slice part;
        uint64_t number;
        uint32_t tag;
        bool whole = true;

        at = wire_tag(at, end, &tag);
        if (at == NULL) {
            return span_fault(scan, begin, wire_fault(begin, end));
        }
        switch (tag) {
        case SPAN_TRACE_ID:
            at = wire_bytes(at, end, &scan->trace_id);
            break;
        case SPAN_SPAN_ID:
            at = wire_bytes(at, end, &scan->span_id);
            break;
        case SPAN_PARENT_SPAN_ID:
            at = wire_bytes(at, end, &scan->parent_id);
            break;
        case SPAN_TRACE_STATE:
            at = wire_bytes(at, end, &part);
            if (at != NULL) {
                check_text(part, limit, findings);
            }
            break;
        case SPAN_NAME:
            at = wire_bytes(at, end, &span->name);
            if (at != NULL) {
                check_text(span->name, limit, findings);
            }
            break;
        case SPAN_KIND:
            at = wire_varint(at, end, &number);
            if (at != NULL) {
                span->kind = (uint32_t)number <= SPAN_KIND_CONSUMER ? (uint8_t)number : UINT8_MAX;
            }
            break;
        case SPAN_START_TIME:
            at = wire_fixed64(at, end, &span->start_ns);
            break;
        case SPAN_END_TIME:
            at = wire_fixed64(at, end, &span->end_ns);
            break;
        case SPAN_ATTRIBUTES:
            at = wire_bytes(at, end, &part);
            whole = at == NULL || check_key_value(part, limit, depth_max, findings);
            break;
        case SPAN_EVENTS:
            at = wire_bytes(at, end, &part);
            whole = at == NULL || check_event(part, limit, depth_max, findings);
            break;
        case SPAN_LINKS:
            at = wire_bytes(at, end, &part);
            whole = at == NULL || message_check(MSG_LINK, part, depth_max, findings);
            break;
        case SPAN_STATUS:
            at = wire_bytes(at, end, &part);
            whole = at == NULL || scan_status(part, &span->status, findings);
            break;
        case SPAN_DROPPED_ATTRIBUTES:
        case SPAN_DROPPED_EVENTS:
        case SPAN_DROPPED_LINKS:
            at = wire_varint(at, end, &number);
            break;
        case SPAN_FLAGS:
            at = wire_fixed32(at, end, &number);
            break;
        default:
            if (tag >> 3 <= SPAN_FIELDS_KNOWN) {
                return span_fault(scan, begin, "a field of another wire type");
            }
            at = wire_skip(at, end, tag >> 3, tag & 7); /* newer senders: raw keeps it */
            break;
        }
        if (at == NULL) {
            return span_fault(scan, begin, wire_fault(begin, end));
        }
        if (!whole) {
            return false;
        }
    }
    return true;
}
