/*
 * pipeline_private.h - the struct behind pipeline.h, in parts by who may touch them.
 */
#ifndef SPANGATE_SRC_PIPELINE_PRIVATE_H
#define SPANGATE_SRC_PIPELINE_PRIVATE_H

#include "lsn_refs.h"
#include "routes.h"

#include <spangate/base/map.h>
#include <spangate/base/metrics.h>
#include <spangate/base/ring.h>
#include <spangate/base/thread.h>
#include <spangate/index/index.h>
#include <spangate/otlp/otlp.h>
#include <spangate/pipeline/pipeline.h>

enum {
    COMMIT_REQUESTS_MAX = 256, /* taken in one group commit */
    TO_LOG_CAP = 1024,
    TO_TRACE_CAP = 512,
    TO_STORE_CAP = 8,
    SERVICES_MAX = 10000, /* names remembered beside the index */
    REFUSE_LEVEL = 900,   /* per mille of the memory budget */
};

/* A request on its way from submit to the correlator. */
struct pending {
    enum { MESSAGE_REQUEST, MESSAGE_CALL } kind; /* first in both messages of the ring to_trace */
    struct ingest_request request;               /* body is batch->body or `body` */
    struct span_batch *batch;                    /* traces */
    struct buf *body;                            /* logs, metrics */
    size_t items;
    uint32_t route;
    uint64_t received_ns;
    uint64_t lsn;
};

/* Free requests that no turn will come for: closing without draining. */
void pipeline_drop_queued(struct pipeline *p);

/* Run fn on the trace thread and wait. */
struct call {
    int kind; /* MESSAGE_CALL */
    void (*fn)(struct pipeline *pipeline, void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    bool done;
};

/* A sealed block on its way to disk. */
struct store_job {
    struct block *block;
    uint64_t *lsns;
    size_t lsn_count;
};

enum pipeline_state { PIPELINE_OPENED, PIPELINE_RUNNING, PIPELINE_DRAINING };

struct pipeline {
    struct pipeline_config config;
    const struct fs *fs;
    const struct clock *clock;
    struct budget *budget;
    struct routes routes;
    struct wal *wal;
    struct trace_log *log;
    struct index *index; /* NULL without trace_store */
    struct lsn_refs refs;
    uint64_t replay_from_seq; /* no block before has spans of records from replay_from_lsn on */
    uint64_t replay_from_lsn; /* records before are not there any more, or stored */
    struct ring to_log, to_trace, to_store;
    struct ring pause; /* nothing ever goes in: the store thread waits here between attempts */
    struct thread log_thread, trace_thread, store_thread;

    /* Touched by the trace thread only (before start: by whoever opens). */
    struct {
        struct correlator *correlator;
        struct block_builder *builder;
        uint64_t builder_since_ns; /* monotonic: when the first trace went in */
        struct store_job *stuck;   /* sealed, but to_store was full */
        bool *skip;
        size_t skip_cap;
        struct map services; /* names seen, values are the names */
        struct metric_series *finalized[TRACE_REASONS];
    } trace;

    /* Touched by the store thread only. */
    struct {
        struct store_job *job; /* the one at work; it stays while the disk does not take it */
        uint64_t retry_ns;     /* when it is tried again */
        bool given_up;         /* stopping on a failing disk: nothing is written any more */
        uint64_t housekeeping_ns;
    } store;

    /* Read and written by any thread. */
    struct {
        _Atomic enum pipeline_state state;
        atomic_bool store_failing;
        atomic_bool wal_failing;
        atomic_bool disk_full;
        atomic_int_fast64_t spans_open;              /* taken in, not yet in a synced block */
        atomic_size_t traces_open, correlator_bytes; /* as of the last turn */
    } stats;
};

/* Replay, and take requests from now on; pipeline_start() is this and the threads. */
bool pipeline_begin(struct pipeline *p, struct error *err) MUST_CHECK;

/* Turns; each is what one thread does once. true: there was something to do. */
bool pipeline_commit(struct pipeline *p, uint64_t wait_ns);
bool pipeline_correlate(struct pipeline *p, uint64_t wait_ns);
bool pipeline_store(struct pipeline *p, uint64_t wait_ns);

/* Parts of turns that replay uses too. */
void pipeline_take_in(struct pipeline *p, const struct span_batch *batch, uint64_t lsn,
                      uint32_t route);
void pipeline_finish_traces(struct pipeline *p);
bool pipeline_seal(struct pipeline *p);        /* false: to_store is full */
void pipeline_free_job(struct store_job *job); /* NULL is allowed */

/* The trace thread's turn at the end, when nothing comes in any more. false: all that is to be
 * stored is on its way. */
bool pipeline_wind_up(struct pipeline *p);

/* Run fn on the trace thread; false: it is not running. */
bool pipeline_call(struct pipeline *p, void (*fn)(struct pipeline *p, void *arg), void *arg);

/* Append what is stored of a trace to the view: sealed, not yet written, and written blocks. */
bool pipeline_view_stored(struct pipeline *p, const struct trace_id *id, struct trace_view *view,
                          struct error *err);

#endif
