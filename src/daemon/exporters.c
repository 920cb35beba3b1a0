/*
 * exporters.c - the sections of exporters.
 *
 * What all of them share (retry, batching, when to export) stands in one struct and three rows.
 * Our queue is the log on disk, one for all destinations, so the Collector's queue sizes have
 * nothing to size; of `sending_queue` only `batch` matters.
 */
#include "components.h"

#include <spangate/base/mem.h>

#include <stdlib.h>
#include <strings.h>

enum { ITEMS_DEFAULT = 8192, ITEMS_MANY = 1000000, EXPORTER_BYTES_MAX = 4 << 20 };

#define LINGER_NS (200 * NS_PER_MS)
#define LINGER_ACCEPTED_NS (50 * NS_PER_MS) /* export_on: accepted is there for being quick */

struct retry_draft {
    bool enabled;
    uint64_t initial_interval_ns;
    double randomization_factor, multiplier;
    uint64_t max_interval_ns, max_elapsed_ns;
};
enum batch_sizer { SIZE_ITEMS, SIZE_BYTES };
struct queue_batch_draft {
    uint64_t flush_timeout_ns;
    uint64_t min_size, max_size;
    int sizer; /* enum batch_sizer */
};
struct queue_draft {
    struct queue_batch_draft batch;
    bool batch_given;
};
enum export_on { ON_FINALIZED, ON_ACCEPTED };
struct exporter_common {
    struct retry_draft retry;
    struct queue_draft queue;
    int export_on; /* enum export_on */
};

static const struct config_field retry_fields[] = {
    {
        .key = "enabled",
        .type = CONFIG_BOOL,
        .at = CONFIG_AT(struct retry_draft, enabled, bool),
        .fallback = "true",
        .help = "false: what fails once is dropped and counted.",
    },
    {
        .key = "initial_interval",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct retry_draft, initial_interval_ns, uint64_t),
        .fallback = "5s",
        .min = "1ms",
        .help = "Pause before the second attempt.",
    },
    {
        .key = "randomization_factor",
        .type = CONFIG_DOUBLE,
        .at = CONFIG_AT(struct retry_draft, randomization_factor, double),
        .fallback = "0.5",
        .min = "0",
        .max = "1",
        .help = "Each pause is longer or shorter by up to this part of it, so that gateways do not "
                "knock together.",
    },
    {
        .key = "multiplier",
        .type = CONFIG_DOUBLE,
        .at = CONFIG_AT(struct retry_draft, multiplier, double),
        .fallback = "1.5",
        .min = "1",
        .max = "100",
        .help = "Each pause is this many times the one before.",
    },
    {
        .key = "max_interval",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct retry_draft, max_interval_ns, uint64_t),
        .fallback = "30s",
        .min = "1ms",
        .help = "Longest pause.",
    },
    {
        .key = "max_elapsed_time",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct retry_draft, max_elapsed_ns, uint64_t),
        .fallback = "0s",
        .help = "Give up a batch after this long. 0s, our default, never gives up while the disk "
                "has room; the Collector's default is 5m. A value in your file is honoured.",
    },
};
static const struct config_schema retry_schema = CONFIG_SCHEMA(struct retry_draft, retry_fields);

static const struct config_name sizer_names[] = {
    {"items", SIZE_ITEMS}, {"bytes", SIZE_BYTES}, {NULL, 0}};

static const struct config_field partition_fields[] = {
    {
        .key = "metadata_keys",
        .type = CONFIG_UNSUPPORTED,
        .help = "Request metadata is not kept.",
    },
};
static const struct config_schema partition_schema = {
    .fields = partition_fields, .count = COUNT_OF(partition_fields), .size = 0};

static const struct config_field queue_batch_fields[] = {
    {
        .key = "flush_timeout",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct queue_batch_draft, flush_timeout_ns, uint64_t),
        .fallback = "200ms",
        .max = "10m",
        .help = "Wait at most this long for a batch of min_size.",
    },
    {
        .key = "min_size",
        .type = CONFIG_UINT,
        .at = CONFIG_AT(struct queue_batch_draft, min_size, uint64_t),
        .fallback = "8192",
        .max = "100000000",
        .help = "A batch of this size is sent without waiting for more.",
    },
    {
        .key = "max_size",
        .type = CONFIG_UINT,
        .at = CONFIG_AT(struct queue_batch_draft, max_size, uint64_t),
        .fallback = "0",
        .max = "100000000",
        .help = "No batch is larger. 0: 8192 items or min_size, whichever is more, and 4MiB.",
    },
    {
        .key = "sizer",
        .type = CONFIG_ENUM,
        .at = CONFIG_AT(struct queue_batch_draft, sizer, int),
        .fallback = "items",
        .names = sizer_names,
        .help = "What the sizes count: spans, log records and data points, or their encoded bytes; "
                "resources and scopes come on top of those.",
    },
    {
        .key = "partition",
        .type = CONFIG_STRUCT, /* without a place: no key of it has an effect */
        .schema = &partition_schema,
    },
};
static const struct config_schema queue_batch_schema =
    CONFIG_SCHEMA(struct queue_batch_draft, queue_batch_fields);

