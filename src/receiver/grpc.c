/*
 * grpc.c - the OTLP/gRPC front door: Export of the three signals, and grpc.health.v1.
 *
 * Specification: OTLP 1.11 "OTLP/gRPC", "gRPC over HTTP2", grpc.health.v1.
 *
 * Threads: the receiver's own thread runs the loop with all connections; requests are parsed,
 * inflated and given to ingest there. The reply comes from any thread: a call is put into a list
 * and the loop is woken once for all that have gathered. A call belongs to the loop's thread but
 * between submit and reply, when it belongs to ingest.
 *
 * A request that cannot be served is read to its end before it is refused: clients lose the answer
 * when the stream is reset under them.
 */
#include "grpc_answer.h"
#include "grpc_health.h"
#include "grpc_message.h"
#include "receiver.h"

#include <inttypes.h>
#include <spangate/base/clock.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>
#include <spangate/base/thread.h>
#include <spangate/codec/codec.h>
#include <spangate/net/h2.h>
#include <spangate/otlp/status.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    MESSAGE_BYTES_MAX = 64 << 20,
    HEALTH_BYTES_MAX = 4096,
    DRAIN_BYTES = 16 << 20,   /* read of a refused request beyond the limit, before it is cut off */
    STRANGER_BYTES = 1 << 20, /* read of one whose sender is not known */
    SPARE_CALLS = 1024,
    NAME_MAX_BYTES = 128, /* of a path or coding, in messages */
};

#define CLOSE_GRACE_NS (1 * NS_PER_S)
#define CLOSE_CHECK_NS (5 * NS_PER_MS)

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

#define OTLP_SERVICE(package, name) "opentelemetry.proto.collector." package ".v1." name

#define HEALTH_CHECK "/grpc.health.v1.Health/Check"
#define PROFILES_SERVICE "/opentelemetry.proto.collector.profiles."

static const char *const services[OTLP_SIGNALS] = {
    [OTLP_TRACES] = OTLP_SERVICE("trace", "TraceService"),
    [OTLP_METRICS] = OTLP_SERVICE("metrics", "MetricsService"),
    [OTLP_LOGS] = OTLP_SERVICE("logs", "LogsService"),
};

struct grpc_call;

/* What a method does with its message; the stream is there. */
typedef void method_fn(struct grpc_call *call);

struct method {
    const char *path;
    method_fn *run;
    enum otlp_signal signal;
};

struct grpc_receiver {
    struct receiver base;
    uint32_t index;
    struct ingest ingest;
    const char *endpoint;
    struct auth *auth; /* NULL: everybody may send */
    size_t message_max;
    struct thread thread;
    struct loop *loop;
    struct h2_server *server;
    struct metric_series *requests[COUNT_OF(outcomes)]; /* by error code */
    struct metric_series *received_bytes;

    /* The loop's thread only. */
    struct {
        size_t outstanding; /* submitted, not replied to */
        bool draining;
        uint64_t close_ns;
        struct loop_timer close_timer;
        struct grpc_call *watchers;
        struct grpc_call *spare;
        size_t spare_count;
    } own;

    /* Replies from other threads, in order. */
    struct {
        pthread_mutex_t lock;
        struct grpc_call *first;
        struct grpc_call **last;
        bool posted; /* the loop will come and take them */
    } shared;
};

struct grpc_call {
    struct grpc_receiver *receiver;
    struct h2_stream *stream; /* NULL: the client has gone */
    const struct method *method;
    struct grpc_message message;
    uint64_t received;
    uint64_t received_max; /* of a request that is refused: then it is cut off */
    enum codec codec;
    bool codec_known;
    bool submitted; /* with ingest: must not be freed */
    bool answered;
    bool watching;

    /* Why it is refused, once that is known. Text in result.err. */
    bool refused;
    int http;
    int grpc;
    unsigned retry_after_s;

    struct grpc_call *prev; /* of the watchers */
    struct grpc_call *next; /* of the watchers, the replies, or the spare ones */

    struct {
        struct error err;
        uint64_t rejected;
        char message[256];
    } result;
};

