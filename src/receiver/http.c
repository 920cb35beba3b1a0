/*
 * http.c - the OTLP/HTTP front door: what a request is, where it goes, what comes back.
 *
 * Specification: OTLP 1.11 "OTLP/HTTP". Everything that can be said before the body is said before
 * the body: sender, path, method, media type, coding and size are checked when the headers are
 * there.
 *
 * Threads: handlers run on the epoll threads of httpd; answers come from any thread. A request
 * has no state of ours: what the answer needs is one of a few struct route, and the rest is in the
 * request's own headers.
 */
#include "http.h"
#include "receiver.h"

#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX ((size_t)64 << 20)
#define JSON_MAX ((size_t)16 << 20)
#define PROFILES_PATH "/v1development/profiles"

/* google.rpc.Code where the table of status.c has no row: it speaks of requests that exist. */
enum { RPC_UNIMPLEMENTED = 12 };

/* The label of METRIC_REQUESTS. */
static const char *const outcomes[] = {
    [ERR_NONE] = "accepted",
    [ERR_INVALID] = "invalid",
    [ERR_TOO_LARGE] = "too_large",
    [ERR_LIMIT] = "limit",
    [ERR_UNAVAILABLE] = "unavailable",
    [ERR_CORRUPT] = "unavailable",
    [ERR_NOT_FOUND] = "not_found",
    [ERR_UNSUPPORTED] = "unsupported",
    [ERR_UNAUTHENTICATED] = "unauthenticated",
    [ERR_IN_USE] = "unavailable",
};

/* What a request was found to be. */
struct route {
    struct http_receiver *receiver;
    enum otlp_signal signal;
    enum otlp_encoding encoding;
};

struct http_receiver {
    struct receiver base;
    const struct otlp_http_receiver_settings *settings;
    uint32_t index;
    struct ingest ingest;
    struct httpd *httpd;
    struct auth *auth; /* NULL: everybody may send */
    size_t body_max, json_max;
    atomic_bool draining;
    struct route routes[OTLP_SIGNALS][2]; /* by signal and encoding */
    char wrong_path[ERROR_MESSAGE_MAX];   /* what a request to an unknown path is told */
    struct metric_series *requests[COUNT_OF(outcomes)]; /* by error code */
    struct metric_series *received_bytes;
};

static const char *const signal_names[OTLP_SIGNALS] = {"traces", "metrics", "logs"};

/* --- answers --- */

/* headers has room for CORS_HEADERS_MAX more. */
static void reply(struct http_receiver *receiver, struct httpd_request *request, int status,
                  enum otlp_encoding encoding, struct strbuf *body,
                  struct httpd_header_pair *headers, size_t header_count, bool close)
{
    header_count += cors_headers(&receiver->settings->cors, request, headers + header_count);
    httpd_reply(request, status, otlp_content_type(encoding), strbuf_slice(body), headers,
                header_count, close);
    strbuf_deinit(body);
}

static void reply_error(struct http_receiver *receiver, struct httpd_request *request,
                        enum otlp_encoding encoding, const struct error *err)
{
    struct httpd_header_pair headers[3 + CORS_HEADERS_MAX];
    const struct status_row *row = status_of(err->code);
    const char *message = err->message;
    char retry_after[16];
    struct strbuf body;
    size_t n = 0;

    if (row->http == 503) {
        /* What is wrong inside is for our log; it may name files. */
        message = "data cannot be taken at the moment, send it again later";
    }
    if (row->retry_after_s > 0) {
        (void)snprintf(retry_after, sizeof(retry_after), "%u", row->retry_after_s);
        headers[n++] = (struct httpd_header_pair){"Retry-After", retry_after};
    }
    if (err->code == ERR_UNSUPPORTED) {
        headers[n++] =
            (struct httpd_header_pair){"Accept-Encoding", "gzip, deflate, zstd, identity"};
    }
    if (err->code == ERR_UNAUTHENTICATED && receiver->auth != NULL) {
        headers[n++] =
            (struct httpd_header_pair){"WWW-Authenticate", auth_challenge(receiver->auth)};
    }
    series_add(receiver->requests[err->code], 1);
    strbuf_init(&body, 4096);
    status_encode(encoding, row->body_code, message, row->retry_after_s, &body);
    /* A sender that keeps its one connection to a node in trouble would never find a better one. */
    reply(receiver, request, row->http, encoding, &body, headers, n, row->http == 503);
}