#define ON_DISK "Our queue is the log on disk: it holds what spangate.disk_limit allows."

static const struct config_field queue_fields[] = {
    {.key = "enabled", .type = CONFIG_NO_EFFECT, .quiet = true, .help = ON_DISK},
    {.key = "queue_size", .type = CONFIG_NO_EFFECT, .quiet = true, .help = ON_DISK},
    {.key = "sizer", .type = CONFIG_NO_EFFECT, .quiet = true, .help = ON_DISK},
    {.key = "storage", .type = CONFIG_NO_EFFECT, .quiet = true, .help = ON_DISK},
    {
        .key = "num_consumers",
        .type = CONFIG_NO_EFFECT,
        .quiet = true,
        .help = "A destination has one sender.",
    },
    {
        .key = "block_on_overflow",
        .type = CONFIG_NO_EFFECT,
        .quiet = true,
        .help = "At the disk limit senders are asked to retry later.",
    },
    {
        .key = "wait_for_result",
        .type = CONFIG_UNSUPPORTED,
        .fallback = "false",
        .help = "\"ok\" is said when a request is durable here (spangate.durability), not when it "
                "is exported.",
    },
    {
        .key = "batch",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct queue_draft, batch, struct queue_batch_draft),
        .given_at = CONFIG_GIVEN(struct queue_draft, batch_given),
        .schema = &queue_batch_schema,
        .help = "How large the requests to this destination are. It wins over a batch processor.",
    },
};
static const struct config_schema queue_schema = CONFIG_SCHEMA(struct queue_draft, queue_fields);

static const struct config_name export_on_names[] = {
    {"finalized", ON_FINALIZED}, {"accepted", ON_ACCEPTED}, {NULL, 0}};

/* clang-format off */
#define COMMON_FIELDS(draft)                                                                       \
    {                                                                                              \
        .key = "retry_on_failure",                                                                 \
        .type = CONFIG_STRUCT,                                                                     \
        .at = CONFIG_AT(draft, common.retry, struct retry_draft),                                  \
        .schema = &retry_schema,                                                                   \
        .help = "What happens when the destination does not take a batch.",                        \
    },                                                                                             \
    {                                                                                              \
        .key = "sending_queue",                                                                    \
        .type = CONFIG_STRUCT,                                                                     \
        .at = CONFIG_AT(draft, common.queue, struct queue_draft),                                  \
        .schema = &queue_schema,                                                                   \
        .help = ON_DISK,                                                                           \
    },                                                                                             \
    {                                                                                              \
        .key = "export_on",                                                                        \
        .type = CONFIG_ENUM,                                                                       \
        .at = CONFIG_AT(draft, common.export_on, int),                                             \
        .fallback = "finalized",                                                                   \
        .names = export_on_names,                                                                  \
        .help = "finalized: whole traces, once they are finished. accepted: each request as soon " \
                "as it is durable. Logs and metrics are always sent as accepted. Ours, not the "   \
                "Collector's.",                                                                    \
    }
/* clang-format on */

/* --- TLS of clients --- */

struct tls_draft {
    bool insecure, insecure_skip_verify;
    char *ca_file, *cert_file, *key_file, *server_name_override;
};

#define USE_FILES "Put it into a file and name that."

static const struct config_field tls_fields[] = {
    {
        .key = "insecure",
        .type = CONFIG_BOOL,
        .at = CONFIG_AT(struct tls_draft, insecure, bool),
        .fallback = "false",
        .help = "Without TLS. For otlp_http the scheme of the endpoint decides.",
    },
    {
        .key = "insecure_skip_verify",
        .type = CONFIG_BOOL,
        .at = CONFIG_AT(struct tls_draft, insecure_skip_verify, bool),
        .fallback = "false",
        .help = "TLS without checking who answers. For tests only.",
    },
    {
        .key = "ca_file",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct tls_draft, ca_file, char *),
        .help = "Certificates to trust instead of the system's, PEM.",
    },
    {
        .key = "cert_file",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct tls_draft, cert_file, char *),
        .help = "Our certificate, where the destination asks for one, PEM.",
    },
    {
        .key = "key_file",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct tls_draft, key_file, char *),
        .help = "The key of cert_file, PEM.",
    },
    {
        .key = "server_name_override",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct tls_draft, server_name_override, char *),
        .help = "Name that the certificate must have, instead of the endpoint's.",
    },
    {.key = "ca_pem", .type = CONFIG_UNSUPPORTED, .help = USE_FILES},
    {.key = "cert_pem", .type = CONFIG_UNSUPPORTED, .help = USE_FILES},
    {.key = "key_pem", .type = CONFIG_UNSUPPORTED, .help = USE_FILES},
    {
        .key = "include_system_ca_certs_pool",
        .type = CONFIG_UNSUPPORTED,
        .fallback = "false",
        .help = "Put both sets of certificates into ca_file.",
    },
    {
        .key = "min_version",
        .type = CONFIG_UNSUPPORTED,
        .fallback = "1.2",
        .help = "TLS 1.2 and 1.3 are spoken.",
    },
    {.key = "max_version", .type = CONFIG_UNSUPPORTED, .help = "TLS 1.2 and 1.3 are spoken."},
    {.key = "cipher_suites", .type = CONFIG_UNSUPPORTED, .help = "OpenSSL's defaults are used."},
    {
        .key = "include_insecure_cipher_suites",
        .type = CONFIG_UNSUPPORTED,
        .fallback = "false",
        .help = "OpenSSL's defaults are used.",
    },
    {
        .key = "curve_preferences",
        .type = CONFIG_UNSUPPORTED,
        .help = "OpenSSL's defaults are used.",
    },
    {
        .key = "reload_interval",
        .type = CONFIG_NO_EFFECT,
        .help = "Files are read when a connection is made.",
    },
    {.key = "tpm", .type = CONFIG_UNSUPPORTED, .help = "Keys are read from files."},
};
static const struct config_schema tls_schema = CONFIG_SCHEMA(struct tls_draft, tls_fields);

