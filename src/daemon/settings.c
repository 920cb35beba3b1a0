/*
 * settings.c - from sources to settings: read, merge, expand, bind every section, check what tables
 * cannot, resolve the pipelines, and work out what depends on several sections.
 *
 * All problems of a file are collected before it is refused, each with its place. Runs on the main
 * thread before there are others.
 */
#include "document.h"
#include "machine.h"
#include "registry.h"

#include <spangate/base/mem.h>
#include <spangate/config/expand.h>
#include <spangate/config/source.h>
#include <spangate/net/address.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SOURCES_MAX = 100,
    TYPE_MAX = 63,
    NAME_MAX_LEN = 1024,
    REMEMBERED_TRACES = 100000,
    REPORT_MAX = 1 << 20,
    HOST_MAX = 256,
};

#define MEMORY_MIN ((uint64_t)16 << 20)

/* What runs when nobody says anything. */
static const char default_document[] =
    "receivers:\n"
    "  otlp:\n"
    "    protocols:\n"
    "      grpc: {endpoint: \"${env:SPANGATE_LISTEN_HOST:-localhost}:4317\"}\n"
    "      http: {endpoint: \"${env:SPANGATE_LISTEN_HOST:-localhost}:4318\"}\n"
    "exporters:\n"
    "  trace_store:\n"
    "extensions:\n"
    "  health_check: {endpoint: \"${env:SPANGATE_LISTEN_HOST:-localhost}:13133\"}\n"
    "service:\n"
    "  extensions: [health_check]\n"
    "  pipelines:\n"
    "    traces: {receivers: [otlp], exporters: [trace_store]}\n"
    "  telemetry:\n"
    "    metrics:\n"
    "      readers:\n"
    "        - pull: {exporter: {prometheus: {host: "
    "\"${env:SPANGATE_LISTEN_HOST:-localhost}\"}}}\n";

struct loader {
    struct config_tree tree;
    struct config_report report;
    struct settings *settings;
    struct settings_document *document;
};

/* --- problems of a section --- */

static void say(const struct section *section, const char *path, bool is_problem, const char *fmt,
                va_list args)
{
    char text[1024];
    struct config_place place = section->place;

    (void)vsnprintf(text, sizeof(text), fmt, args);
    if (path[0] != '\0' && section->node != NULL) {
        struct config_place found = config_place_of(section->node, path);
        bool is_inside = config_find(section->node, path) != NULL || strchr(path, '.') != NULL;
        place = is_inside ? found : place;
    }
    /* The Collector's message for a pipeline has no key in it. */
    bool show_path = path[0] != '\0' && strncmp(section->owner, "service::", 9) != 0;
    const char *divider = show_path ? ": " : "";
    (is_problem ? config_problem : config_warning)(
        section->report, place, "%s: %s%s%s", section->owner, show_path ? path : "", divider, text);
}

void section_problem(const struct section *section, const char *path, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(section, path, true, fmt, args);
    va_end(args);
}

void section_warning(const struct section *section, const char *path, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(section, path, false, fmt, args);
    va_end(args);
}

bool section_check_endpoint(const struct section *section, const char *path, const char *endpoint)
{
    char host[HOST_MAX];
    uint16_t port;
    struct error err;

    /* The error has the text in it, which may have come from outside: said in our own words. */
    if (address_split(endpoint, host, sizeof(host), &port, &err)) {
        return true;
    }
    section_problem(section, path, "must be host:port, like localhost:4317");
    return false;
}

/* --- sources --- */

static bool has_pipelines(const struct config_node *root)
{
    return !config_is_null(config_get(root, "receivers")) ||
           !config_is_null(config_get(root, "exporters")) ||
           !config_is_null(config_get(root, "processors")) ||
           !config_is_null(config_get(root, "connectors")) ||
           config_find(root, "service.pipelines") != NULL;
}

static bool read_sources(struct loader *l, const char *const *sources, size_t source_count,
                         const char *const *sets, size_t set_count, struct error *err)
{
    struct config_node *defaults;

    if (source_count > SOURCES_MAX) {
        return error_set(err, ERR_INVALID, "more than %d configuration sources", SOURCES_MAX);
    }
    for (size_t i = 0; i < source_count; i++) {
        if (!config_add_source(&l->tree, sources[i], err)) {
            return false;
        }
    }
    if (source_count > 0 && (l->tree.root == NULL || l->tree.root->count == 0)) {
        return error_set(err, ERR_INVALID, "empty configuration file");
    }
    /* Of sources only a file that says what goes where replaces our pipeline. */
    if (!has_pipelines(l->tree.root) &&
        (!config_parse(&l->tree, "built-in defaults", slice_of(default_document), &defaults, err) ||
         !config_merge_beneath(&l->tree, defaults, err))) {
        return false;
    }
    for (size_t i = 0; i < set_count; i++) {
        if (!config_add_set(&l->tree, sets[i], err)) {
            return false;
        }
    }
    return true;
}

