/* registry.c - the list of components, and the names that others have and we do not. */
#include "registry.h"

#include <stdio.h>

enum { TYPES_MAX = 64 };

const struct component *const registry[] = {
    &nop_receiver_component,
    &otlp_receiver_component,
    &batch_processor_component,
    &groupbytrace_processor_component,
    &memory_limiter_processor_component,
    &debug_exporter_component,
    &file_exporter_component,
    &nop_exporter_component,
    &otlp_grpc_exporter_component,
    &otlp_http_exporter_component,
    &trace_store_exporter_component,
    &forward_connector_component,
    &apikeyauth_extension_component,
    &basicauth_extension_component,
    &bearertokenauth_extension_component,
    &file_storage_extension_component,
    &health_check_extension_component,
    NULL,
};

/* What a file of the Collector may name: told apart from a typing mistake. */
static const char *const known_receivers[] = {
    "awsxray",      "carbon",     "collectd",      "datadog",      "docker_stats", "faro",
    "file_log",     "filelog",    "fluentforward", "host_metrics", "hostmetrics",  "influxdb",
    "jaeger",       "journald",   "k8s_cluster",   "k8s_events",   "kafka",        "kubeletstats",
    "loki",         "mongodb",    "mysql",         "nginx",        "opencensus",   "otelarrow",
    "otlpjsonfile", "postgresql", "prometheus",    "redis",        "skywalking",   "splunk_hec",
    "statsd",       "syslog",     "tcplog",        "udplog",       "zipkin",       NULL};
static const char *const known_processors[] = {"adaptive_tail_sampling",
                                               "attributes",
                                               "cumulativetodelta",
                                               "deltatocumulative",
                                               "deltatorate",
                                               "filter",
                                               "geoip",
                                               "groupbyattrs",
                                               "interval",
                                               "k8s_attributes",
                                               "k8sattributes",
                                               "logdedup",
                                               "metricsgeneration",
                                               "metricstransform",
                                               "probabilistic_sampler",
                                               "redaction",
                                               "remotetap",
                                               "resource",
                                               "resource_detection",
                                               "resourcedetection",
                                               "routing",
                                               "schema",
                                               "span",
                                               "sumologic",
                                               "tail_sampling",
                                               "transform",
                                               "unroll",
                                               NULL};
static const char *const known_exporters[] = {"alertmanager",  "awss3",
                                              "awsxray",       "azuremonitor",
                                              "cassandra",     "clickhouse",
                                              "coralogix",     "datadog",
                                              "elasticsearch", "faro",
                                              "googlecloud",   "influxdb",
                                              "jaeger",        "jaeger_storage_exporter",
                                              "kafka",         "load_balancing",
                                              "loadbalancing", "logging",
                                              "loki",          "mongodb",
                                              "opencensus",    "opensearch",
                                              "otelarrow",     "postgresql",
                                              "prometheus",    "prometheusremotewrite",
                                              "pulsar",        "rabbitmq",
                                              "splunk_hec",    "syslog",
                                              "zipkin",        NULL};
static const char *const known_connectors[] = {
    "count",           "datadog",      "exceptions",  "failover",      "grafanacloud",
    "otlpjson",        "roundrobin",   "routing",     "service_graph", "servicegraph",
    "signaltometrics", "span_metrics", "spanmetrics", "sum",           NULL};
static const char *const known_extensions[] = {"ack",
                                               "cgroupruntime",
                                               "db_storage",
                                               "docker_observer",
                                               "expvar",
                                               "googleclientauth",
                                               "headers_setter",
                                               "healthcheckv2",
                                               "host_observer",
                                               "jaeger_query",
                                               "jaeger_storage",
                                               "jaegerremotesampling",
                                               "k8s_leader_elector",
                                               "k8s_observer",
                                               "memory_ballast",
                                               "memory_limiter",
                                               "oauth2client",
                                               "oidc",
                                               "opamp",
                                               "pebble_tail_storage",
                                               "pprof",
                                               "redis_storage",
                                               "remote_sampling",
                                               "remote_storage",
                                               "remotetap",
                                               "sigv4auth",
                                               "zpages",
                                               NULL};

static const struct {
    const char *section, *class;
    const char *const *known;
} classes[COMPONENT_CLASSES] = {
    [COMPONENT_RECEIVER] = {"receivers", "receiver", known_receivers},
    [COMPONENT_PROCESSOR] = {"processors", "processor", known_processors},
    [COMPONENT_EXPORTER] = {"exporters", "exporter", known_exporters},
    [COMPONENT_CONNECTOR] = {"connectors", "connector", known_connectors},
    [COMPONENT_EXTENSION] = {"extensions", "extension", known_extensions},
};

/* Names that were something else once. */
static const struct {
    enum component_class class;
    const char *type, *instead;
} renamed[] = {
    {COMPONENT_EXPORTER, "logging", "debug"},
    {COMPONENT_EXPORTER, "jaeger", "otlp_grpc"},
    {COMPONENT_EXPORTER, "opencensus", "otlp_grpc"},
    {COMPONENT_EXTENSION, "healthcheckv2", "health_check"},
};

const char *registry_section(enum component_class class)
{
    return classes[class].section;
}

const char *registry_class(enum component_class class)
{
    return classes[class].class;
}

const struct component *registry_find(enum component_class class, const char *type, bool *is_alias)
{
    for (size_t i = 0; registry[i] != NULL; i++) {
        const struct component *c = registry[i];
        if (c->class != class) {
            continue;
        }
        *is_alias = c->alias != NULL && strcmp(c->alias, type) == 0;
        if (*is_alias || strcmp(c->type, type) == 0) {
            return c;
        }
    }
    return NULL;
}

bool registry_is_known(enum component_class class, const char *type)
{
    for (const char *const *name = classes[class].known; *name != NULL; name++) {
        if (strcmp(*name, type) == 0) {
            return true;
        }
    }
    return false;
}

void registry_valid_values(enum component_class class, struct strbuf *out)
{
    const char *divider = "";

    strbuf_putc(out, '[');
    for (size_t i = 0; registry[i] != NULL; i++) {
        if (registry[i]->class == class) {
            strbuf_printf(out, "%s%s", divider, registry[i]->type);
            divider = " ";
        }
    }
    strbuf_putc(out, ']');
}

void registry_suggest(enum component_class class, const char *type, char *out, size_t cap)
{
    const char *types[TYPES_MAX] = {NULL};
    size_t count = 0;

    for (size_t i = 0; i < COUNT_OF(renamed); i++) {
        if (renamed[i].class == class && strcmp(renamed[i].type, type) == 0) {
            (void)snprintf(out, cap, " (did you mean \"%s\"?)", renamed[i].instead);
            return;
        }
    }
    for (size_t i = 0; registry[i] != NULL && count + 1 < TYPES_MAX; i++) {
        if (registry[i]->class == class) {
            types[count++] = registry[i]->type;
        }
    }
    config_suggest(type, types, out, cap);
}
