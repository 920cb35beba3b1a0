/*
 * jaeger_test.c - Jaeger's HTTP API: whole answers, to the byte, and the errors in its words.
 */
#include "fake_pipeline.h"

#define T1 "5b8efff798038103d269b633813fc60c"
#define ENVELOPE(data, total)                                                                      \
    "{\"data\":" data ",\"total\":" total ",\"limit\":0,\"offset\":0,\"errors\":null}"
#define TRACES(data) ENVELOPE("[" data "]", "0")
#define FAILURE(code, msg)                                                                         \
    "{\"data\":null,\"total\":0,\"limit\":0,\"offset\":0,\"errors\":[{\"code\":" code              \
    ",\"msg\":\"" msg "\"}]}"

/* One service with the given spans; `times` of a span: 1 ms from 2018-12-13T14:51:00Z on. */
#define SERVICE(name, spans)                                                                       \
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":"      \
    "{\"stringValue\":\"" name "\"}}]},\"scopeSpans\":[{\"spans\":[" spans "]}]}]}"
#define TIMES                                                                                      \
    "\"startTimeUnixNano\":\"1544712660000000000\",\"endTimeUnixNano\":\"1544712660001000000\""
#define SPAN(trace, id, more) "{\"traceId\":\"" trace "\",\"spanId\":\"" id "\"," TIMES more "}"

static void services_are_listed(void **state)
{
    struct query_fixture *f = *state;

    expect_answer(f, "/api/services", 200, ENVELOPE("[]", "0"));
    fake_add(&f->pipeline, SERVICE("shop \\\"<x>", SPAN(T1, "eee19b7ec3c1b174", "")));
    fake_add(&f->pipeline, SERVICE("auth", SPAN(T1, "eee19b7ec3c1b175", "")));
    fake_add(&f->pipeline, SERVICE("", SPAN(T1, "eee19b7ec3c1b176", "")));
    expect_answer(f, "/api/services", 200, ENVELOPE("[\"auth\",\"shop \\\"\\u003cx>\"]", "2"));
}

static void operations_of_a_service_are_listed_once_a_name(void **state)
{
    struct query_fixture *f = *state;

    fake_add(&f->pipeline,
             SERVICE("abc/trifle",
                     SPAN(T1, "01", ",\"name\":\"get\",\"kind\":2") "," SPAN(
                         T1, "02", ",\"name\":\"get\",\"kind\":3") "," SPAN(T1, "03",
                                                                            ",\"name\":\"put\"")));
    /* Ids of the wrong length are refused span by span, so write them in full. */
    assert_int_equal(f->pipeline.batches[0]->rejected_count, 3);
    fake_clear(&f->pipeline);
    fake_add(
        &f->pipeline,
        SERVICE("abc/trifle", SPAN(T1, "0000000000000001", ",\"name\":\"get\",\"kind\":2") "," SPAN(
                                  T1, "0000000000000002",
                                  ",\"name\":\"get\",\"kind\":3") "," SPAN(T1, "0000000000000003",
                                                                           ",\"name\":\"put\"")));
    static const char *const targets[] = {"/api/services/abc%2Ftrifle/operations",
                                          "/api/services/abc/trifle/operations"};
    for (size_t i = 0; i < COUNT_OF(targets); i++) {
        expect_answer(f, targets[i], 200, ENVELOPE("[\"get\",\"put\"]", "2"));
    }
    expect_answer(f, "/api/services/unknown/operations", 200, ENVELOPE("[]", "0"));
    expect_answer(f, "/api/operations?service=abc/trifle", 200,
                  ENVELOPE("[{\"name\":\"get\",\"spanKind\":\"server\"},{\"name\":\"get\","
                           "\"spanKind\":\"client\"},"
                           "{\"name\":\"put\",\"spanKind\":\"\"}]",
                           "3"));
    expect_answer(f, "/api/operations?service=abc%2Ftrifle&spanKind=client", 200,
                  ENVELOPE("[{\"name\":\"get\",\"spanKind\":\"client\"}]", "1"));
    expect_answer(f, "/api/operations", 400, FAILURE("400", "parameter 'service' is required"));
}

