/*
 * grpc_health.c - messages of grpc.health.v1.
 *
 *   HealthCheckRequest  { string service = 1; }
 *   HealthCheckResponse { ServingStatus status = 1; }
 *   HealthListResponse  { map<string, HealthCheckResponse> statuses = 1; }
 */
#include "grpc_health.h"

#include <spangate/otlp/pb.h>

enum { REQUEST_SERVICE = 1, RESPONSE_STATUS = 1, LIST_STATUSES = 1, MAP_KEY = 1, MAP_VALUE = 2 };

bool health_request_decode(struct slice message, struct slice *service, struct error *err)
{
    struct pb_reader reader = pb_over(message);
    struct pb_field field;
    enum pb_step step;

    *service = (struct slice){0};
    while ((step = pb_next(&reader, &field, err)) == PB_FIELD) {
        if (field.number == REQUEST_SERVICE && field.wire == PB_BYTES) {
            *service = field.bytes;
        }
    }
    return step == PB_END;
}

void health_response_encode(enum health_status status, struct strbuf *out)
{
    pb_put_uint(out, RESPONSE_STATUS, (uint64_t)status);
}

void health_list_add(const char *service, enum health_status status, struct strbuf *out)
{
    size_t entry = pb_begin(out, LIST_STATUSES);
    pb_put_bytes(out, MAP_KEY, slice_of(service));
    size_t value = pb_begin(out, MAP_VALUE);
    health_response_encode(status, out);
    pb_end(out, value);
    pb_end(out, entry);
}
