/*
 * components.h - what each component's section binds to, and how it becomes settings.
 *
 * A component is a table of keys and, for receivers and exporters, a function that turns the bound
 * struct ("draft": the user's view) into the settings struct of a module (the program's view).
 */
#ifndef SPANGATE_SRC_DAEMON_COMPONENTS_H
#define SPANGATE_SRC_DAEMON_COMPONENTS_H

#include "settings.h"

#include <spangate/config/bind.h>

enum component_class {
    COMPONENT_RECEIVER,
    COMPONENT_PROCESSOR,
    COMPONENT_EXPORTER,
    COMPONENT_CONNECTOR,
    COMPONENT_EXTENSION,
    COMPONENT_CLASSES,
};

enum component_signals {
    TAKES_TRACES = 1 << OTLP_TRACES,
    TAKES_METRICS = 1 << OTLP_METRICS,
    TAKES_LOGS = 1 << OTLP_LOGS,
    TAKES_ALL = TAKES_TRACES | TAKES_METRICS | TAKES_LOGS,
};

/* One section of the file on its way into settings. */
struct section {
    const char *owner;              /* "exporters::otlp_http/tempo": before problems */
    const struct config_node *node; /* may be NULL or null: all defaults */
    struct config_place place;      /* of its key */
    struct config_report *report;
    struct arena *arena; /* for whatever the settings point to */
};

struct component {
    enum component_class class;
    const char *type;  /* canonical name */
    const char *alias; /* deprecated name that still loads, or NULL */
    unsigned signals;  /* enum component_signals */
    const struct config_schema *schema;
    const char *help;
    const struct sink_driver *driver; /* exporters with a runner */
    /* Check what a table cannot say and fill the settings. draft and strings in it live as long. */
    void (*make_receiver)(const struct section *section, const void *draft,
                          struct receiver_settings *out);
    void (*make_exporter)(const struct section *section, const void *draft,
                          struct exporter_settings *out);
    /* Extensions that check credentials. */
    void (*make_auth)(const struct section *section, const void *draft, struct auth_settings *out);
};

/* Problem at a key of the section ("protocols.http.endpoint"), with the owner before it. */
void section_problem(const struct section *section, const char *path, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void section_warning(const struct section *section, const char *path, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Whether the text is host:port; a problem otherwise. */
bool section_check_endpoint(const struct section *section, const char *path, const char *endpoint);

/* --- security.c --- */

/* The server's part of configtls. */
struct tls_server_draft {
    char *cert_file, *key_file, *client_ca_file;
    int min_version; /* enum tls_version */
    uint64_t reload_interval_ns;
};
struct auth_draft {
    char *authenticator; /* id of an extension */
};
/* Both at the end of a listener's struct, with whether they were given. */
struct access_draft {
    struct tls_server_draft tls;
    struct auth_draft auth;
    bool tls_given, auth_given;
};

extern const struct config_schema tls_server_schema;
extern const struct config_schema auth_schema;

#define ACCESS_FIELDS(draft, member)                                                               \
    {.key = "tls",                                                                                 \
     .type = CONFIG_STRUCT,                                                                        \
     .at = CONFIG_AT(draft, member.tls, struct tls_server_draft),                                  \
     .given_at = CONFIG_GIVEN(draft, member.tls_given),                                            \
     .null_is_given = false,                                                                       \
     .schema = &tls_server_schema,                                                                 \
     .help = "Encrypts the port. Absent: clear text."},                                            \
    {                                                                                              \
        .key = "auth", .type = CONFIG_STRUCT,                                                      \
        .at = CONFIG_AT(draft, member.auth, struct auth_draft),                                    \
        .given_at = CONFIG_GIVEN(draft, member.auth_given), .schema = &auth_schema,                \
        .help = "Asks for credentials. Absent: whoever reaches the port is let in.",               \
    }

/* NULL: not given, or a problem was reported. path: of the section that holds it. */
const struct tls_server_settings *make_tls_server(const struct section *section, const char *path,
                                                  const struct access_draft *draft);
/* The id of the authenticator; NULL: none. */
char *make_authenticator(const struct section *section, const char *path,
                         const struct access_draft *draft);

extern const struct component apikeyauth_extension_component;
extern const struct component basicauth_extension_component;
extern const struct component bearertokenauth_extension_component;

/* --- receivers.c --- */

extern const struct component otlp_receiver_component;
extern const struct component nop_receiver_component;

/* --- exporters.c --- */

extern const struct component otlp_http_exporter_component;
extern const struct component otlp_grpc_exporter_component;
extern const struct component debug_exporter_component;
extern const struct component file_exporter_component;
extern const struct component trace_store_exporter_component;
extern const struct component nop_exporter_component;

/* Whether sending_queue.batch or export_on speak for themselves; else a batch processor does. */
struct exporter_choice {
    bool batch_given;
};
struct exporter_choice exporter_choice(const struct component *component, const void *draft);

/* --- processors.c --- */

struct batch_draft {
    uint64_t timeout_ns, send_batch_size, send_batch_max_size;
};
struct memory_limiter_draft {
    uint64_t check_interval_ns, limit_mib, limit_percentage;
};
struct groupbytrace_draft {
    uint64_t wait_duration_ns;
};
extern const struct component batch_processor_component;
extern const struct component memory_limiter_processor_component;
extern const struct component groupbytrace_processor_component;
extern const struct component forward_connector_component;

/* --- extensions.c --- */

struct health_check_draft {
    char *endpoint;
};
struct file_storage_draft {
    char *directory;
};
extern const struct component health_check_extension_component;
extern const struct component file_storage_extension_component;

/* --- sections.c: service and spangate --- */

struct prometheus_draft {
    char *host;
    uint64_t port;
};
struct reader_exporter_draft {
    struct prometheus_draft prometheus;
    bool prometheus_given;
};
struct reader_pull_draft {
    struct reader_exporter_draft exporter;
};
struct reader_draft {
    struct reader_pull_draft pull;
};
struct telemetry_logs_draft {
    int level;    /* enum log_level */
    int encoding; /* enum log_format */
};
enum metrics_level { METRICS_OFF, METRICS_ON };
struct telemetry_metrics_draft {
    int level; /* enum metrics_level */
    struct reader_draft *readers;
    size_t reader_count;
    bool readers_given;
};
struct telemetry_draft {
    struct telemetry_logs_draft logs;
    struct telemetry_metrics_draft metrics;
};
struct service_draft {
    char **extensions;
    size_t extension_count;
    struct telemetry_draft telemetry;
};
struct pipeline_draft {
    char **receivers, **processors, **exporters;
    size_t receiver_count, processor_count, exporter_count;
};
struct query_draft {
    char *endpoint;
    char **allowed_hosts;
    size_t allowed_host_count;
    bool allow_unauthenticated;
    struct access_draft access;
};
struct traces_draft {
    uint64_t settle_ns, idle_ns, max_age_ns, max_spans;
    bool finish_on_shutdown;
    bool settle_given, idle_given;
};
struct spangate_draft {
    char *data_dir;
    int durability; /* enum durability */
    uint64_t durability_interval_ns;
    struct config_amount memory_limit;
    bool memory_limit_given;
    uint64_t disk_limit;
    uint64_t retention_ns;
    struct query_draft query;
    struct traces_draft traces;
};

extern const struct config_schema root_schema;
extern const struct config_schema service_schema;
extern const struct config_schema pipeline_schema;
extern const struct config_schema spangate_schema;

#endif
