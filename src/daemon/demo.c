/* demo.c - the demonstration trace as a table of spans. */
#include "demo.h"

#include <spangate/base/clock.h>
#include <spangate/base/random.h>
#include <spangate/base/text.h>

#include <inttypes.h>

struct demo_attribute {
    const char *key;
    const char *text; /* NULL: number */
    int64_t number;
};

struct demo_span {
    int parent; /* index, -1: root */
    const char *service, *scope, *name;
    enum span_kind kind;
    unsigned start_us, length_us; /* from the start of the trace */
    const char *error;            /* status message, NULL: none */
    struct demo_attribute attributes[4];
};

enum { LENGTH_US = 412000 };

/* Spans of one service follow each other: they share a resource. */
static const struct demo_span spans[] = {
    {-1,
     "frontend",
     "http.server",
     "POST /checkout",
     SPAN_KIND_SERVER,
     0,
     LENGTH_US,
     "HTTP 502",
     {{"http.request.method", "POST", 0},
      {"http.route", "/checkout", 0},
      {"http.response.status_code", NULL, 502},
      {"user.tier", "gold", 0}}},
    {0,
     "frontend",
     "http.client",
     "POST",
     SPAN_KIND_CLIENT,
     8200,
     398000,
     "HTTP 502",
     {{"http.request.method", "POST", 0},
      {"server.address", "checkout", 0},
      {"http.response.status_code", NULL, 502}}},
    {1,
     "checkout",
     "http.server",
     "POST /orders",
     SPAN_KIND_SERVER,
     11300,
     391000,
     "payment failed",
     {{"http.route", "/orders", 0}, {"order.items", NULL, 3}, {"order.total_cents", NULL, 12950}}},
    {2,
     "checkout",
     "checkout",
     "validate cart",
     SPAN_KIND_INTERNAL,
     12100,
     4300,
     NULL,
     {{"order.items", NULL, 3}}},
    {2,
     "checkout",
     "db.client",
     "SELECT stock",
     SPAN_KIND_CLIENT,
     18000,
     41000,
     NULL,
     {{"db.system.name", "postgresql", 0},
      {"db.namespace", "shop", 0},
      {"db.query.text", "SELECT sku, quantity FROM stock WHERE sku = ANY($1)", 0}}},
    {2,
     "checkout",
     "rpc.client",
     "payments.Payments/Charge",
     SPAN_KIND_CLIENT,
     64000,
     332000,
     "UNAVAILABLE: card processor timed out",
     {{"rpc.system", "grpc", 0}, {"rpc.grpc.status_code", NULL, 14}}},
    {4,
     "db",
     "postgresql",
     "SELECT shop.stock",
     SPAN_KIND_SERVER,
     20500,
     36500,
     NULL,
     {{"db.namespace", "shop", 0}, {"db.response.returned_rows", NULL, 3}}},
    {5,
     "payments",
     "rpc.server",
     "payments.Payments/Charge",
     SPAN_KIND_SERVER,
     67000,
     326000,
     "card processor timed out",
     {{"rpc.system", "grpc", 0},
      {"payment.provider", "acme-pay", 0},
      {"payment.attempts", NULL, 2}}},
    {7,
     "payments",
     "http.client",
     "POST",
     SPAN_KIND_CLIENT,
     70000,
     150000,
     "timeout",
     {{"server.address", "api.acme-pay.example", 0}, {"http.request.resend_count", NULL, 0}}},
    {7,
     "payments",
     "http.client",
     "POST",
     SPAN_KIND_CLIENT,
     238000,
     150000,
     "timeout",
     {{"server.address", "api.acme-pay.example", 0}, {"http.request.resend_count", NULL, 1}}},
};

static void put_attribute(const struct demo_attribute *a, struct strbuf *out)
{
    strbuf_append_text(out, "{\"key\":");
    json_put_string(out, slice_of(a->key));
    if (a->text != NULL) {
        strbuf_append_text(out, ",\"value\":{\"stringValue\":");
        json_put_string(out, slice_of(a->text));
        strbuf_append_text(out, "}}");
    } else {
        strbuf_printf(out, ",\"value\":{\"intValue\":\"%" PRId64 "\"}}", a->number);
    }
}

