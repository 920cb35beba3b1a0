/*
 * status.c - errors as answers: one table, and the bytes of what we answer and are answered.
 *
 * Clients compare content types as strings and read error bodies as google.rpc.Status, so both are
 * exact. The messages are small and known, so they are written and read by hand here.
 */

#include <spangate/otlp/status.h>

#include "answer_json.h"
#include "wire.h"

#include <assert.h>
#include <inttypes.h>
#include <spangate/base/text.h>
#include <stdlib.h>

/* google.rpc.Code, which are also the values of grpc-status. */
enum {
    RPC_OK = 0,
    RPC_INVALID_ARGUMENT = 3,
    RPC_NOT_FOUND = 5,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_UNIMPLEMENTED = 12,
    RPC_UNAVAILABLE = 14,
    RPC_UNAUTHENTICATED = 16,
};

/* Clients give up on RESOURCE_EXHAUSTED without RetryInfo; what may be retried is UNAVAILABLE. */
static const struct status_row rows[] = {
    {ERR_NONE, 200, RPC_OK, 0, RPC_OK},
    {ERR_INVALID, 400, RPC_INVALID_ARGUMENT, 0, RPC_INVALID_ARGUMENT},
    {ERR_TOO_LARGE, 413, RPC_RESOURCE_EXHAUSTED, 0, RPC_RESOURCE_EXHAUSTED},
    {ERR_LIMIT, 429, RPC_UNAVAILABLE, 1, RPC_RESOURCE_EXHAUSTED},
    {ERR_UNAVAILABLE, 503, RPC_UNAVAILABLE, 1, RPC_UNAVAILABLE},
    {ERR_CORRUPT, 503, RPC_UNAVAILABLE, 1, RPC_UNAVAILABLE},
    {ERR_NOT_FOUND, 404, RPC_NOT_FOUND, 0, RPC_NOT_FOUND},
    {ERR_UNSUPPORTED, 415, RPC_UNIMPLEMENTED, 0, RPC_INVALID_ARGUMENT},
    {ERR_UNAUTHENTICATED, 401, RPC_UNAUTHENTICATED, 0, RPC_UNAUTHENTICATED},
    {ERR_IN_USE, 503, RPC_UNAVAILABLE, 1, RPC_UNAVAILABLE},
};

enum { STATUS_CODE = 1, STATUS_MESSAGE = 2, STATUS_DETAILS = 3 };
enum { ANY_TYPE_URL = 1, ANY_VALUE = 2 };
enum { RETRY_INFO_DELAY = 1 };
enum { DURATION_SECONDS = 1, DURATION_NANOS = 2 };
enum { RESPONSE_PARTIAL_SUCCESS = 1 };
enum { PARTIAL_REJECTED = 1, PARTIAL_MESSAGE = 2 };

#define RETRY_INFO_TYPE "type.googleapis.com/google.rpc.RetryInfo"

static const char *const rejected_names[OTLP_SIGNALS] = {
    [OTLP_TRACES] = "rejectedSpans",
    [OTLP_METRICS] = "rejectedDataPoints",
    [OTLP_LOGS] = "rejectedLogRecords",
};

const struct status_row *status_of(enum error_code code)
{
    assert((size_t)code < COUNT_OF(rows) && rows[code].error == code);
    return &rows[code];
}

const char *otlp_content_type(enum otlp_encoding encoding)
{
    return encoding == OTLP_JSON ? "application/json" : "application/x-protobuf";
}

/* --- what we answer --- */

/* A short sub-message, built apart so that its length takes one byte as in everybody's encoders. */
static void put_message(struct strbuf *out, uint32_t number, struct strbuf *message)
{
    pb_put_bytes(out, number, strbuf_slice(message));
    strbuf_deinit(message);
}

static void put_text(struct strbuf *out, uint32_t number, const char *text)
{
    struct slice bytes = slice_of(text == NULL ? "" : text);
    struct strbuf clean;

    if (bytes.len == 0) {
        return;
    }
    if (utf8_is_valid(bytes)) {
        pb_put_bytes(out, number, bytes);
        return;
    }
    strbuf_init(&clean, 3 * bytes.len);
    utf8_sanitize(bytes, &clean);
    put_message(out, number, &clean);
}

void retry_info_encode(unsigned retry_after_s, struct strbuf *out)
{
    struct strbuf delay;

    strbuf_init(&delay, 16);
    pb_put_uint(&delay, DURATION_SECONDS, retry_after_s);
    put_message(out, RETRY_INFO_DELAY, &delay);
}

static void status_protobuf(int grpc_code, const char *message, unsigned retry_after_s,
                            struct strbuf *out)
{
    if (grpc_code != RPC_OK) {
        pb_put_uint(out, STATUS_CODE, (uint64_t)grpc_code);
    }
    put_text(out, STATUS_MESSAGE, message);
    if (retry_after_s > 0) {
        struct strbuf info;
        struct strbuf any;
        strbuf_init(&info, 64);
        strbuf_init(&any, 256);
        retry_info_encode(retry_after_s, &info);
        pb_put_bytes(&any, ANY_TYPE_URL, slice_of(RETRY_INFO_TYPE));
        put_message(&any, ANY_VALUE, &info);
        put_message(out, STATUS_DETAILS, &any);
    }
}

