/*
 * h2_answer.c - answers of the server: headers, body, trailers, in one piece or over time.
 *
 * The body waits in the stream until nghttp2 asks for it (the client's windows decide when); an
 * answer of at most H2_SMALL_ANSWER bytes with short trailers costs no allocation of ours.
 */
#include "h2_conn.h"

#include <assert.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

static void out_append(struct h2_stream *stream, struct slice data)
{
    size_t need = stream->out.len + data.len;

    if (data.len == 0) {
        return;
    }
    if (stream->out.data == NULL) {
        stream->out.data = stream->out.small;
        stream->out.cap = sizeof(stream->out.small);
    }
    if (need > stream->out.cap) {
        size_t cap = need < 2 * stream->out.cap ? 2 * stream->out.cap : need;
        if (stream->out.data == stream->out.small) {
            stream->out.data = mem_alloc(cap);
            memcpy(stream->out.data, stream->out.small, stream->out.len);
        } else {
            stream->out.data = mem_realloc(stream->out.data, cap);
        }
        stream->out.cap = cap;
    }
    memcpy(stream->out.data + stream->out.len, data.data, data.len);
    stream->out.len = need;
    stream->conn->queued += data.len;
}

void h2_answer_deinit(struct h2_stream *stream)
{
    stream->conn->queued -= stream->out.len - stream->out.at;
    if (stream->out.data != stream->out.small) {
        free(stream->out.data);
    }
    stream->out.data = NULL;
    h2_nv_copy_deinit(&stream->trailers);
}

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
                        uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct h2_stream *stream = source->ptr;
    size_t left = stream->out.len - stream->out.at;
    size_t part = left < len ? left : len;

    (void)user;
    if (part > 0) {
        memcpy(buf, stream->out.data + stream->out.at, part);
        stream->out.at += part;
        stream->conn->queued -= part;
    }
    if (stream->out.at < stream->out.len) {
        return (ssize_t)part;
    }
    stream->out.at = 0;
    stream->out.len = 0;
    if (!stream->finished) {
        return part > 0 ? (ssize_t)part : NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->trailers.count > 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(session, id, stream->trailers.nva, stream->trailers.count) !=
            0) {
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)part;
}

static void submit(struct h2_stream *stream, const struct h2_header *headers, size_t count,
                   bool has_body)
{
    struct h2_conn *conn = stream->conn;
    const nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_out};
    nghttp2_nv nva[H2_NV_MAX];

    assert(!stream->answered);
    stream->answered = true;
    stream->deaf = true;
    stream->since_ns = loop_now(conn->server->loop);
    h2_nv_fill(nva, headers, count);
    if (nghttp2_submit_response(conn->session, stream->id, nva, count,
                                has_body ? &provider : NULL) != 0) {
        h2_reset(stream, NGHTTP2_INTERNAL_ERROR);
    }
    h2_conn_touch(conn);
}

/* The client may take its time to read, but not for ever: see check_streams() in h2_server.c. */
static void finish(struct h2_stream *stream)
{
    stream->finished = true;
    h2_conn_arm(stream->conn, stream->since_ns + H2_WRITE_DEADLINE_NS);
}

void h2_respond(struct h2_stream *stream, const struct h2_header *headers, size_t count,
                struct slice body, const struct h2_header *trailers, size_t trailer_count)
{
    bool has_body = body.len > 0 || trailer_count > 0;

    out_append(stream, body);
    h2_nv_copy_init(&stream->trailers, trailers, trailer_count);
    submit(stream, headers, count, has_body);
    finish(stream);
}

void h2_respond_begin(struct h2_stream *stream, const struct h2_header *headers, size_t count)
{
    submit(stream, headers, count, true);
}

void h2_respond_data(struct h2_stream *stream, struct slice data)
{
    assert(stream->answered && !stream->finished);
    out_append(stream, data);
    /* Fails when nghttp2 was not waiting: it will ask by itself then. */
    (void)nghttp2_session_resume_data(stream->conn->session, stream->id);
    h2_conn_touch(stream->conn);
}

void h2_respond_end(struct h2_stream *stream, const struct h2_header *trailers,
                    size_t trailer_count)
{
    assert(stream->answered && !stream->finished && trailer_count > 0);
    h2_nv_copy_init(&stream->trailers, trailers, trailer_count);
    stream->since_ns = loop_now(stream->conn->server->loop);
    (void)nghttp2_session_resume_data(stream->conn->session, stream->id);
    h2_conn_touch(stream->conn);
    finish(stream);
}

void h2_reset(struct h2_stream *stream, uint32_t error_code)
{
    stream->deaf = true;
    (void)nghttp2_submit_rst_stream(stream->conn->session, NGHTTP2_FLAG_NONE, stream->id,
                                    error_code);
    h2_conn_touch(stream->conn);
}
