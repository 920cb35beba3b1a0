/* commands.c - the commands about the configuration and the program itself. */
#include "commands.h"

#include "print.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { OUTPUT_MAX = 16 << 20 };

bool command_load(const struct args *args, struct settings **out)
{
    char *report = NULL;
    struct error err;

    if (args->feature_gates != NULL) {
        log_warn("config", "--feature-gates has no effect", "");
    }
    if (settings_load(out, args->sources, args->source_count, args->sets, args->set_count, &report,
                      &err)) {
        return true;
    }
    (void)fprintf(stderr, "Error: invalid configuration:\n%s\n",
                  report != NULL ? report : err.message);
    free(report);
    return false;
}

int command_exit_code(const struct error *err)
{
    switch (err->sys_errno) {
    case EACCES:
    case EPERM:
    case EROFS:
        return EXIT_NOT_PERMITTED;
    case EIO:
    case ENOSPC:
    case EDQUOT:
        return EXIT_IO;
    case ENOENT:
    case ENOTDIR:
        return EXIT_CANNOT_CREATE;
    default:
        break;
    }
    switch (err->code) {
    case ERR_IN_USE:
        return EXIT_TRY_LATER;
    case ERR_INVALID:
        return EXIT_CONFIG;
    default:
        return EXIT_FAILED;
    }
}

int command_put(const struct strbuf *text)
{
    if (text->overflow || fwrite(text->data, 1, text->len, stdout) != text->len ||
        fflush(stdout) != 0) {
        (void)fprintf(stderr, "spangate: cannot write the result\n");
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

int cmd_validate(const struct args *args)
{
    struct settings *settings = NULL;

    if (!command_load(args, &settings)) {
        return EXIT_CONFIG;
    }
    (void)fprintf(stderr, "configuration is valid: %zu receivers, %zu exporters, %zu pipelines\n",
                  settings->receiver_count, settings->exporter_count, settings->pipeline_count);
    settings_free(settings);
    return EXIT_OK;
}

int cmd_print_config(const struct args *args)
{
    struct settings *settings = NULL;
    struct args defaults = {.command = args->command};
    struct strbuf out;

    if (!command_load(args->defaults ? &defaults : args, &settings)) {
        return EXIT_CONFIG;
    }
    strbuf_init(&out, OUTPUT_MAX);
    if (args->defaults) {
        settings_print_commented(settings, &out);
    } else {
        settings_print(settings, &out);
    }
    int code = command_put(&out);
    strbuf_deinit(&out);
    settings_free(settings);
    return code;
}

int cmd_components(const struct args *args)
{
    struct strbuf out;
    (void)args;

    strbuf_init(&out, OUTPUT_MAX);
    components_print(&out);
    int code = command_put(&out);
    strbuf_deinit(&out);
    return code;
}

int cmd_docs(const struct args *args)
{
    static const struct {
        const char *subject;
        void (*write)(struct strbuf *out);
    } pages[] = {
        {"config", configuration_write_docs},
        {"metrics", metrics_write_docs},
    };
    struct strbuf out;

    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        if (strcmp(args->operand, pages[i].subject) == 0) {
            strbuf_init(&out, OUTPUT_MAX);
            pages[i].write(&out);
            int code = command_put(&out);
            strbuf_deinit(&out);
            return code;
        }
    }
    (void)fprintf(stderr, "spangate: no such documentation: %s (there are config and metrics)\n",
                  args->operand);
    return EXIT_USAGE;
}

int cmd_version(const struct args *args)
{
    struct strbuf out;

    strbuf_init(&out, OUTPUT_MAX);
    if (args->json) {
        strbuf_append_text(&out, "{\"name\":\"spangate\",\"version\":\"" SPANGATE_VERSION
                                 "\",\"otlp\":\"1.11\"}\n");
    } else {
        strbuf_append_text(&out, "spangate " SPANGATE_VERSION "\n");
    }
    int code = command_put(&out);
    strbuf_deinit(&out);
    return code;
}

int cmd_help(const struct args *args)
{
    struct strbuf out;

    strbuf_init(&out, OUTPUT_MAX);
    args_help(args->operand, &out);
    int code = command_put(&out);
    strbuf_deinit(&out);
    return code;
}
