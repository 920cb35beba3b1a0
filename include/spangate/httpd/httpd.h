/*
 * httpd.h - HTTP/1.1 servers on libmicrohttpd: the only place that knows it.
 *
 * One epoll thread a server. A request is handed over whole (headers, body in a buf charged to the
 * budget) and answered either inside the handler or later from any thread. What libmicrohttpd
 * lets through and RFC 9112 does not (Content-Length with Transfer-Encoding, two lengths, other
 * codings than chunked) is refused with 400 and close before a handler sees it.
 */
#ifndef SPANGATE_HTTPD_HTTPD_H
#define SPANGATE_HTTPD_HTTPD_H

#include <spangate/base/buf.h>
#include <spangate/base/error.h>
#include <spangate/base/strbuf.h>
#include <spangate/net/tls.h>

struct httpd;
struct httpd_request;

/*
 * Called once the headers are there. Return how many body bytes may come (more: on_too_large's
 * answer is given). To answer without reading the body, call httpd_reply() and return 0.
 */
typedef size_t httpd_headers_fn(void *ctx, struct httpd_request *request);
/* Called when the body is complete. Reply now or later, exactly once. */
typedef void httpd_request_fn(void *ctx, struct httpd_request *request);
/* A body is over what on_headers allowed (ERR_TOO_LARGE), the budget refused it (ERR_LIMIT) or the
 * framing is wrong (ERR_INVALID): reply before returning. The connection is closed afterwards. */
typedef void httpd_refuse_fn(void *ctx, struct httpd_request *request, const struct error *err);

struct httpd_config {
    const char *name;             /* thread name, log */
    const char *endpoint;         /* "localhost:4318" */
    httpd_headers_fn *on_headers; /* NULL: bodies up to 64 KiB */
    httpd_request_fn *on_request;
    httpd_refuse_fn *on_refuse; /* NULL: plain text */
    void *ctx;
    struct budget *budget;                 /* bodies; NULL: none */
    size_t max_connections;                /* 4096 */
    size_t connection_memory;              /* 64 KiB */
    uint64_t idle_timeout_ns;              /* 120 s */
    const struct tls_server_settings *tls; /* NULL: clear text; borrowed for the server's life */
};

/* ERR_IN_USE: "cannot bind 127.0.0.1:4318: address in use". With tls also the errors of reading its
 * files. *out is set only on success. */
bool httpd_start(struct httpd **out, const struct httpd_config *config,
                 struct error *err) MUST_CHECK;
uint16_t httpd_port(const struct httpd *httpd);
/* No new connections; answers from now on carry Connection: close. */
void httpd_drain(struct httpd *httpd);
/* Requests that wait for a reply get 503 and are gone: whoever was to answer them must not do so
 * any more. Then all connections are closed. */
void httpd_stop(struct httpd *httpd);

/* Inside the handlers, and until the reply. Slices and strings live until the reply. */
const char *httpd_method(const struct httpd_request *request);
/* Decoded, without query and without scheme and authority (absolute-form), slashes collapsed. */
const char *httpd_path(const struct httpd_request *request);
const char *httpd_raw_path(const struct httpd_request *request); /* the same as sent, encoded */
/* NULL: absent. "Host" is the authority of an absolute-form target if there is one. */
const char *httpd_header(const struct httpd_request *request, const char *name);
/* Query parameters, decoded; n-th of that name, NULL: no more. */
const char *httpd_query(const struct httpd_request *request, const char *name, size_t n);
struct buf *httpd_body(struct httpd_request *request);        /* borrowed; NULL: empty */
struct buf *httpd_take_body(struct httpd_request *request);   /* taken; NULL: empty */
const char *httpd_peer(const struct httpd_request *request);  /* address text */
void httpd_set_ctx(struct httpd_request *request, void *ctx); /* the handler's own */
void *httpd_ctx(const struct httpd_request *request);

struct httpd_header_pair {
    const char *name, *value;
};

/*
 * Answer. body is copied; content_type NULL: none. Any thread, once. After it the request is gone.
 * `close`: end the connection after the answer.
 */
void httpd_reply(struct httpd_request *request, int status, const char *content_type,
                 struct slice body, const struct httpd_header_pair *headers, size_t header_count,
                 bool close);

/* The same with a body that is taken, not copied: for long answers. body is empty afterwards. */
void httpd_reply_text(struct httpd_request *request, int status, const char *content_type,
                      struct strbuf *body, const struct httpd_header_pair *headers,
                      size_t header_count, bool close);

#endif
