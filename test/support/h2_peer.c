/*
 * h2_peer.c - a client for tests of HTTP/2 servers.
 */
#include "h2_peer.h"

#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int peer_connect(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static struct peer_stream *find(struct h2_peer *peer, int32_t id)
{
    for (size_t i = 0; i < peer->stream_count; i++) {
        if (peer->streams[i].id == id) {
            return &peer->streams[i];
        }
    }
    return NULL;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct peer_stream *stream = find(user, frame->hd.stream_id);

    (void)session;
    (void)flags;
    if (stream == NULL) {
        return 0;
    }
    if (name_len == 7 && memcmp(name, ":status", 7) == 0) {
        stream->status = (int)strtol((const char *)value, NULL, 10);
    }
    strbuf_printf(&stream->headers, "%.*s: %.*s\n", (int)name_len, (const char *)name,
                  (int)value_len, (const char *)value);
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_peer *peer = user;
    struct peer_stream *stream = find(peer, frame->hd.stream_id);

    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        peer->goaways++;
        peer->goaway_code = frame->goaway.error_code;
        peer->goaway_last = frame->goaway.last_stream_id;
    } else if (frame->hd.type == NGHTTP2_SETTINGS) {
        peer->settled = true;
    } else if (frame->hd.type == NGHTTP2_HEADERS && stream != NULL) {
        stream->header_blocks++;
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && stream->header_blocks == 1) {
            stream->trailers_only = true;
        }
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
    struct peer_stream *stream = find(user, id);

    (void)session;
    (void)flags;
    if (stream != NULL) {
        strbuf_append(&stream->body, data, len);
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct peer_stream *stream = find(user, id);

    (void)session;
    if (stream != NULL) {
        stream->closed = true;
        stream->code = code;
    }
    return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct peer_stream *stream = find(user, id);
    size_t left = stream->data.len - stream->sent;
    size_t part = stream->chunk > 0 && stream->chunk < len ? stream->chunk : len;

    (void)session;
    bool empty_end = source->ptr != NULL;
    part = part < left ? part : left;
    if (part == 0 && stream->hold) {
        return NGHTTP2_ERR_DEFERRED;
    }
    if (part > 0) {
        memcpy(buf, stream->data.data + stream->sent, part);
        stream->sent += part;
    }
    if (stream->sent == stream->data.len && !stream->hold && !(empty_end && part > 0)) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)part;
}

void peer_open_window(struct h2_peer *peer, uint16_t port, uint32_t window)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
    };
    nghttp2_session_callbacks *callbacks;

    memset(peer, 0, sizeof(*peer));
    peer->initial_window = window;
    peer->fd = peer_connect(port);
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option *option;
    assert_int_equal(nghttp2_option_new(&option), 0);
    nghttp2_option_set_no_http_messaging(option, 1); /* tests send odd headers */
    assert_int_equal(nghttp2_session_client_new2(&peer->session, callbacks, peer, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(peer->session, 0, settings, 2), 0);
}

void peer_open(struct h2_peer *peer, uint16_t port)
{
    peer_open_window(peer, port, 65535);
}

void peer_stream_deinit(struct peer_stream *stream)
{
    strbuf_deinit(&stream->headers);
    strbuf_deinit(&stream->body);
}

void peer_close(struct h2_peer *peer)
{
    for (size_t i = 0; i < peer->stream_count; i++) {
        peer_stream_deinit(&peer->streams[i]);
    }
    nghttp2_session_del(peer->session);
    (void)close(peer->fd);
}

