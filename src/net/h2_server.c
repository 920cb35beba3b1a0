/*
 * h2_server.c - the HTTP/2 server: listeners, connections, deadlines, draining.
 *
 * Reading: one recv(2) into a large buffer that all connections share, fed to nghttp2. Writing:
 * whatever a turn of the loop made (answers, window updates, acknowledgements) is gathered and sent
 * with one send(2) when the turn ends. What the kernel does not take waits in the connection, and
 * while much waits the connection is not read.
 *
 * Runs on the thread of its loop. HTTP/2 is RFC 9113.
 */
#include "h2_conn.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/random.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_BYTES = 256 * 1024,
    SEND_BYTES = 64 * 1024,
    FRAME_MAX = 9 + 16384,
    ACCEPTS_PER_TURN = 64,
    SPARE_STREAMS = 1024,
    LINGER_BYTES = 4 << 20,
    ODDITIES = 1000,
    ODDITIES_PER_S = 100,
    TLS_HANDSHAKE = 0x16, /* the first byte a client sends */
    TLS_RECORD_MAX = 16 * 1024,
};

#define PREFACE_DEADLINE_NS (10 * NS_PER_S)
#define REQUEST_DEADLINE_NS (60 * NS_PER_S) /* and a second for every MiB */
#define LINGER_NS (2 * NS_PER_S)
#define NOTICE_NS (1 * NS_PER_S)
#define ACCEPT_PAUSE_NS (100 * NS_PER_MS)

static const char client_magic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const uint8_t h2_drain_ping[8] = {'d', 'r', 'a', 'i', 'n', 'i', 'n', 'g'};

static void accept_some(void *ctx, uint32_t events);
static void conn_event(void *ctx, uint32_t events);
static void conn_check(void *ctx);
static void send_dirty(void *ctx);

/* --- streams and the tokens that name them --- */

static uint32_t slot_take(struct h2_server *server)
{
    if (server->free_slot == UINT32_MAX) {
        size_t old = server->slot_count;
        size_t count = old == 0 ? 64 : 2 * old;
        server->slots = mem_realloc(server->slots, count * sizeof(*server->slots));
        for (size_t i = count; i > old; i--) {
            server->slots[i - 1] =
                (struct h2_slot){.generation = 1, .next_free = server->free_slot};
            server->free_slot = (uint32_t)(i - 1);
        }
        server->slot_count = count;
    }
    uint32_t slot = server->free_slot;
    server->free_slot = server->slots[slot].next_free;
    return slot;
}

struct h2_stream *h2_stream_open(struct h2_conn *conn, int32_t id)
{
    struct h2_server *server = conn->server;
    struct h2_stream *stream = server->spare;

    if (stream != NULL) {
        server->spare = stream->next;
        server->spare_count--;
    } else {
        stream = mem_alloc(sizeof(*stream));
    }
    memset(stream, 0, sizeof(*stream));
    uint32_t slot = slot_take(server);
    server->slots[slot].stream = stream;
    stream->token = (uint64_t)server->slots[slot].generation << 32 | slot;
    stream->conn = conn;
    stream->id = id;
    stream->since_ns = loop_now(server->loop);
    stream->next = conn->streams;
    if (conn->streams != NULL) {
        conn->streams->prev = stream;
    }
    conn->streams = stream;
    conn->stream_count++;
    server->stream_count++;
    h2_conn_arm(conn, stream->since_ns + REQUEST_DEADLINE_NS);
    return stream;
}

void h2_stream_release(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    struct h2_server *server = conn->server;
    struct h2_slot *slot = &server->slots[(uint32_t)stream->token];

    if (stream->announced) {
        server->config.handler.on_close(server->config.handler.ctx, stream);
    }
    slot->stream = NULL;
    slot->generation++;
    slot->next_free = server->free_slot;
    server->free_slot = (uint32_t)stream->token;
    if (stream->prev != NULL) {
        stream->prev->next = stream->next;
    } else {
        conn->streams = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->prev = stream->prev;
    }
    server->stream_count--;
    conn->stream_count--;
    if (conn->stream_count == 0) {
        conn->idle_ns = loop_now(server->loop);
        if (server->config.idle_timeout_ns > 0 && conn->state == CONN_OPEN) {
            h2_conn_arm(conn, conn->idle_ns + server->config.idle_timeout_ns);
        }
    }
    h2_answer_deinit(stream);
    if (server->spare_count < SPARE_STREAMS) {
        stream->next = server->spare;
        server->spare = stream;
        server->spare_count++;
    } else {
        free(stream);
    }
}

