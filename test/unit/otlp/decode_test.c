/*
 * decode_test.c - from request bytes to a span_batch.
 */

#include "parts.h"

#include <spangate/base/hash.h>
#include <spangate/base/metrics.h>
#include <spangate/otlp/attributes.h>

static void the_golden_request_decodes_to_its_span(void **state)
{
    (void)state;
    uint8_t bytes[214];
    char hex[33];
    struct span_batch *batch = decode(golden_request(bytes));

    assert_int_equal(batch->span_count, 1);
    assert_int_equal(batch->scope_count, 1);
    assert_int_equal(batch->resource_count, 1);
    assert_int_equal(batch->rejected_count, 0);
    assert_string_equal(batch->reject_reason, "");
    assert_true(batch->received_ns == RECEIVED_NS);

    const struct span *span = &batch->spans[0];
    hex_encode(span->trace_id.bytes, 16, hex);
    assert_string_equal(hex, "5b8efff798038103d269b633813fc60c");
    hex_encode(span->span_id.bytes, 8, hex);
    assert_string_equal(hex, "eee19b7ec3c1b174");
    hex_encode(span->parent_id.bytes, 8, hex);
    assert_string_equal(hex, "eee19b7ec3c1b173");
    assert_text(span->name, "I'm a server span");
    assert_int_equal(span->kind, SPAN_KIND_SERVER);
    assert_int_equal(span->status, SPAN_STATUS_UNSET);
    assert_true(span->start_ns == UINT64_C(1544712660000000000));
    assert_true(span->end_ns == UINT64_C(1544712661000000000));
    assert_int_equal(span->flags, 0);
    assert_int_equal(span->raw.len, 107);
    assert_text(batch->resources[0].service, "my.service");

    /* Views into the body: resource and scope fields stand together, so nothing was copied. */
    const struct buf *body = batch->body;
    assert_ptr_equal(batch->resources[0].envelope.data, body->data + 3);
    assert_int_equal(batch->resources[0].envelope.len, 32);
    assert_ptr_equal(batch->scopes[0].envelope.data, body->data + 3 + 32 + 3);
    assert_int_equal(batch->scopes[0].envelope.len, 67);
    assert_true(batch->scopes[0].hash == hash_stable(batch->scopes[0].envelope.data, 67));
    span_batch_unref(batch);
}

static void spans_count_against_the_budget_of_their_body(void **state)
{
    (void)state;
    uint8_t bytes[214];
    struct budget budget;
    struct error err;
    struct span_batch *batch = NULL;

    budget_init(&budget, 1 << 20, NULL);
    struct buf *body = buf_copy(golden_request(bytes), &budget);
    size_t alone = budget_used(&budget);
    assert_true(otlp_decode_traces(body, RECEIVED_NS, &otlp_limits_default, &batch, &err));
    assert_true(budget_used(&budget) >= alone + sizeof(struct span));
    span_batch_unref(batch);
    assert_int_equal(budget_used(&budget), 0);

    body = buf_copy((struct slice){bytes, sizeof(bytes) - 1}, &budget);
    assert_false(otlp_decode_traces(body, RECEIVED_NS, &otlp_limits_default, &batch, &err));
    assert_int_equal(budget_used(&budget), 0);
}