/* --- sections --- */

static const char *keep_text(struct loader *l, const char *text)
{
    struct slice bytes = {(const uint8_t *)text, strlen(text) + 1};
    return (const char *)arena_copy(&l->document->arena, bytes).data;
}

static struct section new_section(struct loader *l, const char *owner,
                                  const struct config_node *node, struct config_place place)
{
    return (struct section){
        .owner = keep_text(l, owner),
        .node = node,
        .place = place,
        .report = &l->report,
        .arena = &l->document->arena,
    };
}

static void bind(const struct section *section, const struct config_schema *schema, void *target)
{
    struct config_binder binder = {
        .arena = section->arena, .report = section->report, .owner = section->owner};
    config_bind(&binder, schema, section->node, section->place, target);
}

/* The type of a `type/name`; false: a problem has been reported. */
static bool check_id(const struct section *section, const char *id, char type[TYPE_MAX + 1])
{
    size_t len = strcspn(id, "/");
    const char *name = id[len] == '/' ? id + len + 1 : NULL;

    if (len == 0) {
        section_problem(section, "", "in \"%.80s\" id: the part before / should not be empty", id);
        return false;
    }
    bool ok = len <= TYPE_MAX && ((id[0] >= 'a' && id[0] <= 'z') || (id[0] >= 'A' && id[0] <= 'Z'));
    for (size_t i = 0; ok && i < len; i++) {
        ok = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", id[i]) !=
             NULL;
    }
    if (!ok) {
        section_problem(section, "", "in \"%.80s\" id: invalid character(s) in type \"%.*s\"", id,
                        (int)(len > 80 ? 80 : len), id);
        return false;
    }
    if (name != NULL && name[0] == '\0') {
        section_problem(section, "", "in \"%.80s\" id: the part after / should not be empty", id);
        return false;
    }
    if (name != NULL &&
        (strlen(name) > NAME_MAX_LEN || strpbrk(name, " \t\r\n$+<=>^`|~") != NULL)) {
        section_problem(section, "", "in \"%.80s\" id: invalid character(s) in name", id);
        return false;
    }
    memcpy(type, id, len);
    type[len] = '\0';
    return true;
}

static void refuse_type(struct loader *l, enum component_class class, const char *type,
                        const struct instance *instance)
{
    struct strbuf valid;
    char hint[100];

    strbuf_init(&valid, 4096);
    registry_valid_values(class, &valid);
    registry_suggest(class, type, hint, sizeof(hint));
    if (registry_is_known(class, type)) {
        config_problem(&l->report, instance->section.place,
                       "%s: \"%s\" is not supported by this version (supported %s: %s)%s",
                       instance->section.owner, type, registry_section(class), valid.data, hint);
    } else {
        config_problem(&l->report, instance->section.place,
                       "'%s' unknown type: \"%s\" for id: \"%.80s\" (valid values: %s)%s",
                       registry_section(class), type, instance->id, valid.data, hint);
    }
    strbuf_deinit(&valid);
}

static void bind_instance(struct loader *l, enum component_class class,
                          const struct config_entry *entry)
{
    struct instances *all = &l->document->of[class];
    struct instance *instance = &all->items[all->count];
    char type[TYPE_MAX + 1];
    bool is_alias;
    char *owner = mem_printf("%s::%.200s", registry_section(class), entry->key);

    *instance = (struct instance){
        .id = keep_text(l, entry->key),
        .section = new_section(l, owner, entry->value, entry->place),
    };
    free(owner);
    if (!check_id(&instance->section, instance->id, type)) {
        return;
    }
    all->count++;
    instance->component = registry_find(class, type, &is_alias);
    if (instance->component == NULL) {
        refuse_type(l, class, type, instance);
        return;
    }
    if (is_alias) {
        section_warning(&instance->section, "", "\"%s\" alias is deprecated; use \"%s\" instead",
                        type, instance->component->type);
    }
    instance->draft = arena_alloc(&l->document->arena, instance->component->schema->size + 1);
    bind(&instance->section, instance->component->schema, instance->draft);
}

/* The entries of a section with names of the user's choice. */
static const struct config_node *entries_of(struct loader *l, const struct config_node *parent,
                                            const char *owner, const char *key)
{
    const struct config_node *node = config_get(parent, key);

    if (config_is_null(node)) {
        return NULL;
    }
    if (node->kind != CONFIG_MAP) {
        config_problem(&l->report, node->place, "%s%s: expected a map", owner, key);
        return NULL;
    }
    return node;
}

