/*
 * pipeline_test.c - the turns of the pipeline, called by hand on a clock that the test moves.
 */
#include "temp_folder.h"

#include "pipeline_private.h"

#include <spangate/otlp/pb.h>

static struct {
    struct clock clock;
    uint64_t monotonic_ns;
} fake;

static uint64_t fake_monotonic(const struct clock *clock)
{
    (void)clock;
    return fake.monotonic_ns;
}

static uint64_t fake_wall(const struct clock *clock)
{
    (void)clock;
    return UINT64_C(1750000000000000000) + fake.monotonic_ns;
}

static struct budget budget;
static size_t cache_bytes = 4 << 20; /* of decompressed blocks */

static struct pipeline *open_pipeline(const char *folder)
{
    static char wal_dir[200];
    static char blocks_dir[200];
    static const struct pipeline_route route = {"traces", OTLP_TRACES, 1};
    static const char *const receiver = "otlp";
    struct pipeline *pipeline = NULL;
    struct error err = {0};

    (void)snprintf(wal_dir, sizeof(wal_dir), "%s/wal", folder);
    (void)snprintf(blocks_dir, sizeof(blocks_dir), "%s/blocks", folder);
    fake.clock = (struct clock){fake_monotonic, fake_wall};
    budget_init(&budget, 64 << 20, NULL);
    struct pipeline_config config = {
        .data_dir = folder,
        .wal = {.dir = wal_dir, .segment_bytes = 4 << 20, .total_bytes_max = 64 << 20},
        .blocks = {.dir = blocks_dir,
                   .persist = true,
                   .partition_ns = 3600 * NS_PER_S,
                   .cache_bytes_max = cache_bytes,
                   .zstd_level = 1},
        .traces = {.settle_ns = NS_PER_S,
                   .idle_ns = 30 * NS_PER_S,
                   .max_age_ns = 900 * NS_PER_S,
                   .max_spans = 1000,
                   .memory_bytes_max = 16 << 20,
                   .remembered_max = 1000},
        .limits = otlp_limits_default,
        .routes = &route,
        .route_count = 1,
        .receiver_names = &receiver,
        .receiver_count = 1,
        .block_bytes = 1 << 20,
        .block_age_ns = NS_PER_S,
    };
    if (!pipeline_open(&pipeline, &config, &fs_posix, &fake.clock, &budget, &err) ||
        !pipeline_begin(pipeline, &err)) {
        fail_msg("%s", err.message);
    }
    return pipeline;
}

/* One span; parent 0: a root. */
static struct buf *request(uint8_t trace, uint8_t span, uint8_t parent)
{
    struct strbuf out;
    uint8_t trace_id[16] = {[15] = trace};
    uint8_t span_id[8] = {[7] = span};
    uint8_t parent_id[8] = {[7] = parent};
    strbuf_init(&out, 10000);
    size_t resource_spans = pb_begin(&out, 1);
    size_t resource = pb_begin(&out, 1);
    size_t kv = pb_begin(&out, 1);
    pb_put_bytes(&out, 1, BYTES("service.name"));
    size_t any = pb_begin(&out, 2);
    pb_put_bytes(&out, 1, BYTES("shop"));
    pb_end(&out, any);
    pb_end(&out, kv);
    pb_end(&out, resource);
    size_t scope_spans = pb_begin(&out, 2);
    size_t one = pb_begin(&out, 2);
    pb_put_bytes(&out, 1, (struct slice){trace_id, sizeof(trace_id)});
    pb_put_bytes(&out, 2, (struct slice){span_id, sizeof(span_id)});
    if (parent != 0) {
        pb_put_bytes(&out, 4, (struct slice){parent_id, sizeof(parent_id)});
    }
    pb_put_bytes(&out, 5, BYTES("work"));
    pb_put_fixed64(&out, 7, UINT64_C(1750000000000000000));
    pb_put_fixed64(&out, 8, UINT64_C(1750000000000001000));
    pb_end(&out, one);
    pb_end(&out, scope_spans);
    pb_end(&out, resource_spans);
    struct buf *body = buf_copy(strbuf_slice(&out), NULL);
    strbuf_deinit(&out);
    return body;
}

