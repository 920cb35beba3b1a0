/*
 * clock.c - the system's clocks.
 */
#include <spangate/base/clock.h>

#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t system_monotonic(const struct clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_MONOTONIC);
}

static uint64_t system_wall(const struct clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_REALTIME);
}

const struct clock clock_system = {.monotonic_ns = system_monotonic, .wall_ns = system_wall};
