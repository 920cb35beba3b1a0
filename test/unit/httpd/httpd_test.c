/*
 * httpd_test.c - HTTP/1.1 as a client sees it, over real sockets on loopback.
 *
 * The server under test echoes what it understood. Paths select how it behaves:
 *   /now      answered inside the handler
 *   /later    answered by another thread, which the test releases
 *   /early    answered from on_headers, the body is not wanted
 *   /take     bodies up to 1 MiB
 *   others    bodies up to 100 bytes
 */
#include "http_client.h"
#include "internal.h"

#include <sched.h>
#include <spangate/base/clock.h>
#include <spangate/base/ring.h>
#include <spangate/httpd/httpd.h>

struct fixture {
    struct httpd *httpd;
    struct ring later;
    struct budget budget;
    size_t started; /* on_headers calls; epoll thread */
};

static size_t echo_headers(void *ctx, struct httpd_request *request)
{
    struct fixture *f = ctx;
    const char *path = httpd_path(request);

    f->started++;
    if (strcmp(path, "/early") == 0) {
        httpd_reply(request, 404, "text/plain", slice_of("not here"), NULL, 0, false);
        return 0;
    }
    return strcmp(path, "/take") == 0 || strcmp(path, "/later") == 0 ? 1024 * 1024 : 100;
}

static void echo(struct httpd_request *request)
{
    struct strbuf out;
    const struct buf *body = httpd_body(request);
    const char *q0 = httpd_query(request, "q", 0);
    const char *q1 = httpd_query(request, "q", 1);
    const char *host = httpd_header(request, "host");

    strbuf_init(&out, 64 * 1024);
    strbuf_printf(&out, "%s %s raw=%s host=%s q=%s,%s body=%zu sum=", httpd_method(request),
                  httpd_path(request), httpd_raw_path(request), host != NULL ? host : "-",
                  q0 != NULL ? q0 : "-", q1 != NULL ? q1 : "-", body != NULL ? body->len : 0);
    unsigned sum = 0;
    for (size_t i = 0; body != NULL && i < body->len; i++) {
        sum = sum * 31 + body->data[i];
    }
    strbuf_printf(&out, "%u", sum);
    static const struct httpd_header_pair extra = {"X-Extra", "yes"};
    httpd_reply(request, 200, "text/plain", strbuf_slice(&out), &extra, 1, false);
    strbuf_deinit(&out);
}

static void echo_request(void *ctx, struct httpd_request *request)
{
    struct fixture *f = ctx;

    if (strcmp(httpd_path(request), "/later") == 0) {
        assert_true(ring_push(&f->later, request));
        return;
    }
    if (strcmp(httpd_path(request), "/long") == 0) {
        struct strbuf out;
        strbuf_init(&out, 1024 * 1024);
        for (size_t i = 0; i < 100000; i++) {
            strbuf_append_text(&out, "line\n");
        }
        httpd_reply_text(request, 200, "text/plain", &out, NULL, 0, false);
        assert_null(out.data);
        return;
    }
    echo(request);
}

static struct httpd_request *wait_for_later(struct fixture *f)
{
    void *request = NULL;

    assert_int_equal(ring_pop_wait(&f->later, &request, 1, 30 * NS_PER_S), 1);
    return request;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err;

