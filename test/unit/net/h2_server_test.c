/*
 * h2_server_test.c - the HTTP/2 server on a thread of its own, called by well and badly behaved
 * clients.
 *
 * The handler echoes: the answer's body is the request's, its trailer x-len the length. Some paths
 * do other things, see on_end().
 */
#include "unit.h"

#include "h2_peer.h"

#include <poll.h>
#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/base/thread.h>
#include <spangate/net/address.h>
#include <spangate/net/h2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* :method POST, :scheme http, :path / from the static table; :authority x in letters */
#define MINIMAL "\x83\x86\x84\x01\x01x"

struct echo {
    struct loop *loop;
    struct h2_server *server;
    struct h2_server_config config;
    struct thread thread;
    struct thread answerer;
    uint64_t parked; /* token of the last request to /park */
    atomic_int parked_count;
    atomic_int closed_count;
    atomic_int found_gone;
    bool was_idle;
};

struct request {
    struct strbuf body;
    char path[64];
    bool unconsumed;
};

static void on_headers(void *ctx, struct h2_stream *stream, const struct h2_header *headers,
                       size_t count, bool end)
{
    struct request *request = mem_zalloc(1, sizeof(*request));

    (void)ctx;
    (void)end;
    strbuf_init(&request->body, 16 << 20);
    for (size_t i = 0; i < count; i++) {
        if (slice_equal_text(headers[i].name, ":path")) {
            (void)snprintf(request->path, sizeof(request->path), "%.*s", (int)headers[i].value.len,
                           (const char *)headers[i].value.data);
        }
    }
    h2_stream_set_ctx(stream, request);
    if (strcmp(request->path, "/reset") == 0) {
        h2_reset(stream, NGHTTP2_CANCEL);
    }
    if (strcmp(request->path, "/early") == 0) {
        const struct h2_header status = {slice_of(":status"), slice_of("403")};
        h2_respond(stream, &status, 1, (struct slice){0}, NULL, 0);
    }
    request->unconsumed = strcmp(request->path, "/hoard") == 0;
}

static void on_data(void *ctx, struct h2_stream *stream, struct slice data)
{
    struct request *request = h2_stream_ctx(stream);

    (void)ctx;
    strbuf_append_slice(&request->body, data);
    if (!request->unconsumed) {
        h2_consume(stream, data.len);
    }
}

static void answer(struct h2_stream *stream)
{
    struct request *request = h2_stream_ctx(stream);
    char len[24];

    (void)snprintf(len, sizeof(len), "%zu", request->body.len);
    const struct h2_header status = {slice_of(":status"), slice_of("200")};
    const struct h2_header trailer = {slice_of("x-len"), slice_of(len)};
    h2_respond(stream, &status, 1, strbuf_slice(&request->body), &trailer, 1);
}

static void on_end(void *ctx, struct h2_stream *stream)
{
    struct echo *echo = ctx;
    struct request *request = h2_stream_ctx(stream);
    const struct h2_header status = {slice_of(":status"), slice_of("200")};

    if (strcmp(request->path, "/park") == 0) {
        echo->parked = h2_stream_token(stream);
        atomic_fetch_add(&echo->parked_count, 1);
    } else if (strcmp(request->path, "/parts") == 0) {
        const struct h2_header trailer = {slice_of("x-end"), slice_of("yes")};
        h2_respond_begin(stream, &status, 1);
        for (int i = 0; i < 100; i++) {
            h2_respond_data(stream, slice_of("0123456789"));
        }
        h2_respond_end(stream, &trailer, 1);
    } else if (strcmp(request->path, "/open") == 0) {
        h2_respond_begin(stream, &status, 1);
        h2_respond_data(stream, slice_of("still here"));
    } else if (strcmp(request->path, "/bare") == 0) {
        h2_respond(stream, &status, 1, (struct slice){0}, NULL, 0);
    } else {
        answer(stream);
    }
}

static void on_close(void *ctx, struct h2_stream *stream)
{
    struct echo *echo = ctx;
    struct request *request = h2_stream_ctx(stream);

    strbuf_deinit(&request->body);
    free(request);
    atomic_fetch_add(&echo->closed_count, 1);
}

