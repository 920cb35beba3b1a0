/*
 * grpc_test.c - the OTLP/gRPC receiver as clients see it, with an ingest that does what a test
 * tells it.
 */
#include "unit.h"

#include "h2_peer.h"

#include <poll.h>
#include <pthread.h>
#include <spangate/base/mem.h>
#include <spangate/base/text.h>
#include <spangate/base/thread.h>
#include <spangate/codec/codec.h>
#include <spangate/otlp/status.h>
#include <spangate/receiver/receiver.h>
#include <unistd.h>

#define TRACES "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
#define METRICS "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
#define LOGS "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
#define CHECK "/grpc.health.v1.Health/Check"
#define WATCH "/grpc.health.v1.Health/Watch"
#define LIST "/grpc.health.v1.Health/List"

enum { HELD_MAX = 256, MESSAGE_MAX = 1 << 20 };

struct fixture {
    struct receiver *receiver;
    struct otlp_grpc_receiver_settings settings;
    struct ingest ingest;
    struct budget budget;
    bool takes[OTLP_SIGNALS];

    /* What the next submits answer at once, unless hold. */
    struct ingest_result result;
    bool hold;

    pthread_mutex_t lock;
    struct {
        ingest_reply_fn *reply;
        void *ctx;
    } held[HELD_MAX];
    size_t held_count;
    size_t submitted;
    struct strbuf last; /* body of the last request */
    enum otlp_signal last_signal;
    uint32_t last_receiver;
    char last_transport[8];
};

static void submit(void *ctx, const struct ingest_request *request)
{
    struct fixture *f = ctx;

    (void)pthread_mutex_lock(&f->lock);
    strbuf_clear(&f->last);
    if (request->body != NULL) {
        strbuf_append_slice(&f->last, buf_slice(request->body));
    }
    f->last_signal = request->signal;
    f->last_receiver = request->receiver;
    (void)snprintf(f->last_transport, sizeof(f->last_transport), "%s", request->transport);
    f->submitted++;
    bool hold = f->hold;
    if (hold) {
        f->held[f->held_count].reply = request->reply;
        f->held[f->held_count].ctx = request->reply_ctx;
        f->held_count++;
    }
    (void)pthread_mutex_unlock(&f->lock);
    buf_unref(request->body);
    if (!hold) {
        request->reply(request->reply_ctx, &f->result);
    }
}

