/*
 * http_test.c - the OTLP/HTTP front door against a pipeline that only looks, over real sockets.
 *
 * The rows are those of the specification's tables (docs/otlp-support.md): paths, methods, media
 * types, codings, sizes, answers, CORS. What libmicrohttpd would let through is tested in
 * httpd_test.c.
 */
#include "http_client.h"

#include <spangate/base/clock.h>
#include <spangate/base/ring.h>
#include <spangate/base/text.h>
#include <spangate/base/thread.h>
#include <spangate/codec/codec.h>
#include <spangate/otlp/otlp.h>
#include <spangate/receiver/receiver.h>

/* One span, field by field. */
#define SPAN                                                                                       \
    "\x0a\x10\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"                     \
    "\x12\x08\x11\x12\x13\x14\x15\x16\x17\x18\x2a\x04ping"
#define REQUEST "\x0a\x26\x12\x24\x12\x22" SPAN /* ResourceSpans { ScopeSpans { Span } } */
#define REQUEST_LEN (sizeof(REQUEST) - 1)

#define JSON_REQUEST                                                                               \
    "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":"                               \
    "\"0102030405060708090a0b0c0d0e0f10\",\"spanId\":\"1112131415161718\",\"name\":\"ping\"}]}]}]" \
    "}"

#define PROTOBUF "Content-Type: application/x-protobuf\r\n"
#define JSON "Content-Type: application/json\r\n"

struct fixture {
    struct receiver *receiver;
    struct otlp_http_receiver_settings settings;
    struct ingest ingest;
    struct budget budget;
    struct ring later;

    /* What the fake pipeline answers, and what it saw. */
    struct ingest_result result;
    bool takes_metrics;
    bool answer_later;
    atomic_size_t submitted;
    enum otlp_signal signal;
    uint8_t body[512];
    size_t body_len; /* SIZE_MAX: no body */
};

static void submit(void *ctx, const struct ingest_request *request)
{
    struct fixture *f = ctx;

    assert_string_equal(request->transport, "http");
    assert_int_equal(request->receiver, 5);
    f->signal = request->signal;
    f->body_len = SIZE_MAX;
    if (request->body != NULL) {
        f->body_len = request->body->len;
        if (f->body_len <= sizeof(f->body)) {
            memcpy(f->body, request->body->data, f->body_len);
        }
        buf_unref(request->body);
    }
    atomic_fetch_add(&f->submitted, 1);
    if (f->answer_later) {
        struct ingest_request *copy = malloc(sizeof(*copy));
        assert_non_null(copy);
        *copy = *request;
        assert_true(ring_push(&f->later, copy));
        return;
    }
    request->reply(request->reply_ctx, &f->result);
}

static bool takes(void *ctx, uint32_t receiver, enum otlp_signal signal)
{
    const struct fixture *f = ctx;

    assert_int_equal(receiver, 5);
    return signal == OTLP_TRACES || (signal == OTLP_METRICS && f->takes_metrics);
}

static char endpoint[] = "127.0.0.1:0";
static char traces_path[] = "/v1/traces";
static char metrics_path[] = "/v1/metrics";
static char logs_path[] = "/v1/logs";

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    ring_init(&f->later, 64);
    budget_init(&f->budget, 64 * 1024 * 1024, NULL);
    f->result.message = "";
    f->ingest = (struct ingest){.submit = submit, .takes = takes, .ctx = f, .budget = &f->budget};
    f->settings = (struct otlp_http_receiver_settings){
        .endpoint = endpoint,
        .url_path = {traces_path, metrics_path, logs_path},
        .max_request_body_size = 1024 * 1024,
        .max_json_body_size = 100 * 1024,
    };
    return f;
}

static void fixture_open(struct fixture *f)
{
    struct error err;

    assert_true(otlp_http_receiver_open(&f->receiver, &f->settings, 5, &f->ingest, &err));
}

