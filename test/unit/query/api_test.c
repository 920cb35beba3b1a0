/*
 * api_test.c - our own endpoints: traces as OTLP/JSON with their state.
 */
#include "fake_pipeline.h"

#define T1 "5b8efff798038103d269b633813fc60c"
#define TIMES                                                                                      \
    "\"startTimeUnixNano\":\"1544712660000000000\",\"endTimeUnixNano\":\"1544712660001000000\""
#define SPAN(id, more) "{\"traceId\":\"" T1 "\",\"spanId\":\"" id "\"," TIMES more "}"
#define RESOURCE(name)                                                                             \
    "\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"" name   \
    "\"}}]}"
#define SERVICE(name, spans)                                                                       \
    "{\"resourceSpans\":[{" RESOURCE(                                                              \
        name) ",\"scopeSpans\":[{\"scope\":{\"name\":\"lib\"},\"spans\":[" spans "]}]}]}"

static void services_and_operations_are_listed(void **state)
{
    struct query_fixture *f = *state;

    expect_answer(f, "/api/v1/services", 200, "{\"services\":[]}");
    fake_add(&f->pipeline,
             SERVICE("shop", SPAN("0000000000000001", ",\"name\":\"get\",\"kind\":2")));
    expect_answer(f, "/api/v1/services", 200, "{\"services\":[\"shop\"]}");
    expect_answer(f, "/api/v1/operations?service=shop", 200,
                  "{\"operations\":[{\"name\":\"get\",\"kind\":2}]}");
    expect_answer(f, "/api/v1/operations?service=other", 200, "{\"operations\":[]}");
    expect_answer(f, "/api/v1/operations", 400, "{\"error\":\"parameter 'service' is required\"}");
}

static void a_finalized_trace_is_otlp_json_with_its_state(void **state)
{
    struct query_fixture *f = *state;

    f->pipeline.revision = 2;
    f->pipeline.reason = TRACE_IDLE;
    fake_add(&f->pipeline,
             SERVICE("shop", SPAN("0000000000000001", ",\"name\":\"get\",\"kind\":2")));
    fake_add(&f->pipeline,
             SERVICE("auth", SPAN("0000000000000002", ",\"parentSpanId\":\"0000000000000001\"")));
    fake_add(&f->pipeline,
             SERVICE("shop", SPAN("0000000000000003", ",\"parentSpanId\":\"0000000000000001\"")));
    /* Spans of one resource and scope stand together, however they came. */
    expect_answer(
        f, "/api/v1/traces/" T1, 200,
        "{\"traceId\":\"" T1
        "\",\"state\":\"finalized\",\"revision\":2,\"reason\":\"idle\",\"spanCount\":3,"
        "\"incomplete\":false,\"resourceSpans\":["
        "{" RESOURCE(
            "shop") ",\"scopeSpans\":[{\"scope\":{\"name\":\"lib\"},\"spans\":["
                    "{\"traceId\":\"" T1 "\",\"spanId\":\"0000000000000001\"," TIMES
                    ",\"name\":\"get\",\"kind\":2,\"status\":{}},"
                    "{\"traceId\":\"" T1 "\",\"spanId\":\"0000000000000003\"," TIMES
                    ",\"parentSpanId\":\"0000000000000001\",\"status\":{}}]}]},"
                    "{" RESOURCE(
                        "auth") ",\"scopeSpans\":[{\"scope\":{\"name\":\"lib\"},\"spans\":["
                                "{\"traceId\":\"" T1 "\",\"spanId\":\"0000000000000002\"," TIMES
                                ",\"parentSpanId\":\"0000000000000001\",\"status\":{}}]}]}]}");
}

static void expect_part(struct query_fixture *f, const char *target, const char *part)
{
    struct answer answer = query_get(f, target);

    if (answer.status != 200 || strstr(answer.body, part) == NULL) {
        fail_msg("%s is not in %d %s", part, answer.status, answer.body);
    }
    answer_free(&answer);
}

static void an_open_trace_says_so(void **state)
{
    struct query_fixture *f = *state;

    f->pipeline.open = true;
    f->pipeline.revision = 0;
    f->pipeline.reason = TRACE_REASON_NONE;
    fake_add(&f->pipeline,
             SERVICE("shop", SPAN("0000000000000002", ",\"parentSpanId\":\"0000000000000001\"")));
    expect_part(
        f, "/api/v1/traces/" T1,
        "\"state\":\"open\",\"revision\":0,\"reason\":\"\",\"spanCount\":1,\"incomplete\":true");
    fake_add(&f->pipeline, SERVICE("shop", SPAN("0000000000000001", "")));
    expect_part(f, "/api/v1/traces/" T1, "\"spanCount\":2,\"incomplete\":false");
    fake_add(&f->pipeline,
             SERVICE("shop", SPAN("0000000000000003", ",\"parentSpanId\":\"0000000000000009\"")));
    expect_part(f, "/api/v1/traces/" T1, "\"spanCount\":3,\"incomplete\":true");
}

static void unknown_and_broken_ids_are_told_apart(void **state)
{
    struct query_fixture *f = *state;

    expect_answer(f, "/api/v1/traces/" T1, 404, "{\"error\":\"trace not found\"}");
    expect_answer(f, "/api/v1/traces/xyz", 400,
                  "{\"error\":\"strconv.ParseUint: parsing \\\"xyz\\\": invalid syntax\"}");
}

