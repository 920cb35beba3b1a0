/* sections.c - the sections that are not components: service and spangate. */
#include "components.h"

static const struct config_field root_fields[] = {
    {.key = "receivers", .type = CONFIG_SECTIONS},  {.key = "processors", .type = CONFIG_SECTIONS},
    {.key = "exporters", .type = CONFIG_SECTIONS},  {.key = "connectors", .type = CONFIG_SECTIONS},
    {.key = "extensions", .type = CONFIG_SECTIONS}, {.key = "service", .type = CONFIG_SECTIONS},
    {.key = "spangate", .type = CONFIG_SECTIONS},
};
const struct config_schema root_schema = {
    .fields = root_fields, .count = COUNT_OF(root_fields), .size = 0};

/* --- service --- */

static const struct config_name level_names[] = {
    {"debug", LOG_LEVEL_DEBUG}, {"info", LOG_LEVEL_INFO},   {"warn", LOG_LEVEL_WARN},
    {"error", LOG_LEVEL_ERROR}, {"DEBUG", LOG_LEVEL_DEBUG}, {"INFO", LOG_LEVEL_INFO},
    {"WARN", LOG_LEVEL_WARN},   {"ERROR", LOG_LEVEL_ERROR}, {"dpanic", LOG_LEVEL_ERROR},
    {"panic", LOG_LEVEL_ERROR}, {"fatal", LOG_LEVEL_ERROR}, {NULL, 0},
};
static const struct config_name encoding_names[] = {
    {"console", LOG_FORMAT_TEXT}, {"json", LOG_FORMAT_JSON}, {NULL, 0}};

static const struct config_field logs_fields[] = {
    {
        .key = "level",
        .type = CONFIG_ENUM,
        .at = CONFIG_AT(struct telemetry_logs_draft, level, int),
        .fallback = "info",
        .names = level_names,
        .help = "Least level of lines that are written to standard error.",
    },
    {
        .key = "encoding",
        .type = CONFIG_ENUM,
        .at = CONFIG_AT(struct telemetry_logs_draft, encoding, int),
        .fallback = "console",
        .names = encoding_names,
        .help = "Text for people or a JSON object a line.",
    },
    {
        .key = "development",
        .type = CONFIG_NO_EFFECT,
        .fallback = "false",
        .help = "There is no such mode.",
    },
    {
        .key = "disable_caller",
        .type = CONFIG_NO_EFFECT,
        .quiet = true,
        .help = "Lines name no source.",
    },
    {
        .key = "disable_stacktrace",
        .type = CONFIG_NO_EFFECT,
        .quiet = true,
        .help = "Lines have none.",
    },
    {
        .key = "sampling",
        .type = CONFIG_NO_EFFECT,
        .help = "Each line of the program has its own rate limit.",
    },
    {.key = "output_paths", .type = CONFIG_NO_EFFECT, .help = "Lines go to standard error."},
    {.key = "error_output_paths", .type = CONFIG_NO_EFFECT, .help = "Lines go to standard error."},
    {.key = "initial_fields", .type = CONFIG_NO_EFFECT, .help = "Fields are fixed."},
    {.key = "processors", .type = CONFIG_NO_EFFECT, .help = "Own logs are not exported."},
};
static const struct config_schema logs_schema =
    CONFIG_SCHEMA(struct telemetry_logs_draft, logs_fields);

#define NAMES "Metric names are fixed."

static const struct config_field prometheus_fields[] = {
    {
        .key = "host",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct prometheus_draft, host, char *),
        .fallback = "localhost",
        .help = "Address to listen on.",
    },
    {
        .key = "port",
        .type = CONFIG_UINT,
        .at = CONFIG_AT(struct prometheus_draft, port, uint64_t),
        .fallback = "8888",
        .max = "65535",
        .help = "Port of `/metrics`.",
    },
    {.key = "without_scope_info", .type = CONFIG_NO_EFFECT, .quiet = true, .help = NAMES},
    {.key = "without_type_suffix", .type = CONFIG_NO_EFFECT, .quiet = true, .help = NAMES},
    {.key = "without_units", .type = CONFIG_NO_EFFECT, .quiet = true, .help = NAMES},
    {.key = "with_resource_constant_labels", .type = CONFIG_NO_EFFECT, .help = NAMES},
    {.key = "translation_strategy", .type = CONFIG_NO_EFFECT, .help = NAMES},
};
static const struct config_schema prometheus_schema =
    CONFIG_SCHEMA(struct prometheus_draft, prometheus_fields);

static const struct config_field reader_exporter_fields[] = {
    {
        .key = "prometheus",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct reader_exporter_draft, prometheus, struct prometheus_draft),
        .given_at = CONFIG_GIVEN(struct reader_exporter_draft, prometheus_given),
        .null_is_given = true,
        .schema = &prometheus_schema,
    },
};
static const struct config_schema reader_exporter_schema =
    CONFIG_SCHEMA(struct reader_exporter_draft, reader_exporter_fields);

