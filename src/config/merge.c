/* merge.c - several documents become one: maps merge, the later wins, lists are replaced. */
#include "tree.h"

#include <spangate/base/mem.h>

#include <stdlib.h>

enum { KEY_PARTS_MAX = 16 };

static bool merge_maps(struct config_tree *tree, struct config_node *into,
                       const struct config_node *from, bool from_wins, struct error *err)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct config_entry *add = &from->entries[i];
        struct config_entry *have = node_entry(into, add->key);
        if (have == NULL) {
            if (!node_append(tree, into, add->key, add->place, add->value, err)) {
                return false;
            }
        } else if (have->value->kind == CONFIG_MAP && add->value->kind == CONFIG_MAP) {
            /* Depth is bounded: both were built within CONFIG_DEPTH_MAX. */
            if (!merge_maps(tree, have->value, add->value, from_wins, err)) {
                return false;
            }
        } else if (from_wins) {
            have->place = add->place;
            have->value = add->value;
        }
    }
    return true;
}

bool node_wrap(struct config_tree *tree, struct config_place place, const char *keys,
               const char *divider, struct config_node *value, struct config_node **out,
               struct error *err)
{
    struct slice parts[KEY_PARTS_MAX];
    size_t count = 0;
    const char *next = keys;

    do {
        const char *end = strstr(next, divider);
        size_t len = end != NULL ? (size_t)(end - next) : strlen(next);
        if (len == 0 || count == KEY_PARTS_MAX) {
            return error_set(err, ERR_INVALID, "%s:%u:%u: \"%.80s\" is not a path of keys",
                             place.source, place.line, place.column, keys);
        }
        parts[count++] = (struct slice){(const uint8_t *)next, len};
        next = end != NULL ? end + strlen(divider) : NULL;
    } while (next != NULL);

    while (count > 0) {
        char *key = mem_strndup(parts[count - 1].data, parts[count - 1].len);
        bool ok = config_new_map(tree, place, key, value, &value, err);
        free(key);
        if (!ok) {
            return false;
        }
        count--;
    }
    *out = value;
    return true;
}

/* Keys of the top level with "::" in them are paths, as in the Collector. */
static bool split_top_keys(struct config_tree *tree, struct config_node *document,
                           struct error *err)
{
    struct config_node *split;
    bool any = false;

    for (size_t i = 0; i < document->count; i++) {
        any = any || strstr(document->entries[i].key, "::") != NULL;
    }
    if (!any) {
        return true;
    }
    if (!node_new(tree, CONFIG_MAP, document->place, &split, err)) {
        return false;
    }
    for (size_t i = 0; i < document->count; i++) {
        const struct config_entry *entry = &document->entries[i];
        struct config_node *wrapped;
        if (!node_wrap(tree, entry->place, entry->key, "::", entry->value, &wrapped, err) ||
            !merge_maps(tree, split, wrapped, true, err)) {
            return false;
        }
    }
    document->entries = split->entries;
    document->count = split->count;
    document->cap = split->cap;
    return true;
}

static bool merge(struct config_tree *tree, struct config_node *document, bool document_wins,
                  struct error *err)
{
    if (config_is_null(document)) {
        return true;
    }
    if (document->kind != CONFIG_MAP) {
        return error_set(err, ERR_INVALID, "%s:%u:%u: the top level must be a map of sections",
                         document->place.source, document->place.line, document->place.column);
    }
    if (!split_top_keys(tree, document, err)) {
        return false;
    }
    if (tree->root == NULL) {
        tree->root = document;
        return true;
    }
    return merge_maps(tree, tree->root, document, document_wins, err);
}

bool config_merge(struct config_tree *tree, struct config_node *document, struct error *err)
{
    return merge(tree, document, true, err);
}

bool config_merge_beneath(struct config_tree *tree, struct config_node *document, struct error *err)
{
    return merge(tree, document, false, err);
}
