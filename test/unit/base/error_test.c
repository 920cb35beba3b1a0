/*
 * error_test.c - messages read from the outside in.
 */
#include "unit.h"

#include <errno.h>
#include <spangate/base/error.h>

static void wrapping_puts_what_we_were_doing_in_front(void **state)
{
    (void)state;
    struct error err = {0};
    assert_false(error_set_errno(&err, ENOSPC, "write header"));
    assert_false(error_wrap(&err, "segment %d", 7));
    assert_string_equal(err.message, "segment 7: write header: No space left on device");
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(err.sys_errno, ENOSPC);
}

static void a_long_message_is_cut_not_overrun(void **state)
{
    (void)state;
    struct error err = {0};
    char text[ERROR_MESSAGE_MAX * 2];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_false(error_set(&err, ERR_INVALID, "%s", text));
    assert_false(error_wrap(&err, "%s", text));
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrapping_puts_what_we_were_doing_in_front),
        cmocka_unit_test(a_long_message_is_cut_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
