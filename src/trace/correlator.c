/*
 * correlator.c - spans in, finished traces out. See correlator.h for what a trace goes through.
 *
 *   trace_table   records, ids, queues        span_store   bytes of spans
 *   intern        resources and scopes        seen         span ids of large traces
 *   remembered    what was finished           assemble     a trace as an array
 *
 * Everything here is constant time per span and per trace: no scan over open traces on any path.
 * A limit of 0 in the configuration (max_age_ns, max_spans, memory_bytes_max) means none.
 */
#include <spangate/trace/correlator.h>

#include "assemble.h"
#include "remembered.h"
#include "seen.h"
#include "span_scan.h"
#include <spangate/base/clock.h>
#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

enum {
    BUDGET_PRESSURE = 900, /* per mille of the process' memory: traces are finished early */
    PRESSURE_PART = 8,     /* one bout of that lets an eighth of the open bytes go… */
    CHUNKS_WANTED = 16,    /* chunks are at most this part of memory_bytes_max */
};
/* …and the next bout waits for this, because finished traces stay in memory until they are stored.
 * */
#define PRESSURE_PAUSE_NS (250 * NS_PER_MS)

struct correlator {
    struct correlator_config config;
    struct account open;  /* what open traces hold: bounded by memory_bytes_max */
    struct account fixed; /* remembered traces and scratch */
    struct trace_table traces;
    struct span_store spans;
    struct intern intern;
    struct remembered remembered;
    struct scratch taken_scratch; /* of the trace handed out by take */
    struct scratch walk_scratch;  /* of each */
    uint32_t taken;               /* TRACE_NONE: none is out */
    uint32_t assembled;           /* during take: the trace that is in its scratch */
    size_t span_count;
    uint64_t now_ns; /* the latest time seen: queues rely on it never going back */
    struct {
        bool running;
        size_t target; /* open bytes to come down to */
        uint64_t next_ns;
    } pressure;
    uint32_t
        *scope_handles; /* of the batch being added, by scope index; SLAB_NONE: not looked up */
    size_t scope_cap;
};

/* --- life --- */

static void set_config(struct correlator *correlator, const struct correlator_config *config)
{
    correlator->config = *config;
    if (config->memory_bytes_max == 0 || config->memory_bytes_max > SPAN_STORE_BYTES_MAX) {
        correlator->config.memory_bytes_max = SPAN_STORE_BYTES_MAX;
    }
    if (config->max_age_ns == 0) {
        correlator->config.max_age_ns = UINT64_MAX;
    }
    if (config->max_spans == 0 || config->max_spans > UINT32_MAX - 1) {
        correlator->config.max_spans = UINT32_MAX - 1;
    }
}

struct correlator *correlator_new(const struct correlator_config *config, struct budget *budget)
{
    struct correlator *correlator = mem_zalloc(1, sizeof(*correlator));

    set_config(correlator, config);
    correlator->open.budget = budget;
    correlator->fixed.budget = budget;
    trace_table_init(&correlator->traces, &correlator->open);
    span_store_init(&correlator->spans, correlator->config.memory_bytes_max / CHUNKS_WANTED,
                    &correlator->open);
    intern_init(&correlator->intern, &correlator->open);
    remembered_init(&correlator->remembered, config->remembered_max, &correlator->fixed);
    scratch_init(&correlator->taken_scratch, &correlator->fixed);
    scratch_init(&correlator->walk_scratch, &correlator->fixed);
    correlator->taken = TRACE_NONE;
    return correlator;
}

void correlator_reconfigure(struct correlator *correlator, const struct correlator_config *config)
{
    set_config(correlator, config);
    remembered_resize(&correlator->remembered, config->remembered_max);
}

static void free_record(struct correlator *correlator, uint32_t index);

