/*
 * runner.c - the life of one destination. See runner.h in the contracts.
 *
 *   read a batch at the cursor ─► encode ─► deliver ─┬─ delivered ──► cursor on disk ─► release the log
 *        ▲                                           ├─ retry ──────► wait, deliver the same again
 *        │                                           ├─ too large ──► read less at the same place
 *        └───────────────────────────────────────────┴─ rejected ───► read less, or drop and go on
 *
 * One thread runs this loop; other threads only change the mode, wake it and read the status. The
 * cursor never goes back, and the log is released only up to a cursor that is on disk. When the
 * cursor cannot be written (a full disk), delivering goes on and the log is kept: a crash then
 * repeats more than one batch, but nothing is lost and nothing waits for a disk to be cleaned up.
 */
#include <spangate/sink/runner.h>

#include "backoff.h"
#include "cursor.h"
#include "runner.h"
#include "split.h"
#include <assert.h>
#include <inttypes.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>
#include <spangate/base/random.h>
#include <spangate/base/thread.h>
#include <spangate/otlp/otlp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define IDLE_WAIT_NS (10 * NS_PER_S)  /* for data; ends early when there is some */
#define GAUGE_PAUSE_NS (5 * NS_PER_S) /* during a long wait the lag is looked at so often */
#define CURSOR_PAUSE_NS NS_PER_S    /* a cursor that only passed foreign data is written so often */
#define REMINDER_NS (60 * NS_PER_S) /* "still failing", "still rejecting" at most so often */
#define STOP_WAKE_NS (20 * NS_PER_MS) /* a wake may come just before the wait: repeat it */
#define JSON_BYTES_MIN ((size_t)64 << 20)
#define JSON_BYTES_MAX ((size_t)1 << 30)
#define JSON_BYTES_KEPT ((size_t)1 << 20)

/* How the runner is meant to go on; only ever increases. */
enum runner_mode {
    MODE_RUN,
    MODE_DRAIN, /* until there is no more data, or the deadline */
    MODE_STOP,
};

struct sink_runner {
    /* Set before the thread starts. */
    char *name;
    char *cursor_path;
    const struct fs *fs;
    const struct clock *clock;
    const struct sink_driver *driver;
    const void *settings;
    struct sink_source source;
    struct sink_retry retry;
    size_t items_min;
    uint64_t linger_ns;
    struct thread thread;
    struct {
        struct metric_series *sent, *failed, *partial, *skipped, *retries, *requests, *lag,
            *seconds;
    } series;

    /* Touched by the runner's thread only. */
    struct {
        struct sink *sink;
        enum sink_encoding encoding;
        struct sink_cursor cursor;
        bool unsaved; /* the cursor is ahead of its file */
        uint64_t saved_at_ns;
        bool save_failing;
        struct split split;
        struct backoff backoff;
        struct strbuf json;
        struct {
            bool again;                       /* it was offered, and is to be offered again */
            struct sink_batch batch, encoded; /* valid until the source is asked for the next */
            struct sink_cursor next;
        } held;
        uint64_t pause_until_ns;     /* nothing is tried before, … */
        enum runner_mode pause_mode; /* …unless the mode is another by then */
        bool failing;                /* the destination, since `attempts` deliveries */
        uint64_t attempts;
        uint64_t next_reminder_ns;
        uint64_t next_partial_ns; /* when a partial success may be logged again */
        uint64_t partial_unlogged;
        struct sink_status status; /* copied to shared after each step */
    } own;

    struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        enum runner_mode mode;
        uint64_t deadline_ns;
        bool opened; /* driver->open() has returned… */
        bool usable; /* …and this is what it said */
        struct error open_err;
        struct sink *sink; /* for interrupt; NULL when it is closed or not open yet */
        bool interrupting; /* interrupt is under way: the sink must not be closed */
        bool finished;
        struct sink_status status;
    } shared;
};

/* --- what other threads see and do --- */

