/*
 * json_parts.h - OTLP/JSON in tests: decode, encode, look inside, and samples of every message.
 */
#ifndef SPANGATE_TEST_OTLP_JSON_PARTS_H
#define SPANGATE_TEST_OTLP_JSON_PARTS_H

#include "parts.h"

#define TRACE_ID_TEXT "5b8efff798038103d269b633813fc60c"
#define SPAN_ID_TEXT "eee19b7ec3c1b174"

/* What golden_hex of parts.h is in JSON, members in the order of the field numbers. */
static const char golden_json[] =
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\","
    "\"value\":{\"stringValue\":\"my.service\"}}]},\"scopeSpans\":[{\"scope\":{"
    "\"name\":\"my.library\",\"version\":\"1.0.0\",\"attributes\":[{\"key\":\"my.scope.attribute\","
    "\"value\":{\"stringValue\":\"some scope attribute\"}}]},\"spans\":[{"
    "\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"eee19b7ec3c1b174\","
    "\"parentSpanId\":\"eee19b7ec3c1b173\",\"name\":\"I'm a server span\",\"kind\":2,"
    "\"startTimeUnixNano\":\"1544712660000000000\",\"endTimeUnixNano\":\"1544712661000000000\","
    "\"attributes\":[{\"key\":\"my.span.attr\",\"value\":{\"stringValue\":\"some value\"}}]}]}]}]}";

/* A span with every field, in the form in which it is written. */
static const char full_trace_json[] =
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"a\",\"value\":{}}],"
    "\"droppedAttributesCount\":1,\"entityRefs\":[{\"schemaUrl\":\"u\",\"type\":\"service\","
    "\"idKeys\":[\"service.name\",\"\"],\"descriptionKeys\":[\"d\"]}]},"
    "\"scopeSpans\":[{\"scope\":{\"name\":\"lib\",\"version\":\"2\","
    "\"attributes\":[{\"key\":\"s\"}],"
    "\"droppedAttributesCount\":7},\"spans\":[{\"traceId\":\"" TRACE_ID_TEXT
    "\",\"spanId\":\"" SPAN_ID_TEXT
    "\",\"traceState\":\"a=b\",\"parentSpanId\":\"0102030405060708\",\"name\":\"n\","
    "\"kind\":5,\"startTimeUnixNano\":\"18446744073709551615\",\"endTimeUnixNano\":\"1\","
    "\"attributes\":[{\"key\":\"string\",\"value\":{\"stringValue\":\"\"}},"
    "{\"key\":\"bool\",\"value\":{\"boolValue\":false}},"
    "{\"key\":\"int\",\"value\":{\"intValue\":\"0\"}},"
    "{\"key\":\"double\",\"value\":{\"doubleValue\":-0.25}},"
    "{\"key\":\"array\",\"value\":{\"arrayValue\":{\"values\":[{\"intValue\":\"-1\"},{},"
    "{\"arrayValue\":{}}]}}},"
    "{\"key\":\"map\",\"value\":{\"kvlistValue\":{\"values\":[{\"key\":\"k\",\"value\":"
    "{\"kvlistValue\":{}}}]}}},"
    "{\"key\":\"bytes\",\"value\":{\"bytesValue\":\"AQID\"}}],\"droppedAttributesCount\":2,"
    "\"events\":[{\"timeUnixNano\":\"5\",\"name\":\"e\",\"attributes\":[{\"key\":\"x\"}],"
    "\"droppedAttributesCount\":4294967295},{}],\"droppedEventsCount\":3,"
    "\"links\":[{\"traceId\":\"" TRACE_ID_TEXT "\",\"spanId\":\"" SPAN_ID_TEXT "\","
    "\"traceState\":\"t\",\"attributes\":[{\"key\":\"l\"}],\"droppedAttributesCount\":6,"
    "\"flags\":769}],\"droppedLinksCount\":4,\"status\":{\"message\":\"m\",\"code\":2},"
    "\"flags\":4294967295}],\"schemaUrl\":\"https://scope\"}],\"schemaUrl\":\"https://res\"}]}";

