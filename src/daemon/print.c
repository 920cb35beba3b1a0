/*
 * print.c - the configuration as YAML that loads again, and its documentation, from the same
 * tables.
 */
#include "print.h"
#include "document.h"
#include "registry.h"

#include <spangate/base/metrics.h>

static const char *const signal_names[OTLP_SIGNALS] = {
    [OTLP_TRACES] = "traces", [OTLP_METRICS] = "metrics", [OTLP_LOGS] = "logs"};

/* "  id:" and what is below it, or "  id: {}". */
static void print_section(const char *id, const struct config_schema *schema, const void *draft,
                          const struct config_style *style, struct strbuf *out)
{
    for (int i = 0; i < style->indent - 2; i++) {
        strbuf_putc(out, ' ');
    }
    config_write_text(id, out);
    strbuf_putc(out, ':');
    size_t head = out->len;
    strbuf_putc(out, '\n');
    config_write(schema, draft, style, out);
    if (out->len == head + 1) {
        out->len = head;
        strbuf_append_text(out, " {}\n");
    }
}

static void print_components(const struct settings_document *document, enum component_class class,
                             bool comments, struct strbuf *out)
{
    const struct instances *all = &document->of[class];
    struct config_style style = {.indent = 4, .comments = comments};

    if (all->count == 0) {
        return;
    }
    strbuf_printf(out, "%s:\n", registry_section(class));
    for (size_t i = 0; i < all->count; i++) {
        const struct instance *instance = &all->items[i];
        if (comments) {
            config_write_comment(2, instance->component->help, out);
        }
        print_section(instance->id, instance->component->schema, instance->draft, &style, out);
    }
}

static void print_names(const char *key, char *const *names, size_t count, struct strbuf *out)
{
    strbuf_printf(out, "      %s: [", key);
    for (size_t i = 0; i < count; i++) {
        strbuf_append_text(out, i > 0 ? ", " : "");
        config_write_text(names[i], out);
    }
    strbuf_append_text(out, "]\n");
}

static void print_service(const struct settings_document *document, bool comments,
                          struct strbuf *out)
{
    struct config_style style = {.indent = 2, .comments = comments};

    strbuf_append_text(out, "service:\n");
    config_write(&service_schema, &document->service, &style, out);
    strbuf_append_text(out, "  pipelines:\n");
    for (size_t i = 0; i < document->pipeline_count; i++) {
        const struct document_pipeline *pipeline = &document->pipelines[i];
        strbuf_append_text(out, "    ");
        config_write_text(pipeline->id, out);
        strbuf_append_text(out, ":\n");
        print_names("receivers", pipeline->draft.receivers, pipeline->draft.receiver_count, out);
        if (pipeline->draft.processor_count > 0) {
            print_names("processors", pipeline->draft.processors, pipeline->draft.processor_count,
                        out);
        }
        print_names("exporters", pipeline->draft.exporters, pipeline->draft.exporter_count, out);
    }
}

void document_print(const struct settings_document *document, bool comments, struct strbuf *out)
{
    struct config_style style = {.indent = 2, .comments = comments};

    print_components(document, COMPONENT_EXTENSION, comments, out);
    print_components(document, COMPONENT_RECEIVER, comments, out);
    print_components(document, COMPONENT_PROCESSOR, comments, out);
    print_components(document, COMPONENT_CONNECTOR, comments, out);
    print_components(document, COMPONENT_EXPORTER, comments, out);
    print_service(document, comments, out);
    strbuf_append_text(out, "spangate:\n");
    config_write(&spangate_schema, &document->spangate, &style, out);
}

void settings_print_commented(const struct settings *settings, struct strbuf *out)
{
    document_print(settings->document, true, out);
}

