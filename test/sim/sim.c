/*
 * sim.c - the simulator: the whole gateway in one thread, with time, disk, clients, destinations
 * and deaths from one seed.
 *
 *   sim --seed=0x1f --steps=300 --verbose    one seed, telling everything
 *   sim --seeds=200 --from=1                 many
 *   sim --file=seeds.txt                     those that once found something
 *   sim --points --seeds=3                   a death within each file operation of a scenario
 *
 * world.h is the machine around the gateway, ledger.h what the clients know, schedule.h what
 * happens, oracle.h what must hold. A broken promise prints the latest events and how to see it
 * again, and ends the program; so does a failed assertion.
 */
#include "schedule.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <spangate/base/hash.h>
#include <spangate/base/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
    uint64_t seed, seeds, from, steps;
    size_t stride;
    const char *file;
    bool one, points, verbose;
};

static struct {
    char again[120]; /* how to see the current run again */
} current;

/* Only what a signal handler may do. */
static void on_abort(int number)
{
    ssize_t put = write(STDERR_FILENO, current.again, strlen(current.again));
    (void)put;
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void run(const struct options *options, uint64_t seed, uint64_t steps,
                struct schedule_report *sum, size_t *points)
{
    struct schedule_report report;

    (void)snprintf(current.again, sizeof(current.again),
                   "again: sim --seed=0x%" PRIx64 " --steps=%" PRIu64 "%s --verbose\n", seed, steps,
                   options->points ? " --points" : "");
    if (options->points) {
        *points += points_run(seed, steps, options->stride, options->verbose, &report);
    } else {
        schedule_run(seed, steps, options->verbose, &report);
    }
    schedule_add(sum, &report);
}

/* Lines of `<seed> [<steps>]`; the rest of a line is what it showed. */
static bool run_file(const struct options *options, struct schedule_report *sum, size_t *count)
{
    FILE *file = fopen(options->file, "re");
    char line[400];
    size_t points = 0;

    if (file == NULL) {
        perror(options->file);
        return false;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        char *at = line;
        uint64_t seed = strtoull(line, &at, 0);
        if (at == line) {
            continue;
        }
        uint64_t steps = strtoull(at, NULL, 0);
        run(options, seed, steps > 0 ? steps : options->steps, sum, &points);
        *count += 1;
    }
    (void)fclose(file);
    return true;
}

static bool parse(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {{"seed", required_argument, NULL, 's'},
                                          {"seeds", required_argument, NULL, 'n'},
                                          {"from", required_argument, NULL, 'f'},
                                          {"steps", required_argument, NULL, 't'},
                                          {"file", required_argument, NULL, 'F'},
                                          {"points", no_argument, NULL, 'p'},
                                          {"stride", required_argument, NULL, 'r'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        uint64_t value = optarg != NULL ? strtoull(optarg, NULL, 0) : 0;
        switch (c) {
        case 's':
            options->seed = value;
            options->one = true;
            break;
        case 'n':
            options->seeds = value;
            break;
        case 'f':
            options->from = value;
            break;
        case 't':
            options->steps = value;
            break;
        case 'F':
            options->file = optarg;
            break;
        case 'p':
            options->points = true;
            break;
        case 'r':
            options->stride = value > 0 ? (size_t)value : 1;
            break;
        case 'v':
            options->verbose = true;
            break;
        default:
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.from = 1, .stride = 1};
    struct schedule_report sum = {0};
    size_t points = 0;
    size_t count = 0;

    if (!parse(argc, argv, &options)) {
        (void)fprintf(stderr, "usage: sim [--seed=S] [--seeds=N --from=S] [--steps=N] "
                              "[--file=PATH] [--points] [--stride=N] [--verbose]\n");
        return 64;
    }
    if (options.steps == 0) {
        options.steps = options.points ? 100 : 400;
    }
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    (void)hash_bytes("", 0); /* its seed is the same in every run */
    (void)signal(SIGABRT, on_abort);
    if (options.one) {
        run(&options, options.seed, options.steps, &sum, &points);
        count = 1;
    }
    if (options.file != NULL && !run_file(&options, &sum, &count)) {
        return 1;
    }
    for (uint64_t i = 0; i < options.seeds; i++) {
        run(&options, options.from + i, options.steps, &sum, &points);
        count++;
    }
    (void)fprintf(
        stderr,
        "%zu seeds, %zu points: %zu spans, %zu requests acknowledged, %zu deliveries, %zu "
        "deaths, %zu starts failed, %" PRIu64 " file operations, %zu looks: all well\n",
        count, points, sum.spans, sum.acked, sum.deliveries, sum.deaths, sum.starts_failed,
        sum.operations, sum.checks);
    return count > 0 ? 0 : 64;
}