void h2_stream_set_ctx(struct h2_stream *stream, void *ctx)
{
    stream->ctx = ctx;
}

void *h2_stream_ctx(const struct h2_stream *stream)
{
    return stream->ctx;
}

uint64_t h2_stream_token(const struct h2_stream *stream)
{
    return stream->token;
}

struct h2_stream *h2_server_find(struct h2_server *server, uint64_t token)
{
    uint32_t slot = (uint32_t)token;

    if (slot >= server->slot_count || server->slots[slot].generation != token >> 32) {
        return NULL;
    }
    return server->slots[slot].stream;
}

void h2_consume(struct h2_stream *stream, size_t len)
{
    assert(len <= stream->owed);
    stream->owed -= len;
    (void)nghttp2_session_consume(stream->conn->session, stream->id, len);
    h2_conn_touch(stream->conn);
}

/* --- connections: end of life --- */

void h2_conn_touch(struct h2_conn *conn)
{
    struct h2_server *server = conn->server;

    if (conn->dirty) {
        return;
    }
    conn->dirty = true;
    conn->next_dirty = server->dirty;
    server->dirty = conn;
    if (server->send_timer.heap_at == 0) {
        loop_timer_set(server->loop, &server->send_timer, 0, send_dirty, server);
    }
}

static void drop_unsent(struct h2_conn *conn)
{
    if (conn->unsent.data != NULL) {
        free(conn->unsent.data);
        conn->unsent.data = NULL;
        conn->server->unsent_count--;
    }
}

/* Streams and session go; the socket stays. */
static void drop_session(struct h2_conn *conn)
{
    h2_block_clear(conn);
    while (conn->streams != NULL) {
        h2_stream_release(conn->streams);
    }
    if (conn->session != NULL) {
        nghttp2_session_del(conn->session);
        conn->session = NULL;
    }
    drop_unsent(conn);
}

/* Its memory is freed by send_dirty(), so that callers further up may still look at the state. */
static void conn_close(struct h2_conn *conn)
{
    struct h2_server *server = conn->server;

    if (conn->state == CONN_CLOSED) {
        return;
    }
    conn->state = CONN_CLOSED;
    loop_timer_clear(&conn->timer);
    drop_session(conn);
    tls_close(conn->tls);
    conn->tls = NULL;
    loop_unwatch(conn->watch);
    (void)close(conn->fd);
    if (conn->prev != NULL) {
        conn->prev->next = conn->next;
    } else {
        server->conns = conn->next;
    }
    if (conn->next != NULL) {
        conn->next->prev = conn->prev;
    }
    server->conn_count--;
    h2_conn_touch(conn);
}

static void set_state(struct h2_conn *conn, enum conn_state state)
{
    conn->state = state;
    conn->state_ns = loop_now(conn->server->loop);
}

/*
 * Everything is said: shut our half and wait for the peer's. Closing at once while bytes of the
 * peer are unread would reset the connection and could take our last answers with it.
 */
static void conn_linger(struct h2_conn *conn)
{
    drop_session(conn);
    if (conn->tls != NULL) {
        tls_shutdown(conn->tls);
    }
    (void)shutdown(conn->fd, SHUT_WR);
    set_state(conn, CONN_LINGER);
    loop_rewatch(conn->watch, EPOLLIN);
    h2_conn_arm(conn, conn->state_ns + LINGER_NS);
}

void h2_conn_last_goaway(struct h2_conn *conn)
{
    set_state(conn, CONN_LAST);
    (void)nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(conn->session),
                                NGHTTP2_NO_ERROR, NULL, 0);
    h2_conn_touch(conn);
}

