/*
 * tls.c - a TLS connection on OpenSSL: setting up the client's side, and the conversation of both.
 *
 * OpenSSL writes to sockets with write(2), which raises SIGPIPE when the peer has gone. So its
 * bytes go through a BIO of ours that uses send(2) with MSG_NOSIGNAL.
 */
#include "tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <spangate/base/mem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct tls {
    int fd;
    bool is_server;
    SSL_CTX *ctx; /* the client's own; NULL for a server's connection */
    SSL *ssl;
};

/* --- sending and receiving without signals --- */

static int socket_write(BIO *bio, const char *data, int len)
{
    const struct tls *tls = BIO_get_data(bio);
    ssize_t sent = send(tls->fd, data, (size_t)len, MSG_NOSIGNAL);

    BIO_clear_retry_flags(bio);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_write(bio);
    }
    return (int)sent;
}

static int socket_read(BIO *bio, char *data, int len)
{
    const struct tls *tls = BIO_get_data(bio);
    ssize_t got = recv(tls->fd, data, (size_t)len, 0);

    BIO_clear_retry_flags(bio);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_read(bio);
    }
    return (int)got;
}

static long socket_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static struct {
    pthread_once_t once;
    BIO_METHOD *method; /* for the life of the process */
} socket_bio = {.once = PTHREAD_ONCE_INIT};

static void make_method(void)
{
    socket_bio.method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    assert(socket_bio.method != NULL);
    (void)BIO_meth_set_write(socket_bio.method, socket_write);
    (void)BIO_meth_set_read(socket_bio.method, socket_read);
    (void)BIO_meth_set_ctrl(socket_bio.method, socket_ctrl);
}

static BIO *bio_new(struct tls *tls)
{
    (void)pthread_once(&socket_bio.once, make_method);
    BIO *bio = BIO_new(socket_bio.method);
    assert(bio != NULL);
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    return bio;
}

/* --- errors --- */

/* The first entry of OpenSSL's queue is the cause; the queue is emptied. */
static bool fail(struct error *err, const char *what, const char *detail)
{
    char text[160] = "no reason given";
    unsigned long code = ERR_get_error();

    if (code != 0) {
        const char *reason = ERR_reason_error_string(code);
        if (reason != NULL) {
            (void)snprintf(text, sizeof(text), "%s", reason);
        } else {
            ERR_error_string_n(code, text, sizeof(text));
        }
    }
    ERR_clear_error();
    return error_set(err, ERR_UNAVAILABLE, "%s%s%s: %s", what, detail[0] != '\0' ? " " : "", detail,
                     text);
}

/* --- setting up --- */

static bool load_files(SSL_CTX *ctx, const struct tls_options *options, struct error *err)
{
    const char *key = options->key_file != NULL ? options->key_file : options->cert_file;

    if (options->ca_file != NULL) {
        if (SSL_CTX_load_verify_file(ctx, options->ca_file) != 1) {
            return fail(err, "read certificate authorities from", options->ca_file);
        }
    } else if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return fail(err, "read the system's certificate authorities", "");
    }
    if (options->cert_file == NULL) {
        return true;
    }
    if (SSL_CTX_use_certificate_chain_file(ctx, options->cert_file) != 1) {
        return fail(err, "read the client certificate", options->cert_file);
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        return fail(err, "read the key", key);
    }
    if (SSL_CTX_check_private_key(ctx) != 1) {
        return fail(err, "use the key of the client certificate", options->cert_file);
    }
    return true;
}

static bool is_ip_address(const char *name)
{
    struct in6_addr any;

    return inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1;
}

static bool expect_name(SSL *ssl, const struct tls_options *options, struct error *err)
{
    const char *name = options->server_name;

    if (is_ip_address(name)) {
        if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) != 1) {
            return fail(err, "expect the address", name);
        }
        return true;
    }
    char *copy = mem_strdup(name); /* OpenSSL's macro wants it writable */
    bool ok = SSL_set_tlsext_host_name(ssl, copy) == 1 && SSL_set1_host(ssl, name) == 1;
    free(copy);
    return ok || fail(err, "expect the name", name);
}