    assert_non_null(f);
    ring_init(&f->later, 16);
    budget_init(&f->budget, 8 * 1024 * 1024, NULL);
    struct httpd_config config = {
        .name = "test",
        .endpoint = "127.0.0.1:0",
        .on_headers = echo_headers,
        .on_request = echo_request,
        .ctx = f,
        .budget = &f->budget,
    };
    assert_true(httpd_start(&f->httpd, &config, &err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    httpd_stop(f->httpd);
    ring_deinit(&f->later);
    assert_int_equal(budget_used(&f->budget), 0);
    free(f);
    return 0;
}

static uint16_t port_of(void **state)
{
    return httpd_port(((struct fixture *)*state)->httpd);
}

static void expect_body(uint16_t port, const char *request, int status, const char *body)
{
    struct answer answer = client_ask(port, request);

    assert_int_equal(answer.status, status);
    assert_string_equal(answer.body, body);
    answer_free(&answer);
}

static void a_request_is_answered_inside_the_handler(void **state)
{
    struct answer answer = client_ask(port_of(state), "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");

    assert_int_equal(answer.status, 200);
    assert_string_equal(answer_header(&answer, "Content-Type"), "text/plain");
    assert_string_equal(answer_header(&answer, "X-Extra"), "yes");
    assert_null(answer_header(&answer, "Connection"));
    assert_string_equal(answer.body, "GET /now raw=/now host=a q=-,- body=0 sum=0");
    answer_free(&answer);
}

static void a_request_is_answered_from_another_thread(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(port_of(state));

    for (int i = 0; i < 3; i++) { /* the connection stays */
        assert_true(client_send_text(
            fd, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
        echo(wait_for_later(f));
        struct answer answer = client_read(fd);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body, "POST /later raw=/later host=a q=-,- body=3 sum=96354");
        answer_free(&answer);
    }
    close(fd);
}

struct racer {
    struct fixture *f;
    size_t count;
};

static void race(void *arg)
{
    struct racer *racer = arg;

    for (size_t i = 0; i < racer->count; i++) {
        echo(wait_for_later(racer->f));
    }
}

static void a_reply_may_race_with_the_handler_that_returns(void **state)
{
    struct racer racer = {*state, 3000};
    struct thread thread = {0};
    int fds[4];

    thread_start(&thread, "racer", race, &racer);
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        fds[i] = client_open(port_of(state));
    }
    for (size_t i = 0; i < racer.count; i += COUNT_OF(fds)) {
        for (size_t k = 0; k < COUNT_OF(fds); k++) {
            assert_true(client_send_text(fds[k], "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"));
        }
        for (size_t k = 0; k < COUNT_OF(fds); k++) {
            struct answer answer = client_read(fds[k]);
            assert_int_equal(answer.status, 200);
            answer_free(&answer);
        }
    }
    thread_join(&thread);
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        close(fds[i]);
    }
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    int fd = client_open(port_of(state));

    assert_true(client_send_text(fd, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                                     "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
                                     "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"));
    for (int i = 1; i <= 3; i++) {
        char want[16];
        (void)snprintf(want, sizeof(want), " /%d raw", i);
        struct answer answer = client_read(fd);
        assert_int_equal(answer.status, 200);
        assert_non_null(strstr(answer.body, want));
        answer_free(&answer);
    }
    close(fd);
}

static void pipelined_requests_wait_for_a_late_answer(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(port_of(state));

    assert_true(client_send_text(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
                                     "GET /now HTTP/1.1\r\nHost: a\r\n\r\n"));
    echo(wait_for_later(f));
    struct answer first = client_read(fd);
    struct answer second = client_read(fd);
    assert_non_null(strstr(first.body, "/later"));
    assert_non_null(strstr(second.body, "/now"));
    answer_free(&first);
    answer_free(&second);
    close(fd);
}

static void chunked_bodies_with_extensions_and_trailers_are_read(void **state)
{
    expect_body(port_of(state),
                "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
                "2;name=value\r\nab\r\n1;x\r\nc\r\n0\r\nTrailer: x\r\n\r\n",
                200, "POST /now raw=/now host=a q=-,- body=3 sum=96354");
}

static void a_large_body_arrives_whole(void **state)
{
    struct fixture *f = *state;
    size_t len = 1024 * 1024;
    uint8_t *body = malloc(len);
    int fd = client_open(port_of(state));
    unsigned sum = 0;
    char want[128], head[128];

    assert_non_null(body);
    for (size_t i = 0; i < len; i++) {
        body[i] = (uint8_t)(i * 7);
        sum = sum * 31 + body[i];
    }
    (void)snprintf(want, sizeof(want), "POST /take raw=/take host=a q=-,- body=%zu sum=%u", len,
                   sum);
    (void)snprintf(head, sizeof(head),
                   "POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", len);
    assert_true(client_send_text(fd, head));
    assert_true(client_send(fd, body, len));
    struct answer answer = client_read(fd);
    assert_string_equal(answer.body, want);
    answer_free(&answer);

    /* The same in chunks. */
    assert_true(client_send_text(
        fd, "POST /take HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (size_t at = 0; at < len; at += 65536) {
        assert_true(client_send_text(fd, "10000\r\n"));
        assert_true(client_send(fd, body + at, 65536));
        assert_true(client_send_text(fd, "\r\n"));
    }
    assert_true(client_send_text(fd, "0\r\n\r\n"));
    answer = client_read(fd);
    assert_string_equal(answer.body, want);
    answer_free(&answer);
    close(fd);
    free(body);
    assert_true(atomic_load(&f->budget.peak) >= len);
}

static void a_long_answer_is_handed_over_without_a_copy(void **state)
{
    struct answer answer = client_ask(port_of(state), "GET /long HTTP/1.1\r\nHost: a\r\n\r\n");

    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body_len, 500000);
    answer_free(&answer);
}

static void expect_100_continue_is_answered_before_the_body(void **state)
{
    int fd = client_open(port_of(state));

    assert_true(client_send_text(
        fd, "POST /now HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
    struct answer go_on = client_read(fd);
    assert_int_equal(go_on.status, 100);
    assert_true(client_send_text(fd, "abc"));
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 200);
    answer_free(&go_on);
    answer_free(&answer);
    close(fd);
}

static void expect_100_continue_gets_the_refusal_instead(void **state)
{
    int fd = client_open(port_of(state));

    assert_true(client_send_text(
        fd,
        "POST /now HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 300\r\n\r\n"));
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 413);
    assert_string_equal(answer_header(&answer, "Connection"), "close");
    assert_true(client_is_ended(fd));
    answer_free(&answer);
    close(fd);
}

static void a_body_that_is_too_large_is_refused_before_it_is_sent(void **state)
{
    int fd = client_open(port_of(state));

    assert_true(
        client_send_text(fd, "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n"));
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 413);
    assert_string_equal(answer.body, "body of 101 bytes is over the limit of 100");
    assert_string_equal(answer_header(&answer, "Connection"), "close");
    assert_true(client_is_ended(fd));
    answer_free(&answer);
    close(fd);
}

