/*
 * units_test.c - durations as Go writes them, sizes as people do.
 */
#include "unit.h"

#include <spangate/base/text.h>

static void durations_are_read_as_go_does(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {{"0", 0},
                {"300ms", 300000000},
                {"1h15m30.918s", 4530918000000},
                {"-1.5h", -5400000000000},
                {".5s", 500000000},
                {"1.s", 1000000000},
                {"5\xc2\xb5s", 5000},
                {"5\xce\xbcs", 5000},
                {"1us1ns", 1001},
                {"+7m", 420000000000}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t ns = -1;
        struct error err = {0};
        assert_true(duration_parse(slice_of(rows[i].text), &ns, &err));
        assert_int_equal(ns, rows[i].ns);
    }
}

static void bad_durations_say_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {{"5", "missing unit in duration \"5\""},
                {"5x", "unknown unit \"x\" in duration \"5x\""},
                {"", "invalid duration \"\""},
                {"ms", "invalid duration \"ms\""},
                {".s", "invalid duration \".s\""},
                {"9999999999h", "duration \"9999999999h\" is out of range"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t ns;
        struct error err = {0};
        assert_false(duration_parse(slice_of(rows[i].text), &ns, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_string_equal(err.message, rows[i].message);
    }
}

static void formatted_durations_read_back_the_same(void **state)
{
    (void)state;
    static const int64_t values[] = {0,
                                     1,
                                     1500,
                                     200000000,
                                     1000000000,
                                     90000000000,
                                     3600000000000,
                                     4530918000000,
                                     -5400000000000};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        char text[40];
        int64_t back = -1;
        struct error err = {0};
        duration_format(values[i], text, sizeof(text));
        assert_true(duration_parse(slice_of(text), &back, &err));
        assert_int_equal(back, values[i]);
    }
    char text[40];
    duration_format(90000000000, text, sizeof(text));
    assert_string_equal(text, "1m30s");
    duration_format(200000000, text, sizeof(text));
    assert_string_equal(text, "200ms");
}

static void sizes_know_binary_and_decimal_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {{"1024", 1024},         {"64MiB", 67108864}, {"10GB", 10000000000},
                {"1.5GiB", 1610612736}, {"5 kib", 5120},     {"0", 0},
                {"512Mi", 536870912}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t bytes = 1;
        struct error err = {0};
        assert_true(size_parse(slice_of(rows[i].text), &bytes, &err));
        assert_int_equal(bytes, rows[i].bytes);
    }
    uint64_t bytes;
    struct error err = {0};
    assert_false(size_parse(BYTES("5 parsecs"), &bytes, &err));
    assert_false(size_parse(BYTES("MiB"), &bytes, &err));
    assert_false(size_parse(BYTES("99999999999TiB"), &bytes, &err));
    char text[40];
    size_format(67108864, text, sizeof(text));
    assert_string_equal(text, "64MiB");
    size_format(1000, text, sizeof(text));
    assert_string_equal(text, "1000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_as_go_does),
        cmocka_unit_test(bad_durations_say_what_is_wrong),
        cmocka_unit_test(formatted_durations_read_back_the_same),
        cmocka_unit_test(sizes_know_binary_and_decimal_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