static enum runner_mode current_mode(struct sink_runner *runner, uint64_t *deadline_ns)
{
    (void)pthread_mutex_lock(&runner->shared.lock);
    enum runner_mode mode = runner->shared.mode;
    *deadline_ns = runner->shared.deadline_ns;
    (void)pthread_mutex_unlock(&runner->shared.lock);
    if (mode == MODE_DRAIN && clock_monotonic(runner->clock) >= *deadline_ns) {
        mode = MODE_STOP;
    }
    return mode;
}

static bool is_stopping(struct sink_runner *runner)
{
    uint64_t deadline_ns;
    return current_mode(runner, &deadline_ns) == MODE_STOP;
}

static void publish_status(struct sink_runner *runner)
{
    runner->own.status.cursor = runner->own.cursor;
    (void)pthread_mutex_lock(&runner->shared.lock);
    runner->shared.status = runner->own.status;
    (void)pthread_mutex_unlock(&runner->shared.lock);
}

void sink_runner_status(struct sink_runner *runner, struct sink_status *out)
{
    (void)pthread_mutex_lock(&runner->shared.lock);
    *out = runner->shared.status;
    (void)pthread_mutex_unlock(&runner->shared.lock);
}

static void update_lag(struct sink_runner *runner)
{
    uint64_t lag = runner->source.lag_bytes(runner->source.ctx, &runner->own.cursor);

    runner->own.status.lag_bytes = lag;
    series_set(runner->series.lag, lag > INT64_MAX ? INT64_MAX : (int64_t)lag);
}

static struct timespec real_time_after(uint64_t ns)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(ns / NS_PER_S);
    at.tv_nsec += (long)(ns % NS_PER_S);
    if (at.tv_nsec >= (long)NS_PER_S) {
        at.tv_sec++;
        at.tv_nsec -= (long)NS_PER_S;
    }
    return at;
}

/* With the lock held: until somebody says `changed`, at most ns of real time. */
static void wait_for_change(struct sink_runner *runner, uint64_t ns)
{
    struct timespec at = real_time_after(ns);
    (void)pthread_cond_timedwait(&runner->shared.changed, &runner->shared.lock, &at);
}

void sink_runner_recheck(struct sink_runner *runner)
{
    (void)pthread_mutex_lock(&runner->shared.lock);
    (void)pthread_cond_broadcast(&runner->shared.changed);
    (void)pthread_mutex_unlock(&runner->shared.lock);
}

/*
 * Try nothing for wait_ns, or until the mode changes: a drain tries once more at once. false: stop,
 * now or because the pause would end after the deadline of a drain.
 */
static bool begin_pause(struct sink_runner *runner, uint64_t wait_ns)
{
    uint64_t deadline_ns;

    runner->own.pause_mode = current_mode(runner, &deadline_ns);
    runner->own.pause_until_ns = clock_monotonic(runner->clock) + wait_ns;
    return runner->own.pause_mode == MODE_RUN ||
           (runner->own.pause_mode == MODE_DRAIN && runner->own.pause_until_ns <= deadline_ns);
}

/* Whether the pause is over; waits for that, at most wait_ns. */
static bool is_pause_over(struct sink_runner *runner, enum runner_mode mode, uint64_t wait_ns)
{
    uint64_t now_ns = clock_monotonic(runner->clock);

    if (now_ns >= runner->own.pause_until_ns || mode != runner->own.pause_mode) {
        runner->own.pause_until_ns = 0;
        return true;
    }
    uint64_t left_ns = runner->own.pause_until_ns - now_ns;
    left_ns = left_ns < GAUGE_PAUSE_NS ? left_ns : GAUGE_PAUSE_NS;
    update_lag(runner);
    publish_status(runner);
    (void)pthread_mutex_lock(&runner->shared.lock);
    if (wait_ns > 0 && runner->shared.mode == mode) {
        wait_for_change(runner, left_ns < wait_ns ? left_ns : wait_ns);
    }
    (void)pthread_mutex_unlock(&runner->shared.lock);
    return false;
}

