/*
 * server_test.c - who may ask the query port, with which methods, and what every answer carries.
 */
#include "fake_pipeline.h"

#include <spangate/base/thread.h>

static int ask_status(uint16_t port, const char *request)
{
    struct answer answer = client_ask(port, request);
    int status = answer.status;

    answer_free(&answer);
    return status;
}

static int host_status(struct query_fixture *f, const char *host)
{
    char request[512];

    (void)snprintf(request, sizeof(request), "GET /api/services HTTP/1.1\r\nHost: %s\r\n\r\n",
                   host);
    return ask_status(query_port(f->query), request);
}

static void expect_hosts(const char *endpoint, const char *const *allowed, size_t allowed_count,
                         const char *const *good, size_t good_count, const char *const *bad,
                         size_t bad_count)
{
    struct query_fixture f = {0};

    query_fixture_open(&f, endpoint, allowed, allowed_count);
    for (size_t i = 0; i < good_count; i++) {
        if (host_status(&f, good[i]) != 200) {
            fail_msg("%s is refused at %s", good[i], endpoint);
        }
    }
    for (size_t i = 0; i < bad_count; i++) {
        if (host_status(&f, bad[i]) != 421) {
            fail_msg("%s is served at %s", bad[i], endpoint);
        }
    }
    query_close(f.query);
}

static void names_that_are_not_ours_are_refused(void **state)
{
    (void)state;
    static const char *const good[] = {"localhost",   "LOCALHOST:16686", "localhost.", "127.0.0.1",
                                       "127.0.0.1:1", "[::1]",           "[::1]:16686"};
    static const char *const bad[] = {"evil.example",
                                      "localhost.evil.example",
                                      "127.0.0.1.evil.example",
                                      "127.0.0.2",
                                      "192.168.1.5",
                                      "[::2]",
                                      "[::1",
                                      "",
                                      ":80"};

    expect_hosts("127.0.0.1:0", NULL, 0, good, COUNT_OF(good), bad, COUNT_OF(bad));
}

static void configured_names_are_served(void **state)
{
    (void)state;
    static const char *const allowed[] = {"Traces.Example", "grafana.example:16686",
                                          "[2001:db8::1]"};
    static const char *const good[] = {"traces.example", "traces.example:16686",
                                       "grafana.example:80", "localhost", "[2001:DB8::1]:1"};
    static const char *const bad[] = {"example", "a.traces.example"};

    expect_hosts("127.0.0.1:0", allowed, COUNT_OF(allowed), good, COUNT_OF(good), bad,
                 COUNT_OF(bad));
}

static void an_open_endpoint_serves_every_address_but_no_other_name(void **state)
{
    (void)state;
    static const char *const good[] = {"192.168.1.5:16686", "[2001:db8::1]", "localhost"};
    static const char *const bad[] = {"evil.example", "1.2.3"};

    expect_hosts("0.0.0.0:0", NULL, 0, good, COUNT_OF(good), bad, COUNT_OF(bad));
}

