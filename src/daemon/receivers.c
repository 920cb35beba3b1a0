/* receivers.c - the sections of receivers. */
#include "components.h"

enum { BODY_MIB_MAX = 64, STREAMS_DEFAULT = 1000 };

struct grpc_age_draft {
    uint64_t idle_ns, age_ns, grace_ns;
};
struct grpc_keepalive_draft {
    struct grpc_age_draft server_parameters;
};
struct grpc_draft {
    char *endpoint;
    uint64_t max_recv_msg_size_mib;
    uint64_t max_concurrent_streams;
    struct grpc_keepalive_draft keepalive;
    struct access_draft access;
};
struct cors_draft {
    char **allowed_origins, **allowed_headers;
    size_t allowed_origin_count, allowed_header_count;
    uint64_t max_age_s;
};
struct http_draft {
    char *endpoint;
    char *traces_url_path, *metrics_url_path, *logs_url_path;
    uint64_t max_request_body_size, max_json_body_size;
    uint64_t idle_timeout_ns;
    struct cors_draft cors;
    bool cors_given;
    struct access_draft access;
};
struct protocols_draft {
    struct grpc_draft grpc;
    struct http_draft http;
    bool grpc_given, http_given;
};
struct otlp_draft {
    struct protocols_draft protocols;
};

static const struct config_field grpc_age_fields[] = {
    {
        .key = "max_connection_idle",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct grpc_age_draft, idle_ns, uint64_t),
        .fallback = "0s",
        .help = "Close a connection that has had no request for this long. 0s: never.",
    },
    {
        .key = "max_connection_age",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct grpc_age_draft, age_ns, uint64_t),
        .fallback = "0s",
        .help = "Ask a client to connect anew after this long, so that load spreads over gateways "
                "behind a balancer. 0s: never.",
    },
    {
        .key = "max_connection_age_grace",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct grpc_age_draft, grace_ns, uint64_t),
        .fallback = "0s",
        .help = "After max_connection_age, requests under way get this long to end. 0s: as long as "
                "they take.",
    },
    {.key = "time", .type = CONFIG_NO_EFFECT, .help = "We do not ping clients."},
    {.key = "timeout", .type = CONFIG_NO_EFFECT, .help = "We do not ping clients."},
};
static const struct config_schema grpc_age_schema =
    CONFIG_SCHEMA(struct grpc_age_draft, grpc_age_fields);

static const struct config_field grpc_policy_fields[] = {
    {
        .key = "min_time",
        .type = CONFIG_NO_EFFECT,
        .help = "Pings are answered within a fixed rate.",
    },
    {
        .key = "permit_without_stream",
        .type = CONFIG_NO_EFFECT,
        .help = "Pings are always permitted.",
    },
};
static const struct config_schema grpc_policy_schema = {
    .fields = grpc_policy_fields, .count = COUNT_OF(grpc_policy_fields), .size = 0};

static const struct config_field grpc_keepalive_fields[] = {
    {
        .key = "server_parameters",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct grpc_keepalive_draft, server_parameters, struct grpc_age_draft),
        .schema = &grpc_age_schema,
    },
    {
        .key = "enforcement_policy",
        .type = CONFIG_STRUCT, /* without a place: no key of it has an effect */
        .schema = &grpc_policy_schema,
    },
};
static const struct config_schema grpc_keepalive_schema =
    CONFIG_SCHEMA(struct grpc_keepalive_draft, grpc_keepalive_fields);

