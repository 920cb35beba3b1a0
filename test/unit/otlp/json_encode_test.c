/*
 * json_encode_test.c - protobuf to OTLP/JSON, also of messages in orders that no sender writes but
 * protobuf allows.
 */

#include "json_parts.h"

/* The Span of these bytes in JSON. The bytes get memory of exactly their size. */
static void assert_span_json(const char *hex, const char *expected)
{
    size_t len = strlen(hex) / 2;
    uint8_t *raw = malloc(len + (len == 0));
    struct strbuf out = new_bytes();
    struct error err = {0};

    assert_non_null(raw);
    assert_true(hex_decode(slice_of(hex), raw, len));
    if (!otlp_json_encode_span((struct slice){raw, len}, &out, &err)) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(out.data, expected);
    strbuf_deinit(&out);
    free(raw);
}

static void assert_span_malformed(const char *hex, const char *message)
{
    uint8_t raw[200];
    struct strbuf out = new_bytes();
    struct error err = {0};

    assert_true(hex_decode(slice_of(hex), raw, strlen(hex) / 2));
    strbuf_append_text(&out, "before");
    assert_false(otlp_json_encode_span((struct slice){raw, strlen(hex) / 2}, &out, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(err.message, message);
    assert_string_equal(out.data, "before");
    strbuf_deinit(&out);
}

/* The AnyValue of these bytes in JSON. */
static void assert_value_json(const char *hex, const char *expected)
{
    struct strbuf span = new_bytes();
    struct strbuf out = new_bytes();
    struct error err = {0};
    uint8_t value[300];
    size_t len = strlen(hex) / 2;

    assert_true(hex_decode(slice_of(hex), value, len));
    size_t attribute = pb_begin(&span, 9);
    pb_put_bytes(&span, 1, slice_of("k"));
    pb_put_bytes(&span, 2, (struct slice){value, len});
    pb_end(&span, attribute);
    if (!otlp_json_encode_span(strbuf_slice(&span), &out, &err)) {
        fail_msg("%s", err.message);
    }
    char *text = out.data;
    static const char head[] = "{\"attributes\":[{\"key\":\"k\",\"value\":";
    static const char tail[] = "}],\"status\":{}}";
    assert_true(out.len >= sizeof(head) - 1 + sizeof(tail) - 1);
    assert_memory_equal(text, head, sizeof(head) - 1);
    assert_string_equal(text + out.len - (sizeof(tail) - 1), tail);
    text[out.len - (sizeof(tail) - 1)] = '\0';
    assert_string_equal(text + sizeof(head) - 1, expected);
    strbuf_deinit(&out);
    strbuf_deinit(&span);
}

static void the_golden_bytes_become_the_golden_request(void **state)
{
    (void)state;
    uint8_t bytes[214];
    struct strbuf out = to_json(OTLP_TRACES, golden_request(bytes));
    struct strbuf expected = new_bytes();

    /* The same with the status that is always there. */
    strbuf_append(&expected, golden_json, strlen(golden_json) - strlen("}]}]}]}"));
    strbuf_append_text(&expected, ",\"status\":{}}]}]}]}");
    assert_string_equal(out.data, expected.data);
    strbuf_deinit(&expected);
    strbuf_deinit(&out);
}

static void every_field_survives_the_way_there_and_back(void **state)
{
    (void)state;
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        const char *json = full_json((enum otlp_signal)signal);
        struct strbuf body = from_json((enum otlp_signal)signal, slice_of(json));
        struct strbuf text = to_json((enum otlp_signal)signal, strbuf_slice(&body));
        struct strbuf again = from_json((enum otlp_signal)signal, strbuf_slice(&text));
        assert_string_equal(text.data, json);
        assert_int_equal(again.len, body.len);
        assert_memory_equal(again.data, body.data, body.len);
        strbuf_deinit(&again);
        strbuf_deinit(&text);
        strbuf_deinit(&body);
    }
}

static void what_is_default_is_left_out(void **state)
{
    (void)state;
    /* name "", kind 0, start 0, flags 0, dropped 0, trace_id "" */
    assert_span_json("2a003000390000000000000000850100000000"
                     "50000a00",
                     "{\"status\":{}}");
    assert_span_json("7a0418001200", "{\"status\":{}}");
    assert_span_json("", "{\"status\":{}}");
}

static void resource_scope_and_status_are_always_there(void **state)
{
    (void)state;
    static const struct {
        enum otlp_signal signal;
        const char *hex;
        const char *json;
    } cases[] = {
        {OTLP_TRACES, "", "{}"},
        {OTLP_TRACES, "0a00", "{\"resourceSpans\":[{\"resource\":{}}]}"},
        {OTLP_TRACES, "0a0412021200",
         "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"status\":{}}],\"scope\":{}}],"
         "\"resource\":{}}]}"},
        {OTLP_METRICS, "0a0412021200",
         "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{}],\"scope\":{}}],"
         "\"resource\":{}}]}"},
        {OTLP_LOGS, "0a0412021200",
         "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{}],\"scope\":{}}],"
         "\"resource\":{}}]}"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t body[20];
        size_t len = strlen(cases[i].hex) / 2;
        assert_true(hex_decode(slice_of(cases[i].hex), body, len));
        struct strbuf out = to_json(cases[i].signal, (struct slice){body, len});
        assert_string_equal(out.data, cases[i].json);
        strbuf_deinit(&out);
    }
}

static void ids_are_lower_case_hex_of_any_length(void **state)
{
    (void)state;
    assert_span_json("0a105B8EFFF798038103D269B633813FC60C1208EEE19B7EC3C1B174",
                     "{\"traceId\":\"5b8efff798038103d269b633813fc60c\","
                     "\"spanId\":\"eee19b7ec3c1b174\",\"status\":{}}");
    assert_span_json("0a01ff2200", "{\"traceId\":\"ff\",\"status\":{}}");
}

static void numbers_of_every_type(void **state)
{
    (void)state;
    assert_span_json("39ffffffffffffffff"
                     "410100000000000000"
                     "8501ffffffff"
                     "50ffffffff0f"
                     "3005",
                     "{\"startTimeUnixNano\":\"18446744073709551615\",\"endTimeUnixNano\":\"1\","
                     "\"flags\":4294967295,\"droppedAttributesCount\":4294967295,\"kind\":5,"
                     "\"status\":{}}");
    assert_span_json("30ffffffffffffffffff01", "{\"kind\":-1,\"status\":{}}");
    assert_value_json("1880808080808080808001", "{\"intValue\":\"-9223372036854775808\"}");
    assert_value_json("18ffffffffffffffff7f", "{\"intValue\":\"9223372036854775807\"}");
    assert_value_json("188180808080808010", "{\"intValue\":\"9007199254740993\"}");
    assert_value_json("1800", "{\"intValue\":\"0\"}");
    assert_value_json("1001", "{\"boolValue\":true}");
    assert_value_json("1000", "{\"boolValue\":false}");
    assert_value_json("3a03010203", "{\"bytesValue\":\"AQID\"}");
    assert_value_json("3a02fbff", "{\"bytesValue\":\"+/8=\"}");
    assert_value_json("3a00", "{\"bytesValue\":\"\"}");
}

static void doubles_have_the_shortest_text_that_reads_back(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {0.05, "0.05"},
        {100, "100"},
        {123.456, "123.456"},
        {0.007, "0.007"},
        {999999999.999999, "999999999.999999"},
        {1234567.000001, "1234567.000001"},
        {1.0 / 3, "0.3333333333333333"},
        {0.30000000000000004, "0.30000000000000004"},
        {1e9, "1000000000"},
        {1e21, "1e+21"},
        {4.9e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char hex[19] = "21";
        char json[100];
        hex_encode(&cases[i].value, 8, hex + 2);
        (void)snprintf(json, sizeof(json), "{\"doubleValue\":%s}", cases[i].text);
        assert_value_json(hex, json);
        assert_value(json, hex);
    }
    assert_value_json("21000000000000f87f", "{\"doubleValue\":\"NaN\"}");
    assert_value_json("21000000000000f07f", "{\"doubleValue\":\"Infinity\"}");
    assert_value_json("21000000000000f0ff", "{\"doubleValue\":\"-Infinity\"}");
}

/* Values like those that programs measure: every one must read back as it was. */
static void doubles_read_back_as_the_same_bits(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252U;

    for (int i = 0; i < 20000; i++) {
        char hex[19] = "21";
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        double value = (double)(int64_t)(seed >> 12);
        switch (i % 4) {
        case 0:
            memcpy(&value, &seed, sizeof(value));
            break;
        case 1:
            value = (double)(seed % 100000000) / 1000;
            break;
        case 2:
            value = (double)(seed % 1000000007) / 1e6;
            break;
        default:
            break;
        }
        uint8_t bytes[9] = {0x21};
        memcpy(bytes + 1, &value, 8);
        if (value != value) {
            continue;
        }
        struct strbuf span = new_bytes();
        struct strbuf out = new_bytes();
        struct error err = {0};
        size_t attribute = pb_begin(&span, 9);
        pb_put_bytes(&span, 2, (struct slice){bytes, 9});
        pb_end(&span, attribute);
        assert_true(otlp_json_encode_span(strbuf_slice(&span), &out, &err));
        char *text = strstr(out.data, "{\"doubleValue\"");
        assert_non_null(text);
        *(strchr(text, '}') + 1) = '\0';
        hex_encode(&value, 8, hex + 2);
        assert_value(text, hex);
        strbuf_deinit(&out);
        strbuf_deinit(&span);
    }
}

static void strings_are_escaped_and_repaired(void **state)
{
    (void)state;
    assert_span_json("2a0a225c0a0d0900013c2f41",
                     "{\"name\":\"\\\"\\\\\\n\\r\\t\\u0000\\u0001\\u003c/A\",\"status\":{}}");
    assert_span_json("2a04f09f9880", "{\"name\":\"\xf0\x9f\x98\x80\",\"status\":{}}");
    assert_span_json("2a03ff41c3", "{\"name\":\"\xef\xbf\xbd"
                                   "A\xef\xbf\xbd\",\"status\":{}}");
}

/* A character that needs an escape at every place of strings of every length. */
static void escapes_are_found_at_every_place(void **state)
{
    (void)state;
    for (size_t len = 1; len < 70; len++) {
        for (size_t at = 0; at <= len; at++) {
            char text[80];
            struct strbuf span = new_bytes();
            struct strbuf out = new_bytes();
            struct strbuf expected = new_bytes();
            struct error err = {0};
            memset(text, 'x', len);
            if (at < len) {
                text[at] = '"';
            }
            pb_put_bytes(&span, 5, (struct slice){(uint8_t *)text, len});
            pb_put_bytes(&span, 3, BYTES("behind it so that there is something to read"));
            assert_true(otlp_json_encode_span(strbuf_slice(&span), &out, &err));
            strbuf_append_text(&expected, "{\"name\":\"");
            for (size_t i = 0; i < len; i++) {
                strbuf_append_text(&expected, i == at ? "\\\"" : "x");
            }
            strbuf_append_text(&expected, "\",\"traceState\":\"behind it so that there is "
                                          "something to read\",\"status\":{}}");
            assert_string_equal(out.data, expected.data);
            strbuf_deinit(&expected);
            strbuf_deinit(&out);
            strbuf_deinit(&span);
        }
    }
}

static void what_the_schema_does_not_know_is_left_out(void **state)
{
    (void)state;
    /* fields 17 (varint), 100 (bytes), 200 (fixed64), 300 (fixed32), a group 50 with a field */
    assert_span_json("880105"
                     "a20603aabbcc"
                     "c10c0102030405060708"
                     "e51201020304"
                     "930308019403"
                     "2a016e",
                     "{\"name\":\"n\",\"status\":{}}");
    /* known fields of other wire types: name as a number, kind as bytes, start as a varint */
    assert_span_json("280532017838053001", "{\"kind\":1,\"status\":{}}");
    assert_value_json("4003", "{}"); /* string_value_strindex */
}

static void repeated_fields_that_are_scattered_make_one_array(void **state)
{
    (void)state;
    /* attributes a, name, attributes b, events, attributes c */
    assert_span_json("4a030a0161"
                     "2a016e"
                     "4a030a0162"
                     "5a00"
                     "4a030a0163",
                     "{\"name\":\"n\",\"attributes\":[{\"key\":\"a\"},{\"key\":\"b\"},"
                     "{\"key\":\"c\"}],\"events\":[{}],\"status\":{}}");
    /* with only unknown fields between them they still stand together */
    assert_span_json("4a030a01618801054a030a0162",
                     "{\"attributes\":[{\"key\":\"a\"},{\"key\":\"b\"}],\"status\":{}}");
}

static void the_last_of_several_scalars_counts(void **state)
{
    (void)state;
    assert_span_json("2a01612a016230013002", "{\"name\":\"b\",\"kind\":2,\"status\":{}}");
    assert_span_json("30023000", "{\"status\":{}}");
}

static void the_last_member_of_a_oneof_counts(void **state)
{
    (void)state;
    assert_value_json("0a01611802", "{\"intValue\":\"2\"}");
    assert_value_json("18020a0161", "{\"stringValue\":\"a\"}");
    assert_value_json("180218030a01611804", "{\"intValue\":\"4\"}");
    /* an array, then a string, then an array: the first array is gone */
    assert_value_json("2a040a0218010a01612a040a021802",
                      "{\"arrayValue\":{\"values\":[{\"intValue\":\"2\"}]}}");
    /* two arrays in a row are two parts of one */
    assert_value_json("2a040a0218012a040a021802",
                      "{\"arrayValue\":{\"values\":[{\"intValue\":\"1\"},{\"intValue\":\"2\"}]}}");
}

static void parts_of_a_message_are_merged(void **state)
{
    (void)state;
    assert_span_json("7a021802"
                     "2a016e"
                     "7a03120178"
                     "7a00",
                     "{\"name\":\"n\",\"status\":{\"code\":2,\"message\":\"x\"}}");
    assert_span_json("7a0218027a021801", "{\"status\":{\"code\":1}}");
}

static void packed_and_plain_numbers_make_one_array(void **state)
{
    (void)state;
    static const char *const points[] = {
        /* packed; one by one; mixed with an empty run; scattered */
        "321001000000000000000200000000000000",
        "310100000000000000310200000000000000",
        "32080100000000000000320031"
        "0200000000000000",
        "31010000000000000050013102000000000000"
        "00",
    };

    for (size_t i = 0; i < COUNT_OF(points); i++) {
        uint8_t point[50];
        size_t len = strlen(points[i]) / 2;
        struct strbuf body = new_bytes();
        assert_true(hex_decode(slice_of(points[i]), point, len));
        size_t resource = pb_begin(&body, 1);
        size_t scope = pb_begin(&body, 2);
        size_t metric = pb_begin(&body, 2);
        size_t histogram = pb_begin(&body, 9);
        pb_put_bytes(&body, 1, (struct slice){point, len});
        pb_end(&body, histogram);
        pb_end(&body, metric);
        pb_end(&body, scope);
        pb_end(&body, resource);
        struct strbuf out = to_json(OTLP_METRICS, strbuf_slice(&body));
        assert_non_null(strstr(out.data, "\"bucketCounts\":[\"1\",\"2\"]"));
        strbuf_deinit(&out);
        strbuf_deinit(&body);
    }
}

static void field_1000_is_written_as_scopes_where_there_are_none(void **state)
{
    (void)state;
    uint8_t body[100];
    static const char alone[] = "0a0dc23e0a0a030a016c12032a016e";
    static const char beside[] = "0a0fc23e0a0a030a016c12032a016e1200";

    assert_true(hex_decode(slice_of(alone), body, sizeof(alone) / 2));
    struct strbuf out = to_json(OTLP_TRACES, (struct slice){body, sizeof(alone) / 2});
    assert_string_equal(out.data,
                        "{\"resourceSpans\":[{\"scopeSpans\":[{\"scope\":{\"name\":\"l\"},"
                        "\"spans\":[{\"name\":\"n\",\"status\":{}}]}],\"resource\":{}}]}");
    strbuf_deinit(&out);
    assert_true(hex_decode(slice_of(beside), body, sizeof(beside) / 2));
    out = to_json(OTLP_TRACES, (struct slice){body, sizeof(beside) / 2});
    assert_string_equal(out.data,
                        "{\"resourceSpans\":[{\"scopeSpans\":[{\"scope\":{}}],\"resource\":{}}]}");
    strbuf_deinit(&out);
}

static void envelopes_give_their_resource_and_scope(void **state)
{
    (void)state;
    struct strbuf out = new_bytes();
    struct error err = {0};
    /* schema_url, a resource with attribute a, another part of it with b */
    static const uint8_t envelope[] = {0x1a, 1,    'u', 0x0a, 5, 0x0a, 3, 0x0a, 1,
                                       'a',  0x0a, 5,   0x0a, 3, 0x0a, 1, 'b'};
    static const uint8_t scope[] = {0x0a, 3, 0x0a, 1, 'l', 0x1a, 1, 'u'};

    assert_true(otlp_json_encode_resource((struct slice){envelope, sizeof(envelope)}, &out, &err));
    assert_string_equal(out.data, "{\"attributes\":[{\"key\":\"a\"},{\"key\":\"b\"}]}");
    strbuf_clear(&out);
    assert_true(otlp_json_encode_scope((struct slice){scope, sizeof(scope)}, &out, &err));
    assert_string_equal(out.data, "{\"name\":\"l\"}");
    strbuf_clear(&out);
    assert_true(otlp_json_encode_resource((struct slice){0}, &out, &err));
    assert_true(otlp_json_encode_scope((struct slice){0}, &out, &err));
    assert_true(otlp_json_encode_span((struct slice){0}, &out, &err));
    assert_string_equal(out.data, "{}{}{\"status\":{}}");
    assert_false(otlp_json_encode_scope((struct slice){scope, 4}, &out, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(out.data, "{}{}{\"status\":{}}");
    strbuf_deinit(&out);
}

static void malformed_bytes_are_refused(void **state)
{
    (void)state;
    assert_span_malformed("2a05", "trace.v1.Span: a length that runs past the end of the message");
    assert_span_malformed("2a016e39", "trace.v1.Span: a fixed-size number that is cut off");
    assert_span_malformed("00", "trace.v1.Span: a field number out of range");
    assert_span_malformed("2e", "trace.v1.Span: an unknown wire type");
    assert_span_malformed("7a0218ff",
                          "trace.v1.Status: a number that is cut off or longer than 64 bits");
    assert_span_malformed("4a041202188f",
                          "common.v1.AnyValue: a number that is cut off or longer than 64 bits");
}

/* Only where a field of the outermost message ends is a prefix whole. */
static void prefixes_are_refused_or_written(void **state)
{
    (void)state;
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        struct strbuf body =
            from_json((enum otlp_signal)signal, slice_of(full_json((enum otlp_signal)signal)));
        for (size_t len = 0; len < body.len; len++) {
            struct strbuf out = new_bytes();
            struct error err = {0};
            uint8_t *prefix = malloc(len + (len == 0));
            assert_non_null(prefix);
            memcpy(prefix, body.data, len);
            bool ok =
                otlp_json_encode((enum otlp_signal)signal, (struct slice){prefix, len}, &out, &err);
            assert_int_equal(ok, len == 0);
            assert_int_equal(err.code, len == 0 ? ERR_NONE : ERR_INVALID);
            /* As another message: refused or not, but nothing beyond the prefix is read. */
            strbuf_clear(&out);
            ok = otlp_json_encode_scope((struct slice){prefix, len}, &out, &err);
            assert_true(ok || err.code == ERR_INVALID);
            strbuf_clear(&out);
            ok = otlp_json_encode_span(slice_from((struct slice){prefix, len}, 3), &out, &err);
            assert_true(ok || err.code == ERR_INVALID);
            free(prefix);
            strbuf_deinit(&out);
        }
        strbuf_deinit(&body);
    }
}

static void changed_bytes_are_refused_or_written(void **state)
{
    (void)state;
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        struct strbuf body =
            from_json((enum otlp_signal)signal, slice_of(full_json((enum otlp_signal)signal)));
        for (size_t at = 0; at < body.len; at++) {
            char was = body.data[at];
            for (int bit = 0; bit < 8; bit++) {
                struct strbuf out = new_bytes();
                struct error err = {0};
                body.data[at] = (char)(was ^ 1 << bit);
                if (!otlp_json_encode((enum otlp_signal)signal, strbuf_slice(&body), &out, &err)) {
                    assert_int_equal(err.code, ERR_INVALID);
                } else {
                    struct strbuf again = from_json((enum otlp_signal)signal, strbuf_slice(&out));
                    strbuf_deinit(&again);
                }
                strbuf_deinit(&out);
            }
            body.data[at] = was;
        }
        strbuf_deinit(&body);
    }
}

/* levels ArrayValues, one in the other, as the attribute of a span. */
static struct strbuf nested_arrays(size_t levels)
{
    struct strbuf inner = new_bytes();

    for (size_t i = 0; i < levels; i++) {
        struct strbuf outer = new_bytes();
        size_t any = pb_begin(&outer, 5);
        size_t array = pb_begin(&outer, 1);
        strbuf_append_slice(&outer, strbuf_slice(&inner));
        pb_end(&outer, array);
        pb_end(&outer, any);
        strbuf_deinit(&inner);
        inner = outer;
    }
    struct strbuf span = new_bytes();
    size_t attribute = pb_begin(&span, 9);
    pb_put_bytes(&span, 2, strbuf_slice(&inner));
    pb_end(&span, attribute);
    strbuf_deinit(&inner);
    return span;
}

static void nesting_ends_at_the_limit(void **state)
{
    (void)state;
    struct strbuf out = new_bytes();
    struct error err = {0};
    struct strbuf span = nested_arrays(98); /* two levels each, and three around them */

    assert_true(otlp_json_encode_span(strbuf_slice(&span), &out, &err));
    strbuf_deinit(&span);
    span = nested_arrays(99);
    assert_false(otlp_json_encode_span(strbuf_slice(&span), &out, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(err.message, "messages are nested more than 200 deep");
    strbuf_deinit(&span);
    span = nested_arrays(20000);
    assert_false(otlp_json_encode_span(strbuf_slice(&span), &out, &err));
    strbuf_deinit(&span);
    strbuf_deinit(&out);
}

/* Every level comes in two parts, so that every level would be copied. */
static void copies_for_merging_are_bounded(void **state)
{
    (void)state;
    struct strbuf inner = new_bytes();
    struct strbuf out = new_bytes();
    struct error err = {0};
    char *text = malloc(100000);

    assert_non_null(text);
    memset(text, 'x', 100000);
    pb_put_bytes(&inner, 1, (struct slice){(uint8_t *)text, 100000});
    free(text);
    for (size_t i = 0; i < 20; i++) {
        struct strbuf outer = new_bytes();
        struct strbuf array = new_bytes();
        pb_put_bytes(&array, 1, strbuf_slice(&inner));
        pb_put_bytes(&outer, 5, (struct slice){0});
        pb_put_bytes(&outer, 5, strbuf_slice(&array));
        strbuf_deinit(&array);
        strbuf_deinit(&inner);
        inner = outer;
    }
    struct strbuf span = new_bytes();
    size_t attribute = pb_begin(&span, 9);
    pb_put_bytes(&span, 2, strbuf_slice(&inner));
    pb_end(&span, attribute);
    assert_false(otlp_json_encode_span(strbuf_slice(&span), &out, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(err.message, "common.v1.AnyValue: array_value comes in too many parts");
    strbuf_deinit(&span);
    strbuf_deinit(&inner);
    strbuf_deinit(&out);
}

static void the_limit_of_the_output_is_kept(void **state)
{
    (void)state;
    struct strbuf body = from_json(OTLP_METRICS, slice_of(full_metrics_json));

    for (size_t limit = 0; limit < sizeof(full_metrics_json) + 100; limit++) {
        struct strbuf out;
        struct error err = {0};
        strbuf_init(&out, limit);
        bool ok = otlp_json_encode(OTLP_METRICS, strbuf_slice(&body), &out, &err);
        assert_true(out.len <= limit);
        if (limit < sizeof(full_metrics_json) - 1) {
            assert_false(ok);
            assert_int_equal(err.code, ERR_TOO_LARGE);
        } else if (limit >= sizeof(full_metrics_json) + 64) {
            assert_true(ok);
        }
        strbuf_deinit(&out);
    }
    strbuf_deinit(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_golden_bytes_become_the_golden_request),
        cmocka_unit_test(every_field_survives_the_way_there_and_back),
        cmocka_unit_test(what_is_default_is_left_out),
        cmocka_unit_test(resource_scope_and_status_are_always_there),
        cmocka_unit_test(ids_are_lower_case_hex_of_any_length),
        cmocka_unit_test(numbers_of_every_type),
        cmocka_unit_test(doubles_have_the_shortest_text_that_reads_back),
        cmocka_unit_test(doubles_read_back_as_the_same_bits),
        cmocka_unit_test(strings_are_escaped_and_repaired),
        cmocka_unit_test(escapes_are_found_at_every_place),
        cmocka_unit_test(what_the_schema_does_not_know_is_left_out),
        cmocka_unit_test(repeated_fields_that_are_scattered_make_one_array),
        cmocka_unit_test(the_last_of_several_scalars_counts),
        cmocka_unit_test(the_last_member_of_a_oneof_counts),
        cmocka_unit_test(parts_of_a_message_are_merged),
        cmocka_unit_test(packed_and_plain_numbers_make_one_array),
        cmocka_unit_test(field_1000_is_written_as_scopes_where_there_are_none),
        cmocka_unit_test(envelopes_give_their_resource_and_scope),
        cmocka_unit_test(malformed_bytes_are_refused),
        cmocka_unit_test(prefixes_are_refused_or_written),
        cmocka_unit_test(changed_bytes_are_refused_or_written),
        cmocka_unit_test(nesting_ends_at_the_limit),
        cmocka_unit_test(copies_for_merging_are_bounded),
        cmocka_unit_test(the_limit_of_the_output_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