static struct tls_client_settings make_tls(const struct section *section,
                                           const struct tls_draft *draft)
{
    if ((draft->cert_file != NULL) != (draft->key_file != NULL)) {
        section_problem(section, "tls", "cert_file and key_file go together");
    }
    return (struct tls_client_settings){
        .insecure = draft->insecure,
        .insecure_skip_verify = draft->insecure_skip_verify,
        .ca_file = draft->ca_file,
        .cert_file = draft->cert_file,
        .key_file = draft->key_file,
        .server_name_override = draft->server_name_override,
    };
}

static struct header_setting *make_headers(const struct section *section,
                                           const struct config_header *headers, size_t count)
{
    struct header_setting *out = arena_alloc(section->arena, (count + 1) * sizeof(*out));
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct header_setting){.name = headers[i].name, .value = headers[i].value};
    }
    return out;
}

static void make_common(const struct exporter_common *draft, struct exporter_settings *out)
{
    const struct queue_batch_draft *batch = &draft->queue.batch;

    out->retry = (struct sink_retry){
        .enabled = draft->retry.enabled,
        .initial_interval_ns = draft->retry.initial_interval_ns,
        .randomization_factor = draft->retry.randomization_factor,
        .multiplier = draft->retry.multiplier,
        .max_interval_ns = draft->retry.max_interval_ns,
        .max_elapsed_ns = draft->retry.max_elapsed_ns,
    };
    out->on_accepted = draft->export_on == ON_ACCEPTED;
    out->items_min = ITEMS_DEFAULT;
    out->items_max = ITEMS_DEFAULT;
    out->bytes_max = EXPORTER_BYTES_MAX;
    out->linger_ns = out->on_accepted ? LINGER_ACCEPTED_NS : LINGER_NS;
    if (!draft->queue.batch_given) {
        return;
    }
    out->linger_ns = batch->flush_timeout_ns;
    if (batch->sizer == SIZE_BYTES) {
        /* The runner waits for items; with bytes to wait for, it waits until the batch is full. */
        size_t bytes = batch->max_size != 0 ? batch->max_size : batch->min_size;
        out->bytes_max = bytes != 0 ? bytes : EXPORTER_BYTES_MAX;
        out->items_max = ITEMS_MANY;
        out->items_min = batch->min_size == 0 ? 1 : ITEMS_MANY;
        return;
    }
    out->items_min = batch->min_size == 0 ? 1 : batch->min_size;
    out->items_max = batch->max_size;
    if (out->items_max == 0) {
        out->items_max = out->items_min > ITEMS_DEFAULT ? out->items_min : ITEMS_DEFAULT;
    }
}

