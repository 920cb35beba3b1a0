/*
 * backoff.h - how long to wait before a delivery is tried again.
 *
 * Exponential with jitter, as the OpenTelemetry Collector's retry_on_failure: an interval grows by
 * `multiplier` up to max_interval_ns, and each wait is drawn from interval ± randomization_factor.
 * What the destination asked for (Retry-After, RetryInfo) is the least. Owner: the runner's thread.
 */
#ifndef SPANGATE_SRC_SINK_BACKOFF_H
#define SPANGATE_SRC_SINK_BACKOFF_H

#include <spangate/sink/runner.h>

struct backoff {
    struct sink_retry retry;
    uint64_t random;      /* state of random_next() */
    uint64_t interval_ns; /* of the next wait, before jitter; 0: no failure yet */
    uint64_t began_ns;    /* when the first failure was */
};

void backoff_init(struct backoff *backoff, const struct sink_retry *retry, uint64_t seed);

/* The delivery succeeded or was given up: the next failure begins anew. */
void backoff_reset(struct backoff *backoff);

/* The wait after one more failure. false: max_elapsed_ns would be over before the next attempt. */
bool backoff_next(struct backoff *backoff, uint64_t now_ns, uint64_t retry_after_ms,
                  uint64_t *wait_ns);

#endif
