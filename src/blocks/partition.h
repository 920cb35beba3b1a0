/*
 * partition.h - one folder of the trace log: its name, its segment files, its list of blocks.
 *
 * The list is small but there may be very many blocks, so only the lists of partitions in use are
 * held; the sums stay. No I/O here but in partition_read(); the caller locks.
 */
#ifndef SPANGATE_SRC_BLOCKS_PARTITION_H
#define SPANGATE_SRC_BLOCKS_PARTITION_H

#include "blockfile.h"

enum { PARTITION_NAME_MAX = 32 };

struct partition_file {
    uint32_t number;
    uint64_t last_seq;
    uint64_t lsn_max; /* the highest ingest-log record in its blocks */
};

struct partition {
    uint64_t id;
    char name[PARTITION_NAME_MAX];
    uint64_t first_seq, last_seq; /* of all blocks ever counted; those between may be gone */
    uint64_t bytes, block_count;
    uint64_t sealed_ns_max;
    struct partition_file *files; /* with blocks, ascending */
    size_t file_count, file_cap;
    uint32_t file_max; /* highest number seen */

    bool loaded;
    struct block_entry *entries; /* ascending seq, those from head on, when loaded */
    size_t head, count, cap;
    uint64_t used; /* tick of the last lookup */
};

/* The name of a partition's folder: the UTC time at which it begins. */
void partition_format(uint64_t id, uint64_t partition_ns, char out[PARTITION_NAME_MAX]);
/* The time in such a name; false: no such name. */
bool partition_parse(const char *name, uint64_t *start_ns);

void partition_deinit(struct partition *p);

/* Add a block behind the others. */
void partition_push(struct partition *p, const struct block_entry *entry);

/* First entry with seq >= from; entries + count when none. Loaded ones only. */
struct block_entry *partition_lower(const struct partition *p, uint64_t from);

/* Forget a block of a loaded partition. false: it is not there. */
bool partition_remove(struct partition *p, uint64_t seq, struct block_entry *removed);

/* Forget the first file and its blocks; loaded ones only. */
void partition_remove_file(struct partition *p);

/* Drop the list, keep the sums. */
void partition_unload(struct partition *p);

/* Segment files of a folder, ascending by number; release with free(). */
bool partition_files(const struct fs *fs, const char *dir, uint32_t **numbers, size_t *count,
                     struct error *err) MUST_CHECK;

/* By seq, then by file and offset: what was written again later stands behind. */
void entries_sort(struct block_entry *entries, size_t count);

/* Keep the last of each seq. Returns how many are left. */
size_t entries_dedupe(struct block_entry *entries, size_t count);

#endif
