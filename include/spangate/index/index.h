/*
 * index.h - where to find a trace, which services and operations there are: SQLite, one file a
 * partition (dir of the partition + "/index.sqlite"), derived from the blocks and rebuilt from them
 * when missing or damaged. The only place that knows SQLite.
 *
 * Trace ids are kept in sorted runs (64-bit hash, block, trace), merged upwards as in an LSM tree:
 * never a B-tree on a random key.
 *
 * Threads: index_add() and index_drop() are the store thread's (the one writing and checkpointing
 * connection a partition); lookups run on any thread with read-only connections of their own.
 */
#ifndef SPANGATE_INDEX_INDEX_H
#define SPANGATE_INDEX_INDEX_H

#include <spangate/base/error.h>
#include <spangate/blocks/block.h>
#include <spangate/blocks/trace_log.h>

struct index;

/* log is borrowed: it says where partitions are and loads blocks for catching up. persist false in
 * the log's configuration: there are no files, the few blocks in memory answer themselves. */
bool index_open(struct index **out, struct trace_log *log, bool persist,
                struct error *err) MUST_CHECK;
void index_close(struct index *index);

/*
 * Bring the index in line with the trace log: add blocks that it misses (a crash between block and
 * index), rebuild partitions whose file is missing, damaged or of another version. `rebuild`: all
 * of them anew. *added: blocks indexed. A partition that cannot be indexed now is searched block
 * by block until it can.
 */
bool index_catch_up(struct index *index, bool rebuild, uint64_t *added,
                    struct error *err) MUST_CHECK;

/*
 * Add a stored block, one transaction. A block that is there already changes nothing. After a
 * failure the block is searched itself, so that queries stay complete, and is added later: count
 * and log it, do not repeat. When a new partition begins, the one before is finished: its runs
 * become one.
 */
bool index_add(struct index *index, const struct block *block, struct error *err) MUST_CHECK;

/* Mend one partition whose file was found damaged or behind, if there is one; index_add() does so
 * too. Store thread. */
bool index_repair(struct index *index, struct error *err) MUST_CHECK;

/* Close and forget a partition, before its folder is unlinked. */
void index_drop(struct index *index, uint64_t partition);

/* Blocks that hold spans of this trace (possibly a few that do not: hashes), newest first; at most
 * max. *count is set. */
bool index_find(struct index *index, const struct trace_id *id, uint64_t *seqs, size_t max,
                size_t *count, struct error *err) MUST_CHECK;

/* Stored blocks that may hold spans of that service (empty: any) starting within the range, newest
 * first and each once, until `each` returns false. */
bool index_blocks(struct index *index, struct slice service, uint64_t start_ns_min,
                  uint64_t start_ns_max, bool (*each)(void *ctx, uint64_t seq), void *ctx,
                  struct error *err) MUST_CHECK;

/* Distinct names over all partitions, sorted, until `each` returns false. */
bool index_services(struct index *index, bool (*each)(void *ctx, struct slice service), void *ctx,
                    struct error *err) MUST_CHECK;
/* kind: enum span_kind of the operation; service is compared exactly. Sorted by name, then kind. */
bool index_operations(struct index *index, struct slice service,
                      bool (*each)(void *ctx, struct slice name, uint8_t kind), void *ctx,
                      struct error *err) MUST_CHECK;

uint64_t index_bytes(struct index *index); /* on disk */

#endif
