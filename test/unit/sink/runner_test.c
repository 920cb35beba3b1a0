/*
 * runner_test.c - what becomes of batches: every verdict, the cursor, crashes, stopping.
 *
 * Most tests start a runner and stop it with a drain, which returns when everything is done.
 * Nothing waits for time to pass: intervals are a millisecond, and where the length of a wait is
 * the point the clock is moved by hand.
 */
#include "unit.h"

#include "../../../src/sink/cursor.h"
#include "../../../src/sink/runner.h"
#include "fakes.h"
#include "fs_fault.h"
#include "fs_mem.h"
#include <errno.h>
#include <sched.h>
#include <spangate/base/metrics.h>
#include <spangate/otlp/otlp.h>

static const char cursor_path[] = "/data/cursor";

struct stage {
    struct fs_mem *mem;
    struct fs_fault fault;
    struct fake_log log;
    struct fake_sink sink;
    struct fake_sink *settings; /* what the driver's settings point to */
    struct sink_runner_config config;
    struct sink_runner *runner;
    struct sink_status status;
};

static int set_up(void **state)
{
    struct stage *s = calloc(1, sizeof(*s));
    s->mem = fs_mem_new();
    fs_fault_init(&s->fault, fs_mem_fs(s->mem));
    (void)s->fault.fs.mkdir(&s->fault.fs, "/data", 0700);
    fake_log_init(&s->log, 64, 1);
    fake_sink_init(&s->sink, &clock_system);
    s->settings = &s->sink;
    s->config = (struct sink_runner_config){
        .name = "fake",
        .driver = &fake_driver,
        .settings = &s->settings,
        .cursor_path = cursor_path,
        .retry = {.enabled = true,
                  .initial_interval_ns = NS_PER_MS,
                  .multiplier = 1,
                  .max_interval_ns = NS_PER_MS},
        .items_max = 64,
        .bytes_max = 100000,
    };
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *s = *state;
    fake_log_deinit(&s->log);
    fake_sink_deinit(&s->sink);
    fs_fault_deinit(&s->fault);
    fs_mem_free(s->mem);
    free(s);
    return 0;
}

static void start(struct stage *s)
{
    struct error err = {0};
    s->config.source = fake_log_source(&s->log);
    assert_true(sink_runner_start(&s->runner, &s->config, &s->fault.fs, &clock_system, &err));
}

static void stop(struct stage *s, bool drain, uint64_t deadline_ns)
{
    sink_runner_stop(s->runner, drain, deadline_ns);
    assert_true(s->log.closed);
    assert_true(s->sink.closed);
    assert_int_equal(fs_mem_open_count(s->mem), 0);
}

/* Start, deliver what there is, note the status, stop. */
static void run(struct stage *s)
{
    start(s);
    struct sink_cursor end = {.seq = s->log.trace_count};
    do {
        sink_runner_status(s->runner, &s->status);
        (void)sched_yield();
    } while (cursor_compare(&s->status.cursor, &end) < 0);
    stop(s, true, UINT64_MAX);
}

static void assert_cursor_on_disk(struct stage *s, uint64_t seq)
{
    struct sink_cursor cursor;
    struct error err = {0};
    assert_true(sink_cursor_read(&s->fault.fs, cursor_path, &cursor, &err));
    assert_int_equal(cursor.seq, seq);
}

/* The destination has traces from … to-1 once each and in order, but not `without`. */
static void assert_delivered(struct stage *s, uint32_t from, uint32_t to, uint64_t without)
{
    size_t at = 0;
    for (uint32_t trace = from; trace < to; trace++) {
        if (trace != without) {
            assert_true(at < s->sink.item_count);
            assert_int_equal(s->sink.items[at++], trace);
        }
    }
    assert_int_equal(at, s->sink.item_count);
}

static bool has_item(const uint32_t *items, size_t count, uint64_t wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i] == wanted) {
            return true;
        }
    }
    return false;
}

/* --- verdicts --- */

