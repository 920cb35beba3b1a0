/*
 * tls_test.c - HTTP/1.1 over TLS as a client sees it, and deadlines around the handshake. The
 * client's side is OpenSSL's.
 */
#include "certificate.h"
#include "http_client.h"
#include "internal.h"

#include <openssl/ssl.h>
#include <sched.h>
#include <spangate/base/clock.h>
#include <spangate/base/ring.h>
#include <spangate/httpd/httpd.h>

struct fixture {
    struct httpd *httpd;
    struct ring later;
    struct tls_server_settings settings;
};

static size_t on_headers(void *ctx, struct httpd_request *request)
{
    (void)ctx;
    if (strcmp(httpd_path(request), "/early") == 0) {
        httpd_reply(request, 401, "text/plain", slice_of("who are you"), NULL, 0, false);
        return 0;
    }
    return 1024 * 1024;
}

static void answer(struct httpd_request *request)
{
    struct strbuf out;
    const struct buf *body = httpd_body(request);

    strbuf_init(&out, 4 << 20);
    for (size_t i = 0; i < (body != NULL ? body->len : 0); i++) {
        strbuf_putc(&out, 'e');
    }
    strbuf_append_text(&out, "end");
    httpd_reply_text(request, 200, "text/plain", &out, NULL, 0, false);
}

static void on_request(void *ctx, struct httpd_request *request)
{
    struct fixture *f = ctx;

    if (strcmp(httpd_path(request), "/later") == 0) {
        assert_true(ring_push(&f->later, request));
        return;
    }
    answer(request);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};

    assert_non_null(f);
    ring_init(&f->later, 4);
    f->settings.cert_file = certificate.cert;
    f->settings.key_file = certificate.key;
    struct httpd_config config = {
        .name = "test",
        .endpoint = "127.0.0.1:0",
        .on_headers = on_headers,
        .on_request = on_request,
        .ctx = f,
        .tls = &f->settings,
    };
    if (!httpd_start(&f->httpd, &config, &err)) {
        fail_msg("%s", err.message);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    httpd_stop(f->httpd);
    ring_deinit(&f->later);
    free(f);
    return 0;
}

/* --- client --- */

struct client {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

static void client_begin(struct client *client, void **state)
{
    client->fd = client_open(httpd_port(((struct fixture *)*state)->httpd));
    client->ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_load_verify_file(client->ctx, certificate.cert), 1);
    SSL_CTX_set_verify(client->ctx, SSL_VERIFY_PEER, NULL);
    client->ssl = SSL_new(client->ctx);
    assert_int_equal(SSL_set_fd(client->ssl, client->fd), 1);
    assert_int_equal(SSL_connect(client->ssl), 1);
}

static void client_end(struct client *client)
{
    SSL_free(client->ssl);
    SSL_CTX_free(client->ctx);
    (void)close(client->fd);
}

static void ask(struct client *client, const char *text)
{
    assert_int_equal(SSL_write(client->ssl, text, (int)strlen(text)), (int)strlen(text));
}

/* One answer with a Content-Length; returns its status. */
static int take(struct client *client, size_t *body_len)
{
    char head[4096];
    size_t len = 0;
    int status = 0;

    while (len < sizeof(head) - 1 && (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0)) {
        if (SSL_read(client->ssl, head + len, 1) != 1) {
            return 0;
        }
        len++;
    }
    head[len] = '\0';
    const char *length = strstr(head, "Content-Length: ");
    assert_non_null(length);
    *body_len = strtoull(length + 16, NULL, 10);
    assert_int_equal(sscanf(head, "HTTP/1.1 %d", &status), 1);
    for (size_t left = *body_len; left > 0;) {
        char part[16384];
        int got = SSL_read(client->ssl, part, left < sizeof(part) ? (int)left : (int)sizeof(part));
        assert_true(got > 0);
        left -= (size_t)got;
    }
    return status;
}

static struct connection *only_connection(struct fixture *f)
{
    struct connection *connection = NULL;

    while (connection == NULL) {
        (void)pthread_mutex_lock(&f->httpd->shared.lock);
        connection = f->httpd->shared.connections;
        (void)pthread_mutex_unlock(&f->httpd->shared.lock);
        (void)sched_yield();
    }
    return connection;
}

static uint64_t now_plus(uint64_t seconds)
{
    return clock_monotonic(&clock_system) + seconds * NS_PER_S;
}

/* --- tests --- */

