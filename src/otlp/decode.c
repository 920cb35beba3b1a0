/*
 * decode.c - from the bytes of an ExportTraceServiceRequest to a span_batch, in one pass.
 *
 * Containers (request, ResourceSpans, ScopeSpans) are walked here, because their spans are taken
 * out of them and the rest becomes the envelope. Spans are read by scan_span(), envelopes checked
 * by message_check(). Nothing recurses, and nothing is copied but what has to be put together.
 *
 * Two kinds of wrong: bytes that are no such message fail the request (ERR_INVALID); a span that
 * breaks the rules of the model is left out alone, with a reason.
 */

#include <spangate/otlp/otlp.h>

#include "message.h"
#include "span_scan.h"
#include "wire.h"

#include <assert.h>
#include <ctype.h>
#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>
#include <spangate/otlp/attributes.h>
#include <stdio.h>

const struct otlp_limits otlp_limits_default = {
    .body_bytes_max = 64 * 1024 * 1024,
    .spans_max = 100000,
    .depth_max = 32,
    .json_depth_max = 200,
};

enum {
    REQUEST_RESOURCE_SPANS = 1,
    CONTAINER_HEAD = 1,     /* Resource of ResourceSpans, InstrumentationScope of ScopeSpans */
    CONTAINER_CHILDREN = 2, /* scope_spans, spans */
    CONTAINER_SCHEMA_URL = 3,
    RESOURCE_SPANS_OLD_SCOPES = 1000, /* instrumentation_library_spans before OTLP 0.15 */
};

struct decoder {
    struct span_batch *batch;
    const struct otlp_limits *limits;
    size_t span_cap, scope_cap, resource_cap;
    size_t seen; /* span fields, also those refused */
    uint64_t repaired;
    /* Where we are, for reasons: resource_spans[r].scope_spans[s].spans[n]. */
    size_t resource_no, scope_no, span_no;
};

static bool malformed(const struct decoder *d, const uint8_t *at, const char *what, const char *why,
                      struct error *err)
{
    const struct buf *body = d->batch->body;

    if (at >= body->data && at < body->data + body->len) {
        return error_set(err, ERR_INVALID, "%s: %s at byte %zu", what, why,
                         (size_t)(at - body->data));
    }
    return error_set(err, ERR_INVALID, "%s: %s", what, why); /* in a part that was put together */
}

static bool malformed_part(const struct decoder *d, const struct message_findings *findings,
                           struct error *err)
{
    return malformed(d, findings->fault, message_name(findings->fault_in), findings->fault_why,
                     err);
}

/* --- spans that are refused alone --- */

static bool all_of(struct slice bytes, int (*is)(int c))
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.data[i] >= 0x80 || !is(bytes.data[i])) {
            return false;
        }
    }
    return true;
}

static int is_base64(int c)
{
    return isalnum(c) || c == '+' || c == '/' || c == '-' || c == '_' || c == '=';
}

/* What an id of the wrong length probably is: mistakes seen in senders. */
static const char *id_hint(struct slice id, size_t len)
{
    if (id.len == 2 * len && all_of(id, isxdigit)) {
        return "; looks like hex text in a bytes field";
    }
    if (id.len == (len + 2) / 3 * 4 && all_of(id, is_base64)) {
        return "; looks like base64 where hex belongs";
    }
    return "";
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    uint8_t seen = 0;

    for (size_t i = 0; i < len; i++) {
        seen |= bytes[i];
    }
    return seen == 0;
}

/* Count a refused span; the first one's reason is kept for the sender. Always false. */
static bool refuse(struct decoder *d, size_t count, const char *field, const char *why)
{
    struct span_batch *batch = d->batch;

    if (batch->rejected_count == 0) {
        (void)snprintf(batch->reject_reason, sizeof(batch->reject_reason),
                       "resource_spans[%zu].scope_spans[%zu].spans[%zu]%s: %s", d->resource_no,
                       d->scope_no, d->span_no, field, why);
    }
    batch->rejected_count += count;
    return false;
}

