/*
 * load.c - a load client that gives every trace a fresh id and counts what was acknowledged.
 *
 *   bench_load --protocol http|json|grpc --endpoint 127.0.0.1:4318 --workload w1|w2|small
 *              --seconds 10 | --requests N   [--connections 4] [--rate SPANS_PER_S]
 *              [--distinct-mb 50] [--gzip] [--run NUMBER] [--refusal-pause-ms 50] [--prepare N]
 *
 * One thread a connection, one request at a time on each. A request that is refused is sent again
 * after a pause, as an SDK would, until it is taken or the time is over. Prints one JSON object.
 *
 * --prepare encodes and compresses that many requests before the clock starts, so that the client's
 * own compression does not bound the rate; sending ends when they are used up.
 *
 * Latency is from sending to the answer; with --rate from when the request was due, so that a
 * server that stalls is charged for the requests that had to wait.
 */
#include "payload.h"

#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/base/thread.h>
#include <spangate/codec/codec.h>
#include <spangate/net/address.h>
#include <spangate/net/h2.h>
#include <spangate/otlp/otlp.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum protocol { PROTOCOL_HTTP, PROTOCOL_JSON, PROTOCOL_GRPC };

static struct {
    enum protocol protocol;
    enum workload workload;
    char host[256];
    uint16_t port;
    size_t connections;
    uint64_t requests; /* in all; 0: by time */
    uint64_t duration_ns;
    uint64_t rate; /* spans/s; 0: as fast as answered */
    uint64_t run;  /* trace ids follow from it */
    uint64_t refusal_pause_ns;
    size_t prepare; /* requests; 0: encode while sending */
    size_t distinct_bytes;
    bool gzip;
} options = {.workload = WORKLOAD_W1,
             .connections = 4,
             .duration_ns = 10 * NS_PER_S,
             .refusal_pause_ns = 50 * NS_PER_MS,
             .distinct_bytes = 50 * 1024 * 1024};

enum { LATENCY_BUCKETS = 64 * 16, ANSWER_TEXT_MAX = 120 };

/* What came back for one request. */
enum answer { ANSWER_OK, ANSWER_PARTIAL, ANSWER_REFUSED, ANSWER_BROKEN };

struct client {
    struct thread thread;
    size_t index;
    struct payload *payloads;
    size_t payload_count;
    struct strbuf *prepared;
    size_t prepared_count;
    uint64_t requests, spans, acknowledged, partial, refused, broken;
    uint64_t latency[LATENCY_BUCKETS]; /* log-linear in microseconds */
    char refusal[ANSWER_TEXT_MAX];     /* the first one */
    int fd;
    struct h2_client *h2;
};

static atomic_uint_fast64_t claimed;
static uint64_t begun_ns;

static size_t bucket_of(uint64_t us)
{
    if (us < 16) {
        return (size_t)us;
    }
    unsigned power = 63U - (unsigned)__builtin_clzll(us);
    return (size_t)(power - 3) * 16 + (size_t)(us >> (power - 4) & 15);
}

static uint64_t value_of(size_t bucket)
{
    return bucket < 16 ? bucket : (16 + (uint64_t)(bucket & 15)) << (bucket / 16 - 1);
}

static void sleep_ns(uint64_t ns)
{
    struct timespec pause = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
    (void)nanosleep(&pause, NULL);
}

static _Noreturn void fail(const char *message)
{
    (void)fprintf(stderr, "bench_load: %s\n", message);
    exit(EXIT_FAILURE);
}

static void note_refusal(struct client *c, const char *text, size_t len)
{
    if (c->refusal[0] == '\0') {
        (void)snprintf(c->refusal, sizeof(c->refusal), "%.*s", (int)len, text);
        for (char *at = c->refusal; *at != '\0'; at++) {
            if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ') {
                *at = ' ';
            }
        }
    }
}

/* ---- HTTP/1.1 ---- */

