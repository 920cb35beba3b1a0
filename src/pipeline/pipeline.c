/*
 * pipeline.c - the life of a request, top to bottom.
 *
 *   receiver thread   submit()               decode, admit, queue
 *   log thread        pipeline_commit()      append, sync, pass on, acknowledge
 *   trace thread      pipeline_correlate()   group by trace, finish, seal blocks
 *   store thread      pipeline_store()       write and sync blocks, index, release the ingest log
 *
 * To learn what happens to a span, read this file in order. To change what happens to every span,
 * change it here.
 *
 * Back-pressure: a disk that fails or is full leaves sealed blocks waiting; the trace thread then
 * finishes no more traces, memory fills up to REFUSE_LEVEL, and submit() says "retry later". The
 * ingest log keeps everything that was acknowledged meanwhile.
 */
#include "pipeline_private.h"
#include "stored_set.h"

#include <spangate/base/log.h>
#include <spangate/base/mem.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- receiver threads ---- */

static void reply(const struct ingest_request *request, const struct error *err, uint64_t rejected,
                  const char *message)
{
    struct ingest_result result = {.rejected = rejected, .message = message};
    if (err != NULL) {
        result.err = *err;
    }
    request->reply(request->reply_ctx, &result);
}

/* Whether the gateway may take more at all. */
static bool admit(struct pipeline *p, uint32_t route, struct error *err)
{
    if (route == 0) {
        return error_set(err, ERR_UNSUPPORTED, "no pipeline takes this signal");
    }
    if (atomic_load(&p->stats.state) != PIPELINE_RUNNING) {
        return error_set(err, ERR_UNAVAILABLE, "the gateway is starting or stopping");
    }
    if (atomic_load(&p->stats.disk_full)) {
        return error_set(err, ERR_LIMIT, "the disk limit is reached");
    }
    if (budget_level(p->budget) >= REFUSE_LEVEL) {
        return error_set(err, ERR_LIMIT, "the memory limit is nearly reached");
    }
    return true;
}

static bool decode(struct pipeline *p, struct pending *pending, struct buf *body, struct error *err)
{
    if (pending->request.signal == OTLP_TRACES) {
        if (!otlp_decode_traces(body, pending->received_ns, &p->config.limits, &pending->batch,
                                err)) {
            return false;
        }
        pending->items = pending->batch->span_count;
        return true;
    }
    pending->body = body;
    return otlp_check(pending->request.signal, buf_slice(body), &p->config.limits, &pending->items,
                      err);
}

static void pending_free(struct pending *pending)
{
    span_batch_unref(pending->batch);
    buf_unref(pending->body);
    free(pending);
}

void pipeline_drop_queued(struct pipeline *p)
{
    struct pending *pending;
    while (ring_pop(&p->to_log, (void **)&pending, 1) == 1 ||
           ring_pop(&p->to_trace, (void **)&pending, 1) == 1) {
        pending_free(pending);
    }
}

static const char *reject_reason(const struct pending *pending)
{
    return pending->batch != NULL ? pending->batch->reject_reason : "";
}

static size_t reject_count(const struct pending *pending)
{
    return pending->batch != NULL ? pending->batch->rejected_count : 0;
}

static const char *receiver_name(const struct pipeline *p, const struct ingest_request *request)
{
    return request->receiver < p->config.receiver_count
               ? p->config.receiver_names[request->receiver]
               : "unknown";
}

static void count_refused(const struct pipeline *p, const struct ingest_request *request,
                          size_t count)
{
    if (count > 0) {
        series_add(metric_series(METRIC_SPANS_REFUSED, receiver_name(p, request), "invalid"),
                   count);
    }
}

