/*
 * builder_test.c - collecting finished traces into a block.
 */
#include "block_sample.h"

static void a_sealed_block_gives_back_every_span(void **state)
{
    (void)state;
    struct block *block = sample_block(100, 50, 7, 42);

    assert_int_equal(block->trace_count, 50);
    assert_int_equal(block->span_count, 350);
    assert_int_equal(block->sealed_ns, 42);
    assert_int_equal(block->lsn_max, 150);
    for (uint64_t n = 100; n < 150; n++) {
        assert_block_has(block, n, 7);
    }
    block_unref(block);
}

static void names_scopes_and_resources_stand_once(void **state)
{
    (void)state;
    struct block *block = sample_block(0, 200, 10, 1);

    assert_int_equal(block->resource_count, SAMPLE_SERVICES);
    assert_int_equal(block->scope_count, SAMPLE_SERVICES);
    assert_int_equal(block->string_count, SAMPLE_SERVICES + SAMPLE_NAMES);
    block_unref(block);
}

static void the_row_of_a_trace_sums_up_its_spans(void **state)
{
    (void)state;
    struct block *block = sample_block(11, 1, 12, 1);
    const struct block_trace *row = &block->traces[0];

    assert_int_equal(row->root, 0);
    assert_int_equal(row->error_count, 2); /* spans 0 and 11 */
    assert_int_equal(row->start_ns, SAMPLE_START_NS + 11000000);
    assert_int_equal(row->end_ns, SAMPLE_START_NS + 11000000 + 11000 + 12345 + 4);
    assert_int_equal(row->route, 3);
    assert_int_equal(row->reason, TRACE_ROOT_QUIET);
    assert_int_equal(block->start_ns_min, row->start_ns);
    assert_int_equal(block->start_ns_max, row->start_ns + 11000);
    block_unref(block);
}

static void skipped_spans_leave_only_their_lsn(void **state)
{
    (void)state;
    struct block_builder *builder = block_builder_new(NULL);
    struct arena arena;
    uint64_t *lsns = NULL;
    size_t lsn_count = 0;
    bool skip[4] = {true, false, true, false};
    bool skip_all[4] = {true, true, true, true};

    arena_init(&arena);
    struct finished_trace first = sample_trace(&arena, 5, 4);
    struct finished_trace second = sample_trace(&arena, 900, 4);
    block_builder_add(builder, &first, skip);
    block_builder_add(builder, &second, skip_all);

    assert_int_equal(block_builder_spans(builder), 2);
    assert_int_equal(block_builder_traces(builder), 1);
    struct block *block = block_builder_seal(builder, 1, &lsns, &lsn_count);
    assert_int_equal(lsn_count, 8);
    assert_int_equal(lsns[0], 6);
    assert_int_equal(lsns[7], 901);
    assert_int_equal(block->trace_count, 1);
    assert_int_equal(block->lsn_max, 6);
    assert_int_equal(block->traces[0].root, UINT32_MAX); /* the root was skipped */
    free(lsns);
    block_unref(block);
    block_builder_free(builder);
    arena_deinit(&arena);
}

static void the_unfinished_block_can_be_viewed_and_starts_anew_after_sealing(void **state)
{
    (void)state;
    struct block_builder *builder = block_builder_new(NULL);
    struct arena arena;
    struct trace_id id = sample_id(3);
    struct trace_view view;
    uint64_t *lsns = NULL;
    size_t lsn_count = 0;

    arena_init(&arena);
    struct finished_trace trace = sample_trace(&arena, 3, 5);
    block_builder_add(builder, &trace, NULL);
    trace_view_init(&view, &id);
    assert_true(block_builder_view(builder, &id, &view));
    assert_view_is(&view, &trace);
    trace_view_deinit(&view);

    struct block *block = block_builder_seal(builder, 1, &lsns, &lsn_count);
    trace_view_init(&view, &id);
    assert_false(block_builder_view(builder, &id, &view));
    trace_view_deinit(&view);
    assert_int_equal(block_builder_bytes(builder), 0);
    assert_int_equal(block_builder_spans(builder), 0);
    free(lsns);
    block_unref(block);

    /* The dictionaries must not remember the first block's indices. */
    block_builder_add(builder, &trace, NULL);
    block = block_builder_seal(builder, 2, &lsns, &lsn_count);
    assert_block_has(block, 3, 5);
    free(lsns);
    block_unref(block);
    block_builder_free(builder);
    arena_deinit(&arena);
}