/* Every kind of value, links, events, status, counts: what the page and Grafana read. */
static void a_trace_with_everything_is_written_as_jaeger_writes_it(void **state)
{
    struct query_fixture *f = *state;

    fake_add(
        &f->pipeline,
        "{\"resourceSpans\":[{\"resource\":{\"attributes\":["
        "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}},"
        "{\"key\":\"host.name\",\"value\":{\"stringValue\":\"h1\"}}]},"
        "\"scopeSpans\":[{\"scope\":{\"name\":\"lib\",\"version\":\"1.0\",\"attributes\":["
        "{\"key\":\"scope.x\",\"value\":{\"boolValue\":true}}]},\"spans\":[{"
        "\"traceId\":\"" T1
        "\",\"spanId\":\"eee19b7ec3c1b174\",\"parentSpanId\":\"eee19b7ec3c1b173\","
        "\"traceState\":\"a=b\",\"flags\":257,\"name\":\"GET /\",\"kind\":2,"
        "\"startTimeUnixNano\":\"1544712660000001999\",\"endTimeUnixNano\":\"1544712661000003000\","
        "\"attributes\":["
        "{\"key\":\"z.string\",\"value\":{\"stringValue\":\"a<b\\u2028\"}},"
        "{\"key\":\"b.bool\",\"value\":{\"boolValue\":false}},"
        "{\"key\":\"i.int\",\"value\":{\"intValue\":\"-42\"}},"
        "{\"key\":\"i.large\",\"value\":{\"intValue\":\"9007199254740992\"}},"
        "{\"key\":\"d.double\",\"value\":{\"doubleValue\":0.5}},"
        "{\"key\":\"d.nan\",\"value\":{\"doubleValue\":\"NaN\"}},"
        "{\"key\":\"x.bytes\",\"value\":{\"bytesValue\":\"AQID\"}},"
        "{\"key\":\"x.array\",\"value\":{\"arrayValue\":{\"values\":[{\"stringValue\":\"a\"},{"
        "\"intValue\":1}]}}},"
        "{\"key\":\"x.map\",\"value\":{\"kvlistValue\":{\"values\":[{\"key\":\"k\",\"value\":{"
        "\"stringValue\":\"v\"}}]}}},"
        "{\"key\":\"x.empty\",\"value\":{}},"
        "{\"key\":\"ip\",\"value\":{\"intValue\":\"16909060\"}},"
        "{\"key\":\"telemetry.sdk.name\",\"value\":{\"stringValue\":\"otel\"}},"
        "{\"key\":\"@jaeger@warnings\",\"value\":{\"arrayValue\":{\"values\":[{\"stringValue\":"
        "\"careful\"}]}}}],"
        "\"droppedAttributesCount\":3,\"droppedEventsCount\":1,\"droppedLinksCount\":2,"
        "\"events\":["
        "{\"timeUnixNano\":\"1544712660500000000\",\"name\":\"second\",\"attributes\":["
        "{\"key\":\"event\",\"value\":{\"stringValue\":\"own\"}}]},"
        "{\"timeUnixNano\":\"1544712660400000000\",\"name\":\"first\",\"attributes\":["
        "{\"key\":\"exception.message\",\"value\":{\"stringValue\":\"boom\"}}]}],"
        "\"links\":["
        "{\"traceId\":\"00000000000000000000000000000abc\",\"spanId\":\"0000000000000def\"},"
        "{\"traceId\":\"" T1 "\",\"spanId\":\"eee19b7ec3c1b173\"},"
        "{\"traceId\":\"" T1 "\",\"spanId\":\"eee19b7ec3c1b170\",\"attributes\":["
        "{\"key\":\"opentracing.ref_type\",\"value\":{\"stringValue\":\"child_of\"}}]},"
        "{\"traceId\":\"00000000000000000000000000000000\",\"spanId\":\"0000000000000001\"}],"
        "\"status\":{\"code\":2,\"message\":\"it broke\"}}]}]}]}");
    expect_answer(
        f, "/api/traces/" T1, 200,
        TRACES("{\"traceID\":\"" T1 "\",\"spans\":[{\"traceID\":\"" T1
               "\",\"spanID\":\"eee19b7ec3c1b174\",\"flags\":1,"
               "\"operationName\":\"GET /\",\"references\":["
               "{\"refType\":\"FOLLOWS_FROM\",\"traceID\":\"" T1
               "\",\"spanID\":\"eee19b7ec3c1b173\"},"
               "{\"refType\":\"FOLLOWS_FROM\",\"traceID\":\"0000000000000abc\",\"spanID\":"
               "\"0000000000000def\"},"
               "{\"refType\":\"CHILD_OF\",\"traceID\":\"" T1 "\",\"spanID\":\"eee19b7ec3c1b170\"}],"
               "\"startTime\":1544712660000001,\"duration\":1000001,\"tags\":["
               "{\"key\":\"otel.scope.name\",\"type\":\"string\",\"value\":\"lib\"},"
               "{\"key\":\"otel.scope.version\",\"type\":\"string\",\"value\":\"1.0\"},"
               "{\"key\":\"scope.x\",\"type\":\"bool\",\"value\":true},"
               "{\"key\":\"b.bool\",\"type\":\"bool\",\"value\":false},"
               "{\"key\":\"d.double\",\"type\":\"float64\",\"value\":0.5},"
               "{\"key\":\"d.nan\",\"type\":\"string\",\"value\":\"NaN\"},"
               "{\"key\":\"i.int\",\"type\":\"int64\",\"value\":-42},"
               "{\"key\":\"i.large\",\"type\":\"int64\",\"value\":\"9007199254740992\"},"
               "{\"key\":\"ip\",\"type\":\"string\",\"value\":\"1.2.3.4\"},"
               "{\"key\":\"x.array\",\"type\":\"string\",\"value\":\"[\\\"a\\\",1]\"},"
               "{\"key\":\"x.bytes\",\"type\":\"binary\",\"value\":\"AQID\"},"
               "{\"key\":\"x.empty\",\"type\":\"string\",\"value\":\"\"},"
               "{\"key\":\"x.map\",\"type\":\"string\",\"value\":\"{\\\"k\\\":\\\"v\\\"}\"},"
               "{\"key\":\"z.string\",\"type\":\"string\",\"value\":\"a\\u003cb\\u2028\"},"
               "{\"key\":\"span.kind\",\"type\":\"string\",\"value\":\"server\"},"
               "{\"key\":\"otel.status_code\",\"type\":\"string\",\"value\":\"ERROR\"},"
               "{\"key\":\"error\",\"type\":\"bool\",\"value\":true},"
               "{\"key\":\"otel.status_description\",\"type\":\"string\",\"value\":\"it broke\"},"
               "{\"key\":\"w3c.tracestate\",\"type\":\"string\",\"value\":\"a=b\"},"
               "{\"key\":\"otel.dropped_attributes_count\",\"type\":\"int64\",\"value\":3},"
               "{\"key\":\"otel.dropped_events_count\",\"type\":\"int64\",\"value\":1},"
               "{\"key\":\"otel.dropped_links_count\",\"type\":\"int64\",\"value\":2}],"
               "\"logs\":["
               "{\"timestamp\":1544712660400000,\"fields\":[{\"key\":\"event\",\"type\":\"string\","
               "\"value\":\"first\"},"
               "{\"key\":\"exception.message\",\"type\":\"string\",\"value\":\"boom\"}]},"
               "{\"timestamp\":1544712660500000,\"fields\":[{\"key\":\"event\",\"type\":\"string\","
               "\"value\":\"own\"}]}],"
               "\"processID\":\"p1\",\"warnings\":["
               "\"parent span ID=eee19b7ec3c1b173 is not in the trace; skipping clock skew "
               "adjustment\","
               "\"Invalid span link removed\",\"careful\"]}],"
               "\"processes\":{\"p1\":{\"serviceName\":\"shop\",\"tags\":["
               "{\"key\":\"host.name\",\"type\":\"string\",\"value\":\"h1\"},"
               "{\"key\":\"telemetry.sdk.name\",\"type\":\"string\",\"value\":\"otel\"}]}},"
               "\"warnings\":null}"));
}

