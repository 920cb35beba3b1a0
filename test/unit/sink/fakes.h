/*
 * fakes.h - a log and a destination in memory for the tests of the runner.
 *
 * The log holds numbered traces; each is `spans_each` items. A batch's body names its traces, four
 * bytes an item, unless the test gives it real bytes. Cursor: seq is the trace, span within it.
 */
#ifndef SPANGATE_TEST_SINK_FAKES_H
#define SPANGATE_TEST_SINK_FAKES_H

#include <pthread.h>
#include <spangate/base/clock.h>
#include <spangate/sink/runner.h>

/* A clock that stands still until it is told. */
struct fake_clock {
    struct clock clock;
    atomic_uint_fast64_t now_ns;
};

void fake_clock_init(struct fake_clock *clock);

struct fake_log {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t trace_count;              /* traces in the log: numbers from first on */
    uint64_t first;                    /* those before are gone */
    uint64_t foreign_from, foreign_to; /* traces that are not for this destination */
    uint64_t corrupt;                  /* this trace cannot be read; UINT64_MAX: none */
    bool corrupt_forever;              /* and the log does not say where to go on */
    size_t spans_each;
    struct slice body; /* given out instead of numbers when not empty */
    bool woken;
    bool closed;
    uint64_t reads;
    struct sink_cursor released; /* the latest release */
    uint8_t *buffer;
};

void fake_log_init(struct fake_log *log, uint64_t trace_count, size_t spans_each);
void fake_log_deinit(struct fake_log *log);
struct sink_source fake_log_source(struct fake_log *log);
void fake_log_grow(struct fake_log *log, uint64_t traces);

struct fake_sink;

/* What a destination says to a request: request counts from 1, traces are the numbers in it. */
typedef void fake_answer_fn(struct fake_sink *sink, uint64_t request, const uint32_t *items,
                            size_t count, struct sink_outcome *out);

enum { FAKE_ITEMS_MAX = 20000, FAKE_REQUESTS_MAX = 4000 };

/* The settings of the fake driver: the destination itself. */
struct fake_sink {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const struct clock *clock;
    fake_answer_fn *answer; /* NULL: everything is delivered */
    enum sink_encoding encoding;
    bool refuse_open;
    uint64_t poison; /* for answers */
    bool opened, closed, interrupted;
    uint64_t requests;
    uint64_t request_ns[FAKE_REQUESTS_MAX];
    size_t request_items[FAKE_REQUESTS_MAX];
    uint32_t items[FAKE_ITEMS_MAX]; /* delivered, in order */
    size_t item_count;
    char body[4096]; /* of the latest request */
    size_t body_len;
};

extern const struct sink_driver fake_driver;

void fake_sink_init(struct fake_sink *sink, const struct clock *clock);
void fake_sink_deinit(struct fake_sink *sink);
/* Wait until so many requests have come. */
void fake_sink_await(struct fake_sink *sink, uint64_t requests);
uint64_t fake_sink_requests(struct fake_sink *sink);
/* For answers, with the lock held: wait until interrupted. */
void fake_sink_hang(struct fake_sink *sink);

#endif
