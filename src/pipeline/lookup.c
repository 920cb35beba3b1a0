/*
 * lookup.c - what queries see: open traces, sealed blocks and stored blocks as one set.
 *
 * The order matters. A trace moves from the correlator to the builder to the pending blocks to the
 * stored ones, never back; looking in that order may meet a span twice (the view drops the second)
 * but never misses it.
 */
#include "pipeline_private.h"

#include <spangate/base/mem.h>
#include <spangate/base/text.h>

#include <stdlib.h>

enum {
    BLOCKS_OF_A_TRACE_MAX = 4096,
    OPEN_SPANS_SEARCHED = 2000000,
    SERVICES_COMPARED = 64, /* spans looked back at when services of a trace are counted */
};

/* ---- one trace ---- */

struct view_request {
    const struct trace_id *id;
    struct trace_view *view;
};

static void view_open(struct pipeline *p, void *arg)
{
    struct view_request *request = arg;
    (void)correlator_view(p->trace.correlator, request->id, request->view);
    (void)block_builder_view(p->trace.builder, request->id, request->view);
}

static bool view_pending(void *ctx, const struct block *block)
{
    struct view_request *request = ctx;
    (void)block_view(block, request->id, request->view);
    return true;
}

bool pipeline_view_stored(struct pipeline *p, const struct trace_id *id, struct trace_view *view,
                          struct error *err)
{
    struct view_request request = {.id = id, .view = view};
    trace_log_pending_each(p->log, view_pending, &request);
    if (p->index == NULL) {
        return true;
    }
    uint64_t *seqs = mem_alloc(BLOCKS_OF_A_TRACE_MAX * sizeof(*seqs));
    size_t count = 0;
    bool ok = index_find(p->index, id, seqs, BLOCKS_OF_A_TRACE_MAX, &count, err);
    for (size_t i = 0; ok && i < count; i++) {
        struct block *block = NULL;
        if (trace_log_load(p->log, seqs[i], BLOCK_ALL, &block, err)) {
            (void)block_view(block, id, view);
            block_unref(block);
        } else {
            ok = err->code == ERR_NOT_FOUND; /* dropped by retention a moment ago */
        }
    }
    free(seqs);
    return ok;
}

bool pipeline_trace(struct pipeline *p, const struct trace_id *id, struct trace_view *view,
                    struct error *err)
{
    struct view_request request = {.id = id, .view = view};
    trace_view_init(view, id);
    (void)pipeline_call(p, view_open, &request); /* while stopping, only what is stored */
    if (!pipeline_view_stored(p, id, view, err)) {
        trace_view_deinit(view);
        return false;
    }
    trace_view_finish(view);
    if (view->span_count == 0) {
        trace_view_deinit(view);
        return error_set(err, ERR_NOT_FOUND, "trace not found");
    }
    return true;
}

/* ---- search ---- */

struct search {
    struct pipeline *pipeline;
    const struct trace_filter *filter;
    size_t wanted;        /* one more than the limit, to know whether there are more; 0: all */
    uint64_t deadline_ns; /* monotonic */
    struct trace_summary *found;
    size_t count, cap;
    uint32_t *table; /* open addressing over found, by trace id: index + 1 */
    size_t table_cap;
    size_t spans_seen;
    /* Blocks that were not written when open traces were looked at, and where they begin: from
     * there on, stored blocks are these again, or hold what was open. */
    struct block **pending;
    size_t pending_count;
    uint64_t pending_from;
    bool truncated;
    struct error err;
    bool failed;
};

static size_t id_slot(const struct search *search, const struct trace_id *id)
{
    uint64_t hash;
    memcpy(&hash, id->bytes + 8, sizeof(hash)); /* the random half of a trace id */
    uint64_t other;
    memcpy(&other, id->bytes, sizeof(other));
    size_t at = (size_t)((hash ^ other) * UINT64_C(0x9e3779b97f4a7c15) >> 20);
    for (at &= search->table_cap - 1; search->table[at] != 0;
         at = (at + 1) & (search->table_cap - 1)) {
        if (trace_id_equal(&search->found[search->table[at] - 1].trace_id, id)) {
            break;
        }
    }
    return at;
}