static bool has_scheme(const char *url)
{
    return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

/* A URL as otlp_http needs it; empty is fine here. */
static void check_url(const struct section *section, const char *key, const char *url)
{
    if (url == NULL) {
        return;
    }
    if (!has_scheme(url)) {
        section_problem(section, key, "must begin with http:// or https://");
    } else if (strpbrk(strstr(url, "://") + 3, " \t\r\n") != NULL ||
               strstr(url, "://")[3] == '\0') {
        section_problem(section, key, "is not a valid URL");
    }
}

/* --- otlp_http --- */

enum http_preset { PRESET_NONE, PRESET_MONOSCOPE };
enum http_encoding { ENCODING_PROTO, ENCODING_JSON };

struct compression_params_draft {
    int64_t level;
};
struct http_client_draft {
    char *endpoint;
    char *traces_endpoint, *metrics_endpoint, *logs_endpoint;
    int preset;
    int encoding;
    bool encoding_given, compression_given;
    int compression; /* enum codec */
    struct compression_params_draft compression_params;
    uint64_t timeout_ns;
    struct config_header *headers;
    size_t header_count;
    struct tls_draft tls;
    char *proxy_url;
    struct exporter_common common;
};

static const struct config_name preset_names[] = {
    {"none", PRESET_NONE}, {"monoscope", PRESET_MONOSCOPE}, {NULL, 0}};
static const struct config_name encoding_names[] = {
    {"proto", ENCODING_PROTO}, {"json", ENCODING_JSON}, {NULL, 0}};
static const struct config_name http_compression_names[] = {{"gzip", CODEC_GZIP},
                                                            {"zstd", CODEC_ZSTD},
                                                            {"zlib", CODEC_ZLIB},
                                                            {"deflate", CODEC_DEFLATE},
                                                            {"none", CODEC_NONE},
                                                            {"", CODEC_NONE},
                                                            {NULL, 0}};

static const struct config_field compression_params_fields[] = {
    {
        .key = "level",
        .type = CONFIG_INT,
        .at = CONFIG_AT(struct compression_params_draft, level, int64_t),
        .fallback = "-1",
        .min = "-1",
        .max = "22",
        .help = "Effort: 1 to 9 for gzip, zlib and deflate, 1 to 22 for zstd. -1: quick.",
    },
};
static const struct config_schema compression_params_schema =
    CONFIG_SCHEMA(struct compression_params_draft, compression_params_fields);

static const struct config_field cookies_fields[] = {
    {
        .key = "enabled",
        .type = CONFIG_UNSUPPORTED,
        .fallback = "false",
        .help = "Cookies are not kept.",
    },
};
static const struct config_schema cookies_schema = {
    .fields = cookies_fields, .count = COUNT_OF(cookies_fields), .size = 0};

#define LIBRARY "The HTTP library decides."

static const struct config_field http_client_fields[] = {
    {
        .key = "endpoint",
        .type = CONFIG_URL,
        .at = CONFIG_AT(struct http_client_draft, endpoint, char *),
        .help = "Base URL of the destination; /v1/traces and so on is appended.",
    },
    {
        .key = "traces_endpoint",
        .type = CONFIG_URL,
        .at = CONFIG_AT(struct http_client_draft, traces_endpoint, char *),
        .help = "URL for traces, used as it is.",
    },
    {
        .key = "metrics_endpoint",
        .type = CONFIG_URL,
        .at = CONFIG_AT(struct http_client_draft, metrics_endpoint, char *),
        .help = "URL for metrics, used as it is.",
    },
    {
        .key = "logs_endpoint",
        .type = CONFIG_URL,
        .at = CONFIG_AT(struct http_client_draft, logs_endpoint, char *),
        .help = "URL for logs, used as it is.",
    },
    {.key = "profiles_endpoint", .type = CONFIG_NO_EFFECT, .help = "Profiles are not taken."},
    {
        .key = "preset",
        .type = CONFIG_ENUM,
        .at = CONFIG_AT(struct http_client_draft, preset, int),
        .fallback = "none",
        .names = preset_names,
        .help = "monoscope: protobuf without compression, and a header x-api-key must be there, "
                "because Monoscope says 200 to requests without a key and drops them. Ours, not "
                "the Collector's.",
    },
    {
        .key = "encoding",
        .type = CONFIG_ENUM,
        .at = CONFIG_AT(struct http_client_draft, encoding, int),
        .given_at = CONFIG_GIVEN(struct http_client_draft, encoding_given),
        .fallback = "proto",
        .names = encoding_names,
        .help = "Format of the requests.",
    },
    {
        .key = "compression",
        .type = CONFIG_ENUM,
        .at = CONFIG_AT(struct http_client_draft, compression, int),
        .given_at = CONFIG_GIVEN(struct http_client_draft, compression_given),
        .fallback = "gzip",
        .names = http_compression_names,
        .help = "Compression of the requests. zstd costs less and makes them smaller where the "
                "destination knows it.",
    },
    {
        .key = "compression_params",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct http_client_draft, compression_params,
                        struct compression_params_draft),
        .schema = &compression_params_schema,
    },
    {
        .key = "timeout",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct http_client_draft, timeout_ns, uint64_t),
        .fallback = "30s",
        .help = "A request that takes longer has failed and is tried again. 0s: no limit.",
    },
    {
        .key = "headers",
        .type = CONFIG_HEADERS,
        .at = CONFIG_AT(struct http_client_draft, headers, struct config_header *),
        .count_at = CONFIG_AT(struct http_client_draft, header_count, size_t),
        .help = "Headers of every request. Values are secrets: they are not logged or printed.",
    },
    {
        .key = "tls",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct http_client_draft, tls, struct tls_draft),
        .schema = &tls_schema,
    },
    {
        .key = "proxy_url",
        .type = CONFIG_URL,
        .at = CONFIG_AT(struct http_client_draft, proxy_url, char *),
        .help = "Proxy to go through. Empty: HTTP_PROXY, HTTPS_PROXY and NO_PROXY are honoured.",
    },
    {
        .key = "auth",
        .type = CONFIG_UNSUPPORTED,
        .help = "Put the credentials into headers, like authorization.",
    },
    {.key = "middlewares", .type = CONFIG_UNSUPPORTED, .help = "There are no middlewares."},
    {
        .key = "cookies",
        .type = CONFIG_STRUCT, /* without a place: no key of it has an effect */
        .schema = &cookies_schema,
    },
    {.key = "read_buffer_size", .type = CONFIG_NO_EFFECT, .help = LIBRARY},
    {.key = "write_buffer_size", .type = CONFIG_NO_EFFECT, .help = LIBRARY},
    {
        .key = "max_idle_conns",
        .type = CONFIG_NO_EFFECT,
        .help = "A destination has one connection.",
    },
    {
        .key = "max_idle_conns_per_host",
        .type = CONFIG_NO_EFFECT,
        .help = "A destination has one connection.",
    },
    {
        .key = "max_conns_per_host",
        .type = CONFIG_NO_EFFECT,
        .help = "A destination has one connection.",
    },
    {.key = "idle_conn_timeout", .type = CONFIG_NO_EFFECT, .help = LIBRARY},
    {
        .key = "disable_keep_alives",
        .type = CONFIG_NO_EFFECT,
        .fallback = "false",
        .help = "The connection is kept open between requests.",
    },
    {.key = "http2_read_idle_timeout", .type = CONFIG_NO_EFFECT, .help = LIBRARY},
    {.key = "http2_ping_timeout", .type = CONFIG_NO_EFFECT, .help = LIBRARY},
    {.key = "force_attempt_http2", .type = CONFIG_NO_EFFECT, .fallback = "true", .help = LIBRARY},
    COMMON_FIELDS(struct http_client_draft),
};
static const struct config_schema http_client_schema =
    CONFIG_SCHEMA(struct http_client_draft, http_client_fields);

