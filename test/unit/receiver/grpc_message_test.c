/*
 * grpc_message_test.c - one message out of bytes cut anywhere, and what is no message.
 */
#include "unit.h"

#include "grpc_message.h"

#include <spangate/base/clock.h>
#include <spangate/base/mem.h>

static void feed(struct grpc_message *message, struct slice bytes, size_t chunk)
{
    while (bytes.len > 0) {
        size_t len = bytes.len < chunk ? bytes.len : chunk;
        grpc_message_feed(message, (struct slice){bytes.data, len});
        bytes = slice_from(bytes, len);
    }
}

static void a_message_is_found_however_it_is_cut(void **state)
{
    (void)state;
    static const char bytes[] = "\0\0\0\0\x0bhello world";

    for (size_t chunk = 1; chunk < sizeof(bytes); chunk++) {
        struct grpc_message message;
        grpc_message_init(&message, 100, NULL);
        feed(&message, BYTES(bytes), chunk);
        assert_true(grpc_message_end(&message));
        assert_false(message.compressed);
        struct buf *body = grpc_message_take(&message);
        assert_int_equal(body->len, 11);
        assert_memory_equal(body->data, "hello world", 11);
        buf_unref(body);
        grpc_message_deinit(&message);
    }
}

static void an_empty_message_has_no_body(void **state)
{
    (void)state;
    struct grpc_message message;

    grpc_message_init(&message, 100, NULL);
    feed(&message, BYTES("\x01\0\0\0\0"), 2);
    assert_true(grpc_message_end(&message));
    assert_true(message.compressed);
    assert_null(grpc_message_take(&message));
}

/* Every prefix but the whole is cut; none of them is a message. */
static void a_message_that_ends_early_is_cut(void **state)
{
    (void)state;
    static const char bytes[] = "\0\0\0\0\x05hello";

    for (size_t len = 0; len < sizeof(bytes) - 1; len++) {
        struct grpc_message message;
        grpc_message_init(&message, 100, NULL);
        grpc_message_feed(&message, (struct slice){(const uint8_t *)bytes, len});
        assert_false(grpc_message_end(&message));
        assert_int_equal(message.fault, len == 0 ? GRPC_FAULT_EMPTY : GRPC_FAULT_CUT);
        assert_null(message.body);
    }
}

static void anything_after_the_message_is_a_fault(void **state)
{
    (void)state;
    static const struct slice bytes[] = {
        {(const uint8_t *)"\0\0\0\0\x01xy", 7},
        {(const uint8_t *)"\0\0\0\0\x01x\0\0\0\0\0", 11},
        {(const uint8_t *)"\0\0\0\0\0\0\0\0\0\0", 10},
    };

    for (size_t i = 0; i < COUNT_OF(bytes); i++) {
        for (size_t chunk = 1; chunk <= bytes[i].len; chunk++) {
            struct grpc_message message;
            grpc_message_init(&message, 100, NULL);
            feed(&message, bytes[i], chunk);
            assert_false(grpc_message_end(&message));
            assert_int_equal(message.fault, GRPC_FAULT_SECOND);
        }
    }
}

static void the_length_is_checked_before_the_bytes_come(void **state)
{
    (void)state;
    struct grpc_message message;

    grpc_message_init(&message, 5, NULL);
    grpc_message_feed(&message, BYTES("\0\0\0\0\x06"));
    assert_int_equal(message.fault, GRPC_FAULT_TOO_LARGE);
    assert_int_equal(message.length, 6);

    grpc_message_init(&message, 5, NULL);
    grpc_message_feed(&message, BYTES("\0\0\0\0\x05"));
    assert_int_equal(message.fault, GRPC_FAULT_NONE);
}

static void flags_other_than_0_and_1_are_faults(void **state)
{
    (void)state;
    for (int flag = 2; flag < 256; flag++) {
        const uint8_t head[] = {(uint8_t)flag, 0, 0, 0, 0};
        struct grpc_message message;
        grpc_message_init(&message, 5, NULL);
        grpc_message_feed(&message, (struct slice){head, sizeof(head)});
        assert_int_equal(message.fault, GRPC_FAULT_FLAG);
    }
}

