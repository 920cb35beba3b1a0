/*
 * loop.c - one epoll instance, a heap of timers, and a list of calls from other threads.
 *
 * Order within a turn: descriptors, posted calls, timers. So what a posted call prepares (an answer
 * to a request) is sent in the same turn by a timer of delay 0.
 */
#include <spangate/net/loop.h>

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/base/thread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS_PER_TURN = 128 };

struct loop_watch {
    struct loop *loop;
    int fd;
    uint32_t events;
    loop_fd_fn *fn; /* NULL: unwatched, freed when the turn is over */
    void *ctx;
    struct loop_watch *next_dead;
};

struct post {
    struct post *next;
    loop_fn *fn;
    void *ctx;
};

struct loop {
    struct {
        struct thread_owner owner;
        int epoll_fd;
        uint64_t now_ns;
        struct loop_timer **heap; /* 1-based: the root is heap[1] */
        size_t timer_count;
        size_t timer_cap;
        struct loop_watch *dead;
    } own;

    struct {
        pthread_mutex_t lock;
        struct post *first;
        struct post **last;
    } shared;

    int wake_fd;
    atomic_bool stopped;
};

static void wake(struct loop *loop)
{
    const uint64_t one = 1;

    /* EAGAIN means that the counter is full: the loop will wake anyway. */
    ssize_t written = write(loop->wake_fd, &one, sizeof(one));
    (void)written;
}

struct loop *loop_new(void)
{
    struct loop *loop = mem_zalloc(1, sizeof(*loop));

    loop->own.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(loop->own.epoll_fd >= 0 && loop->wake_fd >= 0);
    loop->own.now_ns = clock_monotonic(&clock_system);
    (void)pthread_mutex_init(&loop->shared.lock, NULL);
    loop->shared.last = &loop->shared.first;

    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    int added = epoll_ctl(loop->own.epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event);
    assert(added == 0);
    (void)added;
    return loop;
}

static void bury(struct loop *loop)
{
    while (loop->own.dead != NULL) {
        struct loop_watch *watch = loop->own.dead;
        loop->own.dead = watch->next_dead;
        free(watch);
    }
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    while (loop->shared.first != NULL) {
        struct post *post = loop->shared.first;
        loop->shared.first = post->next;
        free(post);
    }
    bury(loop);
    (void)pthread_mutex_destroy(&loop->shared.lock);
    (void)close(loop->own.epoll_fd);
    (void)close(loop->wake_fd);
    free(loop->own.heap);
    free(loop);
}

/* --- descriptors --- */

struct loop_watch *loop_watch(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *ctx)
{
    struct loop_watch *watch = mem_zalloc(1, sizeof(*watch));
    struct epoll_event event = {.events = events, .data.ptr = watch};

    watch->loop = loop;
    watch->fd = fd;
    watch->events = events;
    watch->fn = fn;
    watch->ctx = ctx;
    int added = epoll_ctl(loop->own.epoll_fd, EPOLL_CTL_ADD, fd, &event);
    assert(added == 0);
    (void)added;
    return watch;
}

