/*
 * expand.h - ${…} in values.
 *
 *   ${env:NAME} ${NAME}       the variable; unset: a warning and nothing
 *   ${env:NAME:-default}      the default when it is unset
 *   ${file:/path}             the file, without the newlines at its end
 *   ${yaml:text}              the text
 *   $$                        a dollar sign
 *
 * A value that is one expansion and nothing else is read as YAML: it may become a number, a list,
 * a map. Within a longer text the expansion must be a scalar and is put in as written. What comes
 * out is expanded again, `$$` in it too; innermost first, so ${env:${WHICH}} works. Keys are not
 * expanded.
 */
#ifndef SPANGATE_CONFIG_EXPAND_H
#define SPANGATE_CONFIG_EXPAND_H

#include <spangate/config/tree.h>

enum {
    CONFIG_EXPANSIONS_PER_VALUE = 1000,    /* a value that expands to itself ends here */
    CONFIG_EXPANSIONS_MAX = 20000,         /* a tree */
    CONFIG_EXPANDED_BYTES_MAX = 256 << 20, /* memory of a tree while it is expanded */
};

/* Expand every value of the tree in place; problems and warnings go to the report. */
void config_expand(struct config_tree *tree, struct config_report *report);

#endif