static bool takes(void *ctx, uint32_t receiver, enum otlp_signal signal)
{
    (void)receiver;
    return ((struct fixture *)ctx)->takes[signal];
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));
    struct error err = {0};
    static char endpoint[] = "127.0.0.1:0";

    budget_init(&f->budget, 16 << 20, NULL);
    (void)pthread_mutex_init(&f->lock, NULL);
    strbuf_init(&f->last, 64 << 20);
    f->takes[OTLP_TRACES] = true;
    f->takes[OTLP_LOGS] = true;
    f->result.message = "";
    f->ingest = (struct ingest){submit, takes, f, &f->budget};
    f->settings = (struct otlp_grpc_receiver_settings){.endpoint = endpoint,
                                                       .max_recv_msg_size = MESSAGE_MAX};
    assert_true(otlp_grpc_receiver_open(&f->receiver, &f->settings, 7, &f->ingest, &err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    receiver_close(f->receiver);
    assert_int_equal(budget_used(&f->budget), 0);
    strbuf_deinit(&f->last);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static size_t submitted(struct fixture *f)
{
    (void)pthread_mutex_lock(&f->lock);
    size_t count = f->submitted;
    (void)pthread_mutex_unlock(&f->lock);
    return count;
}

static void wait_submitted(struct fixture *f, size_t count)
{
    while (submitted(f) < count) {
        (void)poll(NULL, 0, 1);
    }
}

static void call(struct fixture *f, const struct peer_request *request, struct peer_stream *stream)
{
    peer_call(receiver_port(f->receiver), request, stream);
}

#define FRAME(text) BYTES("\0\0\0\0" text)

/* --- success --- */

static void export_is_answered_with_five_zero_bytes_and_status_0(void **state)
{
    struct fixture *f = *state;
    struct peer_stream stream;

    call(f, &(struct peer_request){.path = TRACES, .data = FRAME("\x05hello")}, &stream);

    assert_int_equal(stream.status, 200);
    assert_int_equal(stream.header_blocks, 2);
    assert_int_equal(stream.body.len, 5);
    assert_memory_equal(stream.body.data, "\0\0\0\0\0", 5);
    assert_string_equal(peer_header(&stream, "content-type"), "application/grpc");
    assert_string_equal(peer_header(&stream, "grpc-accept-encoding"), "identity,gzip,zstd");
    assert_string_equal(peer_header(&stream, "grpc-status"), "0");
    assert_string_equal(f->last.data, "hello");
    assert_int_equal(f->last_signal, OTLP_TRACES);
    assert_int_equal(f->last_receiver, 7);
    assert_string_equal(f->last_transport, "grpc");
    peer_stream_deinit(&stream);
}

static void each_service_leads_to_its_signal(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[OTLP_SIGNALS] = {TRACES, METRICS, LOGS};

    f->takes[OTLP_METRICS] = true;
    for (int i = 0; i < OTLP_SIGNALS; i++) {
        struct peer_stream stream;
        call(f, &(struct peer_request){.path = paths[i], .data = FRAME("\0")}, &stream);
        assert_string_equal(peer_header(&stream, "grpc-status"), "0");
        assert_int_equal(f->last_signal, i);
        assert_int_equal(f->last.len, 0);
        peer_stream_deinit(&stream);
    }
}

static void a_body_in_single_bytes_is_put_together(void **state)
{
    struct fixture *f = *state;
    struct peer_stream stream;

    call(f,
         &(struct peer_request){
             .path = TRACES, .data = FRAME("\x0bhello world"), .chunk = 1, .empty_end = true},
         &stream);

    assert_string_equal(peer_header(&stream, "grpc-status"), "0");
    assert_string_equal(f->last.data, "hello world");
    peer_stream_deinit(&stream);
}

static void the_content_type_may_have_proto_and_parameters(void **state)
{
    struct fixture *f = *state;
    static const char *const types[] = {"application/grpc+proto", "application/grpc;charset=utf-8"};

    for (size_t i = 0; i < COUNT_OF(types); i++) {
        struct peer_stream stream;
        call(f,
             &(struct peer_request){
                 .path = TRACES, .content_type = types[i], .data = FRAME("\x01x")},
             &stream);
        assert_string_equal(peer_header(&stream, "grpc-status"), "0");
        peer_stream_deinit(&stream);
    }
}

static void partial_success_is_told(void **state)
{
    struct fixture *f = *state;
    struct peer_stream stream;
    uint64_t rejected = 0;
    char message[64];

    f->result.rejected = 3;
    f->result.message = "bad";
    call(f, &(struct peer_request){.path = TRACES, .data = FRAME("\x01x")}, &stream);

    assert_string_equal(peer_header(&stream, "grpc-status"), "0");
    assert_int_equal(stream.body.len, 5 + 9);
    assert_memory_equal(stream.body.data,
                        "\0\0\0\0\x09\x0a\x07\x08\x03\x12\x03"
                        "bad",
                        14);
    assert_true(export_response_decode(OTLP_PROTOBUF, OTLP_TRACES,
                                       slice_from(strbuf_slice(&stream.body), 5), &rejected,
                                       message, sizeof(message)));
    assert_int_equal(rejected, 3);
    peer_stream_deinit(&stream);
}

static void a_hundred_streams_are_answered_by_another_thread_at_once(void **state)
{
    struct fixture *f = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    f->hold = true;
    peer_open(peer, receiver_port(f->receiver));
    peer_wait_settled(peer);
    for (int i = 0; i < 100; i++) {
        peer_send(peer, &(struct peer_request){.path = TRACES, .data = FRAME("\x01x")});
    }
    wait_submitted(f, 100);
    for (size_t i = 0; i < 100; i++) {
        f->held[i].reply(f->held[i].ctx, &f->result); /* the test's thread is not the receiver's */
    }
    for (size_t i = 0; i < 100; i++) {
        peer_wait(peer, &peer->streams[i]);
        assert_string_equal(peer_header(&peer->streams[i], "grpc-status"), "0");
    }
    peer_close(peer);
    free(peer);
}

static void a_reply_for_a_client_that_has_gone_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));
    struct peer_stream stream;

    f->hold = true;
    peer_open(peer, receiver_port(f->receiver));
    for (int i = 0; i < 3; i++) {
        peer_send(peer, &(struct peer_request){.path = TRACES, .data = FRAME("\x01x")});
    }
    wait_submitted(f, 3);
    peer_close(peer);
    free(peer);
    f->hold = false;
    call(f, &(struct peer_request){.path = TRACES, .data = FRAME("\x01x")}, &stream);
    peer_stream_deinit(&stream);
    for (size_t i = 0; i < 3; i++) {
        f->held[i].reply(f->held[i].ctx, &f->result);
    }
    call(f, &(struct peer_request){.path = TRACES, .data = FRAME("\x01x")}, &stream);
    assert_string_equal(peer_header(&stream, "grpc-status"), "0");
    peer_stream_deinit(&stream);
}

