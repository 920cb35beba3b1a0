/*
 * reply.c - answers: through libmicrohttpd when the request was read to its end, straight to the
 * socket when it was not.
 *
 * libmicrohttpd takes an answer only before the first and after the last byte of a body, and in
 * the first case forgets what it should do with the rest. So an answer in the middle is written by
 * ourselves, with Connection: close, and the connection is then closed slowly (watch.c), so that
 * the peer can read the answer while it is still sending.
 */
#include "internal.h"
#include "tls.h"

#include <assert.h>
#include <spangate/base/log.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Such answers are short: an error and its reason. */
#define RAW_ANSWER_MAX ((size_t)64 << 10)

static void answer_raw(struct httpd_request *request, int status, const char *content_type,
                       struct slice body, const struct httpd_header_pair *headers,
                       size_t header_count)
{
    struct strbuf out;

    strbuf_init(&out, RAW_ANSWER_MAX);
    strbuf_printf(&out, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %zu\r\n", status,
                  MHD_get_reason_phrase_for((unsigned)status), body.len);
    if (content_type != NULL) {
        strbuf_printf(&out, "Content-Type: %s\r\n", content_type);
    }
    for (size_t i = 0; i < header_count; i++) {
        strbuf_printf(&out, "%s: %s\r\n", headers[i].name, headers[i].value);
    }
    strbuf_append_text(&out, "\r\n");
    if (strcmp(request->method, "HEAD") != 0) {
        strbuf_append_slice(&out, body);
    }
    /* The send buffer is empty: the last answer went out before this request was read. If the
     * peer is gone there is nobody to tell. */
    if (!out.overflow && request->connection->credentials != NULL) {
        tls_send(request->mhd, strbuf_slice(&out));
    } else if (!out.overflow) {
        (void)send(request->connection->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    strbuf_deinit(&out);
    request->raw_done = true;
    request->connection->linger = true;
}

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (MHD_add_response_header(response, name, value) != MHD_YES) {
        log_warn("httpd", "response header left out", "name=%s", name);
    }
}

void reply_unlink(struct httpd_request *request)
{
    struct httpd *httpd = request->connection->httpd;

    pthread_mutex_lock(&httpd->shared.lock);
    if (request->waiting) {
        if (request->prev != NULL) {
            request->prev->next = request->next;
        } else {
            httpd->shared.waiting = request->next;
        }
        if (request->next != NULL) {
            request->next->prev = request->prev;
        }
        request->waiting = false;
    }
    pthread_mutex_unlock(&httpd->shared.lock);
}

/* The response is taken. */
static void give(struct httpd_request *request, int status, const char *content_type,
                 struct MHD_Response *response, const struct httpd_header_pair *headers,
                 size_t header_count, bool close)
{
    struct httpd *httpd = request->connection->httpd;

    if (content_type != NULL) {
        add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    }
    for (size_t i = 0; i < header_count; i++) {
        add_header(response, headers[i].name, headers[i].value);
    }
    if (close || request->close || atomic_load_explicit(&httpd->draining, memory_order_relaxed)) {
        add_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    request->status = status;
    request->response = response;

    enum reply_state before =
        atomic_exchange_explicit(&request->reply, REPLY_GIVEN, memory_order_acq_rel);
    assert(before != REPLY_GIVEN);
    if (before == REPLY_SUSPENDED) {
        reply_unlink(request);
        MHD_resume_connection(request->mhd);
    }
    /* Otherwise the epoll thread finds the answer when the handler returns: hands off. */
}

void httpd_reply(struct httpd_request *request, int status, const char *content_type,
                 struct slice body, const struct httpd_header_pair *headers, size_t header_count,
                 bool close)
{
    if (request->raw) {
        answer_raw(request, status, content_type, body, headers, header_count);
        return;
    }

    /* libmicrohttpd copies: the pointer is not const for its other modes only. */
    union {
        const void *from;
        void *to;
    } data = {.from = body.data};
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.len, data.to, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        abort();
    }
    give(request, status, content_type, response, headers, header_count, close);
}

void httpd_reply_text(struct httpd_request *request, int status, const char *content_type,
                      struct strbuf *body, const struct httpd_header_pair *headers,
                      size_t header_count, bool close)
{
    if (request->raw || body->len == 0) {
        httpd_reply(request, status, content_type, strbuf_slice(body), headers, header_count,
                    close);
        strbuf_deinit(body);
        return;
    }

    size_t len = body->len;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, strbuf_take(body), MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        abort();
    }
    give(request, status, content_type, response, headers, header_count, close);
}

void reply_plain(struct httpd_request *request, int status, const char *text, bool close)
{
    static const struct httpd_header_pair retry = {"Retry-After", "1"};

    httpd_reply(request, status, "text/plain; charset=utf-8", slice_of(text), &retry,
                status == MHD_HTTP_SERVICE_UNAVAILABLE ? 1 : 0, close);
}

enum MHD_Result reply_send(struct httpd_request *request)
{
    struct connection *connection = request->connection;

    request->step = STEP_DONE;
    watch_enter(connection, WATCH_ANSWER);
    enum MHD_Result queued =
        MHD_queue_response(request->mhd, (unsigned)request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return queued;
}
