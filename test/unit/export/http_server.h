/*
 * http_server.h - a small HTTP/1.1 server in a thread, for tests of clients.
 *
 * It answers request after request by a script and keeps what it was sent. One connection at a
 * time. Close the client first, then call server_stop().
 */
#ifndef SPANGATE_TEST_EXPORT_HTTP_SERVER_H
#define SPANGATE_TEST_EXPORT_HTTP_SERVER_H

#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <spangate/base/strbuf.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUESTS_MAX = 16 };

struct http_reply {
    int status;          /* 0: close the connection without an answer */
    const char *headers; /* lines with \r\n, without Content-Length */
    const char *body;
    size_t body_len; /* 0: strlen(body) */
    bool silent;     /* never answer: wait until the client goes away */
    bool close;      /* afterwards */
    bool cut;        /* promise one byte more than there is, and close */
};

struct http_request {
    char *head; /* request line and headers */
    struct strbuf body;
    int connection;
};

struct http_server {
    int fd;
    uint16_t port;
    const struct http_reply *script; /* the last reply is repeated */
    size_t script_len;
    SSL_CTX *tls; /* NULL: plain */
    pthread_t thread;

    pthread_mutex_t lock; /* of what follows, while the thread runs */
    pthread_cond_t changed;
    struct http_request requests[REQUESTS_MAX];
    size_t request_count;
};

struct http_peer {
    int fd;
    SSL *ssl;
};

static inline ssize_t peer_read(struct http_peer *peer, void *data, size_t len)
{
    return peer->ssl != NULL ? SSL_read(peer->ssl, data, (int)len) : recv(peer->fd, data, len, 0);
}

static inline bool peer_write(struct http_peer *peer, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = peer->ssl != NULL ? SSL_write(peer->ssl, at, (int)len)
                                      : send(peer->fd, at, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* Read one request. false: the client closed. */
static inline bool read_request(struct http_peer *peer, struct http_request *out)
{
    struct strbuf in;
    size_t head_len = 0;
    size_t body_len = 0;

    strbuf_init(&in, 256 * 1024 * 1024);
    for (;;) {
        char *end = in.len > 0 ? strstr(in.data, "\r\n\r\n") : NULL;
        if (head_len == 0 && end != NULL) {
            head_len = (size_t)(end - in.data) + 4;
            for (char *line = in.data; line < end; line = strstr(line, "\r\n") + 2) {
                if (strncasecmp(line, "Content-Length:", 15) == 0) {
                    body_len = strtoul(line + 15, NULL, 10);
                }
            }
        }
        if (head_len > 0 && in.len >= head_len + body_len) {
            break;
        }
        if (!strbuf_reserve(&in, 65536)) {
            abort();
        }
        ssize_t n = peer_read(peer, in.data + in.len, 65536);
        if (n <= 0) {
            strbuf_deinit(&in);
            return false;
        }
        in.len += (size_t)n;
        in.data[in.len] = '\0';
    }
    out->head = strndup(in.data, head_len);
    strbuf_init(&out->body, 256 * 1024 * 1024);
    strbuf_append(&out->body, in.data + head_len, body_len);
    strbuf_deinit(&in);
    return true;
}

static inline bool write_reply(struct http_peer *peer, const struct http_reply *reply)
{
    char head[512];
    const char *body = reply->body == NULL ? "" : reply->body;
    size_t len = reply->body_len > 0 ? reply->body_len : strlen(body);

    if (reply->status == 0) {
        return false;
    }
    if (reply->silent) {
        char byte;
        (void)peer_read(peer, &byte, 1);
        return false;
    }
    int n = snprintf(head, sizeof(head), "HTTP/1.1 %d Whatever\r\n%sContent-Length: %zu\r\n\r\n",
                     reply->status, reply->headers == NULL ? "" : reply->headers,
                     len + (reply->cut ? 1 : 0));
    return peer_write(peer, head, (size_t)n) && peer_write(peer, body, len) && !reply->close &&
           !reply->cut;
}

static inline void serve_connection(struct http_server *server, struct http_peer *peer,
                                    int connection)
{
    struct http_request request = {.connection = connection};

    while (read_request(peer, &request)) {
        (void)pthread_mutex_lock(&server->lock);
        assert_true(server->request_count < REQUESTS_MAX);
        size_t n = server->request_count++;
        server->requests[n] = request;
        (void)pthread_cond_broadcast(&server->changed);
        (void)pthread_mutex_unlock(&server->lock);
        size_t step = n < server->script_len ? n : server->script_len - 1;
        if (!write_reply(peer, &server->script[step])) {
            break;
        }
    }
}

static inline void *serve(void *arg)
{
    struct http_server *server = arg;

    for (int connection = 0;; connection++) {
        struct http_peer peer = {.fd = accept(server->fd, NULL, NULL)};
        if (peer.fd < 0) {
            return NULL;
        }
        bool ready = true;
        if (server->tls != NULL) {
            peer.ssl = SSL_new(server->tls);
            ready = SSL_set_fd(peer.ssl, peer.fd) == 1 && SSL_accept(peer.ssl) == 1;
        }
        if (ready) {
            serve_connection(server, &peer, connection);
        }
        SSL_free(peer.ssl);
        (void)close(peer.fd);
    }
}

static inline void server_start(struct http_server *server, const struct http_reply *script,
                                size_t script_len, SSL_CTX *tls)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    *server = (struct http_server){.script = script, .script_len = script_len, .tls = tls};
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->fd >= 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(server->fd, 16), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &len), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_mutex_init(&server->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&server->changed, NULL), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

/* Wait until so many requests have come. */
static inline void server_wait(struct http_server *server, size_t count)
{
    (void)pthread_mutex_lock(&server->lock);
    while (server->request_count < count) {
        (void)pthread_cond_wait(&server->changed, &server->lock);
    }
    (void)pthread_mutex_unlock(&server->lock);
}

/* The thread ends; what it was sent can be looked at until server_free(). */
static inline void server_stop(struct http_server *server)
{
    (void)shutdown(server->fd, SHUT_RDWR);
    (void)pthread_join(server->thread, NULL);
    (void)close(server->fd);
}

static inline void server_free(struct http_server *server)
{
    for (size_t i = 0; i < server->request_count; i++) {
        free(server->requests[i].head);
        strbuf_deinit(&server->requests[i].body);
    }
    (void)pthread_mutex_destroy(&server->lock);
    (void)pthread_cond_destroy(&server->changed);
}

/* Whether the head has this line, ended by \r\n. */
static inline bool has_line(const struct http_request *request, const char *line)
{
    const char *at = strstr(request->head, line);

    return at != NULL && (at == request->head || at[-1] == '\n') &&
           strncmp(at + strlen(line), "\r\n", 2) == 0;
}

/* Whether there is a header of this name. */
static inline bool has_header(const struct http_request *request, const char *name)
{
    size_t len = strlen(name);

    for (const char *line = request->head; line[0] != '\r'; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            return true;
        }
    }
    return false;
}

#endif