void loop_rewatch(struct loop_watch *watch, uint32_t events)
{
    if (watch->events == events) {
        return;
    }
    struct epoll_event event = {.events = events, .data.ptr = watch};
    watch->events = events;
    int changed = epoll_ctl(watch->loop->own.epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
    assert(changed == 0);
    (void)changed;
}

void loop_unwatch(struct loop_watch *watch)
{
    struct loop *loop = watch->loop;

    (void)epoll_ctl(loop->own.epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fn = NULL;
    watch->next_dead = loop->own.dead;
    loop->own.dead = watch;
}

/* --- timers: a binary heap, the earliest at the root --- */

static void heap_place(struct loop *loop, struct loop_timer *timer, size_t at)
{
    loop->own.heap[at] = timer;
    timer->heap_at = at;
}

static void heap_up(struct loop *loop, struct loop_timer *timer, size_t at)
{
    while (at > 1 && loop->own.heap[at / 2]->due_ns > timer->due_ns) {
        heap_place(loop, loop->own.heap[at / 2], at);
        at /= 2;
    }
    heap_place(loop, timer, at);
}

static void heap_down(struct loop *loop, struct loop_timer *timer, size_t at)
{
    for (;;) {
        size_t child = 2 * at;
        if (child > loop->own.timer_count) {
            break;
        }
        if (child < loop->own.timer_count &&
            loop->own.heap[child + 1]->due_ns < loop->own.heap[child]->due_ns) {
            child++;
        }
        if (loop->own.heap[child]->due_ns >= timer->due_ns) {
            break;
        }
        heap_place(loop, loop->own.heap[child], at);
        at = child;
    }
    heap_place(loop, timer, at);
}

void loop_timer_clear(struct loop_timer *timer)
{
    if (timer->heap_at == 0) {
        return;
    }
    struct loop *loop = timer->loop;
    size_t at = timer->heap_at;
    struct loop_timer *last = loop->own.heap[loop->own.timer_count--];

    timer->heap_at = 0;
    if (last == timer) {
        return;
    }
    if (at > 1 && loop->own.heap[at / 2]->due_ns > last->due_ns) {
        heap_up(loop, last, at);
    } else {
        heap_down(loop, last, at);
    }
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns, loop_fn *fn,
                    void *ctx)
{
    loop_timer_clear(timer);
    timer->loop = loop;
    timer->fn = fn;
    timer->ctx = ctx;
    timer->due_ns = delay_ns == 0 ? 0 : clock_monotonic(&clock_system) + delay_ns;
    if (loop->own.timer_count + 2 > loop->own.timer_cap) {
        loop->own.timer_cap = loop->own.timer_cap == 0 ? 16 : 2 * loop->own.timer_cap;
        loop->own.heap =
            mem_realloc(loop->own.heap, loop->own.timer_cap * sizeof(struct loop_timer *));
    }
    loop->own.timer_count++;
    heap_up(loop, timer, loop->own.timer_count);
}

/* Those that are due now. A timer that sets itself again waits for the next turn. */
static void run_timers(struct loop *loop)
{
    size_t most = loop->own.timer_count;

    for (size_t i = 0; i < most && loop->own.timer_count > 0; i++) {
        struct loop_timer *timer = loop->own.heap[1];
        if (timer->due_ns > loop->own.now_ns) {
            return;
        }
        loop_timer_clear(timer);
        timer->fn(timer->ctx);
    }
}

uint64_t loop_now(const struct loop *loop)
{
    return loop->own.now_ns;
}

/* --- calls from other threads --- */

void loop_post(struct loop *loop, loop_fn *fn, void *ctx)
{
    struct post *post = mem_alloc(sizeof(*post));

    *post = (struct post){.fn = fn, .ctx = ctx};
    (void)pthread_mutex_lock(&loop->shared.lock);
    bool was_empty = loop->shared.first == NULL;
    *loop->shared.last = post;
    loop->shared.last = &post->next;
    /* Under the lock, so that nobody who waits for this call frees the loop before the write. */
    if (was_empty) {
        wake(loop);
    }
    (void)pthread_mutex_unlock(&loop->shared.lock);
}

static void run_posts(struct loop *loop)
{
    (void)pthread_mutex_lock(&loop->shared.lock);
    struct post *post = loop->shared.first;
    loop->shared.first = NULL;
    loop->shared.last = &loop->shared.first;
    (void)pthread_mutex_unlock(&loop->shared.lock);

    while (post != NULL) {
        struct post *next = post->next;
        post->fn(post->ctx);
        free(post);
        post = next;
    }
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stopped, true);
    wake(loop);
}

/* --- turns --- */

static int wait_ms(const struct loop *loop, uint64_t wait_ns)
{
    if (loop->own.timer_count > 0) {
        uint64_t due = loop->own.heap[1]->due_ns;
        uint64_t now = clock_monotonic(&clock_system);
        uint64_t left = due > now ? due - now : 0;
        wait_ns = left < wait_ns ? left : wait_ns;
    }
    if (wait_ns == UINT64_MAX) {
        return -1;
    }
    /* Rounded up: a timer that fires too early would only make an empty turn. */
    uint64_t ms = wait_ns / NS_PER_MS + (wait_ns % NS_PER_MS != 0);
    return ms > 3600 * 1000 ? 3600 * 1000 : (int)ms;
}

bool loop_turn(struct loop *loop, uint64_t wait_ns)
{
    struct epoll_event events[EVENTS_PER_TURN];

    thread_assert_owner(&loop->own.owner);
    if (atomic_load_explicit(&loop->stopped, memory_order_relaxed)) {
        return false;
    }
    int count = epoll_wait(loop->own.epoll_fd, events, EVENTS_PER_TURN, wait_ms(loop, wait_ns));
    assert(count >= 0 || errno == EINTR);
    loop->own.now_ns = clock_monotonic(&clock_system);

    bool woken = false;
    for (int i = 0; i < count; i++) {
        struct loop_watch *watch = events[i].data.ptr;
        if (watch == NULL) {
            woken = true;
        } else if (watch->fn != NULL) {
            watch->fn(watch->ctx, events[i].events);
        }
    }
    if (woken) {
        uint64_t ignored;
        ssize_t got = read(loop->wake_fd, &ignored, sizeof(ignored));
        (void)got;
        run_posts(loop);
    }
    run_timers(loop);
    bury(loop);
    return !atomic_load_explicit(&loop->stopped, memory_order_relaxed);
}

void loop_run(struct loop *loop)
{
    while (loop_turn(loop, UINT64_MAX)) {
        /* until loop_stop() */
    }
}