static void run(void *arg)
{
    struct echo *echo = arg;

    loop_run(echo->loop);
}

static void start(struct echo *echo)
{
    struct error err = {0};

    echo->config.endpoint = "127.0.0.1:0";
    echo->config.handler = (struct h2_handler){on_headers, on_data, on_end, on_close, echo};
    echo->loop = loop_new();
    assert_true(h2_server_open(&echo->server, echo->loop, &echo->config, &err));
    thread_start(&echo->thread, "echo", run, echo);
}

static void stop(struct echo *echo)
{
    loop_stop(echo->loop);
    thread_join(&echo->thread);
    h2_server_close(echo->server);
    loop_free(echo->loop);
}

static int setup(void **state)
{
    struct echo *echo = mem_zalloc(1, sizeof(*echo));

    start(echo);
    *state = echo;
    return 0;
}

static int teardown(void **state)
{
    struct echo *echo = *state;

    stop(echo);
    free(echo);
    return 0;
}

static uint16_t port(void **state)
{
    return h2_server_port(((struct echo *)*state)->server);
}

/* --- requests and answers --- */

static void a_request_is_answered_with_headers_body_and_trailers(void **state)
{
    struct peer_stream stream;

    peer_call(port(state), &(struct peer_request){.path = "/", .data = slice_of("ping")}, &stream);

    assert_true(stream.closed);
    assert_int_equal(stream.code, NGHTTP2_NO_ERROR);
    assert_int_equal(stream.status, 200);
    assert_int_equal(stream.header_blocks, 2);
    assert_int_equal(stream.body.len, 4);
    assert_memory_equal(stream.body.data, "ping", 4);
    assert_string_equal(peer_header(&stream, "x-len"), "4");
    peer_stream_deinit(&stream);
}

static void a_request_without_body_ends_too(void **state)
{
    struct peer_stream stream;

    peer_call(port(state), &(struct peer_request){.path = "/"}, &stream);

    assert_string_equal(peer_header(&stream, "x-len"), "0");
    peer_stream_deinit(&stream);
}

static void an_answer_without_body_is_one_header_block(void **state)
{
    struct peer_stream stream;

    peer_call(port(state), &(struct peer_request){.path = "/bare"}, &stream);

    assert_true(stream.trailers_only);
    assert_int_equal(stream.header_blocks, 1);
    peer_stream_deinit(&stream);
}

static void a_body_of_many_windows_arrives_whole(void **state)
{
    enum { LEN = 9 << 20 };
    char *data = mem_alloc(LEN);
    struct peer_stream stream;

    for (size_t i = 0; i < LEN; i++) {
        data[i] = (char)(i * 2654435761U >> 13);
    }
    peer_call(port(state),
              &(struct peer_request){.path = "/", .data = {(const uint8_t *)data, LEN}}, &stream);

    assert_int_equal(stream.body.len, LEN);
    assert_memory_equal(stream.body.data, data, LEN);
    assert_string_equal(peer_header(&stream, "x-len"), "9437184");
    peer_stream_deinit(&stream);
    free(data);
}

static void a_hundred_streams_at_once_are_all_answered(void **state)
{
    struct h2_peer *peer = mem_alloc(sizeof(*peer));
    char bodies[100][16];

    peer_open(peer, port(state));
    peer_wait_settled(peer);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(bodies[i], sizeof(bodies[i]), "request %d", i);
        peer_send(peer, &(struct peer_request){.path = "/", .data = slice_of(bodies[i])});
    }
    for (int i = 0; i < 100; i++) {
        peer_wait(peer, &peer->streams[i]);
        assert_int_equal(peer->streams[i].status, 200);
        assert_memory_equal(peer->streams[i].body.data, bodies[i], strlen(bodies[i]));
    }
    peer_close(peer);
    free(peer);
}

static void an_answer_in_parts_arrives_in_order(void **state)
{
    struct peer_stream stream;

    peer_call(port(state), &(struct peer_request){.path = "/parts"}, &stream);

    assert_int_equal(stream.body.len, 1000);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(stream.body.data[i], '0' + (int)(i % 10));
    }
    assert_string_equal(peer_header(&stream, "x-end"), "yes");
    peer_stream_deinit(&stream);
}