static bool refuse_id(struct decoder *d, const char *field, struct slice id, size_t len)
{
    char why[96];

    if (id.len == 0) {
        return refuse(d, 1, field, "missing");
    }
    if (id.len == len) {
        return refuse(d, 1, field, "all zero");
    }
    (void)snprintf(why, sizeof(why), "%zu bytes where %zu belong%s", id.len, len, id_hint(id, len));
    return refuse(d, 1, field, why);
}

static bool take_id(struct decoder *d, const char *field, struct slice id, uint8_t *out, size_t len)
{
    if (id.len != len || all_zero(id.data, len)) {
        return refuse_id(d, field, id, len);
    }
    memcpy(out, id.data, len);
    return true;
}

/* The rules of the model, on a span that is whole. false: refused, and counted. */
static bool admit_span(struct decoder *d, const struct span_scan *scan, struct span *span)
{
    if (!take_id(d, ".trace_id", scan->trace_id, span->trace_id.bytes,
                 sizeof(span->trace_id.bytes)) ||
        !take_id(d, ".span_id", scan->span_id, span->span_id.bytes, sizeof(span->span_id.bytes))) {
        return false;
    }
    /* Absent and all zero both mean a root span. */
    if (scan->parent_id.len == sizeof(span->parent_id.bytes)) {
        memcpy(span->parent_id.bytes, scan->parent_id.data, sizeof(span->parent_id.bytes));
    } else if (scan->parent_id.len != 0) {
        return refuse_id(d, ".parent_span_id", scan->parent_id, sizeof(span->parent_id.bytes));
    }
    if (scan->findings.too_deep) {
        return refuse(d, 1, "", "values nested too deep");
    }
    if (span->start_ns == 0 || span->end_ns == 0) {
        span->flags |= SPAN_INCOMPLETE;
        if (span->start_ns == 0) {
            span->start_ns = d->batch->received_ns;
        }
    }
    if (span->end_ns < span->start_ns) {
        span->end_ns = span->start_ns;
    }
    return true;
}

/* --- growing in the arena --- */

/* A larger copy of an array; the old one stays in the arena until the batch goes. */
static void *grow(struct arena *arena, const void *old, size_t count, size_t size, size_t cap)
{
    void *fresh = arena_alloc(arena, cap * size);

    if (count > 0) {
        memcpy(fresh, old, count * size);
    }
    return fresh;
}

/* Room for one more span, guessed from the size of this one and the bytes that are left. */
static struct span *span_slot(struct decoder *d, struct slice raw)
{
    struct span_batch *batch = d->batch;

    if (batch->span_count == d->span_cap) {
        size_t left = (size_t)(batch->body->data + batch->body->len - raw.data);
        size_t guess = left / (raw.len + 2) + 1;
        size_t cap = d->span_cap + (guess < 8 ? 8 : guess);
        if (cap < d->span_cap + d->span_cap / 2) {
            cap = d->span_cap + d->span_cap / 2;
        }
        if (cap > d->limits->spans_max) {
            cap = d->limits->spans_max;
        }
        assert(cap > batch->span_count);
        batch->spans =
            grow(&batch->arena, batch->spans, batch->span_count, sizeof(*batch->spans), cap);
        d->span_cap = cap;
    }
    return &batch->spans[batch->span_count];
}

static uint32_t add_scope(struct decoder *d, uint32_t resource)
{
    struct span_batch *batch = d->batch;

    if (batch->scope_count == d->scope_cap) {
        d->scope_cap = d->scope_cap == 0 ? 8 : d->scope_cap * 2;
        batch->scopes = grow(&batch->arena, batch->scopes, batch->scope_count,
                             sizeof(*batch->scopes), d->scope_cap);
    }
    batch->scopes[batch->scope_count] = (struct batch_scope){.resource = resource};
    return (uint32_t)batch->scope_count++;
}

