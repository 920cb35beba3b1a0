/*
 * settings.h - the whole configuration as structs: what `serve` runs, `validate` checks and
 * `print-config` shows. Filled from YAML by settings.c with the tables of the modules.
 */
#ifndef SPANGATE_DAEMON_SETTINGS_H
#define SPANGATE_DAEMON_SETTINGS_H

#include <spangate/base/log.h>
#include <spangate/export/export.h>
#include <spangate/receiver/receiver.h>
#include <spangate/sink/runner.h>
#include <spangate/trace/correlator.h>
#include <spangate/wal/wal.h>

struct receiver_settings {
    char *id; /* "otlp", "otlp/2" */
    bool has_http, has_grpc;
    struct otlp_http_receiver_settings http;
    struct otlp_grpc_receiver_settings grpc;
    char *http_authenticator, *grpc_authenticator; /* ids; NULL: none */
};

struct exporter_settings {
    char *id;                /* "otlp_http/tempo" */
    bool is_trace_store;     /* the embedded store: no driver */
    const struct sink_driver *driver;
    void *driver_settings;   /* struct otlp_http_settings etc. */
    struct sink_retry retry;
    /* From sending_queue.batch, or a batch processor before it. */
    size_t items_min, items_max, bytes_max;
    uint64_t linger_ns;
    bool on_accepted;        /* export_on: accepted */
};

struct pipeline_settings {
    char *id; /* "traces/in" */
    enum otlp_signal signal;
    uint64_t receivers; /* bit i: settings.receivers[i] */
    uint64_t exporters; /* bit i: settings.exporters[i] */
};

struct settings_document; /* what settings_print() shows; document.h */

struct settings {
    struct settings_document *document; /* everything below lives in it */
    char *data_dir;
    enum durability durability;
    uint64_t durability_interval_ns;
    uint64_t memory_limit;
    uint64_t disk_limit;
    uint64_t retention_ns;
    struct correlator_config traces;
    bool finish_on_shutdown;
    char *query_endpoint;    /* NULL: off */
    char **query_allowed_hosts;
    size_t query_allowed_host_count;
    bool query_allow_unauthenticated;
    const struct tls_server_settings *query_tls; /* NULL: clear text */
    const struct auth_settings *query_auth;      /* NULL: whoever reaches it may ask */
    char *health_endpoint;   /* NULL: off */
    char *metrics_endpoint;  /* NULL: off */
    enum log_level log_level;
    enum log_format log_format;
    struct receiver_settings *receivers;
    size_t receiver_count;
    struct exporter_settings *exporters;
    size_t exporter_count;
    struct pipeline_settings *pipelines;
    size_t pipeline_count;
};

/*
 * Load and merge the sources in order (file:PATH or a bare path, env:NAME, yaml:TEXT), then the
 * `--set a.b.c=v` ones, expand ${…}, bind. No source at all: everything on localhost (see
 * docs/configuration.md). ERR_INVALID: the message has source, line, column and a suggestion;
 * several problems are joined by newlines in *report (release with free(), may be NULL).
 */
bool settings_load(struct settings **out, const char *const *sources, size_t source_count,
                   const char *const *sets, size_t set_count, char **report,
                   struct error *err) MUST_CHECK;
void settings_free(struct settings *settings);

/* The effective configuration as YAML, secrets as [REDACTED]. */
void settings_print(const struct settings *settings, struct strbuf *out);

#endif
