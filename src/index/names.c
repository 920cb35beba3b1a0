/* names.c - a set of names. */
#include "names.h"

#include <spangate/base/mem.h>
#include <stdlib.h>

void name_set_init(struct name_set *set)
{
    *set = (struct name_set){0};
    arena_init(&set->arena);
    map_init(&set->map);
}

void name_set_deinit(struct name_set *set)
{
    map_deinit(&set->map);
    arena_deinit(&set->arena);
    free(set->names);
    *set = (struct name_set){0};
}

void name_set_add(struct name_set *set, struct slice text, uint8_t kind)
{
    uint8_t key[NAME_BYTES_MAX + 1];

    if (text.len == 0 || text.len > NAME_BYTES_MAX) {
        return;
    }
    key[0] = kind;
    memcpy(key + 1, text.data, text.len);
    if (map_get(&set->map, (struct slice){key, text.len + 1}) != NULL) {
        return;
    }
    struct slice kept = arena_copy(&set->arena, (struct slice){key, text.len + 1});
    struct name *name = arena_alloc(&set->arena, sizeof(*name));
    *name = (struct name){.text = slice_from(kept, 1), .kind = kind};
    map_put(&set->map, kept, name);
    if (set->count == set->cap) {
        set->cap = set->cap == 0 ? 64 : set->cap * 2;
        set->names = mem_realloc(set->names, set->cap * sizeof(struct name *));
    }
    set->names[set->count++] = name;
}

static int compare_names(const void *a, const void *b)
{
    const struct name *left = *(struct name *const *)a;
    const struct name *right = *(struct name *const *)b;
    size_t common = left->text.len < right->text.len ? left->text.len : right->text.len;
    int order = memcmp(left->text.data, right->text.data, common);

    if (order != 0) {
        return order;
    }
    if (left->text.len != right->text.len) {
        return left->text.len < right->text.len ? -1 : 1;
    }
    return left->kind < right->kind ? -1 : left->kind > right->kind;
}

void name_set_sort(struct name_set *set)
{
    if (set->count > 1) {
        qsort(set->names, set->count, sizeof(struct name *), compare_names);
    }
}