static void what_is_in_the_log_is_delivered_in_order(void **state)
{
    struct stage *s = *state;
    struct metric_series *sent = metric_series(METRIC_SINK_SENT, "fake", NULL);
    uint64_t before = series_value(sent);
    s->config.items_max = 10;
    run(s);
    assert_delivered(s, 0, 64, UINT64_MAX);
    assert_int_equal(s->status.delivered, 64);
    assert_int_equal(series_value(sent) - before, 64);
    assert_int_equal(s->status.lag_bytes, 0);
    assert_true(s->status.last_delivered_wall_ns > 0);
    assert_string_equal(s->status.last_error, "");
    assert_int_equal(s->log.released.seq, 64);
    assert_cursor_on_disk(s, 64);
}

static void answer_retry_thrice(struct fake_sink *sink, uint64_t request, const uint32_t *items,
                                size_t count, struct sink_outcome *out)
{
    (void)sink;
    (void)items;
    (void)count;
    if (request <= 3) {
        out->verdict = SINK_RETRY;
        (void)error_set(&out->err, ERR_UNAVAILABLE, "503 for now");
    }
}

static void a_batch_is_retried_until_it_is_taken(void **state)
{
    struct stage *s = *state;
    s->sink.answer = answer_retry_thrice;
    run(s);
    assert_delivered(s, 0, 64, UINT64_MAX);
    assert_int_equal(s->sink.requests, 4);
    assert_int_equal(s->status.retries, 3);
    assert_int_equal(s->status.failed, 0);
}

static void without_retries_a_failed_batch_is_dropped_and_counted(void **state)
{
    struct stage *s = *state;
    s->config.retry.enabled = false;
    s->config.items_max = 16;
    s->sink.answer = answer_retry_thrice;
    run(s);
    assert_delivered(s, 48, 64, UINT64_MAX);
    assert_int_equal(s->status.failed, 48);
    assert_int_equal(s->status.retries, 0);
    assert_cursor_on_disk(s, 64);
}

static void answer_always_retry(struct fake_sink *sink, uint64_t request, const uint32_t *items,
                                size_t count, struct sink_outcome *out)
{
    (void)sink;
    (void)request;
    (void)items;
    (void)count;
    out->verdict = SINK_RETRY;
    (void)error_set(&out->err, ERR_UNAVAILABLE, "connection refused");
}

static void when_the_elapsed_time_is_over_the_batch_is_dropped(void **state)
{
    struct stage *s = *state;
    s->config.retry.max_elapsed_ns = 5 * NS_PER_MS;
    s->sink.answer = answer_always_retry;
    run(s);
    assert_int_equal(s->status.failed, 64);
    assert_int_equal(s->sink.item_count, 0);
    assert_string_equal(s->status.last_error, "connection refused");
}

static void answer_poison(struct fake_sink *sink, uint64_t request, const uint32_t *items,
                          size_t count, struct sink_outcome *out)
{
    (void)request;
    if (has_item(items, count, sink->poison)) {
        out->verdict = SINK_REJECTED;
        (void)error_set(&out->err, ERR_INVALID, "400 bad request");
    }
}

static void one_poison_among_many_is_dropped_alone(void **state)
{
    struct stage *s = *state;
    static const uint64_t places[] = {0, 1, 31, 32, 37, 63};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        s->sink.answer = answer_poison;
        s->sink.poison = places[i];
        s->sink.item_count = 0;
        s->config.cursor_path = NULL;
        run(s);
        assert_delivered(s, 0, 64, places[i]);
        assert_int_equal(s->status.delivered, 63);
        assert_int_equal(s->status.failed, 1);
    }
}

static void answer_too_large(struct fake_sink *sink, uint64_t request, const uint32_t *items,
                             size_t count, struct sink_outcome *out)
{
    (void)request;
    if (count > 10 || has_item(items, count, sink->poison)) {
        out->verdict = SINK_TOO_LARGE;
        (void)error_set(&out->err, ERR_TOO_LARGE, "413");
    }
}

