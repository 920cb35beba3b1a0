/*
 * remembered.h - which traces were finished before, and as which revision: a bounded memory.
 *
 * Holds a 64-bit seeded hash of the trace id (that two of a million traces share one has a chance
 * of one in 37 million), 12 bytes and a table slot each. The longest finished one makes room for
 * the next; finishing again counts as new. Memory grows with use up to the bound.
 */
#ifndef SPANGATE_TRACE_REMEMBERED_H
#define SPANGATE_TRACE_REMEMBERED_H

#include "tag_table.h"
#include <spangate/otlp/span.h>

struct remembered_entry {
    uint32_t hash_high, hash_low;
    uint32_t revision; /* 0: nothing here */
};

struct remembered {
    struct remembered_entry *ring;
    uint32_t cap; /* of ring; grows to max */
    uint32_t max;
    uint32_t count; /* ring places used so far */
    uint32_t head;  /* the next place to write once all are used */
    struct tag_table table;
    struct account *account;
};

void remembered_init(struct remembered *remembered, size_t max, struct account *account);
void remembered_deinit(struct remembered *remembered);
void remembered_resize(struct remembered *remembered, size_t max); /* keeps the latest */

uint32_t remembered_get(const struct remembered *remembered, const struct trace_id *id); /* 0: no */
void remembered_put(struct remembered *remembered, const struct trace_id *id, uint32_t revision);

#endif
