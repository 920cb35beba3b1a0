/*
 * otlp_http_test.c - the driver otlp_http against a scripted server.
 */

#include "http_server.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <spangate/base/mem.h>
#include <spangate/export/export.h>
#include <spangate/otlp/status.h>
#include <sys/stat.h>
#include <time.h>

#define TIMEOUT_NS UINT64_C(10000000000)

static const uint8_t request_bytes[] = {0x0a, 0x00, 'b', 'o', 'd', 'y', 0x00, 0xff};

static struct sink_batch batch_of(const void *bytes, size_t len)
{
    return (struct sink_batch){
        .signal = OTLP_TRACES, .body = {bytes, len}, .item_count = 10, .trace_count = 2};
}

static struct otlp_http_settings settings_for(const struct http_server *server)
{
    return (struct otlp_http_settings){
        .endpoint = mem_printf("http://127.0.0.1:%u", server->port),
        .timeout_ns = TIMEOUT_NS,
        .proxy_url = NULL,
    };
}

static struct sink *open_sink(const struct otlp_http_settings *settings)
{
    struct sink *sink = NULL;
    struct error err = {0};

    if (!otlp_http_driver.open(&sink, settings, &err)) {
        fail_msg("%s", err.message);
    }
    return sink;
}

static struct sink_outcome deliver(struct sink *sink)
{
    struct sink_batch batch = batch_of(request_bytes, sizeof(request_bytes));
    struct sink_outcome outcome;

    otlp_http_driver.deliver(sink, &batch, &outcome);
    return outcome;
}

/* One batch to a server that answers so. */
static struct sink_outcome answer_with(const struct http_reply *reply, bool json)
{
    struct http_server server;

    server_start(&server, reply, 1, NULL);
    struct otlp_http_settings settings = settings_for(&server);
    settings.json = json;
    struct sink *sink = open_sink(&settings);
    struct sink_outcome outcome = deliver(sink);
    otlp_http_driver.close(sink);
    server_stop(&server);
    assert_int_equal(server.request_count, 1);
    server_free(&server);
    free(settings.endpoint);
    return outcome;
}

/* --- what is sent --- */

static void a_batch_is_posted_as_it_is(void **state)
{
    (void)state;
    static const struct http_reply ok = {.status = 200};
    struct http_server server;

    server_start(&server, &ok, 1, NULL);
    struct otlp_http_settings settings = settings_for(&server);
    struct sink *sink = open_sink(&settings);
    assert_int_equal(otlp_http_driver.encoding(sink), SINK_PROTOBUF);
    assert_int_equal(deliver(sink).verdict, SINK_DELIVERED);
    assert_int_equal(deliver(sink).verdict, SINK_DELIVERED);
    otlp_http_driver.close(sink);
    server_stop(&server);

    assert_int_equal(server.request_count, 2);
    const struct http_request *request = &server.requests[0];
    assert_true(has_line(request, "POST /v1/traces HTTP/1.1"));
    assert_true(has_line(request, "Content-Type: application/x-protobuf"));
    assert_true(has_line(request, "User-Agent: Spangate/" SPANGATE_VERSION));
    assert_true(has_line(request, "Content-Length: 8"));
    assert_false(has_header(request, "Expect"));
    assert_false(has_header(request, "Content-Encoding"));
    assert_false(has_header(request, "Transfer-Encoding"));
    assert_int_equal(request->body.len, sizeof(request_bytes));
    assert_memory_equal(request->body.data, request_bytes, sizeof(request_bytes));
    /* The second batch took the same connection. */
    assert_int_equal(server.requests[1].connection, 0);
    server_free(&server);
    free(settings.endpoint);
}

static void json_is_declared_as_json(void **state)
{
    (void)state;
    static const struct http_reply ok = {.status = 200};
    struct http_server server;

    server_start(&server, &ok, 1, NULL);
    struct otlp_http_settings settings = settings_for(&server);
    settings.json = true;
    struct sink *sink = open_sink(&settings);
    assert_int_equal(otlp_http_driver.encoding(sink), SINK_JSON);
    assert_int_equal(deliver(sink).verdict, SINK_DELIVERED);
    otlp_http_driver.close(sink);
    server_stop(&server);
    assert_true(has_line(&server.requests[0], "Content-Type: application/json"));
    server_free(&server);
    free(settings.endpoint);
}

