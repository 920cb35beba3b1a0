/*
 * correlator_test.c - when a trace is finished and why, what comes out, and what it costs in
 * memory.
 *
 * Time is a number that the tests choose; nothing here waits.
 */
#include "unit.h"

#include "spans.h"
#include <spangate/base/clock.h>
#include <spangate/base/hash.h>
#include <spangate/base/random.h>
#include <spangate/trace/correlator.h>

enum { SETTLE = 5, IDLE = 60, MAX_AGE = 900 }; /* seconds */

struct bench {
    struct correlator *correlator;
    struct correlator_config config;
    struct budget budget;
    struct spans *spans;
    struct finished_trace out;
    struct correlator_added added;
};

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    b->config = (struct correlator_config){
        .settle_ns = SETTLE * NS_PER_S,
        .idle_ns = IDLE * NS_PER_S,
        .max_age_ns = MAX_AGE * NS_PER_S,
        .max_spans = 100000,
        .memory_bytes_max = 64 << 20,
        .remembered_max = 1000,
    };
    budget_init(&b->budget, (size_t)1 << 30, NULL);
    b->correlator = correlator_new(&b->config, &b->budget);
    b->spans = spans_new();
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    correlator_free(b->correlator);
    assert_int_equal(budget_used(&b->budget), 0);
    spans_free(b->spans);
    free(b);
    return 0;
}

/* Hand over what was put into b->spans, at this second. */
static void add_at(struct bench *b, uint64_t second, uint64_t lsn)
{
    correlator_add(b->correlator, &b->spans->batch, lsn, 1, second * NS_PER_S, &b->added);
    assert_int_equal(b->added.added + b->added.duplicates, b->spans->batch.span_count);
    spans_clear(b->spans);
}

static void add_one(struct bench *b, uint64_t second, uint64_t trace, uint64_t id, uint64_t parent)
{
    spans_add(b->spans, trace, id, parent);
    add_at(b, second, 1);
}

static bool take_at(struct bench *b, uint64_t second)
{
    return correlator_take(b->correlator, second * NS_PER_S, &b->out);
}

static void assert_nothing_at(struct bench *b, uint64_t second)
{
    assert_false(take_at(b, second));
}

/* The next trace at this second is this one, for this reason; it is dropped. */
static void assert_taken(struct bench *b, uint64_t second, uint64_t trace, enum trace_reason reason)
{
    assert_true(take_at(b, second));
    assert_int_equal(trace_number(&b->out.trace_id), trace);
    assert_string_equal(trace_reason_name(b->out.reason), trace_reason_name(reason));
    correlator_drop(b->correlator);
}

static uint64_t next_s(struct bench *b)
{
    uint64_t next_ns = correlator_next_ns(b->correlator);
    return next_ns == UINT64_MAX ? UINT64_MAX : next_ns / NS_PER_S;
}

/* --- reasons --- */

static void a_trace_whose_root_has_ended_is_finished_after_settle(void **state)
{
    struct bench *b = *state;
    spans_add(b->spans, 1, 1, 0);
    spans_add(b->spans, 1, 2, 1);
    add_at(b, 100, 1);
    assert_int_equal(next_s(b), 100 + SETTLE);
    assert_nothing_at(b, 100 + SETTLE - 1);
    assert_taken(b, 100 + SETTLE, 1, TRACE_ROOT_QUIET);
    assert_int_equal(next_s(b), UINT64_MAX);
}

static void every_span_makes_the_quiet_time_begin_anew(void **state)
{
    struct bench *b = *state;
    add_one(b, 100, 1, 1, 0);
    add_one(b, 104, 1, 2, 1);
    assert_nothing_at(b, 100 + SETTLE);
    assert_int_equal(next_s(b), 104 + SETTLE);
    assert_taken(b, 104 + SETTLE, 1, TRACE_ROOT_QUIET);
    assert_int_equal(b->out.span_count, 2);
}

static void a_trace_without_a_root_waits_for_idle(void **state)
{
    struct bench *b = *state;
    add_one(b, 100, 1, 2, 1);
    assert_int_equal(next_s(b), 100 + IDLE);
    assert_nothing_at(b, 100 + IDLE - 1);
    assert_taken(b, 100 + IDLE, 1, TRACE_IDLE);
}

static void a_missing_parent_makes_an_ended_trace_wait_for_idle(void **state)
{
    struct bench *b = *state;
    spans_add(b->spans, 1, 1, 0);
    spans_add(b->spans, 1, 3, 2);
    add_at(b, 100, 1);
    assert_int_equal(next_s(b), 100 + IDLE);
    assert_nothing_at(b, 100 + SETTLE);
    assert_int_equal(next_s(b), 100 + IDLE);
    assert_taken(b, 100 + IDLE, 1, TRACE_IDLE);
}

