/*
 * cache.h - decompressed blocks, least recently used first to go. The caller locks.
 */
#ifndef SPANGATE_SRC_BLOCKS_CACHE_H
#define SPANGATE_SRC_BLOCKS_CACHE_H

#include <spangate/blocks/block.h>

enum { BLOCK_CACHE_BUCKETS = 1024 };

struct cached_block {
    struct block *block;
    size_t bytes;
    struct cached_block *chain;         /* same bucket */
    struct cached_block *newer, *older; /* by last use */
};

struct block_cache {
    struct cached_block *buckets[BLOCK_CACHE_BUCKETS];
    struct cached_block *newest, *oldest;
    size_t bytes;
    size_t bytes_max;
};

void block_cache_init(struct block_cache *cache, size_t bytes_max);

/* A new reference, or NULL. */
struct block *block_cache_get(struct block_cache *cache, uint64_t seq);

/*
 * Keep a reference to the block, replacing one with the same seq. What has to go is put in a list
 * to be released with block_cache_release() after unlocking.
 */
void block_cache_put(struct block_cache *cache, struct block *block, struct cached_block **gone);

/* Forget a block. */
void block_cache_remove(struct block_cache *cache, uint64_t seq, struct cached_block **gone);

/* Forget all. */
void block_cache_clear(struct block_cache *cache, struct cached_block **gone);

/* Without the lock: freeing memory takes time. */
void block_cache_release(struct cached_block *gone);

#endif