bool tls_open(struct tls **out, int fd, const struct tls_options *options, struct error *err)
{
    static const unsigned char alpn[] = {2, 'h', '2'};
    struct tls *tls = mem_zalloc(1, sizeof(*tls));

    ERR_clear_error();
    tls->fd = fd;
    tls->ctx = SSL_CTX_new(TLS_client_method());
    assert(tls->ctx != NULL);
    SSL_CTX_set_verify(tls->ctx, options->skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION) != 1 ||
        !load_files(tls->ctx, options, err)) {
        tls_close(tls);
        return false;
    }
    tls->ssl = SSL_new(tls->ctx);
    assert(tls->ssl != NULL);
    BIO *bio = bio_new(tls);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_connect_state(tls->ssl);
    (void)SSL_set_alpn_protos(tls->ssl, alpn, sizeof(alpn));
    if (!expect_name(tls->ssl, options, err)) {
        tls_close(tls);
        return false;
    }
    *out = tls;
    return true;
}

struct tls *tls_accept(struct ssl_ctx_st *ctx, int fd)
{
    struct tls *tls = mem_zalloc(1, sizeof(*tls));

    tls->fd = fd;
    tls->is_server = true;
    tls->ssl = SSL_new(ctx);
    assert(tls->ssl != NULL);
    BIO *bio = bio_new(tls);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_accept_state(tls->ssl);
    return tls;
}

void tls_shutdown(struct tls *tls)
{
    if (SSL_is_init_finished(tls->ssl) && SSL_get_shutdown(tls->ssl) == 0) {
        (void)SSL_shutdown(tls->ssl);
        ERR_clear_error();
    }
}

void tls_close(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    if (tls->ssl != NULL) {
        if (SSL_is_init_finished(tls->ssl)) {
            (void)SSL_shutdown(tls->ssl);
        }
        SSL_free(tls->ssl);
    }
    SSL_CTX_free(tls->ctx);
    ERR_clear_error();
    free(tls);
}

/* --- the conversation --- */

static enum tls_step step_of(struct tls *tls, int rc, const char *what, struct error *err)
{
    switch (SSL_get_error(tls->ssl, rc)) {
    case SSL_ERROR_NONE:
        return TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    case SSL_ERROR_SYSCALL:
        if (ERR_peek_error() == 0) {
            return TLS_CLOSED;
        }
        break;
    default:
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
            ERR_clear_error();
            return TLS_CLOSED;
        }
        break;
    }
    (void)fail(err, what, "");
    return TLS_FAILED;
}

enum tls_step tls_handshake(struct tls *tls, struct error *err)
{
    const unsigned char *protocol = NULL;
    unsigned len = 0;

    ERR_clear_error();
    enum tls_step step = step_of(tls, SSL_do_handshake(tls->ssl), "TLS handshake", err);
    if (step == TLS_FAILED) {
        long verdict = SSL_get_verify_result(tls->ssl);
        if (verdict != X509_V_OK) {
            (void)error_set(err, ERR_UNAVAILABLE, "TLS handshake: certificate not trusted: %s",
                            X509_verify_cert_error_string(verdict));
        }
        return step;
    }
    if (step != TLS_DONE) {
        return step;
    }
    SSL_get0_alpn_selected(tls->ssl, &protocol, &len);
    if (len != 2 || memcmp(protocol, "h2", 2) != 0) {
        (void)error_set(err, ERR_UNAVAILABLE,
                        "TLS handshake: the %s does not offer HTTP/2 (ALPN h2)",
                        tls->is_server ? "client" : "server");
        return TLS_FAILED;
    }
    return TLS_DONE;
}

enum tls_step tls_read(struct tls *tls, void *data, size_t cap, size_t *len, struct error *err)
{
    ERR_clear_error();
    int rc = SSL_read(tls->ssl, data, cap > INT_MAX ? INT_MAX : (int)cap);
    *len = rc > 0 ? (size_t)rc : 0;
    return step_of(tls, rc, "TLS read", err);
}

enum tls_step tls_write(struct tls *tls, const void *data, size_t cap, size_t *len,
                        struct error *err)
{
    ERR_clear_error();
    int rc = SSL_write(tls->ssl, data, cap > INT_MAX ? INT_MAX : (int)cap);
    *len = rc > 0 ? (size_t)rc : 0;
    return step_of(tls, rc, "TLS write", err);
}
