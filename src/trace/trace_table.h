/*
 * trace_table.h - the records of open traces, the way to them by trace id, and the queues they
 * wait in.
 *
 * A record has two links: `quiet` for exactly one of the queues by last activity, `age` for the
 * list of all traces by their first span. All delays are constants, so every queue is in order of
 * its deadline by appending alone: no heap, no scan. Owner: the correlator's thread.
 */
#ifndef SPANGATE_TRACE_TRACE_TABLE_H
#define SPANGATE_TRACE_TRACE_TABLE_H

#include "slab.h"
#include "tag_table.h"
#include <spangate/otlp/span.h>

#define TRACE_NONE UINT32_MAX

enum { SMALL_TRACE_SPANS = 16 };

enum trace_queue {
    QUEUE_IDLE,     /* no root that has ended: waits for idle */
    QUEUE_SETTLING, /* root ended: waits for settle */
    QUEUE_WAITING,  /* root ended, but a parent is missing: waits for idle */
    QUEUE_READY,    /* finished, to be taken */
    QUEUES
};

enum trace_link { LINK_QUIET, LINK_AGE, LINKS };

struct link {
    uint32_t prev, next;
};

struct fifo {
    uint32_t first, last;
};

struct seen;

struct trace_record {
    struct trace_id id;
    uint8_t prints
        [SMALL_TRACE_SPANS];    /* a byte of the hash of each span id, while there is no `seen` */
    uint64_t first_ns, last_ns; /* monotonic: first span, latest span */
    struct seen *seen;          /* span ids of a large trace, NULL for a small one */
    uint32_t span_first, span_last; /* references of span_store.h */
    uint32_t span_count;
    uint32_t route;
    uint32_t revision; /* the one it will be finished as */
    struct link link[LINKS];
    uint8_t queue;  /* enum trace_queue */
    uint8_t reason; /* enum trace_reason, once ready */
    bool root_ended;
    bool complete; /* no parent is missing; false: not known */
};

struct trace_table {
    struct slab slab;
    struct tag_table table;
    struct fifo queues[QUEUES];
    struct fifo age;
};

void trace_table_init(struct trace_table *traces, struct account *account);
void trace_table_deinit(struct trace_table *traces);

static inline struct trace_record *trace_at(const struct trace_table *traces, uint32_t index)
{
    return slab_at(&traces->slab, index);
}

/* The trace that takes spans for this id; TRACE_NONE when none is open. */
uint32_t trace_table_find(const struct trace_table *traces, const struct trace_id *id);

/* A new record, zeroed but for id, links and span references, at the end of the age list, in no
 * queue. */
uint32_t trace_table_insert(struct trace_table *traces, const struct trace_id *id);

/* The id no longer leads to the record: later spans make a new one. */
void trace_table_forget(struct trace_table *traces, uint32_t index);

void trace_table_free(struct trace_table *traces, uint32_t index);

void fifo_append(struct trace_table *traces, struct fifo *fifo, enum trace_link which,
                 uint32_t index);
void fifo_remove(struct trace_table *traces, struct fifo *fifo, enum trace_link which,
                 uint32_t index);

/* Move a trace to the end of a queue, out of the one it is in. */
void trace_table_queue(struct trace_table *traces, uint32_t index, enum trace_queue queue);

#endif