static void a_request_that_is_reset_before_its_end_is_not_submitted(void **state)
{
    struct fixture *f = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    peer_open(peer, receiver_port(f->receiver));
    struct peer_stream *first = peer_send(
        peer, &(struct peer_request){.path = TRACES, .data = FRAME("\x05hel"), .hold = true});
    assert_int_equal(nghttp2_submit_rst_stream(peer->session, 0, first->id, NGHTTP2_CANCEL), 0);
    struct peer_stream *second =
        peer_send(peer, &(struct peer_request){.path = LOGS, .data = FRAME("\x01x")});
    peer_wait(peer, second);

    assert_int_equal(submitted(f), 1);
    assert_int_equal(f->last_signal, OTLP_LOGS);
    peer_close(peer);
    free(peer);
}

/* --- compression --- */

static void compressed_messages_are_inflated(void **state)
{
    struct fixture *f = *state;
    static const enum codec codecs[] = {CODEC_GZIP, CODEC_ZSTD, CODEC_ZLIB};
    static const char *const names[] = {"gzip", "zstd", "deflate"};

    for (size_t i = 0; i < COUNT_OF(codecs); i++) {
        struct strbuf frame;
        struct peer_stream stream;
        struct error err = {0};
        strbuf_init(&frame, 4096);
        strbuf_append(&frame, "\x01\0\0\0\0", 5);
        assert_true(codec_deflate(codecs[i], 0, BYTES("squeeze me"), &frame, &err));
        frame.data[4] = (char)(frame.len - 5);
        call(f,
             &(struct peer_request){.path = TRACES,
                                    .extra = {{"grpc-encoding", names[i]}},
                                    .data = strbuf_slice(&frame)},
             &stream);
        assert_string_equal(peer_header(&stream, "grpc-status"), "0");
        assert_string_equal(f->last.data, "squeeze me");
        peer_stream_deinit(&stream);
        strbuf_deinit(&frame);
    }
}

static void a_plain_message_may_come_with_an_encoding(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"gzip", "snappy", "identity"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct peer_stream stream;
        call(f,
             &(struct peer_request){.path = TRACES,
                                    .extra = {{"grpc-encoding", names[i]}},
                                    .data = FRAME("\x05plain")},
             &stream);
        assert_string_equal(peer_header(&stream, "grpc-status"), "0");
        assert_string_equal(f->last.data, "plain");
        peer_stream_deinit(&stream);
    }
}

static void a_message_that_inflates_beyond_the_limit_is_too_large(void **state)
{
    struct fixture *f = *state;
    struct strbuf frame;
    struct peer_stream stream;
    struct error err = {0};
    uint8_t *zeros = mem_zalloc(1, MESSAGE_MAX + 1);

    strbuf_init(&frame, 65536);
    strbuf_append(&frame, "\x01\0\0\0\0", 5);
    assert_true(codec_deflate(CODEC_GZIP, 0, (struct slice){zeros, MESSAGE_MAX + 1}, &frame, &err));
    frame.data[3] = (char)((frame.len - 5) >> 8);
    frame.data[4] = (char)(frame.len - 5);
    call(f,
         &(struct peer_request){
             .path = TRACES, .extra = {{"grpc-encoding", "gzip"}}, .data = strbuf_slice(&frame)},
         &stream);

    assert_string_equal(peer_header(&stream, "grpc-status"), "8");
    assert_string_equal(peer_header(&stream, "google.rpc.retryinfo-bin"), "");
    assert_int_equal(submitted(f), 0);
    peer_stream_deinit(&stream);
    strbuf_deinit(&frame);
    free(zeros);
}

/* --- refusals --- */

struct refusal {
    struct peer_request request;
    const char *grpc;
    int http;
};