static void raw_leaves_attributes_as_they_came(void **state)
{
    struct query_fixture *f = *state;

    fake_add(&f->pipeline,
             SERVICE("shop",
                     SPAN(T1, "eee19b7ec3c1b174",
                          ",\"name\":\"x\",\"parentSpanId\":\"0000000000000009\",\"attributes\":["
                          "{\"key\":\"b\",\"value\":{\"intValue\":1}},"
                          "{\"key\":\"ip\",\"value\":{\"intValue\":1}},"
                          "{\"key\":\"a\",\"value\":{\"intValue\":1}}]")));
    expect_answer(
        f, "/api/traces/" T1 "?raw=true", 200,
        TRACES("{\"traceID\":\"" T1 "\",\"spans\":[{\"traceID\":\"" T1
               "\",\"spanID\":\"eee19b7ec3c1b174\","
               "\"operationName\":\"x\",\"references\":[{\"refType\":\"CHILD_OF\",\"traceID\":\"" T1
               "\",\"spanID\":\"0000000000000009\"}],\"startTime\":1544712660000000,\"duration\":"
               "1000,\"tags\":["
               "{\"key\":\"b\",\"type\":\"int64\",\"value\":1},{\"key\":\"ip\",\"type\":\"int64\","
               "\"value\":1},"
               "{\"key\":\"a\",\"type\":\"int64\",\"value\":1}],\"logs\":[],\"processID\":\"p1\","
               "\"warnings\":null}],"
               "\"processes\":{\"p1\":{\"serviceName\":\"shop\",\"tags\":[]}},\"warnings\":null}"));
    expect_answer(f, "/api/traces/" T1 "?raw=maybe", 400,
                  FAILURE("400", "unable to parse param 'raw': strconv.ParseBool: parsing "
                                 "\\\"maybe\\\": invalid syntax"));
}

