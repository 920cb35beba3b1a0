/*
 * otlp_grpc_test.c - the driver against a scripted backend: what goes out, and that it goes on
 * after trouble.
 */
#include "unit.h"

#include <poll.h>
#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/base/thread.h>
#include <spangate/export/export.h>
#include <spangate/net/h2.h>
#include <stdatomic.h>

/* --- a backend that keeps what it gets and answers as told --- */

struct backend {
    struct loop *loop;
    struct h2_server *h2;
    struct thread thread;
    uint16_t port;
    atomic_int requests;
    const char *grpc_status; /* NULL: never answers */
    const char *grpc_message;
    bool goaway;           /* drain after the next answer */
    struct strbuf headers; /* of the last request, "name: value\n" */
    struct strbuf body;
};

static void on_headers(void *ctx, struct h2_stream *stream, const struct h2_header *headers,
                       size_t count, bool end)
{
    struct backend *backend = ctx;

    (void)stream;
    (void)end;
    strbuf_clear(&backend->headers);
    strbuf_clear(&backend->body);
    for (size_t i = 0; i < count; i++) {
        strbuf_append_slice(&backend->headers, headers[i].name);
        strbuf_append_text(&backend->headers, ": ");
        strbuf_append_slice(&backend->headers, headers[i].value);
        strbuf_putc(&backend->headers, '\n');
    }
}

static void on_data(void *ctx, struct h2_stream *stream, struct slice data)
{
    strbuf_append_slice(&((struct backend *)ctx)->body, data);
    h2_consume(stream, data.len);
}

static void drain(void *ctx)
{
    h2_server_drain(((struct backend *)ctx)->h2);
}

static void on_end(void *ctx, struct h2_stream *stream)
{
    struct backend *backend = ctx;

    atomic_fetch_add(&backend->requests, 1);
    if (backend->grpc_status == NULL) {
        return;
    }
    const struct h2_header headers[] = {
        {slice_of(":status"), slice_of("200")},
        {slice_of("content-type"), slice_of("application/grpc")},
        {slice_of("grpc-status"), slice_of(backend->grpc_status)},
        {slice_of("grpc-message"), slice_of(backend->grpc_message)},
    };
    if (strcmp(backend->grpc_status, "0") == 0) {
        h2_respond(stream, headers, 2, BYTES("\0\0\0\0\0"), headers + 2, 1);
    } else {
        h2_respond(stream, headers, 4, (struct slice){0}, NULL, 0);
    }
    if (backend->goaway) {
        loop_post(backend->loop, drain, backend);
    }
}

static void on_close(void *ctx, struct h2_stream *stream)
{
    (void)ctx;
    (void)stream;
}

static void run(void *arg)
{
    loop_run(((struct backend *)arg)->loop);
}

static void backend_start(struct backend *backend, uint16_t port)
{
    char endpoint[32];
    const struct h2_server_config config = {
        .endpoint = endpoint,
        .handler = {on_headers, on_data, on_end, on_close, backend},
    };
    struct error err = {0};

    (void)snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", (unsigned)port);
    strbuf_init(&backend->headers, 65536);
    strbuf_init(&backend->body, 64 << 20);
    backend->goaway = false;
    backend->loop = loop_new();
    assert_true(h2_server_open(&backend->h2, backend->loop, &config, &err));
    backend->port = h2_server_port(backend->h2);
    thread_start(&backend->thread, "backend", run, backend);
}

static void backend_stop(struct backend *backend)
{
    loop_stop(backend->loop);
    thread_join(&backend->thread);
    h2_server_close(backend->h2);
    loop_free(backend->loop);
    strbuf_deinit(&backend->headers);
    strbuf_deinit(&backend->body);
}

struct fixture {
    struct backend backend;
    struct otlp_grpc_settings settings;
    char endpoint[64];
    struct sink *sink;
    struct sink_outcome out;
};

static void open_sink(struct fixture *f)
{
    struct error err = {0};

    assert_true(otlp_grpc_driver.open(&f->sink, &f->settings, &err));
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));

    f->backend.grpc_status = "0";
    f->backend.grpc_message = "";
    backend_start(&f->backend, 0);
    (void)snprintf(f->endpoint, sizeof(f->endpoint), "http://127.0.0.1:%u",
                   (unsigned)f->backend.port);
    f->settings.endpoint = f->endpoint;
    f->settings.timeout_ns = 60 * NS_PER_S;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    otlp_grpc_driver.close(f->sink);
    backend_stop(&f->backend);
    free(f);
    return 0;
}

