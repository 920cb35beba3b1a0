/* filter.c - a blocked Bloom filter. */
#include "filter.h"

#include <spangate/base/mem.h>
#include <stdlib.h>

enum { BITS_PER_HASH = 12, PROBES = 7, LINE_BITS = 512, PROBE_BITS = 9 };

void filter_init(struct filter *filter, uint64_t hashes)
{
    filter->lines = (size_t)(hashes * BITS_PER_HASH / LINE_BITS + 1);
    filter->words = mem_zalloc(filter->lines, FILTER_LINE_BYTES);
}

void filter_deinit(struct filter *filter)
{
    free(filter->words);
    *filter = (struct filter){0};
}

static uint64_t *line_of(const struct filter *filter, uint64_t hash)
{
    size_t line = (size_t)((hash >> 32) * filter->lines >> 32);

    return filter->words + line * FILTER_LINE_WORDS;
}

/* Seven numbers of nine bits; the line was chosen by the upper half of the hash. */
static uint64_t probes_of(uint64_t hash)
{
    return (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15);
}

void filter_add(struct filter *filter, uint64_t hash)
{
    uint64_t *line = line_of(filter, hash);
    uint64_t probes = probes_of(hash);

    for (int i = 0; i < PROBES; i++, probes >>= PROBE_BITS) {
        line[(probes & (LINE_BITS - 1)) / 64] |= UINT64_C(1) << (probes & 63);
    }
}

bool filter_may_have(const struct filter *filter, uint64_t hash)
{
    if (filter->words == NULL) {
        return true;
    }
    const uint64_t *line = line_of(filter, hash);
    uint64_t probes = probes_of(hash);
    for (int i = 0; i < PROBES; i++, probes >>= PROBE_BITS) {
        if ((line[(probes & (LINE_BITS - 1)) / 64] & UINT64_C(1) << (probes & 63)) == 0) {
            return false;
        }
    }
    return true;
}
