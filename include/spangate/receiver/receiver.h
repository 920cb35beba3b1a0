/*
 * receiver.h - the OTLP front doors: HTTP on httpd/, gRPC on net/.
 *
 * Specification: OTLP 1.11 "OTLP/HTTP" and "OTLP/gRPC"; gRPC over HTTP/2. The rules and the tests
 * that hold them are listed in docs/otlp-support.md.
 */
#ifndef SPANGATE_RECEIVER_RECEIVER_H
#define SPANGATE_RECEIVER_RECEIVER_H

#include <spangate/auth/auth.h>
#include <spangate/net/tls.h>
#include <spangate/otlp/ingest.h>
#include <spangate/otlp/otlp.h>

struct cors_settings {
    char **allowed_origins; /* exact, or with one '*' */
    size_t allowed_origin_count;
    char **allowed_headers;
    size_t allowed_header_count;
    int64_t max_age_s; /* 0: not sent */
};

struct otlp_http_receiver_settings {
    char *endpoint;
    char *url_path[OTLP_SIGNALS];   /* "/v1/traces" … */
    uint64_t max_request_body_size; /* wire and inflated; default 64 MiB */
    uint64_t max_json_body_size;    /* default 16 MiB */
    uint64_t idle_timeout_ns;
    struct cors_settings cors;             /* no origins: CORS is off */
    const struct tls_server_settings *tls; /* NULL: clear text */
    const struct auth_settings *auth;      /* NULL: everybody may send */
};

struct otlp_grpc_receiver_settings {
    char *endpoint;
    uint64_t max_recv_msg_size; /* default 64 MiB */
    uint32_t max_concurrent_streams;
    uint64_t max_connection_idle_ns, max_connection_age_ns, max_connection_age_grace_ns;
    const struct tls_server_settings *tls; /* NULL: clear text */
    /* NULL: everybody may send. Health/Check is open to everybody in any case: probes cannot say
     * who they are. */
    const struct auth_settings *auth;
};

struct receiver; /* base of both */

/* settings and ingest are borrowed for the receiver's life. ERR_IN_USE: the port is taken. Also the
 * errors of reading certificates and secrets. */
bool otlp_http_receiver_open(struct receiver **out,
                             const struct otlp_http_receiver_settings *settings, uint32_t index,
                             const struct ingest *ingest, struct error *err) MUST_CHECK;
bool otlp_grpc_receiver_open(struct receiver **out,
                             const struct otlp_grpc_receiver_settings *settings, uint32_t index,
                             const struct ingest *ingest, struct error *err) MUST_CHECK;

uint16_t receiver_port(const struct receiver *receiver);
void receiver_drain(
    struct receiver *receiver); /* no new work: GOAWAY, Connection: close, refusals */
void receiver_close(
    struct receiver *receiver); /* every submitted request must have been replied to */

#endif