static void reply_not_allowed(struct http_receiver *receiver, struct httpd_request *request,
                              enum otlp_encoding encoding)
{
    struct httpd_header_pair headers[1 + CORS_HEADERS_MAX] = {{"Allow", "POST, OPTIONS"}};
    struct strbuf body;

    series_add(receiver->requests[ERR_UNSUPPORTED], 1);
    strbuf_init(&body, 4096);
    status_encode(encoding, RPC_UNIMPLEMENTED, "method not allowed, supported: POST", 0, &body);
    reply(receiver, request, 405, encoding, &body, headers, 1, false);
}

/* From the pipeline, on any thread. */
static void on_result(void *ctx, const struct ingest_result *result)
{
    struct httpd_request *request = ctx;
    const struct route *route = httpd_ctx(request);
    struct httpd_header_pair headers[CORS_HEADERS_MAX];
    struct strbuf body;

    if (result->err.code != ERR_NONE) {
        struct error err = result->err;
        if (err.code ==
            ERR_UNSUPPORTED) { /* no pipeline takes the signal: as if the path were not there */
            err.code = ERR_NOT_FOUND;
        }
        reply_error(route->receiver, request, route->encoding, &err);
        return;
    }
    series_add(route->receiver->requests[ERR_NONE], 1);
    strbuf_init(&body, 4096);
    export_response_encode(route->encoding, route->signal, result->rejected, result->message,
                           &body);
    reply(route->receiver, request, 200, route->encoding, &body, headers, 0, false);
}

/* --- what a request is --- */

/* Exactly the configured path, or that and one slash. */
static bool path_is(const char *path, const char *configured)
{
    size_t len = strlen(configured);

    return strncmp(path, configured, len) == 0 &&
           (path[len] == '\0' || (path[len] == '/' && path[len + 1] == '\0'));
}

static bool find_signal(const struct http_receiver *receiver, const char *path,
                        enum otlp_signal *out)
{
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        const char *configured = receiver->settings->url_path[signal];
        if (configured != NULL && path_is(path, configured)) {
            *out = (enum otlp_signal)signal;
            return true;
        }
    }
    return false;
}

static bool find_encoding(const struct httpd_request *request, enum otlp_encoding *out)
{
    const char *type = httpd_header(request, "Content-Type");

    if (media_type_is(type, "application/x-protobuf") ||
        media_type_is(type, "application/protobuf")) {
        *out = OTLP_PROTOBUF;
        return true;
    }
    /* Errors are readable text for whom we cannot tell. */
    *out = OTLP_JSON;
    return media_type_is(type, "application/json");
}

static bool is_grpc(const char *content_type)
{
    return content_type != NULL && strncmp(content_type, "application/grpc", 16) == 0;
}

static bool find_header(void *ctx, const char *name, struct slice *value)
{
    const char *text = httpd_header(ctx, name);

    *value = text != NULL ? slice_of(text) : (struct slice){0};
    return text != NULL;
}

static bool check_sender(struct http_receiver *receiver, struct httpd_request *request,
                         struct error *err)
{
    if (receiver->auth == NULL || auth_check(receiver->auth, find_header, request, err)) {
        return true;
    }
    log_warn("receiver", "request refused", "receiver=http endpoint=%s peer=%s error=\"%s\"",
             receiver->settings->endpoint, httpd_peer(request), err->message);
    return false;
}

