/*
 * oracle.c - see oracle.h.
 */
#include "oracle.h"

#include <spangate/base/mem.h>
#include <stdio.h>
#include <stdlib.h>

enum { VIEWS = 3, RECORD_SPANS_MAX = 16 };

/* --- where spans are --- */

static struct sim_span *found(struct world *world, const char *where, const struct trace_id *id,
                              struct slice raw, struct slice service)
{
    struct sim_span *span = ledger_find(&world->ledger, raw);

    if (span == NULL) {
        world_fail(world, "a span that nobody sent is %s", where);
    }
    const struct sim_trace *trace = &world->ledger.traces[span->trace];
    if (!trace_id_equal(&trace->id, id)) {
        world_fail(world, "a span of trace %zu is %s, in another trace", span->trace, where);
    }
    if (!slice_equal_text(service, ledger_service(span->service))) {
        world_fail(world, "a span of trace %zu is %s, and of another service", span->trace, where);
    }
    span->places++;
    return span;
}

static bool found_open(void *ctx, const struct finished_trace *trace)
{
    for (size_t i = 0; i < trace->span_count; i++) {
        (void)found(ctx, "open", &trace->trace_id, trace->spans[i].span.raw,
                    trace->spans[i].service);
    }
    return true;
}

static void found_in_block(struct world *world, const char *where, const struct block *block)
{
    for (uint32_t t = 0; t < block->trace_count; t++) {
        const struct block_trace *trace = &block->traces[t];
        for (uint32_t i = 0; i < trace->span_count; i++) {
            const struct block_span *span = &block->spans[trace->span_first + i];
            const struct block_scope *scope = &block->scopes[span->scope];
            found(world, where, &trace->trace_id, block_span_raw(block, span),
                  block->strings[block->resources[scope->resource].service])
                ->in_blocks++;
        }
    }
}

static bool found_sealed(void *ctx, const struct block *block)
{
    found_in_block(ctx, "sealed", block);
    return true;
}

static bool found_stored(void *ctx, const struct block_info *info)
{
    struct world *world = ctx;
    struct block *block = NULL;
    struct error err;

    if (!trace_log_load(world->pipeline->log, info->seq, BLOCK_ALL, &block, &err)) {
        world_fail(world, "block %llu cannot be read: %s", (unsigned long long)info->seq,
                   err.message);
    }
    found_in_block(world, "stored", block);
    block_unref(block);
    return true;
}

/* Durable and acknowledged, on the way to the trace thread. */
static void found_queued(struct world *world)
{
    const struct ring *ring = &world->pipeline->to_trace;

    for (size_t i = 0; i < ring->count; i++) {
        const struct pending *pending = ring->items[(ring->head + i) % ring->capacity];
        const struct span_batch *batch = pending->batch;
        for (size_t k = 0; k < batch->span_count; k++) {
            const struct span *span = &batch->spans[k];
            (void)found(world, "queued", &span->trace_id, span->raw,
                        batch->resources[batch->scopes[span->scope].resource].service);
        }
    }
}

static void find_all(struct world *world)
{
    struct pipeline *p = world->pipeline;

    for (size_t i = 0; i < world->ledger.span_count; i++) {
        world->ledger.spans[i]->places = 0;
        world->ledger.spans[i]->in_blocks = 0;
    }
    found_queued(world);
    correlator_each(p->trace.correlator, found_open, world);
    const struct block *unfinished = block_builder_peek(p->trace.builder);
    if (unfinished != NULL) {
        found_in_block(world, "in the open block", unfinished);
    }
    trace_log_pending_each(p->log, found_sealed, world);
    trace_log_each(p->log, found_stored, world);
}

/* --- what each must be --- */

static bool has_it(const struct world *world, const struct destination *to,
                   const struct sim_span *span)
{
    return span->delivered[to->number].total > 0 || world_is_poisonous(world, span->trace);
}

/* Destinations that read the trace log. */
static bool everybody_has_it(const struct world *world, const struct sim_span *span)
{
    for (size_t i = 0; i < SIM_DESTINATIONS; i++) {
        const struct destination *to = &world->destinations[i];
        if ((world->setup.destinations >> i & 1) != 0 && !to->accepted &&
            destination_wants(to, OTLP_TRACES, 1U << span->receiver) && !has_it(world, to, span)) {
            return false;
        }
    }
    return true;
}