static int setup(void **state)
{
    struct fixture *f = fixture_new();

    fixture_open(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    receiver_close(f->receiver);
    ring_deinit(&f->later);
    assert_int_equal(budget_used(&f->budget), 0);
    free(f);
    return 0;
}

/* POST with a body on a connection of its own. headers: lines with their ends. */
static struct answer post(struct fixture *f, const char *path, const char *headers,
                          struct slice body)
{
    char head[1024];
    int fd = client_open(receiver_port(f->receiver));

    (void)snprintf(head, sizeof(head),
                   "POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n", path, headers,
                   body.len);
    assert_true(client_send_text(fd, head));
    (void)client_send(fd, body.data, body.len); /* a refusal may come before all is sent */
    struct answer answer = client_read(fd);
    assert_int_equal(close(fd), 0);
    return answer;
}

static void expect_status(struct fixture *f, const char *path, const char *headers,
                          struct slice body, int status)
{
    struct answer answer = post(f, path, headers, body);

    if (answer.status != status) {
        fail_msg("%s %s: %d where %d belongs: %s", path, headers, answer.status, status,
                 answer.body);
    }
    answer_free(&answer);
}

static void expect_request_seen(const struct fixture *f)
{
    assert_int_equal(f->body_len, REQUEST_LEN);
    assert_memory_equal(f->body, REQUEST, REQUEST_LEN);
}

/* --- success --- */

static void protobuf_is_answered_with_zero_bytes(void **state)
{
    struct fixture *f = *state;
    struct answer answer = post(f, "/v1/traces", PROTOBUF, BYTES(REQUEST));

    assert_int_equal(answer.status, 200);
    assert_string_equal(answer_header(&answer, "Content-Type"), "application/x-protobuf");
    assert_string_equal(answer_header(&answer, "Content-Length"), "0");
    assert_null(answer_header(&answer, "Access-Control-Allow-Origin"));
    assert_null(answer_header(&answer, "Vary"));
    expect_request_seen(f);
    assert_int_equal(f->signal, OTLP_TRACES);
    answer_free(&answer);
}

static void json_is_answered_with_an_empty_object_and_handed_on_as_protobuf(void **state)
{
    struct fixture *f = *state;
    struct answer answer = post(f, "/v1/traces", JSON, BYTES(JSON_REQUEST));
    struct span_batch *batch = NULL;
    struct error err;

    assert_int_equal(answer.status, 200);
    assert_string_equal(answer_header(&answer, "Content-Type"), "application/json");
    assert_string_equal(answer.body, "{}");
    answer_free(&answer);
    struct buf *body = buf_copy((struct slice){f->body, f->body_len}, NULL);
    assert_true(otlp_decode_traces(body, 1, &otlp_limits_default, &batch, &err));
    assert_int_equal(batch->span_count, 1);
    assert_true(slice_equal_text(batch->spans[0].name, "ping"));
    span_batch_unref(batch);
}

static void partial_success_is_told_in_the_encoding_of_the_request(void **state)
{
    struct fixture *f = *state;

    f->result.rejected = 3;
    f->result.message = "bad";
    struct answer protobuf = post(f, "/v1/traces", PROTOBUF, BYTES(REQUEST));
    struct answer json = post(f, "/v1/traces", JSON, BYTES(JSON_REQUEST));
    assert_int_equal(protobuf.status, 200);
    assert_int_equal(protobuf.body_len, 9);
    assert_memory_equal(protobuf.body,
                        "\x0a\x07\x08\x03\x12\x03"
                        "bad",
                        9);
    assert_int_equal(json.status, 200);
    assert_string_equal(json.body,
                        "{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"bad\"}}");
    answer_free(&protobuf);
    answer_free(&json);
}

static void empty_requests_are_accepted(void **state)
{
    struct fixture *f = *state;

    expect_status(f, "/v1/traces", PROTOBUF, BYTES(""), 200);
    assert_int_equal(f->body_len, SIZE_MAX);
    expect_status(f, "/v1/traces", JSON, BYTES(""), 200);
    assert_int_equal(f->body_len, SIZE_MAX);
    expect_status(f, "/v1/traces", JSON, BYTES("{}"), 200);
    assert_int_equal(f->body_len, SIZE_MAX);
    expect_status(f, "/v1/traces", JSON, BYTES("{\"resourceSpans\":[]}"), 200);
    assert_int_equal(atomic_load(&f->submitted), 4);
}

/* --- paths and methods --- */

static void paths_are_matched_exactly_but_for_one_slash(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *path;
        int status;
    } rows[] = {
        {"/v1/traces", 200},
        {"/v1/traces/", 200},
        {"//v1/traces", 200},
        {"/v1%2Ftraces", 200},
        {"/v1/traces?x=y", 200},
        {"http://gateway:4318/v1/traces", 200},
        {"/v1/traces/x", 404},
        {"/v1/traces/v1/traces", 404},
        {"/v1/v1/traces", 404},
        {"/", 404},
        {"/v1/trace", 404},
        {"/V1/traces", 404},
        {"/api/v2/spans", 404},
        {"/v1/traces%00", 404},
        {"*", 404},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect_status(f, rows[i].path, PROTOBUF, BYTES(REQUEST), rows[i].status);
    }
}

static void an_unknown_path_is_told_the_right_one(void **state)
{
    struct fixture *f = *state;
    struct answer json = post(f, "/", JSON, BYTES("{}"));
    struct answer protobuf = post(f, "/v1/<b>", PROTOBUF, BYTES(REQUEST));

    assert_string_equal(answer_header(&json, "Content-Type"), "application/json");
    assert_non_null(
        strstr(json.body, "{\"code\":5,\"message\":\"no such path; this receiver has /v1/traces,"));
    assert_string_equal(answer_header(&protobuf, "Content-Type"), "application/x-protobuf");
    assert_memory_equal(protobuf.body, "\x08\x05\x12", 3);
    assert_null(strstr(protobuf.body, "<b>"));
    answer_free(&json);
    answer_free(&protobuf);
}