/* --- the cursor --- */

/* Bring the cursor to disk and let the log go before it. */
static void save_cursor(struct sink_runner *runner)
{
    struct error err;

    if (!runner->own.unsaved) {
        return;
    }
    runner->own.saved_at_ns = clock_monotonic(runner->clock);
    if (runner->cursor_path != NULL &&
        !cursor_write(runner->fs, runner->cursor_path, &runner->own.cursor, &err)) {
        if (!runner->own.save_failing) {
            log_error("sink", "cannot write the cursor, a crash will repeat deliveries",
                      "exporter=%s error=\"%s\"", runner->name, err.message);
        }
        runner->own.save_failing = true;
        return;
    }
    if (runner->own.save_failing) {
        runner->own.save_failing = false;
        log_info("sink", "the cursor is written again", "exporter=%s", runner->name);
    }
    runner->own.unsaved = false;
    runner->source.release(runner->source.ctx, &runner->own.cursor);
}

/* Go on to next. Never back. */
static void advance(struct sink_runner *runner, const struct sink_cursor *next)
{
    if (cursor_compare(next, &runner->own.cursor) > 0) {
        runner->own.cursor = *next;
        runner->own.unsaved = true;
    }
}

/* --- what became of a batch --- */

static void note_failure(struct sink_runner *runner, const struct error *err)
{
    (void)snprintf(runner->own.status.last_error, sizeof(runner->own.status.last_error), "%s",
                   err->message[0] != '\0' ? err->message : "the destination gave no reason");
}

static void count_failed(struct sink_runner *runner, uint64_t items)
{
    runner->own.status.failed += items;
    series_add(runner->series.failed, items);
}

static void note_recovery(struct sink_runner *runner)
{
    if (runner->own.failing) {
        runner->own.failing = false;
        log_info("sink", "delivering again", "exporter=%s failed_attempts=%" PRIu64, runner->name,
                 runner->own.attempts);
    }
    runner->own.attempts = 0;
    backoff_reset(&runner->own.backoff);
}

/* Partial success: counted, said at most once a minute, never sent again. */
static void note_partial(struct sink_runner *runner, const struct sink_outcome *outcome)
{
    uint64_t now_ns = clock_monotonic(runner->clock);

    runner->own.status.partial += outcome->rejected;
    runner->own.partial_unlogged += outcome->rejected;
    series_add(runner->series.partial, outcome->rejected);
    if (now_ns >= runner->own.next_partial_ns) {
        log_warn("sink", "the destination rejected a part",
                 "exporter=%s items=%" PRIu64 " message=\"%s\"", runner->name,
                 runner->own.partial_unlogged, outcome->err.message);
        runner->own.partial_unlogged = 0;
        runner->own.next_partial_ns = now_ns + REMINDER_NS;
    }
}

static void finish_delivered(struct sink_runner *runner, const struct sink_batch *batch,
                             const struct sink_cursor *next, const struct sink_outcome *outcome)
{
    uint64_t rejected =
        outcome->rejected < batch->item_count ? outcome->rejected : batch->item_count;

    note_recovery(runner);
    runner->own.status.delivered += batch->item_count - rejected;
    series_add(runner->series.sent, batch->item_count - rejected);
    runner->own.status.last_error[0] = '\0';
    runner->own.status.last_delivered_wall_ns = clock_wall(runner->clock);
    if (outcome->rejected > 0) {
        note_partial(runner, &(struct sink_outcome){.rejected = rejected, .err = outcome->err});
    }
    split_delivered(&runner->own.split, batch, next);
    advance(runner, next);
    save_cursor(runner);
}

