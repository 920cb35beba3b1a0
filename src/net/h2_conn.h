/*
 * h2_conn.h - the server's structs: a server has connections, a connection has streams.
 *
 * Everything here belongs to the thread of the server's loop.
 *
 *   CONN_OPEN --drain, age, idle--> CONN_NOTICE --round trip--> CONN_LAST
 *       |   first GOAWAY: "no new ones, please"  second GOAWAY: what came until here is served
 *       |                                |                        |
 *       '--- error, peer's GOAWAY -------'---- no stream left ----'--> CONN_LINGER --> CONN_CLOSED
 *                                                           shut for writing, until the peer closes
 */
#ifndef SPANGATE_SRC_H2_CONN_H
#define SPANGATE_SRC_H2_CONN_H

#include "bucket.h"
#include "h2_nv.h"
#include "tls.h"

#include <spangate/base/clock.h>
#include <spangate/net/address.h>
#include <spangate/net/h2.h>

enum {
    H2_HEADERS_MAX = 128,           /* in one request */
    H2_HEADER_LIST_MAX = 16 * 1024, /* names, values and 32 for each, as RFC 9113 counts */
    H2_QUEUED_MAX = 64 * 1024,      /* unsent bytes above which a connection is not read */
    H2_SMALL_ANSWER = 64,
};

/* How long a client may leave an answer unread. */
#define H2_WRITE_DEADLINE_NS (30 * NS_PER_S)

enum conn_state { CONN_OPEN, CONN_NOTICE, CONN_LAST, CONN_LINGER, CONN_CLOSED };

struct h2_stream {
    struct h2_conn *conn;
    struct h2_stream *prev;
    struct h2_stream *next;
    void *ctx;
    uint64_t token;
    int32_t id;
    bool announced; /* on_headers was called, so on_close is owed */
    bool ended;     /* the request is complete */
    bool deaf;      /* answered or reset: what still comes is thrown away */
    bool answered;
    bool finished;     /* the answer is complete, if not sent */
    uint64_t since_ns; /* of the request, then of the answer */
    uint64_t received; /* body bytes */
    size_t owed;       /* body bytes not consumed yet */
    struct {
        uint8_t *data; /* in small, or from the heap */
        size_t len;
        size_t cap;
        size_t at; /* sent up to here */
        uint8_t small[H2_SMALL_ANSWER];
    } out;
    struct h2_nv_copy trailers;
};

struct h2_conn {
    struct h2_server *server;
    struct h2_conn *prev;
    struct h2_conn *next;
    struct h2_conn *next_dirty;
    struct loop_watch *watch;
    nghttp2_session *session;
    int fd;
    enum conn_state state;
    bool dirty;      /* in the server's list of what to send from */
    bool settled;    /* the client's SETTINGS came: it does speak HTTP/2 */
    bool terminated; /* a GOAWAY with an error was sent */
    struct tls *tls; /* NULL: clear text */
    bool greeted;    /* the first byte was that of a TLS handshake */
    bool secured;    /* and the handshake is done */
    size_t magic_at; /* matched bytes of the connection preface */

    struct h2_stream *streams;
    size_t stream_count;
    size_t queued; /* bytes of answers in streams, not yet given to nghttp2 */

    /* Bytes that the kernel did not take. */
    struct {
        uint8_t *data;
        size_t len;
        size_t at;
        uint64_t since_ns;
    } unsent;

    /* The header block that is coming in. Blocks of several streams never mix. */
    struct {
        nghttp2_rcbuf *name[H2_HEADERS_MAX];
        nghttp2_rcbuf *value[H2_HEADERS_MAX];
        size_t count;
        size_t bytes;
        bool over;
    } block;

    struct bucket oddities; /* frames that do no work; see charge() */
    size_t earned;          /* body bytes not yet turned into tokens */
    size_t useful;          /* of the bytes just read */
    size_t waste;           /* bytes that were not, not yet charged */

    struct loop_timer timer; /* the next of the deadlines below */
    uint64_t opened_ns;
    uint64_t idle_ns;  /* without streams since */
    uint64_t age_ns;   /* drained at this time; UINT64_MAX: never */
    uint64_t state_ns; /* in this state since */
    size_t discarded;  /* while lingering */
};

struct h2_slot {
    struct h2_stream *stream; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

struct h2_server {
    struct loop *loop;
    struct h2_server_config config;
    char *http1_answer;
    struct tls_listener *tls; /* NULL: clear text */
    uint16_t port;
    uint64_t random;

    struct {
        int fd;
        struct loop_watch *watch;
    } listeners[ADDRESS_SOCKETS_MAX];
    size_t listener_count;
    struct loop_timer accept_timer; /* set while accepting pauses */

    nghttp2_option *option;
    nghttp2_session_callbacks *callbacks;

    struct h2_conn *conns;
    size_t conn_count;
    size_t stream_count;
    size_t unsent_count; /* connections with unsent bytes */

    struct h2_conn *dirty;
    struct loop_timer send_timer;

    struct h2_slot *slots;
    size_t slot_count;
    uint32_t free_slot;      /* UINT32_MAX: none */
    struct h2_stream *spare; /* for reuse, linked by next */
    size_t spare_count;

    uint8_t *read_buf;
    uint8_t *send_buf;
};

/* h2_session.c: what nghttp2 tells us. */
nghttp2_session_callbacks *h2_session_callbacks(void);
void h2_block_clear(struct h2_conn *conn);
void h2_count_waste(struct h2_conn *conn, size_t read);

/* h2_server.c */
struct h2_stream *h2_stream_open(struct h2_conn *conn, int32_t id);
void h2_stream_release(struct h2_stream *stream); /* calls on_close */
void h2_conn_touch(struct h2_conn *conn);         /* send what it has at the end of this turn */
void h2_conn_drain(struct h2_conn *conn);
void h2_conn_last_goaway(struct h2_conn *conn);
void h2_conn_arm(struct h2_conn *conn, uint64_t due_ns);
extern const uint8_t h2_drain_ping[8];

/* h2_answer.c */
void h2_answer_deinit(struct h2_stream *stream);

#endif
