/*
 * pb_test.c - walking and writing protobuf wire format.
 */

#include "parts.h"

static enum pb_step walk_all(struct slice bytes, struct error *err)
{
    struct pb_reader reader = pb_over(bytes);
    struct pb_field field;
    enum pb_step step;

    while ((step = pb_next(&reader, &field, err)) == PB_FIELD) {
        assert_true(field.number > 0);
    }
    return step;
}

static void assert_malformed(struct slice bytes, const char *message)
{
    struct error err = {0};

    assert_int_equal(walk_all(bytes, &err), PB_ERROR);
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(err.message, message);
}

static void fields_of_each_wire_type_are_read(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x08, 0x96, 0x01, 0x11, 1,   0,    0, 0, 0, 0, 0,
                                    0x80, 0x1a, 2,    'h',  'i', 0x25, 4, 3, 2, 1};
    struct pb_reader reader = pb_over((struct slice){bytes, sizeof(bytes)});
    struct pb_field field;
    struct error err = {0};

    assert_int_equal(pb_next(&reader, &field, &err), PB_FIELD);
    assert_int_equal(field.number, 1);
    assert_int_equal(field.wire, PB_VARINT);
    assert_int_equal(field.value, 150);
    assert_int_equal(field.whole.len, 3);

    assert_int_equal(pb_next(&reader, &field, &err), PB_FIELD);
    assert_int_equal(field.wire, PB_FIXED64);
    assert_true(field.value == UINT64_C(0x8000000000000001));

    assert_int_equal(pb_next(&reader, &field, &err), PB_FIELD);
    assert_int_equal(field.number, 3);
    assert_text(field.bytes, "hi");
    assert_ptr_equal(field.whole.data, bytes + 12);
    assert_int_equal(field.whole.len, 4);

    assert_int_equal(pb_next(&reader, &field, &err), PB_FIELD);
    assert_int_equal(field.wire, PB_FIXED32);
    assert_int_equal(field.value, 0x01020304);

    assert_int_equal(pb_next(&reader, &field, &err), PB_END);
    assert_int_equal(pb_next(&reader, &field, &err), PB_END);
}

static void an_empty_message_ends_at_once(void **state)
{
    (void)state;
    struct error err = {0};

    assert_int_equal(walk_all((struct slice){0}, &err), PB_END);
    assert_int_equal(err.code, ERR_NONE);
}

static void groups_are_skipped_with_what_is_in_them(void **state)
{
    (void)state;
    /* group 5 { 1: 7, group 6 { 2: "x" } }, then 7: 1 */
    static const uint8_t bytes[] = {0x2b, 0x08, 7, 0x33, 0x12, 1, 'x', 0x34, 0x2c, 0x38, 1};
    struct pb_reader reader = pb_over((struct slice){bytes, sizeof(bytes)});
    struct pb_field field;
    struct error err = {0};

    assert_int_equal(pb_next(&reader, &field, &err), PB_FIELD);
    assert_int_equal(field.number, 7);
    assert_int_equal(pb_next(&reader, &field, &err), PB_END);
}

static void groups_nest_to_a_hundred_levels_and_no_further(void **state)
{
    (void)state;
    uint8_t bytes[2 * 101];
    struct error err = {0};

    for (size_t levels = 100; levels <= 101; levels++) {
        memset(bytes, 0x0b, levels);
        memset(bytes + levels, 0x0c, levels);
        assert_int_equal(walk_all((struct slice){bytes, 2 * levels}, &err),
                         levels == 100 ? PB_END : PB_ERROR);
    }
}

static void malformed_fields_are_refused_and_named(void **state)
{
    (void)state;
    assert_malformed(BYTES("\x00\x01"), "a field number out of range at byte 0");
    assert_malformed(BYTES("\x08\x01\x80"), "a tag that is cut off or too long at byte 2");
    assert_malformed(BYTES("\x08\x01\x0a\x05xy"),
                     "a length that runs past the end of the message at byte 2");
    assert_malformed(BYTES("\x0f"), "an unknown wire type at byte 0");
    assert_malformed(BYTES("\x0e\x01"), "an unknown wire type at byte 0");
    assert_malformed(BYTES("\x0c"), "the end of a group that did not begin at byte 0");
    assert_malformed(BYTES("\x0b\x14"),
                     "a group that does not end, or is nested too deep at byte 0");
    assert_malformed(BYTES("\x0d\x01\x02\x03"), "a fixed-size number that is cut off at byte 0");
    assert_malformed(BYTES("\x80\x80\x80\x80\x80\x01\x01"),
                     "a field number out of range at byte 0");
}