static void drop(struct sink_runner *runner, const struct sink_batch *batch,
                 const struct sink_cursor *next, const char *why, const struct error *err)
{
    runner->own.attempts = 0;
    backoff_reset(&runner->own.backoff);
    note_failure(runner, err);
    count_failed(runner, batch->item_count);
    log_warn("sink", "dropped what cannot be delivered",
             "exporter=%s items=%zu reason=%s error=\"%s\"", runner->name, batch->item_count, why,
             runner->own.status.last_error);
    split_dropped(&runner->own.split, batch, next);
    advance(runner, next);
    save_cursor(runner);
}

/* --- one batch --- */

/* The batch in the driver's encoding. A batch that cannot be encoded is refused like by a
 * destination. */
static bool encode(struct sink_runner *runner, const struct sink_batch *batch,
                   struct sink_batch *out, struct sink_outcome *outcome)
{
    *out = *batch;
    if (runner->own.encoding == SINK_PROTOBUF) {
        return true;
    }
    strbuf_clear(&runner->own.json);
    if (!otlp_json_encode(batch->signal, batch->body, &runner->own.json, &outcome->err) ||
        runner->own.json.overflow) {
        bool too_large = runner->own.json.overflow || outcome->err.code == ERR_TOO_LARGE;
        if (outcome->err.code == ERR_NONE) {
            (void)error_set(&outcome->err, ERR_TOO_LARGE, "as JSON over %zu bytes",
                            runner->own.json.limit);
        }
        outcome->verdict = too_large ? SINK_TOO_LARGE : SINK_REJECTED;
        return false;
    }
    out->body = strbuf_slice(&runner->own.json);
    return true;
}

static void forget_json(struct sink_runner *runner)
{
    size_t limit = runner->own.json.limit;

    if (runner->own.json.cap > JSON_BYTES_KEPT) {
        strbuf_deinit(&runner->own.json);
        strbuf_init(&runner->own.json, limit);
    }
}

static void deliver(struct sink_runner *runner, const struct sink_batch *encoded,
                    struct sink_outcome *outcome)
{
    uint64_t began_ns = clock_monotonic(runner->clock);

    *outcome = (struct sink_outcome){.verdict = SINK_RETRY};
    runner->driver->deliver(runner->own.sink, encoded, outcome);
    series_add(runner->series.requests, 1);
    series_observe(runner->series.seconds,
                   (double)(clock_monotonic(runner->clock) - began_ns) / (double)NS_PER_S);
}

static void log_retry(struct sink_runner *runner, uint64_t wait_ns)
{
    uint64_t now_ns = clock_monotonic(runner->clock);

    if (runner->own.failing && now_ns < runner->own.next_reminder_ns) {
        return;
    }
    if (runner->own.failing) {
        log_warn("sink", "delivery still fails",
                 "exporter=%s attempts=%" PRIu64 " lag_bytes=%" PRIu64 " error=\"%s\"",
                 runner->name, runner->own.attempts, runner->own.status.lag_bytes,
                 runner->own.status.last_error);
    } else {
        log_warn("sink", "delivery failed, will retry",
                 "exporter=%s next_ms=%" PRIu64 " error=\"%s\"", runner->name, wait_ns / NS_PER_MS,
                 runner->own.status.last_error);
    }
    runner->own.failing = true;
    runner->own.next_reminder_ns = now_ns + REMINDER_NS;
}

/* false: the runner ends, and the batch comes again in the next life. */
static bool retry(struct sink_runner *runner, const struct sink_outcome *outcome)
{
    const struct sink_batch *batch = &runner->own.held.batch;
    uint64_t wait_ns;

    if (is_stopping(runner)) {
        return false; /* an interrupted delivery says nothing about the destination */
    }
    if (!runner->retry.enabled) {
        drop(runner, batch, &runner->own.held.next, "retry_disabled", &outcome->err);
        return true;
    }
    runner->own.attempts++;
    if (!backoff_next(&runner->own.backoff, clock_monotonic(runner->clock), outcome->retry_after_ms,
                      &wait_ns)) {
        drop(runner, batch, &runner->own.held.next, "max_elapsed_time", &outcome->err);
        return true;
    }
    note_failure(runner, &outcome->err);
    log_retry(runner, wait_ns);
    runner->own.held.again = true;
    return begin_pause(runner, wait_ns);
}