static void expect_in_trace(struct query_fixture *f, const char *target, const char *part)
{
    struct answer answer = query_get(f, target);

    if (answer.status != 200 || strstr(answer.body, part) == NULL) {
        fail_msg("%s is not in %d %s", part, answer.status, answer.body);
    }
    answer_free(&answer);
}

static void names_that_are_missing_are_said_to_be(void **state)
{
    struct query_fixture *f = *state;
    static const char *const resources[] = {
        "",
        "\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"\"}}]"
        "},",
        "\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"intValue\":3}}]},"};
    static const char *const names[] = {"missing-service-name", "empty-service-name",
                                        "service-name-wrong-type"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char json[1024];
        char want[128];
        (void)snprintf(json, sizeof(json),
                       "{\"resourceSpans\":[{%s\"scopeSpans\":[{\"spans\":[%s]}]}]}", resources[i],
                       SPAN(T1, "eee19b7ec3c1b174", ""));
        fake_add(&f->pipeline, json);
        (void)snprintf(want, sizeof(want), "\"serviceName\":\"%s\"", names[i]);
        expect_in_trace(f, "/api/traces/" T1, want);
        expect_in_trace(f, "/api/traces/" T1, "\"operationName\":\"empty-span-name\"");
        fake_clear(&f->pipeline);
    }
}