static void submit(void *ctx, const struct ingest_request *request)
{
    struct pipeline *p = ctx;
    struct error err;
    struct buf *body = request->body;
    uint32_t route = p->routes.by_receiver[request->receiver & 63][request->signal];

    if (!admit(p, route, &err)) {
        buf_unref(body);
        reply(request, &err, 0, "");
        return;
    }
    if (body == NULL || body->len == 0) {
        buf_unref(body);
        reply(request, NULL, 0, "");
        return;
    }

    struct pending *pending = mem_alloc(sizeof(*pending));
    *pending = (struct pending){.kind = MESSAGE_REQUEST,
                                .request = *request,
                                .route = route,
                                .received_ns = clock_wall(p->clock)};
    pending->request.body = NULL;
    if (!decode(p, pending, body, &err)) {
        reply(request, &err, 0, "");
        pending_free(pending);
        return;
    }
    if (pending->items == 0) {
        /* Nothing to keep: an empty envelope, or every span was refused. */
        count_refused(p, request, reject_count(pending));
        reply(request, NULL, reject_count(pending), reject_reason(pending));
        pending_free(pending);
        return;
    }
    if (!ring_push(&p->to_log, pending)) {
        (void)error_set(&err, ERR_LIMIT, "%d requests are waiting for the ingest log", TO_LOG_CAP);
        reply(request, &err, 0, "");
        pending_free(pending);
    }
}

static bool takes(void *ctx, uint32_t receiver, enum otlp_signal signal)
{
    const struct pipeline *p = ctx;
    return p->routes.by_receiver[receiver & 63][signal] != 0;
}

struct ingest pipeline_ingest(struct pipeline *pipeline)
{
    return (struct ingest){
        .submit = submit, .takes = takes, .ctx = pipeline, .budget = pipeline->budget};
}

/* ---- log thread ---- */

static void refuse(struct pending *pending, const struct error *err)
{
    reply(&pending->request, err, 0, "");
    pending_free(pending);
}

static size_t incomplete_count(const struct span_batch *batch)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->span_count; i++) {
        count += (batch->spans[i].flags & SPAN_INCOMPLETE) != 0;
    }
    return count;
}

/* The request is durable: hand it on first, then say so, so that a query after "ok" finds it. */
static void accept_request(struct pipeline *p, struct pending *pending)
{
    static const enum metric_id accepted[OTLP_SIGNALS] = {
        [OTLP_TRACES] = METRIC_SPANS_ACCEPTED,
        [OTLP_METRICS] = METRIC_METRIC_POINTS_ACCEPTED,
        [OTLP_LOGS] = METRIC_LOG_RECORDS_ACCEPTED,
    };
    struct ingest_request request = pending->request;
    size_t rejected = reject_count(pending);
    char reason[sizeof(((struct span_batch *)0)->reject_reason)];
    (void)snprintf(reason, sizeof(reason), "%s", reject_reason(pending));

    series_add(
        metric_series(accepted[request.signal], receiver_name(p, &request), request.transport),
        pending->items);
    if (request.signal == OTLP_TRACES) {
        count_refused(p, &request, rejected);
        metric_add(METRIC_SPANS_INCOMPLETE, incomplete_count(pending->batch));
        atomic_fetch_add(&p->stats.spans_open, (int64_t)pending->items);
        bool pushed = ring_push_wait(&p->to_trace, pending);
        assert(pushed); /* the trace thread ends after the log thread */
        (void)pushed;
    } else {
        /* Destinations read these from the ingest log itself. */
        wal_release(p->wal, &pending->lsn, 1);
        pending_free(pending);
    }
    reply(&request, NULL, rejected, reason);
}

