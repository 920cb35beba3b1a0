/*
 * block.h - a block: about 1 MiB of finished traces, the unit of storing, caching, export and
 * retention.
 *
 * In memory a block is immutable and reference-counted; its tables are arrays that anybody may
 * read. On disk each section is compressed on its own, so that a search reads the fixed fields
 * without touching the spans' bytes (docs/formats.md).
 */
#ifndef SPANGATE_BLOCKS_BLOCK_H
#define SPANGATE_BLOCKS_BLOCK_H

#include <spangate/base/budget.h>
#include <spangate/base/error.h>
#include <spangate/otlp/span.h>
#include <spangate/trace/correlator.h>

struct block_trace {
    struct trace_id trace_id;
    uint32_t revision;
    uint8_t reason; /* enum trace_reason */
    uint8_t flags;
    uint16_t reserved;
    uint32_t route;      /* the pipelines it entered by */
    uint32_t span_first; /* index into spans */
    uint32_t span_count;
    uint32_t root; /* index into spans of the root, UINT32_MAX: none here */
    uint32_t error_count;
    uint64_t start_ns; /* earliest start */
    uint64_t end_ns;   /* latest end */
};

struct block_span {
    uint64_t start_ns;
    uint64_t duration_ns;
    uint32_t raw_at; /* offset in the raw section */
    uint32_t raw_len;
    uint32_t name;  /* index into strings */
    uint32_t scope; /* index into scopes */
    uint8_t kind, status, flags, reserved;
};

struct block_scope {
    uint32_t resource; /* index into resources */
    struct slice envelope;
};

struct block_resource {
    uint32_t service; /* index into strings */
    struct slice envelope;
};

struct block {
    atomic_uint refs;
    uint64_t seq;                        /* 1, 2, 3 …: position in the trace log */
    uint64_t sealed_ns;                  /* wall time of sealing: decides the partition */
    uint64_t lsn_max;                    /* highest ingest-log record with a span in here */
    uint64_t start_ns_min, start_ns_max; /* of span starts */
    const struct block_trace *traces;    /* in order of finalization */
    uint32_t trace_count;
    const struct block_span *spans; /* grouped by trace, ascending start within */
    uint32_t span_count;
    const struct slice *strings; /* distinct names and services */
    uint32_t string_count;
    const struct block_scope *scopes;
    uint32_t scope_count;
    const struct block_resource *resources;
    uint32_t resource_count;
    struct slice raw;      /* the spans' bytes; empty when loaded without them */
    uint64_t stored_bytes; /* size on disk, 0 while not written */
    /* private to src/blocks */
    struct block_memory *memory;
};

struct block *block_ref(const struct block *block);
void block_unref(struct block *block); /* NULL is allowed */

static inline struct slice block_span_raw(const struct block *b, const struct block_span *s)
{
    return (struct slice){b->raw.data + s->raw_at, s->raw_len};
}

/* The span model of one stored span: ids are read from its raw bytes. */
void block_span_read(const struct block *block, const struct block_trace *trace,
                     const struct block_span *from, struct span *out);

/* Collects finished traces into a block. One owner (the trace thread). */
struct block_builder;
struct block_builder *block_builder_new(struct budget *budget);
void block_builder_free(struct block_builder *builder);

/*
 * Add the spans of a finished trace; `skip` (NULL or span_count bools) marks those to leave out.
 * The lsn of every span given, also skipped ones, is kept for block_lsns().
 */
void block_builder_add(struct block_builder *builder, const struct finished_trace *trace,
                       const bool *skip);

size_t block_builder_bytes(const struct block_builder *builder); /* raw bytes so far */
size_t block_builder_spans(const struct block_builder *builder);
size_t block_builder_traces(const struct block_builder *builder);
size_t
block_builder_lsns(const struct block_builder *builder); /* spans given, skipped ones included */

/*
 * The unfinished block as a block, for searches: borrowed from the builder and valid until its next
 * change; seq 0, no references to count. NULL when it holds no span.
 */
const struct block *block_builder_peek(struct block_builder *builder);

/* For queries: spans of one trace in the unfinished block. */
bool block_builder_view(const struct block_builder *builder, const struct trace_id *id,
                        struct trace_view *view);

/*
 * Make a block of what was added and empty the builder. *lsns: one entry for each span added or
 * skipped (repeats allowed), release with free(); hand them to wal_release() once the block is
 * stored. The block has no span when every one added was skipped: then it need not be stored.
 */
struct block *block_builder_seal(struct block_builder *builder, uint64_t sealed_ns, uint64_t **lsns,
                                 size_t *lsn_count);

/* Append the spans of one trace in the block to a view; true when there are any. */
bool block_view(const struct block *block, const struct trace_id *id, struct trace_view *view);

#endif