/* 0 is the codec's own default. */
static int compression_level(const struct section *section, enum codec codec, int64_t level)
{
    if (codec != CODEC_ZSTD && level > 9) {
        section_problem(section, "compression_params.level", "must be at most 9 for %s",
                        codec_name(codec));
    }
    return level < 0 ? 0 : (int)level;
}

static void apply_monoscope(const struct section *section, const struct http_client_draft *draft,
                            struct otlp_http_settings *out)
{
    bool has_key = false;

    for (size_t i = 0; i < draft->header_count; i++) {
        has_key = has_key || (strcasecmp(draft->headers[i].name, "x-api-key") == 0 &&
                              draft->headers[i].value[0] != '\0');
    }
    if (!has_key) {
        section_problem(section, "headers",
                        "preset monoscope needs the header x-api-key: without a key Monoscope "
                        "says 200 and drops the data");
    }
    if (draft->encoding_given && draft->encoding != ENCODING_PROTO) {
        section_problem(section, "encoding", "preset monoscope takes proto only");
    }
    if (draft->compression_given && draft->compression != CODEC_NONE) {
        section_problem(section, "compression", "preset monoscope takes none only");
    }
    out->json = false;
    out->compression = CODEC_NONE;
}

static void make_otlp_http(const struct section *section, const void *source,
                           struct exporter_settings *out)
{
    const struct http_client_draft *draft = source;
    struct otlp_http_settings *settings = arena_alloc(section->arena, sizeof(*settings));

    if (draft->endpoint == NULL && draft->traces_endpoint == NULL &&
        draft->metrics_endpoint == NULL && draft->logs_endpoint == NULL) {
        section_problem(section, "endpoint", "at least one endpoint must be specified");
    }
    check_url(section, "endpoint", draft->endpoint);
    check_url(section, "traces_endpoint", draft->traces_endpoint);
    check_url(section, "metrics_endpoint", draft->metrics_endpoint);
    check_url(section, "logs_endpoint", draft->logs_endpoint);
    *settings = (struct otlp_http_settings){
        .endpoint = draft->endpoint,
        .signal_endpoint = {[OTLP_TRACES] = draft->traces_endpoint,
                            [OTLP_METRICS] = draft->metrics_endpoint,
                            [OTLP_LOGS] = draft->logs_endpoint},
        .json = draft->encoding == ENCODING_JSON,
        .compression = (enum codec)draft->compression,
        .compression_level = compression_level(section, (enum codec)draft->compression,
                                               draft->compression_params.level),
        .timeout_ns = draft->timeout_ns,
        .headers = make_headers(section, draft->headers, draft->header_count),
        .header_count = draft->header_count,
        .tls = make_tls(section, &draft->tls),
        .proxy_url = draft->proxy_url,
    };
    if (draft->preset == PRESET_MONOSCOPE) {
        apply_monoscope(section, draft, settings);
    }
    make_common(&draft->common, out);
    out->driver_settings = settings;
}

/* --- otlp_grpc --- */

