/*
 * commands.h - what the program can be asked to do. Results go to stdout, talk to stderr; the value
 * returned is the exit code.
 */
#ifndef SPANGATE_SRC_DAEMON_COMMANDS_H
#define SPANGATE_SRC_DAEMON_COMMANDS_H

#include "args.h"
#include "settings.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,         /* at run time */
    EXIT_USAGE = 2,          /* the command line is wrong */
    EXIT_CANNOT_CREATE = 73, /* no data folder */
    EXIT_IO = 74,            /* the disk failed: restarting will not help */
    EXIT_TRY_LATER = 75,     /* a port or the data folder is in use */
    EXIT_NOT_PERMITTED = 77,
    EXIT_CONFIG = 78, /* the configuration is wrong */
};

int cmd_serve(const struct args *args);
int cmd_validate(const struct args *args);
int cmd_print_config(const struct args *args);
int cmd_components(const struct args *args);
int cmd_trace(const struct args *args);
int cmd_demo(const struct args *args);
int cmd_check(const struct args *args);
int cmd_docs(const struct args *args);
int cmd_version(const struct args *args);
int cmd_help(const struct args *args);

/*
 * Load what --config and --set say. On failure everything that is wrong is on stderr, and the
 * caller returns EXIT_CONFIG.
 */
bool command_load(const struct args *args, struct settings **out) MUST_CHECK;

/* The exit code that tells a supervisor what an error means. */
int command_exit_code(const struct error *err);

/* Write to stdout; an exit code. */
int command_put(const struct strbuf *text);

#endif