static void bind_components(struct loader *l)
{
    for (enum component_class class = 0; class < COMPONENT_CLASSES; class ++) {
        const struct config_node *node = entries_of(l, l->tree.root, "", registry_section(class));
        size_t count = node != NULL ? node->count : 0;
        if (count > INSTANCES_MAX) {
            config_problem(&l->report, node->place, "%s: more than %d", registry_section(class),
                           INSTANCES_MAX);
            count = INSTANCES_MAX;
        }
        l->document->of[class].items =
            arena_alloc(&l->document->arena, (count + 1) * sizeof(struct instance));
        for (size_t i = 0; i < count; i++) {
            bind_instance(l, class, &node->entries[i]);
        }
    }
    if (config_is_null(config_get(l->tree.root, "receivers"))) {
        config_problem(&l->report, config_place_of(l->tree.root, "receivers"),
                       "no receiver configuration specified in config");
    }
    if (config_is_null(config_get(l->tree.root, "exporters"))) {
        config_problem(&l->report, config_place_of(l->tree.root, "exporters"),
                       "no exporter configuration specified in config");
    }
}

static bool parse_pipeline_id(const char *id, enum otlp_signal *signal)
{
    static const char *const names[OTLP_SIGNALS] = {
        [OTLP_TRACES] = "traces", [OTLP_METRICS] = "metrics", [OTLP_LOGS] = "logs"};
    size_t len = strcspn(id, "/");

    for (*signal = 0; *signal < OTLP_SIGNALS; (*signal)++) {
        if (strlen(names[*signal]) == len && strncmp(id, names[*signal], len) == 0) {
            return true;
        }
    }
    return false;
}

static void bind_pipeline(struct loader *l, const struct config_entry *entry)
{
    struct document_pipeline *pipeline = &l->document->pipelines[l->document->pipeline_count];
    char type[TYPE_MAX + 1];
    char *owner = mem_printf("service::pipelines::%.200s", entry->key);

    *pipeline = (struct document_pipeline){
        .id = keep_text(l, entry->key),
        .section = new_section(l, owner, entry->value, entry->place),
    };
    free(owner);
    if (!check_id(&pipeline->section, pipeline->id, type)) {
        return;
    }
    if (!parse_pipeline_id(pipeline->id, &pipeline->signal)) {
        section_problem(
            &pipeline->section, "", "unknown signal \"%s\" (valid values: [traces metrics logs])%s",
            type,
            strcmp(type, "profiles") == 0 ? "; profiles are not supported by this version" : "");
        return;
    }
    bind(&pipeline->section, &pipeline_schema, &pipeline->draft);
    l->document->pipeline_count++;
}

static void bind_service(struct loader *l)
{
    const struct config_node *service = config_get(l->tree.root, "service");
    struct config_place place = config_place_of(l->tree.root, "service");
    struct section section = new_section(l, "service", service, place);

    bind(&section, &service_schema, &l->document->service);
    const struct config_node *node = entries_of(l, service, "service::", "pipelines");
    size_t count = node != NULL ? node->count : 0;
    if (count > PIPELINES_MAX) {
        config_problem(&l->report, node->place, "service::pipelines: more than %d", PIPELINES_MAX);
        count = PIPELINES_MAX;
    }
    l->document->pipelines =
        arena_alloc(&l->document->arena, (count + 1) * sizeof(struct document_pipeline));
    for (size_t i = 0; i < count; i++) {
        bind_pipeline(l, &node->entries[i]);
    }
}

static void bind_spangate(struct loader *l)
{
    const struct config_node *node = config_get(l->tree.root, "spangate");
    struct section section =
        new_section(l, "spangate", node, config_place_of(l->tree.root, "spangate"));
    bind(&section, &spangate_schema, &l->document->spangate);
}

/* --- from the document to settings --- */

static void use_extensions(struct loader *l)
{
    struct settings_document *d = l->document;
    struct instances *all = &d->of[COMPONENT_EXTENSION];
    struct config_place place = config_place_of(l->tree.root, "service.extensions");

    for (size_t i = 0; i < d->service.extension_count; i++) {
        struct instance *found = NULL;
        for (size_t k = 0; k < all->count; k++) {
            found =
                strcmp(all->items[k].id, d->service.extensions[i]) == 0 ? &all->items[k] : found;
        }
        if (found == NULL) {
            config_problem(&l->report, place,
                           "service::extensions: references extension \"%.80s\" which is not "
                           "configured",
                           d->service.extensions[i]);
        } else {
            found->used = true;
        }
    }
}

/* The first instance of a component that is in use; NULL: none. Others of it are reported. */
static const struct instance *only_used(struct loader *l, const struct component *component)
{
    const struct instances *all = &l->document->of[component->class];
    const struct instance *first = NULL;

    for (size_t i = 0; i < all->count; i++) {
        const struct instance *instance = &all->items[i];
        if (instance->component != component || !instance->used) {
            continue;
        }
        if (first == NULL) {
            first = instance;
        } else {
            section_warning(&instance->section, "", "has no effect: %s counts", first->id);
        }
    }
    return first;
}