/* The receiver whose loop this thread runs: a reply that comes within submit needs no detour. */
static _Thread_local struct grpc_receiver *receiver_here;

/* --- calls --- */

static struct grpc_call *call_new(struct grpc_receiver *receiver, struct h2_stream *stream)
{
    struct grpc_call *call = receiver->own.spare;

    if (call != NULL) {
        receiver->own.spare = call->next;
        receiver->own.spare_count--;
    } else {
        call = mem_alloc(sizeof(*call));
    }
    memset(call, 0, offsetof(struct grpc_call, result));
    call->result.err.code = ERR_NONE;
    call->receiver = receiver;
    call->stream = stream;
    return call;
}

static void call_free(struct grpc_call *call)
{
    struct grpc_receiver *receiver = call->receiver;

    grpc_message_deinit(&call->message);
    if (receiver->own.spare_count >= SPARE_CALLS) {
        free(call);
        return;
    }
    call->next = receiver->own.spare;
    receiver->own.spare = call;
    receiver->own.spare_count++;
}

/* Decide that the call is refused; the first reason stands. */
static void refuse(struct grpc_call *call, enum error_code code, int grpc, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

static void refuse(struct grpc_call *call, enum error_code code, int grpc, const char *fmt, ...)
{
    va_list args;

    if (call->refused) {
        return;
    }
    call->refused = true;
    call->http = 200;
    call->grpc = grpc;
    call->retry_after_s = status_of(code)->retry_after_s;
    call->result.err.code = code;
    va_start(args, fmt);
    (void)vsnprintf(call->result.err.message, sizeof(call->result.err.message), fmt, args);
    va_end(args);
    grpc_message_deinit(&call->message);
}

/* result.err as the table of otlp/status.h has it. */
static void refuse_by_table(struct grpc_call *call)
{
    const struct status_row *row = status_of(call->result.err.code);

    call->refused = true;
    call->http = 200;
    call->grpc = row->grpc;
    call->retry_after_s = row->retry_after_s;
    if (row->http == 503) {
        /* What is wrong inside is for our log; it may name files. */
        (void)snprintf(call->result.err.message, sizeof(call->result.err.message),
                       "data cannot be taken at the moment, send it again later");
    }
}

static void answer_refusal(struct grpc_call *call)
{
    const struct grpc_refusal refusal = {
        .http = call->http,
        .grpc = call->grpc,
        .retry_after_s = call->retry_after_s,
        .message = call->result.err.message,
    };

    series_add(call->receiver->requests[call->result.err.code], 1);
    if (call->stream != NULL && !call->answered) {
        call->answered = true;
        grpc_refuse(call->stream, &refusal);
    }
}

/* --- Export --- */

static void answer_export(struct grpc_call *call)
{
    struct strbuf response;

    if (call->result.err.code == ERR_UNSUPPORTED) {
        refuse(call, ERR_UNSUPPORTED, GRPC_UNIMPLEMENTED, "unknown service %s",
               services[call->method->signal]);
    }
    if (call->result.err.code != ERR_NONE) {
        if (!call->refused) {
            refuse_by_table(call);
        }
        answer_refusal(call);
        return;
    }
    series_add(call->receiver->requests[ERR_NONE], 1);
    if (call->stream == NULL) {
        return;
    }
    call->answered = true;
    if (call->result.rejected == 0 && call->result.message[0] == '\0') {
        grpc_answer(call->stream, (struct slice){0});
        return;
    }
    strbuf_init(&response, 4096);
    export_response_encode(OTLP_PROTOBUF, call->method->signal, call->result.rejected,
                           call->result.message, &response);
    grpc_answer(call->stream, strbuf_slice(&response));
    strbuf_deinit(&response);
}

static void finish_export(struct grpc_call *call)
{
    call->submitted = false;
    call->receiver->own.outstanding--;
    answer_export(call);
    if (call->stream == NULL) {
        call_free(call);
    }
}

static void take_replies(void *ctx)
{
    struct grpc_receiver *receiver = ctx;

    (void)pthread_mutex_lock(&receiver->shared.lock);
    struct grpc_call *call = receiver->shared.first;
    receiver->shared.first = NULL;
    receiver->shared.last = &receiver->shared.first;
    receiver->shared.posted = false;
    (void)pthread_mutex_unlock(&receiver->shared.lock);

    while (call != NULL) {
        struct grpc_call *next = call->next;
        finish_export(call);
        call = next;
    }
}

/* From the pipeline, on any thread. */
static void on_reply(void *ctx, const struct ingest_result *result)
{
    struct grpc_call *call = ctx;
    struct grpc_receiver *receiver = call->receiver;

    if (result->err.code != ERR_NONE) {
        call->result.err = result->err;
    }
    call->result.rejected = result->rejected;
    (void)snprintf(call->result.message, sizeof(call->result.message), "%s",
                   result->message != NULL ? result->message : "");
    if (receiver_here == receiver) {
        finish_export(call);
        return;
    }
    (void)pthread_mutex_lock(&receiver->shared.lock);
    call->next = NULL;
    *receiver->shared.last = call;
    receiver->shared.last = &call->next;
    if (!receiver->shared.posted) {
        receiver->shared.posted = true;
        /* Under the lock: once it is open the receiver may be closed at any moment. */
        loop_post(receiver->loop, take_replies, receiver);
    }
    (void)pthread_mutex_unlock(&receiver->shared.lock);
}

/* Undo grpc-encoding. false: the call is refused. */
static bool inflate(struct grpc_call *call, struct buf **body)
{
    struct grpc_receiver *receiver = call->receiver;
    struct buf *inflated = NULL;
    struct error err;

    if (!call->message.compressed) {
        return true;
    }
    if (!call->codec_known) {
        refuse(call, ERR_UNSUPPORTED, GRPC_UNIMPLEMENTED,
               "the message is compressed with a coding that is not supported: use gzip or zstd");
        return false;
    }
    if (call->codec == CODEC_NONE) {
        refuse(call, ERR_INVALID, GRPC_INTERNAL,
               "the message is marked as compressed, but grpc-encoding names no coding");
        return false;
    }
    struct slice packed = *body == NULL ? (struct slice){0} : buf_slice(*body);
    if (!codec_inflate(call->codec, packed, receiver->message_max, receiver->ingest.budget,
                       &inflated, &err)) {
        int grpc = err.code == ERR_INVALID ? GRPC_INTERNAL : status_of(err.code)->grpc;
        refuse(call, err.code, grpc, "%s", err.message);
        return false;
    }
    buf_unref(*body);
    *body = inflated;
    return true;
}

static void run_export(struct grpc_call *call)
{
    struct grpc_receiver *receiver = call->receiver;
    struct buf *body = grpc_message_take(&call->message);

    if (!inflate(call, &body)) {
        buf_unref(body);
        answer_refusal(call);
        return;
    }
    series_add(receiver->received_bytes, body != NULL ? body->len : 0);
    if (body != NULL && body->len == 0) {
        buf_unref(body);
        body = NULL;
    }
    const struct ingest_request request = {
        .signal = call->method->signal,
        .body = body,
        .transport = "grpc",
        .receiver = receiver->index,
        .reply = on_reply,
        .reply_ctx = call,
    };
    call->submitted = true;
    receiver->own.outstanding++;
    receiver->ingest.submit(receiver->ingest.ctx, &request);
}

/* --- grpc.health.v1 --- */

static bool takes(const struct grpc_receiver *receiver, enum otlp_signal signal)
{
    return receiver->ingest.takes(receiver->ingest.ctx, receiver->index, signal);
}

static enum health_status current_health(const struct grpc_receiver *receiver)
{
    return receiver->own.draining ? HEALTH_NOT_SERVING : HEALTH_SERVING;
}

static enum health_status health_of(const struct grpc_receiver *receiver, struct slice service)
{
    if (service.len == 0) {
        return current_health(receiver);
    }
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        if (slice_equal_text(service, services[signal]) &&
            takes(receiver, (enum otlp_signal)signal)) {
            return current_health(receiver);
        }
    }
    return HEALTH_SERVICE_UNKNOWN;
}