static void the_parent_that_comes_late_makes_the_trace_settle(void **state)
{
    struct bench *b = *state;
    spans_add(b->spans, 1, 1, 0);
    spans_add(b->spans, 1, 3, 2);
    add_at(b, 100, 1);
    assert_nothing_at(b, 110);
    add_one(b, 120, 1, 2, 1);
    assert_int_equal(next_s(b), 120 + SETTLE);
    assert_taken(b, 120 + SETTLE, 1, TRACE_ROOT_QUIET);
}

static void a_root_without_an_end_does_not_settle(void **state)
{
    struct bench *b = *state;
    spans_put(b->spans, &(struct span_spec){.trace = 1, .id = 1, .start_ns = 10});
    add_at(b, 100, 1);
    assert_nothing_at(b, 100 + SETTLE);
    assert_taken(b, 100 + IDLE, 1, TRACE_IDLE);
}

static void a_root_that_only_lacks_its_start_has_ended(void **state)
{
    struct bench *b = *state;
    spans_put(b->spans, &(struct span_spec){.trace = 1, .id = 1, .end_ns = 10});
    add_at(b, 100, 1);
    assert_taken(b, 100 + SETTLE, 1, TRACE_ROOT_QUIET);
}

static void a_trace_that_never_rests_is_finished_at_its_age(void **state)
{
    struct bench *b = *state;
    for (uint64_t s = 0; s < MAX_AGE; s += IDLE / 2) {
        add_one(b, s, 1, s + 2, 1);
        assert_nothing_at(b, s);
    }
    assert_int_equal(next_s(b), MAX_AGE);
    assert_taken(b, MAX_AGE, 1, TRACE_MAX_AGE);
}

static void a_trace_with_too_many_spans_is_finished_in_parts(void **state)
{
    struct bench *b = *state;
    b->config.max_spans = 4;
    correlator_reconfigure(b->correlator, &b->config);
    for (uint64_t id = 1; id <= 10; id++) {
        spans_add(b->spans, 1, id, id == 1 ? 0 : 1);
    }
    add_at(b, 100, 1);
    assert_int_equal(b->added.added, 10);
    assert_int_equal(next_s(b), 0);
    assert_taken(b, 100, 1, TRACE_MAX_SPANS);
    assert_int_equal(b->out.revision, 1);
    assert_int_equal(b->out.span_count, 4);
    assert_taken(b, 100, 1, TRACE_MAX_SPANS);
    assert_int_equal(b->out.revision, 2);
    assert_nothing_at(b, 100);
    assert_taken(b, 100 + IDLE, 1, TRACE_IDLE);
    assert_int_equal(b->out.revision, 3);
    assert_int_equal(b->out.span_count, 2);
}

static void finishing_one_trace_says_whether_it_was_open(void **state)
{
    struct bench *b = *state;
    struct trace_id id = trace_id_of(1);
    assert_false(correlator_finish(b->correlator, &id, TRACE_ADMIN));
    add_one(b, 100, 1, 2, 1);
    assert_true(correlator_finish(b->correlator, &id, TRACE_ADMIN));
    assert_false(correlator_finish(b->correlator, &id, TRACE_ADMIN));
    assert_taken(b, 100, 1, TRACE_ADMIN);
}

static void finish_all_hands_out_everything_oldest_first(void **state)
{
    struct bench *b = *state;
    for (uint64_t trace = 1; trace <= 5; trace++) {
        add_one(b, 100 + trace, trace, 1, trace % 2);
    }
    correlator_finish_all(b->correlator, TRACE_SHUTDOWN);
    correlator_finish_all(b->correlator, TRACE_ADMIN);
    for (uint64_t trace = 1; trace <= 5; trace++) {
        assert_taken(b, 106, trace, TRACE_SHUTDOWN);
    }
    assert_nothing_at(b, 106);
    assert_int_equal(correlator_trace_count(b->correlator), 0);
    assert_int_equal(correlator_span_count(b->correlator), 0);
}

/* --- timers --- */

static void traces_come_out_in_the_order_of_their_deadlines(void **state)
{
    struct bench *b = *state;
    add_one(b, 0, 1, 2, 1);  /* idle at 60 */
    add_one(b, 50, 2, 1, 0); /* settled at 55 */
    spans_add(b->spans, 3, 1, 0);
    spans_add(b->spans, 3, 9, 8);
    add_at(b, 1, 1);         /* waiting: clocks do not go back, so as of 50: idle at 110 */
    add_one(b, 53, 4, 1, 0); /* settled at 58 */
    assert_int_equal(next_s(b), 55);
    assert_taken(b, 55, 2, TRACE_ROOT_QUIET);
    assert_nothing_at(b, 57);
    assert_int_equal(next_s(b), 58);
    assert_taken(b, 58, 4, TRACE_ROOT_QUIET);
    assert_int_equal(next_s(b), 60);
    assert_taken(b, 60, 1, TRACE_IDLE);
    assert_int_equal(next_s(b), 110);
    assert_nothing_at(b, 109);
    assert_taken(b, 110, 3, TRACE_IDLE);
    assert_int_equal(next_s(b), UINT64_MAX);
}