static void warn_of_unused(struct loader *l)
{
    for (enum component_class class = 0; class < COMPONENT_CLASSES; class ++) {
        const struct instances *all = &l->document->of[class];
        for (size_t i = 0; i < all->count; i++) {
            if (!all->items[i].used && all->items[i].component != NULL) {
                section_warning(&all->items[i].section, "", "is not used by %s",
                                class == COMPONENT_EXTENSION ? "service::extensions"
                                                             : "any pipeline");
            }
        }
    }
}

static void make_authenticators(struct loader *l)
{
    struct instances *all = &l->document->of[COMPONENT_EXTENSION];

    for (size_t i = 0; i < all->count; i++) {
        struct instance *instance = &all->items[i];
        if (instance->component == NULL || instance->component->make_auth == NULL) {
            continue;
        }
        struct auth_settings *auth = arena_alloc(&l->document->arena, sizeof(*auth));
        *auth = (struct auth_settings){.id = (char *)(uintptr_t)instance->id};
        instance->component->make_auth(&instance->section, instance->draft, auth);
        instance->auth = auth;
    }
}

/* The extension of that id; NULL: id is NULL, or a problem was reported. */
static const struct auth_settings *find_authenticator(struct loader *l,
                                                      const struct section *section,
                                                      const char *path, const char *id)
{
    const struct instances *all = &l->document->of[COMPONENT_EXTENSION];

    for (size_t i = 0; id != NULL && i < all->count; i++) {
        const struct instance *instance = &all->items[i];
        if (strcmp(instance->id, id) != 0) {
            continue;
        }
        if (instance->auth == NULL) {
            section_problem(section, path, "extension \"%.80s\" does not check credentials", id);
        } else if (!instance->used) {
            section_problem(section, path, "extension \"%.80s\" is not in service::extensions", id);
        }
        return instance->auth;
    }
    if (id != NULL) {
        section_problem(section, path,
                        "failed to resolve authenticator \"%.80s\": authenticator not found", id);
    }
    return NULL;
}

/* A page that sends a key in a header of its own needs leave to do so. */
static void allow_header(struct loader *l, struct cors_settings *cors, char *name)
{
    size_t count = cors->allowed_header_count;
    char **names = arena_alloc(&l->document->arena, (count + 1) * sizeof(*names));

    for (size_t i = 0; i < count; i++) {
        names[i] = cors->allowed_headers[i];
    }
    names[count] = name;
    cors->allowed_headers = names;
    cors->allowed_header_count = count + 1;
}

static void find_authenticators(struct loader *l, const struct section *section,
                                struct receiver_settings *out)
{
    out->grpc.auth = find_authenticator(l, section, "protocols.grpc.auth.authenticator",
                                        out->grpc_authenticator);
    out->http.auth = find_authenticator(l, section, "protocols.http.auth.authenticator",
                                        out->http_authenticator);
    if (out->http.auth != NULL && out->http.auth->header != NULL &&
        out->http.cors.allowed_origin_count > 0) {
        allow_header(l, &out->http.cors, out->http.auth->header);
    }
}

/* Receivers that are used, and where the bits of the document go. */
static void make_receivers(struct loader *l, size_t position[INSTANCES_MAX])
{
    const struct instances *all = &l->document->of[COMPONENT_RECEIVER];
    struct settings *s = l->settings;

    s->receivers = arena_alloc(&l->document->arena, (all->count + 1) * sizeof(*s->receivers));
    for (size_t i = 0; i < all->count; i++) {
        const struct instance *instance = &all->items[i];
        if (instance->component == NULL) {
            continue;
        }
        struct receiver_settings out = {.id = (char *)(uintptr_t)instance->id};
        instance->component->make_receiver(&instance->section, instance->draft, &out);
        find_authenticators(l, &instance->section, &out);
        if (instance->used) {
            position[i] = s->receiver_count;
            s->receivers[s->receiver_count++] = out;
        }
    }
}

/* A batch processor in one of its pipelines, where the exporter says nothing itself. */
static void apply_batch(const struct settings_document *document, size_t index,
                        struct exporter_settings *out)
{
    const struct instance *instance = &document->of[COMPONENT_EXPORTER].items[index];

    if (exporter_choice(instance->component, instance->draft).batch_given) {
        return;
    }
    for (size_t i = 0; i < document->pipeline_count; i++) {
        const struct document_pipeline *pipeline = &document->pipelines[i];
        const struct batch_draft *batch = pipeline->batch;
        if ((pipeline->exporters >> index & 1) == 0 || batch == NULL) {
            continue;
        }
        out->linger_ns = batch->timeout_ns;
        out->items_min = batch->send_batch_size == 0 ? 1 : batch->send_batch_size;
        if (batch->send_batch_max_size != 0) {
            out->items_max = batch->send_batch_max_size;
        } else if (out->items_max < out->items_min) {
            out->items_max = out->items_min;
        }
        return;
    }
}

