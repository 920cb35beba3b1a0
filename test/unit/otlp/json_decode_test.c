/*
 * json_decode_test.c - OTLP/JSON to protobuf: the rules of the format, and what senders write.
 *
 * Expected bytes are written in hex, to be checked against the protobuf wire format by eye.
 */

#include "json_parts.h"

static void the_golden_request_becomes_the_golden_bytes(void **state)
{
    (void)state;
    struct strbuf body = from_json(OTLP_TRACES, slice_of(golden_json));

    assert_hex(strbuf_slice(&body), golden_hex);
    strbuf_deinit(&body);
}

static void whitespace_between_tokens_changes_nothing(void **state)
{
    (void)state;
    struct strbuf text = new_bytes();
    bool quoted = false;

    for (const char *c = golden_json; *c != '\0'; c++) {
        quoted ^= *c == '"';
        if (!quoted && *c != '"') {
            strbuf_append_text(&text, " \t\r\n");
            strbuf_putc(&text, *c);
            strbuf_append_text(&text, "\n  ");
        } else {
            strbuf_putc(&text, *c);
        }
    }
    struct strbuf body = from_json(OTLP_TRACES, strbuf_slice(&text));
    assert_hex(strbuf_slice(&body), golden_hex);
    strbuf_deinit(&body);
    strbuf_deinit(&text);
}

static void snake_case_names_mean_the_same(void **state)
{
    (void)state;
    static const char json[] =
        "{\"resource_spans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\","
        "\"value\":{\"string_value\":\"my.service\"}}]},\"scope_spans\":[{\"scope\":{"
        "\"name\":\"my.library\",\"version\":\"1.0.0\",\"attributes\":[{\"key\":"
        "\"my.scope.attribute\",\"value\":{\"string_value\":\"some scope attribute\"}}]},"
        "\"spans\":[{\"trace_id\":\"5B8EFFF798038103D269B633813FC60C\","
        "\"span_id\":\"EEE19B7EC3C1B174\",\"parent_span_id\":\"EEE19B7EC3C1B173\","
        "\"name\":\"I'm a server span\",\"kind\":2,\"start_time_unix_nano\":1544712660000000000,"
        "\"end_time_unix_nano\":\"1544712661000000000\",\"attributes\":[{\"key\":\"my.span.attr\","
        "\"value\":{\"string_value\":\"some value\"}}]}]}]}]}";
    struct strbuf body = from_json(OTLP_TRACES, slice_of(json));

    assert_hex(strbuf_slice(&body), golden_hex);
    strbuf_deinit(&body);
}

static void requests_without_anything_are_empty(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        " { } ",
        "\xef\xbb\xbf{}",
        "{\"resourceSpans\":[]}",
        "{\"resourceSpans\":null}",
        "{\"resourceSpans\": [ ] , \"unexpected\":\"v\"}",
        "{\"x\":{\"y\":[1,{\"z\":[[],{}]}]},\"n\":null,\"t\":true,\"f\":false,\"d\":-1.5e-3}",
        "{\"resourceMetrics\":[{}]}", /* of another signal: unknown here */
    };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct strbuf body = from_json(OTLP_TRACES, slice_of(texts[i]));
        assert_int_equal(body.len, 0);
        strbuf_deinit(&body);
    }
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    assert_json_refused(OTLP_TRACES, "", "byte 0: the text ends where an object belongs");
    assert_json_refused(OTLP_TRACES, "  ", "byte 2: the text ends where an object belongs");
    assert_json_refused(OTLP_TRACES, "1234", "byte 0: expected an object");
    assert_json_refused(OTLP_TRACES, "[]", "byte 0: expected an object");
    assert_json_refused(OTLP_TRACES, "\"x\"", "byte 0: expected an object");
    assert_json_refused(OTLP_TRACES, "null", "byte 0: expected an object");
    assert_json_refused(OTLP_TRACES, "\xef\xbb\xbf\xef\xbb\xbf{}", "byte 3: expected an object");
    assert_json_refused(OTLP_TRACES, "{}{}", "byte 2: more text behind the request");
    assert_json_refused(OTLP_TRACES, "{} x", "byte 3: more text behind the request");
}