/* What follows on the answer to the batch. false: the runner ends. */
static bool settle(struct sink_runner *runner, const struct sink_outcome *outcome)
{
    const struct sink_batch *batch = &runner->own.held.batch;
    const struct sink_cursor *next = &runner->own.held.next;
    bool more = true;

    runner->own.held.again = false;
    switch (outcome->verdict) {
    case SINK_DELIVERED:
        finish_delivered(runner, batch, next, outcome);
        break;
    case SINK_RETRY:
        more = retry(runner, outcome);
        break;
    case SINK_TOO_LARGE:
        note_failure(runner, &outcome->err);
        if (split_too_large(&runner->own.split, batch, next) == SPLIT_DROP) {
            drop(runner, batch, next, "too_large", &outcome->err);
        }
        break;
    case SINK_REJECTED:
        note_failure(runner, &outcome->err);
        if (split_rejected(&runner->own.split, batch, next, outcome->err.code) == SPLIT_DROP) {
            drop(runner, batch, next, "rejected", &outcome->err);
        }
        break;
    }
    if (!runner->own.held.again) {
        forget_json(runner);
    }
    return more;
}

/* false: the runner ends. */
static bool offer_again(struct sink_runner *runner)
{
    struct sink_outcome outcome;

    runner->own.status.retries++;
    series_add(runner->series.retries, 1);
    deliver(runner, &runner->own.held.encoded, &outcome);
    return settle(runner, &outcome);
}

/* false: the runner ends. */
static bool handle_batch(struct sink_runner *runner, const struct sink_batch *batch,
                         const struct sink_cursor *next)
{
    struct sink_outcome outcome = {0};

    runner->own.held.batch = *batch;
    runner->own.held.next = *next;
    if (encode(runner, batch, &runner->own.held.encoded, &outcome)) {
        deliver(runner, &runner->own.held.encoded, &outcome);
    }
    return settle(runner, &outcome);
}

/* --- the loop --- */

static void count_skipped(struct sink_runner *runner, uint64_t items)
{
    if (items > 0) {
        runner->own.status.skipped += items;
        series_add(runner->series.skipped, items);
        log_warn("sink", "data was gone from the log before it could be delivered",
                 "exporter=%s items=%" PRIu64, runner->name, items);
    }
}

/* The log cannot be read here. Step over it when the source says where to go on, else try later. */
static bool handle_source_error(struct sink_runner *runner, const struct sink_cursor *next,
                                const struct error *err)
{
    uint64_t wait_ns;

    log_error("sink", "cannot read the log", "exporter=%s seq=%" PRIu64 " error=\"%s\"",
              runner->name, runner->own.cursor.seq, err->message);
    note_failure(runner, err);
    if (cursor_compare(next, &runner->own.cursor) > 0) {
        advance(runner, next);
        save_cursor(runner);
        return true;
    }
    (void)backoff_next(&runner->own.backoff, clock_monotonic(runner->clock), 0, &wait_ns);
    return begin_pause(runner, wait_ns);
}

/* A source that gives data without going on, or goes back, would be asked for ever. */
static bool handle_bad_source(struct sink_runner *runner, const struct sink_cursor *next)
{
    uint64_t wait_ns;

    log_error("sink", "the log does not go on from the cursor",
              "exporter=%s seq=%" PRIu64 " next_seq=%" PRIu64, runner->name, runner->own.cursor.seq,
              next->seq);
    (void)backoff_next(&runner->own.backoff, clock_monotonic(runner->clock), 0, &wait_ns);
    return begin_pause(runner, wait_ns);
}

/* Nothing to deliver: either there is no data, or what there was is not for this destination. */
static bool handle_nothing(struct sink_runner *runner, const struct sink_cursor *next,
                           enum runner_mode mode)
{
    bool at_end = cursor_compare(next, &runner->own.cursor) == 0;

