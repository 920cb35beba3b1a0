/*
 * arena.c - bump allocation in doubling blocks.
 */
#include <spangate/base/arena.h>

#include <spangate/base/mem.h>
#include <stdalign.h>
#include <stdlib.h>

enum { BLOCK_FIRST = 4096, BLOCK_LARGEST = 1024 * 1024, ALIGNMENT = 16 };

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t cap;
    alignas(ALIGNMENT) uint8_t data[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){0};
}

void arena_deinit(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    *arena = (struct arena){0};
}

void arena_reset(struct arena *arena)
{
    struct arena_block *largest = arena->blocks;
    if (largest == NULL) {
        return;
    }
    for (struct arena_block *b = largest->next; b != NULL; b = b->next) {
        largest = b->cap > largest->cap ? b : largest;
    }
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        if (block != largest) {
            free(block);
        }
        block = next;
    }
    largest->next = NULL;
    largest->used = 0;
    arena->blocks = largest;
    arena->reserved = largest->cap;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->cap - block->used < rounded) {
        size_t cap = block == NULL ? BLOCK_FIRST : block->cap * 2;
        cap = cap > BLOCK_LARGEST ? BLOCK_LARGEST : cap;
        cap = cap < rounded ? rounded : cap;
        struct arena_block *fresh = mem_alloc(sizeof(*fresh) + cap);
        fresh->next = block;
        fresh->used = 0;
        fresh->cap = cap;
        arena->blocks = fresh;
        arena->reserved += cap;
        block = fresh;
    }
    void *memory = block->data + block->used;
    block->used += rounded;
    return memory;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    if (bytes.len == 0) {
        return (struct slice){0};
    }
    uint8_t *copy = arena_alloc(arena, bytes.len);
    memcpy(copy, bytes.data, bytes.len);
    return (struct slice){.data = copy, .len = bytes.len};
}