static void an_answer_may_stay_open(void **state)
{
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    peer_open(peer, port(state));
    struct peer_stream *open = peer_send(peer, &(struct peer_request){.path = "/open"});
    peer_wait_bytes(peer, open, 10);
    struct peer_stream *next = peer_send(peer, &(struct peer_request){.path = "/"});
    peer_wait(peer, next);

    assert_false(open->closed);
    assert_memory_equal(open->body.data, "still here", 10);
    peer_close(peer);
    free(peer);
}

static void a_client_with_a_closed_window_gets_its_answer_when_it_opens(void **state)
{
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    peer_open_window(peer, port(state), 0);
    struct peer_stream *stream =
        peer_send(peer, &(struct peer_request){.path = "/", .data = slice_of("wait for it")});
    struct peer_stream *bare = peer_send(peer, &(struct peer_request){.path = "/bare"});
    peer_wait(peer, bare); /* needs no window */
    assert_int_equal(stream->body.len, 0);
    assert_int_equal(nghttp2_submit_window_update(peer->session, 0, stream->id, 1000), 0);
    peer_flush(peer);
    peer_wait(peer, stream);

    assert_int_equal(stream->body.len, 11);
    peer_close(peer);
    free(peer);
}

static void a_stream_that_is_not_consumed_stops_at_its_window(void **state)
{
    enum { LEN = 2 << 20 };
    struct h2_peer *peer = mem_alloc(sizeof(*peer));
    uint8_t *data = mem_zalloc(1, LEN);

    peer_open(peer, port(state));
    peer_wait_settled(peer);
    struct peer_stream *hoard =
        peer_send(peer, &(struct peer_request){.path = "/hoard", .data = {data, LEN}});
    struct peer_stream *next = peer_send(peer, &(struct peer_request){.path = "/bare"});
    peer_wait(peer, next);

    assert_int_equal(hoard->sent, 1 << 20);
    assert_false(hoard->closed);
    peer_close(peer);
    free(peer);
    free(data);
}

static void a_reset_by_the_handler_reaches_the_client(void **state)
{
    struct peer_stream stream;

    peer_call(port(state), &(struct peer_request){.path = "/reset", .data = slice_of("x")},
              &stream);

    assert_int_equal(stream.code, NGHTTP2_CANCEL);
    peer_stream_deinit(&stream);
}

static void an_answer_before_the_end_of_the_request_stops_the_client(void **state)
{
    struct peer_stream stream;

    peer_call(port(state), &(struct peer_request){.path = "/early", .hold = true}, &stream);

    assert_int_equal(stream.status, 403);
    assert_int_equal(stream.code, NGHTTP2_NO_ERROR);
    peer_stream_deinit(&stream);
}

/* --- answers from other threads --- */

static void answer_parked(void *ctx)
{
    struct echo *echo = ctx;
    struct h2_stream *stream = h2_server_find(echo->server, echo->parked);

    if (stream == NULL) {
        atomic_fetch_add(&echo->found_gone, 1);
    } else {
        answer(stream);
    }
}

static void post_answer(void *arg)
{
    struct echo *echo = arg;

    loop_post(echo->loop, answer_parked, echo);
}

static void wait_for(atomic_int *count, int value)
{
    while (atomic_load(count) < value) {
        (void)poll(NULL, 0, 1);
    }
}

static void another_thread_answers_by_token(void **state)
{
    struct echo *echo = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    peer_open(peer, port(state));
    struct peer_stream *stream =
        peer_send(peer, &(struct peer_request){.path = "/park", .data = slice_of("later")});
    wait_for(&echo->parked_count, 1);
    thread_start(&echo->answerer, "answerer", post_answer, echo);
    peer_wait(peer, stream);
    thread_join(&echo->answerer);

    assert_int_equal(stream->body.len, 5);
    peer_close(peer);
    free(peer);
}

static void a_token_of_a_stream_that_is_gone_finds_nothing(void **state)
{
    struct echo *echo = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));
    struct peer_stream stream;

    peer_open(peer, port(state));
    peer_send(peer, &(struct peer_request){.path = "/park"});
    wait_for(&echo->parked_count, 1);
    peer_close(peer);
    free(peer);
    wait_for(&echo->closed_count, 1);
    /* Its slot is used again, but not under the old name. */
    peer_call(port(state), &(struct peer_request){.path = "/"}, &stream);
    peer_stream_deinit(&stream);
    post_answer(echo);
    wait_for(&echo->found_gone, 1);
}