static void deliver(struct fixture *f, enum otlp_signal signal, struct slice body)
{
    const struct sink_batch batch = {.signal = signal, .body = body, .item_count = 1};

    otlp_grpc_driver.deliver(f->sink, &batch, &f->out);
}

static bool sent(struct fixture *f, const char *line)
{
    return strstr(f->backend.headers.data, line) != NULL;
}

static void a_batch_goes_out_as_one_export_call(void **state)
{
    struct fixture *f = *state;

    open_sink(f);
    deliver(f, OTLP_TRACES, BYTES("some spans"));

    assert_int_equal(f->out.verdict, SINK_DELIVERED);
    assert_int_equal(f->out.rejected, 0);
    assert_int_equal(f->backend.body.len, 15);
    assert_memory_equal(f->backend.body.data, "\0\0\0\0\x0asome spans", 15);
    assert_true(sent(f, ":method: POST\n"));
    assert_true(sent(f, ":scheme: http\n"));
    assert_true(sent(f, ":path: /opentelemetry.proto.collector.trace.v1.TraceService/Export\n"));
    assert_true(sent(f, "te: trailers\n"));
    assert_true(sent(f, "content-type: application/grpc\n"));
    assert_true(sent(f, "user-agent: Spangate/" SPANGATE_VERSION "\n"));
    assert_true(sent(f, "grpc-timeout: 60000000u\n"));
    assert_true(sent(f, "grpc-accept-encoding: identity,gzip\n"));
    assert_false(sent(f, "grpc-encoding:"));
    char authority[64];
    (void)snprintf(authority, sizeof(authority), ":authority: 127.0.0.1:%u\n",
                   (unsigned)f->backend.port);
    assert_true(sent(f, authority));
    assert_int_equal(otlp_grpc_driver.encoding(f->sink), SINK_PROTOBUF);
}

static void each_signal_has_its_service(void **state)
{
    struct fixture *f = *state;

    open_sink(f);
    deliver(f, OTLP_METRICS, BYTES("m"));
    assert_true(sent(f, "metrics.v1.MetricsService/Export\n"));
    deliver(f, OTLP_LOGS, BYTES("l"));
    assert_true(sent(f, "logs.v1.LogsService/Export\n"));
}

static void a_large_batch_arrives_whole(void **state)
{
    enum { LEN = 9 << 20 };
    struct fixture *f = *state;
    uint8_t *data = mem_alloc(LEN);

    for (size_t i = 0; i < LEN; i++) {
        data[i] = (uint8_t)(i * 2654435761U >> 11);
    }
    open_sink(f);
    deliver(f, OTLP_TRACES, (struct slice){data, LEN});

    assert_int_equal(f->out.verdict, SINK_DELIVERED);
    assert_int_equal(f->backend.body.len, 5 + LEN);
    assert_memory_equal(f->backend.body.data + 5, data, LEN);
    free(data);
}

static void compression_is_applied_and_named(void **state)
{
    struct fixture *f = *state;
    static const enum codec codecs[] = {CODEC_GZIP, CODEC_ZSTD};
    static const char *const names[] = {"grpc-encoding: gzip\n", "grpc-encoding: zstd\n"};

    f->sink = NULL;
    for (size_t i = 0; i < COUNT_OF(codecs); i++) {
        struct buf *inflated = NULL;
        struct error err = {0};
        f->settings.compression = codecs[i];
        if (f->sink != NULL) {
            otlp_grpc_driver.close(f->sink);
        }
        open_sink(f);
        deliver(f, OTLP_TRACES, BYTES("squeeze me"));
        deliver(f, OTLP_TRACES, BYTES("squeeze me again"));
        assert_int_equal(f->out.verdict, SINK_DELIVERED);
        assert_true(sent(f, names[i]));
        assert_int_equal(f->backend.body.data[0], 1);
        assert_int_equal((uint8_t)f->backend.body.data[4], f->backend.body.len - 5);
        assert_true(codec_inflate(codecs[i], slice_from(strbuf_slice(&f->backend.body), 5), 1000,
                                  NULL, &inflated, &err));
        assert_true(slice_equal_text(buf_slice(inflated), "squeeze me again"));
        buf_unref(inflated);
    }
}

