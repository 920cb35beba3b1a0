/*
 * ledger.c - see ledger.h.
 */
#include "ledger.h"

#include <spangate/base/mem.h>
#include <spangate/base/random.h>
#include <spangate/otlp/pb.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_MARK "record-"

void ledger_init(struct ledger *ledger)
{
    *ledger = (struct ledger){0};
    map_init(&ledger->by_raw);
}

void ledger_deinit(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->span_count; i++) {
        free((void *)(uintptr_t)ledger->spans[i]->raw.data);
        free(ledger->spans[i]);
    }
    for (size_t i = 0; i < ledger->trace_count; i++) {
        free(ledger->traces[i].spans);
    }
    for (size_t i = 0; i < ledger->request_count; i++) {
        free(ledger->requests[i]->spans);
        free(ledger->requests[i]);
    }
    free(ledger->spans);
    free(ledger->traces);
    free(ledger->requests);
    map_deinit(&ledger->by_raw);
}

const char *ledger_service(unsigned service)
{
    static const char *const names[SIM_SERVICES] = {"", "shop", "cart", "mail"};
    return names[service];
}

/* Arrays double when the count is a power of two. */
static void *with_room(void *array, size_t count, size_t item_bytes)
{
    if ((count & (count - 1)) != 0) {
        return array;
    }
    return mem_realloc(array, (count == 0 ? 1 : count * 2) * item_bytes);
}

size_t ledger_add_trace(struct ledger *ledger, uint64_t start_ns, uint64_t *random)
{
    size_t number = ledger->trace_count;
    struct sim_trace trace = {.start_ns = start_ns};
    uint64_t half = random_next(random);

    memcpy(trace.id.bytes, &half, sizeof(half));
    half = number + 1;
    memcpy(trace.id.bytes + sizeof(half), &half, sizeof(half));
    half = random_next(random) | 1;
    memcpy(trace.root.bytes, &half, sizeof(half));
    ledger->traces = with_room(ledger->traces, number, sizeof(*ledger->traces));
    ledger->traces[ledger->trace_count++] = trace;
    return number;
}

/* Mostly now; now and then a clock that was never set, far ahead, or running backwards. */
static void put_times(struct strbuf *out, uint64_t start_ns, uint64_t *random)
{
    uint64_t end_ns = start_ns + random_next(random) % 1000000;

    switch (random_next(random) % 24) {
    case 0:
        start_ns = random_next(random) % 1000;
        end_ns = start_ns + 1;
        break;
    case 1:
        start_ns = UINT64_C(4294967296000000000); /* 2106 */
        end_ns = start_ns + 5;
        break;
    case 2:
        end_ns = start_ns - 1000;
        break;
    case 3:
        end_ns = 0;
        break;
    default:
        break;
    }
    pb_put_fixed64(out, 7, start_ns);
    if (end_ns != 0) {
        pb_put_fixed64(out, 8, end_ns);
    }
}

static void put_span(struct strbuf *out, const struct ledger *ledger, size_t number, size_t trace,
                     const uint8_t *span_id, uint64_t *random)
{
    const struct sim_trace *of = &ledger->traces[trace];
    static const struct span_id none = {{0}};
    struct span_id parent = of->root;
    char name[32];
    uint8_t filling[2500];

    pb_put_bytes(out, 1, (struct slice){of->id.bytes, sizeof(of->id.bytes)});
    pb_put_bytes(out, 2, (struct slice){span_id, sizeof(parent.bytes)});
    if (random_next(random) % 4 == 0 && of->span_count > 0) {
        /* A parent below the root, or one that never comes. */
        uint64_t other = random_next(random) % 4;
        memcpy(parent.bytes, &other, sizeof(other));
    }
    if (memcmp(span_id, of->root.bytes, sizeof(of->root.bytes)) != 0 &&
        memcmp(parent.bytes, none.bytes, sizeof(none.bytes)) != 0) {
        pb_put_bytes(out, 4, (struct slice){parent.bytes, sizeof(parent.bytes)});
    }
    (void)snprintf(name, sizeof(name), "work %zu", number); /* makes the bytes unique */
    pb_put_bytes(out, 5, slice_of(name));
    put_times(out, of->start_ns, random);
    /* A field of a later version of the protocol. */
    size_t len = random_next(random) % (random_next(random) % 8 == 0 ? sizeof(filling) : 64);
    for (size_t i = 0; i < len; i++) {
        filling[i] = (uint8_t)random_next(random);
    }
    pb_put_bytes(out, 200, (struct slice){filling, len});
}