struct grpc_client_draft {
    char *endpoint;
    int compression; /* enum codec */
    uint64_t timeout_ns;
    struct config_header *headers;
    size_t header_count;
    struct tls_draft tls;
    char *authority, *user_agent;
    struct exporter_common common;
};

static const struct config_name grpc_compression_names[] = {
    {"gzip", CODEC_GZIP}, {"zstd", CODEC_ZSTD}, {"none", CODEC_NONE}, {"", CODEC_NONE}, {NULL, 0}};

static const struct config_field grpc_client_fields[] = {
    {
        .key = "endpoint",
        .type = CONFIG_URL,
        .at = CONFIG_AT(struct grpc_client_draft, endpoint, char *),
        .help = "host:port of the destination, or http://host:port without TLS, or "
                "https://host:port with it.",
    },
    {
        .key = "compression",
        .type = CONFIG_ENUM,
        .at = CONFIG_AT(struct grpc_client_draft, compression, int),
        .fallback = "gzip",
        .names = grpc_compression_names,
        .help = "Compression of the requests.",
    },
    {
        .key = "timeout",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct grpc_client_draft, timeout_ns, uint64_t),
        .fallback = "5s",
        .help = "A request that takes longer has failed and is tried again. 0s: no limit.",
    },
    {
        .key = "headers",
        .type = CONFIG_HEADERS,
        .at = CONFIG_AT(struct grpc_client_draft, headers, struct config_header *),
        .count_at = CONFIG_AT(struct grpc_client_draft, header_count, size_t),
        .help = "Metadata of every request. Values are secrets: they are not logged or printed.",
    },
    {
        .key = "tls",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct grpc_client_draft, tls, struct tls_draft),
        .schema = &tls_schema,
    },
    {
        .key = "authority",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct grpc_client_draft, authority, char *),
        .help = "What is sent as :authority instead of the endpoint.",
    },
    {
        .key = "user_agent",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct grpc_client_draft, user_agent, char *),
        .help = "What is sent as user-agent. Empty: spangate and its version.",
    },
    {
        .key = "auth",
        .type = CONFIG_UNSUPPORTED,
        .help = "Put the credentials into headers, like authorization.",
    },
    {.key = "middlewares", .type = CONFIG_UNSUPPORTED, .help = "There are no middlewares."},
    {
        .key = "keepalive",
        .type = CONFIG_NO_EFFECT,
        .help = "Dead connections are found by timeout.",
    },
    {
        .key = "read_buffer_size",
        .type = CONFIG_NO_EFFECT,
        .help = "Buffers are sized by the program.",
    },
    {
        .key = "write_buffer_size",
        .type = CONFIG_NO_EFFECT,
        .help = "Buffers are sized by the program.",
    },
    {
        .key = "wait_for_ready",
        .type = CONFIG_NO_EFFECT,
        .fallback = "false",
        .help = "Requests wait in the log until the destination is there.",
    },
    {
        .key = "balancer_name",
        .type = CONFIG_NO_EFFECT,
        .fallback = "round_robin",
        .help = "A destination has one connection.",
    },
    COMMON_FIELDS(struct grpc_client_draft),
};
static const struct config_schema grpc_client_schema =
    CONFIG_SCHEMA(struct grpc_client_draft, grpc_client_fields);

/* host:port, behind one of the schemes that mean a plain connection to a name. */
static char *grpc_endpoint(const struct section *section, char *endpoint)
{
    static const char dns[] = "dns:///";

    if (endpoint == NULL) {
        section_problem(section, "endpoint", "requires a non-empty \"endpoint\"");
        return NULL;
    }
    if (strncmp(endpoint, dns, strlen(dns)) == 0) {
        endpoint += strlen(dns);
    }
    const char *scheme = strstr(endpoint, "://");
    const char *authority = scheme != NULL ? scheme + 3 : endpoint;
    if ((scheme != NULL && !has_scheme(endpoint)) || strncmp(endpoint, "unix:", 5) == 0) {
        section_problem(section, "endpoint",
                        "this scheme is not supported (supported: host:port, http, https, dns)");
    } else if (strpbrk(authority, " \t@") != NULL || authority[0] == '\0') {
        section_problem(section, "endpoint", "is not a host and a port");
    } else if (scheme == NULL && strchr(authority, '/') == NULL) {
        (void)section_check_endpoint(section, "endpoint", authority);
    } else if (strcspn(authority, "/") + 1 < strlen(authority)) {
        section_problem(section, "endpoint", "a gRPC endpoint has no path");
    }
    return endpoint;
}

static void make_otlp_grpc(const struct section *section, const void *source,
                           struct exporter_settings *out)
{
    const struct grpc_client_draft *draft = source;
    struct otlp_grpc_settings *settings = arena_alloc(section->arena, sizeof(*settings));

    *settings = (struct otlp_grpc_settings){
        .endpoint = grpc_endpoint(section, draft->endpoint),
        .compression = (enum codec)draft->compression,
        .timeout_ns = draft->timeout_ns,
        .headers = make_headers(section, draft->headers, draft->header_count),
        .header_count = draft->header_count,
        .tls = make_tls(section, &draft->tls),
        .authority = draft->authority,
        .user_agent = draft->user_agent,
    };
    make_common(&draft->common, out);
    out->driver_settings = settings;
}

