/*
 * ring.h - a bounded queue of pointers between threads.
 *
 * Any number of producers and consumers. The bound is what makes back-pressure: a full ring
 * refuses (ring_push) or waits (ring_push_wait). One lock an operation, so hand over requests and
 * batches, never single spans.
 */
#ifndef SPANGATE_BASE_RING_H
#define SPANGATE_BASE_RING_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
    pthread_mutex_t lock;
    pthread_cond_t not_empty;
    pthread_cond_t not_full;
    void **items;
    size_t capacity;
    size_t head;
    size_t count;
    bool closed;
    int notify_fd; /* an eventfd written on a push into an empty ring, or -1 */
};

void ring_init(struct ring *ring, size_t capacity);
void ring_deinit(struct ring *ring); /* must be empty or its items owned elsewhere */

/* Write to this eventfd whenever the ring stops being empty; -1 ends that. Before first use. */
void ring_set_notify(struct ring *ring, int eventfd);

/* false when full or closed: the item stays with the caller. */
bool ring_push(struct ring *ring, void *item);

/* Wait for room. false only when closed. */
bool ring_push_wait(struct ring *ring, void *item);

/* Up to `max` items without waiting; 0 when empty. */
size_t ring_pop(struct ring *ring, void **items, size_t max);

/*
 * Up to `max` items; waits up to timeout_ns for the first (UINT64_MAX: without end). 0 after the
 * time ran out, or when the ring is closed and empty.
 */
size_t ring_pop_wait(struct ring *ring, void **items, size_t max, uint64_t timeout_ns);

/* No more pushes; waiting threads wake. What is inside can still be popped. */
void ring_close(struct ring *ring);

/* Wake one ring_pop_wait() early; it may return 0. */
void ring_wake(struct ring *ring);

size_t ring_count(struct ring *ring);
bool ring_is_closed(struct ring *ring);

#endif