static void a_client_that_goes_on_sending_still_gets_the_answer(void **state)
{
    static char bytes[256 * 1024];
    int fd = client_open(port_of(state));

    assert_true(
        client_send_text(fd, "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n"));
    for (int i = 0; i < 16; i++) { /* 4 MiB: less than what is read and dropped */
        if (!client_send(fd, bytes, sizeof(bytes))) {
            break;
        }
    }
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 413);
    answer_free(&answer);
    close(fd);
}

static void a_chunked_body_is_refused_where_it_passes_the_limit(void **state)
{
    int fd = client_open(port_of(state));

    assert_true(client_send_text(
        fd,
        "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "50\r\n01234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n"
        "50\r\n01234567890123456789012345678901234567890123456789012345678901234567890123456789\r"
        "\n"));
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 413);
    assert_string_equal(answer.body, "body is over the limit of 100 bytes");
    assert_true(client_is_ended(fd));
    answer_free(&answer);
    close(fd);
}

static void a_body_over_the_budget_is_refused_with_retry_later(void **state)
{
    struct fixture *f = *state;

    atomic_store(&f->budget.limit, 50);
    struct answer known =
        client_ask(port_of(state), "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n");
    struct answer chunked = client_ask(
        port_of(state),
        "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_int_equal(known.status, 503);
    assert_int_equal(chunked.status, 503);
    assert_string_equal(answer_header(&known, "Retry-After"), "1");
    answer_free(&known);
    answer_free(&chunked);
}

static void a_short_body_nobody_wants_does_not_cost_the_connection(void **state)
{
    int fd = client_open(port_of(state));

    for (int i = 0; i < 2; i++) {
        assert_true(
            client_send_text(fd, "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                                 "GET /early HTTP/1.1\r\nHost: a\r\n\r\n"));
        for (int k = 0; k < 2; k++) {
            struct answer answer = client_read(fd);
            assert_int_equal(answer.status, 404);
            assert_string_equal(answer.body, "not here");
            assert_null(answer_header(&answer, "Connection"));
            answer_free(&answer);
        }
    }
    close(fd);
}

static void a_long_or_chunked_body_nobody_wants_ends_the_connection(void **state)
{
    static const char *const heads[] = {
        "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n",
        "POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    };

    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        int fd = client_open(port_of(state));
        assert_true(client_send_text(fd, heads[i]));
        struct answer answer = client_read(fd);
        assert_int_equal(answer.status, 404);
        assert_string_equal(answer.body, "not here");
        assert_string_equal(answer_header(&answer, "Connection"), "close");
        assert_true(client_is_ended(fd));
        answer_free(&answer);
        close(fd);
    }
}

/* Each is followed by what a smuggler wants to be seen as a request of its own. */
static void ambiguous_framing_is_refused_and_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    static const char *const heads[] = {
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
        "3\r\n\r\n0\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\nabc",
        "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /now HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc",
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\nabc",
        "GET /now HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /now HTTP/1.1\r\n\r\n",
    };

    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        int fd = client_open(port_of(state));
        assert_true(client_send_text(fd, heads[i]));
        (void)client_send_text(fd, "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        /* 413 is libmicrohttpd's word for a number that does not fit. */
        char all[4096];
        size_t len = 0;
        ssize_t n;
        while ((n = recv(fd, all + len, sizeof(all) - 1 - len, 0)) > 0) {
            len += (size_t)n;
        }
        all[len] = '\0';
        if ((strncmp(all + 8, " 400 ", 5) != 0 && strncmp(all + 8, " 413 ", 5) != 0) ||
            strstr(all, "200 OK") != NULL) {
            fail_msg("case %zu: %s", i, all);
        }
        close(fd);
    }
    httpd_drain(f->httpd);
    assert_int_equal(f->started, 0);
}

static void an_unknown_method_ends_the_connection(void **state)
{
    int fd = client_open(port_of(state));

    assert_true(client_send_text(fd, "BREW /now HTTP/1.1\r\nHost: a\r\n\r\n"));
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer_header(&answer, "Connection"), "close");
    assert_true(client_is_ended(fd));
    answer_free(&answer);
    close(fd);
}

static void head_gets_the_headers_alone(void **state)
{
    int fd = client_open(port_of(state));

    assert_true(client_send_text(
        fd, "HEAD /now HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n"));
    struct answer head = client_read_to(fd, true);
    assert_int_equal(head.status, 200);
    assert_string_not_equal(answer_header(&head, "Content-Length"), "0");
    struct answer get = client_read(fd);
    assert_memory_equal(get.body, "GET ", 4);
    answer_free(&head);
    answer_free(&get);
    close(fd);
}

static void targets_are_taken_apart(void **state)
{
    static const struct {
        const char *target, *want;
    } rows[] = {
        {"//v1//traces", "/v1/traces raw=//v1//traces host=a q=-,-"},
        {"/a%2Fb%20c?q=1&q=2+3", "/a/b c raw=/a%2Fb%20c host=a q=1,2 3"},
        {"/x?q=%C3%A4&p=1&q", "/x raw=/x host=a q=\xc3\xa4,"},
        {"/x%00y%zz%4", "/x%00y%zz%4 raw=/x%00y%zz%4 host=a q=-,-"},
        {"http://other.example:80/v1/traces?q=a%26b",
         "/v1/traces raw=/v1/traces host=other.example:80 q=a&b,-"},
        {"http://other.example", "/ raw=/ host=other.example q=-,-"},
        {"https://other.example?q=1", "/ raw=/ host=other.example q=1,-"},
        {"/http://x", "/http:/x raw=/http://x host=a q=-,-"},
        {"/?&&=&q=&", "/ raw=/ host=a q=,-"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char request[256], want[256];
        (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n",
                       rows[i].target);
        (void)snprintf(want, sizeof(want), "GET %s body=0 sum=0", rows[i].want);
        expect_body(port_of(state), request, 200, want);
    }
}

static void an_offer_to_upgrade_is_ignored(void **state)
{
    struct answer answer = client_ask(
        port_of(state), "POST /now HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 2\r\n\r\nhi");

    assert_int_equal(answer.status, 200);
    answer_free(&answer);
}

static void headers_may_come_one_byte_at_a_time(void **state)
{
    static const char request[] = "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    int fd = client_open(port_of(state));

    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        assert_true(client_send(fd, request + i, 1));
    }
    struct answer answer = client_read(fd);
    assert_string_equal(answer.body, "POST /now raw=/now host=a q=-,- body=3 sum=96354");
    answer_free(&answer);
    close(fd);
}

static void http_1_0_without_a_host_is_served_and_closed(void **state)
{
    int fd = client_open(port_of(state));

    assert_true(client_send_text(fd, "GET /now HTTP/1.0\r\n\r\n"));
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "host=-"));
    assert_true(client_is_ended(fd));
    answer_free(&answer);
    close(fd);
}