void correlator_free(struct correlator *correlator)
{
    if (correlator == NULL) {
        return;
    }
    if (correlator->taken != TRACE_NONE) {
        free_record(correlator, correlator->taken);
    }
    for (uint32_t index = correlator->traces.age.first; index != TRACE_NONE;) {
        uint32_t next = trace_at(&correlator->traces, index)->link[LINK_AGE].next;
        free_record(correlator, index);
        index = next;
    }
    trace_table_deinit(&correlator->traces);
    span_store_deinit(&correlator->spans);
    intern_deinit(&correlator->intern);
    remembered_deinit(&correlator->remembered);
    scratch_deinit(&correlator->taken_scratch);
    scratch_deinit(&correlator->walk_scratch);
    account_give(&correlator->fixed, correlator->scope_cap * sizeof(*correlator->scope_handles));
    free(correlator->scope_handles);
    free(correlator);
}

static uint64_t after(uint64_t start_ns, uint64_t delay_ns)
{
    return delay_ns > UINT64_MAX - start_ns ? UINT64_MAX : start_ns + delay_ns;
}

/* --- adding --- */

static uint8_t print_of(const struct span_id *id)
{
    return (uint8_t)hash_bytes(id->bytes, sizeof(id->bytes));
}

/* The same question as seen_check(), for a trace small enough to look at each candidate. */
static enum seen_verdict check_small(const struct correlator *correlator,
                                     const struct trace_record *trace, const struct span *span,
                                     uint8_t print)
{
    enum seen_verdict verdict = SEEN_NEW;
    uint32_t ref = trace->span_first;

    if (trace->span_count == 0 || memchr(trace->prints, print, trace->span_count) == NULL) {
        return SEEN_NEW;
    }
    for (uint32_t i = 0; i < trace->span_count; i++) {
        const struct span_record *other = span_at(&correlator->spans, ref);
        if (trace->prints[i] == print) {
            struct span_fields fields;
            span_read(other, &fields);
            if (span_id_equal(&fields.span_id, &span->span_id)) {
                if (slice_equal(span_raw(other), span->raw)) {
                    return SEEN_DUPLICATE;
                }
                verdict = SEEN_CONFLICT;
            }
        }
        ref = other->next;
    }
    return verdict;
}

/* A trace that outgrows the array of prints gets a table. */
static void begin_seen(struct correlator *correlator, struct trace_record *trace)
{
    trace->seen = seen_new(&correlator->open);
    for (uint32_t ref = trace->span_first; ref != SPAN_NONE;
         ref = span_at(&correlator->spans, ref)->next) {
        struct slice raw = span_raw(span_at(&correlator->spans, ref));
        struct span_fields fields;
        span_read(span_at(&correlator->spans, ref), &fields);
        seen_add(trace->seen, &correlator->spans, ref, &fields.span_id, &fields.parent_id, raw,
                 seen_check(trace->seen, &correlator->spans, &fields.span_id, raw));
    }
}

/* A root that has no end yet does not make its trace settle. */
static bool is_ended_root(const struct span *span)
{
    struct span_fields fields;

    if (!span_is_root(span)) {
        return false;
    }
    if (span->flags == 0) {
        return true;
    }
    span_scan(span->raw, &fields);
    return fields.end_ns != 0;
}

static void append_span(struct correlator *correlator, uint32_t index, const struct span *span,
                        uint32_t scope, uint64_t lsn, enum seen_verdict verdict, uint8_t print)
{
    struct trace_record *trace = trace_at(&correlator->traces, index);
    uint32_t ref = span_store_append(&correlator->spans, span, scope, lsn);
    struct span_record *record = span_at(&correlator->spans, ref);

    record->trace = index;
    record->prev = trace->span_last;
    if (trace->span_last != SPAN_NONE) {
        span_at(&correlator->spans, trace->span_last)->next = ref;
    } else {
        trace->span_first = ref;
    }
    trace->span_last = ref;
    if (trace->seen != NULL) {
        seen_add(trace->seen, &correlator->spans, ref, &span->span_id, &span->parent_id, span->raw,
                 verdict);
    } else {
        trace->prints[trace->span_count] = print;
    }
    trace->span_count++;
    trace->complete = false;
    trace->root_ended = trace->root_ended || is_ended_root(span);
    correlator->span_count++;
}

