/*
 * h2_peer.h - a client for tests of HTTP/2 servers: blocking, on the test's thread, able to
 * misbehave.
 *
 * It waits without a deadline of its own; a test that hangs is ended by ctest.
 */
#ifndef SPANGATE_TEST_H2_PEER_H
#define SPANGATE_TEST_H2_PEER_H

#include <nghttp2/nghttp2.h>
#include <spangate/base/slice.h>
#include <spangate/base/strbuf.h>

enum { PEER_STREAMS = 256, PEER_EXTRA = 8 };

struct peer_stream {
    int32_t id;
    int status;
    struct strbuf headers; /* "name: value\n", trailers too */
    struct strbuf body;
    bool trailers_only;
    size_t header_blocks;
    bool closed;
    uint32_t code;

    /*
     * The request's body: pieces of at most chunk bytes; with hold the stream is not ended after
     * it.
     */
    struct slice data;
    size_t sent;
    size_t chunk;
    bool hold;
};

struct h2_peer {
    int fd;
    nghttp2_session *session;
    struct peer_stream streams[PEER_STREAMS];
    size_t stream_count;
    size_t goaways;
    uint32_t goaway_code;
    int32_t goaway_last;
    bool settled; /* the server's SETTINGS came */
    uint32_t initial_window;
    bool gone; /* the server closed */
};

struct peer_request {
    const char *method; /* NULL: POST */
    const char *path;
    const char *content_type;         /* NULL: application/grpc */
    const char *extra[PEER_EXTRA][2]; /* until the first NULL name */
    struct slice data;
    size_t chunk; /* 0: as large as possible */
    bool hold;
    bool empty_end; /* END_STREAM in an empty DATA frame of its own */
};

int peer_connect(uint16_t port); /* a blocking socket */
void peer_open(struct h2_peer *peer, uint16_t port);
/* With the given SETTINGS_INITIAL_WINDOW_SIZE for answers. */
void peer_open_window(struct h2_peer *peer, uint16_t port, uint32_t window);
void peer_close(struct h2_peer *peer);

struct peer_stream *peer_send(struct h2_peer *peer, const struct peer_request *request);
/* Ends a stream that was held, after sending more. */
void peer_finish(struct h2_peer *peer, struct peer_stream *stream, struct slice more);

void peer_flush(struct h2_peer *peer); /* write what there is to write */
bool peer_read(struct h2_peer *peer);  /* one recv; false: the server closed */
void peer_wait(struct h2_peer *peer, const struct peer_stream *stream); /* until it is closed */
void peer_wait_bytes(struct h2_peer *peer, const struct peer_stream *stream, size_t len);
void peer_wait_gone(struct h2_peer *peer);
void peer_wait_settled(struct h2_peer *peer);

/* Value of a header or trailer; "" when absent. Static memory. */
const char *peer_header(const struct peer_stream *stream, const char *name);

/* One request and its answer, on a connection of its own. */
void peer_call(uint16_t port, const struct peer_request *request, struct peer_stream *out);
void peer_stream_deinit(struct peer_stream *stream);

/* Raw bytes: a frame's head and payload appended to out. */
void peer_frame(struct strbuf *out, uint8_t type, uint8_t flags, int32_t stream,
                const void *payload, size_t len);
void peer_preface(struct strbuf *out); /* magic and empty SETTINGS */
void peer_write(int fd, struct slice bytes);
/* Everything until the server closes. */
void peer_read_all(int fd, struct strbuf *out);

#endif