/*
 * A client must not lose the requests it sends while our GOAWAY is on its way. So the first one
 * only asks for no more, and the second, which names the last stream served, goes out when a PING
 * sent behind the first is back.
 */
void h2_conn_drain(struct h2_conn *conn)
{
    if (conn->state != CONN_OPEN) {
        return;
    }
    if (!conn->settled) {
        conn_linger(conn);
        return;
    }
    set_state(conn, CONN_NOTICE);
    (void)nghttp2_submit_shutdown_notice(conn->session);
    (void)nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, h2_drain_ping);
    h2_conn_arm(conn, conn->state_ns + NOTICE_NS);
    h2_conn_touch(conn);
}

/* --- deadlines --- */

void h2_conn_arm(struct h2_conn *conn, uint64_t due_ns)
{
    struct h2_server *server = conn->server;
    uint64_t now = loop_now(server->loop);

    if (conn->state == CONN_CLOSED || (conn->timer.heap_at != 0 && conn->timer.due_ns <= due_ns)) {
        return; /* that one looks at all deadlines anew */
    }
    loop_timer_set(server->loop, &conn->timer, due_ns > now ? due_ns - now : 1, conn_check, conn);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/*
 * Requests that take too long to come, answers that take too long to go. The next deadline; 0:
 * closed.
 */
static uint64_t check_streams(struct h2_conn *conn, uint64_t now)
{
    uint64_t next = UINT64_MAX;

    for (struct h2_stream *stream = conn->streams; stream != NULL; stream = stream->next) {
        uint64_t due = UINT64_MAX;
        if (stream->finished) {
            due = stream->since_ns + H2_WRITE_DEADLINE_NS;
            if (due <= now) {
                log_debug("net", "client does not read its answers, connection closed", "port=%u",
                          (unsigned)conn->server->port);
                conn_close(conn);
                return 0;
            }
        } else if (!stream->ended && !stream->deaf) {
            due = stream->since_ns + REQUEST_DEADLINE_NS + (stream->received >> 20) * NS_PER_S;
            if (due <= now) {
                h2_reset(stream, NGHTTP2_CANCEL);
                due = now + REQUEST_DEADLINE_NS;
            }
        }
        next = earlier(next, due);
    }
    return next;
}

static uint64_t check_open(struct h2_conn *conn, uint64_t now)
{
    const struct h2_server_config *config = &conn->server->config;
    uint64_t next = conn->age_ns;

    if (!conn->settled) {
        uint64_t due = conn->opened_ns + PREFACE_DEADLINE_NS;
        if (due <= now) {
            conn_close(conn);
            return 0;
        }
        next = earlier(next, due);
    }
    bool idle = conn->stream_count == 0 && config->idle_timeout_ns > 0 &&
                saturating_add(conn->idle_ns, config->idle_timeout_ns) <= now;
    if (idle || conn->age_ns <= now) {
        h2_conn_drain(conn);
        return now + NOTICE_NS;
    }
    if (conn->stream_count == 0 && config->idle_timeout_ns > 0) {
        next = earlier(next, saturating_add(conn->idle_ns, config->idle_timeout_ns));
    }
    return next;
}

static uint64_t check_state(struct h2_conn *conn, uint64_t now)
{
    uint64_t grace = conn->server->config.max_connection_age_grace_ns;
    uint64_t due;

    switch (conn->state) {
    case CONN_OPEN:
        return check_open(conn, now);
    case CONN_NOTICE:
        due = conn->state_ns + NOTICE_NS;
        if (due > now) {
            return due;
        }
        h2_conn_last_goaway(conn);
        return now + NOTICE_NS;
    case CONN_LAST:
        due = grace > 0 ? saturating_add(conn->state_ns, grace) : UINT64_MAX;
        break;
    case CONN_LINGER:
        due = conn->state_ns + LINGER_NS;
        break;
    case CONN_CLOSED:
    default:
        return 0;
    }
    if (due <= now) {
        conn_close(conn);
        return 0;
    }
    return due;
}

static void conn_check(void *ctx)
{
    struct h2_conn *conn = ctx;
    uint64_t now = loop_now(conn->server->loop);
    uint64_t next = check_state(conn, now);

    if (next != 0 && conn->state != CONN_LINGER) {
        next = earlier(next, check_streams(conn, now));
    }
    if (next != 0 && conn->unsent.data != NULL) {
        uint64_t due = conn->unsent.since_ns + H2_WRITE_DEADLINE_NS;
        if (due <= now) {
            conn_close(conn);
            return;
        }
        next = earlier(next, due);
    }
    if (conn->state != CONN_CLOSED && next != UINT64_MAX) {
        h2_conn_arm(conn, next);
    }
}

/* --- writing --- */

static void keep_unsent(struct h2_conn *conn, const uint8_t *data, size_t len)
{
    conn->unsent.data = mem_alloc(len);
    memcpy(conn->unsent.data, data, len);
    conn->unsent.len = len;
    conn->unsent.at = 0;
    conn->unsent.since_ns = loop_now(conn->server->loop);
    conn->server->unsent_count++;
    h2_conn_arm(conn, conn->unsent.since_ns + H2_WRITE_DEADLINE_NS);
}

/* A record at a time, until the kernel takes no more. */
static ssize_t send_secured(struct h2_conn *conn, const uint8_t *data, size_t len)
{
    struct error err;
    size_t sent = 0;
    size_t part;

    while (sent < len) {
        switch (tls_write(conn->tls, data + sent, len - sent, &part, &err)) {
        case TLS_DONE:
            sent += part;
            break;
        case TLS_WANT_READ:
        case TLS_WANT_WRITE:
            return (ssize_t)sent;
        default:
            conn_close(conn);
            return -1;
        }
    }
    return (ssize_t)sent;
}

/* Bytes the kernel took; -1 when the connection broke and was closed. */
static ssize_t send_bytes(struct h2_conn *conn, const uint8_t *data, size_t len)
{
    if (conn->tls != NULL) {
        return send_secured(conn, data, len);
    }
    ssize_t sent = send(conn->fd, data, len, MSG_NOSIGNAL);

    if (sent >= 0) {
        return sent;
    }
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) {
        return 0;
    }
    conn_close(conn);
    return -1;
}

