/*
 * view.c - one trace put together from memory and blocks. See view.h.
 *
 * Adding only copies; repeats are found in one sort at the end, so that a trace of a million spans
 * does not compare each with each.
 */
#include <spangate/trace/view.h>

#include <spangate/base/mem.h>
#include <stdlib.h>

const char *trace_reason_name(enum trace_reason reason)
{
    static const char *const names[TRACE_REASONS] = {
        [TRACE_REASON_NONE] = "",        [TRACE_ROOT_QUIET] = "root_quiet",
        [TRACE_END_TRACE] = "end_trace", [TRACE_IDLE] = "idle",
        [TRACE_MAX_AGE] = "max_age",     [TRACE_MAX_SPANS] = "max_spans",
        [TRACE_MEMORY] = "memory",       [TRACE_SHUTDOWN] = "shutdown",
        [TRACE_ADMIN] = "admin",
    };

    return (unsigned)reason < TRACE_REASONS ? names[reason] : "";
}

void trace_view_init(struct trace_view *view, const struct trace_id *id)
{
    *view = (struct trace_view){.trace_id = *id};
    arena_init(&view->arena);
    map_init(&view->envelopes);
}

void trace_view_deinit(struct trace_view *view)
{
    free(view->spans);
    map_deinit(&view->envelopes);
    arena_deinit(&view->arena);
    *view = (struct trace_view){0};
}

/* One copy of equal bytes; equal envelopes are pointer-equal in a view. */
static struct slice intern(struct trace_view *view, struct slice bytes)
{
    if (bytes.len == 0) {
        return (struct slice){0};
    }
    uint8_t *known = map_get(&view->envelopes, bytes);
    if (known == NULL) {
        known = arena_alloc(&view->arena, bytes.len);
        memcpy(known, bytes.data, bytes.len);
        map_put(&view->envelopes, (struct slice){known, bytes.len}, known);
    }
    return (struct slice){known, bytes.len};
}

/* The name mostly lies in raw: then it lies at the same place in the copy. */
static struct slice copy_name(struct trace_view *view, struct slice name, struct slice raw,
                              struct slice raw_copy)
{
    uintptr_t at = (uintptr_t)name.data;
    uintptr_t begin = (uintptr_t)raw.data;

    if (name.len > 0 && at >= begin && at - begin <= raw.len - name.len && name.len <= raw.len) {
        return (struct slice){raw_copy.data + (at - begin), name.len};
    }
    return arena_copy(&view->arena, name);
}

void trace_view_add(struct trace_view *view, const struct span *span, struct slice resource,
                    struct slice scope, struct slice service, uint64_t raw_hash)
{
    if (view->span_count == view->span_cap) {
        view->span_cap = view->span_cap == 0 ? 16 : view->span_cap * 2;
        view->spans = mem_realloc(view->spans, view->span_cap * sizeof(*view->spans));
    }
    struct view_span *added = &view->spans[view->span_count++];
    *added = (struct view_span){
        .span = *span,
        .resource = intern(view, resource),
        .scope = intern(view, scope),
        .service = intern(view, service),
        .raw_hash = raw_hash,
    };
    added->span.raw = arena_copy(&view->arena, span->raw);
    added->span.name = copy_name(view, span->name, span->raw, added->span.raw);
}

/* What is compared when sorting, and where the span was added. */
struct view_key {
    uint64_t major, minor;
    size_t added;
};

static int compare_keys(const void *left, const void *right)
{
    const struct view_key *a = left;
    const struct view_key *b = right;

    if (a->major != b->major) {
        return a->major < b->major ? -1 : 1;
    }
    if (a->minor != b->minor) {
        return a->minor < b->minor ? -1 : 1;
    }
    return a->added < b->added ? -1 : a->added > b->added;
}

/* The keys of all spans but those that repeat an earlier one, to be sorted by start. */
static size_t drop_repeats(const struct trace_view *view, struct view_key *keys)
{
    struct view_key before = {0};
    size_t kept = 0;

    for (size_t i = 0; i < view->span_count; i++) {
        keys[i] = (struct view_key){.minor = view->spans[i].raw_hash, .added = i};
        memcpy(&keys[i].major, view->spans[i].span.span_id.bytes, sizeof(keys[i].major));
    }
    qsort(keys, view->span_count, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < view->span_count; i++) {
        struct view_key key = keys[i];
        bool repeats = i > 0 && key.major == before.major && key.minor == before.minor;
        before = key;
        if (!repeats) {
            keys[kept++] = (struct view_key){.major = view->spans[key.added].span.start_ns,
                                             .added = key.added};
        }
    }
    return kept;
}

void trace_view_finish(struct trace_view *view)
{
    if (view->span_count == 0) {
        return;
    }
    struct view_key *keys = mem_alloc(view->span_count * sizeof(*keys));
    size_t kept = drop_repeats(view, keys);
    struct view_span *sorted = mem_alloc(kept * sizeof(*sorted));

    qsort(keys, kept, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < kept; i++) {
        sorted[i] = view->spans[keys[i].added];
    }
    free(keys);
    free(view->spans);
    view->spans = sorted;
    view->span_count = kept;
    view->span_cap = kept;
}
