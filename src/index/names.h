/*
 * names.h - distinct names (of services, of operations with their kind), collected and sorted.
 */
#ifndef SPANGATE_SRC_INDEX_NAMES_H
#define SPANGATE_SRC_INDEX_NAMES_H

#include <spangate/base/arena.h>
#include <spangate/base/map.h>

/* Longer ones are not listed: nobody can choose by them. */
enum { NAME_BYTES_MAX = 1024 };

struct name {
    struct slice text;
    uint8_t kind;
};

struct name_set {
    struct arena arena;
    struct map map; /* kind byte and text to entry */
    struct name **names;
    size_t count, cap;
};

void name_set_init(struct name_set *set);
void name_set_deinit(struct name_set *set);

/* Empty and over-long ones are passed over. */
void name_set_add(struct name_set *set, struct slice text, uint8_t kind);

/* By text, then kind; then names[0 … count). */
void name_set_sort(struct name_set *set);

#endif
