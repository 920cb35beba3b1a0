/*
 * trace_source.c - finished traces as OTLP requests: what a destination with `export_on: finalized`
 * reads from the trace log.
 *
 * A batch takes whole traces from one or more blocks. Within a block the spans are written grouped
 * by resource and scope, so that the envelopes of a thousand small traces are written once.
 * Runs on the destination's thread, but for wake.
 */
#include "pipeline_private.h"

#include <spangate/base/mem.h>

#include <stdlib.h>

struct trace_source {
    struct pipeline *pipeline;
    char *name;
    uint32_t mask;
    struct strbuf body;
    struct otlp_writer writer;

    /* The block at the cursor, kept between calls. */
    struct block *block;

    /* Spans chosen from one block, and where each scope's begin in the sorted list. */
    uint32_t *chosen;
    size_t chosen_count, chosen_cap;
    uint32_t *sorted;
    uint32_t *scope_order; /* scopes of the block by resource */
    size_t scope_cap;
    uint32_t *scope_at;

    /* Scopes of the block whose envelopes the batch has to carry: counted once, by this number. */
    uint32_t *scope_counted;
    size_t scope_counted_cap;
    uint32_t counting;
};

static void choose(struct trace_source *source, uint32_t span)
{
    if (source->chosen_count == source->chosen_cap) {
        source->chosen_cap = source->chosen_cap == 0 ? 1024 : source->chosen_cap * 2;
        source->chosen = mem_realloc(source->chosen, source->chosen_cap * sizeof(*source->chosen));
        source->sorted = mem_realloc(source->sorted, source->chosen_cap * sizeof(*source->sorted));
    }
    source->chosen[source->chosen_count++] = span;
}

/* Two counting sorts: scopes by resource, then spans by the rank of their scope. */
static void write_chosen(struct trace_source *source)
{
    const struct block *block = source->block;
    if (source->chosen_count == 0) {
        return;
    }
    size_t need = (size_t)(block->scope_count > block->resource_count ? block->scope_count
                                                                      : block->resource_count) +
                  1;
    if (need > source->scope_cap) {
        source->scope_cap = need * 2;
        source->scope_order =
            mem_realloc(source->scope_order, source->scope_cap * sizeof(*source->scope_order));
        source->scope_at =
            mem_realloc(source->scope_at, source->scope_cap * sizeof(*source->scope_at));
    }
    uint32_t *at = source->scope_at;
    uint32_t *rank = source->scope_order; /* scope → its place when ordered by resource */
    memset(at, 0, need * sizeof(*at));
    for (uint32_t i = 0; i < block->scope_count; i++) {
        at[block->scopes[i].resource + 1]++;
    }
    for (uint32_t i = 1; i <= block->resource_count; i++) {
        at[i] += at[i - 1];
    }
    for (uint32_t i = 0; i < block->scope_count; i++) {
        rank[i] = at[block->scopes[i].resource]++;
    }
    memset(at, 0, need * sizeof(*at));
    for (size_t i = 0; i < source->chosen_count; i++) {
        at[rank[block->spans[source->chosen[i]].scope] + 1]++;
    }
    for (uint32_t i = 1; i <= block->scope_count; i++) {
        at[i] += at[i - 1];
    }
    for (size_t i = 0; i < source->chosen_count; i++) {
        uint32_t span = source->chosen[i];
        source->sorted[at[rank[block->spans[span].scope]]++] = span;
    }
    for (size_t i = 0; i < source->chosen_count; i++) {
        const struct block_span *span = &block->spans[source->sorted[i]];
        const struct block_scope *scope = &block->scopes[span->scope];
        otlp_writer_add(&source->writer, block->resources[scope->resource].envelope,
                        scope->envelope, block_span_raw(block, span));
    }
    /* The writer remembers views into this block, which may be gone before the next one comes. */
    otlp_writer_end(&source->writer);
    source->chosen_count = 0;
}

static bool load(struct trace_source *source, uint64_t seq, struct error *err)
{
    if (source->block != NULL && source->block->seq == seq) {
        return true;
    }
    block_unref(source->block);
    source->block = NULL;
    return trace_log_load(source->pipeline->log, seq, BLOCK_ALL, &source->block, err);
}

struct limits {
    size_t items_max, bytes_max;
    size_t bytes; /* chosen so far */
};

/* Tags and lengths around a span, and around the envelopes of a scope. */
enum { SPAN_FRAME = 6, SCOPE_FRAME = 24 };

/* A new block or a new batch: no envelope is counted yet. */
static void begin_counting(struct trace_source *source)
{
    size_t need = source->block->scope_count;
    if (need > source->scope_counted_cap) {
        free(source->scope_counted);
        source->scope_counted = mem_zalloc(need * 2, sizeof(*source->scope_counted));
        source->scope_counted_cap = need * 2;
        source->counting = 0;
    }
    source->counting++;
}

/* What the span adds to the request: its bytes, and its envelopes when they are the first. */
static size_t cost_of(const struct trace_source *source, const struct block_span *span)
{
    size_t cost = span->raw_len + SPAN_FRAME;
    if (source->scope_counted[span->scope] != source->counting) {
        const struct block_scope *scope = &source->block->scopes[span->scope];
        cost += scope->envelope.len + source->block->resources[scope->resource].envelope.len +
                SCOPE_FRAME;
    }
    return cost;
}

