/*
 * sink.h - where finished traces go: destinations as drivers behind one runner.
 *
 * A driver knows one thing: how to hand one batch to one destination, once. Cursor, batching,
 * retry, backoff, counting and logging live in the runner and are the same for all.
 *
 * Threads: the runner gives each destination a thread; open, deliver and close run there and may
 * block. `interrupt` may come from any thread.
 */
#ifndef SPANGATE_SINK_SINK_H
#define SPANGATE_SINK_SINK_H

#include <spangate/base/error.h>
#include <spangate/base/slice.h>
#include <spangate/otlp/span.h>

enum sink_encoding { SINK_PROTOBUF, SINK_JSON };

/* One OTLP request for the destination. */
struct sink_batch {
    enum otlp_signal signal;
    struct slice body; /* Export…ServiceRequest in the driver's encoding */
    size_t item_count; /* spans, log records, data points */
    size_t trace_count;
};

enum sink_verdict {
    SINK_DELIVERED,
    SINK_RETRY,     /* may work later: the runner offers the same batch again */
    SINK_TOO_LARGE, /* smaller batches may work: the runner splits */
    /*
     * Can never work: the runner splits down to single traces, counts, logs and drops those.
     * err.code ERR_UNAUTHENTICATED (401, 403), ERR_NOT_FOUND (404) or ERR_UNSUPPORTED (405, 415,
     * UNIMPLEMENTED) says that it is not about the content: then it is dropped without splitting.
     */
    SINK_REJECTED,
};

struct sink_outcome {
    enum sink_verdict verdict;
    uint64_t retry_after_ms; /* the destination asked for at least this pause; 0: it did not */
    uint64_t rejected;       /* SINK_DELIVERED: items that partial_success says it rejected */
    /* Filled unless SINK_DELIVERED; with `rejected` it has the message of partial_success. */
    struct error err;
};

struct sink; /* a driver's own struct */

struct sink_driver {
    const char *type; /* canonical component name: otlp_http, otlp_grpc, debug, file */

    /* settings: the driver's own configuration struct, borrowed for the life of the sink. *out is
     * set only on success. Does not connect: a backend that is down is a matter of deliver. */
    bool (*open)(struct sink **out, const void *settings, struct error *err);

    enum sink_encoding (*encoding)(const struct sink *sink);

    /* Deliver the whole batch or nothing. It may be offered again after SINK_RETRY or a crash. */
    void (*deliver)(struct sink *sink, const struct sink_batch *batch, struct sink_outcome *out);

    /* Make a deliver that is under way return soon with SINK_RETRY, and all later ones at once. */
    void (*interrupt)(struct sink *sink);

    /* Release everything open() acquired. Cannot fail. */
    void (*close)(struct sink *sink);
};

/* Where a destination has come to. Ordered by seq, then trace, then span. */
struct sink_cursor {
    uint64_t seq;   /* block of the trace log, or lsn of the ingest log */
    uint32_t trace; /* within the block */
    uint32_t span;  /* within the trace */
};

/*
 * What a runner reads from: the trace log (export_on: finalized) or the ingest log (accepted, and
 * logs and metrics). Called on the runner's thread only, but for wake.
 */
struct sink_source {
    void *ctx;
    /*
     * The next batch at *from: up to items_max items and bytes_max bytes of protobuf, but at least
     * one trace's spans or one record (a single trace larger than that is cut between spans).
     * Waits up to wait_ns for data, and up to linger_ns more while the batch is smaller than
     * items_min. Sets *next to the position after the batch. 0 items with *next > *from: nothing
     * there was for this destination. 0 items with *next == *from: no data. batch->body is
     * protobuf, valid until the next call. *skipped: items lost to retention before *from could be
     * read. On failure (ERR_CORRUPT) *next > *from says where to go on, and *skipped what that
     * costs.
     */
    bool (*next)(void *ctx, const struct sink_cursor *from, size_t items_min, size_t items_max,
                 size_t bytes_max, uint64_t wait_ns, uint64_t linger_ns, struct sink_batch *batch,
                 struct sink_cursor *next, uint64_t *skipped, struct error *err);
    /* Everything before the cursor is delivered and that is on disk. */
    void (*release)(void *ctx, const struct sink_cursor *cursor);
    /* Bytes of log from the cursor on. */
    uint64_t (*lag_bytes)(void *ctx, const struct sink_cursor *cursor);
    void (*wake)(void *ctx);  /* any thread: end a wait; may be repeated */
    void (*close)(void *ctx); /* by whoever stops the runner, after its thread has ended */
};

#endif