static void grow_found(struct search *search)
{
    search->cap = search->cap == 0 ? 64 : search->cap * 2;
    search->found = mem_realloc(search->found, search->cap * sizeof(*search->found));
    free(search->table);
    search->table_cap = search->cap * 2;
    search->table = mem_zalloc(search->table_cap, sizeof(*search->table));
    for (size_t i = 0; i < search->count; i++) {
        search->table[id_slot(search, &search->found[i].trace_id)] = (uint32_t)(i + 1);
    }
}

/* The summary of this trace, new or one that another fragment began. */
static struct trace_summary *summary_for(struct search *search, const struct trace_id *id)
{
    if (search->count == search->cap) {
        grow_found(search);
    }
    size_t slot = id_slot(search, id);
    if (search->table[slot] == 0) {
        search->found[search->count] =
            (struct trace_summary){.trace_id = *id, .start_ns = UINT64_MAX};
        search->table[slot] = (uint32_t)++search->count;
    }
    return &search->found[search->table[slot] - 1];
}

/* Copy text into a fixed array, cut on a character boundary. */
static void copy_text(char *out, size_t cap, struct slice text)
{
    size_t len = text.len < cap - 1 ? text.len : cap - 1;
    while (len > 0 && len < text.len && (text.data[len] & 0xc0) == 0x80) {
        len--;
    }
    if (len > 0) {
        memcpy(out, text.data, len);
    }
    out[len] = '\0';
}

static bool past_deadline(struct search *search)
{
    if (clock_monotonic(search->pipeline->clock) < search->deadline_ns) {
        return false;
    }
    search->truncated = true;
    return true;
}

static bool match_open(void *ctx, const struct finished_trace *trace)
{
    struct search *search = ctx;
    const struct trace_filter *filter = search->filter;
    bool hit = false;

    search->spans_seen += trace->span_count;
    if (search->spans_seen > OPEN_SPANS_SEARCHED) {
        search->truncated = true;
        return false;
    }
    for (size_t i = 0; i < trace->span_count && !hit; i++) {
        const struct finished_span *span = &trace->spans[i];
        hit = filter_fixed(filter, span->service, span->span.name, span->span.start_ns,
                           span->span.end_ns - span->span.start_ns) &&
              filter_tags(filter, span->span.raw, span->span.kind, span->span.status,
                          span->resource, span->scope);
    }
    if (!hit) {
        return true;
    }
    struct trace_summary *summary = summary_for(search, &trace->trace_id);
    uint32_t services = 0;
    summary->open = true;
    for (size_t i = 0; i < trace->span_count; i++) {
        const struct finished_span *span = &trace->spans[i];
        summary->start_ns =
            span->span.start_ns < summary->start_ns ? span->span.start_ns : summary->start_ns;
        summary->end_ns = span->span.end_ns > summary->end_ns ? span->span.end_ns : summary->end_ns;
        summary->error_count += span->span.status == SPAN_STATUS_ERROR;
        bool seen = false;
        for (size_t j = 0; j < i && j < SERVICES_COMPARED && !seen; j++) {
            seen = slice_equal(span->service, trace->spans[j].service);
        }
        services += !seen;
        if (span_is_root(&span->span)) {
            copy_text(summary->root_service, sizeof(summary->root_service), span->service);
            copy_text(summary->root_name, sizeof(summary->root_name), span->span.name);
        }
    }
    summary->span_count += (uint32_t)trace->span_count;
    summary->service_count = services;
    return search->count < search->wanted || search->wanted == 0;
}

static struct slice span_service(const struct block *block, const struct block_span *span)
{
    const struct block_scope *scope = &block->scopes[span->scope];
    return block->strings[block->resources[scope->resource].service];
}

