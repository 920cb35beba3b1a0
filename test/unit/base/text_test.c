/*
 * text_test.c - hex, base64, UTF-8 and JSON strings.
 */
#include "unit.h"

#include <spangate/base/text.h>

static void hex_reads_both_cases_and_writes_lower(void **state)
{
    (void)state;
    uint8_t bytes[3];
    char text[7];
    assert_true(hex_decode(BYTES("AbCd09"), bytes, 3));
    hex_encode(bytes, 3, text);
    assert_string_equal(text, "abcd09");
}

static void hex_of_another_length_or_letter_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[3];
    assert_false(hex_decode(BYTES("abcd0"), bytes, 3));
    assert_false(hex_decode(BYTES("abcd099"), bytes, 3));
    assert_false(hex_decode(BYTES("abcg09"), bytes, 3));
    assert_false(hex_decode(BYTES("abc 09"), bytes, 3));
}

static void base64_follows_the_vectors_of_rfc_4648(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *coded;
    } rows[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf out;
        strbuf_init(&out, 100);
        base64_encode(slice_of(rows[i].plain), &out);
        assert_true(slice_equal_text(strbuf_slice(&out), rows[i].coded));
        strbuf_clear(&out);
        assert_true(base64_decode(slice_of(rows[i].coded), &out));
        assert_true(slice_equal_text(strbuf_slice(&out), rows[i].plain));
        strbuf_deinit(&out);
    }
}

static void base64_takes_the_url_alphabet_and_no_padding(void **state)
{
    (void)state;
    struct strbuf out;
    strbuf_init(&out, 100);
    assert_true(base64_decode(BYTES("-_8"), &out));
    assert_int_equal(out.len, 2);
    assert_int_equal((uint8_t)out.data[0], 0xfb);
    assert_false(base64_decode(BYTES("A"), &out));
    assert_false(base64_decode(BYTES("AB="), &out));
    assert_false(base64_decode(BYTES("A*BC"), &out));
    strbuf_deinit(&out);
}

static void utf8_refuses_overlong_surrogate_and_out_of_range(void **state)
{
    (void)state;
    const struct slice good[] = {BYTES(""),
                                 BYTES("ascii text longer than eight"),
                                 BYTES("h\xc3\xa9"),
                                 BYTES("\xe2\x82\xac"),
                                 BYTES("\xf0\x9f\x98\x80"),
                                 BYTES("\xf4\x8f\xbf\xbf"),
                                 BYTES("a\0b")};
    const struct slice bad[] = {BYTES("\xc0\x80"),         BYTES("\xed\xa0\x80"),
                                BYTES("\xf4\x90\x80\x80"), BYTES("\xe2\x82"),
                                BYTES("12345678\xff"),     BYTES("\x80"),
                                BYTES("\xe0\x9f\xbf"),     BYTES("\xf8\x88\x80\x80\x80")};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(utf8_is_valid(good[i]));
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(utf8_is_valid(bad[i]));
    }
}

static void sanitizing_replaces_each_bad_byte_and_keeps_the_rest(void **state)
{
    (void)state;
    struct strbuf out;
    strbuf_init(&out, 100);
    utf8_sanitize(BYTES("a\xff\xc3\xa9\xe2\x82z"), &out);
    assert_string_equal(out.data, "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbdz");
    assert_true(utf8_is_valid(strbuf_slice(&out)));
    strbuf_deinit(&out);
}

static void json_strings_are_safe_in_a_page(void **state)
{
    (void)state;
    struct strbuf out;
    strbuf_init(&out, 200);
    json_put_string(&out, BYTES("q\" b\\ n\n t\t nul\0 <s> \xe2\x80\xa8 \xc3\xa9 \xff"));
    assert_string_equal(out.data, "\"q\\\" b\\\\ n\\n t\\t nul\\u0000 \\u003cs> \\u2028 \xc3\xa9 "
                                  "\xef\xbf\xbd\"");
    strbuf_deinit(&out);
}

static void distance_counts_edits(void **state)
{
    (void)state;
    assert_int_equal(text_distance("endpoint", "endpoint"), 0);
    assert_int_equal(text_distance("endpiont", "endpoint"), 2);
    assert_int_equal(text_distance("", "abc"), 3);
    assert_int_equal(text_distance("retention", "retetion"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_reads_both_cases_and_writes_lower),
        cmocka_unit_test(hex_of_another_length_or_letter_is_refused),
        cmocka_unit_test(base64_follows_the_vectors_of_rfc_4648),
        cmocka_unit_test(base64_takes_the_url_alphabet_and_no_padding),
        cmocka_unit_test(utf8_refuses_overlong_surrogate_and_out_of_range),
        cmocka_unit_test(sanitizing_replaces_each_bad_byte_and_keeps_the_rest),
        cmocka_unit_test(json_strings_are_safe_in_a_page),
        cmocka_unit_test(distance_counts_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