/* Against a model that looks at every trace: what is due is taken, at next_ns and not before. */
static void next_ns_is_exact_under_random_traffic(void **state)
{
    struct bench *b = *state;
    uint64_t seed = 11;
    uint64_t now_s = 1;
    size_t taken = 0;

    for (int step = 0; step < 3000; step++) {
        uint64_t trace = random_next(&seed) % 40 + 1;
        uint64_t id = random_next(&seed) % 6 + 1;
        spans_put(b->spans, &(struct span_spec){.trace = trace,
                                                .id = id,
                                                .parent = id == 1 ? 0 : random_next(&seed) % 7,
                                                .start_ns = random_next(&seed) % 1000 + 1,
                                                .end_ns = 1 + (random_next(&seed) & 1) * 2000});
        add_at(b, now_s, 1);
        if (random_next(&seed) % 2 == 0) {
            assert_nothing_at(b, now_s);
        }
        uint64_t next = next_s(b);
        uint64_t later = now_s + random_next(&seed) % 9;
        for (; next <= later; next = next_s(b)) {
            if (next > now_s) {
                assert_nothing_at(b, next - 1);
                assert_int_equal(next_s(b), next);
            }
            assert_true(take_at(b, next));
            correlator_drop(b->correlator);
            taken++;
            now_s = next;
        }
        now_s = later > now_s ? later : now_s;
    }
    assert_true(taken > 300);
}

/* --- revisions --- */

static void a_late_span_makes_a_new_revision_with_only_itself(void **state)
{
    struct bench *b = *state;
    spans_add(b->spans, 1, 1, 0);
    spans_add(b->spans, 1, 2, 1);
    add_at(b, 100, 1);
    assert_int_equal(b->added.reopened, 0);
    assert_taken(b, 110, 1, TRACE_ROOT_QUIET);
    assert_int_equal(b->out.revision, 1);

    add_one(b, 120, 1, 3, 1);
    assert_int_equal(b->added.reopened, 1);
    assert_true(take_at(b, 120 + IDLE));
    assert_int_equal(b->out.revision, 2);
    assert_int_equal(b->out.span_count, 1);
    assert_int_equal(span_number(&b->out.spans[0].span.span_id), 3);
    correlator_drop(b->correlator);

    add_one(b, 300, 1, 4, 1);
    assert_true(take_at(b, 300 + IDLE));
    assert_int_equal(b->out.revision, 3);
    correlator_drop(b->correlator);
}

static void spans_between_take_and_drop_belong_to_the_next_revision(void **state)
{
    struct bench *b = *state;
    add_one(b, 100, 1, 1, 0);
    assert_true(take_at(b, 110));
    add_one(b, 110, 1, 2, 1);
    assert_int_equal(b->out.span_count, 1);
    assert_int_equal(span_number(&b->out.spans[0].span.span_id), 1);
    correlator_drop(b->correlator);
    assert_true(take_at(b, 110 + IDLE));
    assert_int_equal(b->out.revision, 2);
    correlator_drop(b->correlator);
}

static void a_trace_of_an_earlier_life_is_continued(void **state)
{
    struct bench *b = *state;
    struct trace_id early = trace_id_of(1);
    struct trace_id open = trace_id_of(2);
    correlator_remember(b->correlator, &early, 3);
    correlator_remember(b->correlator, &early, 2);
    spans_add(b->spans, 1, 1, 0);
    spans_add(b->spans, 2, 1, 0);
    add_at(b, 100, 1);
    assert_int_equal(b->added.reopened, 1);
    correlator_remember(b->correlator, &open, 1); /* learnt after its spans came */
    assert_taken(b, 110, 1, TRACE_ROOT_QUIET);
    assert_int_equal(b->out.revision, 4);
    assert_taken(b, 110, 2, TRACE_ROOT_QUIET);
    assert_int_equal(b->out.revision, 2);
}

/* --- what comes out --- */