static bool span_matches(const struct block *block, const struct trace_filter *filter,
                         const struct block_span *span)
{
    if (!filter_fixed(filter, span_service(block, span), block->strings[span->name], span->start_ns,
                      span->duration_ns)) {
        return false;
    }
    if (filter->tag_count == 0) {
        return true;
    }
    const struct block_scope *scope = &block->scopes[span->scope];
    return filter_tags(filter, block_span_raw(block, span), span->kind, span->status,
                       block->resources[scope->resource].envelope, scope->envelope);
}

static void summarize_fragment(struct search *search, const struct block *block,
                               const struct block_trace *trace)
{
    struct trace_summary *summary = summary_for(search, &trace->trace_id);
    summary->start_ns = trace->start_ns < summary->start_ns ? trace->start_ns : summary->start_ns;
    summary->end_ns = trace->end_ns > summary->end_ns ? trace->end_ns : summary->end_ns;
    summary->span_count += trace->span_count;
    summary->error_count += trace->error_count;
    if (trace->revision > summary->revision) {
        summary->revision = trace->revision;
        summary->reason = (enum trace_reason)trace->reason;
    }
    uint32_t services = 0;
    for (uint32_t i = 0; i < trace->span_count; i++) {
        struct slice service = span_service(block, &block->spans[trace->span_first + i]);
        bool seen = false;
        for (uint32_t j = 0; j < i && j < SERVICES_COMPARED && !seen; j++) {
            seen = slice_equal(service, span_service(block, &block->spans[trace->span_first + j]));
        }
        services += !seen;
    }
    summary->service_count = services > summary->service_count ? services : summary->service_count;
    if (trace->root != UINT32_MAX) {
        const struct block_span *root = &block->spans[trace->root];
        copy_text(summary->root_service, sizeof(summary->root_service), span_service(block, root));
        copy_text(summary->root_name, sizeof(summary->root_name), block->strings[root->name]);
    }
}

static void match_block(struct search *search, const struct block *block)
{
    for (uint32_t t = block->trace_count; t-- > 0;) {
        const struct block_trace *trace = &block->traces[t];
        bool hit = false;
        for (uint32_t i = 0; i < trace->span_count && !hit; i++) {
            hit = span_matches(block, search->filter, &block->spans[trace->span_first + i]);
        }
        if (hit) {
            summarize_fragment(search, block, trace);
        }
    }
}

static bool keep_pending(void *ctx, const struct block *block)
{
    struct search *search = ctx;
    size_t count = search->pending_count;

    search->pending = mem_realloc(search->pending, (count + 1) * sizeof(struct block *));
    search->pending[search->pending_count++] = block_ref(block);
    if (block->seq < search->pending_from) {
        search->pending_from = block->seq;
    }
    return true;
}

/* No block is sealed meanwhile when the trace thread does it, so that none is counted twice. */
static void keep_all_pending(struct search *search)
{
    struct trace_log *log = search->pipeline->log;

    search->pending_from = UINT64_MAX;
    trace_log_pending_each(log, keep_pending, search);
    if (search->pending_count == 0) {
        search->pending_from = trace_log_end(log);
    }
}

static void match_pending(struct search *search)
{
    for (size_t i = 0; i < search->pending_count; i++) {
        match_block(search, search->pending[i]);
        block_unref(search->pending[i]);
    }
    free(search->pending);
}

static void search_open(struct pipeline *p, void *arg)
{
    struct search *search = arg;
    correlator_each(p->trace.correlator, match_open, search);
    const struct block *unfinished = block_builder_peek(p->trace.builder);
    if (unfinished != NULL) {
        match_block(search, unfinished);
    }
    keep_all_pending(search);
}

static int newest_first(const void *a, const void *b)
{
    const struct trace_summary *x = a;
    const struct trace_summary *y = b;
    return (x->start_ns < y->start_ns) - (x->start_ns > y->start_ns);
}

