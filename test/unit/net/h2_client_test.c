/*
 * h2_client_test.c - the client against our own server, and against sockets that do not behave.
 */
#include "unit.h"

#include <poll.h>
#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/base/thread.h>
#include <spangate/net/address.h>
#include <spangate/net/h2.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT (60 * NS_PER_S)

/* --- a server that echoes, and does what the path says --- */

struct server {
    struct loop *loop;
    struct h2_server *h2;
    struct thread thread;
    atomic_int requests;
    atomic_int refusals; /* streams to refuse before serving */
    uint16_t port;
};

struct request {
    struct strbuf body;
    char path[64];
};

static void on_headers(void *ctx, struct h2_stream *stream, const struct h2_header *headers,
                       size_t count, bool end)
{
    struct request *request = mem_zalloc(1, sizeof(*request));

    (void)ctx;
    (void)end;
    strbuf_init(&request->body, 64 << 20);
    for (size_t i = 0; i < count; i++) {
        if (slice_equal_text(headers[i].name, ":path")) {
            (void)snprintf(request->path, sizeof(request->path), "%.*s", (int)headers[i].value.len,
                           (const char *)headers[i].value.data);
        }
    }
    h2_stream_set_ctx(stream, request);
}

static void on_data(void *ctx, struct h2_stream *stream, struct slice data)
{
    (void)ctx;
    strbuf_append_slice(&((struct request *)h2_stream_ctx(stream))->body, data);
    h2_consume(stream, data.len);
}

static void drain(void *ctx)
{
    h2_server_drain(((struct server *)ctx)->h2);
}

static void on_end(void *ctx, struct h2_stream *stream)
{
    struct server *server = ctx;
    struct request *request = h2_stream_ctx(stream);
    const struct h2_header headers[] = {
        {slice_of(":status"), slice_of("200")},
        {slice_of("x-twice"), slice_of("first")},
        {slice_of("x-twice"), slice_of("second")},
    };
    const struct h2_header trailer = {slice_of("x-trailer"), slice_of("the end")};

    atomic_fetch_add(&server->requests, 1);
    if (atomic_load(&server->refusals) > 0) {
        atomic_fetch_sub(&server->refusals, 1);
        h2_reset(stream, 7 /* REFUSED_STREAM */);
    } else if (strcmp(request->path, "/silence") == 0) {
        return;
    } else if (strcmp(request->path, "/reset") == 0) {
        h2_reset(stream, 2 /* INTERNAL_ERROR */);
    } else if (strcmp(request->path, "/bare") == 0) {
        h2_respond(stream, headers, 3, (struct slice){0}, NULL, 0);
    } else if (strcmp(request->path, "/large") == 0) {
        uint8_t *large = mem_zalloc(1, (4 << 20) + 1);
        h2_respond(stream, headers, 3, (struct slice){large, (4 << 20) + 1}, NULL, 0);
        free(large);
    } else {
        if (strcmp(request->path, "/last") == 0) {
            loop_post(server->loop, drain, server);
        }
        h2_respond(stream, headers, 3, strbuf_slice(&request->body), &trailer, 1);
    }
}

static void on_close(void *ctx, struct h2_stream *stream)
{
    struct request *request = h2_stream_ctx(stream);

    (void)ctx;
    strbuf_deinit(&request->body);
    free(request);
}

static void run(void *arg)
{
    loop_run(((struct server *)arg)->loop);
}

static void server_start(struct server *server, uint16_t port)
{
    char endpoint[32];
    struct h2_server_config config = {
        .endpoint = endpoint,
        .handler = {on_headers, on_data, on_end, on_close, server},
    };
    struct error err = {0};

    (void)snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", (unsigned)port);
    server->loop = loop_new();
    assert_true(h2_server_open(&server->h2, server->loop, &config, &err));
    server->port = h2_server_port(server->h2);
    thread_start(&server->thread, "server", run, server);
}

static void server_stop(struct server *server)
{
    loop_stop(server->loop);
    thread_join(&server->thread);
    h2_server_close(server->h2);
    loop_free(server->loop);
}

struct fixture {
    struct server server;
    struct h2_client *client;
    struct h2_response response;
    struct error err;
};

static struct h2_client *client_of(uint16_t port)
{
    const struct h2_client_config config = {.host = "127.0.0.1", .port = port};

    return h2_client_new(&config);
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));

    server_start(&f->server, 0);
    f->client = client_of(f->server.port);
    h2_response_init(&f->response);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    h2_client_free(f->client);
    h2_response_deinit(&f->response);
    server_stop(&f->server);
    free(f);
    return 0;
}

static bool call(struct fixture *f, const char *path, struct slice body)
{
    const struct h2_header headers[] = {
        {slice_of(":method"), slice_of("POST")},
        {slice_of(":scheme"), slice_of("http")},
        {slice_of(":path"), slice_of(path)},
        {slice_of(":authority"), slice_of("localhost")},
    };

    return h2_client_call(f->client, headers, COUNT_OF(headers), body, TIMEOUT, &f->response,
                          &f->err);
}

