/*
 * graph.c - pipelines: which receivers feed which exporters.
 *
 * A connector stands as an exporter in one pipeline and as a receiver in another. `forward`, the
 * only one there is, changes nothing on the way, so the second pipeline simply has the receivers
 * of the first as well: there are no steps between pipelines at run time.
 */
#include "document.h"
#include "registry.h"

#include <stdio.h>

static const char *const signal_names[OTLP_SIGNALS] = {
    [OTLP_TRACES] = "traces", [OTLP_METRICS] = "metrics", [OTLP_LOGS] = "logs"};

static struct instance *find(const struct settings_document *document, enum component_class class,
                             const char *id, size_t *index)
{
    const struct instances *all = &document->of[class];
    for (size_t i = 0; i < all->count; i++) {
        if (strcmp(all->items[i].id, id) == 0) {
            *index = i;
            return &all->items[i];
        }
    }
    return NULL;
}

static void refuse_unconfigured(const struct document_pipeline *pipeline, const char *key,
                                enum component_class class, const char *id)
{
    section_problem(&pipeline->section, key, "references %s \"%.80s\" which is not configured",
                    registry_class(class), id);
}

static void check_signal(const struct document_pipeline *pipeline, const char *key,
                         const struct instance *instance)
{
    const struct component *component = instance->component;
    if (component != NULL && (component->signals & 1U << pipeline->signal) == 0) {
        section_problem(&pipeline->section, key, "%s \"%.80s\" does not take %s",
                        registry_class(component->class), instance->id,
                        signal_names[pipeline->signal]);
    }
}

/* Names of receivers or exporters: components of that class, or connectors. */
static void resolve_ends(const struct settings_document *document,
                         struct document_pipeline *pipeline, enum component_class class,
                         char *const *names, size_t count, uint64_t *components,
                         uint64_t *connectors)
{
    const char *key = registry_section(class);

    if (count == 0) {
        section_problem(&pipeline->section, key, "must have at least one %s",
                        registry_class(class));
    }
    for (size_t i = 0; i < count; i++) {
        size_t index;
        struct instance *instance = find(document, class, names[i], &index);
        uint64_t *bits = components;
        if (instance == NULL) {
            instance = find(document, COMPONENT_CONNECTOR, names[i], &index);
            bits = connectors;
        }
        if (instance == NULL) {
            refuse_unconfigured(pipeline, key, class, names[i]);
            continue;
        }
        instance->used = true;
        *bits |= UINT64_C(1) << index;
        check_signal(pipeline, key, instance);
    }
}

static void resolve_processors(const struct settings_document *document,
                               struct document_pipeline *pipeline)
{
    char *const *names = pipeline->draft.processors;

    for (size_t i = 0; i < pipeline->draft.processor_count; i++) {
        size_t index;
        struct instance *instance = find(document, COMPONENT_PROCESSOR, names[i], &index);
        if (instance == NULL) {
            refuse_unconfigured(pipeline, "processors", COMPONENT_PROCESSOR, names[i]);
            continue;
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(names[k], names[i]) == 0) {
                section_problem(&pipeline->section, "processors",
                                "references processor \"%.80s\" multiple times", names[i]);
                break;
            }
        }
        instance->used = true;
        check_signal(pipeline, "processors", instance);
        if (instance->component == &batch_processor_component) {
            pipeline->batch = instance->draft;
        }
    }
}

static bool leads_to(const struct document_pipeline *from, const struct document_pipeline *to)
{
    return (from->connects_to & to->connects_from) != 0 && from->signal == to->signal;
}

/* Receivers and batch sizes go along connectors, as far as they go. */
static void join(struct settings_document *document)
{
    struct document_pipeline *p = document->pipelines;
    size_t count = document->pipeline_count;

    for (bool changed = true; changed;) {
        changed = false;
        for (size_t from = 0; from < count; from++) {
            for (size_t to = 0; to < count; to++) {
                if (from == to || !leads_to(&p[from], &p[to])) {
                    continue;
                }
                uint64_t receivers = p[to].receivers | p[from].receivers;
                bool inherits = p[to].batch == NULL && p[from].batch != NULL;
                changed = changed || receivers != p[to].receivers || inherits;
                p[to].receivers = receivers;
                p[to].batch = inherits ? p[from].batch : p[to].batch;
            }
        }
    }
}

