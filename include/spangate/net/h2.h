/*
 * h2.h - HTTP/2 over nghttp2: a server on a loop, and a blocking client connection. The only
 * place that knows nghttp2.
 *
 * Windows: 1 MiB a stream, 4 MiB a connection, returned as the receiver consumes. Limits against
 * floods (resets, CONTINUATION, SETTINGS, PING, header lists over 16 KiB, streams) are set here.
 */
#ifndef SPANGATE_NET_H2_H
#define SPANGATE_NET_H2_H

#include <spangate/base/slice.h>
#include <spangate/base/strbuf.h>
#include <spangate/net/loop.h>
#include <spangate/net/tls.h>

struct h2_header {
    struct slice name, value;
};

/* --- server --- */

struct h2_server;
struct h2_stream; /* one request; lives until on_close */

struct h2_handler {
    /*
     * Request headers are complete. headers are valid during the call. end: no body follows. Set
     * the stream's own context with h2_stream_set_ctx().
     */
    void (*on_headers)(void *ctx, struct h2_stream *stream, const struct h2_header *headers,
                       size_t count, bool end);
    /*
     * Body bytes, valid during the call. They count against the windows until h2_consume(). Neither
     * these nor the end are told after an answer has begun or the stream was reset.
     */
    void (*on_data)(void *ctx, struct h2_stream *stream, struct slice data);
    /* END_STREAM; also after on_headers with end. */
    void (*on_end)(void *ctx, struct h2_stream *stream);
    /* The stream is gone (answered, reset or connection lost); free the stream's context. */
    void (*on_close)(void *ctx, struct h2_stream *stream);
    void *ctx;
};

struct h2_server_config {
    const char *endpoint;
    size_t max_concurrent_streams;  /* 100 */
    size_t max_connections;         /* 4096 */
    uint64_t idle_timeout_ns;       /* connection without streams; 0: never */
    uint64_t max_connection_age_ns; /* 0: never; ±10 % */
    uint64_t max_connection_age_grace_ns;
    /*
     * Line of text for a client that speaks HTTP/1 to this port. NULL: says only that this is
     * HTTP/2.
     */
    const char *http1_hint;
    const struct tls_server_settings *tls; /* NULL: clear text; borrowed for the server's life */
    struct h2_handler handler;
};

/*
 * Listens at once; runs on the loop's thread from the next turn on. ERR_IN_USE: the port is taken.
 * With tls also the errors of reading its files.
 */
bool h2_server_open(struct h2_server **out, struct loop *loop,
                    const struct h2_server_config *config, struct error *err) MUST_CHECK;
uint16_t h2_server_port(const struct h2_server *server);
/* Stop accepting, GOAWAY to all; connections end when their streams do. On the loop's thread. */
void h2_server_drain(struct h2_server *server);
/* No stream is left, and every answer is with the kernel. */
bool h2_server_is_idle(const struct h2_server *server);
void h2_server_close(struct h2_server *server); /* drops what is left */

/* The following run on the loop's thread. */
void h2_stream_set_ctx(struct h2_stream *stream, void *ctx);
void *h2_stream_ctx(const struct h2_stream *stream);
void h2_consume(struct h2_stream *stream, size_t len);
/*
 * Answer: headers, then body (copied; may be empty), then trailers; with body empty and
 * trailer_count 0 the headers carry END_STREAM (Trailers-Only). Once a stream.
 */
void h2_respond(struct h2_stream *stream, const struct h2_header *headers, size_t count,
                struct slice body, const struct h2_header *trailers, size_t trailer_count);
/*
 * The same in parts, for an answer that lasts: headers, any number of pieces (copied), trailers (at
 * least one).
 */
void h2_respond_begin(struct h2_stream *stream, const struct h2_header *headers, size_t count);
void h2_respond_data(struct h2_stream *stream, struct slice data);
void h2_respond_end(struct h2_stream *stream, const struct h2_header *trailers,
                    size_t trailer_count);
void h2_reset(struct h2_stream *stream, uint32_t error_code);

/* A name for a stream that survives it, to answer from another thread through loop_post(). */
uint64_t h2_stream_token(const struct h2_stream *stream);
struct h2_stream *h2_server_find(struct h2_server *server, uint64_t token); /* NULL: gone */

/* --- client: one connection, used by one thread, blocking with a deadline --- */

struct h2_client_config {
    const char *host;
    uint16_t port;
    bool tls;
    bool insecure_skip_verify;
    const char *ca_file, *cert_file, *key_file, *server_name; /* NULL: default */
};

struct h2_client;

struct h2_response {
    int status;            /* :status */
    struct strbuf headers; /* "name: value\n" lines of headers and trailers, lower-case names */
    struct strbuf body;    /* at most 4 MiB */
    bool trailers_only;
};

struct h2_client *h2_client_new(const struct h2_client_config *config);
/*
 * One request, connecting or reconnecting as needed. A connection that the peer closed with GOAWAY
 * before the stream was processed is retried once on a new one. ERR_UNAVAILABLE: connection, reset
 * stream or deadline; err says which. ERR_TOO_LARGE: the answer is over 4 MiB. response must be
 * initialised by h2_response_init() and is cleared first. timeout covers everything.
 */
bool h2_client_call(struct h2_client *client, const struct h2_header *headers, size_t count,
                    struct slice body, uint64_t timeout_ns, struct h2_response *response,
                    struct error *err) MUST_CHECK;
/* The same with a body in pieces, none of which is copied. */
bool h2_client_callv(struct h2_client *client, const struct h2_header *headers, size_t count,
                     const struct slice *parts, size_t part_count, uint64_t timeout_ns,
                     struct h2_response *response, struct error *err) MUST_CHECK;
void h2_client_interrupt(struct h2_client *client); /* any thread */
void h2_client_free(struct h2_client *client);
void h2_response_init(struct h2_response *response);
void h2_response_deinit(struct h2_response *response);
/* Value of the last header or trailer with this name; false when absent. */
bool h2_response_header(const struct h2_response *response, const char *name, struct slice *value);

#endif