/* The status asked for. false: the call is refused and answered. */
static bool asked_health(struct grpc_call *call, enum health_status *status)
{
    struct buf *body = grpc_message_take(&call->message);
    struct slice service;
    struct error err;

    if (!inflate(call, &body)) {
        buf_unref(body);
        answer_refusal(call);
        return false;
    }
    if (!health_request_decode(body == NULL ? (struct slice){0} : buf_slice(body), &service,
                               &err)) {
        buf_unref(body);
        refuse(call, ERR_INVALID, GRPC_INVALID_ARGUMENT, "%s", err.message);
        answer_refusal(call);
        return false;
    }
    *status = health_of(call->receiver, service);
    buf_unref(body);
    return true;
}

static void run_health_check(struct grpc_call *call)
{
    enum health_status status;
    struct strbuf response;

    if (!asked_health(call, &status)) {
        return;
    }
    if (status == HEALTH_SERVICE_UNKNOWN) {
        refuse(call, ERR_NOT_FOUND, GRPC_NOT_FOUND, "unknown service");
        answer_refusal(call);
        return;
    }
    strbuf_init(&response, 64);
    health_response_encode(status, &response);
    call->answered = true;
    grpc_answer(call->stream, strbuf_slice(&response));
    strbuf_deinit(&response);
}

