/*
 * loop_test.c - timers fire in order, posts cross threads, descriptors may go away while they are
 * served.
 */
#include "unit.h"

#include <spangate/base/clock.h>
#include <spangate/base/thread.h>
#include <spangate/net/loop.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct note {
    char *log;
    char letter;
    struct loop *loop;
    struct loop_timer *other;
};

static void write_letter(void *ctx)
{
    struct note *note = ctx;
    size_t len = strlen(note->log);

    note->log[len] = note->letter;
    note->log[len + 1] = '\0';
}

static void write_and_stop(void *ctx)
{
    struct note *note = ctx;

    write_letter(ctx);
    loop_stop(note->loop);
}

static void write_and_clear(void *ctx)
{
    struct note *note = ctx;

    write_letter(ctx);
    loop_timer_clear(note->other);
}

static void timers_fire_by_due_time(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    char log[64] = "";
    struct loop_timer timers[5] = {{0}};
    struct note notes[5];
    static const unsigned delay_ms[5] = {9, 1, 5, 3, 11};

    for (size_t i = 0; i < 5; i++) {
        notes[i] = (struct note){.log = log, .letter = (char)('a' + i), .loop = loop};
        loop_timer_set(loop, &timers[i], delay_ms[i] * NS_PER_MS,
                       i == 4 ? write_and_stop : write_letter, &notes[i]);
    }
    loop_run(loop);

    assert_string_equal(log, "bdcae");
    loop_free(loop);
}

static void setting_a_timer_again_moves_it(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    char log[64] = "";
    struct loop_timer timers[2] = {{0}};
    struct note first = {.log = log, .letter = 'a', .loop = loop};
    struct note second = {.log = log, .letter = 'b', .loop = loop};

    loop_timer_set(loop, &timers[0], 1 * NS_PER_MS, write_letter, &first);
    loop_timer_set(loop, &timers[1], 3 * NS_PER_MS, write_letter, &second);
    loop_timer_set(loop, &timers[0], 5 * NS_PER_MS, write_and_stop, &first);
    loop_run(loop);

    assert_string_equal(log, "ba");
    loop_free(loop);
}

static void a_timer_may_clear_another_that_is_due(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    char log[64] = "";
    struct loop_timer timers[3] = {{0}};
    struct note first = {.log = log, .letter = 'a', .loop = loop, .other = &timers[1]};
    struct note second = {.log = log, .letter = 'b', .loop = loop};
    struct note third = {.log = log, .letter = 'c', .loop = loop};

    loop_timer_set(loop, &timers[0], 0, write_and_clear, &first);
    loop_timer_set(loop, &timers[1], 1, write_letter, &second);
    loop_timer_set(loop, &timers[2], 2 * NS_PER_MS, write_and_stop, &third);
    loop_run(loop);

    assert_string_equal(log, "ac");
    assert_int_equal(timers[1].heap_at, 0);
    loop_free(loop);
}

/* Any order of setting and clearing leaves the others to fire in order of time. */
static void a_heap_of_many_timers_keeps_its_order(void **state)
{
    (void)state;
    enum { MANY = 200 };
    struct loop *loop = loop_new();
    static struct loop_timer timers[MANY];
    static char log[MANY + 1];
    struct note note = {.log = log, .letter = 'x', .loop = loop};
    struct loop_timer last = {0};
    struct note stop = {.log = log, .letter = 's', .loop = loop};

    memset(timers, 0, sizeof(timers));
    log[0] = '\0';
    for (size_t i = 0; i < MANY; i++) {
        loop_timer_set(loop, &timers[i], (1 + i * 7919 % MANY) * 10 * NS_PER_US, write_letter,
                       &note);
    }
    for (size_t i = 0; i < MANY; i += 3) {
        loop_timer_clear(&timers[i]);
    }
    loop_timer_set(loop, &last, 50 * NS_PER_MS, write_and_stop, &stop);
    loop_run(loop);

    assert_int_equal(strlen(log), MANY - (MANY + 2) / 3 + 1);
    assert_int_equal(log[strlen(log) - 1], 's');
    loop_free(loop);
}

enum { POSTERS = 4, POSTS = 1000 };

struct posting {
    struct loop *loop;
    size_t *count;
};

static void count_up(void *ctx)
{
    struct posting *posting = ctx;

    if (++*posting->count == (size_t)POSTERS * POSTS) {
        loop_stop(posting->loop);
    }
}

static void post_many(void *arg)
{
    struct posting *posting = arg;

    for (int i = 0; i < POSTS; i++) {
        loop_post(posting->loop, count_up, posting);
    }
}

static void posts_of_many_threads_all_run(void **state)
{
    (void)state;
    size_t count = 0;
    struct posting posting = {.loop = loop_new(), .count = &count};
    struct thread threads[POSTERS] = {{0}};

    for (size_t i = 0; i < POSTERS; i++) {
        thread_start(&threads[i], "poster", post_many, &posting);
    }
    loop_run(posting.loop);
    for (size_t i = 0; i < POSTERS; i++) {
        thread_join(&threads[i]);
    }

    assert_int_equal(count, POSTERS * POSTS);
    loop_free(posting.loop);
}

static void posts_that_never_ran_are_released_with_the_loop(void **state)
{
    (void)state;
    struct loop *loop = loop_new();

    loop_post(loop, write_letter, NULL);
    loop_free(loop);
}

struct pair {
    struct loop_watch *watches[2];
    int served;
};

static void unwatch_both(void *ctx, uint32_t events)
{
    struct pair *pair = ctx;

    (void)events;
    pair->served++;
    loop_unwatch(pair->watches[0]);
    loop_unwatch(pair->watches[1]);
}

static void a_watch_that_is_gone_is_not_called_in_the_same_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct pair pair = {{0}, 0};
    int fds[2][2];

    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]), 0);
        assert_int_equal(write(fds[i][1], "x", 1), 1);
        pair.watches[i] = loop_watch(loop, fds[i][0], EPOLLIN, unwatch_both, &pair);
    }
    assert_true(loop_turn(loop, 0));
    assert_true(loop_turn(loop, 0));

    assert_int_equal(pair.served, 1);
    for (size_t i = 0; i < 2; i++) {
        (void)close(fds[i][0]);
        (void)close(fds[i][1]);
    }
    loop_free(loop);
}

static void a_stopped_loop_turns_no_more(void **state)
{
    (void)state;
    struct loop *loop = loop_new();

    assert_true(loop_turn(loop, 0));
    loop_stop(loop);
    assert_false(loop_turn(loop, UINT64_MAX));
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_by_due_time),
        cmocka_unit_test(setting_a_timer_again_moves_it),
        cmocka_unit_test(a_timer_may_clear_another_that_is_due),
        cmocka_unit_test(a_heap_of_many_timers_keeps_its_order),
        cmocka_unit_test(posts_of_many_threads_all_run),
        cmocka_unit_test(posts_that_never_ran_are_released_with_the_loop),
        cmocka_unit_test(a_watch_that_is_gone_is_not_called_in_the_same_turn),
        cmocka_unit_test(a_stopped_loop_turns_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