static const struct config_field reader_pull_fields[] = {
    {
        .key = "exporter",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct reader_pull_draft, exporter, struct reader_exporter_draft),
        .schema = &reader_exporter_schema,
    },
};
static const struct config_schema reader_pull_schema =
    CONFIG_SCHEMA(struct reader_pull_draft, reader_pull_fields);

static const struct config_field reader_fields[] = {
    {
        .key = "pull",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct reader_draft, pull, struct reader_pull_draft),
        .schema = &reader_pull_schema,
    },
    {
        .key = "periodic",
        .type = CONFIG_UNSUPPORTED,
        .help = "Own metrics are not pushed: scrape them with a pull reader.",
    },
};
static const struct config_schema reader_schema = CONFIG_SCHEMA(struct reader_draft, reader_fields);

static const struct config_name metrics_level_names[] = {
    {"normal", METRICS_ON},
    {"none", METRICS_OFF},
    {"basic", METRICS_ON},
    {"detailed", METRICS_ON},
    {NULL, 0},
};

static const struct config_field metrics_fields[] = {
    {
        .key = "level",
        .type = CONFIG_ENUM,
        .at = CONFIG_AT(struct telemetry_metrics_draft, level, int),
        .fallback = "normal",
        .names = metrics_level_names,
        .help = "none: no metrics port. The other levels show the same.",
    },
    {
        .key = "readers",
        .type = CONFIG_STRUCTS,
        .at = CONFIG_AT(struct telemetry_metrics_draft, readers, struct reader_draft *),
        .count_at = CONFIG_AT(struct telemetry_metrics_draft, reader_count, size_t),
        .given_at = CONFIG_GIVEN(struct telemetry_metrics_draft, readers_given),
        .schema = &reader_schema,
        .help = "Where Prometheus scrapes: the first reader counts. Absent: localhost:8888. An "
                "empty list: nowhere.",
    },
    {
        .key = "address",
        .type = CONFIG_NO_EFFECT,
        .help = "The Collector ignores it too since v0.123: use readers.",
    },
    {.key = "views", .type = CONFIG_NO_EFFECT, .help = NAMES},
};
static const struct config_schema metrics_schema =
    CONFIG_SCHEMA(struct telemetry_metrics_draft, metrics_fields);

static const struct config_field telemetry_fields[] = {
    {
        .key = "resource",
        .type = CONFIG_NO_EFFECT,
        .help = "Own metrics carry no resource.",
    },
    {
        .key = "logs",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct telemetry_draft, logs, struct telemetry_logs_draft),
        .schema = &logs_schema,
    },
    {
        .key = "metrics",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct telemetry_draft, metrics, struct telemetry_metrics_draft),
        .schema = &metrics_schema,
    },
    {.key = "traces", .type = CONFIG_NO_EFFECT, .help = "The gateway does not trace itself."},
};
static const struct config_schema telemetry_schema =
    CONFIG_SCHEMA(struct telemetry_draft, telemetry_fields);

static const struct config_field service_fields[] = {
    {
        .key = "extensions",
        .type = CONFIG_STRINGS,
        .at = CONFIG_AT(struct service_draft, extensions, char **),
        .count_at = CONFIG_AT(struct service_draft, extension_count, size_t),
        .help = "Extensions that are on.",
    },
    {
        .key = "pipelines",
        .type = CONFIG_SECTIONS,
        .help = "Pipelines by `traces`, `metrics` or `logs`, with an optional /name.",
    },
    {
        .key = "telemetry",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct service_draft, telemetry, struct telemetry_draft),
        .schema = &telemetry_schema,
    },
};
const struct config_schema service_schema = CONFIG_SCHEMA(struct service_draft, service_fields);

static const struct config_field pipeline_fields[] = {
    {
        .key = "receivers",
        .type = CONFIG_STRINGS,
        .at = CONFIG_AT(struct pipeline_draft, receivers, char **),
        .count_at = CONFIG_AT(struct pipeline_draft, receiver_count, size_t),
        .help = "Receivers and connectors whose data enters. At least one.",
    },
    {
        .key = "processors",
        .type = CONFIG_STRINGS,
        .at = CONFIG_AT(struct pipeline_draft, processors, char **),
        .count_at = CONFIG_AT(struct pipeline_draft, processor_count, size_t),
        .help = "Processors, each once.",
    },
    {
        .key = "exporters",
        .type = CONFIG_STRINGS,
        .at = CONFIG_AT(struct pipeline_draft, exporters, char **),
        .count_at = CONFIG_AT(struct pipeline_draft, exporter_count, size_t),
        .help = "Exporters and connectors that get the data. At least one.",
    },
};
const struct config_schema pipeline_schema = CONFIG_SCHEMA(struct pipeline_draft, pipeline_fields);

/* --- spangate --- */

static const struct config_name durability_names[] = {{"sync", DURABILITY_SYNC},
                                                      {"interval", DURABILITY_INTERVAL},
                                                      {"memory", DURABILITY_MEMORY},
                                                      {NULL, 0}};

