/*
 * reader.h - questions to one partition's index, on a query-only connection.
 *
 * Each call is one read transaction, so that it sees runs and chunks of one moment, and is short,
 * so that the writer's checkpoints are not held up: rows are handed over in portions between
 * transactions.
 */
#ifndef SPANGATE_SRC_INDEX_READER_H
#define SPANGATE_SRC_INDEX_READER_H

#include "db.h"
#include "filter.h"
#include "names.h"
#include "writer.h"

/* A growing list of block numbers. */
struct seq_list {
    uint64_t *seqs;
    size_t count, cap;
};

void seq_list_push(struct seq_list *list, uint64_t seq);
/* Newest first, without repeats. */
void seq_list_sort(struct seq_list *list);

bool index_read_find(struct db *db, uint64_t hash, struct seq_list *out,
                     struct error *err) MUST_CHECK;

/*
 * Up to `max` blocks with seq < *below that overlap the range and may have the service (empty:
 * any), newest first, appended. *below is set for the next call; 0: there are no more.
 */
bool index_read_blocks(struct db *db, struct slice service, int64_t start_min, int64_t start_max,
                       uint64_t *below, size_t max, struct seq_list *out,
                       struct error *err) MUST_CHECK;

bool index_read_services(struct db *db, struct name_set *out, struct error *err) MUST_CHECK;
bool index_read_operations(struct db *db, struct slice service, struct name_set *out,
                           struct error *err) MUST_CHECK;

/* What a finished partition says of itself. *finished false: it is not. */
bool index_read_summary(struct db *db, bool *finished, struct index_sums *sums,
                        struct error *err) MUST_CHECK;

/* The stored filter; none when it would take over bytes_max. */
bool index_read_filter(struct db *db, size_t bytes_max, struct filter *out,
                       struct error *err) MUST_CHECK;

#endif
