/*
 * status_test.c - errors as answers, and answers of backends.
 */

#include "parts.h"

#include <spangate/otlp/status.h>

static void assert_hex(struct strbuf *out, const char *expected)
{
    char hex[1024] = "";

    assert_true(out->len < sizeof(hex) / 2);
    if (out->len > 0) {
        hex_encode(out->data, out->len, hex);
    }
    assert_string_equal(hex, expected);
    strbuf_clear(out);
}

static void assert_json(struct strbuf *out, const char *expected)
{
    assert_string_equal(out->data, expected);
    strbuf_clear(out);
}

static void every_error_has_its_answers(void **state)
{
    (void)state;
    static const struct {
        enum error_code code;
        int http, grpc, body_code;
        unsigned retry_after_s;
    } expected[] = {
        {ERR_NONE, 200, 0, 0, 0},
        {ERR_INVALID, 400, 3, 3, 0},
        {ERR_TOO_LARGE, 413, 8, 8, 0},
        {ERR_LIMIT, 429, 14, 8, 1},
        {ERR_UNAVAILABLE, 503, 14, 14, 1},
        {ERR_CORRUPT, 503, 14, 14, 1},
        {ERR_NOT_FOUND, 404, 5, 5, 0},
        {ERR_UNSUPPORTED, 415, 12, 3, 0},
        {ERR_UNAUTHENTICATED, 401, 16, 16, 0},
        {ERR_IN_USE, 503, 14, 14, 1},
    };

    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        const struct status_row *row = status_of(expected[i].code);
        assert_int_equal(row->error, expected[i].code);
        assert_int_equal(row->http, expected[i].http);
        assert_int_equal(row->grpc, expected[i].grpc);
        assert_int_equal(row->body_code, expected[i].body_code);
        assert_int_equal(row->retry_after_s, expected[i].retry_after_s);
    }
    assert_string_equal(otlp_content_type(OTLP_PROTOBUF), "application/x-protobuf");
    assert_string_equal(otlp_content_type(OTLP_JSON), "application/json");
}

static void statuses_have_these_exact_bytes(void **state)
{
    (void)state;
    struct strbuf out = new_bytes();

    status_encode(OTLP_PROTOBUF, 3, "bad", 0, &out);
    assert_hex(&out, "08031203626164");
    status_encode(OTLP_PROTOBUF, 14, "busy", 5, &out);
    assert_hex(&out, "080e1204627573791a300a28747970652e676f6f676c65617069732e636f6d2f676f6f676c65"
                     "2e7270632e5265747279496e666f12040a020805");
    retry_info_encode(5, &out);
    assert_hex(&out, "0a020805");
    status_encode(OTLP_JSON, 3, "bad", 0, &out);
    assert_json(&out, "{\"code\":3,\"message\":\"bad\"}");
    status_encode(OTLP_JSON, 14, "busy", 5, &out);
    assert_json(&out, "{\"code\":14,\"message\":\"busy\",\"details\":[{\"@type\":"
                      "\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"5s\"}]}");
    strbuf_deinit(&out);
}

static void export_responses_have_these_exact_bytes(void **state)
{
    (void)state;
    struct strbuf out = new_bytes();

    export_response_encode(OTLP_PROTOBUF, OTLP_TRACES, 0, "", &out);
    assert_int_equal(out.len, 0);
    export_response_encode(OTLP_PROTOBUF, OTLP_TRACES, 0, NULL, &out);
    assert_int_equal(out.len, 0);
    export_response_encode(OTLP_PROTOBUF, OTLP_TRACES, 3, "bad", &out);
    assert_hex(&out, "0a0708031203626164");
    export_response_encode(OTLP_PROTOBUF, OTLP_TRACES, 0, "warn", &out);
    assert_hex(&out, "0a0612047761726e");
    export_response_encode(OTLP_JSON, OTLP_TRACES, 0, "", &out);
    assert_json(&out, "{}");
    export_response_encode(OTLP_JSON, OTLP_TRACES, 3, "bad", &out);
    assert_json(&out, "{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"bad\"}}");
    export_response_encode(OTLP_JSON, OTLP_METRICS, 1, "", &out);
    assert_json(&out, "{\"partialSuccess\":{\"rejectedDataPoints\":\"1\"}}");
    export_response_encode(OTLP_JSON, OTLP_LOGS, 0, "warn", &out);
    assert_json(&out, "{\"partialSuccess\":{\"errorMessage\":\"warn\"}}");
    strbuf_deinit(&out);
}

