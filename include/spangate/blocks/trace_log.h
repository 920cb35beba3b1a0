/*
 * trace_log.h - finished traces on disk: partitions of segment files, many blocks in each.
 *
 *   data_dir/blocks/2026-11-21T01/000001.blk …   one folder an hour (of sealing time, UTC)
 *   data_dir/blocks/2026-11-21T01/index.sqlite   the index beside them (index.h)
 *   data_dir/blocks/corrupt/                     copies of what was found damaged
 *   data_dir/blocks/next-seq                     so that a number is not used again after
 *                                                retention, and no record of the ingest log
 *                                                becomes a trace again
 *
 * The bytes are described in docs/formats.md. Sealing times never go back: when the wall clock
 * does, blocks are marked with the last sealing time until it has caught up, so partitions ascend
 * as the numbers do.
 *
 * Threads: trace_log_submit() is the trace thread's, trace_log_write() and trace_log_retain() the
 * store thread's; everything else may be called from any thread.
 */
#ifndef SPANGATE_BLOCKS_TRACE_LOG_H
#define SPANGATE_BLOCKS_TRACE_LOG_H

#include <spangate/base/clock.h>
#include <spangate/base/fs.h>
#include <spangate/blocks/block.h>

struct trace_log_config {
    char *dir;                /* data_dir/blocks */
    bool persist;             /* false: blocks live in memory until every destination has them */
    uint64_t retention_ns;    /* blocks older than this go, whole partitions at a time; 0: keep */
    uint64_t disk_bytes_max;  /* oldest partitions go when the blocks outgrow this; 0: no limit */
    uint64_t partition_ns;    /* default one hour */
    size_t cache_bytes_max;   /* blocks kept decompressed for destinations and queries */
    int zstd_level;           /* default 1 */
    bool keep_only_for_sinks; /* no trace_store in any pipeline: drop what every sink has taken */
};

struct trace_log;

/* What opening found. */
struct trace_log_recovery {
    uint64_t partitions, blocks, bytes, quarantined;
};

/*
 * Open, creating the folder; damaged or half-written blocks at the tail are moved to dir/corrupt/
 * and counted. Only headers are read. config is copied; fs, clock and budget are borrowed.
 * ERR_IN_USE: another process has the folder. ERR_UNSUPPORTED: a newer version wrote it.
 */
bool trace_log_open(struct trace_log **out, const struct trace_log_config *config,
                    const struct fs *fs, const struct clock *clock, struct budget *budget,
                    struct trace_log_recovery *report, struct error *err) MUST_CHECK;
void trace_log_close(struct trace_log *log); /* submitted blocks that were not written are lost */

/*
 * Give the block its seq and make it visible to trace_log_pending_each(), but not yet to readers by
 * seq. Takes the caller's reference. seq are handed out in the order of submission. It cannot
 * refuse: with persist false the caller watches trace_log_bytes() or trace_log_retain()'s *full
 * against cache_bytes_max.
 */
void trace_log_submit(struct trace_log *log, struct block *block);

/* Compress, write and sync one submitted block, in order of seq; then readers see it. With persist
 * false it only becomes visible. The block must be the oldest submitted. On failure it stays
 * submitted: try again later (into a new file: a failed sync is never repeated). On success the
 * reference that trace_log_submit() took is given up; hold your own to go on using the block. */
bool trace_log_write(struct trace_log *log, struct block *block, struct error *err) MUST_CHECK;

/* Blocks submitted and not yet visible by seq; newest first. For queries. */
void trace_log_pending_each(struct trace_log *log,
                            bool (*each)(void *ctx, const struct block *block), void *ctx);

/* What is known of a stored block without loading it. */
struct block_info {
    uint64_t seq;
    uint64_t sealed_ns;
    uint64_t start_ns_min, start_ns_max;
    uint64_t lsn_max;
    uint64_t stored_bytes;
    uint32_t trace_count, span_count;
    uint64_t partition; /* sealed_ns / partition_ns */
};

/* First block present with seq >= from (0: the oldest). false: none yet. */
bool trace_log_next(struct trace_log *log, uint64_t from, struct block_info *out);
uint64_t
trace_log_end(struct trace_log *log); /* seq the next written block will have; 1 when empty */
/* Stored blocks newest first, until `each` returns false. Not while holding other locks. */
void trace_log_each(struct trace_log *log, bool (*each)(void *ctx, const struct block_info *info),
                    void *ctx);

/* What is known of a partition that holds blocks. */
struct partition_info {
    uint64_t partition;
    uint64_t first_seq, last_seq; /* blocks between them may be gone */
    uint64_t block_count;
    uint64_t bytes;
};

/* Oldest first, until `each` returns false. Reads nothing. */
void trace_log_partitions(struct trace_log *log,
                          bool (*each)(void *ctx, const struct partition_info *info), void *ctx);

/*
 * Wait until a block with seq >= from is stored, up to wait_ns; true when there is one.
 * trace_log_wake() ends all waits early.
 */
bool trace_log_wait(struct trace_log *log, uint64_t from, uint64_t wait_ns);
void trace_log_wake(struct trace_log *log);

enum block_parts { BLOCK_TABLES, BLOCK_ALL }; /* BLOCK_TABLES: without raw */

/*
 * The block, from the cache or from disk; release with block_unref(). ERR_NOT_FOUND: dropped
 * meanwhile. ERR_CORRUPT: it is damaged; it is quarantined, counted and gone from now on.
 */
bool trace_log_load(struct trace_log *log, uint64_t seq, enum block_parts parts, struct block **out,
                    struct error *err) MUST_CHECK;

/* Bytes stored in blocks with seq >= from: how far a destination is behind. An estimate within a
 * partition whose list of blocks is not in memory. */
uint64_t trace_log_bytes_from(struct trace_log *log, uint64_t from);

/*
 * Tell how far a destination has come; blocks below the least of them count as delivered, all when
 * nobody ever told. Announce every destination before the first trace_log_retain().
 */
void trace_log_set_cursor(struct trace_log *log, const char *sink, uint64_t seq);

/*
 * The oldest record of the ingest log that is still needed: spans of all before it are stored. Kept
 * on disk when blocks are dropped, so that records which the ingest log still holds for others do
 * not become traces a second time. Never goes back.
 */
void trace_log_set_replay_from(struct trace_log *log, uint64_t lsn);
uint64_t trace_log_replay_from(struct trace_log *log); /* 0: not known */

/*
 * One turn of housekeeping: for each partition that retention or the disk limit lets go, call
 * `drop` (so that the index closes its file; NULL is allowed) and unlink the folder. Undelivered
 * blocks are dropped by retention too (counted by the destinations as skipped), but not by the
 * disk limit: then *full is set and the pipeline refuses new data. Where a whole partition cannot
 * go for the disk limit (it is the newest), its oldest segment files go. keep_only_for_sinks:
 * delivered segment files go as soon as the ingest log needs no record up to theirs. After the
 * wall clock was set by more than a minute, retention by age pauses for an hour. persist false:
 * *full says that undelivered blocks outgrow cache_bytes_max; delivered ones stay for queries up
 * to that size.
 */
bool trace_log_retain(struct trace_log *log, void (*drop)(void *ctx, uint64_t partition), void *ctx,
                      bool *full, struct error *err) MUST_CHECK;

/* The folder of a partition, for the index beside the blocks. out holds PATH_MAX bytes. */
void trace_log_partition_dir(struct trace_log *log, uint64_t partition, char *out);

uint64_t trace_log_bytes(struct trace_log *log);

#endif
