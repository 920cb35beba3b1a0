/*
 * clock.h - the two clocks, as values that a test or the simulator can replace.
 *
 * Monotonic time drives every timer; wall time is only ever stored or shown.
 */
#ifndef SPANGATE_BASE_CLOCK_H
#define SPANGATE_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

struct clock {
    uint64_t (*monotonic_ns)(const struct clock *clock);
    uint64_t (*wall_ns)(const struct clock *clock); /* since 1970, UTC */
};

extern const struct clock clock_system;

static inline uint64_t clock_monotonic(const struct clock *clock)
{
    return clock->monotonic_ns(clock);
}

static inline uint64_t clock_wall(const struct clock *clock)
{
    return clock->wall_ns(clock);
}

#endif
