/*
 * cache.c - a hash table with a list through it.
 */
#include "cache.h"

#include "memory.h"

#include <spangate/base/mem.h>
#include <stdlib.h>

void block_cache_init(struct block_cache *cache, size_t bytes_max)
{
    *cache = (struct block_cache){.bytes_max = bytes_max};
}

static struct cached_block **bucket_of(struct block_cache *cache, uint64_t seq)
{
    return &cache->buckets[seq % BLOCK_CACHE_BUCKETS];
}

static void unlink_use(struct block_cache *cache, struct cached_block *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void link_newest(struct block_cache *cache, struct cached_block *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

struct block *block_cache_get(struct block_cache *cache, uint64_t seq)
{
    for (struct cached_block *e = *bucket_of(cache, seq); e != NULL; e = e->chain) {
        if (e->block->seq == seq) {
            unlink_use(cache, e);
            link_newest(cache, e);
            return block_ref(e->block);
        }
    }
    return NULL;
}

void block_cache_remove(struct block_cache *cache, uint64_t seq, struct cached_block **gone)
{
    for (struct cached_block **at = bucket_of(cache, seq); *at != NULL; at = &(*at)->chain) {
        struct cached_block *entry = *at;
        if (entry->block->seq == seq) {
            *at = entry->chain;
            unlink_use(cache, entry);
            cache->bytes -= entry->bytes;
            entry->chain = *gone;
            *gone = entry;
            return;
        }
    }
}

void block_cache_put(struct block_cache *cache, struct block *block, struct cached_block **gone)
{
    size_t bytes = block_bytes(block);

    block_cache_remove(cache, block->seq, gone);
    if (bytes > cache->bytes_max) {
        return;
    }
    struct cached_block *entry = mem_zalloc(1, sizeof(*entry));
    entry->block = block_ref(block);
    entry->bytes = bytes;
    entry->chain = *bucket_of(cache, block->seq);
    *bucket_of(cache, block->seq) = entry;
    link_newest(cache, entry);
    cache->bytes += bytes;
    while (cache->bytes > cache->bytes_max) {
        block_cache_remove(cache, cache->oldest->block->seq, gone);
    }
}

void block_cache_clear(struct block_cache *cache, struct cached_block **gone)
{
    while (cache->oldest != NULL) {
        block_cache_remove(cache, cache->oldest->block->seq, gone);
    }
}

void block_cache_release(struct cached_block *gone)
{
    while (gone != NULL) {
        struct cached_block *next = gone->chain;
        block_unref(gone->block);
        free(gone);
        gone = next;
    }
}