static void a_batch_that_is_too_large_is_split(void **state)
{
    struct stage *s = *state;
    s->sink.answer = answer_too_large;
    s->sink.poison = 20; /* this one is too large alone */
    run(s);
    assert_delivered(s, 0, 64, 20);
    assert_int_equal(s->status.failed, 1);
}

static void a_trace_larger_than_a_batch_is_split_between_spans(void **state)
{
    struct stage *s = *state;
    s->log.trace_count = 3;
    s->log.spans_each = 25;
    s->sink.answer = answer_too_large;
    s->sink.poison = UINT64_MAX;
    run(s);
    assert_int_equal(s->status.delivered, 75);
    assert_int_equal(s->status.failed, 0);
}

static void answer_partial(struct fake_sink *sink, uint64_t request, const uint32_t *items,
                           size_t count, struct sink_outcome *out)
{
    (void)sink;
    (void)request;
    (void)items;
    (void)count;
    out->rejected = 5;
    (void)error_set(&out->err, ERR_INVALID, "quota");
}

static void a_partial_success_is_counted_and_not_sent_again(void **state)
{
    struct stage *s = *state;
    s->sink.answer = answer_partial;
    s->config.items_max = 32;
    run(s);
    assert_int_equal(s->sink.requests, 2);
    assert_int_equal(s->status.delivered, 54);
    assert_int_equal(s->status.partial, 10);
    assert_int_equal(s->status.failed, 0);
    assert_cursor_on_disk(s, 64);
}

static void answer_unauthorized(struct fake_sink *sink, uint64_t request, const uint32_t *items,
                                size_t count, struct sink_outcome *out)
{
    (void)sink;
    (void)request;
    (void)items;
    (void)count;
    out->verdict = SINK_REJECTED;
    (void)error_set(&out->err, ERR_UNAUTHENTICATED, "401");
}

static void a_rejection_that_is_not_about_content_is_not_split(void **state)
{
    struct stage *s = *state;
    s->sink.answer = answer_unauthorized;
    s->config.items_max = 32;
    run(s);
    assert_int_equal(s->sink.requests, 2);
    assert_int_equal(s->status.failed, 64);
    assert_string_equal(s->status.last_error, "401");
}

/* --- encoding --- */

static void a_driver_that_wants_json_gets_json(void **state)
{
    struct stage *s = *state;
    struct strbuf body;
    struct otlp_writer writer;
    strbuf_init(&body, 10000);
    otlp_writer_begin(&writer, &body);
    otlp_writer_add(&writer, (struct slice){0}, (struct slice){0}, BYTES("\x2a\x04ping"));
    otlp_writer_end(&writer);
    s->log.trace_count = 1;
    s->log.body = strbuf_slice(&body);
    s->sink.encoding = SINK_JSON;
    run(s);
    assert_int_equal(s->status.delivered, 1);
    assert_int_equal(s->sink.body[0], '{');
    assert_non_null(memmem(s->sink.body, s->sink.body_len, "\"ping\"", 6));
    strbuf_deinit(&body);
}

static void what_cannot_become_json_is_dropped(void **state)
{
    struct stage *s = *state;
    s->log.trace_count = 3;
    s->log.body = BYTES("\x0a\xff");
    s->sink.encoding = SINK_JSON;
    run(s);
    assert_int_equal(s->sink.requests, 0);
    assert_int_equal(s->status.failed, 3);
}

/* --- cursor and log --- */

static void a_runner_goes_on_where_the_one_before_stopped(void **state)
{
    struct stage *s = *state;
    run(s);
    fake_log_grow(&s->log, 36);
    s->config.start = (struct sink_cursor){.seq = 90}; /* only for a destination without a cursor */
    run(s);
    assert_delivered(s, 0, 100, UINT64_MAX);
}

