/*
 * view.h - one trace as queries see it: spans from memory and from blocks as one set.
 *
 * A view owns copies of everything in it (in its arena), so it outlives blocks and open traces.
 * One owner, no lock.
 */
#ifndef SPANGATE_TRACE_VIEW_H
#define SPANGATE_TRACE_VIEW_H

#include <spangate/base/arena.h>
#include <spangate/base/map.h>
#include <spangate/otlp/span.h>

enum trace_reason {
    TRACE_REASON_NONE, /* still open */
    TRACE_ROOT_QUIET,
    TRACE_END_TRACE,
    TRACE_IDLE,
    TRACE_MAX_AGE,
    TRACE_MAX_SPANS,
    TRACE_MEMORY,
    TRACE_SHUTDOWN,
    TRACE_ADMIN,
    TRACE_REASONS
};

const char *trace_reason_name(enum trace_reason reason); /* "root_quiet" …; "" for none */

struct view_span {
    struct span span; /* span.scope is meaningless here */
    struct slice resource, scope, service;
    uint64_t raw_hash;
};

struct trace_view {
    struct arena arena;
    struct map envelopes; /* interned envelope copies */
    struct trace_id trace_id;
    struct view_span *spans;
    size_t span_count, span_cap;
    bool open;                /* spans are still in memory, not finished */
    uint32_t revision;        /* highest finished one; 0 when none */
    enum trace_reason reason; /* of that revision */
};

void trace_view_init(struct trace_view *view, const struct trace_id *id);
void trace_view_deinit(struct trace_view *view);

/* Copy a span into the view, unless one with the same span id and raw_hash is there. */
void trace_view_add(struct trace_view *view, const struct span *span, struct slice resource,
                    struct slice scope, struct slice service, uint64_t raw_hash);

/* Ascending by start, duplicates gone. Call once after the last add (adds may come in any number).
 * */
void trace_view_finish(struct trace_view *view);

#endif