static void paths_can_be_configured(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    static char prefixed[] = "/otlp/v1/traces";

    f->settings.url_path[OTLP_TRACES] = prefixed;
    fixture_open(f);
    expect_status(f, "/otlp/v1/traces", PROTOBUF, BYTES(REQUEST), 200);
    expect_status(f, "/v1/traces", PROTOBUF, BYTES(REQUEST), 404);
    void *all = f;
    (void)teardown(&all);
}

static void a_signal_that_no_pipeline_takes_is_not_found(void **state)
{
    struct fixture *f = *state;

    expect_status(f, "/v1/metrics", PROTOBUF, BYTES("\x0a\x00"), 404);
    f->takes_metrics = true;
    expect_status(f, "/v1/metrics", PROTOBUF, BYTES("\x0a\x00"), 200);
    assert_int_equal(f->signal, OTLP_METRICS);
    expect_status(f, "/v1/logs", PROTOBUF, BYTES("\x0a\x00"), 404);
}

static void methods_other_than_post_are_not_allowed(void **state)
{
    struct fixture *f = *state;
    static const char *const methods[] = {"GET",    "HEAD",    "PUT", "PATCH",
                                          "DELETE", "OPTIONS", "BREW"};

    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        char request[128];
        (void)snprintf(request, sizeof(request), "%s /v1/traces HTTP/1.1\r\nHost: a\r\n\r\n",
                       methods[i]);
        struct answer answer = client_ask(receiver_port(f->receiver), request);
        assert_int_equal(answer.status, 405);
        assert_string_equal(answer_header(&answer, "Allow"), "POST, OPTIONS");
        assert_string_equal(
            answer.body, strcmp(methods[i], "HEAD") == 0
                             ? ""
                             : "{\"code\":12,\"message\":\"method not allowed, supported: POST\"}");
        answer_free(&answer);
    }
    assert_int_equal(atomic_load(&f->submitted), 0);
}

/* --- media types and codings --- */

static void media_types_decide_the_encoding(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *headers;
        int status;
    } protobuf[] = {
        {"Content-Type: application/x-protobuf\r\n", 200},
        {"Content-Type: APPLICATION/X-Protobuf; charset=utf-8\r\n", 200},
        {"Content-Type: application/protobuf\r\n", 200},
        {"", 415},
        {"Content-Type:\r\n", 415},
        {"Content-Type: text/plain\r\n", 415},
        {"Content-Type: application/octet-stream\r\n", 415},
        {"Content-Type: application/x-protobuf2\r\n", 415},
        {"Content-Type: application/grpc+proto\r\n", 415},
    };
    static const struct {
        const char *headers;
        int status;
    } json[] = {
        {"Content-Type: application/json; charset=utf-8\r\n", 200},
        {"Content-Type: Application/JSON ;x\r\n", 200},
        {"Content-Type: application/x-ndjson\r\n", 415},
    };

    for (size_t i = 0; i < COUNT_OF(protobuf); i++) {
        expect_status(f, "/v1/traces", protobuf[i].headers, BYTES(REQUEST), protobuf[i].status);
    }
    for (size_t i = 0; i < COUNT_OF(json); i++) {
        expect_status(f, "/v1/traces", json[i].headers, BYTES(JSON_REQUEST), json[i].status);
    }
    struct answer answer =
        post(f, "/v1/traces", "Content-Type: te\"xt/<pl>ain\r\n", BYTES(REQUEST));
    assert_string_equal(answer_header(&answer, "Content-Type"), "application/json");
    assert_string_equal(answer.body, "{\"code\":3,\"message\":\"unsupported media type, supported: "
                                     "application/x-protobuf, application/json\"}");
    answer_free(&answer);
}

static struct strbuf compressed(enum codec codec, struct slice bytes)
{
    struct strbuf out;
    struct error err;

    strbuf_init(&out, 16 * 1024 * 1024);
    assert_true(codec_deflate(codec, 0, bytes, &out, &err));
    return out;
}

static void codings_are_undone(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name;
        enum codec codec;
    } rows[] = {
        {"gzip", CODEC_GZIP}, {"GZip", CODEC_GZIP},           {"x-gzip", CODEC_GZIP},
        {"zstd", CODEC_ZSTD}, {"deflate", CODEC_ZLIB},        {"deflate", CODEC_DEFLATE},
        {"zlib", CODEC_ZLIB}, {"identity, gzip", CODEC_GZIP},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf body = compressed(rows[i].codec, BYTES(REQUEST));
        char headers[128];
        (void)snprintf(headers, sizeof(headers), PROTOBUF "Content-Encoding: %s\r\n", rows[i].name);
        f->body_len = 0;
        expect_status(f, "/v1/traces", headers, strbuf_slice(&body), 200);
        expect_request_seen(f);
        strbuf_deinit(&body);
    }
    static const char *const plain[] = {"", "identity", "IDENTITY"};
    for (size_t i = 0; i < COUNT_OF(plain); i++) {
        char headers[128];
        (void)snprintf(headers, sizeof(headers), PROTOBUF "Content-Encoding: %s\r\n", plain[i]);
        expect_status(f, "/v1/traces", headers, BYTES(REQUEST), 200);
        expect_request_seen(f);
    }
}