/* Only the empty request and the whole one are messages; each prefix gets memory of its size. */
static void every_other_prefix_of_the_golden_request_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[214];
    struct error err;

    golden_request(bytes);
    for (size_t len = 1; len < sizeof(bytes); len++) {
        assert_refused((struct slice){bytes, len}, &err);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

/* Cut inside the span, with all lengths around it made to fit. */
static void every_prefix_of_a_span_is_refused_or_incomplete(void **state)
{
    (void)state;
    uint8_t bytes[214];
    struct slice golden = golden_request(bytes);
    struct slice span = slice_from(golden, golden.len - 107);
    size_t whole = 0;

    for (size_t len = 0; len <= span.len; len++) {
        struct strbuf request = new_bytes();
        struct span_batch *batch = NULL;
        struct error err = {0};
        put_request(&request, (struct slice){span.data, len});
        if (otlp_decode_traces(buf_copy(strbuf_slice(&request), NULL), RECEIVED_NS,
                               &otlp_limits_default, &batch, &err)) {
            whole++;
            assert_int_equal(batch->span_count + batch->rejected_count, 1);
            span_batch_unref(batch);
        } else {
            assert_int_equal(err.code, ERR_INVALID);
        }
        strbuf_deinit(&request);
    }
    assert_int_equal(whole, 9); /* nothing, then after each of the eight fields */
}

static void an_empty_request_is_an_empty_batch(void **state)
{
    (void)state;
    struct span_batch *batch = NULL;
    struct error err = {0};

    batch = decode((struct slice){0});
    assert_int_equal(batch->span_count, 0);
    span_batch_unref(batch);

    assert_true(otlp_decode_traces(NULL, RECEIVED_NS, &otlp_limits_default, &batch, &err));
    assert_int_equal(batch->span_count, 0);
    span_batch_unref(batch);
    span_batch_unref(NULL);
}

static void envelopes_without_spans_are_dropped(void **state)
{
    (void)state;
    struct strbuf request = new_bytes();

    pb_put_bytes(&request, 1, (struct slice){0});
    size_t resource_spans = pb_begin(&request, 1);
    size_t resource = pb_begin(&request, 1);
    put_text_attribute(&request, 1, slice_of("service.name"), slice_of("empty"));
    pb_end(&request, resource);
    pb_put_bytes(&request, 2, (struct slice){0});
    pb_end(&request, resource_spans);
    uint8_t bytes[214];
    strbuf_append_slice(&request, golden_request(bytes));

    struct span_batch *batch = decode(strbuf_slice(&request));
    assert_int_equal(batch->resource_count, 1);
    assert_int_equal(batch->scope_count, 1);
    assert_int_equal(batch->span_count, 1);
    assert_int_equal(batch->spans[0].scope, 0);
    assert_text(batch->resources[0].service, "my.service");
    span_batch_unref(batch);
    strbuf_deinit(&request);
}

static void a_batch_lives_until_its_last_reference(void **state)
{
    (void)state;
    uint8_t bytes[214];
    struct span_batch *batch = decode(golden_request(bytes));
    struct span_batch *second = span_batch_ref(batch);

    span_batch_unref(batch);
    assert_text(second->spans[0].name, "I'm a server span");
    span_batch_unref(second);
}

/* --- envelopes --- */

static void fields_around_the_children_are_gathered_in_the_envelope(void **state)
{
    (void)state;
    struct strbuf request = new_bytes();
    struct strbuf span = new_bytes();

    put_ids(&span, 1);
    size_t resource_spans = pb_begin(&request, 1);
    size_t scope_spans = pb_begin(&request, 2);
    pb_put_uint(&request, 77, 5); /* a field of tomorrow, before the spans */
    pb_put_bytes(&request, 2, strbuf_slice(&span));
    strbuf_append(&request, "\xa3\x06\x08\x01\xa4\x06", 6); /* and a group 100 */
    pb_put_bytes(&request, 2, strbuf_slice(&span));
    size_t scope = pb_begin(&request, 1); /* the scope after them */
    pb_put_bytes(&request, 1, slice_of("lib"));
    pb_end(&request, scope);
    pb_put_bytes(&request, 3, slice_of("https://schema/scope"));
    pb_end(&request, scope_spans);
    size_t resource = pb_begin(&request, 1);
    put_text_attribute(&request, 1, slice_of("service.name"), slice_of("late"));
    pb_end(&request, resource);
    pb_put_bytes(&request, 3, slice_of("https://schema/resource"));
    pb_end(&request, resource_spans);

    struct span_batch *batch = decode(strbuf_slice(&request));
    assert_int_equal(batch->span_count, 2);
    assert_text(batch->resources[0].service, "late");
    assert_text(resource_schema_url(batch->resources[0].envelope), "https://schema/resource");
    struct scope_detail detail;
    scope_detail_of(batch->scopes[0].envelope, &detail);
    assert_text(detail.name, "lib");
    assert_text(detail.schema_url, "https://schema/scope");
    /* 3 bytes of field 77, 6 of the group, scope and schema_url */
    assert_int_equal(batch->scopes[0].envelope.len, 3 + 6 + (6 + 5) + 22);
    span_batch_unref(batch);
    strbuf_deinit(&span);
    strbuf_deinit(&request);
}

static void pieces_of_a_resource_merge(void **state)
{
    (void)state;
    struct strbuf request = new_bytes();
    struct strbuf span = new_bytes();

    put_ids(&span, 1);
    size_t resource_spans = pb_begin(&request, 1);
    size_t resource = pb_begin(&request, 1);
    put_text_attribute(&request, 1, slice_of("a"), slice_of("1"));
    pb_end(&request, resource);
    size_t scope_spans = pb_begin(&request, 2);
    pb_put_bytes(&request, 2, strbuf_slice(&span));
    pb_end(&request, scope_spans);
    pb_put_uint(&request, 50, 1);
    resource = pb_begin(&request, 1);
    put_text_attribute(&request, 1, slice_of("service.name"), slice_of("second piece"));
    pb_end(&request, resource);
    pb_end(&request, resource_spans);

    struct span_batch *batch = decode(strbuf_slice(&request));
    struct attribute_iter iter = resource_attributes(batch->resources[0].envelope);
    struct attribute attribute;
    assert_true(attribute_next(&iter, &attribute));
    assert_text(attribute.key, "a");
    assert_true(attribute_next(&iter, &attribute));
    assert_text(attribute.key, "service.name");
    assert_false(attribute_next(&iter, &attribute));
    assert_text(batch->resources[0].service, "second piece");
    span_batch_unref(batch);
    strbuf_deinit(&span);
    strbuf_deinit(&request);
}

static void field_1000_is_read_as_scope_spans_when_there_are_none(void **state)
{
    (void)state;

    for (int with_new = 0; with_new < 2; with_new++) {
        struct strbuf request = new_bytes();
        struct strbuf span = new_bytes();
        struct strbuf scope_spans = new_bytes();
        put_ids(&span, 1);
        pb_put_bytes(&scope_spans, 2, strbuf_slice(&span));
        size_t resource_spans = pb_begin(&request, 1);
        pb_put_bytes(&request, 1000, strbuf_slice(&scope_spans));
        pb_put_bytes(&request, 1000, strbuf_slice(&scope_spans));
        if (with_new) {
            pb_put_bytes(&request, 2, strbuf_slice(&scope_spans));
        }
        pb_end(&request, resource_spans);

        struct span_batch *batch = decode(strbuf_slice(&request));
        assert_int_equal(batch->span_count, with_new ? 1 : 2);
        /* As an unknown field it stays in the envelope; as the spans it does not. */
        assert_int_equal(batch->resources[0].envelope.len > 0, with_new);
        span_batch_unref(batch);
        strbuf_deinit(&scope_spans);
        strbuf_deinit(&span);
        strbuf_deinit(&request);
    }
}

static void a_service_name_that_is_no_string_is_no_name(void **state)
{
    (void)state;
    struct strbuf request = new_bytes();
    struct strbuf span = new_bytes();

    put_ids(&span, 1);
    size_t resource_spans = pb_begin(&request, 1);
    pb_put_bytes(&request, 1, BYTES("\x0a\x12\x0a\x0cservice.name\x12\x02\x18\x05"));
    size_t scope_spans = pb_begin(&request, 2);
    pb_put_bytes(&request, 2, strbuf_slice(&span));
    pb_end(&request, scope_spans);
    pb_end(&request, resource_spans);

    struct span_batch *batch = decode(strbuf_slice(&request));
    assert_int_equal(batch->resources[0].service.len, 0);
    span_batch_unref(batch);
    strbuf_deinit(&span);
    strbuf_deinit(&request);
}

/* --- fields of a span --- */

static void the_last_of_repeated_scalars_counts(void **state)
{
    (void)state;
    struct strbuf span = new_bytes();

    put_ids(&span, 1);
    put_ids(&span, 9);
    pb_put_bytes(&span, 5, slice_of("first"));
    pb_put_bytes(&span, 5, slice_of("last"));
    pb_put_uint(&span, 6, 2);
    pb_put_uint(&span, 6, 3);
    put_times(&span);

    struct span_batch *batch = decode_span(&span);
    assert_text(batch->spans[0].name, "last");
    assert_int_equal(batch->spans[0].kind, SPAN_KIND_CLIENT);
    assert_int_equal(batch->spans[0].trace_id.bytes[15], 9);
    span_batch_unref(batch);
    strbuf_deinit(&span);
}

static void pieces_of_a_status_merge(void **state)
{
    (void)state;
    struct strbuf span = new_bytes();

    put_ids(&span, 1);
    pb_put_bytes(&span, 15, BYTES("\x18\x02"));     /* code: ERROR */
    pb_put_bytes(&span, 15, BYTES("\x12\x04late")); /* message alone: keeps the code */

    struct span_batch *batch = decode_span(&span);
    struct span_detail detail;
    assert_int_equal(batch->spans[0].status, SPAN_STATUS_ERROR);
    span_detail_of(batch->spans[0].raw, &detail);
    assert_text(detail.status_message, "late");
    span_batch_unref(batch);
    strbuf_deinit(&span);
}

static void numbers_beyond_an_enum_are_kept_in_the_bytes_only(void **state)
{
    (void)state;
    struct strbuf span = new_bytes();

    put_ids(&span, 1);
    pb_put_uint(&span, 6, 6);
    pb_put_bytes(&span, 15, BYTES("\x18\x07"));
    struct span_batch *batch = decode_span(&span);
    assert_int_equal(batch->spans[0].kind, 255);
    assert_int_equal(batch->spans[0].status, SPAN_STATUS_UNSET);
    span_batch_unref(batch);

    pb_put_uint(&span, 6, UINT64_MAX); /* -1 */
    batch = decode_span(&span);
    assert_int_equal(batch->spans[0].kind, 255);
    assert_int_equal(batch->spans[0].raw.len, span.len);
    span_batch_unref(batch);
    strbuf_deinit(&span);
}

static void tags_written_longer_than_needed_are_the_same_fields(void **state)
{
    (void)state;
    struct strbuf span = new_bytes();

    put_ids(&span, 1);
    strbuf_append(&span, "\xaa\x80\x00\x84\x00name", 9);

    struct span_batch *batch = decode_span(&span);
    assert_text(batch->spans[0].name, "name");
    span_batch_unref(batch);
    strbuf_deinit(&span);
}

static void zero_times_are_filled_and_marked(void **state)
{
    (void)state;
    static const struct {
        uint64_t start, end, start_expected, end_expected;
        int flags;
    } cases[] = {
        {0, 0, RECEIVED_NS, RECEIVED_NS, SPAN_INCOMPLETE},
        {500, 0, 500, 500, SPAN_INCOMPLETE},
        {0, 500, RECEIVED_NS, RECEIVED_NS, SPAN_INCOMPLETE},
        {500, 400, 500, 500, 0},
        {500, 600, 500, 600, 0},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, 0},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf span = new_bytes();
        put_ids(&span, 1);
        pb_put_fixed64(&span, 7, cases[i].start);
        pb_put_fixed64(&span, 8, cases[i].end);
        struct span_batch *batch = decode_span(&span);
        assert_true(batch->spans[0].start_ns == cases[i].start_expected);
        assert_true(batch->spans[0].end_ns == cases[i].end_expected);
        assert_int_equal(batch->spans[0].flags, cases[i].flags);
        span_batch_unref(batch);
        strbuf_deinit(&span);
    }
}

