/*
 * filter.h - a Bloom filter over the hashes of a finished partition's trace ids, so that looking
 * for a trace in a hundred partitions opens the few that may have it.
 *
 * All bits of one hash lie in one 64-byte line. Twelve bits a hash: about one wrong hit in a
 * hundred and fifty.
 */
#ifndef SPANGATE_SRC_INDEX_FILTER_H
#define SPANGATE_SRC_INDEX_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct filter {
    uint64_t *words; /* NULL: no filter, everything may be in */
    size_t lines;    /* of 8 words */
};

enum { FILTER_LINE_WORDS = 8, FILTER_LINE_BYTES = 64 };

void filter_init(struct filter *filter, uint64_t hashes); /* for so many */
void filter_deinit(struct filter *filter);
void filter_add(struct filter *filter, uint64_t hash);
bool filter_may_have(const struct filter *filter, uint64_t hash);

static inline size_t filter_bytes(const struct filter *filter)
{
    return filter->lines * FILTER_LINE_BYTES;
}

#endif
