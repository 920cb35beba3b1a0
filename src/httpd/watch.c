/*
 * watch.c - deadlines that libmicrohttpd does not have, and closing without losing the answer.
 *
 * libmicrohttpd ends a connection that is silent. One that sends a byte now and then lives forever;
 * this thread looks at all connections once a second and cuts those that
 *   - take more than 10 s over their headers,
 *   - take more than 60 s and a second for each MiB over a body, or send it below 1 KiB/s,
 *   - take more than 60 s and a second for each MiB to read an answer.
 * A request line that is not finished is invisible to us, so an idle connection is judged by the
 * kernel's count of bytes received: if it grows and no request comes of it, headers are under way.
 *
 * Cutting is shutdown(): libmicrohttpd then sees the end of the stream and cleans up. The lock is
 * held, and a connection leaves the list before its descriptor is closed, so the descriptor is the
 * right one.
 *
 * Slow close: a socket closed with unread bytes makes the kernel send a reset, which can destroy
 * our answer on its way. Such sockets are duplicated before libmicrohttpd closes them and
 * read to their end here, for 3 s and 8 MiB at most.
 */
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <spangate/base/clock.h>
#include <spangate/base/log.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Last: it brings its own view of names that netinet/tcp.h has as well. */
#include <linux/tcp.h>

#define SWEEP_NS NS_PER_S
#define HEADERS_NS (10 * NS_PER_S)
#define BODY_NS (60 * NS_PER_S)
#define BODY_GRACE_NS (10 * NS_PER_S)
#define BODY_BYTES_PER_S 1024
#define LINGER_NS (3 * NS_PER_S)
#define LINGER_BYTES ((size_t)8 << 20)

struct slow_close {
    int fd;
    uint64_t until_ns;
    size_t left;
};

uint64_t watch_bytes_received(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0) {
        return 0;
    }
    return info.tcpi_bytes_received;
}

/* Whether a connection without a request has been sending one for too long. */
static bool headers_are_late(struct connection *connection, uint64_t serial, uint64_t now_ns)
{
    uint64_t bytes = watch_bytes_received(connection->fd);

    if (!connection->idle_seen || connection->idle_serial != serial) {
        connection->idle_seen = true;
        connection->idle_serial = serial;
        connection->idle_bytes = bytes;
        connection->dribble_ns = 0;
        /* A fresh connection has sent nothing before its first byte. */
        if (serial > 0 || bytes == 0) {
            return false;
        }
        connection->idle_bytes = 0;
    }
    if (bytes <= connection->idle_bytes) {
        return false;
    }
    if (connection->dribble_ns == 0) {
        connection->dribble_ns = now_ns;
    }
    return now_ns - connection->dribble_ns > HEADERS_NS;
}

/*
 * The epoll thread may begin another request while we look. It announces that by `serial` before it
 * changes anything else, so what was read is of one request if the serial stayed the same.
 */
static const char *reason_to_cut(struct connection *connection, uint64_t now_ns)
{
    uint64_t serial = atomic_load(&connection->watch.serial);
    enum watch_phase phase = atomic_load(&connection->watch.phase);
    uint64_t since = atomic_load(&connection->watch.since_ns);
    uint64_t expected = atomic_load(&connection->watch.expected);
    uint64_t received = atomic_load(&connection->watch.received);
    uint64_t spent = now_ns > since ? now_ns - since : 0;
    uint64_t mib = (expected > received ? expected : received) >> 20;
    uint64_t allowed = BODY_NS + (mib < 3600 ? mib : 3600) * NS_PER_S;

    if (atomic_load(&connection->watch.serial) != serial) {
        return NULL;
    }
    switch (phase) {
    case WATCH_IDLE:
        return headers_are_late(connection, serial, now_ns) ? "headers" : NULL;
    case WATCH_HEADERS:
        return spent > HEADERS_NS ? "headers" : NULL;
    case WATCH_BODY:
        if (spent > allowed) {
            return "body";
        }
        return spent > BODY_GRACE_NS && received < spent / NS_PER_S * BODY_BYTES_PER_S ? "slow body"
                                                                                       : NULL;
    case WATCH_ANSWER:
        return spent > allowed ? "answer" : NULL;
    case WATCH_HANDLER:
        break;
    }
    return NULL;
}