/*
 * Retention drops what is old, delivered or not. A wall clock that was set is believed only after
 * an hour, or after a start.
 */
static bool may_have_expired(const struct world *world, const struct sim_span *span)
{
    uint64_t age_ns = world->monotonic_ns - span->first_ns;

    return world->setup.retention_ns > 0 &&
           (age_ns >= world->setup.retention_ns || (world->jumped_ns != 0 && world->life > 1) ||
            (world->jumped_ns != 0 && world->monotonic_ns - world->jumped_ns >= 3600 * NS_PER_S));
}

static void check_spans(struct world *world)
{
    for (size_t i = 0; i < world->ledger.span_count; i++) {
        const struct sim_span *span = world->ledger.spans[i];
        if (span->acked && span->places == 0 && !may_have_expired(world, span) &&
            !(world_may_drop(world) && everybody_has_it(world, span))) {
            world_fail(world, "span %zu of trace %zu, request %zu, was acknowledged and is lost", i,
                       span->trace, span->request);
        }
        if (span->in_blocks > 1 && !span->may_repeat && !world->blind) {
            world_fail(world, "span %zu of trace %zu is stored %u times", i, span->trace,
                       span->in_blocks);
        }
        if (!span->acked && span->places > 0 && span->first_life == world->life) {
            world_fail(world, "span %zu of trace %zu was refused and is kept", i, span->trace);
        }
    }
}

/* What a query for the trace sees. */
static void check_view(struct world *world, size_t number)
{
    struct pipeline *p = world->pipeline;
    const struct sim_trace *trace = &world->ledger.traces[number];
    struct trace_view view;
    struct error err;

    trace_view_init(&view, &trace->id);
    (void)correlator_view(p->trace.correlator, &trace->id, &view);
    (void)block_builder_view(p->trace.builder, &trace->id, &view);
    if (!pipeline_view_stored(p, &trace->id, &view, &err)) {
        world_fail(world, "trace %zu cannot be read: %s", number, err.message);
    }
    trace_view_finish(&view);
    for (size_t i = 0; i < trace->span_count; i++) {
        world->ledger.spans[trace->spans[i]]->places = 0;
    }
    found_queued(world);
    for (size_t i = 0; i < view.span_count; i++) {
        (void)found(world, "seen", &trace->id, view.spans[i].span.raw, view.spans[i].service);
    }
    trace_view_deinit(&view);
    for (size_t i = 0; i < trace->span_count; i++) {
        const struct sim_span *span = world->ledger.spans[trace->spans[i]];
        if (span->acked && span->places == 0 && !world_may_drop(world) &&
            !may_have_expired(world, span)) {
            world_fail(world, "span %zu of trace %zu is not seen by a query", trace->spans[i],
                       number);
        }
        if (span->places > 1 && ring_count(&p->to_trace) == 0) {
            world_fail(world, "span %zu of trace %zu is seen %u times", trace->spans[i], number,
                       span->places);
        }
    }
}

static void check_views(struct world *world)
{
    for (size_t i = 0; i < VIEWS && world->ledger.trace_count > 0; i++) {
        check_view(world, (size_t)world_random(world, world->ledger.trace_count));
    }
}

static void check_log_limit(struct world *world)
{
    char path[160];
    char **names = NULL;
    uint64_t sum = 0;

    (void)snprintf(path, sizeof(path), "%s/wal", world->folder);
    if (world->setup.wal_total_bytes == 0 ||
        world->disk.fs.list(&world->disk.fs, path, &names) != 0) {
        return;
    }
    for (size_t i = 0; names[i] != NULL; i++) {
        uint64_t bytes = 0;
        if (strstr(names[i], ".seg") == NULL && strstr(names[i], ".spare") == NULL) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/wal/%s", world->folder, names[i]);
        if (world->disk.fs.size(&world->disk.fs, path, &bytes) == 0) {
            sum += bytes;
        }
    }
    fs_free_names(names);
    /* A file that could not be removed stays until the next start. */
    if (!world->troubled && !world->before_troubled && sum > world->setup.wal_total_bytes) {
        world_fail(world, "the ingest log takes %llu bytes", (unsigned long long)sum);
    }
}