static void broken_json_is_refused_with_the_place(void **state)
{
    (void)state;
    assert_json_refused(OTLP_TRACES, "{", "byte 1: the text ends where a member belongs");
    assert_json_refused(OTLP_TRACES, "{,}", "byte 1: expected a name in quotes");
    assert_json_refused(OTLP_TRACES, "{\"a\":1,}", "byte 7: expected a name in quotes");
    assert_json_refused(OTLP_TRACES, "{a:1}", "byte 1: expected a name in quotes");
    assert_json_refused(OTLP_TRACES, "{\"a\" 1}", "byte 5: expected a colon");
    assert_json_refused(OTLP_TRACES, "{\"a\":1 2}", "byte 7: expected ',' or '}'");
    assert_json_refused(OTLP_TRACES, "{\"a\":}", "byte 5: expected a value");
    assert_json_refused(OTLP_TRACES, "{\"a\":tru}", "byte 5: expected a value");
    assert_json_refused(OTLP_TRACES, "{\"a\":tr", "byte 7: the text ends inside true");
    assert_json_refused(OTLP_TRACES, "{\"a\":[1,]}", "byte 8: expected a value");
    assert_json_refused(OTLP_TRACES, "{\"a\":[1}", "byte 7: expected ',' or ']'");
    assert_json_refused(OTLP_TRACES, "{\"a\":{\"b\":1]}", "byte 11: expected ',' or '}'");
    assert_json_refused(OTLP_TRACES, "{\"a\":01}", "byte 5: expected a number");
    assert_json_refused(OTLP_TRACES, "{\"a\":1.}", "byte 5: expected a number");
    assert_json_refused(OTLP_TRACES, "{\"a\":-}", "byte 5: expected a number");
    assert_json_refused(OTLP_TRACES, "{\"a\":+1}", "byte 5: expected a value");
    assert_json_refused(OTLP_TRACES, "{\"a\":NaN}", "byte 5: expected a value");
    assert_json_refused(OTLP_TRACES, "{\"a\":\"\n\"}",
                        "byte 6: control character 0x0a in a string");
    assert_json_refused(OTLP_TRACES, "{\"a\":\"\\x\"}", "byte 6: unknown escape in a string");
    assert_json_refused(OTLP_TRACES, "{\"a\":\"\\u12g4\"}", "byte 6: \\u without four hex digits");
    assert_json_refused(OTLP_TRACES, "{\"a\":\"b",
                        "byte 7: the text ends where the end of a string belongs");
    assert_json_refused(OTLP_TRACES, "{\"resourceSpans\":[{},]}",
                        "byte 21: resource_spans is not an object");
    assert_json_refused(OTLP_TRACES, "{\"resourceSpans\":[{} {}]}", "byte 21: expected ',' or ']'");
    assert_json_refused(OTLP_TRACES, "{\"resourceSpans\":{}}",
                        "byte 17: resource_spans is not an array");
    assert_json_refused(OTLP_TRACES, "{\"resourceSpans\":[{\"resource\":[]}]}",
                        "byte 30: resource is not an object");
    assert_json_refused(OTLP_TRACES, "{\"resourceSpans\":[null]}",
                        "byte 18: null inside resource_spans");
}

/* Each prefix in memory of exactly its size, so that the sanitizer sees a read too far. */
static void every_shorter_prefix_is_refused(void **state)
{
    (void)state;
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        const char *json = full_json((enum otlp_signal)signal);
        size_t whole = strlen(json);
        for (size_t len = 0; len <= whole; len++) {
            struct strbuf out = new_bytes();
            struct error err = {0};
            uint8_t *prefix = malloc(len + (len == 0));
            assert_non_null(prefix);
            memcpy(prefix, json, len);
            bool ok = otlp_json_decode((enum otlp_signal)signal, (struct slice){prefix, len},
                                       &otlp_limits_default, &out, &err);
            assert_int_equal(ok, len == whole);
            assert_int_equal(err.code, len == whole ? ERR_NONE : ERR_INVALID);
            free(prefix);
            strbuf_deinit(&out);
        }
    }
}

static void a_change_of_one_byte_never_harms(void **state)
{
    (void)state;
    static const char other[] = "\"{}[]:,\\0\x01\xff n-e.";
    size_t len = strlen(full_trace_json);
    char *text = malloc(len);

    assert_non_null(text);
    for (size_t i = 0; i < len; i++) {
        for (const char *c = other; *c != '\0'; c++) {
            struct strbuf out = new_bytes();
            struct error err = {0};
            memcpy(text, full_trace_json, len);
            text[i] = *c;
            if (otlp_json_decode(OTLP_TRACES, (struct slice){(uint8_t *)text, len},
                                 &otlp_limits_default, &out, &err)) {
                struct strbuf again = to_json(OTLP_TRACES, strbuf_slice(&out));
                strbuf_deinit(&again);
            } else {
                assert_int_equal(err.code, ERR_INVALID);
            }
            strbuf_deinit(&out);
        }
    }
    free(text);
}

static void ids_are_hex_of_either_case(void **state)
{
    (void)state;
    assert_span("\"traceId\":\"5B8EFFF798038103D269B633813FC60C\",\"spanId\":\"EEE19b7ec3c1B174\"",
                "0a105b8efff798038103d269b633813fc60c1208eee19b7ec3c1b174");
    assert_span("\"traceId\":\"\",\"spanId\":\"\",\"parentSpanId\":\"\"", "");
    assert_span("\"traceId\":null,\"spanId\":null", "");
    assert_span("\"spanId\":\"eee19b7ec3c1b1\\u00374\"", "1208eee19b7ec3c1b174");
}

/* Whatever is wrong, the span gets an id of a wrong length and its neighbours do not suffer. */
static void ids_that_are_wrong_have_a_wrong_length(void **state)
{
    (void)state;
    /* base64, as old exporters wrote it: its text is kept for the message */
    assert_span("\"traceId\":\"Z6z8LqVvEI+kU1/Ci6mXBQ==\"", "0a185a367a384c715676454"
                                                            "92b6b55312f4369366d5842513d3d");
    /* half an id */
    assert_span("\"traceId\":\"463ac35c9f6413ad\"", "0a08463ac35c9f6413ad");
    assert_span("\"spanId\":\"5b8efff798038103d269b633813fc60c\"",
                "12105b8efff798038103d269b633813fc60c");
    /* text that happens to be as long as the bytes of an id */
    assert_span("\"traceId\":\"no hex, 16 bytes\"", "0a116e6f206865782c203136206279746573"
                                                    "3f");
    assert_span("\"spanId\":\"zzzzzzzz\"", "12097a7a7a7a7a7a7a7a3f");
    assert_span("\"spanId\":\"abc\"", "1203616263");
    assert_span_refused("\"traceId\":5", "trace_id is not a string");
    assert_span_refused("\"traceId\":{}", "trace_id is not a string");
}

