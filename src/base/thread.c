/*
 * thread.c - threads with a name and no signals.
 */
#include <spangate/base/thread.h>

#include <spangate/base/mem.h>

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct start {
    char name[16];
    void (*run)(void *arg);
    void *arg;
};

static void *enter(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    (void)pthread_setname_np(pthread_self(), start.name);
    start.run(start.arg);
    return NULL;
}

void thread_start(struct thread *thread, const char *name, void (*run)(void *arg), void *arg)
{
    struct start *start = mem_alloc(sizeof(*start));
    *start = (struct start){.run = run, .arg = arg};
    (void)snprintf(start->name, sizeof(start->name), "%s", name);

    /* Signals belong to the main thread's signalfd: new threads begin with all of them blocked. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread->handle, NULL, enter, start);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        (void)fprintf(stderr, "spangate: cannot start thread %s (error %d)\n", name, rc);
        abort();
    }
    thread->started = true;
}

void thread_join(struct thread *thread)
{
    if (thread->started) {
        (void)pthread_join(thread->handle, NULL);
        thread->started = false;
    }
}

void thread_assert_owner(struct thread_owner *owner)
{
    if (!owner->set) {
        owner->handle = pthread_self();
        owner->set = true;
    }
    assert(pthread_equal(owner->handle, pthread_self()));
}