size_t ledger_add_span(struct ledger *ledger, size_t trace, size_t like, unsigned receiver,
                       uint64_t *random)
{
    size_t number = ledger->span_count;
    struct sim_trace *of = &ledger->traces[trace];
    struct sim_span *span = mem_zalloc(1, sizeof(*span));
    uint64_t id = ((uint64_t)number + 16) << 8;
    uint8_t span_id[8];
    struct strbuf raw;

    memcpy(span_id, &id, sizeof(span_id));
    if (like != SIZE_MAX) {
        /* The second field: the trace id takes 18 bytes, tag and length 2. */
        memcpy(span_id, ledger->spans[like]->raw.data + 20, sizeof(span_id));
    } else if (of->span_count == 0 || random_next(random) % 16 == 0) {
        memcpy(span_id, of->root.bytes, sizeof(span_id));
    }
    strbuf_init(&raw, 1 << 20);
    put_span(&raw, ledger, number, trace, span_id, random);
    span->raw.len = raw.len;
    span->raw.data = (const uint8_t *)strbuf_take(&raw);
    span->trace = trace;
    span->receiver = receiver;
    span->service = (unsigned)(random_next(random) % SIM_SERVICES);
    ledger->spans = with_room(ledger->spans, number, sizeof(*ledger->spans));
    ledger->spans[ledger->span_count++] = span;
    map_put(&ledger->by_raw, span->raw, span);
    of->spans = with_room(of->spans, of->span_count, sizeof(*of->spans));
    of->spans[of->span_count++] = number;
    return number;
}

struct sim_request *ledger_add_request(struct ledger *ledger, enum otlp_signal signal,
                                       unsigned receiver, const size_t *spans, size_t count,
                                       size_t invalid)
{
    struct sim_request *request = mem_zalloc(1, sizeof(*request));

    request->ledger = ledger;
    request->number = ledger->request_count;
    request->signal = signal;
    request->receiver = receiver;
    request->state = REQUEST_UNACKED;
    request->invalid = invalid;
    request->span_count = count;
    request->spans = mem_alloc((count + 1) * sizeof(*spans));
    for (size_t i = 0; i < count; i++) {
        request->spans[i] = spans[i];
    }
    ledger->requests =
        with_room(ledger->requests, ledger->request_count, sizeof(*ledger->requests));
    ledger->requests[ledger->request_count++] = request;
    return request;
}

static void put_resource(struct strbuf *out, unsigned service)
{
    if (service == 0) {
        return; /* a sender without a name */
    }
    size_t resource = pb_begin(out, 1);
    size_t kv = pb_begin(out, 1);
    pb_put_bytes(out, 1, slice_of("service.name"));
    size_t any = pb_begin(out, 2);
    pb_put_bytes(out, 1, slice_of(ledger_service(service)));
    pb_end(out, any);
    pb_end(out, kv);
    pb_end(out, resource);
}

/* No trace id: the receiver has to refuse it, and only it. */
static void put_invalid(struct strbuf *out)
{
    static const uint8_t zeros[16];
    size_t span = pb_begin(out, 2);
    pb_put_bytes(out, 1, (struct slice){zeros, sizeof(zeros)});
    pb_put_bytes(out, 2, (struct slice){zeros, 8});
    pb_put_bytes(out, 5, slice_of("nobody's"));
    pb_end(out, span);
}

static void put_logs(const struct sim_request *request, struct strbuf *out)
{
    char text[48];

    (void)snprintf(text, sizeof(text), LOG_MARK "%08zx", request->number);
    size_t resource_logs = pb_begin(out, 1);
    size_t scope_logs = pb_begin(out, 2);
    size_t record = pb_begin(out, 2);
    size_t any = pb_begin(out, 5);
    pb_put_bytes(out, 1, slice_of(text));
    pb_end(out, any);
    pb_end(out, record);
    pb_end(out, scope_logs);
    pb_end(out, resource_logs);
}

void ledger_body(const struct ledger *ledger, const struct sim_request *request, struct strbuf *out)
{
    if (request->signal != OTLP_TRACES) {
        put_logs(request, out);
        return;
    }
    for (size_t i = 0; i < request->span_count || (i == 0 && request->invalid > 0);) {
        unsigned service = i < request->span_count ? ledger->spans[request->spans[i]]->service : 0;
        size_t resource_spans = pb_begin(out, 1);
        put_resource(out, service);
        size_t scope_spans = pb_begin(out, 2);
        for (size_t bad = i == 0 ? request->invalid : 0; bad > 0; bad--) {
            put_invalid(out);
        }
        for (; i < request->span_count && ledger->spans[request->spans[i]]->service == service;
             i++) {
            pb_put_bytes(out, 2, ledger->spans[request->spans[i]]->raw);
        }
        pb_end(out, scope_spans);
        pb_end(out, resource_spans);
        if (request->span_count == 0) {
            break;
        }
    }
}

struct sim_span *ledger_find(const struct ledger *ledger, struct slice raw)
{
    return map_get(&ledger->by_raw, raw);
}

bool ledger_next_log(struct slice body, size_t *at, size_t *number)
{
    const uint8_t *found =
        *at < body.len ? memmem(body.data + *at, body.len - *at, LOG_MARK, strlen(LOG_MARK)) : NULL;
    if (found == NULL) {
        return false;
    }
    size_t digits = (size_t)(found - body.data) + strlen(LOG_MARK);
    char text[9] = "";
    if (body.len - digits < 8) {
        return false;
    }
    memcpy(text, body.data + digits, 8);
    *number = strtoul(text, NULL, 16);
    *at = digits + 8;
    return true;
}