static void ids_as_arrays_of_bytes_are_read(void **state)
{
    (void)state;
    assert_span("\"spanId\":[1, 2 ,3,4,5,6,7,255]", "120801020304050607ff");
    assert_span("\"spanId\":[]", "");
    assert_span("\"spanId\":[1,2]", "12020102");
    /* no bytes at all: of a wrong length */
    assert_span("\"spanId\":[1,2,3,4,5,6,7,256]", "12013f");
    assert_span("\"spanId\":[1,2,3,4,5,6,7,1.5]", "12013f");
    assert_span("\"spanId\":[\"a\",{\"b\":[]}],\"name\":\"n\"", "12013f2a016e");
    assert_span("\"spanId\":[[1]]", "12013f");
    assert_span("\"spanId\":[-1]", "12013f");
    assert_span_refused("\"spanId\":[1,", "expected a value");
}

static void enums_are_numbers_or_names(void **state)
{
    (void)state;
    assert_span("\"kind\":2", "3002");
    assert_span("\"kind\":\"2\"", "3002");
    assert_span("\"kind\":\"SPAN_KIND_SERVER\"", "3002");
    assert_span("\"kind\":\"server\"", "3002");
    assert_span("\"kind\":0", "");
    assert_span("\"kind\":\"SPAN_KIND_UNSPECIFIED\"", "");
    assert_span("\"kind\":77", "304d");
    assert_span("\"kind\":-1", "30ffffffffffffffffff01");
    assert_span("\"status\":{\"code\":2,\"message\":\"x\"}", "7a051802120178");
    assert_span("\"status\":{\"code\":\"STATUS_CODE_ERROR\"}", "7a021802");
    assert_span("\"status\":{\"code\":\"ERROR\"}", "7a021802");
    assert_span("\"status\":{\"code\":\"Ok\"}", "7a021801");
    assert_span("\"status\":{\"code\":\"unset\"}", "7a00");
    assert_span("\"status\":null", "");
    assert_span("\"status\":{}", "7a00");
    assert_span_refused("\"kind\":\"SPAN_KIND_OTHER\"", "\"SPAN_KIND_OTHER\" is no value of kind");
    assert_span_refused("\"kind\":\"\"", "\"\" is no value of kind");
    assert_span_refused("\"kind\":2147483648", "kind is not an integer in its range");
    assert_span_refused("\"kind\":1.5", "kind is not an integer in its range");
    assert_span_refused("\"kind\":true", "kind is not a number");
}

static void integers_are_numbers_or_strings_in_any_notation(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1544712660000000000",    "\"1544712660000000000\"",
        "1.54471266e18",          "\"1.54471266E+18\"",
        "1544712660000000000.0",  "15447126600000000000e-1",
        "1544712660000000000e00", "154471266000000000000000000000000e-14",
    };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        char member[100];
        (void)snprintf(member, sizeof(member), "\"startTimeUnixNano\":%s", texts[i]);
        assert_span(member, "39004859e3faeb6f15");
    }
    assert_span("\"startTimeUnixNano\":18446744073709551615", "39ffffffffffffffff");
    assert_span("\"startTimeUnixNano\":\"0\",\"endTimeUnixNano\":0", "");
    assert_span("\"startTimeUnixNano\":-0", "");
    assert_span("\"startTimeUnixNano\":0e99999999999", "");
    assert_span("\"flags\":257,\"droppedLinksCount\":\"3\"", "850101010000"
                                                             "7003");
    assert_span("\"flags\":4294967295", "8501ffffffff");
}

static void integers_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const char range[] = "start_time_unix_nano is not an integer in its range";
    assert_span_refused("\"startTimeUnixNano\":18446744073709551616", range);
    assert_span_refused("\"startTimeUnixNano\":-1", range);
    assert_span_refused("\"startTimeUnixNano\":1.5", range);
    assert_span_refused("\"startTimeUnixNano\":1e20", range);
    assert_span_refused("\"startTimeUnixNano\":1e-1", range);
    assert_span_refused("\"startTimeUnixNano\":\"\"", "start_time_unix_nano is not a number");
    assert_span_refused("\"startTimeUnixNano\":\"1 \"", "start_time_unix_nano is not a number");
    assert_span_refused("\"startTimeUnixNano\":\"0x1\"", "start_time_unix_nano is not a number");
    assert_span_refused("\"startTimeUnixNano\":\"007\"", "start_time_unix_nano is not a number");
    assert_span_refused("\"startTimeUnixNano\":{}", "start_time_unix_nano is not a number");
    assert_span_refused("\"flags\":4294967296", "flags is not an integer in its range");
    assert_span_refused("\"droppedEventsCount\":-1",
                        "dropped_events_count is not an integer in its range");
}

