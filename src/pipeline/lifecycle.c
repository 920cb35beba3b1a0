/*
 * lifecycle.c - opening, replay, the three threads, and stopping in order.
 */
#include "pipeline_private.h"
#include "stored_set.h"

#include <spangate/base/log.h>
#include <spangate/base/mem.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WARM_BLOCKS = 64
}; /* newest blocks whose traces are remembered even when the log is clean */

static void trace_part_open(struct pipeline *p)
{
    p->trace.correlator = correlator_new(&p->config.traces, p->budget);
    p->trace.builder = block_builder_new(p->budget);
    map_init(&p->trace.services);
    for (enum trace_reason reason = TRACE_ROOT_QUIET; reason < TRACE_REASONS; reason++) {
        p->trace.finalized[reason] =
            metric_series(METRIC_TRACES_FINALIZED, trace_reason_name(reason), NULL);
    }
}

static void trace_part_close(struct pipeline *p)
{
    size_t at = 0;
    struct map_slot *slot;
    while ((slot = map_next(&p->trace.services, &at)) != NULL) {
        free(slot->value);
    }
    map_deinit(&p->trace.services);
    correlator_free(p->trace.correlator);
    block_builder_free(p->trace.builder);
    free(p->trace.skip);
}

static void collect(void *ctx)
{
    struct pipeline *p = ctx;
    metric_set(METRIC_TRACES_OPEN, (int64_t)atomic_load(&p->stats.traces_open));
    metric_set(METRIC_SPANS_OPEN, atomic_load(&p->stats.spans_open));
    metric_set(METRIC_CORRELATOR_BYTES, (int64_t)atomic_load(&p->stats.correlator_bytes));
    metric_set(METRIC_WAL_SIZE_BYTES, (int64_t)wal_size(p->wal));
    metric_set(METRIC_STORE_SIZE_BYTES,
               (int64_t)(trace_log_bytes(p->log) + (p->index != NULL ? index_bytes(p->index) : 0)));
    const char *reason;
    metric_set(METRIC_READY, pipeline_is_ready(p, &reason));
}

static bool open_parts(struct pipeline *p, struct error *err)
{
    char path[PATH_MAX];
    struct trace_log_recovery found = {0};
    uint64_t indexed = 0;
    bool on_disk = p->config.wal.durability != DURABILITY_MEMORY || p->config.blocks.persist;

    if (on_disk && !fs_make_dirs(p->fs, p->config.data_dir, err)) {
        return error_wrap(err, "data folder");
    }
    (void)snprintf(path, sizeof(path), "%s/routes", p->config.data_dir);
    if (!routes_open(&p->routes, on_disk ? path : NULL, p->fs, p->config.routes,
                     p->config.route_count, err)) {
        return false;
    }
    if (!wal_open(&p->wal, &p->config.wal, p->fs, p->clock, err)) {
        return error_wrap(err, "ingest log");
    }
    if (!trace_log_open(&p->log, &p->config.blocks, p->fs, p->clock, p->budget, &found, err)) {
        return error_wrap(err, "trace log");
    }
    if (found.blocks > 0 || found.quarantined > 0) {
        log_info("pipeline", "trace log opened",
                 "partitions=%llu blocks=%llu bytes=%llu quarantined=%llu",
                 (unsigned long long)found.partitions, (unsigned long long)found.blocks,
                 (unsigned long long)found.bytes, (unsigned long long)found.quarantined);
    }
    if (p->config.blocks.keep_only_for_sinks) {
        return true;
    }
    if (!index_open(&p->index, p->log, p->config.blocks.persist, err) ||
        !index_catch_up(p->index, false, &indexed, err)) {
        return error_wrap(err, "index");
    }
    if (indexed > 0) {
        log_info("pipeline", "index brought up to date", "blocks=%llu",
                 (unsigned long long)indexed);
    }
    return true;
}

bool pipeline_open(struct pipeline **out, const struct pipeline_config *config, const struct fs *fs,
                   const struct clock *clock, struct budget *budget, struct error *err)
{
    struct pipeline *p = mem_zalloc(1, sizeof(*p));
    p->config = *config;
    p->fs = fs;
    p->clock = clock;
    p->budget = budget;
    lsn_refs_init(&p->refs);
    ring_init(&p->to_log, TO_LOG_CAP);
    ring_init(&p->to_trace, TO_TRACE_CAP);
    ring_init(&p->to_store, TO_STORE_CAP);
    ring_init(&p->pause, 1);
    trace_part_open(p);
    if (!open_parts(p, err)) {
        pipeline_close(p);
        return false;
    }
    metrics_on_collect(collect, p);
    *out = p;
    return true;
}