/* A span came: the quiet time begins anew. */
static void touch(struct correlator *correlator, uint32_t index, uint64_t now_ns)
{
    struct trace_record *trace = trace_at(&correlator->traces, index);
    enum trace_queue queue = trace->root_ended ? QUEUE_SETTLING : QUEUE_IDLE;

    if (trace->queue != queue || trace->last_ns != now_ns) {
        trace->last_ns = now_ns;
        trace_table_queue(&correlator->traces, index, queue);
    }
}

static uint32_t open_trace(struct correlator *correlator, const struct trace_id *id,
                           uint64_t now_ns, struct correlator_added *out)
{
    uint32_t before = remembered_get(&correlator->remembered, id);
    uint32_t index = trace_table_insert(&correlator->traces, id);
    struct trace_record *trace = trace_at(&correlator->traces, index);

    trace->first_ns = now_ns;
    trace->last_ns = now_ns;
    trace->revision = before + 1;
    out->reopened += before > 0;
    return index;
}

/* The trace is done: nothing more comes into it, take hands it out. */
static void make_ready(struct correlator *correlator, uint32_t index, enum trace_reason reason)
{
    struct trace_record *trace = trace_at(&correlator->traces, index);

    trace->reason = (uint8_t)reason;
    trace_table_forget(&correlator->traces, index);
    trace_table_queue(&correlator->traces, index, QUEUE_READY);
    remembered_put(&correlator->remembered, &trace->id, trace->revision);
}

/* The handle of a scope of the batch; the batch holds one reference until release_scopes(). */
static uint32_t scope_handle(struct correlator *correlator, const struct span_batch *batch,
                             uint32_t scope)
{
    uint32_t handle = correlator->scope_handles[scope];

    if (handle == SLAB_NONE) {
        const struct batch_scope *found = &batch->scopes[scope];
        handle = intern_scope(&correlator->intern, found, &batch->resources[found->resource]);
        correlator->scope_handles[scope] = handle;
    }
    return handle;
}

static void reserve_scopes(struct correlator *correlator, size_t count)
{
    if (count > correlator->scope_cap) {
        correlator->scope_handles =
            mem_realloc(correlator->scope_handles, count * sizeof(*correlator->scope_handles));
        account_take(&correlator->fixed,
                     (count - correlator->scope_cap) * sizeof(*correlator->scope_handles));
        correlator->scope_cap = count;
    }
    for (size_t i = 0; i < count; i++) {
        correlator->scope_handles[i] = SLAB_NONE;
    }
}

static void release_scopes(struct correlator *correlator, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (correlator->scope_handles[i] != SLAB_NONE) {
            intern_unref(&correlator->intern, correlator->scope_handles[i], 1);
        }
    }
}