/* false: blocked, or closed. */
static bool send_unsent(struct h2_conn *conn)
{
    if (conn->unsent.data == NULL) {
        return true;
    }
    ssize_t sent =
        send_bytes(conn, conn->unsent.data + conn->unsent.at, conn->unsent.len - conn->unsent.at);
    if (sent < 0) {
        return false;
    }
    conn->unsent.at += (size_t)sent;
    if (conn->unsent.at < conn->unsent.len) {
        return false;
    }
    drop_unsent(conn);
    return true;
}

/* Fill the shared buffer from nghttp2. SIZE_MAX: the session is broken. */
static size_t gather(struct h2_conn *conn)
{
    uint8_t *buf = conn->server->send_buf;
    size_t len = 0;

    while (len < SEND_BYTES) {
        const uint8_t *data;
        ssize_t got = nghttp2_session_mem_send(conn->session, &data);
        if (got < 0) {
            return SIZE_MAX;
        }
        if (got == 0) {
            break;
        }
        assert(got <= FRAME_MAX);
        memcpy(buf + len, data, (size_t)got);
        len += (size_t)got;
    }
    return len;
}

static bool is_finished(const struct h2_conn *conn)
{
    if (nghttp2_session_want_write(conn->session) != 0) {
        return false;
    }
    switch (conn->state) {
    case CONN_NOTICE:
        return conn
            ->terminated; /* nghttp2 would end with the notice, but the client may still send */
    case CONN_LAST:
        return conn->stream_count == 0;
    default:
        return nghttp2_session_want_read(conn->session) == 0;
    }
}