static void known_fields_of_another_wire_type_fail_the_request(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"\x08\x01", 2},                         /* trace_id: number */
        {"\x28\x01", 2},                         /* name: number */
        {"\x38\x01", 2},                         /* start: varint */
        {"\x3a\x00", 2},                         /* start: bytes */
        {"\x80\x01\x05", 3},                     /* flags: varint */
        {"\x4b\x4c", 2},                         /* attributes: group */
        {"\x4a\x02\x08\x01", 4},                 /* key: number */
        {"\x4a\x04\x12\x02\x08\x01", 6},         /* string_value: number */
        {"\x5a\x02\x08\x01", 4},                 /* event time: varint */
        {"\x6a\x02\x30\x01", 4},                 /* link flags: varint */
        {"\x7a\x02\x1a\x00", 4},                 /* status code: bytes */
        {"\x4a\x06\x12\x04\x2a\x02\x08\x01", 8}, /* element of an array: number */
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf span = new_bytes();
        struct strbuf request = new_bytes();
        struct error err;
        put_ids(&span, 1);
        strbuf_append(&span, cases[i].bytes, cases[i].len);
        put_request(&request, strbuf_slice(&span));
        assert_refused(strbuf_slice(&request), &err);
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.message, "another wire type at byte "));
        strbuf_deinit(&span);
        strbuf_deinit(&request);
    }
}

