/*
 * tls_server_test.c - the HTTP/2 server over TLS, called by our own client: who is let in, what is
 * refused and why.
 */
#include "certificate.h"
#include "http_client.h"

#include <errno.h>
#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/base/thread.h>
#include <spangate/net/h2.h>

#define TIMEOUT (60 * NS_PER_S)

struct server {
    struct loop *loop;
    struct h2_server *h2;
    struct thread thread;
};

static void on_headers(void *ctx, struct h2_stream *stream, const struct h2_header *headers,
                       size_t count, bool end)
{
    (void)ctx;
    (void)headers;
    (void)count;
    (void)end;
    h2_stream_set_ctx(stream, mem_zalloc(1, sizeof(size_t)));
}

static void on_data(void *ctx, struct h2_stream *stream, struct slice data)
{
    (void)ctx;
    *(size_t *)h2_stream_ctx(stream) += data.len;
    h2_consume(stream, data.len);
}

/* As many bytes back as came. */
static void on_end(void *ctx, struct h2_stream *stream)
{
    size_t len = *(size_t *)h2_stream_ctx(stream);
    uint8_t *echo = mem_zalloc(1, len + 1);
    const struct h2_header status = {slice_of(":status"), slice_of("200")};

    (void)ctx;
    memset(echo, 'e', len);
    h2_respond(stream, &status, 1, (struct slice){echo, len}, NULL, 0);
    free(echo);
}

static void on_close(void *ctx, struct h2_stream *stream)
{
    (void)ctx;
    free(h2_stream_ctx(stream));
}

static void run(void *arg)
{
    loop_run(((struct server *)arg)->loop);
}

static void server_open(struct server *server, const struct tls_server_settings *tls)
{
    const struct h2_server_config config = {
        .endpoint = "127.0.0.1:0",
        .tls = tls,
        .handler = {on_headers, on_data, on_end, on_close, server},
    };
    struct error err = {0};

    server->loop = loop_new();
    if (!h2_server_open(&server->h2, server->loop, &config, &err)) {
        fail_msg("%s", err.message);
    }
    thread_start(&server->thread, "server", run, server);
}

static void server_close(struct server *server)
{
    loop_stop(server->loop);
    thread_join(&server->thread);
    h2_server_close(server->h2);
    loop_free(server->loop);
}

static bool call(struct server *server, bool with_certificate, size_t body_len, struct error *err)
{
    const struct h2_client_config config = {
        .host = "127.0.0.1",
        .port = h2_server_port(server->h2),
        .tls = true,
        .ca_file = certificate.cert,
        .cert_file = with_certificate ? certificate.cert : NULL,
        .key_file = with_certificate ? certificate.key : NULL,
    };
    const struct h2_header headers[] = {
        {slice_of(":method"), slice_of("POST")},
        {slice_of(":scheme"), slice_of("https")},
        {slice_of(":path"), slice_of("/")},
        {slice_of(":authority"), slice_of("localhost")},
    };
    uint8_t *body = mem_zalloc(1, body_len + 1);
    struct h2_client *client = h2_client_new(&config);
    struct h2_response response;
    bool ok = true;

    h2_response_init(&response);
    for (int i = 0; i < 3 && ok; i++) { /* on one connection */
        ok = h2_client_call(client, headers, COUNT_OF(headers), (struct slice){body, body_len},
                            TIMEOUT, &response, err);
        assert_true(!ok || (response.status == 200 && response.body.len == body_len));
    }
    h2_response_deinit(&response);
    h2_client_free(client);
    free(body);
    return ok;
}

static struct tls_server_settings settings(void)
{
    return (struct tls_server_settings){.cert_file = certificate.cert, .key_file = certificate.key};
}

static void long_requests_and_answers_pass_both_ways(void **state)
{
    (void)state;
    const struct tls_server_settings tls = settings();
    struct server server;
    struct error err = {0};

    server_open(&server, &tls);
    for (size_t len = 0; len <= 3 << 20; len = len * 7 + 1) {
        if (!call(&server, false, len, &err)) {
            fail_msg("%zu bytes: %s", len, err.message);
        }
    }
    assert_true(call(&server, false, 3 << 20, &err));
    server_close(&server);
}

static void only_the_newest_version_may_be_asked_for(void **state)
{
    (void)state;
    struct tls_server_settings tls = settings();
    struct server server;
    struct error err = {0};

    tls.min_version = TLS_1_3;
    server_open(&server, &tls);
    assert_true(call(&server, false, 1, &err));
    server_close(&server);
}