static bool http_open(struct client *c)
{
    struct error err;
    if (!address_connect(options.host, options.port, 5 * NS_PER_S, &c->fd, &err)) {
        c->fd = -1;
        note_refusal(c, err.message, strlen(err.message));
        return false;
    }
    (void)fcntl(c->fd, F_SETFL, 0); /* it comes non-blocking */
    struct timeval patience = {.tv_sec = 30};
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    (void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return true;
}

static bool send_all(int fd, const void *data, size_t len, int flags)
{
    const char *at = data;
    while (len > 0) {
        ssize_t put = send(fd, at, len, MSG_NOSIGNAL | flags);
        if (put <= 0) {
            return false;
        }
        at += put;
        len -= (size_t)put;
    }
    return true;
}

/* OTLP/HTTP: 200 with an empty message, or with one that has partial_success. */
static enum answer judge(struct client *c, int status, const char *body, size_t len)
{
    if (status != 200) {
        char text[ANSWER_TEXT_MAX];
        int n = snprintf(text, sizeof(text), "%d %.*s", status, (int)(len < 80 ? len : 80), body);
        note_refusal(c, text, (size_t)n);
        return ANSWER_REFUSED;
    }
    bool partial = options.protocol == PROTOCOL_JSON
                       ? memmem(body, len, "rejectedSpans", 13) != NULL
                       : len > 2; /* an empty partial_success takes two bytes */
    return partial ? ANSWER_PARTIAL : ANSWER_OK;
}

/* One answer with Content-Length. */
static enum answer read_answer(struct client *c)
{
    char text[8192];
    size_t len = 0;
    for (;;) {
        ssize_t got = recv(c->fd, text + len, sizeof(text) - 1 - len, 0);
        if (got <= 0) {
            return ANSWER_BROKEN;
        }
        len += (size_t)got;
        text[len] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        if (end == NULL) {
            continue;
        }
        const char *length = strcasestr(text, "content-length:");
        size_t body = length != NULL ? strtoul(length + 15, NULL, 10) : 0;
        if (len >= (size_t)(end - text) + 4 + body) {
            return judge(c, (int)strtol(text + 9, NULL, 10), end + 4, body);
        }
    }
}

static enum answer http_send(struct client *c, struct slice body)
{
    char head[512];
    if (c->fd < 0 && !http_open(c)) {
        return ANSWER_BROKEN;
    }
    int len = snprintf(head, sizeof(head),
                       "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n%s"
                       "Content-Length: %zu\r\n\r\n",
                       options.protocol == PROTOCOL_JSON ? "application/json"
                                                         : "application/x-protobuf",
                       options.gzip ? "Content-Encoding: gzip\r\n" : "", body.len);
    enum answer answer = ANSWER_BROKEN;
    if (send_all(c->fd, head, (size_t)len, MSG_MORE) && send_all(c->fd, body.data, body.len, 0)) {
        answer = read_answer(c);
    }
    if (answer == ANSWER_BROKEN) {
        note_refusal(c, "connection broken", 17);
    }
    if (answer == ANSWER_BROKEN || answer == ANSWER_REFUSED) {
        (void)close(c->fd); /* a refusal may close the connection; a fresh one is always right */
        c->fd = -1;
    }
    return answer;
}

/* ---- gRPC ---- */

static enum answer grpc_send(struct client *c, struct slice framed)
{
    static const struct {
        const char *name, *value;
    } fixed[] = {
        {":method", "POST"},
        {":scheme", "http"},
        {":path", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"},
        {":authority", "localhost"},
        {"te", "trailers"},
        {"content-type", "application/grpc"},
        {"grpc-encoding", "gzip"},
    };
    struct h2_header headers[COUNT_OF(fixed)];
    struct h2_response response;
    struct error err;
    struct slice status = {0};
    struct slice message = {0};
    enum answer answer = ANSWER_REFUSED;
    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        headers[i] = (struct h2_header){slice_of(fixed[i].name), slice_of(fixed[i].value)};
    }
    h2_response_init(&response);
    if (!h2_client_call(c->h2, headers, COUNT_OF(fixed) - (options.gzip ? 0 : 1), framed,
                        30 * NS_PER_S, &response, &err)) {
        note_refusal(c, err.message, strlen(err.message));
        answer = ANSWER_BROKEN;
    } else if (h2_response_header(&response, "grpc-status", &status) &&
               slice_equal_text(status, "0")) {
        answer = response.body.len > 5 + 2 ? ANSWER_PARTIAL : ANSWER_OK;
    } else {
        (void)h2_response_header(&response, "grpc-message", &message);
        char text[ANSWER_TEXT_MAX];
        int n = snprintf(text, sizeof(text), "grpc-status %.*s %.*s", (int)status.len,
                         (const char *)status.data, (int)(message.len < 80 ? message.len : 80),
                         (const char *)message.data);
        note_refusal(c, text, (size_t)n);
    }
    h2_response_deinit(&response);
    return answer;
}

/* ---- the loop ---- */

/* What goes over the wire for a request whose ids were just set. */
static struct slice encode(const struct payload *payload, struct strbuf *json,
                           struct strbuf *packed)
{
    struct slice body = strbuf_slice(&payload->body);
    struct error err;
    strbuf_clear(json);
    strbuf_clear(packed);
    if (options.protocol == PROTOCOL_JSON) {
        if (!otlp_json_encode(OTLP_TRACES, body, json, &err)) {
            fail(err.message);
        }
        body = strbuf_slice(json);
    }
    if (options.protocol == PROTOCOL_GRPC) {
        strbuf_append(packed, "\0\0\0\0\0", 5);
    }
    if (options.gzip) {
        if (!codec_deflate(CODEC_GZIP, 1, body, packed, &err)) {
            fail(err.message);
        }
    } else if (options.protocol == PROTOCOL_GRPC) {
        strbuf_append_slice(packed, body);
    } else {
        return body;
    }
    if (options.protocol == PROTOCOL_GRPC) {
        size_t len = packed->len - 5;
        packed->data[0] = options.gzip ? 1 : 0;
        for (int i = 0; i < 4; i++) {
            packed->data[1 + i] = (char)(len >> (24 - 8 * i));
        }
    }
    return strbuf_slice(packed);
}

static bool is_over(void)
{
    return options.requests == 0 &&
           clock_monotonic(&clock_system) - begun_ns >= options.duration_ns;
}

/* When request n is due; now where there is no rate. */
static uint64_t wait_for_turn(uint64_t n, size_t spans)
{
    uint64_t now_ns = clock_monotonic(&clock_system);
    if (options.rate == 0) {
        return now_ns;
    }
    uint64_t due_ns = begun_ns + (uint64_t)((double)(n * spans) / (double)options.rate * 1e9);
    if (due_ns > now_ns) {
        sleep_ns(due_ns - now_ns);
    }
    return due_ns;
}

/* Send until it is taken. */
static void deliver(struct client *c, const struct payload *payload, struct slice body,
                    uint64_t since_ns)
{
    for (;;) {
        enum answer answer =
            options.protocol == PROTOCOL_GRPC ? grpc_send(c, body) : http_send(c, body);
        if (answer == ANSWER_OK || answer == ANSWER_PARTIAL) {
            uint64_t us = (clock_monotonic(&clock_system) - since_ns) / NS_PER_US;
            size_t bucket = bucket_of(us);
            c->latency[bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1]++;
            c->requests++;
            c->acknowledged += payload->span_count;
            c->partial += answer == ANSWER_PARTIAL;
            return;
        }
        c->refused += answer == ANSWER_REFUSED;
        c->broken += answer == ANSWER_BROKEN;
        if (is_over() || c->refused + c->broken > 1000000) {
            return;
        }
        sleep_ns(options.refusal_pause_ns);
        since_ns = clock_monotonic(&clock_system);
    }
}

/* The n-th request of the run, from the client's k-th payload in turn; valid until the next. */
static struct slice make(struct client *c, size_t k, uint64_t n, struct strbuf *json,
                         struct strbuf *packed)
{
    struct payload *payload = &c->payloads[k % c->payload_count];
    payload_renew(payload, options.run, n);
    return encode(payload, json, packed);
}

static void prepare(struct client *c)
{
    struct strbuf json;
    strbuf_init(&json, (size_t)1 << 30);
    c->prepared_count = options.prepare / options.connections;
    c->prepared = mem_zalloc(c->prepared_count + 1, sizeof(*c->prepared));
    for (size_t k = 0; k < c->prepared_count; k++) {
        struct strbuf *packed = &c->prepared[k];
        strbuf_init(packed, (size_t)1 << 30);
        struct slice body = make(c, k, k * options.connections + c->index, &json, packed);
        if (packed->len == 0) {
            strbuf_append_slice(packed, body);
        }
    }
    strbuf_deinit(&json);
}

static void run_client(void *arg)
{
    struct client *c = arg;
    struct strbuf json;
    struct strbuf packed;
    strbuf_init(&json, (size_t)1 << 30);
    strbuf_init(&packed, (size_t)1 << 30);
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    for (size_t k = 0; !is_over(); k++) {
        uint64_t n = atomic_fetch_add(&claimed, 1);
        if ((options.requests > 0 && n >= options.requests) ||
            (options.prepare > 0 && k >= c->prepared_count)) {
            break;
        }
        struct payload *payload = &c->payloads[k % c->payload_count];
        struct slice body = options.prepare > 0 ? strbuf_slice(&c->prepared[k])
                                                : make(c, k, n, &json, &packed);
        uint64_t since_ns = wait_for_turn(n, payload->span_count);
        c->spans += payload->span_count;
        deliver(c, payload, body, since_ns);
    }
    strbuf_deinit(&json);
    strbuf_deinit(&packed);
    codec_thread_exit();
}

static uint64_t percentile(const uint64_t *latency, uint64_t total, double part)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += latency[i];
        if (seen > 0 && (double)seen >= part * (double)total) {
            return value_of(i);
        }
    }
    return 0;
}