/*
 * After a crash at most the batch that was in flight comes again; after a drain, nothing. Blocks
 * that the age or the disk limit dropped may go while the ingest log still needs their records:
 * those come again after a start.
 */
static void check_repeats(struct world *world)
{
    for (size_t i = 0; i < SIM_DESTINATIONS; i++) {
        const struct destination *to = &world->destinations[i];
        bool recalled = world->setup.retention_ns > 0 || world->setup.disk_bytes_max > 0;
        if (!to->accepted && !world->blind && !recalled && to->repeated > to->may_repeat) {
            world_fail(world, "destination %zu got %zu spans once more, %zu were in flight", i,
                       to->repeated, to->may_repeat);
        }
    }
}

static void look(struct world *world)
{
    find_all(world);
    check_spans(world);
    check_repeats(world);
    if (world->setup.with_index) {
        check_views(world);
    }
    check_log_limit(world);
}

/* Without faults and without being counted. */
static void begin_looking(struct world *world, struct fs_fault *plan)
{
    *plan = world->disk;
    world->disk.times = 0;
    world->looking = true;
    world->checks++;
}

static void end_looking(struct world *world, const struct fs_fault *plan)
{
    world->disk.times = plan->times;
    world->looking = false;
}

void oracle_look(struct world *world)
{
    struct fs_fault plan;

    if (world->pipeline == NULL || world->dead) {
        return;
    }
    begin_looking(world, &plan);
    look(world);
    end_looking(world, &plan);
}

/* --- at rest --- */

static void check_delivered(struct world *world)
{
    for (size_t d = 0; d < SIM_DESTINATIONS; d++) {
        const struct destination *to = &world->destinations[d];
        if ((world->setup.destinations >> d & 1) == 0) {
            continue;
        }
        for (size_t i = 0; i < world->ledger.span_count && !to->logs; i++) {
            const struct sim_span *span = world->ledger.spans[i];
            bool expired = !to->accepted && may_have_expired(world, span);
            if (span->acked && destination_wants(to, OTLP_TRACES, 1U << span->receiver) &&
                !expired && !has_it(world, to, span)) {
                world_fail(world, "destination %zu never got span %zu of trace %zu, request %zu", d,
                           i, span->trace, span->request);
            }
        }
        for (size_t i = 0; i < world->ledger.request_count && to->logs; i++) {
            const struct sim_request *request = world->ledger.requests[i];
            if (request->signal == OTLP_LOGS && request->state == REQUEST_ACKED &&
                destination_wants(to, OTLP_LOGS, 1U << request->receiver) &&
                !request->may_be_lost && request->delivered_total == 0) {
                world_fail(world, "destination %zu never got the record of request %zu", d, i);
            }
        }
    }
}

static void check_sums(struct world *world)
{
    struct pipeline *p = world->pipeline;
    uint64_t came = metric_value(METRIC_SPANS_ACCEPTED) - world->accepted +
                    metric_value(METRIC_WAL_REPLAYED_SPANS) - world->replayed;
    uint64_t went = metric_value(METRIC_SPANS_STORED) - world->stored +
                    metric_value(METRIC_SPANS_DUPLICATE) - world->duplicates;

    if (came != went || atomic_load(&p->stats.spans_open) != 0) {
        world_fail(world, "%llu spans came, %llu went, %lld are open", (unsigned long long)came,
                   (unsigned long long)went, (long long)atomic_load(&p->stats.spans_open));
    }
    if (p->refs.len != 0 || wal_size(p->wal) != 0) {
        world_fail(world, "the ingest log still holds %llu bytes and %zu records",
                   (unsigned long long)wal_size(p->wal), p->refs.len);
    }
}

void oracle_rest(struct world *world)
{
    struct fs_fault plan;

    begin_looking(world, &plan);
    look(world);
    check_delivered(world);
    check_sums(world);
    end_looking(world, &plan);
}