static void run_health_list(struct grpc_call *call)
{
    struct grpc_receiver *receiver = call->receiver;
    struct strbuf response;

    strbuf_init(&response, 1024);
    health_list_add("", current_health(receiver), &response);
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        if (takes(receiver, (enum otlp_signal)signal)) {
            health_list_add(services[signal], current_health(receiver), &response);
        }
    }
    call->answered = true;
    grpc_answer(call->stream, strbuf_slice(&response));
    strbuf_deinit(&response);
}

static void send_health(struct grpc_call *call, enum health_status status)
{
    struct strbuf response;

    strbuf_init(&response, 64);
    health_response_encode(status, &response);
    grpc_stream_message(call->stream, strbuf_slice(&response));
    strbuf_deinit(&response);
}

/* The status now, another one when the receiver drains. */
static void run_health_watch(struct grpc_call *call)
{
    struct grpc_receiver *receiver = call->receiver;
    enum health_status status;

    if (!asked_health(call, &status)) {
        return;
    }
    call->answered = true;
    grpc_stream_begin(call->stream);
    send_health(call, status);
    if (receiver->own.draining) {
        grpc_stream_end(call->stream, GRPC_UNAVAILABLE, "shutting down");
        return;
    }
    call->watching = true;
    call->prev = NULL;
    call->next = receiver->own.watchers;
    if (call->next != NULL) {
        call->next->prev = call;
    }
    receiver->own.watchers = call;
}

static void stop_watching(struct grpc_call *call)
{
    if (!call->watching) {
        return;
    }
    call->watching = false;
    if (call->prev != NULL) {
        call->prev->next = call->next;
    } else {
        call->receiver->own.watchers = call->next;
    }
    if (call->next != NULL) {
        call->next->prev = call->prev;
    }
}

/* --- requests --- */

static const struct method methods[] = {
    {"/" OTLP_SERVICE("trace", "TraceService") "/Export", run_export, OTLP_TRACES},
    {"/" OTLP_SERVICE("metrics", "MetricsService") "/Export", run_export, OTLP_METRICS},
    {"/" OTLP_SERVICE("logs", "LogsService") "/Export", run_export, OTLP_LOGS},
    {HEALTH_CHECK, run_health_check, OTLP_SIGNALS},
    {"/grpc.health.v1.Health/Watch", run_health_watch, OTLP_SIGNALS},
    {"/grpc.health.v1.Health/List", run_health_list, OTLP_SIGNALS},
};

/* The headers that we look at. */
struct request_headers {
    struct slice method, path, content_type, encoding, timeout;
};

