/*
 * payload.c - making requests that look like those of instrumented services.
 */
#include "payload.h"

#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/base/random.h>
#include <spangate/otlp/pb.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMES_PER_SPAN = 3 }; /* start, end, event */

struct shape {
    size_t traces, spans_per_trace;
    bool rich;
};

static const struct shape shapes[] = {
    [WORKLOAD_W1] = {100, 10, true},
    [WORKLOAD_W2] = {1, 100, false},
    [WORKLOAD_SMALL] = {1, 10, true},
};

static struct slice text_of(char *buffer, size_t cap, const char *fmt, uint64_t value)
{
    int len = snprintf(buffer, cap, fmt, value);
    return (struct slice){(const uint8_t *)buffer, (size_t)len};
}

static void put_string(struct strbuf *out, uint32_t field, const char *key, struct slice value)
{
    size_t kv = pb_begin(out, field);
    pb_put_bytes(out, 1, slice_of(key));
    size_t any = pb_begin(out, 2);
    pb_put_bytes(out, 1, value);
    pb_end(out, any);
    pb_end(out, kv);
}

static void put_int(struct strbuf *out, uint32_t field, const char *key, uint64_t value)
{
    size_t kv = pb_begin(out, field);
    pb_put_bytes(out, 1, slice_of(key));
    size_t any = pb_begin(out, 2);
    pb_put_uint(out, 3, value);
    pb_end(out, any);
    pb_end(out, kv);
}

static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"};
static const char *const routes[] = {"/cart", "/checkout", "/products/{id}", "/users/{id}/orders",
                                     "/search", "/login", "/health", "/recommendations"};
static const char *const services[] = {"frontend", "checkout", "payments", "catalog", "users"};

/* A fixed64 field that will hold the time of sending less `before_ns`. */
static void put_time(struct payload *payload, uint32_t field, uint64_t before_ns)
{
    pb_put_fixed64(&payload->body, field, before_ns);
    payload->times[payload->time_count++] =
        (struct payload_time){payload->body.len - sizeof(uint64_t), before_ns};
}

static void put_rich(struct payload *payload, uint64_t before_ns, uint64_t *seed)
{
    struct strbuf *out = &payload->body;
    char text[128];
    put_string(out, 9, "http.request.method", slice_of(methods[random_next(seed) % 4]));
    put_string(out, 9, "http.route", slice_of(routes[random_next(seed) % 8]));
    put_string(out, 9, "url.full",
               text_of(text, sizeof(text), "https://shop.example/p/%" PRIx64 "?ref=mail",
                       random_next(seed)));
    put_int(out, 9, "http.response.status_code", random_next(seed) % 20 == 0 ? 500 : 200);
    put_string(out, 9, "user_agent.original",
               text_of(text, sizeof(text), "Mozilla/5.0 (X11; Linux x86_64) rv:%" PRIu64,
                       random_next(seed) % 40 + 80));
    put_string(out, 9, "client.address",
               text_of(text, sizeof(text), "10.20.30.%" PRIu64, random_next(seed) % 250));
    put_int(out, 9, "client.port", random_next(seed) % 60000 + 1024);
    put_string(out, 9, "server.address", slice_of("shop.example"));
    put_int(out, 9, "server.port", 443);
    put_string(out, 9, "network.protocol.version", slice_of("1.1"));
    put_string(out, 9, "enduser.id",
               text_of(text, sizeof(text), "user-%" PRIu64, random_next(seed) % 100000));
    put_string(out, 9, "session.id", text_of(text, sizeof(text), "%016" PRIx64, random_next(seed)));
    put_int(out, 9, "http.response.body.size", random_next(seed) % 100000);
    put_string(out, 9, "thread.name",
               text_of(text, sizeof(text), "worker-%" PRIu64, random_next(seed) % 16));
    put_int(out, 9, "thread.id", random_next(seed) % 500);
    put_string(out, 9, "deployment.ring",
               text_of(text, sizeof(text), "ring-%" PRIu64, random_next(seed) % 4));
    size_t event = pb_begin(out, 11);
    put_time(payload, 1, before_ns - random_next(seed) % 1000000);
    pb_put_bytes(out, 2, slice_of("cache.lookup"));
    put_string(out, 3, "cache.key",
               text_of(text, sizeof(text), "item:%" PRIu64, random_next(seed) % 1000000));
    pb_end(out, event);
}

/* The id of a trace's first span, from which all its others hang. */
static uint64_t root_id(uint64_t payload_seed, size_t trace)
{
    uint64_t state = payload_seed * UINT64_C(0x9e3779b97f4a7c15) + trace;
    return random_next(&state) | 1;
}

