/*
 * count_sink.c - a backend that takes everything and counts spans.
 *
 *   bench_count_sink --http PORT --grpc PORT
 *
 * GET on the HTTP port answers {"requests":n,"spans":n,"bytes":n}; bytes are those on the wire.
 * Ends on SIGTERM. The HTTP side is a plain blocking thread a connection, so that its own cost is
 * small and known; it understands requests with Content-Length, without pipelining.
 */
#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/base/thread.h>
#include <spangate/codec/codec.h>
#include <spangate/net/address.h>
#include <spangate/net/h2.h>
#include <spangate/otlp/pb.h>

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_uint_fast64_t requests, spans, bytes;

/* Fields 1 (ResourceSpans) > 2 (ScopeSpans) > 2 (Span). */
static uint64_t count_spans(struct slice body)
{
    struct error err;
    struct pb_field rs;
    struct pb_field ss;
    struct pb_field span;
    uint64_t count = 0;
    struct pb_reader request = pb_over(body);
    while (pb_next(&request, &rs, &err) == PB_FIELD) {
        struct pb_reader resource = pb_over(rs.bytes);
        while (rs.number == 1 && pb_next(&resource, &ss, &err) == PB_FIELD) {
            struct pb_reader scope = pb_over(ss.bytes);
            while (ss.number == 2 && pb_next(&scope, &span, &err) == PB_FIELD) {
                count += span.number == 2;
            }
        }
    }
    return count;
}

static uint64_t count_json(struct slice body)
{
    uint64_t count = 0;
    const uint8_t *at = body.data;
    const uint8_t *end = body.data + body.len;
    while ((at = memmem(at, (size_t)(end - at), "\"startTimeUnixNano\"", 19)) != NULL) {
        count++;
        at += 19;
    }
    return count;
}

static void count(struct slice body, enum codec codec, bool json)
{
    struct buf *plain = NULL;
    struct error err;
    atomic_fetch_add(&requests, 1);
    atomic_fetch_add(&bytes, body.len);
    if (codec != CODEC_NONE) {
        if (!codec_inflate(codec, body, (size_t)1 << 30, NULL, &plain, &err)) {
            (void)fprintf(stderr, "bench_count_sink: %s\n", err.message);
            return;
        }
        body = buf_slice(plain);
    }
    atomic_fetch_add(&spans, json ? count_json(body) : count_spans(body));
    buf_unref(plain);
}

/* ---- HTTP ---- */

static bool read_more(int fd, char **data, size_t *len, size_t *cap)
{
    if (*cap - *len < 65536) {
        *cap = *cap * 2 + 131072;
        *data = mem_realloc(*data, *cap);
    }
    ssize_t got = recv(fd, *data + *len, *cap - *len - 1, 0);
    if (got <= 0) {
        return false;
    }
    *len += (size_t)got;
    return true;
}

static void serve_http(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char *data = NULL;
    size_t len = 0;
    size_t cap = 0;
    while (read_more(fd, &data, &len, &cap)) {
        data[len] = '\0';
        char *end = strstr(data, "\r\n\r\n");
        if (end == NULL) {
            continue;
        }
        *end = '\0';
        const char *length = strcasestr(data, "\r\ncontent-length:");
        size_t body_len = length != NULL ? strtoul(length + 17, NULL, 10) : 0;
        enum codec codec = strcasestr(data, "content-encoding: gzip") != NULL   ? CODEC_GZIP
                           : strcasestr(data, "content-encoding: zstd") != NULL ? CODEC_ZSTD
                                                                                : CODEC_NONE;
        bool json = strcasestr(data, "application/json") != NULL;
        bool ask = strncmp(data, "GET", 3) == 0;
        size_t head_len = (size_t)(end - data) + 4;
        bool ok = true;
        while (ok && len < head_len + body_len) {
            ok = read_more(fd, &data, &len, &cap);
        }
        if (!ok) {
            break;
        }
        char answer[512];
        char body[256] = "";
        if (ask) {
            (void)snprintf(body, sizeof(body),
                           "{\"requests\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"bytes\":%" PRIu64 "}",
                           (uint64_t)requests, (uint64_t)spans, (uint64_t)bytes);
        } else {
            count((struct slice){(uint8_t *)data + head_len, body_len}, codec, json);
        }
        int n = snprintf(answer, sizeof(answer),
                         "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
                         ask || json ? "application/json" : "application/x-protobuf",
                         !ask && json ? 2 : strlen(body), !ask && json ? "{}" : body);
        (void)send(fd, answer, (size_t)n, MSG_NOSIGNAL);
        memmove(data, data + head_len + body_len, len - head_len - body_len);
        len -= head_len + body_len;
    }
    free(data);
    (void)close(fd);
    codec_thread_exit();
}