/* Pipelines that lead back to themselves: nothing would ever leave them. */
static void check_cycles(const struct settings_document *document, struct config_report *report)
{
    const struct document_pipeline *p = document->pipelines;
    size_t count = document->pipeline_count;
    uint64_t reach[PIPELINES_MAX] = {0};

    for (size_t round = 0; round <= count; round++) {
        for (size_t from = 0; from < count; from++) {
            for (size_t to = 0; to < count; to++) {
                if (leads_to(&p[from], &p[to])) {
                    reach[from] |= UINT64_C(1) << to | reach[to];
                }
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        if ((reach[i] >> i & 1) != 0) {
            config_problem(report, p[i].section.place,
                           "cycle detected: pipeline \"%.80s\" feeds itself through connectors",
                           p[i].id);
            return;
        }
    }
}

/* Each connector needs both of its roles, in pipelines of one signal. */
static void check_connectors(const struct settings_document *document)
{
    const struct instances *connectors = &document->of[COMPONENT_CONNECTOR];

    for (size_t i = 0; i < connectors->count; i++) {
        const struct instance *instance = &connectors->items[i];
        uint64_t bit = UINT64_C(1) << i;
        unsigned from = 0;
        unsigned to = 0;
        for (size_t k = 0; k < document->pipeline_count; k++) {
            const struct document_pipeline *pipeline = &document->pipelines[k];
            from |= (pipeline->connects_to & bit) != 0 ? 1U << pipeline->signal : 0;
            to |= (pipeline->connects_from & bit) != 0 ? 1U << pipeline->signal : 0;
        }
        if (instance->component == NULL || (from == 0 && to == 0)) {
            continue;
        }
        if (from == 0) {
            section_problem(
                &instance->section, "",
                "must be used as both receiver and exporter but is not used as exporter");
        } else if (to == 0) {
            section_problem(
                &instance->section, "",
                "must be used as both receiver and exporter but is not used as receiver");
        } else if (from != to) {
            section_problem(&instance->section, "", "joins pipelines of the same signal only");
        }
    }
}

static void check_ambiguity(const struct settings_document *document, enum component_class class)
{
    const struct instances *connectors = &document->of[COMPONENT_CONNECTOR];

    for (size_t i = 0; i < connectors->count; i++) {
        const char *id = connectors->items[i].id;
        size_t index;
        if (find(document, class, id, &index) != NULL) {
            section_problem(&connectors->items[i].section, "",
                            "ambiguous ID: Found both \"%.80s\" %s and \"%.80s\" connector. Change "
                            "one of the components' IDs to eliminate ambiguity (e.g. rename "
                            "\"%.80s\" connector to \"%.80s/connector\")",
                            id, registry_class(class), id, id, id);
        }
    }
}

void graph_resolve(struct settings_document *document, struct config_report *report,
                   struct config_place service_place)
{
    if (document->pipeline_count == 0) {
        config_problem(report, service_place, "service must have at least one pipeline");
    }
    check_ambiguity(document, COMPONENT_RECEIVER);
    check_ambiguity(document, COMPONENT_EXPORTER);
    for (size_t i = 0; i < document->pipeline_count; i++) {
        struct document_pipeline *pipeline = &document->pipelines[i];
        resolve_ends(document, pipeline, COMPONENT_RECEIVER, pipeline->draft.receivers,
                     pipeline->draft.receiver_count, &pipeline->receivers,
                     &pipeline->connects_from);
        resolve_processors(document, pipeline);
        resolve_ends(document, pipeline, COMPONENT_EXPORTER, pipeline->draft.exporters,
                     pipeline->draft.exporter_count, &pipeline->exporters, &pipeline->connects_to);
    }
    check_connectors(document);
    check_cycles(document, report);
    join(document);
}
