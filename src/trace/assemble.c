/*
 * assemble.c - see assemble.h.
 *
 * Spans mostly arrive in order of start; then the array is handed out as it is. Otherwise small
 * keys are sorted and the spans are copied once.
 */
#include "assemble.h"

#include "seen.h"
#include "span_scan.h"
#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

enum { SCRATCH_KEPT_SPANS = 1024, INSERTION_SORT_MAX = 32 };

void scratch_init(struct scratch *scratch, struct account *account)
{
    *scratch = (struct scratch){.account = account};
}

static size_t scratch_bytes(const struct scratch *scratch)
{
    size_t span = sizeof(struct finished_span);
    return scratch->cap * (span + sizeof(struct sort_key)) +
           (scratch->sorted == NULL ? 0 : scratch->cap * span);
}

void scratch_deinit(struct scratch *scratch)
{
    account_give(scratch->account, scratch_bytes(scratch));
    free(scratch->arrived);
    free(scratch->sorted);
    free(scratch->keys);
    scratch_init(scratch, scratch->account);
}

void scratch_trim(struct scratch *scratch)
{
    if (scratch->cap > SCRATCH_KEPT_SPANS) {
        scratch_deinit(scratch);
    }
}

static void scratch_reserve(struct scratch *scratch, size_t count)
{
    if (count <= scratch->cap) {
        return;
    }
    scratch_deinit(scratch);
    scratch->cap = count < 64 ? 64 : count;
    scratch->arrived = mem_alloc(scratch->cap * sizeof(*scratch->arrived));
    scratch->keys = mem_alloc(scratch->cap * sizeof(*scratch->keys));
    account_take(scratch->account, scratch_bytes(scratch));
}

/* Room for the spans in another order than they arrived in. */
static void scratch_reserve_sorted(struct scratch *scratch)
{
    if (scratch->sorted == NULL) {
        scratch->sorted = mem_alloc(scratch->cap * sizeof(*scratch->sorted));
        account_take(scratch->account, scratch->cap * sizeof(*scratch->sorted));
    }
}

void assemble_span(const struct trace_record *trace, const struct span_record *record,
                   struct span *out)
{
    const struct span_times *times = span_times(record);
    struct slice raw = span_raw(record);
    struct span_fields fields;

    span_read(record, &fields);
    *out = (struct span){
        .trace_id = trace->id,
        .span_id = fields.span_id,
        .parent_id = fields.parent_id,
        .start_ns = times != NULL ? times->start_ns : fields.start_ns,
        .end_ns = times != NULL ? times->end_ns : fields.end_ns,
        .name = fields.name,
        .raw = raw,
        .kind = record->kind,
        .status = record->status,
        .flags = record->flags,
    };
    if (out->end_ns < out->start_ns) {
        out->end_ns = out->start_ns;
    }
}

/* The spans in order of arrival. true: they are in order of start, too. */
static bool collect(const struct trace_record *trace, const struct span_store *spans,
                    const struct intern *intern, struct scratch *scratch)
{
    bool ordered = true;
    size_t count = 0;

    for (uint32_t ref = trace->span_first; ref != SPAN_NONE; count++) {
        const struct span_record *record = span_at(spans, ref);
        const struct interned *scope = intern_at(intern, record->scope);
        const struct interned *resource = intern_at(intern, scope->resource);
        struct finished_span *out = &scratch->arrived[count];

        ref = record->next;
        if (ref != SPAN_NONE) {
            __builtin_prefetch(span_at(spans, ref));
        }
        assemble_span(trace, record, &out->span);
        out->resource = resource->envelope;
        out->scope = scope->envelope;
        out->service = resource->service;
        out->resource_hash = resource->stable_hash;
        out->scope_hash = scope->stable_hash;
        out->raw_hash = hash_stable(out->span.raw.data, out->span.raw.len);
        out->lsn = record->lsn;
        scratch->keys[count] =
            (struct sort_key){.start_ns = out->span.start_ns, .arrival = (uint32_t)count};
        ordered = ordered && (count == 0 ||
                              scratch->keys[count - 1].start_ns <= scratch->keys[count].start_ns);
    }
    assert(count == trace->span_count);
    return ordered;
}

static int compare_keys(const void *left, const void *right)
{
    const struct sort_key *a = left;
    const struct sort_key *b = right;

    if (a->start_ns != b->start_ns) {
        return a->start_ns < b->start_ns ? -1 : 1;
    }
    return a->arrival < b->arrival ? -1 : a->arrival > b->arrival;
}

static void sort_keys(struct sort_key *keys, size_t count)
{
    if (count > INSERTION_SORT_MAX) {
        qsort(keys, count, sizeof(*keys), compare_keys);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        struct sort_key key = keys[i];
        size_t at = i;
        for (; at > 0 && keys[at - 1].start_ns > key.start_ns; at--) {
            keys[at] = keys[at - 1];
        }
        keys[at] = key;
    }
}

static bool has_span(const struct span_id *ids, size_t count, const struct span_id *wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (span_id_equal(&ids[i], wanted)) {
            return true;
        }
    }
    return false;
}

/* Small traces: compare all ids with all parents. */
static bool parents_are_there(const struct span_id *ids, const struct span_id *parents,
                              size_t count)
{
    static const struct span_id none = {{0}};

    for (size_t i = 0; i < count; i++) {
        if (!span_id_equal(&parents[i], &none) && !has_span(ids, count, &parents[i])) {
            return false;
        }
    }
    return true;
}

bool trace_is_complete(const struct trace_record *trace, const struct span_store *spans)
{
    struct span_id ids[SMALL_TRACE_SPANS];
    struct span_id parents[SMALL_TRACE_SPANS];
    size_t count = 0;

    if (trace->complete || trace->seen != NULL) {
        return trace->complete || trace->seen->wanted == 0;
    }
    for (uint32_t ref = trace->span_first; ref != SPAN_NONE && count < COUNT_OF(ids);
         ref = span_at(spans, ref)->next) {
        struct span_fields fields;
        span_read(span_at(spans, ref), &fields);
        ids[count] = fields.span_id;
        parents[count++] = fields.parent_id;
    }
    return parents_are_there(ids, parents, count);
}

static bool assembled_is_complete(const struct trace_record *trace, const struct scratch *scratch)
{
    struct span_id ids[SMALL_TRACE_SPANS];
    struct span_id parents[SMALL_TRACE_SPANS];

    if (trace->complete || trace->seen != NULL) {
        return trace->complete || trace->seen->wanted == 0;
    }
    for (size_t i = 0; i < trace->span_count; i++) {
        ids[i] = scratch->arrived[i].span.span_id;
        parents[i] = scratch->arrived[i].span.parent_id;
    }
    return parents_are_there(ids, parents, trace->span_count);
}

bool assemble(const struct trace_record *trace, const struct span_store *spans,
              const struct intern *intern, struct scratch *scratch, struct finished_trace *out)
{
    scratch_reserve(scratch, trace->span_count);
    const struct finished_span *handed = scratch->arrived;

    if (!collect(trace, spans, intern, scratch)) {
        sort_keys(scratch->keys, trace->span_count);
        scratch_reserve_sorted(scratch);
        for (size_t i = 0; i < trace->span_count; i++) {
            scratch->sorted[i] = scratch->arrived[scratch->keys[i].arrival];
        }
        handed = scratch->sorted;
    }
    *out = (struct finished_trace){
        .trace_id = trace->id,
        .reason = trace->reason,
        .revision = trace->revision,
        .route = trace->route,
        .spans = handed,
        .span_count = trace->span_count,
    };
    return assembled_is_complete(trace, scratch);
}