static void make_exporters(struct loader *l, size_t position[INSTANCES_MAX])
{
    const struct instances *all = &l->document->of[COMPONENT_EXPORTER];
    struct settings *s = l->settings;

    s->exporters = arena_alloc(&l->document->arena, (all->count + 1) * sizeof(*s->exporters));
    for (size_t i = 0; i < all->count; i++) {
        const struct instance *instance = &all->items[i];
        if (instance->component == NULL) {
            continue;
        }
        struct exporter_settings out = {
            .id = (char *)(uintptr_t)instance->id,
            .driver = instance->component->driver,
        };
        instance->component->make_exporter(&instance->section, instance->draft, &out);
        apply_batch(l->document, i, &out);
        if (out.items_max < out.items_min) {
            out.items_min = out.items_max;
        }
        if (instance->used) {
            position[i] = s->exporter_count;
            s->exporters[s->exporter_count++] = out;
        }
    }
}

static uint64_t move_bits(uint64_t bits, const size_t position[INSTANCES_MAX])
{
    uint64_t out = 0;
    for (size_t i = 0; i < INSTANCES_MAX; i++) {
        if ((bits >> i & 1) != 0 && position[i] < INSTANCES_MAX) {
            out |= UINT64_C(1) << position[i];
        }
    }
    return out;
}

static void make_pipelines(struct loader *l, const size_t receiver_position[INSTANCES_MAX],
                           const size_t exporter_position[INSTANCES_MAX])
{
    const struct settings_document *d = l->document;
    struct settings *s = l->settings;

    s->pipelines =
        arena_alloc(&l->document->arena, (d->pipeline_count + 1) * sizeof(*s->pipelines));
    for (size_t i = 0; i < d->pipeline_count; i++) {
        const struct document_pipeline *from = &d->pipelines[i];
        struct pipeline_settings out = {
            .id = (char *)(uintptr_t)from->id,
            .signal = from->signal,
            .receivers = move_bits(from->receivers, receiver_position),
            .exporters = move_bits(from->exporters, exporter_position),
        };
        /* What only leads to connectors has handed its receivers on. */
        if (out.exporters != 0) {
            s->pipelines[s->pipeline_count++] = out;
        }
    }
}

static void check_memory_limiters(struct loader *l)
{
    const struct instances *all = &l->document->of[COMPONENT_PROCESSOR];

    for (size_t i = 0; i < all->count; i++) {
        const struct instance *instance = &all->items[i];
        if (instance->component != &memory_limiter_processor_component) {
            continue;
        }
        const struct memory_limiter_draft *draft = instance->draft;
        if (draft->check_interval_ns == 0) {
            section_problem(&instance->section, "check_interval",
                            "'check_interval' must be greater than zero");
        }
        if (draft->limit_mib == 0 && draft->limit_percentage == 0) {
            section_problem(&instance->section, "limit_mib",
                            "'limit_mib' or 'limit_percentage' must be greater than zero");
        }
    }
}

static uint64_t percent_of_memory(double percent)
{
    return (uint64_t)((double)machine_memory_bytes() * percent / 100);
}

/* Whole MiB, so that it reads well and reads back. */
static uint64_t round_memory(uint64_t bytes)
{
    bytes &= ~(((uint64_t)1 << 20) - 1);
    return bytes < MEMORY_MIN ? MEMORY_MIN : bytes;
}

static void make_memory(struct loader *l)
{
    const struct spangate_draft *own = &l->document->spangate;
    const struct instance *limiter = only_used(l, &memory_limiter_processor_component);
    struct settings *s = l->settings;

    s->memory_limit = own->memory_limit.percent > 0
                          ? round_memory(percent_of_memory(own->memory_limit.percent))
                          : own->memory_limit.bytes;
    if (limiter != NULL && !own->memory_limit_given) {
        const struct memory_limiter_draft *draft = limiter->draft;
        s->memory_limit = round_memory(draft->limit_mib != 0
                                           ? draft->limit_mib << 20
                                           : percent_of_memory((double)draft->limit_percentage));
    }
    s->traces.memory_bytes_max = (size_t)(s->memory_limit / 2);
}

static void make_data_dir(struct loader *l)
{
    const struct instance *storage = only_used(l, &file_storage_extension_component);
    const char *dir = l->document->spangate.data_dir;

    if (dir == NULL && storage != NULL) {
        dir = ((const struct file_storage_draft *)storage->draft)->directory;
    }
    if (dir != NULL && dir[0] != '\0') {
        l->settings->data_dir = (char *)(uintptr_t)keep_text(l, dir);
        return;
    }
    char *own = machine_data_dir();
    l->settings->data_dir = (char *)(uintptr_t)keep_text(l, own);
    free(own);
}

