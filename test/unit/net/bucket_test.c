/*
 * bucket_test.c - tokens go with every frame and come back with time and work, never above the cap.
 */
#include "unit.h"

#include "bucket.h"

#include <spangate/base/clock.h>

static void a_full_bucket_gives_as_many_as_it_holds(void **state)
{
    (void)state;
    struct bucket bucket;

    bucket_init(&bucket, 3, 100, 5);
    assert_true(bucket_take(&bucket, 5));
    assert_true(bucket_take(&bucket, 5));
    assert_true(bucket_take(&bucket, 5));
    assert_false(bucket_take(&bucket, 5));
}

static void time_brings_tokens_back_up_to_the_cap(void **state)
{
    (void)state;
    struct bucket bucket;

    bucket_init(&bucket, 2, 100, 0);
    assert_true(bucket_take(&bucket, 0));
    assert_true(bucket_take(&bucket, 0));
    assert_false(bucket_take(&bucket, 9 * NS_PER_MS));
    assert_true(bucket_take(&bucket, 10 * NS_PER_MS));
    assert_false(bucket_take(&bucket, 19 * NS_PER_MS));

    assert_true(bucket_take(&bucket, 3600 * NS_PER_S));
    assert_true(bucket_take(&bucket, 3600 * NS_PER_S));
    assert_false(bucket_take(&bucket, 3600 * NS_PER_S));
}

static void work_earns_tokens_up_to_the_cap(void **state)
{
    (void)state;
    struct bucket bucket;

    bucket_init(&bucket, 2, 1, 0);
    assert_true(bucket_take(&bucket, 0));
    bucket_earn(&bucket, 1000);
    assert_true(bucket_take(&bucket, 0));
    assert_true(bucket_take(&bucket, 0));
    assert_false(bucket_take(&bucket, 0));
}

static void a_clock_that_steps_back_does_no_harm(void **state)
{
    (void)state;
    struct bucket bucket;

    bucket_init(&bucket, 1, 1, 10 * NS_PER_S);
    assert_true(bucket_take(&bucket, 10 * NS_PER_S));
    assert_false(bucket_take(&bucket, 1 * NS_PER_S));
    assert_true(bucket_take(&bucket, 11 * NS_PER_S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_bucket_gives_as_many_as_it_holds),
        cmocka_unit_test(time_brings_tokens_back_up_to_the_cap),
        cmocka_unit_test(work_earns_tokens_up_to_the_cap),
        cmocka_unit_test(a_clock_that_steps_back_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
