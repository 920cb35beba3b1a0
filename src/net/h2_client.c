/*
 * h2_client.c - an HTTP/2 client: one connection, one request at a time, blocking with a deadline.
 *
 * nghttp2 makes the frames; the bodies of DATA frames are sent from where the caller keeps them
 * (writev(2)), so a request of many MiB is not copied. Over TLS they are copied once, into full
 * records. Waiting is poll(2) on the socket and an eventfd that h2_client_interrupt() makes
 * readable for good.
 *
 * A connection that failed, or did not answer in time, is closed; the next call connects anew.
 */
#include "connect.h"
#include "h2_nv.h"
#include "tls.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 * 1024,
    STORE_BYTES = 64 * 1024, /* frame headers and small frames; over TLS everything */
    FRAME_MAX = 9 + 16384,
    PIECES = 64,
    PARTS_MAX = 8,
    RESPONSE_BODY_MAX = 4 << 20,
    RESPONSE_HEADERS_MAX = 64 * 1024,
};

/* One request on its way. */
struct call {
    int32_t stream_id;
    const struct slice *parts;
    size_t part_count;
    size_t part_at;     /* sent up to here: this part… */
    size_t part_offset; /* …and this byte of it */
    size_t body_left;
    struct h2_response *response;
    bool headers_done; /* those of the final answer, not of a 1xx */
    bool closed;
    bool too_large;
    uint32_t close_code;
};

struct h2_client {
    struct h2_client_config config; /* strings are ours */
    int wake_fd;

    int fd; /* -1: not connected */
    struct tls *tls;
    nghttp2_session *session;
    uint64_t answers; /* streams this connection has completed */
    bool heard;       /* the first bytes of the server were looked at */
    bool goaway;
    struct call *call;

    uint8_t *read_buf;
    /* What is to be written: pieces in order, pointing into store or into the caller's body. */
    uint8_t *store;
    size_t store_len;
    struct iovec pieces[PIECES];
    size_t piece_at;
    size_t piece_count;
    bool blocked; /* a DATA frame waits for room in store or pieces */
};

static char *copy_text(const char *text)
{
    return text == NULL ? NULL : mem_strdup(text);
}

struct h2_client *h2_client_new(const struct h2_client_config *config)
{
    struct h2_client *client = mem_zalloc(1, sizeof(*client));

    client->config = *config;
    client->config.host = copy_text(config->host);
    client->config.ca_file = copy_text(config->ca_file);
    client->config.cert_file = copy_text(config->cert_file);
    client->config.key_file = copy_text(config->key_file);
    client->config.server_name = copy_text(config->server_name);
    client->fd = -1;
    client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(client->wake_fd >= 0);
    client->read_buf = mem_alloc(READ_BYTES);
    client->store = mem_alloc(STORE_BYTES);
    return client;
}

static void disconnect(struct h2_client *client)
{
    if (client->session != NULL) {
        nghttp2_session_del(client->session);
        client->session = NULL;
    }
    tls_close(client->tls);
    client->tls = NULL;
    if (client->fd >= 0) {
        (void)close(client->fd);
        client->fd = -1;
    }
    client->answers = 0;
    client->heard = false;
    client->goaway = false;
    client->store_len = 0;
    client->piece_at = 0;
    client->piece_count = 0;
    client->blocked = false;
}

static void free_text(const char *text)
{
    union {
        const char *in;
        char *out;
    } owned = {.in = text};
    free(owned.out);
}

void h2_client_free(struct h2_client *client)
{
    if (client == NULL) {
        return;
    }
    disconnect(client);
    (void)close(client->wake_fd);
    free_text(client->config.host);
    free_text(client->config.ca_file);
    free_text(client->config.cert_file);
    free_text(client->config.key_file);
    free_text(client->config.server_name);
    free(client->read_buf);
    free(client->store);
    free(client);
}

void h2_client_interrupt(struct h2_client *client)
{
    const uint64_t one = 1;

    ssize_t written = write(client->wake_fd, &one, sizeof(one));
    (void)written;
}

/* --- what nghttp2 tells --- */

static struct call *call_of(struct h2_client *client, int32_t id)
{
    return client->call != NULL && client->call->stream_id == id ? client->call : NULL;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct call *call = call_of(user, frame->hd.stream_id);