/* ---- replay ---- */

struct warm {
    struct pipeline *pipeline;
    uint64_t oldest_lsn;
    size_t blocks;
};

/*
 * Remember the traces of recent blocks: their late spans make a new revision, and records that come
 * back from the ingest log although they were stored are recognized.
 */
static bool remember_block(void *ctx, const struct block_info *info)
{
    struct warm *warm = ctx;
    struct block *block = NULL;
    struct error err;

    /* Not in order of the records: a block may hold an old trace that took long to finish. */
    if (info->lsn_max >= warm->oldest_lsn) {
        warm->pipeline->replay_from_seq = info->seq;
    } else if (warm->blocks >= WARM_BLOCKS) {
        return true;
    }
    warm->blocks++;
    if (!trace_log_load(warm->pipeline->log, info->seq, BLOCK_TABLES, &block, &err)) {
        log_warn("pipeline", "a block cannot be read at start", "seq=%llu error=\"%s\"",
                 (unsigned long long)info->seq, err.message);
        return true;
    }
    for (uint32_t i = 0; i < block->trace_count; i++) {
        correlator_remember(warm->pipeline->trace.correlator, &block->traces[i].trace_id,
                            block->traces[i].revision);
    }
    block_unref(block);
    return true;
}

/* A disk that fails must not keep us from starting: it is waited for only when memory is full. */
static void store_replayed(struct pipeline *p)
{
    uint64_t wait_ns = 0;
    do {
        while (pipeline_store(p, wait_ns)) {
        }
        wait_ns = NS_PER_S;
    } while (p->store.job != NULL && budget_level(p->budget) >= REFUSE_LEVEL);
}

static bool replay_record(void *ctx, const struct wal_record *record, struct error *err)
{
    struct pipeline *p = ctx;
    struct span_batch *batch = NULL;
    struct error bad;

    (void)err;
    if (record->signal != OTLP_TRACES || record->lsn < trace_log_replay_from(p->log)) {
        wal_release(p->wal, &record->lsn, 1);
        return true;
    }
    struct buf *body = buf_copy(record->payload, NULL);
    if (!otlp_decode_traces(body, record->received_ns, &p->config.limits, &batch, &bad)) {
        /* It decoded when it was accepted: only another version of ourselves can come here. */
        log_error("pipeline", "a record of the ingest log cannot be decoded",
                  "lsn=%llu error=\"%s\"", (unsigned long long)record->lsn, bad.message);
        return true;
    }
    stored_set_filter(p, batch);
    metric_add(METRIC_WAL_REPLAYED_SPANS, batch->span_count);
    atomic_fetch_add(&p->stats.spans_open, (int64_t)batch->span_count);
    pipeline_take_in(p, batch, record->lsn, record->route);
    span_batch_unref(batch);
    pipeline_finish_traces(p); /* what does not fit into memory goes to the trace log now */
    store_replayed(p);
    return true;
}

static bool replay(struct pipeline *p, struct error *err)
{
    uint64_t first_lsn = wal_first(p->wal);
    struct wal_recovery found = {0};
    p->replay_from_lsn = trace_log_replay_from(p->log);
    wal_begin_at(p->wal, p->replay_from_lsn);
    if (first_lsn > p->replay_from_lsn) {
        p->replay_from_lsn = first_lsn;
    }
    p->replay_from_seq = trace_log_end(p->log);
    struct warm warm = {.pipeline = p, .oldest_lsn = p->replay_from_lsn};
    uint64_t begun_ns = clock_monotonic(p->clock);

    trace_log_each(p->log, remember_block, &warm);
    if (!wal_replay(p->wal, replay_record, p, &found, err)) {
        return error_wrap(err, "replay the ingest log");
    }
    if (found.records > 0 || found.quarantined > 0 || found.torn_bytes > 0) {
        log_info("pipeline", "replayed ingest log",
                 "records=%llu spans=%llu bytes=%llu torn_bytes=%llu quarantined=%llu ms=%llu",
                 (unsigned long long)found.records,
                 (unsigned long long)metric_value(METRIC_WAL_REPLAYED_SPANS),
                 (unsigned long long)found.bytes, (unsigned long long)found.torn_bytes,
                 (unsigned long long)found.quarantined,
                 (unsigned long long)((clock_monotonic(p->clock) - begun_ns) / NS_PER_MS));
    }
    return true;
}