static void make_traces(struct loader *l)
{
    const struct traces_draft *own = &l->document->spangate.traces;
    const struct instance *group = only_used(l, &groupbytrace_processor_component);
    struct correlator_config *traces = &l->settings->traces;

    traces->settle_ns = own->settle_ns;
    traces->idle_ns = own->idle_ns;
    traces->max_age_ns = own->max_age_ns;
    traces->max_spans = own->max_spans;
    traces->remembered_max = REMEMBERED_TRACES;
    l->settings->finish_on_shutdown = own->finish_on_shutdown;
    if (group != NULL) {
        uint64_t wait_ns = ((const struct groupbytrace_draft *)group->draft)->wait_duration_ns;
        traces->idle_ns = own->idle_given ? traces->idle_ns : wait_ns;
        if (!own->settle_given && traces->settle_ns > wait_ns) {
            traces->settle_ns = wait_ns;
        }
    }
}

static void make_query(struct loader *l)
{
    const struct query_draft *own = &l->document->spangate.query;
    struct settings *s = l->settings;
    struct section section = new_section(l, "spangate", config_get(l->tree.root, "spangate"),
                                         config_place_of(l->tree.root, "spangate"));

    s->query_allowed_hosts = own->allowed_hosts;
    s->query_allowed_host_count = own->allowed_host_count;
    s->query_allow_unauthenticated = own->allow_unauthenticated;
    if (own->endpoint[0] == '\0') {
        return;
    }
    s->query_endpoint = own->endpoint;
    s->query_tls = make_tls_server(&section, "query", &own->access);
    s->query_auth = find_authenticator(l, &section, "query.auth.authenticator",
                                       make_authenticator(&section, "query", &own->access));
    /* What was meant to guard the port counts, even if it is wrong: one problem at a time. */
    bool guarded = own->allow_unauthenticated || own->access.auth_given ||
                   (own->access.tls_given && own->access.tls.client_ca_file != NULL);
    if (section_check_endpoint(&section, "query.endpoint", own->endpoint) && !guarded &&
        !address_is_loopback(own->endpoint)) {
        section_problem(&section, "query.endpoint",
                        "is open to the network, and whoever reaches it can read all traces: "
                        "listen on localhost, ask for credentials with spangate.query.auth, or set "
                        "spangate.query.allow_unauthenticated: true");
    }
}

static void make_health(struct loader *l)
{
    const struct instance *health = only_used(l, &health_check_extension_component);

    if (health != NULL) {
        l->settings->health_endpoint = ((struct health_check_draft *)health->draft)->endpoint;
        (void)section_check_endpoint(&health->section, "endpoint", l->settings->health_endpoint);
    }
}

static void make_metrics(struct loader *l)
{
    const struct telemetry_metrics_draft *metrics = &l->document->service.telemetry.metrics;
    struct config_place place = config_place_of(l->tree.root, "service.telemetry.metrics.readers");
    const struct prometheus_draft *first = NULL;
    static const struct prometheus_draft fallback = {.host = NULL, .port = 8888};

    for (size_t i = 0; i < metrics->reader_count; i++) {
        const struct reader_exporter_draft *exporter = &metrics->readers[i].pull.exporter;
        if (!exporter->prometheus_given) {
            config_problem(&l->report, place,
                           "service: telemetry.metrics.readers: a reader needs "
                           "pull.exporter.prometheus");
        } else if (first == NULL) {
            first = &exporter->prometheus;
        } else {
            config_warning(&l->report, place,
                           "service: telemetry.metrics.readers: only the first reader counts");
        }
    }
    if (metrics->level == METRICS_OFF || (metrics->readers_given && first == NULL)) {
        return;
    }
    first = first != NULL ? first : &fallback;
    const char *host = first->host != NULL ? first->host : "localhost";
    bool brackets = strchr(host, ':') != NULL && host[0] != '[';
    char *endpoint = mem_printf("%s%s%s:%llu", brackets ? "[" : "", host, brackets ? "]" : "",
                                (unsigned long long)first->port);
    l->settings->metrics_endpoint = (char *)(uintptr_t)keep_text(l, endpoint);
    free(endpoint);
    char name[HOST_MAX];
    uint16_t port;
    struct error ignored;
    if (!address_split(l->settings->metrics_endpoint, name, sizeof(name), &port, &ignored)) {
        config_problem(&l->report, place,
                       "service: telemetry.metrics.readers: host is not a host name");
    }
}