static void int_values_are_exact(void **state)
{
    (void)state;
    assert_value("{\"intValue\":\"-9223372036854775808\"}", "1880808080808080808001");
    assert_value("{\"intValue\":9223372036854775807}", "18ffffffffffffffff7f");
    assert_value("{\"intValue\":9007199254740993}", "188180808080808010");
    assert_value("{\"intValue\":0}", "1800");
    assert_value("{\"intValue\":-1}", "18ffffffffffffffffff01");
    assert_value("{\"intValue\": 5 }", "1805");
}

/* JavaScript writes 1e21 and 18446744073709552000 as integers: a double is what they are. */
static void int_values_that_are_none_become_doubles(void **state)
{
    (void)state;
    assert_value("{\"intValue\":1.5}", "21000000000000f83f");
    assert_value("{\"intValue\":\"1.5\"}", "21000000000000f83f");
    assert_value("{\"intValue\":1e21}", "2150efe2d6e41a4b44");
    assert_value("{\"intValue\":18446744073709552000}", "21000000000000f043");
    assert_value("{\"intValue\":\"9223372036854775808\"}", "21000000000000e043");
    assert_value("{\"intValue\":-9223372036854775809}", "21000000000000e0c3");
    assert_value_refused("{\"intValue\":\"abc\"}", "int_value is not a number");
    assert_value_refused("{\"intValue\":\"NaN\"}", "int_value is not a number");
    assert_value_refused("{\"intValue\":true}", "int_value is not a number");
}

static void doubles_are_numbers_or_strings(void **state)
{
    (void)state;
    assert_value("{\"doubleValue\":5}", "210000000000001440");
    assert_value("{\"doubleValue\":\"5.0\"}", "210000000000001440");
    assert_value("{\"doubleValue\":0}", "210000000000000000");
    assert_value("{\"doubleValue\":-0}", "210000000000000080");
    assert_value("{\"doubleValue\":-0.0e5}", "210000000000000080");
    assert_value("{\"doubleValue\":\"NaN\"}", "21000000000000f87f");
    assert_value("{\"doubleValue\":\"Infinity\"}", "21000000000000f07f");
    assert_value("{\"doubleValue\":\"-Infinity\"}", "21000000000000f0ff");
    assert_value("{\"doubleValue\":1e999}", "21000000000000f07f");
    assert_value("{\"doubleValue\":-1e999}", "21000000000000f0ff");
    assert_value("{\"doubleValue\":1e-999}", "210000000000000000");
    assert_value("{\"doubleValue\":null}", "");
    assert_value_refused("{\"doubleValue\":NaN}", "double_value is not a number");
    assert_value_refused("{\"doubleValue\":\"nan\"}", "double_value is not a number");
    assert_value_refused("{\"doubleValue\":\"\"}", "double_value is not a number");
    assert_value_refused("{\"doubleValue\":\"1 2\"}", "double_value is not a number");
    assert_value_refused("{\"doubleValue\":[]}", "double_value is not a number");
}

/* Against strtod() of the C library, including halfway cases and very long texts. */
static void doubles_are_rounded_correctly(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0.1",
        "123456.789",
        "1e22",
        "1e23",
        "9007199254740993",
        "9007199254740992.99999999999999999999",
        "9007199254740993.00000000000000000001",
        "179769313486231570814527423731704356798070e267",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.2250738585072011e-308",
        "0.000000000000000000000000000000000000000000001e45",
        "123456789012345678901234567890",
        "18446744073709551615",
        "18446744073709551616",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "3.141592653589793238462643383279",
        "100000000000000000000000000000000000000000000000e-46",
    };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        char value[200];
        char expected[19] = "21";
        double number = strtod(texts[i], NULL);
        (void)snprintf(value, sizeof(value), "{\"doubleValue\":%s}", texts[i]);
        hex_encode(&number, 8, expected + 2);
        assert_value(value, expected);
    }
}

static void a_double_of_a_thousand_digits_is_rounded_correctly(void **state)
{
    (void)state;
    struct strbuf text = new_bytes();

    /* 1 + 2^-53 and a little: just over the middle between two doubles. */
    strbuf_append_text(&text, "{\"doubleValue\":1.0000000000000001110223024625156540423631668090820"
                              "3125");
    for (int i = 0; i < 1000; i++) {
        strbuf_putc(&text, '0');
    }
    strbuf_append_text(&text, "1}");
    assert_value(text.data, "21010000000000f03f");
    strbuf_clear(&text);

    strbuf_append_text(&text, "{\"doubleValue\":");
    for (int i = 0; i < 1000; i++) {
        strbuf_putc(&text, '7');
    }
    strbuf_append_text(&text, "e-999}");
    double number = strtod("7.7777777777777777777777777777777777777", NULL);
    char expected[19] = "21";
    hex_encode(&number, 8, expected + 2);
    assert_value(text.data, expected);
    strbuf_clear(&text);

    strbuf_append_text(&text, "{\"doubleValue\":0.");
    for (int i = 0; i < 1000; i++) {
        strbuf_putc(&text, '0');
    }
    strbuf_append_text(&text, "123456789123456789123456789e1003}");
    number = strtod("123.456789123456789123456789", NULL);
    hex_encode(&number, 8, expected + 2);
    assert_value(text.data, expected);
    strbuf_deinit(&text);
}