    (void)session;
    if (call != NULL && !call->headers_done) {
        strbuf_clear(&call->response->headers); /* what a 1xx said */
        call->response->status = 0;
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct call *call = call_of(user, frame->hd.stream_id);
    struct slice name_view = {name, name_len};

    (void)session;
    (void)flags;
    if (call == NULL) {
        return 0;
    }
    if (name_len > 0 && name[0] == ':') {
        if (slice_equal_text(name_view, ":status")) {
            int status = 0;
            for (size_t i = 0; i < value_len && i < 3; i++) {
                status = 10 * status + (value[i] - '0'); /* nghttp2 made sure of the digits */
            }
            call->response->status = status;
        }
        return 0;
    }
    strbuf_append_slice(&call->response->headers, name_view);
    strbuf_append_text(&call->response->headers, ": ");
    strbuf_append(&call->response->headers, value, value_len);
    strbuf_putc(&call->response->headers, '\n');
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_client *client = user;
    struct call *call = call_of(client, frame->hd.stream_id);

    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        client->goaway = true;
    } else if (frame->hd.type == NGHTTP2_HEADERS && call != NULL && !call->headers_done &&
               call->response->status >= 200) {
        call->headers_done = true;
        call->response->trailers_only = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *user)
{
    struct call *call = call_of(user, id);

    (void)flags;
    if (call == NULL || call->too_large) {
        return 0;
    }
    strbuf_append(&call->response->body, data, len);
    if (call->response->body.overflow) {
        call->too_large = true;
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct call *call = call_of(user, id);

    (void)session;
    if (call != NULL) {
        call->closed = true;
        call->close_code = code;
    }
    return 0;
}

/* --- writing --- */

static bool has_room(const struct h2_client *client, size_t bytes, size_t pieces)
{
    return client->store_len + bytes <= STORE_BYTES && client->piece_count + pieces <= PIECES;
}

static void put_view(struct h2_client *client, const uint8_t *data, size_t len)
{
    union {
        const uint8_t *in;
        void *out;
    } base = {.in = data};
    client->pieces[client->piece_count++] = (struct iovec){.iov_base = base.out, .iov_len = len};
}

/* Copied; grows the last piece when that ends where the store ends. */
static void put_copy(struct h2_client *client, const uint8_t *data, size_t len)
{
    uint8_t *at = client->store + client->store_len;

    memcpy(at, data, len);
    client->store_len += len;
    if (client->piece_count > client->piece_at) {
        struct iovec *last = &client->pieces[client->piece_count - 1];
        if ((uint8_t *)last->iov_base + last->iov_len == at) {
            last->iov_len += len;
            return;
        }
    }
    put_view(client, at, len);
}

/* How long the next DATA frame is; its bytes are taken by send_data(). */
static ssize_t next_data(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct call *call = source->ptr;

    (void)session;
    (void)id;
    (void)buf;
    (void)user;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (call->body_left <= len) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return (ssize_t)call->body_left;
    }
    return (ssize_t)len;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                     size_t len, nghttp2_data_source *source, void *user)
{
    struct h2_client *client = user;
    struct call *call = source->ptr;

    (void)session;
    (void)frame;
    if (!has_room(client, 9 + (client->tls != NULL ? len : 0), PARTS_MAX + 1)) {
        client->blocked = true;
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    put_copy(client, head, 9);
    call->body_left -= len;
    while (len > 0) {
        struct slice part = slice_from(call->parts[call->part_at], call->part_offset);
        size_t take = part.len < len ? part.len : len;
        if (take == 0) {
            call->part_at++;
            call->part_offset = 0;
            continue;
        }
        if (client->tls != NULL) {
            put_copy(client, part.data, take);
        } else {
            put_view(client, part.data, take);
        }
        call->part_offset += take;
        len -= take;
    }
    return 0;
}

static bool broken(struct error *err, const char *what, int code)
{
    return error_set(err, ERR_UNAVAILABLE, "%s: %s", what, nghttp2_strerror(code));
}

/* Collect frames until there is no more room or nothing to send. */
static bool fill(struct h2_client *client, struct error *err)
{
    client->blocked = false;
    while (has_room(client, FRAME_MAX, PARTS_MAX + 1)) {
        const uint8_t *data;
        ssize_t len = nghttp2_session_mem_send(client->session, &data);
        if (len < 0) {
            return broken(err, "send", (int)len);
        }
        if (len == 0) {
            return true;
        }
        put_copy(client, data, (size_t)len);
    }
    client->blocked = true;
    return true;
}

/* Bytes written of what is collected; 0 when the socket takes no more. */
static bool write_some(struct h2_client *client, size_t *written, struct error *err)
{
    struct iovec *first = &client->pieces[client->piece_at];

    *written = 0;
    if (client->tls != NULL) {
        switch (tls_write(client->tls, first->iov_base, first->iov_len, written, err)) {
        case TLS_FAILED:
            return false;
        case TLS_CLOSED:
            return error_set(err, ERR_UNAVAILABLE, "the server closed the connection");
        default:
            return true; /* a write that wants to read first is tried again after the next poll */
        }
    }
    const struct msghdr message = {
        .msg_iov = first,
        .msg_iovlen = client->piece_count - client->piece_at,
    };
    ssize_t sent = sendmsg(client->fd, &message, MSG_NOSIGNAL);
    if (sent >= 0) {
        *written = (size_t)sent;
        return true;
    }
    if (errno == EAGAIN || errno == EINTR) {
        return true;
    }
    (void)error_set_errno(err, errno, "send");
    err->code = ERR_UNAVAILABLE;
    return false;
}

static void advance(struct h2_client *client, size_t written)
{
    while (written > 0) {
        struct iovec *first = &client->pieces[client->piece_at];
        size_t part = written < first->iov_len ? written : first->iov_len;
        first->iov_base = (uint8_t *)first->iov_base + part;
        first->iov_len -= part;
        written -= part;
        if (first->iov_len == 0) {
            client->piece_at++;
        }
    }
    if (client->piece_at == client->piece_count) {
        client->piece_at = 0;
        client->piece_count = 0;
        client->store_len = 0;
    }
}

/* Send until nothing is left or the socket is full (*full). */
static bool write_all(struct h2_client *client, bool *full, struct error *err)
{
    *full = false;
    for (;;) {
        size_t written;
        if (client->piece_count == 0) {
            if (!fill(client, err)) {
                return false;
            }
            if (client->piece_count == 0) {
                return true;
            }
        }
        if (!write_some(client, &written, err)) {
            return false;
        }
        if (written == 0) {
            *full = true;
            return true;
        }
        advance(client, written);
    }
}

/* --- reading --- */

/* What answers in clear text, or in HTTP/1, where HTTP/2 was expected. */
static bool look_at_first(struct h2_client *client, const uint8_t *data, size_t len,
                          struct error *err)
{
    if (client->heard) {
        return true;
    }
    client->heard = true;
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        return error_set(
            err, ERR_UNAVAILABLE,
            "the server at %s:%u speaks HTTP/1: OTLP/HTTP has another port (4318 by default)",
            client->config.host, (unsigned)client->config.port);
    }
    if (len >= 2 && client->tls == NULL && (data[0] == 0x15 || data[0] == 0x16) && data[1] == 3) {
        return error_set(err, ERR_UNAVAILABLE, "the server at %s:%u expects TLS",
                         client->config.host, (unsigned)client->config.port);
    }
    return true;
}

/* *len 0: nothing to read now. */
static bool read_some(struct h2_client *client, size_t *len, struct error *err)
{
    *len = 0;
    if (client->tls != NULL) {
        switch (tls_read(client->tls, client->read_buf, READ_BYTES, len, err)) {
        case TLS_FAILED:
            return false;
        case TLS_CLOSED:
            return error_set(err, ERR_UNAVAILABLE, "the server closed the connection");
        default:
            return true;
        }
    }
    ssize_t got = recv(client->fd, client->read_buf, READ_BYTES, 0);
    if (got > 0) {
        *len = (size_t)got;
        return true;
    }
    if (got == 0) {
        return error_set(err, ERR_UNAVAILABLE, "the server closed the connection");
    }
    if (errno == EAGAIN || errno == EINTR) {
        return true;
    }
    (void)error_set_errno(err, errno, "receive");
    err->code = ERR_UNAVAILABLE;
    return false;
}

/* All that has arrived. */
static bool read_all(struct h2_client *client, struct error *err)
{
    for (;;) {
        size_t len;
        if (!read_some(client, &len, err)) {
            return false;
        }
        if (len == 0) {
            return true;
        }
        if (!look_at_first(client, client->read_buf, len, err)) {
            return false;
        }
        ssize_t used = nghttp2_session_mem_recv(client->session, client->read_buf, len);
        if (used < 0) {
            return broken(err, "HTTP/2", (int)used);
        }
        if (client->call == NULL || client->call->closed) {
            return true;
        }
    }
}

/* --- connecting --- */

static bool session_new(struct h2_client *client, struct error *err)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
    };
    nghttp2_session_callbacks *callbacks = NULL;

    int rc = nghttp2_session_callbacks_new(&callbacks);
    assert(rc == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
    rc = nghttp2_session_client_new(&client->session, callbacks, client);
    nghttp2_session_callbacks_del(callbacks);
    if (rc == 0) {
        rc = nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, settings,
                                     COUNT_OF(settings));
    }
    if (rc == 0) {
        rc = nghttp2_session_set_local_window_size(client->session, NGHTTP2_FLAG_NONE, 0,
                                                   H2_CONNECTION_WINDOW);
    }
    return rc == 0 || broken(err, "start HTTP/2", rc);
}