static const struct config_field query_fields[] = {
    {
        .key = "endpoint",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct query_draft, endpoint, char *),
        .fallback = "localhost:16686",
        .help = "Address and port of the page and the query API. \"\": none.",
    },
    {
        .key = "allowed_hosts",
        .type = CONFIG_STRINGS,
        .at = CONFIG_AT(struct query_draft, allowed_hosts, char **),
        .count_at = CONFIG_AT(struct query_draft, allowed_host_count, size_t),
        .help = "Names in the Host header that are answered besides localhost and the endpoint's "
                "own. Others are refused, because a web page could make its own name point here.",
    },
    {
        .key = "allow_unauthenticated",
        .type = CONFIG_BOOL,
        .at = CONFIG_AT(struct query_draft, allow_unauthenticated, bool),
        .fallback = "false",
        .help = "Let the endpoint be open to the network without auth. Everybody who reaches it "
                "can read all traces.",
    },
    ACCESS_FIELDS(struct query_draft, access),
};
static const struct config_schema query_schema = CONFIG_SCHEMA(struct query_draft, query_fields);

static const struct config_field traces_fields[] = {
    {
        .key = "settle",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct traces_draft, settle_ns, uint64_t),
        .given_at = CONFIG_GIVEN(struct traces_draft, settle_given),
        .fallback = "1s",
        .max = "1h",
        .help = "A trace whose root has ended and that misses no parent is finished after this "
                "long without a span. Shorter: it is exported sooner, and more late spans come as "
                "a second part.",
    },
    {
        .key = "idle",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct traces_draft, idle_ns, uint64_t),
        .given_at = CONFIG_GIVEN(struct traces_draft, idle_given),
        .fallback = "30s",
        .min = "1ms",
        .max = "24h",
        .help = "Any other trace is finished after this long without a span.",
    },
    {
        .key = "max_age",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct traces_draft, max_age_ns, uint64_t),
        .fallback = "15m",
        .min = "1s",
        .help = "No trace is kept open longer.",
    },
    {
        .key = "max_spans",
        .type = CONFIG_UINT,
        .at = CONFIG_AT(struct traces_draft, max_spans, uint64_t),
        .fallback = "100000",
        .min = "1",
        .help = "A trace with this many spans is finished in parts.",
    },
    {
        .key = "finish_on_shutdown",
        .type = CONFIG_BOOL,
        .at = CONFIG_AT(struct traces_draft, finish_on_shutdown, bool),
        .fallback = "false",
        .help = "Finish open traces when the gateway stops. Without it they stay in the ingest log "
                "and go on after the restart.",
    },
};
static const struct config_schema traces_schema = CONFIG_SCHEMA(struct traces_draft, traces_fields);

static const struct config_field spangate_fields[] = {
    {
        .key = "data_dir",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct spangate_draft, data_dir, char *),
        .help = "Where data is kept. It must be on a local disk: the logs rely on fsync. Default: "
                "$STATE_DIRECTORY, $XDG_STATE_HOME/spangate, /var/lib/spangate for root, "
                "~/.local/state/spangate.",
    },
    {
        .key = "durability",
        .type = CONFIG_ENUM,
        .at = CONFIG_AT(struct spangate_draft, durability, int),
        .fallback = "sync",
        .names = durability_names,
        .help = "When a sender is told \"ok\". sync: after fdatasync, nothing acknowledged is ever "
                "lost. interval: after write, a power cut may lose durability_interval. memory: at "
                "once, a crash loses what is in memory.",
    },
    {
        .key = "durability_interval",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct spangate_draft, durability_interval_ns, uint64_t),
        .fallback = "100ms",
        .min = "1ms",
        .max = "1m",
        .help = "Time between syncs with durability: interval.",
    },
    {
        .key = "memory_limit",
        .type = CONFIG_BYTES_OR_PERCENT,
        .at = CONFIG_AT(struct spangate_draft, memory_limit, struct config_amount),
        .given_at = CONFIG_GIVEN(struct spangate_draft, memory_limit_given),
        .fallback = "256MiB",
        .min = "16MiB",
        .help = "Memory for request bodies, open traces and caches. At the limit senders are asked "
                "to retry later. A percentage is of the machine's or control group's memory.",
    },
    {
        .key = "disk_limit",
        .type = CONFIG_BYTES,
        .at = CONFIG_AT(struct spangate_draft, disk_limit, uint64_t),
        .fallback = "10GiB",
        .min = "256MiB",
        .help =
            "Disk for the ingest log, the trace log and its index. The oldest traces that every "
            "destination has make room for new ones.",
    },
    {
        .key = "retention",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct spangate_draft, retention_ns, uint64_t),
        .fallback = "72h",
        .help = "Stored traces older than this are deleted, an hour at a time. 0s: only "
                "disk_limit counts.",
    },
    {
        .key = "query",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct spangate_draft, query, struct query_draft),
        .schema = &query_schema,
        .help = "The page and the query API.",
    },
    {
        .key = "traces",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct spangate_draft, traces, struct traces_draft),
        .schema = &traces_schema,
        .help = "When a trace is finished.",
    },
};
const struct config_schema spangate_schema = CONFIG_SCHEMA(struct spangate_draft, spangate_fields);
