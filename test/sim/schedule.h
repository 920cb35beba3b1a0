/*
 * schedule.h - what happens to the world: by chance, and one death at a time.
 */
#ifndef SPANGATE_SIM_SCHEDULE_H
#define SPANGATE_SIM_SCHEDULE_H

#include "world.h"

struct schedule_report {
    size_t acked, deliveries, deaths, starts_failed, checks, spans;
    uint64_t operations;
};

void schedule_add(struct schedule_report *sum, const struct schedule_report *more);

/* A life of `steps` random steps, then rest: everything is healed and has to come to an end. */
void schedule_run(uint64_t seed, uint64_t steps, bool verbose, struct schedule_report *report);

/*
 * A scenario without trouble, which the seed decides, lived through again and again: killed within
 * each of its file operations, the power cut within each, and each failing once. Returns how many
 * points were tried.
 */
size_t points_run(uint64_t seed, uint64_t steps, size_t stride, bool verbose,
                  struct schedule_report *report);

#endif