void correlator_add(struct correlator *correlator, const struct span_batch *batch, uint64_t lsn,
                    uint32_t route, uint64_t now_ns, struct correlator_added *out)
{
    uint32_t index = TRACE_NONE; /* of the span before: spans of a trace mostly come together */

    *out = (struct correlator_added){0};
    correlator->now_ns = now_ns > correlator->now_ns ? now_ns : correlator->now_ns;
    reserve_scopes(correlator, batch->scope_count);
    for (size_t i = 0; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        uint8_t print = 0;
        enum seen_verdict verdict;

        if (index == TRACE_NONE ||
            !trace_id_equal(&trace_at(&correlator->traces, index)->id, &span->trace_id)) {
            index = trace_table_find(&correlator->traces, &span->trace_id);
        }
        if (index == TRACE_NONE) {
            index = open_trace(correlator, &span->trace_id, correlator->now_ns, out);
        }
        struct trace_record *trace = trace_at(&correlator->traces, index);
        if (trace->seen == NULL && trace->span_count == SMALL_TRACE_SPANS) {
            begin_seen(correlator, trace);
        }
        if (trace->seen != NULL) {
            verdict = seen_check(trace->seen, &correlator->spans, &span->span_id, span->raw);
        } else {
            print = print_of(&span->span_id);
            verdict = check_small(correlator, trace, span, print);
        }
        trace->route |= route;
        if (verdict == SEEN_DUPLICATE) {
            out->duplicates++;
            continue;
        }
        uint32_t scope = scope_handle(correlator, batch, span->scope);
        intern_ref(&correlator->intern, scope, 1);
        append_span(correlator, index, span, scope, lsn, verdict, print);
        touch(correlator, index, correlator->now_ns);
        out->added++;
        out->conflicts += verdict == SEEN_CONFLICT;
        if (trace->span_count >= correlator->config.max_spans) {
            make_ready(correlator, index, TRACE_MAX_SPANS);
            index = TRACE_NONE;
        }
    }
    release_scopes(correlator, batch->scope_count);
}

/* --- memory --- */

/* Move the survivors of a sparse chunk, and tell everybody who refers to them. */
static void compact(struct correlator *correlator, uint32_t chunk)
{
    size_t at = 0;
    uint32_t from;

    while ((from = span_store_walk(&correlator->spans, chunk, &at)) != SPAN_NONE) {
        uint32_t to = span_store_move(&correlator->spans, from);
        struct span_record *record = span_at(&correlator->spans, to);
        struct trace_record *trace = trace_at(&correlator->traces, record->trace);

        if (record->prev != SPAN_NONE) {
            span_at(&correlator->spans, record->prev)->next = to;
        } else {
            trace->span_first = to;
        }
        if (record->next != SPAN_NONE) {
            span_at(&correlator->spans, record->next)->prev = to;
        } else {
            trace->span_last = to;
        }
        if (trace->seen != NULL) {
            seen_move(trace->seen, from, to, span_raw(record));
        }
    }
}

static void compact_sparse(struct correlator *correlator, bool all)
{
    uint32_t chunk;

    while ((chunk = span_store_sparse(&correlator->spans, all)) != SPAN_NONE) {
        compact(correlator, chunk);
    }
}

/* Over the limit of open traces, after everything was let go that costs no trace? */
static bool is_over_limit(struct correlator *correlator)
{
    if (correlator->open.bytes <= correlator->config.memory_bytes_max) {
        return false;
    }
    compact_sparse(correlator, true);
    span_store_trim(&correlator->spans, 0);
    return correlator->open.bytes > correlator->config.memory_bytes_max;
}

static bool is_budget_pressed(const struct correlator *correlator)
{
    return correlator->open.budget != NULL &&
           budget_level(correlator->open.budget) >= BUDGET_PRESSURE;
}

/*
 * The budget also counts request bodies and blocks that are not stored yet, so finishing traces may
 * not relieve it at once. Without bouts one moment of pressure would finish everything.
 */
static bool is_pressed(struct correlator *correlator, uint64_t now_ns)
{
    if (is_over_limit(correlator)) {
        return true;
    }
    if (!is_budget_pressed(correlator)) {
        correlator->pressure.running = false;
        return false;
    }
    if (!correlator->pressure.running) {
        if (now_ns < correlator->pressure.next_ns) {
            return false;
        }
        span_store_trim(&correlator->spans, 0);
        correlator->pressure.running = true;
        correlator->pressure.target =
            correlator->open.bytes - correlator->open.bytes / PRESSURE_PART;
        correlator->pressure.next_ns = after(now_ns, PRESSURE_PAUSE_NS);
    }
    correlator->pressure.running = correlator->open.bytes > correlator->pressure.target;
    return correlator->pressure.running;
}

/* --- finishing --- */

static uint32_t head(const struct correlator *correlator, enum trace_queue queue)
{
    return correlator->traces.queues[queue].first;
}