bool pipeline_commit(struct pipeline *p, uint64_t wait_ns)
{
    struct pending *taken[COMMIT_REQUESTS_MAX];
    size_t count = ring_pop_wait(&p->to_log, (void **)taken, COUNT_OF(taken), wait_ns);
    size_t kept = 0;
    struct error err;

    for (size_t i = 0; i < count; i++) {
        struct pending *pending = taken[i];
        struct buf *body = pending->batch != NULL ? pending->batch->body : pending->body;
        struct wal_record record = {.signal = pending->request.signal,
                                    .route = pending->route,
                                    .received_ns = pending->received_ns,
                                    .payload = buf_slice(body)};
        if (wal_append(p->wal, &record, &err)) {
            pending->lsn = record.lsn;
            taken[kept++] = pending;
        } else {
            atomic_store(&p->stats.wal_failing, true);
            log_warn("pipeline", "request refused: the ingest log takes no more", "error=\"%s\"",
                     err.message);
            refuse(pending, &err);
        }
    }
    if (!wal_sync(p->wal, &err)) {
        atomic_store(&p->stats.wal_failing, true);
        log_error("pipeline", "ingest log failed, requests refused with retry",
                  "requests=%zu error=\"%s\"", kept, err.message);
        err.code = ERR_UNAVAILABLE; /* ours, not the sender's: it keeps the data */
        for (size_t i = 0; i < kept; i++) {
            refuse(taken[i], &err);
        }
        return count > 0;
    }
    if (kept > 0 && atomic_exchange(&p->stats.wal_failing, false)) {
        log_info("pipeline", "ingest log works again", "");
    }
    for (size_t i = 0; i < kept; i++) {
        accept_request(p, taken[i]);
    }
    return count > 0;
}

/* ---- trace thread ---- */

/* Names for the service list: one look a resource of a request, not one a span. */
static void note_services(struct pipeline *p, const struct span_batch *batch)
{
    for (size_t i = 0; i < batch->resource_count; i++) {
        struct slice name = batch->resources[i].service;
        if (name.len > 0 && p->trace.services.count < SERVICES_MAX &&
            map_get(&p->trace.services, name) == NULL) {
            char *copy = mem_strndup(name.data, name.len);
            map_put(&p->trace.services, (struct slice){(uint8_t *)copy, name.len}, copy);
        }
    }
}

void pipeline_take_in(struct pipeline *p, const struct span_batch *batch, uint64_t lsn,
                      uint32_t route)
{
    struct correlator_added added = {0};
    uint64_t now_ns = clock_monotonic(p->clock);

    note_services(p, batch);
    correlator_add(p->trace.correlator, batch, lsn, route, now_ns, &added);
    assert(added.added + added.duplicates == batch->span_count);
    if (added.added > 0) {
        lsn_refs_set(&p->refs, lsn, (uint32_t)added.added);
    } else {
        wal_release(p->wal, &lsn, 1);
    }
    metric_add(METRIC_SPANS_DUPLICATE, added.duplicates);
    metric_add(METRIC_SPANS_CONFLICT, added.conflicts);
    metric_add(METRIC_TRACES_REOPENED, added.reopened);
    atomic_fetch_sub(&p->stats.spans_open, (int64_t)added.duplicates);
}

/*
 * A trace that was finished before may bring spans that are stored already, because its sender
 * tried once more. Mark those in skip; returns how many.
 */
static size_t find_stored_spans(struct pipeline *p, const struct finished_trace *trace)
{
    struct stored_set set;
    size_t found = 0;

    if (trace->span_count > p->trace.skip_cap) {
        p->trace.skip_cap = trace->span_count * 2;
        p->trace.skip = mem_realloc(p->trace.skip, p->trace.skip_cap * sizeof(*p->trace.skip));
    }
    stored_set_open(&set, p, &trace->trace_id);
    for (size_t i = 0; i < trace->span_count; i++) {
        const struct finished_span *span = &trace->spans[i];
        p->trace.skip[i] = stored_set_has(&set, span->span.raw, span->raw_hash);
        found += p->trace.skip[i];
    }
    stored_set_close(&set);
    return found;
}

bool pipeline_seal(struct pipeline *p)
{
    if (p->trace.stuck == NULL && block_builder_lsns(p->trace.builder) > 0) {
        struct store_job *job = mem_alloc(sizeof(*job));
        job->block =
            block_builder_seal(p->trace.builder, clock_wall(p->clock), &job->lsns, &job->lsn_count);
        if (job->block->span_count > 0) {
            trace_log_submit(p->log, block_ref(job->block));
        }
        p->trace.stuck = job;
    }
    if (p->trace.stuck != NULL && ring_push(&p->to_store, p->trace.stuck)) {
        p->trace.stuck = NULL;
    }
    return p->trace.stuck == NULL;
}

