/* tree.h - what the files of config/ share about making nodes. */
#ifndef SPANGATE_SRC_CONFIG_TREE_H
#define SPANGATE_SRC_CONFIG_TREE_H

#include <spangate/config/tree.h>

/* A zeroed node; ERR_TOO_LARGE when the tree has CONFIG_NODES_MAX. */
bool node_new(struct config_tree *tree, enum config_kind kind, struct config_place place,
              struct config_node **out, struct error *err) MUST_CHECK;

/* Append to a map or list; key is borrowed for the life of the tree, NULL in lists. */
bool node_append(struct config_tree *tree, struct config_node *parent, const char *key,
                 struct config_place place, struct config_node *value,
                 struct error *err) MUST_CHECK;

/* The entry of a key; NULL: absent. */
struct config_entry *node_entry(const struct config_node *map, const char *key);

/* "a::b" with divider "::" and a value: the map {a: {b: value}}. */
bool node_wrap(struct config_tree *tree, struct config_place place, const char *keys,
               const char *divider, struct config_node *value, struct config_node **out,
               struct error *err) MUST_CHECK;

#endif