static bool start_tls(struct h2_client *client, uint64_t deadline_ns, struct error *err)
{
    const struct h2_client_config *config = &client->config;
    const struct tls_options options = {
        .server_name = config->server_name != NULL ? config->server_name : config->host,
        .skip_verify = config->insecure_skip_verify,
        .ca_file = config->ca_file,
        .cert_file = config->cert_file,
        .key_file = config->key_file,
    };

    if (!tls_open(&client->tls, client->fd, &options, err)) {
        return false;
    }
    for (;;) {
        short events = POLLIN;
        switch (tls_handshake(client->tls, err)) {
        case TLS_DONE:
            return true;
        case TLS_CLOSED:
            return error_set(err, ERR_UNAVAILABLE,
                             "TLS handshake: the server closed the connection");
        case TLS_FAILED:
            return false;
        case TLS_WANT_WRITE:
            events = POLLOUT;
            break;
        case TLS_WANT_READ:
            break;
        }
        if (!wait_until(client->fd, events, deadline_ns, client->wake_fd,
                        "waiting for the TLS handshake", err)) {
            return false;
        }
    }
}

static bool open_connection(struct h2_client *client, uint64_t deadline_ns, struct error *err)
{
    if (!connect_until(client->config.host, client->config.port, deadline_ns, client->wake_fd,
                       &client->fd, err)) {
        return false;
    }
    if ((client->config.tls && !start_tls(client, deadline_ns, err)) || !session_new(client, err)) {
        disconnect(client);
        return error_wrap(err, "connect %s:%u", client->config.host, (unsigned)client->config.port);
    }
    return true;
}