static uint64_t quiet_until(const struct correlator *correlator, uint32_t index, uint64_t delay_ns)
{
    return index == TRACE_NONE ? UINT64_MAX
                               : after(trace_at(&correlator->traces, index)->last_ns, delay_ns);
}

/* Of the quiet queues, the trace whose latest span is the longest ago. */
static uint32_t longest_quiet(const struct correlator *correlator)
{
    static const enum trace_queue quiet[] = {QUEUE_WAITING, QUEUE_IDLE, QUEUE_SETTLING};
    uint32_t found = TRACE_NONE;

    for (size_t i = 0; i < COUNT_OF(quiet); i++) {
        uint32_t index = head(correlator, quiet[i]);
        if (index != TRACE_NONE &&
            (found == TRACE_NONE || trace_at(&correlator->traces, index)->last_ns <
                                        trace_at(&correlator->traces, found)->last_ns)) {
            found = index;
        }
    }
    return found;
}

/*
 * The settling queue begins with a trace that lacks no parent, or is empty: others move on to wait
 * for idle. The head has the oldest activity of its queue, so the waiting queue stays in order of
 * activity. A trace that is due is assembled to find out, because then it is taken next.
 */
static uint32_t settling_head(struct correlator *correlator, uint64_t now_ns,
                              struct finished_trace *out)
{
    uint32_t index;

    while ((index = head(correlator, QUEUE_SETTLING)) != TRACE_NONE) {
        struct trace_record *trace = trace_at(&correlator->traces, index);
        if (quiet_until(correlator, index, correlator->config.settle_ns) <= now_ns) {
            trace->complete = assemble(trace, &correlator->spans, &correlator->intern,
                                       &correlator->taken_scratch, out);
            correlator->assembled = index;
        } else {
            trace->complete = trace_is_complete(trace, &correlator->spans);
        }
        if (trace->complete) {
            break;
        }
        trace_table_queue(&correlator->traces, index, QUEUE_WAITING);
        correlator->assembled = TRACE_NONE;
    }
    return index;
}

/* The next trace to finish at now_ns and why. *out is filled if correlator->assembled says so. */
static uint32_t next_due(struct correlator *correlator, uint64_t now_ns, enum trace_reason *reason,
                         struct finished_trace *out)
{
    uint32_t settled = settling_head(correlator, now_ns, out);
    uint32_t oldest = correlator->traces.age.first;

    if (settled != TRACE_NONE &&
        quiet_until(correlator, settled, correlator->config.settle_ns) <= now_ns) {
        *reason = TRACE_ROOT_QUIET;
        return settled;
    }
    *reason = TRACE_IDLE;
    if (quiet_until(correlator, head(correlator, QUEUE_WAITING), correlator->config.idle_ns) <=
        now_ns) {
        return head(correlator, QUEUE_WAITING);
    }
    if (quiet_until(correlator, head(correlator, QUEUE_IDLE), correlator->config.idle_ns) <=
        now_ns) {
        return head(correlator, QUEUE_IDLE);
    }
    if (oldest != TRACE_NONE && after(trace_at(&correlator->traces, oldest)->first_ns,
                                      correlator->config.max_age_ns) <= now_ns) {
        *reason = TRACE_MAX_AGE;
        return oldest;
    }
    if (longest_quiet(correlator) != TRACE_NONE && is_pressed(correlator, now_ns)) {
        *reason = TRACE_MEMORY;
        return longest_quiet(correlator);
    }
    return TRACE_NONE;
}