static void clients_need_a_certificate_where_authorities_are_given(void **state)
{
    (void)state;
    struct tls_server_settings tls = settings();
    struct server server;
    struct error err = {0};

    tls.client_ca_file = certificate.cert;
    server_open(&server, &tls);
    assert_true(call(&server, true, 1000, &err));
    assert_false(call(&server, false, 1000, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_true(call(&server, true, 1000, &err));
    server_close(&server);
}

static void clear_text_is_told_that_this_is_tls(void **state)
{
    (void)state;
    const struct tls_server_settings tls = settings();
    struct server server;
    struct error err = {0};

    server_open(&server, &tls);
    struct answer answer = client_ask(h2_server_port(server.h2), "GET / HTTP/1.1\r\n\r\n");
    assert_int_equal(answer.status, 400);
    assert_string_equal(answer.body, "this port speaks TLS\n");
    answer_free(&answer);
    int fd = client_open(h2_server_port(server.h2));
    assert_true(client_send(fd, "\x01\x02", 2));
    assert_true(client_is_ended(fd));
    (void)close(fd);
    assert_true(call(&server, false, 1, &err)); /* nobody else is disturbed */
    server_close(&server);
}

/* Whatever comes first (an alert), the end comes. */
static bool ends(int fd)
{
    char some[256];
    ssize_t got;

    do {
        got = recv(fd, some, sizeof(some), 0);
    } while (got > 0);
    return got == 0 || errno == ECONNRESET;
}

/* Every first part of a handshake: then silence, or something else. */
static void broken_handshakes_end_alone(void **state)
{
    static const uint8_t hello[] = {0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0};
    (void)state;
    const struct tls_server_settings tls = settings();
    struct server server;
    struct error err = {0};

    server_open(&server, &tls);
    for (size_t len = 1; len <= sizeof(hello); len++) {
        int fd = client_open(h2_server_port(server.h2));
        assert_true(client_send(fd, hello, len));
        (void)shutdown(fd, SHUT_WR);
        assert_true(ends(fd));
        (void)close(fd);
    }
    int waiting = client_open(h2_server_port(server.h2));
    assert_true(client_send(waiting, hello, 3));
    assert_true(call(&server, false, 1, &err));
    server_close(&server); /* with one still in its handshake */
    (void)close(waiting);
}

static void expect_open_error(const struct tls_server_settings *tls, enum error_code code,
                              const char *named)
{
    const struct h2_server_config config = {.endpoint = "127.0.0.1:0", .tls = tls};
    struct loop *loop = loop_new();
    struct h2_server *server = NULL;
    struct error err = {0};

    assert_false(h2_server_open(&server, loop, &config, &err));
    assert_int_equal(err.code, code);
    if (strstr(err.message, named) == NULL) {
        fail_msg("%s", err.message);
    }
    loop_free(loop);
}

static void files_that_cannot_be_used_are_named(void **state)
{
    static char missing[] = "/nowhere/x.pem", text[] = "/etc/hostname";
    (void)state;

    struct tls_server_settings tls = settings();
    tls.cert_file = missing;
    expect_open_error(&tls, ERR_NOT_FOUND, "read the certificate /nowhere/x.pem: No such file");
    tls = settings();
    tls.key_file = missing;
    expect_open_error(&tls, ERR_NOT_FOUND, "read the key /nowhere/x.pem: No such file");
    tls = settings();
    tls.client_ca_file = missing;
    expect_open_error(&tls, ERR_NOT_FOUND, "read certificate authorities from /nowhere/x.pem");
    tls = settings();
    tls.key_file = certificate.cert;
    expect_open_error(&tls, ERR_INVALID, "read the key");
    tls = settings();
    tls.cert_file = text;
    expect_open_error(&tls, ERR_INVALID, "read the certificate /etc/hostname");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_requests_and_answers_pass_both_ways),
        cmocka_unit_test(only_the_newest_version_may_be_asked_for),
        cmocka_unit_test(clients_need_a_certificate_where_authorities_are_given),
        cmocka_unit_test(clear_text_is_told_that_this_is_tls),
        cmocka_unit_test(broken_handshakes_end_alone),
        cmocka_unit_test(files_that_cannot_be_used_are_named),
    };
    return cmocka_run_group_tests(tests, certificate_make, certificate_remove);
}
