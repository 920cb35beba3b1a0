/*
 * schedule.c - see schedule.h.
 */
#include "schedule.h"

#include "oracle.h"

#include <errno.h>
#include <spangate/base/mem.h>
#include <spangate/base/random.h>
#include <spangate/sink/runner.h>
#include <stdio.h>

enum {
    REQUEST_SPANS_MAX = 8,
    LIVE_TRACES = 6,
    ROUNDS_MAX = 3000, /* to come to rest: an hour and more of simulated time */
    LOOK_EVERY = 20,
};

#define DAY_NS ((int64_t)(86400 * NS_PER_S))

void schedule_add(struct schedule_report *sum, const struct schedule_report *more)
{
    sum->acked += more->acked;
    sum->deliveries += more->deliveries;
    sum->deaths += more->deaths;
    sum->starts_failed += more->starts_failed;
    sum->checks += more->checks;
    sum->spans += more->spans;
    sum->operations += more->operations;
}

static void tell(const struct world *world, struct schedule_report *report)
{
    *report = (struct schedule_report){.acked = world->acked,
                                       .deliveries = world->deliveries,
                                       .deaths = world->deaths,
                                       .starts_failed = world->starts_failed,
                                       .checks = world->checks,
                                       .spans = world->ledger.span_count,
                                       .operations = world->operations};
}

/* --- clients --- */

static size_t pick_trace(struct world *world)
{
    struct ledger *ledger = &world->ledger;

    if (ledger->trace_count == 0 || world_random(world, 4) == 0) {
        return ledger_add_trace(ledger, clock_wall(&world->clock), &world->random);
    }
    if (world_random(world, 8) == 0) {
        return (size_t)world_random(world, ledger->trace_count); /* late */
    }
    size_t live = ledger->trace_count < LIVE_TRACES ? ledger->trace_count : LIVE_TRACES;
    return ledger->trace_count - 1 - (size_t)world_random(world, live);
}

/* A new span, one that was sent before, or one that contradicts it. */
static size_t pick_span(struct world *world, unsigned receiver)
{
    struct ledger *ledger = &world->ledger;
    size_t trace = pick_trace(world);
    const struct sim_trace *of = &ledger->traces[trace];

    if (of->span_count > 0) {
        size_t other = of->spans[world_random(world, of->span_count)];
        uint64_t chance = world_random(world, 12);
        if (chance == 0 && ledger->spans[other]->receiver == receiver) {
            return other;
        }
        if (chance == 1) {
            return ledger_add_span(ledger, trace, other, receiver, &world->random);
        }
    }
    return ledger_add_span(ledger, trace, SIZE_MAX, receiver, &world->random);
}

static void send_new(struct world *world)
{
    size_t spans[REQUEST_SPANS_MAX];
    unsigned receiver = (unsigned)world_random(world, SIM_RECEIVERS);
    bool logs = world_random(world, 8) == 0;
    size_t count = logs ? 0 : (size_t)world_random(world, REQUEST_SPANS_MAX);
    size_t invalid = logs ? 0 : (size_t)(world_random(world, 8) == 0 ? world_random(world, 3) : 0);

    for (size_t i = 0; i < count; i++) {
        spans[i] = pick_span(world, receiver);
    }
    world_send(world, ledger_add_request(&world->ledger, logs ? OTLP_LOGS : OTLP_TRACES, receiver,
                                         spans, count, invalid));
}

/* A client tries again what it was not told to be safe; now and then what it was. */
static void send_again(struct world *world)
{
    struct ledger *ledger = &world->ledger;
    size_t start = ledger->request_count > 0 ? world_random(world, ledger->request_count) : 0;
    bool impatient = world_random(world, 10) == 0;

    for (size_t i = 0; i < ledger->request_count; i++) {
        struct sim_request *request = ledger->requests[(start + i) % ledger->request_count];
        if (request->state == REQUEST_UNACKED || (impatient && request->state == REQUEST_ACKED)) {
            world_send(world, request);
            return;
        }
    }
}

static bool send_unacked(struct world *world)
{
    bool any = false;

    for (size_t i = 0; i < world->ledger.request_count && !world->dead; i++) {
        struct sim_request *request = world->ledger.requests[i];
        if (request->state == REQUEST_UNACKED) {
            world_send(world, request);
            any = true;
        }
        any = any || request->state == REQUEST_WAITING;
    }
    return any;
}

/* --- trouble --- */

