/*
 * log.h - struct wal, shared by the files of this folder.
 *
 *   wal.c      append, sync, failure              own: the log thread
 *   retire.c   release, sizes, recycling          shared: any thread
 *   recover.c  replay                             own: the log thread
 *   reader.c   readers                            shared: any thread
 *   memory.c   DURABILITY_MEMORY's queue          shared: any thread
 *
 * No file is read or written with the lock held.
 */
#ifndef SPANGATE_SRC_WAL_LOG_H
#define SPANGATE_SRC_WAL_LOG_H

#include "scan.h"
#include "segment.h"

#include <pthread.h>

enum { SPARES_MAX = 2 };

/* A record of DURABILITY_MEMORY, kept while readers are open. */
struct memory_record {
    struct wal_record record; /* payload: the bytes behind this struct */
};

struct wal {
    struct wal_config config; /* dir is ours */
    const struct fs *fs;
    const struct clock *clock;
    int lock_fd;

    /* Touched by the log thread only. */
    struct {
        struct segment *current; /* NULL: the next append begins one */
        int fd;                  /* of current, else -1 */
        uint64_t next_lsn;
        uint64_t next_number;
        uint8_t *gather; /* bytes that follow write_offset */
        size_t gathered;
        uint64_t write_offset;
        uint64_t unpublished; /* records appended since the last good wal_sync() */
        uint64_t unpublished_bytes;
        bool dirty; /* written since the last fdatasync */
        uint64_t synced_ns;
        bool refused; /* an append failed and took earlier ones along: wal_sync() must say so */
        struct error refusal;
        bool replayed;
    } own;

    struct {
        pthread_mutex_t lock;
        pthread_cond_t published;
        struct segment *
            *segments; /* by number; the last one holds the next lsn and is never retired */
        size_t segment_count, segment_cap;
        uint64_t spares[SPARES_MAX];
        size_t spare_count;
        struct wal_reader *readers;
        uint64_t begin_at;     /* no lsn below is given out */
        uint64_t closed_least; /* what readers that are closed still wanted; UINT64_MAX: nothing */
        uint64_t last;         /* the last durable lsn */
        bool replayed;         /* until then nothing is retired */
        bool retiring;         /* a thread is at it: one at a time, so that the oldest go first */

        struct memory_record **queue; /* DURABILITY_MEMORY: lsn queue_first, queue_first + 1 … */
        size_t queue_count, queue_head, queue_cap;
        uint64_t queue_first;
        uint64_t queue_bytes;
    } shared;
};

struct wal_reader {
    struct wal *wal;
    struct wal_reader *next; /* shared.lock, like the next two */
    uint64_t released;       /* records below are needed no more */
    bool woken;

    /* The reader's thread only. */
    struct scan scan;
    int fd; /* of scan, else -1 */
};

/* --- with shared.lock held --- */

/* The segment that has, or should have, the first record with lsn >= lsn; NULL: none yet. */
struct segment *wal_segment_from(struct wal *wal, uint64_t lsn);
/* The least lsn that a reader, open or closed, still wants; UINT64_MAX without. */
uint64_t wal_readers_least(const struct wal *wal);
void wal_add_segment(struct wal *wal, struct segment *segment);
void wal_gauge(struct wal *wal); /* METRIC_WAL_SIZE_BYTES */

/* Give back the segments that nobody needs. Any thread, lock not held. */
void wal_retire(struct wal *wal);
/* Keep the file `path` of no more use as spare `number`, or unlink it. Lock not held. */
void wal_dispose(struct wal *wal, uint64_t number, uint64_t file_bytes);

/* A spare's number, now the caller's; 0: none. */
uint64_t wal_spare_take(struct wal *wal);
void wal_unlink(struct wal *wal, const char *path); /* warns when it cannot */

bool memory_append(struct wal *wal, struct wal_record *record, struct error *err) MUST_CHECK;
void memory_publish(struct wal *wal);
void memory_trim(struct wal *wal); /* lock held: let go what all readers have passed */
void memory_free(struct wal *wal);
/* Lock held. The first published record with lsn >= lsn, or NULL. */
const struct memory_record *memory_find(const struct wal *wal, uint64_t lsn);

#endif
