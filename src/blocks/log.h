/*
 * log.h - the trace log from inside: shared by trace_log.c (write and read), recover.c (open) and
 * retain.c (housekeeping).
 *
 * `shared` is touched by any thread under its lock, which is never held during I/O. `own` belongs
 * to the store thread, and before the threads start to whoever opens the log.
 */
#ifndef SPANGATE_SRC_BLOCKS_LOG_H
#define SPANGATE_SRC_BLOCKS_LOG_H

#include "cache.h"
#include "partition.h"

#include <pthread.h>
#include <spangate/blocks/trace_log.h>

/* A segment file this long is finished and the next begun. */
enum { SEGMENT_BYTES = 64 * 1024 * 1024, SEGMENT_BYTES_MIN = 1024 * 1024 };

/* Lists of blocks held in memory over all partitions; older ones are read again when asked for. */
enum { ENTRIES_LOADED_MAX = 65536 };

struct log_cursor {
    char *sink;
    uint64_t seq;
};

struct trace_log {
    struct trace_log_config config; /* dir is our copy */
    const struct fs *fs;
    const struct clock *clock;
    struct budget *budget;
    int lock_fd;               /* keeps a second process out; -1: persist false */
    size_t entries_loaded_max; /* ENTRIES_LOADED_MAX; tests lower it */

    struct {
        pthread_mutex_t lock;
        pthread_cond_t stored; /* a block became visible, or trace_log_wake() */
        uint64_t wakes;
        struct partition *partitions; /* ascending by id and by seq */
        size_t partition_count, partition_cap;
        uint64_t tick;
        uint64_t bytes;       /* stored */
        uint64_t end;         /* seq that the next written block will have */
        uint64_t next_seq;    /* for the next submitted block */
        uint64_t replay_from; /* trace_log_set_replay_from(); 0: nobody said */
        uint64_t sealed_ns_last;
        struct block **pending; /* submitted, oldest first */
        size_t pending_count, pending_cap;
        struct block **kept; /* persist false: the blocks, ascending, from kept_head on */
        size_t kept_head, kept_count, kept_cap;
        struct log_cursor *cursors;
        size_t cursor_count;
        struct block_cache full;   /* with raw */
        struct block_cache tables; /* without: a search over many must not push out the others */
    } shared;

    struct {
        struct blockfile_writer writer;
        uint64_t partition; /* of writer */
        struct block_image image;
        uint64_t wall_ns,
            monotonic_ns;             /* at the last retention: is the wall clock to be trusted? */
        uint64_t suspicious_until_ns; /* monotonic */
    } own;
};

/* Locked unless said otherwise. */

void log_lock(struct trace_log *log);
void log_unlock(struct trace_log *log);

/* NULL: no such partition. */
struct partition *log_partition(struct trace_log *log, uint64_t id);

/* The partition of that id, added at the end if it is new. */
struct partition *log_add_partition(struct trace_log *log, uint64_t id, const char *name);

/* Take a partition out of the array; its memory is released. */
void log_remove_partition(struct trace_log *log, struct partition *p);

/* Unload lists over the limit, but not the newest partition's nor `keep`'s. */
void log_unload_some(struct trace_log *log, const struct partition *keep);

/* All blocks below are delivered; UINT64_MAX without destinations. */
uint64_t log_delivered(const struct trace_log *log);

/* Not locked: reads the list of a partition if it is not loaded. false: it cannot be read now. */
bool log_load_partition(struct trace_log *log, uint64_t id, struct error *err) MUST_CHECK;

/* Not locked. Path of a partition's folder / of a file in it; false: too long. */
bool log_partition_path(const struct trace_log *log, const char *name, char *out);
bool log_file_path(const struct trace_log *log, const char *name, uint32_t file, char *out);

/* Not locked. Copy a stretch of a file to dir/corrupt/, as far as possible. */
void log_save_damaged(struct trace_log *log, const char *path, uint64_t offset, uint64_t len);

/* recover.c: find what is on disk. Before any other thread. */
bool log_recover(struct trace_log *log, struct trace_log_recovery *report,
                 struct error *err) MUST_CHECK;

/* retain.c: with persist false, forget delivered blocks over the memory limit. Locked; what goes
 * is put into *gone (release after unlocking). */
void log_trim_memory(struct trace_log *log, struct cached_block **gone);

#endif