static void plan_fault(struct world *world)
{
    static const struct {
        enum fs_op op;
        enum fs_fault_kind kind;
        int sys_errno;
    } faults[] = {
        {FS_OP_PWRITEV, FS_FAULT_FAIL, EIO},   {FS_OP_PWRITEV, FS_FAULT_FAIL, ENOSPC},
        {FS_OP_PWRITEV, FS_FAULT_TORN, EIO},   {FS_OP_PWRITEV, FS_FAULT_TORN, ENOSPC},
        {FS_OP_PWRITEV, FS_FAULT_SHORT, 0},    {FS_OP_FDATASYNC, FS_FAULT_FAIL, EIO},
        {FS_OP_FDATASYNC, FS_FAULT_FAIL, EIO}, {FS_OP_ALLOCATE, FS_FAULT_FAIL, ENOSPC},
        {FS_OP_ALLOCATE, FS_FAULT_FAIL, EIO},  {FS_OP_RENAME, FS_FAULT_FAIL, EIO},
        {FS_OP_PREAD, FS_FAULT_FAIL, EIO},     {FS_OP_SYNC_DIR, FS_FAULT_FAIL, EIO},
        {FS_OP_OPEN, FS_FAULT_FAIL, EIO},      {FS_OP_OPEN, FS_FAULT_FAIL, ENOSPC},
        {FS_OP_UNLINK, FS_FAULT_FAIL, EIO},    {FS_OP_TRUNCATE, FS_FAULT_FAIL, EIO},
        {FS_OP_MKDIR, FS_FAULT_FAIL, ENOSPC},  {FS_OP_ANY, FS_FAULT_FAIL, EIO},
        {FS_OP_LIST, FS_FAULT_FAIL, EIO},      {FS_OP_SIZE, FS_FAULT_FAIL, EIO},
    };
    size_t i = world_random(world, COUNT_OF(faults));
    uint64_t nth = 1 + world_random(world, 8);
    uint64_t times = world_random(world, 3) == 0 ? 1 + world_random(world, 30) : 1;

    world->troubled = true;
    fs_fault_plan(&world->disk, faults[i].op, nth, times, faults[i].kind, faults[i].sys_errno);
    world_note(world, "fault planned: operation %d, kind %d, errno %d, the %lluth, %llu times",
               faults[i].op, faults[i].kind, faults[i].sys_errno, (unsigned long long)nth,
               (unsigned long long)times);
}

static void fill_disk(struct world *world)
{
    uint64_t bytes = 0;

    if (world->mem == NULL ||
        fs_mem_fs(world->mem)->free_space(fs_mem_fs(world->mem), "/", &bytes) != 0) {
        return;
    }
    uint64_t used = UINT64_MAX - bytes;
    if (!world->disk_is_full) {
        world->disk_is_full = true;
        world->troubled = true;
        fs_mem_set_space(world->mem, used + world_random(world, 20000));
        world_note(world, "the disk is nearly full: %llu bytes", (unsigned long long)used);
    }
}

static void jump_wall(struct world *world)
{
    static const int64_t jumps[] = {(int64_t)NS_PER_S, -(int64_t)NS_PER_S, DAY_NS, -DAY_NS};
    uint64_t chance = world_random(world, 6);

    world->jumped_ns = world->jumped_ns == 0 ? world->monotonic_ns : world->jumped_ns;
    if (chance < COUNT_OF(jumps)) {
        world->wall_offset_ns += jumps[chance];
    } else if (chance == 4) {
        world->wall_offset_ns = 0; /* 1970 */
    } else {
        world->wall_offset_ns = (int64_t)UINT64_C(1767225600000000000);
    }
    world_note(world, "the wall clock is set to %llu s",
               (unsigned long long)(clock_wall(&world->clock) / NS_PER_S));
}

static void pass_time(struct world *world)
{
    static const uint64_t most_ms[] = {1, 10, 400, 1100, 1100, 40000, 40000, 4000000};
    uint64_t ms = world_random(world, most_ms[world_random(world, COUNT_OF(most_ms))]);

    world->monotonic_ns += ms * NS_PER_MS + world_random(world, NS_PER_MS);
}

static void squeeze(struct world *world)
{
    size_t used = budget_used(&world->budget);
    size_t limit =
        world_random(world, 2) == 0 ? (size_t)16 << 20 : used + (size_t)world_random(world, 100000);

    atomic_store(&world->budget.limit, limit);
    world_note(world, "memory: %zu of %zu", used, limit);
}

static void change_mood(struct world *world)
{
    struct destination *to = &world->destinations[world_random(world, SIM_DESTINATIONS)];

    to->mood = (enum mood)world_random(world, 3);
    to->takes_max = world_random(world, 3) == 0 ? 1 + (size_t)world_random(world, 10) : SIZE_MAX;
    to->picky = world_random(world, 4) == 0;
    if (to->accepted) { /* a request is delivered whole, and dropped whole when it is refused */
        to->takes_max = SIZE_MAX;
        to->picky = false;
    }
}