static void a_client_that_leaves_before_the_reply_harms_nobody(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(port_of(state));

    assert_true(
        client_send_text(fd, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
    struct httpd_request *request = wait_for_later(f);
    struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(fd);
    echo(request);
    expect_body(port_of(state), "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", 200,
                "GET /now raw=/now host=a q=-,- body=0 sum=0");
}

static void stopping_answers_those_who_wait(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(port_of(state));

    assert_true(
        client_send_text(fd, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"));
    (void)wait_for_later(f);
    httpd_stop(f->httpd);
    f->httpd = NULL;
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 503);
    assert_string_equal(answer_header(&answer, "Retry-After"), "1");
    assert_true(client_is_ended(fd));
    answer_free(&answer);
    close(fd);
}

static void a_drained_server_answers_what_it_has_and_takes_nobody_new(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(port_of(state));

    assert_true(client_send_text(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"));
    struct httpd_request *request = wait_for_later(f);
    uint16_t port = port_of(state);
    httpd_drain(f->httpd);
    httpd_drain(f->httpd); /* once more changes nothing */
    echo(request);
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer_header(&answer, "Connection"), "close");
    answer_free(&answer);
    assert_true(client_is_ended(fd));
    close(fd);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_not_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
}

static void a_port_in_use_is_an_error_that_names_it(void **state)
{
    struct fixture *f = *state;
    char endpoint[32], want[64];
    struct httpd *second = NULL;
    struct error err;

    (void)snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", httpd_port(f->httpd));
    (void)snprintf(want, sizeof(want), "cannot bind %s", endpoint);
    struct httpd_config config = {
        .name = "test", .endpoint = endpoint, .on_request = echo_request, .ctx = f};
    assert_false(httpd_start(&second, &config, &err));
    assert_int_equal(err.code, ERR_IN_USE);
    assert_non_null(strstr(err.message, want));
    assert_null(second);
}

static void localhost_is_served_on_both_address_families(void **state)
{
    struct fixture *f = *state;
    struct httpd *httpd = NULL;
    struct error err;
    struct httpd_config config = {
        .name = "test", .endpoint = "localhost:0", .on_request = echo_request, .ctx = f};

    assert_true(httpd_start(&httpd, &config, &err));
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(httpd_port(httpd))};
    address.sin6_addr = in6addr_loopback;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        assert_true(client_send_text(fd, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n"));
        struct answer answer = client_read(fd);
        assert_int_equal(answer.status, 200);
        answer_free(&answer);
    } /* else: no IPv6 here */
    close(fd);
    expect_body(httpd_port(httpd), "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", 200,
                "GET /now raw=/now host=a q=-,- body=0 sum=0");
    httpd_stop(httpd);
}

/* --- deadlines, with a clock of our own --- */

/* Time far enough ahead that the watch thread's own looks, at the true time, find nothing late. */
static uint64_t now_plus(uint64_t seconds)
{
    return clock_monotonic(&clock_system) + seconds * NS_PER_S;
}

/* Until the server has come so far with its one connection. */
static void wait_for_phase(struct fixture *f, enum watch_phase phase)
{
    bool there = false;

    while (!there) {
        pthread_mutex_lock(&f->httpd->shared.lock);
        struct connection *connection = f->httpd->shared.connections;
        there = connection != NULL && atomic_load(&connection->watch.phase) == phase;
        pthread_mutex_unlock(&f->httpd->shared.lock);
        (void)sched_yield();
    }
}

static void a_request_line_that_dribbles_is_cut_after_ten_seconds(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(port_of(state));

    /* One whole request first, so that the connection is known and idle. */
    assert_true(client_send_text(fd, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n"));
    struct answer answer = client_read(fd);
    answer_free(&answer);
    wait_for_phase(f, WATCH_IDLE);
    watch_sweep(f->httpd, now_plus(0));
    assert_true(client_send_text(fd, "G"));
    watch_sweep(f->httpd, now_plus(1)); /* bytes without a request: the clock starts */
    assert_true(client_send_text(fd, "E"));
    watch_sweep(f->httpd, now_plus(10));
    assert_true(client_send_text(fd, "T"));
    watch_sweep(f->httpd, now_plus(13));
    assert_true(client_is_ended(fd));
    close(fd);
}

static void an_idle_connection_is_not_cut(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(port_of(state));

    for (int i = 0; i < 2; i++) {
        wait_for_phase(f, WATCH_IDLE);
        watch_sweep(f->httpd, now_plus(0));
        watch_sweep(f->httpd, now_plus(30));
        watch_sweep(f->httpd, now_plus(90));
        assert_true(client_send_text(fd, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n"));
        struct answer answer = client_read(fd);
        assert_int_equal(answer.status, 200);
        answer_free(&answer);
    }
    close(fd);
}

static void headers_that_dribble_are_cut_after_ten_seconds(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(port_of(state));

    assert_true(client_send_text(fd, "GET /now HTTP/1.1\r\nHo"));
    wait_for_phase(f, WATCH_HEADERS);
    watch_sweep(f->httpd, now_plus(0));
    assert_true(client_send_text(fd, "s"));
    watch_sweep(f->httpd, now_plus(9));
    assert_true(client_send_text(fd, "t"));
    watch_sweep(f->httpd, now_plus(11));
    assert_true(client_is_ended(fd));
    close(fd);
}

static void slow_bodies_are_cut(void **state)
{
    struct fixture *f = *state;

    /* 3 bytes in 11 s are below 1 KiB/s. */
    int fd = client_open(port_of(state));
    assert_true(client_send_text(fd, "POST /take HTTP/1.1\r\nHost: a\r\nExpect: "
                                     "100-continue\r\nContent-Length: 100000\r\n\r\n"));
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 100);
    answer_free(&answer);
    wait_for_phase(f, WATCH_BODY);
    assert_true(client_send_text(fd, "abc"));
    watch_sweep(f->httpd, now_plus(9));
    assert_true(client_send_text(fd, "abc"));
    watch_sweep(f->httpd, now_plus(12));
    assert_true(client_is_ended(fd));
    close(fd);
}

static void a_request_that_waits_for_us_has_no_deadline(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(port_of(state));

    assert_true(client_send_text(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"));
    struct httpd_request *request = wait_for_later(f);
    watch_sweep(f->httpd, now_plus(1000));
    echo(request);
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 200);
    answer_free(&answer);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_answered_inside_the_handler),
        TEST(a_request_is_answered_from_another_thread),
        TEST(a_reply_may_race_with_the_handler_that_returns),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(pipelined_requests_wait_for_a_late_answer),
        TEST(chunked_bodies_with_extensions_and_trailers_are_read),
        TEST(a_large_body_arrives_whole),
        TEST(a_long_answer_is_handed_over_without_a_copy),
        TEST(expect_100_continue_is_answered_before_the_body),
        TEST(expect_100_continue_gets_the_refusal_instead),
        TEST(a_body_that_is_too_large_is_refused_before_it_is_sent),
        TEST(a_client_that_goes_on_sending_still_gets_the_answer),
        TEST(a_chunked_body_is_refused_where_it_passes_the_limit),
        TEST(a_body_over_the_budget_is_refused_with_retry_later),
        TEST(a_short_body_nobody_wants_does_not_cost_the_connection),
        TEST(a_long_or_chunked_body_nobody_wants_ends_the_connection),
        TEST(ambiguous_framing_is_refused_and_ends_the_connection),
        TEST(an_unknown_method_ends_the_connection),
        TEST(head_gets_the_headers_alone),
        TEST(targets_are_taken_apart),
        TEST(an_offer_to_upgrade_is_ignored),
        TEST(headers_may_come_one_byte_at_a_time),
        TEST(http_1_0_without_a_host_is_served_and_closed),
        TEST(a_client_that_leaves_before_the_reply_harms_nobody),
        TEST(stopping_answers_those_who_wait),
        TEST(a_drained_server_answers_what_it_has_and_takes_nobody_new),
        TEST(a_port_in_use_is_an_error_that_names_it),
        TEST(localhost_is_served_on_both_address_families),
        TEST(a_request_line_that_dribbles_is_cut_after_ten_seconds),
        TEST(an_idle_connection_is_not_cut),
        TEST(headers_that_dribble_are_cut_after_ten_seconds),
        TEST(slow_bodies_are_cut),
        TEST(a_request_that_waits_for_us_has_no_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
