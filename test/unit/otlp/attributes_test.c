/*
 * attributes_test.c - reading attributes, events and links, and values as text.
 */

#include "parts.h"

#include <float.h>
#include <math.h>
#include <spangate/otlp/attributes.h>

static void assert_json(struct slice any, const char *expected)
{
    struct any_value value = any_value_of(any);
    struct strbuf out = new_bytes();

    any_to_json(&value, &out);
    assert_string_equal(out.data, expected);
    strbuf_deinit(&out);
}

static void assert_as_text(struct slice any, const char *expected)
{
    struct any_value value = any_value_of(any);
    struct strbuf out = new_bytes();

    any_to_text(&value, &out);
    assert_text(strbuf_slice(&out), expected);
    strbuf_deinit(&out);
}

static void assert_double(double value, const char *expected)
{
    struct strbuf out = new_bytes();

    double_to_text(value, &out);
    assert_string_equal(out.data, expected);
    strbuf_deinit(&out);
}

static void values_of_every_type_are_read(void **state)
{
    (void)state;
    struct any_value value;

    value = any_value_of(BYTES("\x0a\x02hi"));
    assert_int_equal(value.type, ANY_STRING);
    assert_text(value.bytes, "hi");
    value = any_value_of(BYTES("\x0a\x00"));
    assert_int_equal(value.type, ANY_STRING);
    assert_int_equal(value.bytes.len, 0);
    value = any_value_of(BYTES("\x10\x01"));
    assert_int_equal(value.type, ANY_BOOL);
    assert_int_equal(value.number, 1);
    value = any_value_of(BYTES("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    assert_int_equal(value.type, ANY_INT);
    assert_true(value.number == -1);
    value = any_value_of(BYTES("\x21\x00\x00\x00\x00\x00\x00\xf8\x3f"));
    assert_int_equal(value.type, ANY_DOUBLE);
    assert_true(value.real == 1.5);
    value = any_value_of(BYTES("\x2a\x00"));
    assert_int_equal(value.type, ANY_ARRAY);
    value = any_value_of(BYTES("\x32\x00"));
    assert_int_equal(value.type, ANY_MAP);
    value = any_value_of(BYTES("\x3a\x01\xff"));
    assert_int_equal(value.type, ANY_BYTES);
    value = any_value_of((struct slice){0});
    assert_int_equal(value.type, ANY_EMPTY);
    value = any_value_of(BYTES("\x40\x05")); /* an index into the dictionary of profiles: absent */
    assert_int_equal(value.type, ANY_EMPTY);
    value = any_value_of(BYTES("\x0a\x02hi\x18\x07")); /* a oneof: the last counts */
    assert_int_equal(value.type, ANY_INT);
    assert_int_equal(value.number, 7);
}

static void values_become_json(void **state)
{
    (void)state;
    assert_json(BYTES("\x0a\x04"
                      "a\"\n<"),
                "\"a\\\"\\n\\u003c\"");
    assert_json(BYTES("\x10\x00"), "false");
    assert_json(BYTES("\x18\x2a"), "42");
    assert_json(BYTES("\x21\x00\x00\x00\x00\x00\x00\xf8\x7f"), "\"NaN\"");
    assert_json(BYTES("\x21\x00\x00\x00\x00\x00\x00\xf0\xff"), "\"-Infinity\"");
    assert_json((struct slice){0}, "null");
    assert_json(BYTES("\x3a\x02hi"), "\"aGk=\"");
    assert_json(BYTES("\x2a\x00"), "[]");
    assert_json(BYTES("\x32\x00"), "{}");
    assert_json(BYTES("\x2a\x09\x0a\x03\x0a\x01"
                      "a\x0a\x02\x18\x01"),
                "[\"a\",1]");
    assert_json(BYTES("\x2a\x08\x0a\x00\x0a\x02\x2a\x00\x0a\x00"), "[null,[],null]");
    /* {"k":["v"],"":null} */
    assert_json(BYTES("\x32\x12\x0a\x0c\x0a\x01k\x12\x07\x2a\x05\x0a\x03\x0a\x01v\x0a\x02\x0a\x00"),
                "{\"k\":[\"v\"],\"\":null}");
}

static void values_become_text(void **state)
{
    (void)state;
    assert_as_text(BYTES("\x0a\x02\"<"), "\"<");
    assert_as_text((struct slice){0}, "");
    assert_as_text(BYTES("\x10\x01"), "true");
    assert_as_text(BYTES("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "-1");
    assert_as_text(BYTES("\x21\x00\x00\x00\x00\x00\x00\xf8\x3f"), "1.5");
    assert_as_text(BYTES("\x21\x00\x00\x00\x00\x00\x00\xf8\x7f"), "NaN");
    assert_as_text(BYTES("\x3a\x02hi"), "aGk=");
    assert_as_text(BYTES("\x2a\x09\x0a\x03\x0a\x01"
                         "a\x0a\x02\x18\x01"),
                   "[\"a\",1]");
}

static void nesting_beyond_what_is_shown_becomes_null(void **state)
{
    (void)state;
    struct strbuf deep = new_bytes();
    struct strbuf out = new_bytes();

    put_nested_value(&deep, 5000);
    struct any_value value = any_value_of(strbuf_slice(&deep));
    any_to_json(&value, &out);
    assert_int_equal(out.len, 32 + 4 + 32);
    assert_memory_equal(out.data + 31, "[null]", 6);
    strbuf_deinit(&out);
    strbuf_deinit(&deep);
}

static void doubles_take_the_shortest_form_that_reads_back(void **state)
{
    (void)state;
    assert_double(0, "0");
    assert_double(-0.0, "-0");
    assert_double(1, "1");
    assert_double(0.1, "0.1");
    assert_double(0.1 + 0.2, "0.30000000000000004");
    assert_double(1.0 / 3, "0.3333333333333333");
    assert_double(1e21, "1e+21");
    assert_double(123456789012345680.0, "1.2345678901234568e+17");
    assert_double(DBL_MAX, "1.7976931348623157e+308");
    assert_double(4.9406564584124654e-324, "5e-324");
    assert_double((double)INFINITY, "Infinity");
    assert_double(-(double)INFINITY, "-Infinity");
    assert_double((double)NAN, "NaN");
}

static void attributes_of_every_place_are_walked(void **state)
{
    (void)state;
    uint8_t bytes[214];
    struct span_batch *batch = decode(golden_request(bytes));
    struct attribute attribute;

    struct attribute_iter iter = resource_attributes(batch->resources[0].envelope);
    assert_true(attribute_next(&iter, &attribute));
    assert_text(attribute.key, "service.name");
    assert_text(attribute.value.bytes, "my.service");
    assert_false(attribute_next(&iter, &attribute));

    iter = scope_attributes(batch->scopes[0].envelope);
    assert_true(attribute_next(&iter, &attribute));
    assert_text(attribute.key, "my.scope.attribute");
    assert_false(attribute_next(&iter, &attribute));

    iter = span_attributes(batch->spans[0].raw);
    assert_true(attribute_next(&iter, &attribute));
    assert_text(attribute.key, "my.span.attr");
    assert_text(attribute.value.bytes, "some value");
    assert_false(attribute_next(&iter, &attribute));

    struct scope_detail detail;
    scope_detail_of(batch->scopes[0].envelope, &detail);
    assert_text(detail.name, "my.library");
    assert_text(detail.version, "1.0.0");
    assert_int_equal(detail.schema_url.len, 0);
    span_batch_unref(batch);

    iter = resource_attributes((struct slice){0});
    assert_false(attribute_next(&iter, &attribute));
}

static void an_attribute_without_key_or_value_is_still_one(void **state)
{
    (void)state;
    struct attribute_iter iter = span_attributes(BYTES("\x4a\x00\x4a\x03\x0a\x01k"));
    struct attribute attribute;

    assert_true(attribute_next(&iter, &attribute));
    assert_int_equal(attribute.key.len, 0);
    assert_int_equal(attribute.value.type, ANY_EMPTY);
    assert_true(attribute_next(&iter, &attribute));
    assert_text(attribute.key, "k");
    assert_int_equal(attribute.value.type, ANY_EMPTY);
    assert_false(attribute_next(&iter, &attribute));
}

static void events_and_links_are_walked(void **state)
{
    (void)state;
    struct strbuf span = new_bytes();
    uint8_t id[16] = {9};

    for (int i = 0; i < 2; i++) {
        size_t event = pb_begin(&span, 11);
        pb_put_fixed64(&span, 1, 1000 + (uint64_t)i);
        pb_put_bytes(&span, 2, slice_of("exception"));
        put_text_attribute(&span, 3, slice_of("exception.type"), slice_of("Boom"));
        pb_put_uint(&span, 4, 3);
        pb_end(&span, event);
        size_t link = pb_begin(&span, 13);
        pb_put_bytes(&span, 1, (struct slice){id, 16});
        pb_put_bytes(&span, 2, (struct slice){id, i == 0 ? 8 : 7}); /* the second is damaged */
        pb_put_bytes(&span, 3, slice_of("a=b"));
        put_text_attribute(&span, 4, slice_of("why"), slice_of("batch"));
        pb_end(&span, link);
    }

    size_t at = 0;
    struct span_event event;
    struct attribute attribute;
    struct attribute_iter iter;
    for (int i = 0; i < 2; i++) {
        assert_true(span_event_next(strbuf_slice(&span), &at, &event));
        assert_int_equal(event.time_ns, 1000 + i);
        assert_text(event.name, "exception");
        assert_int_equal(event.dropped_attributes, 3);
        iter = event_attributes(event.message);
        assert_true(attribute_next(&iter, &attribute));
        assert_text(attribute.key, "exception.type");
        assert_false(attribute_next(&iter, &attribute));
    }
    assert_false(span_event_next(strbuf_slice(&span), &at, &event));
    assert_false(span_event_next(strbuf_slice(&span), &at, &event));

    at = 0;
    struct span_link link;
    for (int i = 0; i < 2; i++) {
        assert_true(span_link_next(strbuf_slice(&span), &at, &link));
        assert_int_equal(link.trace_id.bytes[0], 9);
        assert_int_equal(link.span_id.bytes[0], i == 0 ? 9 : 0);
        assert_text(link.trace_state, "a=b");
        iter = link_attributes(link.message);
        assert_true(attribute_next(&iter, &attribute));
        assert_text(attribute.value.bytes, "batch");
    }
    assert_false(span_link_next(strbuf_slice(&span), &at, &link));
    strbuf_deinit(&span);
}

static void details_of_a_span_are_read(void **state)
{
    (void)state;
    struct strbuf span = new_bytes();
    struct span_detail detail;

    span_detail_of((struct slice){0}, &detail);
    assert_false(detail.has_start);
    assert_int_equal(detail.trace_state.len, 0);

    pb_put_bytes(&span, 3, slice_of("vendor=1"));
    pb_put_fixed64(&span, 7, 5);
    pb_put_fixed64(&span, 8, 0);
    pb_put_uint(&span, 10, 1);
    pb_put_uint(&span, 12, 2);
    pb_put_uint(&span, 14, 3);
    pb_put_bytes(&span, 15, BYTES("\x12\x04oops\x18\x02"));
    pb_put_fixed32(&span, 16, 0x101);
    span_detail_of(strbuf_slice(&span), &detail);
    assert_text(detail.trace_state, "vendor=1");
    assert_text(detail.status_message, "oops");
    assert_true(detail.has_start);
    assert_false(detail.has_end);
    assert_int_equal(detail.dropped_attributes, 1);
    assert_int_equal(detail.dropped_events, 2);
    assert_int_equal(detail.dropped_links, 3);
    assert_int_equal(detail.flags, 0x101);
    strbuf_deinit(&span);
}

/* What was not decoded by us, for instance from a damaged file, ends a walk and no more. */
static void malformed_bytes_end_every_walk(void **state)
{
    (void)state;
    uint8_t bytes[214];
    struct slice golden = golden_request(bytes);
    struct slice span = slice_from(golden, golden.len - 107);

    for (size_t len = 0; len < span.len; len++) {
        uint8_t *prefix = malloc(len + (len == 0));
        assert_non_null(prefix);
        memcpy(prefix, span.data, len);
        struct slice cut = {prefix, len};
        struct attribute_iter iter = span_attributes(cut);
        struct attribute attribute;
        struct span_detail detail;
        struct span_event event;
        size_t at = 0;
        assert_false(attribute_next(&iter, &attribute));
        span_detail_of(cut, &detail);
        assert_false(span_event_next(cut, &at, &event));
        free(prefix);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_type_are_read),
        cmocka_unit_test(values_become_json),
        cmocka_unit_test(values_become_text),
        cmocka_unit_test(nesting_beyond_what_is_shown_becomes_null),
        cmocka_unit_test(doubles_take_the_shortest_form_that_reads_back),
        cmocka_unit_test(attributes_of_every_place_are_walked),
        cmocka_unit_test(an_attribute_without_key_or_value_is_still_one),
        cmocka_unit_test(events_and_links_are_walked),
        cmocka_unit_test(details_of_a_span_are_read),
        cmocka_unit_test(malformed_bytes_end_every_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