/* --- steps --- */

enum action {
    SEND_NEW,
    SEND_AGAIN,
    TURN_COMMIT,
    TURN_CORRELATE,
    TURN_STORE,
    TURN_DESTINATION,
    TURN_ALL,
    PASS_TIME,
    JUMP_WALL,
    PLAN_FAULT,
    FILL_DISK,
    HEAL_DISK,
    SQUEEZE,
    CHANGE_MOOD,
    PLAN_DEATH,
    STOP,
    ACTIONS
};

struct weights {
    unsigned of[ACTIONS];
    unsigned sum;
};

/* Every seed has its own habits: what happens often in one does not at all in another. */
static void draw_weights(struct world *world, bool trouble, struct weights *weights)
{
    static const unsigned usual[ACTIONS] = {40, 10, 30, 30, 20, 30, 6, 30, 2, 5, 2, 6, 2, 6, 3, 1};
    static const unsigned times[] = {0, 1, 1, 1, 2, 4};

    *weights = (struct weights){0};
    for (size_t i = 0; i < ACTIONS; i++) {
        bool must = i == SEND_NEW || i == TURN_COMMIT || i == PASS_TIME;
        weights->of[i] = usual[i] * times[(must ? 1 : 0) + world_random(world, must ? 5 : 6)];
        if (!trouble && i >= JUMP_WALL) {
            weights->of[i] = 0;
        }
        weights->sum += weights->of[i];
    }
}

static void take_step(struct world *world, const struct weights *weights)
{
    uint64_t chance = world_random(world, weights->sum);
    unsigned action = 0;

    world->sleeps = 0;
    while (chance >= weights->of[action]) {
        chance -= weights->of[action++];
    }
    switch ((enum action)action) {
    case SEND_NEW:
        send_new(world);
        break;
    case SEND_AGAIN:
        send_again(world);
        break;
    case TURN_COMMIT:
        (void)world_commit(world);
        break;
    case TURN_CORRELATE:
        (void)pipeline_correlate(world->pipeline, 0);
        break;
    case TURN_STORE:
        (void)pipeline_store(world->pipeline, 0);
        break;
    case TURN_DESTINATION:
        (void)world_turn_destination(world,
                                     &world->destinations[world_random(world, SIM_DESTINATIONS)]);
        break;
    case TURN_ALL:
        world_turn_all(world);
        break;
    case PASS_TIME:
        pass_time(world);
        break;
    case JUMP_WALL:
        jump_wall(world);
        break;
    case PLAN_FAULT:
        plan_fault(world);
        break;
    case FILL_DISK:
        fill_disk(world);
        break;
    case HEAL_DISK:
        world_heal_disk(world);
        break;
    case SQUEEZE:
        squeeze(world);
        break;
    case CHANGE_MOOD:
        change_mood(world);
        break;
    case PLAN_DEATH:
        world->dies_at = world->operations + 1 + world_random(world, 60);
        world->death =
            world->mem != NULL && world_random(world, 2) == 0 ? DEATH_POWER_CUT : DEATH_KILL;
        break;
    case STOP:
        world_stop(world);
        break;
    case ACTIONS:
        break;
    }
}

/* Have a process that runs, however often it takes. */
static void keep_running(struct world *world)
{
    for (size_t tries = 0; world->pipeline == NULL || world->dead; tries++) {
        if (world->dead) {
            world_bury(world);
        }
        if (tries > 5) {
            world_heal_disk(world);
        }
        if (tries > 100) {
            world_fail(world, "the process does not come up again");
        }
        if (world->pipeline == NULL && world_start(world)) {
            oracle_look(world);
        }
    }
}

/* --- the end --- */

static bool is_at_rest(struct world *world)
{
    struct pipeline *p = world->pipeline;

    return correlator_span_count(p->trace.correlator) == 0 &&
           block_builder_lsns(p->trace.builder) == 0 && p->trace.stuck == NULL &&
           p->store.job == NULL && ring_count(&p->to_store) == 0 && ring_count(&p->to_trace) == 0;
}

static bool are_destinations_done(struct world *world)
{
    for (size_t i = 0; i < SIM_DESTINATIONS; i++) {
        struct sink_status status;
        const struct destination *to = &world->destinations[i];
        if (to->runner == NULL) {
            continue;
        }
        sink_runner_status(to->runner, &status);
        uint64_t end =
            to->accepted ? wal_last(world->pipeline->wal) + 1 : trace_log_end(world->pipeline->log);
        if (status.cursor.seq < end) {
            return false;
        }
    }
    return true;
}

