/*
 * split_test.c - what is offered after a refusal: nothing good is dropped, and requests stay few.
 *
 * A destination is a rule here, and a run is a loop without threads: read by the limits, ask the
 * rule, tell the splitter.
 */
#include "unit.h"

#include "../../../src/sink/split.h"
#include <spangate/base/compiler.h>

enum { ITEM_BYTES = 100 };

/* Items 0 … count-1, each a trace of its own. */
struct world {
    struct split split;
    size_t count;
    size_t at;
    bool (*is_poison)(size_t item);
    size_t items_accepted; /* more at once is too large */
    size_t huge;           /* this item alone is too large; SIZE_MAX: none */
    enum error_code why;
    size_t requests, delivered, dropped, dropped_good;
};

static struct world world_of(size_t count, size_t items_max)
{
    struct world w = {
        .count = count, .items_accepted = SIZE_MAX, .huge = SIZE_MAX, .why = ERR_INVALID};
    split_init(&w.split, items_max, 0);
    return w;
}

static size_t poisons(const struct world *w, size_t from, size_t to)
{
    size_t n = 0;
    for (size_t i = from; w->is_poison != NULL && i < to; i++) {
        n += w->is_poison(i);
    }
    return n;
}

static enum split_answer ask(struct world *w, const struct sink_batch *batch, size_t from,
                             size_t to, const struct sink_cursor *next, bool *taken)
{
    *taken = false;
    if (batch->item_count > w->items_accepted || (w->huge >= from && w->huge < to)) {
        return split_too_large(&w->split, batch, next);
    }
    if (poisons(w, from, to) > 0) {
        return split_rejected(&w->split, batch, next, w->why);
    }
    *taken = true;
    return SPLIT_DROP;
}

/* One request. */
static void step(struct world *w)
{
    size_t n =
        w->split.items < w->split.bytes / ITEM_BYTES ? w->split.items : w->split.bytes / ITEM_BYTES;
    n = n == 0 ? 1 : n;
    n = n < w->count - w->at ? n : w->count - w->at;
    struct sink_batch batch = {.body = {NULL, n * ITEM_BYTES}, .item_count = n, .trace_count = n};
    struct sink_cursor next = {.seq = w->at + n};
    bool taken;

    w->requests++;
    enum split_answer answer = ask(w, &batch, w->at, w->at + n, &next, &taken);
    if (taken) {
        w->delivered += n;
        split_delivered(&w->split, &batch, &next);
        w->at += n;
    } else if (answer == SPLIT_DROP) {
        w->dropped += n;
        w->dropped_good += n - poisons(w, w->at, w->at + n);
        split_dropped(&w->split, &batch, &next);
        w->at += n;
    }
    assert_true(w->split.items >= 1 && w->split.bytes >= 1);
    assert_true(w->split.items <= w->split.items_full);
    assert_true(w->requests < 100000);
}

static void run(struct world *w)
{
    while (w->at < w->count) {
        step(w);
    }
    assert_int_equal(w->delivered + w->dropped, w->count);
}

static size_t poison_at;

static bool one_poison(size_t item)
{
    return item == poison_at;
}

static void one_poison_is_dropped_alone_wherever_it_stands(void **state)
{
    (void)state;
    for (poison_at = 0; poison_at < 64; poison_at++) {
        struct world w = world_of(64, 64);
        w.is_poison = one_poison;
        run(&w);
        assert_int_equal(w.dropped, 1);
        assert_int_equal(w.dropped_good, 0);
        assert_true(w.requests <= 20);
        assert_int_equal(w.split.items, 64);
    }
}

static bool every_tenth(size_t item)
{
    return item % 10 == 3;
}

static void many_poisons_are_dropped_one_by_one(void **state)
{
    (void)state;
    struct world w = world_of(5000, 512);
    w.is_poison = every_tenth;
    run(&w);
    assert_int_equal(w.dropped, 500);
    assert_int_equal(w.dropped_good, 0);
}

static bool a_dozen_together(size_t item)
{
    return item >= 100 && item < 112;
}

static void neighbouring_poisons_take_nobody_with_them(void **state)
{
    (void)state;
    struct world w = world_of(1000, 512);
    w.is_poison = a_dozen_together;
    run(&w);
    assert_int_equal(w.dropped, 12);
    assert_int_equal(w.dropped_good, 0);
}

static bool all(size_t item)
{
    (void)item;
    return true;
}

