/*
 * storage_test.c - the parts under the correlator: tables, slabs, chunks, interned envelopes and
 * what is remembered. Each against a plain model, over random traffic where order matters.
 */
#include "unit.h"

#include "../../../src/trace/intern.h"
#include "../../../src/trace/remembered.h"
#include "../../../src/trace/slab.h"
#include "../../../src/trace/span_store.h"
#include "../../../src/trace/tag_table.h"
#include "spans.h"
#include <spangate/base/hash.h>
#include <spangate/base/random.h>

/* --- slab --- */

static void slab_items_keep_their_place_and_blocks_go_when_empty(void **state)
{
    (void)state;
    enum { ITEMS = 5000 };
    static uint32_t index[ITEMS];
    struct account account = {0};
    struct slab slab;
    slab_init(&slab, sizeof(uint64_t), &account);
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < ITEMS; i++) {
            index[i] = slab_alloc(&slab);
            *(uint64_t *)slab_at(&slab, index[i]) = i;
        }
        assert_int_equal(slab.count, ITEMS);
        for (uint64_t i = 0; i < ITEMS; i++) {
            assert_int_equal(*(uint64_t *)slab_at(&slab, index[i]), i);
        }
        size_t full = account.bytes;
        for (uint64_t i = round; i < ITEMS + round; i++) {
            slab_free(&slab, index[i % ITEMS]);
        }
        assert_int_equal(slab.count, 0);
        assert_true(account.bytes < full / 4);
    }
    slab_deinit(&slab);
    assert_int_equal(account.bytes, 0);
}

/* --- tag table --- */

/* Keys are small numbers with few distinct tags, so that runs are long and removal has to move. */
static void a_tag_table_holds_what_a_plain_array_holds(void **state)
{
    (void)state;
    enum { KEYS = 3000 };
    static bool in[KEYS];
    struct account account = {0};
    struct tag_table table;
    uint64_t seed = 5;
    uint32_t count = 0;
    tag_table_init(&table, &account);
    for (int step = 0; step < 60000; step++) {
        uint32_t key = (uint32_t)(random_next(&seed) % KEYS);
        uint32_t tag = tag_of(hash_mix(key / 7, 1));
        uint32_t at = tag_table_find(&table, tag, UINT32_MAX);
        while (at != TAG_NONE && table.slots[at].value != key) {
            at = tag_table_after(&table, at, tag, UINT32_MAX);
        }
        assert_int_equal(at != TAG_NONE, in[key]);
        bool growing = step % 20000 < 12000;
        if (at == TAG_NONE && (growing || random_next(&seed) % 8 == 0)) {
            tag_table_put(&table, tag, key);
            in[key] = true;
            count++;
        } else if (at != TAG_NONE && (!growing || random_next(&seed) % 3 == 0)) {
            tag_table_remove_at(&table, at);
            in[key] = false;
            count--;
        }
        assert_int_equal(table.count, count);
    }
    tag_table_deinit(&table);
    assert_int_equal(account.bytes, 0);
}

static void a_tag_table_that_empties_becomes_small(void **state)
{
    (void)state;
    struct account account = {0};
    struct tag_table table;
    tag_table_init(&table, &account);
    for (uint32_t i = 0; i < 100000; i++) {
        tag_table_put(&table, tag_of(hash_mix(i, 0)), i);
    }
    size_t full = account.bytes;
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t tag = tag_of(hash_mix(i, 0));
        uint32_t at = tag_table_find(&table, tag, UINT32_MAX);
        while (table.slots[at].value != i) {
            at = tag_table_after(&table, at, tag, UINT32_MAX);
        }
        tag_table_remove_at(&table, at);
    }
    assert_true(account.bytes < full / 50);
    tag_table_deinit(&table);
}

/* --- remembered --- */

static void the_longest_finished_trace_is_forgotten_first(void **state)
{
    (void)state;
    struct account account = {0};
    struct remembered remembered;
    remembered_init(&remembered, 1000, &account);
    assert_int_equal(account.bytes, 0);
    for (uint64_t n = 1; n <= 5000; n++) {
        struct trace_id id = trace_id_of(n);
        assert_int_equal(remembered_get(&remembered, &id), 0);
        remembered_put(&remembered, &id, (uint32_t)n);
    }
    for (uint64_t n = 1; n <= 5000; n++) {
        struct trace_id id = trace_id_of(n);
        assert_int_equal(remembered_get(&remembered, &id), n > 4000 ? n : 0);
    }
    assert_true(account.bytes <= 1000 * 12 + 2048 * 8);
    remembered_deinit(&remembered);
    assert_int_equal(account.bytes, 0);
}