static void a_list_of_codings_is_undone_from_the_right(void **state)
{
    struct fixture *f = *state;
    struct strbuf inner = compressed(CODEC_GZIP, BYTES(REQUEST));
    struct strbuf outer = compressed(CODEC_ZSTD, strbuf_slice(&inner));

    expect_status(f, "/v1/traces", PROTOBUF "Content-Encoding: gzip , zstd\r\n",
                  strbuf_slice(&outer), 200);
    expect_request_seen(f);
    expect_status(f, "/v1/traces", PROTOBUF "Content-Encoding: zstd, gzip\r\n",
                  strbuf_slice(&outer), 400);
    expect_status(f, "/v1/traces", PROTOBUF "Content-Encoding: gzip, gzip, gzip\r\n",
                  strbuf_slice(&outer), 415);
    strbuf_deinit(&inner);
    strbuf_deinit(&outer);
}

static void an_unknown_coding_is_told_the_known_ones(void **state)
{
    struct fixture *f = *state;
    struct answer answer = post(f, "/v1/traces", JSON "Content-Encoding: br\"<x>\r\n", BYTES("{}"));

    assert_int_equal(answer.status, 415);
    assert_string_equal(answer_header(&answer, "Accept-Encoding"), "gzip, deflate, zstd, identity");
    assert_string_equal(answer.body,
                        "{\"code\":3,\"message\":\"unsupported content encoding, supported: "
                        "gzip, deflate, zstd, identity\"}");
    answer_free(&answer);
}

static void damaged_compressed_bodies_are_invalid(void **state)
{
    struct fixture *f = *state;
    struct strbuf body = compressed(CODEC_GZIP, BYTES(REQUEST));

    for (size_t len = 0; len < body.len; len++) {
        expect_status(f, "/v1/traces", PROTOBUF "Content-Encoding: gzip\r\n",
                      (struct slice){(const uint8_t *)body.data, len}, 400);
    }
    strbuf_append_text(&body, "garbage");
    expect_status(f, "/v1/traces", PROTOBUF "Content-Encoding: gzip\r\n", strbuf_slice(&body), 400);
    strbuf_deinit(&body);
    struct answer answer =
        post(f, "/v1/traces", PROTOBUF "Content-Encoding: gzip\r\n", BYTES("nope"));
    assert_int_equal(answer.status, 400);
    assert_memory_equal(answer.body, "\x08\x03\x12", 3);
    assert_memory_equal(answer.body + 4, "gzip", 4);
    answer_free(&answer);
    assert_int_equal(atomic_load(&f->submitted), 0);
}

static void bad_json_is_invalid_in_json(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[] = {"1234", "[]", "\"x\"", "{", "{}x", "{\"resourceSpans\":3}"};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct answer answer = post(f, "/v1/traces", JSON, slice_of(rows[i]));
        assert_int_equal(answer.status, 400);
        assert_memory_equal(answer.body, "{\"code\":3,\"message\":\"", 21);
        answer_free(&answer);
    }
    assert_int_equal(atomic_load(&f->submitted), 0);
}

/* --- sizes --- */

static void bodies_over_the_limit_are_refused_early(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(receiver_port(f->receiver));

    assert_true(client_send_text(fd, "POST /v1/traces HTTP/1.1\r\nHost: a\r\n" PROTOBUF
                                     "Content-Length: 1048577\r\n\r\n"));
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 413);
    assert_string_equal(answer_header(&answer, "Content-Type"), "application/x-protobuf");
    assert_string_equal(answer_header(&answer, "Connection"), "close");
    assert_memory_equal(answer.body, "\x08\x08\x12", 3);
    assert_true(client_is_ended(fd));
    answer_free(&answer);
    close(fd);
}

static void json_has_a_limit_of_its_own(void **state)
{
    struct fixture *f = *state;
    size_t len = 100 * 1024;
    char *body = malloc(len + 1);

    assert_non_null(body);
    memset(body, ' ', len + 1);
    memcpy(body, "{}", 2);
    expect_status(f, "/v1/traces", JSON, (struct slice){(uint8_t *)body, len}, 200);
    expect_status(f, "/v1/traces", JSON, (struct slice){(uint8_t *)body, len + 1}, 413);
    struct strbuf packed = compressed(CODEC_GZIP, (struct slice){(uint8_t *)body, len + 1});
    expect_status(f, "/v1/traces", JSON "Content-Encoding: gzip\r\n", strbuf_slice(&packed), 413);
    strbuf_deinit(&packed);
    free(body);
}

