/*
 * grpc_outcome_test.c - every kind of answer, and what becomes of the batch.
 */
#include "unit.h"

#include "grpc_outcome.h"

#include <spangate/base/text.h>
#include <spangate/codec/codec.h>
#include <spangate/otlp/status.h>

static void outcome_of(int status, const char *headers, struct slice body, struct sink_outcome *out)
{
    struct h2_response response;

    h2_response_init(&response);
    response.status = status;
    strbuf_append_text(&response.headers, headers);
    strbuf_append_slice(&response.body, body);
    grpc_outcome(&response, OTLP_TRACES, out);
    h2_response_deinit(&response);
}

#define GRPC "content-type: application/grpc\n"

static void statuses_follow_the_table_of_otlp(void **state)
{
    (void)state;
    static const enum sink_verdict verdicts[18] = {
        SINK_DELIVERED, SINK_RETRY,    SINK_REJECTED, SINK_REJECTED, SINK_RETRY,    SINK_REJECTED,
        SINK_REJECTED,  SINK_REJECTED, SINK_REJECTED, SINK_REJECTED, SINK_RETRY,    SINK_RETRY,
        SINK_REJECTED,  SINK_REJECTED, SINK_RETRY,    SINK_RETRY,    SINK_REJECTED, SINK_REJECTED,
    };

    for (int status = 0; status < 18; status++) {
        char headers[128];
        struct sink_outcome out;
        (void)snprintf(headers, sizeof(headers),
                       GRPC "grpc-status: %d\ngrpc-message: so%%20it%%20is\n", status);
        outcome_of(200, headers, (struct slice){0}, &out);
        assert_int_equal(out.verdict, verdicts[status]);
        assert_int_equal(out.err.code == ERR_NONE, status == 0);
        if (status != 0) {
            assert_non_null(strstr(out.err.message, "so it is"));
        }
    }
}

static void an_error_names_status_and_reason(void **state)
{
    (void)state;
    struct sink_outcome out;

    outcome_of(200, GRPC "grpc-status: 14\ngrpc-message: 100%25 busy\n", (struct slice){0}, &out);
    assert_string_equal(out.err.message, "UNAVAILABLE (14): 100% busy");
    assert_int_equal(out.err.code, ERR_UNAVAILABLE);
    outcome_of(200, GRPC "grpc-status: 16\n", (struct slice){0}, &out);
    assert_string_equal(out.err.message, "UNAUTHENTICATED (16): no reason given");
    assert_int_equal(out.err.code, ERR_UNAUTHENTICATED);
    outcome_of(200, GRPC "grpc-status: 99\n", (struct slice){0}, &out);
    assert_string_equal(out.err.message, "an unknown status (99): no reason given");
    outcome_of(200, GRPC "grpc-status: what\n", (struct slice){0}, &out);
    assert_string_equal(out.err.message, "UNKNOWN (2): no reason given");
}

/* Status with RetryInfo, as base64 with or without padding. */
static void details(char *out, size_t cap, int status, unsigned seconds, bool padded)
{
    struct strbuf bytes;
    struct strbuf text;

    strbuf_init(&bytes, 4096);
    strbuf_init(&text, 4096);
    status_encode(OTLP_PROTOBUF, status, "busy", seconds, &bytes);
    base64_encode(strbuf_slice(&bytes), &text);
    while (!padded && text.len > 0 && text.data[text.len - 1] == '=') {
        text.data[--text.len] = '\0';
    }
    (void)snprintf(out, cap,
                   GRPC "grpc-status: %d\ngrpc-message: busy\ngrpc-status-details-bin: %s\n",
                   status, text.data);
    strbuf_deinit(&bytes);
    strbuf_deinit(&text);
}