static void configured_headers_authority_and_agent_are_sent(void **state)
{
    struct fixture *f = *state;
    static char names[3][16] = {"X-Scope-OrgID", "authorization", "trace-Bin"};
    static char values[3][16] = {"tenant", "Bearer secret", "AAEC"};
    struct header_setting headers[3];
    static char authority[] = "collector.example";
    static char agent[] = "mine/1";

    for (size_t i = 0; i < 3; i++) {
        headers[i] = (struct header_setting){names[i], values[i]};
    }
    f->settings.headers = headers;
    f->settings.header_count = 3;
    f->settings.authority = authority;
    f->settings.user_agent = agent;
    open_sink(f);
    deliver(f, OTLP_TRACES, BYTES("x"));

    assert_true(sent(f, "x-scope-orgid: tenant\n"));
    assert_true(sent(f, "authorization: Bearer secret\n"));
    assert_true(sent(f, "trace-bin: AAEC\n"));
    assert_true(sent(f, ":authority: collector.example\n"));
    assert_true(sent(f, "user-agent: mine/1\n"));
}

static void an_error_status_is_passed_on(void **state)
{
    struct fixture *f = *state;

    open_sink(f);
    f->backend.grpc_status = "14";
    f->backend.grpc_message = "not%20now";
    deliver(f, OTLP_TRACES, BYTES("x"));
    assert_int_equal(f->out.verdict, SINK_RETRY);
    assert_string_equal(f->out.err.message, "UNAVAILABLE (14): not now");
    f->backend.grpc_status = "3";
    deliver(f, OTLP_TRACES, BYTES("x"));
    assert_int_equal(f->out.verdict, SINK_REJECTED);
    f->backend.grpc_status = "0";
    deliver(f, OTLP_TRACES, BYTES("x"));
    assert_int_equal(f->out.verdict, SINK_DELIVERED);
}

static void a_backend_that_is_down_is_tried_again_and_found(void **state)
{
    struct fixture *f = *state;
    char expected[96];

    open_sink(f);
    backend_stop(&f->backend);
    deliver(f, OTLP_TRACES, BYTES("x"));
    assert_int_equal(f->out.verdict, SINK_RETRY);
    (void)snprintf(expected, sizeof(expected), "connect 127.0.0.1:%u: Connection refused",
                   (unsigned)f->backend.port);
    assert_string_equal(f->out.err.message, expected);
    backend_start(&f->backend, f->backend.port);
    deliver(f, OTLP_TRACES, BYTES("x"));
    assert_int_equal(f->out.verdict, SINK_DELIVERED);
}

static void after_goaway_the_next_batch_takes_a_new_connection(void **state)
{
    struct fixture *f = *state;

    open_sink(f);
    f->backend.goaway = true;
    deliver(f, OTLP_TRACES, BYTES("x"));
    assert_int_equal(f->out.verdict, SINK_DELIVERED);
    backend_stop(&f->backend);
    backend_start(&f->backend, f->backend.port);
    deliver(f, OTLP_TRACES, BYTES("y"));
    assert_int_equal(f->out.verdict, SINK_DELIVERED);
}

static void no_answer_in_time_is_tried_again_later(void **state)
{
    struct fixture *f = *state;

    f->settings.timeout_ns = 20 * NS_PER_MS;
    f->backend.grpc_status = NULL;
    open_sink(f);
    deliver(f, OTLP_TRACES, BYTES("x"));
    assert_int_equal(f->out.verdict, SINK_RETRY);
    assert_string_equal(f->out.err.message, "deadline exceeded while waiting for the answer");
}

static void interrupt_soon(void *arg)
{
    struct fixture *f = arg;

    while (atomic_load(&f->backend.requests) == 0) {
        (void)poll(NULL, 0, 1);
    }
    otlp_grpc_driver.interrupt(f->sink);
}

