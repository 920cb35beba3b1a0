/*
 * tls.h - TLS over a non-blocking socket, both sides. The only place that knows OpenSSL.
 *
 * TLS 1.2 at least, ALPN must agree on h2. As a client the server's certificate is verified unless
 * told otherwise; as a server the client's is where authorities for it are configured.
 */
#ifndef SPANGATE_SRC_TLS_H
#define SPANGATE_SRC_TLS_H

#include <spangate/base/error.h>
#include <spangate/net/tls.h>
#include <stddef.h>
#include <sys/types.h>

struct tls_options {
    const char
        *server_name; /* expected in the certificate; a name is sent as SNI, an address is not */
    bool skip_verify;
    const char *ca_file, *cert_file,
        *key_file; /* NULL: system's authorities; no client certificate */
};

struct tls;

/* Files are read now, so replaced certificates are seen by the next connection. fd is borrowed. */
bool tls_open(struct tls **out, int fd, const struct tls_options *options,
              struct error *err) MUST_CHECK;
void tls_close(struct tls *tls); /* NULL is allowed */

/* Say goodbye (close_notify), as far as the socket takes it. */
void tls_shutdown(struct tls *tls);

/* --- tls_server.c: the files of a listener, read again when they change. One thread. --- */

struct tls_listener;

/* settings are borrowed. ERR_INVALID: a file is missing or holds something else. */
bool tls_listener_open(struct tls_listener **out, const struct tls_server_settings *settings,
                       struct error *err) MUST_CHECK;
void tls_listener_close(struct tls_listener *listener); /* NULL is allowed */
/* For a connection that was accepted at now_ns (monotonic). fd is borrowed. */
struct tls *tls_listener_accept(struct tls_listener *listener, int fd, uint64_t now_ns);

/* --- tls.c --- */

struct ssl_ctx_st;
struct tls *tls_accept(struct ssl_ctx_st *ctx, int fd); /* ctx is counted up */

enum tls_step { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_CLOSED, TLS_FAILED };

/* err is filled with TLS_FAILED only. *len: bytes read or written, with TLS_DONE. */
enum tls_step tls_handshake(struct tls *tls, struct error *err) MUST_CHECK;
enum tls_step tls_read(struct tls *tls, void *data, size_t cap, size_t *len,
                       struct error *err) MUST_CHECK;
enum tls_step tls_write(struct tls *tls, const void *data, size_t cap, size_t *len,
                        struct error *err) MUST_CHECK;

#endif
