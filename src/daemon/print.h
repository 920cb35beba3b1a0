/* print.h - what the command line shows of the configuration besides settings_print(). */
#ifndef SPANGATE_SRC_DAEMON_PRINT_H
#define SPANGATE_SRC_DAEMON_PRINT_H

#include "settings.h"

/* As settings_print(), with the help of each key above it. */
void settings_print_commented(const struct settings *settings, struct strbuf *out);

/* The components of this build as YAML, in the shape of the Collector's `components`. */
void components_print(struct strbuf *out);

/* docs/configuration.md */
void configuration_write_docs(struct strbuf *out);
/* docs/metrics.md */
void metrics_write_docs(struct strbuf *out);

#endif
