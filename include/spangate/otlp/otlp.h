/*
 * otlp.h - OTLP messages: decode, transcode, encode. No I/O, no threads, no locks: every function
 * may run on any thread as long as its arguments are not shared.
 *
 * Specification: OTLP 1.11 and opentelemetry-proto 1.11 (trace, metrics, logs, common, resource).
 */
#ifndef SPANGATE_OTLP_OTLP_H
#define SPANGATE_OTLP_OTLP_H

#include <spangate/base/error.h>
#include <spangate/base/strbuf.h>
#include <spangate/otlp/span.h>

/* Bounds on one request; conformance of the defaults is in docs/otlp-support.md. */
struct otlp_limits {
    size_t body_bytes_max; /* 64 MiB: also for what JSON turns into */
    size_t spans_max;      /* 100 000 a request */
    size_t depth_max;      /* 32 levels of AnyValue */
    size_t json_depth_max; /* 200 levels of JSON */
};

extern const struct otlp_limits otlp_limits_default;

/*
 * Decode an ExportTraceServiceRequest. On success *out holds one reference; body is *taken* in
 * either case (the batch holds it, or it is released). received_ns is wall time.
 *
 * A span with an id of the wrong length, an all-zero id, or AnyValues nested deeper than depth_max
 * is not in the batch: it is counted in rejected_count with a reason that names it. Strings that
 * are not UTF-8 are repaired (U+FFFD) in a copy inside the arena and counted in
 * METRIC_STRINGS_SANITIZED. Zero times are handled as span.h says. Field 1000 of ResourceSpans is
 * read as scope_spans when there is no field 2. Empty envelopes are dropped.
 *
 * ERR_INVALID: the bytes are no such message. ERR_TOO_LARGE: more spans than spans_max.
 */
bool otlp_decode_traces(struct buf *body, uint64_t received_ns, const struct otlp_limits *limits,
                        struct span_batch **out, struct error *err) MUST_CHECK;

/*
 * Check the frame of a request of another signal and count its items (log records, data points).
 * ERR_INVALID as above. The bytes are not changed.
 */
bool otlp_check(enum otlp_signal signal, struct slice body, const struct otlp_limits *limits,
                size_t *items, struct error *err) MUST_CHECK;

/*
 * OTLP/JSON request to protobuf in one streaming pass (OTLP 1.11 "JSON Protobuf Encoding"):
 * camelCase and snake_case keys, ids in hex, enums as numbers or names, 64-bit integers as numbers
 * or strings, null as absent, unknown members skipped, lone surrogates to U+FFFD. The bytes are
 * appended to out (whose limit bounds them). An id that is no hex of the right length is kept as
 * the bytes of its text (or of its hex digits, when their number is even), never with the right
 * length, so that the decoder refuses that span alone.
 *
 * Of equal names in one object, and of several members of a oneof, the last one counts. An
 * intValue that is no int64 becomes a doubleValue. Lengths in what comes out may be padded.
 *
 * ERR_INVALID names byte offset and cause. ERR_TOO_LARGE: out's limit was reached, or is so near
 * (64 bytes) that the next field was not tried. On an error nothing was appended.
 */
bool otlp_json_decode(enum otlp_signal signal, struct slice json, const struct otlp_limits *limits,
                      struct strbuf *out, struct error *err) MUST_CHECK;

/*
 * Protobuf request to OTLP/JSON, appended to out: lowerCamelCase, ids lower-case hex, 64-bit
 * integers as strings, enums as numbers, bytes base64, defaults left out, `resource`, `scope` and
 * `status` always present. Fields that the schema does not know cannot be expressed and are left
 * out.
 *
 * ERR_INVALID: malformed bytes, or messages nested over 200 deep. ERR_TOO_LARGE as above.
 */
bool otlp_json_encode(enum otlp_signal signal, struct slice body, struct strbuf *out,
                      struct error *err) MUST_CHECK;

/* One Span message (with its envelopes NULL-able) as a JSON object: for pages and tools. */
bool otlp_json_encode_span(struct slice raw, struct strbuf *out, struct error *err) MUST_CHECK;
/* The Resource of a resource envelope, the InstrumentationScope of a scope envelope ({} if none).
 * */
bool otlp_json_encode_resource(struct slice envelope, struct strbuf *out,
                               struct error *err) MUST_CHECK;
bool otlp_json_encode_scope(struct slice envelope, struct strbuf *out,
                            struct error *err) MUST_CHECK;

/*
 * Builds an ExportTraceServiceRequest from spans in any order, appended to a strbuf. Spans that
 * follow each other with the same resource and scope share their envelopes; group beforehand.
 */
struct otlp_writer {
    struct strbuf *out;
    size_t resource_at; /* where the open ResourceSpans began, SIZE_MAX if none */
    size_t scope_at;
    struct slice resource;
    struct slice scope;
    size_t span_count;
};

void otlp_writer_begin(struct otlp_writer *writer, struct strbuf *out);
void otlp_writer_add(struct otlp_writer *writer, struct slice resource_envelope,
                     struct slice scope_envelope, struct slice raw_span);
void otlp_writer_end(struct otlp_writer *writer); /* check out->overflow afterwards */

#endif