static void a_bomb_stops_at_the_limit(void **state)
{
    struct fixture *f = *state;
    static const uint8_t zeros[8 * 1024 * 1024];
    static const enum codec codecs[] = {CODEC_GZIP, CODEC_ZSTD, CODEC_ZLIB};
    static const char *const names[] = {"gzip", "zstd", "deflate"};

    for (size_t i = 0; i < COUNT_OF(codecs); i++) {
        struct strbuf body = compressed(codecs[i], (struct slice){zeros, sizeof(zeros)});
        char headers[128];
        (void)snprintf(headers, sizeof(headers), PROTOBUF "Content-Encoding: %s\r\n", names[i]);
        expect_status(f, "/v1/traces", headers, strbuf_slice(&body), 413);
        strbuf_deinit(&body);
    }
    assert_int_equal(atomic_load(&f->submitted), 0);
}

static void without_budget_clients_are_told_to_retry(void **state)
{
    struct fixture *f = *state;

    atomic_store(&f->budget.limit, 10);
    struct answer answer = post(f, "/v1/traces", JSON, BYTES(JSON_REQUEST));
    assert_int_equal(answer.status, 429);
    assert_string_equal(answer_header(&answer, "Retry-After"), "1");
    assert_memory_equal(answer.body, "{\"code\":8,", 10);
    answer_free(&answer);

    struct strbuf body = compressed(CODEC_GZIP, BYTES(JSON_REQUEST JSON_REQUEST));
    atomic_store(&f->budget.limit, body.len + 10);
    expect_status(f, "/v1/traces", JSON "Content-Encoding: gzip\r\n", strbuf_slice(&body), 429);
    strbuf_deinit(&body);
}

static void chunked_bodies_are_taken(void **state)
{
    struct fixture *f = *state;
    struct answer answer = client_ask(receiver_port(f->receiver),
                                      "POST /v1/traces HTTP/1.1\r\nHost: a\r\n" JSON
                                      "Transfer-Encoding: chunked\r\n\r\n"
                                      "1;ext=1\r\n{\r\n1\r\n}\r\n0\r\nX-Trailer: 1\r\n\r\n");

    assert_int_equal(answer.status, 200);
    answer_free(&answer);
}

static void smuggled_requests_are_refused_with_a_status(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(receiver_port(f->receiver));

    assert_true(client_send_text(
        fd, "POST /v1/traces HTTP/1.1\r\nHost: a\r\n" PROTOBUF
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            "POST /v1/traces HTTP/1.1\r\nHost: a\r\n" PROTOBUF "Content-Length: 0\r\n\r\n"));
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 400);
    assert_memory_equal(answer.body, "\x08\x03\x12", 3);
    assert_true(client_is_ended(fd));
    assert_int_equal(atomic_load(&f->submitted), 0);
    answer_free(&answer);
    close(fd);
}

/* --- refusals of the pipeline --- */

static void refusals_become_statuses(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum error_code code;
        int status, body_code;
        bool retry, close;
    } rows[] = {
        {ERR_INVALID, 400, 3, false, false},     {ERR_TOO_LARGE, 413, 8, false, false},
        {ERR_LIMIT, 429, 8, true, false},        {ERR_UNAVAILABLE, 503, 14, true, true},
        {ERR_UNSUPPORTED, 404, 5, false, false},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char want[32];
        (void)error_set(&f->result.err, rows[i].code, "the reason");
        struct answer answer = post(f, "/v1/traces", JSON, BYTES(JSON_REQUEST));
        (void)snprintf(want, sizeof(want), "{\"code\":%d,\"message\":\"", rows[i].body_code);
        assert_int_equal(answer.status, rows[i].status);
        assert_memory_equal(answer.body, want, strlen(want));
        assert_int_equal(answer_header(&answer, "Retry-After") != NULL, rows[i].retry);
        assert_int_equal(answer_header(&answer, "Connection") != NULL, rows[i].close);
        answer_free(&answer);
    }
}

static void what_is_wrong_inside_is_not_told_to_clients(void **state)
{
    struct fixture *f = *state;

    (void)error_set(&f->result.err, ERR_UNAVAILABLE,
                    "segment /var/lib/x/07.wal: No space left on device");
    struct answer answer = post(f, "/v1/traces", JSON, BYTES(JSON_REQUEST));
    assert_int_equal(answer.status, 503);
    assert_null(strstr(answer.body, "/var"));
    answer_free(&answer);
}

/* --- answers from another thread --- */

struct answerer {
    struct fixture *f;
    size_t count;
};

static void answer_all(void *arg)
{
    struct answerer *answerer = arg;

    for (size_t i = 0; i < answerer->count; i++) {
        void *item = NULL;
        assert_int_equal(ring_pop_wait(&answerer->f->later, &item, 1, 30 * NS_PER_S), 1);
        struct ingest_request *request = item;
        request->reply(request->reply_ctx, &answerer->f->result);
        free(request);
    }
}