/* --- who is not a proper client --- */

static void http1_is_told_what_this_port_is(void **state)
{
    static const char *const calls[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "PUT /a HTTP/1.1\r\nHost: x\r\n\r\n",
    };

    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        int fd = peer_connect(port(state));
        struct strbuf answer_text;
        strbuf_init(&answer_text, 4096);
        peer_write(fd, slice_of(calls[i]));
        peer_read_all(fd, &answer_text);
        assert_non_null(answer_text.data);
        assert_non_null(strstr(answer_text.data, "HTTP/1.1 400 Bad Request\r\n"));
        assert_non_null(strstr(answer_text.data, "this port speaks HTTP/2 only\n"));
        strbuf_deinit(&answer_text);
        (void)close(fd);
    }
}

static void http1_that_dribbles_is_told_as_well(void **state)
{
    int fd = peer_connect(port(state));
    struct strbuf text;

    strbuf_init(&text, 4096);
    peer_write(fd, slice_of("P"));
    peer_write(fd, slice_of("O"));
    peer_read_all(fd, &text);
    assert_non_null(strstr(text.data, " 400 "));
    strbuf_deinit(&text);
    (void)close(fd);
}

static void tls_and_noise_are_closed_without_a_word(void **state)
{
    static const struct slice calls[] = {
        {(const uint8_t *)"\x16\x03\x01\x02\x00\x01", 6},
        {(const uint8_t *)"\x00\x00\x00", 3},
        {(const uint8_t *)"\xff", 1},
    };

    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        int fd = peer_connect(port(state));
        struct strbuf text;
        strbuf_init(&text, 4096);
        peer_write(fd, calls[i]);
        peer_read_all(fd, &text);
        assert_int_equal(text.len, 0);
        strbuf_deinit(&text);
        (void)close(fd);
    }
}

static void a_preface_in_single_bytes_is_a_preface(void **state)
{
    struct h2_peer *peer = mem_alloc(sizeof(*peer));
    const uint8_t *data;
    ssize_t len;

    peer_open(peer, port(state));
    while ((len = nghttp2_session_mem_send(peer->session, &data)) > 0) {
        for (ssize_t i = 0; i < len; i++) {
            peer_write(peer->fd, (struct slice){data + i, 1});
        }
    }
    peer_wait_settled(peer);
    struct peer_stream *stream = peer_send(peer, &(struct peer_request){.path = "/"});
    peer_wait(peer, stream);

    assert_int_equal(stream->status, 200);
    peer_close(peer);
    free(peer);
}

/*
 * Every prefix of a request, then nothing more: the server closes its side of each and leaks
 * nothing.
 */
static void a_client_may_vanish_at_any_byte(void **state)
{
    struct echo *echo = *state;
    struct strbuf bytes;
    struct peer_stream stream;

    strbuf_init(&bytes, 4096);
    peer_preface(&bytes);
    peer_frame(&bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, MINIMAL, sizeof(MINIMAL) - 1);
    peer_frame(&bytes, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, "hello", 5);
    for (size_t len = 0; len <= bytes.len; len++) {
        int fd = peer_connect(port(state));
        peer_write(fd, (struct slice){(const uint8_t *)bytes.data, len});
        (void)close(fd);
    }
    strbuf_deinit(&bytes);
    peer_call(port(state), &(struct peer_request){.path = "/"}, &stream);
    assert_int_equal(stream.status, 200);
    peer_stream_deinit(&stream);
    (void)echo;
}

/* --- limits --- */

