/* extensions.c - the sections of extensions. */
#include "components.h"

static const struct config_field health_check_fields[] = {
    {
        .key = "endpoint",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct health_check_draft, endpoint, char *),
        .fallback = "localhost:13133",
        .help = "Where `/` says whether the gateway accepts data.",
    },
    {
        .key = "path",
        .type = CONFIG_UNSUPPORTED,
        .fallback = "/",
        .help = "The answer is at `/`, /healthz and /readyz.",
    },
    {.key = "response_body", .type = CONFIG_UNSUPPORTED, .help = "The answer is fixed."},
    {.key = "transport", .type = CONFIG_UNSUPPORTED, .fallback = "tcp", .help = "Only tcp."},
    {.key = "tls", .type = CONFIG_UNSUPPORTED, .help = "The port is plain HTTP."},
    {.key = "auth", .type = CONFIG_UNSUPPORTED, .help = "The port is open to who reaches it."},
    {.key = "cors", .type = CONFIG_UNSUPPORTED, .help = "Pages have no use for it."},
    {
        .key = "check_collector_pipeline",
        .type = CONFIG_NO_EFFECT,
        .help = "Readiness always looks at the pipeline.",
    },
};
static const struct config_schema health_check_schema =
    CONFIG_SCHEMA(struct health_check_draft, health_check_fields);

#define OWN_LOG "The log on disk has its own format and upkeep; see spangate.durability."

static const struct config_field file_storage_fields[] = {
    {
        .key = "directory",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct file_storage_draft, directory, char *),
        .fallback = "/var/lib/otelcol/file_storage",
        .help = "Sets spangate.data_dir, where that is not given.",
    },
    {.key = "timeout", .type = CONFIG_NO_EFFECT, .quiet = true, .help = OWN_LOG},
    {.key = "fsync", .type = CONFIG_NO_EFFECT, .quiet = true, .help = OWN_LOG},
    {.key = "compaction", .type = CONFIG_NO_EFFECT, .quiet = true, .help = OWN_LOG},
    {
        .key = "create_directory",
        .type = CONFIG_NO_EFFECT,
        .fallback = "true",
        .help = "The folder is made where it is missing.",
    },
    {
        .key = "directory_permissions",
        .type = CONFIG_NO_EFFECT,
        .help = "Folders are made for the user of the process only.",
    },
    {
        .key = "recreate",
        .type = CONFIG_NO_EFFECT,
        .fallback = "false",
        .help = "Damage is stepped over and counted without losing the rest.",
    },
};
static const struct config_schema file_storage_schema =
    CONFIG_SCHEMA(struct file_storage_draft, file_storage_fields);

const struct component health_check_extension_component = {
    .class = COMPONENT_EXTENSION,
    .type = "health_check",
    .schema = &health_check_schema,
    .help = "An HTTP port that says whether the gateway accepts data.",
};

const struct component file_storage_extension_component = {
    .class = COMPONENT_EXTENSION,
    .type = "file_storage",
    .schema = &file_storage_schema,
    .help = "Says where data is kept.",
};
