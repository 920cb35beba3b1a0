/*
 * tls_server.c - certificate, key and authorities of a listener.
 *
 * They stand in one SSL_CTX. When files change a fresh one is made and takes its place; connections
 * hold on to the one they began with. Files that cannot be used are reported and the old ones stay,
 * so that a certificate that is being replaced does not close the door.
 *
 * Thread: that of the server's loop.
 */
#include "tls.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <spangate/base/clock.h>
#include <spangate/base/file_stamp.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

enum { FILES = 3 };

struct tls_listener {
    const struct tls_server_settings *settings;
    SSL_CTX *ctx;
    uint64_t looked_ns;
    struct file_stamp stamps[FILES];
};

static bool fail(struct error *err, const char *what, const char *file)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_reason_error_string(code);

    if (ERR_SYSTEM_ERROR(code)) {
        (void)error_set_errno(err, ERR_GET_REASON(code), "%s %s", what, file);
    } else {
        (void)error_set(err, ERR_INVALID, "%s %s: %s", what, file,
                        reason != NULL ? reason : "it holds something else");
    }
    ERR_clear_error();
    return false;
}

/* A key with a password would make OpenSSL ask on the terminal. */
static int no_password(char *buf, int size, int for_writing, void *ctx)
{
    (void)buf;
    (void)size;
    (void)for_writing;
    (void)ctx;
    return -1;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *ctx)
{
    (void)ssl;
    (void)ctx;
    for (unsigned at = 0; at < in_len; at += 1U + in[at]) {
        if (in[at] == 2 && in_len - at > 2 && in[at + 1] == 'h' && in[at + 2] == '2') {
            *out = in + at + 1;
            *out_len = 2;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool load_files(SSL_CTX *ctx, const struct tls_server_settings *settings, struct error *err)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, settings->cert_file) != 1) {
        return fail(err, "read the certificate", settings->cert_file);
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, settings->key_file, SSL_FILETYPE_PEM) != 1) {
        return fail(err, "read the key", settings->key_file);
    }
    if (SSL_CTX_check_private_key(ctx) != 1) {
        return fail(err, "use the key", settings->key_file);
    }
    if (settings->client_ca_file == NULL) {
        return true;
    }
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(settings->client_ca_file);
    if (names == NULL || SSL_CTX_load_verify_file(ctx, settings->client_ca_file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return fail(err, "read certificate authorities from", settings->client_ca_file);
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

static SSL_CTX *context_new(const struct tls_server_settings *settings, struct error *err)
{
    static const unsigned char session_context[] = "spangate";
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    assert(ctx != NULL);
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    (void)SSL_CTX_set_min_proto_version(ctx, settings->min_version == TLS_1_3 ? TLS1_3_VERSION
                                                                              : TLS1_2_VERSION);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    if (!load_files(ctx, settings, err)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static void take_stamps(const struct tls_server_settings *settings, struct file_stamp out[FILES])
{
    out[0] = file_stamp(settings->cert_file);
    out[1] = file_stamp(settings->key_file);
    out[2] = file_stamp(settings->client_ca_file);
}

static bool same_stamps(const struct file_stamp *a, const struct file_stamp *b)
{
    bool same = true;

    for (size_t i = 0; i < FILES; i++) {
        same = same && file_stamp_equal(&a[i], &b[i]);
    }
    return same;
}

static void load_again(struct tls_listener *listener, uint64_t now_ns)
{
    const struct tls_server_settings *settings = listener->settings;
    struct file_stamp stamps[FILES];
    struct error err;

    if (settings->reload_interval_ns == 0 ||
        now_ns - listener->looked_ns < settings->reload_interval_ns) {
        return;
    }
    listener->looked_ns = now_ns;
    take_stamps(settings, stamps);
    if (same_stamps(stamps, listener->stamps)) {
        return;
    }
    SSL_CTX *fresh = context_new(settings, &err);
    if (fresh == NULL) {
        log_warn("net", "certificates cannot be read again, the old ones stay", "error=\"%s\"",
                 err.message);
        return; /* asked again after the interval */
    }
    memcpy(listener->stamps, stamps, sizeof(stamps));
    SSL_CTX_free(listener->ctx);
    listener->ctx = fresh;
    log_info("net", "certificates read again", "cert_file=%s", settings->cert_file);
}

bool tls_listener_open(struct tls_listener **out, const struct tls_server_settings *settings,
                       struct error *err)
{
    struct tls_listener *listener = mem_zalloc(1, sizeof(*listener));

    listener->settings = settings;
    listener->looked_ns = clock_monotonic(&clock_system);
    take_stamps(settings, listener->stamps); /* first: a change meanwhile is seen later */
    listener->ctx = context_new(settings, err);
    if (listener->ctx == NULL) {
        free(listener);
        return false;
    }
    *out = listener;
    return true;
}

void tls_listener_close(struct tls_listener *listener)
{
    if (listener != NULL) {
        SSL_CTX_free(listener->ctx);
        free(listener);
    }
}

struct tls *tls_listener_accept(struct tls_listener *listener, int fd, uint64_t now_ns)
{
    load_again(listener, now_ns);
    return tls_accept(listener->ctx, fd);
}