static void watch_for(struct h2_conn *conn)
{
    size_t waiting = conn->unsent.len - conn->unsent.at + conn->queued;
    bool blocked = conn->unsent.data != NULL;
    bool read = !blocked || waiting <= H2_QUEUED_MAX;

    loop_rewatch(conn->watch, (uint32_t)(read ? EPOLLIN : 0) | (uint32_t)(blocked ? EPOLLOUT : 0));
}

static void conn_send(struct h2_conn *conn)
{
    while (send_unsent(conn)) {
        size_t len = gather(conn);
        if (len == SIZE_MAX) {
            conn_close(conn);
            return;
        }
        if (len == 0) {
            break;
        }
        ssize_t sent = send_bytes(conn, conn->server->send_buf, len);
        if (sent < 0) {
            return;
        }
        if ((size_t)sent < len) {
            keep_unsent(conn, conn->server->send_buf + sent, len - (size_t)sent);
            break;
        }
    }
    if (conn->state == CONN_CLOSED) {
        return;
    }
    if (conn->unsent.data == NULL && is_finished(conn)) {
        conn_linger(conn);
    } else {
        watch_for(conn);
    }
}

static void send_dirty(void *ctx)
{
    struct h2_server *server = ctx;
    struct h2_conn *conn = server->dirty;

    server->dirty = NULL;
    while (conn != NULL) {
        struct h2_conn *next = conn->next_dirty;
        conn->dirty = false;
        if (conn->state == CONN_CLOSED) {
            free(conn);
        } else if (conn->state != CONN_LINGER) {
            conn_send(conn);
        }
        conn = next;
    }
}

/* --- reading --- */

static void answer_http1(struct h2_conn *conn)
{
    log_warn("net", "HTTP/1 request on an HTTP/2 port, refused", "port=%u",
             (unsigned)conn->server->port);
    (void)send_bytes(conn, (const uint8_t *)conn->server->http1_answer,
                     strlen(conn->server->http1_answer));
    if (conn->state != CONN_CLOSED) {
        conn_linger(conn);
    }
}

/* Whether a request of HTTP/1 begins so: matched bytes of the HTTP/2 preface, then these. */
static bool is_http1(const struct h2_conn *conn, const uint8_t *data, size_t len)
{
    static const char *const methods[] = {"GET ",    "POST ",  "PUT ",   "HEAD ",   "OPTIONS ",
                                          "DELETE ", "PATCH ", "TRACE ", "CONNECT "};
    char begin[sizeof(client_magic) + 8];
    size_t n = conn->magic_at;

    memcpy(begin, client_magic, n);
    for (size_t i = 0; i < len && i < 8; i++) {
        begin[n++] = (char)data[i];
    }
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        size_t method = strlen(methods[i]);
        if (memcmp(begin, methods[i], n < method ? n : method) == 0) {
            return true;
        }
    }
    return false;
}

/* The first bytes say who calls. false: not HTTP/2, and the connection is on its way out. */
static bool is_http2(struct h2_conn *conn, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len && conn->magic_at < sizeof(client_magic) - 1; i++) {
        if (data[i] == (uint8_t)client_magic[conn->magic_at]) {
            conn->magic_at++;
            continue;
        }
        if (conn->magic_at == 0 && data[i] == TLS_HANDSHAKE) {
            log_warn("net", "TLS handshake on a plaintext port, connection closed", "port=%u",
                     (unsigned)conn->server->port);
            conn_close(conn);
        } else if (is_http1(conn, data + i, len - i)) {
            answer_http1(conn);
        } else {
            conn_close(conn);
        }
        return false;
    }
    return true;
}

/* Who speaks clear text to a TLS port is told so, in HTTP/1, which every client can show. */
static void refuse_clear_text(struct h2_conn *conn, bool is_http)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n"
                                 "Content-Type: text/plain; charset=utf-8\r\n"
                                 "Content-Length: 21\r\n"
                                 "Connection: close\r\n"
                                 "\r\n"
                                 "this port speaks TLS\n";

    log_warn("net", "clear text on a TLS port, connection closed", "port=%u",
             (unsigned)conn->server->port);
    if (is_http) {
        (void)send(conn->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
    }
    conn_linger(conn);
}