static void memory_is_taken_as_bytes_come_and_not_as_announced(void **state)
{
    (void)state;
    struct budget budget;
    struct grpc_message message;
    enum { LEN = 1 << 20 };
    uint8_t *body = mem_zalloc(1, LEN);

    budget_init(&budget, 64 << 20, NULL);
    grpc_message_init(&message, 64 << 20, &budget);
    grpc_message_feed(&message, BYTES("\0\x02\0\0\0")); /* 32 MiB */
    assert_int_equal(budget_used(&budget), 0);
    grpc_message_feed(&message, (struct slice){body, 1});
    assert_true(budget_used(&budget) <= 256 * 1024);
    grpc_message_feed(&message, (struct slice){body, LEN});
    assert_true(budget_used(&budget) <= 2 * (LEN + 1));
    grpc_message_deinit(&message);
    assert_int_equal(budget_used(&budget), 0);
    free(body);
}

static void a_short_message_takes_what_it_needs(void **state)
{
    (void)state;
    struct budget budget;
    struct grpc_message message;

    budget_init(&budget, 64 << 20, NULL);
    grpc_message_init(&message, 64 << 20, &budget);
    grpc_message_feed(&message, BYTES("\0\0\0\0\x05he"));
    assert_int_equal(budget_used(&budget), 5);
    grpc_message_feed(&message, BYTES("llo"));
    assert_true(grpc_message_end(&message));
    grpc_message_deinit(&message);
}

static void without_budget_the_rest_is_ignored(void **state)
{
    (void)state;
    struct budget budget;
    struct grpc_message message;

    budget_init(&budget, 4, NULL);
    grpc_message_init(&message, 100, &budget);
    feed(&message, BYTES("\0\0\0\0\x05hello and more"), 3);
    assert_int_equal(message.fault, GRPC_FAULT_BUDGET);
    assert_false(grpc_message_end(&message));
    assert_int_equal(message.fault, GRPC_FAULT_BUDGET);
    assert_int_equal(budget_used(&budget), 0);
}

static void timeouts_have_a_number_and_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        {"1H", 3600 * NS_PER_S},
        {"2M", 120 * NS_PER_S},
        {"10S", 10 * NS_PER_S},
        {"250m", 250 * NS_PER_MS},
        {"7u", 7000},
        {"0n", 0},
        {"99999999n", 99999999},
        {"99999999H", UINT64_MAX},
    };
    static const char *const bad[] = {"",     "S",   "10",  "10s",        "-1S",
                                      "1.5S", " 1S", "1S ", "123456789S", "1 S"};

    for (size_t i = 0; i < COUNT_OF(good); i++) {
        uint64_t ns = 1;
        assert_true(grpc_timeout_parse(slice_of(good[i].text), &ns));
        assert_true(ns == good[i].ns);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        uint64_t ns;
        assert_false(grpc_timeout_parse(slice_of(bad[i]), &ns));
    }
}

static void content_types_of_grpc_are_known(void **state)
{
    (void)state;
    static const char *const good[] = {
        "application/grpc", "application/grpc+proto",      "application/grpc;charset=utf-8",
        "Application/GRPC", "application/grpc+proto; a=b", "application/grpc ; a=b"};
    static const char *const bad[] = {"",
                                      "application/grp",
                                      "application/grpc+json",
                                      "application/grpc-web",
                                      "application/grpc-web+proto",
                                      "application/grpcx",
                                      "application/json",
                                      "application/grpc+protobuf"};

    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(grpc_content_type_is_ours(slice_of(good[i])));
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(grpc_content_type_is_ours(slice_of(bad[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_found_however_it_is_cut),
        cmocka_unit_test(an_empty_message_has_no_body),
        cmocka_unit_test(a_message_that_ends_early_is_cut),
        cmocka_unit_test(anything_after_the_message_is_a_fault),
        cmocka_unit_test(the_length_is_checked_before_the_bytes_come),
        cmocka_unit_test(flags_other_than_0_and_1_are_faults),
        cmocka_unit_test(memory_is_taken_as_bytes_come_and_not_as_announced),
        cmocka_unit_test(a_short_message_takes_what_it_needs),
        cmocka_unit_test(without_budget_the_rest_is_ignored),
        cmocka_unit_test(timeouts_have_a_number_and_a_unit),
        cmocka_unit_test(content_types_of_grpc_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