void pipeline_finish_traces(struct pipeline *p)
{
    struct finished_trace trace;
    uint64_t now_ns = clock_monotonic(p->clock);

    while (p->trace.stuck == NULL && correlator_take(p->trace.correlator, now_ns, &trace)) {
        size_t stored = trace.revision > 1 ? find_stored_spans(p, &trace) : 0;
        if (block_builder_lsns(p->trace.builder) == 0) {
            p->trace.builder_since_ns = now_ns;
        }
        block_builder_add(p->trace.builder, &trace, stored > 0 ? p->trace.skip : NULL);
        metric_add(METRIC_SPANS_DUPLICATE, stored);
        series_add(p->trace.finalized[trace.reason], 1);
        correlator_drop(p->trace.correlator);
        if (block_builder_bytes(p->trace.builder) >= p->config.block_bytes) {
            (void)pipeline_seal(p);
        }
    }
    bool old = block_builder_lsns(p->trace.builder) > 0 &&
               now_ns - p->trace.builder_since_ns >= p->config.block_age_ns;
    if (old || p->trace.stuck != NULL) {
        (void)pipeline_seal(p);
    }
}

/* How long the trace thread may sleep. */
static uint64_t until_next(const struct pipeline *p, uint64_t wait_ns)
{
    uint64_t now_ns = clock_monotonic(p->clock);
    uint64_t due_ns = correlator_next_ns(p->trace.correlator);
    if (block_builder_lsns(p->trace.builder) > 0 &&
        p->trace.builder_since_ns + p->config.block_age_ns < due_ns) {
        due_ns = p->trace.builder_since_ns + p->config.block_age_ns;
    }
    if (p->trace.stuck != NULL) {
        due_ns = now_ns + 10 * NS_PER_MS; /* the store thread makes room at its own pace */
    }
    uint64_t sleep_ns = due_ns > now_ns ? due_ns - now_ns : 0;
    return sleep_ns < wait_ns ? sleep_ns : wait_ns;
}

static void run_call(struct pipeline *p, struct call *call)
{
    call->fn(p, call->arg);
    (void)pthread_mutex_lock(&call->lock);
    call->done = true;
    (void)pthread_cond_signal(&call->done_cond);
    (void)pthread_mutex_unlock(&call->lock);
}

bool pipeline_correlate(struct pipeline *p, uint64_t wait_ns)
{
    void *messages[64];
    size_t count =
        ring_pop_wait(&p->to_trace, messages, COUNT_OF(messages), until_next(p, wait_ns));

    for (size_t i = 0; i < count; i++) {
        struct pending *pending = messages[i];
        if (pending->kind == MESSAGE_CALL) {
            run_call(p, messages[i]);
            continue;
        }
        pipeline_take_in(p, pending->batch, pending->lsn, pending->route);
        pending_free(pending);
    }
    pipeline_finish_traces(p);
    atomic_store(&p->stats.traces_open, correlator_trace_count(p->trace.correlator));
    atomic_store(&p->stats.correlator_bytes, correlator_bytes(p->trace.correlator));
    return count > 0;
}

bool pipeline_call(struct pipeline *p, void (*fn)(struct pipeline *p, void *arg), void *arg)
{
    struct call call = {.kind = MESSAGE_CALL, .fn = fn, .arg = arg};
    (void)pthread_mutex_init(&call.lock, NULL);
    (void)pthread_cond_init(&call.done_cond, NULL);
    bool pushed =
        atomic_load(&p->stats.state) != PIPELINE_OPENED && ring_push_wait(&p->to_trace, &call);
    if (pushed) {
        (void)pthread_mutex_lock(&call.lock);
        while (!call.done) {
            (void)pthread_cond_wait(&call.done_cond, &call.lock);
        }
        (void)pthread_mutex_unlock(&call.lock);
    }
    (void)pthread_cond_destroy(&call.done_cond);
    (void)pthread_mutex_destroy(&call.lock);
    return pushed;
}

/* ---- store thread ---- */