/*
 * Whether the connection of an earlier call can take another one: read what came meanwhile and see.
 */
static bool is_usable(struct h2_client *client)
{
    struct error ignored;

    return client->session != NULL && read_all(client, &ignored) && !client->goaway &&
           nghttp2_session_check_request_allowed(client->session) != 0;
}

/* --- calls --- */

/* Send and receive until the stream is closed. */
static bool run(struct h2_client *client, struct call *call, uint64_t deadline_ns,
                struct error *err)
{
    while (!call->closed) {
        bool full;
        if (!write_all(client, &full, err)) {
            /* Who refuses a request may answer and close before it is all sent. */
            bool heard = read_all(client, err);
            (void)heard;
            return call->closed;
        }
        if (call->closed) {
            return true; /* by a reset of ours */
        }
        if (!wait_until(client->fd, (short)(POLLIN | (full ? POLLOUT : 0)), deadline_ns,
                        client->wake_fd, "waiting for the answer", err)) {
            return false;
        }
        if (!read_all(client, err)) {
            return call->closed;
        }
    }
    return true;
}

static bool submit(struct h2_client *client, struct call *call, const struct h2_header *headers,
                   size_t count, struct error *err)
{
    const nghttp2_data_provider provider = {.source.ptr = call, .read_callback = next_data};
    nghttp2_nv nva[H2_NV_MAX];

    h2_nv_fill(nva, headers, count);
    int32_t id = nghttp2_submit_request(client->session, NULL, nva, count,
                                        call->body_left > 0 ? &provider : NULL, NULL);
    if (id < 0) {
        return broken(err, "start a request", id);
    }
    call->stream_id = id;
    return true;
}

enum attempt { ATTEMPT_ANSWERED, ATTEMPT_AGAIN, ATTEMPT_FAILED };

/* What became of a stream that is closed. */
static enum attempt judge(struct h2_client *client, const struct call *call, struct error *err)
{
    struct h2_response *response = call->response;

    if (call->too_large) {
        (void)error_set(err, ERR_TOO_LARGE, "the answer is larger than %d bytes",
                        (int)RESPONSE_BODY_MAX);
        return ATTEMPT_FAILED;
    }
    if (call->close_code == NGHTTP2_REFUSED_STREAM && !call->headers_done) {
        (void)error_set(err, ERR_UNAVAILABLE, "the server refused the stream");
        return ATTEMPT_AGAIN; /* it promises not to have looked at it */
    }
    if (call->close_code != NGHTTP2_NO_ERROR || !call->headers_done) {
        (void)error_set(err, ERR_UNAVAILABLE, "the server reset the stream: %s",
                        nghttp2_http2_strerror(call->close_code));
        return ATTEMPT_FAILED;
    }
    if (response->headers.overflow) {
        (void)error_set(err, ERR_TOO_LARGE, "the headers of the answer are larger than %d bytes",
                        (int)RESPONSE_HEADERS_MAX);
        return ATTEMPT_FAILED;
    }
    client->answers++;
    return ATTEMPT_ANSWERED;
}

