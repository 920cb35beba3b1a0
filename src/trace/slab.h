/*
 * slab.h - items of one size, addressed by a 32-bit index that stays theirs until they are freed.
 *
 * Items stand in blocks of 256; a block goes back to the heap when its last item is freed, so that
 * a burst of traces does not pin memory for ever. Owner: the correlator's thread.
 */
#ifndef SPANGATE_TRACE_SLAB_H
#define SPANGATE_TRACE_SLAB_H

#include "account.h"
#include <stdint.h>

#define SLAB_NONE UINT32_MAX

enum { SLAB_BLOCK_ITEMS = 256 };

struct slab_block {
    uint8_t *items;      /* NULL: this block's memory is not there */
    uint32_t used;       /* items in use */
    uint32_t free;       /* first free item of this block (place within it) */
    uint32_t prev, next; /* neighbours in the list the block is in */
};

struct slab {
    struct slab_block *blocks;
    uint32_t block_count, block_cap;
    uint32_t partial; /* blocks that have memory and a free item */
    uint32_t absent;  /* blocks without memory (linked by next only) */
    uint32_t count;   /* items in use */
    size_t item_size;
    struct account *account;
};

void slab_init(struct slab *slab, size_t item_size, struct account *account);
void slab_deinit(struct slab *slab);

uint32_t slab_alloc(struct slab *slab); /* the item is not zeroed */
void slab_free(struct slab *slab, uint32_t index);

static inline void *slab_at(const struct slab *slab, uint32_t index)
{
    return slab->blocks[index / SLAB_BLOCK_ITEMS].items +
           (size_t)(index % SLAB_BLOCK_ITEMS) * slab->item_size;
}

#endif