static void header_lists_over_16_kib_get_431(void **state)
{
    struct h2_peer *peer = mem_alloc(sizeof(*peer));
    static char value[4000];

    memset(value, 'v', sizeof(value) - 1);
    peer_open(peer, port(state));
    struct peer_request request = {.path = "/"};
    for (int i = 0; i < 3; i++) {
        request.extra[i][0] = "x-long";
        request.extra[i][1] = value;
    }
    struct peer_stream *fits = peer_send(peer, &request);
    request.extra[3][0] = "x-long";
    request.extra[3][1] = value;
    request.extra[4][0] = "x-long";
    request.extra[4][1] = value;
    struct peer_stream *over = peer_send(peer, &request);
    struct peer_stream *after = peer_send(peer, &(struct peer_request){.path = "/"});
    peer_wait(peer, fits);
    peer_wait(peer, over);
    peer_wait(peer, after);

    assert_int_equal(fits->status, 200);
    assert_int_equal(over->status, 431);
    assert_int_equal(after->status, 200);
    peer_close(peer);
    free(peer);
}

/* One entry in the dynamic table, named thousands of times: the list is counted unpacked. */
static void a_small_block_that_unpacks_to_much_gets_431(void **state)
{
    struct strbuf bytes;
    struct strbuf block;
    struct strbuf answer_bytes;
    static char value[4001];

    strbuf_init(&bytes, 1 << 20);
    strbuf_init(&block, 1 << 20);
    strbuf_init(&answer_bytes, 1 << 20);
    memset(value, 'v', 4000);
    strbuf_append(&block, MINIMAL, sizeof(MINIMAL) - 1);
    strbuf_append(&block, "\x40\x01x\x7f\xa1\x1e", 6); /* literal with indexing: x: 4000 bytes */
    strbuf_append(&block, value, 4000);
    for (int i = 0; i < 10000; i++) {
        strbuf_putc(&block, (char)0xbe); /* index 62 */
    }
    peer_preface(&bytes);
    peer_frame(&bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
               block.data, block.len);
    peer_frame(&bytes, NGHTTP2_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
    int fd = peer_connect(port(state));
    peer_write(fd, strbuf_slice(&bytes));
    peer_read_all(fd, &answer_bytes);

    /* HEADERS, END_HEADERS and END_STREAM, stream 1, :status with a literal of 3 digits */
    const void *found = memmem(answer_bytes.data, answer_bytes.len, "\x01\x05\0\0\0\x01", 6);
    assert_non_null(found);
    (void)close(fd);
    strbuf_deinit(&bytes);
    strbuf_deinit(&block);
    strbuf_deinit(&answer_bytes);
}

/* GOAWAY with this error within what the server sent. */
static bool has_goaway(const struct strbuf *bytes, uint8_t code)
{
    const uint8_t *at = (const uint8_t *)bytes->data;
    size_t left = bytes->len;

    while (left >= 9) {
        size_t len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        if (len > left - 9) {
            return false;
        }
        if (at[3] == NGHTTP2_GOAWAY && at[9 + 7] == code) {
            return true;
        }
        at += 9 + len;
        left -= 9 + len;
    }
    return false;
}

static void flood(void **state, uint8_t type, const char *payload, size_t len, int32_t id,
                  size_t times)
{
    struct strbuf bytes;
    struct strbuf answer_bytes;

    strbuf_init(&bytes, 1 << 20);
    strbuf_init(&answer_bytes, 1 << 20);
    peer_preface(&bytes);
    if (id != 0) {
        peer_frame(&bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, MINIMAL,
                   sizeof(MINIMAL) - 1);
    }
    for (size_t i = 0; i < times; i++) {
        peer_frame(&bytes, type, 0, id, payload, len);
    }
    int fd = peer_connect(port(state));
    peer_write(fd, strbuf_slice(&bytes));
    peer_read_all(fd, &answer_bytes);
    assert_true(has_goaway(&answer_bytes, NGHTTP2_ENHANCE_YOUR_CALM));
    (void)close(fd);
    strbuf_deinit(&bytes);
    strbuf_deinit(&answer_bytes);
}

/* DATA for a stream that was reset is thrown away, but not for ever. */
static void flood_closed_stream(void **state)
{
    struct strbuf bytes;
    struct strbuf answer_bytes;

    strbuf_init(&bytes, 16 << 20);
    strbuf_init(&answer_bytes, 1 << 20);
    peer_preface(&bytes);
    peer_frame(&bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, MINIMAL, sizeof(MINIMAL) - 1);
    peer_frame(&bytes, NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\x08", 4);
    for (size_t i = 0; i < 800000; i++) {
        peer_frame(&bytes, NGHTTP2_DATA, 0, 1, "x", 1);
    }
    int fd = peer_connect(port(state));
    peer_write(fd, strbuf_slice(&bytes));
    peer_read_all(fd, &answer_bytes); /* ends only because the server closes */
    (void)close(fd);
    strbuf_deinit(&bytes);
    strbuf_deinit(&answer_bytes);
}

static void floods_of_frames_that_do_nothing_end_the_connection(void **state)
{
    /* Fewer than nghttp2's own limit of 1000 acknowledgements would need are sent in one go. */
    flood(state, NGHTTP2_WINDOW_UPDATE, "\0\0\0\x01", 4, 0, 3000);
    flood(state, NGHTTP2_PRIORITY, "\0\0\0\0\x10", 5, 3, 3000);
    flood(state, NGHTTP2_DATA, "", 0, 1, 3000);
    flood_closed_stream(state);
}

static void a_flood_of_pings_ends_the_connection(void **state)
{
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    peer_open(peer, port(state));
    peer_wait_settled(peer);
    for (int round = 0; round < 100 && !peer->gone; round++) {
        for (int i = 0; i < 50; i++) {
            assert_int_equal(nghttp2_submit_ping(peer->session, 0, NULL), 0);
        }
        peer_flush(peer);
        (void)peer_read(peer);
    }
    peer_wait_gone(peer);

    assert_int_equal(peer->goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    peer_close(peer);
    free(peer);
}

static void resetting_stream_after_stream_ends_the_connection(void **state)
{
    struct strbuf bytes;
    struct strbuf answer_bytes;

    strbuf_init(&bytes, 1 << 20);
    strbuf_init(&answer_bytes, 1 << 20);
    peer_preface(&bytes);
    for (int32_t id = 1; id < 6000; id += 2) {
        peer_frame(&bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, MINIMAL,
                   sizeof(MINIMAL) - 1);
        peer_frame(&bytes, NGHTTP2_RST_STREAM, 0, id, "\0\0\0\x08", 4);
    }
    int fd = peer_connect(port(state));
    peer_write(fd, strbuf_slice(&bytes));
    peer_read_all(fd, &answer_bytes); /* ends only because the server closes */
    (void)close(fd);
    strbuf_deinit(&bytes);
    strbuf_deinit(&answer_bytes);
}

static void endless_continuations_end_the_connection(void **state)
{
    struct strbuf bytes;
    struct strbuf answer_bytes;

    strbuf_init(&bytes, 1 << 20);
    strbuf_init(&answer_bytes, 1 << 20);
    peer_preface(&bytes);
    peer_frame(&bytes, NGHTTP2_HEADERS, 0, 1, MINIMAL, sizeof(MINIMAL) - 1);
    for (int i = 0; i < 100; i++) {
        peer_frame(&bytes, NGHTTP2_CONTINUATION, 0, 1, "\x00\x01x\x01y", 5);
    }
    int fd = peer_connect(port(state));
    peer_write(fd, strbuf_slice(&bytes));
    peer_read_all(fd, &answer_bytes);
    (void)close(fd);
    strbuf_deinit(&bytes);
    strbuf_deinit(&answer_bytes);
}

static void one_connection_too_many_is_closed(void **state)
{
    (void)state;
    struct echo echo = {.config = {.max_connections = 2}};
    struct h2_peer *first = mem_alloc(sizeof(*first));
    struct h2_peer *second = mem_alloc(sizeof(*second));
    struct strbuf text;

    start(&echo);
    strbuf_init(&text, 4096);
    peer_open(first, h2_server_port(echo.server));
    peer_open(second, h2_server_port(echo.server));
    peer_wait_settled(first);
    peer_wait_settled(second);
    int third = peer_connect(h2_server_port(echo.server));
    peer_read_all(third, &text);

    assert_int_equal(text.len, 0);
    (void)close(third);
    struct peer_stream *stream = peer_send(first, &(struct peer_request){.path = "/"});
    peer_wait(first, stream);
    assert_int_equal(stream->status, 200);
    peer_close(first);
    peer_close(second);
    free(first);
    free(second);
    stop(&echo);
}

/* --- draining --- */

static void drain_server(void *ctx)
{
    struct echo *echo = ctx;

    h2_server_drain(echo->server);
}

static void draining_lets_streams_finish_and_then_closes(void **state)
{
    struct echo *echo = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    peer_open(peer, port(state));
    struct peer_stream *stream =
        peer_send(peer, &(struct peer_request){.path = "/park", .data = slice_of("last words")});
    wait_for(&echo->parked_count, 1);
    loop_post(echo->loop, drain_server, echo);
    while (peer->goaways < 2) {
        assert_true(peer_read(peer));
    }
    assert_int_equal(peer->goaway_last, stream->id);
    assert_false(stream->closed);
    post_answer(echo);
    peer_wait(peer, stream);
    assert_int_equal(stream->body.len, 10);
    peer_wait_gone(peer);

    assert_int_equal(peer->goaway_code, NGHTTP2_NO_ERROR);
    peer_close(peer);
    free(peer);
}

static void what_is_sent_between_the_two_goaways_is_served(void **state)
{
    struct echo *echo = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    peer_open(peer, port(state));
    peer_wait_settled(peer);
    loop_post(echo->loop, drain_server, echo);
    /* This client has not read the first GOAWAY yet. */
    struct peer_stream *stream =
        peer_send(peer, &(struct peer_request){.path = "/", .data = slice_of("raced")});
    peer_wait(peer, stream);
    assert_int_equal(stream->status, 200);
    peer_wait_gone(peer);

    assert_true(peer->goaways >= 1);
    peer_close(peer);
    free(peer);
}

static void a_drained_server_listens_no_more(void **state)
{
    struct echo *echo = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));
    int fd = -1;
    struct error err;

    peer_open(peer, port(state));
    peer_wait_settled(peer);
    loop_post(echo->loop, drain_server, echo);
    peer_wait_gone(peer);
    assert_false(address_connect("127.0.0.1", port(state), 5 * NS_PER_S, &fd, &err));

    assert_int_equal(err.code, ERR_UNAVAILABLE);
    peer_close(peer);
    free(peer);
}

static void look_if_idle(void *ctx)
{
    struct echo *echo = ctx;

    echo->was_idle = h2_server_is_idle(echo->server);
    atomic_fetch_add(&echo->found_gone, 1);
}

static void a_server_is_idle_when_no_stream_is_left(void **state)
{
    struct echo *echo = *state;
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    peer_open(peer, port(state));
    struct peer_stream *stream = peer_send(peer, &(struct peer_request){.path = "/park"});
    wait_for(&echo->parked_count, 1);
    loop_post(echo->loop, look_if_idle, echo);
    wait_for(&echo->found_gone, 1);
    assert_false(echo->was_idle);
    post_answer(echo);
    peer_wait(peer, stream);
    wait_for(&echo->closed_count, 1);
    loop_post(echo->loop, look_if_idle, echo);
    wait_for(&echo->found_gone, 2);

    assert_true(echo->was_idle);
    peer_close(peer);
    free(peer);
}

static void an_idle_connection_is_sent_away(void **state)
{
    (void)state;
    struct echo echo = {.config = {.idle_timeout_ns = 20 * NS_PER_MS}};
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    start(&echo);
    peer_open(peer, h2_server_port(echo.server));
    peer_wait_settled(peer);
    peer_wait_gone(peer);

    assert_true(peer->goaways >= 1);
    assert_int_equal(peer->goaway_code, NGHTTP2_NO_ERROR);
    peer_close(peer);
    free(peer);
    stop(&echo);
}

static void an_old_connection_is_sent_away_and_after_its_grace_cut(void **state)
{
    (void)state;
    struct echo echo = {.config = {.max_connection_age_ns = 20 * NS_PER_MS,
                                   .max_connection_age_grace_ns = 20 * NS_PER_MS}};
    struct h2_peer *peer = mem_alloc(sizeof(*peer));

    start(&echo);
    peer_open(peer, h2_server_port(echo.server));
    struct peer_stream *stream = peer_send(peer, &(struct peer_request){.path = "/park"});
    peer_wait_gone(peer);

    assert_int_equal(peer->goaways, 2);
    assert_false(stream->closed);
    peer_close(peer);
    free(peer);
    stop(&echo);
}

/*
 * A client that asks and asks and never reads must not make the server hold its answers without
 * end.
 */
static void who_does_not_read_is_not_read_either(void **state)
{
    struct h2_peer *peer = mem_alloc(sizeof(*peer));
    struct strbuf bytes;
    size_t written = 0;

    /* A window as large as can be, so that only TCP holds the answers back. */
    peer_open_window(peer, port(state), INT32_MAX);
    assert_int_equal(nghttp2_submit_window_update(peer->session, 0, 0, INT32_MAX - 65535), 0);
    peer_flush(peer);
    strbuf_init(&bytes, 64 << 20);
    char *chunk = mem_zalloc(1, 16384);
    int32_t id = 1;
    /*
     * Requests of 64 KiB to be echoed, until the socket takes no more: then the server has stopped
     * reading.
     */
    for (bool stuck = false; !stuck;) {
        strbuf_clear(&bytes);
        peer_frame(&bytes, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, MINIMAL,
                   sizeof(MINIMAL) - 1);
        for (int i = 0; i < 4; i++) {
            peer_frame(&bytes, NGHTTP2_DATA, i == 3 ? NGHTTP2_FLAG_END_STREAM : 0, id, chunk,
                       16384);
        }
        struct slice left = strbuf_slice(&bytes);
        while (left.len > 0 && !stuck) {
            struct pollfd fd = {.fd = peer->fd, .events = POLLOUT};
            stuck = poll(&fd, 1, 500) == 0;
            ssize_t sent =
                stuck ? 0 : send(peer->fd, left.data, left.len, MSG_DONTWAIT | MSG_NOSIGNAL);
            assert_true(sent >= 0);
            left = slice_from(left, (size_t)sent);
            written += (size_t)sent;
        }
        id += 2;
        assert_true(written < (size_t)64 << 20);
    }
    free(chunk);
    strbuf_deinit(&bytes);
    peer_close(peer);
    free(peer);
}

#define echo_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        echo_test(a_request_is_answered_with_headers_body_and_trailers),
        echo_test(a_request_without_body_ends_too),
        echo_test(an_answer_without_body_is_one_header_block),
        echo_test(a_body_of_many_windows_arrives_whole),
        echo_test(a_hundred_streams_at_once_are_all_answered),
        echo_test(an_answer_in_parts_arrives_in_order),
        echo_test(an_answer_may_stay_open),
        echo_test(a_client_with_a_closed_window_gets_its_answer_when_it_opens),
        echo_test(a_stream_that_is_not_consumed_stops_at_its_window),
        echo_test(a_reset_by_the_handler_reaches_the_client),
        echo_test(an_answer_before_the_end_of_the_request_stops_the_client),
        echo_test(another_thread_answers_by_token),
        echo_test(a_token_of_a_stream_that_is_gone_finds_nothing),
        echo_test(http1_is_told_what_this_port_is),
        echo_test(http1_that_dribbles_is_told_as_well),
        echo_test(tls_and_noise_are_closed_without_a_word),
        echo_test(a_preface_in_single_bytes_is_a_preface),
        echo_test(a_client_may_vanish_at_any_byte),
        echo_test(header_lists_over_16_kib_get_431),
        echo_test(a_small_block_that_unpacks_to_much_gets_431),
        echo_test(floods_of_frames_that_do_nothing_end_the_connection),
        echo_test(a_flood_of_pings_ends_the_connection),
        echo_test(resetting_stream_after_stream_ends_the_connection),
        echo_test(endless_continuations_end_the_connection),
        cmocka_unit_test(one_connection_too_many_is_closed),
        echo_test(draining_lets_streams_finish_and_then_closes),
        echo_test(what_is_sent_between_the_two_goaways_is_served),
        echo_test(a_drained_server_listens_no_more),
        echo_test(a_server_is_idle_when_no_stream_is_left),
        cmocka_unit_test(an_idle_connection_is_sent_away),
        cmocka_unit_test(an_old_connection_is_sent_away_and_after_its_grace_cut),
        echo_test(who_does_not_read_is_not_read_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