static void the_authority_of_the_target_counts_more_than_host(void **state)
{
    struct query_fixture *f = *state;

    assert_int_equal(
        ask_status(query_port(f->query),
                   "GET http://evil.example/api/services HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        421);
    assert_int_equal(
        ask_status(query_port(f->query),
                   "GET http://localhost/api/services HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        200);
    assert_int_equal(ask_status(query_port(f->query), "GET /api/services HTTP/1.0\r\n\r\n"), 200);
}

static void other_methods_are_told_the_right_one(void **state)
{
    struct query_fixture *f = *state;
    static const struct {
        const char *method, *path, *allow;
    } rows[] = {
        {"POST", "/api/services", "GET, HEAD"},       {"DELETE", "/api/traces/abc", "GET, HEAD"},
        {"PUT", "/api/v1/traces/abc", "GET, HEAD"},   {"OPTIONS", "/api/v1/status", "GET, HEAD"},
        {"GET", "/api/v1/traces/abc/finish", "POST"}, {"POST", "/", "GET, HEAD"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char request[256];
        (void)snprintf(request, sizeof(request),
                       "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
                       rows[i].method, rows[i].path);
        struct answer answer = client_ask(query_port(f->query), request);
        assert_int_equal(answer.status, 405);
        assert_string_equal(answer_header(&answer, "Allow"), rows[i].allow);
        answer_free(&answer);
    }
}

static void head_is_get_without_the_body(void **state)
{
    struct query_fixture *f = *state;
    struct answer answer =
        client_ask(query_port(f->query), "HEAD /api/services HTTP/1.1\r\nHost: localhost\r\n\r\n");

    assert_int_equal(answer.status, 200);
    assert_string_equal(answer_header(&answer, "Content-Length"), "56");
    answer_free(&answer);
}

static void unknown_paths_are_not_found(void **state)
{
    struct query_fixture *f = *state;
    static const char *const targets[] = {
        "/api/nope",        "/api/",      "/api/traces/",    "/api/services//operations",
        "/api/v2/services", "/nope.html", "/api/v1/traces/", "/../etc/passwd",
        "/api/services/x"};

    for (size_t i = 0; i < COUNT_OF(targets); i++) {
        expect_answer(f, targets[i], 404, "404 page not found\n");
    }
}

static void every_answer_is_marked(void **state)
{
    struct query_fixture *f = *state;
    static const char *const targets[] = {"/api/services", "/api/nope", "/api/traces?limit=x",
                                          "/api/v1/traces/xyz"};

    for (size_t i = 0; i < COUNT_OF(targets); i++) {
        struct answer answer = query_get(f, targets[i]);
        assert_string_equal(answer_header(&answer, "X-Content-Type-Options"), "nosniff");
        assert_string_equal(answer_header(&answer, "Referrer-Policy"), "no-referrer");
        assert_string_equal(answer_header(&answer, "Cache-Control"), "no-store");
        assert_null(answer_header(&answer, "Content-Encoding"));
        answer_free(&answer);
    }
    struct answer answer = query_get(f, "/api/services");
    assert_string_equal(answer_header(&answer, "Content-Type"), "application/json");
    answer_free(&answer);
}

static void the_page_comes_with_a_strict_policy(void **state)
{
    struct query_fixture *f = *state;
    struct answer answer = query_get(f, "/");

    assert_int_equal(answer.status, 200);
    assert_memory_equal(answer_header(&answer, "Content-Type"), "text/html", 9);
    assert_string_equal(
        answer_header(&answer, "Content-Security-Policy"),
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'");
    assert_string_equal(answer_header(&answer, "X-Content-Type-Options"), "nosniff");
    assert_true(answer.body_len > 0);
    answer_free(&answer);
}

struct asker {
    struct query_fixture *f;
    struct thread thread;
};

static void ask_many(void *arg)
{
    struct asker *asker = arg;
    int fd = client_open(query_port(asker->f->query));

    for (int i = 0; i < 200; i++) {
        assert_true(client_send_text(fd, "GET /api/services HTTP/1.1\r\nHost: localhost\r\n\r\n"
                                         "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        struct answer services = client_read(fd);
        struct answer status = client_read(fd);
        assert_int_equal(services.status, 200);
        assert_string_equal(status.body, "{\"version\":\"test\"}");
        answer_free(&services);
        answer_free(&status);
    }
    close(fd);
}

static void many_may_ask_at_once(void **state)
{
    struct asker askers[4];

    for (size_t i = 0; i < COUNT_OF(askers); i++) {
        askers[i] = (struct asker){.f = *state};
        thread_start(&askers[i].thread, "asker", ask_many, &askers[i]);
    }
    for (size_t i = 0; i < COUNT_OF(askers); i++) {
        thread_join(&askers[i].thread);
    }
}

static void closing_answers_what_was_asked(void **state)
{
    (void)state;
    struct query_fixture f = {0};
    int fds[8];

    query_fixture_open(&f, "127.0.0.1:0", NULL, 0);
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        fds[i] = client_open(query_port(f.query));
        /* An answer first: the connection is accepted, not only begun. */
        assert_true(
            client_send_text(fds[i], "GET /api/services HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        struct answer answer = client_read(fds[i]);
        answer_free(&answer);
        assert_true(
            client_send_text(fds[i], "GET /api/services HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    }
    query_close(f.query);
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        struct answer answer = client_read(fds[i]); /* or the end, when it had not been read */
        assert_true(answer.status == 0 || answer.status == 200 || answer.status == 503);
        answer_free(&answer);
        close(fds[i]);
    }
}

static void a_bad_endpoint_is_an_error(void **state)
{
    (void)state;
    const struct query_config config = {.endpoint = "nonsense"};
    struct query *query = NULL;
    struct error err;

    assert_false(query_open(&query, &config, NULL, NULL, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_memory_equal(err.message, "query port: ", 12);
    assert_null(query);
}

static void credentials_are_asked_for_where_they_are_configured(void **state)
{
    static char id[] = "x", user[] = "viewer:look";
    static char *users[] = {user};
    const struct auth_settings auth = {
        .kind = AUTH_BASIC, .id = id, .secrets = users, .secret_count = 1};
    const struct query_config config = {.endpoint = "127.0.0.1:0", .auth = &auth};
    struct query_fixture f = {0};
    struct error err = {0};
    (void)state;

    assert_true(query_open(&f.query, &config, &f.pipeline, NULL, &err));
    struct answer answer =
        client_ask(query_port(f.query), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(answer.status, 401);
    assert_string_equal(answer_header(&answer, "WWW-Authenticate"),
                        "Basic realm=\"spangate\", charset=\"UTF-8\"");
    assert_string_equal(answer_header(&answer, "X-Content-Type-Options"), "nosniff");
    answer_free(&answer);
    assert_int_equal(ask_status(query_port(f.query),
                                "GET /api/services HTTP/1.1\r\nHost: localhost\r\n"
                                "Authorization: Basic dmlld2VyOmxvb2s=\r\n\r\n"),
                     200);
    assert_int_equal(ask_status(query_port(f.query),
                                "POST /api/v1/traces/x/finish HTTP/1.1\r\nHost: localhost\r\n"
                                "Content-Length: 900000\r\n\r\n"),
                     401);
    /* The name counts first: a page of another site learns nothing about passwords. */
    assert_int_equal(ask_status(query_port(f.query), "GET / HTTP/1.1\r\nHost: evil\r\n\r\n"), 421);
    query_close(f.query);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, query_setup, query_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_not_ours_are_refused),
        cmocka_unit_test(configured_names_are_served),
        cmocka_unit_test(an_open_endpoint_serves_every_address_but_no_other_name),
        TEST(the_authority_of_the_target_counts_more_than_host),
        cmocka_unit_test(credentials_are_asked_for_where_they_are_configured),
        TEST(other_methods_are_told_the_right_one),
        TEST(head_is_get_without_the_body),
        TEST(unknown_paths_are_not_found),
        TEST(every_answer_is_marked),
        TEST(the_page_comes_with_a_strict_policy),
        TEST(many_may_ask_at_once),
        cmocka_unit_test(closing_answers_what_was_asked),
        cmocka_unit_test(a_bad_endpoint_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
