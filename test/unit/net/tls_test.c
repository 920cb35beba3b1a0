/*
 * tls_test.c - the HTTP/2 client over TLS: whom it trusts and what it says when it does not.
 *
 * A thread takes off the TLS and passes the bytes on to an HTTP/2 server in clear text. The
 * certificate is made when the test starts: localhost and 127.0.0.1, signed by itself.
 */
#include "certificate.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/base/thread.h>
#include <spangate/net/address.h>
#include <spangate/net/h2.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT (60 * NS_PER_S)

/* --- HTTP/2 behind TLS --- */

struct server {
    struct loop *loop;
    struct h2_server *h2;
    struct thread thread;
    struct thread terminator;
    int listener;
    uint16_t port;
    bool offer_h2;
    bool want_client_cert;
    bool got_client_cert;
    char sni[64];
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

static void on_end(void *ctx, struct h2_stream *stream)
{
    char len[24];

    (void)ctx;
    (void)snprintf(len, sizeof(len), "%zu", *(size_t *)h2_stream_ctx(stream));
    const struct h2_header status = {slice_of(":status"), slice_of("200")};
    h2_respond(stream, &status, 1, slice_of(len), NULL, 0);
}

static void on_close(void *ctx, struct h2_stream *stream)
{
    (void)ctx;
    free(h2_stream_ctx(stream));
}

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned in_len, void *arg)
{
    const struct server *server = arg;

    (void)ssl;
    if (!server->offer_h2 || in_len < 3 || memcmp(in, "\x02h2", 3) != 0) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *out = in + 1;
    *out_len = 2;
    return SSL_TLSEXT_ERR_OK;
}

static int note_sni(SSL *ssl, int *alert, void *arg)
{
    struct server *server = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    (void)snprintf(server->sni, sizeof(server->sni), "%s", name != NULL ? name : "");
    return SSL_TLSEXT_ERR_OK;
}

static int accept_any(int ok, X509_STORE_CTX *ctx)
{
    (void)ok;
    (void)ctx;
    return 1;
}

/* Bytes both ways until one side ends. */
static void pass_on(SSL *ssl, int outer, int inner)
{
    static char buf[65536];

    for (;;) {
        struct pollfd fds[2] = {{.fd = outer, .events = POLLIN}, {.fd = inner, .events = POLLIN}};
        if (SSL_pending(ssl) == 0) {
            (void)poll(fds, 2, -1);
        }
        if (SSL_pending(ssl) > 0 || fds[0].revents != 0) {
            int got = SSL_read(ssl, buf, sizeof(buf));
            if (got <= 0) {
                return;
            }
            for (ssize_t at = 0; at < got;) {
                ssize_t sent = send(inner, buf + at, (size_t)(got - at), MSG_NOSIGNAL);
                if (sent <= 0) {
                    return;
                }
                at += sent;
            }
        }
        if (fds[1].revents != 0) {
            ssize_t got = recv(inner, buf, sizeof(buf), 0);
            if (got <= 0 || SSL_write(ssl, buf, (int)got) != (int)got) {
                return;
            }
        }
    }
}

static int connect_inner(uint16_t port)
{
    struct error err;
    int fd = -1;

    assert_true(address_connect("127.0.0.1", port, TIMEOUT, &fd, &err));
    assert_int_equal(fcntl(fd, F_SETFL, 0), 0); /* blocking */
    return fd;
}

/* One connection. */
static void terminate(void *arg)
{
    struct server *server = arg;
    struct pollfd ready = {.fd = server->listener, .events = POLLIN};
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    (void)SSL_CTX_use_certificate_chain_file(ctx, certificate.cert);
    (void)SSL_CTX_use_PrivateKey_file(ctx, certificate.key, SSL_FILETYPE_PEM);
    SSL_CTX_set_alpn_select_cb(ctx, choose_h2, server);
    (void)SSL_CTX_set_tlsext_servername_callback(ctx, note_sni);
    (void)SSL_CTX_set_tlsext_servername_arg(ctx, server);
    if (server->want_client_cert) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
    }
    (void)poll(&ready, 1, -1);
    int outer = accept(server->listener, NULL, NULL);
    SSL *ssl = SSL_new(ctx);
    (void)SSL_set_fd(ssl, outer);
    if (SSL_accept(ssl) == 1) {
        X509 *peer = SSL_get1_peer_certificate(ssl);
        server->got_client_cert = peer != NULL;
        X509_free(peer);
        int inner = connect_inner(server->port);
        pass_on(ssl, outer, inner);
        (void)close(inner);
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    (void)close(outer);
}

static void run(void *arg)
{
    loop_run(((struct server *)arg)->loop);
}

/* One call through TLS; host as given, the rest of config by the caller. */
static bool call(struct server *server, struct h2_client_config config, size_t body_len,
                 struct h2_response *response, struct error *err)
{
    const struct h2_server_config h2 = {
        .endpoint = "127.0.0.1:0",
        .handler = {on_headers, on_data, on_end, on_close, server},
    };
    const struct h2_header headers[] = {
        {slice_of(":method"), slice_of("POST")},
        {slice_of(":scheme"), slice_of("https")},
        {slice_of(":path"), slice_of("/")},
        {slice_of(":authority"), slice_of("localhost")},
    };
    int fds[ADDRESS_SOCKETS_MAX];
    size_t count = 0;
    uint8_t *body = mem_zalloc(1, body_len + 1);