/* Host and port of an exporter's endpoint, with or without a scheme; false: none to be seen. */
static bool split_url(const char *url, char *host, size_t cap, uint16_t *port)
{
    struct error ignored;
    const char *scheme = strstr(url, "://");
    const char *authority = scheme != NULL ? scheme + 3 : url;
    char text[HOST_MAX];
    size_t len = strcspn(authority, "/?#");

    if (len >= sizeof(text)) {
        return false;
    }
    memcpy(text, authority, len);
    text[len] = '\0';
    return address_split(text, host, cap, port, &ignored);
}

/* Whether what is sent to the endpoint would come in again at one of our own ports. */
static bool is_own_port(const struct settings *s, const char *url)
{
    char host[HOST_MAX];
    char own_host[HOST_MAX];
    uint16_t port;
    uint16_t own_port;
    struct error ignored;

    if (url == NULL || !split_url(url, host, sizeof(host), &port) || port == 0 ||
        (strcmp(host, "localhost") != 0 && strcmp(host, "127.0.0.1") != 0 &&
         strcmp(host, "::1") != 0)) {
        return false;
    }
    for (size_t i = 0; i < s->receiver_count; i++) {
        const struct receiver_settings *r = &s->receivers[i];
        const char *const own[2] = {r->has_grpc ? r->grpc.endpoint : NULL,
                                    r->has_http ? r->http.endpoint : NULL};
        for (size_t k = 0; k < COUNT_OF(own); k++) {
            if (own[k] == NULL ||
                !address_split(own[k], own_host, sizeof(own_host), &own_port, &ignored) ||
                own_port != port) {
                continue;
            }
            /* A backend may well stand on localhost beside a gateway on another address. */
            bool is_any = own_host[0] == '\0' || strcmp(own_host, "0.0.0.0") == 0 ||
                          strcmp(own_host, "::") == 0;
            if (is_any || address_is_loopback(own[k])) {
                return true;
            }
        }
    }
    return false;
}

static void check_loops(struct loader *l)
{
    const struct instances *all = &l->document->of[COMPONENT_EXPORTER];
    const struct settings *s = l->settings;

    /* A wrong endpoint would look like a loop too: one thing at a time. */
    if (l->report.problems.total > 0) {
        return;
    }
    for (size_t i = 0; i < s->exporter_count; i++) {
        const struct exporter_settings *exporter = &s->exporters[i];
        const char *urls[1 + OTLP_SIGNALS] = {NULL};
        if (exporter->driver == &otlp_http_driver) {
            const struct otlp_http_settings *http = exporter->driver_settings;
            urls[0] = http->endpoint;
            for (size_t k = 0; k < OTLP_SIGNALS; k++) {
                urls[1 + k] = http->signal_endpoint[k];
            }
        } else if (exporter->driver == &otlp_grpc_driver) {
            urls[0] = ((const struct otlp_grpc_settings *)exporter->driver_settings)->endpoint;
        }
        for (size_t k = 0; k < COUNT_OF(urls); k++) {
            if (!is_own_port(s, urls[k])) {
                continue;
            }
            for (size_t n = 0; n < all->count; n++) {
                if (all->items[n].id == exporter->id) {
                    section_problem(&all->items[n].section, "endpoint",
                                    "is a port of our own receiver: data would go round and round");
                }
            }
            break;
        }
    }
}

static void make_settings(struct loader *l)
{
    const struct spangate_draft *own = &l->document->spangate;
    size_t receiver_position[INSTANCES_MAX];
    size_t exporter_position[INSTANCES_MAX];
    struct settings *s = l->settings;

    for (size_t i = 0; i < INSTANCES_MAX; i++) {
        receiver_position[i] = INSTANCES_MAX;
        exporter_position[i] = INSTANCES_MAX;
    }
    use_extensions(l);
    graph_resolve(l->document, &l->report, config_place_of(l->tree.root, "service.pipelines"));
    warn_of_unused(l);
    check_memory_limiters(l);
    make_authenticators(l);
    make_receivers(l, receiver_position);
    make_exporters(l, exporter_position);
    make_pipelines(l, receiver_position, exporter_position);
    s->durability = (enum durability)own->durability;
    s->durability_interval_ns = own->durability_interval_ns;
    s->disk_limit = own->disk_limit;
    s->retention_ns = own->retention_ns;
    s->log_level = (enum log_level)l->document->service.telemetry.logs.level;
    s->log_format = (enum log_format)l->document->service.telemetry.logs.encoding;
    make_data_dir(l);
    make_traces(l);
    make_memory(l);
    make_query(l);
    make_health(l);
    make_metrics(l);
    check_loops(l);
}

/* What print-config shows is what holds, also where another section decided it. */
static void settle_document(struct loader *l)
{
    struct spangate_draft *own = &l->document->spangate;
    const struct settings *s = l->settings;

    own->data_dir = s->data_dir;
    own->memory_limit = (struct config_amount){.bytes = s->memory_limit};
    own->traces.settle_ns = s->traces.settle_ns;
    own->traces.idle_ns = s->traces.idle_ns;
}