static uint32_t add_resource(struct decoder *d)
{
    struct span_batch *batch = d->batch;

    if (batch->resource_count == d->resource_cap) {
        d->resource_cap = d->resource_cap == 0 ? 8 : d->resource_cap * 2;
        batch->resources = grow(&batch->arena, batch->resources, batch->resource_count,
                                sizeof(*batch->resources), d->resource_cap);
    }
    batch->resources[batch->resource_count] = (struct batch_resource){0};
    return (uint32_t)batch->resource_count++;
}

/* --- text that is not UTF-8 --- */

static struct slice repaired_copy(struct decoder *d, enum message type, struct slice bytes,
                                  size_t bad_strings)
{
    struct strbuf copy;

    /* A wrong byte becomes three; a message or string gets a length of five bytes. */
    strbuf_init(&copy, 8 * bytes.len);
    message_repair(type, bytes, &copy);
    assert(!copy.overflow);
    struct slice result = arena_copy(&d->batch->arena, strbuf_slice(&copy));
    strbuf_deinit(&copy);
    d->repaired += bad_strings;
    return result;
}

/* --- envelopes: what is left of a container without its children --- */

struct envelope {
    struct slice bytes; /* a view into the body, or owned bytes in the arena */
    uint8_t *owned;
    size_t cap;
    unsigned heads; /* pieces of the Resource or InstrumentationScope */
};

static void envelope_add(struct decoder *d, struct envelope *envelope, struct slice part)
{
    struct slice *bytes = &envelope->bytes;

    if (envelope->owned == NULL) {
        if (bytes->len == 0) {
            *bytes = part;
            return;
        }
        if (bytes->data + bytes->len == part.data) {
            bytes->len += part.len;
            return;
        }
    }
    if (envelope->cap - bytes->len < part.len || envelope->owned == NULL) {
        envelope->cap = 2 * (bytes->len + part.len);
        envelope->owned = grow(&d->batch->arena, bytes->data, bytes->len, 1, envelope->cap);
        bytes->data = envelope->owned;
    }
    memcpy(envelope->owned + bytes->len, part.data, part.len);
    bytes->len += part.len;
}

/*
 * Pieces of one singular message merge by concatenation (protobuf encoding, "Last One Wins"), so
 * that readers of the envelope find one.
 */
static struct slice merged_heads(struct decoder *d, struct slice bytes)
{
    struct strbuf merged;
    struct pb_reader reader = pb_over(bytes);
    struct pb_field field;

    strbuf_init(&merged, 2 * bytes.len + 16);
    size_t begun = pb_begin(&merged, CONTAINER_HEAD);
    while (wire_next(&reader, &field)) {
        if (field.number == CONTAINER_HEAD) {
            strbuf_append_slice(&merged, field.bytes);
        }
    }
    pb_end(&merged, begun);
    const uint8_t *end = bytes.data + bytes.len;
    for (const uint8_t *at = bytes.data; at < end;) {
        at = wire_field(at, end, &field); /* groups too */
        assert(at != NULL);
        if (field.number != CONTAINER_HEAD || field.wire != PB_BYTES) {
            strbuf_append_slice(&merged, field.whole);
        }
    }
    assert(!merged.overflow);
    struct slice result = arena_copy(&d->batch->arena, strbuf_slice(&merged));
    strbuf_deinit(&merged);
    return result;
}

/* Check what was gathered and bring it into its final form. false: malformed. */
static bool envelope_finish(struct decoder *d, enum message type, struct envelope *envelope,
                            bool *too_deep, struct error *err)
{
    struct message_findings findings = {0};

    if (!message_check(type, envelope->bytes, d->limits->depth_max, &findings)) {
        return malformed_part(d, &findings, err);
    }
    *too_deep = findings.too_deep;
    if (findings.too_deep) {
        return true; /* its spans are refused: nobody will see the envelope */
    }
    if (envelope->heads > 1) {
        envelope->bytes = merged_heads(d, envelope->bytes);
    }
    if (findings.bad_strings > 0) {
        envelope->bytes = repaired_copy(d, type, envelope->bytes, findings.bad_strings);
    }
    return true;
}