/*
 * Our RST_STREAM, window updates: what the kernel takes at once, the rest goes with the next call.
 */
static void send_rest(struct h2_client *client)
{
    struct error ignored;
    bool full;

    if (!write_all(client, &full, &ignored)) {
        disconnect(client);
    }
}

static enum attempt attempt(struct h2_client *client, const struct h2_header *headers, size_t count,
                            const struct slice *parts, size_t part_count, uint64_t deadline_ns,
                            struct h2_response *response, struct error *err)
{
    struct call call = {.parts = parts, .part_count = part_count, .response = response};
    bool reused = is_usable(client);

    strbuf_clear(&response->headers);
    strbuf_clear(&response->body);
    response->status = 0;
    response->trailers_only = false;
    for (size_t i = 0; i < part_count; i++) {
        call.body_left += parts[i].len;
    }
    if (!reused) {
        disconnect(client);
        if (!open_connection(client, deadline_ns, err)) {
            return ATTEMPT_FAILED;
        }
    }
    if (!submit(client, &call, headers, count, err)) {
        disconnect(client);
        return ATTEMPT_FAILED;
    }
    client->call = &call;
    bool closed = run(client, &call, deadline_ns, err);
    client->call = NULL;
    if (!closed) {
        disconnect(client);
        /* An idle connection that the server closed while our request was on its way. */
        bool raced = reused && !call.headers_done && clock_monotonic(&clock_system) < deadline_ns;
        return raced ? ATTEMPT_AGAIN : ATTEMPT_FAILED;
    }
    enum attempt result = judge(client, &call, err);
    if (client->piece_count > 0 || call.body_left > 0 || result != ATTEMPT_ANSWERED) {
        disconnect(client); /* frames of this body may be half sent, and the body goes away now */
    } else {
        send_rest(client);
    }
    return result;
}

static bool is_interrupted(const struct h2_client *client)
{
    struct pollfd wake = {.fd = client->wake_fd, .events = POLLIN};

    return poll(&wake, 1, 0) > 0;
}

bool h2_client_callv(struct h2_client *client, const struct h2_header *headers, size_t count,
                     const struct slice *parts, size_t part_count, uint64_t timeout_ns,
                     struct h2_response *response, struct error *err)
{
    uint64_t now = clock_monotonic(&clock_system);
    uint64_t deadline_ns = timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;

    assert(part_count <= PARTS_MAX);
    if (is_interrupted(client)) {
        return error_set(err, ERR_UNAVAILABLE, "interrupted");
    }
    enum attempt result =
        attempt(client, headers, count, parts, part_count, deadline_ns, response, err);
    if (result == ATTEMPT_AGAIN && !is_interrupted(client)) {
        result = attempt(client, headers, count, parts, part_count, deadline_ns, response, err);
    }
    return result == ATTEMPT_ANSWERED;
}

bool h2_client_call(struct h2_client *client, const struct h2_header *headers, size_t count,
                    struct slice body, uint64_t timeout_ns, struct h2_response *response,
                    struct error *err)
{
    return h2_client_callv(client, headers, count, &body, 1, timeout_ns, response, err);
}

/* --- responses --- */

void h2_response_init(struct h2_response *response)
{
    *response = (struct h2_response){0};
    strbuf_init(&response->headers, RESPONSE_HEADERS_MAX);
    strbuf_init(&response->body, RESPONSE_BODY_MAX);
}

void h2_response_deinit(struct h2_response *response)
{
    strbuf_deinit(&response->headers);
    strbuf_deinit(&response->body);
}

bool h2_response_header(const struct h2_response *response, const char *name, struct slice *value)
{
    struct slice rest = strbuf_slice(&response->headers);
    size_t name_len = strlen(name);
    bool found = false;

    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.len);
        size_t line = end == NULL ? rest.len : (size_t)(end - rest.data);
        if (line >= name_len + 2 && memcmp(rest.data, name, name_len) == 0 &&
            memcmp(rest.data + name_len, ": ", 2) == 0) {
            *value = (struct slice){rest.data + name_len + 2, line - name_len - 2};
            found = true;
        }
        rest = slice_from(rest, line + 1);
    }
    return found;
}