static void what_cannot_be_served_is_refused_in_one_header_block(void **state)
{
    struct fixture *f = *state;
    const struct refusal refusals[] = {
        /* no such method, or no pipeline for it */
        {{.path = "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
          .data = FRAME("\x01x")},
         "12",
         200},
        {{.path = "/", .data = FRAME("\x01x")}, "12", 200},
        {{.path = TRACES "/", .data = FRAME("\x01x")}, "12", 200},
        {{.path = METRICS, .data = FRAME("\x01x")}, "12", 200},
        /* not gRPC */
        {{.path = TRACES, .method = "GET"}, "13", 405},
        {{.path = TRACES, .content_type = "application/json", .data = BYTES("{}")}, "3", 415},
        {{.path = TRACES, .content_type = "application/grpc+json", .data = BYTES("{}")}, "3", 415},
        {{.path = TRACES, .content_type = "application/grpc-web", .data = BYTES("{}")}, "3", 415},
        /* not one message */
        {{.path = TRACES}, "12", 200},
        {{.path = TRACES, .data = FRAME("\x01x\0\0\0\0\x01y")}, "12", 200},
        {{.path = TRACES, .data = FRAME("\x05hell")}, "13", 200},
        {{.path = TRACES, .data = BYTES("\0\0\0")}, "13", 200},
        {{.path = TRACES, .data = BYTES("\x02\0\0\0\x01x")}, "13", 200},
        /* compression */
        {{.path = TRACES, .data = BYTES("\x01\0\0\0\x01x")}, "13", 200},
        {{.path = TRACES,
          .extra = {{"grpc-encoding", "identity"}},
          .data = BYTES("\x01\0\0\0\x01x")},
         "13",
         200},
        {{.path = TRACES, .extra = {{"grpc-encoding", "snappy"}}, .data = BYTES("\x01\0\0\0\x01x")},
         "12",
         200},
        {{.path = TRACES, .extra = {{"grpc-encoding", "gzip"}}, .data = BYTES("\x01\0\0\0\x01x")},
         "13",
         200},
        {{.path = TRACES, .extra = {{"grpc-encoding", "gzip"}}, .data = BYTES("\x01\0\0\0\0")},
         "13",
         200},
        /* deadline */
        {{.path = TRACES, .extra = {{"grpc-timeout", "soon"}}, .data = FRAME("\x01x")}, "13", 200},
    };

    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        struct peer_stream stream;
        call(f, &refusals[i].request, &stream);
        assert_int_equal(stream.status, refusals[i].http);
        assert_string_equal(peer_header(&stream, "grpc-status"), refusals[i].grpc);
        assert_true(stream.trailers_only);
        assert_string_not_equal(peer_header(&stream, "grpc-message"), "");
        assert_string_equal(peer_header(&stream, "google.rpc.retryinfo-bin"), "");
        assert_int_equal(stream.code, NGHTTP2_NO_ERROR);
        peer_stream_deinit(&stream);
    }
    assert_int_equal(submitted(f), 0);
}

static void an_unknown_method_is_named_and_escaped(void **state)
{
    struct fixture *f = *state;
    struct peer_stream stream;

    call(f, &(struct peer_request){.path = "/a.B/100%\xc3\xa4", .data = FRAME("\0")}, &stream);

    assert_string_equal(peer_header(&stream, "grpc-message"), "unknown method /a.B/100%25%C3%A4");
    peer_stream_deinit(&stream);
}

static void an_unknown_encoding_is_answered_with_those_we_know(void **state)
{
    struct fixture *f = *state;
    struct peer_stream stream;

    call(f,
         &(struct peer_request){
             .path = TRACES, .extra = {{"grpc-encoding", "br"}}, .data = BYTES("\x01\0\0\0\x01x")},
         &stream);

    assert_string_equal(peer_header(&stream, "grpc-accept-encoding"), "identity,gzip,zstd");
    peer_stream_deinit(&stream);
}

static void valid_timeouts_are_accepted(void **state)
{
    struct fixture *f = *state;
    static const char *const timeouts[] = {"10S", "1n", "99999999H"};

    for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
        struct peer_stream stream;
        call(f,
             &(struct peer_request){
                 .path = TRACES, .extra = {{"grpc-timeout", timeouts[i]}}, .data = FRAME("\x01x")},
             &stream);
        assert_string_equal(peer_header(&stream, "grpc-status"), "0");
        peer_stream_deinit(&stream);
    }
}

/* The whole request is read first, so that the client gets the answer and no reset. */
static void a_message_over_the_limit_is_read_and_refused(void **state)
{
    struct fixture *f = *state;
    struct peer_stream stream;
    enum { LEN = 5 + MESSAGE_MAX + 1 };
    uint8_t *data = mem_zalloc(1, LEN);

    memcpy(data, "\0\x00\x10\x00\x01", 5);
    call(f, &(struct peer_request){.path = TRACES, .data = {data, LEN}}, &stream);

    assert_string_equal(peer_header(&stream, "grpc-status"), "8");
    assert_string_equal(peer_header(&stream, "grpc-message"),
                        "the message is larger than max (1048577 vs. 1048576)");
    assert_string_equal(peer_header(&stream, "google.rpc.retryinfo-bin"), "");
    assert_int_equal(stream.code, NGHTTP2_NO_ERROR);
    assert_int_equal(stream.sent, LEN);
    peer_stream_deinit(&stream);
    free(data);
}

