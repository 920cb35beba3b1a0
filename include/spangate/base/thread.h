/*
 * thread.h - threads with a name, and the assertion behind "one owner a struct".
 */
#ifndef SPANGATE_BASE_THREAD_H
#define SPANGATE_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

struct thread {
    pthread_t handle;
    bool started;
};

/* All signals are blocked in the new thread. name: at most 15 characters. Aborts if it cannot. */
void thread_start(struct thread *thread, const char *name, void (*run)(void *arg), void *arg);
void thread_join(struct thread *thread); /* nothing when not started */

/* The thread that first called thread_assert_owner() on it; zero-initialise. */
struct thread_owner {
    pthread_t handle;
    bool set;
};

void thread_assert_owner(struct thread_owner *owner);

#endif