/* One field of a container that is no child. */
static void envelope_field(struct decoder *d, struct envelope *envelope,
                           const struct pb_field *field)
{
    envelope->heads += field->number == CONTAINER_HEAD && field->wire == PB_BYTES;
    envelope_add(d, envelope, field->whole);
}

static uint64_t envelope_hash(struct slice bytes)
{
    return hash_stable(bytes.len == 0 ? "" : (const void *)bytes.data, bytes.len);
}

/* --- containers --- */

static bool take_span(struct decoder *d, struct slice raw, uint32_t scope, struct error *err)
{
    struct span_scan scan;

    if (d->seen++ >= d->limits->spans_max) {
        return error_set(err, ERR_TOO_LARGE, "more than %zu spans in one request",
                         d->limits->spans_max);
    }
    const struct buf *body = d->batch->body;
    struct span *span = span_slot(d, raw);
    if (!scan_span(raw, body->data + body->len, d->limits->depth_max, span, &scan)) {
        return malformed_part(d, &scan.findings, err);
    }
    if (scan.findings.bad_strings > 0 && !scan.findings.too_deep) {
        raw = repaired_copy(d, MSG_SPAN, raw, scan.findings.bad_strings);
        if (!scan_span(raw, raw.data + raw.len, d->limits->depth_max, span, &scan)) {
            return malformed_part(d, &scan.findings, err);
        }
    }
    if (admit_span(d, &scan, span)) {
        span->scope = scope;
        d->batch->span_count++;
    }
    d->span_no++;
    return true;
}

static bool take_scope_spans(struct decoder *d, struct slice message, uint32_t resource,
                             struct error *err)
{
    struct span_batch *batch = d->batch;
    const uint8_t *at = message.data;
    const uint8_t *end = at + message.len;
    struct envelope envelope = {0};
    size_t first_span = batch->span_count;
    bool too_deep;
    uint32_t scope = add_scope(d, resource);

    d->span_no = 0;
    while (at < end) {
        struct pb_field field;
        const uint8_t *after = wire_field(at, end, &field);
        if (after == NULL) {
            return malformed(d, at, "ScopeSpans", wire_fault(at, end), err);
        }
        if (field.number == CONTAINER_CHILDREN) {
            if (field.wire != PB_BYTES) {
                return malformed(d, at, "ScopeSpans", "a field of another wire type", err);
            }
            if (!take_span(d, field.bytes, scope, err)) {
                return false;
            }
        } else {
            envelope_field(d, &envelope, &field);
        }
        at = after;
    }
    if (!envelope_finish(d, MSG_SCOPE_SPANS, &envelope, &too_deep, err)) {
        return false;
    }
    if (too_deep && batch->span_count > first_span) {
        d->span_no = 0;
        refuse(d, batch->span_count - first_span, "", "values of its scope nested too deep");
        batch->span_count = first_span;
    }
    if (batch->span_count == first_span) {
        batch->scope_count = scope; /* the last one: nothing came after it */
        return true;
    }
    batch->scopes[scope].envelope = envelope.bytes;
    batch->scopes[scope].hash = envelope_hash(envelope.bytes);
    return true;
}

static struct slice service_name(struct slice resource_envelope)
{
    struct attribute_iter iter = resource_attributes(resource_envelope);
    struct attribute attribute;

    while (attribute_next(&iter, &attribute)) {
        if (slice_equal_text(attribute.key, "service.name")) {
            return attribute.value.type == ANY_STRING ? attribute.value.bytes : (struct slice){0};
        }
    }
    return (struct slice){0};
}

static bool has_field(struct slice message, uint32_t number)
{
    struct pb_reader reader = pb_over(message);
    struct pb_field field;

    while (wire_next(&reader, &field)) {
        if (field.number == number) {
            return true;
        }
    }
    return false;
}

