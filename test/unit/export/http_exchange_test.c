/*
 * http_exchange_test.c - one request and its answer.
 */

#include "http_server.h"

#include <spangate/base/mem.h>
#include <spangate/export/export.h>

#define TIMEOUT_NS UINT64_C(10000000000)

static void a_request_brings_status_and_body(void **state)
{
    (void)state;
    static const struct {
        const char *method, *type;
        struct slice body;
        const char *line;
    } cases[] = {
        {"GET", NULL, {0}, "GET /api/traces/1?x=2 HTTP/1.1"},
        {"POST", "application/json", {(const uint8_t *)"{}", 2}, "POST /api/traces/1?x=2 HTTP/1.1"},
        {"POST", NULL, {0}, "POST /api/traces/1?x=2 HTTP/1.1"},
        {"DELETE", NULL, {0}, "DELETE /api/traces/1?x=2 HTTP/1.1"},
        {"HEAD", NULL, {0}, "HEAD /api/traces/1?x=2 HTTP/1.1"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool head = strcmp(cases[i].method, "HEAD") == 0;
        struct http_reply reply = {.status = 404, .body = head ? "" : "not here"};
        struct http_server server;
        struct strbuf out;
        struct error err = {0};
        int status = 0;
        server_start(&server, &reply, 1, NULL);
        char *url = mem_printf("http://127.0.0.1:%u/api/traces/1?x=2", server.port);
        strbuf_init(&out, 100);
        assert_true(http_exchange(cases[i].method, url, cases[i].type, cases[i].body, TIMEOUT_NS,
                                  &status, &out, &err));
        server_stop(&server);
        assert_int_equal(status, 404);
        assert_int_equal(out.len, head ? 0 : 8);
        const struct http_request *request = &server.requests[0];
        assert_true(has_line(request, cases[i].line));
        assert_true(has_line(request, "User-Agent: Spangate/" SPANGATE_VERSION));
        assert_int_equal(request->body.len, cases[i].body.len);
        if (cases[i].type != NULL) {
            assert_true(has_line(request, "Content-Type: application/json"));
        }
        server_free(&server);
        strbuf_deinit(&out);
        free(url);
    }
}

static void nobody_there_is_unavailable(void **state)
{
    (void)state;
    static const struct http_reply reply = {.status = 200};
    struct http_server server;
    struct strbuf out;
    struct error err = {0};
    int status = 0;

    server_start(&server, &reply, 1, NULL);
    char *url = mem_printf("http://u:passw0rd@127.0.0.1:%u/", server.port);
    server_stop(&server);
    server_free(&server);
    strbuf_init(&out, 100);
    assert_false(
        http_exchange("GET", url, NULL, (struct slice){0}, TIMEOUT_NS, &status, &out, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_memory_equal(err.message, "http://127.0.0.1:", 17);
    free(url);

    assert_false(http_exchange("GET", "file:///etc/passwd", NULL, (struct slice){0}, TIMEOUT_NS,
                               &status, &out, &err));
    assert_int_equal(err.code, ERR_INVALID);
    strbuf_deinit(&out);
}

static void an_answer_over_the_limit_is_too_large(void **state)
{
    (void)state;
    static const struct http_reply reply = {.status = 200, .body = "0123456789"};
    struct http_server server;
    struct strbuf out;
    struct error err = {0};
    int status = 0;

    server_start(&server, &reply, 1, NULL);
    char *url = mem_printf("http://127.0.0.1:%u/", server.port);
    strbuf_init(&out, 9);
    assert_false(
        http_exchange("GET", url, NULL, (struct slice){0}, TIMEOUT_NS, &status, &out, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    server_stop(&server);
    server_free(&server);
    strbuf_deinit(&out);
    free(url);
}

int main(void)
{
    (void)unsetenv("http_proxy");
    (void)unsetenv("all_proxy");
    (void)unsetenv("ALL_PROXY");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_brings_status_and_body),
        cmocka_unit_test(nobody_there_is_unavailable),
        cmocka_unit_test(an_answer_over_the_limit_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