static void any_values_of_every_kind(void **state)
{
    (void)state;
    assert_value("{}", "");
    assert_value("{\"stringValue\":\"\"}", "0a00");
    assert_value("{\"stringValue\":null}", "");
    assert_value("{\"boolValue\":true}", "1001");
    assert_value("{\"boolValue\":false}", "1000");
    assert_value("{\"arrayValue\":{}}", "2a00");
    assert_value("{\"arrayValue\":{\"values\":null}}", "2a00");
    assert_value("{\"arrayValue\":{\"values\":[]}}", "2a00");
    assert_value("{\"arrayValue\":null}", "");
    assert_value("{\"arrayValue\":{\"values\":[null,{},{\"intValue\":1}, null]}}",
                 "2a0a0a000a000a0218010a00");
    assert_value("{\"kvlistValue\":{\"values\":[{\"key\":\"a\",\"value\":{\"boolValue\":true}}]}}",
                 "32090a070a016112021001");
    assert_value("{\"stringValueStrindex\":3}", "");
    assert_value("{\"stringValueStrindex\":3,\"intValue\":1}", "1801");
    assert_value("{\"unknown\":{\"a\":[1,\"\\u0000\"]},\"intValue\":1}", "1801");
    assert_value_refused("{\"stringValue\":5}", "string_value is not a string");
    assert_value_refused("{\"stringValue\":true}", "string_value is not a string");
    assert_value_refused("{\"stringValue\":{}}", "string_value is not a string");
    assert_value_refused("{\"boolValue\":1}", "bool_value is neither true nor false");
    assert_value_refused("{\"boolValue\":\"true\"}", "bool_value is neither true nor false");
    assert_value_refused("{\"boolValue\":truth}", "expected a value");
    assert_value_refused("{\"arrayValue\":[]}", "array_value is not an object");
    assert_value_refused("{\"arrayValue\":{\"values\":{}}}", "values is not an array");
    assert_value_refused("{\"kvlistValue\":{\"values\":[null]}}", "null inside values");
    assert_value_refused("[]", "value is not an object");
    assert_value_refused("\"x\"", "value is not an object");
}

static void a_key_without_a_value_stays(void **state)
{
    (void)state;
    assert_span("\"attributes\":[{\"key\":\"k\"},{\"key\":\"k\",\"value\":null},"
                "{\"key\":\"k\",\"value\":{}},{\"key\":null},{}]",
                "4a030a016b4a030a016b4a050a016b12004a004a00");
}

static void bytes_are_base64_of_every_kind(void **state)
{
    (void)state;
    assert_value("{\"bytesValue\":\"\"}", "3a00");
    assert_value("{\"bytesValue\":\"AQID\"}", "3a03010203");
    assert_value("{\"bytesValue\":\"AQI=\"}", "3a020102");
    assert_value("{\"bytesValue\":\"AQI\"}", "3a020102");
    assert_value("{\"bytesValue\":\"+/8=\"}", "3a02fbff");
    assert_value("{\"bytesValue\":\"-_8\"}", "3a02fbff");
    assert_value("{\"bytesValue\":\"+\\/8=\"}", "3a02fbff"); /* PHP escapes slashes */
    assert_value_refused("{\"bytesValue\":\"A\"}", "bytes_value is not base64");
    assert_value_refused("{\"bytesValue\":\"AQ!D\"}", "bytes_value is not base64");
    assert_value_refused("{\"bytesValue\":[1,2]}", "bytes_value is not a string");
}

