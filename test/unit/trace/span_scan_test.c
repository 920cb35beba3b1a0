/*
 * span_scan_test.c - reading a span's fixed fields again, from any bytes and without reading past
 * them.
 */
#include "unit.h"

#include "../../../src/trace/span_scan.h"
#include "../../../src/trace/span_store.h"
#include "spans.h"
#include <spangate/base/random.h>
#include <spangate/otlp/pb.h>

static void fields_are_found_in_any_order(void **state)
{
    (void)state;
    for (int backwards = 0; backwards < 2; backwards++) {
        struct spans *spans = spans_new();
        struct span_fields fields;
        spans_put(spans, &(struct span_spec){.trace = 1,
                                             .id = 2,
                                             .parent = 3,
                                             .start_ns = 4,
                                             .end_ns = 5,
                                             .name = "n",
                                             .padding = 300,
                                             .backwards = backwards == 1});
        span_scan(spans->batch.spans[0].raw, &fields);
        assert_int_equal(span_number(&fields.span_id), 2);
        assert_int_equal(span_number(&fields.parent_id), 3);
        assert_int_equal(fields.start_ns, 4);
        assert_int_equal(fields.end_ns, 5);
        assert_true(slice_equal_text(fields.name, "n"));
        span_scan_front(spans->batch.spans[0].raw, &fields);
        assert_int_equal(fields.start_ns, backwards == 1 ? 0 : 4);
        spans_free(spans);
    }
}

static void the_last_of_repeated_fields_counts(void **state)
{
    (void)state;
    struct spans *spans = spans_new();
    struct account account = {0};
    struct span_store store;
    struct span_fields fields;
    struct strbuf more;
    struct span_id other = span_id_of(9);
    strbuf_init(&more, 1000);
    strbuf_append(&more, "\x1b\x10\x01\x1c", 4); /* a group of field 3 with a varint in it */
    pb_put_uint(&more, 1000, UINT64_MAX);
    pb_put_fixed32(&more, 16, 1);
    pb_put_bytes(&more, 2, (struct slice){other.bytes, 8});
    pb_put_fixed64(&more, 8, 7);
    spans_put(spans,
              &(struct span_spec){
                  .trace = 1, .id = 2, .start_ns = 4, .end_ns = 5, .more = strbuf_slice(&more)});
    struct span *span = &spans->batch.spans[0];
    span->span_id = other; /* what a decoder says of these bytes */
    span->end_ns = 7;
    span_scan(span->raw, &fields);
    assert_int_equal(span_number(&fields.span_id), 9);
    assert_int_equal(fields.end_ns, 7);

    span_store_init(&store, CHUNK_BYTES_MIN, &account);
    uint32_t ref = span_store_append(&store, span, 0, 1);
    assert_false(span_at(&store, ref)->in_front);
    span_read(span_at(&store, ref), &fields);
    assert_int_equal(span_number(&fields.span_id), 9);
    span_store_deinit(&store);
    strbuf_deinit(&more);
    spans_free(spans);
}

/* Each input gets memory of exactly its size, so that a read beyond it is seen. */
static void scan_exactly(const uint8_t *bytes, size_t len)
{
    struct span_fields fields;
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    span_scan((struct slice){copy, len}, &fields);
    assert_true(fields.name.len == 0 ||
                (fields.name.data >= copy && fields.name.data + fields.name.len <= copy + len));
    span_scan_front((struct slice){copy, len}, &fields);
    free(copy);
}

static void cut_and_damaged_bytes_are_read_without_harm(void **state)
{
    (void)state;
    struct spans *spans = spans_new();
    uint64_t seed = 3;
    uint8_t bytes[400] = {0};
    spans_put(spans,
              &(struct span_spec){
                  .trace = 1, .id = 2, .parent = 3, .start_ns = 4, .end_ns = 5, .padding = 200});
    struct slice raw = spans->batch.spans[0].raw;
    assert_in_range(raw.len, 1, sizeof(bytes));
    for (size_t len = 0; len <= raw.len; len++) {
        scan_exactly(raw.data, len);
    }
    for (int round = 0; round < 20000; round++) {
        memcpy(bytes, raw.data, raw.len);
        for (int i = 0; i < 3; i++) {
            bytes[random_next(&seed) % sizeof(bytes)] = (uint8_t)random_next(&seed);
        }
        scan_exactly(bytes, raw.len);
    }
    spans_free(spans);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found_in_any_order),
        cmocka_unit_test(the_last_of_repeated_fields_counts),
        cmocka_unit_test(cut_and_damaged_bytes_are_read_without_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