static void put_exception(const struct demo_span *span, uint64_t end_ns, struct strbuf *out)
{
    static const struct demo_attribute type = {"exception.type", "TimeoutError", 0};
    struct demo_attribute message = {"exception.message", span->error, 0};

    strbuf_printf(out,
                  ",\"events\":[{\"timeUnixNano\":\"%" PRIu64
                  "\",\"name\":\"exception\",\"attributes\":[",
                  end_ns);
    put_attribute(&type, out);
    strbuf_putc(out, ',');
    put_attribute(&message, out);
    strbuf_append_text(out, "]}]");
}

static void put_span(const struct demo_span *span, const char *trace_id,
                     const struct span_id ids[COUNT_OF(spans)], size_t index, uint64_t start_ns,
                     struct strbuf *out)
{
    char id[17];
    uint64_t from = start_ns + span->start_us * NS_PER_US;
    uint64_t to = from + span->length_us * NS_PER_US;

    hex_encode(ids[index].bytes, sizeof(ids[index].bytes), id);
    strbuf_printf(out, "{\"traceId\":\"%s\",\"spanId\":\"%s\"", trace_id, id);
    if (span->parent >= 0) {
        hex_encode(ids[span->parent].bytes, sizeof(ids[0].bytes), id);
        strbuf_printf(out, ",\"parentSpanId\":\"%s\"", id);
    }
    strbuf_append_text(out, ",\"name\":");
    json_put_string(out, slice_of(span->name));
    strbuf_printf(out,
                  ",\"kind\":%d,\"startTimeUnixNano\":\"%" PRIu64
                  "\",\"endTimeUnixNano\":\"%" PRIu64 "\",\"attributes\":[",
                  (int)span->kind, from, to);
    for (size_t i = 0; i < COUNT_OF(span->attributes) && span->attributes[i].key != NULL; i++) {
        strbuf_append_text(out, i > 0 ? "," : "");
        put_attribute(&span->attributes[i], out);
    }
    strbuf_putc(out, ']');
    if (span->error != NULL) {
        if (strcmp(span->error, "timeout") == 0) {
            put_exception(span, to, out);
        }
        strbuf_printf(out, ",\"status\":{\"code\":%d,\"message\":", (int)SPAN_STATUS_ERROR);
        json_put_string(out, slice_of(span->error));
        strbuf_putc(out, '}');
    }
    strbuf_putc(out, '}');
}

void demo_write(const struct trace_id *trace_id, uint64_t end_ns, struct strbuf *out)
{
    struct span_id ids[COUNT_OF(spans)];
    uint64_t start_ns = end_ns - LENGTH_US * NS_PER_US;
    char id[33];

    random_bytes(ids, sizeof(ids));
    hex_encode(trace_id->bytes, sizeof(trace_id->bytes), id);
    strbuf_append_text(out, "{\"resourceSpans\":[");
    for (size_t i = 0; i < COUNT_OF(spans); i++) {
        bool same_service = i > 0 && strcmp(spans[i].service, spans[i - 1].service) == 0;
        bool same_scope = same_service && strcmp(spans[i].scope, spans[i - 1].scope) == 0;
        if (i > 0) {
            strbuf_append_text(out, same_scope ? "," : same_service ? "]}," : "]}]},");
        }
        if (!same_service) {
            struct demo_attribute service = {"service.name", spans[i].service, 0};
            static const struct demo_attribute place = {"deployment.environment.name", "demo", 0};
            strbuf_append_text(out, "{\"resource\":{\"attributes\":[");
            put_attribute(&service, out);
            strbuf_putc(out, ',');
            put_attribute(&place, out);
            strbuf_append_text(out, "]},\"scopeSpans\":[");
        }
        if (!same_scope) {
            strbuf_append_text(out, "{\"scope\":{\"name\":");
            json_put_string(out, slice_of(spans[i].scope));
            strbuf_append_text(out, "},\"spans\":[");
        }
        put_span(&spans[i], id, ids, i, start_ns, out);
    }
    strbuf_append_text(out, "]}]}]}");
}
