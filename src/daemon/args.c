/* args.c - the table of commands and options, its parser and the help made of it. */
#include "args.h"

#include <spangate/base/text.h>

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum option_kind { OPTION_TEXT, OPTION_LIST, OPTION_FLAG };

struct option_row {
    const char *name;  /* "--config" */
    const char *value; /* "URI"; NULL for flags */
    unsigned commands; /* bits of enum command */
    enum option_kind kind;
    size_t at;       /* in struct args */
    size_t count_at; /* OPTION_LIST */
    const char *help;
};

struct command_row {
    const char *name;
    const char *alias;
    const char *operand; /* "ID"; NULL: none */
    bool operand_is_needed;
    bool hidden;
    const char *summary; /* one line */
    const char *help;    /* more, or NULL */
};

#define FOR(command) (1U << COMMAND_##command)
#define WITH_CONFIG (FOR(SERVE) | FOR(VALIDATE) | FOR(PRINT_CONFIG) | FOR(CHECK))

static const struct option_row options[] = {
    {"--config", "URI", WITH_CONFIG, OPTION_LIST, offsetof(struct args, sources),
     offsetof(struct args, source_count),
     "file:PATH or a path, env:NAME, yaml:TEXT; several merge, the later wins"},
    {"--set", "KEY=VALUE", WITH_CONFIG, OPTION_LIST, offsetof(struct args, sets),
     offsetof(struct args, set_count), "one value, like spangate.memory_limit=1GiB; comes last"},
    {"--feature-gates", "LIST", WITH_CONFIG, OPTION_TEXT, offsetof(struct args, feature_gates), 0,
     "accepted for the Collector's sake, no effect"},
    {"--defaults", NULL, FOR(PRINT_CONFIG), OPTION_FLAG, offsetof(struct args, defaults), 0,
     "what holds without a configuration, with the meaning of each key"},
    {"--endpoint", "URL", FOR(TRACE) | FOR(DEMO), OPTION_TEXT, offsetof(struct args, endpoint), 0,
     "where the gateway is: http://localhost:16686 for trace, http://localhost:4318 for demo"},
    {"--data-dir", "DIR", FOR(CHECK), OPTION_TEXT, offsetof(struct args, data_dir), 0,
     "the data folder, instead of the configured one"},
    {"--rebuild-index", NULL, FOR(CHECK), OPTION_FLAG, offsetof(struct args, rebuild_index), 0,
     "make the index anew from the stored traces"},
    {"--json", NULL, FOR(TRACE) | FOR(VERSION) | FOR(CHECK), OPTION_FLAG,
     offsetof(struct args, json), 0, "JSON, also on a terminal"},
};

static const struct command_row commands[COMMANDS] = {
    [COMMAND_SERVE] =
        {"serve", NULL, NULL, false, false, "run the gateway (default)",
         "Without --config everything is on, on localhost: OTLP on 4317 and 4318, the "
         "page on 16686, health on 13133, metrics on 8888."},
    [COMMAND_VALIDATE] = {"validate", NULL, NULL, false, false,
                          "check a configuration and say what is wrong with it", NULL},
    [COMMAND_PRINT_CONFIG] = {"print-config", "print-initial-config", NULL, false, false,
                              "show the configuration that would be in effect",
                              "Secrets are shown as [REDACTED]."},
    [COMMAND_COMPONENTS] = {"components", NULL, NULL, false, false,
                            "list receivers, processors, exporters, connectors, extensions", NULL},
    [COMMAND_TRACE] = {"trace", NULL, "ID", true, false, "show a trace",
                       "As a drawing on a terminal, as JSON into a pipe."},
    [COMMAND_DEMO] = {"demo", NULL, NULL, false, false, "send a trace to look at", NULL},
    [COMMAND_CHECK] = {"check", NULL, NULL, false, false,
                       "verify the data folder of a stopped gateway", NULL},
    [COMMAND_DOCS] = {"docs", NULL, "SUBJECT", true, true, "write documentation",
                      "SUBJECT is config or metrics."},
    [COMMAND_VERSION] = {"version", NULL, NULL, false, false, "show the version", NULL},
    [COMMAND_HELP] = {"help", NULL, "COMMAND", false, false, "show this, or more about a command",
                      NULL},
};

