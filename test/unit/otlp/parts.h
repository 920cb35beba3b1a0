/*
 * parts.h - small OTLP messages for tests, and the one request whose bytes everybody knows.
 */
#ifndef SPANGATE_TEST_OTLP_PARTS_H
#define SPANGATE_TEST_OTLP_PARTS_H

#include "unit.h"

#include <spangate/base/text.h>
#include <spangate/otlp/otlp.h>
#include <spangate/otlp/pb.h>

#define RECEIVED_NS UINT64_C(1700000000000000000)

/* examples/trace.json of opentelemetry-proto as protobuf, fields in the order of their numbers. */
static const char golden_hex[] =
    "0ad3010a1e0a1c0a0c736572766963652e6e616d65120c0a0a6d792e7365727669636512b0010a410a0a6d792e6c69"
    "62726172791205312e302e301a2c0a126d792e73636f70652e61747472696275746512160a14736f6d652073636f70"
    "6520617474726962757465126b0a105b8efff798038103d269b633813fc60c1208eee19b7ec3c1b1742208eee19b7e"
    "c3c1b1732a1149276d206120736572766572207370616e300239004859e3faeb6f15410012f41efbeb6f154a1c0a0c"
    "6d792e7370616e2e61747472120c0a0a736f6d652076616c7565";

static inline struct slice golden_request(uint8_t out[214])
{
    assert_true(hex_decode(slice_of(golden_hex), out, 214));
    return (struct slice){out, 214};
}

static inline struct strbuf new_bytes(void)
{
    struct strbuf sb;

    strbuf_init(&sb, 256 * 1024 * 1024);
    return sb;
}

static inline void put_ids(struct strbuf *out, uint8_t n)
{
    uint8_t trace_id[16] = {1, [15] = n};
    uint8_t span_id[8] = {2, [7] = n};

    pb_put_bytes(out, 1, (struct slice){trace_id, sizeof(trace_id)});
    pb_put_bytes(out, 2, (struct slice){span_id, sizeof(span_id)});
}

static inline void put_times(struct strbuf *out)
{
    pb_put_fixed64(out, 7, RECEIVED_NS - 2000);
    pb_put_fixed64(out, 8, RECEIVED_NS - 1000);
}

/* KeyValue{key, AnyValue{string}} as field `number`. */
static inline void put_text_attribute(struct strbuf *out, uint32_t number, struct slice key,
                                      struct slice value)
{
    size_t entry = pb_begin(out, number);
    pb_put_bytes(out, 1, key);
    size_t any = pb_begin(out, 2);
    pb_put_bytes(out, 1, value);
    pb_end(out, any);
    pb_end(out, entry);
}

/* request > ResourceSpans > ScopeSpans > one span with these bytes. */
static inline void put_request(struct strbuf *out, struct slice span)
{
    size_t resource_spans = pb_begin(out, 1);
    size_t scope_spans = pb_begin(out, 2);
    pb_put_bytes(out, 2, span);
    pb_end(out, scope_spans);
    pb_end(out, resource_spans);
}

/* AnyValue bytes: `levels` AnyValues inside each other through arrays, the innermost empty. */
static inline void put_nested_value(struct strbuf *out, size_t levels)
{
    struct strbuf inner = new_bytes();

    for (size_t i = 1; i < levels; i++) {
        struct strbuf array = new_bytes();
        struct strbuf any = new_bytes();
        pb_put_bytes(&array, 1, strbuf_slice(&inner));
        pb_put_bytes(&any, 5, strbuf_slice(&array));
        strbuf_deinit(&array);
        strbuf_deinit(&inner);
        inner = any;
    }
    strbuf_append_slice(out, strbuf_slice(&inner));
    strbuf_deinit(&inner);
}

/* Decode bytes that are expected to be a request. */
static inline struct span_batch *decode(struct slice bytes)
{
    struct span_batch *batch = NULL;
    struct error err = {0};

    if (!otlp_decode_traces(buf_copy(bytes, NULL), RECEIVED_NS, &otlp_limits_default, &batch,
                            &err)) {
        fail_msg("%s", err.message);
    }
    return batch;
}

/* The same for one span in a request of its own. */
static inline struct span_batch *decode_span(const struct strbuf *span)
{
    struct strbuf request = new_bytes();

    put_request(&request, strbuf_slice(span));
    struct span_batch *batch = decode(strbuf_slice(&request));
    strbuf_deinit(&request);
    return batch;
}

/* Decode bytes that must be refused; *err says why. */
static inline void assert_refused(struct slice bytes, struct error *err)
{
    struct span_batch *batch = NULL;

    *err = (struct error){0};
    assert_false(
        otlp_decode_traces(buf_copy(bytes, NULL), RECEIVED_NS, &otlp_limits_default, &batch, err));
    assert_true(err->message[0] != '\0');
}

static inline void assert_text(struct slice actual, const char *expected)
{
    if (!slice_equal_text(actual, expected)) {
        fail_msg("\"%.*s\" where \"%s\" belongs", SLICE_ARGS(actual), expected);
    }
}

#endif