static void accept_http(void *arg)
{
    int listener = (int)(intptr_t)arg;
    for (;;) {
        struct pollfd wait = {.fd = listener, .events = POLLIN};
        (void)poll(&wait, 1, -1);
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            struct thread thread;
            thread_start(&thread, "http", serve_http, (void *)(intptr_t)fd);
            (void)pthread_detach(thread.handle);
        }
    }
}

/* ---- gRPC ---- */

struct call {
    struct strbuf body;
    bool gzip, zstd;
};

static void on_headers(void *ctx, struct h2_stream *stream, const struct h2_header *headers,
                       size_t header_count, bool end)
{
    struct call *call = mem_zalloc(1, sizeof(*call));
    (void)ctx;
    (void)end;
    strbuf_init(&call->body, (size_t)1 << 30);
    for (size_t i = 0; i < header_count; i++) {
        if (slice_equal_text(headers[i].name, "grpc-encoding")) {
            call->gzip = slice_equal_text(headers[i].value, "gzip");
            call->zstd = slice_equal_text(headers[i].value, "zstd");
        }
    }
    h2_stream_set_ctx(stream, call);
}

static void on_data(void *ctx, struct h2_stream *stream, struct slice data)
{
    struct call *call = h2_stream_ctx(stream);
    (void)ctx;
    strbuf_append_slice(&call->body, data);
    h2_consume(stream, data.len);
}

static void on_end(void *ctx, struct h2_stream *stream)
{
    struct call *call = h2_stream_ctx(stream);
    static const struct h2_header headers[] = {
        {{(const uint8_t *)":status", 7}, {(const uint8_t *)"200", 3}},
        {{(const uint8_t *)"content-type", 12}, {(const uint8_t *)"application/grpc", 16}},
    };
    static const struct h2_header trailers[] = {
        {{(const uint8_t *)"grpc-status", 11}, {(const uint8_t *)"0", 1}},
    };
    (void)ctx;
    if (call->body.len > 5) {
        enum codec codec = call->body.data[0] == 0 ? CODEC_NONE
                           : call->zstd            ? CODEC_ZSTD
                                                   : CODEC_GZIP;
        count(slice_from(strbuf_slice(&call->body), 5), codec, false);
    }
    h2_respond(stream, headers, COUNT_OF(headers),
               (struct slice){(const uint8_t *)"\0\0\0\0\0", 5}, trailers, COUNT_OF(trailers));
}

static void on_close(void *ctx, struct h2_stream *stream)
{
    struct call *call = h2_stream_ctx(stream);
    (void)ctx;
    if (call != NULL) {
        strbuf_deinit(&call->body);
        free(call);
    }
}

static void run_grpc(void *arg)
{
    loop_run(arg);
}

int main(int argc, char **argv)
{
    struct error err;
    char endpoint[64];
    sigset_t set;
    int signal_number;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (int i = 1; i + 1 < argc; i += 2) {
        (void)snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%s", argv[i + 1]);
        if (strcmp(argv[i], "--http") == 0) {
            int fds[ADDRESS_SOCKETS_MAX];
            size_t fd_count;
            uint16_t port;
            if (!address_listen(endpoint, fds, &fd_count, &port, &err)) {
                (void)fprintf(stderr, "bench_count_sink: %s\n", err.message);
                return 1;
            }
            struct thread thread;
            thread_start(&thread, "accept", accept_http, (void *)(intptr_t)fds[0]);
        } else if (strcmp(argv[i], "--grpc") == 0) {
            struct loop *loop = loop_new();
            struct h2_server *server;
            struct h2_server_config config = {
                .endpoint = endpoint,
                .max_concurrent_streams = 100,
                .max_connections = 1000,
                .handler = {on_headers, on_data, on_end, on_close, NULL},
            };
            if (!h2_server_open(&server, loop, &config, &err)) {
                (void)fprintf(stderr, "bench_count_sink: %s\n", err.message);
                return 1;
            }
            struct thread thread;
            thread_start(&thread, "grpc", run_grpc, loop);
        } else {
            (void)fprintf(stderr, "usage: bench_count_sink [--http PORT] [--grpc PORT]\n");
            return 2;
        }
    }
    (void)sigwait(&set, &signal_number);
    (void)printf("{\"requests\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n",
                 (uint64_t)requests, (uint64_t)spans, (uint64_t)bytes);
    (void)fflush(stdout);
    _exit(0);
}