static void requests_are_answered_one_after_the_other(void **state)
{
    struct fixture *f = *state;
    struct client client;
    size_t len = 0;
    void *request = NULL;

    client_begin(&client, state);
    for (int i = 0; i < 3; i++) {
        ask(&client, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_int_equal(take(&client, &len), 200);
        assert_int_equal(len, 3);
    }
    ask(&client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    static char body[100000];
    for (int i = 0; i < 10; i++) {
        assert_int_equal(SSL_write(client.ssl, body, sizeof(body)), (int)sizeof(body));
    }
    assert_int_equal(take(&client, &len), 200);
    assert_int_equal(len, 1000003);

    ask(&client, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(ring_pop_wait(&f->later, &request, 1, 30 * NS_PER_S), 1);
    answer(request);
    assert_int_equal(take(&client, &len), 200);
    client_end(&client);
}

static void an_answer_before_the_body_is_encrypted_too(void **state)
{
    struct client client;
    size_t len = 0;

    client_begin(&client, state);
    ask(&client, "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\nabc");
    assert_int_equal(take(&client, &len), 401);
    assert_int_equal(len, strlen("who are you"));
    char more;
    assert_true(SSL_read(client.ssl, &more, 1) <= 0);
    client_end(&client);

    client_begin(&client, state);
    ask(&client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(take(&client, &len), 400);
    client_end(&client);
}

static void clear_text_is_told_that_this_is_tls(void **state)
{
    struct fixture *f = *state;
    struct client client;
    size_t len = 0;

    struct answer told = client_ask(httpd_port(f->httpd), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(told.status, 400);
    assert_string_equal(told.body, "this port speaks HTTPS only\n");
    answer_free(&told);
    int fd = client_open(httpd_port(f->httpd));
    assert_true(client_send(fd, "\x01\x02", 2));
    assert_true(client_is_ended(fd));
    (void)close(fd);
    client_begin(&client, state); /* nobody else is disturbed */
    ask(&client, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(take(&client, &len), 200);
    client_end(&client);
}

static void a_handshake_that_is_not_finished_is_cut_after_ten_seconds(void **state)
{
    static const uint8_t hello[] = {0x16, 3, 1, 2, 0, 1};
    struct fixture *f = *state;
    int fd = client_open(httpd_port(f->httpd));

    (void)only_connection(f);
    watch_sweep(f->httpd, now_plus(0));
    assert_true(client_send(fd, hello, sizeof(hello)));
    while (watch_bytes_received(only_connection(f)->fd) == 0) {
        (void)sched_yield();
    }
    watch_sweep(f->httpd, now_plus(1)); /* bytes without a request: the clock starts */
    watch_sweep(f->httpd, now_plus(10));
    watch_sweep(f->httpd, now_plus(13));
    assert_true(client_is_ended(fd));
    (void)close(fd);
}

static void a_connection_may_wait_with_its_first_request(void **state)
{
    struct fixture *f = *state;
    struct client client;
    size_t len = 0;

    client_begin(&client, state);
    while (atomic_load(&only_connection(f)->watch.serial) == 0) {
        (void)sched_yield(); /* until the server, too, has seen the end of the handshake */
    }
    watch_sweep(f->httpd, now_plus(0));
    watch_sweep(f->httpd, now_plus(30));
    watch_sweep(f->httpd, now_plus(90));
    ask(&client, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(take(&client, &len), 200);
    client_end(&client);
}

static void expect_start_error(struct tls_server_settings *settings, const char *named)
{
    struct httpd_config config = {
        .name = "test", .endpoint = "127.0.0.1:0", .on_request = on_request, .tls = settings};
    struct httpd *httpd = NULL;
    struct error err = {0};

    assert_false(httpd_start(&httpd, &config, &err));
    if (strstr(err.message, named) == NULL) {
        fail_msg("%s", err.message);
    }
}

static void files_that_cannot_be_used_are_named(void **state)
{
    static char missing[] = "/nowhere/x.pem";
    struct tls_server_settings settings = {.cert_file = missing, .key_file = certificate.key};
    (void)state;

    expect_start_error(&settings, "/nowhere/x.pem");
    settings = (struct tls_server_settings){.cert_file = certificate.cert, .key_file = missing};
    expect_start_error(&settings, "/nowhere/x.pem");
    settings = (struct tls_server_settings){
        .cert_file = certificate.cert, .key_file = certificate.key, .client_ca_file = missing};
    expect_start_error(&settings, "read certificate authorities from /nowhere/x.pem");
    settings = (struct tls_server_settings){.cert_file = certificate.cert,
                                            .key_file = certificate.key,
                                            .client_ca_file = certificate.key};
    expect_start_error(&settings, "read certificate authorities from");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_answered_one_after_the_other),
        TEST(an_answer_before_the_body_is_encrypted_too),
        TEST(clear_text_is_told_that_this_is_tls),
        TEST(a_handshake_that_is_not_finished_is_cut_after_ten_seconds),
        TEST(a_connection_may_wait_with_its_first_request),
        cmocka_unit_test(files_that_cannot_be_used_are_named),
    };
    return cmocka_run_group_tests(tests, certificate_make, certificate_remove);
}
