/*
 * address.c - endpoints as text, and listening on them.
 */
#include <spangate/net/address.h>

#include "connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <spangate/base/clock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOST_MAX = 256, BACKLOG = 4096, PORT_ATTEMPTS = 16 };

static bool parse_port(const char *text, uint16_t *port)
{
    unsigned value = 0;
    size_t len = strlen(text);

    if (len == 0 || len > 5) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = 10 * value + (unsigned)(text[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

bool address_split(const char *endpoint, char *host, size_t host_cap, uint16_t *port,
                   struct error *err)
{
    const char *begin = endpoint;
    const char *end;
    const char *rest;

    if (*endpoint == '[') {
        begin = endpoint + 1;
        end = strchr(begin, ']');
        rest = end == NULL ? NULL : end + 1;
    } else {
        end = strchr(endpoint, ':');
        rest = end;
        if (end != NULL && strchr(end + 1, ':') != NULL) {
            return error_set(
                err, ERR_INVALID,
                "\"%s\" has too many colons: an IPv6 address needs brackets, [::1]:4317", endpoint);
        }
    }
    if (end == NULL || rest == NULL || *rest != ':') {
        return error_set(err, ERR_INVALID, "\"%s\" is not host:port", endpoint);
    }
    size_t len = (size_t)(end - begin);
    if (len >= host_cap) {
        return error_set(err, ERR_INVALID, "the host name of an endpoint is too long: %zu bytes",
                         len);
    }
    if (!parse_port(rest + 1, port)) {
        return error_set(err, ERR_INVALID, "\"%s\" has no port between 0 and 65535", endpoint);
    }
    memcpy(host, begin, len);
    host[len] = '\0';
    return true;
}

bool address_is_loopback(const char *endpoint)
{
    char host[HOST_MAX];
    uint16_t port;
    struct error ignored;
    struct in_addr v4;
    struct in6_addr v6;

    if (!address_split(endpoint, host, sizeof(host), &port, &ignored)) {
        return false;
    }
    if (inet_pton(AF_INET, host, &v4) == 1) {
        return (ntohl(v4.s_addr) >> 24) == 127;
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&v6);
    }
    return strcmp(host, "localhost") == 0;
}

/* A socket of the address, bound to port and listening; -errno otherwise. */
static int listen_one(const struct sockaddr *address, socklen_t len, bool v6_only)
{
    const int on = 1;
    const int only = v6_only ? 1 : 0;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -errno;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->sa_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
    }
    if (bind(fd, address, len) != 0 || listen(fd, BACKLOG) != 0) {
        int failure = errno;
        (void)close(fd);
        return -failure;
    }
    return fd;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return 0;
    }
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

static void set_port(struct sockaddr *address, uint16_t port)
{
    if (address->sa_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
    }
}

/* An address of a family that this machine does not have. */
static bool is_missing_family(int failure)
{
    return failure == EAFNOSUPPORT || failure == EADDRNOTAVAIL || failure == EPROTONOSUPPORT;
}

/* Files of host names may name one address twice. */
static bool is_repeated(const struct addrinfo *list, const struct addrinfo *at)
{
    for (const struct addrinfo *before = list; before != at; before = before->ai_next) {
        if (before->ai_addrlen == at->ai_addrlen &&
            memcmp(before->ai_addr, at->ai_addr, at->ai_addrlen) == 0) {
            return true;
        }
    }
    return false;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
}

/*
 * Listen on all addresses of the list with one port. 0, or the errno of the address that could not
 * be bound. With port 0 the kernel chooses for the first, and the others may then find that port
 * taken.
 */
static int listen_list(const struct addrinfo *list, bool v6_only, uint16_t wanted,
                       int fds[ADDRESS_SOCKETS_MAX], size_t *count, uint16_t *port)
{
    int failure = EADDRNOTAVAIL;

    *count = 0;
    *port = wanted;
    for (const struct addrinfo *at = list; at != NULL && *count < ADDRESS_SOCKETS_MAX;
         at = at->ai_next) {
        struct sockaddr_storage address;
        if (is_repeated(list, at)) {
            continue;
        }
        memcpy(&address, at->ai_addr, at->ai_addrlen);
        set_port((struct sockaddr *)&address, *port);
        int fd = listen_one((const struct sockaddr *)&address, at->ai_addrlen, v6_only);
        if (fd >= 0) {
            *port = *port != 0 ? *port : bound_port(fd);
            fds[(*count)++] = fd;
        } else if (!is_missing_family(-fd)) {
            close_all(fds, *count);
            *count = 0;
            return -fd;
        } else {
            failure = -fd;
        }
    }
    return *count > 0 ? 0 : failure;
}

static bool resolve_for_listening(const char *host, struct addrinfo **list, struct error *err)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };

    int rc = getaddrinfo(host[0] == '\0' ? NULL : host, "0", &hints, list);
    if (rc != 0) {
        return error_set(err, ERR_INVALID, "cannot find the address of \"%s\": %s", host,
                         gai_strerror(rc));
    }
    return true;
}

bool address_listen(const char *endpoint, int fds[ADDRESS_SOCKETS_MAX], size_t *count,
                    uint16_t *port, struct error *err)
{
    char host[HOST_MAX];
    uint16_t wanted;
    struct addrinfo *list = NULL;

    if (!address_split(endpoint, host, sizeof(host), &wanted, err)) {
        return false;
    }
    /* "::" written out takes IPv4 as well, as other gateways do; the list of "" has both anyway. */
    bool v6_only = strcmp(host, "::") != 0;
    if (!resolve_for_listening(host, &list, err)) {
        return false;
    }
    int failure = listen_list(list, v6_only, wanted, fds, count, port);
    for (int i = 0; failure == EADDRINUSE && wanted == 0 && i < PORT_ATTEMPTS; i++) {
        failure = listen_list(list, v6_only, wanted, fds, count, port);
    }
    freeaddrinfo(list);
    if (failure == EADDRINUSE) {
        return error_set(err, ERR_IN_USE, "cannot bind %s: address in use", endpoint);
    }
    if (failure != 0) {
        return error_set_errno(err, failure, "cannot bind %s", endpoint);
    }
    return true;
}

bool address_connect(const char *host, uint16_t port, uint64_t timeout_ns, int *fd,
                     struct error *err)
{
    uint64_t now = clock_monotonic(&clock_system);
    uint64_t deadline = timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;

    return connect_until(host, port, deadline, -1, fd, err);
}
