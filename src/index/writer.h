/*
 * writer.h - the one connection that writes and checkpoints a partition's index. Store thread.
 *
 * It remembers what the file knows (services, operations), so that a block that brings nothing new
 * costs one row and one run.
 */
#ifndef SPANGATE_SRC_INDEX_WRITER_H
#define SPANGATE_SRC_INDEX_WRITER_H

#include "db.h"
#include "filter.h"

#include <spangate/base/arena.h>
#include <spangate/base/map.h>
#include <spangate/blocks/block.h>

/* What a partition lists at most; more are left out and one warning is logged. */
enum { SERVICES_MAX = 10000, OPERATIONS_PER_SERVICE_MAX = 10000, OPERATIONS_MAX = 100000 };

/* Hashes of what is known already; 0 is no member. */
struct hash_set {
    uint64_t *slots;
    size_t cap, count;
};

struct writer_service {
    uint32_t id;
    uint32_t operation_count;
    struct slice name;
};

struct index_writer {
    struct db db;
    bool open;
    uint64_t partition;
    int64_t base; /* seq of the first block indexed; 0: none yet */
    int64_t next_run;
    int wal_pages; /* in the WAL after the last commit */
    bool finished; /* all runs are one and the filter is there: undone by the next add */
    struct arena names;
    struct map services; /* name to writer_service */
    size_t service_count;
    size_t operation_count;
    struct hash_set operations;
};

/* What the file says about its blocks. */
struct index_sums {
    uint64_t blocks;
    uint64_t last_seq;
    int64_t start_min, start_max;
};

/* Open or make the file. ERR_CORRUPT: delete and rebuild. w is closed. */
bool index_writer_open(struct index_writer *w, uint64_t partition, const char *path,
                       struct error *err) MUST_CHECK;

/* One transaction. A block that is there already changes nothing. */
bool index_writer_add(struct index_writer *w, const struct block *block,
                      struct error *err) MUST_CHECK;

bool index_writer_has(struct index_writer *w, uint64_t seq, bool *has,
                      struct error *err) MUST_CHECK;

bool index_writer_sums(struct index_writer *w, struct index_sums *out,
                       struct error *err) MUST_CHECK;

/*
 * Nothing is expected any more: merge all runs into one, store a filter for them (also into
 * *filter, taken by the caller), make the file compact.
 */
bool index_writer_finish(struct index_writer *w, struct filter *filter,
                         struct error *err) MUST_CHECK;

/* Hand an open writer over for being finished, perhaps by another thread; `from` is closed then. */
void index_writer_move(struct index_writer *to, struct index_writer *from);

void index_writer_close(struct index_writer *w); /* a closed one is allowed */

/* CRC of rows, computed alike by reader and writer. */
uint32_t index_block_crc(uint64_t seq, int64_t start_min, int64_t start_max, struct slice services);
uint32_t index_name_crc(uint64_t id, struct slice name, uint8_t kind);

#endif
