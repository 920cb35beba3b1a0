/*
 * auth_test.c - which credentials are accepted, what is said about others, and files that change.
 */
#include "unit.h"

#include "temp_folder.h"

#include <spangate/auth/auth.h>
#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/base/strbuf.h>
#include <spangate/base/text.h>
#include <spangate/base/thread.h>
#include <stdio.h>
#include <unistd.h>

/* "hunter2", bcrypt of cost 5. */
#define BCRYPT "$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8."
/* SHA-256 of "secret". */
#define HASHED "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"

struct given {
    const char *name, *value;
};

static bool header(void *ctx, const char *name, struct slice *value)
{
    const struct given *given = ctx;

    if (given->name == NULL || strcasecmp(name, given->name) != 0) {
        return false;
    }
    *value = slice_of(given->value);
    return true;
}

static struct auth *open_auth(const struct auth_settings *settings)
{
    struct auth *auth = NULL;
    struct error err = {0};

    if (!auth_new(&auth, settings, &err)) {
        fail_msg("%s", err.message);
    }
    return auth;
}

static enum error_code check(struct auth *auth, const char *name, const char *value)
{
    struct given given = {name, value};
    struct error err = {0};

    bool ok = auth_check(auth, header, &given, &err);
    assert_int_equal(ok, err.code == ERR_NONE);
    if (!ok && value != NULL && value[0] != '\0') {
        assert_null(strstr(err.message, value));
    }
    return err.code;
}

static enum error_code sign_in(struct auth *auth, const char *user, const char *password)
{
    struct strbuf encoded;
    char *plain = mem_printf("%s:%s", user, password);

    strbuf_init(&encoded, 4096);
    strbuf_append_text(&encoded, "Basic ");
    base64_encode(slice_of(plain), &encoded);
    enum error_code code = check(auth, "Authorization", encoded.data);
    strbuf_deinit(&encoded);
    free(plain);
    return code;
}

static char id[] = "a/1";
static char authorization[] = "Authorization";
static char bearer[] = "Bearer";
static char no_scheme[] = "";
static char key_header[] = "X-Api-Key";

static void tokens_are_accepted_as_they_are_and_as_digests(void **state)
{
    static char one[] = "one", spaces[] = "two words", hashed[] = HASHED;
    char *tokens[] = {one, spaces, hashed};
    struct auth_settings settings = {.kind = AUTH_BEARER,
                                     .id = id,
                                     .header = authorization,
                                     .scheme = bearer,
                                     .secrets = tokens,
                                     .secret_count = 3};
    static const char *const good[] = {"Bearer one", "bearer one", "BEARER  one ",
                                       "Bearer two words", "Bearer secret"};
    static const char *const bad[] = {"",           "one",        "Bearer",         "Bearer ",
                                      "Bearerone",  "Basic one",  "Bearer on",      "Bearer onee",
                                      "Bearer One", "Bearer two", "Bearer " HASHED, "x"};
    (void)state;
    struct auth *auth = open_auth(&settings);

    assert_string_equal(auth_challenge(auth), "Bearer");
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_int_equal(check(auth, "authorization", good[i]), ERR_NONE);
        assert_int_equal(check(auth, "x-api-key", good[i]), ERR_UNAUTHENTICATED);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(check(auth, "authorization", bad[i]), ERR_UNAUTHENTICATED);
    }
    assert_int_equal(check(auth, NULL, NULL), ERR_UNAUTHENTICATED);
    auth_free(auth);
}

static void a_bearer_may_have_another_header_and_no_scheme(void **state)
{
    static char one[] = "one";
    char *tokens[] = {one};
    struct auth_settings settings = {.kind = AUTH_BEARER,
                                     .id = id,
                                     .header = key_header,
                                     .scheme = no_scheme,
                                     .secrets = tokens,
                                     .secret_count = 1};
    (void)state;
    struct auth *auth = open_auth(&settings);

    assert_int_equal(check(auth, "x-api-key", "one"), ERR_NONE);
    assert_int_equal(check(auth, "x-api-key", "Bearer one"), ERR_UNAUTHENTICATED);
    assert_int_equal(check(auth, "authorization", "one"), ERR_UNAUTHENTICATED);
    assert_string_equal(auth_challenge(auth), "Bearer");
    auth_free(auth);
}