static void the_path_of_the_signal_stands_in_the_url_exactly_once(void **state)
{
    (void)state;
    static const struct http_reply ok = {.status = 200};
    static const struct {
        const char *after_port;
        const char *line;
    } cases[] = {
        {"", "POST /v1/traces HTTP/1.1"},
        {"/", "POST /v1/traces HTTP/1.1"},
        {"//", "POST /v1/traces HTTP/1.1"},
        {"/v1/traces", "POST /v1/traces HTTP/1.1"},
        {"/v1/traces/", "POST /v1/traces HTTP/1.1"},
        {"/otlp", "POST /otlp/v1/traces HTTP/1.1"},
        {"/otlp/", "POST /otlp/v1/traces HTTP/1.1"},
        {"/otlp?tenant=a", "POST /otlp/v1/traces?tenant=a HTTP/1.1"},
        {"/a%20b", "POST /a%20b/v1/traces HTTP/1.1"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_server server;
        server_start(&server, &ok, 1, NULL);
        struct otlp_http_settings settings = {
            .endpoint = mem_printf("http://127.0.0.1:%u%s", server.port, cases[i].after_port)};
        struct sink *sink = open_sink(&settings);
        assert_int_equal(deliver(sink).verdict, SINK_DELIVERED);
        otlp_http_driver.close(sink);
        server_stop(&server);
        if (!has_line(&server.requests[0], cases[i].line)) {
            fail_msg("%s: %s", cases[i].after_port, server.requests[0].head);
        }
        server_free(&server);
        free(settings.endpoint);
    }
}

static void an_endpoint_of_a_signal_is_taken_as_it_is(void **state)
{
    (void)state;
    static const struct http_reply ok = {.status = 200};
    struct http_server server;

    server_start(&server, &ok, 1, NULL);
    struct otlp_http_settings settings = settings_for(&server);
    settings.signal_endpoint[OTLP_TRACES] =
        mem_printf("http://127.0.0.1:%u/in/here/?key=1", server.port);
    settings.signal_endpoint[OTLP_METRICS] = mem_printf("http://127.0.0.1:%u", server.port);
    struct sink *sink = open_sink(&settings);
    struct sink_batch batch = batch_of("x", 1);
    struct sink_outcome outcome;
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        batch.signal = (enum otlp_signal)signal;
        otlp_http_driver.deliver(sink, &batch, &outcome);
        assert_int_equal(outcome.verdict, SINK_DELIVERED);
    }
    otlp_http_driver.close(sink);
    server_stop(&server);
    assert_true(has_line(&server.requests[0], "POST /in/here/?key=1 HTTP/1.1"));
    assert_true(has_line(&server.requests[1], "POST / HTTP/1.1"));
    assert_true(has_line(&server.requests[2], "POST /v1/logs HTTP/1.1"));
    server_free(&server);
    free(settings.signal_endpoint[OTLP_TRACES]);
    free(settings.signal_endpoint[OTLP_METRICS]);
    free(settings.endpoint);
}

static void a_signal_without_an_endpoint_is_rejected(void **state)
{
    (void)state;
    char url[] = "http://127.0.0.1:1/logs";
    struct otlp_http_settings settings = {.signal_endpoint = {[OTLP_LOGS] = url}};
    struct sink *sink = open_sink(&settings);
    struct sink_outcome outcome = deliver(sink);

    assert_int_equal(outcome.verdict, SINK_REJECTED);
    assert_string_equal(outcome.err.message, "no endpoint is configured for this signal");
    otlp_http_driver.close(sink);
}

