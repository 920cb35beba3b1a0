/* fakes.c - see fakes.h. */
#include "fakes.h"

#include <assert.h>
#include <spangate/base/mem.h>
#include <stdlib.h>
#include <time.h>

/* --- clock --- */

static uint64_t fake_now(const struct clock *clock)
{
    const struct fake_clock *fake = (const struct fake_clock *)clock;
    return atomic_load(&fake->now_ns);
}

void fake_clock_init(struct fake_clock *clock)
{
    clock->clock = (struct clock){.monotonic_ns = fake_now, .wall_ns = fake_now};
    atomic_init(&clock->now_ns, 1000 * NS_PER_S);
}

/* --- log --- */

enum { LOG_ITEMS_MAX = 20000 };

void fake_log_init(struct fake_log *log, uint64_t trace_count, size_t spans_each)
{
    *log = (struct fake_log){.trace_count = trace_count,
                             .spans_each = spans_each,
                             .corrupt = UINT64_MAX,
                             .buffer = mem_alloc((size_t)LOG_ITEMS_MAX * 4)};
    pthread_condattr_t attributes;
    (void)pthread_mutex_init(&log->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&log->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

void fake_log_deinit(struct fake_log *log)
{
    (void)pthread_cond_destroy(&log->changed);
    (void)pthread_mutex_destroy(&log->lock);
    free(log->buffer);
}

void fake_log_grow(struct fake_log *log, uint64_t traces)
{
    (void)pthread_mutex_lock(&log->lock);
    log->trace_count += traces;
    (void)pthread_cond_broadcast(&log->changed);
    (void)pthread_mutex_unlock(&log->lock);
}

static void wait_for_data(struct fake_log *log, uint64_t from, uint64_t wait_ns)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(wait_ns / NS_PER_S) + 1;
    while (from >= log->trace_count && !log->woken && wait_ns > 0) {
        if (pthread_cond_timedwait(&log->changed, &log->lock, &until) != 0) {
            break;
        }
    }
    log->woken = false;
}

static bool is_foreign(const struct fake_log *log, uint64_t trace)
{
    return trace >= log->foreign_from && trace < log->foreign_to;
}

static bool read_batch(struct fake_log *log, struct sink_cursor at, size_t items_max,
                       size_t bytes_max, struct sink_batch *batch, struct sink_cursor *next,
                       struct error *err)
{
    size_t count = 0;
    uint64_t traces = 0;

    while (at.seq < log->trace_count && count < items_max &&
           (count == 0 || count * 4 < bytes_max)) {
        if (at.seq == log->corrupt && count == 0) {
            if (!log->corrupt_forever) {
                *next = (struct sink_cursor){.seq = at.seq + 1};
            }
            return error_set(err, ERR_CORRUPT, "trace %u is damaged", (unsigned)at.seq);
        }
        if (at.seq == log->corrupt || (is_foreign(log, at.seq) && count > 0)) {
            break;
        }
        if (is_foreign(log, at.seq)) {
            at = (struct sink_cursor){.seq = at.seq + 1};
            break;
        }
        if (count > 0 && at.span == 0 && count + log->spans_each > items_max) {
            break; /* the next trace does not fit whole */
        }
        uint32_t number = (uint32_t)at.seq;
        memcpy(log->buffer + 4 * count, &number, 4);
        count++;
        traces += at.span == 0 || count == 1;
        if (++at.span == log->spans_each) {
            at = (struct sink_cursor){.seq = at.seq + 1};
        }
    }
    *next = at;
    *batch = (struct sink_batch){.signal = OTLP_TRACES,
                                 .body = {log->buffer, 4 * count},
                                 .item_count = count,
                                 .trace_count = traces};
    if (count > 0 && log->body.len > 0) {
        batch->body = log->body;
    }
    return true;
}

static bool log_next(void *ctx, const struct sink_cursor *from, size_t items_min, size_t items_max,
                     size_t bytes_max, uint64_t wait_ns, uint64_t linger_ns,
                     struct sink_batch *batch, struct sink_cursor *next, uint64_t *skipped,
                     struct error *err)
{
    struct fake_log *log = ctx;
    struct sink_cursor at = *from;
    (void)items_min;
    (void)linger_ns;
    (void)pthread_mutex_lock(&log->lock);
    log->reads++;
    wait_for_data(log, from->seq, wait_ns);
    *skipped = 0;
    if (at.seq < log->first) {
        *skipped = (log->first - at.seq) * log->spans_each;
        at = (struct sink_cursor){.seq = log->first};
    }
    bool ok = read_batch(log, at, items_max, bytes_max, batch, next, err);
    (void)pthread_mutex_unlock(&log->lock);
    return ok;
}

static void log_release(void *ctx, const struct sink_cursor *cursor)
{
    struct fake_log *log = ctx;
    (void)pthread_mutex_lock(&log->lock);
    log->released = *cursor;
    (void)pthread_mutex_unlock(&log->lock);
}

static uint64_t log_lag_bytes(void *ctx, const struct sink_cursor *cursor)
{
    struct fake_log *log = ctx;
    (void)pthread_mutex_lock(&log->lock);
    uint64_t lag = (log->trace_count - cursor->seq) * 4;
    (void)pthread_mutex_unlock(&log->lock);
    return lag;
}

static void log_wake(void *ctx)
{
    struct fake_log *log = ctx;
    (void)pthread_mutex_lock(&log->lock);
    log->woken = true;
    (void)pthread_cond_broadcast(&log->changed);
    (void)pthread_mutex_unlock(&log->lock);
}

static void log_close(void *ctx)
{
    struct fake_log *log = ctx;
    assert(!log->closed);
    log->closed = true;
}

struct sink_source fake_log_source(struct fake_log *log)
{
    log->closed = false;
    return (struct sink_source){.ctx = log,
                                .next = log_next,
                                .release = log_release,
                                .lag_bytes = log_lag_bytes,
                                .wake = log_wake,
                                .close = log_close};
}

/* --- destination --- */

struct sink {
    struct fake_sink *fake;
};

void fake_sink_init(struct fake_sink *sink, const struct clock *clock)
{
    memset(sink, 0, sizeof(*sink));
    sink->clock = clock;
    (void)pthread_mutex_init(&sink->lock, NULL);
    (void)pthread_cond_init(&sink->changed, NULL);
}

void fake_sink_deinit(struct fake_sink *sink)
{
    (void)pthread_cond_destroy(&sink->changed);
    (void)pthread_mutex_destroy(&sink->lock);
}

void fake_sink_await(struct fake_sink *sink, uint64_t requests)
{
    (void)pthread_mutex_lock(&sink->lock);
    while (sink->requests < requests) {
        (void)pthread_cond_wait(&sink->changed, &sink->lock);
    }
    (void)pthread_mutex_unlock(&sink->lock);
}

uint64_t fake_sink_requests(struct fake_sink *sink)
{
    (void)pthread_mutex_lock(&sink->lock);
    uint64_t requests = sink->requests;
    (void)pthread_mutex_unlock(&sink->lock);
    return requests;
}

void fake_sink_hang(struct fake_sink *sink)
{
    while (!sink->interrupted) {
        (void)pthread_cond_wait(&sink->changed, &sink->lock);
    }
}

static bool fake_open(struct sink **out, const void *settings, struct error *err)
{
    struct fake_sink *fake = *(struct fake_sink *const *)settings;
    if (fake->refuse_open) {
        return error_set(err, ERR_INVALID, "endpoint is missing");
    }
    struct sink *sink = mem_alloc(sizeof(*sink));
    sink->fake = fake;
    fake->opened = true;
    fake->closed = false;
    fake->interrupted = false;
    *out = sink;
    return true;
}

static enum sink_encoding fake_encoding(const struct sink *sink)
{
    return sink->fake->encoding;
}

static void fake_deliver(struct sink *sink, const struct sink_batch *batch,
                         struct sink_outcome *out)
{
    struct fake_sink *fake = sink->fake;
    uint32_t items[256] = {0};
    size_t count = batch->item_count;

    assert(count <= COUNT_OF(items));
    (void)pthread_mutex_lock(&fake->lock);
    fake->body_len = batch->body.len < sizeof(fake->body) ? batch->body.len : sizeof(fake->body);
    memcpy(fake->body, batch->body.data, fake->body_len);
    if (batch->body.len == count * 4) {
        memcpy(items, batch->body.data, count * 4);
    }
    assert(fake->requests < FAKE_REQUESTS_MAX);
    fake->request_ns[fake->requests] = clock_monotonic(fake->clock);
    fake->request_items[fake->requests++] = count;
    (void)pthread_cond_broadcast(&fake->changed);
    *out = (struct sink_outcome){.verdict = SINK_DELIVERED};
    if (fake->answer != NULL) {
        fake->answer(fake, fake->requests, items, count, out);
    }
    if (out->verdict == SINK_DELIVERED) {
        assert(fake->item_count + count <= FAKE_ITEMS_MAX);
        memcpy(fake->items + fake->item_count, items, count * 4);
        fake->item_count += count;
    }
    (void)pthread_mutex_unlock(&fake->lock);
}

static void fake_interrupt(struct sink *sink)
{
    (void)pthread_mutex_lock(&sink->fake->lock);
    sink->fake->interrupted = true;
    (void)pthread_cond_broadcast(&sink->fake->changed);
    (void)pthread_mutex_unlock(&sink->fake->lock);
}

static void fake_close(struct sink *sink)
{
    sink->fake->closed = true;
    free(sink);
}

const struct sink_driver fake_driver = {
    .type = "fake",
    .open = fake_open,
    .encoding = fake_encoding,
    .deliver = fake_deliver,
    .interrupt = fake_interrupt,
    .close = fake_close,
};
