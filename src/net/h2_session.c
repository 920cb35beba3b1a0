/*
 * h2_session.c - what nghttp2 tells the server: frames in, frames out, streams closed.
 *
 * These run inside nghttp2_session_mem_recv() and _mem_send(). They may submit frames but never
 * send, read or close a connection.
 */
#include "h2_conn.h"

#include <spangate/base/log.h>

enum { EARN_BYTES = 4096, EARN_REQUEST = 8, WASTE_BYTES = 4096, FRAME_HEAD = 9 };

void h2_block_clear(struct h2_conn *conn)
{
    for (size_t i = 0; i < conn->block.count; i++) {
        nghttp2_rcbuf_decref(conn->block.name[i]);
        nghttp2_rcbuf_decref(conn->block.value[i]);
    }
    conn->block.count = 0;
    conn->block.bytes = 0;
    conn->block.over = false;
}

/*
 * A frame that does no work (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, whatever we had
 * to reset). A thousand are free, then a hundred a second, one for every 4 KiB of body and eight
 * for every request: no client comes near, and a flood ends with the connection.
 */
static void charge(struct h2_conn *conn)
{
    if (conn->terminated || bucket_take(&conn->oddities, loop_now(conn->server->loop))) {
        return;
    }
    conn->terminated = true;
    log_warn("net", "flood of HTTP/2 control frames, connection closed", "port=%u",
             (unsigned)conn->server->port);
    (void)nghttp2_session_terminate_session(conn->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

/*
 * nghttp2 drops some frames without a word: unknown types, DATA of streams that are closed. They
 * show as bytes that were read and came to nothing.
 */
void h2_count_waste(struct h2_conn *conn, size_t read)
{
    if (read > conn->useful) {
        conn->waste += read - conn->useful;
    }
    conn->useful = 0;
    while (conn->waste >= WASTE_BYTES) {
        conn->waste -= WASTE_BYTES;
        charge(conn);
    }
}

static struct h2_stream *stream_of(struct h2_conn *conn, int32_t id)
{
    return nghttp2_session_get_stream_user_data(conn->session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *conn = user;

    h2_block_clear(conn);
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct h2_stream *stream = h2_stream_open(conn, frame->hd.stream_id);
        (void)nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user)
{
    struct h2_conn *conn = user;
    size_t len = nghttp2_rcbuf_get_buf(name).len + nghttp2_rcbuf_get_buf(value).len;
    bool is_request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;

    (void)session;
    (void)flags;
    conn->block.bytes += len + 32;
    if (conn->block.bytes > H2_HEADER_LIST_MAX || conn->block.count == H2_HEADERS_MAX) {
        conn->block.over = true;
    }
    if (conn->block.over) {
        /* A request is told so (431) when its block is through; trailers end their stream. */
        return is_request ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (is_request) {
        nghttp2_rcbuf_incref(name);
        nghttp2_rcbuf_incref(value);
        conn->block.name[conn->block.count] = name;
        conn->block.value[conn->block.count] = value;
        conn->block.count++;
    }
    return 0;
}

static struct slice rcbuf_slice(nghttp2_rcbuf *buf)
{
    nghttp2_vec vec = nghttp2_rcbuf_get_buf(buf);
    return (struct slice){.data = vec.base, .len = vec.len};
}

static void end_request(struct h2_conn *conn, struct h2_stream *stream)
{
    stream->ended = true;
    bucket_earn(&conn->oddities, EARN_REQUEST);
    if (!stream->deaf) {
        conn->server->config.handler.on_end(conn->server->config.handler.ctx, stream);
    }
}

static void refuse_headers(struct h2_stream *stream)
{
    const struct h2_header status = {slice_of(":status"), slice_of("431")};

    h2_respond(stream, &status, 1, (struct slice){0}, NULL, 0);
}

static void begin_request(struct h2_conn *conn, struct h2_stream *stream, bool end)
{
    const struct h2_handler *handler = &conn->server->config.handler;
    struct h2_header headers[H2_HEADERS_MAX];
    size_t count = conn->block.count;

    if (conn->block.over) {
        h2_block_clear(conn);
        stream->ended = end;
        refuse_headers(stream);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        headers[i].name = rcbuf_slice(conn->block.name[i]);
        headers[i].value = rcbuf_slice(conn->block.value[i]);
    }
    stream->announced = true;
    handler->on_headers(handler->ctx, stream, headers, count, end);
    h2_block_clear(conn);
    if (end) {
        end_request(conn, stream);
    }
}

static void got_headers(struct h2_conn *conn, const nghttp2_frame *frame)
{
    struct h2_stream *stream = stream_of(conn, frame->hd.stream_id);
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    conn->useful += frame->hd.length + FRAME_HEAD;
    if (stream == NULL) {
        return;
    }
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        begin_request(conn, stream, end);
    } else if (end) {
        end_request(conn, stream);
    }
}

static void got_data(struct h2_conn *conn, const nghttp2_frame *frame)
{
    struct h2_stream *stream = stream_of(conn, frame->hd.stream_id);

    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        if (stream != NULL) {
            end_request(conn, stream);
        }
    } else if (frame->hd.length == 0) {
        charge(conn);
    }
}

static void got_ping(struct h2_conn *conn, const nghttp2_frame *frame)
{
    if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 && conn->state == CONN_NOTICE &&
        memcmp(frame->ping.opaque_data, h2_drain_ping, sizeof(h2_drain_ping)) == 0) {
        h2_conn_last_goaway(conn);
        return;
    }
    charge(conn);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *conn = user;

    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        got_headers(conn, frame);
        break;
    case NGHTTP2_DATA:
        got_data(conn, frame);
        break;
    case NGHTTP2_PING:
        got_ping(conn, frame);
        break;
    case NGHTTP2_SETTINGS:
        conn->settled = true;
        charge(conn);
        break;
    case NGHTTP2_PRIORITY:
    case NGHTTP2_WINDOW_UPDATE:
        charge(conn);
        break;
    default:
        break; /* RST_STREAM has nghttp2's own limit */
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *user)
{
    struct h2_conn *conn = user;
    struct h2_stream *stream = stream_of(conn, id);

    (void)flags;
    conn->earned += len;
    if (conn->earned >= EARN_BYTES) {
        bucket_earn(&conn->oddities, conn->earned / EARN_BYTES);
        conn->earned %= EARN_BYTES;
    }
    if (stream == NULL || stream->deaf) {
        (void)nghttp2_session_consume(session, id, len);
        return 0;
    }
    conn->useful += len + FRAME_HEAD;
    stream->received += len;
    stream->owed += len;
    conn->server->config.handler.on_data(conn->server->config.handler.ctx, stream,
                                         (struct slice){.data = data, .len = len});
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
                            void *user)
{
    (void)session;
    (void)frame;
    (void)code;
    charge(user);
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *conn = user;
    struct h2_stream *stream;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        /* Answered before the request was complete: tell the client to stop (RFC 9113, 8.1). */
        stream = stream_of(conn, frame->hd.stream_id);
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && stream != NULL && !stream->ended) {
            (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                            NGHTTP2_NO_ERROR);
        }
        break;
    case NGHTTP2_RST_STREAM:
        /*
         * A client that makes us reset its streams spends our work as one that resets them itself.
         */
        if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR) {
            charge(conn);
        }
        break;
    case NGHTTP2_GOAWAY:
        conn->terminated = conn->terminated || frame->goaway.error_code != NGHTTP2_NO_ERROR;
        break;
    default:
        break;
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct h2_conn *conn = user;
    struct h2_stream *stream = stream_of(conn, id);

    (void)code;
    if (stream != NULL) {
        if (stream->owed > 0) {
            (void)nghttp2_session_consume_connection(session, stream->owed);
        }
        (void)nghttp2_session_set_stream_user_data(session, id, NULL);
        h2_stream_release(stream);
    }
    return 0;
}

nghttp2_session_callbacks *h2_session_callbacks(void)
{
    nghttp2_session_callbacks *callbacks = NULL;

    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        return NULL;
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    return callbacks;
}
