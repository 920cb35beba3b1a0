/*
 * loop.h - an epoll loop: file descriptors, timers and a wake-up from other threads.
 *
 * Threads: everything belongs to the thread that runs loop_run(), but loop_post() and loop_stop().
 */
#ifndef SPANGATE_NET_LOOP_H
#define SPANGATE_NET_LOOP_H

#include <spangate/base/error.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

typedef void loop_fd_fn(void *ctx, uint32_t epoll_events);
typedef void loop_fn(void *ctx);

struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* Watch fd for EPOLLIN, EPOLLOUT …; handle is owned by the loop until loop_unwatch(). */
struct loop_watch;
struct loop_watch *loop_watch(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn,
                              void *ctx);
void loop_rewatch(struct loop_watch *watch, uint32_t events);
void loop_unwatch(struct loop_watch *watch);

/* A one-shot timer; zero-initialise. Setting it again moves it. */
struct loop_timer {
    struct loop *loop;
    uint64_t due_ns;
    size_t heap_at; /* 1-based; 0: not set */
    loop_fn *fn;
    void *ctx;
};
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns, loop_fn *fn,
                    void *ctx);
void loop_timer_clear(struct loop_timer *timer);

/* Monotonic time of this turn. */
uint64_t loop_now(const struct loop *loop);

/* Run fn on the loop's thread soon. Any thread; never refused. */
void loop_post(struct loop *loop, loop_fn *fn, void *ctx);

void loop_run(struct loop *loop);                    /* until loop_stop() */
bool loop_turn(struct loop *loop, uint64_t wait_ns); /* one turn; false once stopped */
void loop_stop(struct loop *loop);                   /* any thread */

#endif