static void compressed_bodies_say_so_and_inflate_to_the_batch(void **state)
{
    (void)state;
    static const struct http_reply ok = {.status = 200};
    static const enum codec codecs[] = {CODEC_GZIP, CODEC_ZSTD, CODEC_ZLIB};
    static char text[300000];

    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)('a' + i % 23);
    }
    for (size_t i = 0; i < COUNT_OF(codecs); i++) {
        struct http_server server;
        char line[64];
        server_start(&server, &ok, 1, NULL);
        struct otlp_http_settings settings = settings_for(&server);
        settings.compression = codecs[i];
        struct sink *sink = open_sink(&settings);
        struct sink_batch batch = batch_of(text, sizeof(text));
        struct sink_outcome outcome;
        for (int n = 0; n < 2; n++) { /* the buffer is used again */
            otlp_http_driver.deliver(sink, &batch, &outcome);
            assert_int_equal(outcome.verdict, SINK_DELIVERED);
        }
        otlp_http_driver.close(sink);
        server_stop(&server);

        const struct http_request *request = &server.requests[1];
        struct buf *inflated = NULL;
        struct error err = {0};
        (void)snprintf(line, sizeof(line), "Content-Encoding: %s", codec_name(codecs[i]));
        assert_true(has_line(request, line));
        assert_true(request->body.len < sizeof(text) / 10);
        assert_true(codec_inflate(codecs[i], strbuf_slice(&request->body), sizeof(text), NULL,
                                  &inflated, &err));
        assert_int_equal(inflated->len, sizeof(text));
        assert_memory_equal(inflated->data, text, sizeof(text));
        buf_unref(inflated);
        server_free(&server);
        free(settings.endpoint);
    }
    codec_thread_exit();
}

static void large_bodies_arrive_whole(void **state)
{
    (void)state;
    static const struct http_reply ok = {.status = 200};
    const size_t len = 5 * 1024 * 1024;
    uint8_t *bytes = malloc(len);
    struct http_server server;

    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    }
    server_start(&server, &ok, 1, NULL);
    struct otlp_http_settings settings = settings_for(&server);
    struct sink *sink = open_sink(&settings);
    struct sink_batch batch = batch_of(bytes, len);
    struct sink_outcome outcome;
    otlp_http_driver.deliver(sink, &batch, &outcome);
    assert_int_equal(outcome.verdict, SINK_DELIVERED);
    otlp_http_driver.close(sink);
    server_stop(&server);
    assert_false(has_header(&server.requests[0], "Expect"));
    assert_int_equal(server.requests[0].body.len, len);
    assert_memory_equal(server.requests[0].body.data, bytes, len);
    server_free(&server);
    free(settings.endpoint);
    free(bytes);
}

static void headers_of_the_configuration_are_sent(void **state)
{
    (void)state;
    static const struct http_reply ok = {.status = 200};
    char tenant[] = "X-Scope-OrgID", acme[] = "acme";
    char type[] = "content-type", wrong[] = "text/plain";
    char empty[] = "X-Empty", nothing[] = "";
    char agent[] = "User-Agent", mine[] = "mine/1";
    struct header_setting headers[] = {
        {tenant, acme}, {type, wrong}, {empty, nothing}, {agent, mine}};
    struct http_server server;

    server_start(&server, &ok, 1, NULL);
    struct otlp_http_settings settings = settings_for(&server);
    settings.headers = headers;
    settings.header_count = COUNT_OF(headers);
    struct sink *sink = open_sink(&settings);
    assert_int_equal(deliver(sink).verdict, SINK_DELIVERED);
    otlp_http_driver.close(sink);
    server_stop(&server);
    assert_true(has_line(&server.requests[0], "X-Scope-OrgID: acme"));
    assert_true(has_line(&server.requests[0], "Content-Type: application/x-protobuf"));
    assert_null(strstr(server.requests[0].head, "text/plain"));
    assert_true(has_header(&server.requests[0], "X-Empty"));
    assert_true(has_line(&server.requests[0], "User-Agent: mine/1"));
    server_free(&server);
    free(settings.endpoint);
}

/* --- what answers mean --- */