static void wrong_credentials_cost_one_request_a_batch(void **state)
{
    (void)state;
    static const enum error_code codes[] = {ERR_UNAUTHENTICATED, ERR_NOT_FOUND, ERR_UNSUPPORTED};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        struct world w = world_of(5120, 512);
        w.is_poison = all;
        w.why = codes[i];
        run(&w);
        assert_int_equal(w.requests, 10);
    }
}

static void where_everything_is_refused_requests_stay_few(void **state)
{
    (void)state;
    struct world w = world_of(5120, 512);
    w.is_poison = all;
    run(&w);
    assert_int_equal(w.dropped, 5120);
    assert_true(w.requests <= 10 + 16 + 17 + 9 * 18);
}

static bool first_thousand(size_t item)
{
    return item < 1000;
}

static void a_destination_that_comes_to_its_senses_gets_everything_again(void **state)
{
    (void)state;
    struct world w = world_of(5000, 512);
    w.is_poison = first_thousand;
    run(&w);
    assert_true(w.dropped_good <= 32); /* at most the piece in which it changed its mind */
    assert_false(w.split.hopeless);
    assert_int_equal(w.split.items, 512);
}

static void a_smaller_limit_of_the_destination_is_learnt(void **state)
{
    (void)state;
    struct world w = world_of(100000, 512);
    w.items_accepted = 150;
    run(&w);
    assert_int_equal(w.dropped, 0);
    /* 128 fit; one batch in 64 tries more. */
    assert_true(w.requests <= 100000 / 128 * 11 / 10);
}

static void a_limit_that_is_lifted_is_found_out(void **state)
{
    (void)state;
    struct world w = world_of(200000, 512);
    w.items_accepted = 10;
    while (w.at < 1000) {
        step(&w);
    }
    w.items_accepted = SIZE_MAX;
    run(&w);
    assert_int_equal(w.split.items, 512);
    assert_int_equal(w.dropped, 0);
}

static void a_single_item_that_is_too_large_is_dropped_alone(void **state)
{
    (void)state;
    for (size_t huge = 0; huge < 64; huge++) {
        struct world w = world_of(192, 64);
        w.huge = huge;
        run(&w);
        assert_int_equal(w.dropped, 1);
        assert_true(w.requests <= 20);
    }
}

static void what_the_source_cannot_cut_is_dropped_as_a_whole(void **state)
{
    (void)state;
    struct split split;
    struct sink_batch record = {.body = {NULL, 5000}, .item_count = 50};
    struct sink_cursor next = {.seq = 1};
    split_init(&split, 100, 100000);
    assert_int_equal(split_too_large(&split, &record, &next), SPLIT_SMALLER);
    assert_int_equal(split.items, 25);
    assert_int_equal(split_too_large(&split, &record, &next), SPLIT_DROP);
    split_dropped(&split, &record, &next);
    assert_int_equal(split.items, 100);
    assert_int_equal(split_rejected(&split, &record, &next, ERR_INVALID), SPLIT_SMALLER);
    assert_int_equal(split_rejected(&split, &record, &next, ERR_INVALID), SPLIT_DROP);
    split_dropped(&split, &record, &next);
    assert_int_equal(split.items, 100);
}

static void spans_of_one_trace_are_refused_together(void **state)
{
    (void)state;
    struct split split;
    struct sink_batch trace = {.body = {NULL, 5000}, .item_count = 50, .trace_count = 1};
    struct sink_cursor next = {.seq = 1};
    split_init(&split, 100, 100000);
    assert_int_equal(split_rejected(&split, &trace, &next, ERR_INVALID), SPLIT_DROP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_poison_is_dropped_alone_wherever_it_stands),
        cmocka_unit_test(many_poisons_are_dropped_one_by_one),
        cmocka_unit_test(neighbouring_poisons_take_nobody_with_them),
        cmocka_unit_test(wrong_credentials_cost_one_request_a_batch),
        cmocka_unit_test(where_everything_is_refused_requests_stay_few),
        cmocka_unit_test(a_destination_that_comes_to_its_senses_gets_everything_again),
        cmocka_unit_test(a_smaller_limit_of_the_destination_is_learnt),
        cmocka_unit_test(a_limit_that_is_lifted_is_found_out),
        cmocka_unit_test(a_single_item_that_is_too_large_is_dropped_alone),
        cmocka_unit_test(what_the_source_cannot_cut_is_dropped_as_a_whole),
        cmocka_unit_test(spans_of_one_trace_are_refused_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
