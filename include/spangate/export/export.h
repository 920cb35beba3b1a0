/*
 * export.h - the drivers and their settings, filled from the Collector's keys (config/components).
 *
 * All strings are owned by whoever filled the struct and live as long as the sink.
 */
#ifndef SPANGATE_EXPORT_EXPORT_H
#define SPANGATE_EXPORT_EXPORT_H

#include <spangate/codec/codec.h>
#include <spangate/sink/sink.h>

struct header_setting {
    char *name;
    char *value; /* secret: never logged */
};

/* configtls, client side. */
struct tls_client_settings {
    bool insecure; /* gRPC: plaintext even without http:// */
    bool insecure_skip_verify;
    char *ca_file, *cert_file, *key_file, *server_name_override;
};

struct otlp_http_settings {
    char *endpoint; /* base; "/v1/traces" is appended with exactly one slash, unless it ends so */
    char *signal_endpoint[OTLP_SIGNALS]; /* verbatim when set */
    bool json;                           /* encoding: json */
    enum codec compression;
    int compression_level;
    uint64_t timeout_ns;
    struct header_setting *headers;
    size_t header_count;
    struct tls_client_settings tls;
    char *proxy_url;
};

struct otlp_grpc_settings {
    char *endpoint;         /* host:port, http://…, https://… */
    enum codec compression; /* none, gzip, zstd */
    uint64_t timeout_ns;
    struct header_setting *headers;
    size_t header_count;
    struct tls_client_settings tls;
    char *authority, *user_agent;
};

struct debug_settings {
    enum { DEBUG_BASIC, DEBUG_NORMAL, DEBUG_DETAILED } verbosity;
};

struct file_settings {
    char *path;
    bool json; /* JSON lines; otherwise u32be length + protobuf */
    bool append;
    bool create_directory;
    uint64_t rotate_bytes; /* 0: never */
    uint32_t max_backups;
};

extern const struct sink_driver otlp_http_driver;
extern const struct sink_driver otlp_grpc_driver;
extern const struct sink_driver debug_driver;
extern const struct sink_driver file_driver;

/*
 * A plain HTTP exchange for the command line (trace, demo): method, url, optional body. *status is
 * the HTTP status, the answer is appended to out. ERR_UNAVAILABLE: nobody answers.
 */
bool http_exchange(const char *method, const char *url, const char *content_type, struct slice body,
                   uint64_t timeout_ns, int *status, struct strbuf *out,
                   struct error *err) MUST_CHECK;

#endif