/* Whether the path is one of ours and leads somewhere. */
static bool check_path(struct http_receiver *receiver, const struct httpd_request *request,
                       enum otlp_signal *signal, struct error *err)
{
    if (path_is(httpd_path(request), PROFILES_PATH)) {
        return error_set(err, ERR_NOT_FOUND, "profiles are not supported");
    }
    if (!find_signal(receiver, httpd_path(request), signal)) {
        return error_set(err, ERR_NOT_FOUND, "%s", receiver->wrong_path);
    }
    if (!receiver->ingest.takes(receiver->ingest.ctx, receiver->index, *signal)) {
        return error_set(err, ERR_NOT_FOUND, "no pipeline takes %s from this receiver",
                         signal_names[*signal]);
    }
    return true;
}

/* Whether the headers announce something that we could read. */
static bool check_content(struct http_receiver *receiver, const struct httpd_request *request,
                          bool known_type, struct codings *codings, struct error *err)
{
    if (atomic_load_explicit(&receiver->draining, memory_order_relaxed)) {
        return error_set(err, ERR_UNAVAILABLE, "shutting down");
    }
    if (!known_type) {
        return error_set(err, ERR_UNSUPPORTED, "%s",
                         is_grpc(httpd_header(request, "Content-Type"))
                             ? "this port speaks OTLP/HTTP; OTLP/gRPC has its own, usually 4317"
                             : "unsupported media type, supported: application/x-protobuf, "
                               "application/json");
    }
    return codings_parse(httpd_header(request, "Content-Encoding"), codings, err);
}

static size_t on_headers(void *ctx, struct httpd_request *request)
{
    struct http_receiver *receiver = ctx;
    enum otlp_encoding encoding = OTLP_JSON;
    enum otlp_signal signal = OTLP_TRACES;
    struct codings codings = {0};
    struct error err;

    if (cors_preflight(&receiver->settings->cors, request)) {
        return 0;
    }
    bool known_type = find_encoding(request, &encoding);
    if (!check_sender(receiver, request, &err) || !check_path(receiver, request, &signal, &err)) {
        reply_error(receiver, request, encoding, &err);
        return 0;
    }
    if (strcmp(httpd_method(request), "POST") != 0) {
        reply_not_allowed(receiver, request, encoding);
        return 0;
    }
    if (!check_content(receiver, request, known_type, &codings, &err)) {
        reply_error(receiver, request, encoding, &err);
        return 0;
    }
    httpd_set_ctx(request, &receiver->routes[signal][encoding]);
    return encoding == OTLP_JSON && codings.count == 0 ? receiver->json_max : receiver->body_max;
}

static void on_refuse(void *ctx, struct httpd_request *request, const struct error *err)
{
    enum otlp_encoding encoding;

    (void)find_encoding(request, &encoding);
    reply_error(ctx, request, encoding, err);
}

static void on_request(void *ctx, struct httpd_request *request)
{
    struct http_receiver *receiver = ctx;
    const struct route *route = httpd_ctx(request);
    bool json = route->encoding == OTLP_JSON;
    struct buf *body = httpd_take_body(request);
    struct codings codings;
    struct error err;

    if (!codings_parse(httpd_header(request, "Content-Encoding"), &codings, &err) ||
        !codings_undo(&codings, json ? receiver->json_max : receiver->body_max,
                      receiver->ingest.budget, &body, &err)) {
        buf_unref(body);
        reply_error(receiver, request, route->encoding, &err);
        return;
    }
    series_add(receiver->received_bytes, body != NULL ? body->len : 0);
    if (body != NULL && body->len == 0) {
        buf_unref(body);
        body = NULL;
    }
    if (json && body == NULL) {
        log_info("receiver", "empty body with a JSON content type, taken as an empty request",
                 "peer=%s", httpd_peer(request));
    }
    if (json && body != NULL &&
        !body_from_json(route->signal, receiver->body_max, receiver->ingest.budget, &body, &err)) {
        reply_error(receiver, request, route->encoding, &err);
        return;
    }

    struct ingest_request ingest = {
        .signal = route->signal,
        .body = body,
        .transport = "http",
        .receiver = receiver->index,
        .reply = on_result,
        .reply_ctx = request,
    };
    receiver->ingest.submit(receiver->ingest.ctx, &ingest);
}

