/*
 * lsn_refs.h - how many spans of each ingest-log record are not yet in a synced block.
 *
 * The trace thread sets the count when it takes a record in; the store thread counts down as blocks
 * are stored. A record at 0 may leave the ingest log. One lock, taken once a request and once a
 * block.
 */
#ifndef SPANGATE_SRC_PIPELINE_LSN_REFS_H
#define SPANGATE_SRC_PIPELINE_LSN_REFS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct lsn_refs {
    pthread_mutex_t lock;
    uint64_t base;    /* lsn of counts[head] */
    uint32_t *counts; /* a ring: records are numbered without gaps, nearly */
    size_t head, len, cap;
};

void lsn_refs_init(struct lsn_refs *refs);
void lsn_refs_deinit(struct lsn_refs *refs);

/* lsn must be above all earlier ones. */
void lsn_refs_set(struct lsn_refs *refs, uint64_t lsn, uint32_t spans);

/*
 * One span less for each entry. Records that came to 0 are moved to the front of lsns; returns how
 * many those are.
 */
size_t lsn_refs_drop(struct lsn_refs *refs, uint64_t *lsns, size_t count);

#endif