static _Noreturn void usage(void)
{
    (void)fprintf(stderr, "usage: bench_load --protocol http|json|grpc --endpoint HOST:PORT "
                          "[--workload w1|w2|small] [--seconds S | --requests N] "
                          "[--connections C] [--rate SPANS_PER_S] [--distinct-mb MB] [--gzip] "
                          "[--run NUMBER] [--refusal-pause-ms MS] [--prepare N]\n");
    exit(2);
}

/* The place of value in a NULL-terminated list. */
static int choice(const char *value, const char *const *names)
{
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(value, names[i]) == 0) {
            return i;
        }
    }
    usage();
}

static uint64_t number(const char *value)
{
    char *end;
    uint64_t n = strtoull(value, &end, 10);
    if (end == value || *end != '\0') {
        usage();
    }
    return n;
}

static void parse(int argc, char **argv)
{
    static const char *const protocols[] = {"http", "json", "grpc", NULL};
    static const char *const workloads[] = {"w1", "w2", "small", NULL};
    struct error err;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--gzip") == 0) {
            options.gzip = true;
            continue;
        }
        if (i + 1 == argc) {
            usage();
        }
        const char *name = argv[i];
        const char *value = argv[++i];
        if (strcmp(name, "--protocol") == 0) {
            options.protocol = (enum protocol)choice(value, protocols);
        } else if (strcmp(name, "--endpoint") == 0) {
            if (!address_split(value, options.host, sizeof(options.host), &options.port, &err)) {
                fail(err.message);
            }
        } else if (strcmp(name, "--workload") == 0) {
            options.workload = (enum workload)choice(value, workloads);
        } else if (strcmp(name, "--seconds") == 0) {
            options.duration_ns = number(value) * NS_PER_S;
        } else if (strcmp(name, "--requests") == 0) {
            options.requests = number(value);
        } else if (strcmp(name, "--connections") == 0) {
            options.connections = number(value);
        } else if (strcmp(name, "--rate") == 0) {
            options.rate = number(value);
        } else if (strcmp(name, "--distinct-mb") == 0) {
            options.distinct_bytes = number(value) << 20;
        } else if (strcmp(name, "--run") == 0) {
            options.run = number(value);
        } else if (strcmp(name, "--prepare") == 0) {
            options.prepare = number(value);
        } else if (strcmp(name, "--refusal-pause-ms") == 0) {
            options.refusal_pause_ns = number(value) * NS_PER_MS;
        } else {
            usage();
        }
    }
    if (options.port == 0 || options.connections == 0) {
        usage();
    }
}

