/*
 * query.h - the query port: Jaeger's HTTP API (v2.20), our own under /api/v1, and the page at /.
 *
 * Threads: requests run on a small pool of the server's own threads and call pipeline_*().
 */
#ifndef SPANGATE_QUERY_QUERY_H
#define SPANGATE_QUERY_QUERY_H

#include <spangate/auth/auth.h>
#include <spangate/base/error.h>
#include <spangate/net/tls.h>
#include <spangate/pipeline/pipeline.h>
#include <spangate/sink/runner.h>

/* What the page and /api/v1/status show besides traces. */
struct query_status_source {
    /* Append a JSON object with receivers, exporters, store, version. */
    void (*write)(void *ctx, struct strbuf *out);
    void *ctx;
};

struct query_config {
    const char *endpoint;             /* localhost:16686 */
    const char *const *allowed_hosts; /* besides localhost, 127.0.0.1, ::1 and the endpoint's own */
    size_t allowed_host_count;
    size_t threads; /* 2 */
    /* Both borrowed for the life of the port. */
    const struct tls_server_settings *tls; /* NULL: clear text */
    const struct auth_settings *auth;      /* NULL: whoever reaches the port may ask */
};

struct query;

bool query_open(struct query **out, const struct query_config *config, struct pipeline *pipeline,
                const struct query_status_source *status, struct error *err) MUST_CHECK;
uint16_t query_port(const struct query *query);
void query_close(struct query *query);

#endif
