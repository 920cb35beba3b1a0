/*
 * ring.c - a bounded queue behind one lock.
 */
#include <spangate/base/ring.h>

#include <spangate/base/clock.h>
#include <spangate/base/mem.h>

#include <assert.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void ring_init(struct ring *ring, size_t capacity)
{
    assert(capacity > 0);
    *ring = (struct ring){.capacity = capacity, .notify_fd = -1};
    ring->items = mem_zalloc(capacity, sizeof(*ring->items));
    (void)pthread_mutex_init(&ring->lock, NULL);
    (void)pthread_cond_init(&ring->not_full, NULL);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&ring->not_empty, &attr);
    (void)pthread_condattr_destroy(&attr);
}

void ring_deinit(struct ring *ring)
{
    (void)pthread_mutex_destroy(&ring->lock);
    (void)pthread_cond_destroy(&ring->not_empty);
    (void)pthread_cond_destroy(&ring->not_full);
    free(ring->items);
    ring->items = NULL;
}

void ring_set_notify(struct ring *ring, int eventfd)
{
    ring->notify_fd = eventfd;
}

/* With the lock held, and room. */
static void put(struct ring *ring, void *item)
{
    ring->items[(ring->head + ring->count) % ring->capacity] = item;
    ring->count++;
    if (ring->count == 1) {
        (void)pthread_cond_signal(&ring->not_empty);
        if (ring->notify_fd >= 0) {
            uint64_t one = 1;
            /* Can only fail when the counter is full, and then the reader is awake anyway. */
            ssize_t written = write(ring->notify_fd, &one, sizeof(one));
            (void)written;
        }
    }
}

bool ring_push(struct ring *ring, void *item)
{
    (void)pthread_mutex_lock(&ring->lock);
    bool ok = !ring->closed && ring->count < ring->capacity;
    if (ok) {
        put(ring, item);
    }
    (void)pthread_mutex_unlock(&ring->lock);
    return ok;
}

bool ring_push_wait(struct ring *ring, void *item)
{
    (void)pthread_mutex_lock(&ring->lock);
    while (!ring->closed && ring->count == ring->capacity) {
        (void)pthread_cond_wait(&ring->not_full, &ring->lock);
    }
    bool ok = !ring->closed;
    if (ok) {
        put(ring, item);
    }
    (void)pthread_mutex_unlock(&ring->lock);
    return ok;
}

static size_t take(struct ring *ring, void **items, size_t max)
{
    size_t n = ring->count < max ? ring->count : max;
    for (size_t i = 0; i < n; i++) {
        items[i] = ring->items[ring->head];
        ring->head = (ring->head + 1) % ring->capacity;
    }
    ring->count -= n;
    if (n > 0) {
        (void)pthread_cond_broadcast(&ring->not_full);
    }
    return n;
}

size_t ring_pop(struct ring *ring, void **items, size_t max)
{
    (void)pthread_mutex_lock(&ring->lock);
    size_t n = take(ring, items, max);
    (void)pthread_mutex_unlock(&ring->lock);
    return n;
}

size_t ring_pop_wait(struct ring *ring, void **items, size_t max, uint64_t timeout_ns)
{
    (void)pthread_mutex_lock(&ring->lock);
    if (ring->count == 0 && !ring->closed && timeout_ns > 0) {
        /* One wait: a wake-up without an item is how ring_wake() ends it early. */
        if (timeout_ns == UINT64_MAX) {
            (void)pthread_cond_wait(&ring->not_empty, &ring->lock);
        } else {
            struct timespec until;
            (void)clock_gettime(CLOCK_MONOTONIC, &until);
            uint64_t ns = (uint64_t)until.tv_nsec + timeout_ns % NS_PER_S;
            until.tv_sec += (time_t)(timeout_ns / NS_PER_S + ns / NS_PER_S);
            until.tv_nsec = (long)(ns % NS_PER_S);
            (void)pthread_cond_timedwait(&ring->not_empty, &ring->lock, &until);
        }
    }
    size_t n = take(ring, items, max);
    (void)pthread_mutex_unlock(&ring->lock);
    return n;
}

void ring_close(struct ring *ring)
{
    (void)pthread_mutex_lock(&ring->lock);
    ring->closed = true;
    (void)pthread_cond_broadcast(&ring->not_empty);
    (void)pthread_cond_broadcast(&ring->not_full);
    (void)pthread_mutex_unlock(&ring->lock);
}

void ring_wake(struct ring *ring)
{
    (void)pthread_mutex_lock(&ring->lock);
    (void)pthread_cond_broadcast(&ring->not_empty);
    (void)pthread_mutex_unlock(&ring->lock);
}

size_t ring_count(struct ring *ring)
{
    (void)pthread_mutex_lock(&ring->lock);
    size_t count = ring->count;
    (void)pthread_mutex_unlock(&ring->lock);
    return count;
}

bool ring_is_closed(struct ring *ring)
{
    (void)pthread_mutex_lock(&ring->lock);
    bool closed = ring->closed;
    (void)pthread_mutex_unlock(&ring->lock);
    return closed;
}