static void every_status_has_its_verdict(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum sink_verdict verdict;
        enum error_code code;
    } cases[] = {
        {200, SINK_DELIVERED, ERR_NONE},           {202, SINK_DELIVERED, ERR_NONE},
        {299, SINK_DELIVERED, ERR_NONE},           {400, SINK_REJECTED, ERR_INVALID},
        {401, SINK_REJECTED, ERR_UNAUTHENTICATED}, {403, SINK_REJECTED, ERR_UNAUTHENTICATED},
        {404, SINK_REJECTED, ERR_NOT_FOUND},       {405, SINK_REJECTED, ERR_UNSUPPORTED},
        {408, SINK_REJECTED, ERR_INVALID},         {413, SINK_TOO_LARGE, ERR_TOO_LARGE},
        {415, SINK_REJECTED, ERR_UNSUPPORTED},     {429, SINK_RETRY, ERR_LIMIT},
        {500, SINK_REJECTED, ERR_INVALID},         {501, SINK_REJECTED, ERR_INVALID},
        {502, SINK_RETRY, ERR_UNAVAILABLE},        {503, SINK_RETRY, ERR_UNAVAILABLE},
        {504, SINK_RETRY, ERR_UNAVAILABLE},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_reply reply = {.status = cases[i].status};
        char begin[48];
        struct sink_outcome outcome = answer_with(&reply, false);
        assert_int_equal(outcome.verdict, cases[i].verdict);
        assert_int_equal(outcome.err.code, cases[i].code);
        (void)snprintf(begin, sizeof(begin), "%d from http://127.0.0.1:", cases[i].status);
        if (cases[i].code != ERR_NONE) {
            assert_memory_equal(outcome.err.message, begin, strlen(begin));
        }
        assert_int_equal(outcome.retry_after_ms, 0);
    }
}

static void redirects_are_not_followed(void **state)
{
    (void)state;
    static const struct http_reply reply = {
        .status = 307, .headers = "Location: http://127.0.0.1:1/elsewhere\r\n"};

    assert_int_equal(answer_with(&reply, false).verdict, SINK_REJECTED);
}

