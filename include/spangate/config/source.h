/*
 * source.h - where configuration comes from: files, environment, text on the command line.
 */
#ifndef SPANGATE_CONFIG_SOURCE_H
#define SPANGATE_CONFIG_SOURCE_H

#include <spangate/config/tree.h>

/*
 * Read a source and merge it over the tree: `file:PATH` or a bare path, `env:NAME`, `yaml:a::b:
 * value`. ERR_NOT_FOUND: there is no such file. ERR_INVALID: an unset variable, a scheme we do not
 * know, bad YAML.
 */
bool config_add_source(struct config_tree *tree, const char *uri, struct error *err) MUST_CHECK;

/* Merge text that is at hand. */
bool config_add_text(struct config_tree *tree, const char *name, struct slice text,
                     struct error *err) MUST_CHECK;

/* `a.b.c=value` or `a::b::c=value`; the value is YAML. */
bool config_add_set(struct config_tree *tree, const char *assignment, struct error *err) MUST_CHECK;

/*
 * A whole file of at most max bytes, also one without a size of its own (a pipe, /proc). Release
 * *text with free(); a NUL stands behind it.
 */
bool config_read_file(const char *path, size_t max, char **text, size_t *len,
                      struct error *err) MUST_CHECK;

#endif