static void client_init(struct client *c, uint64_t *seed)
{
    struct payload probe;
    payload_make(&probe, options.workload, 1);
    c->payload_count = options.distinct_bytes / options.connections / probe.body.len + 1;
    payload_free(&probe);
    c->fd = -1;
    c->payloads = mem_zalloc(c->payload_count, sizeof(*c->payloads));
    for (size_t p = 0; p < c->payload_count; p++) {
        payload_make(&c->payloads[p], options.workload, (*seed)++);
    }
    if (options.prepare > 0) {
        prepare(c);
    }
    if (options.protocol == PROTOCOL_GRPC) {
        struct h2_client_config config = {.host = options.host, .port = options.port};
        c->h2 = h2_client_new(&config);
    }
}

static void client_deinit(struct client *c)
{
    for (size_t p = 0; p < c->payload_count; p++) {
        payload_free(&c->payloads[p]);
    }
    for (size_t k = 0; k < c->prepared_count; k++) {
        strbuf_deinit(&c->prepared[k]);
    }
    free(c->prepared);
    free(c->payloads);
    if (c->h2 != NULL) {
        h2_client_free(c->h2);
    }
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
}

static void add(struct client *sum, const struct client *c)
{
    sum->requests += c->requests;
    sum->spans += c->spans;
    sum->acknowledged += c->acknowledged;
    sum->partial += c->partial;
    sum->refused += c->refused;
    sum->broken += c->broken;
    for (size_t b = 0; b < LATENCY_BUCKETS; b++) {
        sum->latency[b] += c->latency[b];
    }
    if (sum->refusal[0] == '\0') {
        memcpy(sum->refusal, c->refusal, sizeof(sum->refusal));
    }
}