static void spans_come_out_by_start_then_arrival_with_every_field(void **state)
{
    struct bench *b = *state;
    spans_put(b->spans, &(struct span_spec){.trace = 1,
                                            .id = 2,
                                            .parent = 1,
                                            .start_ns = 30,
                                            .end_ns = 20, /* before its start */
                                            .name = "second",
                                            .kind = SPAN_KIND_CLIENT,
                                            .status = SPAN_STATUS_ERROR});
    spans_service(b->spans, "other");
    spans_put(b->spans, &(struct span_spec){.trace = 1,
                                            .id = 3,
                                            .parent = 1,
                                            .start_ns = 30,
                                            .end_ns = 31,
                                            .name = "third",
                                            .kind = 255,
                                            .backwards = true});
    spans_put(b->spans, &(struct span_spec){
                            .trace = 1, .id = 1, .start_ns = 10, .end_ns = 40, .name = "first"});
    struct slice raw = b->spans->batch.spans[0].raw;
    uint64_t raw_hash = hash_stable(raw.data, raw.len);
    uint64_t resource_hash = b->spans->batch.resources[1].hash;
    uint64_t scope_hash = b->spans->batch.scopes[1].hash;
    correlator_add(b->correlator, &b->spans->batch, 77, 4, NS_PER_S, &b->added);
    correlator_add(b->correlator, &b->spans->batch, 78, 8, NS_PER_S, &b->added);
    assert_true(take_at(b, 10));

    const struct finished_span *s = b->out.spans;
    assert_int_equal(b->out.span_count, 3);
    assert_int_equal(b->out.route, 12);
    assert_int_equal(span_number(&s[0].span.span_id), 1);
    assert_true(slice_equal_text(s[0].span.name, "first"));
    assert_true(span_is_root(&s[0].span));
    assert_int_equal(s[0].span.end_ns, 40);
    assert_true(slice_equal_text(s[0].service, "other"));
    assert_true(slice_equal_text(s[0].resource, "resource envelope of other"));
    assert_int_equal(s[0].resource_hash, resource_hash);
    assert_int_equal(s[0].scope_hash, scope_hash);
    assert_int_equal(s[0].lsn, 77);

    assert_int_equal(span_number(&s[1].span.span_id), 2);
    assert_int_equal(span_number(&s[1].span.parent_id), 1);
    assert_int_equal(trace_number(&s[1].span.trace_id), 1);
    assert_int_equal(s[1].span.start_ns, 30);
    assert_int_equal(s[1].span.end_ns, 30);
    assert_int_equal(s[1].span.kind, SPAN_KIND_CLIENT);
    assert_int_equal(s[1].span.status, SPAN_STATUS_ERROR);
    assert_true(slice_equal(s[1].span.raw, raw));
    assert_int_equal(s[1].raw_hash, raw_hash);
    assert_true(slice_equal_text(s[1].service, "shop"));

    assert_int_equal(span_number(&s[2].span.span_id), 3);
    assert_true(slice_equal_text(s[2].span.name, "third"));
    assert_int_equal(s[2].span.kind, 255);
    assert_ptr_equal(s[2].resource.data, s[0].resource.data);
    assert_ptr_equal(s[2].scope.data, s[0].scope.data);
    correlator_drop(b->correlator);
}

static void an_incomplete_span_keeps_its_flag_and_the_time_it_was_given(void **state)
{
    struct bench *b = *state;
    spans_put(b->spans, &(struct span_spec){.trace = 1, .id = 1, .end_ns = 9000});
    spans_put(b->spans, &(struct span_spec){.trace = 1, .id = 2, .parent = 1, .start_ns = 8000});
    add_at(b, 1, 1);
    assert_true(take_at(b, 100));
    assert_int_equal(b->out.spans[0].span.flags, SPAN_INCOMPLETE);
    assert_int_equal(b->out.spans[0].span.start_ns, SPANS_RECEIVED_NS);
    assert_int_equal(b->out.spans[0].span.end_ns, SPANS_RECEIVED_NS);
    assert_int_equal(b->out.spans[1].span.flags, SPAN_INCOMPLETE);
    assert_int_equal(b->out.spans[1].span.start_ns, 8000);
    assert_int_equal(b->out.spans[1].span.end_ns, 8000);
    correlator_drop(b->correlator);
}

/* --- repeats --- */

/* n spans, then the same again, then each id once more with other bytes. */
static void send_thrice(struct bench *b, uint64_t n)
{
    for (int round = 0; round < 2; round++) {
        for (uint64_t id = 1; id <= n; id++) {
            spans_add(b->spans, 1, id, id - 1);
        }
        add_at(b, 100, 1);
        assert_int_equal(b->added.added, round == 0 ? n : 0);
        assert_int_equal(b->added.duplicates, round == 0 ? 0 : n);
        assert_int_equal(b->added.conflicts, 0);
    }
    for (int round = 0; round < 2; round++) {
        for (uint64_t id = 1; id <= n; id++) {
            spans_put(b->spans, &(struct span_spec){.trace = 1,
                                                    .id = id,
                                                    .parent = id - 1,
                                                    .start_ns = 5,
                                                    .end_ns = 6,
                                                    .name = "other"});
        }
        add_at(b, 100, 1);
        assert_int_equal(b->added.added, round == 0 ? n : 0);
        assert_int_equal(b->added.conflicts, round == 0 ? n : 0);
        assert_int_equal(b->added.duplicates, round == 0 ? 0 : n);
    }
    assert_int_equal(correlator_span_count(b->correlator), 2 * n);
    assert_true(take_at(b, 200));
    assert_int_equal(b->out.span_count, 2 * n);
    assert_int_equal(b->out.reason, TRACE_ROOT_QUIET);
    correlator_drop(b->correlator);
}

