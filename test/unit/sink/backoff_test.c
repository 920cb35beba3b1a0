/*
 * backoff_test.c - the wait before the next attempt, without waiting.
 */
#include "unit.h"

#include "../../../src/sink/backoff.h"

static struct backoff backoff_of(struct sink_retry retry)
{
    struct backoff backoff;
    backoff_init(&backoff, &retry, 1);
    return backoff;
}

static uint64_t next_wait(struct backoff *backoff, uint64_t now_ns, uint64_t retry_after_ms)
{
    uint64_t wait_ns = 0;
    assert_true(backoff_next(backoff, now_ns, retry_after_ms, &wait_ns));
    return wait_ns;
}

static void waits_grow_up_to_the_maximum_and_begin_anew_after_success(void **state)
{
    (void)state;
    struct backoff backoff = backoff_of((struct sink_retry){.initial_interval_ns = 1000 * NS_PER_MS,
                                                            .multiplier = 2,
                                                            .max_interval_ns = 5000 * NS_PER_MS});
    static const uint64_t expected_ms[] = {1000, 2000, 4000, 5000, 5000, 5000};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT_OF(expected_ms); i++) {
            assert_int_equal(next_wait(&backoff, 0, 0), expected_ms[i] * NS_PER_MS);
        }
        backoff_reset(&backoff);
    }
}

static void waits_are_spread_over_the_whole_range(void **state)
{
    (void)state;
    struct backoff backoff = backoff_of((struct sink_retry){.initial_interval_ns = 1000,
                                                            .randomization_factor = 0.5,
                                                            .multiplier = 1,
                                                            .max_interval_ns = NS_PER_S});
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    backoff.retry.initial_interval_ns = 4 * NS_PER_S;
    for (int i = 0; i < 2000; i++) {
        uint64_t wait_ns = next_wait(&backoff, 0, 0);
        assert_in_range(wait_ns, 2 * NS_PER_S, 6 * NS_PER_S);
        least = wait_ns < least ? wait_ns : least;
        most = wait_ns > most ? wait_ns : most;
    }
    assert_true(least < 2100 * NS_PER_MS);
    assert_true(most > 5900 * NS_PER_MS);
}

static void what_the_destination_asks_for_is_the_least(void **state)
{
    (void)state;
    struct backoff backoff = backoff_of((struct sink_retry){.initial_interval_ns = 1000 * NS_PER_MS,
                                                            .multiplier = 1,
                                                            .max_interval_ns = 1000 * NS_PER_MS});
    assert_int_equal(next_wait(&backoff, 0, 2000), 2000 * NS_PER_MS);
    assert_int_equal(next_wait(&backoff, 0, 500), 1000 * NS_PER_MS);
    assert_int_equal(next_wait(&backoff, 0, UINT64_MAX), 3600 * NS_PER_S);
}

static void it_gives_up_when_the_elapsed_time_would_be_over(void **state)
{
    (void)state;
    struct backoff backoff = backoff_of((struct sink_retry){.initial_interval_ns = NS_PER_S,
                                                            .multiplier = 1,
                                                            .max_interval_ns = NS_PER_S,
                                                            .max_elapsed_ns = 10 * NS_PER_S});
    uint64_t wait_ns;
    assert_true(backoff_next(&backoff, 100 * NS_PER_S, 0, &wait_ns));
    assert_true(backoff_next(&backoff, 109 * NS_PER_S, 0, &wait_ns));
    assert_false(backoff_next(&backoff, 109 * NS_PER_S + 1, 0, &wait_ns));
    assert_false(backoff_next(&backoff, 105 * NS_PER_S, 6000, &wait_ns));
    backoff_reset(&backoff);
    assert_true(backoff_next(&backoff, 200 * NS_PER_S, 0, &wait_ns));
}

static void a_configuration_of_zeros_is_no_busy_loop(void **state)
{
    (void)state;
    struct backoff backoff = backoff_of((struct sink_retry){.randomization_factor = 1});
    for (int i = 0; i < 100; i++) {
        assert_true(next_wait(&backoff, 0, 0) >= NS_PER_MS);
    }
    backoff = backoff_of((struct sink_retry){.initial_interval_ns = UINT64_MAX / 2,
                                             .randomization_factor = 7,
                                             .multiplier = 1e300,
                                             .max_interval_ns = UINT64_MAX / 2});
    for (int i = 0; i < 100; i++) {
        assert_true(next_wait(&backoff, 0, 0) <= UINT64_MAX / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_grow_up_to_the_maximum_and_begin_anew_after_success),
        cmocka_unit_test(waits_are_spread_over_the_whole_range),
        cmocka_unit_test(what_the_destination_asks_for_is_the_least),
        cmocka_unit_test(it_gives_up_when_the_elapsed_time_would_be_over),
        cmocka_unit_test(a_configuration_of_zeros_is_no_busy_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