static void answers_may_come_from_another_thread(void **state)
{
    struct fixture *f = *state;
    struct answerer answerer = {f, 600};
    struct thread thread = {0};
    int fds[3];

    f->answer_later = true;
    thread_start(&thread, "answerer", answer_all, &answerer);
    for (size_t k = 0; k < COUNT_OF(fds); k++) {
        fds[k] = client_open(receiver_port(f->receiver));
    }
    for (size_t i = 0; i < answerer.count / COUNT_OF(fds); i++) {
        for (size_t k = 0; k < COUNT_OF(fds); k++) {
            assert_true(client_send_text(fds[k], "POST /v1/traces HTTP/1.1\r\nHost: a\r\n" JSON
                                                 "Content-Length: 2\r\n\r\n{}"));
        }
        for (size_t k = 0; k < COUNT_OF(fds); k++) {
            struct answer answer = client_read(fds[k]);
            assert_int_equal(answer.status, 200);
            assert_string_equal(answer.body, "{}");
            answer_free(&answer);
        }
    }
    thread_join(&thread);
    for (size_t k = 0; k < COUNT_OF(fds); k++) {
        close(fds[k]);
    }
}

static void a_client_that_left_does_not_disturb_its_answer(void **state)
{
    struct fixture *f = *state;
    struct answerer answerer = {f, 1};
    struct linger reset = {.l_onoff = 1};
    int fd = client_open(receiver_port(f->receiver));

    f->answer_later = true;
    assert_true(client_send_text(fd, "POST /v1/traces HTTP/1.1\r\nHost: a\r\n" JSON
                                     "Content-Length: 2\r\n\r\n{}"));
    while (ring_count(&f->later) == 0) {
        (void)sched_yield();
    }
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(fd);
    answer_all(&answerer);
    f->answer_later = false;
    expect_status(f, "/v1/traces", JSON, BYTES("{}"), 200);
}

static void a_draining_receiver_refuses_and_says_goodbye(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(receiver_port(f->receiver));

    /* The connection is there before the drain. */
    assert_true(client_send_text(fd, "POST /v1/traces HTTP/1.1\r\nHost: a\r\n" JSON
                                     "Content-Length: 2\r\n\r\n{}"));
    struct answer answer = client_read(fd);
    assert_int_equal(answer.status, 200);
    answer_free(&answer);
    receiver_drain(f->receiver);
    assert_true(client_send_text(fd, "POST /v1/traces HTTP/1.1\r\nHost: a\r\n" JSON
                                     "Content-Length: 2\r\n\r\n{}"));
    answer = client_read(fd);
    assert_int_equal(answer.status, 503);
    assert_string_equal(answer_header(&answer, "Connection"), "close");
    assert_non_null(answer_header(&answer, "Retry-After"));
    answer_free(&answer);
    close(fd);
    assert_int_equal(atomic_load(&f->submitted), 1);
}

/* --- CORS --- */

static char origin_a[] = "https://app.example";
static char origin_b[] = "https://*.shop.example";
static char everybody[] = "*";
static char header_key[] = "x-api-key";
static char *origins[] = {origin_a, origin_b};
static char *all_origins[] = {everybody};
static char *all_origins_and_a[] = {everybody, origin_a};
static char *key_header[] = {header_key};
static char *any_header[] = {everybody};

static struct fixture *cors_fixture(char **allowed, size_t count)
{
    struct fixture *f = fixture_new();

    f->settings.cors.allowed_origins = allowed;
    f->settings.cors.allowed_origin_count = count;
    f->settings.cors.allowed_headers = key_header;
    f->settings.cors.allowed_header_count = 1;
    f->settings.cors.max_age_s = 7200;
    fixture_open(f);
    return f;
}

static struct answer preflight(struct fixture *f, const char *origin, const char *method,
                               const char *more)
{
    char request[512];

    (void)snprintf(request, sizeof(request),
                   "OPTIONS /v1/traces HTTP/1.1\r\nHost: a\r\nOrigin: %s\r\n"
                   "Access-Control-Request-Method: %s\r\n%s\r\n",
                   origin, method, more);
    return client_ask(receiver_port(f->receiver), request);
}

static void expect_header(const struct answer *answer, const char *name, const char *value)
{
    const char *found = answer_header(answer, name);

    if (value == NULL) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_string_equal(found, value);
    }
}