static void repeats_are_absorbed_and_conflicts_kept_in_small_traces(void **state)
{
    send_thrice(*state, 5);
}

static void repeats_are_absorbed_and_conflicts_kept_while_a_trace_grows_large(void **state)
{
    send_thrice(*state, 16);
}

static void repeats_are_absorbed_and_conflicts_kept_in_large_traces(void **state)
{
    send_thrice(*state, 3000);
}

static void a_repeat_does_not_prolong_the_quiet_time(void **state)
{
    struct bench *b = *state;
    add_one(b, 100, 1, 1, 0);
    add_one(b, 103, 1, 1, 0);
    assert_int_equal(b->added.duplicates, 1);
    assert_taken(b, 100 + SETTLE, 1, TRACE_ROOT_QUIET);
}

static void a_large_trace_knows_which_parents_are_missing(void **state)
{
    struct bench *b = *state;
    for (uint64_t id = 1000; id >= 2; id--) { /* children before parents */
        spans_add(b->spans, 1, id, id / 2);
    }
    add_at(b, 100, 1);
    assert_int_equal(next_s(b), 100 + IDLE);
    add_one(b, 101, 1, 1, 0);
    assert_int_equal(next_s(b), 101 + SETTLE);
    add_one(b, 102, 1, 2000, 1500);
    assert_int_equal(next_s(b), 102 + IDLE);
    add_one(b, 103, 1, 1500, 1);
    assert_taken(b, 103 + SETTLE, 1, TRACE_ROOT_QUIET);
}

/* Without a limit of its own each of these would take hours if anything were quadratic. */
static void a_million_spans_of_one_trace_are_added_in_linear_time(void **state)
{
    struct bench *b = *state;
    b->config.max_spans = 0;
    b->config.memory_bytes_max = (uint64_t)1 << 30;
    correlator_reconfigure(b->correlator, &b->config);
    for (uint64_t batch = 0; batch < 100; batch++) {
        for (uint64_t i = 0; i < 10000; i++) {
            spans_add(b->spans, 1, batch * 10000 + i + 1, (batch * 10000 + i + 1) / 2);
        }
        add_at(b, 100, batch);
        assert_nothing_at(b, 100);
        assert_int_equal(next_s(b), 100 + SETTLE);
    }
    assert_true(take_at(b, 200));
    assert_int_equal(b->out.span_count, 1000000);
    assert_int_equal(b->out.reason, TRACE_ROOT_QUIET);
    correlator_drop(b->correlator);
}

static void many_conflicts_of_one_span_id_are_added_in_linear_time(void **state)
{
    struct bench *b = *state;
    b->config.max_spans = 0;
    correlator_reconfigure(b->correlator, &b->config);
    for (uint64_t i = 0; i < 100000; i++) {
        spans_put(b->spans, &(struct span_spec){
                                .trace = 1, .id = 7, .parent = 8, .start_ns = i + 1, .end_ns = 1});
    }
    add_at(b, 100, 1);
    assert_int_equal(b->added.added, 100000);
    assert_int_equal(b->added.conflicts, 99999);
}

/* --- memory --- */

static void over_the_limit_the_trace_that_rests_the_longest_goes_first(void **state)
{
    struct bench *b = *state;
    b->config.memory_bytes_max = 4 << 20;
    b->config.settle_ns = 200 * NS_PER_S;
    b->config.idle_ns = 300 * NS_PER_S;
    correlator_reconfigure(b->correlator, &b->config);
    for (uint64_t trace = 1; trace <= 100; trace++) {
        spans_put(b->spans, &(struct span_spec){.trace = trace,
                                                .id = 1,
                                                .parent = trace % 3,
                                                .start_ns = 1,
                                                .end_ns = 2,
                                                .padding = 50000});
        add_at(b, trace, 1);
        if (trace == 50) {
            add_one(b, trace, 1, 2, 3); /* trace 1 has something to say again */
        }
    }
    assert_int_equal(next_s(b), 0);
    uint64_t expected = 2;
    while (take_at(b, 100)) {
        assert_int_equal(b->out.reason, TRACE_MEMORY);
        assert_int_equal(trace_number(&b->out.trace_id), expected);
        expected++;
        correlator_drop(b->correlator);
    }
    assert_in_range(expected, 20, 40);
    assert_true(correlator_bytes(b->correlator) <= (4 << 20) + (1 << 18));
    assert_int_equal(next_s(b), (expected + 2) / 3 * 3 + 200); /* the first root of those left */
}