static void refusals_that_are_not_about_the_content_say_so(void **state)
{
    (void)state;
    static const struct {
        int http, grpc; /* grpc -1: something that is no gRPC server */
        enum error_code code;
    } cases[] = {
        {200, 3, ERR_INVALID},          {200, 7, ERR_UNAUTHENTICATED},
        {200, 12, ERR_UNSUPPORTED},     {200, 13, ERR_INVALID},
        {200, 16, ERR_UNAUTHENTICATED}, {401, -1, ERR_UNAUTHENTICATED},
        {403, -1, ERR_UNAUTHENTICATED}, {404, -1, ERR_UNSUPPORTED},
        {400, -1, ERR_INVALID},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char headers[128];
        struct sink_outcome out;
        (void)snprintf(headers, sizeof(headers), GRPC "grpc-status: %d\n", cases[i].grpc);
        outcome_of(cases[i].http, cases[i].grpc < 0 ? "" : headers, (struct slice){0}, &out);
        assert_int_equal(out.verdict, SINK_REJECTED);
        assert_int_equal(out.err.code, cases[i].code);
    }
}

static void retry_info_is_the_least_pause(void **state)
{
    (void)state;
    for (int padded = 0; padded < 2; padded++) {
        char headers[512];
        struct sink_outcome out;
        details(headers, sizeof(headers), 14, 5, padded == 1);
        outcome_of(200, headers, (struct slice){0}, &out);
        assert_int_equal(out.verdict, SINK_RETRY);
        assert_int_equal(out.retry_after_ms, 5000);
    }
}

static void resource_exhausted_is_retried_only_with_retry_info(void **state)
{
    (void)state;
    char headers[512];
    struct sink_outcome out;

    details(headers, sizeof(headers), 8, 3, false);
    outcome_of(200, headers, (struct slice){0}, &out);
    assert_int_equal(out.verdict, SINK_RETRY);
    assert_int_equal(out.retry_after_ms, 3000);
    details(headers, sizeof(headers), 8, 0, false);
    outcome_of(200, headers, (struct slice){0}, &out);
    assert_int_equal(out.verdict, SINK_REJECTED);
}

static void a_batch_that_is_too_large_is_to_be_split(void **state)
{
    (void)state;
    static const char *const messages[] = {
        "grpc: received message larger than max (5000000 vs. 4194304)",
        "the message is larger than max (1048577 vs. 1048576)",
        "Message too large",
    };

    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        char headers[256];
        struct sink_outcome out;
        (void)snprintf(headers, sizeof(headers), GRPC "grpc-status: 8\ngrpc-message: %s\n",
                       messages[i]);
        outcome_of(200, headers, (struct slice){0}, &out);
        assert_int_equal(out.verdict, SINK_TOO_LARGE);
        assert_int_equal(out.err.code, ERR_TOO_LARGE);
    }
}

static void damaged_details_are_as_good_as_none(void **state)
{
    (void)state;
    struct sink_outcome out;

    outcome_of(200, GRPC "grpc-status: 8\ngrpc-status-details-bin: !!!\n", (struct slice){0}, &out);
    assert_int_equal(out.verdict, SINK_REJECTED);
    outcome_of(200, GRPC "grpc-status: 14\ngrpc-status-details-bin: AAAA\n", (struct slice){0},
               &out);
    assert_int_equal(out.verdict, SINK_RETRY);
    assert_int_equal(out.retry_after_ms, 0);
}

static void http_answers_without_grpc_status_are_mapped(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum sink_verdict verdict;
    } rows[] = {
        {400, SINK_REJECTED}, {401, SINK_REJECTED}, {403, SINK_REJECTED},  {404, SINK_REJECTED},
        {429, SINK_RETRY},    {502, SINK_RETRY},    {503, SINK_RETRY},     {504, SINK_RETRY},
        {431, SINK_REJECTED}, {500, SINK_REJECTED}, {413, SINK_TOO_LARGE}, {200, SINK_REJECTED},
        {302, SINK_REJECTED},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char expected[32];
        struct sink_outcome out;
        outcome_of(rows[i].status, "content-type: text/html\n", BYTES("<html>"), &out);
        assert_int_equal(out.verdict, rows[i].verdict);
        (void)snprintf(expected, sizeof(expected), "HTTP status %d", rows[i].status);
        assert_non_null(strstr(out.err.message, expected));
    }
}

static void retry_after_of_a_proxy_is_honoured(void **state)
{
    (void)state;
    struct sink_outcome out;

    outcome_of(503, "retry-after: 7\n", (struct slice){0}, &out);
    assert_int_equal(out.retry_after_ms, 7000);
    outcome_of(503, "retry-after: Fri, 31 Dec 1999 23:59:59 GMT\n", (struct slice){0}, &out);
    assert_int_equal(out.retry_after_ms, 0);
}