/* --- debug --- */

struct debug_draft {
    int verbosity;
    struct exporter_common common;
};

static const struct config_name verbosity_names[] = {
    {"basic", DEBUG_BASIC}, {"normal", DEBUG_NORMAL}, {"detailed", DEBUG_DETAILED}, {NULL, 0}};

static const struct config_field debug_fields[] = {
    {
        .key = "verbosity",
        .type = CONFIG_ENUM,
        .at = CONFIG_AT(struct debug_draft, verbosity, int),
        .fallback = "basic",
        .names = verbosity_names,
        .help = "basic: a line for each batch; normal: one for each span; detailed: everything in "
                "it, which may be confidential.",
    },
    {.key = "sampling_initial", .type = CONFIG_NO_EFFECT, .help = "Nothing is left out."},
    {.key = "sampling_thereafter", .type = CONFIG_NO_EFFECT, .help = "Nothing is left out."},
    {
        .key = "use_internal_logger",
        .type = CONFIG_NO_EFFECT,
        .fallback = "true",
        .help = "It writes to the log.",
    },
    {.key = "output_paths", .type = CONFIG_NO_EFFECT, .help = "It writes to the log."},
    COMMON_FIELDS(struct debug_draft),
};
static const struct config_schema debug_schema = CONFIG_SCHEMA(struct debug_draft, debug_fields);

static void make_debug(const struct section *section, const void *source,
                       struct exporter_settings *out)
{
    const struct debug_draft *draft = source;
    struct debug_settings *settings = arena_alloc(section->arena, sizeof(*settings));

    *settings = (struct debug_settings){0};
    settings->verbosity = (unsigned)draft->verbosity;
    make_common(&draft->common, out);
    out->driver_settings = settings;
}

/* --- file --- */

enum file_format { FORMAT_JSON, FORMAT_PROTO };

struct rotation_draft {
    uint64_t max_megabytes, max_backups;
};
struct file_draft {
    char *path;
    int format;
    bool append, create_directory;
    struct rotation_draft rotation;
    bool rotation_given;
    struct exporter_common common;
};

static const struct config_name format_names[] = {
    {"json", FORMAT_JSON}, {"proto", FORMAT_PROTO}, {NULL, 0}};

static const struct config_field rotation_fields[] = {
    {
        .key = "max_megabytes",
        .type = CONFIG_UINT,
        .at = CONFIG_AT(struct rotation_draft, max_megabytes, uint64_t),
        .fallback = "100",
        .min = "1",
        .max = "1048576",
        .help = "A file of this many MiB is closed and a new one begun.",
    },
    {
        .key = "max_backups",
        .type = CONFIG_UINT,
        .at = CONFIG_AT(struct rotation_draft, max_backups, uint64_t),
        .fallback = "100",
        .max = "100000",
        .help = "Closed files that are kept; older ones are deleted.",
    },
    {
        .key = "max_days",
        .type = CONFIG_UNSUPPORTED,
        .fallback = "0",
        .help = "Files are deleted by number: max_backups.",
    },
    {
        .key = "localtime",
        .type = CONFIG_NO_EFFECT,
        .fallback = "false",
        .help = "Closed files are numbered, not dated.",
    },
};
static const struct config_schema rotation_schema =
    CONFIG_SCHEMA(struct rotation_draft, rotation_fields);

static const struct config_field group_by_fields[] = {
    {
        .key = "enabled",
        .type = CONFIG_UNSUPPORTED,
        .fallback = "false",
        .help = "All data goes to one file.",
    },
    {.key = "resource_attribute", .type = CONFIG_NO_EFFECT, .quiet = true, .help = "See enabled."},
    {.key = "max_open_files", .type = CONFIG_NO_EFFECT, .quiet = true, .help = "See enabled."},
};
static const struct config_schema group_by_schema = {
    .fields = group_by_fields, .count = COUNT_OF(group_by_fields), .size = 0};