static void a_pressed_budget_lets_an_eighth_go_at_a_time(void **state)
{
    struct bench *b = *state;
    for (uint64_t trace = 1; trace <= 100; trace++) {
        spans_put(b->spans, &(struct span_spec){.trace = trace,
                                                .id = 2,
                                                .parent = 1,
                                                .start_ns = 1,
                                                .end_ns = 2,
                                                .padding = 50000});
        add_at(b, 1, 1);
    }
    size_t others = (size_t)(0.95 * (double)((size_t)1 << 30));
    budget_charge(&b->budget, others);
    size_t first = 0;
    for (; take_at(b, 1); first++) {
        assert_int_equal(b->out.reason, TRACE_MEMORY);
        correlator_drop(b->correlator);
    }
    assert_in_range(first, 8, 25);
    assert_int_equal(correlator_next_ns(b->correlator), NS_PER_S + 250 * NS_PER_MS);
    assert_true(take_at(b, 2));
    assert_int_equal(b->out.reason, TRACE_MEMORY);
    correlator_drop(b->correlator);
    budget_release(&b->budget, others);
    assert_nothing_at(b, 2);
    assert_int_equal(next_s(b), 1 + IDLE);
}

static void a_slow_trace_pins_its_own_bytes_only(void **state)
{
    struct bench *b = *state;
    b->config.memory_bytes_max = 0;
    b->config.max_age_ns = 0;
    b->config.remembered_max = 0;
    correlator_reconfigure(b->correlator, &b->config);
    /* Trace 1 says a word every ten seconds among much traffic that settles at once. */
    for (uint64_t s = 1; s <= 1000; s++) {
        for (uint64_t t = 0; t < 20; t++) {
            spans_put(
                b->spans,
                &(struct span_spec){
                    .trace = s * 100 + t, .id = 1, .start_ns = 1, .end_ns = 2, .padding = 2000});
        }
        if (s % 10 == 0) {
            spans_put(b->spans, &(struct span_spec){.trace = 1,
                                                    .id = s,
                                                    .parent = s == 10 ? 0 : s - 10,
                                                    .start_ns = s,
                                                    .padding = 2000});
        }
        add_at(b, s, s);
        while (take_at(b, s)) {
            correlator_drop(b->correlator);
        }
    }
    while (take_at(b, 1000 + SETTLE)) {
        correlator_drop(b->correlator);
    }
    assert_int_equal(correlator_trace_count(b->correlator), 1);
    assert_int_equal(correlator_span_count(b->correlator), 100);
    /* 41 MB went by. Of its own it has 200 KB, in chunks that are at least a quarter its. */
    assert_true(correlator_bytes(b->correlator) < 1500 << 10);

    /* Moved spans are still known. */
    for (uint64_t s = 10; s <= 1000; s += 10) {
        spans_put(b->spans, &(struct span_spec){.trace = 1,
                                                .id = s,
                                                .parent = s == 10 ? 0 : s - 10,
                                                .start_ns = s,
                                                .padding = 2000});
    }
    add_at(b, 1000 + SETTLE, 1);
    assert_int_equal(b->added.duplicates, 100);

    assert_true(take_at(b, 1000 + IDLE));
    assert_int_equal(b->out.span_count, 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(span_number(&b->out.spans[i].span.span_id), (i + 1) * 10);
        assert_int_equal(b->out.spans[i].lsn, (i + 1) * 10);
    }
    correlator_drop(b->correlator);
}

static void a_resource_for_each_span_is_let_go_with_the_spans(void **state)
{
    struct bench *b = *state;
    size_t before = correlator_bytes(b->correlator);
    for (uint64_t i = 1; i <= 20000; i++) {
        char service[32];
        (void)snprintf(service, sizeof(service), "service %llu", (unsigned long long)i);
        spans_service(b->spans, service);
        spans_add(b->spans, i, 1, 0);
    }
    add_at(b, 100, 1);
    size_t full = correlator_bytes(b->correlator);
    assert_true(full > before + (size_t)20000 * 60);
    assert_true(budget_used(&b->budget) == full);
    while (take_at(b, 200)) {
        assert_int_equal(b->out.span_count, 1);
        correlator_drop(b->correlator);
    }
    assert_true(correlator_bytes(b->correlator) < before + (1 << 20));
    assert_true(budget_used(&b->budget) == correlator_bytes(b->correlator));
}

/* --- the ingest log's references --- */

