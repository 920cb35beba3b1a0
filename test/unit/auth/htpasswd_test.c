/*
 * htpasswd_test.c - lines of htpasswd(1): which are taken, and why others are not.
 */
#include "unit.h"

#include "htpasswd.h"

#define BCRYPT_HASH "abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8."

static void taken(const char *text, size_t count)
{
    struct htpasswd table = {0};
    struct error err = {0};

    if (!htpasswd_add(&table, slice_of(text), &err)) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(table.count, count);
    htpasswd_deinit(&table);
    assert_int_equal(table.count, 0);
}

static void lines_of_every_form_are_taken(void **state)
{
    (void)state;
    taken("", 0);
    taken("\n\r\n# a:b\n", 0);
    taken("a:b", 1);
    taken("a:b\nc:d\r\ne:f:more\n", 3);
    taken("a:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", 1);
    taken("a:$2y$05$" BCRYPT_HASH "\nb:$2a$04$" BCRYPT_HASH "\nc:$2b$12$" BCRYPT_HASH, 3);
    taken("a:$1$abc$iCQ2D3nhptRYi27fDYv2s1", 1);
    taken("a:$6$abc$IdWKNKTJEb8LxY7CGg8YBXlvtfZzFw7Mp/"
          "r6niK9YB2mdvgY..TKjv1T..8RadRt2qvUHYRLr/TsVArtr91iR1",
          1);
    taken("a:$5$rounds=100000$abc$x", 1);
}

static void what_cannot_be_checked_is_refused_with_the_number_of_its_line(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"a", "line 1 has no user:password"},
        {"a:b\n\n:c", "line 3 has no user:password"},
        {"a:", "line 1 has no password"},
        {"a:{SHA}", "line 1 has a {SHA} password that is not base64 of 20 bytes"},
        {"a:{SHA}!", "line 1 has a {SHA} password that is not base64 of 20 bytes"},
        {"a:{SSHA}abc",
         "line 1 has a form of password that is not supported: use bcrypt (htpasswd -B)"},
        {"a:$apr1$abc$def",
         "line 1 has a form of password that is not supported: use bcrypt (htpasswd -B)"},
        {"a:$2y$05$short", "line 1 has a bcrypt hash that is not whole"},
        {"a:$2y$", "line 1 has a bcrypt hash that is not whole"},
        {"a:$2y$13$" BCRYPT_HASH,
         "line 1 has a bcrypt hash that takes too long to check: use cost 12 or less"},
        {"a:$6$rounds=100001$abc$x",
         "line 1 has a hash that takes too long to check: use at most 100000 rounds"},
        {"a:$2y$99$" BCRYPT_HASH,
         "line 1 has a bcrypt hash that takes too long to check: use cost 12 or less"},
        {"a:$2y$00$" BCRYPT_HASH, "line 1 has a bcrypt hash that is not whole"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct htpasswd table = {0};
        struct error err = {0};
        assert_false(htpasswd_add(&table, slice_of(rows[i].text), &err));
        assert_string_equal(err.message, rows[i].message);
        assert_int_equal(err.code, ERR_INVALID);
        htpasswd_deinit(&table);
    }
}

static void the_first_line_of_a_user_counts(void **state)
{
    struct htpasswd table = {0};
    struct error err = {0};
    (void)state;

    assert_true(htpasswd_add(&table, slice_of("a:one\na:two\n"), &err));
    const struct htpasswd_user *user = htpasswd_find(&table, slice_of("a"));
    assert_non_null(user);
    assert_true(htpasswd_check(user, "one"));
    assert_false(htpasswd_check(user, "two"));
    assert_null(htpasswd_find(&table, slice_of("")));
    assert_null(htpasswd_find(&table, slice_of("aa")));
    htpasswd_deinit(&table);
}

/* Memory of exactly the size of the text, so that a read one byte too far is seen. */
static void every_prefix_is_taken_or_refused_without_reading_further(void **state)
{
    static const char text[] =
        "a:b\nc:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nd:$2y$05$" BCRYPT_HASH "\ne:$6$rounds=5$x$y\n";
    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        struct htpasswd table = {0};
        struct error err = {0};
        uint8_t *copy = malloc(len > 0 ? len : 1);
        assert_non_null(copy);
        memcpy(copy, text, len);
        bool ok = htpasswd_add(&table, (struct slice){copy, len}, &err);
        assert_int_equal(ok, err.code == ERR_NONE);
        free(copy);
        htpasswd_deinit(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_every_form_are_taken),
        cmocka_unit_test(what_cannot_be_checked_is_refused_with_the_number_of_its_line),
        cmocka_unit_test(the_first_line_of_a_user_counts),
        cmocka_unit_test(every_prefix_is_taken_or_refused_without_reading_further),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