static const char full_metrics_json[] =
    "{\"resourceMetrics\":[{\"resource\":{},\"scopeMetrics\":[{\"scope\":{},\"metrics\":["
    "{\"name\":\"g\",\"description\":\"d\",\"unit\":\"By\",\"gauge\":{\"dataPoints\":["
    "{\"startTimeUnixNano\":\"1\",\"timeUnixNano\":\"2\",\"asDouble\":0,\"exemplars\":["
    "{\"timeUnixNano\":\"3\",\"asDouble\":1.5,\"spanId\":\"" SPAN_ID_TEXT
    "\",\"traceId\":\"" TRACE_ID_TEXT
    "\",\"filteredAttributes\":[{\"key\":\"f\"}]},{\"asInt\":\"-4\"}],"
    "\"attributes\":[{\"key\":\"a\"}],\"flags\":1},{\"asInt\":\"0\"}]},"
    "\"metadata\":[{\"key\":\"m\",\"value\":{\"boolValue\":true}}]},"
    "{\"name\":\"s\",\"sum\":{\"dataPoints\":[{\"asInt\":\"-9223372036854775808\"}],"
    "\"aggregationTemporality\":2,\"isMonotonic\":true}},"
    "{\"name\":\"h\",\"histogram\":{\"dataPoints\":[{\"startTimeUnixNano\":\"1\","
    "\"timeUnixNano\":\"2\",\"count\":\"3\",\"sum\":0,\"bucketCounts\":[\"1\",\"0\",\"2\"],"
    "\"explicitBounds\":[0,2.5],\"exemplars\":[{}],\"attributes\":[{\"key\":\"a\"}],\"flags\":1,"
    "\"min\":-1,\"max\":\"Infinity\"},{}],\"aggregationTemporality\":1}},"
    "{\"name\":\"x\",\"exponentialHistogram\":{\"dataPoints\":[{\"attributes\":[{\"key\":\"a\"}],"
    "\"startTimeUnixNano\":\"1\",\"timeUnixNano\":\"2\",\"count\":\"3\",\"sum\":4,\"scale\":-5,"
    "\"zeroCount\":\"6\",\"positive\":{\"offset\":2147483647,\"bucketCounts\":[\"1\","
    "\"18446744073709551615\"]},\"negative\":{\"offset\":-2147483648},\"flags\":1,"
    "\"exemplars\":[{}],\"min\":0,\"max\":1e+300,\"zeroThreshold\":0.001}],"
    "\"aggregationTemporality\":2}},"
    "{\"name\":\"q\",\"summary\":{\"dataPoints\":[{\"startTimeUnixNano\":\"1\","
    "\"timeUnixNano\":\"2\",\"count\":\"3\",\"sum\":4.5,\"quantileValues\":[{\"quantile\":0.99,"
    "\"value\":-3},{}],\"attributes\":[{\"key\":\"a\"}],\"flags\":1}]}}],"
    "\"schemaUrl\":\"u\"}],\"schemaUrl\":\"v\"}]}";

static const char full_logs_json[] =
    "{\"resourceLogs\":[{\"resource\":{},\"scopeLogs\":[{\"scope\":{\"name\":\"l\"},"
    "\"logRecords\":["
    "{\"timeUnixNano\":\"1\",\"severityNumber\":9,\"severityText\":\"INFO\","
    "\"body\":{\"kvlistValue\":{\"values\":[{\"key\":\"msg\","
    "\"value\":{\"stringValue\":\"hi\"}}]}},"
    "\"attributes\":[{\"key\":\"a\",\"value\":{\"intValue\":\"1\"}}],\"droppedAttributesCount\":2,"
    "\"flags\":1,\"traceId\":\"" TRACE_ID_TEXT "\",\"spanId\":\"" SPAN_ID_TEXT "\","
    "\"observedTimeUnixNano\":\"3\",\"eventName\":\"ev\"},"
    "{\"body\":{\"stringValue\":\"plain\"}},{}],"
    "\"schemaUrl\":\"u\"}],\"schemaUrl\":\"v\"}]}";

static inline const char *full_json(enum otlp_signal signal)
{
    return signal == OTLP_TRACES    ? full_trace_json
           : signal == OTLP_METRICS ? full_metrics_json
                                    : full_logs_json;
}