static int compare_lsn(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

struct ledger {
    uint64_t *in, *out;
    size_t in_count, out_count, cap;
};

static void take_all(struct bench *b, struct ledger *ledger, uint64_t second)
{
    while (take_at(b, second)) {
        for (size_t i = 0; i < b->out.span_count; i++) {
            const struct finished_span *span = &b->out.spans[i];
            assert_true(ledger->out_count < ledger->cap);
            ledger->out[ledger->out_count++] = span->lsn;
            assert_int_equal(span->raw_hash, hash_stable(span->span.raw.data, span->span.raw.len));
            assert_true(i == 0 || b->out.spans[i - 1].span.start_ns <= span->span.start_ns);
        }
        correlator_drop(b->correlator);
    }
}

/* Whatever happens in between, each reference that went in comes out once. */
static void lsn_in_equals_lsn_out(uint64_t seed)
{
    struct bench *b;
    void *state;
    enum { STEPS = 1500 };
    struct ledger ledger = {.cap = (size_t)STEPS * 40};
    ledger.in = calloc(ledger.cap, sizeof(uint64_t));
    ledger.out = calloc(ledger.cap, sizeof(uint64_t));
    (void)set_up(&state);
    b = state;
    b->config.max_spans = 50 + random_next(&seed) % 100;
    b->config.memory_bytes_max = (1 + random_next(&seed) % 4) << 19;
    b->config.remembered_max = random_next(&seed) % 50;
    correlator_free(b->correlator);
    b->correlator = correlator_new(&b->config, &b->budget);

    for (uint64_t step = 1; step <= STEPS; step++) {
        uint64_t count = random_next(&seed) % 40;
        for (uint64_t i = 0; i < count; i++) {
            char service[16];
            (void)snprintf(service, sizeof(service), "s%u", (unsigned)(random_next(&seed) % 9));
            if (random_next(&seed) % 4 == 0) {
                spans_service(b->spans, service);
            }
            uint64_t id = random_next(&seed) % 200 + 1;
            spans_put(b->spans,
                      &(struct span_spec){
                          .trace = random_next(&seed) % 3 == 0 ? 1 : step / 8 + id % 5,
                          .id = id,
                          .parent = id / 2,
                          .start_ns = random_next(&seed) % 50,
                          .end_ns = random_next(&seed) % 2000,
                          .padding = random_next(&seed) % 20 == 0 ? random_next(&seed) % 100000
                                                                  : random_next(&seed) % 900,
                          .backwards = id % 2 == 0});
        }
        add_at(b, step, step);
        for (size_t i = 0; i < b->added.added; i++) {
            ledger.in[ledger.in_count++] = step;
        }
        if (random_next(&seed) % 100 == 0) {
            correlator_finish_all(b->correlator, TRACE_ADMIN);
        }
        take_all(b, &ledger, step);
    }
    correlator_finish_all(b->correlator, TRACE_SHUTDOWN);
    take_all(b, &ledger, STEPS);
    assert_int_equal(correlator_span_count(b->correlator), 0);
    assert_int_equal(ledger.in_count, ledger.out_count);
    qsort(ledger.out, ledger.out_count, sizeof(uint64_t), compare_lsn);
    assert_memory_equal(ledger.in, ledger.out, ledger.in_count * sizeof(uint64_t));
    (void)tear_down(&state);
    free(ledger.in);
    free(ledger.out);
}

static void every_reference_that_goes_in_comes_out_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        lsn_in_equals_lsn_out(seed);
    }
}

/* --- queries --- */

static bool note_number(void *ctx, const struct finished_trace *open)
{
    uint64_t *numbers = ctx;
    assert_int_equal(open->reason, TRACE_REASON_NONE);
    numbers[++numbers[0]] = trace_number(&open->trace_id) * 100 + open->span_count;
    return numbers[0] < 3;
}

static void the_latest_begun_trace_is_looked_at_first(void **state)
{
    struct bench *b = *state;
    uint64_t numbers[4] = {0};
    for (uint64_t trace = 1; trace <= 5; trace++) {
        add_one(b, trace, trace, 1, 0);
    }
    add_one(b, 5, 3, 2, 1);
    correlator_each(b->correlator, note_number, numbers);
    assert_int_equal(numbers[0], 3); /* `each` said stop */
    assert_int_equal(numbers[1], 501);
    assert_int_equal(numbers[2], 401);
    assert_int_equal(numbers[3], 302);
}

static void a_view_shows_open_spans_and_outlives_them(void **state)
{
    struct bench *b = *state;
    struct trace_id id = trace_id_of(1);
    struct trace_view view;
    trace_view_init(&view, &id);
    assert_false(correlator_view(b->correlator, &id, &view));
    add_one(b, 1, 1, 1, 0);
    assert_taken(b, 10, 1, TRACE_ROOT_QUIET);
    assert_false(correlator_view(b->correlator, &id, &view));
    spans_add(b->spans, 1, 5, 1);
    spans_add(b->spans, 1, 4, 1);
    add_at(b, 20, 1);
    assert_true(correlator_view(b->correlator, &id, &view));
    assert_true(correlator_view(b->correlator, &id, &view));
    correlator_finish_all(b->correlator, TRACE_ADMIN);
    assert_true(correlator_view(b->correlator, &id, &view)); /* finished, but nobody has it yet */
    assert_taken(b, 20, 1, TRACE_ADMIN);
    trace_view_finish(&view);
    assert_true(view.open);
    assert_int_equal(view.revision, 1);
    assert_int_equal(view.span_count, 2);
    assert_int_equal(span_number(&view.spans[0].span.span_id), 4);
    assert_true(slice_equal_text(view.spans[0].service, "shop"));
    trace_view_deinit(&view);
}

