/*
 * ring_test.c - the bounded queue between threads.
 */
#include "unit.h"

#include <spangate/base/ring.h>
#include <spangate/base/thread.h>

static void a_full_ring_refuses_and_order_is_kept(void **state)
{
    (void)state;
    struct ring ring;
    int items[4] = {0, 1, 2, 3};
    void *out[4];
    ring_init(&ring, 3);
    assert_true(ring_push(&ring, &items[0]));
    assert_true(ring_push(&ring, &items[1]));
    assert_true(ring_push(&ring, &items[2]));
    assert_false(ring_push(&ring, &items[3]));
    assert_int_equal(ring_pop(&ring, out, 2), 2);
    assert_ptr_equal(out[0], &items[0]);
    assert_ptr_equal(out[1], &items[1]);
    assert_true(ring_push(&ring, &items[3]));
    assert_int_equal(ring_pop_wait(&ring, out, 4, UINT64_MAX), 2);
    assert_ptr_equal(out[1], &items[3]);
    assert_int_equal(ring_pop(&ring, out, 4), 0);
    ring_deinit(&ring);
}

static void a_closed_ring_takes_nothing_and_gives_what_it_has(void **state)
{
    (void)state;
    struct ring ring;
    int item = 0;
    void *out[1];
    ring_init(&ring, 2);
    assert_true(ring_push(&ring, &item));
    ring_close(&ring);
    assert_false(ring_push(&ring, &item));
    assert_false(ring_push_wait(&ring, &item));
    assert_int_equal(ring_pop_wait(&ring, out, 1, UINT64_MAX), 1);
    assert_int_equal(ring_pop_wait(&ring, out, 1, UINT64_MAX), 0);
    ring_deinit(&ring);
}

enum { PER_PRODUCER = 20000, PRODUCERS = 3 };

struct producer {
    struct thread thread;
    struct ring *ring;
    uintptr_t first;
};

static void produce(void *arg)
{
    struct producer *p = arg;
    for (uintptr_t i = 0; i < PER_PRODUCER; i++) {
        bool ok = ring_push_wait(p->ring, (void *)(p->first + i));
        assert_true(ok);
    }
}

static void nothing_is_lost_between_many_producers_and_a_consumer(void **state)
{
    (void)state;
    struct ring ring;
    ring_init(&ring, 64);
    struct producer producers[PRODUCERS];
    for (uintptr_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.ring = &ring, .first = 1 + i * PER_PRODUCER};
        thread_start(&producers[i].thread, "producer", produce, &producers[i]);
    }
    uintptr_t sum = 0;
    size_t got = 0;
    while (got < (size_t)PRODUCERS * PER_PRODUCER) {
        void *items[32];
        size_t n = ring_pop_wait(&ring, items, 32, UINT64_MAX);
        for (size_t i = 0; i < n; i++) {
            sum += (uintptr_t)items[i];
        }
        got += n;
    }
    uintptr_t total = (uintptr_t)PRODUCERS * PER_PRODUCER;
    assert_int_equal(sum, total * (total + 1) / 2);
    for (size_t i = 0; i < PRODUCERS; i++) {
        thread_join(&producers[i].thread);
    }
    ring_deinit(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_ring_refuses_and_order_is_kept),
        cmocka_unit_test(a_closed_ring_takes_nothing_and_gives_what_it_has),
        cmocka_unit_test(nothing_is_lost_between_many_producers_and_a_consumer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