static void messages_that_are_not_utf8_are_repaired(void **state)
{
    (void)state;
    struct strbuf out = new_bytes();

    status_encode(OTLP_PROTOBUF, 3, "a\xff", 0, &out);
    assert_hex(&out, "0803120461efbfbd");
    status_encode(OTLP_JSON, 3, "a\xff", 0, &out);
    assert_json(&out, "{\"code\":3,\"message\":\"a\xef\xbf\xbd\"}");
    strbuf_deinit(&out);
}

static void what_is_encoded_is_decoded(void **state)
{
    (void)state;

    for (int encoding = OTLP_PROTOBUF; encoding <= OTLP_JSON; encoding++) {
        struct strbuf out = new_bytes();
        char message[64];
        uint64_t number = 99;
        for (int signal = OTLP_TRACES; signal < OTLP_SIGNALS; signal++) {
            strbuf_clear(&out);
            export_response_encode((enum otlp_encoding)encoding, (enum otlp_signal)signal, 7,
                                   "too old", &out);
            assert_true(export_response_decode((enum otlp_encoding)encoding,
                                               (enum otlp_signal)signal, strbuf_slice(&out),
                                               &number, message, sizeof(message)));
            assert_int_equal(number, 7);
            assert_string_equal(message, "too old");
        }
        strbuf_clear(&out);
        export_response_encode((enum otlp_encoding)encoding, OTLP_TRACES, 0, "", &out);
        assert_true(export_response_decode((enum otlp_encoding)encoding, OTLP_TRACES,
                                           strbuf_slice(&out), &number, message, sizeof(message)));
        assert_int_equal(number, 0);
        assert_string_equal(message, "");

        strbuf_clear(&out);
        status_encode((enum otlp_encoding)encoding, 14, "busy", 5, &out);
        assert_true(status_decode((enum otlp_encoding)encoding, strbuf_slice(&out), message,
                                  sizeof(message), &number));
        assert_string_equal(message, "busy");
        assert_int_equal(number, 5000);
        strbuf_deinit(&out);
    }
}

static bool response(const char *json, uint64_t *rejected, char *message)
{
    return export_response_decode(OTLP_JSON, OTLP_TRACES, slice_of(json), rejected, message, 64);
}

static void json_responses_are_read_with_tolerance(void **state)
{
    (void)state;
    uint64_t rejected = 99;
    char message[64];

    assert_true(response(" { \"partialSuccess\" : { } } \n", &rejected, message));
    assert_int_equal(rejected, 0);
    assert_true(response("{\"partialSuccess\":null}", &rejected, message));
    assert_true(response("{\"partial_success\":{\"rejected_spans\":5,\"error_message\":\"x\"}}",
                         &rejected, message));
    assert_int_equal(rejected, 5);
    assert_string_equal(message, "x");
    assert_true(response("{\"a\":[1,{\"rejectedSpans\":9},[]],\"b\":true,\"partialSuccess\":"
                         "{\"new\":{\"rejectedSpans\":8},\"rejectedSpans\":\"6\",\"errorMessage\":"
                         "\"\\u00e9 \\ud83d\\ude00 \\\"q\\\" \\ud800\"},\"c\":-1.5e3}",
                         &rejected, message));
    assert_int_equal(rejected, 6);
    assert_string_equal(message, "\xc3\xa9 \xf0\x9f\x98\x80 \"q\" \xef\xbf\xbd");
    assert_true(response("{\"partialSuccess\":{\"rejectedSpans\":-4}}", &rejected, message));
    assert_int_equal(rejected, 0);
}

static void what_is_no_json_object_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "ok",
        "[]",
        "\"text\"",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\":1}}",
        "{\"a\":1} x",
        "{\"a\":}",
        "{\"a\":[1 2]}",
        "{\"a\":[1,]]}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":nul}",
        "<html>",
    };
    uint64_t rejected;
    char message[64];

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        if (response(wrong[i], &rejected, message)) {
            fail_msg("%s", wrong[i]);
        }
    }
}

static void json_that_nests_without_end_is_refused(void **state)
{
    (void)state;
    static char deep[100000];
    uint64_t rejected;
    char message[64];

    memset(deep, '[', sizeof(deep) - 1);
    memcpy(deep, "{\"a\":", 5);
    assert_false(response(deep, &rejected, message));
}

