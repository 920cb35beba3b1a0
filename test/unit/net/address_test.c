/*
 * address_test.c - endpoints as people write them, and listening on all that they mean.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <spangate/base/clock.h>
#include <spangate/net/address.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void endpoints_are_split_into_host_and_port(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint;
        const char *host;
        unsigned port;
    } good[] = {
        {"localhost:4317", "localhost", 4317}, {"127.0.0.1:4317", "127.0.0.1", 4317},
        {"[::1]:4317", "::1", 4317},           {":4317", "", 4317},
        {"0.0.0.0:0", "0.0.0.0", 0},           {"h:65535", "h", 65535},
    };

    for (size_t i = 0; i < COUNT_OF(good); i++) {
        char host[64];
        uint16_t port = 1;
        struct error err = {0};
        assert_true(address_split(good[i].endpoint, host, sizeof(host), &port, &err));
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
}

static void what_is_no_endpoint_is_refused_and_quoted(void **state)
{
    (void)state;
    static const char *const bad[] = {"",       "localhost", "localhost:",      "localhost:x",
                                      ":65536", "[::1]",     "[::1:4317",       "::1:4317",
                                      "a:b:1",  "a:-1",      "localhost:4317/", "[::1]4317"};

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char host[64];
        uint16_t port;
        struct error err = {0};
        assert_false(address_split(bad[i], host, sizeof(host), &port, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.message, bad[i]));
    }
}

static void a_host_longer_than_the_buffer_is_refused(void **state)
{
    (void)state;
    char host[4];
    uint16_t port;
    struct error err = {0};

    assert_true(address_split("abc:1", host, sizeof(host), &port, &err));
    assert_false(address_split("abcd:1", host, sizeof(host), &port, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void loopback_is_told_from_the_open_network(void **state)
{
    (void)state;
    assert_true(address_is_loopback("localhost:1"));
    assert_true(address_is_loopback("127.0.0.1:1"));
    assert_true(address_is_loopback("127.9.9.9:1"));
    assert_true(address_is_loopback("[::1]:1"));
    assert_false(address_is_loopback(":1"));
    assert_false(address_is_loopback("0.0.0.0:1"));
    assert_false(address_is_loopback("[::]:1"));
    assert_false(address_is_loopback("10.0.0.1:1"));
    assert_false(address_is_loopback("example.com:1"));
    assert_false(address_is_loopback("nonsense"));
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
}

static void listening_on_port_0_tells_the_port_and_takes_calls(void **state)
{
    (void)state;
    static const char *const endpoints[] = {"localhost:0", "127.0.0.1:0", ":0", "0.0.0.0:0"};

    for (size_t i = 0; i < COUNT_OF(endpoints); i++) {
        int fds[ADDRESS_SOCKETS_MAX];
        size_t count = 0;
        uint16_t port = 0;
        struct error err = {0};
        int fd = -1;
        assert_true(address_listen(endpoints[i], fds, &count, &port, &err));
        assert_true(count >= 1);
        assert_int_not_equal(port, 0);
        assert_true(address_connect("127.0.0.1", port, 5 * NS_PER_S, &fd, &err));
        (void)close(fd);
        close_all(fds, count);
    }
}

static void a_port_in_use_is_said_to_be(void **state)
{
    (void)state;
    int fds[ADDRESS_SOCKETS_MAX];
    int more[ADDRESS_SOCKETS_MAX];
    size_t count = 0;
    size_t ignored = 0;
    uint16_t port = 0;
    uint16_t again = 0;
    struct error err = {0};
    char endpoint[32];
    char expected[80];

    assert_true(address_listen("127.0.0.1:0", fds, &count, &port, &err));
    (void)snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", (unsigned)port);
    assert_false(address_listen(endpoint, more, &ignored, &again, &err));

    assert_int_equal(err.code, ERR_IN_USE);
    (void)snprintf(expected, sizeof(expected), "cannot bind %s: address in use", endpoint);
    assert_string_equal(err.message, expected);
    close_all(fds, count);
}

static void a_connection_that_nobody_takes_fails_with_the_address(void **state)
{
    (void)state;
    int fds[ADDRESS_SOCKETS_MAX];
    size_t count = 0;
    uint16_t port = 0;
    int fd = -1;
    struct error err = {0};
    char expected[80];

    assert_true(address_listen("127.0.0.1:0", fds, &count, &port, &err));
    close_all(fds, count);
    assert_false(address_connect("127.0.0.1", port, 5 * NS_PER_S, &fd, &err));

    assert_int_equal(err.code, ERR_UNAVAILABLE);
    (void)snprintf(expected, sizeof(expected), "connect 127.0.0.1:%u: Connection refused",
                   (unsigned)port);
    assert_string_equal(err.message, expected);
}

static void names_are_looked_up(void **state)
{
    (void)state;
    int fds[ADDRESS_SOCKETS_MAX];
    size_t count = 0;
    uint16_t port = 0;
    int fd = -1;
    struct error err = {0};

    assert_true(address_listen("localhost:0", fds, &count, &port, &err));
    assert_true(address_connect("localhost", port, 60 * NS_PER_S, &fd, &err));
    (void)close(fd);
    close_all(fds, count);
}

static void a_passed_deadline_fails_at_once(void **state)
{
    (void)state;
    int fd = -1;
    struct error err = {0};

    assert_false(address_connect("localhost", 9, 0, &fd, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "deadline exceeded"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_are_split_into_host_and_port),
        cmocka_unit_test(what_is_no_endpoint_is_refused_and_quoted),
        cmocka_unit_test(a_host_longer_than_the_buffer_is_refused),
        cmocka_unit_test(loopback_is_told_from_the_open_network),
        cmocka_unit_test(listening_on_port_0_tells_the_port_and_takes_calls),
        cmocka_unit_test(a_port_in_use_is_said_to_be),
        cmocka_unit_test(a_connection_that_nobody_takes_fails_with_the_address),
        cmocka_unit_test(names_are_looked_up),
        cmocka_unit_test(a_passed_deadline_fails_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
