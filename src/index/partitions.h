/*
 * partitions.h - what the index knows of each partition, and the connections for reading them.
 *
 * Shared by all threads, under one lock that is not held while SQLite works.
 */
#ifndef SPANGATE_SRC_INDEX_PARTITIONS_H
#define SPANGATE_SRC_INDEX_PARTITIONS_H

#include "reader.h"

#include <pthread.h>

enum {
    READERS_IDLE_MAX = 32,       /* connections kept open */
    FILTERS_BYTES_MAX = 8 << 20, /* of all filters together; newest partitions first */
    MISSING_MAX = 1024,          /* blocks that are in the log but not in the file */
};

struct index_partition {
    uint64_t id;
    uint64_t generation; /* another one after a rebuild: older connections are of no use */
    bool damaged;        /* the file cannot answer; the blocks do */
    uint64_t *missing;   /* blocks that the file lacks although it is sound */
    size_t missing_count;
    int64_t start_min, start_max; /* of spans in the file's blocks; min over max: none */
    struct filter filter;
};

/* An open connection, of one thread while taken. */
struct index_reader {
    struct db db;
    uint64_t partition, generation;
    struct index_reader *next;
};

struct partition_set {
    pthread_mutex_t lock;
    struct index_partition *partitions; /* ascending */
    size_t count, cap;
    uint64_t generation; /* last one given */
    size_t filter_bytes;
    uint64_t end;              /* blocks below are in a file, missing or of a damaged partition */
    struct index_reader *idle; /* used last first */
    size_t idle_count;
};

/* What a query takes along of a partition. */
struct partition_view {
    uint64_t id, generation;
    bool damaged;
    bool may_have; /* by the filter */
    int64_t start_min, start_max;
    struct seq_list missing; /* newest first */
};

void partition_set_init(struct partition_set *set);
void partition_set_deinit(struct partition_set *set);

/*
 * All partitions, newest first; release with partition_views_free(). hash NULL: no filter is
 * asked. *end: blocks from there on are not in any file yet.
 */
struct partition_view *partition_set_views(struct partition_set *set, const uint64_t *hash,
                                           size_t *count, uint64_t *end);
void partition_views_free(struct partition_view *views, size_t count);

/* The partition is answered by its file from now on, or, damaged, by its blocks. filter is taken
 * (or NULL). */
void partition_set_put(struct partition_set *set, uint64_t id, bool damaged,
                       const struct index_sums *sums, struct filter *filter);
/* The filter of a partition that is finished; taken. */
void partition_set_filter(struct partition_set *set, uint64_t id, struct filter *filter);
/*
 * The file cannot answer. false: nobody knows that partition (any more), or not that generation
 * (0: any), or it is known already.
 */
bool partition_set_damage(struct partition_set *set, uint64_t id, uint64_t generation);
void partition_set_remove(struct partition_set *set, uint64_t id);

/* A block was added to the file: it may be in any filter, and widens the bounds. */
void partition_set_added(struct partition_set *set, const struct block *block, uint64_t id);
/* A block could not be added; too many of those count as damage. */
void partition_set_missing(struct partition_set *set, uint64_t id, uint64_t seq);

/* A partition that has to be mended, the newest; false: none. missing: what its file lacks. */
bool partition_set_ailing(struct partition_set *set, uint64_t *id, bool *damaged,
                          struct seq_list *missing);
/* These are in the file now. */
void partition_set_mended(struct partition_set *set, uint64_t id);

bool partition_set_knows(struct partition_set *set, uint64_t id, bool *damaged);
/* Ids of all, ascending; release with free(). */
uint64_t *partition_set_ids(struct partition_set *set, size_t *count);
void partition_set_reach(struct partition_set *set, uint64_t end);

/* An idle connection, or NULL: open one. */
struct index_reader *partition_set_take(struct partition_set *set, uint64_t id,
                                        uint64_t generation);
/* Keep it for the next, or close it. */
void partition_set_give(struct partition_set *set, struct index_reader *reader);

#endif
