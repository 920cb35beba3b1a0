/*
 * slab.c - see slab.h.
 *
 * A free item holds the place of the next free item of its block in its first four bytes.
 */
#include "slab.h"

#include <spangate/base/mem.h>
#include <stdlib.h>
#include <string.h>

void slab_init(struct slab *slab, size_t item_size, struct account *account)
{
    assert(item_size >= sizeof(uint32_t));
    *slab = (struct slab){
        .partial = SLAB_NONE, .absent = SLAB_NONE, .item_size = item_size, .account = account};
}

static size_t block_bytes(const struct slab *slab)
{
    return slab->item_size * SLAB_BLOCK_ITEMS;
}

void slab_deinit(struct slab *slab)
{
    for (uint32_t b = 0; b < slab->block_count; b++) {
        if (slab->blocks[b].items != NULL) {
            free(slab->blocks[b].items);
            account_give(slab->account, block_bytes(slab));
        }
    }
    account_give(slab->account, slab->block_cap * sizeof(*slab->blocks));
    free(slab->blocks);
    *slab = (struct slab){0};
}

static void link_partial(struct slab *slab, uint32_t b)
{
    struct slab_block *block = &slab->blocks[b];

    block->prev = SLAB_NONE;
    block->next = slab->partial;
    if (slab->partial != SLAB_NONE) {
        slab->blocks[slab->partial].prev = b;
    }
    slab->partial = b;
}

static void unlink_partial(struct slab *slab, uint32_t b)
{
    struct slab_block *block = &slab->blocks[b];

    if (block->prev != SLAB_NONE) {
        slab->blocks[block->prev].next = block->next;
    } else {
        slab->partial = block->next;
    }
    if (block->next != SLAB_NONE) {
        slab->blocks[block->next].prev = block->prev;
    }
}

static void set_next_free(uint8_t *items, size_t item_size, uint32_t place, uint32_t next)
{
    memcpy(items + place * item_size, &next, sizeof(next));
}

/* A block with memory, all of its items free, in the partial list. */
static void add_block(struct slab *slab)
{
    uint32_t b = slab->absent;

    if (b != SLAB_NONE) {
        slab->absent = slab->blocks[b].next;
    } else {
        if (slab->block_count == slab->block_cap) {
            uint32_t cap = slab->block_cap == 0 ? 16 : slab->block_cap * 2;
            slab->blocks = mem_realloc(slab->blocks, cap * sizeof(*slab->blocks));
            account_take(slab->account, (cap - slab->block_cap) * sizeof(*slab->blocks));
            slab->block_cap = cap;
        }
        b = slab->block_count++;
    }
    struct slab_block *block = &slab->blocks[b];
    *block = (struct slab_block){.items = mem_alloc(block_bytes(slab)), .free = 0};
    account_take(slab->account, block_bytes(slab));
    for (uint32_t i = 0; i < SLAB_BLOCK_ITEMS; i++) {
        set_next_free(block->items, slab->item_size, i,
                      i + 1 < SLAB_BLOCK_ITEMS ? i + 1 : SLAB_NONE);
    }
    link_partial(slab, b);
}

uint32_t slab_alloc(struct slab *slab)
{
    if (slab->partial == SLAB_NONE) {
        add_block(slab);
    }
    uint32_t b = slab->partial;
    struct slab_block *block = &slab->blocks[b];
    uint32_t place = block->free;

    memcpy(&block->free, block->items + place * slab->item_size, sizeof(block->free));
    block->used++;
    slab->count++;
    if (block->free == SLAB_NONE) {
        unlink_partial(slab, b);
    }
    return b * SLAB_BLOCK_ITEMS + place;
}

void slab_free(struct slab *slab, uint32_t index)
{
    uint32_t b = index / SLAB_BLOCK_ITEMS;
    uint32_t place = index % SLAB_BLOCK_ITEMS;
    struct slab_block *block = &slab->blocks[b];

    assert(block->used > 0);
    if (block->free == SLAB_NONE) {
        link_partial(slab, b);
    }
    set_next_free(block->items, slab->item_size, place, block->free);
    block->free = place;
    block->used--;
    slab->count--;
    /* The last block with room stays, so that one item coming and going costs no malloc. */
    if (block->used == 0 && (block->prev != SLAB_NONE || block->next != SLAB_NONE)) {
        unlink_partial(slab, b);
        free(block->items);
        account_give(slab->account, block_bytes(slab));
        *block = (struct slab_block){.next = slab->absent};
        slab->absent = b;
    }
}
