/*
 * writer_test.c - rebuilding requests from envelopes and spans.
 */

#include "parts.h"

#include <spangate/otlp/attributes.h>

static void add(struct otlp_writer *writer, const struct span_batch *batch, size_t i)
{
    const struct span *span = &batch->spans[i];
    const struct batch_scope *scope = &batch->scopes[span->scope];

    otlp_writer_add(writer, batch->resources[scope->resource].envelope, scope->envelope, span->raw);
}

static void assert_same_spans(const struct span_batch *a, const struct span_batch *b)
{
    assert_int_equal(a->span_count, b->span_count);
    for (size_t i = 0; i < a->span_count; i++) {
        const struct batch_scope *scope_a = &a->scopes[a->spans[i].scope];
        const struct batch_scope *scope_b = &b->scopes[b->spans[i].scope];
        assert_true(slice_equal(a->spans[i].raw, b->spans[i].raw));
        assert_true(slice_equal(scope_a->envelope, scope_b->envelope));
        assert_true(slice_equal(a->resources[scope_a->resource].envelope,
                                b->resources[scope_b->resource].envelope));
    }
}

static void decode_then_write_then_decode_gives_the_same(void **state)
{
    (void)state;
    struct strbuf request = new_bytes();
    struct strbuf again = new_bytes();
    uint8_t bytes[214];
    struct otlp_writer writer;

    strbuf_append_slice(&request, golden_request(bytes));
    /* unknown fields in the span, the scope and the resource, a schema_url after the spans */
    size_t resource_spans = pb_begin(&request, 1);
    pb_put_uint(&request, 900, 1);
    size_t scope_spans = pb_begin(&request, 2);
    size_t span = pb_begin(&request, 2);
    put_ids(&request, 3);
    put_times(&request);
    pb_put_fixed32(&request, 16, 0xfffffc01); /* flags, also the bits without a meaning yet */
    pb_put_bytes(&request, 901, slice_of("tomorrow"));
    pb_end(&request, span);
    pb_put_fixed64(&request, 902, 3);
    pb_end(&request, scope_spans);
    pb_put_bytes(&request, 3, slice_of("https://schema"));
    pb_end(&request, resource_spans);

    struct span_batch *first = decode(strbuf_slice(&request));
    assert_int_equal(first->span_count, 2);
    otlp_writer_begin(&writer, &again);
    for (size_t i = 0; i < first->span_count; i++) {
        add(&writer, first, i);
    }
    otlp_writer_end(&writer);
    assert_int_equal(writer.span_count, 2);
    assert_false(again.overflow);

    struct span_batch *second = decode(strbuf_slice(&again));
    assert_same_spans(first, second);
    struct span_detail detail;
    span_detail_of(second->spans[1].raw, &detail);
    assert_int_equal(detail.flags, 0xfffffc01);
    assert_int_equal(second->scopes[1].envelope.len, 10);
    span_batch_unref(second);
    span_batch_unref(first);
    strbuf_deinit(&again);
    strbuf_deinit(&request);
}

static void neighbours_with_equal_envelopes_share_them(void **state)
{
    (void)state;
    struct strbuf out = new_bytes();
    struct strbuf span = new_bytes();
    struct otlp_writer writer;
    /* the same bytes at two addresses */
    static const char one[] = "\x1a\x01x";
    static const char other[] = "\x1a\x01x";

    put_ids(&span, 1);
    struct slice raw = strbuf_slice(&span);
    otlp_writer_begin(&writer, &out);
    otlp_writer_add(&writer, BYTES(one), BYTES(one), raw);
    otlp_writer_add(&writer, BYTES(other), BYTES(other), raw);           /* the same scope */
    otlp_writer_add(&writer, BYTES(one), (struct slice){0}, raw);        /* another scope */
    otlp_writer_add(&writer, (struct slice){0}, (struct slice){0}, raw); /* another resource */
    otlp_writer_add(&writer, (struct slice){0}, (struct slice){0}, raw);
    otlp_writer_end(&writer);

    struct span_batch *batch = decode(strbuf_slice(&out));
    assert_int_equal(batch->resource_count, 2);
    assert_int_equal(batch->scope_count, 3);
    assert_int_equal(batch->span_count, 5);
    assert_int_equal(batch->spans[1].scope, 0);
    assert_int_equal(batch->spans[2].scope, 1);
    assert_int_equal(batch->spans[4].scope, 2);
    span_batch_unref(batch);
    strbuf_deinit(&span);
    strbuf_deinit(&out);
}

static void nothing_added_is_an_empty_request(void **state)
{
    (void)state;
    struct strbuf out = new_bytes();
    struct otlp_writer writer;

    otlp_writer_begin(&writer, &out);
    otlp_writer_end(&writer);
    assert_int_equal(out.len, 0);
    strbuf_deinit(&out);
}

static void a_request_over_the_limit_overflows(void **state)
{
    (void)state;
    uint8_t bytes[214];
    struct span_batch *batch = decode(golden_request(bytes));

    for (size_t limit = 0; limit < 214; limit++) {
        struct strbuf out;
        struct otlp_writer writer;
        strbuf_init(&out, limit);
        otlp_writer_begin(&writer, &out);
        add(&writer, batch, 0);
        otlp_writer_end(&writer);
        assert_true(out.overflow);
        strbuf_deinit(&out);
    }
    span_batch_unref(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_then_write_then_decode_gives_the_same),
        cmocka_unit_test(neighbours_with_equal_envelopes_share_them),
        cmocka_unit_test(nothing_added_is_an_empty_request),
        cmocka_unit_test(a_request_over_the_limit_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