static void equal_processes_are_one(void **state)
{
    struct query_fixture *f = *state;

    fake_add(&f->pipeline,
             SERVICE("a", SPAN(T1, "0000000000000001", "") "," SPAN(T1, "0000000000000002", "")));
    fake_add(&f->pipeline, SERVICE("b", SPAN(T1, "0000000000000003", "")));
    fake_add(&f->pipeline,
             SERVICE("a", SPAN(T1, "0000000000000004",
                               ",\"attributes\":[{\"key\":\"telemetry.sdk.name\",\"value\":"
                               "{\"stringValue\":\"x\"}}]")));
    expect_in_trace(f, "/api/traces/" T1,
                    "\"processes\":{\"p1\":{\"serviceName\":\"a\",\"tags\":[]},\"p2\":{"
                    "\"serviceName\":\"b\",\"tags\":[]},"
                    "\"p3\":{\"serviceName\":\"a\",\"tags\":[{\"key\":\"telemetry.sdk.name\","
                    "\"type\":\"string\","
                    "\"value\":\"x\"}]}}");
}

static void a_shared_span_id_becomes_two(void **state)
{
    struct query_fixture *f = *state;

    fake_add(
        &f->pipeline,
        SERVICE("a", SPAN(T1, "0000000000000001", ",\"name\":\"root\"") "," SPAN(
                         T1, "0000000000000002",
                         ",\"name\":\"call\",\"kind\":3,\"parentSpanId\":\"0000000000000001\"")));
    fake_add(&f->pipeline,
             SERVICE("b", SPAN(T1, "0000000000000002",
                               ",\"name\":\"serve\",\"kind\":2,\"parentSpanId\":"
                               "\"0000000000000001\"") "," SPAN(T1, "0000000000000003",
                                                                ",\"name\":\"work\","
                                                                "\"parentSpanId\":"
                                                                "\"0000000000000002\"")));
    expect_in_trace(f, "/api/traces/" T1,
                    "\"spanID\":\"0000000000000002\",\"operationName\":\"call\",\"references\":[{"
                    "\"refType\":\"CHILD_OF\","
                    "\"traceID\":\"" T1 "\",\"spanID\":\"0000000000000001\"}]");
    expect_in_trace(
        f, "/api/traces/" T1,
        "\"spanID\":\"0000000000000004\",\"operationName\":\"serve\",\"references\":[{\"refType\":"
        "\"CHILD_OF\",\"traceID\":\"" T1 "\",\"spanID\":\"0000000000000002\"}]");
    expect_in_trace(
        f, "/api/traces/" T1,
        "\"spanID\":\"0000000000000003\",\"operationName\":\"work\",\"references\":[{\"refType\":"
        "\"CHILD_OF\",\"traceID\":\"" T1 "\",\"spanID\":\"0000000000000004\"}]");
    expect_in_trace(f, "/api/traces/" T1 "?raw=1",
                    "\"spanID\":\"0000000000000002\",\"operationName\":\"serve\"");
}

static void strange_times_are_shown_with_a_warning(void **state)
{
    struct query_fixture *f = *state;

    fake_add(&f->pipeline,
             SERVICE("a", "{\"traceId\":\"" T1
                          "\",\"spanId\":\"0000000000000001\",\"startTimeUnixNano\":\"5000\","
                          "\"endTimeUnixNano\":\"3000\"}"));
    expect_in_trace(f, "/api/traces/" T1, "\"startTime\":5,\"duration\":0,");
    expect_in_trace(f, "/api/traces/" T1,
                    "\"warnings\":[\"Negative duration detected, sanitizing end timestamp. "
                    "Original end timestamp: 3000 ns\"]");
}

static void trace_ids_are_forgiving(void **state)
{
    struct query_fixture *f = *state;
    static const char *const targets[] = {"/api/traces/ABC", "/api/traces/0000000000000ABC",
                                          "/api/traces/00000000000000000000000000000abc"};

    fake_add(&f->pipeline,
             SERVICE("a", SPAN("00000000000000000000000000000abc", "0000000000000001", "")));
    for (size_t i = 0; i < COUNT_OF(targets); i++) {
        expect_in_trace(f, targets[i], "\"traceID\":\"0000000000000abc\"");
    }
    expect_answer(f, "/api/traces/xyz", 400,
                  FAILURE("400", "strconv.ParseUint: parsing \\\"xyz\\\": invalid syntax"));
    expect_answer(f, "/api/traces/abd", 404, FAILURE("404", "trace not found"));
}