static void an_interrupt_ends_the_delivery(void **state)
{
    struct fixture *f = *state;
    struct thread thread = {0};

    f->backend.grpc_status = NULL;
    open_sink(f);
    thread_start(&thread, "interrupt", interrupt_soon, f);
    deliver(f, OTLP_TRACES, BYTES("x"));
    thread_join(&thread);
    assert_int_equal(f->out.verdict, SINK_RETRY);
    deliver(f, OTLP_TRACES, BYTES("x"));
    assert_int_equal(f->out.verdict, SINK_RETRY);
    assert_int_equal(atomic_load(&f->backend.requests), 1);
}

/* --- endpoints --- */

static bool opens(const char *endpoint, bool insecure, struct error *err)
{
    struct otlp_grpc_settings settings = {.endpoint = mem_strdup(endpoint),
                                          .tls = {.insecure = insecure}};
    struct sink *sink = NULL;

    bool ok = otlp_grpc_driver.open(&sink, &settings, err);
    if (ok) {
        otlp_grpc_driver.close(sink);
    }
    free(settings.endpoint);
    return ok;
}

static void endpoints_have_the_forms_of_the_collector(void **state)
{
    (void)state;
    static const char *const good[] = {
        "localhost:4317", "http://localhost:4317", "https://h.example",   "http://h.example/",
        "[::1]:4317",     "https://[::1]",         "dns:///h.example:99", "HTTPS://h:1"};
    static const char *const bad[] = {"",
                                      "localhost",
                                      "localhost:0",
                                      ":4317",
                                      "http://h:4317/v1/traces",
                                      "unix:///var/run/x",
                                      "h:99999",
                                      "https://"};

    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct error err = {0};
        assert_true(opens(good[i], true, &err));
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct error err = {0};
        assert_false(opens(bad[i], true, &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
}

/* Without a scheme, tls.insecure decides; a scheme is stronger. */
static void the_scheme_decides_about_tls(void **state)
{
    struct fixture *f = *state;
    char bare[64];

    (void)snprintf(bare, sizeof(bare), "127.0.0.1:%u", (unsigned)f->backend.port);
    f->settings.endpoint = bare;
    f->settings.tls.insecure = true;
    open_sink(f);
    deliver(f, OTLP_TRACES, BYTES("x"));
    assert_int_equal(f->out.verdict, SINK_DELIVERED);
    otlp_grpc_driver.close(f->sink);

    f->settings.tls.insecure = false;
    open_sink(f);
    deliver(f, OTLP_TRACES, BYTES("x"));
    assert_int_equal(f->out.verdict, SINK_RETRY);
    assert_non_null(strstr(f->out.err.message, "TLS handshake"));
    otlp_grpc_driver.close(f->sink);

    f->settings.endpoint = f->endpoint;
    open_sink(f);
    deliver(f, OTLP_TRACES, BYTES("x"));
    assert_int_equal(f->out.verdict, SINK_DELIVERED);
}

static void headers_that_would_break_the_request_are_refused_at_open(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "x"},   {":path", "/"}, {"a b", "x"},           {"a\n", "x"}, {"x", "line\nbreak"},
        {"TE", "x"}, {"Host", "x"},  {"grpc-timeout", "1S"},
    };

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct header_setting header = {mem_strdup(bad[i][0]), mem_strdup(bad[i][1])};
        struct otlp_grpc_settings settings = {
            .endpoint = mem_strdup("localhost:1"), .headers = &header, .header_count = 1};
        struct sink *sink = NULL;
        struct error err = {0};
        assert_false(otlp_grpc_driver.open(&sink, &settings, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_null(strstr(err.message, "line"));
        free(header.name);
        free(header.value);
        free(settings.endpoint);
    }
}

#define grpc_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        grpc_test(a_batch_goes_out_as_one_export_call),
        grpc_test(each_signal_has_its_service),
        grpc_test(a_large_batch_arrives_whole),
        grpc_test(compression_is_applied_and_named),
        grpc_test(configured_headers_authority_and_agent_are_sent),
        grpc_test(an_error_status_is_passed_on),
        grpc_test(a_backend_that_is_down_is_tried_again_and_found),
        grpc_test(after_goaway_the_next_batch_takes_a_new_connection),
        grpc_test(no_answer_in_time_is_tried_again_later),
        grpc_test(an_interrupt_ends_the_delivery),
        cmocka_unit_test(endpoints_have_the_forms_of_the_collector),
        grpc_test(the_scheme_decides_about_tls),
        cmocka_unit_test(headers_that_would_break_the_request_are_refused_at_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