/* --- open and close --- */

static uint16_t http_port(const struct receiver *base)
{
    return httpd_port(((const struct http_receiver *)base)->httpd);
}

static void http_drain(struct receiver *base)
{
    struct http_receiver *receiver = (struct http_receiver *)base;

    atomic_store(&receiver->draining, true);
    httpd_drain(receiver->httpd);
}

static void http_close(struct receiver *base)
{
    struct http_receiver *receiver = (struct http_receiver *)base;

    httpd_stop(receiver->httpd);
    auth_free(receiver->auth);
    free(receiver);
}

static const struct receiver_ops http_ops = {
    .port = http_port,
    .drain = http_drain,
    .close = http_close,
};

static void describe_paths(struct http_receiver *receiver)
{
    struct strbuf text;

    strbuf_init(&text, sizeof(receiver->wrong_path) - 1);
    strbuf_append_text(&text, "no such path; this receiver has ");
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        if (receiver->settings->url_path[signal] != NULL) {
            strbuf_printf(&text, "%s%s", signal > 0 ? ", " : "",
                          receiver->settings->url_path[signal]);
        }
    }
    strbuf_append_text(&text, " (a base endpoint of an exporter must not hold the path, one for a "
                              "single signal must)");
    (void)snprintf(receiver->wrong_path, sizeof(receiver->wrong_path), "%s",
                   text.data != NULL ? text.data : "");
    strbuf_deinit(&text);
}

bool otlp_http_receiver_open(struct receiver **out,
                             const struct otlp_http_receiver_settings *settings, uint32_t index,
                             const struct ingest *ingest, struct error *err)
{
    struct http_receiver *receiver = mem_zalloc(1, sizeof(*receiver));

    receiver->base.ops = &http_ops;
    receiver->settings = settings;
    receiver->index = index;
    receiver->ingest = *ingest;
    receiver->body_max =
        settings->max_request_body_size > 0 ? (size_t)settings->max_request_body_size : BODY_MAX;
    receiver->json_max =
        settings->max_json_body_size > 0 ? (size_t)settings->max_json_body_size : JSON_MAX;
    if (receiver->json_max > receiver->body_max) {
        receiver->json_max = receiver->body_max;
    }
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        for (int encoding = 0; encoding < 2; encoding++) {
            receiver->routes[signal][encoding] =
                (struct route){receiver, (enum otlp_signal)signal, (enum otlp_encoding)encoding};
        }
    }
    describe_paths(receiver);
    for (size_t code = 0; code < COUNT_OF(outcomes); code++) {
        receiver->requests[code] = metric_series(METRIC_REQUESTS, "http", outcomes[code]);
    }
    receiver->received_bytes = metric_series(METRIC_RECEIVED_BYTES, "http", NULL);

    struct httpd_config config = {
        .name = "otlp-http",
        .endpoint = settings->endpoint,
        .on_headers = on_headers,
        .on_request = on_request,
        .on_refuse = on_refuse,
        .ctx = receiver,
        .budget = ingest->budget,
        .idle_timeout_ns = settings->idle_timeout_ns,
        .tls = settings->tls,
    };
    if ((settings->auth != NULL && !auth_new(&receiver->auth, settings->auth, err)) ||
        !httpd_start(&receiver->httpd, &config, err)) {
        auth_free(receiver->auth);
        free(receiver);
        return error_wrap(err, "OTLP/HTTP receiver");
    }
    *out = &receiver->base;
    return true;
}
