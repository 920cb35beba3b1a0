/*
 * runs.h - sorted runs of (hash of a trace id, block): what finds a trace.
 *
 * A block makes a run of level 0; RUN_FAN_IN runs of a level are merged into one of the next, so a
 * partition has a few dozen runs at most and every entry is written once a level. A run is cut into
 * chunks that fill a page each: row number = run id << 24 | chunk. As hashes are evenly spread, the
 * chunk that has one is guessed from the hash itself; one or two reads find it.
 *
 *   chunk:  crc32c of the rest u32 | entries of { hash u64, block - base i32 }
 */
#ifndef SPANGATE_SRC_INDEX_RUNS_H
#define SPANGATE_SRC_INDEX_RUNS_H

#include "db.h"
#include "filter.h"

enum { RUN_FAN_IN = 16, RUN_LEVEL_FINAL = 99 };

struct run_entry {
    uint64_t hash;
    int32_t block; /* seq - base */
};

/* Sort by hash and drop repeats; returns how many are left. */
size_t run_entries_sort(struct run_entry *entries, size_t count);

/* Add a run of level 0 and merge what has become too many. Within a write transaction. */
bool runs_add(struct db *db, int64_t *next_id, const struct run_entry *entries, size_t count,
              struct error *err) MUST_CHECK;

/* Merge all runs into one and fill a filter for them (initialised here). Within a write
 * transaction. */
bool runs_merge_all(struct db *db, int64_t *next_id, struct filter *filter,
                    struct error *err) MUST_CHECK;

/* Call `found` for each block that has the hash, in no order. Within a read transaction. */
bool runs_find(struct db *db, uint64_t hash, void (*found)(void *ctx, int32_t block), void *ctx,
               struct error *err) MUST_CHECK;

#endif