    advance(runner, next);
    if (at_end || clock_monotonic(runner->clock) - runner->own.saved_at_ns >= CURSOR_PAUSE_NS) {
        save_cursor(runner);
    }
    return !(at_end && mode == MODE_DRAIN);
}

/* Read what comes next and offer it. false: the runner is done. */
static bool read_and_offer(struct sink_runner *runner, enum runner_mode mode, uint64_t wait_ns)
{
    bool draining = mode == MODE_DRAIN;
    const struct split *split = &runner->own.split;
    struct sink_batch batch = {0};
    struct sink_cursor next = runner->own.cursor;
    uint64_t skipped = 0;
    struct error err = {0};
    size_t items_min = runner->items_min < split->items ? runner->items_min : split->items;

    bool read = runner->source.next(
        runner->source.ctx, &runner->own.cursor, draining ? 0 : items_min, split->items,
        split->bytes, draining ? 0 : wait_ns, draining || split->active ? 0 : runner->linger_ns,
        &batch, &next, &skipped, &err);
    int order = cursor_compare(&next, &runner->own.cursor);
    count_skipped(runner, skipped);
    if (!read) {
        return handle_source_error(runner, &next, &err);
    }
    if (order < 0 || (order == 0 && batch.item_count > 0)) {
        return handle_bad_source(runner, &next);
    }
    if (batch.item_count == 0) {
        return handle_nothing(runner, &next, mode);
    }
    return handle_batch(runner, &batch, &next);
}

bool sink_runner_turn(struct sink_runner *runner, uint64_t wait_ns)
{
    uint64_t deadline_ns;
    enum runner_mode mode = current_mode(runner, &deadline_ns);

    if (mode == MODE_STOP) {
        return false;
    }
    if (!is_pause_over(runner, mode, wait_ns)) {
        return true;
    }
    bool more =
        runner->own.held.again ? offer_again(runner) : read_and_offer(runner, mode, wait_ns);
    update_lag(runner);
    publish_status(runner);
    return more;
}

static bool open_sink(struct sink_runner *runner)
{
    struct error err = {0};
    bool usable = runner->driver->open(&runner->own.sink, runner->settings, &err);

    if (usable) {
        runner->own.encoding = runner->driver->encoding(runner->own.sink);
    }
    (void)pthread_mutex_lock(&runner->shared.lock);
    runner->shared.opened = true;
    runner->shared.usable = usable;
    runner->shared.open_err = err;
    runner->shared.sink = runner->own.sink;
    (void)pthread_cond_broadcast(&runner->shared.changed);
    (void)pthread_mutex_unlock(&runner->shared.lock);
    return usable;
}

static void run(void *arg)
{
    struct sink_runner *runner = arg;

    if (open_sink(runner)) {
        while (sink_runner_turn(runner, IDLE_WAIT_NS)) {
        }
        save_cursor(runner);
        publish_status(runner);
    }
    (void)pthread_mutex_lock(&runner->shared.lock);
    runner->shared.sink = NULL;
    while (runner->shared.interrupting) {
        (void)pthread_cond_wait(&runner->shared.changed, &runner->shared.lock);
    }
    (void)pthread_mutex_unlock(&runner->shared.lock);
    if (runner->own.sink != NULL) {
        runner->driver->close(runner->own.sink);
    }
    (void)pthread_mutex_lock(&runner->shared.lock);
    runner->shared.finished = true;
    (void)pthread_cond_broadcast(&runner->shared.changed);
    (void)pthread_mutex_unlock(&runner->shared.lock);
}

/* --- start and stop --- */

/*
 * Where to begin. After a damaged cursor at the oldest there is: delivering twice is a nuisance,
 * never delivering is a loss. One that cannot be read may be good tomorrow.
 */
static bool find_start(struct sink_runner *runner, const struct sink_cursor *start,
                       struct error *err)
{
    struct error why;