static bool take_resource_spans(struct decoder *d, struct slice message, struct error *err)
{
    struct span_batch *batch = d->batch;
    const uint8_t *at = message.data;
    const uint8_t *end = at + message.len;
    struct envelope envelope = {0};
    size_t first_span = batch->span_count;
    size_t first_scope = batch->scope_count;
    uint32_t children = CONTAINER_CHILDREN;
    bool children_known = false;
    bool too_deep;
    uint32_t resource = add_resource(d);

    d->scope_no = 0;
    while (at < end) {
        struct pb_field field;
        const uint8_t *after = wire_field(at, end, &field);
        if (after == NULL) {
            return malformed(d, at, "ResourceSpans", wire_fault(at, end), err);
        }
        if (field.number == RESOURCE_SPANS_OLD_SCOPES && !children_known) {
            children_known = true;
            if (!has_field(message, CONTAINER_CHILDREN)) {
                children = RESOURCE_SPANS_OLD_SCOPES;
            }
        }
        if (field.number == children) {
            if (field.wire != PB_BYTES) {
                return malformed(d, at, "ResourceSpans", "a field of another wire type", err);
            }
            if (!take_scope_spans(d, field.bytes, resource, err)) {
                return false;
            }
            d->scope_no++;
        } else {
            envelope_field(d, &envelope, &field);
        }
        at = after;
    }
    if (!envelope_finish(d, MSG_RESOURCE_SPANS, &envelope, &too_deep, err)) {
        return false;
    }
    if (too_deep && batch->span_count > first_span) {
        d->scope_no = 0;
        d->span_no = 0;
        refuse(d, batch->span_count - first_span, "", "values of its resource nested too deep");
        batch->span_count = first_span;
        batch->scope_count = first_scope;
    }
    if (batch->span_count == first_span) {
        batch->resource_count = resource;
        return true;
    }
    batch->resources[resource] = (struct batch_resource){
        .envelope = envelope.bytes,
        .service = service_name(envelope.bytes),
        .hash = envelope_hash(envelope.bytes),
    };
    return true;
}

static bool take_request(struct decoder *d, struct slice message, struct error *err)
{
    struct pb_reader reader = pb_over(message);

    if (message.len > d->limits->body_bytes_max) {
        return error_set(err, ERR_TOO_LARGE, "a request of %zu bytes, over the limit of %zu",
                         message.len, d->limits->body_bytes_max);
    }
    while (reader.at < reader.end) {
        struct pb_field field;
        const uint8_t *after = wire_field(reader.at, reader.end, &field);
        if (after == NULL) {
            return malformed(d, reader.at, "request", wire_fault(reader.at, reader.end), err);
        }
        if (field.number == REQUEST_RESOURCE_SPANS) {
            if (field.wire != PB_BYTES) {
                return malformed(d, reader.at, "request", "a field of another wire type", err);
            }
            if (!take_resource_spans(d, field.bytes, err)) {
                return false;
            }
            d->resource_no++;
        }
        reader.at = after;
    }
    return true;
}

bool otlp_decode_traces(struct buf *body, uint64_t received_ns, const struct otlp_limits *limits,
                        struct span_batch **out, struct error *err)
{
    struct span_batch *batch = mem_zalloc(1, sizeof(*batch));
    struct decoder decoder = {.batch = batch, .limits = limits};

    atomic_init(&batch->refs, 1);
    arena_init(&batch->arena);
    batch->body = body;
    batch->received_ns = received_ns;
    if (body != NULL && !take_request(&decoder, buf_slice(body), err)) {
        span_batch_unref(batch);
        return false;
    }
    if (body != NULL && body->budget != NULL) {
        /* The body was admitted, so its spans are, too; they count for the next one. */
        batch->charged = batch->arena.reserved;
        budget_charge(body->budget, batch->charged);
    }
    if (decoder.repaired > 0) {
        metric_add(METRIC_STRINGS_SANITIZED, decoder.repaired);
    }
    *out = batch;
    return true;
}