static void a_refused_request_that_never_ends_is_cut_off(void **state)
{
    struct fixture *f = *state;
    struct peer_stream stream;
    enum { LEN = 24 << 20 };
    uint8_t *data = mem_zalloc(1, LEN);

    memset(data, 0xff, 5);
    data[0] = 0;
    call(f, &(struct peer_request){.path = TRACES, .data = {data, LEN}, .hold = true}, &stream);

    assert_string_equal(peer_header(&stream, "grpc-status"), "8");
    assert_true(stream.sent < LEN);
    assert_int_equal(stream.code, NGHTTP2_NO_ERROR);
    peer_stream_deinit(&stream);
    free(data);
}

static void without_memory_the_client_is_asked_to_come_back(void **state)
{
    struct fixture *f = *state;
    struct peer_stream stream;
    char message[128];
    uint64_t retry_ms = 0;
    struct strbuf details;

    assert_true(budget_try_charge(&f->budget, 16 << 20));
    call(f, &(struct peer_request){.path = TRACES, .data = FRAME("\x01x")}, &stream);
    budget_release(&f->budget, 16 << 20);

    assert_string_equal(peer_header(&stream, "grpc-status"), "14");
    assert_true(stream.trailers_only);
    assert_string_equal(peer_header(&stream, "google.rpc.retryinfo-bin"), "CgIIAQ");
    strbuf_init(&details, 1024);
    assert_true(base64_decode(slice_of(peer_header(&stream, "grpc-status-details-bin")), &details));
    assert_true(
        status_decode(OTLP_PROTOBUF, strbuf_slice(&details), message, sizeof(message), &retry_ms));
    assert_int_equal(retry_ms, 1000);
    strbuf_deinit(&details);
    peer_stream_deinit(&stream);
}

static void errors_of_the_pipeline_follow_the_table(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum error_code code;
        const char *grpc;
        const char *message;
        bool retry;
    } rows[] = {
        {ERR_INVALID, "3", "why", false},
        {ERR_TOO_LARGE, "8", "why", false},
        {ERR_LIMIT, "14", "why", true},
        {ERR_UNAVAILABLE, "14", "data cannot be taken at the moment, send it again later", true},
        {ERR_CORRUPT, "14", "data cannot be taken at the moment, send it again later", true},
        {ERR_UNSUPPORTED, "12",
         "unknown service opentelemetry.proto.collector.trace.v1.TraceService", false},
        {ERR_UNAUTHENTICATED, "16", "why", false},
    };

    for (int from_other_thread = 0; from_other_thread < 2; from_other_thread++) {
        f->hold = from_other_thread == 1;
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            struct h2_peer *peer = mem_alloc(sizeof(*peer));
            f->result.err.code = rows[i].code;
            (void)snprintf(f->result.err.message, sizeof(f->result.err.message), "why");
            peer_open(peer, receiver_port(f->receiver));
            size_t before = submitted(f);
            struct peer_stream *stream =
                peer_send(peer, &(struct peer_request){.path = TRACES, .data = FRAME("\x01x")});
            wait_submitted(f, before + 1);
            if (f->hold) {
                f->held[f->held_count - 1].reply(f->held[f->held_count - 1].ctx, &f->result);
            }
            peer_wait(peer, stream);
            assert_string_equal(peer_header(stream, "grpc-status"), rows[i].grpc);
            assert_string_equal(peer_header(stream, "grpc-message"), rows[i].message);
            assert_true(stream->trailers_only);
            assert_int_equal(peer_header(stream, "google.rpc.retryinfo-bin")[0] != '\0',
                             rows[i].retry);
            peer_close(peer);
            free(peer);
        }
    }
}

