/*
 * internal.h - the index from inside: index.c answers queries, catch_up.c keeps the files in line
 * with the trace log.
 */
#ifndef SPANGATE_SRC_INDEX_INTERNAL_H
#define SPANGATE_SRC_INDEX_INTERNAL_H

#include "partitions.h"

#include <spangate/base/thread.h>
#include <spangate/index/index.h>

struct index {
    struct trace_log *log;
    bool persist;
    struct partition_set set;   /* any thread */
    struct index_writer writer; /* the store thread's, of one partition at a time */
    uint64_t repair_pause;      /* adds to wait before mending is tried again */

    /*
     * Finishing a partition takes a second for ten million traces, and blocks must go on being
     * stored meanwhile: the writer of the partition before is handed over to a thread of its own.
     * One at a time.
     */
    struct {
        struct thread thread;
        struct index_writer writer;
        uint64_t partition;
    } finisher;
};

/* Path of a partition's file. out holds PATH_MAX bytes. false: too long. */
bool index_path(struct index *index, uint64_t partition, char *out);

/* Make the writer that of this partition; the one before is finished when it is an older one. A
 * damaged file is rebuilt: *added counts its blocks. */
bool index_writer_for(struct index *index, uint64_t partition, uint64_t *added,
                      struct error *err) MUST_CHECK;

/* Wait until a partition that is being finished is so. Store thread. */
void index_join_finisher(struct index *index);

/* Mend one ailing partition if there is one. Store thread. */
bool index_mend(struct index *index, struct error *err) MUST_CHECK;

#endif