static void a_window_may_be_microseconds_or_grafanas_milliseconds(void **state)
{
    struct query_fixture *f = *state;

    fake_add(&f->pipeline,
             SERVICE("a", SPAN("00000000000000000000000000000abc", "0000000000000001", "")));
    expect_in_trace(f, "/api/traces/abc?start=1544712659000000&end=1544712661000000",
                    "\"traceID\"");
    expect_in_trace(f, "/api/traces/abc?start=1544712659000&end=1544712661000", "\"traceID\"");
    expect_answer(f, "/api/traces/abc?start=1544712661000&end=1544712662000", 404,
                  FAILURE("404", "trace not found"));
    expect_answer(
        f, "/api/traces/abc?start=x", 400,
        FAILURE(
            "400",
            "unable to parse param 'start': strconv.ParseInt: parsing \\\"x\\\": invalid syntax"));
}

static void pretty_print_indents(void **state)
{
    struct query_fixture *f = *state;

    expect_answer(f, "/api/services?prettyPrint=true", 200,
                  "{\n    \"data\": [],\n    \"total\": 0,\n    \"limit\": 0,\n    \"offset\": "
                  "0,\n    \"errors\": null\n}");
    expect_answer(f, "/api/services?prettyPrint=false", 200, ENVELOPE("[]", "0"));
    expect_answer(f, "/api/services?prettyPrint=", 200, ENVELOPE("[]", "0"));
}

/* --- search --- */

static void search_parameters_become_a_filter(void **state)
{
    struct query_fixture *f = *state;
    const struct trace_filter *filter = &f->pipeline.filter;

    expect_answer(
        f,
        "/api/traces?service=a%2Fb&operation=GET+%2F&start=1000&end=2000&limit=7&minDuration=1.5ms"
        "&maxDuration=1h15m&lookback=1h&tag=error:true&tag=url:http://x&tags=%7B%22k%22:%22v%22,"
        "%22error%22:%22false%22%7D",
        200, TRACES(""));
    assert_string_equal(f->pipeline.service, "a/b");
    assert_string_equal(f->pipeline.operation, "GET /");
    assert_string_equal(f->pipeline.tags, "error=false;url=http://x;k=v;");
    assert_int_equal(filter->start_ns_min, 1000000);
    assert_int_equal(filter->start_ns_max, 2000999);
    assert_int_equal(filter->limit, 7);
    assert_int_equal(filter->duration_ns_min, 1500000);
    assert_true(filter->duration_ns_max == UINT64_C(4500000000000));
}

static void search_has_defaults(void **state)
{
    struct query_fixture *f = *state;
    const struct trace_filter *filter = &f->pipeline.filter;
    uint64_t now = clock_wall(&clock_system);

    expect_answer(f,
                  "/api/traces?service=a&minDuration=&maxDuration=&limit=&start=&end=&tags=", 200,
                  TRACES(""));
    assert_int_equal(filter->limit, 100);
    assert_int_equal(filter->duration_ns_max, 0);
    assert_true(filter->start_ns_max >= now);
    assert_true(filter->start_ns_max - filter->start_ns_min - 999 == 48 * 3600 * NS_PER_S);
    expect_answer(f, "/api/traces?service=a&limit=0", 200, TRACES(""));
    assert_int_equal(filter->limit, 100);
    expect_answer(f, "/api/traces?service=a&limit=-3", 200, TRACES(""));
    assert_int_equal(filter->limit, 100);
    expect_answer(f, "/api/traces?service=a&limit=2147483647", 200, TRACES(""));
    assert_int_equal(filter->limit, 1500);
    expect_answer(f, "/api/traces?service=a&start=0&end=0", 200, TRACES(""));
    assert_int_equal(filter->start_ns_min, 0);
    assert_int_equal(filter->start_ns_max, 999);
    expect_answer(f, "/api/traces?service=a&start=-5&end=9223372036854775807", 200, TRACES(""));
    assert_int_equal(filter->start_ns_min, 0);
    assert_true(filter->start_ns_max == UINT64_MAX - 1);
}