static void http1_is_told_of_the_other_port(void **state)
{
    struct fixture *f = *state;
    int fd = peer_connect(receiver_port(f->receiver));
    struct strbuf text;

    strbuf_init(&text, 4096);
    peer_write(fd, slice_of("POST /v1/traces HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    peer_read_all(fd, &text);

    assert_non_null(strstr(text.data, "HTTP/1.1 400 Bad Request\r\n"));
    assert_non_null(strstr(text.data, "OTLP/HTTP is on another port (4318 by default)"));
    strbuf_deinit(&text);
    (void)close(fd);
}

static void a_port_in_use_is_an_error_of_its_own(void **state)
{
    struct fixture *f = *state;
    char endpoint[32];
    struct otlp_grpc_receiver_settings settings = f->settings;
    struct receiver *second = NULL;
    struct error err = {0};

    (void)snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u",
                   (unsigned)receiver_port(f->receiver));
    settings.endpoint = endpoint;
    assert_false(otlp_grpc_receiver_open(&second, &settings, 0, &f->ingest, &err));
    assert_int_equal(err.code, ERR_IN_USE);
    assert_non_null(strstr(err.message, "address in use"));
}

/* --- credentials --- */

static int setup_guarded(void **state)
{
    static char id[] = "x", header[] = "authorization", scheme[] = "Bearer", token[] = "right";
    static char *tokens[] = {token};
    static const struct auth_settings auth = {.kind = AUTH_BEARER,
                                              .id = id,
                                              .header = header,
                                              .scheme = scheme,
                                              .secrets = tokens,
                                              .secret_count = 1};
    struct error err = {0};

    (void)setup(state);
    struct fixture *f = *state;
    receiver_close(f->receiver);
    f->settings.auth = &auth;
    assert_true(otlp_grpc_receiver_open(&f->receiver, &f->settings, 7, &f->ingest, &err));
    return 0;
}

static void who_is_not_known_is_refused_whatever_is_asked(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *path, *authorization, *expected;
    } rows[] = {
        {TRACES, "Bearer right", "0"},
        {TRACES, "bearer right", "0"},
        {TRACES, NULL, "16"},
        {TRACES, "Bearer wrong", "16"},
        {METRICS, NULL, "16"},
        {"/nothing", NULL, "16"},
        {LIST, NULL, "16"},
        {LIST, "Bearer right", "0"},
        {WATCH, NULL, "16"},
        {CHECK, NULL, "0"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct peer_stream stream;
        struct peer_request request = {.path = rows[i].path,
                                       .data = {(const uint8_t *)"\0\0\0\0\0", 5}};
        if (rows[i].authorization != NULL) {
            request.extra[0][0] = "authorization";
            request.extra[0][1] = rows[i].authorization;
        }
        call(f, &request, &stream);
        assert_int_equal(stream.status, 200);
        assert_string_equal(peer_header(&stream, "grpc-status"), rows[i].expected);
        assert_int_equal(stream.trailers_only, strcmp(rows[i].expected, "16") == 0);
        peer_stream_deinit(&stream);
    }
    assert_int_equal(submitted(f), 2);
}

static void little_is_read_of_a_request_whose_sender_is_not_known(void **state)
{
    struct fixture *f = *state;
    struct peer_stream stream;
    enum { LEN = 8 << 20 };
    uint8_t *data = mem_zalloc(1, LEN);

    memset(data, 0xff, 5);
    data[0] = 0;
    call(f, &(struct peer_request){.path = TRACES, .data = {data, LEN}, .hold = true}, &stream);
    assert_string_equal(peer_header(&stream, "grpc-status"), "16");
    assert_string_equal(peer_header(&stream, "grpc-message"), "credentials are missing");
    assert_true(stream.sent < LEN);
    peer_stream_deinit(&stream);
    free(data);
}

static void profiles_are_known_not_to_be_supported(void **state)
{
    struct fixture *f = *state;
    struct peer_stream stream;

    call(f,
         &(struct peer_request){
             .path = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
             .data = {(const uint8_t *)"\0\0\0\0\0", 5}},
         &stream);
    assert_string_equal(peer_header(&stream, "grpc-status"), "12");
    assert_string_equal(peer_header(&stream, "grpc-message"), "profiles are not supported");
    peer_stream_deinit(&stream);
}

/* --- health --- */

static void health_check_knows_the_server_and_its_services(void **state)
{
    struct fixture *f = *state;
    const struct {
        struct slice request;
        const char *grpc;
    } rows[] = {
        {{(const uint8_t *)"\0\0\0\0\0", 5}, "0"},
        {FRAME("\x35\x0a\x33"
               "opentelemetry.proto.collector.trace.v1.TraceService"),
         "0"},
        {FRAME("\x39\x0a\x37"
               "opentelemetry.proto.collector.metrics.v1.MetricsService"),
         "5"},
        {FRAME("\x06\x0a\x04"
               "what"),
         "5"},
        {FRAME("\x02\x0a\x04"), "3"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct peer_stream stream;
        call(f, &(struct peer_request){.path = CHECK, .data = rows[i].request}, &stream);
        assert_string_equal(peer_header(&stream, "grpc-status"), rows[i].grpc);
        if (strcmp(rows[i].grpc, "0") == 0) {
            assert_int_equal(stream.body.len, 7);
            assert_memory_equal(stream.body.data, "\0\0\0\0\x02\x08\x01", 7);
        }
        peer_stream_deinit(&stream);
    }
}

static void health_list_has_all_that_is_served(void **state)
{
    struct fixture *f = *state;
    struct peer_stream stream;

    call(f, &(struct peer_request){.path = LIST, .data = FRAME("\0")}, &stream);

    assert_string_equal(peer_header(&stream, "grpc-status"), "0");
    static const char *const there[] = {"TraceService", "LogsService"};
    for (size_t i = 0; i < COUNT_OF(there); i++) {
        assert_non_null(memmem(stream.body.data, stream.body.len, there[i], strlen(there[i])));
    }
    assert_null(memmem(stream.body.data, stream.body.len, "MetricsService", 14));
    peer_stream_deinit(&stream);
}

static void health_watch_stays_open_and_tells_when_the_receiver_drains(void **state)
{
    struct fixture *f = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    peer_open(peer, receiver_port(f->receiver));
    struct peer_stream *whole =
        peer_send(peer, &(struct peer_request){.path = WATCH, .data = FRAME("\0")});
    struct peer_stream *unknown =
        peer_send(peer, &(struct peer_request){.path = WATCH, .data = FRAME("\x03\x0a\x01x")});
    peer_wait_bytes(peer, whole, 7);
    peer_wait_bytes(peer, unknown, 7);
    assert_memory_equal(whole->body.data, "\0\0\0\0\x02\x08\x01", 7);
    assert_memory_equal(unknown->body.data, "\0\0\0\0\x02\x08\x03", 7);
    assert_false(whole->closed);
    receiver_drain(f->receiver);
    peer_wait(peer, whole);

    assert_int_equal(whole->body.len, 14);
    assert_memory_equal(whole->body.data + 7, "\0\0\0\0\x02\x08\x02", 7);
    assert_string_equal(peer_header(whole, "grpc-status"), "14");
    peer_close(peer);
    free(peer);
}

static void a_watcher_may_leave(void **state)
{
    struct fixture *f = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    peer_open(peer, receiver_port(f->receiver));
    struct peer_stream *streams[3];
    for (int i = 0; i < 3; i++) {
        streams[i] = peer_send(peer, &(struct peer_request){.path = WATCH, .data = FRAME("\0")});
        peer_wait_bytes(peer, streams[i], 7);
    }
    assert_int_equal(nghttp2_submit_rst_stream(peer->session, 0, streams[1]->id, NGHTTP2_CANCEL),
                     0);
    peer_flush(peer);
    receiver_drain(f->receiver);
    peer_wait(peer, streams[0]);
    peer_wait(peer, streams[2]);

    assert_string_equal(peer_header(streams[2], "grpc-status"), "14");
    peer_close(peer);
    free(peer);
}

/* --- end of life --- */

static void a_draining_receiver_refuses_new_requests_and_finishes_old_ones(void **state)
{
    struct fixture *f = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    f->hold = true;
    peer_open(peer, receiver_port(f->receiver));
    struct peer_stream *old =
        peer_send(peer, &(struct peer_request){.path = TRACES, .data = FRAME("\x01x")});
    struct peer_stream *half = peer_send(
        peer, &(struct peer_request){.path = TRACES, .data = FRAME("\x05he"), .hold = true});
    wait_submitted(f, 1);
    /* Another client sees when draining has begun; this one does not look, and sends on. */
    struct h2_peer *watcher = mem_alloc(sizeof(*watcher));
    peer_open(watcher, receiver_port(f->receiver));
    struct peer_stream *watch =
        peer_send(watcher, &(struct peer_request){.path = WATCH, .data = FRAME("\0")});
    peer_wait_bytes(watcher, watch, 7);
    receiver_drain(f->receiver);
    peer_wait(watcher, watch);
    peer_close(watcher);
    free(watcher);
    struct peer_stream *fresh =
        peer_send(peer, &(struct peer_request){.path = TRACES, .data = FRAME("\x01x")});
    struct peer_stream *check =
        peer_send(peer, &(struct peer_request){.path = CHECK, .data = FRAME("\0")});
    peer_wait(peer, fresh);
    assert_string_equal(peer_header(fresh, "grpc-status"), "14");
    assert_string_equal(peer_header(fresh, "grpc-message"), "shutting down");
    assert_string_equal(peer_header(fresh, "google.rpc.retryinfo-bin"), "CgIIAQ");
    peer_wait(peer, check);
    assert_memory_equal(check->body.data, "\0\0\0\0\x02\x08\x02", 7);
    peer_finish(peer, half, BYTES("llo"));
    wait_submitted(f, 2);
    f->held[0].reply(f->held[0].ctx, &f->result);
    f->held[1].reply(f->held[1].ctx, &f->result);
    peer_wait(peer, old);
    peer_wait(peer, half);
    assert_string_equal(peer_header(old, "grpc-status"), "0");
    assert_string_equal(peer_header(half, "grpc-status"), "0");
    peer_wait_gone(peer);

    assert_int_equal(peer->goaways, 2);
    peer_close(peer);
    free(peer);
}

struct closing {
    struct fixture *f;
    struct thread thread;
};

static void reply_held(void *arg)
{
    struct closing *closing = arg;

    for (size_t i = 0; i < 2; i++) {
        closing->f->held[i].reply(closing->f->held[i].ctx, &closing->f->result);
    }
}

static void close_waits_for_replies_and_sends_them(void **state)
{
    struct fixture *f = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));
    struct closing closing = {.f = f};
    struct error err = {0};

    f->hold = true;
    peer_open(peer, receiver_port(f->receiver));
    struct peer_stream *stream =
        peer_send(peer, &(struct peer_request){.path = TRACES, .data = FRAME("\x01x")});
    peer_send(peer, &(struct peer_request){.path = TRACES, .data = FRAME("\x01x")});
    wait_submitted(f, 2);
    thread_start(&closing.thread, "reply", reply_held, &closing);
    receiver_close(f->receiver);
    thread_join(&closing.thread);
    peer_wait(peer, stream);
    assert_string_equal(peer_header(stream, "grpc-status"), "0");
    peer_close(peer);
    free(peer);
    assert_true(otlp_grpc_receiver_open(&f->receiver, &f->settings, 7, &f->ingest, &err));
}

