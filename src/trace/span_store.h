/*
 * span_store.h - the bytes of open spans, in chunks of up to 256 KiB in order of arrival.
 *
 *   chunk   | record | times? | raw … pad | record | raw … pad | …        record: 32 bytes
 *
 * A span is addressed by a 32-bit reference: chunk number and offset in units of 8 bytes. A chunk's
 * memory goes when its last span goes. A chunk that is less than a quarter alive is *sparse*: the
 * correlator moves its survivors (span_store_move), so a slow trace pins about its own bytes. Spans
 * larger than a quarter of a chunk get a chunk of their own.
 *
 * 32-bit references reach 32 GiB; SPAN_STORE_BYTES_MAX is where the correlator stops before that.
 * Owner: the correlator's thread.
 */
#ifndef SPANGATE_TRACE_SPAN_STORE_H
#define SPANGATE_TRACE_SPAN_STORE_H

#include "account.h"
#include "span_scan.h"
#include <spangate/otlp/span.h>

#define SPAN_NONE UINT32_MAX
#define SPAN_STORE_BYTES_MAX (UINT64_C(24) << 30)

enum {
    CHUNK_BYTES_MAX = 256 * 1024,
    CHUNK_BYTES_MIN = 16 * 1024,
    SPAN_UNIT = 8,
    SPAN_OFFSET_BITS = 15, /* CHUNK_BYTES_MAX / SPAN_UNIT */
};

struct span_record {
    uint64_t lsn;
    uint32_t next, prev; /* spans of the same trace in order of arrival; SPAN_NONE at the ends */
    uint32_t trace;      /* index of the trace; SPAN_NONE: released */
    uint32_t scope;      /* handle of intern.h */
    uint32_t raw_len;
    uint8_t kind, status, flags;
    bool in_front; /* span_scan_front() finds all fixed fields of raw */
};

_Static_assert(sizeof(struct span_record) == 32,
               "the overhead of a span is stated in the contract");

/* Stands between record and raw when flags is not 0: the times cannot be told from raw then. */
struct span_times {
    uint64_t start_ns, end_ns;
};

struct chunk {
    uint8_t *data; /* NULL: this number is free */
    size_t cap;
    size_t used;
    size_t live;         /* bytes of spans not released */
    uint32_t prev, next; /* sparse list; free numbers by next */
    bool sparse;
};

struct span_store {
    struct chunk *chunks;
    uint32_t chunk_total, chunk_cap; /* numbers given so far; size of the array */
    uint32_t chunk_count;            /* with memory */
    uint32_t free_number;
    uint32_t current; /* spans are appended here; SPAN_NONE: none yet */
    uint32_t sparse_first, sparse_last, sparse_count;
    size_t chunk_bytes;
    uint8_t **pool; /* memory of chunks that emptied, to be used again */
    uint32_t pool_count, pool_cap;
    struct account *account;
};

/* chunk_bytes is cut to the bounds above. */
void span_store_init(struct span_store *store, size_t chunk_bytes, struct account *account);
void span_store_deinit(struct span_store *store);

static inline struct span_record *span_at(const struct span_store *store, uint32_t ref)
{
    uint8_t *data = store->chunks[ref >> SPAN_OFFSET_BITS].data;
    size_t offset = (size_t)(ref & ((1U << SPAN_OFFSET_BITS) - 1)) * SPAN_UNIT;
    return (struct span_record *)(void *)(data + offset);
}

static inline const struct span_times *span_times(const struct span_record *record)
{
    return record->flags == 0 ? NULL : (const struct span_times *)(record + 1);
}

static inline struct slice span_raw(const struct span_record *record)
{
    const uint8_t *at = (const uint8_t *)(record + 1);
    return (struct slice){record->flags == 0 ? at : at + sizeof(struct span_times),
                          record->raw_len};
}

static inline void span_read(const struct span_record *record, struct span_fields *out)
{
    if (record->in_front) {
        span_scan_front(span_raw(record), out);
    } else {
        span_scan(span_raw(record), out);
    }
}

/* Copy a span in; next, prev and trace are the caller's to set. */
uint32_t span_store_append(struct span_store *store, const struct span *span, uint32_t scope,
                           uint64_t lsn);

void span_store_release(struct span_store *store, uint32_t ref);

/* A chunk whose survivors should be moved now; SPAN_NONE when there is none worth it. */
uint32_t span_store_sparse(const struct span_store *store, bool all);

/* Walk the live spans of a chunk: start with *at = 0, SPAN_NONE at the end. */
uint32_t span_store_walk(const struct span_store *store, uint32_t number, size_t *at);

/* Copy a span to the current chunk and release the old place. Who refers to it must be told. */
uint32_t span_store_move(struct span_store *store, uint32_t ref);

/* Give back the memory kept for later chunks, but for `keep` pieces. */
void span_store_trim(struct span_store *store, uint32_t keep);

#endif
