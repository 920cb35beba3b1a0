/* main.c - from the command line to the command. */
#include "commands.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    static int (*const run[COMMANDS])(const struct args *) = {
        [COMMAND_SERVE] = cmd_serve,
        [COMMAND_VALIDATE] = cmd_validate,
        [COMMAND_PRINT_CONFIG] = cmd_print_config,
        [COMMAND_COMPONENTS] = cmd_components,
        [COMMAND_TRACE] = cmd_trace,
        [COMMAND_DEMO] = cmd_demo,
        [COMMAND_CHECK] = cmd_check,
        [COMMAND_DOCS] = cmd_docs,
        [COMMAND_VERSION] = cmd_version,
        [COMMAND_HELP] = cmd_help,
    };
    struct args args;
    struct error err;

    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    if (!args_parse(&args, argc, argv, &err)) {
        (void)fprintf(stderr, "spangate: %s\nspangate --help says what there is.\n", err.message);
        return EXIT_USAGE;
    }
    return run[args.command](&args);
}