static void pick_headers(const struct h2_header *headers, size_t count, struct request_headers *out)
{
    const struct {
        const char *name;
        struct slice *value;
    } wanted[] = {
        {":method", &out->method},
        {":path", &out->path},
        {"content-type", &out->content_type},
        {"grpc-encoding", &out->encoding},
        {"grpc-timeout", &out->timeout},
    };

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < COUNT_OF(wanted); j++) {
            if (slice_equal_text(headers[i].name, wanted[j].name)) {
                *wanted[j].value = headers[i].value;
            }
        }
    }
}

static const struct method *find_method(struct slice path)
{
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (slice_equal_text(path, methods[i].path)) {
            return &methods[i];
        }
    }
    return NULL;
}

static int shortened(struct slice text)
{
    return (int)(text.len < NAME_MAX_BYTES ? text.len : NAME_MAX_BYTES);
}

struct header_list {
    const struct h2_header *headers;
    size_t count;
};

/* Names come in lower case. */
static bool find_header(void *ctx, const char *name, struct slice *value)
{
    const struct header_list *list = ctx;

    for (size_t i = 0; i < list->count; i++) {
        struct slice found = list->headers[i].name;
        if (found.len == strlen(name) &&
            strncasecmp((const char *)found.data, name, found.len) == 0) {
            *value = list->headers[i].value;
            return true;
        }
    }
    return false;
}

static void check_sender(struct grpc_call *call, const struct request_headers *picked,
                         struct header_list list)
{
    struct grpc_receiver *receiver = call->receiver;
    struct error err;

    if (receiver->auth == NULL || slice_equal_text(picked->path, HEALTH_CHECK) ||
        auth_check(receiver->auth, find_header, &list, &err)) {
        return;
    }
    log_warn("receiver", "request refused", "receiver=grpc endpoint=%s error=\"%s\"",
             receiver->endpoint, err.message);
    refuse(call, err.code, status_of(err.code)->grpc, "%s", err.message);
    call->received_max = STRANGER_BYTES;
}

/* Everything that can be said before the message. */
static void check_headers(struct grpc_call *call, const struct request_headers *headers)
{
    struct grpc_receiver *receiver = call->receiver;
    struct error err;
    uint64_t timeout_ns; /* checked, not kept: an answer that comes too late does no harm */

    if (!slice_equal_text(headers->method, "POST")) {
        refuse(call, ERR_UNSUPPORTED, GRPC_INTERNAL, "the method must be POST");
        call->http = 405;
        return;
    }
    if (!grpc_content_type_is_ours(headers->content_type)) {
        refuse(call, ERR_UNSUPPORTED, GRPC_INVALID_ARGUMENT,
               "the content-type must be application/grpc");
        call->http = 415;
        return;
    }
    call->method = find_method(headers->path);
    if (call->method == NULL && headers->path.len > strlen(PROFILES_SERVICE) &&
        memcmp(headers->path.data, PROFILES_SERVICE, strlen(PROFILES_SERVICE)) == 0) {
        refuse(call, ERR_UNSUPPORTED, GRPC_UNIMPLEMENTED, "profiles are not supported");
        return;
    }
    if (call->method == NULL) {
        refuse(call, ERR_UNSUPPORTED, GRPC_UNIMPLEMENTED, "unknown method %.*s",
               shortened(headers->path), (const char *)headers->path.data);
        return;
    }
    if (call->method->run == run_export && !takes(receiver, call->method->signal)) {
        refuse(call, ERR_UNSUPPORTED, GRPC_UNIMPLEMENTED, "unknown service %s",
               services[call->method->signal]);
        return;
    }
    if (call->method->run == run_export && receiver->own.draining) {
        refuse(call, ERR_UNAVAILABLE, GRPC_UNAVAILABLE, "shutting down");
        return;
    }
    if (headers->timeout.len > 0 && !grpc_timeout_parse(headers->timeout, &timeout_ns)) {
        refuse(call, ERR_INVALID, GRPC_INTERNAL, "malformed grpc-timeout");
        return;
    }
    call->codec_known = codec_parse(headers->encoding, &call->codec, &err);
}