static nghttp2_nv nv(const char *name, const char *value)
{
    union {
        const char *in;
        uint8_t *out;
    } n = {.in = name}, v = {.in = value};
    return (nghttp2_nv){n.out, v.out, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

struct peer_stream *peer_send(struct h2_peer *peer, const struct peer_request *request)
{
    static int marker;
    nghttp2_nv nva[6 + PEER_EXTRA];
    size_t n = 0;
    bool has_body = request->data.len > 0 || request->hold || request->empty_end;

    assert_true(peer->stream_count < PEER_STREAMS);
    struct peer_stream *stream = &peer->streams[peer->stream_count++];
    *stream =
        (struct peer_stream){.data = request->data, .chunk = request->chunk, .hold = request->hold};
    strbuf_init(&stream->headers, 1 << 20);
    strbuf_init(&stream->body, 64 << 20);

    nva[n++] = nv(":method", request->method != NULL ? request->method : "POST");
    nva[n++] = nv(":scheme", "http");
    nva[n++] = nv(":path", request->path);
    nva[n++] = nv(":authority", "localhost");
    nva[n++] = nv("te", "trailers");
    nva[n++] = nv("content-type",
                  request->content_type != NULL ? request->content_type : "application/grpc");
    for (size_t i = 0; i < PEER_EXTRA && request->extra[i][0] != NULL; i++) {
        nva[n++] = nv(request->extra[i][0], request->extra[i][1]);
    }
    nghttp2_data_provider provider = {.read_callback = read_body};
    provider.source.ptr = request->empty_end ? &marker : NULL;
    stream->id =
        nghttp2_submit_request(peer->session, NULL, nva, n, has_body ? &provider : NULL, NULL);
    assert_true(stream->id > 0);
    peer_flush(peer);
    return stream;
}

void peer_finish(struct h2_peer *peer, struct peer_stream *stream, struct slice more)
{
    stream->data = more;
    stream->sent = 0;
    stream->hold = false;
    (void)nghttp2_session_resume_data(peer->session, stream->id);
    peer_flush(peer);
}

void peer_write(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (sent < 0) {
            return; /* the server has closed: the test sees that when it reads */
        }
        bytes = slice_from(bytes, (size_t)sent);
    }
}

void peer_flush(struct h2_peer *peer)
{
    const uint8_t *data;
    ssize_t len;

    while ((len = nghttp2_session_mem_send(peer->session, &data)) > 0) {
        peer_write(peer->fd, (struct slice){data, (size_t)len});
    }
    assert_int_equal(len, 0);
}

bool peer_read(struct h2_peer *peer)
{
    static uint8_t buf[65536];
    ssize_t got = recv(peer->fd, buf, sizeof(buf), 0);

    if (got <= 0) {
        peer->gone = true;
        return false;
    }
    assert_int_equal(nghttp2_session_mem_recv(peer->session, buf, (size_t)got), got);
    peer_flush(peer);
    return true;
}

void peer_wait(struct h2_peer *peer, const struct peer_stream *stream)
{
    while (!stream->closed && peer_read(peer)) {
        /* more */
    }
}

void peer_wait_bytes(struct h2_peer *peer, const struct peer_stream *stream, size_t len)
{
    while (stream->body.len < len && !stream->closed && peer_read(peer)) {
        /* more */
    }
}

void peer_wait_gone(struct h2_peer *peer)
{
    while (peer_read(peer)) {
        /* more */
    }
}

void peer_wait_settled(struct h2_peer *peer)
{
    peer_flush(peer);
    while (!peer->settled && peer_read(peer)) {
        /* more */
    }
}

const char *peer_header(const struct peer_stream *stream, const char *name)
{
    static char value[4096];
    const char *at = stream->headers.data != NULL ? stream->headers.data : "";
    size_t len = strlen(name);

    while (*at != '\0') {
        const char *end = strchr(at, '\n');
        if (strncmp(at, name, len) == 0 && at[len] == ':' && at[len + 1] == ' ') {
            (void)snprintf(value, sizeof(value), "%.*s", (int)(end - at - (ptrdiff_t)len - 2),
                           at + len + 2);
            return value;
        }
        at = end + 1;
    }
    return "";
}

void peer_call(uint16_t port, const struct peer_request *request, struct peer_stream *out)
{
    struct h2_peer peer;

    peer_open(&peer, port);
    struct peer_stream *stream = peer_send(&peer, request);
    peer_wait(&peer, stream);
    *out = *stream;
    peer.stream_count = 0; /* its memory is the caller's now */
    peer_close(&peer);
}

void peer_frame(struct strbuf *out, uint8_t type, uint8_t flags, int32_t stream,
                const void *payload, size_t len)
{
    const uint8_t head[9] = {(uint8_t)(len >> 16),
                             (uint8_t)(len >> 8),
                             (uint8_t)len,
                             type,
                             flags,
                             (uint8_t)((uint32_t)stream >> 24),
                             (uint8_t)(stream >> 16),
                             (uint8_t)(stream >> 8),
                             (uint8_t)stream};

    strbuf_append(out, head, sizeof(head));
    strbuf_append(out, payload, len);
}

void peer_preface(struct strbuf *out)
{
    strbuf_append_text(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    peer_frame(out, NGHTTP2_SETTINGS, 0, 0, "", 0);
}

void peer_read_all(int fd, struct strbuf *out)
{
    char buf[4096];
    ssize_t got;

    while ((got = recv(fd, buf, sizeof(buf), 0)) > 0) {
        strbuf_append(out, buf, (size_t)got);
    }
}