/* Look at the first byte without taking it. false: not yet, or not TLS. */
static bool is_greeted(struct h2_conn *conn)
{
    uint8_t first;

    if (!conn->greeted) {
        ssize_t got = recv(conn->fd, &first, 1, MSG_PEEK);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return false;
        }
        if (got <= 0) {
            conn_close(conn);
            return false;
        }
        if (first != TLS_HANDSHAKE) {
            refuse_clear_text(conn, first >= 'A' && first <= 'Z');
            return false;
        }
        conn->greeted = true;
    }
    return true;
}

/* The TLS handshake, as far as it goes now. false: not done, or failed and closed. */
static bool is_secured(struct h2_conn *conn)
{
    struct error err;

    if (conn->secured) {
        return true;
    }
    if (!is_greeted(conn)) {
        return false;
    }
    switch (tls_handshake(conn->tls, &err)) {
    case TLS_DONE:
        conn->secured = true;
        loop_rewatch(conn->watch, EPOLLIN);
        return true;
    case TLS_WANT_READ:
        loop_rewatch(conn->watch, EPOLLIN);
        return false;
    case TLS_WANT_WRITE:
        loop_rewatch(conn->watch, EPOLLOUT);
        return false;
    case TLS_FAILED:
        log_warn("net", "TLS connection refused", "port=%u error=\"%s\"",
                 (unsigned)conn->server->port, err.message);
        break;
    case TLS_CLOSED:
        log_warn("net", "TLS connection refused",
                 "port=%u error=\"the client ended the handshake\"", (unsigned)conn->server->port);
        break;
    }
    conn_close(conn);
    return false;
}

static size_t receive_secured(struct h2_conn *conn)
{
    struct error err;
    size_t got = 0;
    size_t part;

    if (!is_secured(conn)) {
        return 0;
    }
    /* Whole records, so that OpenSSL keeps nothing back that the kernel would not tell us of. */
    while (READ_BYTES - got >= TLS_RECORD_MAX) {
        enum tls_step step =
            tls_read(conn->tls, conn->server->read_buf + got, READ_BYTES - got, &part, &err);
        if (step == TLS_CLOSED || step == TLS_FAILED) {
            if (got == 0) {
                conn_close(conn);
            }
            break;
        }
        if (step != TLS_DONE) {
            break;
        }
        got += part;
    }
    return got;
}

/* Bytes that came into the shared buffer; 0: none now, or the connection was closed. */
static size_t receive(struct h2_conn *conn)
{
    if (conn->tls != NULL && conn->state != CONN_LINGER) {
        return receive_secured(conn);
    }
    ssize_t got = recv(conn->fd, conn->server->read_buf, READ_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    if (got <= 0) {
        conn_close(conn);
        return 0;
    }
    return (size_t)got;
}

static void conn_read(struct h2_conn *conn)
{
    struct h2_server *server = conn->server;
    size_t got = receive(conn);

    if (got == 0) {
        return;
    }
    if (conn->state == CONN_LINGER) {
        conn->discarded += got;
        if (conn->discarded > LINGER_BYTES) {
            conn_close(conn);
        }
        return;
    }
    if (!is_http2(conn, server->read_buf, got)) {
        return;
    }
    ssize_t used = nghttp2_session_mem_recv(conn->session, server->read_buf, got);
    if (used < 0) {
        log_debug("net", "HTTP/2 session broken, connection closed", "port=%u error=\"%s\"",
                  (unsigned)server->port, nghttp2_strerror((int)used));
        conn_close(conn);
        return;
    }
    h2_count_waste(conn, got);
    if (conn->magic_at == sizeof(client_magic) - 1) {
        h2_conn_touch(conn);
    }
}

static void conn_event(void *ctx, uint32_t events)
{
    struct h2_conn *conn = ctx;

    if ((events & EPOLLIN) != 0) {
        conn_read(conn);
    } else if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        conn_close(conn);
        return;
    }
    if ((events & EPOLLOUT) != 0 && conn->state != CONN_CLOSED && conn->state != CONN_LINGER) {
        if (conn->tls != NULL && !conn->secured) {
            (void)is_secured(conn);
            return;
        }
        h2_conn_touch(conn);
    }
}

