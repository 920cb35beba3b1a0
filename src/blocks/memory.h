/*
 * memory.h - what a block in memory consists of, for those who make blocks.
 *
 * The block lies inside its own bookkeeping, so that a const block leads to what has to be freed.
 */
#ifndef SPANGATE_SRC_BLOCKS_MEMORY_H
#define SPANGATE_SRC_BLOCKS_MEMORY_H

#include <spangate/base/arena.h>
#include <spangate/blocks/block.h>

enum { BLOCK_PARTS = 6 };

struct block_memory {
    struct block block;
    struct budget *budget;    /* NULL: not charged */
    size_t charged;           /* bytes, also the block's size in the cache */
    void *parts[BLOCK_PARTS]; /* heap memory of the tables */
    struct arena bytes;       /* of strings and envelopes, when a builder made the block */
};

/* A block with one reference, its tables still empty. */
struct block *block_new(struct budget *budget);

/* Charge the bytes that the tables take. Once. */
void block_charge(struct block *block, size_t bytes);

/* Memory the block holds. */
size_t block_bytes(const struct block *block);

#endif