static void varints_take_up_to_ten_bytes(void **state)
{
    (void)state;
    static const uint8_t minus_one[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff,
                                        0xff, 0xff, 0xff, 0xff, 0x01};
    static const uint8_t padded_zero[] = {0x08, 0x80, 0x80, 0x80, 0x00};
    struct pb_reader reader = pb_over((struct slice){minus_one, sizeof(minus_one)});
    struct pb_field field;
    struct error err = {0};

    assert_int_equal(pb_next(&reader, &field, &err), PB_FIELD);
    assert_true(field.value == UINT64_MAX);
    reader = pb_over((struct slice){padded_zero, sizeof(padded_zero)});
    assert_int_equal(pb_next(&reader, &field, &err), PB_FIELD);
    assert_true(field.value == 0);

    assert_malformed(BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
                     "a number that is cut off or longer than 64 bits at byte 0");
    assert_malformed(BYTES("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
                     "a number that is cut off or longer than 64 bits at byte 0");
    assert_malformed(BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                     "a length that runs past the end of the message at byte 0");
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    struct strbuf sb = new_bytes();
    struct pb_field field;
    struct error err = {0};

    pb_put_uint(&sb, 1, UINT64_MAX);
    pb_put_fixed64(&sb, 16, 42);
    pb_put_fixed32(&sb, 536870911, 43);
    size_t begun = pb_begin(&sb, 2);
    pb_put_bytes(&sb, 1, slice_of("inner"));
    pb_end(&sb, begun);

    struct pb_reader reader = pb_over(strbuf_slice(&sb));
    assert_int_equal(pb_next(&reader, &field, &err), PB_FIELD);
    assert_true(field.value == UINT64_MAX);
    assert_int_equal(pb_next(&reader, &field, &err), PB_FIELD);
    assert_int_equal(field.number, 16);
    assert_int_equal(field.value, 42);
    assert_int_equal(pb_next(&reader, &field, &err), PB_FIELD);
    assert_int_equal(field.number, 536870911);
    assert_int_equal(field.value, 43);
    assert_int_equal(pb_next(&reader, &field, &err), PB_FIELD);
    assert_int_equal(field.number, 2);
    assert_int_equal(field.bytes.len, 7);
    assert_int_equal(pb_next(&reader, &field, &err), PB_END);
    strbuf_deinit(&sb);
}

static void writing_past_the_limit_overflows_and_touches_nothing(void **state)
{
    (void)state;

    for (size_t limit = 0; limit < 20; limit++) {
        struct strbuf sb;
        strbuf_init(&sb, limit);
        size_t begun = pb_begin(&sb, 2);
        pb_put_bytes(&sb, 1, slice_of("twelve bytes"));
        pb_end(&sb, begun);
        assert_true(sb.len <= limit);
        assert_true(sb.overflow);
        strbuf_deinit(&sb);
    }
}

/* Each prefix in memory of its own size, so that a read too far is seen. */
static void every_prefix_is_whole_only_between_fields(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x08, 0x96, 0x01, 0x12, 2, 'h', 'i', 0x1d, 1, 2, 3, 4, 0x2b,
                                    0x08, 1,    0x2c, 0x31, 1, 2,   3,   4,    5, 6, 7, 8};
    static const size_t whole[] = {0, 3, 7, 12, 16, 25};

    for (size_t len = 0; len <= sizeof(bytes); len++) {
        struct error err = {0};
        bool expected = false;
        for (size_t i = 0; i < COUNT_OF(whole); i++) {
            expected = expected || whole[i] == len;
        }
        uint8_t *prefix = malloc(len + (len == 0));
        assert_non_null(prefix);
        memcpy(prefix, bytes, len);
        assert_int_equal(walk_all((struct slice){prefix, len}, &err), expected ? PB_END : PB_ERROR);
        free(prefix);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_of_each_wire_type_are_read),
        cmocka_unit_test(an_empty_message_ends_at_once),
        cmocka_unit_test(groups_are_skipped_with_what_is_in_them),
        cmocka_unit_test(groups_nest_to_a_hundred_levels_and_no_further),
        cmocka_unit_test(malformed_fields_are_refused_and_named),
        cmocka_unit_test(varints_take_up_to_ten_bytes),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(writing_past_the_limit_overflows_and_touches_nothing),
        cmocka_unit_test(every_prefix_is_whole_only_between_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
