/*
 * map.c - open addressing with linear probing; removal shifts back, so there are no tombstones.
 */
#include <spangate/base/map.h>

#include <spangate/base/hash.h>
#include <spangate/base/mem.h>

#include <assert.h>
#include <stdlib.h>

enum { FIRST_CAP = 16 };

void map_init(struct map *map)
{
    *map = (struct map){0};
}

void map_deinit(struct map *map)
{
    free(map->slots);
    *map = (struct map){0};
}

/* The slot of the key, or the free slot where it would stand. cap > 0. */
static size_t find(const struct map *map, struct slice key, uint64_t hash)
{
    size_t mask = map->cap - 1;
    size_t at = (size_t)hash & mask;
    while (map->slots[at].value != NULL &&
           (map->slots[at].hash != hash || !slice_equal(map->slots[at].key, key))) {
        at = (at + 1) & mask;
    }
    return at;
}

static void grow(struct map *map)
{
    struct map bigger = {.cap = map->cap == 0 ? FIRST_CAP : map->cap * 2, .count = map->count};
    bigger.slots = mem_zalloc(bigger.cap, sizeof(*bigger.slots));
    for (size_t i = 0; i < map->cap; i++) {
        if (map->slots[i].value != NULL) {
            bigger.slots[find(&bigger, map->slots[i].key, map->slots[i].hash)] = map->slots[i];
        }
    }
    free(map->slots);
    *map = bigger;
}

void *map_get(const struct map *map, struct slice key)
{
    if (map->count == 0) {
        return NULL;
    }
    return map->slots[find(map, key, hash_bytes(key.data, key.len))].value;
}

void map_put(struct map *map, struct slice key, void *value)
{
    assert(value != NULL);
    if ((map->count + 1) * 4 > map->cap * 3) {
        grow(map);
    }
    uint64_t hash = hash_bytes(key.data, key.len);
    struct map_slot *slot = &map->slots[find(map, key, hash)];
    map->count += slot->value == NULL;
    *slot = (struct map_slot){.key = key, .hash = hash, .value = value};
}

void *map_remove(struct map *map, struct slice key)
{
    if (map->count == 0) {
        return NULL;
    }
    size_t mask = map->cap - 1;
    size_t hole = find(map, key, hash_bytes(key.data, key.len));
    void *value = map->slots[hole].value;
    if (value == NULL) {
        return NULL;
    }
    map->count--;
    for (size_t at = (hole + 1) & mask; map->slots[at].value != NULL; at = (at + 1) & mask) {
        size_t home = (size_t)map->slots[at].hash & mask;
        /* Move back whatever could not be found past the hole any more. */
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (struct map_slot){0};
    return value;
}

struct map_slot *map_next(const struct map *map, size_t *at)
{
    while (*at < map->cap) {
        struct map_slot *slot = &map->slots[(*at)++];
        if (slot->value != NULL) {
            return slot;
        }
    }
    return NULL;
}