/* --- accepting --- */

static bool submit_settings(struct h2_conn *conn)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
         (uint32_t)conn->server->config.max_concurrent_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEADER_LIST_MAX},
    };

    return nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings,
                                   COUNT_OF(settings)) == 0 &&
           nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0,
                                                 H2_CONNECTION_WINDOW) == 0;
}

/*
 * When this connection shall move on: the configured age, 10 % more or less so that not all go at
 * once.
 */
static uint64_t age_limit(struct h2_server *server, uint64_t now)
{
    uint64_t age = server->config.max_connection_age_ns;

    if (age == 0) {
        return UINT64_MAX;
    }
    return saturating_add(now,
                          (uint64_t)((double)age * (0.9 + 0.2 * random_unit(&server->random))));
}

static void conn_open(struct h2_server *server, int fd)
{
    struct h2_conn *conn = mem_zalloc(1, sizeof(*conn));
    uint64_t now = loop_now(server->loop);
    const int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    conn->server = server;
    conn->fd = fd;
    conn->opened_ns = now;
    conn->idle_ns = now;
    conn->state_ns = now;
    conn->age_ns = age_limit(server, now);
    bucket_init(&conn->oddities, ODDITIES, ODDITIES_PER_S, now);
    conn->next = server->conns;
    if (server->conns != NULL) {
        server->conns->prev = conn;
    }
    server->conns = conn;
    server->conn_count++;
    conn->watch = loop_watch(server->loop, fd, EPOLLIN, conn_event, conn);
    if (server->tls != NULL) {
        conn->tls = tls_listener_accept(server->tls, fd, now);
    }
    int rc = nghttp2_session_server_new2(&conn->session, server->callbacks, conn, server->option);
    if (rc != 0 || !submit_settings(conn)) {
        conn_close(conn);
        return;
    }
    /*
     * Our SETTINGS wait for the client's preface: who speaks HTTP/1 shall read our answer, not a
     * frame.
     */
    uint64_t due = earlier(now + PREFACE_DEADLINE_NS, conn->age_ns);
    if (server->config.idle_timeout_ns > 0) {
        due = earlier(due, saturating_add(now, server->config.idle_timeout_ns));
    }
    h2_conn_arm(conn, due);
}

static void watch_listeners(struct h2_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        server->listeners[i].watch =
            loop_watch(server->loop, server->listeners[i].fd, EPOLLIN, accept_some, server);
    }
}

static void unwatch_listeners(struct h2_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].watch != NULL) {
            loop_unwatch(server->listeners[i].watch);
            server->listeners[i].watch = NULL;
        }
    }
}

static void accept_again(void *ctx)
{
    struct h2_server *server = ctx;

    watch_listeners(server);
}

/* Out of descriptors: the queue of the kernel holds the callers until some are free. */
static void accept_pause(struct h2_server *server, int failure)
{
    log_warn("net", "cannot accept connections, pausing", "port=%u errno=%d",
             (unsigned)server->port, failure);
    unwatch_listeners(server);
    loop_timer_set(server->loop, &server->accept_timer, ACCEPT_PAUSE_NS, accept_again, server);
}

static void accept_from(struct h2_server *server, int listener)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                accept_pause(server, errno);
            }
            return; /* nobody is waiting, or the caller has gone */
        }
        if (server->conn_count >= server->config.max_connections) {
            log_warn("net", "too many connections, one refused", "port=%u limit=%zu",
                     (unsigned)server->port, server->config.max_connections);
            (void)close(fd);
        } else {
            conn_open(server, fd);
        }
    }
}

static void accept_some(void *ctx, uint32_t events)
{
    struct h2_server *server = ctx;

    (void)events;
    /*
     * One callback for all listeners: there are at most four, and a look at an empty one is cheap.
     */
    for (size_t i = 0; i < server->listener_count && server->listeners[i].watch != NULL; i++) {
        accept_from(server, server->listeners[i].fd);
    }
}

/* --- the server --- */