static void a_new_destination_begins_where_it_is_told_and_remembers_that(void **state)
{
    struct stage *s = *state;
    s->sink.answer = answer_always_retry;
    s->config.start = (struct sink_cursor){.seq = 60};
    start(s);
    assert_cursor_on_disk(s, 60);
    fake_sink_await(&s->sink, 1);
    stop(s, false, 0);
    /* The next life begins there, though the end of the log is elsewhere by now. */
    s->sink.answer = NULL;
    s->config.start = (struct sink_cursor){.seq = 64};
    run(s);
    assert_delivered(s, 60, 64, UINT64_MAX);
}

static void after_a_crash_before_the_cursor_was_written_the_batch_comes_again(void **state)
{
    struct stage *s = *state;
    s->config.items_max = 32;
    /* The cursor written at the start succeeds, those after the batches do not. */
    fs_fault_plan(&s->fault, FS_OP_RENAME, 2, UINT64_MAX, FS_FAULT_FAIL, EIO);
    run(s);
    assert_delivered(s, 0, 64, UINT64_MAX);
    assert_int_equal(s->log.released.seq, 0); /* what is not on disk is not released */
    fs_fault_clear(&s->fault);
    assert_cursor_on_disk(s, 0);
    s->sink.item_count = 0;
    run(s);
    assert_delivered(s, 0, 64, UINT64_MAX);
    assert_int_equal(s->log.released.seq, 64);
    assert_cursor_on_disk(s, 64);
}

static void delivering_goes_on_while_the_cursor_cannot_be_written(void **state)
{
    struct stage *s = *state;
    fs_fault_plan(&s->fault, FS_OP_PWRITEV, 1, 3, FS_FAULT_FAIL, ENOSPC);
    s->config.items_max = 4;
    run(s);
    assert_delivered(s, 0, 64, UINT64_MAX);
    assert_int_equal(s->log.released.seq, 64);
    assert_cursor_on_disk(s, 64);
}

static void after_a_damaged_cursor_everything_is_delivered_once_more(void **state)
{
    struct stage *s = *state;
    fs_mem_write(s->mem, cursor_path, "spangate-cursor 1 9 0 0 00000000\n", 33);
    s->config.start = (struct sink_cursor){.seq = 50};
    run(s);
    assert_delivered(s, 0, 64, UINT64_MAX);
    assert_cursor_on_disk(s, 64);
}

