/*
 * wal.h - the ingest log: what lets an accepted request survive a crash.
 *
 * A folder of numbered segments, preallocated and recycled. A record holds one request body as
 * protobuf bytes (decompressed; JSON transcoded), so the format on disk does not move when our
 * structs do. The bytes are specified in docs/formats.md.
 *
 * Threads: wal_append(), wal_sync() and wal_replay() belong to one thread (the log thread);
 * wal_release*() and wal_reader_*() may be called from any thread, one thread a reader.
 *
 * Durability: a client may be told "accepted" after the wal_sync() that follows its
 * wal_append() returned true, and not before.
 */
#ifndef SPANGATE_WAL_WAL_H
#define SPANGATE_WAL_WAL_H

#include <spangate/base/clock.h>
#include <spangate/base/error.h>
#include <spangate/base/fs.h>
#include <spangate/base/slice.h>
#include <spangate/otlp/span.h>

enum durability {
    DURABILITY_SYNC,     /* "ok" after fdatasync */
    DURABILITY_INTERVAL, /* "ok" after write; fdatasync every interval: a power cut may lose that
                            much. wal_sync() does it, so call that regularly, also when idle. */
    DURABILITY_MEMORY,   /* "ok" at once; nothing on disk: a crash loses what is in memory */
};

struct wal_config {
    char *dir; /* data_dir/wal; unused with DURABILITY_MEMORY */
    enum durability durability;
    uint64_t interval_ns;     /* DURABILITY_INTERVAL: between syncs */
    uint64_t segment_bytes;   /* 0: 32 MiB; at most a quarter of total_bytes_max, and 1 GiB */
    uint64_t total_bytes_max; /* of all segments; beyond, wal_append() says ERR_LIMIT; 0: none */
};

struct wal_record {
    uint64_t lsn; /* 1, 2, 3 …; never reused */
    enum otlp_signal signal;
    uint32_t route;       /* the caller's: which receiver, so which pipelines */
    uint64_t received_ns; /* wall time */
    struct slice payload;
};

/* What recovery found; for the start-up log line and `check`. */
struct wal_recovery {
    uint64_t segments, records, bytes;
    uint64_t torn_bytes; /* cut off at the tail */
    uint64_t
        quarantined; /* damaged stretches stepped over; their bytes are copied to dir/corrupt/ */
};

struct wal;

/*
 * Open the log, creating the folder if it is missing. A lock file keeps a second process out
 * (ERR_IN_USE). *out is set only on success; release it with wal_close(). config is copied; fs
 * and clock are borrowed and must outlive the log.
 */
bool wal_open(struct wal **out, const struct wal_config *config, const struct fs *fs,
              const struct clock *clock, struct error *err) MUST_CHECK;

/*
 * Before wal_replay(): the least lsn that a surviving record can have; 0: not known, or none. Reads
 * one header.
 */
uint64_t wal_first(struct wal *wal);

/* Before wal_replay(): lsn below are not given out from now on, whatever a power cut took. */
void wal_begin_at(struct wal *wal, uint64_t lsn);

/*
 * Hand every surviving record to `each`, in order of lsn, once, before the first append (also in a
 * new folder and with DURABILITY_MEMORY). The payload is valid during the call. A torn tail is cut;
 * damage in the middle is quarantined and stepped over. Each record handed out counts as not
 * released; `each` may release it at once. `each` returning false ends the replay with its error.
 * Fails also when the disk cannot be read, and with ERR_UNSUPPORTED when a later release wrote the
 * log: nothing is changed then. After a failure the log can only be closed.
 */
bool wal_replay(struct wal *wal,
                bool (*each)(void *ctx, const struct wal_record *record, struct error *err),
                void *ctx, struct wal_recovery *report, struct error *err) MUST_CHECK;

/*
 * Queue a record for the next wal_sync(); the bytes are copied or written before return.
 * record->lsn is set. ERR_LIMIT: the log is at total_bytes_max or the disk is full: say "retry
 * later". ERR_TOO_LARGE: longer than a segment can hold (segments grow to fit one record up to 80
 * MiB, so this is a programming error upstream). ERR_UNAVAILABLE: the disk failed; a fresh segment
 * is tried at the next append. If that took records along that were appended before, appends fail
 * until wal_sync() has failed, too: so always call that after a batch.
 */
bool wal_append(struct wal *wal, struct wal_record *record, struct error *err) MUST_CHECK;

/*
 * Make every record appended so far durable in the sense of config.durability. On failure all
 * records since the last successful sync are void: they will not be replayed nor read, their lsn
 * are not reused, and the caller refuses those requests. The segment is sealed at its last good
 * byte, never synced again, and the next append begins a fresh one. (A crash before that fresh one
 * has a record may bring void records back: their sender was told to retry, so it is a repetition.)
 */
bool wal_sync(struct wal *wal, struct error *err) MUST_CHECK;

/*
 * These records are needed no more by the trace log. Order does not matter, nor does twice. Any
 * thread. Released records may be replayed again after a start: their segment held others, too.
 */
void wal_release(struct wal *wal, const uint64_t *lsns, size_t count);

/*
 * Bytes in segments that hold unreleased or unread records; the oldest lsn in need (next lsn if
 * none); the last durable lsn. Any thread.
 */
uint64_t wal_size(struct wal *wal);
uint64_t wal_oldest(struct wal *wal);
uint64_t wal_oldest_unreleased(struct wal *wal); /* the same, whatever readers want */
uint64_t wal_last(struct wal *wal);

/*
 * A reader follows the durable records (destinations of logs and metrics, and traces with
 * `export_on: accepted`). While it is open, segments stay until it has passed them. from_lsn: the
 * first record wanted; older ones may be gone. Open readers before wal_replay() so that nothing is
 * missed, and so that lsn below from_lsn are not given out again after a power cut took them.
 */
struct wal_reader;
struct wal_reader *wal_reader_open(struct wal *wal, uint64_t from_lsn);
/*
 * The next record with lsn >= *lsn (then *lsn is set to it). Waits up to wait_ns for one.
 * true with record->lsn 0: none yet. The payload is valid until the next call on this reader.
 * ERR_CORRUPT: that record cannot be read; *lsn is set to it, continue with *lsn + 1. Any other
 * error is the disk's: ask for the same again later.
 */
bool wal_reader_next(struct wal_reader *reader, uint64_t *lsn, uint64_t wait_ns,
                     struct wal_record *record, struct error *err) MUST_CHECK;
/* Everything below lsn is needed no more by this reader. */
void wal_reader_release(struct wal_reader *reader, uint64_t lsn);
void wal_reader_wake(struct wal_reader *reader); /* end a wait early; any thread */
/* What it has not released stays until wal_close(), and so for the next life. */
void wal_reader_close(struct wal_reader *reader);

/* Records that were not synced are lost. Readers must be closed before. NULL is allowed. */
void wal_close(struct wal *wal);

#endif