static void retry_after_is_read_as_seconds_and_as_a_date(void **state)
{
    (void)state;
    char headers[100];
    struct http_reply reply = {.status = 503, .headers = "Retry-After: 7\r\n"};
    struct tm utc;
    time_t later = time(NULL) + 1000;

    assert_int_equal(answer_with(&reply, false).retry_after_ms, 7000);
    assert_non_null(gmtime_r(&later, &utc));
    assert_true(
        strftime(headers, sizeof(headers), "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc) > 0);
    reply.headers = headers;
    uint64_t wait_ms = answer_with(&reply, false).retry_after_ms;
    assert_true(wait_ms > 500000 && wait_ms <= 1000000);
    reply.headers = "Retry-After: 99999999999\r\n";
    assert_int_equal(answer_with(&reply, false).retry_after_ms, 24 * 3600 * 1000);
    reply.headers = "Retry-After: soon\r\n";
    assert_int_equal(answer_with(&reply, false).retry_after_ms, 0);
    reply.status = 400; /* nothing will be sent again */
    reply.headers = "Retry-After: 7\r\n";
    assert_int_equal(answer_with(&reply, false).retry_after_ms, 0);
}

static void an_error_is_told_in_the_words_of_the_backend(void **state)
{
    (void)state;
    struct strbuf body;

    strbuf_init(&body, 1000);
    status_encode(OTLP_PROTOBUF, 14, "queue\n full", 9, &body);
    struct http_reply reply = {.status = 503,
                               .headers = "Content-Type: application/x-protobuf\r\n",
                               .body = body.data,
                               .body_len = body.len};
    struct sink_outcome outcome = answer_with(&reply, false);
    assert_int_equal(outcome.retry_after_ms, 9000);
    assert_non_null(strstr(outcome.err.message, "/v1/traces: queue full"));
    /* a body that is protobuf although nothing says so */
    reply.headers = NULL;
    outcome = answer_with(&reply, false);
    assert_non_null(strstr(outcome.err.message, ": queue full"));
    strbuf_deinit(&body);

    reply = (struct http_reply){.status = 400,
                                .headers = "Content-Type: application/json; charset=utf-8\r\n",
                                .body = "{\"code\":3,\"message\":\"bad span\"}"};
    outcome = answer_with(&reply, true);
    assert_non_null(strstr(outcome.err.message, "/v1/traces: bad span"));

    reply = (struct http_reply){.status = 404,
                                .headers = "Content-Type: text/plain\r\n",
                                .body = "\r\n404  page\tnot found\x1b[31m\n"};
    outcome = answer_with(&reply, false);
    assert_non_null(strstr(outcome.err.message, "/v1/traces: 404 page not found [31m"));
    assert_null(strchr(outcome.err.message, '\x1b'));

    reply = (struct http_reply){.status = 400,
                                .headers = "Content-Type: application/json\r\n",
                                .body = "{\"error\":\"no such tenant\"}"};
    outcome = answer_with(&reply, false);
    assert_non_null(strstr(outcome.err.message, ": {\"error\":\"no such tenant\"}"));
}

static void partial_success_is_delivered_and_counted(void **state)
{
    (void)state;
    struct strbuf body;

    strbuf_init(&body, 1000);
    export_response_encode(OTLP_PROTOBUF, OTLP_TRACES, 3, "too old", &body);
    struct http_reply reply = {.status = 200,
                               .headers = "Content-Type: application/x-protobuf\r\n",
                               .body = body.data,
                               .body_len = body.len};
    struct sink_outcome outcome = answer_with(&reply, false);
    assert_int_equal(outcome.verdict, SINK_DELIVERED);
    assert_int_equal(outcome.rejected, 3);
    assert_non_null(strstr(outcome.err.message, "rejected 3 of 10: too old"));

    /* Only under exactly the type of the request. */
    reply.headers = "Content-Type: application/x-protobuf; charset=utf-8\r\n";
    assert_int_equal(answer_with(&reply, false).rejected, 0);
    reply.headers = NULL;
    assert_int_equal(answer_with(&reply, false).rejected, 0);
    strbuf_deinit(&body);

    reply = (struct http_reply){.status = 200,
                                .headers = "Content-Type: application/json\r\n",
                                .body = "{\"partialSuccess\":{\"rejectedSpans\":\"99\"}}"};
    outcome = answer_with(&reply, true);
    assert_int_equal(outcome.rejected, 10); /* no more than were sent */
    assert_int_equal(answer_with(&reply, false).rejected, 0);
}

static void a_success_with_any_body_is_a_success(void **state)
{
    (void)state;
    const size_t len = 5 * 1024 * 1024;
    char *large = malloc(len);

    assert_non_null(large);
    memset(large, 'x', len);
    const struct http_reply replies[] = {
        {.status = 200, .body = "ok", .headers = "Content-Type: application/x-protobuf\r\n"},
        {.status = 200, .body = "<html>", .headers = "Content-Type: text/html\r\n"},
        {.status = 200, .body = large, .body_len = len},        /* more than we read */
        {.status = 200, .body = "half of it", .cut = true},     /* the connection breaks */
        {.status = 200, .body = large, .body_len = 100 * 1024}, /* more than we keep */
    };
    for (size_t i = 0; i < COUNT_OF(replies); i++) {
        struct sink_outcome outcome = answer_with(&replies[i], false);
        assert_int_equal(outcome.verdict, SINK_DELIVERED);
        assert_int_equal(outcome.rejected, 0);
        assert_int_equal(outcome.err.code, ERR_NONE);
    }
    free(large);
}

static void an_error_page_without_end_is_cut_off(void **state)
{
    (void)state;
    const size_t len = 5 * 1024 * 1024;
    char *large = malloc(len);

    assert_non_null(large);
    memset(large, 'x', len);
    struct http_reply reply = {.status = 503, .body = large, .body_len = len};
    struct sink_outcome outcome = answer_with(&reply, false);
    assert_int_equal(outcome.verdict, SINK_RETRY);
    assert_non_null(strstr(outcome.err.message, ": xxxx"));
    assert_true(strlen(outcome.err.message) < 300);
    free(large);
}

static void secrets_do_not_come_back_in_messages(void **state)
{
    (void)state;
    char name[] = "Authorization", value[] = "Bearer s3cr3t-t0ken";
    char key_name[] = "x-api-key", key[] = "key-4711-key";
    struct header_setting headers[] = {{name, value}, {key_name, key}};
    struct http_reply reply = {
        .status = 401,
        .headers = "Content-Type: text/plain\r\n",
        .body = "token s3cr3t-t0ken and key-4711-key (key-4711-key) are unknown"};
    struct http_server server;

    server_start(&server, &reply, 1, NULL);
    struct otlp_http_settings settings = {
        .endpoint = mem_printf("http://me:passw0rd@127.0.0.1:%u/?sig=s1gnature", server.port),
        .headers = headers,
        .header_count = COUNT_OF(headers),
        .timeout_ns = TIMEOUT_NS,
    };
    struct sink *sink = open_sink(&settings);
    struct sink_outcome outcome = deliver(sink);
    otlp_http_driver.close(sink);
    server_stop(&server);
    assert_true(has_line(&server.requests[0], "x-api-key: key-4711-key"));
    assert_int_equal(outcome.verdict, SINK_REJECTED);
    assert_int_equal(outcome.err.code, ERR_UNAUTHENTICATED);
    assert_non_null(strstr(outcome.err.message, "are unknown"));
    assert_null(strstr(outcome.err.message, "s3cr3t"));
    assert_null(strstr(outcome.err.message, "4711"));
    assert_null(strstr(outcome.err.message, "passw0rd"));
    assert_null(strstr(outcome.err.message, "s1gnature"));
    server_free(&server);
    free(settings.endpoint);
}

/* --- when nobody answers --- */

static void a_backend_that_is_down_is_tried_again(void **state)
{
    (void)state;
    static const struct http_reply ok = {.status = 200};
    struct http_server server;

    server_start(&server, &ok, 1, NULL); /* for a port that nobody listens on afterwards */
    struct otlp_http_settings settings = settings_for(&server);
    server_stop(&server);
    server_free(&server);
    struct sink *sink = open_sink(&settings);
    struct sink_outcome outcome = deliver(sink);
    assert_int_equal(outcome.verdict, SINK_RETRY);
    assert_int_equal(outcome.err.code, ERR_UNAVAILABLE);
    assert_memory_equal(outcome.err.message, "http://127.0.0.1:", 17);
    otlp_http_driver.close(sink);
    free(settings.endpoint);
}

static void a_connection_that_ends_without_an_answer_is_tried_again(void **state)
{
    (void)state;
    static const struct http_reply script[] = {{.status = 0}, {.status = 200}};
    struct http_server server;

    server_start(&server, script, 2, NULL);
    struct otlp_http_settings settings = settings_for(&server);
    struct sink *sink = open_sink(&settings);
    assert_int_equal(deliver(sink).verdict, SINK_RETRY);
    assert_int_equal(deliver(sink).verdict, SINK_DELIVERED);
    otlp_http_driver.close(sink);
    server_stop(&server);
    assert_int_equal(server.requests[1].connection, 1);
    server_free(&server);
    free(settings.endpoint);
}

/* The usual race with a backend that closes idle connections: libcurl begins a new one itself. */
static void a_connection_closed_between_batches_is_replaced(void **state)
{
    (void)state;
    static const struct http_reply script[] = {{.status = 200, .close = true}, {.status = 200}};
    struct http_server server;

    server_start(&server, script, 2, NULL);
    struct otlp_http_settings settings = settings_for(&server);
    struct sink *sink = open_sink(&settings);
    assert_int_equal(deliver(sink).verdict, SINK_DELIVERED);
    assert_int_equal(deliver(sink).verdict, SINK_DELIVERED);
    otlp_http_driver.close(sink);
    server_stop(&server);
    assert_int_equal(server.request_count, 2);
    server_free(&server);
    free(settings.endpoint);
}

static void a_backend_that_takes_too_long_is_tried_again(void **state)
{
    (void)state;
    static const struct http_reply silent = {.status = 200, .silent = true};
    struct http_server server;

    server_start(&server, &silent, 1, NULL);
    struct otlp_http_settings settings = settings_for(&server);
    settings.timeout_ns = 30000000;
    struct sink *sink = open_sink(&settings);
    struct sink_outcome outcome = deliver(sink);
    assert_int_equal(outcome.verdict, SINK_RETRY);
    assert_non_null(strstr(outcome.err.message, "timed out"));
    otlp_http_driver.close(sink);
    server_stop(&server);
    server_free(&server);
    free(settings.endpoint);
}

struct delivery {
    struct sink *sink;
    struct sink_outcome outcome;
};

static void *deliver_in_thread(void *arg)
{
    struct delivery *delivery = arg;

    delivery->outcome = deliver(delivery->sink);
    return NULL;
}

static void interrupt_ends_a_delivery_and_all_later_ones(void **state)
{
    (void)state;
    static const struct http_reply silent = {.status = 200, .silent = true};
    struct http_server server;
    pthread_t thread;

    server_start(&server, &silent, 1, NULL);
    struct otlp_http_settings settings = settings_for(&server);
    settings.timeout_ns = 0; /* without interrupt this would wait for ever */
    struct delivery delivery = {.sink = open_sink(&settings)};
    assert_int_equal(pthread_create(&thread, NULL, deliver_in_thread, &delivery), 0);
    server_wait(&server, 1);
    otlp_http_driver.interrupt(delivery.sink);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(delivery.outcome.verdict, SINK_RETRY);
    assert_non_null(strstr(delivery.outcome.err.message, "interrupted"));

    assert_int_equal(deliver(delivery.sink).verdict, SINK_RETRY);
    otlp_http_driver.close(delivery.sink);
    server_stop(&server);
    assert_int_equal(server.request_count, 1);
    server_free(&server);
    free(settings.endpoint);
}

/* --- settings that cannot work --- */

static void assert_open_fails(const struct otlp_http_settings *settings, const char *message)
{
    struct sink *sink = NULL;
    struct error err = {0};

    assert_false(otlp_http_driver.open(&sink, settings, &err));
    assert_null(sink);
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(err.message, message);
}

static void settings_that_cannot_work_are_refused(void **state)
{
    (void)state;
    char no_scheme[] = "localhost:4318";
    char ftp[] = "ftp://u:passw0rd@host/";
    char broken[] = "http://u:passw0rd@host:99999999/";
    char good[] = "http://localhost:4318";
    char name[] = "X-Key", split[] = "a\r\nX-Other: b";
    char bad_name[] = "X Key", value[] = "v";
    char missing[] = "/nonexistent/ca.pem";
    struct header_setting header = {name, split};

    struct otlp_http_settings settings = {0};
    assert_open_fails(&settings, "endpoint is missing");
    settings.endpoint = no_scheme;
    assert_open_fails(&settings, "endpoint must begin with http:// or https://");
    settings.endpoint = ftp;
    assert_open_fails(&settings, "endpoint must begin with http:// or https://");
    settings.endpoint = broken;
    struct sink *sink = NULL;
    struct error err = {0};
    assert_false(otlp_http_driver.open(&sink, &settings, &err));
    assert_null(strstr(err.message, "passw0rd"));
    settings.endpoint = good;
    settings.signal_endpoint[OTLP_METRICS] = no_scheme;
    assert_open_fails(&settings, "metrics_endpoint must begin with http:// or https://");
    settings.signal_endpoint[OTLP_METRICS] = NULL;
    settings.headers = &header;
    settings.header_count = 1;
    assert_open_fails(&settings,
                      "headers: \"X-Key\" is no header name, or its value has a line break");
    header = (struct header_setting){bad_name, value};
    assert_open_fails(&settings,
                      "headers: \"X Key\" is no header name, or its value has a line break");
    settings.header_count = 0;
    settings.tls.ca_file = missing;
    assert_open_fails(&settings, "tls: ca_file: cannot read /nonexistent/ca.pem");
}

/* --- TLS --- */

/* A key and a certificate for localhost, signed by itself; the certificate also as a file. */
static SSL_CTX *make_tls(char *ca_path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_NAME_new();
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

    assert_non_null(key);
    assert_int_equal(X509_set_version(cert, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"test", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_subject_name(cert, name), 1);
    assert_int_equal(X509_set_issuer_name(cert, name), 1);
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    X509_EXTENSION *san =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:backend.example");
    assert_non_null(san);
    assert_int_equal(X509_add_ext(cert, san, -1), 1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(tls, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);

    int fd = mkstemp(ca_path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, cert), 1);
    assert_int_equal(fclose(file), 0);
    X509_EXTENSION_free(san);
    X509_NAME_free(name);
    X509_free(cert);
    EVP_PKEY_free(key);
    return tls;
}

static void certificates_are_checked_as_configured(void **state)
{
    (void)state;
    static const struct http_reply ok = {.status = 200};
    char ca_path[] = "/tmp/spangate-test-ca-XXXXXX";
    char right[] = "backend.example", wrong[] = "other.example";
    SSL_CTX *tls = make_tls(ca_path);
    const struct {
        struct tls_client_settings tls;
        bool delivered;
    } cases[] = {
        {{.ca_file = NULL}, false},    /* unknown issuer */
        {{.ca_file = ca_path}, false}, /* known, but for another name than 127.0.0.1 */
        {{.ca_file = ca_path, .server_name_override = wrong}, false},
        {{.ca_file = ca_path, .server_name_override = right}, true},
        {{.insecure_skip_verify = true}, true},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_server server;
        server_start(&server, &ok, 1, tls);
        struct otlp_http_settings settings = {
            .endpoint = mem_printf("https://127.0.0.1:%u", server.port),
            .timeout_ns = TIMEOUT_NS,
            .tls = cases[i].tls,
        };
        struct sink *sink = open_sink(&settings);
        struct sink_outcome outcome = deliver(sink);
        /* A wrong certificate may be put right: nothing is dropped because of it. */
        assert_int_equal(outcome.verdict, cases[i].delivered ? SINK_DELIVERED : SINK_RETRY);
        if (cases[i].delivered) {
            assert_int_equal(deliver(sink).verdict, SINK_DELIVERED);
        } else {
            assert_non_null(strstr(outcome.err.message, "https://127.0.0.1:"));
        }
        otlp_http_driver.close(sink);
        server_stop(&server);
        assert_int_equal(server.request_count, cases[i].delivered ? 2 : 0);
        server_free(&server);
        free(settings.endpoint);
    }
    SSL_CTX_free(tls);
    assert_int_equal(unlink(ca_path), 0);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* threads of the gateway have all signals blocked */
    (void)unsetenv("http_proxy");
    (void)unsetenv("https_proxy");
    (void)unsetenv("HTTPS_PROXY");
    (void)unsetenv("all_proxy");
    (void)unsetenv("ALL_PROXY");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_posted_as_it_is),
        cmocka_unit_test(json_is_declared_as_json),
        cmocka_unit_test(the_path_of_the_signal_stands_in_the_url_exactly_once),
        cmocka_unit_test(an_endpoint_of_a_signal_is_taken_as_it_is),
        cmocka_unit_test(a_signal_without_an_endpoint_is_rejected),
        cmocka_unit_test(compressed_bodies_say_so_and_inflate_to_the_batch),
        cmocka_unit_test(large_bodies_arrive_whole),
        cmocka_unit_test(headers_of_the_configuration_are_sent),
        cmocka_unit_test(every_status_has_its_verdict),
        cmocka_unit_test(redirects_are_not_followed),
        cmocka_unit_test(retry_after_is_read_as_seconds_and_as_a_date),
        cmocka_unit_test(an_error_is_told_in_the_words_of_the_backend),
        cmocka_unit_test(partial_success_is_delivered_and_counted),
        cmocka_unit_test(a_success_with_any_body_is_a_success),
        cmocka_unit_test(an_error_page_without_end_is_cut_off),
        cmocka_unit_test(secrets_do_not_come_back_in_messages),
        cmocka_unit_test(a_backend_that_is_down_is_tried_again),
        cmocka_unit_test(a_connection_that_ends_without_an_answer_is_tried_again),
        cmocka_unit_test(a_connection_closed_between_batches_is_replaced),
        cmocka_unit_test(a_backend_that_takes_too_long_is_tried_again),
        cmocka_unit_test(interrupt_ends_a_delivery_and_all_later_ones),
        cmocka_unit_test(settings_that_cannot_work_are_refused),
        cmocka_unit_test(certificates_are_checked_as_configured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