static void close_does_not_wait_for_clients_that_never_finish(void **state)
{
    struct fixture *f = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));
    struct error err = {0};

    peer_open(peer, receiver_port(f->receiver));
    peer_send(peer, &(struct peer_request){.path = TRACES, .data = FRAME("\x05he"), .hold = true});
    peer_wait_settled(peer);
    receiver_close(f->receiver);
    peer_close(peer);
    free(peer);
    assert_int_equal(budget_used(&f->budget), 0);
    assert_true(otlp_grpc_receiver_open(&f->receiver, &f->settings, 7, &f->ingest, &err));
}

#define grpc_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        grpc_test(export_is_answered_with_five_zero_bytes_and_status_0),
        grpc_test(each_service_leads_to_its_signal),
        cmocka_unit_test_setup_teardown(who_is_not_known_is_refused_whatever_is_asked,
                                        setup_guarded, teardown),
        cmocka_unit_test_setup_teardown(little_is_read_of_a_request_whose_sender_is_not_known,
                                        setup_guarded, teardown),
        grpc_test(profiles_are_known_not_to_be_supported),
        grpc_test(a_body_in_single_bytes_is_put_together),
        grpc_test(the_content_type_may_have_proto_and_parameters),
        grpc_test(partial_success_is_told),
        grpc_test(a_hundred_streams_are_answered_by_another_thread_at_once),
        grpc_test(a_reply_for_a_client_that_has_gone_is_dropped),
        grpc_test(a_request_that_is_reset_before_its_end_is_not_submitted),
        grpc_test(compressed_messages_are_inflated),
        grpc_test(a_plain_message_may_come_with_an_encoding),
        grpc_test(a_message_that_inflates_beyond_the_limit_is_too_large),
        grpc_test(what_cannot_be_served_is_refused_in_one_header_block),
        grpc_test(an_unknown_method_is_named_and_escaped),
        grpc_test(an_unknown_encoding_is_answered_with_those_we_know),
        grpc_test(valid_timeouts_are_accepted),
        grpc_test(a_message_over_the_limit_is_read_and_refused),
        grpc_test(a_refused_request_that_never_ends_is_cut_off),
        grpc_test(without_memory_the_client_is_asked_to_come_back),
        grpc_test(errors_of_the_pipeline_follow_the_table),
        grpc_test(http1_is_told_of_the_other_port),
        grpc_test(a_port_in_use_is_an_error_of_its_own),
        grpc_test(health_check_knows_the_server_and_its_services),
        grpc_test(health_list_has_all_that_is_served),
        grpc_test(health_watch_stays_open_and_tells_when_the_receiver_drains),
        grpc_test(a_watcher_may_leave),
        grpc_test(a_draining_receiver_refuses_new_requests_and_finishes_old_ones),
        grpc_test(close_waits_for_replies_and_sends_them),
        grpc_test(close_does_not_wait_for_clients_that_never_finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