/* All trouble ends; the process that runs has to get over what was, without being started anew. */
static void come_to_rest(struct world *world)
{
    bool busy = true;

    world_note(world, "all trouble ends");
    world->dies_at = 0;
    if (world->dead) {
        world_bury(world);
    }
    world_heal_disk(world);
    atomic_store(&world->budget.limit, (size_t)16 << 20);
    for (size_t i = 0; i < SIM_DESTINATIONS; i++) {
        world->destinations[i].mood = MOOD_WELL;
        world->destinations[i].takes_max = SIZE_MAX;
        world->destinations[i].picky = false;
    }
    keep_running(world);
    for (size_t rounds = 0; busy; rounds++) {
        world->sleeps = 0;
        busy = send_unacked(world);
        world_turn_all(world);
        world->monotonic_ns += NS_PER_S + 1;
        busy = busy || !is_at_rest(world) || !are_destinations_done(world);
        if (rounds == ROUNDS_MAX) {
            world_fail(world, "the gateway does not come to rest: %s",
                       is_at_rest(world) ? "a client or a destination waits" : "spans stay open");
        }
    }
    /* Cursors that only passed what is foreign are written every second. */
    for (size_t i = 0; i < 3; i++) {
        world->monotonic_ns += 2 * NS_PER_S;
        world_turn_all(world);
    }
    oracle_rest(world);
}

/* What was stored is there in the next life, too, and nothing comes back. */
static void live_once_more(struct world *world)
{
    world_stop(world);
    world->troubled = false;
    keep_running(world);
    world_turn_all(world);
    oracle_look(world);
    world_stop(world);
}

void schedule_run(uint64_t seed, uint64_t steps, bool verbose, struct schedule_report *report)
{
    struct world_setup setup;
    struct world world;
    struct weights weights;

    world_draw_setup(seed, &setup);
    world_init(&world, seed, &setup);
    world.verbose = verbose;
    draw_weights(&world, true, &weights);
    for (world.step = 0; world.step < steps; world.step++) {
        keep_running(&world);
        take_step(&world, &weights);
        if (world.step % LOOK_EVERY == 0) {
            oracle_look(&world);
        }
    }
    come_to_rest(&world);
    live_once_more(&world);
    tell(&world, report);
    world_deinit(&world);
}

/* --- one death at a time --- */

enum flavour { FLAVOUR_NONE, FLAVOUR_KILL, FLAVOUR_CUT, FLAVOUR_EIO, FLAVOUR_ENOSPC, FLAVOURS };

/* The scenario, with the trouble within its `point`th file operation. Returns its operations. */
static uint64_t live_with(uint64_t seed, uint64_t steps, enum flavour flavour, uint64_t point,
                          bool verbose, struct schedule_report *report)
{
    struct world_setup setup;
    struct world world;
    struct weights weights;
    uint64_t operations;

    world_draw_setup(seed, &setup);
    setup.with_index = false;
    setup.durability = DURABILITY_SYNC;
    setup.partition_ns = 60 * NS_PER_S;
    setup.wal_segment_bytes = 4096;
    setup.destinations = 15;
    world_init(&world, seed, &setup);
    world.verbose = verbose;
    draw_weights(&world, false, &weights);
    if (flavour == FLAVOUR_KILL || flavour == FLAVOUR_CUT) {
        world.dies_at = point;
        world.death = flavour == FLAVOUR_KILL ? DEATH_KILL : DEATH_POWER_CUT;
    } else if (flavour != FLAVOUR_NONE) {
        fs_fault_plan(&world.disk, FS_OP_ANY, point, 1, FS_FAULT_FAIL,
                      flavour == FLAVOUR_EIO ? EIO : ENOSPC);
        world.troubled = true;
    }
    for (world.step = 0; world.step < steps; world.step++) {
        keep_running(&world);
        take_step(&world, &weights);
        if (world.deaths > 0 && world.step % 4 == 0) {
            oracle_look(&world);
        }
    }
    operations = world.operations;
    keep_running(&world);
    come_to_rest(&world);
    live_once_more(&world);
    tell(&world, report);
    world_deinit(&world);
    return operations;
}

size_t points_run(uint64_t seed, uint64_t steps, size_t stride, bool verbose,
                  struct schedule_report *report)
{
    struct schedule_report one;
    uint64_t operations = live_with(seed, steps, FLAVOUR_NONE, 0, verbose, &one);
    size_t points = 0;

    *report = one;
    for (enum flavour flavour = FLAVOUR_KILL; flavour < FLAVOURS; flavour++) {
        for (uint64_t point = 1; point <= operations; point += stride) {
            (void)live_with(seed, steps, flavour, point, verbose, &one);
            schedule_add(report, &one);
            points++;
        }
    }
    return points;
}
