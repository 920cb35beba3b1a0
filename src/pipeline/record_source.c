/*
 * record_source.c - accepted requests as they came: what destinations of logs and metrics, and of
 * traces with `export_on: accepted`, read from the ingest log.
 *
 * Requests are joined by joining their bytes: fields of a protobuf message may be repeated. Traces
 * are decoded once more, so that spans which were refused do not slip out here.
 * Runs on the destination's thread, but for wake.
 */
#include "pipeline_private.h"

#include <spangate/base/mem.h>

#include <stdlib.h>

struct record_source {
    struct pipeline *pipeline;
    struct wal_reader *reader;
    enum otlp_signal signal;
    uint32_t mask;
    struct strbuf body;
};

/* Append the record to the batch's body; *items: what it holds. */
static bool append(struct record_source *source, const struct wal_record *record, size_t *items,
                   struct error *err)
{
    const struct otlp_limits *limits = &source->pipeline->config.limits;
    if (record->signal != OTLP_TRACES) {
        strbuf_append_slice(&source->body, record->payload);
        return otlp_check(record->signal, record->payload, limits, items, err);
    }
    struct span_batch *batch = NULL;
    if (!otlp_decode_traces(buf_copy(record->payload, NULL), record->received_ns, limits, &batch,
                            err)) {
        return false;
    }
    struct otlp_writer writer;
    otlp_writer_begin(&writer, &source->body);
    for (size_t i = 0; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        const struct batch_scope *scope = &batch->scopes[span->scope];
        otlp_writer_add(&writer, batch->resources[scope->resource].envelope, scope->envelope,
                        span->raw);
    }
    otlp_writer_end(&writer);
    *items = batch->span_count;
    span_batch_unref(batch);
    return true;
}

static bool next(void *ctx, const struct sink_cursor *from, size_t items_min, size_t items_max,
                 size_t bytes_max, uint64_t wait_ns, uint64_t linger_ns, struct sink_batch *batch,
                 struct sink_cursor *out, uint64_t *skipped, struct error *err)
{
    struct record_source *source = ctx;
    uint64_t linger_until_ns = 0;
    uint64_t at = from->seq;

    *skipped = 0;
    *batch = (struct sink_batch){.signal = source->signal};
    strbuf_clear(&source->body);
    while (batch->item_count < items_max && source->body.len < bytes_max) {
        uint64_t now_ns = clock_monotonic(source->pipeline->clock);
        uint64_t patience_ns = wait_ns;
        if (batch->item_count > 0) {
            patience_ns = now_ns < linger_until_ns ? linger_until_ns - now_ns : 0;
        }
        struct wal_record record;
        uint64_t lsn = at;
        if (!wal_reader_next(source->reader, &lsn, patience_ns, &record, err)) {
            if (err->code != ERR_CORRUPT) {
                return false;
            }
            *skipped += 1; /* a request; how many items it held is not known any more */
            at = lsn + 1;
            continue;
        }
        if (record.lsn == 0) {
            break;
        }
        bool ours = record.signal == source->signal && (record.route & source->mask) != 0;
        if (ours && batch->item_count > 0 && source->body.len + record.payload.len > bytes_max) {
            break; /* begins the next batch */
        }
        size_t items = 0;
        if (ours && !append(source, &record, &items, err)) {
            *skipped += 1;
        }
        at = record.lsn + 1;
        if (batch->item_count == 0) {
            linger_until_ns = clock_monotonic(source->pipeline->clock) + linger_ns;
        }
        batch->item_count += items;
        if (batch->item_count >= items_min && batch->item_count > 0) {
            break;
        }
        if (batch->item_count == 0 && at - from->seq >= 1024) {
            break; /* nothing for us in a long stretch: let the cursor move on */
        }
    }
    /* No traces are counted: what is refused for good is then looked for request by request. */
    batch->body = strbuf_slice(&source->body);
    *out = (struct sink_cursor){.seq = at};
    return true;
}

static void release(void *ctx, const struct sink_cursor *cursor)
{
    struct record_source *source = ctx;
    wal_reader_release(source->reader, cursor->seq);
}

static uint64_t lag_bytes(void *ctx, const struct sink_cursor *cursor)
{
    struct record_source *source = ctx;
    return cursor->seq > wal_last(source->pipeline->wal) ? 0 : wal_size(source->pipeline->wal);
}

static void wake(void *ctx)
{
    struct record_source *source = ctx;
    wal_reader_wake(source->reader);
}

static void close_source(void *ctx)
{
    struct record_source *source = ctx;
    wal_reader_close(source->reader);
    strbuf_deinit(&source->body);
    free(source);
}

bool pipeline_record_source(struct pipeline *p, const char *sink_name, enum otlp_signal signal,
                            const char *const *route_ids, size_t count, uint64_t from_lsn,
                            struct sink_source *out, struct error *err)
{
    uint32_t mask = routes_mask(&p->routes, route_ids, count);
    if (mask == 0) {
        return error_set(err, ERR_INVALID, "destination %s is in no pipeline", sink_name);
    }
    struct record_source *source = mem_zalloc(1, sizeof(*source));
    source->pipeline = p;
    source->signal = signal;
    source->mask = mask;
    source->reader = wal_reader_open(p->wal, from_lsn);
    strbuf_init(&source->body, (size_t)1 << 30);
    *out = (struct sink_source){.ctx = source,
                                .next = next,
                                .release = release,
                                .lag_bytes = lag_bytes,
                                .wake = wake,
                                .close = close_source};
    return true;
}

struct sink_cursor pipeline_record_end(struct pipeline *p)
{
    return (struct sink_cursor){.seq = wal_last(p->wal) + 1};
}
