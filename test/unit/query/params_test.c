/*
 * params_test.c - texts to values, and the words when they are none.
 */
#include "query_private.h"
#include "unit.h"

static void expect_int(const char *text, unsigned bits, int64_t value)
{
    struct error err;
    int64_t out = 0;

    assert_true(parse_int(text, bits, &out, &err));
    assert_int_equal(out, value);
}

static void refuse_int(const char *text, unsigned bits, const char *message)
{
    struct error err;
    int64_t out = 0;

    assert_false(parse_int(text, bits, &out, &err));
    assert_string_equal(err.message, message);
}

static void numbers_are_read_as_go_reads_them(void **state)
{
    (void)state;
    expect_int("0", 32, 0);
    expect_int("-7", 32, -7);
    expect_int("+7", 64, 7);
    expect_int("2147483647", 32, INT32_MAX);
    expect_int("-9223372036854775808", 64, INT64_MIN);
    refuse_int("2147483648", 32, "strconv.ParseInt: parsing \"2147483648\": value out of range");
    refuse_int("9223372036854775808", 64,
               "strconv.ParseInt: parsing \"9223372036854775808\": value out of range");
    refuse_int("", 32, "strconv.ParseInt: parsing \"\": invalid syntax");
    refuse_int("-", 32, "strconv.ParseInt: parsing \"-\": invalid syntax");
    refuse_int("1x", 32, "strconv.ParseInt: parsing \"1x\": invalid syntax");
    refuse_int(" 1", 32, "strconv.ParseInt: parsing \" 1\": invalid syntax");
    refuse_int("--1", 32, "strconv.ParseInt: parsing \"--1\": invalid syntax");
}

static void truth_is_spelled_as_in_go(void **state)
{
    (void)state;
    struct error err;
    bool out = false;

    assert_true(parse_bool("T", &out, &err));
    assert_true(out);
    assert_true(parse_bool("False", &out, &err));
    assert_false(out);
    assert_false(parse_bool("yes", &out, &err));
    assert_string_equal(err.message, "strconv.ParseBool: parsing \"yes\": invalid syntax");
}

static void expect_id(const char *text, bool base64, const char *shown)
{
    struct trace_id id;
    struct error err;
    char out[TRACE_ID_TEXT];

    if (!parse_trace_id(text, base64, &id, &err)) {
        fail_msg("%s: %s", text, err.message);
    }
    trace_id_text(&id, out);
    assert_string_equal(out, shown);
}

static void trace_ids_may_be_short_or_base64(void **state)
{
    (void)state;
    struct trace_id id;
    struct error err;

    expect_id("1", false, "0000000000000001");
    expect_id("123456aBC", false, "0000000123456abc");
    expect_id("5B8EFFF798038103D269B633813FC60C", false, "5b8efff798038103d269b633813fc60c");
    expect_id("10000000000000000", false, "00000000000000010000000000000000");
    expect_id("W47/95gDgQPSabYzgT/GDA==", true, "5b8efff798038103d269b633813fc60c");
    expect_id("W47_95gDgQPSabYzgT_GDA", true, "5b8efff798038103d269b633813fc60c");
    expect_id("7uGbfsPBsXQ=", true, "eee19b7ec3c1b174");

    assert_false(parse_trace_id("", true, &id, &err));
    assert_string_equal(err.message, "strconv.ParseUint: parsing \"\": invalid syntax");
    assert_false(parse_trace_id("W47/95gDgQPSabYzgT/GDA==", false, &id, &err));
    assert_false(parse_trace_id("xyz", true, &id, &err));
    assert_string_equal(err.message, "strconv.ParseUint: parsing \"xyz\": invalid syntax");
    assert_false(parse_trace_id("000000000000000000000000000000001", true, &id, &err));
    assert_string_equal(err.message, "TraceID cannot be longer than 32 hex characters: "
                                     "000000000000000000000000000000001");
}

static void expect_time(const char *text, uint64_t ns)
{
    struct error err;
    uint64_t out = 0;

    if (!parse_time(text, &out, &err) || out != ns) {
        fail_msg("%s: %llu", text, (unsigned long long)out);
    }
}

static void times_are_nanoseconds_or_rfc_3339(void **state)
{
    (void)state;
    struct error err;
    uint64_t out;
    static const char *const bad[] = {"",
                                      "now",
                                      "-1",
                                      "2020-01-01",
                                      "2020-01-01T00:00:00",
                                      "2020-13-01T00:00:00Z",
                                      "2020-01-01T00:00:00.Z",
                                      "2020-01-01T00:00:00+0200",
                                      "2020-01-01T00:00:00Zx",
                                      "2020-1-01T00:00:00Z"};

    expect_time("0", 0);
    expect_time("1544712660000000000", UINT64_C(1544712660000000000));
    expect_time("99999999999999999999999", UINT64_MAX - 1);
    expect_time("2018-12-13T14:51:00Z", UINT64_C(1544712660000000000));
    expect_time("2018-12-13t14:51:00.000000001z", UINT64_C(1544712660000000001));
    expect_time("2018-12-13T16:51:00.5+02:00", UINT64_C(1544712660500000000));
    expect_time("2018-12-13T16:51:00.123456789012 02:00", UINT64_C(1544712660123456789));
    expect_time("2018-12-13T12:21:00-02:30", UINT64_C(1544712660000000000));
    expect_time("1969-12-31T23:59:59Z", 0);
    expect_time("9999-12-31T23:59:59Z", UINT64_MAX - 1);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(parse_time(bad[i], &out, &err));
    }
}

static void scaling_stops_at_the_ends(void **state)
{
    (void)state;
    assert_int_equal(scaled(-5, 1000), 0);
    assert_int_equal(scaled(5, 1000), 5000);
    assert_true(scaled(INT64_MAX, 1000) == UINT64_MAX - 1);
}

static void expect_indented(const char *json, const char *want)
{
    struct strbuf out;

    strbuf_init(&out, 4096);
    json_indent((struct slice){(const uint8_t *)json, strlen(json)}, &out);
    assert_string_equal(out.data, want);
    strbuf_deinit(&out);
}

static void json_is_laid_out_as_go_does(void **state)
{
    (void)state;
    expect_indented(
        "{\"a\":[1,{\"b\":\"x,{}\\\":\"}],\"c\":[],\"d\":{}}",
        "{\n    \"a\": [\n        1,\n        {\n            \"b\": \"x,{}\\\":\"\n        }\n"
        "    ],\n    \"c\": [],\n    \"d\": {}\n}");
    expect_indented("\"open", "\"open");
    expect_indented("\"open\\", "\"open\\");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_as_go_reads_them),
        cmocka_unit_test(truth_is_spelled_as_in_go),
        cmocka_unit_test(trace_ids_may_be_short_or_base64),
        cmocka_unit_test(times_are_nanoseconds_or_rfc_3339),
        cmocka_unit_test(scaling_stops_at_the_ends),
        cmocka_unit_test(json_is_laid_out_as_go_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