static void preflights_are_answered_for_allowed_origins(void **state)
{
    (void)state;
    struct fixture *f = cors_fixture(origins, COUNT_OF(origins));
    static const char *const allowed[] = {"https://app.example", "https://eu.shop.example",
                                          "https://APP.example"};
    static const char *const others[] = {"https://app.example.evil", "http://app.example",
                                         "https://shop.example", "null",
                                         "https://eu.shop.example:81"};

    for (size_t i = 0; i < COUNT_OF(allowed); i++) {
        struct answer answer =
            preflight(f, allowed[i], "POST", "Access-Control-Request-Headers: content-type\r\n");
        assert_int_equal(answer.status, 204);
        expect_header(&answer, "Access-Control-Allow-Origin", allowed[i]);
        expect_header(&answer, "Access-Control-Allow-Methods", "POST");
        expect_header(&answer, "Access-Control-Allow-Headers",
                      "content-type, content-encoding, authorization, traceparent, tracestate, "
                      "x-requested-with, x-api-key");
        expect_header(&answer, "Access-Control-Allow-Credentials", "true");
        expect_header(&answer, "Access-Control-Max-Age", "7200");
        expect_header(&answer, "Vary",
                      "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
        answer_free(&answer);
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct answer answer = preflight(f, others[i], "POST", "");
        assert_int_equal(answer.status, 204);
        expect_header(&answer, "Access-Control-Allow-Origin", NULL);
        answer_free(&answer);
    }
    struct answer wrong_method = preflight(f, "https://app.example", "DELETE", "");
    assert_int_equal(wrong_method.status, 204);
    expect_header(&wrong_method, "Access-Control-Allow-Methods", NULL);
    answer_free(&wrong_method);
    void *all = f;
    (void)teardown(&all);
}

static void answers_and_errors_carry_the_cors_headers(void **state)
{
    (void)state;
    struct fixture *f = cors_fixture(origins, COUNT_OF(origins));
    static const struct {
        const char *path, *headers;
        int status;
    } rows[] = {
        {"/v1/traces", "Origin: https://app.example\r\n" JSON, 200},
        {"/v1/traces", "Origin: https://app.example\r\nContent-Type: text/plain\r\n", 415},
        {"/nope", "Origin: https://app.example\r\n" JSON, 404},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct answer answer = post(f, rows[i].path, rows[i].headers, BYTES("{}"));
        assert_int_equal(answer.status, rows[i].status);
        expect_header(&answer, "Access-Control-Allow-Origin", "https://app.example");
        expect_header(&answer, "Access-Control-Allow-Credentials", "true");
        expect_header(&answer, "Access-Control-Expose-Headers", "Retry-After");
        expect_header(&answer, "Vary", "Origin");
        answer_free(&answer);
    }
    struct answer other =
        post(f, "/v1/traces", "Origin: https://evil.example\r\n" JSON, BYTES("{}"));
    assert_int_equal(other.status, 200);
    expect_header(&other, "Access-Control-Allow-Origin", NULL);
    expect_header(&other, "Vary", "Origin");
    answer_free(&other);

    /* Also where the body was not read to its end. */
    struct answer large =
        client_ask(receiver_port(f->receiver),
                   "POST /v1/traces HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\n" JSON
                   "Content-Length: 9999999\r\n\r\n");
    assert_int_equal(large.status, 413);
    expect_header(&large, "Access-Control-Allow-Origin", "https://app.example");
    answer_free(&large);
    void *all = f;
    (void)teardown(&all);
}

static void everybody_is_allowed_without_credentials(void **state)
{
    (void)state;
    struct fixture *f = cors_fixture(all_origins, 1);
    struct answer answer = preflight(f, "https://any.example", "POST", "");

    expect_header(&answer, "Access-Control-Allow-Origin", "*");
    expect_header(&answer, "Access-Control-Allow-Credentials", NULL);
    answer_free(&answer);
    void *all = f;
    (void)teardown(&all);

    f = cors_fixture(all_origins_and_a, 2);
    answer = preflight(f, "https://app.example", "POST", "");
    expect_header(&answer, "Access-Control-Allow-Origin", "https://app.example");
    expect_header(&answer, "Access-Control-Allow-Credentials", "true");
    answer_free(&answer);
    all = f;
    (void)teardown(&all);
}

static void any_header_is_allowed_by_echoing_what_was_asked(void **state)
{
    (void)state;
    struct fixture *f = cors_fixture(origins, 1);

    f->settings.cors.allowed_headers = any_header; /* read for each preflight */
    struct answer answer = preflight(f, "https://app.example", "POST",
                                     "Access-Control-Request-Headers: x-foo,x-bar\r\n");
    assert_non_null(
        strstr(answer_header(&answer, "Access-Control-Allow-Headers"), ", x-foo,x-bar"));
    answer_free(&answer);
    answer = preflight(f, "https://app.example", "POST",
                       "Access-Control-Request-Headers: x-foo; (x)\r\n");
    assert_null(strstr(answer_header(&answer, "Access-Control-Allow-Headers"), "x-foo"));
    answer_free(&answer);
    void *all = f;
    (void)teardown(&all);
}

static void without_origins_a_preflight_is_just_options(void **state)
{
    struct answer answer = preflight(*state, "https://app.example", "POST", "");

    assert_int_equal(answer.status, 405);
    expect_header(&answer, "Access-Control-Allow-Origin", NULL);
    answer_free(&answer);
}

static void a_port_in_use_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct fixture *other = fixture_new();
    struct error err;
    char taken[32];

    (void)snprintf(taken, sizeof(taken), "127.0.0.1:%u", receiver_port(f->receiver));
    other->settings.endpoint = taken;
    assert_false(
        otlp_http_receiver_open(&other->receiver, &other->settings, 5, &other->ingest, &err));
    assert_int_equal(err.code, ERR_IN_USE);
    assert_memory_equal(err.message, "OTLP/HTTP receiver: cannot bind 127.0.0.1:", 42);
    void *all = other;
    (void)teardown(&all);
}

/* --- credentials --- */