struct answer {
    int count;
    enum error_code code;
    uint64_t rejected;
};

static void on_reply(void *ctx, const struct ingest_result *result)
{
    struct answer *answer = ctx;
    answer->count++;
    answer->code = result->err.code;
    answer->rejected = result->rejected;
}

static void submit_span(struct pipeline *p, struct buf *body, struct answer *answer)
{
    struct ingest ingest = pipeline_ingest(p);
    struct ingest_request one = {.signal = OTLP_TRACES,
                                 .body = body,
                                 .transport = "http",
                                 .reply = on_reply,
                                 .reply_ctx = answer};
    *answer = (struct answer){0};
    ingest.submit(ingest.ctx, &one);
}

/* Everything that can be done at this moment. */
static void turn(struct pipeline *p)
{
    bool busy = true;
    while (busy) {
        busy = pipeline_commit(p, 0);
        busy |= pipeline_correlate(p, 0);
        busy |= pipeline_store(p, 0);
    }
}

static void pass_time(struct pipeline *p, uint64_t ns)
{
    fake.monotonic_ns += ns;
    turn(p);
}

static void accept_span(struct pipeline *p, uint8_t trace, uint8_t span, uint8_t parent)
{
    struct answer answer;
    submit_span(p, request(trace, span, parent), &answer);
    assert_int_equal(answer.count, 0);
    turn(p);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.code, ERR_NONE);
}

/* What the store has of a trace; the correlator is not asked. */
static size_t stored_spans(struct pipeline *p, uint8_t trace, uint32_t *revision)
{
    struct trace_id id = {{[15] = trace}};
    struct trace_view view;
    struct error err = {0};
    trace_view_init(&view, &id);
    assert_true(pipeline_view_stored(p, &id, &view, &err));
    trace_view_finish(&view);
    size_t count = view.span_count;
    *revision = view.revision;
    trace_view_deinit(&view);
    return count;
}

static void no_answer_before_the_sync_and_one_after(void **state)
{
    struct answer answer;
    struct pipeline *p = open_pipeline(*state);
    submit_span(p, request(1, 1, 0), &answer);
    assert_int_equal(answer.count, 0);
    assert_int_equal(wal_last(p->wal), 0);
    assert_true(pipeline_commit(p, 0));
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.code, ERR_NONE);
    assert_int_equal(wal_last(p->wal), 1);
    pipeline_close(p);
}

static void garbage_is_refused_before_the_log(void **state)
{
    struct answer answer;
    struct pipeline *p = open_pipeline(*state);
    submit_span(p, buf_copy(BYTES("\x0a\xff"), NULL), &answer);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.code, ERR_INVALID);
    submit_span(p, NULL, &answer);
    assert_int_equal(answer.code, ERR_NONE);
    turn(p);
    assert_int_equal(wal_last(p->wal), 0);
    pipeline_close(p);
}

static void a_signal_without_a_pipeline_is_not_taken(void **state)
{
    struct pipeline *p = open_pipeline(*state);
    struct ingest ingest = pipeline_ingest(p);
    assert_true(ingest.takes(ingest.ctx, 0, OTLP_TRACES));
    assert_false(ingest.takes(ingest.ctx, 0, OTLP_LOGS));
    assert_false(ingest.takes(ingest.ctx, 1, OTLP_TRACES));
    pipeline_close(p);
}

static void a_finished_trace_is_stored_and_its_records_are_released(void **state)
{
    uint32_t revision;
    struct pipeline *p = open_pipeline(*state);
    accept_span(p, 1, 2, 1);
    accept_span(p, 1, 1, 0);
    assert_int_equal(stored_spans(p, 1, &revision), 0);
    pass_time(p, NS_PER_S); /* settled: finished, in the open block */
    pass_time(p, NS_PER_S); /* the block is a second old: sealed and stored */
    assert_int_equal(stored_spans(p, 1, &revision), 2);
    assert_int_equal(revision, 1);
    assert_int_equal(p->refs.len, 0);
    assert_int_equal(atomic_load(&p->stats.spans_open), 0);
    pipeline_close(p);
}

