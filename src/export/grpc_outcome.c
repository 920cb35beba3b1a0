/*
 * grpc_outcome.c - what a gRPC answer means for the batch that was sent.
 */
#include "grpc_outcome.h"

#include <spangate/base/text.h>
#include <spangate/codec/codec.h>
#include <spangate/otlp/status.h>
#include <stdio.h>
#include <strings.h>

enum { FRAME_HEAD = 5, MESSAGE_MAX = 512, DETAILS_MAX = 16 * 1024, ANSWER_MAX = 4 << 20 };

enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

static const char *const status_names[] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

static const char *status_name(unsigned status)
{
    return status < COUNT_OF(status_names) ? status_names[status] : "an unknown status";
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void grpc_percent_decode(struct slice text, struct strbuf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        int high = text.data[i] == '%' && i + 2 < text.len ? hex_digit(text.data[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;
        if (low >= 0) {
            strbuf_putc(out, (char)(high << 4 | low));
            i += 2;
        } else {
            strbuf_putc(out, (char)text.data[i]);
        }
    }
}

/* OTLP's table; RESOURCE_EXHAUSTED is decided by its RetryInfo. */
static bool is_retryable(unsigned status)
{
    switch (status) {
    case GRPC_CANCELLED:
    case GRPC_DEADLINE_EXCEEDED:
    case GRPC_ABORTED:
    case GRPC_OUT_OF_RANGE:
    case GRPC_UNAVAILABLE:
    case GRPC_DATA_LOSS:
        return true;
    default:
        return false;
    }
}

/* How servers say that a message was too long; the status alone does not tell. */
static bool is_about_size(const char *message)
{
    static const char *const phrases[] = {"larger than max", "too large", "message size",
                                          "exceeds the limit", "max message"};

    for (size_t i = 0; i < COUNT_OF(phrases); i++) {
        if (strcasestr(message, phrases[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static unsigned status_of_http(int http)
{
    switch (http) {
    case 400:
    case 431:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

static bool parse_number(struct slice text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > 9) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = 10 * value + (uint64_t)(text.data[i] - '0');
    }
    *out = value;
    return value <= max;
}

/* What a refusal for good is about: sink.h tells those apart that are not about the content. */
static enum error_code reason_of(unsigned status)
{
    switch (status) {
    case GRPC_PERMISSION_DENIED:
    case GRPC_UNAUTHENTICATED:
        return ERR_UNAUTHENTICATED;
    case GRPC_UNIMPLEMENTED:
        return ERR_UNSUPPORTED;
    default:
        return ERR_INVALID;
    }
}

static void set_verdict(struct sink_outcome *out, enum sink_verdict verdict, enum error_code code)
{
    out->verdict = verdict;
    out->err.code = code;
}

/* An answer of something that is not a gRPC server: a proxy, a web server. */
static void judge_http(const struct h2_response *response, struct sink_outcome *out)
{
    unsigned status = status_of_http(response->status);
    struct slice value;
    uint64_t seconds;

    (void)error_set(&out->err, ERR_INVALID, "HTTP status %d without grpc-status (%s)",
                    response->status, status_name(status));
    if (response->status == 413) {
        set_verdict(out, SINK_TOO_LARGE, ERR_TOO_LARGE);
    } else if (is_retryable(status)) {
        set_verdict(out, SINK_RETRY, ERR_UNAVAILABLE);
        if (h2_response_header(response, "retry-after", &value) &&
            parse_number(value, 24 * 3600, &seconds)) {
            out->retry_after_ms = seconds * 1000;
        }
    } else {
        set_verdict(out, SINK_REJECTED, reason_of(status));
    }
}

/* The pause that the server asks for, 0 if it does not. */
static uint64_t retry_pause(const struct h2_response *response)
{
    char message[MESSAGE_MAX];
    uint64_t pause_ms = 0;
    struct strbuf details;
    struct slice value;

    if (!h2_response_header(response, "grpc-status-details-bin", &value)) {
        return 0;
    }
    strbuf_init(&details, DETAILS_MAX);
    if (!base64_decode(value, &details) || !status_decode(OTLP_PROTOBUF, strbuf_slice(&details),
                                                          message, sizeof(message), &pause_ms)) {
        pause_ms = 0;
    }
    strbuf_deinit(&details);
    return pause_ms;
}

static void judge_status(const struct h2_response *response, unsigned status,
                         struct sink_outcome *out)
{
    struct slice value = {0};
    struct strbuf message;

    strbuf_init(&message, MESSAGE_MAX);
    (void)h2_response_header(response, "grpc-message", &value);
    grpc_percent_decode(value, &message);
    out->retry_after_ms = retry_pause(response);
    (void)error_set(&out->err, ERR_INVALID, "%s (%u): %s", status_name(status), status,
                    message.len > 0 ? message.data : "no reason given");
    if (is_retryable(status) || (status == GRPC_RESOURCE_EXHAUSTED && out->retry_after_ms > 0)) {
        set_verdict(out, SINK_RETRY, ERR_UNAVAILABLE);
    } else if (status == GRPC_RESOURCE_EXHAUSTED && message.len > 0 &&
               is_about_size(message.data)) {
        set_verdict(out, SINK_TOO_LARGE, ERR_TOO_LARGE);
    } else {
        set_verdict(out, SINK_REJECTED, reason_of(status));
    }
    strbuf_deinit(&message);
}

static void read_partial(struct slice message, enum otlp_signal signal, struct sink_outcome *out)
{
    char text[MESSAGE_MAX];
    uint64_t rejected;

    if (export_response_decode(OTLP_PROTOBUF, signal, message, &rejected, text, sizeof(text)) &&
        (rejected > 0 || text[0] != '\0')) {
        out->rejected = rejected;
        (void)error_set(&out->err, ERR_INVALID, "%s", text);
    }
}

/*
 * It took the batch. What the message says is news only: one that cannot be read must not lead to
 * the batch being sent again.
 */
static void judge_ok(const struct h2_response *response, enum otlp_signal signal,
                     struct sink_outcome *out)
{
    struct slice body = strbuf_slice(&response->body);
    struct slice message = slice_from(body, FRAME_HEAD);
    struct slice encoding = {0};
    struct buf *inflated = NULL;
    enum codec codec;
    struct error ignored;

    out->verdict = SINK_DELIVERED;
    if (body.len < FRAME_HEAD) {
        return;
    }
    size_t len = (size_t)body.data[1] << 24 | (size_t)body.data[2] << 16 |
                 (size_t)body.data[3] << 8 | (size_t)body.data[4];
    if (len != message.len) {
        return;
    }
    if (body.data[0] == 0) {
        read_partial(message, signal, out);
        return;
    }
    if (h2_response_header(response, "grpc-encoding", &encoding) &&
        codec_parse(encoding, &codec, &ignored) &&
        codec_inflate(codec, message, ANSWER_MAX, NULL, &inflated, &ignored)) {
        read_partial(buf_slice(inflated), signal, out);
        buf_unref(inflated);
    }
}

void grpc_outcome(const struct h2_response *response, enum otlp_signal signal,
                  struct sink_outcome *out)
{
    static const char type[] = "application/grpc";
    struct slice value;
    uint64_t status;

    *out = (struct sink_outcome){.verdict = SINK_RETRY};
    if (h2_response_header(response, "grpc-status", &value)) {
        if (!parse_number(value, UINT32_MAX, &status)) {
            status = GRPC_UNKNOWN;
        }
        if (status == GRPC_OK) {
            judge_ok(response, signal, out);
        } else {
            judge_status(response, (unsigned)status, out);
        }
        return;
    }
    bool is_grpc = response->status == 200 &&
                   h2_response_header(response, "content-type", &value) &&
                   value.len >= sizeof(type) - 1 && memcmp(value.data, type, sizeof(type) - 1) == 0;
    if (is_grpc) {
        /* Cut short on the way: nobody said that the batch is bad. */
        (void)error_set(&out->err, ERR_UNAVAILABLE, "the answer ended without grpc-status");
        return;
    }
    judge_http(response, out);
}