static void on_headers(void *ctx, struct h2_stream *stream, const struct h2_header *headers,
                       size_t count, bool end)
{
    struct grpc_receiver *receiver = ctx;
    struct grpc_call *call = call_new(receiver, stream);
    struct request_headers picked = {0};

    (void)end; /* on_end follows */
    h2_stream_set_ctx(stream, call);
    call->received_max = receiver->message_max + DRAIN_BYTES;
    pick_headers(headers, count, &picked);
    check_sender(call, &picked, (struct header_list){headers, count});
    if (!call->refused) {
        check_headers(call, &picked);
    }
    bool is_export = call->method != NULL && call->method->run == run_export;
    grpc_message_init(&call->message, is_export ? receiver->message_max : HEALTH_BYTES_MAX,
                      receiver->ingest.budget);
}

/* Only what grpc_message.h can find. */
static void refuse_fault(struct grpc_call *call)
{
    const struct grpc_message *message = &call->message;

    switch (message->fault) {
    case GRPC_FAULT_FLAG:
        refuse(call, ERR_INVALID, GRPC_INTERNAL, "the frame has an unknown flag: %u",
               message->head[0]);
        break;
    case GRPC_FAULT_TOO_LARGE:
        refuse(call, ERR_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED,
               "the message is larger than max (%" PRIu32 " vs. %zu)", message->length,
               message->max);
        break;
    case GRPC_FAULT_BUDGET:
        refuse(call, ERR_LIMIT, GRPC_UNAVAILABLE,
               "the memory for requests is used up, send it again later");
        break;
    case GRPC_FAULT_SECOND:
        refuse(call, ERR_INVALID, GRPC_UNIMPLEMENTED, "more than one message in a unary call");
        break;
    case GRPC_FAULT_EMPTY:
        refuse(call, ERR_INVALID, GRPC_UNIMPLEMENTED, "no message in a unary call");
        break;
    case GRPC_FAULT_CUT:
        refuse(call, ERR_INVALID, GRPC_INTERNAL, "the stream ended within the message");
        break;
    case GRPC_FAULT_NONE:
        break;
    }
}

static void on_data(void *ctx, struct h2_stream *stream, struct slice data)
{
    struct grpc_call *call = h2_stream_ctx(stream);

    (void)ctx;
    h2_consume(stream,
               data.len); /* copied below, or thrown away: memory is guarded by the budget */
    call->received += data.len;
    if (!call->refused) {
        grpc_message_feed(&call->message, data);
        refuse_fault(call);
    }
    if (call->received > call->received_max) {
        refuse(call, ERR_TOO_LARGE, GRPC_RESOURCE_EXHAUSTED, "the request never ends");
        answer_refusal(call);
    }
}

static void on_end(void *ctx, struct h2_stream *stream)
{
    struct grpc_call *call = h2_stream_ctx(stream);

    (void)ctx;
    if (!call->refused && !grpc_message_end(&call->message)) {
        refuse_fault(call);
    }
    if (call->refused) {
        answer_refusal(call);
    } else {
        call->method->run(call);
    }
}

static void on_close(void *ctx, struct h2_stream *stream)
{
    struct grpc_call *call = h2_stream_ctx(stream);

    (void)ctx;
    stop_watching(call);
    call->stream = NULL;
    if (!call->submitted) {
        call_free(call);
    }
}

/* --- open, drain, close --- */

static void drain_now(void *ctx)
{
    struct grpc_receiver *receiver = ctx;

    if (receiver->own.draining) {
        return;
    }
    receiver->own.draining = true;
    while (receiver->own.watchers != NULL) {
        struct grpc_call *call = receiver->own.watchers;
        stop_watching(call);
        send_health(call, HEALTH_NOT_SERVING);
        grpc_stream_end(call->stream, GRPC_UNAVAILABLE, "shutting down");
    }
    h2_server_drain(receiver->server);
}

/* Until everything is replied to, and for a moment more until the answers are out. */
static void check_closing(void *ctx)
{
    struct grpc_receiver *receiver = ctx;
    bool late = loop_now(receiver->loop) >= receiver->own.close_ns + CLOSE_GRACE_NS;

    if (receiver->own.outstanding == 0 && (late || h2_server_is_idle(receiver->server))) {
        loop_stop(receiver->loop);
        return;
    }
    loop_timer_set(receiver->loop, &receiver->own.close_timer, CLOSE_CHECK_NS, check_closing,
                   receiver);
}