static void bytes_that_are_no_request_are_refused(void **state)
{
    (void)state;
    struct error err;

    assert_refused(BYTES("{\"resourceSpans\":[]}"), &err);
    assert_int_equal(err.code, ERR_INVALID);
    assert_refused(BYTES("\x08\x01"), &err);
    assert_string_equal(err.message, "request: a field of another wire type at byte 0");
    assert_refused(BYTES("\x0a\x02\x10\x01"), &err);
    assert_string_equal(err.message, "ResourceSpans: a field of another wire type at byte 2");
    assert_refused(BYTES("\x0a\x04\x12\x02\x15\x01"), &err);
    assert_string_equal(err.message, "ScopeSpans: a fixed-size number that is cut off at byte 4");
    assert_refused(BYTES("\x0a\x02\x0a\x7f"), &err);
    assert_int_equal(err.code, ERR_INVALID);
    assert_refused(BYTES("\x0a\x04\x0a\x02\x08\x01"), &err);
    assert_string_equal(err.message, "Resource: a field of another wire type at byte 4");
}

/* --- spans that are refused alone --- */

static void assert_span_rejected(struct strbuf *span, const char *reason)
{
    struct strbuf request = new_bytes();
    uint8_t bytes[214];

    put_request(&request, strbuf_slice(span));
    strbuf_append_slice(&request, golden_request(bytes)); /* a neighbour that must not suffer */
    struct span_batch *batch = decode(strbuf_slice(&request));
    assert_int_equal(batch->span_count, 1);
    assert_int_equal(batch->rejected_count, 1);
    assert_text(batch->spans[0].name, "I'm a server span");
    assert_string_equal(batch->reject_reason, reason);
    span_batch_unref(batch);
    strbuf_deinit(&request);
    strbuf_clear(span);
}

static void spans_with_wrong_ids_are_rejected_alone_with_a_reason(void **state)
{
    (void)state;
    static const uint8_t zeros[16];
    struct strbuf span = new_bytes();

    assert_span_rejected(&span, "resource_spans[0].scope_spans[0].spans[0].trace_id: missing");

    pb_put_bytes(&span, 1, slice_of("5b8efff798038103d269b633813fc60c"));
    pb_put_bytes(&span, 2, BYTES("\1\2\3\4\5\6\7\10"));
    assert_span_rejected(&span, "resource_spans[0].scope_spans[0].spans[0].trace_id: 32 bytes "
                                "where 16 belong; looks like hex text in a bytes field");

    pb_put_bytes(&span, 1, slice_of("W47/95gDgQPSabYzgT/GDA=="));
    assert_span_rejected(&span, "resource_spans[0].scope_spans[0].spans[0].trace_id: 24 bytes "
                                "where 16 belong; looks like base64 where hex belongs");

    pb_put_bytes(&span, 1, (struct slice){zeros, 16});
    assert_span_rejected(&span, "resource_spans[0].scope_spans[0].spans[0].trace_id: all zero");

    put_ids(&span, 1);
    pb_put_bytes(&span, 2, (struct slice){zeros, 8});
    assert_span_rejected(&span, "resource_spans[0].scope_spans[0].spans[0].span_id: all zero");

    put_ids(&span, 1);
    pb_put_bytes(&span, 2, slice_of("eee19b7ec3c1b174"));
    assert_span_rejected(&span, "resource_spans[0].scope_spans[0].spans[0].span_id: 16 bytes "
                                "where 8 belong; looks like hex text in a bytes field");

    put_ids(&span, 1);
    pb_put_bytes(&span, 4, BYTES("\1\2\3"));
    assert_span_rejected(&span, "resource_spans[0].scope_spans[0].spans[0].parent_span_id: 3 bytes "
                                "where 8 belong");
    strbuf_deinit(&span);
}