static const struct config_field file_fields[] = {
    {
        .key = "path",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct file_draft, path, char *),
        .help = "File to write. Required.",
    },
    {
        .key = "format",
        .type = CONFIG_ENUM,
        .at = CONFIG_AT(struct file_draft, format, int),
        .fallback = "json",
        .names = format_names,
        .help = "json: a request a line. proto: requests with their length before them, four "
                "bytes, big-endian.",
    },
    {
        .key = "append",
        .type = CONFIG_BOOL,
        .at = CONFIG_AT(struct file_draft, append, bool),
        .fallback = "false",
        .help = "Keep what is in the file at the start; without it the file is emptied.",
    },
    {
        .key = "create_directory",
        .type = CONFIG_BOOL,
        .at = CONFIG_AT(struct file_draft, create_directory, bool),
        .fallback = "false",
        .help = "Make the folder of the file where it is missing.",
    },
    {
        .key = "rotation",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct file_draft, rotation, struct rotation_draft),
        .given_at = CONFIG_GIVEN(struct file_draft, rotation_given),
        .schema = &rotation_schema,
        .help = "Begin a new file when the old one is large.",
    },
    {
        .key = "compression",
        .type = CONFIG_UNSUPPORTED,
        .help = "Files are written uncompressed.",
    },
    {
        .key = "encoding",
        .type = CONFIG_UNSUPPORTED,
        .help = "Use format.",
    },
    {.key = "flush_interval", .type = CONFIG_NO_EFFECT, .help = "Each batch is written at once."},
    {
        .key = "group_by",
        .type = CONFIG_STRUCT, /* without a place: no key of it has an effect */
        .schema = &group_by_schema,
    },
    COMMON_FIELDS(struct file_draft),
};
static const struct config_schema file_schema = CONFIG_SCHEMA(struct file_draft, file_fields);

static void make_file(const struct section *section, const void *source,
                      struct exporter_settings *out)
{
    const struct file_draft *draft = source;
    struct file_settings *settings = arena_alloc(section->arena, sizeof(*settings));

    if (draft->path == NULL) {
        section_problem(section, "path", "path must be non-empty");
    }
    if (draft->append && draft->rotation_given) {
        section_problem(section, "append",
                        "append and rotation enabled at the same time is not supported");
    }
    *settings = (struct file_settings){
        .path = draft->path,
        .json = draft->format == FORMAT_JSON,
        .append = draft->append,
        .create_directory = draft->create_directory,
        .rotate_bytes = draft->rotation_given ? draft->rotation.max_megabytes << 20 : 0,
        .max_backups = (uint32_t)draft->rotation.max_backups,
    };
    make_common(&draft->common, out);
    out->driver_settings = settings;
}

/* --- trace_store, nop --- */

static const struct config_schema empty_schema = {.fields = NULL, .count = 0, .size = 0};

static void make_trace_store(const struct section *section, const void *draft,
                             struct exporter_settings *out)
{
    (void)section;
    (void)draft;
    out->is_trace_store = true;
}

static void make_nop(const struct section *section, const void *draft,
                     struct exporter_settings *out)
{
    (void)section;
    (void)draft;
    out->is_trace_store = false;
}

struct exporter_choice exporter_choice(const struct component *component, const void *draft)
{
    const struct config_schema *schema = component->schema;
    const struct exporter_common *common = NULL;

    if (schema == &http_client_schema) {
        common = &((const struct http_client_draft *)draft)->common;
    } else if (schema == &grpc_client_schema) {
        common = &((const struct grpc_client_draft *)draft)->common;
    } else if (schema == &debug_schema) {
        common = &((const struct debug_draft *)draft)->common;
    } else if (schema == &file_schema) {
        common = &((const struct file_draft *)draft)->common;
    }
    return (struct exporter_choice){.batch_given = common == NULL || common->queue.batch_given};
}

const struct component otlp_http_exporter_component = {
    .class = COMPONENT_EXPORTER,
    .type = "otlp_http",
    .alias = "otlphttp",
    .signals = TAKES_ALL,
    .schema = &http_client_schema,
    .help = "Sends OTLP over HTTP.",
    .driver = &otlp_http_driver,
    .make_exporter = make_otlp_http,
};

const struct component otlp_grpc_exporter_component = {
    .class = COMPONENT_EXPORTER,
    .type = "otlp_grpc",
    .alias = "otlp",
    .signals = TAKES_ALL,
    .schema = &grpc_client_schema,
    .help = "Sends OTLP over gRPC.",
    .driver = &otlp_grpc_driver,
    .make_exporter = make_otlp_grpc,
};

const struct component debug_exporter_component = {
    .class = COMPONENT_EXPORTER,
    .type = "debug",
    .signals = TAKES_ALL,
    .schema = &debug_schema,
    .help = "Writes what passes to the log.",
    .driver = &debug_driver,
    .make_exporter = make_debug,
};

const struct component file_exporter_component = {
    .class = COMPONENT_EXPORTER,
    .type = "file",
    .signals = TAKES_ALL,
    .schema = &file_schema,
    .help = "Appends to a file.",
    .driver = &file_driver,
    .make_exporter = make_file,
};

const struct component trace_store_exporter_component = {
    .class = COMPONENT_EXPORTER,
    .type = "trace_store",
    .signals = TAKES_TRACES,
    .schema = &empty_schema,
    .help = "Keeps finished traces on this machine for spangate.retention. Without it in a "
            "pipeline traces are kept only until every destination has them.",
    .make_exporter = make_trace_store,
};

const struct component nop_exporter_component = {
    .class = COMPONENT_EXPORTER,
    .type = "nop",
    .signals = TAKES_ALL,
    .schema = &empty_schema,
    .help = "Drops everything; for trying out a pipeline.",
    .make_exporter = make_nop,
};