bool correlator_take(struct correlator *correlator, uint64_t now_ns, struct finished_trace *out)
{
    enum trace_reason reason = TRACE_REASON_NONE;

    assert(correlator->taken == TRACE_NONE);
    correlator->now_ns = now_ns > correlator->now_ns ? now_ns : correlator->now_ns;
    correlator->assembled = TRACE_NONE;
    if (head(correlator, QUEUE_READY) == TRACE_NONE) {
        uint32_t due = next_due(correlator, correlator->now_ns, &reason, out);
        if (due == TRACE_NONE) {
            return false;
        }
        make_ready(correlator, due, reason);
    }
    uint32_t index = head(correlator, QUEUE_READY);
    struct trace_record *trace = trace_at(&correlator->traces, index);
    trace_table_queue(&correlator->traces, index, QUEUES);
    fifo_remove(&correlator->traces, &correlator->traces.age, LINK_AGE, index);
    correlator->taken = index;
    if (correlator->assembled != index) {
        (void)assemble(trace, &correlator->spans, &correlator->intern, &correlator->taken_scratch,
                       out);
    }
    out->reason = trace->reason;
    return true;
}

/* Everything the record holds, and the record. It must be in no list any more, or all lists must
 * go. */
static void free_record(struct correlator *correlator, uint32_t index)
{
    struct trace_record *trace = trace_at(&correlator->traces, index);
    uint32_t scope = SLAB_NONE; /* neighbours mostly share it: give references back together */
    uint32_t scope_refs = 0;

    for (uint32_t ref = trace->span_first; ref != SPAN_NONE;) {
        const struct span_record *record = span_at(&correlator->spans, ref);
        uint32_t next = record->next;
        if (record->scope != scope) {
            intern_unref(&correlator->intern, scope, scope_refs);
            scope = record->scope;
            scope_refs = 0;
        }
        scope_refs++;
        span_store_release(&correlator->spans, ref);
        ref = next;
    }
    intern_unref(&correlator->intern, scope, scope_refs);
    correlator->span_count -= trace->span_count;
    seen_free(trace->seen, &correlator->open);
    trace_table_free(&correlator->traces, index);
}

void correlator_drop(struct correlator *correlator)
{
    assert(correlator->taken != TRACE_NONE);
    free_record(correlator, correlator->taken);
    correlator->taken = TRACE_NONE;
    scratch_trim(&correlator->taken_scratch);
    compact_sparse(correlator, false);
    span_store_trim(&correlator->spans, correlator->spans.chunk_count / 8 + 1);
}

void correlator_finish_all(struct correlator *correlator, enum trace_reason reason)
{
    for (uint32_t index = correlator->traces.age.first; index != TRACE_NONE;
         index = trace_at(&correlator->traces, index)->link[LINK_AGE].next) {
        if (trace_at(&correlator->traces, index)->queue != QUEUE_READY) {
            make_ready(correlator, index, reason);
        }
    }
}

bool correlator_finish(struct correlator *correlator, const struct trace_id *id,
                       enum trace_reason reason)
{
    uint32_t index = trace_table_find(&correlator->traces, id);

    if (index == TRACE_NONE) {
        return false;
    }
    make_ready(correlator, index, reason);
    return true;
}

/* The settling queue may begin with traces that lack a parent and were not looked at yet. */
static uint64_t settling_next_ns(const struct correlator *correlator)
{
    uint64_t next_ns = UINT64_MAX;

    for (uint32_t index = head(correlator, QUEUE_SETTLING); index != TRACE_NONE;
         index = trace_at(&correlator->traces, index)->link[LINK_QUIET].next) {
        bool complete = trace_is_complete(trace_at(&correlator->traces, index), &correlator->spans);
        uint64_t due_ns =
            quiet_until(correlator, index,
                        complete ? correlator->config.settle_ns : correlator->config.idle_ns);
        next_ns = due_ns < next_ns ? due_ns : next_ns;
        if (complete) {
            break; /* those behind it are due later */
        }
    }
    return next_ns;
}

