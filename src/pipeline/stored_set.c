/*
 * stored_set.c - recognizing spans that are stored already.
 */
#include "stored_set.h"

#include <spangate/base/hash.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>

#include <stdlib.h>

struct recent {
    struct pipeline *pipeline;
    const struct trace_id *id;
    struct trace_view *view;
    struct error *err;
    bool ok;
};

static bool view_recent_block(void *ctx, const struct block_info *info)
{
    struct recent *recent = ctx;
    struct block *block = NULL;
    if (info->seq < recent->pipeline->replay_from_seq) {
        return false;
    }
    if (info->lsn_max < recent->pipeline->replay_from_lsn) {
        return true; /* nothing in it can come back from the ingest log */
    }
    if (!trace_log_load(recent->pipeline->log, info->seq, BLOCK_ALL, &block, recent->err)) {
        recent->ok = recent->err->code == ERR_NOT_FOUND;
        return recent->ok;
    }
    (void)block_view(block, recent->id, recent->view);
    block_unref(block);
    return true;
}

/*
 * Without an index (no trace_store): the blocks that may share spans with the ingest log. Few, as
 * the ingest log lets go of what is stored; asked only for traces that come a second time.
 */
static bool view_recent_blocks(struct pipeline *p, const struct trace_id *id,
                               struct trace_view *view, struct error *err)
{
    struct recent recent = {.pipeline = p, .id = id, .view = view, .err = err, .ok = true};
    trace_log_each(p->log, view_recent_block, &recent);
    return recent.ok;
}

void stored_set_open(struct stored_set *set, struct pipeline *p, const struct trace_id *id)
{
    struct error err;

    trace_view_init(&set->view, id);
    (void)block_builder_view(p->trace.builder, id, &set->view);
    if (!pipeline_view_stored(p, id, &set->view, &err) ||
        (p->index == NULL && !view_recent_blocks(p, id, &set->view, &err))) {
        log_warn("pipeline", "stored spans of a trace cannot be read",
                 "error=\"%s\" effect=\"duplicates may be stored\"", err.message);
    }
    trace_view_finish(&set->view);
    map_init(&set->by_hash);
    for (size_t i = 0; i < set->view.span_count; i++) {
        struct view_span *span = &set->view.spans[i];
        map_put(&set->by_hash, (struct slice){(uint8_t *)&span->raw_hash, sizeof(span->raw_hash)},
                span);
    }
}

bool stored_set_has(const struct stored_set *set, struct slice raw, uint64_t raw_hash)
{
    struct slice key = {(const uint8_t *)&raw_hash, sizeof(raw_hash)};
    const struct view_span *stored = map_get(&set->by_hash, key);
    return stored != NULL && slice_equal(stored->span.raw, raw);
}

void stored_set_close(struct stored_set *set)
{
    map_deinit(&set->by_hash);
    trace_view_deinit(&set->view);
}

void stored_set_filter(struct pipeline *p, struct span_batch *batch)
{
    struct map sets; /* trace id, inside the set's view, to struct stored_set */
    size_t kept = 0;

    map_init(&sets);
    for (size_t i = 0; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        struct slice id = {span->trace_id.bytes, sizeof(span->trace_id.bytes)};
        if (correlator_remembered(p->trace.correlator, &span->trace_id) > 0) {
            struct stored_set *set = map_get(&sets, id);
            if (set == NULL) {
                set = mem_alloc(sizeof(*set));
                stored_set_open(set, p, &span->trace_id);
                map_put(&sets, (struct slice){set->view.trace_id.bytes, id.len}, set);
            }
            if (stored_set_has(set, span->raw, hash_stable(span->raw.data, span->raw.len))) {
                continue;
            }
        }
        batch->spans[kept++] = *span;
    }
    batch->span_count = kept;

    size_t at = 0;
    const struct map_slot *slot;
    while ((slot = map_next(&sets, &at)) != NULL) {
        stored_set_close(slot->value);
        free(slot->value);
    }
    map_deinit(&sets);
}