static void the_first_reason_is_kept_and_all_are_counted(void **state)
{
    (void)state;
    struct strbuf request = new_bytes();
    struct strbuf good = new_bytes();

    put_ids(&good, 1);
    size_t resource_spans = pb_begin(&request, 1);
    size_t scope_spans = pb_begin(&request, 2);
    pb_put_bytes(&request, 2, strbuf_slice(&good));
    pb_put_bytes(&request, 2, (struct slice){0});
    pb_put_bytes(&request, 2, strbuf_slice(&good));
    pb_put_bytes(&request, 2, BYTES("\x0a\x01x"));
    pb_end(&request, scope_spans);
    pb_end(&request, resource_spans);

    struct span_batch *batch = decode(strbuf_slice(&request));
    assert_int_equal(batch->span_count, 2);
    assert_int_equal(batch->rejected_count, 2);
    assert_string_equal(batch->reject_reason,
                        "resource_spans[0].scope_spans[0].spans[1].trace_id: missing");
    span_batch_unref(batch);
    strbuf_deinit(&good);
    strbuf_deinit(&request);
}

static void an_empty_or_all_zero_parent_is_a_root(void **state)
{
    (void)state;
    static const uint8_t zeros[8];

    for (int zero = 0; zero < 2; zero++) {
        struct strbuf span = new_bytes();
        put_ids(&span, 1);
        pb_put_bytes(&span, 4, (struct slice){zeros, zero ? 8 : 0});
        struct span_batch *batch = decode_span(&span);
        assert_int_equal(batch->span_count, 1);
        assert_true(span_is_root(&batch->spans[0]));
        span_batch_unref(batch);
        strbuf_deinit(&span);
    }
}

/* --- nesting --- */

static void put_nested_attribute(struct strbuf *out, uint32_t number, size_t levels)
{
    size_t entry = pb_begin(out, number);
    pb_put_bytes(out, 1, slice_of("deep"));
    size_t any = pb_begin(out, 2);
    put_nested_value(out, levels);
    pb_end(out, any);
    pb_end(out, entry);
}

static void values_nest_to_the_limit_and_no_further(void **state)
{
    (void)state;
    /* in an attribute of the span, of an event, of a link */
    static const uint32_t places[] = {9, 11, 13};

    for (size_t place = 0; place < COUNT_OF(places); place++) {
        for (size_t levels = 32; levels <= 33; levels++) {
            struct strbuf span = new_bytes();
            put_ids(&span, 1);
            if (places[place] == 9) {
                put_nested_attribute(&span, 9, levels);
            } else {
                size_t part = pb_begin(&span, places[place]);
                put_nested_attribute(&span, places[place] == 11 ? 3 : 4, levels);
                pb_end(&span, part);
            }
            if (levels == 32) {
                struct span_batch *batch = decode_span(&span);
                assert_int_equal(batch->span_count, 1);
                span_batch_unref(batch);
            } else {
                assert_span_rejected(&span, "resource_spans[0].scope_spans[0].spans[0]: values "
                                            "nested too deep");
            }
            strbuf_deinit(&span);
        }
    }
}

static void a_body_that_nests_ten_thousand_levels_costs_one_span(void **state)
{
    (void)state;
    struct strbuf span = new_bytes();

    put_ids(&span, 1);
    put_nested_attribute(&span, 9, 10000);
    assert_true(span.len > 30000);
    assert_span_rejected(&span,
                         "resource_spans[0].scope_spans[0].spans[0]: values nested too deep");
    strbuf_deinit(&span);
}