void watch_enter(struct connection *connection, enum watch_phase phase)
{
    atomic_store_explicit(&connection->watch.since_ns, clock_monotonic(&clock_system),
                          memory_order_release);
    atomic_store_explicit(&connection->watch.phase, phase, memory_order_release);
}

void watch_sweep(struct httpd *httpd, uint64_t now_ns)
{
    pthread_mutex_lock(&httpd->shared.lock);
    for (struct connection *c = httpd->shared.connections; c != NULL; c = c->next) {
        const char *reason = c->cut ? NULL : reason_to_cut(c, now_ns);
        if (reason != NULL) {
            c->cut = true;
            (void)shutdown(c->fd, SHUT_RDWR);
            log_info("httpd", "connection cut, too slow", "server=%s waiting_for=\"%s\"",
                     httpd->name, reason);
        }
    }
    pthread_mutex_unlock(&httpd->shared.lock);
}

/* Whether there is nothing more to wait for. */
static bool drain_one(struct slow_close *linger, uint64_t now_ns)
{
    static _Thread_local char sink[64 * 1024];

    while (linger->left > 0) {
        ssize_t n = recv(linger->fd, sink, sizeof(sink), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            return true;
        }
        if (n < 0) {
            return now_ns >= linger->until_ns;
        }
        linger->left -= (size_t)n < linger->left ? (size_t)n : linger->left;
    }
    return true;
}

static bool wants_end(struct httpd *httpd, struct slow_close *lingers, size_t *count, bool *any)
{
    uint64_t until = clock_monotonic(&clock_system) + LINGER_NS;

    pthread_mutex_lock(&httpd->shared.lock);
    for (size_t i = 0; i < httpd->shared.linger_count; i++) {
        int fd = httpd->shared.lingering[i];
        if (*count < LINGER_MAX) {
            lingers[(*count)++] = (struct slow_close){fd, until, LINGER_BYTES};
        } else {
            (void)close(fd);
        }
    }
    httpd->shared.linger_count = 0;
    *any = httpd->shared.connections != NULL;
    bool end = httpd->shared.watch_end;
    pthread_mutex_unlock(&httpd->shared.lock);
    return end;
}

static void watch_run(void *arg)
{
    struct httpd *httpd = arg;
    struct slow_close lingers[LINGER_MAX];
    struct pollfd polls[LINGER_MAX + 1];
    size_t count = 0;
    uint64_t swept_ns = clock_monotonic(&clock_system);
    bool any;

    while (!wants_end(httpd, lingers, &count, &any)) {
        uint64_t now = clock_monotonic(&clock_system);
        if (now - swept_ns >= SWEEP_NS) {
            watch_sweep(httpd, now);
            swept_ns = now;
        }

        polls[0] = (struct pollfd){.fd = httpd->watch_event, .events = POLLIN};
        for (size_t i = 0; i < count; i++) {
            polls[i + 1] = (struct pollfd){.fd = lingers[i].fd, .events = POLLIN};
        }
        int timeout_ms = any || count > 0 ? 1000 : -1;
        (void)poll(polls, (nfds_t)(count + 1), timeout_ms);
        if ((polls[0].revents & POLLIN) != 0) {
            eventfd_t ignored;
            (void)eventfd_read(httpd->watch_event, &ignored);
        }

        now = clock_monotonic(&clock_system);
        size_t kept = 0;
        for (size_t i = 0; i < count; i++) {
            if (drain_one(&lingers[i], now)) {
                (void)close(lingers[i].fd);
            } else {
                lingers[kept++] = lingers[i];
            }
        }
        count = kept;
    }
    for (size_t i = 0; i < count; i++) {
        (void)close(lingers[i].fd);
    }
}

void watch_wake(struct httpd *httpd)
{
    (void)eventfd_write(httpd->watch_event, 1);
}

void watch_start(struct httpd *httpd)
{
    thread_start(&httpd->watcher, "http-watch", watch_run, httpd);
}

void watch_stop(struct httpd *httpd)
{
    pthread_mutex_lock(&httpd->shared.lock);
    httpd->shared.watch_end = true;
    pthread_mutex_unlock(&httpd->shared.lock);
    watch_wake(httpd);
    thread_join(&httpd->watcher);
}
