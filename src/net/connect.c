/*
 * connect.c - name lookup and connect, neither of which may outlast its deadline.
 *
 * getaddrinfo(3) cannot be given a time or be called off. So names (not addresses) are looked up on
 * a thread of their own; who stops waiting leaves the thread behind to throw its result away.
 */
#include "connect.h"

#include <spangate/net/address.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/base/thread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOST_MAX = 256 };

struct lookup {
    atomic_uint refs; /* who waits, and the thread */
    char *host;
    char port[8];
    int done_fd; /* readable when the thread has finished */
    atomic_bool done;
    int rc;
    struct addrinfo *found;
};

static void lookup_unref(struct lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->refs, 1) != 1) {
        return;
    }
    if (lookup->found != NULL) {
        freeaddrinfo(lookup->found);
    }
    if (lookup->done_fd >= 0) {
        (void)close(lookup->done_fd);
    }
    free(lookup->host);
    free(lookup);
}

static void resolve(struct lookup *lookup, int flags)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = flags | AI_NUMERICSERV,
    };

    lookup->rc = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->found);
    atomic_store(&lookup->done, true);
}

static void lookup_thread(void *arg)
{
    struct lookup *lookup = arg;
    const uint64_t one = 1;

    resolve(lookup, 0);
    ssize_t written = write(lookup->done_fd, &one, sizeof(one));
    (void)written;
    lookup_unref(lookup);
}

static struct lookup *lookup_new(const char *host, uint16_t port)
{
    struct lookup *lookup = mem_zalloc(1, sizeof(*lookup));

    atomic_init(&lookup->refs, 1);
    lookup->host = mem_strdup(host);
    (void)snprintf(lookup->port, sizeof(lookup->port), "%u", (unsigned)port);
    lookup->done_fd = -1;
    return lookup;
}

/* Fill lookup->found. */
static bool look_up(struct lookup *lookup, uint64_t deadline_ns, int wake_fd, struct error *err)
{
    resolve(lookup, AI_NUMERICHOST);
    if (lookup->rc == EAI_NONAME) {
        struct thread thread = {0};

        atomic_store(&lookup->done, false);
        lookup->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (lookup->done_fd < 0) {
            (void)error_set_errno(err, errno, "look up %s", lookup->host);
            err->code = ERR_UNAVAILABLE;
            return false;
        }
        atomic_fetch_add(&lookup->refs, 1);
        thread_start(&thread, "lookup", lookup_thread, lookup);
        (void)pthread_detach(thread.handle);
        if (!wait_until(lookup->done_fd, POLLIN, deadline_ns, wake_fd, "looking up the name",
                        err)) {
            return false;
        }
        while (!atomic_load(&lookup->done)) {
            /* It is; this makes the thread's writes ours. */
        }
    }
    if (lookup->rc != 0) {
        return error_set(err, ERR_UNAVAILABLE, "look up %s: %s", lookup->host,
                         lookup->rc == EAI_SYSTEM ? "the resolver failed"
                                                  : gai_strerror(lookup->rc));
    }
    return true;
}

bool wait_until(int fd, short events, uint64_t deadline_ns, int wake_fd, const char *doing,
                struct error *err)
{
    struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = wake_fd, .events = POLLIN}};

    for (;;) {
        uint64_t now = clock_monotonic(&clock_system);
        if (now >= deadline_ns) {
            return error_set(err, ERR_UNAVAILABLE, "deadline exceeded while %s", doing);
        }
        uint64_t ms = (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
        int ready = poll(fds, 2, ms > 3600 * 1000 ? 3600 * 1000 : (int)ms);
        if (ready < 0 && errno != EINTR) {
            (void)error_set_errno(err, errno, "poll while %s", doing);
            err->code = ERR_UNAVAILABLE;
            return false;
        }
        if (ready > 0 && fds[1].revents != 0) {
            return error_set(err, ERR_UNAVAILABLE, "interrupted while %s", doing);
        }
        if (ready > 0) {
            return true;
        }
    }
}

/* name: "host:port" for messages. */
static bool connect_one(const struct addrinfo *to, const char *name, uint64_t deadline_ns,
                        int wake_fd, int *out, struct error *err)
{
    char doing[HOST_MAX + 32];
    int fd = socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol);
    int failure = 0;
    socklen_t size = sizeof(failure);
    const int on = 1;

    if (fd < 0) {
        (void)error_set_errno(err, errno, "open a socket");
        err->code = ERR_UNAVAILABLE;
        return false;
    }
    (void)snprintf(doing, sizeof(doing), "connecting to %s", name);
    if (connect(fd, to->ai_addr, to->ai_addrlen) != 0) {
        if (errno != EINPROGRESS) {
            failure = errno;
        } else if (!wait_until(fd, POLLOUT, deadline_ns, wake_fd, doing, err)) {
            (void)close(fd);
            return false;
        } else {
            (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
        }
    }
    if (failure != 0) {
        (void)close(fd);
        (void)error_set_errno(err, failure, "connect %s", name);
        err->code = ERR_UNAVAILABLE;
        return false;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *out = fd;
    return true;
}

bool connect_until(const char *host, uint16_t port, uint64_t deadline_ns, int wake_fd, int *fd,
                   struct error *err)
{
    struct lookup *lookup = lookup_new(host, port);
    bool ok = look_up(lookup, deadline_ns, wake_fd, err);

    if (ok) {
        char name[HOST_MAX + 8];
        (void)snprintf(name, sizeof(name), "%.*s:%u", HOST_MAX, host, (unsigned)port);
        size_t left = 0;
        for (const struct addrinfo *at = lookup->found; at != NULL; at = at->ai_next) {
            left++;
        }
        ok = false;
        for (const struct addrinfo *at = lookup->found; at != NULL && !ok; at = at->ai_next) {
            /* One address that does not answer must not use up the time of the others. */
            uint64_t now = clock_monotonic(&clock_system);
            uint64_t share = now < deadline_ns ? (deadline_ns - now) / left : 0;
            left--;
            ok = connect_one(at, name, now + share, wake_fd, fd, err);
        }
    }
    lookup_unref(lookup);
    return ok;
}