static void every_prefix_of_an_answer_is_read_without_a_step_too_far(void **state)
{
    (void)state;
    static const char json[] = "{\"code\":14,\"message\":\"b\\u00fcsy\",\"details\":[{\"@type\":"
                               "\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":"
                               "\"1.5s\"}],\"x\":null}";
    char message[64];
    uint64_t wait_ms;

    for (size_t len = 0; len <= strlen(json); len++) {
        uint8_t *prefix = malloc(len + (len == 0));
        assert_non_null(prefix);
        memcpy(prefix, json, len);
        assert_int_equal(status_decode(OTLP_JSON, (struct slice){prefix, len}, message,
                                       sizeof(message), &wait_ms),
                         len == strlen(json));
        free(prefix);
    }
    assert_string_equal(message, "b\xc3\xbcsy");
    assert_int_equal(wait_ms, 1500);
}

static void protobuf_answers_of_others_are_read_with_tolerance(void **state)
{
    (void)state;
    char message[8];
    uint64_t number = 99;

    /* an empty partial_success, as the Collector sends it */
    assert_true(export_response_decode(OTLP_PROTOBUF, OTLP_TRACES, BYTES("\x0a\x00"), &number,
                                       message, sizeof(message)));
    assert_int_equal(number, 0);
    /* unknown fields on both levels, and two pieces of partial_success */
    assert_true(export_response_decode(OTLP_PROTOBUF, OTLP_TRACES,
                                       BYTES("\x10\x05\x0a\x04\x18\x01\x08\x02\x0a\x03\x12\x01m"),
                                       &number, message, sizeof(message)));
    assert_int_equal(number, 2);
    assert_string_equal(message, "m");
    /* -1 */
    assert_true(export_response_decode(
        OTLP_PROTOBUF, OTLP_TRACES, BYTES("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        &number, message, sizeof(message)));
    assert_int_equal(number, 0);

    assert_false(export_response_decode(OTLP_PROTOBUF, OTLP_TRACES, BYTES("<html>"), &number,
                                        message, sizeof(message)));
    assert_false(export_response_decode(OTLP_PROTOBUF, OTLP_TRACES, BYTES("\x0a\x02\x08"), &number,
                                        message, sizeof(message)));
    assert_false(status_decode(OTLP_PROTOBUF, BYTES("404 page not found"), message, sizeof(message),
                               &number));
    assert_false(
        status_decode(OTLP_PROTOBUF, BYTES("\x0a\x01x"), message, sizeof(message), &number));
}

static void long_messages_are_cut_between_characters(void **state)
{
    (void)state;
    struct strbuf out = new_bytes();
    char message[8];
    uint64_t number;

    status_encode(OTLP_PROTOBUF, 3, "12345\xe2\x82\xac", 0, &out);
    assert_true(
        status_decode(OTLP_PROTOBUF, strbuf_slice(&out), message, sizeof(message), &number));
    assert_string_equal(message, "12345");
    strbuf_clear(&out);
    status_encode(OTLP_JSON, 3, "1234\xe2\x82\xac 567", 0, &out);
    assert_true(status_decode(OTLP_JSON, strbuf_slice(&out), message, sizeof(message), &number));
    assert_string_equal(message, "1234\xe2\x82\xac");
    strbuf_deinit(&out);

    /* NUL inside would hide what follows. */
    assert_true(status_decode(OTLP_PROTOBUF,
                              BYTES("\x12\x03"
                                    "a\0b"),
                              message, sizeof(message), &number));
    assert_string_equal(message, "a b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_answers),
        cmocka_unit_test(statuses_have_these_exact_bytes),
        cmocka_unit_test(export_responses_have_these_exact_bytes),
        cmocka_unit_test(messages_that_are_not_utf8_are_repaired),
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(json_responses_are_read_with_tolerance),
        cmocka_unit_test(what_is_no_json_object_is_refused),
        cmocka_unit_test(json_that_nests_without_end_is_refused),
        cmocka_unit_test(every_prefix_of_an_answer_is_read_without_a_step_too_far),
        cmocka_unit_test(protobuf_answers_of_others_are_read_with_tolerance),
        cmocka_unit_test(long_messages_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
