/*
 * address.h - "host:port" as the Collector's files write it, to sockets.
 *
 * Accepts "localhost:4317", "127.0.0.1:4317", "[::1]:4317", ":4317" (all addresses), "0.0.0.0:0".
 */
#ifndef SPANGATE_NET_ADDRESS_H
#define SPANGATE_NET_ADDRESS_H

#include <spangate/base/error.h>
#include <stddef.h>
#include <stdint.h>

enum { ADDRESS_SOCKETS_MAX = 4 };

/*
 * Bind and listen on every address of the endpoint (localhost: IPv4 and, where it exists, IPv6, on
 * one port). *count sockets, non-blocking, close-on-exec. *port: the one in use (for port 0).
 * ERR_IN_USE: "cannot bind 127.0.0.1:4318: address in use". ERR_INVALID: not an endpoint.
 */
bool address_listen(const char *endpoint, int fds[ADDRESS_SOCKETS_MAX], size_t *count,
                    uint16_t *port, struct error *err) MUST_CHECK;

/* Non-blocking connect begun to the first address that takes it; for the gRPC client. */
bool address_connect(const char *host, uint16_t port, uint64_t timeout_ns, int *fd,
                     struct error *err) MUST_CHECK;

/* Split "host:port"; host without brackets. */
bool address_split(const char *endpoint, char *host, size_t host_cap, uint16_t *port,
                   struct error *err) MUST_CHECK;

/* Whether the endpoint is reachable only from this machine. */
bool address_is_loopback(const char *endpoint);

#endif
