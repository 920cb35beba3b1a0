/*
 * check_test.c - frame and item count of requests that pass through.
 */

#include "parts.h"

static bool check(enum otlp_signal signal, struct slice body, size_t *items, struct error *err)
{
    *err = (struct error){0};
    return otlp_check(signal, body, &otlp_limits_default, items, err);
}

/* request > 1 > 2 > items of field 2, twice. */
static void put_items(struct strbuf *out, struct slice item, size_t count)
{
    for (int i = 0; i < 2; i++) {
        size_t resource = pb_begin(out, 1);
        pb_put_bytes(out, 1, BYTES("\x0a\x05whatever is in it"));
        size_t scope = pb_begin(out, 2);
        for (size_t n = 0; n < count; n++) {
            pb_put_bytes(out, 2, item);
        }
        pb_put_bytes(out, 3, slice_of("schema"));
        pb_end(out, scope);
        pb_end(out, resource);
    }
}

static void log_records_and_spans_are_counted(void **state)
{
    (void)state;
    struct strbuf body = new_bytes();
    struct error err;
    size_t items = 99;

    assert_true(check(OTLP_LOGS, (struct slice){0}, &items, &err));
    assert_int_equal(items, 0);
    put_items(&body, BYTES("\x10\x09"), 3);
    assert_true(check(OTLP_LOGS, strbuf_slice(&body), &items, &err));
    assert_int_equal(items, 6);
    assert_true(check(OTLP_TRACES, strbuf_slice(&body), &items, &err));
    assert_int_equal(items, 6);
    strbuf_deinit(&body);
}

static void points_of_every_kind_of_metric_are_counted(void **state)
{
    (void)state;
    static const uint32_t kinds[] = {5, 7, 9, 10, 11};
    struct strbuf body = new_bytes();
    struct error err;
    size_t items = 0;

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct strbuf metric = new_bytes();
        pb_put_bytes(&metric, 1, slice_of("name"));
        size_t data = pb_begin(&metric, kinds[i]);
        pb_put_bytes(&metric, 1, (struct slice){0});
        pb_put_bytes(&metric, 1, BYTES("\x40\x01"));
        pb_put_uint(&metric, 2, 1);
        pb_end(&metric, data);
        put_items(&body, strbuf_slice(&metric), 1);
        strbuf_deinit(&metric);
    }
    assert_true(check(OTLP_METRICS, strbuf_slice(&body), &items, &err));
    assert_int_equal(items, 2 * 2 * 5);
    strbuf_deinit(&body);
}

static void malformed_frames_are_refused(void **state)
{
    (void)state;
    struct error err;
    size_t items;

    assert_false(check(OTLP_LOGS, BYTES("hello"), &items, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(check(OTLP_LOGS, BYTES("\x0a\x02\x10\x01"), &items, &err));
    assert_string_equal(err.message, "field 2 at byte 2 has another wire type");
    assert_false(check(OTLP_METRICS, BYTES("\x0a\x06\x12\x04\x12\x02\x2a\x05"), &items, &err));
    assert_string_equal(err.message, "a length that runs past the end of the message at byte 6");
}

static void every_prefix_is_refused_or_counts_less(void **state)
{
    (void)state;
    struct strbuf body = new_bytes();
    struct error err;
    size_t items;

    put_items(&body, BYTES("\x10\x09"), 2);
    for (size_t len = 0; len < body.len; len++) {
        uint8_t *prefix = malloc(len + (len == 0));
        assert_non_null(prefix);
        memcpy(prefix, body.data, len);
        bool ok = check(OTLP_LOGS, (struct slice){prefix, len}, &items, &err);
        assert_int_equal(ok, len == 0 || len == body.len / 2);
        assert_int_equal(err.code, ok ? ERR_NONE : ERR_INVALID);
        free(prefix);
    }
    strbuf_deinit(&body);
}

static void a_body_over_the_limit_is_too_large(void **state)
{
    (void)state;
    struct otlp_limits limits = otlp_limits_default;
    struct error err = {0};
    size_t items;

    limits.body_bytes_max = 1;
    assert_false(otlp_check(OTLP_LOGS, BYTES("\x0a\x00"), &limits, &items, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_records_and_spans_are_counted),
        cmocka_unit_test(points_of_every_kind_of_metric_are_counted),
        cmocka_unit_test(malformed_frames_are_refused),
        cmocka_unit_test(every_prefix_is_refused_or_counts_less),
        cmocka_unit_test(a_body_over_the_limit_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