static void revisions_of_a_trace_are_viewed_as_one(void **state)
{
    (void)state;
    struct block_builder *builder = block_builder_new(NULL);
    struct arena arena;
    struct trace_id id = sample_id(3);
    struct trace_view view;
    uint64_t *lsns = NULL;
    size_t lsn_count = 0;

    arena_init(&arena);
    struct finished_trace whole = sample_trace(&arena, 3, 6);
    struct finished_trace first = whole;
    struct finished_trace late = whole;
    first.span_count = 4;
    late.spans += 3; /* one span is in both */
    late.span_count = 3;
    late.revision = 2;
    late.reason = TRACE_IDLE;
    block_builder_add(builder, &first, NULL);
    block_builder_add(builder, &late, NULL);
    struct block *block = block_builder_seal(builder, 1, &lsns, &lsn_count);

    whole.revision = 2;
    whole.reason = TRACE_IDLE;
    trace_view_init(&view, &id);
    assert_true(block_view(block, &id, &view));
    assert_view_is(&view, &whole);
    trace_view_deinit(&view);
    free(lsns);
    block_unref(block);
    block_builder_free(builder);
    arena_deinit(&arena);
}

static void envelopes_with_the_same_hash_are_told_apart(void **state)
{
    (void)state;
    struct block_builder *builder = block_builder_new(NULL);
    struct arena arena;
    uint64_t *lsns = NULL;
    size_t lsn_count = 0;
    enum { SPANS = 100 };

    arena_init(&arena);
    struct finished_trace trace = sample_trace(&arena, 1, SPANS);
    struct finished_span *spans = arena_alloc(&arena, SPANS * sizeof(*spans));
    memcpy(spans, trace.spans, SPANS * sizeof(*spans));
    for (size_t i = 0; i < SPANS; i++) {
        spans[i].resource = sample_text(&arena, "resource %llu", i);
        spans[i].scope = sample_text(&arena, "scope %llu", i);
        spans[i].resource_hash = 7;
        spans[i].scope_hash = 7;
    }
    trace.spans = spans;
    block_builder_add(builder, &trace, NULL);
    block_builder_add(builder, &trace, NULL);
    struct block *block = block_builder_seal(builder, 1, &lsns, &lsn_count);

    assert_true(block->resource_count >= SPANS);
    for (size_t i = 0; i < 2 * SPANS; i++) {
        const struct block_scope *scope = &block->scopes[block->spans[i].scope];
        assert_slice_equal(scope->envelope, spans[i % SPANS].scope);
        assert_slice_equal(block->resources[scope->resource].envelope, spans[i % SPANS].resource);
    }
    free(lsns);
    block_unref(block);
    block_builder_free(builder);
    arena_deinit(&arena);
}

static void memory_is_charged_until_the_last_reference_goes(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, 1 << 30, NULL);
    struct block_builder *builder = block_builder_new(&budget);
    struct arena arena;
    uint64_t *lsns = NULL;
    size_t lsn_count = 0;

    arena_init(&arena);
    for (uint64_t n = 0; n < 100; n++) {
        struct finished_trace trace = sample_trace(&arena, n, 10);
        block_builder_add(builder, &trace, NULL);
    }
    assert_true(budget_used(&budget) >= block_builder_bytes(builder));
    struct block *block = block_builder_seal(builder, 1, &lsns, &lsn_count);
    block_builder_free(builder);
    assert_true(budget_used(&budget) >= block->raw.len);
    struct block *same = block_ref(block);
    block_unref(block);
    assert_true(budget_used(&budget) > 0);
    block_unref(same);
    assert_int_equal(budget_used(&budget), 0);
    free(lsns);
    arena_deinit(&arena);
}

static void an_empty_block_can_be_sealed(void **state)
{
    (void)state;
    struct block *block = sample_block(0, 0, 0, 9);
    struct trace_id id = sample_id(0);
    struct trace_view view;

    trace_view_init(&view, &id);
    assert_false(block_view(block, &id, &view));
    trace_view_deinit(&view);
    assert_int_equal(block->span_count, 0);
    assert_int_equal(block->start_ns_min, 0);
    block_unref(block);
    block_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_block_gives_back_every_span),
        cmocka_unit_test(names_scopes_and_resources_stand_once),
        cmocka_unit_test(the_row_of_a_trace_sums_up_its_spans),
        cmocka_unit_test(skipped_spans_leave_only_their_lsn),
        cmocka_unit_test(the_unfinished_block_can_be_viewed_and_starts_anew_after_sealing),
        cmocka_unit_test(revisions_of_a_trace_are_viewed_as_one),
        cmocka_unit_test(envelopes_with_the_same_hash_are_told_apart),
        cmocka_unit_test(memory_is_charged_until_the_last_reference_goes),
        cmocka_unit_test(an_empty_block_can_be_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