/* With enough found: is an older block still able to bring a newer trace? */
static bool enough(const struct search *search, uint64_t block_start_max)
{
    if (search->wanted == 0 || search->count < search->wanted) {
        return false;
    }
    size_t newer = 0;
    for (size_t i = 0; i < search->count; i++) {
        newer += search->found[i].start_ns > block_start_max;
    }
    return newer >= search->wanted;
}

static bool match_stored(void *ctx, uint64_t seq)
{
    struct search *search = ctx;
    struct block *block = NULL;
    enum block_parts parts = search->filter->tag_count > 0 ? BLOCK_ALL : BLOCK_TABLES;

    if (past_deadline(search)) {
        return false;
    }
    if (seq >= search->pending_from) {
        return true;
    }
    if (!trace_log_load(search->pipeline->log, seq, parts, &block, &search->err)) {
        search->truncated |= search->err.code != ERR_NOT_FOUND;
        return true;
    }
    match_block(search, block);
    bool more = !enough(search, block->start_ns_max);
    block_unref(block);
    return more;
}

bool pipeline_search(struct pipeline *p, const struct trace_filter *filter, uint64_t deadline_ns,
                     struct trace_summary **summaries, size_t *count, bool *truncated,
                     struct error *err)
{
    struct search search = {.pipeline = p,
                            .filter = filter,
                            .wanted = filter->limit > 0 ? filter->limit + 1 : 0,
                            .deadline_ns = clock_monotonic(p->clock) + deadline_ns};
    grow_found(&search);
    if (!pipeline_call(p, search_open, &search)) {
        keep_all_pending(&search); /* while stopping, only what is stored */
    }
    match_pending(&search);

    bool ok = true;
    if (p->index != NULL) {
        uint64_t end = filter->start_ns_max > 0 ? filter->start_ns_max : UINT64_MAX;
        ok = index_blocks(p->index, filter->service, filter->start_ns_min, end, match_stored,
                          &search, err);
    }
    free(search.table);
    if (!ok) {
        free(search.found);
        return false;
    }
    qsort(search.found, search.count, sizeof(*search.found), newest_first);
    if (filter->limit > 0 && search.count > filter->limit) {
        search.count = filter->limit;
        search.truncated = true;
    }
    *summaries = search.found;
    *count = search.count;
    *truncated = search.truncated;
    return true;
}

/* ---- names ---- */

struct names {
    struct map seen; /* values are the strings */
};

static void add_name(struct names *names, struct slice name)
{
    if (name.len > 0 && names->seen.count < SERVICES_MAX && map_get(&names->seen, name) == NULL) {
        char *copy = mem_strndup(name.data, name.len);
        map_put(&names->seen, (struct slice){(uint8_t *)copy, name.len}, copy);
    }
}

static void open_services(struct pipeline *p, void *arg)
{
    size_t at = 0;
    const struct map_slot *slot;
    while ((slot = map_next(&p->trace.services, &at)) != NULL) {
        add_name(arg, slot->key);
    }
}

