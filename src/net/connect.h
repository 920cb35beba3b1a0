/*
 * connect.h - connecting with a deadline and a way to be called off.
 */
#ifndef SPANGATE_SRC_CONNECT_H
#define SPANGATE_SRC_CONNECT_H

#include <spangate/base/error.h>
#include <stdint.h>

/*
 * A connected, non-blocking TCP socket to the first address of host that answers before deadline_ns
 * (monotonic). Readable wake_fd (-1: none) calls it off. ERR_UNAVAILABLE in every failure.
 */
bool connect_until(const char *host, uint16_t port, uint64_t deadline_ns, int wake_fd, int *fd,
                   struct error *err) MUST_CHECK;

/*
 * Wait for events of fd until deadline_ns. Fails with ERR_UNAVAILABLE at the deadline and when
 * wake_fd is readable; doing is for the message: "deadline exceeded while connecting".
 */
bool wait_until(int fd, short events, uint64_t deadline_ns, int wake_fd, const char *doing,
                struct error *err) MUST_CHECK;

#endif
