/*
 * tree.h - YAML as a tree of nodes that know where they stand.
 *
 * The tree keeps scalars as the text that was written; what type a text has is decided by the
 * table that binds it (bind.h). Everything lives in one arena and goes with config_tree_deinit().
 *
 * Not every YAML is taken. One document a source, keys are scalars, a key twice in a map is an
 * error, tags other than !!str are errors. Anchors and aliases are copied, and every copy counts
 * against CONFIG_NODES_MAX, so that a small file cannot become a large tree. `<<` merges maps.
 *
 * Recursion over a tree is bounded by CONFIG_DEPTH_MAX. One owner, no lock.
 */
#ifndef SPANGATE_CONFIG_TREE_H
#define SPANGATE_CONFIG_TREE_H

#include <spangate/base/arena.h>
#include <spangate/base/error.h>
#include <spangate/config/report.h>

enum {
    CONFIG_DEPTH_MAX = 64,
    CONFIG_NODES_MAX = 100000,  /* a tree, copies and expansions included */
    CONFIG_ENTRIES_MAX = 4096,  /* a map or list */
    CONFIG_TEXT_MAX = 4 << 20,  /* bytes of one source */
    CONFIG_VALUE_MAX = 1 << 20, /* bytes of one expanded value */
};

enum config_kind { CONFIG_SCALAR, CONFIG_LIST, CONFIG_MAP };

struct config_entry {
    const char *key; /* NULL in lists */
    struct config_place place;
    struct config_node *value;
};

struct config_node {
    enum config_kind kind;
    struct config_place place;
    const char *text; /* scalar: NUL-terminated, no NUL inside */
    size_t len;
    bool plain;    /* scalar: not quoted, so it may be null, a number, a boolean */
    bool expanded; /* its text came (partly) from outside the file: may be a secret */
    struct config_entry *entries;
    size_t count, cap;
};

struct config_tree {
    struct arena arena;
    struct config_node *root; /* NULL, or a map */
    size_t node_count;
    uint32_t source_count;
    size_t expansions;
};

void config_tree_init(struct config_tree *tree);
void config_tree_deinit(struct config_tree *tree);

/*
 * Parse one YAML document into nodes of the tree; *out is not attached to the root. name is copied.
 * An empty document is a null scalar. ERR_INVALID: "name:line:column: what". ERR_TOO_LARGE: over a
 * limit above.
 */
bool config_parse(struct config_tree *tree, const char *name, struct slice text,
                  struct config_node **out, struct error *err) MUST_CHECK;

/*
 * Merge a document over the root: maps merge, later wins, lists are replaced, null replaces. Keys
 * of the top level are split at "::". ERR_INVALID: it is neither a map nor empty.
 */
bool config_merge(struct config_tree *tree, struct config_node *document,
                  struct error *err) MUST_CHECK;
/* The same, but what the root has already wins: for defaults that are put beneath. */
bool config_merge_beneath(struct config_tree *tree, struct config_node *document,
                          struct error *err) MUST_CHECK;

/* A scalar node for text that is copied; ERR_TOO_LARGE when the tree is full. */
bool config_new_scalar(struct config_tree *tree, struct config_place place, const char *text,
                       struct config_node **out, struct error *err) MUST_CHECK;
/* A map with one entry. */
bool config_new_map(struct config_tree *tree, struct config_place place, const char *key,
                    struct config_node *value, struct config_node **out,
                    struct error *err) MUST_CHECK;

/* NULL, `null`, `~` or nothing written. */
bool config_is_null(const struct config_node *node);

/* The value of a key of a map; NULL: absent, or node is NULL or no map. */
struct config_node *config_get(const struct config_node *node, const char *key);
/* Along keys divided by '.'; for places and checks. */
struct config_node *config_find(const struct config_node *node, const char *path);
/* The place of the key at the end of such a path, of its nearest ancestor where it is absent. */
struct config_place config_place_of(const struct config_node *node, const char *path);

#endif
