/*
 * map.h - bytes to pointer, open addressing, seeded hash. One owner, no lock.
 *
 * Keys are borrowed: they must live as long as their entry (usually inside the value).
 */
#ifndef SPANGATE_BASE_MAP_H
#define SPANGATE_BASE_MAP_H

#include <spangate/base/slice.h>

struct map_slot {
    struct slice key;
    uint64_t hash;
    void *value; /* NULL: free slot */
};

struct map {
    struct map_slot *slots;
    size_t cap; /* a power of two, or 0 */
    size_t count;
};

void map_init(struct map *map);
void map_deinit(struct map *map); /* frees the table, not the values */

void *map_get(const struct map *map, struct slice key);       /* NULL: absent */
void map_put(struct map *map, struct slice key, void *value); /* replaces; value not NULL */
void *map_remove(struct map *map, struct slice key);          /* the value, or NULL */

/* Walk all entries: start with *at = 0; NULL at the end. Do not change the map meanwhile. */
struct map_slot *map_next(const struct map *map, size_t *at);

#endif