static void a_search_returns_summaries(void **state)
{
    struct query_fixture *f = *state;

    f->pipeline.truncated = true;
    fake_add(&f->pipeline,
             SERVICE("shop",
                     SPAN("0000000000000001", ",\"name\":\"get\",\"status\":{\"code\":2}") "," SPAN(
                         "0000000000000002", ",\"parentSpanId\":\"0000000000000001\"")));
    expect_answer(
        f, "/api/v1/traces?start=1544712660000000000&end=2018-12-13T14:51:00Z&service=shop&limit=5",
        200,
        "{\"traces\":[{\"traceId\":\"" T1 "\",\"rootService\":\"shop\",\"rootName\":\"get\","
        "\"startTimeUnixNano\":\"1544712660000000000\",\"durationNanos\":\"1000000\",\"spanCount\":"
        "2,"
        "\"errorCount\":1,\"serviceCount\":1,\"state\":\"finalized\",\"revision\":1,"
        "\"reason\":\"root_quiet\"}],\"truncated\":true}");
    assert_int_equal(f->pipeline.filter.limit, 5);
    assert_true(f->pipeline.filter.start_ns_min == UINT64_C(1544712660000000000));
    assert_true(f->pipeline.filter.start_ns_max == UINT64_C(1544712660000000000));
}

static void a_search_looks_at_the_last_hour_unless_told(void **state)
{
    struct query_fixture *f = *state;
    const struct trace_filter *filter = &f->pipeline.filter;

    expect_answer(f, "/api/v1/traces", 200, "{\"traces\":[],\"truncated\":false}");
    assert_true(filter->start_ns_max - filter->start_ns_min == 3600 * NS_PER_S);
    assert_string_equal(f->pipeline.service, "");
    expect_answer(f, "/api/v1/traces?start=yesterday", 400,
                  "{\"error\":\"unable to parse param 'start': \\\"yesterday\\\" is no time: "
                  "nanoseconds since 1970 "
                  "or RFC 3339 are\"}");
    expect_answer(f, "/api/v1/traces?minDuration=1&service=a", 400,
                  "{\"error\":\"unable to parse param 'minDuration': time: missing unit in "
                  "duration \\\"1\\\"\"}");
}

static struct answer finish(struct query_fixture *f, const char *more)
{
    char request[512];

    (void)snprintf(
        request, sizeof(request),
        "POST /api/v1/traces/abc/finish HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: 0\r\n\r\n",
        more);
    return client_ask(query_port(f->query), request);
}

static void an_open_trace_can_be_finished(void **state)
{
    struct query_fixture *f = *state;

    f->pipeline.open = true;
    struct answer answer = finish(f, "");
    assert_int_equal(answer.status, 200);
    assert_string_equal(
        answer.body, "{\"traceId\":\"00000000000000000000000000000abc\",\"state\":\"finalized\"}");
    assert_int_equal(f->pipeline.finished.bytes[15], 0xbc);
    answer_free(&answer);
    f->pipeline.open = false;
    answer = finish(f, "");
    assert_int_equal(answer.status, 404);
    assert_string_equal(answer.body, "{\"error\":\"no such trace is open\"}");
    answer_free(&answer);
}

static void other_sites_cannot_finish_traces(void **state)
{
    struct query_fixture *f = *state;
    static const struct {
        const char *headers;
        int status;
    } rows[] = {
        {"Origin: http://localhost:16686\r\n", 200},
        {"Origin: http://localhost:16686\r\nSec-Fetch-Site: same-origin\r\n", 200},
        {"Sec-Fetch-Site: none\r\n", 200},
        {"Origin: https://evil.example\r\n", 403},
        {"Origin: null\r\n", 403},
        {"Sec-Fetch-Site: cross-site\r\n", 403},
        {"Origin: http://localhost:3000\r\nSec-Fetch-Site: same-site\r\n", 403},
    };

    f->pipeline.open = true;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct answer answer = finish(f, rows[i].headers);
        assert_int_equal(answer.status, rows[i].status);
        answer_free(&answer);
    }
}

static void the_status_is_what_the_daemon_writes(void **state)
{
    expect_answer(*state, "/api/v1/status", 200, "{\"version\":\"test\"}");
}

static void a_store_that_fails_is_said_to(void **state)
{
    struct query_fixture *f = *state;
    static const char *const targets[] = {"/api/v1/services", "/api/v1/operations?service=a",
                                          "/api/v1/traces", "/api/v1/traces/abc"};

    f->pipeline.fails = true;
    for (size_t i = 0; i < COUNT_OF(targets); i++) {
        expect_answer(f, targets[i], 503, "{\"error\":\"the disk is away\"}");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, query_setup, query_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(services_and_operations_are_listed),
        TEST(a_finalized_trace_is_otlp_json_with_its_state),
        TEST(an_open_trace_says_so),
        TEST(unknown_and_broken_ids_are_told_apart),
        TEST(a_search_returns_summaries),
        TEST(a_search_looks_at_the_last_hour_unless_told),
        TEST(an_open_trace_can_be_finished),
        TEST(other_sites_cannot_finish_traces),
        TEST(the_status_is_what_the_daemon_writes),
        TEST(a_store_that_fails_is_said_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
