/*
 * grpc_health.h - messages of grpc.health.v1, as far as a receiver needs them. Any thread.
 */
#ifndef SPANGATE_SRC_GRPC_HEALTH_H
#define SPANGATE_SRC_GRPC_HEALTH_H

#include <spangate/base/error.h>
#include <spangate/base/slice.h>
#include <spangate/base/strbuf.h>

enum health_status {
    HEALTH_UNKNOWN = 0,
    HEALTH_SERVING = 1,
    HEALTH_NOT_SERVING = 2,
    HEALTH_SERVICE_UNKNOWN = 3, /* Watch only */
};

/* HealthCheckRequest: the name asked for, a view of the message; empty means the whole server. */
bool health_request_decode(struct slice message, struct slice *service,
                           struct error *err) MUST_CHECK;

/* HealthCheckResponse. */
void health_response_encode(enum health_status status, struct strbuf *out);

/* One entry of HealthListResponse. */
void health_list_add(const char *service, enum health_status status, struct strbuf *out);

#endif
