/*
 * http_client.h - HTTP/1.1 from the client's side, byte by byte: a blocking socket, what a test
 * sends on it and one answer at a time. Sloppy requests are the point, so nothing is built or
 * checked here.
 */
#ifndef SPANGATE_TEST_HTTP_CLIENT_H
#define SPANGATE_TEST_HTTP_CLIENT_H

#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct answer {
    int status; /* 0: the connection ended without one */
    char head[4096];
    char *body; /* NUL-terminated */
    size_t body_len;
};

static inline int client_open(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 30};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    return fd;
}

/* Whether all of it could be sent: a server may have ended the connection. */
static inline bool client_send(int fd, const void *bytes, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(fd, (const char *)bytes + sent, len - sent, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        sent += (size_t)n;
    }
    return true;
}

static inline bool client_send_text(int fd, const char *text)
{
    return client_send(fd, text, strlen(text));
}

/* One answer, without reading a byte beyond it. no_body: to HEAD. */
static inline struct answer client_read_to(int fd, bool no_body)
{
    struct answer answer = {0};
    size_t at = 0;

    while (at < sizeof(answer.head) - 1) {
        if (recv(fd, answer.head + at, 1, 0) != 1) {
            return answer;
        }
        at++;
        if (at >= 4 && memcmp(answer.head + at - 4, "\r\n\r\n", 4) == 0) {
            break;
        }
    }
    answer.head[at] = '\0';
    assert_memory_equal(answer.head, "HTTP/1.", 7);
    answer.status = (int)strtol(answer.head + 9, NULL, 10);

    const char *length = strcasestr(answer.head, "\r\nContent-Length:");
    size_t len = length != NULL && !no_body ? (size_t)strtoull(length + 17, NULL, 10) : 0;
    answer.body = malloc(len + 1);
    assert_non_null(answer.body);
    while (answer.body_len < len) {
        ssize_t n = recv(fd, answer.body + answer.body_len, len - answer.body_len, 0);
        assert_true(n > 0);
        answer.body_len += (size_t)n;
    }
    answer.body[answer.body_len] = '\0';
    return answer;
}

static inline struct answer client_read(int fd)
{
    return client_read_to(fd, false);
}

/* The value of a header line, in static memory; NULL: absent. */
static inline const char *answer_header(const struct answer *answer, const char *name)
{
    static char value[1024];
    size_t name_len = strlen(name);

    for (const char *line = strstr(answer->head, "\r\n"); line != NULL;
         line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
            line += name_len + 1;
            line += strspn(line, " ");
            size_t len = strcspn(line, "\r");
            (void)snprintf(value, sizeof(value), "%.*s", (int)len, line);
            return value;
        }
    }
    return NULL;
}

static inline void answer_free(struct answer *answer)
{
    free(answer->body);
    answer->body = NULL;
}

/* Whether the server has ended the connection (nothing but the end may come). */
static inline bool client_is_ended(int fd)
{
    char byte;

    return recv(fd, &byte, 1, 0) <= 0;
}

/* One request on a connection of its own. */
static inline struct answer client_ask(uint16_t port, const char *request)
{
    int fd = client_open(port);

    (void)client_send_text(fd, request);
    struct answer answer = client_read_to(fd, strncmp(request, "HEAD ", 5) == 0);
    assert_int_equal(close(fd), 0);
    return answer;
}

#endif