void components_print(struct strbuf *out)
{
    strbuf_append_text(out, "buildinfo:\n"
                            "  command: spangate\n"
                            "  description: OTLP gateway that keeps traces whole\n"
                            "  version: " SPANGATE_VERSION "\n");
    for (enum component_class class = 0; class < COMPONENT_CLASSES; class ++) {
        strbuf_printf(out, "%s:\n", registry_section(class));
        for (size_t i = 0; registry[i] != NULL; i++) {
            const struct component *c = registry[i];
            if (c->class != class) {
                continue;
            }
            strbuf_printf(out, "  - name: %s\n    module: spangate " SPANGATE_VERSION "\n",
                          c->type);
            if (c->alias != NULL) {
                strbuf_printf(out, "    deprecated_alias: %s\n", c->alias);
            }
            strbuf_append_text(out, "    stability:\n");
            if (class == COMPONENT_EXTENSION) {
                strbuf_append_text(out, "      extension: Beta\n");
            }
            for (size_t s = 0; s < OTLP_SIGNALS; s++) {
                if (class != COMPONENT_EXTENSION && (c->signals >> s & 1) != 0) {
                    if (class == COMPONENT_CONNECTOR) {
                        strbuf_printf(out, "      %s-to-%s: Beta\n", signal_names[s],
                                      signal_names[s]);
                    } else {
                        strbuf_printf(out, "      %s: Beta\n", signal_names[s]);
                    }
                }
            }
        }
    }
    strbuf_append_text(out, "providers:\n"
                            "  - scheme: env\n"
                            "    module: spangate " SPANGATE_VERSION "\n"
                            "  - scheme: file\n"
                            "    module: spangate " SPANGATE_VERSION "\n"
                            "  - scheme: yaml\n"
                            "    module: spangate " SPANGATE_VERSION "\n"
                            "converters: []\n");
}

static void document_table(const char *title, const char *help, const struct config_schema *schema,
                           struct strbuf *out)
{
    strbuf_printf(out, "\n%s\n", title);
    if (help != NULL) {
        strbuf_printf(out, "\n%s\n", help);
    }
    if (schema->count > 0) {
        strbuf_putc(out, '\n');
        config_write_markdown(schema, out);
    } else {
        strbuf_append_text(out, "\nIt has no keys.\n");
    }
}

void configuration_write_docs(struct strbuf *out)
{
    strbuf_append_text(
        out,
        "# Configuration\n\n"
        "Written by `spangate docs config` from the tables of the program.\n\n"
        "The file is the OpenTelemetry Collector's, with one section of our own, `spangate`. "
        "Without a file everything is on: OTLP on localhost 4317 and 4318, stored traces, the page "
        "on localhost 16686, health on 13133, metrics on 8888. The environment variable "
        "SPANGATE_LISTEN_HOST replaces localhost in those defaults, but for the page.\n\n"
        "`--config` takes `file:PATH` or a bare path, `env:NAME` and `yaml:TEXT`, and may be there "
        "several times: maps merge, the later wins, lists are replaced, an empty value (`key:`) "
        "removes. `--set a.b.c=value` comes last. In values `${env:NAME}`, `${NAME}`, "
        "`${env:NAME:-default}`, `${file:/path}` and `${yaml:text}` are expanded, innermost first; "
        "`$$` is a dollar sign, also in what comes out of an expansion. A value that is one "
        "expansion is read as YAML, so that it may be a number or a list.\n\n"
        "A key that is not here is an error with file, line and column. Keys that say \"no "
        "effect\" are accepted from files of the Collector; those that say \"not supported\" are "
        "errors unless they are empty or say what is done anyway.\n");
    document_table("## spangate", "Our own section.", &spangate_schema, out);
    document_table("## service", NULL, &service_schema, out);
    document_table("### service.pipelines.NAME", NULL, &pipeline_schema, out);
    for (enum component_class class = 0; class < COMPONENT_CLASSES; class ++) {
        strbuf_printf(out, "\n## %s\n", registry_section(class));
        for (size_t i = 0; registry[i] != NULL; i++) {
            const struct component *c = registry[i];
            if (c->class != class) {
                continue;
            }
            struct strbuf title;
            strbuf_init(&title, 256);
            strbuf_printf(&title, "### %s", c->type);
            if (c->alias != NULL) {
                strbuf_printf(&title, " (also `%s`)", c->alias);
            }
            document_table(title.data, c->help, c->schema, out);
            strbuf_deinit(&title);
        }
    }
}

void metrics_write_docs(struct strbuf *out)
{
    strbuf_append_text(
        out,
        "# Metrics\n\n"
        "Written by `spangate docs metrics` from the table of the program.\n\n"
        "`/metrics` on port 8888 of localhost (`service.telemetry.metrics.readers`) answers in the "
        "text format of Prometheus. Names that begin with `otelcol_` repeat one of ours for the "
        "dashboards and alerts that people have for the Collector.\n\n"
        "Counters begin with 0 at each start of the process. A metric has at most 256 series; what "
        "comes later is counted under label values `other`.\n\n");
    metrics_write_markdown(out);
}
