/* scan.c - answers from blocks. */
#include "scan.h"

#include <stdlib.h>

struct bounds {
    uint64_t partition, first, last;
    bool found;
};

static bool note_bounds(void *ctx, const struct partition_info *info)
{
    struct bounds *b = ctx;

    if (info->partition != b->partition) {
        return true;
    }
    b->first = info->first_seq;
    b->last = info->last_seq;
    b->found = true;
    return false;
}

void scan_partition(struct trace_log *log, uint64_t partition, struct seq_list *out)
{
    struct bounds b = {.partition = partition};
    struct block_info info;

    trace_log_partitions(log, note_bounds, &b);
    for (uint64_t from = b.first; b.found && from <= b.last; from = info.seq + 1) {
        if (!trace_log_next(log, from, &info) || info.partition != partition) {
            break;
        }
        seq_list_push(out, info.seq);
    }
    seq_list_sort(out);
}

/* *block NULL: it is gone, or damaged and reported. */
static bool load(struct trace_log *log, uint64_t seq, struct block **block, struct error *err)
{
    struct error why;

    *block = NULL;
    if (trace_log_load(log, seq, BLOCK_TABLES, block, &why) || why.code == ERR_NOT_FOUND ||
        why.code == ERR_CORRUPT) {
        return true;
    }
    *err = why;
    return false;
}

static bool has_trace(const struct block *block, const struct trace_id *id)
{
    for (uint32_t i = 0; i < block->trace_count; i++) {
        if (trace_id_equal(&block->traces[i].trace_id, id)) {
            return true;
        }
    }
    return false;
}

bool scan_find(struct trace_log *log, const struct seq_list *blocks, const struct trace_id *id,
               size_t max, struct seq_list *out, struct error *err)
{
    size_t end = out->count + max;

    for (size_t i = 0; i < blocks->count && out->count < end; i++) {
        struct block *block = NULL;
        if (!load(log, blocks->seqs[i], &block, err)) {
            return false;
        }
        if (block != NULL && has_trace(block, id)) {
            seq_list_push(out, blocks->seqs[i]);
        }
        block_unref(block);
    }
    return true;
}

static bool has_service(const struct block *block, struct slice service)
{
    for (uint32_t i = 0; i < block->resource_count; i++) {
        if (slice_equal(block->strings[block->resources[i].service], service)) {
            return true;
        }
    }
    return false;
}

bool scan_matches(struct trace_log *log, uint64_t seq, struct slice service, uint64_t start_ns_min,
                  uint64_t start_ns_max, bool *matches, struct error *err)
{
    struct block_info info;
    struct block *block = NULL;

    *matches = false;
    if (!trace_log_next(log, seq, &info) || info.seq != seq || info.start_ns_max < start_ns_min ||
        info.start_ns_min > start_ns_max) {
        return true;
    }
    if (service.len == 0) {
        *matches = true;
        return true;
    }
    if (!load(log, seq, &block, err)) {
        return false;
    }
    *matches = block != NULL && has_service(block, service);
    block_unref(block);
    return true;
}

static void add_operations(const struct block *block, struct slice service, struct name_set *out)
{
    for (uint32_t i = 0; i < block->span_count; i++) {
        const struct block_span *span = &block->spans[i];
        const struct block_resource *resource =
            &block->resources[block->scopes[span->scope].resource];
        if (slice_equal(block->strings[resource->service], service)) {
            name_set_add(out, block->strings[span->name], span->kind);
        }
    }
}

bool scan_names(struct trace_log *log, const struct seq_list *blocks, const struct slice *service,
                struct name_set *out, struct error *err)
{
    for (size_t i = 0; i < blocks->count; i++) {
        struct block *block = NULL;
        if (!load(log, blocks->seqs[i], &block, err)) {
            return false;
        }
        for (uint32_t k = 0; block != NULL && service == NULL && k < block->resource_count; k++) {
            name_set_add(out, block->strings[block->resources[k].service], 0);
        }
        if (block != NULL && service != NULL) {
            add_operations(block, *service, out);
        }
        block_unref(block);
    }
    return true;
}