static const struct config_field grpc_fields[] = {
    {
        .key = "endpoint",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct grpc_draft, endpoint, char *),
        .fallback = "localhost:4317",
        .help = "Address and port to listen on. 0.0.0.0:4317 opens it to the network: anybody who "
                "reaches the port can send, unless auth or tls.client_ca_file say otherwise.",
    },
    {
        .key = "transport",
        .type = CONFIG_UNSUPPORTED,
        .fallback = "tcp",
        .help = "Only tcp can be listened on.",
    },
    ACCESS_FIELDS(struct grpc_draft, access),
    {
        .key = "max_recv_msg_size_mib",
        .type = CONFIG_UINT,
        .at = CONFIG_AT(struct grpc_draft, max_recv_msg_size_mib, uint64_t),
        .fallback = "64",
        .help = "Largest request in MiB, on the wire and decompressed. 0 and more than 64 mean 64.",
    },
    {
        .key = "max_concurrent_streams",
        .type = CONFIG_UINT,
        .at = CONFIG_AT(struct grpc_draft, max_concurrent_streams, uint64_t),
        .fallback = "1000",
        .max = "1000000",
        .help = "Requests that one connection may have open at a time. 0 means 1000.",
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
        .key = "keepalive",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct grpc_draft, keepalive, struct grpc_keepalive_draft),
        .schema = &grpc_keepalive_schema,
    },
    {
        .key = "include_metadata",
        .type = CONFIG_NO_EFFECT,
        .fallback = "false",
        .help = "Request metadata is not kept; nothing in this version could read it.",
    },
    {.key = "middlewares", .type = CONFIG_UNSUPPORTED, .help = "There are no middlewares."},
};
static const struct config_schema grpc_schema = CONFIG_SCHEMA(struct grpc_draft, grpc_fields);

static const struct config_field cors_fields[] = {
    {
        .key = "allowed_origins",
        .type = CONFIG_STRINGS,
        .at = CONFIG_AT(struct cors_draft, allowed_origins, char **),
        .count_at = CONFIG_AT(struct cors_draft, allowed_origin_count, size_t),
        .help = "Origins of web pages that may send, exact or with one `*`. None: browsers cannot.",
    },
    {
        .key = "allowed_headers",
        .type = CONFIG_STRINGS,
        .at = CONFIG_AT(struct cors_draft, allowed_headers, char **),
        .count_at = CONFIG_AT(struct cors_draft, allowed_header_count, size_t),
        .help = "Request headers allowed beyond those that OTLP needs.",
    },
    {
        .key = "exposed_headers",
        .type = CONFIG_UNSUPPORTED,
        .help = "Answers have no headers that a page would need.",
    },
    {
        .key = "max_age",
        .type = CONFIG_UINT,
        .at = CONFIG_AT(struct cors_draft, max_age_s, uint64_t),
        .fallback = "0",
        .max = "86400",
        .help = "Seconds for which a browser remembers the permission. 0: its own default.",
    },
};
static const struct config_schema cors_schema = CONFIG_SCHEMA(struct cors_draft, cors_fields);

static const struct config_field http_fields[] = {
    {
        .key = "endpoint",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct http_draft, endpoint, char *),
        .fallback = "localhost:4318",
        .help = "Address and port to listen on. 0.0.0.0:4318 opens it to the network: anybody who "
                "reaches the port can send, unless auth or tls.client_ca_file say otherwise.",
    },
    {
        .key = "transport",
        .type = CONFIG_UNSUPPORTED,
        .fallback = "tcp",
        .help = "Only tcp can be listened on.",
    },
    {
        .key = "traces_url_path",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct http_draft, traces_url_path, char *),
        .fallback = "/v1/traces",
        .help = "Path that takes traces.",
    },
    {
        .key = "metrics_url_path",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct http_draft, metrics_url_path, char *),
        .fallback = "/v1/metrics",
        .help = "Path that takes metrics.",
    },
    {
        .key = "logs_url_path",
        .type = CONFIG_STRING,
        .at = CONFIG_AT(struct http_draft, logs_url_path, char *),
        .fallback = "/v1/logs",
        .help = "Path that takes logs.",
    },
    {
        .key = "profiles_url_path",
        .type = CONFIG_NO_EFFECT,
        .fallback = "/v1development/profiles",
        .help = "Profiles are not taken.",
    },
    ACCESS_FIELDS(struct http_draft, access),
    {
        .key = "cors",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct http_draft, cors, struct cors_draft),
        .given_at = CONFIG_GIVEN(struct http_draft, cors_given),
        .schema = &cors_schema,
        .help = "Lets web pages send from the browser.",
    },
    {
        .key = "max_request_body_size",
        .type = CONFIG_BYTES,
        .at = CONFIG_AT(struct http_draft, max_request_body_size, uint64_t),
        .fallback = "64MiB",
        .help = "Largest body, on the wire and decompressed. 0 and more than 64MiB mean 64MiB.",
    },
    {
        .key = "max_json_body_size",
        .type = CONFIG_BYTES,
        .at = CONFIG_AT(struct http_draft, max_json_body_size, uint64_t),
        .fallback = "16MiB",
        .min = "1KiB",
        .help = "Largest JSON body. JSON costs several times the memory of protobuf while it is "
                "read. Ours, not the Collector's.",
    },
    {
        .key = "include_metadata",
        .type = CONFIG_NO_EFFECT,
        .fallback = "false",
        .help = "Request headers are not kept; nothing in this version could read them.",
    },
    {
        .key = "response_headers",
        .type = CONFIG_UNSUPPORTED,
        .help = "Let a proxy in front of the gateway add headers to answers.",
    },
    {
        .key = "compression_algorithms",
        .type = CONFIG_NO_EFFECT,
        .help = "gzip, zstd, zlib and deflate are always accepted, others never.",
    },
    {.key = "read_timeout", .type = CONFIG_NO_EFFECT, .help = "idle_timeout covers slow clients."},
    {
        .key = "read_header_timeout",
        .type = CONFIG_NO_EFFECT,
        .help = "idle_timeout covers slow clients.",
    },
    {.key = "write_timeout", .type = CONFIG_NO_EFFECT, .help = "idle_timeout covers slow clients."},
    {
        .key = "idle_timeout",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct http_draft, idle_timeout_ns, uint64_t),
        .fallback = "1m",
        .min = "1s",
        .help = "A connection on which nothing moves for this long is closed.",
    },
    {
        .key = "keep_alives_enabled",
        .type = CONFIG_NO_EFFECT,
        .fallback = "true",
        .help = "Connections are kept open between requests.",
    },
    {.key = "middlewares", .type = CONFIG_UNSUPPORTED, .help = "There are no middlewares."},
};
static const struct config_schema http_schema = CONFIG_SCHEMA(struct http_draft, http_fields);