static void late_spans_make_a_revision_and_retries_do_not(void **state)
{
    uint32_t revision;
    struct pipeline *p = open_pipeline(*state);
    accept_span(p, 1, 1, 0);
    pass_time(p, NS_PER_S);
    pass_time(p, NS_PER_S);
    accept_span(p, 1, 1, 0); /* the same again */
    accept_span(p, 1, 2, 1); /* late */
    pass_time(p, 30 * NS_PER_S);
    pass_time(p, NS_PER_S);
    assert_int_equal(stored_spans(p, 1, &revision), 2);
    assert_int_equal(revision, 2);
    struct block *block = NULL;
    struct error err;
    assert_true(trace_log_load(p->log, trace_log_end(p->log) - 1, BLOCK_ALL, &block, &err));
    assert_int_equal(block->span_count, 1);
    block_unref(block);

    accept_span(p, 1, 2, 1); /* a retry alone: no new revision, no block */
    uint64_t end = trace_log_end(p->log);
    pass_time(p, 30 * NS_PER_S);
    pass_time(p, NS_PER_S);
    assert_int_equal(trace_log_end(p->log), end);
    assert_int_equal(p->refs.len, 0);
    assert_int_equal(atomic_load(&p->stats.spans_open), 0);
    pipeline_close(p);
}

static void what_was_open_is_there_after_a_crash(void **state)
{
    uint32_t revision;
    struct pipeline *p = open_pipeline(*state);
    accept_span(p, 1, 1, 0);
    pass_time(p, NS_PER_S);
    pass_time(p, NS_PER_S);  /* trace 1 is stored */
    accept_span(p, 2, 2, 1); /* trace 2 is open */
    pipeline_close(p);       /* nothing is drained: as a crash */

    p = open_pipeline(*state);
    assert_int_equal(correlator_span_count(p->trace.correlator) >= 1, 1);
    accept_span(p, 2, 1, 0);
    pass_time(p, 30 * NS_PER_S);
    pass_time(p, NS_PER_S);
    assert_int_equal(stored_spans(p, 1, &revision), 1);
    assert_int_equal(revision, 1);
    assert_int_equal(stored_spans(p, 2, &revision), 2);
    pipeline_close(p);
}

static void memory_pressure_says_retry_later(void **state)
{
    struct answer answer;
    struct pipeline *p = open_pipeline(*state);
    size_t most = (size_t)(64 << 20) / 100 * 91;
    budget_charge(&budget, most);
    submit_span(p, request(1, 1, 0), &answer);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.code, ERR_LIMIT);
    budget_release(&budget, most);
    accept_span(p, 1, 1, 0);
    pipeline_close(p);
}

static void a_destination_reads_whole_traces_from_its_cursor(void **state)
{
    struct pipeline *p = open_pipeline(*state);
    const char *id = "traces";
    struct sink_source source;
    struct sink_batch batch;
    struct sink_cursor at = pipeline_trace_end(p);
    struct sink_cursor next;
    uint64_t skipped;
    struct error err = {0};
    assert_true(pipeline_trace_source(p, "sink", &id, 1, &source, &err));
    assert_true(source.next(source.ctx, &at, 1, 100, 1 << 20, 0, 0, &batch, &next, &skipped, &err));
    assert_int_equal(batch.item_count, 0);
    assert_int_equal(next.seq, at.seq);

    for (uint8_t trace = 1; trace <= 3; trace++) {
        accept_span(p, trace, 2, 1);
        accept_span(p, trace, 1, 0);
    }
    pass_time(p, NS_PER_S);
    pass_time(p, NS_PER_S);
    /* Five items: two traces of two spans fit, the third does not. */
    assert_true(source.next(source.ctx, &at, 1, 5, 1 << 20, 0, 0, &batch, &next, &skipped, &err));
    assert_int_equal(batch.item_count, 4);
    assert_int_equal(batch.trace_count, 2);
    struct span_batch *decoded = NULL;
    assert_true(
        otlp_decode_traces(buf_copy(batch.body, NULL), 0, &otlp_limits_default, &decoded, &err));
    assert_int_equal(decoded->span_count, 4);
    assert_int_equal(decoded->resource_count, 1);
    span_batch_unref(decoded);

    at = next;
    assert_true(source.next(source.ctx, &at, 1, 1, 1 << 20, 0, 0, &batch, &next, &skipped, &err));
    assert_int_equal(batch.item_count, 1); /* a trace larger than a batch is cut between spans */
    at = next;
    assert_true(source.next(source.ctx, &at, 1, 1, 1 << 20, 0, 0, &batch, &next, &skipped, &err));
    assert_int_equal(batch.item_count, 1);
    at = next;
    assert_true(source.next(source.ctx, &at, 1, 5, 1 << 20, 0, 0, &batch, &next, &skipped, &err));
    assert_int_equal(batch.item_count, 0);
    assert_int_equal(source.lag_bytes(source.ctx, &next), 0);
    source.close(source.ctx);
    pipeline_close(p);
}

