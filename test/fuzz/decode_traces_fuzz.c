/*
 * decode_traces_fuzz.c - any bytes at all must decode or be refused.
 *
 * Properties: a refusal is the sender's fault (ERR_INVALID, ERR_TOO_LARGE) and says why; every view
 * handed out is readable memory; spans keep the promises of span.h; text in spans and envelopes is
 * UTF-8 as far as it is looked at here; what the writer builds from a batch decodes to the same
 * spans, and building it from those gives the same bytes again.
 */

#undef NDEBUG
#include <assert.h>
#include <spangate/base/text.h>
#include <spangate/otlp/attributes.h>
#include <spangate/otlp/otlp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read every byte: the sanitizer knows whether it may be read. */
static void touch(struct slice view)
{
    const volatile uint8_t *bytes = view.data;

    for (size_t i = 0; i < view.len; i++) {
        (void)bytes[i];
    }
}

static void assert_inside(struct slice view, struct slice whole)
{
    if (view.len > 0) {
        assert(view.data >= whole.data && view.len <= whole.len);
        assert(view.data + view.len <= whole.data + whole.len);
    }
}

static void read_attributes(struct attribute_iter iter, struct slice whole, struct strbuf *text)
{
    struct attribute attribute;

    while (attribute_next(&iter, &attribute)) {
        assert_inside(attribute.key, whole);
        assert_inside(attribute.value.bytes, whole);
        assert(utf8_is_valid(attribute.key));
        strbuf_clear(text);
        any_to_text(&attribute.value, text);
        any_to_json(&attribute.value, text);
        assert(text->overflow || attribute.value.type == ANY_BYTES ||
               utf8_is_valid(strbuf_slice(text)));
    }
}

static void check_span(const struct span_batch *batch, const struct span *span, struct strbuf *text)
{
    struct span_detail detail;
    struct span_event event;
    struct span_link link;
    size_t at = 0;
    static const struct span_id no_span;
    static const struct trace_id no_trace;

    touch(span->raw);
    assert_inside(span->name, span->raw);
    assert(utf8_is_valid(span->name));
    assert(!trace_id_equal(&span->trace_id, &no_trace));
    assert(!span_id_equal(&span->span_id, &no_span));
    assert(span->end_ns >= span->start_ns);
    assert(span->scope < batch->scope_count);
    assert(span->kind <= SPAN_KIND_CONSUMER || span->kind == UINT8_MAX);
    assert(span->status <= SPAN_STATUS_ERROR);

    read_attributes(span_attributes(span->raw), span->raw, text);
    span_detail_of(span->raw, &detail);
    assert(utf8_is_valid(detail.trace_state) && utf8_is_valid(detail.status_message));
    while (span_event_next(span->raw, &at, &event)) {
        assert_inside(event.message, span->raw);
        assert(utf8_is_valid(event.name));
        read_attributes(event_attributes(event.message), event.message, text);
    }
    at = 0;
    while (span_link_next(span->raw, &at, &link)) {
        assert(utf8_is_valid(link.trace_state));
        read_attributes(link_attributes(link.message), link.message, text);
    }
}

static void check_batch(const struct span_batch *batch)
{
    struct strbuf text;

    strbuf_init(&text, 1024 * 1024);
    for (size_t i = 0; i < batch->resource_count; i++) {
        const struct batch_resource *resource = &batch->resources[i];
        touch(resource->envelope);
        assert_inside(resource->service, resource->envelope);
        assert(utf8_is_valid(resource_schema_url(resource->envelope)));
        read_attributes(resource_attributes(resource->envelope), resource->envelope, &text);
    }
    for (size_t i = 0; i < batch->scope_count; i++) {
        struct scope_detail detail;
        touch(batch->scopes[i].envelope);
        assert(batch->scopes[i].resource < batch->resource_count);
        scope_detail_of(batch->scopes[i].envelope, &detail);
        assert(utf8_is_valid(detail.name) && utf8_is_valid(detail.version) &&
               utf8_is_valid(detail.schema_url));
        read_attributes(scope_attributes(batch->scopes[i].envelope), batch->scopes[i].envelope,
                        &text);
    }
    for (size_t i = 0; i < batch->span_count; i++) {
        check_span(batch, &batch->spans[i], &text);
    }
    assert((batch->rejected_count > 0) == (batch->reject_reason[0] != '\0'));
    assert(batch->span_count > 0 || (batch->resource_count == 0 && batch->scope_count == 0));
    strbuf_deinit(&text);
}

static void write_batch(const struct span_batch *batch, struct strbuf *out)
{
    struct otlp_writer writer;

    strbuf_init(out, (size_t)1 << 30);
    otlp_writer_begin(&writer, out);
    for (size_t i = 0; i < batch->span_count; i++) {
        const struct batch_scope *scope = &batch->scopes[batch->spans[i].scope];
        otlp_writer_add(&writer, batch->resources[scope->resource].envelope, scope->envelope,
                        batch->spans[i].raw);
    }
    otlp_writer_end(&writer);
    assert(!out->overflow);
}

static struct span_batch *decode(struct slice bytes, struct error *err)
{
    struct span_batch *batch = NULL;

    if (!otlp_decode_traces(buf_copy(bytes, NULL), 1, &otlp_limits_default, &batch, err)) {
        assert(batch == NULL);
    }
    return batch;
}

static void assert_same(const struct span_batch *a, const struct span_batch *b)
{
    assert(a->span_count == b->span_count && b->rejected_count == 0);
    for (size_t i = 0; i < a->span_count; i++) {
        const struct span *x = &a->spans[i];
        const struct span *y = &b->spans[i];
        assert(slice_equal(x->raw, y->raw) && slice_equal(x->name, y->name));
        assert(trace_id_equal(&x->trace_id, &y->trace_id));
        assert(x->start_ns == y->start_ns && x->end_ns == y->end_ns);
        assert(x->kind == y->kind && x->status == y->status && x->flags == y->flags);
        assert(slice_equal(a->scopes[x->scope].envelope, b->scopes[y->scope].envelope));
        assert(slice_equal(a->resources[a->scopes[x->scope].resource].envelope,
                           b->resources[b->scopes[y->scope].resource].envelope));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {.data = data, .len = size};
    struct error err = {0};
    size_t items;

    struct span_batch *batch = decode(input, &err);
    if (batch == NULL) {
        assert(err.code == ERR_INVALID || err.code == ERR_TOO_LARGE);
        assert(err.message[0] != '\0');
    } else {
        struct strbuf first;
        struct strbuf second;
        check_batch(batch);
        /* The check of the frame sees the same spans. */
        assert(otlp_check(OTLP_TRACES, input, &otlp_limits_default, &items, &err));
        write_batch(batch, &first);
        struct span_batch *again = decode(strbuf_slice(&first), &err);
        assert(again != NULL);
        check_batch(again);
        assert_same(batch, again);
        write_batch(again, &second);
        assert(slice_equal(strbuf_slice(&first), strbuf_slice(&second)));
        strbuf_deinit(&second);
        strbuf_deinit(&first);
        span_batch_unref(again);
        span_batch_unref(batch);
    }

    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        struct error refusal = {0};
        if (!otlp_check((enum otlp_signal)signal, input, &otlp_limits_default, &items, &refusal)) {
            assert(refusal.code == ERR_INVALID || refusal.code == ERR_TOO_LARGE);
        }
    }
    return 0;
}
