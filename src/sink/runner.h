/*
 * runner.h - the runner by hand: what its thread does, for tests and the simulator.
 */
#ifndef SPANGATE_SRC_SINK_RUNNER_H
#define SPANGATE_SRC_SINK_RUNNER_H

#include <spangate/sink/runner.h>

/* As sink_runner_start(), but no thread is made: the caller takes the turns. */
bool sink_runner_open(struct sink_runner **out, const struct sink_runner_config *config,
                      const struct fs *fs, const struct clock *clock, struct error *err) MUST_CHECK;

/*
 * One turn: read a batch and offer it, or offer again what is to be retried. Waits up to wait_ns
 * for data or for the end of a pause. false: the runner is done.
 */
bool sink_runner_turn(struct sink_runner *runner, uint64_t wait_ns);

/* For a runner without a thread. save false: as after a crash. */
void sink_runner_close(struct sink_runner *runner, bool save);

/* The clock was changed by hand: a runner that waits looks at it again. */
void sink_runner_recheck(struct sink_runner *runner);

#endif