static void bind_root(struct loader *l)
{
    char nothing;
    struct config_place place = {.source = "configuration", .line = 0};
    struct config_binder binder = {.arena = &l->document->arena, .report = &l->report, .owner = ""};
    config_bind(&binder, &root_schema, l->tree.root, place, &nothing);
}

static bool load(struct loader *l, struct error *err)
{
    config_expand(&l->tree, &l->report);
    bind_root(l);
    bind_spangate(l);
    bind_components(l);
    bind_service(l);
    make_settings(l);
    settle_document(l);
    return config_report_ok(&l->report, err);
}

/* --- telling --- */

static void log_warnings(struct config_report *report)
{
    config_report_sort(report);
    for (size_t i = 0; i < report->warnings.count; i++) {
        struct log_site site = {0}; /* each is another line, none may be swallowed */
        if (log_enabled(LOG_LEVEL_WARN)) {
            log_write(&site, LOG_LEVEL_WARN, "config", "configuration", "detail=\"%s\"",
                      report->warnings.items[i].text);
        }
    }
}

static void add_endpoint(struct strbuf *list, const char *endpoint)
{
    strbuf_printf(list, "%s%s", list->len > 0 ? "," : "", endpoint);
}

/* One listener: who may send, and whether what they send can be read on the way. */
static void sort_endpoint(const char *endpoint, const struct tls_server_settings *tls,
                          const struct auth_settings *auth, struct strbuf *open,
                          struct strbuf *readable)
{
    bool guarded = auth != NULL || (tls != NULL && tls->client_ca_file != NULL);

    if (endpoint == NULL || address_is_loopback(endpoint)) {
        return;
    }
    if (!guarded) {
        add_endpoint(open, endpoint);
    } else if (tls == NULL) {
        add_endpoint(readable, endpoint);
    }
}

static void warn_of_open_ports(const struct settings *s)
{
    struct strbuf open;
    struct strbuf readable;
    struct strbuf ignored;

    strbuf_init(&open, 4096);
    strbuf_init(&readable, 4096);
    strbuf_init(&ignored, 4096);
    for (size_t i = 0; i < s->receiver_count; i++) {
        const struct receiver_settings *r = &s->receivers[i];
        sort_endpoint(r->has_grpc ? r->grpc.endpoint : NULL, r->grpc.tls, r->grpc.auth, &open,
                      &readable);
        sort_endpoint(r->has_http ? r->http.endpoint : NULL, r->http.tls, r->http.auth, &open,
                      &readable);
    }
    /* An open query port was allowed in so many words. */
    sort_endpoint(s->query_endpoint, s->query_tls, s->query_auth, &ignored, &readable);
    if (open.len > 0) {
        log_warn("config", "OTLP receivers are OPEN TO THE NETWORK WITHOUT AUTHENTICATION",
                 "endpoints=%s", open.data);
    }
    if (readable.len > 0) {
        log_warn("config", "credentials cross the network in clear text: tls is not set",
                 "endpoints=%s", readable.data);
    }
    strbuf_deinit(&open);
    strbuf_deinit(&readable);
    strbuf_deinit(&ignored);
}

static char *make_report(struct config_report *report, const struct error *err)
{
    struct strbuf text;

    if (report->problems.total == 0) {
        return mem_strdup(err->message);
    }
    strbuf_init(&text, REPORT_MAX);
    config_report_problems(report, &text);
    return strbuf_take(&text);
}

bool settings_load(struct settings **out, const char *const *sources, size_t source_count,
                   const char *const *sets, size_t set_count, char **report, struct error *err)
{
    struct loader l = {.settings = mem_zalloc(1, sizeof(*l.settings)),
                       .document = mem_zalloc(1, sizeof(*l.document))};

    config_tree_init(&l.tree);
    config_report_init(&l.report);
    arena_init(&l.document->arena);
    l.settings->document = l.document;
    bool ok = read_sources(&l, sources, source_count, sets, set_count, err) && load(&l, err);
    if (ok) {
        log_warnings(&l.report);
        warn_of_open_ports(l.settings);
        *out = l.settings;
    } else {
        if (report != NULL) {
            *report = make_report(&l.report, err);
        }
        settings_free(l.settings);
    }
    config_report_deinit(&l.report);
    config_tree_deinit(&l.tree);
    return ok;
}

void settings_free(struct settings *settings)
{
    if (settings == NULL) {
        return;
    }
    arena_deinit(&settings->document->arena);
    free(settings->document);
    free(settings);
}

void settings_print(const struct settings *settings, struct strbuf *out)
{
    document_print(settings->document, false, out);
}
