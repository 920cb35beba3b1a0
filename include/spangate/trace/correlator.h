/*
 * correlator.h - puts spans together into traces and says when a trace is finished.
 *
 *          root ended and quiet for settle      late span
 *   OPEN ------------------------------> FINAL ----------> OPEN (revision + 1)
 *     '---- idle, max_age, max_spans, memory, shutdown ---->'
 *
 * Spans are copied into arrival-ordered chunks; resources and scopes are interned. A span is held
 * as its raw bytes and about 32 bytes of overhead.
 *
 * Threads: one owner (the trace thread). Time: the caller's monotonic clock, in nanoseconds.
 */
#ifndef SPANGATE_TRACE_CORRELATOR_H
#define SPANGATE_TRACE_CORRELATOR_H

#include <spangate/base/budget.h>
#include <spangate/base/error.h>
#include <spangate/otlp/span.h>
#include <spangate/trace/view.h>

/* max_age_ns, max_spans, memory_bytes_max: 0 is no limit. remembered_max 0: every finish is
 * revision 1. */
struct correlator_config {
    uint64_t settle_ns;        /* quiet time after the root has ended and no parent is missing */
    uint64_t idle_ns;          /* quiet time otherwise */
    uint64_t max_age_ns;       /* since the first span */
    uint64_t max_spans;        /* per trace; then it is finished in parts */
    uint64_t memory_bytes_max; /* of open traces; beyond, the oldest are finished (reason memory) */
    size_t remembered_max;     /* finished traces remembered for revisions */
};

struct correlator;

/* config is copied; budget may be NULL and is charged for chunks and tables. */
struct correlator *correlator_new(const struct correlator_config *config, struct budget *budget);
void correlator_free(struct correlator *correlator);
void correlator_reconfigure(struct correlator *correlator, const struct correlator_config *config);

/* What correlator_add() did with a batch; each counter adds up to span_count with `added`. */
struct correlator_added {
    size_t added;
    size_t duplicates; /* absorbed: same trace, span id and bytes as an open span */
    size_t conflicts;  /* added although the span id was there with other bytes */
    size_t reopened;   /* traces that had been finished before */
};

/*
 * Take in all spans of a batch. lsn: the record they came with; one reference for each span added
 * goes along with it and comes back in finished_span.lsn. route: or-ed into the trace's.
 */
void correlator_add(struct correlator *correlator, const struct span_batch *batch, uint64_t lsn,
                    uint32_t route, uint64_t now_ns, struct correlator_added *out);

/* A finished trace, valid until correlator_drop(). */
struct finished_span {
    struct span span;      /* span.scope is meaningless here */
    struct slice resource; /* envelopes; pointer-equal when they are the same within one trace */
    struct slice scope;
    struct slice service;
    uint64_t resource_hash, scope_hash;
    uint64_t raw_hash; /* hash_stable() of raw */
    uint64_t lsn;
};

struct finished_trace {
    struct trace_id trace_id;
    enum trace_reason reason;
    uint32_t revision; /* 1, or more for what came after an earlier finish */
    uint32_t route;
    const struct finished_span *spans; /* ascending by start_ns, then arrival */
    size_t span_count;
};

/* The next trace whose time has come. false: none at now_ns. */
bool correlator_take(struct correlator *correlator, uint64_t now_ns,
                     struct finished_trace *out) MUST_CHECK;
/* Release the trace taken last and remember it as finished. */
void correlator_drop(struct correlator *correlator);

/* Finish all open traces with this reason: they come out of correlator_take(). */
void correlator_finish_all(struct correlator *correlator, enum trace_reason reason);
/* Finish one; false when it is not open. */
bool correlator_finish(struct correlator *correlator, const struct trace_id *id,
                       enum trace_reason reason);

/* When correlator_take() will next have something if nothing arrives; UINT64_MAX: never. */
uint64_t correlator_next_ns(const struct correlator *correlator);

/* Remember a trace that was finished in an earlier life of the process. */
void correlator_remember(struct correlator *correlator, const struct trace_id *id,
                         uint32_t revision);

/* The revision as which a trace was finished last; 0: not remembered. */
uint32_t correlator_remembered(const struct correlator *correlator, const struct trace_id *id);

/* Queries. Append the open spans of one trace to a view; false when it is not open. */
bool correlator_view(const struct correlator *correlator, const struct trace_id *id,
                     struct trace_view *view);
/* Walk the open traces, most recently begun first, until `each` returns false. spans as above. */
void correlator_each(struct correlator *correlator,
                     bool (*each)(void *ctx, const struct finished_trace *open), void *ctx);

size_t correlator_trace_count(const struct correlator *correlator);
size_t correlator_span_count(const struct correlator *correlator);
size_t correlator_bytes(const struct correlator *correlator);

#endif