static void a_batch_over_several_blocks_keeps_none_of_them(void **state)
{
    cache_bytes = 0;
    struct pipeline *p = open_pipeline(*state);
    const char *id = "traces";
    struct sink_source source;
    struct sink_batch batch;
    struct sink_cursor at = pipeline_trace_end(p);
    struct sink_cursor next;
    uint64_t skipped;
    struct error err = {0};
    cache_bytes = 4 << 20;
    assert_true(pipeline_trace_source(p, "sink", &id, 1, &source, &err));
    for (uint8_t trace = 1; trace <= 5; trace++) {
        accept_span(p, trace, 1, 0);
        pass_time(p, NS_PER_S);
        pass_time(p, NS_PER_S); /* a block of its own */
    }
    assert_int_equal(trace_log_end(p->log), at.seq + 5);
    assert_true(source.next(source.ctx, &at, 5, 5, 1 << 20, 0, 0, &batch, &next, &skipped, &err));
    assert_int_equal(batch.item_count, 5);
    struct span_batch *decoded = NULL;
    assert_true(
        otlp_decode_traces(buf_copy(batch.body, NULL), 0, &otlp_limits_default, &decoded, &err));
    assert_int_equal(decoded->span_count, 5);
    for (size_t i = 0; i < decoded->span_count; i++) {
        const struct batch_scope *scope = &decoded->scopes[decoded->spans[i].scope];
        assert_true(slice_equal(decoded->resources[scope->resource].service, BYTES("shop")));
    }
    span_batch_unref(decoded);
    source.close(source.ctx);
    pipeline_close(p);
}

static void a_batch_never_outgrows_its_bytes(void **state)
{
    struct pipeline *p = open_pipeline(*state);
    const char *id = "traces";
    struct sink_source source;
    struct sink_cursor at = pipeline_trace_end(p);
    size_t sent = 0;
    struct error err = {0};
    assert_true(pipeline_trace_source(p, "sink", &id, 1, &source, &err));
    for (uint8_t trace = 1; trace <= 40; trace++) {
        accept_span(p, trace, 1, 0);
    }
    pass_time(p, NS_PER_S);
    pass_time(p, NS_PER_S);
    for (size_t bytes_max = 200; sent < 40; bytes_max += 50) {
        struct sink_batch batch;
        struct sink_cursor next;
        uint64_t skipped;
        assert_true(
            source.next(source.ctx, &at, 1, 100, bytes_max, 0, 0, &batch, &next, &skipped, &err));
        assert_true(batch.item_count > 0);
        assert_true(batch.body.len <= bytes_max);
        sent += batch.item_count;
        at = next;
    }
    source.close(source.ctx);
    pipeline_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        temp_folder_test(no_answer_before_the_sync_and_one_after),
        temp_folder_test(garbage_is_refused_before_the_log),
        temp_folder_test(a_signal_without_a_pipeline_is_not_taken),
        temp_folder_test(a_finished_trace_is_stored_and_its_records_are_released),
        temp_folder_test(late_spans_make_a_revision_and_retries_do_not),
        temp_folder_test(what_was_open_is_there_after_a_crash),
        temp_folder_test(memory_pressure_says_retry_later),
        temp_folder_test(a_batch_never_outgrows_its_bytes),
        temp_folder_test(a_batch_over_several_blocks_keeps_none_of_them),
        temp_folder_test(a_destination_reads_whole_traces_from_its_cursor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