static void a_call_brings_status_headers_body_and_trailers(void **state)
{
    struct fixture *f = *state;
    struct slice value;

    assert_true(call(f, "/", BYTES("ping")));

    assert_int_equal(f->response.status, 200);
    assert_int_equal(f->response.body.len, 4);
    assert_memory_equal(f->response.body.data, "ping", 4);
    assert_false(f->response.trailers_only);
    assert_true(h2_response_header(&f->response, "x-trailer", &value));
    assert_true(slice_equal_text(value, "the end"));
}

static void of_a_header_that_comes_twice_the_last_is_found(void **state)
{
    struct fixture *f = *state;
    struct slice value;

    assert_true(call(f, "/", BYTES("")));
    assert_true(h2_response_header(&f->response, "x-twice", &value));
    assert_true(slice_equal_text(value, "second"));
    assert_false(h2_response_header(&f->response, "x-twic", &value));
    assert_false(h2_response_header(&f->response, "x-absent", &value));
}

static void an_answer_in_one_header_block_is_trailers_only(void **state)
{
    struct fixture *f = *state;

    assert_true(call(f, "/bare", BYTES("x")));
    assert_true(f->response.trailers_only);
    assert_int_equal(f->response.body.len, 0);
}

static void one_connection_serves_many_calls(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 200; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "call %d", i);
        assert_true(call(f, "/", slice_of(text)));
        assert_memory_equal(f->response.body.data, text, strlen(text));
    }
    assert_int_equal(atomic_load(&f->server.requests), 200);
}

static void a_large_body_in_parts_arrives_whole(void **state)
{
    enum { LEN = 4 << 20 };
    struct fixture *f = *state;
    uint8_t *data = mem_alloc(LEN);
    const struct h2_header headers[] = {
        {slice_of(":method"), slice_of("POST")},
        {slice_of(":scheme"), slice_of("http")},
        {slice_of(":path"), slice_of("/")},
        {slice_of(":authority"), slice_of("localhost")},
    };

    for (size_t i = 0; i < LEN; i++) {
        data[i] = (uint8_t)(i * 2654435761U >> 11);
    }
    const struct slice parts[] = {
        {data, 5}, {0}, {data + 5, 100000}, {data + 100005, LEN - 100005}};
    assert_true(h2_client_callv(f->client, headers, COUNT_OF(headers), parts, COUNT_OF(parts),
                                TIMEOUT, &f->response, &f->err));

    assert_int_equal(f->response.body.len, LEN);
    assert_memory_equal(f->response.body.data, data, LEN);
    free(data);
}

static void an_answer_over_4_mib_is_too_large(void **state)
{
    struct fixture *f = *state;

    assert_false(call(f, "/large", BYTES("x")));
    assert_int_equal(f->err.code, ERR_TOO_LARGE);
    assert_true(call(f, "/", BYTES("and the next one works")));
}

static void a_reset_stream_is_named(void **state)
{
    struct fixture *f = *state;

    assert_false(call(f, "/reset", BYTES("x")));
    assert_int_equal(f->err.code, ERR_UNAVAILABLE);
    assert_string_equal(f->err.message, "the server reset the stream: INTERNAL_ERROR");
    assert_int_equal(atomic_load(&f->server.requests), 1);
    assert_true(call(f, "/", BYTES("and the next one works")));
}

static void a_refused_stream_is_tried_once_more(void **state)
{
    struct fixture *f = *state;

    atomic_store(&f->server.refusals, 1);
    assert_true(call(f, "/", BYTES("x")));
    assert_int_equal(atomic_load(&f->server.requests), 2);
    atomic_store(&f->server.refusals, 2);
    assert_false(call(f, "/", BYTES("x")));
    assert_int_equal(atomic_load(&f->server.requests), 4);
    assert_string_equal(f->err.message, "the server refused the stream");
}

static void after_goaway_the_next_call_connects_anew(void **state)
{
    struct fixture *f = *state;

    assert_true(call(f, "/last", BYTES("x")));
    /* The next server has the same port, once the first one has left it. */
    server_stop(&f->server);
    server_start(&f->server, f->server.port);
    assert_true(call(f, "/", BYTES("y")));
    assert_int_equal(f->response.body.data[0], 'y');
}

static void a_connection_that_was_lost_is_made_again(void **state)
{
    struct fixture *f = *state;

    assert_true(call(f, "/", BYTES("x")));
    server_stop(&f->server);
    server_start(&f->server, f->server.port);
    assert_true(call(f, "/", BYTES("y")));
}

static void a_deadline_ends_a_call_without_answer(void **state)
{
    struct fixture *f = *state;
    const struct h2_header headers[] = {
        {slice_of(":method"), slice_of("POST")},
        {slice_of(":scheme"), slice_of("http")},
        {slice_of(":path"), slice_of("/silence")},
        {slice_of(":authority"), slice_of("localhost")},
    };

    assert_false(h2_client_call(f->client, headers, COUNT_OF(headers), BYTES("x"), 20 * NS_PER_MS,
                                &f->response, &f->err));
    assert_int_equal(f->err.code, ERR_UNAVAILABLE);
    assert_string_equal(f->err.message, "deadline exceeded while waiting for the answer");
    assert_true(call(f, "/", BYTES("and the next one works")));
}