static inline struct strbuf from_json(enum otlp_signal signal, struct slice json)
{
    struct strbuf out = new_bytes();
    struct error err = {0};

    if (!otlp_json_decode(signal, json, &otlp_limits_default, &out, &err)) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(err.code, ERR_NONE);
    return out;
}

static inline struct strbuf to_json(enum otlp_signal signal, struct slice body)
{
    struct strbuf out = new_bytes();
    struct error err = {0};

    if (!otlp_json_encode(signal, body, &out, &err)) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(err.code, ERR_NONE);
    return out;
}

/* The text is refused with that error, and nothing was written. */
static inline void assert_json_refused(enum otlp_signal signal, const char *json,
                                       const char *message)
{
    struct strbuf out = new_bytes();
    struct error err = {0};

    strbuf_append_text(&out, "before");
    assert_false(otlp_json_decode(signal, slice_of(json), &otlp_limits_default, &out, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(err.message, message);
    assert_string_equal(out.data, "before");
    strbuf_deinit(&out);
}

/* Lower-case hex; release with free(). */
static inline char *hex_of(struct slice bytes)
{
    char *text = malloc(2 * bytes.len + 1);

    assert_non_null(text);
    hex_encode(bytes.data, bytes.len, text);
    text[2 * bytes.len] = '\0';
    return text;
}

static inline void assert_hex(struct slice bytes, const char *expected)
{
    char *hex = hex_of(bytes);

    assert_string_equal(hex, expected);
    free(hex);
}

/* The content of the first field `number` of the message; fails when there is none. */
static inline struct slice inside(struct slice message, uint32_t number)
{
    struct pb_reader reader = pb_over(message);
    struct pb_field field;
    struct error err = {0};

    while (pb_next(&reader, &field, &err) == PB_FIELD) {
        if (field.number == number) {
            return field.bytes;
        }
    }
    fail_msg("no field %u", (unsigned)number);
    return (struct slice){0};
}

/* The AnyValue in JSON becomes these bytes. */
static inline void assert_value(const char *json, const char *expected)
{
    struct strbuf text = new_bytes();

    strbuf_printf(&text, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"value\":%s}]}}]}",
                  json);
    struct strbuf body = from_json(OTLP_TRACES, strbuf_slice(&text));
    struct slice resource = inside(inside(strbuf_slice(&body), 1), 1);
    assert_hex(inside(inside(resource, 1), 2), expected);
    strbuf_deinit(&body);
    strbuf_deinit(&text);
}

/* The members make a Span of these bytes. */
static inline void assert_span(const char *members, const char *expected)
{
    struct strbuf text = new_bytes();

    strbuf_printf(&text, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{%s}]}]}]}", members);
    struct strbuf body = from_json(OTLP_TRACES, strbuf_slice(&text));
    assert_hex(inside(inside(inside(strbuf_slice(&body), 1), 2), 2), expected);
    strbuf_deinit(&body);
    strbuf_deinit(&text);
}

static inline void assert_value_refused(const char *json, const char *cause)
{
    struct strbuf text = new_bytes();
    struct strbuf out = new_bytes();
    struct error err = {0};

    strbuf_printf(&text, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"value\":%s}]}}]}",
                  json);
    assert_false(
        otlp_json_decode(OTLP_TRACES, strbuf_slice(&text), &otlp_limits_default, &out, &err));
    assert_int_equal(err.code, ERR_INVALID);
    const char *found = strstr(err.message, ": ");
    assert_non_null(found);
    assert_string_equal(found + 2, cause);
    strbuf_deinit(&out);
    strbuf_deinit(&text);
}

static inline void assert_span_refused(const char *members, const char *cause)
{
    struct strbuf text = new_bytes();
    struct strbuf out = new_bytes();
    struct error err = {0};

    strbuf_printf(&text, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{%s}]}]}]}", members);
    assert_false(
        otlp_json_decode(OTLP_TRACES, strbuf_slice(&text), &otlp_limits_default, &out, &err));
    assert_int_equal(err.code, ERR_INVALID);
    const char *found = strstr(err.message, ": ");
    assert_non_null(found);
    assert_string_equal(found + 2, cause);
    strbuf_deinit(&out);
    strbuf_deinit(&text);
}

#endif