/* ---- threads ---- */

static void log_main(void *arg)
{
    struct pipeline *p = arg;
    /* With `interval`, syncs are due also when nothing arrives. */
    uint64_t wait_ns = p->config.wal.durability == DURABILITY_INTERVAL ? p->config.wal.interval_ns
                                                                       : 100 * NS_PER_MS;
    while (pipeline_commit(p, wait_ns) || atomic_load(&p->stats.state) == PIPELINE_RUNNING) {
    }
}

bool pipeline_wind_up(struct pipeline *p)
{
    pipeline_finish_traces(p);
    bool due = correlator_next_ns(p->trace.correlator) <= clock_monotonic(p->clock);
    return !pipeline_seal(p) || block_builder_lsns(p->trace.builder) > 0 || due;
}

static void trace_main(void *arg)
{
    struct pipeline *p = arg;
    while (pipeline_correlate(p, 100 * NS_PER_MS) || !ring_is_closed(&p->to_trace)) {
    }
    if (p->config.finish_on_shutdown) {
        correlator_finish_all(p->trace.correlator, TRACE_SHUTDOWN);
    }
    while (pipeline_wind_up(p)) {
        if (p->trace.stuck != NULL && ring_push_wait(&p->to_store, p->trace.stuck)) {
            p->trace.stuck = NULL;
        }
    }
}

static void store_main(void *arg)
{
    struct pipeline *p = arg;
    while (pipeline_store(p, 100 * NS_PER_MS) || !ring_is_closed(&p->to_store)) {
    }
}

bool pipeline_begin(struct pipeline *p, struct error *err)
{
    if (!replay(p, err)) {
        return false;
    }
    atomic_store(&p->stats.state, PIPELINE_RUNNING);
    return true;
}

bool pipeline_start(struct pipeline *p, struct error *err)
{
    if (!pipeline_begin(p, err)) {
        return false;
    }
    thread_start(&p->store_thread, "store", store_main, p);
    thread_start(&p->trace_thread, "trace", trace_main, p);
    thread_start(&p->log_thread, "log", log_main, p);
    return true;
}

void pipeline_drain(struct pipeline *p)
{
    atomic_store(&p->stats.state, PIPELINE_DRAINING);
    ring_close(&p->to_log);
    ring_close(&p->pause);
    thread_join(&p->log_thread);
    ring_close(&p->to_trace);
    thread_join(&p->trace_thread);
    ring_close(&p->to_store);
    thread_join(&p->store_thread);
}

void pipeline_close(struct pipeline *p)
{
    if (p == NULL) {
        return;
    }
    struct store_job *job;
    metrics_off_collect(collect, p);
    pipeline_drop_queued(p);
    /* Sealed, never written: their spans are still in the ingest log. */
    pipeline_free_job(p->store.job);
    pipeline_free_job(p->trace.stuck);
    while (ring_pop(&p->to_store, (void **)&job, 1) == 1) {
        pipeline_free_job(job);
    }
    if (p->index != NULL) {
        index_close(p->index);
    }
    if (p->log != NULL) {
        trace_log_close(p->log);
    }
    wal_close(p->wal);
    trace_part_close(p);
    routes_deinit(&p->routes);
    lsn_refs_deinit(&p->refs);
    ring_deinit(&p->to_log);
    ring_deinit(&p->to_trace);
    ring_deinit(&p->to_store);
    ring_deinit(&p->pause);
    free(p);
}

bool pipeline_is_ready(struct pipeline *p, const char **reason)
{
    *reason = NULL;
    if (atomic_load(&p->stats.state) == PIPELINE_OPENED) {
        *reason = "replaying the ingest log";
    } else if (atomic_load(&p->stats.state) == PIPELINE_DRAINING) {
        *reason = "stopping";
    } else if (atomic_load(&p->stats.wal_failing)) {
        *reason = "the ingest log cannot be written";
    } else if (atomic_load(&p->stats.store_failing)) {
        *reason = "the trace log cannot be written";
    } else if (atomic_load(&p->stats.disk_full)) {
        *reason = "the disk limit is reached";
    }
    return *reason == NULL;
}