static void search_errors_are_in_jaegers_words(void **state)
{
    struct query_fixture *f = *state;
    static const struct {
        const char *query, *message;
    } rows[] = {
        {"", "parameter 'service' is required"},
        {"service=", "parameter 'service' is required"},
        {"service=a&limit=x", "strconv.ParseInt: parsing \\\"x\\\": invalid syntax"},
        {"service=a&limit=2147483648",
         "strconv.ParseInt: parsing \\\"2147483648\\\": value out of range"},
        {"service=a&start=x",
         "unable to parse param 'start': strconv.ParseInt: parsing \\\"x\\\": invalid syntax"},
        {"service=a&end=1.5",
         "unable to parse param 'end': strconv.ParseInt: parsing \\\"1.5\\\": invalid syntax"},
        {"service=a&minDuration=5",
         "unable to parse param 'minDuration': time: missing unit in duration \\\"5\\\""},
        {"service=a&maxDuration=5y", "unable to parse param 'maxDuration': time: unknown unit "
                                     "\\\"y\\\" in duration \\\"5y\\\""},
        {"service=a&minDuration=2s&maxDuration=1s",
         "'maxDuration' should be greater than 'minDuration'"},
        {"service=a&tag=nocolon",
         "malformed 'tag' parameter, expecting key:value, received: nocolon"},
        {"service=a&tags=%7B%22k%22:3%7D",
         "malformed 'tags' parameter, cannot unmarshal JSON: json: cannot unmarshal number into Go "
         "value of type string"},
        {"service=a&tags=[]", "malformed 'tags' parameter, cannot unmarshal JSON: json: cannot "
                              "unmarshal array into Go value of type "
                              "map[string]string"},
        {"traceID=xyz",
         "cannot parse traceID param: strconv.ParseUint: parsing \\\"xyz\\\": invalid syntax"},
        {"service=a&raw=2",
         "unable to parse param 'raw': strconv.ParseBool: parsing \\\"2\\\": invalid syntax"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char target[512], want[512];
        (void)snprintf(target, sizeof(target), "/api/traces?%s", rows[i].query);
        (void)snprintf(want, sizeof(want), FAILURE("400", "%s"), rows[i].message);
        expect_answer(f, target, 400, want);
    }
    struct answer answer = query_get(f, "/api/traces?service=a&tags=%7B");
    assert_int_equal(answer.status, 400);
    assert_non_null(strstr(answer.body, "malformed 'tags' parameter, cannot unmarshal JSON: "));
    answer_free(&answer);
}

static void a_search_returns_whole_traces(void **state)
{
    struct query_fixture *f = *state;

    fake_add(&f->pipeline, SERVICE("a", SPAN("00000000000000000000000000000abc", "0000000000000001",
                                             ",\"name\":\"x\"")));
    fake_add(&f->pipeline, SERVICE("b", SPAN("00000000000000000000000000000abc", "0000000000000002",
                                             ",\"name\":\"y\"")));
    fake_add(&f->pipeline, SERVICE("b", SPAN("00000000000000000000000000000abd", "0000000000000002",
                                             ",\"name\":\"z\"")));
    struct answer answer = query_get(f, "/api/traces?service=a&start=0");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"operationName\":\"x\""));
    assert_non_null(strstr(answer.body, "\"operationName\":\"y\""));
    assert_null(strstr(answer.body, "\"operationName\":\"z\""));
    answer_free(&answer);
}

static void traces_can_be_asked_for_by_several_ids(void **state)
{
    struct query_fixture *f = *state;

    fake_add(&f->pipeline, SERVICE("a", SPAN("00000000000000000000000000000abc", "0000000000000001",
                                             ",\"name\":\"x\"")));
    fake_add(&f->pipeline, SERVICE("a", SPAN("00000000000000000000000000000abd", "0000000000000001",
                                             ",\"name\":\"y\"")));
    struct answer answer = query_get(f, "/api/traces?traceID=abc&traceID=1&traceID=abd&start=0");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"operationName\":\"x\""));
    assert_non_null(strstr(answer.body, "\"operationName\":\"y\""));
    assert_non_null(
        strstr(answer.body,
               "\"errors\":[{\"msg\":\"trace not found\",\"traceID\":\"0000000000000001\"}]}"));
    answer_free(&answer);
}

