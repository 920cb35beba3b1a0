/* backoff.c - see backoff.h. */
#include "backoff.h"

#include <spangate/base/random.h>

/* A destination that asks for more is asked again after an hour all the same. */
#define RETRY_AFTER_MAX_MS (UINT64_C(3600) * 1000)
/* A configuration of zeros must not become a busy loop. */
#define WAIT_MIN_NS NS_PER_MS

void backoff_init(struct backoff *backoff, const struct sink_retry *retry, uint64_t seed)
{
    *backoff = (struct backoff){.retry = *retry, .random = seed};
}

void backoff_reset(struct backoff *backoff)
{
    backoff->interval_ns = 0;
}

static uint64_t at_most(double wanted_ns, uint64_t max_ns)
{
    return wanted_ns >= (double)max_ns ? max_ns : (uint64_t)wanted_ns;
}

/* A number within interval ± factor, evenly distributed. */
static uint64_t with_jitter(struct backoff *backoff)
{
    double factor = backoff->retry.randomization_factor;
    double interval = (double)backoff->interval_ns;

    if (!(factor > 0)) {
        return backoff->interval_ns;
    }
    if (factor > 1) {
        factor = 1;
    }
    return at_most(interval * (1 + factor * (2 * random_unit(&backoff->random) - 1)),
                   UINT64_MAX / 2);
}

static void grow_interval(struct backoff *backoff)
{
    const struct sink_retry *retry = &backoff->retry;
    uint64_t max_ns = retry->max_interval_ns > 0 ? retry->max_interval_ns : UINT64_MAX / 4;

    if (retry->multiplier > 1) {
        backoff->interval_ns = at_most((double)backoff->interval_ns * retry->multiplier, max_ns);
    }
}

bool backoff_next(struct backoff *backoff, uint64_t now_ns, uint64_t retry_after_ms,
                  uint64_t *wait_ns)
{
    const struct sink_retry *retry = &backoff->retry;

    if (backoff->interval_ns == 0) {
        backoff->began_ns = now_ns;
        backoff->interval_ns =
            retry->initial_interval_ns > WAIT_MIN_NS ? retry->initial_interval_ns : WAIT_MIN_NS;
    }
    uint64_t wait = with_jitter(backoff);
    uint64_t asked_ms = retry_after_ms < RETRY_AFTER_MAX_MS ? retry_after_ms : RETRY_AFTER_MAX_MS;
    if (wait < WAIT_MIN_NS) {
        wait = WAIT_MIN_NS;
    }
    if (wait < asked_ms * NS_PER_MS) {
        wait = asked_ms * NS_PER_MS;
    }
    grow_interval(backoff);
    *wait_ns = wait;
    return retry->max_elapsed_ns == 0 || now_ns - backoff->began_ns + wait <= retry->max_elapsed_ns;
}