static void finishing_again_counts_as_new(void **state)
{
    (void)state;
    struct account account = {0};
    struct remembered remembered;
    struct trace_id often = trace_id_of(1);
    remembered_init(&remembered, 100, &account);
    for (uint64_t n = 1; n <= 5000; n++) {
        struct trace_id id = trace_id_of(n + 1);
        remembered_put(&remembered, &id, 1);
        if (n % 50 == 0) {
            remembered_put(&remembered, &often, (uint32_t)n / 50);
            assert_int_equal(remembered_get(&remembered, &often), n / 50);
        }
    }
    assert_int_equal(remembered_get(&remembered, &often), 100);
    remembered_deinit(&remembered);
}

static void another_bound_keeps_the_latest(void **state)
{
    (void)state;
    struct account account = {0};
    struct remembered remembered;
    remembered_init(&remembered, 300, &account);
    for (uint64_t n = 1; n <= 1000; n++) {
        struct trace_id id = trace_id_of(n);
        remembered_put(&remembered, &id, 1);
    }
    remembered_resize(&remembered, 500);
    struct trace_id last = trace_id_of(1001);
    remembered_put(&remembered, &last, 1);
    for (uint64_t n = 1; n <= 1001; n++) {
        struct trace_id id = trace_id_of(n);
        assert_int_equal(remembered_get(&remembered, &id), n > 700);
    }
    remembered_resize(&remembered, 10);
    for (uint64_t n = 1; n <= 1001; n++) {
        struct trace_id id = trace_id_of(n);
        assert_int_equal(remembered_get(&remembered, &id), n > 991);
    }
    remembered_resize(&remembered, 0);
    assert_int_equal(remembered_get(&remembered, &last), 0);
    remembered_put(&remembered, &last, 1);
    assert_int_equal(remembered_get(&remembered, &last), 0);
    assert_int_equal(account.bytes, 0);
    remembered_deinit(&remembered);
}

/* --- intern --- */

static void equal_envelopes_are_kept_once_and_go_with_the_last_reference(void **state)
{
    (void)state;
    struct account account = {0};
    struct intern intern;
    intern_init(&intern, &account);
    struct batch_resource shop = {
        .envelope = slice_of("r1"), .service = slice_of("shop"), .hash = 1};
    struct batch_resource bank = {
        .envelope = slice_of("r2"), .service = slice_of("bank"), .hash = 2};
    struct batch_scope scope = {.envelope = slice_of("s"), .hash = 3};
    struct batch_scope empty = {0};

    uint32_t a = intern_scope(&intern, &scope, &shop);
    uint32_t b = intern_scope(&intern, &scope, &shop);
    uint32_t c = intern_scope(&intern, &scope, &bank);
    uint32_t d = intern_scope(&intern, &empty, &shop);
    assert_int_equal(a, b);
    assert_int_not_equal(a, c);
    assert_int_not_equal(a, d);
    assert_int_equal(intern.slab.count, 5); /* three scopes, two resources */
    uint32_t shop_handle = intern_at(&intern, a)->resource;
    assert_int_equal(intern_at(&intern, d)->resource, shop_handle);
    assert_true(slice_equal_text(intern_at(&intern, shop_handle)->service, "shop"));
    assert_int_equal(intern_at(&intern, a)->stable_hash, 3);

    intern_ref(&intern, c, 10);
    intern_unref(&intern, a, 2);
    assert_int_equal(intern.slab.count, 4);
    intern_unref(&intern, d, 1);
    assert_int_equal(intern.slab.count, 2); /* the resource went with its last scope */
    intern_unref(&intern, c, 11);
    assert_int_equal(intern.slab.count, 0);
    assert_int_equal(intern.table.count, 0);
    a = intern_scope(&intern, &scope, &shop);
    assert_true(slice_equal_text(intern_at(&intern, a)->envelope, "s"));
    intern_deinit(&intern);
    assert_int_equal(account.bytes, 0);
}

/* --- span store --- */

static uint32_t append(struct span_store *store, struct spans *spans, size_t padding, uint64_t lsn)
{
    spans_clear(spans);
    spans_put(spans, &(struct span_spec){
                         .trace = 1, .id = lsn, .start_ns = 1, .end_ns = 2, .padding = padding});
    uint32_t ref = span_store_append(store, &spans->batch.spans[0], 0, lsn);
    span_at(store, ref)->trace = 0;
    return ref;
}