/* Choose spans of the block from `at` on until a limit. true: the block is used up. */
static bool take_from_block(struct trace_source *source, struct sink_cursor *at,
                            struct limits *limits, struct sink_batch *batch)
{
    const struct block *block = source->block;
    begin_counting(source);
    while (at->trace < block->trace_count) {
        const struct block_trace *trace = &block->traces[at->trace];
        if ((trace->route & source->mask) == 0) {
            at->trace++;
            at->span = 0;
            continue;
        }
        size_t trace_bytes = 0;
        for (uint32_t i = at->span; i < trace->span_count; i++) {
            trace_bytes += cost_of(source, &block->spans[trace->span_first + i]);
        }
        size_t left = trace->span_count - at->span;
        bool fits = batch->item_count + left <= limits->items_max &&
                    limits->bytes + trace_bytes <= limits->bytes_max;
        if (!fits && batch->item_count > 0) {
            return false; /* whole traces: this one begins the next batch */
        }
        /* A trace larger than a batch is cut between spans; at least one span goes. */
        while (at->span < trace->span_count) {
            uint32_t span = trace->span_first + at->span;
            size_t len = cost_of(source, &block->spans[span]);
            if (!fits && batch->item_count > 0 &&
                (batch->item_count >= limits->items_max ||
                 limits->bytes + len > limits->bytes_max)) {
                return false;
            }
            choose(source, span);
            source->scope_counted[block->spans[span].scope] = source->counting;
            batch->item_count++;
            limits->bytes += len;
            at->span++;
        }
        batch->trace_count++;
        at->trace++;
        at->span = 0;
        if (!fits) {
            return false;
        }
    }
    return true;
}

static bool next(void *ctx, const struct sink_cursor *from, size_t items_min, size_t items_max,
                 size_t bytes_max, uint64_t wait_ns, uint64_t linger_ns, struct sink_batch *batch,
                 struct sink_cursor *out, uint64_t *skipped, struct error *err)
{
    struct trace_source *source = ctx;
    struct trace_log *log = source->pipeline->log;
    struct limits limits = {.items_max = items_max > 0 ? items_max : 1, .bytes_max = bytes_max};
    uint64_t linger_until_ns = 0;
    struct sink_cursor at = *from;

    *skipped = 0;
    *batch = (struct sink_batch){.signal = OTLP_TRACES};
    strbuf_clear(&source->body);
    otlp_writer_begin(&source->writer, &source->body);
    for (;;) {
        uint64_t now_ns = clock_monotonic(source->pipeline->clock);
        uint64_t patience_ns = wait_ns;
        if (batch->item_count > 0) {
            patience_ns = now_ns < linger_until_ns ? linger_until_ns - now_ns : 0;
        }
        struct block_info info;
        if (!trace_log_wait(log, at.seq, patience_ns) || !trace_log_next(log, at.seq, &info)) {
            break;
        }
        if (info.seq != at.seq) {
            at = (struct sink_cursor){.seq = info.seq}; /* blocks before were dropped */
        }
        if (!load(source, at.seq, err)) {
            if (err->code != ERR_NOT_FOUND && err->code != ERR_CORRUPT) {
                return false;
            }
            *skipped += info.span_count;
            at = (struct sink_cursor){.seq = at.seq + 1};
            continue;
        }
        size_t before = batch->item_count;
        bool used_up = take_from_block(source, &at, &limits, batch);
        write_chosen(source);
        if (used_up) {
            at = (struct sink_cursor){.seq = at.seq + 1};
        }
        if (batch->item_count > 0 && before == 0) {
            linger_until_ns = clock_monotonic(source->pipeline->clock) + linger_ns;
        }
        if (!used_up || batch->item_count >= items_min ||
            (batch->item_count == 0 && at.seq != from->seq)) {
            break;
        }
    }
    otlp_writer_end(&source->writer);
    if (source->body.overflow) {
        return error_set(err, ERR_TOO_LARGE, "a batch of %zu spans is over 1 GiB",
                         batch->item_count);
    }
    batch->body = strbuf_slice(&source->body);
    *out = at;
    return true;
}

static void release(void *ctx, const struct sink_cursor *cursor)
{
    struct trace_source *source = ctx;
    trace_log_set_cursor(source->pipeline->log, source->name, cursor->seq);
}

static uint64_t lag_bytes(void *ctx, const struct sink_cursor *cursor)
{
    struct trace_source *source = ctx;
    return trace_log_bytes_from(source->pipeline->log, cursor->seq);
}

static void wake(void *ctx)
{
    struct trace_source *source = ctx;
    trace_log_wake(source->pipeline->log);
}

static void close_source(void *ctx)
{
    struct trace_source *source = ctx;
    block_unref(source->block);
    strbuf_deinit(&source->body);
    free(source->chosen);
    free(source->sorted);
    free(source->scope_order);
    free(source->scope_at);
    free(source->scope_counted);
    free(source->name);
    free(source);
}

bool pipeline_trace_source(struct pipeline *p, const char *sink_name, const char *const *route_ids,
                           size_t count, struct sink_source *out, struct error *err)
{
    uint32_t mask = routes_mask(&p->routes, route_ids, count);
    if (mask == 0) {
        return error_set(err, ERR_INVALID, "destination %s is in no pipeline", sink_name);
    }
    struct trace_source *source = mem_zalloc(1, sizeof(*source));
    source->pipeline = p;
    source->name = mem_strdup(sink_name);
    source->mask = mask;
    strbuf_init(&source->body, (size_t)1 << 30);
    *out = (struct sink_source){.ctx = source,
                                .next = next,
                                .release = release,
                                .lag_bytes = lag_bytes,
                                .wake = wake,
                                .close = close_source};
    return true;
}

struct sink_cursor pipeline_trace_end(struct pipeline *p)
{
    return (struct sink_cursor){.seq = trace_log_end(p->log)};
}