static const struct config_field protocols_fields[] = {
    {
        .key = "grpc",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct protocols_draft, grpc, struct grpc_draft),
        .given_at = CONFIG_GIVEN(struct protocols_draft, grpc_given),
        .null_is_given = true,
        .schema = &grpc_schema,
        .help = "OTLP/gRPC. `grpc:` with nothing after it listens with defaults.",
    },
    {
        .key = "http",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct protocols_draft, http, struct http_draft),
        .given_at = CONFIG_GIVEN(struct protocols_draft, http_given),
        .null_is_given = true,
        .schema = &http_schema,
        .help =
            "OTLP/HTTP, protobuf and JSON. `http:` with nothing after it listens with defaults.",
    },
};
static const struct config_schema protocols_schema =
    CONFIG_SCHEMA(struct protocols_draft, protocols_fields);

static const struct config_field otlp_fields[] = {
    {
        .key = "protocols",
        .type = CONFIG_STRUCT,
        .at = CONFIG_AT(struct otlp_draft, protocols, struct protocols_draft),
        .schema = &protocols_schema,
    },
};
static const struct config_schema otlp_schema = CONFIG_SCHEMA(struct otlp_draft, otlp_fields);

/* 0 means the most we take, and more than that is told. */
static uint64_t body_limit(const struct section *section, const char *path, uint64_t bytes)
{
    uint64_t most = (uint64_t)BODY_MIB_MAX << 20;
    if (bytes > most) {
        section_warning(section, path, "requests over %d MiB are not taken: %d MiB it is",
                        BODY_MIB_MAX, BODY_MIB_MAX);
    }
    return bytes == 0 || bytes > most ? most : bytes;
}

static void make_grpc(const struct section *section, const struct grpc_draft *draft,
                      struct otlp_grpc_receiver_settings *out)
{
    const struct grpc_age_draft *age = &draft->keepalive.server_parameters;
    uint64_t mib = draft->max_recv_msg_size_mib > 1 << 20 ? 1 << 20 : draft->max_recv_msg_size_mib;

    (void)section_check_endpoint(section, "protocols.grpc.endpoint", draft->endpoint);
    *out = (struct otlp_grpc_receiver_settings){
        .endpoint = draft->endpoint,
        .max_recv_msg_size = body_limit(section, "protocols.grpc.max_recv_msg_size_mib", mib << 20),
        .max_concurrent_streams = draft->max_concurrent_streams == 0
                                      ? STREAMS_DEFAULT
                                      : (uint32_t)draft->max_concurrent_streams,
        .max_connection_idle_ns = age->idle_ns,
        .max_connection_age_ns = age->age_ns,
        .max_connection_age_grace_ns = age->grace_ns,
        .tls = make_tls_server(section, "protocols.grpc", &draft->access),
    };
}