static void status_json(int grpc_code, const char *message, unsigned retry_after_s,
                        struct strbuf *out)
{
    strbuf_printf(out, "{\"code\":%d,\"message\":", grpc_code);
    json_put_string(out, slice_of(message == NULL ? "" : message));
    if (retry_after_s > 0) {
        strbuf_printf(out, ",\"details\":[{\"@type\":\"%s\",\"retryDelay\":\"%us\"}]",
                      RETRY_INFO_TYPE, retry_after_s);
    }
    strbuf_putc(out, '}');
}

void status_encode(enum otlp_encoding encoding, int grpc_code, const char *message,
                   unsigned retry_after_s, struct strbuf *out)
{
    if (encoding == OTLP_JSON) {
        status_json(grpc_code, message, retry_after_s, out);
    } else {
        status_protobuf(grpc_code, message, retry_after_s, out);
    }
}

void export_response_encode(enum otlp_encoding encoding, enum otlp_signal signal, uint64_t rejected,
                            const char *message, struct strbuf *out)
{
    bool has_message = message != NULL && message[0] != '\0';
    bool partial = rejected > 0 || has_message;

    if (encoding == OTLP_JSON) {
        const char *comma = "";
        strbuf_append_text(out, partial ? "{\"partialSuccess\":{" : "{");
        if (rejected > 0) {
            strbuf_printf(out, "\"%s\":\"%" PRIu64 "\"", rejected_names[signal], rejected);
            comma = ",";
        }
        if (has_message) {
            strbuf_printf(out, "%s\"errorMessage\":", comma);
            json_put_string(out, slice_of(message));
        }
        strbuf_append_text(out, partial ? "}}" : "}");
        return;
    }
    if (partial) {
        struct strbuf body;
        strbuf_init(&body, 4 * 1024 * 1024); /* what OTLP lets a response have */
        if (rejected > 0) {
            pb_put_uint(&body, PARTIAL_REJECTED, rejected);
        }
        put_text(&body, PARTIAL_MESSAGE, message);
        put_message(out, RESPONSE_PARTIAL_SUCCESS, &body);
    }
}

/* --- what backends answer --- */

/* Copy text that came from outside: cut at a character, no NUL inside. */
static void copy_message(struct slice text, char *message, size_t cap)
{
    struct strbuf clean;

    if (cap == 0) {
        return;
    }
    strbuf_init(&clean, 3 * cap + 3);
    if (text.len > cap) {
        text.len = cap;
    }
    utf8_sanitize(text, &clean);
    size_t len = clean.len < cap ? clean.len : cap - 1;
    while (len > 0 && len < clean.len && ((uint8_t)clean.data[len] & 0xc0) == 0x80) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        message[i] = clean.data[i] == '\0' ? ' ' : clean.data[i];
    }
    message[len] = '\0';
    strbuf_deinit(&clean);
}

static uint64_t count_of(uint64_t value)
{
    return value > INT64_MAX ? 0 : value; /* int64 on the wire: a negative count says nothing */
}

static bool export_response_protobuf(struct slice body, uint64_t *rejected, char *message,
                                     size_t cap)
{
    struct pb_reader reader = pb_over(body);
    struct pb_field field;

    while (wire_next(&reader, &field)) {
        if (field.number != RESPONSE_PARTIAL_SUCCESS) {
            continue;
        }
        if (field.wire != PB_BYTES) {
            return false;
        }
        struct pb_reader partial = pb_over(field.bytes);
        while (wire_next(&partial, &field)) {
            if (field.number == PARTIAL_REJECTED && field.wire == PB_VARINT) {
                *rejected = count_of(field.value);
            } else if (field.number == PARTIAL_MESSAGE && field.wire == PB_BYTES) {
                copy_message(field.bytes, message, cap);
            }
        }
        if (partial.at != partial.end) {
            return false;
        }
    }
    return reader.at == reader.end;
}

/* Member names come in lowerCamelCase, and from some encoders as in the .proto file. */
static bool is_name(const char *key, const char *camel, const char *snake)
{
    return strcmp(key, camel) == 0 || strcmp(key, snake) == 0;
}

static bool is_rejected_name(const char *key, enum otlp_signal signal)
{
    static const char *const snake[OTLP_SIGNALS] = {
        [OTLP_TRACES] = "rejected_spans",
        [OTLP_METRICS] = "rejected_data_points",
        [OTLP_LOGS] = "rejected_log_records",
    };
    return is_name(key, rejected_names[signal], snake[signal]);
}