static bool find_command(const char *name, enum command *out)
{
    for (enum command c = 0; c < COMMANDS; c++) {
        if (strcmp(commands[c].name, name) == 0 ||
            (commands[c].alias != NULL && strcmp(commands[c].alias, name) == 0)) {
            *out = c;
            return true;
        }
    }
    return false;
}

/* ` (did you mean "x"?)` or "". */
static void suggest(const char *word, const char *const *names, size_t count, char *out, size_t cap)
{
    size_t best = 3;

    out[0] = '\0';
    for (size_t i = 0; i < count && strlen(word) <= 64; i++) {
        size_t distance = text_distance(word, names[i]);
        if (distance < best && distance * 2 <= strlen(word)) {
            best = distance;
            (void)snprintf(out, cap, " (did you mean \"%s\"?)", names[i]);
        }
    }
}

static bool refuse_command(const char *name, struct error *err)
{
    const char *names[COMMANDS];
    char hint[100];

    for (size_t c = 0; c < COMMANDS; c++) {
        names[c] = commands[c].name;
    }
    suggest(name, names, COMMANDS, hint, sizeof(hint));
    return error_set(err, ERR_INVALID, "unknown command \"%.60s\"%s", name, hint);
}

static bool refuse_option(const char *name, size_t len, enum command command, struct error *err)
{
    const char *names[COUNT_OF(options)];
    char word[64];
    char hint[100];

    (void)snprintf(word, sizeof(word), "%.*s", (int)len, name);
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        names[i] = options[i].name;
        if (strcmp(names[i], word) == 0) {
            return error_set(err, ERR_INVALID, "option %s does not belong to \"%s\"", word,
                             commands[command].name);
        }
    }
    suggest(word, names, COUNT_OF(options), hint, sizeof(hint));
    return error_set(err, ERR_INVALID, "unknown option %s%s", word, hint);
}

static bool store(struct args *args, const struct option_row *option, const char *value,
                  struct error *err)
{
    char *base = (char *)args;

    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)(void *)(base + option->at) = true;
        return true;
    case OPTION_TEXT:
        *(const char **)(void *)(base + option->at) = value;
        return true;
    case OPTION_LIST: {
        size_t *count = (size_t *)(void *)(base + option->count_at);
        if (*count == ARGS_SOURCES_MAX) {
            return error_set(err, ERR_INVALID, "%s more than %d times", option->name,
                             ARGS_SOURCES_MAX);
        }
        ((const char **)(void *)(base + option->at))[(*count)++] = value;
        return true;
    }
    }
    return false;
}

/* One `--name`, `--name value` or `--name=value` at argv[*at]; *at moves to the last word used. */
static bool parse_option(struct args *args, int argc, char *const *argv, int *at, struct error *err)
{
    const char *word = argv[*at];
    size_t len = strcspn(word, "=");
    const char *value = word[len] == '=' ? word + len + 1 : NULL;

    for (size_t i = 0; i < COUNT_OF(options); i++) {
        const struct option_row *option = &options[i];
        if (strlen(option->name) != len || strncmp(option->name, word, len) != 0 ||
            (option->commands & 1U << args->command) == 0) {
            continue;
        }
        if (option->kind == OPTION_FLAG) {
            return value == NULL
                       ? store(args, option, NULL, err)
                       : error_set(err, ERR_INVALID, "option %s has no value", option->name);
        }
        if (value == NULL) {
            if (*at + 1 >= argc) {
                return error_set(err, ERR_INVALID, "option %s needs a value: %s=%s", option->name,
                                 option->name, option->value);
            }
            value = argv[++*at];
        }
        return store(args, option, value, err);
    }
    return refuse_option(word, len, args->command, err);
}