static void put_span(struct payload *payload, const struct shape *shape, size_t trace, size_t index,
                     uint64_t root, uint64_t *seed)
{
    struct strbuf *out = &payload->body;
    uint8_t trace_id[16] = {0};
    uint8_t span_id[8];
    uint64_t id = index == 0 ? root : random_next(seed) | 1;
    uint64_t before_ns = 200 * NS_PER_MS + random_next(seed) % NS_PER_S; /* it began so long ago */

    memcpy(span_id, &id, sizeof(span_id));
    size_t span = pb_begin(out, 2);
    pb_put_bytes(out, 1, (struct slice){trace_id, sizeof(trace_id)});
    payload->id_at[payload->span_count] = out->len - sizeof(trace_id);
    payload->trace[payload->span_count++] = (uint32_t)trace;
    pb_put_bytes(out, 2, (struct slice){span_id, sizeof(span_id)});
    if (index > 0) {
        uint8_t parent[8];
        memcpy(parent, &root, sizeof(parent));
        pb_put_bytes(out, 4, (struct slice){parent, sizeof(parent)});
    }
    pb_put_bytes(out, 5,
                 shape->rich ? slice_of(routes[random_next(seed) % 8])
                             : slice_of("load-generator-span"));
    pb_put_uint(out, 6, 1 + random_next(seed) % 3);
    put_time(payload, 7, before_ns);
    put_time(payload, 8, before_ns - NS_PER_MS - random_next(seed) % (100 * NS_PER_MS));
    if (shape->rich) {
        put_rich(payload, before_ns, seed);
    } else {
        put_int(out, 9, "load_generator.span_seq_num", random_next(seed) % 1000000);
        put_int(out, 9, "load_generator.trace_seq_num", random_next(seed) % 1000000);
    }
    pb_end(out, span);
}

void payload_make(struct payload *payload, enum workload workload, uint64_t seed)
{
    const struct shape *shape = &shapes[workload];
    size_t spans = shape->traces * shape->spans_per_trace;
    uint64_t payload_seed = seed;

    *payload = (struct payload){.trace_count = shape->traces};
    strbuf_init(&payload->body, 64 * 1024 * 1024);
    payload->id_at = mem_zalloc(spans, sizeof(*payload->id_at));
    payload->trace = mem_zalloc(spans, sizeof(*payload->trace));
    payload->times = mem_zalloc(spans * TIMES_PER_SPAN, sizeof(*payload->times));
    size_t service_count = shape->rich ? COUNT_OF(services) : 1;
    for (size_t s = 0; s < service_count; s++) {
        size_t resource_spans = pb_begin(&payload->body, 1);
        size_t resource = pb_begin(&payload->body, 1);
        put_string(&payload->body, 1, "service.name", slice_of(services[s]));
        put_string(&payload->body, 1, "service.instance.id", slice_of("4b7d1c0e-instance"));
        put_string(&payload->body, 1, "telemetry.sdk.language", slice_of("go"));
        pb_end(&payload->body, resource);
        size_t scope_spans = pb_begin(&payload->body, 2);
        size_t scope = pb_begin(&payload->body, 1);
        pb_put_bytes(&payload->body, 1, slice_of("bench/instrumentation"));
        pb_end(&payload->body, scope);
        for (size_t i = 0; i < shape->spans_per_trace; i++) {
            if (i % service_count != s) {
                continue;
            }
            for (size_t t = 0; t < shape->traces; t++) {
                put_span(payload, shape, t, i, root_id(payload_seed, t), &seed);
            }
        }
        pb_end(&payload->body, scope_spans);
        pb_end(&payload->body, resource_spans);
    }
}

void payload_free(struct payload *payload)
{
    strbuf_deinit(&payload->body);
    free(payload->id_at);
    free(payload->trace);
    free(payload->times);
}

void payload_trace_id(uint8_t out[16], uint64_t run, uint64_t number)
{
    uint64_t state = run + number * UINT64_C(0xd1342543de82ef95);
    uint64_t halves[2] = {random_next(&state), random_next(&state)};
    memcpy(out, halves, sizeof(halves));
}

void payload_renew(struct payload *payload, uint64_t run, uint64_t request)
{
    uint8_t id[16];
    uint64_t now_ns = clock_wall(&clock_system);

    for (size_t i = 0; i < payload->span_count; i++) {
        payload_trace_id(id, run, request * payload->trace_count + payload->trace[i]);
        memcpy(payload->body.data + payload->id_at[i], id, sizeof(id));
    }
    for (size_t i = 0; i < payload->time_count; i++) {
        uint64_t time_ns = now_ns - payload->times[i].before_ns;
        memcpy(payload->body.data + payload->times[i].at, &time_ns, sizeof(time_ns));
    }
}
