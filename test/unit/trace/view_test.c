/*
 * view_test.c - one trace from several places as one set of spans.
 */
#include "unit.h"

#include "spans.h"
#include <spangate/base/hash.h>
#include <spangate/trace/view.h>

/* Add all spans of the batch, from memory that is gone afterwards. */
static void add_all(struct trace_view *view, struct spans *spans)
{
    for (size_t i = 0; i < spans->batch.span_count; i++) {
        const struct span *span = &spans->batch.spans[i];
        const struct batch_scope *scope = &spans->batch.scopes[span->scope];
        const struct batch_resource *resource = &spans->batch.resources[scope->resource];
        trace_view_add(view, span, resource->envelope, scope->envelope, resource->service,
                       hash_stable(span->raw.data, span->raw.len));
    }
    spans_free(spans);
}

static void a_view_is_sorted_and_owns_its_bytes(void **state)
{
    (void)state;
    struct trace_id id = trace_id_of(1);
    struct trace_view view;
    struct spans *spans = spans_new();
    trace_view_init(&view, &id);
    spans_add(spans, 1, 3, 1);
    spans_add(spans, 1, 1, 0);
    add_all(&view, spans);
    spans = spans_new();
    spans_service(spans, "bank");
    spans_put(spans, &(struct span_spec){
                         .trace = 1, .id = 2, .parent = 1, .start_ns = 2000000, .end_ns = 2000001});
    add_all(&view, spans);
    trace_view_finish(&view);
    assert_int_equal(view.span_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(span_number(&view.spans[i].span.span_id), i + 1);
        assert_true(slice_equal_text(view.spans[i].span.name, "work"));
        assert_true(slice_equal_text(view.spans[i].service, i == 1 ? "bank" : "shop"));
    }
    assert_ptr_equal(view.spans[0].resource.data, view.spans[2].resource.data);
    assert_ptr_equal(view.spans[0].scope.data, view.spans[1].scope.data);
    assert_true(trace_id_equal(&view.trace_id, &id));
    trace_view_deinit(&view);
}

static void a_span_from_two_places_is_there_once_and_a_conflict_twice(void **state)
{
    (void)state;
    struct trace_id id = trace_id_of(1);
    struct trace_view view;
    trace_view_init(&view, &id);
    for (int round = 0; round < 3; round++) {
        struct spans *spans = spans_new();
        for (uint64_t n = 1; n <= 100; n++) {
            spans_add(spans, 1, n, 0);
        }
        spans_put(spans, &(struct span_spec){
                             .trace = 1, .id = 50, .start_ns = 1, .end_ns = 2, .name = "other"});
        add_all(&view, spans);
    }
    trace_view_finish(&view);
    assert_int_equal(view.span_count, 101);
    assert_int_equal(span_number(&view.spans[0].span.span_id), 50);
    assert_true(slice_equal_text(view.spans[0].span.name, "other"));
    trace_view_deinit(&view);
}

static void spans_of_one_start_stay_in_order_of_adding(void **state)
{
    (void)state;
    struct trace_id id = trace_id_of(1);
    struct trace_view view;
    struct spans *spans = spans_new();
    trace_view_init(&view, &id);
    for (uint64_t n = 200; n >= 1; n--) {
        spans_put(spans, &(struct span_spec){.trace = 1, .id = n, .start_ns = 1, .end_ns = 2});
    }
    add_all(&view, spans);
    trace_view_finish(&view);
    for (uint64_t n = 0; n < 200; n++) {
        assert_int_equal(span_number(&view.spans[n].span.span_id), 200 - n);
    }
    trace_view_deinit(&view);
}

static void an_empty_view_is_well(void **state)
{
    (void)state;
    struct trace_id id = trace_id_of(1);
    struct trace_view view;
    trace_view_init(&view, &id);
    trace_view_finish(&view);
    assert_int_equal(view.span_count, 0);
    trace_view_deinit(&view);
}

static void empty_envelopes_and_foreign_names_are_kept(void **state)
{
    (void)state;
    struct trace_id id = trace_id_of(1);
    struct trace_view view;
    struct span span = {.name = slice_of("elsewhere"), .raw = slice_of("raw")};
    trace_view_init(&view, &id);
    trace_view_add(&view, &span, (struct slice){0}, (struct slice){0}, (struct slice){0}, 1);
    trace_view_finish(&view);
    assert_true(slice_equal_text(view.spans[0].span.name, "elsewhere"));
    assert_ptr_not_equal(view.spans[0].span.name.data, span.name.data);
    assert_int_equal(view.spans[0].resource.len, 0);
    trace_view_deinit(&view);
}

static void every_reason_has_a_name_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(trace_reason_name(TRACE_REASON_NONE), "");
    for (int a = TRACE_REASON_NONE + 1; a < TRACE_REASONS; a++) {
        assert_true(strlen(trace_reason_name((enum trace_reason)a)) > 0);
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(trace_reason_name((enum trace_reason)a),
                                    trace_reason_name((enum trace_reason)b));
        }
    }
    assert_string_equal(trace_reason_name(TRACE_REASONS), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_view_is_sorted_and_owns_its_bytes),
        cmocka_unit_test(a_span_from_two_places_is_there_once_and_a_conflict_twice),
        cmocka_unit_test(spans_of_one_start_stay_in_order_of_adding),
        cmocka_unit_test(an_empty_view_is_well),
        cmocka_unit_test(empty_envelopes_and_foreign_names_are_kept),
        cmocka_unit_test(every_reason_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