static bool is_help(const char *word)
{
    return strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0;
}

bool args_parse(struct args *out, int argc, char *const *argv, struct error *err)
{
    int at = 1;

    *out = (struct args){.command = COMMAND_SERVE};
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0)) {
        out->command = COMMAND_VERSION;
        at = 2;
    } else if (argc > 1 && argv[1][0] != '-') {
        if (!find_command(argv[1], &out->command)) {
            return refuse_command(argv[1], err);
        }
        at = 2;
    }
    for (; at < argc; at++) {
        const char *word = argv[at];
        if (is_help(word)) {
            /* Help for what was typed so far, whatever comes after it. */
            out->operand = out->command == COMMAND_SERVE && argv[1][0] == '-'
                               ? NULL
                               : commands[out->command].name;
            out->command = COMMAND_HELP;
            return true;
        }
        if (word[0] == '-' && word[1] != '\0') {
            if (!parse_option(out, argc, argv, &at, err)) {
                return false;
            }
        } else if (commands[out->command].operand == NULL || out->operand != NULL) {
            return error_set(err, ERR_INVALID, "\"%.60s\" is one word too many for \"%s\"", word,
                             commands[out->command].name);
        } else {
            out->operand = word;
        }
    }
    if (commands[out->command].operand_is_needed && out->operand == NULL) {
        return error_set(err, ERR_INVALID, "\"%s\" needs %s", commands[out->command].name,
                         commands[out->command].operand);
    }
    return true;
}

static void help_for(enum command c, struct strbuf *out)
{
    const struct command_row *row = &commands[c];

    strbuf_printf(out, "spangate %s", row->name);
    if (row->operand != NULL) {
        strbuf_printf(out, row->operand_is_needed ? " %s" : " [%s]", row->operand);
    }
    strbuf_printf(out, " - %s\n", row->summary);
    if (row->help != NULL) {
        strbuf_printf(out, "\n%s\n", row->help);
    }
    bool any = false;
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        const struct option_row *option = &options[i];
        if ((option->commands & 1U << c) == 0) {
            continue;
        }
        char left[40];
        (void)snprintf(left, sizeof(left), "%s%s%s", option->name, option->value != NULL ? "=" : "",
                       option->value != NULL ? option->value : "");
        strbuf_printf(out, "%s  %-22s %s\n", any ? "" : "\nOptions:\n", left, option->help);
        any = true;
    }
}

void args_help(const char *command, struct strbuf *out)
{
    enum command c;

    if (command != NULL && find_command(command, &c)) {
        help_for(c, out);
        return;
    }
    strbuf_append_text(out,
                       "spangate - receives OpenTelemetry data, keeps it safe, puts traces "
                       "together and hands them on\n\nUsage: spangate [COMMAND] [OPTION]...\n\n"
                       "Commands:\n");
    for (c = 0; c < COMMANDS; c++) {
        if (commands[c].hidden) {
            continue;
        }
        char left[40];
        (void)snprintf(left, sizeof(left), "%s%s%s%s", commands[c].name,
                       commands[c].operand == NULL ? "" : " ",
                       commands[c].operand == NULL ? "" : commands[c].operand, "");
        strbuf_printf(out, "  %-16s %s\n", left, commands[c].summary);
    }
    strbuf_append_text(out, "\nOptions of serve:\n");
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        if ((options[i].commands & FOR(SERVE)) != 0) {
            char left[40];
            (void)snprintf(left, sizeof(left), "%s=%s", options[i].name, options[i].value);
            strbuf_printf(out, "  %-22s %s\n", left, options[i].help);
        }
    }
    strbuf_append_text(out, "\nspangate help COMMAND says more. Exit codes: 0 well, 1 failed, 2 "
                            "usage, 73 no data folder, 74 disk, 75 try later, 77 not permitted, 78 "
                            "configuration.\n");
}