static void dependencies_are_calls_between_services(void **state)
{
    struct query_fixture *f = *state;

    fake_add(&f->pipeline, SERVICE("front", SPAN(T1, "0000000000000001", "") "," SPAN(
                                                T1, "0000000000000002",
                                                ",\"parentSpanId\":\"0000000000000001\"")));
    fake_add(
        &f->pipeline,
        SERVICE("back",
                SPAN(T1, "0000000000000003", ",\"parentSpanId\":\"0000000000000002\"") "," SPAN(
                    T1, "0000000000000004", ",\"parentSpanId\":\"0000000000000002\"")));
    fake_add(
        &f->pipeline,
        SERVICE("db",
                SPAN(T1, "0000000000000005", ",\"parentSpanId\":\"0000000000000003\"") "," SPAN(
                    T1, "0000000000000006", ",\"parentSpanId\":\"0000000000000099\"")));
    expect_answer(f, "/api/dependencies?endTs=1544712661000&lookback=5000", 200,
                  ENVELOPE("[{\"parent\":\"back\",\"child\":\"db\",\"callCount\":1},"
                           "{\"parent\":\"front\",\"child\":\"back\",\"callCount\":2}]",
                           "0"));
    expect_answer(f, "/api/dependencies?endTs=1544712661000&lookback=5000&service=front", 200,
                  ENVELOPE("[{\"parent\":\"front\",\"child\":\"back\",\"callCount\":2}]", "0"));
    expect_answer(f, "/api/dependencies?endTs=1544712661000&lookback=500", 200,
                  ENVELOPE("[]", "0"));
    expect_answer(f, "/api/dependencies?endTs=0&lookback=9223372036854775807", 200,
                  ENVELOPE("[]", "0"));
    expect_answer(
        f, "/api/dependencies?endTs=x", 400,
        FAILURE(
            "400",
            "unable to parse param 'endTs': strconv.ParseInt: parsing \\\"x\\\": invalid syntax"));
}

static void metrics_are_not_there(void **state)
{
    expect_answer(*state, "/api/metrics/latencies?service=a", 501,
                  FAILURE("501", "metrics querying is currently disabled"));
}

static void a_store_that_fails_is_said_to(void **state)
{
    struct query_fixture *f = *state;
    static const char *const targets[] = {"/api/services", "/api/services/a/operations",
                                          "/api/operations?service=a", "/api/traces?service=a",
                                          "/api/dependencies"};

    f->pipeline.fails = true;
    for (size_t i = 0; i < COUNT_OF(targets); i++) {
        expect_answer(f, targets[i], 503, FAILURE("503", "the disk is away"));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, query_setup, query_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(services_are_listed),
        TEST(operations_of_a_service_are_listed_once_a_name),
        TEST(a_trace_with_everything_is_written_as_jaeger_writes_it),
        TEST(raw_leaves_attributes_as_they_came),
        TEST(names_that_are_missing_are_said_to_be),
        TEST(equal_processes_are_one),
        TEST(a_shared_span_id_becomes_two),
        TEST(strange_times_are_shown_with_a_warning),
        TEST(trace_ids_are_forgiving),
        TEST(a_window_may_be_microseconds_or_grafanas_milliseconds),
        TEST(pretty_print_indents),
        TEST(search_parameters_become_a_filter),
        TEST(search_has_defaults),
        TEST(search_errors_are_in_jaegers_words),
        TEST(a_search_returns_whole_traces),
        TEST(traces_can_be_asked_for_by_several_ids),
        TEST(dependencies_are_calls_between_services),
        TEST(metrics_are_not_there),
        TEST(a_store_that_fails_is_said_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