static void check_path(const struct section *section, const char *key, const char *path)
{
    if (path[0] != '/' || strpbrk(path, "?# ") != NULL) {
        section_problem(section, key, "must be a path that begins with a slash");
    }
}

static void make_http(const struct section *section, const struct http_draft *draft,
                      struct otlp_http_receiver_settings *out)
{
    (void)section_check_endpoint(section, "protocols.http.endpoint", draft->endpoint);
    check_path(section, "protocols.http.traces_url_path", draft->traces_url_path);
    check_path(section, "protocols.http.metrics_url_path", draft->metrics_url_path);
    check_path(section, "protocols.http.logs_url_path", draft->logs_url_path);
    if (strcmp(draft->traces_url_path, draft->metrics_url_path) == 0 ||
        strcmp(draft->traces_url_path, draft->logs_url_path) == 0 ||
        strcmp(draft->metrics_url_path, draft->logs_url_path) == 0) {
        section_problem(section, "protocols.http", "two signals cannot share one path");
    }
    *out = (struct otlp_http_receiver_settings){
        .endpoint = draft->endpoint,
        .url_path = {[OTLP_TRACES] = draft->traces_url_path,
                     [OTLP_METRICS] = draft->metrics_url_path,
                     [OTLP_LOGS] = draft->logs_url_path},
        .max_request_body_size = body_limit(section, "protocols.http.max_request_body_size",
                                            draft->max_request_body_size),
        .max_json_body_size = draft->max_json_body_size,
        .idle_timeout_ns = draft->idle_timeout_ns,
        .tls = make_tls_server(section, "protocols.http", &draft->access),
    };
    if (out->max_json_body_size > out->max_request_body_size) {
        out->max_json_body_size = out->max_request_body_size;
    }
    if (draft->cors_given) {
        out->cors = (struct cors_settings){
            .allowed_origins = draft->cors.allowed_origins,
            .allowed_origin_count = draft->cors.allowed_origin_count,
            .allowed_headers = draft->cors.allowed_headers,
            .allowed_header_count = draft->cors.allowed_header_count,
            .max_age_s = (int64_t)draft->cors.max_age_s,
        };
        for (size_t i = 0; i < out->cors.allowed_origin_count; i++) {
            const char *star = strchr(out->cors.allowed_origins[i], '*');
            if (star != NULL && strchr(star + 1, '*') != NULL) {
                section_problem(section, "protocols.http.cors.allowed_origins",
                                "an origin may hold one `*` only");
            }
        }
    }
}

static void make_otlp(const struct section *section, const void *source,
                      struct receiver_settings *out)
{
    const struct otlp_draft *draft = source;

    out->has_grpc = draft->protocols.grpc_given;
    out->has_http = draft->protocols.http_given;
    if (!out->has_grpc && !out->has_http) {
        section_problem(section, "protocols",
                        "must specify at least one protocol when using the OTLP receiver");
    }
    if (out->has_grpc) {
        make_grpc(section, &draft->protocols.grpc, &out->grpc);
        out->grpc_authenticator =
            make_authenticator(section, "protocols.grpc", &draft->protocols.grpc.access);
    }
    if (out->has_http) {
        make_http(section, &draft->protocols.http, &out->http);
        out->http_authenticator =
            make_authenticator(section, "protocols.http", &draft->protocols.http.access);
    }
}

static void make_nop(const struct section *section, const void *draft,
                     struct receiver_settings *out)
{
    (void)section;
    (void)draft;
    out->has_grpc = false;
    out->has_http = false;
}

static const struct config_schema nop_schema = {.fields = NULL, .count = 0, .size = 0};

const struct component otlp_receiver_component = {
    .class = COMPONENT_RECEIVER,
    .type = "otlp",
    .signals = TAKES_ALL,
    .schema = &otlp_schema,
    .help = "Takes OTLP over gRPC and HTTP.",
    .make_receiver = make_otlp,
};

const struct component nop_receiver_component = {
    .class = COMPONENT_RECEIVER,
    .type = "nop",
    .signals = TAKES_ALL,
    .schema = &nop_schema,
    .help = "Takes nothing; for trying out a pipeline.",
    .make_receiver = make_nop,
};
