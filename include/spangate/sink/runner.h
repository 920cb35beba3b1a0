/*
 * runner.h - the life of one destination: read its log at its cursor, deliver, retry, count.
 *
 * The cursor is a small file, replaced and synced after each delivered batch, so a crash repeats
 * at most the batch in flight. With cursor_path NULL it lives in memory.
 */
#ifndef SPANGATE_SINK_RUNNER_H
#define SPANGATE_SINK_RUNNER_H

#include <spangate/base/clock.h>
#include <spangate/base/fs.h>
#include <spangate/sink/sink.h>

struct sink_retry {
    bool enabled;                 /* false: a failed delivery is dropped and counted */
    uint64_t initial_interval_ns; /* 5 s */
    double randomization_factor;  /* 0.5 */
    double multiplier;            /* 1.5 */
    uint64_t max_interval_ns;     /* 30 s */
    uint64_t max_elapsed_ns;      /* 0: no limit, our default */
};

struct sink_runner_config {
    const char *name; /* "otlp_http/tempo": labels, log, cursor file */
    const struct sink_driver *driver;
    const void *settings;      /* for driver->open; must outlive the runner */
    struct sink_source source; /* taken: closed by the runner */
    const char *cursor_path;   /* NULL: in memory */
    struct sink_cursor start;  /* where a destination without a cursor file begins */
    struct sink_retry retry;
    size_t items_min;   /* linger for a batch of this many… */
    uint64_t linger_ns; /* …at most so long */
    size_t items_max;
    size_t bytes_max;
};

struct sink_runner;

/*
 * Opens the driver and starts the thread. config and the strings in it are copied, settings
 * borrowed; the source is taken (closed) in every case. A new destination's cursor is written
 * before this returns, so that it begins at `start` also in its next life. After a damaged cursor
 * it begins at the oldest there is: twice is a nuisance, never is a loss.
 */
bool sink_runner_start(struct sink_runner **out, const struct sink_runner_config *config,
                       const struct fs *fs, const struct clock *clock,
                       struct error *err) MUST_CHECK;

/* For the status page and tests. Any thread. */
struct sink_status {
    struct sink_cursor cursor;
    uint64_t delivered, failed, partial, skipped, retries;
    uint64_t lag_bytes;
    char last_error[ERROR_MESSAGE_MAX]; /* "" after a success */
    uint64_t last_delivered_wall_ns;
};
void sink_runner_status(struct sink_runner *runner, struct sink_status *out);

/* Read the cursor file of a destination without starting it (ERR_NOT_FOUND: none). */
bool sink_cursor_read(const struct fs *fs, const char *path, struct sink_cursor *out,
                      struct error *err) MUST_CHECK;

/*
 * Deliver what there is until deadline (monotonic), then stop; a delivery under way is interrupted
 * at the deadline. drain false: stop at once. A drain ends early when the next attempt would come
 * after the deadline. Joins the thread and releases everything.
 */
void sink_runner_stop(struct sink_runner *runner, bool drain, uint64_t deadline_ns);

#endif