static void counts_follow_what_is_open(void **state)
{
    struct bench *b = *state;
    spans_add(b->spans, 1, 1, 0);
    spans_add(b->spans, 1, 2, 1);
    spans_add(b->spans, 2, 1, 0);
    add_at(b, 1, 1);
    assert_int_equal(correlator_trace_count(b->correlator), 2);
    assert_int_equal(correlator_span_count(b->correlator), 3);
    assert_int_equal(correlator_bytes(b->correlator), budget_used(&b->budget));
    assert_taken(b, 10, 1, TRACE_ROOT_QUIET);
    assert_int_equal(correlator_trace_count(b->correlator), 1);
    assert_int_equal(correlator_span_count(b->correlator), 1);
}

static void a_batch_without_spans_changes_nothing(void **state)
{
    struct bench *b = *state;
    struct span_batch empty = {0};
    correlator_add(b->correlator, &empty, 1, 1, NS_PER_S, &b->added);
    assert_int_equal(b->added.added, 0);
    assert_int_equal(correlator_trace_count(b->correlator), 0);
    assert_int_equal(next_s(b), UINT64_MAX);
}

static void a_correlator_may_go_while_a_trace_is_out(void **state)
{
    struct bench *b = *state;
    for (uint64_t id = 1; id < 100; id++) {
        spans_add(b->spans, 1, id, 0);
        spans_add(b->spans, 2, id, 0);
    }
    add_at(b, 1, 1);
    assert_true(take_at(b, 10));
}

static void new_delays_hold_for_traces_that_are_open(void **state)
{
    struct bench *b = *state;
    add_one(b, 100, 1, 1, 0);
    b->config.settle_ns = 20 * NS_PER_S;
    correlator_reconfigure(b->correlator, &b->config);
    assert_int_equal(next_s(b), 120);
    b->config.settle_ns = 0;
    correlator_reconfigure(b->correlator, &b->config);
    assert_taken(b, 100, 1, TRACE_ROOT_QUIET);
}

#define WITH_BENCH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(a_trace_whose_root_has_ended_is_finished_after_settle),
        WITH_BENCH(every_span_makes_the_quiet_time_begin_anew),
        WITH_BENCH(a_trace_without_a_root_waits_for_idle),
        WITH_BENCH(a_missing_parent_makes_an_ended_trace_wait_for_idle),
        WITH_BENCH(the_parent_that_comes_late_makes_the_trace_settle),
        WITH_BENCH(a_root_without_an_end_does_not_settle),
        WITH_BENCH(a_root_that_only_lacks_its_start_has_ended),
        WITH_BENCH(a_trace_that_never_rests_is_finished_at_its_age),
        WITH_BENCH(a_trace_with_too_many_spans_is_finished_in_parts),
        WITH_BENCH(finishing_one_trace_says_whether_it_was_open),
        WITH_BENCH(finish_all_hands_out_everything_oldest_first),
        WITH_BENCH(traces_come_out_in_the_order_of_their_deadlines),
        WITH_BENCH(next_ns_is_exact_under_random_traffic),
        WITH_BENCH(a_late_span_makes_a_new_revision_with_only_itself),
        WITH_BENCH(spans_between_take_and_drop_belong_to_the_next_revision),
        WITH_BENCH(a_trace_of_an_earlier_life_is_continued),
        WITH_BENCH(spans_come_out_by_start_then_arrival_with_every_field),
        WITH_BENCH(an_incomplete_span_keeps_its_flag_and_the_time_it_was_given),
        WITH_BENCH(repeats_are_absorbed_and_conflicts_kept_in_small_traces),
        WITH_BENCH(repeats_are_absorbed_and_conflicts_kept_while_a_trace_grows_large),
        WITH_BENCH(repeats_are_absorbed_and_conflicts_kept_in_large_traces),
        WITH_BENCH(a_repeat_does_not_prolong_the_quiet_time),
        WITH_BENCH(a_large_trace_knows_which_parents_are_missing),
        WITH_BENCH(a_million_spans_of_one_trace_are_added_in_linear_time),
        WITH_BENCH(many_conflicts_of_one_span_id_are_added_in_linear_time),
        WITH_BENCH(over_the_limit_the_trace_that_rests_the_longest_goes_first),
        WITH_BENCH(a_pressed_budget_lets_an_eighth_go_at_a_time),
        WITH_BENCH(a_slow_trace_pins_its_own_bytes_only),
        WITH_BENCH(a_resource_for_each_span_is_let_go_with_the_spans),
        cmocka_unit_test(every_reference_that_goes_in_comes_out_once),
        WITH_BENCH(the_latest_begun_trace_is_looked_at_first),
        WITH_BENCH(a_view_shows_open_spans_and_outlives_them),
        WITH_BENCH(counts_follow_what_is_open),
        WITH_BENCH(a_batch_without_spans_changes_nothing),
        WITH_BENCH(a_correlator_may_go_while_a_trace_is_out),
        WITH_BENCH(new_delays_hold_for_traces_that_are_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