    runner->own.cursor = *start;
    /* Also written when it is new: the next life must not begin later than this one. */
    runner->own.unsaved = true;
    if (runner->cursor_path == NULL ||
        sink_cursor_read(runner->fs, runner->cursor_path, &runner->own.cursor, &why)) {
        return true;
    }
    if (why.code == ERR_CORRUPT) {
        log_error("sink", "the cursor is damaged, delivering everything that is kept once more",
                  "exporter=%s error=\"%s\"", runner->name, why.message);
        runner->own.cursor = (struct sink_cursor){0};
        return true;
    }
    if (why.code == ERR_NOT_FOUND) {
        return true;
    }
    *err = why;
    return error_wrap(err, "exporter %s", runner->name);
}

static void find_series(struct sink_runner *runner)
{
    runner->series.sent = metric_series(METRIC_SINK_SENT, runner->name, NULL);
    runner->series.failed = metric_series(METRIC_SINK_FAILED, runner->name, NULL);
    runner->series.partial = metric_series(METRIC_SINK_PARTIAL, runner->name, NULL);
    runner->series.skipped = metric_series(METRIC_SINK_SKIPPED, runner->name, NULL);
    runner->series.retries = metric_series(METRIC_SINK_RETRIES, runner->name, NULL);
    runner->series.requests = metric_series(METRIC_SINK_REQUESTS, runner->name, NULL);
    runner->series.lag = metric_series(METRIC_SINK_LAG_SPANS, runner->name, NULL);
    runner->series.seconds = metric_series(METRIC_SINK_SECONDS, runner->name, NULL);
}