static int setup_guarded(void **state)
{
    static char id[] = "x", header[] = "X-Key", key[] = "right";
    static char *keys[] = {key};
    static const struct auth_settings auth = {
        .kind = AUTH_API_KEY, .id = id, .header = header, .secrets = keys, .secret_count = 1};
    struct fixture *f = cors_fixture(origins, COUNT_OF(origins));

    receiver_close(f->receiver);
    f->settings.auth = &auth;
    fixture_open(f);
    *state = f;
    return 0;
}

static void who_is_not_known_is_refused_in_the_encoding_of_the_request(void **state)
{
    struct fixture *f = *state;

    struct answer answer = post(f, "/v1/traces", PROTOBUF "x-key: right\r\n", BYTES(REQUEST));
    assert_int_equal(answer.status, 200);
    answer_free(&answer);

    answer = post(f, "/v1/traces", PROTOBUF "x-key: wrong\r\n", BYTES(REQUEST));
    assert_int_equal(answer.status, 401);
    expect_header(&answer, "Content-Type", "application/x-protobuf");
    expect_header(&answer, "WWW-Authenticate", "ApiKey header=\"X-Key\"");
    assert_memory_equal(answer.body,
                        "\x08\x10\x12\x15"
                        "credentials are wrong",
                        answer.body_len);
    answer_free(&answer);

    answer = post(f, "/v1/traces", JSON "Origin: https://app.example\r\n", BYTES("{}"));
    assert_int_equal(answer.status, 401);
    expect_header(&answer, "Content-Type", "application/json");
    expect_header(&answer, "Access-Control-Allow-Origin", "https://app.example");
    assert_string_equal(answer.body, "{\"code\":16,\"message\":\"credentials are missing\"}");
    answer_free(&answer);
    expect_status(f, "/nothing", JSON, BYTES("{}"), 401); /* nor are they told what there is */
    assert_int_equal(atomic_load(&f->submitted), 1);
}

static void credentials_are_asked_for_after_the_preflight_and_before_the_body(void **state)
{
    struct fixture *f = *state;

    struct answer answer = preflight(f, "https://app.example", "POST", "");
    assert_int_equal(answer.status, 204);
    answer_free(&answer);
    answer =
        client_ask(receiver_port(f->receiver), "POST /v1/traces HTTP/1.1\r\nHost: a\r\n" PROTOBUF
                                               "Content-Length: 900000\r\n\r\n");
    assert_int_equal(answer.status, 401);
    answer_free(&answer);
}

static void profiles_are_known_not_to_be_supported(void **state)
{
    struct fixture *f = *state;

    struct answer answer = post(f, "/v1development/profiles", JSON, BYTES("{}"));
    assert_int_equal(answer.status, 404);
    assert_string_equal(answer.body, "{\"code\":5,\"message\":\"profiles are not supported\"}");
    answer_free(&answer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(protobuf_is_answered_with_zero_bytes),
        TEST(json_is_answered_with_an_empty_object_and_handed_on_as_protobuf),
        TEST(partial_success_is_told_in_the_encoding_of_the_request),
        TEST(empty_requests_are_accepted),
        TEST(paths_are_matched_exactly_but_for_one_slash),
        cmocka_unit_test_setup_teardown(who_is_not_known_is_refused_in_the_encoding_of_the_request,
                                        setup_guarded, teardown),
        cmocka_unit_test_setup_teardown(
            credentials_are_asked_for_after_the_preflight_and_before_the_body, setup_guarded,
            teardown),
        TEST(profiles_are_known_not_to_be_supported),
        TEST(an_unknown_path_is_told_the_right_one),
        cmocka_unit_test(paths_can_be_configured),
        TEST(a_signal_that_no_pipeline_takes_is_not_found),
        TEST(methods_other_than_post_are_not_allowed),
        TEST(media_types_decide_the_encoding),
        TEST(codings_are_undone),
        TEST(a_list_of_codings_is_undone_from_the_right),
        TEST(an_unknown_coding_is_told_the_known_ones),
        TEST(damaged_compressed_bodies_are_invalid),
        TEST(bad_json_is_invalid_in_json),
        TEST(bodies_over_the_limit_are_refused_early),
        TEST(json_has_a_limit_of_its_own),
        TEST(a_bomb_stops_at_the_limit),
        TEST(without_budget_clients_are_told_to_retry),
        TEST(chunked_bodies_are_taken),
        TEST(smuggled_requests_are_refused_with_a_status),
        TEST(refusals_become_statuses),
        TEST(what_is_wrong_inside_is_not_told_to_clients),
        TEST(answers_may_come_from_another_thread),
        TEST(a_client_that_left_does_not_disturb_its_answer),
        TEST(a_draining_receiver_refuses_and_says_goodbye),
        cmocka_unit_test(preflights_are_answered_for_allowed_origins),
        cmocka_unit_test(answers_and_errors_carry_the_cors_headers),
        cmocka_unit_test(everybody_is_allowed_without_credentials),
        cmocka_unit_test(any_header_is_allowed_by_echoing_what_was_asked),
        TEST(without_origins_a_preflight_is_just_options),
        TEST(a_port_in_use_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
