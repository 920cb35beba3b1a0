/*
 * document.h - the user's view of the configuration: every section bound, before it becomes
 * settings.
 *
 * settings.c fills and checks it, graph.c follows its pipelines, print.c writes it. It lives as
 * long as the settings, which point into it.
 */
#ifndef SPANGATE_SRC_DAEMON_DOCUMENT_H
#define SPANGATE_SRC_DAEMON_DOCUMENT_H

#include "components.h"

enum { INSTANCES_MAX = 64, PIPELINES_MAX = 32 };

/* One `otlp/name:` of a section of components. */
struct instance {
    const struct component *component; /* NULL: not ours; a problem has been reported */
    const char *id;
    struct section section;
    void *draft;
    const struct auth_settings *auth; /* of an extension that checks credentials */
    bool used; /* by a pipeline or by service::extensions */
};

struct instances {
    struct instance *items;
    size_t count;
};

struct document_pipeline {
    const char *id;
    enum otlp_signal signal;
    struct section section;
    struct pipeline_draft draft;
    uint64_t receivers, exporters;       /* bits: instances */
    uint64_t connects_from, connects_to; /* bits: instances of connectors */
    const struct batch_draft *batch;     /* of a batch processor in it or before it; or NULL */
};

struct settings_document {
    struct arena arena;
    struct instances of[COMPONENT_CLASSES];
    struct service_draft service;
    struct spangate_draft spangate;
    struct document_pipeline *pipelines;
    size_t pipeline_count;
};

/* --- graph.c --- */

/*
 * Resolve the names in the pipelines, join what connectors join. Afterwards each pipeline knows all
 * receivers whose data reaches it, and its own exporters.
 */
void graph_resolve(struct settings_document *document, struct config_report *report,
                   struct config_place service_place);

/* --- print.c --- */

void document_print(const struct settings_document *document, bool comments, struct strbuf *out);

#endif