uint64_t correlator_next_ns(const struct correlator *correlator)
{
    uint32_t oldest = correlator->traces.age.first;

    if (oldest == TRACE_NONE) {
        return UINT64_MAX;
    }
    if (head(correlator, QUEUE_READY) != TRACE_NONE ||
        correlator->open.bytes > correlator->config.memory_bytes_max) {
        return 0;
    }
    uint64_t candidates[] = {
        settling_next_ns(correlator),
        quiet_until(correlator, head(correlator, QUEUE_WAITING), correlator->config.idle_ns),
        quiet_until(correlator, head(correlator, QUEUE_IDLE), correlator->config.idle_ns),
        after(trace_at(&correlator->traces, oldest)->first_ns, correlator->config.max_age_ns),
        !is_budget_pressed(correlator) ? UINT64_MAX
        : correlator->pressure.running ? 0
                                       : correlator->pressure.next_ns,
    };
    uint64_t next_ns = UINT64_MAX;
    for (size_t i = 0; i < COUNT_OF(candidates); i++) {
        next_ns = candidates[i] < next_ns ? candidates[i] : next_ns;
    }
    return next_ns;
}

void correlator_remember(struct correlator *correlator, const struct trace_id *id,
                         uint32_t revision)
{
    uint32_t index = trace_table_find(&correlator->traces, id);

    if (revision > remembered_get(&correlator->remembered, id)) {
        remembered_put(&correlator->remembered, id, revision);
    }
    if (index != TRACE_NONE && trace_at(&correlator->traces, index)->revision <= revision) {
        trace_at(&correlator->traces, index)->revision = revision + 1;
    }
}

uint32_t correlator_remembered(const struct correlator *correlator, const struct trace_id *id)
{
    return remembered_get(&correlator->remembered, id);
}

/* --- queries --- */

static void view_trace(const struct correlator *correlator, const struct trace_record *trace,
                       struct trace_view *view)
{
    for (uint32_t ref = trace->span_first; ref != SPAN_NONE;) {
        const struct span_record *record = span_at(&correlator->spans, ref);
        const struct interned *scope = intern_at(&correlator->intern, record->scope);
        const struct interned *resource = intern_at(&correlator->intern, scope->resource);
        struct span span;

        assemble_span(trace, record, &span);
        trace_view_add(view, &span, resource->envelope, scope->envelope, resource->service,
                       hash_stable(span.raw.data, span.raw.len));
        ref = record->next;
    }
    view->open = true;
    if (view->revision < trace->revision - 1) {
        view->revision = trace->revision - 1;
    }
}

bool correlator_view(const struct correlator *correlator, const struct trace_id *id,
                     struct trace_view *view)
{
    uint32_t index = trace_table_find(&correlator->traces, id);
    bool found = index != TRACE_NONE;

    if (found) {
        view_trace(correlator, trace_at(&correlator->traces, index), view);
    }
    /* Parts that are finished but not taken are in no block yet. There are few at any time. */
    for (index = head(correlator, QUEUE_READY); index != TRACE_NONE;
         index = trace_at(&correlator->traces, index)->link[LINK_QUIET].next) {
        if (trace_id_equal(&trace_at(&correlator->traces, index)->id, id)) {
            view_trace(correlator, trace_at(&correlator->traces, index), view);
            found = true;
        }
    }
    return found;
}

void correlator_each(struct correlator *correlator,
                     bool (*each)(void *ctx, const struct finished_trace *open), void *ctx)
{
    bool more = true;

    for (uint32_t index = correlator->traces.age.last; more && index != TRACE_NONE;
         index = trace_at(&correlator->traces, index)->link[LINK_AGE].prev) {
        struct finished_trace open;
        (void)assemble(trace_at(&correlator->traces, index), &correlator->spans,
                       &correlator->intern, &correlator->walk_scratch, &open);
        more = each(ctx, &open);
    }
    scratch_trim(&correlator->walk_scratch);
}

size_t correlator_trace_count(const struct correlator *correlator)
{
    return correlator->traces.slab.count;
}

size_t correlator_span_count(const struct correlator *correlator)
{
    return correlator->span_count;
}

size_t correlator_bytes(const struct correlator *correlator)
{
    return correlator->open.bytes + correlator->fixed.bytes;
}