static void keys_stand_in_their_own_header(void **state)
{
    static char one[] = "one";
    char *keys[] = {one};
    struct auth_settings settings = {
        .kind = AUTH_API_KEY, .id = id, .header = key_header, .secrets = keys, .secret_count = 1};
    (void)state;
    struct auth *auth = open_auth(&settings);

    assert_string_equal(auth_challenge(auth), "ApiKey header=\"X-Api-Key\"");
    assert_int_equal(check(auth, "x-api-key", "one"), ERR_NONE);
    assert_int_equal(check(auth, "x-api-key", "two"), ERR_UNAUTHENTICATED);
    auth_free(auth);
}

static struct auth_settings users(char **lines)
{
    return (struct auth_settings){
        .kind = AUTH_BASIC, .id = id, .secrets = lines, .secret_count = 1};
}

static void users_sign_in_with_their_password(void **state)
{
    static char text[] = "plain:a b\nsha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nslow:" BCRYPT "\n";
    char *lines[] = {text};
    struct auth_settings settings = users(lines);
    (void)state;
    struct auth *auth = open_auth(&settings);

    assert_string_equal(auth_challenge(auth), "Basic realm=\"spangate\", charset=\"UTF-8\"");
    for (int again = 0; again < 2; again++) {
        assert_int_equal(sign_in(auth, "plain", "a b"), ERR_NONE);
        assert_int_equal(sign_in(auth, "sha", "secret"), ERR_NONE);
        assert_int_equal(sign_in(auth, "slow", "hunter2"), ERR_NONE);
        assert_int_equal(sign_in(auth, "plain", "a"), ERR_UNAUTHENTICATED);
        assert_int_equal(sign_in(auth, "sha", "Secret"), ERR_UNAUTHENTICATED);
        assert_int_equal(sign_in(auth, "slow", "hunter3"), ERR_UNAUTHENTICATED);
        assert_int_equal(sign_in(auth, "slow", BCRYPT), ERR_UNAUTHENTICATED);
        assert_int_equal(sign_in(auth, "nobody", "a b"), ERR_UNAUTHENTICATED);
    }
    static const char *const bad[] = {"Basic",
                                      "Basic ",
                                      "Basic %",
                                      "Basic cGxhaW4=",
                                      "Basic cGxhaW4AOmEgYg==",
                                      "Bearer cGxhaW46YSBi"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(check(auth, "authorization", bad[i]), ERR_UNAUTHENTICATED);
    }
    auth_free(auth);
}

static void only_so_many_passwords_are_tried_and_who_is_known_is_not_held_up(void **state)
{
    static char text[] = "slow:" BCRYPT "\nquick:a";
    char *lines[] = {text};
    struct auth_settings settings = users(lines);
    size_t refused = 0;
    size_t wrong = 0;
    (void)state;
    struct auth *auth = open_auth(&settings);

    assert_int_equal(sign_in(auth, "slow", "hunter2"), ERR_NONE);
    while (refused == 0) {
        enum error_code code = sign_in(auth, "slow", "guess");
        refused += code == ERR_LIMIT;
        wrong += code == ERR_UNAUTHENTICATED;
        assert_true(code == ERR_LIMIT || code == ERR_UNAUTHENTICATED);
    }
    assert_true(wrong >= 15);
    assert_int_equal(sign_in(auth, "slow", "hunter2"), ERR_NONE);
    assert_int_equal(sign_in(auth, "quick", "a"), ERR_NONE);
    assert_int_equal(sign_in(auth, "quick", "b"), ERR_UNAUTHENTICATED);
    auth_free(auth);
}