static void interrupt_soon(void *arg)
{
    struct fixture *f = arg;

    while (atomic_load(&f->server.requests) == 0) {
        (void)poll(NULL, 0, 1);
    }
    h2_client_interrupt(f->client);
}

static void an_interrupt_ends_this_call_and_all_later_ones(void **state)
{
    struct fixture *f = *state;
    struct thread thread = {0};

    thread_start(&thread, "interrupt", interrupt_soon, f);
    assert_false(call(f, "/silence", BYTES("x")));
    thread_join(&thread);
    assert_int_equal(f->err.code, ERR_UNAVAILABLE);
    assert_string_equal(f->err.message, "interrupted while waiting for the answer");
    assert_false(call(f, "/", BYTES("x")));
    assert_string_equal(f->err.message, "interrupted");
    assert_int_equal(atomic_load(&f->server.requests), 1);
}

static void a_server_that_is_not_there_is_named(void **state)
{
    struct fixture *f = *state;
    char expected[80];

    server_stop(&f->server);
    assert_false(call(f, "/", BYTES("x")));
    assert_int_equal(f->err.code, ERR_UNAVAILABLE);
    (void)snprintf(expected, sizeof(expected), "connect 127.0.0.1:%u: Connection refused",
                   (unsigned)f->server.port);
    assert_string_equal(f->err.message, expected);
    server_start(&f->server, f->server.port);
}

/* --- servers that do not speak HTTP/2 --- */

struct script {
    int listener;
    struct slice answer;
    struct thread thread;
};

static void say_and_hang_up(void *arg)
{
    struct script *script = arg;
    char buf[65536];
    struct pollfd listener = {.fd = script->listener, .events = POLLIN};

    (void)poll(&listener, 1, -1);
    int fd = accept(script->listener, NULL, NULL);
    /* One read first: closing while bytes are unread would reset the connection. */
    (void)!recv(fd, buf, sizeof(buf), 0);
    (void)!send(fd, script->answer.data, script->answer.len, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, buf, sizeof(buf), 0) > 0) {
        /* until the client closes */
    }
    (void)close(fd);
}

static void call_script(struct slice answer, struct error *err)
{
    struct script script = {.answer = answer};
    struct fixture f = {.client = NULL};
    int fds[ADDRESS_SOCKETS_MAX];
    size_t count = 0;
    uint16_t port = 0;

    assert_true(address_listen("127.0.0.1:0", fds, &count, &port, err));
    script.listener = fds[0];
    f.client = client_of(port);
    h2_response_init(&f.response);
    thread_start(&script.thread, "script", say_and_hang_up, &script);
    assert_false(call(&f, "/", BYTES("x")));
    *err = f.err;
    h2_client_free(f.client);
    thread_join(&script.thread);
    h2_response_deinit(&f.response);
    (void)close(fds[0]);
}

static void http1_where_http2_was_expected_is_recognised(void **state)
{
    (void)state;
    struct error err = {0};

    call_script(BYTES("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), &err);
    assert_non_null(strstr(err.message, "speaks HTTP/1"));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
}

static void tls_where_clear_text_was_expected_is_recognised(void **state)
{
    (void)state;
    struct error err = {0};

    call_script(BYTES("\x15\x03\x03\x00\x02\x02\x46"), &err);
    assert_non_null(strstr(err.message, "expects TLS"));
}

static void a_server_that_hangs_up_is_reported(void **state)
{
    (void)state;
    struct error err = {0};

    call_script(BYTES(""), &err);
    assert_string_equal(err.message, "the server closed the connection");
    assert_int_equal(err.code, ERR_UNAVAILABLE);
}

static void noise_is_an_error_and_no_crash(void **state)
{
    (void)state;
    struct error err = {0};

    call_script(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), &err);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
}

#define server_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_test(a_call_brings_status_headers_body_and_trailers),
        server_test(of_a_header_that_comes_twice_the_last_is_found),
        server_test(an_answer_in_one_header_block_is_trailers_only),
        server_test(one_connection_serves_many_calls),
        server_test(a_large_body_in_parts_arrives_whole),
        server_test(an_answer_over_4_mib_is_too_large),
        server_test(a_reset_stream_is_named),
        server_test(a_refused_stream_is_tried_once_more),
        server_test(after_goaway_the_next_call_connects_anew),
        server_test(a_connection_that_was_lost_is_made_again),
        server_test(a_deadline_ends_a_call_without_answer),
        server_test(an_interrupt_ends_this_call_and_all_later_ones),
        server_test(a_server_that_is_not_there_is_named),
        cmocka_unit_test(http1_where_http2_was_expected_is_recognised),
        cmocka_unit_test(tls_where_clear_text_was_expected_is_recognised),
        cmocka_unit_test(a_server_that_hangs_up_is_reported),
        cmocka_unit_test(noise_is_an_error_and_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