static void a_chunk_goes_when_its_last_span_goes(void **state)
{
    (void)state;
    enum { SPANS = 2000 };
    static uint32_t refs[SPANS];
    struct account account = {0};
    struct span_store store;
    struct spans *spans = spans_new();
    span_store_init(&store, CHUNK_BYTES_MAX, &account);
    for (uint64_t i = 0; i < SPANS; i++) {
        refs[i] = append(&store, spans, 900, i);
    }
    size_t full = account.bytes;
    assert_true(store.chunk_count >= 7);
    for (uint64_t i = 0; i < SPANS; i++) {
        assert_int_equal(span_at(&store, refs[i])->lsn, i);
        span_store_release(&store, refs[i]);
    }
    assert_int_equal(store.chunk_count, 1); /* the current one */
    assert_int_equal(store.chunks[store.current].used, 0);
    assert_true(account.bytes < full / 2);
    span_store_trim(&store, 0);
    span_store_deinit(&store);
    assert_int_equal(account.bytes, 0);
    spans_free(spans);
}

static void a_span_larger_than_a_chunk_has_one_of_its_own(void **state)
{
    (void)state;
    struct account account = {0};
    struct span_store store;
    struct spans *spans = spans_new();
    span_store_init(&store, CHUNK_BYTES_MIN, &account);
    uint32_t small = append(&store, spans, 10, 1);
    size_t before = account.bytes;
    uint32_t large = append(&store, spans, 3 << 20, 2);
    assert_true(account.bytes >= before + (3 << 20));
    assert_true(span_raw(span_at(&store, large)).len > 3 << 20);
    uint32_t next = append(&store, spans, 10, 3);
    assert_int_equal(next >> SPAN_OFFSET_BITS, small >> SPAN_OFFSET_BITS);
    span_store_release(&store, large);
    assert_int_equal(account.bytes, before);
    span_store_deinit(&store);
    spans_free(spans);
}

static void survivors_of_a_sparse_chunk_can_be_moved(void **state)
{
    (void)state;
    enum { SPANS = 200 };
    static uint32_t refs[SPANS];
    struct account account = {0};
    struct span_store store;
    struct spans *spans = spans_new();
    span_store_init(&store, CHUNK_BYTES_MIN, &account);
    for (uint64_t i = 0; i < SPANS; i++) {
        refs[i] = append(&store, spans, 900, i);
    }
    size_t full = account.bytes;
    for (uint64_t i = 0; i < SPANS; i++) {
        if (i % 10 != 0) {
            span_store_release(&store, refs[i]);
        }
    }
    assert_int_not_equal(span_store_sparse(&store, false), SPAN_NONE);
    size_t moved = 0;
    uint32_t chunk;
    while ((chunk = span_store_sparse(&store, true)) != SPAN_NONE) {
        size_t at = 0;
        uint32_t ref;
        while ((ref = span_store_walk(&store, chunk, &at)) != SPAN_NONE) {
            uint64_t lsn = span_at(&store, ref)->lsn;
            assert_int_equal(lsn % 10, 0);
            refs[lsn] = span_store_move(&store, ref);
            moved++;
        }
    }
    assert_in_range(moved, 15, 40);
    span_store_trim(&store, 0);
    assert_true(account.bytes < full / 4);
    for (uint64_t i = 0; i < SPANS; i += 10) {
        struct span_fields fields;
        assert_int_equal(span_at(&store, refs[i])->lsn, i);
        span_read(span_at(&store, refs[i]), &fields);
        assert_int_equal(span_number(&fields.span_id), i);
    }
    span_store_deinit(&store);
    assert_int_equal(account.bytes, 0);
    spans_free(spans);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slab_items_keep_their_place_and_blocks_go_when_empty),
        cmocka_unit_test(a_tag_table_holds_what_a_plain_array_holds),
        cmocka_unit_test(a_tag_table_that_empties_becomes_small),
        cmocka_unit_test(the_longest_finished_trace_is_forgotten_first),
        cmocka_unit_test(finishing_again_counts_as_new),
        cmocka_unit_test(another_bound_keeps_the_latest),
        cmocka_unit_test(equal_envelopes_are_kept_once_and_go_with_the_last_reference),
        cmocka_unit_test(a_chunk_goes_when_its_last_span_goes),
        cmocka_unit_test(a_span_larger_than_a_chunk_has_one_of_its_own),
        cmocka_unit_test(survivors_of_a_sparse_chunk_can_be_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