static nghttp2_option *server_options(void)
{
    nghttp2_option *option = NULL;

    if (nghttp2_option_new(&option) != 0) {
        return NULL;
    }
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_outbound_ack(option, 1000);
    nghttp2_option_set_max_settings(option, 32);
#ifdef SPANGATE_NGHTTP2_RESET_LIMIT
    nghttp2_option_set_stream_reset_rate_limit(option, 1000, 33);
#endif
#ifdef SPANGATE_NGHTTP2_CONTINUATION_LIMIT
    nghttp2_option_set_max_continuations(option, 8);
#endif
    return option;
}

static char *http1_answer(const char *hint)
{
    const char *text = hint != NULL ? hint : "this port speaks HTTP/2 only";

    return mem_printf("HTTP/1.1 400 Bad Request\r\n"
                      "Content-Type: text/plain; charset=utf-8\r\n"
                      "Content-Length: %zu\r\n"
                      "Connection: close\r\n"
                      "\r\n"
                      "%s\n",
                      strlen(text) + 1, text);
}

bool h2_server_open(struct h2_server **out, struct loop *loop,
                    const struct h2_server_config *config, struct error *err)
{
    int fds[ADDRESS_SOCKETS_MAX];
    size_t count = 0;
    uint16_t port = 0;
    struct tls_listener *tls = NULL;

    if (config->tls != NULL && !tls_listener_open(&tls, config->tls, err)) {
        return false;
    }
    if (!address_listen(config->endpoint, fds, &count, &port, err)) {
        tls_listener_close(tls);
        return false;
    }
    struct h2_server *server = mem_zalloc(1, sizeof(*server));
    server->tls = tls;
    server->loop = loop;
    server->config = *config;
    server->config.endpoint = NULL; /* borrowed for this call only */
    if (server->config.max_concurrent_streams == 0) {
        server->config.max_concurrent_streams = 100;
    }
    if (server->config.max_connections == 0) {
        server->config.max_connections = 4096;
    }
    server->http1_answer = http1_answer(config->http1_hint);
    server->port = port;
    server->free_slot = UINT32_MAX;
    server->read_buf = mem_alloc(READ_BYTES);
    server->send_buf = mem_alloc(SEND_BYTES + FRAME_MAX);
    random_bytes(&server->random, sizeof(server->random));
    server->option = server_options();
    server->callbacks = h2_session_callbacks();
    assert(server->option != NULL && server->callbacks != NULL); /* only memory can be missing */
    for (size_t i = 0; i < count; i++) {
        server->listeners[i].fd = fds[i];
    }
    server->listener_count = count;
    watch_listeners(server);
    *out = server;
    return true;
}

uint16_t h2_server_port(const struct h2_server *server)
{
    return server->port;
}

static void stop_listening(struct h2_server *server)
{
    unwatch_listeners(server);
    loop_timer_clear(&server->accept_timer);
    for (size_t i = 0; i < server->listener_count; i++) {
        (void)close(server->listeners[i].fd);
    }
    server->listener_count = 0;
}

void h2_server_drain(struct h2_server *server)
{
    stop_listening(server);
    for (struct h2_conn *conn = server->conns, *next; conn != NULL; conn = next) {
        next = conn->next;
        h2_conn_drain(conn);
    }
}

bool h2_server_is_idle(const struct h2_server *server)
{
    return server->stream_count == 0 && server->unsent_count == 0;
}

void h2_server_close(struct h2_server *server)
{
    if (server == NULL) {
        return;
    }
    stop_listening(server);
    while (server->conns != NULL) {
        conn_close(server->conns);
    }
    send_dirty(server);
    loop_timer_clear(&server->send_timer);
    while (server->spare != NULL) {
        struct h2_stream *stream = server->spare;
        server->spare = stream->next;
        free(stream);
    }
    tls_listener_close(server->tls);
    nghttp2_option_del(server->option);
    nghttp2_session_callbacks_del(server->callbacks);
    free(server->slots);
    free(server->read_buf);
    free(server->send_buf);
    free(server->http1_answer);
    free(server);
}