    server->loop = loop_new();
    assert_true(h2_server_open(&server->h2, server->loop, &h2, err));
    server->port = h2_server_port(server->h2);
    thread_start(&server->thread, "server", run, server);
    assert_true(address_listen("127.0.0.1:0", fds, &count, &config.port, err));
    server->listener = fds[0];
    thread_start(&server->terminator, "terminator", terminate, server);

    config.tls = true;
    struct h2_client *client = h2_client_new(&config);
    h2_response_init(response);
    bool ok = h2_client_call(client, headers, COUNT_OF(headers), (struct slice){body, body_len},
                             TIMEOUT, response, err);
    h2_client_free(client);
    thread_join(&server->terminator);
    loop_stop(server->loop);
    thread_join(&server->thread);
    h2_server_close(server->h2);
    loop_free(server->loop);
    (void)close(fds[0]);
    free(body);
    return ok;
}

static void a_trusted_server_is_called_by_its_name(void **state)
{
    (void)state;
    struct server server = {.offer_h2 = true};
    struct h2_response response;
    struct error err = {0};

    assert_true(call(&server,
                     (struct h2_client_config){.host = "localhost", .ca_file = certificate.cert},
                     3 << 20, &response, &err));
    assert_int_equal(response.status, 200);
    assert_memory_equal(response.body.data, "3145728", 7);
    assert_string_equal(server.sni, "localhost");
    h2_response_deinit(&response);
}

static void an_address_is_checked_but_not_sent_as_a_name(void **state)
{
    (void)state;
    struct server server = {.offer_h2 = true};
    struct h2_response response;
    struct error err = {0};

    assert_true(call(&server,
                     (struct h2_client_config){.host = "127.0.0.1", .ca_file = certificate.cert}, 1,
                     &response, &err));
    assert_string_equal(server.sni, "");
    h2_response_deinit(&response);
}

static void an_unknown_authority_is_refused(void **state)
{
    (void)state;
    struct server server = {.offer_h2 = true};
    struct h2_response response;
    struct error err = {0};

    assert_false(call(&server, (struct h2_client_config){.host = "127.0.0.1"}, 1, &response, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "certificate not trusted"));
    h2_response_deinit(&response);
}

static void another_name_than_the_certificates_is_refused(void **state)
{
    (void)state;
    struct server server = {.offer_h2 = true};
    struct h2_response response;
    struct error err = {0};

    assert_false(call(&server,
                      (struct h2_client_config){.host = "127.0.0.1",
                                                .server_name = "example.com",
                                                .ca_file = certificate.cert},
                      1, &response, &err));
    assert_non_null(strstr(err.message, "hostname mismatch"));
    h2_response_deinit(&response);
}

static void verification_can_be_switched_off(void **state)
{
    (void)state;
    struct server server = {.offer_h2 = true};
    struct h2_response response;
    struct error err = {0};

    assert_true(call(&server,
                     (struct h2_client_config){.host = "127.0.0.1", .insecure_skip_verify = true},
                     1, &response, &err));
    h2_response_deinit(&response);
}

static void a_server_without_h2_is_refused(void **state)
{
    (void)state;
    struct server server = {.offer_h2 = false};
    struct h2_response response;
    struct error err = {0};

    assert_false(call(&server,
                      (struct h2_client_config){.host = "127.0.0.1", .ca_file = certificate.cert},
                      1, &response, &err));
    assert_non_null(strstr(err.message, "does not offer HTTP/2"));
    h2_response_deinit(&response);
}

static void a_client_certificate_is_shown(void **state)
{
    (void)state;
    struct server server = {.offer_h2 = true, .want_client_cert = true};
    struct h2_response response;
    struct error err = {0};

    assert_true(call(&server,
                     (struct h2_client_config){.host = "127.0.0.1",
                                               .ca_file = certificate.cert,
                                               .cert_file = certificate.cert,
                                               .key_file = certificate.key},
                     1, &response, &err));
    assert_true(server.got_client_cert);
    h2_response_deinit(&response);
}

static void files_that_cannot_be_read_are_named(void **state)
{
    (void)state;
    struct server server = {.offer_h2 = true};
    struct h2_response response;
    struct error err = {0};

    assert_false(call(&server,
                      (struct h2_client_config){.host = "127.0.0.1", .ca_file = "/nowhere/ca.pem"},
                      1, &response, &err));
    assert_non_null(strstr(err.message, "/nowhere/ca.pem"));
    h2_response_deinit(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trusted_server_is_called_by_its_name),
        cmocka_unit_test(an_address_is_checked_but_not_sent_as_a_name),
        cmocka_unit_test(an_unknown_authority_is_refused),
        cmocka_unit_test(another_name_than_the_certificates_is_refused),
        cmocka_unit_test(verification_can_be_switched_off),
        cmocka_unit_test(a_server_without_h2_is_refused),
        cmocka_unit_test(a_client_certificate_is_shown),
        cmocka_unit_test(files_that_cannot_be_read_are_named),
    };
    return cmocka_run_group_tests(tests, certificate_make, certificate_remove);
}