static void escapes_mean_their_characters(void **state)
{
    (void)state;
    assert_value("{\"stringValue\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "0a08225c2f080c0a0d09");
    assert_value("{\"stringValue\":\"a\\u0000b\"}", "0a03610062");
    assert_value("{\"stringValue\":\"\\u00e9\\u20AC\"}", "0a05c3a9e282ac");
    assert_value("{\"stringValue\":\"\\ud83d\\ude00\"}", "0a04f09f9880");
    assert_value("{\"stringValue\":\"\\uDBFF\\uDFFF\"}", "0a04f48fbfbf");
    assert_value("{\"string\\u0056alue\":\"x\"}", "0a0178"); /* in names too */
}

/* JSON.stringify() writes them for strings that were cut in the middle of a character. */
static void lone_surrogates_become_the_replacement_character(void **state)
{
    (void)state;
    assert_value("{\"stringValue\":\"\\ud800\"}", "0a03efbfbd");
    assert_value("{\"stringValue\":\"\\udc00x\"}", "0a04efbfbd78");
    assert_value("{\"stringValue\":\"\\ud800\\ud800\"}", "0a06efbfbdefbfbd");
    assert_value("{\"stringValue\":\"\\ud800\\u0041\"}", "0a04efbfbd41");
    assert_value("{\"stringValue\":\"\\ud800\\n\"}", "0a04efbfbd0a");
    assert_value("{\"stringValue\":\"\\ud800 \\ude00\"}", "0a07efbfbd20efbfbd");
    assert_value("{\"stringValue\":\"\\ud83d\\ud83d\\ude00\"}", "0a07efbfbdf09f9880");
}

/* Not our business here: otlp_decode_traces() repairs what is not UTF-8. */
static void bytes_that_are_not_utf8_pass(void **state)
{
    (void)state;
    assert_value("{\"stringValue\":\"\xff\x80\x7f\"}", "0a03ff807f");
}

static void strings_of_every_length_are_whole(void **state)
{
    (void)state;
    for (size_t len = 0; len < 400; len++) {
        struct strbuf text = new_bytes();
        strbuf_append_text(&text, "{\"resourceSpans\":[{\"schemaUrl\":\"");
        for (size_t i = 0; i < len; i++) {
            strbuf_putc(&text, (char)('a' + i % 26));
        }
        strbuf_append_text(&text, "\"}]}");
        struct strbuf body = from_json(OTLP_TRACES, strbuf_slice(&text));
        if (len > 0) {
            struct slice url = inside(inside(strbuf_slice(&body), 1), 3);
            assert_int_equal(url.len, len);
            assert_memory_equal(url.data, strstr(text.data, "Url") + 6, len);
        }
        strbuf_deinit(&body);
        strbuf_deinit(&text);
    }
}

static void of_equal_names_the_last_one_counts(void **state)
{
    (void)state;
    assert_span("\"name\":\"a\",\"kind\":1,\"name\":\"b\"", "30012a0162");
    assert_span("\"kind\":2,\"kind\":0", "");
    assert_span("\"name\":\"a\",\"name\":null", "");
    assert_span("\"name\":null,\"name\":\"a\"", "2a0161");
    assert_span("\"spanId\":\"0000000000000001\",\"span_id\":\"0000000000000002\"",
                "12080000000000000002");
    assert_span("\"status\":{\"code\":2,\"message\":\"x\"},\"name\":\"n\",\"status\":{\"code\":1}",
                "2a016e7a021801");
    assert_span("\"status\":{\"code\":2},\"name\":\"n\",\"status\":null", "2a016e");
    assert_span("\"attributes\":[{\"key\":\"a\"},{\"key\":\"b\"}],\"name\":\"n\",\"kind\":1,"
                "\"attributes\":[{\"key\":\"c\"}],\"name\":\"m\",\"attributes\":[]",
                "30012a016d");
    assert_value("{\"arrayValue\":{\"values\":[{\"intValue\":1}]},"
                 "\"arrayValue\":{\"values\":[{\"intValue\":2}]}}",
                 "2a040a021802");
}

static void of_two_values_in_one_any_value_the_last_one_counts(void **state)
{
    (void)state;
    assert_value("{\"stringValue\":\"a\",\"intValue\":2}", "1802");
    assert_value("{\"intValue\":2,\"stringValue\":\"a\"}", "0a0161");
    assert_value("{\"stringValue\":\"a\",\"intValue\":null}", "0a0161");
    assert_value("{\"intValue\":1.5,\"intValue\":2}", "1802");
    assert_value("{\"intValue\":2,\"intValue\":1.5}", "21000000000000f83f");
    assert_value("{\"arrayValue\":{\"values\":[{}]},\"stringValue\":\"a\",\"arrayValue\":{}}",
                 "2a00");
}

static void envelopes_from_before_scopes_go_to_field_1000(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"resourceSpans\":[{\"instrumentationLibrarySpans\":[{\"instrumentationLibrary\":"
        "{\"name\":\"l\"},\"spans\":[{\"name\":\"n\"}]}]}]}",
        "{\"resource_spans\":[{\"instrumentation_library_spans\":[{\"instrumentation_library\":"
        "{\"name\":\"l\"},\"spans\":[{\"name\":\"n\"}]}]}]}",
    };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct strbuf body = from_json(OTLP_TRACES, slice_of(texts[i]));
        assert_hex(strbuf_slice(&body), "0a0dc23e0a0a030a016c12032a016e");
        strbuf_deinit(&body);
    }
}

static void metrics_of_every_kind_have_their_wire_types(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *hex;
    } points[] = {
        {"\"gauge\":{\"dataPoints\":[{\"asInt\":\"5\"}]}", "2a0b0a09310500000000000000"},
        {"\"gauge\":{\"dataPoints\":[{\"asDouble\":5}]}", "2a0b0a09210000000000001440"},
        {"\"gauge\":{\"dataPoints\":[{\"asInt\":-1}]}", "2a0b0a0931ffffffffffffffff"},
        {"\"sum\":{\"isMonotonic\":true,\"aggregationTemporality\":"
         "\"AGGREGATION_TEMPORALITY_DELTA\"}",
         "3a0418011001"},
        {"\"histogram\":{\"dataPoints\":[{\"bucketCounts\":[\"1\",2],\"explicitBounds\":[0.5],"
         "\"sum\":null,\"min\":0}]}",
         "4a270a25"
         "321001000000000000000200000000000000"
         "3a08000000000000e03f"
         "590000000000000000"},
        {"\"exponentialHistogram\":{\"dataPoints\":[{\"scale\":-3,\"positive\":{\"offset\":5,"
         "\"bucketCounts\":[1,\"300\"]}}]}",
         "520d0a0b3005420708"
         "0a120301ac02"},
        {"\"summary\":{\"dataPoints\":[{\"quantileValues\":[{\"quantile\":0.5},{}]}]}",
         "5a0f0a0d320909000000000000e03f3200"},
    };

    for (size_t i = 0; i < COUNT_OF(points); i++) {
        struct strbuf text = new_bytes();
        strbuf_printf(&text, "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{%s}]}]}]}",
                      points[i].json);
        struct strbuf body = from_json(OTLP_METRICS, strbuf_slice(&text));
        assert_hex(inside(inside(inside(strbuf_slice(&body), 1), 2), 2), points[i].hex);
        strbuf_deinit(&body);
        strbuf_deinit(&text);
    }
    assert_json_refused(OTLP_METRICS,
                        "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"histogram\":{"
                        "\"dataPoints\":[{\"bucketCounts\":[1,null]}]}}]}]}]}",
                        "byte 96: bucket_counts is not a number");
}

