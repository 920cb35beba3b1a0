/*
 * args.h - the command line: one table of commands and options drives parsing and help.
 */
#ifndef SPANGATE_SRC_DAEMON_ARGS_H
#define SPANGATE_SRC_DAEMON_ARGS_H

#include <spangate/base/error.h>
#include <spangate/base/strbuf.h>

enum command {
    COMMAND_SERVE,
    COMMAND_VALIDATE,
    COMMAND_PRINT_CONFIG,
    COMMAND_COMPONENTS,
    COMMAND_TRACE,
    COMMAND_DEMO,
    COMMAND_CHECK,
    COMMAND_DOCS, /* hidden: writes docs/ */
    COMMAND_VERSION,
    COMMAND_HELP,
    COMMANDS,
};

enum { ARGS_SOURCES_MAX = 100 };

/* Strings are borrowed from argv. */
struct args {
    enum command command;
    const char *sources[ARGS_SOURCES_MAX]; /* --config */
    size_t source_count;
    const char *sets[ARGS_SOURCES_MAX]; /* --set */
    size_t set_count;
    const char *feature_gates; /* accepted, no effect */
    const char *endpoint;      /* NULL: the command's default */
    const char *data_dir;      /* NULL: as configured */
    const char *operand;       /* trace ID, command to help with; NULL: none */
    bool defaults;             /* print-config --defaults */
    bool rebuild_index;        /* check --rebuild-index */
    bool json;
};

/* ERR_INVALID: a usage error, exit with EXIT_USAGE after showing it. */
bool args_parse(struct args *out, int argc, char *const *argv, struct error *err) MUST_CHECK;

/* All commands, or one of them by name (unknown names give all). */
void args_help(const char *command, struct strbuf *out);

#endif
