/* registry.h - the list of components. To add one: its file, and one line in registry.c. */
#ifndef SPANGATE_SRC_DAEMON_REGISTRY_H
#define SPANGATE_SRC_DAEMON_REGISTRY_H

#include "components.h"

/* All components, by class and then by name; ends with NULL. */
extern const struct component *const registry[];

/* "receivers", "processors", …: the section of a class, and one of them: "receiver". */
const char *registry_section(enum component_class class);
const char *registry_class(enum component_class class);

/* The component of a type or of its alias; NULL: none. *is_alias: it was the alias. */
const struct component *registry_find(enum component_class class, const char *type, bool *is_alias);

/* Whether the Collector's distributions have a component of that type. */
bool registry_is_known(enum component_class class, const char *type);

/* "[batch groupbytrace memory_limiter]" */
void registry_valid_values(enum component_class class, struct strbuf *out);

/* ` (did you mean "debug"?)` or "". */
void registry_suggest(enum component_class class, const char *type, char *out, size_t cap);

#endif
