/*
 * internal.h - what the files of httpd/ share: the server, its connections, the one request each of
 * them handles.
 *
 * A connection belongs to the epoll thread of its daemon. What other threads touch is marked: the
 * reply (any thread, handed over by one atomic exchange) and the watch part (atomics, read by
 * the watch thread that enforces deadlines).
 */
#ifndef SPANGATE_SRC_HTTPD_INTERNAL_H
#define SPANGATE_SRC_HTTPD_INTERNAL_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <spangate/base/arena.h>
#include <spangate/base/thread.h>
#include <spangate/httpd/httpd.h>
#include <spangate/net/address.h>
#include <stdatomic.h>

struct tls_credentials;
struct tls_files;

enum {
    CONNECTIONS_MAX = 4096,
    CONNECTION_MEMORY = 64 * 1024,
    BODY_DEFAULT_MAX = 64 * 1024,
    BODY_FIRST_MAX = 1024 * 1024, /* allocated and charged on the word of a Content-Length */
    BODY_CHUNKED_FIRST = 16 * 1024,
    DISCARD_MAX = 256 * 1024, /* bodies nobody wants are read up to this to keep the connection */
    LINGER_MAX = 64,          /* connections closed slowly at a time */
};

#define IDLE_TIMEOUT_NS (UINT64_C(120) * 1000000000)

/* Where a request is; changed by the epoll thread. */
enum request_step {
    STEP_HEADERS, /* the request line is there */
    STEP_BODY,
    STEP_DISCARD, /* answered already; the body is read and dropped before the answer goes out */
    STEP_HANDED,  /* the handler has it */
    STEP_DONE,    /* the answer is queued */
};

/* Who sends the answer on: the epoll thread that is still in the handler, or nobody yet. */
enum reply_state { REPLY_NONE, REPLY_SUSPENDED, REPLY_GIVEN };

/* What the watch thread measures a connection by. */
enum watch_phase {
    WATCH_IDLE, /* between requests, or before the first */
    WATCH_HEADERS,
    WATCH_BODY,
    WATCH_HANDLER, /* our own time: no deadline */
    WATCH_ANSWER,
};

struct httpd_request {
    struct connection *connection;
    struct MHD_Connection *mhd;
    const char *method;
    enum request_step step;

    /* Filled from the request line: four texts in one block of memory, kept between requests. */
    char *text;
    size_t text_cap;
    const char *authority; /* of an absolute-form target; NULL otherwise */
    const char *raw_path, *query, *path;
    struct arena decoded; /* query values */
    bool decoded_used;

    /* What the headers said about the body. */
    bool body_expected, length_known, expects_continue;
    uint64_t length;
    size_t body_max;
    struct buf *body;

    bool close; /* end the connection after the answer */
    bool raw;   /* the answer goes straight to the socket: body bytes are still to come */
    bool raw_done;
    bool counted; /* in httpd.answering */

    void *ctx;

    /* The answer, from any thread. Published by the exchange of `reply`. */
    _Atomic enum reply_state reply;
    int status;
    struct MHD_Response *response;
    bool waiting; /* in httpd.shared.waiting; under its lock */
    struct httpd_request *next, *prev;
};

struct connection {
    struct httpd *httpd;
    int fd;
    bool linger;  /* bytes may still come that nobody reads: close slowly */
    bool greeted; /* TLS: the first byte was that of a handshake */
    bool secured; /* TLS: the handshake is done */
    bool foreign; /* clear text: what came is no HTTP, and that has been said */
    struct tls_credentials *credentials; /* NULL: clear text */
    char peer[INET6_ADDRSTRLEN + 8];
    struct httpd_request request;

    /* Written by the epoll thread, read by the watch thread. */
    struct {
        _Atomic enum watch_phase phase;
        atomic_uint_fast64_t serial;   /* one up for each request, and for a TLS handshake */
        atomic_uint_fast64_t since_ns; /* start of the request, or of the answer */
        atomic_uint_fast64_t received; /* bytes of the body so far */
        atomic_uint_fast64_t expected; /* of the body or the answer; 0: not known */
    } watch;

    /* Under httpd.shared.lock. */
    struct connection *next, *prev;
    uint64_t idle_serial; /* the request that idle_bytes belongs to */
    uint64_t idle_bytes;  /* bytes the peer had sent when it was first seen idle */
    uint64_t dribble_ns;  /* when more than that were first seen; 0: not yet */
    bool idle_seen, cut;
};

struct httpd {
    struct httpd_config
        config; /* strings borrowed for the call of httpd_start() only, but for ctx */
    char *name;
    struct tls_files *tls; /* NULL: clear text */
    struct MHD_Daemon *daemons[ADDRESS_SOCKETS_MAX];
    int listening[ADDRESS_SOCKETS_MAX]; /* -1: closed */
    size_t daemon_count;
    uint16_t port;
    atomic_bool draining;
    atomic_bool stopping;
    atomic_size_t answering; /* requests between hand-over and end */

    struct thread watcher;
    int watch_event; /* eventfd */

    /* Touched by all threads. */
    struct {
        pthread_mutex_t lock;
        pthread_cond_t quiet; /* answering fell to 0 while stopping */
        struct connection *connections;
        struct httpd_request *waiting; /* suspended, without an answer */
        bool refusing;                 /* stop has begun: nothing is suspended any more */
        bool watch_end;
        int lingering[LINGER_MAX]; /* handed to the watch thread */
        size_t linger_count;
    } shared;
};

/* request.c: take the request line apart. */
void request_set_target(struct httpd_request *request, const char *target);

/* reply.c: hand the answer to libmicrohttpd. Epoll thread. */
enum MHD_Result reply_send(struct httpd_request *request);
/* Take a suspended request out of the list of those without an answer. */
void reply_unlink(struct httpd_request *request);
/* Plain text answer of our own. */
void reply_plain(struct httpd_request *request, int status, const char *text, bool close);

/* watch.c: the thread that ends slow connections and closes others slowly. */
void watch_start(struct httpd *httpd);
void watch_stop(struct httpd *httpd);
void watch_wake(struct httpd *httpd);
/* The epoll thread: from now on the connection is in this phase; the clock starts anew. */
void watch_enter(struct connection *connection, enum watch_phase phase);
/* Bytes that came on a socket so far, as the kernel counts them. */
uint64_t watch_bytes_received(int fd);
/* One look at all connections, as if the time were now_ns. Any thread. */
void watch_sweep(struct httpd *httpd, uint64_t now_ns);

#endif