static void a_cursor_that_cannot_be_read_refuses_the_start(void **state)
{
    struct stage *s = *state;
    struct error err = {0};
    fs_mem_write(s->mem, cursor_path, "spangate-cursor 1 9 0 0 00000000\n", 33);
    fs_fault_plan(&s->fault, FS_OP_PREAD, 1, 1, FS_FAULT_FAIL, EIO);
    s->config.source = fake_log_source(&s->log);
    assert_false(sink_runner_start(&s->runner, &s->config, &s->fault.fs, &clock_system, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_true(s->log.closed);
}

static void what_retention_took_is_counted_as_skipped(void **state)
{
    struct stage *s = *state;
    s->log.first = 10;
    run(s);
    assert_delivered(s, 10, 64, UINT64_MAX);
    assert_int_equal(s->status.skipped, 10);
}

static void a_damaged_place_in_the_log_is_stepped_over(void **state)
{
    struct stage *s = *state;
    s->log.corrupt = 30;
    run(s);
    assert_delivered(s, 0, 64, 30);
}

static void a_log_that_cannot_be_read_is_tried_again(void **state)
{
    struct stage *s = *state;
    s->log.corrupt = 30;
    s->log.corrupt_forever = true;
    start(s);
    uint64_t reads = 0;
    while (reads < 4) {
        (void)pthread_mutex_lock(&s->log.lock);
        reads = s->log.reads;
        (void)pthread_mutex_unlock(&s->log.lock);
        (void)sched_yield();
    }
    (void)pthread_mutex_lock(&s->log.lock);
    s->log.corrupt = UINT64_MAX;
    (void)pthread_mutex_unlock(&s->log.lock);
    fake_sink_await(&s->sink, 2);
    stop(s, true, UINT64_MAX);
    assert_delivered(s, 0, 64, UINT64_MAX);
}

static void traces_for_others_are_passed_over_and_released(void **state)
{
    struct stage *s = *state;
    s->log.foreign_from = 0;
    s->log.foreign_to = 64;
    run(s);
    assert_int_equal(s->sink.requests, 0);
    assert_int_equal(s->log.released.seq, 64);
    assert_cursor_on_disk(s, 64);
}

static void data_that_comes_later_is_delivered_without_being_told(void **state)
{
    struct stage *s = *state;
    start(s);
    fake_sink_await(&s->sink, 1);
    fake_log_grow(&s->log, 10);
    fake_sink_await(&s->sink, 2);
    stop(s, true, UINT64_MAX);
    assert_delivered(s, 0, 74, UINT64_MAX);
}

/* --- waiting and stopping --- */

static void answer_retry_after(struct fake_sink *sink, uint64_t request, const uint32_t *items,
                               size_t count, struct sink_outcome *out)
{
    (void)sink;
    (void)items;
    (void)count;
    if (request == 1) {
        out->verdict = SINK_RETRY;
        out->retry_after_ms = 2000;
        (void)error_set(&out->err, ERR_UNAVAILABLE, "503, come back in two seconds");
    }
}

static void retry_after_is_respected(void **state)
{
    struct stage *s = *state;
    struct fake_clock clock;
    struct error err = {0};
    fake_clock_init(&clock);
    s->sink.clock = &clock.clock;
    s->sink.answer = answer_retry_after;
    s->config.source = fake_log_source(&s->log);
    assert_true(sink_runner_start(&s->runner, &s->config, &s->fault.fs, &clock.clock, &err));
    fake_sink_await(&s->sink, 1);
    while (fake_sink_requests(&s->sink) < 2) {
        (void)atomic_fetch_add(&clock.now_ns, 10 * NS_PER_MS);
        sink_runner_recheck(s->runner);
        (void)sched_yield();
    }
    stop(s, true, UINT64_MAX);
    assert_true(s->sink.request_ns[1] - s->sink.request_ns[0] >= 2000 * NS_PER_MS);
    assert_int_equal(s->sink.requests, 2);
    assert_delivered(s, 0, 64, UINT64_MAX);
}

static void stopping_during_a_long_wait_returns_at_once(void **state)
{
    struct stage *s = *state;
    s->config.retry.initial_interval_ns = 3600 * NS_PER_S;
    s->config.retry.max_interval_ns = 3600 * NS_PER_S;
    s->sink.answer = answer_always_retry;
    start(s);
    fake_sink_await(&s->sink, 1);
    stop(s, false, 0);
    assert_cursor_on_disk(s, 0);
    /* A drain tries once more, and does not wait for what cannot come before the deadline. */
    start(s);
    fake_sink_await(&s->sink, 2);
    stop(s, true, clock_monotonic(&clock_system) + 1800 * NS_PER_S);
    assert_in_range(s->sink.requests, 2, 3);
    assert_cursor_on_disk(s, 0);
}

static void answer_hang(struct fake_sink *sink, uint64_t request, const uint32_t *items,
                        size_t count, struct sink_outcome *out)
{
    (void)request;
    (void)items;
    (void)count;
    fake_sink_hang(sink);
    out->verdict = SINK_RETRY;
    (void)error_set(&out->err, ERR_UNAVAILABLE, "interrupted");
}

static void a_delivery_under_way_is_interrupted(void **state)
{
    struct stage *s = *state;
    s->config.retry.enabled = false; /* being interrupted is no failure: nothing is dropped */
    s->sink.answer = answer_hang;
    start(s);
    fake_sink_await(&s->sink, 1);
    stop(s, false, 0);
    assert_cursor_on_disk(s, 0);
    start(s);
    fake_sink_await(&s->sink, 2);
    stop(s, true, clock_monotonic(&clock_system) + NS_PER_MS); /* a drain with a deadline */
    assert_cursor_on_disk(s, 0);
    assert_int_equal(s->sink.item_count, 0);
}

static void a_drain_delivers_what_is_there(void **state)
{
    struct stage *s = *state;
    s->config.items_max = 7;
    s->config.items_min = 1000; /* nobody waits for a full batch now */
    s->config.linger_ns = 3600 * NS_PER_S;
    start(s);
    stop(s, true, UINT64_MAX);
    assert_delivered(s, 0, 64, UINT64_MAX);
}

static void a_driver_that_does_not_open_refuses_the_start(void **state)
{
    struct stage *s = *state;
    struct error err = {0};
    s->sink.refuse_open = true;
    s->config.source = fake_log_source(&s->log);
    assert_false(sink_runner_start(&s->runner, &s->config, &s->fault.fs, &clock_system, &err));
    assert_string_equal(err.message, "exporter fake: endpoint is missing");
    assert_true(s->log.closed);
}

static void a_dead_destination_does_not_delay_another(void **state)
{
    struct stage *dead = *state;
    void *other;
    (void)set_up(&other);
    struct stage *alive = other;
    dead->sink.answer = answer_hang;
    start(dead);
    fake_sink_await(&dead->sink, 1);
    run(alive);
    assert_delivered(alive, 0, 64, UINT64_MAX);
    assert_int_equal(fake_sink_requests(&dead->sink), 1);
    stop(dead, false, 0);
    (void)tear_down(&other);
}

static void a_cursor_in_memory_needs_no_file(void **state)
{
    struct stage *s = *state;
    s->config.cursor_path = NULL;
    run(s);
    assert_delivered(s, 0, 64, UINT64_MAX);
    assert_int_equal(s->log.released.seq, 64);
    uint64_t size;
    assert_int_equal(s->fault.fs.size(&s->fault.fs, cursor_path, &size), -ENOENT);
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(what_is_in_the_log_is_delivered_in_order),
        ON_STAGE(a_batch_is_retried_until_it_is_taken),
        ON_STAGE(without_retries_a_failed_batch_is_dropped_and_counted),
        ON_STAGE(when_the_elapsed_time_is_over_the_batch_is_dropped),
        ON_STAGE(one_poison_among_many_is_dropped_alone),
        ON_STAGE(a_batch_that_is_too_large_is_split),
        ON_STAGE(a_trace_larger_than_a_batch_is_split_between_spans),
        ON_STAGE(a_partial_success_is_counted_and_not_sent_again),
        ON_STAGE(a_rejection_that_is_not_about_content_is_not_split),
        ON_STAGE(a_driver_that_wants_json_gets_json),
        ON_STAGE(what_cannot_become_json_is_dropped),
        ON_STAGE(a_runner_goes_on_where_the_one_before_stopped),
        ON_STAGE(a_new_destination_begins_where_it_is_told_and_remembers_that),
        ON_STAGE(after_a_crash_before_the_cursor_was_written_the_batch_comes_again),
        ON_STAGE(delivering_goes_on_while_the_cursor_cannot_be_written),
        ON_STAGE(after_a_damaged_cursor_everything_is_delivered_once_more),
        ON_STAGE(a_cursor_that_cannot_be_read_refuses_the_start),
        ON_STAGE(what_retention_took_is_counted_as_skipped),
        ON_STAGE(a_damaged_place_in_the_log_is_stepped_over),
        ON_STAGE(a_log_that_cannot_be_read_is_tried_again),
        ON_STAGE(traces_for_others_are_passed_over_and_released),
        ON_STAGE(data_that_comes_later_is_delivered_without_being_told),
        ON_STAGE(retry_after_is_respected),
        ON_STAGE(stopping_during_a_long_wait_returns_at_once),
        ON_STAGE(a_delivery_under_way_is_interrupted),
        ON_STAGE(a_drain_delivers_what_is_there),
        ON_STAGE(a_driver_that_does_not_open_refuses_the_start),
        ON_STAGE(a_dead_destination_does_not_delay_another),
        ON_STAGE(a_cursor_in_memory_needs_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