int main(int argc, char **argv)
{
    static struct client sum;
    uint64_t seed = 1;
    parse(argc, argv);
    struct client *clients = mem_zalloc(options.connections, sizeof(*clients));
    for (size_t i = 0; i < options.connections; i++) {
        clients[i].index = i;
        client_init(&clients[i], &seed);
    }
    double bytes_per_span =
        (double)clients[0].payloads[0].body.len / (double)clients[0].payloads[0].span_count;
    begun_ns = clock_monotonic(&clock_system);
    for (size_t i = 0; i < options.connections; i++) {
        thread_start(&clients[i].thread, "load", run_client, &clients[i]);
    }
    for (size_t i = 0; i < options.connections; i++) {
        thread_join(&clients[i].thread);
        add(&sum, &clients[i]);
        client_deinit(&clients[i]);
    }
    double seconds = (double)(clock_monotonic(&clock_system) - begun_ns) / 1e9;
    (void)printf("{\"requests\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"acknowledged\":%" PRIu64
                 ",\"partial_requests\":%" PRIu64 ",\"refused_requests\":%" PRIu64
                 ",\"broken_requests\":%" PRIu64
                 ",\"refusal\":\"%s\",\"seconds\":%.4f,\"bytes_per_span\":%.1f,"
                 "\"p50_us\":%" PRIu64 ",\"p99_us\":%" PRIu64 ",\"max_us\":%" PRIu64 "}\n",
                 sum.requests, sum.spans, sum.acknowledged, sum.partial, sum.refused, sum.broken,
                 sum.refusal, seconds, bytes_per_span, percentile(sum.latency, sum.requests, 0.5),
                 percentile(sum.latency, sum.requests, 0.99),
                 percentile(sum.latency, sum.requests, 1.0));
    free(clients);
    return 0;
}