/* false: the disk fails. */
static bool write_block(struct pipeline *p, struct block *block)
{
    struct error err;
    if (trace_log_write(p->log, block, &err)) {
        if (atomic_exchange(&p->stats.store_failing, false)) {
            log_info("pipeline", "trace log works again", "");
        }
        return true;
    }
    if (!atomic_exchange(&p->stats.store_failing, true)) {
        log_error("pipeline", "trace log cannot be written, will retry",
                  "error=\"%s\" effect=\"traces stay in the ingest log\"", err.message);
    }
    return false;
}

/* false: the block could not be written, and the ingest log keeps its records. */
static bool store(struct pipeline *p, struct store_job *job)
{
    struct error err;

    if (job->block->span_count > 0) {
        if (!write_block(p, job->block)) {
            return false;
        }
        if (p->index != NULL && !index_add(p->index, job->block, &err)) {
            metric_add(METRIC_INDEX_FAILURES, 1);
            log_error("pipeline", "block is stored but not indexed",
                      "error=\"%s\" remedy=\"it is indexed at the next start\"", err.message);
        }
    }
    atomic_fetch_sub(&p->stats.spans_open, (int64_t)job->lsn_count);
    size_t released = lsn_refs_drop(&p->refs, job->lsns, job->lsn_count);
    wal_release(p->wal, job->lsns, released);
    return true;
}

void pipeline_free_job(struct store_job *job)
{
    if (job != NULL) {
        block_unref(job->block);
        free(job->lsns);
        free(job);
    }
}

/* Whether it is time to try the block again that the disk did not take; waits for that a while. */
static bool is_retry_due(struct pipeline *p, uint64_t wait_ns)
{
    uint64_t now_ns = clock_monotonic(p->clock);
    void *none;

    if (now_ns < p->store.retry_ns && !ring_is_closed(&p->pause)) {
        uint64_t left_ns = p->store.retry_ns - now_ns;
        (void)ring_pop_wait(&p->pause, &none, 1, left_ns < wait_ns ? left_ns : wait_ns);
    }
    return clock_monotonic(p->clock) >= p->store.retry_ns || ring_is_closed(&p->pause);
}

/*
 * Write the block whose turn it is. Blocks are written in order, so while one cannot be, it stays.
 * When we are stopping nothing is tried again: that block and those behind it are in the ingest
 * log, too.
 */
static void work_on_job(struct pipeline *p)
{
    bool done = !p->store.given_up && store(p, p->store.job);
    if (!done && atomic_load(&p->stats.state) == PIPELINE_DRAINING) {
        log_error("pipeline", "stopping with traces only in the ingest log", "spans=%u",
                  p->store.job->block->span_count);
        p->store.given_up = true;
        done = true;
    }
    if (done) {
        pipeline_free_job(p->store.job);
        p->store.job = NULL;
    } else {
        p->store.retry_ns = clock_monotonic(p->clock) + NS_PER_S;
    }
}

static void drop_partition(void *ctx, uint64_t partition)
{
    struct pipeline *p = ctx;
    if (p->index != NULL) {
        index_drop(p->index, partition);
    }
}

static void keep_house(struct pipeline *p)
{
    struct error err;
    bool full = false;
    uint64_t now_ns = clock_monotonic(p->clock);
    if (now_ns < p->store.housekeeping_ns) {
        return;
    }
    p->store.housekeeping_ns = now_ns + NS_PER_S;
    trace_log_set_replay_from(p->log, wal_oldest_unreleased(p->wal));
    if (!trace_log_retain(p->log, drop_partition, p, &full, &err)) {
        log_error("pipeline", "old traces cannot be dropped", "error=\"%s\"", err.message);
    }
    if (atomic_exchange(&p->stats.disk_full, full) != full) {
        log_warn("pipeline",
                 full ? "disk limit reached, new requests are refused"
                      : "disk limit has room again",
                 "bytes=%llu", (unsigned long long)trace_log_bytes(p->log));
    }
}

bool pipeline_store(struct pipeline *p, uint64_t wait_ns)
{
    bool due = p->store.job != NULL
                   ? is_retry_due(p, wait_ns)
                   : ring_pop_wait(&p->to_store, (void **)&p->store.job, 1, wait_ns) > 0;
    if (due) {
        work_on_job(p);
    }
    keep_house(p);
    return due;
}