static void a_resource_or_scope_that_nests_too_deep_costs_its_own_spans(void **state)
{
    (void)state;

    for (int in_scope = 0; in_scope < 2; in_scope++) {
        struct strbuf request = new_bytes();
        struct strbuf span = new_bytes();
        uint8_t bytes[214];
        put_ids(&span, 1);
        strbuf_append_slice(&request, golden_request(bytes));
        size_t resource_spans = pb_begin(&request, 1);
        size_t scope_spans = pb_begin(&request, 2);
        pb_put_bytes(&request, 2, strbuf_slice(&span));
        pb_put_bytes(&request, 2, strbuf_slice(&span));
        if (in_scope) {
            size_t scope = pb_begin(&request, 1);
            put_nested_attribute(&request, 3, 5000);
            pb_end(&request, scope);
        }
        pb_end(&request, scope_spans);
        if (!in_scope) {
            size_t resource = pb_begin(&request, 1);
            put_nested_attribute(&request, 1, 5000);
            pb_end(&request, resource);
        }
        pb_end(&request, resource_spans);

        struct span_batch *batch = decode(strbuf_slice(&request));
        assert_int_equal(batch->span_count, 1);
        assert_int_equal(batch->scope_count, 1);
        assert_int_equal(batch->resource_count, 1);
        assert_int_equal(batch->rejected_count, 2);
        assert_non_null(strstr(batch->reject_reason, in_scope ? "values of its scope nested"
                                                              : "values of its resource nested"));
        span_batch_unref(batch);
        strbuf_deinit(&span);
        strbuf_deinit(&request);
    }
}

static void depth_zero_refuses_every_value(void **state)
{
    (void)state;
    struct otlp_limits limits = otlp_limits_default;
    struct span_batch *batch = NULL;
    struct error err = {0};
    uint8_t bytes[214];

    limits.depth_max = 0;
    assert_true(otlp_decode_traces(buf_copy(golden_request(bytes), NULL), RECEIVED_NS, &limits,
                                   &batch, &err));
    assert_int_equal(batch->span_count, 0);
    assert_int_equal(batch->rejected_count, 1);
    span_batch_unref(batch);
}

/* --- limits --- */

static void more_spans_than_the_limit_are_too_large(void **state)
{
    (void)state;
    struct otlp_limits limits = otlp_limits_default;

    limits.spans_max = 5;
    for (size_t count = 5; count <= 6; count++) {
        struct strbuf request = new_bytes();
        struct strbuf span = new_bytes();
        struct span_batch *batch = NULL;
        struct error err = {0};
        put_ids(&span, 1);
        for (size_t i = 0; i < count; i++) {
            put_request(&request, strbuf_slice(&span));
        }
        bool ok = otlp_decode_traces(buf_copy(strbuf_slice(&request), NULL), RECEIVED_NS, &limits,
                                     &batch, &err);
        assert_int_equal(ok, count == 5);
        assert_int_equal(err.code, ok ? ERR_NONE : ERR_TOO_LARGE);
        assert_int_equal(ok ? batch->span_count : 0, ok ? 5 : 0);
        span_batch_unref(batch);
        strbuf_deinit(&span);
        strbuf_deinit(&request);
    }
}