static bool export_response_json(enum otlp_signal signal, struct slice body, uint64_t *rejected,
                                 char *message, size_t cap)
{
    struct answer_reader reader = answer_over(body);
    enum answer_event event = answer_next(&reader);
    bool in_partial = false;

    if (event != ANSWER_BEGIN || (reader.objects & 1) == 0) {
        return false;
    }
    while ((event = answer_next(&reader)) != ANSWER_END) {
        if (event == ANSWER_ERROR) {
            return false;
        }
        if (event == ANSWER_BEGIN && reader.depth == 2) {
            in_partial = is_name(reader.key, "partialSuccess", "partial_success");
        }
        if (event == ANSWER_VALUE && reader.depth == 2 && in_partial) {
            if (is_rejected_name(reader.key, signal)) {
                long long value = strtoll(reader.text, NULL, 10);
                *rejected = value > 0 ? (uint64_t)value : 0;
            } else if (is_name(reader.key, "errorMessage", "error_message")) {
                copy_message(slice_of(reader.text), message, cap);
            }
        }
    }
    return true;
}

bool export_response_decode(enum otlp_encoding encoding, enum otlp_signal signal, struct slice body,
                            uint64_t *rejected, char *message, size_t cap)
{
    *rejected = 0;
    copy_message((struct slice){0}, message, cap);
    return encoding == OTLP_JSON ? export_response_json(signal, body, rejected, message, cap)
                                 : export_response_protobuf(body, rejected, message, cap);
}

static uint64_t duration_ms(uint64_t seconds, uint64_t nanos)
{
    const uint64_t seconds_max = UINT64_C(365) * 24 * 3600;

    if (seconds > INT64_MAX || nanos > INT64_MAX) {
        return 0; /* negative */
    }
    seconds = seconds > seconds_max ? seconds_max : seconds;
    nanos = nanos > 999999999 ? 999999999 : nanos;
    return seconds * 1000 + (nanos + 999999) / 1000000;
}

/* Any{RetryInfo} of Status.details; 0 when it is something else. */
static uint64_t retry_info_ms(struct slice any)
{
    struct pb_reader reader = pb_over(any);
    struct pb_field field;
    struct slice type = {0};
    struct slice value = {0};
    uint64_t seconds = 0;
    uint64_t nanos = 0;

    while (wire_next(&reader, &field)) {
        if (field.number == ANY_TYPE_URL) {
            type = field.bytes;
        } else if (field.number == ANY_VALUE) {
            value = field.bytes;
        }
    }
    if (!slice_equal_text(type, RETRY_INFO_TYPE)) {
        return 0;
    }
    reader = pb_over(value);
    while (wire_next(&reader, &field)) {
        if (field.number != RETRY_INFO_DELAY) {
            continue;
        }
        struct pb_reader duration = pb_over(field.bytes);
        while (wire_next(&duration, &field)) {
            if (field.number == DURATION_SECONDS) {
                seconds = field.value;
            } else if (field.number == DURATION_NANOS) {
                nanos = field.value;
            }
        }
    }
    return duration_ms(seconds, nanos);
}

static bool status_decode_protobuf(struct slice body, char *message, size_t cap,
                                   uint64_t *retry_after_ms)
{
    struct pb_reader reader = pb_over(body);
    struct pb_field field;

    while (wire_next(&reader, &field)) {
        enum pb_wire expected = field.number == STATUS_CODE ? PB_VARINT : PB_BYTES;
        if (field.number <= STATUS_DETAILS && field.wire != expected) {
            return false;
        }
        if (field.number == STATUS_MESSAGE) {
            copy_message(field.bytes, message, cap);
        } else if (field.number == STATUS_DETAILS) {
            uint64_t wait_ms = retry_info_ms(field.bytes);
            *retry_after_ms = wait_ms > *retry_after_ms ? wait_ms : *retry_after_ms;
        }
    }
    return reader.at == reader.end;
}

/* "5s", "0.250s" */
static uint64_t retry_delay_ms(const char *text)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || strcmp(end, "s") != 0 || !(seconds > 0)) {
        return 0;
    }
    return duration_ms(seconds > 1e9 ? (uint64_t)1e9 : (uint64_t)seconds,
                       seconds > 1e9 ? 0 : (uint64_t)((seconds - (double)(uint64_t)seconds) * 1e9));
}

static bool status_decode_json(struct slice body, char *message, size_t cap,
                               uint64_t *retry_after_ms)
{
    struct answer_reader reader = answer_over(body);
    enum answer_event event = answer_next(&reader);

    if (event != ANSWER_BEGIN || (reader.objects & 1) == 0) {
        return false;
    }
    while ((event = answer_next(&reader)) != ANSWER_END) {
        if (event == ANSWER_ERROR) {
            return false;
        }
        if (event != ANSWER_VALUE) {
            continue;
        }
        if (reader.depth == 1 && strcmp(reader.key, "message") == 0) {
            copy_message(slice_of(reader.text), message, cap);
        } else if (reader.depth == 3 && is_name(reader.key, "retryDelay", "retry_delay")) {
            *retry_after_ms = retry_delay_ms(reader.text); /* in an element of details */
        }
    }
    return true;
}

bool status_decode(enum otlp_encoding encoding, struct slice body, char *message, size_t cap,
                   uint64_t *retry_after_ms)
{
    *retry_after_ms = 0;
    copy_message((struct slice){0}, message, cap);
    return encoding == OTLP_JSON ? status_decode_json(body, message, cap, retry_after_ms)
                                 : status_decode_protobuf(body, message, cap, retry_after_ms);
}
