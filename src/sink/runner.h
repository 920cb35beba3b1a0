/*
 * runner.h - a seam for the tests of the runner.
 */
#ifndef SPANGATE_SRC_SINK_RUNNER_H
#define SPANGATE_SRC_SINK_RUNNER_H

#include <spangate/sink/runner.h>

/* The clock was changed by hand: a runner that waits looks at it again. */
void sink_runner_recheck(struct sink_runner *runner);

#endif