static void a_body_over_the_limit_is_too_large(void **state)
{
    (void)state;
    struct otlp_limits limits = otlp_limits_default;
    struct span_batch *batch = NULL;
    struct error err = {0};
    uint8_t bytes[214];

    limits.body_bytes_max = 213;
    assert_false(otlp_decode_traces(buf_copy(golden_request(bytes), NULL), RECEIVED_NS, &limits,
                                    &batch, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

static void arrays_grow_with_spans_of_very_different_size(void **state)
{
    (void)state;
    struct strbuf request = new_bytes();
    static char name[20000];

    memset(name, 'n', sizeof(name));
    for (size_t i = 0; i < 3000; i++) {
        struct strbuf span = new_bytes();
        put_ids(&span, (uint8_t)(i % 255 + 1));
        pb_put_bytes(&span, 5,
                     (struct slice){(const uint8_t *)name, i % 1000 == 0 ? 20000 : i % 7});
        put_request(&request, strbuf_slice(&span));
        strbuf_deinit(&span);
    }
    struct span_batch *batch = decode(strbuf_slice(&request));
    assert_int_equal(batch->span_count, 3000);
    assert_int_equal(batch->scope_count, 3000);
    assert_int_equal(batch->resource_count, 3000);
    for (size_t i = 0; i < 3000; i++) {
        assert_int_equal(batch->spans[i].trace_id.bytes[15], i % 255 + 1);
        assert_int_equal(batch->spans[i].scope, i);
        assert_int_equal(batch->spans[i].name.len, i % 1000 == 0 ? 20000 : i % 7);
    }
    span_batch_unref(batch);
    strbuf_deinit(&request);
}

static void millions_of_empty_envelopes_take_no_memory(void **state)
{
    (void)state;
    struct buf *body = buf_new(2000000, NULL);
    struct span_batch *batch = NULL;
    struct error err = {0};

    for (size_t i = 0; i < 2000000; i += 2) {
        body->data[i] = 0x0a;
        body->data[i + 1] = 0;
    }
    body->len = 2000000;
    assert_true(otlp_decode_traces(body, RECEIVED_NS, &otlp_limits_default, &batch, &err));
    assert_int_equal(batch->resource_count, 0);
    assert_true(batch->arena.reserved <= 4096);
    span_batch_unref(batch);
}

/* --- text --- */

#define BAD                                                                                        \
    "a\xff"                                                                                        \
    "b"
#define REPAIRED                                                                                   \
    "a\xef\xbf\xbd"                                                                                \
    "b"

static void text_that_is_not_utf8_is_repaired_wherever_it_stands(void **state)
{
    (void)state;
    struct strbuf request = new_bytes();
    uint64_t before = metric_value(METRIC_STRINGS_SANITIZED);

    size_t resource_spans = pb_begin(&request, 1);
    size_t resource = pb_begin(&request, 1);
    put_text_attribute(&request, 1, slice_of("service.name"), BYTES(BAD));
    size_t entity = pb_begin(&request, 3);
    pb_put_bytes(&request, 2, BYTES(BAD));
    pb_end(&request, entity);
    pb_end(&request, resource);
    pb_put_bytes(&request, 3, BYTES(BAD));
    size_t scope_spans = pb_begin(&request, 2);
    size_t scope = pb_begin(&request, 1);
    pb_put_bytes(&request, 1, BYTES(BAD));
    pb_put_bytes(&request, 2, BYTES(BAD));
    pb_end(&request, scope);
    size_t span = pb_begin(&request, 2);
    put_ids(&request, 7);
    put_times(&request);
    pb_put_bytes(&request, 3, BYTES(BAD));
    pb_put_bytes(&request, 5, BYTES(BAD));
    put_text_attribute(&request, 9, BYTES(BAD), BYTES(BAD));
    put_text_attribute(&request, 9, slice_of("good"), BYTES("gr\xc3\xbc\xc3\x9f"));
    size_t event = pb_begin(&request, 11);
    pb_put_bytes(&request, 2, BYTES(BAD));
    put_text_attribute(&request, 3, slice_of("k"), BYTES(BAD));
    pb_end(&request, event);
    size_t link = pb_begin(&request, 13);
    pb_put_bytes(&request, 3, BYTES(BAD));
    pb_end(&request, link);
    size_t status = pb_begin(&request, 15);
    pb_put_bytes(&request, 2, BYTES(BAD));
    pb_put_uint(&request, 3, 2);
    pb_end(&request, status);
    pb_put_bytes(&request, 99, BYTES(BAD)); /* unknown: kept as it is */
    pb_end(&request, span);
    pb_end(&request, scope_spans);
    pb_end(&request, resource_spans);

    struct span_batch *batch = decode(strbuf_slice(&request));
    assert_int_equal(metric_value(METRIC_STRINGS_SANITIZED) - before, 13);
    assert_int_equal(batch->span_count, 1);
    assert_text(batch->resources[0].service, REPAIRED);
    assert_text(resource_schema_url(batch->resources[0].envelope), REPAIRED);
    struct scope_detail scope_detail;
    scope_detail_of(batch->scopes[0].envelope, &scope_detail);
    assert_text(scope_detail.name, REPAIRED);
    assert_text(scope_detail.version, REPAIRED);

    const struct span *decoded = &batch->spans[0];
    assert_text(decoded->name, REPAIRED);
    assert_int_equal(decoded->trace_id.bytes[15], 7);
    assert_int_equal(decoded->status, SPAN_STATUS_ERROR);
    struct span_detail detail;
    span_detail_of(decoded->raw, &detail);
    assert_text(detail.trace_state, REPAIRED);
    assert_text(detail.status_message, REPAIRED);
    struct attribute_iter iter = span_attributes(decoded->raw);
    struct attribute attribute;
    assert_true(attribute_next(&iter, &attribute));
    assert_text(attribute.key, REPAIRED);
    assert_text(attribute.value.bytes, REPAIRED);
    assert_true(attribute_next(&iter, &attribute));
    assert_text(attribute.value.bytes, "gr\xc3\xbc\xc3\x9f");
    size_t at = 0;
    struct span_event seen_event;
    assert_true(span_event_next(decoded->raw, &at, &seen_event));
    assert_text(seen_event.name, REPAIRED);
    at = 0;
    struct span_link seen_link;
    assert_true(span_link_next(decoded->raw, &at, &seen_link));
    assert_text(seen_link.trace_state, REPAIRED);
    /* the unknown field stands at the end, untouched */
    assert_memory_equal(decoded->raw.data + decoded->raw.len - 6, "\x9a\x06\x03" BAD, 6);

    /* Decoding the repaired bytes again finds nothing to repair. */
    struct strbuf again = new_bytes();
    struct otlp_writer writer;
    otlp_writer_begin(&writer, &again);
    otlp_writer_add(&writer, batch->resources[0].envelope, batch->scopes[0].envelope, decoded->raw);
    otlp_writer_end(&writer);
    struct span_batch *second = decode(strbuf_slice(&again));
    assert_int_equal(metric_value(METRIC_STRINGS_SANITIZED) - before, 13);
    assert_true(slice_equal(second->spans[0].raw, decoded->raw));
    span_batch_unref(second);
    span_batch_unref(batch);
    strbuf_deinit(&again);
    strbuf_deinit(&request);
}

static void bad_text_deep_in_a_value_is_repaired(void **state)
{
    (void)state;
    struct strbuf span = new_bytes();

    put_ids(&span, 1);
    size_t entry = pb_begin(&span, 9);
    pb_put_bytes(&span, 1, slice_of("k"));
    size_t any = pb_begin(&span, 2);
    size_t map = pb_begin(&span, 6);
    size_t pair = pb_begin(&span, 1);
    pb_put_bytes(&span, 1, BYTES(BAD));
    size_t inner = pb_begin(&span, 2);
    size_t array = pb_begin(&span, 5);
    pb_put_bytes(&span, 1, BYTES("\x0a\x03" BAD));
    pb_put_bytes(&span, 1, BYTES("\x3a\x03" BAD)); /* bytes_value: any bytes are fine */
    pb_end(&span, array);
    pb_end(&span, inner);
    pb_end(&span, pair);
    pb_end(&span, map);
    pb_end(&span, any);
    pb_end(&span, entry);

    struct span_batch *batch = decode_span(&span);
    struct attribute_iter iter = span_attributes(batch->spans[0].raw);
    struct attribute attribute;
    struct strbuf text = new_bytes();
    assert_true(attribute_next(&iter, &attribute));
    any_to_json(&attribute.value, &text);
    assert_string_equal(text.data, "{\"" REPAIRED "\":[\"" REPAIRED "\",\"Yf9i\"]}");
    strbuf_deinit(&text);
    span_batch_unref(batch);
    strbuf_deinit(&span);
}

static void good_text_of_every_length_stays_where_it_is(void **state)
{
    (void)state;

    for (size_t len = 0; len < 40; len++) {
        for (size_t bad = 0; bad <= len; bad++) {
            struct strbuf span = new_bytes();
            uint8_t name[40];
            memset(name, 'x', sizeof(name));
            if (bad < len) {
                name[bad] = 0x80;
            }
            put_ids(&span, 1);
            pb_put_bytes(&span, 5, (struct slice){name, len});
            put_text_attribute(&span, 9, slice_of("k"), (struct slice){name, len});
            struct span_batch *batch = decode_span(&span);
            const uint8_t *view = batch->spans[0].raw.data;
            bool in_body = view >= batch->body->data && view < batch->body->data + batch->body->len;
            assert_int_equal(in_body, bad == len);
            assert_int_equal(batch->spans[0].name.len, bad == len ? len : len + 2);
            span_batch_unref(batch);
            strbuf_deinit(&span);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_golden_request_decodes_to_its_span),
        cmocka_unit_test(spans_count_against_the_budget_of_their_body),
        cmocka_unit_test(every_other_prefix_of_the_golden_request_is_refused),
        cmocka_unit_test(every_prefix_of_a_span_is_refused_or_incomplete),
        cmocka_unit_test(an_empty_request_is_an_empty_batch),
        cmocka_unit_test(envelopes_without_spans_are_dropped),
        cmocka_unit_test(a_batch_lives_until_its_last_reference),
        cmocka_unit_test(fields_around_the_children_are_gathered_in_the_envelope),
        cmocka_unit_test(pieces_of_a_resource_merge),
        cmocka_unit_test(field_1000_is_read_as_scope_spans_when_there_are_none),
        cmocka_unit_test(a_service_name_that_is_no_string_is_no_name),
        cmocka_unit_test(the_last_of_repeated_scalars_counts),
        cmocka_unit_test(pieces_of_a_status_merge),
        cmocka_unit_test(numbers_beyond_an_enum_are_kept_in_the_bytes_only),
        cmocka_unit_test(tags_written_longer_than_needed_are_the_same_fields),
        cmocka_unit_test(zero_times_are_filled_and_marked),
        cmocka_unit_test(known_fields_of_another_wire_type_fail_the_request),
        cmocka_unit_test(bytes_that_are_no_request_are_refused),
        cmocka_unit_test(spans_with_wrong_ids_are_rejected_alone_with_a_reason),
        cmocka_unit_test(the_first_reason_is_kept_and_all_are_counted),
        cmocka_unit_test(an_empty_or_all_zero_parent_is_a_root),
        cmocka_unit_test(values_nest_to_the_limit_and_no_further),
        cmocka_unit_test(a_body_that_nests_ten_thousand_levels_costs_one_span),
        cmocka_unit_test(a_resource_or_scope_that_nests_too_deep_costs_its_own_spans),
        cmocka_unit_test(depth_zero_refuses_every_value),
        cmocka_unit_test(more_spans_than_the_limit_are_too_large),
        cmocka_unit_test(a_body_over_the_limit_is_too_large),
        cmocka_unit_test(arrays_grow_with_spans_of_very_different_size),
        cmocka_unit_test(millions_of_empty_envelopes_take_no_memory),
        cmocka_unit_test(text_that_is_not_utf8_is_repaired_wherever_it_stands),
        cmocka_unit_test(bad_text_deep_in_a_value_is_repaired),
        cmocka_unit_test(good_text_of_every_length_stays_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