static void refused(const struct auth_settings *settings, const char *message)
{
    struct auth *auth = NULL;
    struct error err = {0};

    assert_false(auth_new(&auth, settings, &err));
    assert_null(auth);
    assert_string_equal(err.message, message);
}

static void what_could_let_nobody_in_is_an_error(void **state)
{
    static char broken[] = "sha256:12", empty[] = " ", comments[] = "# nobody\n\n";
    char *one[] = {broken};
    struct auth_settings settings = {
        .kind = AUTH_BEARER, .id = id, .header = authorization, .scheme = bearer, .secrets = one};
    (void)state;

    refused(&settings, "authenticator a/1: nothing in it could be accepted");
    settings.secret_count = 1;
    refused(&settings, "authenticator a/1: sha256: needs 64 hexadecimal digits after it");
    one[0] = empty;
    refused(&settings, "authenticator a/1: a token is empty");
    one[0] = comments;
    settings.kind = AUTH_BASIC;
    refused(&settings, "authenticator a/1: nothing in it could be accepted");
    auth_free(NULL);
}

/* --- files --- */

static void put(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, strlen(text), out), strlen(text));
    assert_int_equal(fclose(out), 0);
}

/* Until the look at the file that comes once a second. */
static void wait_for(struct auth *auth, const char *value, enum error_code expected)
{
    uint64_t end_ns = clock_monotonic(&clock_system) + 30 * NS_PER_S;

    while (check(auth, "authorization", value) != expected) {
        assert_true(clock_monotonic(&clock_system) < end_ns);
    }
}

static void a_file_is_read_again_when_it_changes(void **state)
{
    char *path = mem_printf("%s/tokens", (const char *)*state);
    struct auth_settings settings = {
        .kind = AUTH_BEARER, .id = id, .header = authorization, .scheme = bearer, .file = path};
    struct error err = {0};
    struct auth *auth = NULL;

    assert_false(auth_new(&auth, &settings, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    put(path, "# tokens\n\n  one \r\n" HASHED "\n");
    auth = open_auth(&settings);
    assert_int_equal(check(auth, "authorization", "Bearer one"), ERR_NONE);
    assert_int_equal(check(auth, "authorization", "Bearer secret"), ERR_NONE);
    assert_int_equal(check(auth, "authorization", "Bearer # tokens"), ERR_UNAUTHENTICATED);

    put(path, "two");
    wait_for(auth, "Bearer two", ERR_NONE);
    assert_int_equal(check(auth, "authorization", "Bearer one"), ERR_UNAUTHENTICATED);

    put(path, ""); /* nobody means nobody */
    wait_for(auth, "Bearer two", ERR_UNAUTHENTICATED);
    auth_free(auth);
    free(path);
}

/* --- threads --- */

static void hammer(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(check(arg, "authorization", "Bearer one"), ERR_NONE);
        assert_int_equal(check(arg, "authorization", "Bearer two"), ERR_UNAUTHENTICATED);
    }
}

static void several_threads_may_ask(void **state)
{
    static char one[] = "one";
    char *tokens[] = {one};
    struct auth_settings settings = {.kind = AUTH_BEARER,
                                     .id = id,
                                     .header = authorization,
                                     .scheme = bearer,
                                     .secrets = tokens,
                                     .secret_count = 1};
    struct thread threads[4] = {{0}};
    (void)state;
    struct auth *auth = open_auth(&settings);

    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        thread_start(&threads[i], "asks", hammer, auth);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        thread_join(&threads[i]);
    }
    auth_free(auth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_accepted_as_they_are_and_as_digests),
        cmocka_unit_test(a_bearer_may_have_another_header_and_no_scheme),
        cmocka_unit_test(keys_stand_in_their_own_header),
        cmocka_unit_test(users_sign_in_with_their_password),
        cmocka_unit_test(only_so_many_passwords_are_tried_and_who_is_known_is_not_held_up),
        cmocka_unit_test(what_could_let_nobody_in_is_an_error),
        temp_folder_test(a_file_is_read_again_when_it_changes),
        cmocka_unit_test(several_threads_may_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
