/*
 * message.c - check and repair encoded messages by their schema (message.h).
 *
 * Both walks are loops over an explicit stack, because the nesting comes from outside: an array in
 * a map in an array costs its sender three bytes a level.
 */

#include "message.h"

#include "wire.h"

#include <assert.h>
#include <spangate/base/text.h>

enum field_kind {
    FIELD_UNKNOWN,
    FIELD_VARINT,
    FIELD_FIXED64,
    FIELD_FIXED32,
    FIELD_BYTES,
    FIELD_STRING,
    FIELD_MESSAGE,
};

struct field_rule {
    uint8_t kind;
    uint8_t message; /* FIELD_MESSAGE: which */
};

enum { FIELDS_MAX = 17 };

struct message_schema {
    const char *name;
    struct field_rule fields[FIELDS_MAX]; /* by field number */
};

#define MESSAGE(type)                                                                              \
    {                                                                                              \
        FIELD_MESSAGE, type                                                                        \
    }

static const struct message_schema schemas[MSG_COUNT] = {
    [MSG_RESOURCE_SPANS] = {"ResourceSpans",
                            {[1] = MESSAGE(MSG_RESOURCE), [3] = {FIELD_STRING, 0}}},
    [MSG_SCOPE_SPANS] = {"ScopeSpans", {[1] = MESSAGE(MSG_SCOPE), [3] = {FIELD_STRING, 0}}},
    [MSG_RESOURCE] = {"Resource",
                      {
                          [1] = MESSAGE(MSG_KEY_VALUE),
                          [2] = {FIELD_VARINT, 0},
                          [3] = MESSAGE(MSG_ENTITY_REF),
                      }},
    [MSG_SCOPE] = {"InstrumentationScope",
                   {
                       [1] = {FIELD_STRING, 0},
                       [2] = {FIELD_STRING, 0},
                       [3] = MESSAGE(MSG_KEY_VALUE),
                       [4] = {FIELD_VARINT, 0},
                   }},
    [MSG_ENTITY_REF] = {"EntityRef",
                        {
                            [1] = {FIELD_STRING, 0},
                            [2] = {FIELD_STRING, 0},
                            [3] = {FIELD_STRING, 0},
                            [4] = {FIELD_STRING, 0},
                        }},
    [MSG_SPAN] = {"Span",
                  {
                      [1] = {FIELD_BYTES, 0},
                      [2] = {FIELD_BYTES, 0},
                      [3] = {FIELD_STRING, 0},
                      [4] = {FIELD_BYTES, 0},
                      [5] = {FIELD_STRING, 0},
                      [6] = {FIELD_VARINT, 0},
                      [7] = {FIELD_FIXED64, 0},
                      [8] = {FIELD_FIXED64, 0},
                      [9] = MESSAGE(MSG_KEY_VALUE),
                      [10] = {FIELD_VARINT, 0},
                      [11] = MESSAGE(MSG_EVENT),
                      [12] = {FIELD_VARINT, 0},
                      [13] = MESSAGE(MSG_LINK),
                      [14] = {FIELD_VARINT, 0},
                      [15] = MESSAGE(MSG_STATUS),
                      [16] = {FIELD_FIXED32, 0},
                  }},
    [MSG_EVENT] = {"Event",
                   {
                       [1] = {FIELD_FIXED64, 0},
                       [2] = {FIELD_STRING, 0},
                       [3] = MESSAGE(MSG_KEY_VALUE),
                       [4] = {FIELD_VARINT, 0},
                   }},
    [MSG_LINK] = {"Link",
                  {
                      [1] = {FIELD_BYTES, 0},
                      [2] = {FIELD_BYTES, 0},
                      [3] = {FIELD_STRING, 0},
                      [4] = MESSAGE(MSG_KEY_VALUE),
                      [5] = {FIELD_VARINT, 0},
                      [6] = {FIELD_FIXED32, 0},
                  }},
    [MSG_STATUS] = {"Status", {[2] = {FIELD_STRING, 0}, [3] = {FIELD_VARINT, 0}}},
    [MSG_KEY_VALUE] = {"KeyValue", {[1] = {FIELD_STRING, 0}, [2] = MESSAGE(MSG_ANY_VALUE)}},
    [MSG_ANY_VALUE] = {"AnyValue",
                       {
                           [1] = {FIELD_STRING, 0},
                           [2] = {FIELD_VARINT, 0},
                           [3] = {FIELD_VARINT, 0},
                           [4] = {FIELD_FIXED64, 0},
                           [5] = MESSAGE(MSG_ARRAY_VALUE),
                           [6] = MESSAGE(MSG_KEY_VALUE_LIST),
                           [7] = {FIELD_BYTES, 0},
                       }},
    [MSG_ARRAY_VALUE] = {"ArrayValue", {[1] = MESSAGE(MSG_ANY_VALUE)}},
    [MSG_KEY_VALUE_LIST] = {"KeyValueList", {[1] = MESSAGE(MSG_KEY_VALUE)}},
};

