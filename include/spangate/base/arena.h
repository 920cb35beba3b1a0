/*
 * arena.h - many small allocations with one end of life.
 *
 * Memory comes in blocks that double up to 1 MiB; arena_reset() keeps the largest block, so a
 * recycled arena stops allocating. One owner, no lock.
 */
#ifndef SPANGATE_BASE_ARENA_H
#define SPANGATE_BASE_ARENA_H

#include <spangate/base/slice.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t reserved;            /* bytes taken from the heap */
};

void arena_init(struct arena *arena);
void arena_deinit(struct arena *arena);
void arena_reset(struct arena *arena);

/* size bytes aligned to 16, not zeroed. */
void *arena_alloc(struct arena *arena, size_t size);

/* A copy of the bytes. */
struct slice arena_copy(struct arena *arena, struct slice bytes);

#endif