static bool stored_service(void *ctx, struct slice service)
{
    add_name(ctx, service);
    return true;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool pipeline_services(struct pipeline *p, char ***out, struct error *err)
{
    struct names names;
    map_init(&names.seen);
    (void)pipeline_call(p, open_services, &names);
    bool ok = p->index == NULL || index_services(p->index, stored_service, &names, err);

    char **list = mem_alloc((names.seen.count + 1) * sizeof(*list));
    size_t count = 0;
    size_t at = 0;
    const struct map_slot *slot;
    while ((slot = map_next(&names.seen, &at)) != NULL) {
        list[count++] = slot->value;
    }
    list[count] = NULL;
    map_deinit(&names.seen);
    qsort(list, count, sizeof(*list), compare_text);
    if (!ok) {
        fs_free_names(list);
        return false;
    }
    *out = list;
    return true;
}

struct operations {
    struct slice service;
    struct trace_operation *list;
    size_t count, cap;
    struct map seen; /* key: kind byte + name; value: the key's memory */
    size_t spans_seen;
};

static bool add_operation(void *ctx, struct slice name, uint8_t kind)
{
    struct operations *ops = ctx;
    uint8_t *key = mem_alloc(name.len + 1);
    key[0] = kind;
    if (name.len > 0) {
        memcpy(key + 1, name.data, name.len);
    }
    struct slice slice = {key, name.len + 1};
    if (ops->seen.count >= SERVICES_MAX || map_get(&ops->seen, slice) != NULL) {
        free(key);
        return ops->seen.count < SERVICES_MAX;
    }
    map_put(&ops->seen, slice, key);
    if (ops->count == ops->cap) {
        ops->cap = ops->cap == 0 ? 32 : ops->cap * 2;
        ops->list = mem_realloc(ops->list, ops->cap * sizeof(*ops->list));
    }
    ops->list[ops->count++] =
        (struct trace_operation){.name = mem_strndup(name.data, name.len), .kind = kind};
    return true;
}

static bool open_trace_operations(void *ctx, const struct finished_trace *trace)
{
    struct operations *ops = ctx;
    for (size_t i = 0; i < trace->span_count; i++) {
        if (slice_equal(trace->spans[i].service, ops->service)) {
            (void)add_operation(ops, trace->spans[i].span.name, trace->spans[i].span.kind);
        }
    }
    ops->spans_seen += trace->span_count;
    return ops->spans_seen < OPEN_SPANS_SEARCHED;
}

static void block_operations(struct operations *ops, const struct block *block)
{
    for (uint32_t i = 0; i < block->span_count; i++) {
        const struct block_span *span = &block->spans[i];
        if (slice_equal(span_service(block, span), ops->service)) {
            (void)add_operation(ops, block->strings[span->name], span->kind);
        }
    }
}

static void open_operations(struct pipeline *p, void *arg)
{
    correlator_each(p->trace.correlator, open_trace_operations, arg);
    const struct block *unfinished = block_builder_peek(p->trace.builder);
    if (unfinished != NULL) {
        block_operations(arg, unfinished);
    }
}

static bool pending_operations(void *ctx, const struct block *block)
{
    block_operations(ctx, block);
    return true;
}

static int compare_operations(const void *a, const void *b)
{
    const struct trace_operation *x = a;
    const struct trace_operation *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (int)x->kind - (int)y->kind;
}

bool pipeline_operations(struct pipeline *p, struct slice service,
                         struct trace_operation **operations, size_t *count, struct error *err)
{
    struct operations ops = {.service = service};
    map_init(&ops.seen);
    (void)pipeline_call(p, open_operations, &ops);
    trace_log_pending_each(p->log, pending_operations, &ops);
    bool ok = p->index == NULL || index_operations(p->index, service, add_operation, &ops, err);

    size_t at = 0;
    const struct map_slot *slot;
    while ((slot = map_next(&ops.seen, &at)) != NULL) {
        free(slot->value);
    }
    map_deinit(&ops.seen);
    if (!ok) {
        for (size_t i = 0; i < ops.count; i++) {
            free(ops.list[i].name);
        }
        free(ops.list);
        return false;
    }
    if (ops.count > 0) {
        qsort(ops.list, ops.count, sizeof(*ops.list), compare_operations);
    }
    *operations = ops.list;
    *count = ops.count;
    return true;
}

/* ---- orders ---- */

struct finish_request {
    const struct trace_id *id;
    bool found;
};

static void finish_one(struct pipeline *p, void *arg)
{
    struct finish_request *request = arg;
    request->found = correlator_finish(p->trace.correlator, request->id, TRACE_ADMIN);
}

bool pipeline_finish_trace(struct pipeline *p, const struct trace_id *id, struct error *err)
{
    struct finish_request request = {.id = id};
    if (!pipeline_call(p, finish_one, &request)) {
        return error_set(err, ERR_UNAVAILABLE, "the gateway is starting or stopping");
    }
    return request.found || error_set(err, ERR_NOT_FOUND, "trace is not open");
}