static void logs_have_their_wire_types(void **state)
{
    (void)state;
    static const char json[] =
        "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"timeUnixNano\":\"1\","
        "\"severityNumber\":\"SEVERITY_NUMBER_WARN2\",\"body\":{\"stringValue\":\"b\"},"
        "\"flags\":1,\"spanId\":\"" SPAN_ID_TEXT "\"}]}]}]}";
    struct strbuf body = from_json(OTLP_LOGS, slice_of(json));

    assert_hex(inside(inside(inside(strbuf_slice(&body), 1), 2), 2),
               "090100000000000000100e2a030a016245010000005208eee19b7ec3c1b174");
    strbuf_deinit(&body);
}

/* levels objects and as many arrays, one in the other. */
static struct strbuf nested_arrays(size_t levels)
{
    struct strbuf text = new_bytes();

    strbuf_append_text(&text, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"value\":");
    for (size_t i = 0; i < levels; i++) {
        strbuf_append_text(&text, "{\"arrayValue\":{\"values\":[");
    }
    for (size_t i = 0; i < levels; i++) {
        strbuf_append_text(&text, "]}}");
    }
    strbuf_append_text(&text, "}]}}]}");
    return text;
}

static void nesting_ends_at_the_limit(void **state)
{
    (void)state;
    /* Six levels around the value, three a level: 64 make 198, and the limit is 200. */
    struct strbuf text = nested_arrays(64);
    struct strbuf body = from_json(OTLP_TRACES, strbuf_slice(&text));
    struct strbuf again = to_json(OTLP_TRACES, strbuf_slice(&body));
    strbuf_deinit(&again);
    strbuf_deinit(&body);
    strbuf_deinit(&text);

    struct error err = {0};
    struct strbuf out = new_bytes();
    text = nested_arrays(65);
    assert_false(
        otlp_json_decode(OTLP_TRACES, strbuf_slice(&text), &otlp_limits_default, &out, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(err.message, "objects and arrays are nested more than 200 deep"));
    strbuf_deinit(&out);
    strbuf_deinit(&text);
}

static void depth_bombs_are_refused(void **state)
{
    (void)state;
    static const char *const openers[] = {"[", "{\"a\":", "[{\"a\":["};
    static const char *const places[] = {"{\"x\":", "{\"resourceSpans\":[{\"traceId\":",
                                         "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{"
                                         "\"traceId\":"};

    for (size_t i = 0; i < COUNT_OF(places); i++) {
        for (size_t k = 0; k < COUNT_OF(openers); k++) {
            struct strbuf text = new_bytes();
            struct strbuf out = new_bytes();
            struct error err = {0};
            strbuf_append_text(&text, places[i]);
            for (int n = 0; n < 100000; n++) {
                strbuf_append_text(&text, openers[k]);
            }
            assert_false(otlp_json_decode(OTLP_TRACES, strbuf_slice(&text), &otlp_limits_default,
                                          &out, &err));
            assert_int_equal(err.code, ERR_INVALID);
            strbuf_deinit(&out);
            strbuf_deinit(&text);
        }
    }
}

static void the_limit_of_the_output_is_kept(void **state)
{
    (void)state;
    struct strbuf whole = from_json(OTLP_METRICS, slice_of(full_metrics_json));

    for (size_t limit = 0; limit < whole.len + 200; limit++) {
        struct strbuf out;
        struct error err = {0};
        strbuf_init(&out, limit);
        bool ok = otlp_json_decode(OTLP_METRICS, slice_of(full_metrics_json), &otlp_limits_default,
                                   &out, &err);
        assert_true(out.len <= limit);
        if (limit < whole.len) {
            assert_false(ok);
            assert_int_equal(err.code, ERR_TOO_LARGE);
        } else if (limit >= whole.len + 64) {
            assert_true(ok);
        }
        strbuf_deinit(&out);
    }
    strbuf_deinit(&whole);
}

static void large_envelopes_keep_their_padded_lengths(void **state)
{
    (void)state;
    struct strbuf text = new_bytes();

    strbuf_append_text(&text, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[");
    for (int i = 0; i < 5000; i++) {
        strbuf_printf(&text,
                      "%s{\"name\":\"span %d\",\"attributes\":[{\"key\":\"k\",\"value\":"
                      "{\"intValue\":%d}}]}",
                      i > 0 ? "," : "", i, i);
    }
    strbuf_append_text(&text, "]}]}]}");
    struct strbuf body = from_json(OTLP_TRACES, strbuf_slice(&text));
    struct slice spans = inside(inside(strbuf_slice(&body), 1), 2);
    struct pb_reader reader = pb_over(spans);
    struct pb_field field;
    struct error err = {0};
    int count = 0;
    while (pb_next(&reader, &field, &err) == PB_FIELD) {
        char name[20];
        (void)snprintf(name, sizeof(name), "span %d", count);
        assert_true(slice_equal_text(inside(field.bytes, 5), name));
        count++;
    }
    assert_int_equal(err.code, ERR_NONE);
    assert_int_equal(count, 5000);
    strbuf_deinit(&body);
    strbuf_deinit(&text);
}

static void many_empty_objects_take_little_memory(void **state)
{
    (void)state;
    struct strbuf text = new_bytes();

    strbuf_append_text(&text, "{\"resourceSpans\":[{}");
    for (int i = 0; i < 1000000; i++) {
        strbuf_append_text(&text, ",{}");
    }
    strbuf_append_text(&text, "]}");
    struct strbuf body = from_json(OTLP_TRACES, strbuf_slice(&text));
    assert_int_equal(body.len, 2 * 1000001);
    strbuf_deinit(&body);
    strbuf_deinit(&text);
}

static void the_decoder_takes_what_came_from_json(void **state)
{
    (void)state;
    static const char json[] =
        "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":["
        "{\"traceId\":\"" TRACE_ID_TEXT "\",\"spanId\":\"" SPAN_ID_TEXT "\",\"name\":\"good\"},"
        "{\"traceId\":\"Z6z8LqVvEI+kU1/Ci6mXBQ==\",\"spanId\":\"" SPAN_ID_TEXT "\"},"
        "{\"traceId\":\"463ac35c9f6413ad\",\"spanId\":\"" SPAN_ID_TEXT "\"},"
        "{\"traceId\":\"no hex, 16 bytes\",\"spanId\":\"" SPAN_ID_TEXT "\"},"
        "{\"traceId\":\"" TRACE_ID_TEXT "\",\"spanId\":[1,2]},"
        "{\"traceId\":\"\",\"spanId\":\"" SPAN_ID_TEXT "\"},"
        "{\"traceId\":\"" TRACE_ID_TEXT "\",\"spanId\":\"1112131415161718\",\"parentSpanId\":\"\"}"
        "]}]}]}";
    struct strbuf body = from_json(OTLP_TRACES, slice_of(json));
    struct span_batch *batch = decode(strbuf_slice(&body));

    assert_int_equal(batch->span_count, 2);
    assert_int_equal(batch->rejected_count, 5);
    assert_true(slice_equal_text(batch->spans[0].name, "good"));
    assert_true(span_is_root(&batch->spans[1]));
    span_batch_unref(batch);
    strbuf_deinit(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_golden_request_becomes_the_golden_bytes),
        cmocka_unit_test(whitespace_between_tokens_changes_nothing),
        cmocka_unit_test(snake_case_names_mean_the_same),
        cmocka_unit_test(requests_without_anything_are_empty),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(broken_json_is_refused_with_the_place),
        cmocka_unit_test(every_shorter_prefix_is_refused),
        cmocka_unit_test(a_change_of_one_byte_never_harms),
        cmocka_unit_test(ids_are_hex_of_either_case),
        cmocka_unit_test(ids_that_are_wrong_have_a_wrong_length),
        cmocka_unit_test(ids_as_arrays_of_bytes_are_read),
        cmocka_unit_test(enums_are_numbers_or_names),
        cmocka_unit_test(integers_are_numbers_or_strings_in_any_notation),
        cmocka_unit_test(integers_that_do_not_fit_are_refused),
        cmocka_unit_test(int_values_are_exact),
        cmocka_unit_test(int_values_that_are_none_become_doubles),
        cmocka_unit_test(doubles_are_numbers_or_strings),
        cmocka_unit_test(doubles_are_rounded_correctly),
        cmocka_unit_test(a_double_of_a_thousand_digits_is_rounded_correctly),
        cmocka_unit_test(any_values_of_every_kind),
        cmocka_unit_test(a_key_without_a_value_stays),
        cmocka_unit_test(bytes_are_base64_of_every_kind),
        cmocka_unit_test(escapes_mean_their_characters),
        cmocka_unit_test(lone_surrogates_become_the_replacement_character),
        cmocka_unit_test(bytes_that_are_not_utf8_pass),
        cmocka_unit_test(strings_of_every_length_are_whole),
        cmocka_unit_test(of_equal_names_the_last_one_counts),
        cmocka_unit_test(of_two_values_in_one_any_value_the_last_one_counts),
        cmocka_unit_test(envelopes_from_before_scopes_go_to_field_1000),
        cmocka_unit_test(metrics_of_every_kind_have_their_wire_types),
        cmocka_unit_test(logs_have_their_wire_types),
        cmocka_unit_test(nesting_ends_at_the_limit),
        cmocka_unit_test(depth_bombs_are_refused),
        cmocka_unit_test(the_limit_of_the_output_is_kept),
        cmocka_unit_test(large_envelopes_keep_their_padded_lengths),
        cmocka_unit_test(many_empty_objects_take_little_memory),
        cmocka_unit_test(the_decoder_takes_what_came_from_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