static const uint8_t wire_of_kind[] = {
    [FIELD_VARINT] = PB_VARINT, [FIELD_FIXED64] = PB_FIXED64, [FIELD_FIXED32] = PB_FIXED32,
    [FIELD_BYTES] = PB_BYTES,   [FIELD_STRING] = PB_BYTES,    [FIELD_MESSAGE] = PB_BYTES,
};

/* AnyValue, KeyValueList and KeyValue a level, and what a span puts around them. */
enum { STACK_MAX = 3 * MESSAGE_DEPTH_MAX + 8 };

const char *message_name(enum message type)
{
    return schemas[type].name;
}

static struct field_rule rule_of(enum message type, uint32_t number)
{
    return number < FIELDS_MAX ? schemas[type].fields[number] : (struct field_rule){0};
}

static bool fault(struct message_findings *findings, enum message type, const uint8_t *at,
                  const char *why)
{
    findings->fault = at;
    findings->fault_in = type;
    findings->fault_why = why;
    return false;
}

bool message_check(enum message type, struct slice bytes, size_t depth_max,
                   struct message_findings *findings)
{
    struct frame {
        const uint8_t *end;
        enum message type;
        uint32_t depth; /* AnyValues around and including this message */
    } stack[STACK_MAX];
    size_t top = 0;

    if (bytes.len == 0) {
        return true;
    }
    if (depth_max > MESSAGE_DEPTH_MAX) {
        depth_max = MESSAGE_DEPTH_MAX;
    }
    const uint8_t *at = bytes.data;
    struct frame here = {.end = at + bytes.len, .type = type, .depth = type == MSG_ANY_VALUE};
    for (;;) {
        while (at == here.end) {
            if (top == 0) {
                return true;
            }
            here = stack[--top];
        }

        const uint8_t *begin = at;
        uint32_t tag;
        at = wire_tag(at, here.end, &tag);
        if (at == NULL) {
            return fault(findings, here.type, begin, wire_fault(begin, here.end));
        }
        struct field_rule rule = rule_of(here.type, tag >> 3);
        if (rule.kind != FIELD_UNKNOWN && wire_of_kind[rule.kind] != (tag & 7)) {
            return fault(findings, here.type, begin, "a field of another wire type");
        }
        if (rule.kind < FIELD_STRING) {
            at = wire_skip(at, here.end, tag >> 3, tag & 7);
            if (at == NULL) {
                return fault(findings, here.type, begin, wire_fault(begin, here.end));
            }
            continue;
        }

        struct slice part;
        const uint8_t *after = wire_bytes(at, here.end, &part);
        if (after == NULL) {
            return fault(findings, here.type, begin, wire_fault(begin, here.end));
        }
        at = after;
        if (rule.kind == FIELD_STRING) {
            if (!bytes_are_ascii(part.data, part.len) && !utf8_is_valid(part)) {
                findings->bad_strings++;
            }
            continue;
        }
        uint32_t depth = here.depth + (rule.message == MSG_ANY_VALUE);
        if (depth > depth_max) {
            findings->too_deep = true;
            continue;
        }
        assert(top < STACK_MAX);
        stack[top++] = here;
        at = part.data;
        here = (struct frame){
            .end = part.data + part.len, .type = (enum message)rule.message, .depth = depth};
    }
}

void message_repair(enum message type, struct slice bytes, struct strbuf *out)
{
    struct frame {
        const uint8_t *end;
        enum message type;
        size_t begun; /* of the message in out, for pb_end() */
    } stack[STACK_MAX];
    size_t top = 0;

    if (bytes.len == 0) {
        return;
    }
    const uint8_t *at = bytes.data;
    struct frame here = {.end = at + bytes.len, .type = type};
    for (;;) {
        while (at == here.end) {
            if (top == 0) {
                return;
            }
            pb_end(out, here.begun);
            here = stack[--top];
        }

        struct pb_field field;
        at = wire_field(at, here.end, &field);
        assert(at != NULL); /* message_check() passed it */
        struct field_rule rule = rule_of(here.type, field.number);
        if (rule.kind == FIELD_MESSAGE) {
            assert(top < STACK_MAX);
            stack[top++] = here;
            at = field.bytes.data;
            here = (struct frame){
                .end = field.bytes.data + field.bytes.len,
                .type = (enum message)rule.message,
                .begun = pb_begin(out, field.number),
            };
        } else if (rule.kind == FIELD_STRING && !utf8_is_valid(field.bytes)) {
            size_t begun = pb_begin(out, field.number);
            utf8_sanitize(field.bytes, out);
            pb_end(out, begun);
        } else {
            strbuf_append_slice(out, field.whole);
        }
    }
}