static void an_answer_cut_short_is_no_verdict_on_the_batch(void **state)
{
    (void)state;
    struct sink_outcome out;

    outcome_of(200, GRPC, (struct slice){0}, &out);
    assert_int_equal(out.verdict, SINK_RETRY);
    assert_int_equal(out.err.code, ERR_UNAVAILABLE);
}

#define OK GRPC "grpc-status: 0\n"

static void partial_success_is_read(void **state)
{
    (void)state;
    struct sink_outcome out;

    outcome_of(200, OK,
               BYTES("\0\0\0\0\x09\x0a\x07\x08\x03\x12\x03"
                     "bad"),
               &out);
    assert_int_equal(out.verdict, SINK_DELIVERED);
    assert_int_equal(out.rejected, 3);
    assert_string_equal(out.err.message, "bad");
}

static void a_compressed_answer_is_read_too(void **state)
{
    (void)state;
    struct sink_outcome out;
    struct strbuf frame;
    struct error err = {0};

    strbuf_init(&frame, 4096);
    strbuf_append(&frame, "\x01\0\0\0\0", 5);
    assert_true(codec_deflate(CODEC_GZIP, 0,
                              BYTES("\x0a\x07\x08\x03\x12\x03"
                                    "bad"),
                              &frame, &err));
    frame.data[4] = (char)(frame.len - 5);
    outcome_of(200, OK "grpc-encoding: gzip\n", strbuf_slice(&frame), &out);
    assert_int_equal(out.verdict, SINK_DELIVERED);
    assert_int_equal(out.rejected, 3);
    strbuf_deinit(&frame);
}

/* The batch is there: sending it again because of odd bytes would double it. */
static void ok_with_an_unreadable_message_is_delivered(void **state)
{
    (void)state;
    const struct slice bodies[] = {
        {0},
        BYTES("\0"),
        BYTES("\0\0\0\0\0"),
        BYTES("\0\0\0\0\x09\x0a"),
        BYTES("\0\0\0\0\x02\xff\xff"),
        BYTES("\x01\0\0\0\x02\xff\xff"),
        BYTES("\0\0\0\0\0\0\0\0\0\0"),
    };

    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct sink_outcome out;
        outcome_of(200, OK "grpc-encoding: gzip\n", bodies[i], &out);
        assert_int_equal(out.verdict, SINK_DELIVERED);
        assert_int_equal(out.rejected, 0);
    }
}

static void percent_signs_are_decoded_where_they_are_codes(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *out;
    } rows[] = {
        {"plain", "plain"}, {"%41%62", "Ab"}, {"%c3%A4", "\xc3\xa4"}, {"%", "%"},
        {"%4", "%4"},       {"%zz", "%zz"},   {"100%25", "100%"},     {"%4g%41", "%4gA"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf out;
        strbuf_init(&out, 64);
        grpc_percent_decode(slice_of(rows[i].in), &out);
        assert_string_equal(out.data, rows[i].out);
        strbuf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_follow_the_table_of_otlp),
        cmocka_unit_test(an_error_names_status_and_reason),
        cmocka_unit_test(refusals_that_are_not_about_the_content_say_so),
        cmocka_unit_test(retry_info_is_the_least_pause),
        cmocka_unit_test(resource_exhausted_is_retried_only_with_retry_info),
        cmocka_unit_test(a_batch_that_is_too_large_is_to_be_split),
        cmocka_unit_test(damaged_details_are_as_good_as_none),
        cmocka_unit_test(http_answers_without_grpc_status_are_mapped),
        cmocka_unit_test(retry_after_of_a_proxy_is_honoured),
        cmocka_unit_test(an_answer_cut_short_is_no_verdict_on_the_batch),
        cmocka_unit_test(partial_success_is_read),
        cmocka_unit_test(a_compressed_answer_is_read_too),
        cmocka_unit_test(ok_with_an_unreadable_message_is_delivered),
        cmocka_unit_test(percent_signs_are_decoded_where_they_are_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