static struct sink_runner *runner_new(const struct sink_runner_config *config, const struct fs *fs,
                                      const struct clock *clock)
{
    struct sink_runner *runner = mem_zalloc(1, sizeof(*runner));
    pthread_condattr_t attributes;
    uint64_t seed;
    size_t json_max =
        config->bytes_max > JSON_BYTES_MAX / 8 ? JSON_BYTES_MAX : config->bytes_max * 8;

    runner->name = mem_strdup(config->name);
    runner->cursor_path = config->cursor_path == NULL ? NULL : mem_strdup(config->cursor_path);
    runner->fs = fs;
    runner->clock = clock;
    runner->driver = config->driver;
    runner->settings = config->settings;
    runner->source = config->source;
    runner->retry = config->retry;
    runner->items_min = config->items_min;
    runner->linger_ns = config->linger_ns;
    random_bytes(&seed, sizeof(seed));
    split_init(&runner->own.split, config->items_max, config->bytes_max);
    backoff_init(&runner->own.backoff, &config->retry, seed);
    strbuf_init(&runner->own.json, json_max > JSON_BYTES_MIN ? json_max : JSON_BYTES_MIN);
    (void)pthread_mutex_init(&runner->shared.lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&runner->shared.changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    find_series(runner);
    return runner;
}

static void runner_free(struct sink_runner *runner)
{
    runner->source.close(runner->source.ctx);
    strbuf_deinit(&runner->own.json);
    (void)pthread_cond_destroy(&runner->shared.changed);
    (void)pthread_mutex_destroy(&runner->shared.lock);
    free(runner->cursor_path);
    free(runner->name);
    free(runner);
}

/* Everything but the driver and the thread. */
static bool prepare(struct sink_runner **out, const struct sink_runner_config *config,
                    const struct fs *fs, const struct clock *clock, struct error *err)
{
    struct sink_runner *runner = runner_new(config, fs, clock);

    if (!find_start(runner, &config->start, err)) {
        runner_free(runner);
        return false;
    }
    save_cursor(runner);
    update_lag(runner);
    publish_status(runner);
    *out = runner;
    return true;
}

bool sink_runner_open(struct sink_runner **out, const struct sink_runner_config *config,
                      const struct fs *fs, const struct clock *clock, struct error *err)
{
    struct sink_runner *runner;

    if (!prepare(&runner, config, fs, clock, err)) {
        return false;
    }
    if (!open_sink(runner)) {
        *err = runner->shared.open_err;
        (void)error_wrap(err, "exporter %s", runner->name);
        runner_free(runner);
        return false;
    }
    *out = runner;
    return true;
}

void sink_runner_close(struct sink_runner *runner, bool save)
{
    if (save) {
        save_cursor(runner);
    }
    runner->driver->close(runner->own.sink);
    runner_free(runner);
}

bool sink_runner_start(struct sink_runner **out, const struct sink_runner_config *config,
                       const struct fs *fs, const struct clock *clock, struct error *err)
{
    struct sink_runner *runner;
    char thread_name[16];

    if (!prepare(&runner, config, fs, clock, err)) {
        return false;
    }
    (void)snprintf(thread_name, sizeof(thread_name), "sink-%s", runner->name);
    thread_start(&runner->thread, thread_name, run, runner);

    (void)pthread_mutex_lock(&runner->shared.lock);
    while (!runner->shared.opened) {
        (void)pthread_cond_wait(&runner->shared.changed, &runner->shared.lock);
    }
    bool usable = runner->shared.usable;
    (void)pthread_mutex_unlock(&runner->shared.lock);
    if (!usable) {
        thread_join(&runner->thread);
        *err = runner->shared.open_err;
        (void)error_wrap(err, "exporter %s", runner->name);
        runner_free(runner);
        return false;
    }
    *out = runner;
    return true;
}

static void set_mode(struct sink_runner *runner, enum runner_mode mode, uint64_t deadline_ns)
{
    (void)pthread_mutex_lock(&runner->shared.lock);
    runner->shared.mode = mode;
    runner->shared.deadline_ns = deadline_ns;
    (void)pthread_cond_broadcast(&runner->shared.changed);
    (void)pthread_mutex_unlock(&runner->shared.lock);
}

/* End a delivery that is under way. The driver is called without the lock, but not after its
 * close. */
static void interrupt_delivery(struct sink_runner *runner)
{
    (void)pthread_mutex_lock(&runner->shared.lock);
    struct sink *sink = runner->shared.sink;
    runner->shared.interrupting = sink != NULL;
    (void)pthread_mutex_unlock(&runner->shared.lock);
    if (sink == NULL) {
        return;
    }
    runner->driver->interrupt(sink);
    (void)pthread_mutex_lock(&runner->shared.lock);
    runner->shared.interrupting = false;
    (void)pthread_cond_broadcast(&runner->shared.changed);
    (void)pthread_mutex_unlock(&runner->shared.lock);
}

/* Whether the thread is at its end; waits a moment for it, but not beyond the deadline. */
static bool wait_for_end(struct sink_runner *runner, uint64_t deadline_ns)
{
    uint64_t now_ns = clock_monotonic(runner->clock);
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : STOP_WAKE_NS;

    (void)pthread_mutex_lock(&runner->shared.lock);
    if (!runner->shared.finished) {
        wait_for_change(runner, left_ns < STOP_WAKE_NS ? left_ns : STOP_WAKE_NS);
    }
    bool finished = runner->shared.finished;
    (void)pthread_mutex_unlock(&runner->shared.lock);
    return finished;
}

void sink_runner_stop(struct sink_runner *runner, bool drain, uint64_t deadline_ns)
{
    bool stopping = !drain;

    set_mode(runner, drain ? MODE_DRAIN : MODE_STOP, deadline_ns);
    if (stopping) {
        interrupt_delivery(runner);
    }
    do {
        if (!stopping && clock_monotonic(runner->clock) >= deadline_ns) {
            stopping = true;
            set_mode(runner, MODE_STOP, deadline_ns);
            interrupt_delivery(runner);
        }
        runner->source.wake(runner->source.ctx);
    } while (!wait_for_end(runner, deadline_ns));
    thread_join(&runner->thread);
    runner_free(runner);
}