static void close_now(void *ctx)
{
    struct grpc_receiver *receiver = ctx;

    drain_now(receiver);
    receiver->own.close_ns = loop_now(receiver->loop);
    /* The next turn: what this one has answered must be sent first. */
    loop_timer_set(receiver->loop, &receiver->own.close_timer, CLOSE_CHECK_NS, check_closing,
                   receiver);
}

static void run_loop(void *arg)
{
    struct grpc_receiver *receiver = arg;

    receiver_here = receiver;
    loop_run(receiver->loop);
    receiver_here = NULL;
    codec_thread_exit();
}

static uint16_t grpc_port(const struct receiver *base)
{
    return h2_server_port(((const struct grpc_receiver *)base)->server);
}

static void grpc_drain(struct receiver *base)
{
    struct grpc_receiver *receiver = (struct grpc_receiver *)base;

    loop_post(receiver->loop, drain_now, receiver);
}

static void grpc_free(struct grpc_receiver *receiver)
{
    h2_server_close(receiver->server);
    auth_free(receiver->auth);
    while (receiver->own.spare != NULL) {
        struct grpc_call *call = receiver->own.spare;
        receiver->own.spare = call->next;
        free(call);
    }
    loop_free(receiver->loop);
    (void)pthread_mutex_destroy(&receiver->shared.lock);
    free(receiver);
}

static void grpc_close(struct receiver *base)
{
    struct grpc_receiver *receiver = (struct grpc_receiver *)base;

    loop_post(receiver->loop, close_now, receiver);
    thread_join(&receiver->thread);
    grpc_free(receiver);
}

static const struct receiver_ops grpc_ops = {
    .port = grpc_port,
    .drain = grpc_drain,
    .close = grpc_close,
};

bool otlp_grpc_receiver_open(struct receiver **out,
                             const struct otlp_grpc_receiver_settings *settings, uint32_t index,
                             const struct ingest *ingest, struct error *err)
{
    struct grpc_receiver *receiver = mem_zalloc(1, sizeof(*receiver));
    const struct h2_server_config config = {
        .endpoint = settings->endpoint,
        .max_concurrent_streams = settings->max_concurrent_streams,
        .idle_timeout_ns = settings->max_connection_idle_ns,
        .max_connection_age_ns = settings->max_connection_age_ns,
        .max_connection_age_grace_ns = settings->max_connection_age_grace_ns,
        .http1_hint = "this is OTLP/gRPC over HTTP/2; "
                      "OTLP/HTTP is on another port (4318 by default)",
        .tls = settings->tls,
        .handler =
            {
                .on_headers = on_headers,
                .on_data = on_data,
                .on_end = on_end,
                .on_close = on_close,
                .ctx = receiver,
            },
    };

    receiver->base.ops = &grpc_ops;
    receiver->index = index;
    receiver->ingest = *ingest;
    receiver->endpoint = settings->endpoint;
    receiver->message_max = settings->max_recv_msg_size > 0 ? (size_t)settings->max_recv_msg_size
                                                            : (size_t)MESSAGE_BYTES_MAX;
    (void)pthread_mutex_init(&receiver->shared.lock, NULL);
    receiver->shared.last = &receiver->shared.first;
    for (size_t code = 0; code < COUNT_OF(outcomes); code++) {
        receiver->requests[code] = metric_series(METRIC_REQUESTS, "grpc", outcomes[code]);
    }
    receiver->received_bytes = metric_series(METRIC_RECEIVED_BYTES, "grpc", NULL);
    receiver->loop = loop_new();
    if ((settings->auth != NULL && !auth_new(&receiver->auth, settings->auth, err)) ||
        !h2_server_open(&receiver->server, receiver->loop, &config, err)) {
        grpc_free(receiver);
        return error_wrap(err, "OTLP/gRPC receiver");
    }
    thread_start(&receiver->thread, "otlp-grpc", run_loop, receiver);
    *out = &receiver->base;
    return true;
}
