/*
 * world.c - see world.h.
 */
#include "world.h"

#include "runner.h"

#include <errno.h>
#include <ftw.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/random.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SLEEPS_MAX = 500 };

#define INTERVAL_NS (5 * NS_PER_S)
#define BUDGET_BYTES ((size_t)16 << 20)
#define WALL_AT_START_NS UINT64_C(1767225600000000000) /* 2026-01-01 */

struct world *world_now;

/* --- what the gateway takes from the kernel --- */

void __wrap_random_bytes(void *out, size_t len);
size_t __real_ring_pop_wait(struct ring *ring, void **items, size_t max, uint64_t timeout_ns);
size_t __wrap_ring_pop_wait(struct ring *ring, void **items, size_t max, uint64_t timeout_ns);
void __wrap_log_write(struct log_site *site, enum log_level level, const char *component,
                      const char *message, const char *fmt, ...) PRINTF_LIKE(5, 6);

void __wrap_random_bytes(void *out, size_t len)
{
    uint8_t *at = out;
    static uint64_t before_any_world = 1;
    uint64_t *state = world_now == NULL ? &before_any_world : &world_now->random;

    for (size_t i = 0; i < len; i++) {
        at[i] = (uint8_t)random_next(state);
    }
}

/* Nobody else runs, so a wait is time that passes. A disk that fails is well again some day. */
size_t __wrap_ring_pop_wait(struct ring *ring, void **items, size_t max, uint64_t timeout_ns)
{
    struct world *world = world_now;

    if (world != NULL && timeout_ns > 0 && ring_count(ring) == 0 && !ring_is_closed(ring)) {
        world->monotonic_ns += timeout_ns;
        if (++world->sleeps % 20 == 0 || world->dead) {
            world_heal_disk(world);
        }
        if (world->sleeps > SLEEPS_MAX) {
            world_fail(world, "a turn does not end");
        }
    }
    return __real_ring_pop_wait(ring, items, max, 0);
}

/* What the gateway says is one more event. */
void __wrap_log_write(struct log_site *site, enum log_level level, const char *component,
                      const char *message, const char *fmt, ...)
{
    char text[EVENT_BYTES];
    va_list args;

    (void)site;
    (void)level;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (world_now != NULL) {
        world_note(world_now, "%s: %s %s", component, message, text);
        world_now->blind = world_now->blind || strstr(message, "cannot be read") != NULL;
    }
}

static uint64_t tell_monotonic(const struct clock *clock)
{
    return ((const struct world *)(const void *)clock)->monotonic_ns;
}

static uint64_t tell_wall(const struct clock *clock)
{
    const struct world *world = (const struct world *)(const void *)clock;
    int64_t wall_ns = (int64_t)world->monotonic_ns + world->wall_offset_ns;
    return wall_ns > 0 ? (uint64_t)wall_ns : 0;
}

uint64_t world_random(struct world *world, uint64_t below)
{
    return random_next(&world->random) % below;
}

/* --- telling --- */

void world_note(struct world *world, const char *fmt, ...)
{
    char *line = world->events[world->event_count++ % EVENTS_KEPT];
    va_list args;

    int n = snprintf(line, EVENT_BYTES,
                     "%5llu life %u ops %llu t %llu.%03llu: ", (unsigned long long)world->step,
                     world->life, (unsigned long long)world->operations,
                     (unsigned long long)(world->monotonic_ns / NS_PER_S),
                     (unsigned long long)(world->monotonic_ns % NS_PER_S / NS_PER_MS));
    va_start(args, fmt);
    (void)vsnprintf(line + n, EVENT_BYTES - (size_t)n, fmt, args);
    va_end(args);
    if (world->verbose) {
        (void)fprintf(stderr, "%s\n", line);
    }
}

void world_fail(struct world *world, const char *fmt, ...)
{
    va_list args;
    size_t first = world->event_count > EVENTS_KEPT ? world->event_count - EVENTS_KEPT : 0;

    for (size_t i = first; i < world->event_count && !world->verbose; i++) {
        (void)fprintf(stderr, "%s\n", world->events[i % EVENTS_KEPT]);
    }
    (void)fprintf(stderr, "sim: BROKEN: ");
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fprintf(stderr, "\n");
    abort(); /* the handler in sim.c says how to see it again */
}

/* --- the disk --- */

static void on_operation(void *ctx, enum fs_op op)
{
    struct world *world = ctx;

    (void)op;
    if (world->looking || world->dead) {
        return;
    }
    world->operations++;
    if (world->operations == world->dies_at) {
        world_die(world, world->death);
    }
}

void world_heal_disk(struct world *world)
{
    if (world->dead) {
        return;
    }
    fs_fault_clear(&world->disk);
    if (world->mem != NULL) {
        fs_mem_set_space(world->mem, UINT64_MAX);
    }
    world->disk_is_full = false;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void world_init(struct world *world, uint64_t seed, const struct world_setup *setup)
{
    static const struct {
        bool logs, accepted;
        unsigned receivers;
    } kinds[SIM_DESTINATIONS] = {
        {false, false, 3}, {false, false, 2}, {false, true, 1}, {true, true, 1}};

    *world = (struct world){.seed = seed, .random = seed, .setup = *setup};
    world_now = world;
    world->clock = (struct clock){tell_monotonic, tell_wall};
    world->monotonic_ns = 1000 * NS_PER_S;
    world->wall_offset_ns = (int64_t)WALL_AT_START_NS;
    if (setup->with_index) {
        (void)snprintf(world->folder, sizeof(world->folder), "%s/spangate-sim-XXXXXX",
                       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        if (mkdtemp(world->folder) == NULL) {
            world_fail(world, "no folder %s", world->folder);
        }
        fs_fault_init(&world->disk, &fs_posix);
    } else {
        (void)snprintf(world->folder, sizeof(world->folder), "/data");
        world->mem = fs_mem_new();
        fs_fault_init(&world->disk, fs_mem_fs(world->mem));
    }
    world->disk.hook = on_operation;
    world->disk.hook_ctx = world;
    budget_init(&world->budget, BUDGET_BYTES, NULL);
    ledger_init(&world->ledger);
    for (unsigned i = 0; i < SIM_DESTINATIONS; i++) {
        world->destinations[i] = (struct destination){.world = world,
                                                      .number = i,
                                                      .logs = kinds[i].logs,
                                                      .accepted = kinds[i].accepted,
                                                      .receivers = kinds[i].receivers,
                                                      .takes_max = SIZE_MAX};
    }
}

void world_deinit(struct world *world)
{
    ledger_deinit(&world->ledger);
    fs_fault_deinit(&world->disk);
    if (world->mem != NULL) {
        fs_mem_free(world->mem);
    } else {
        (void)nftw(world->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    world_now = NULL;
}

#define PICK(random, ...)                                                                          \
    (((const uint64_t[]){                                                                          \
        __VA_ARGS__})[random_next(random) % (sizeof((const uint64_t[]){__VA_ARGS__}) / 8)])

void world_draw_setup(uint64_t seed, struct world_setup *setup)
{
    uint64_t random = seed ^ UINT64_C(0x5e7095e7095e7095);

    *setup = (struct world_setup){.with_index = seed % 8 == 7};
    setup->holding = random_next(&random) % 2 == 0;
    setup->durability = random_next(&random) % 8 == 0 ? DURABILITY_INTERVAL : DURABILITY_SYNC;
    setup->wal_segment_bytes = PICK(&random, 4096, 8192, 32768);
    setup->wal_total_bytes = PICK(&random, 0, 65536, 262144, 1 << 20);
    setup->disk_bytes_max = setup->holding ? 0 : PICK(&random, 0, 0, 40000, 400000);
    setup->retention_ns = PICK(&random, 0, 0, 0, 7200) * NS_PER_S;
    setup->partition_ns = PICK(&random, 60, 3600) * NS_PER_S;
    setup->block_bytes = (size_t)PICK(&random, 1, 3000, 30000);
    setup->cache_bytes = (size_t)PICK(&random, 0, 50000, 4 << 20);
    setup->max_spans = PICK(&random, 5, 40, 1000);
    setup->memory_bytes_max = PICK(&random, 40000, 400000, 8 << 20);
    setup->max_age_ns = PICK(&random, 20, 900) * NS_PER_S;
    setup->finish_on_shutdown = random_next(&random) % 2 == 0;
    setup->destinations = (unsigned)PICK(&random, 0, 1, 3, 15, 15, 15, 12, 5);
    for (size_t i = 0; i < SIM_DESTINATIONS; i++) {
        setup->items_max[i] = (size_t)PICK(&random, 1, 5, 20, 200);
    }
}

bool world_may_drop(const struct world *world)
{
    return !world->setup.holding && (!world->setup.with_index || world->setup.disk_bytes_max > 0);
}

/* --- destinations --- */

struct sink {
    struct destination *destination;
};

bool world_is_poisonous(const struct world *world, size_t trace)
{
    return (trace + world->seed) % 29 == 0;
}

bool destination_wants(const struct destination *destination, enum otlp_signal signal,
                       unsigned receivers)
{
    return destination->logs == (signal == OTLP_LOGS) && (destination->receivers & receivers) != 0;
}

static bool destination_open(struct sink **out, const void *settings, struct error *err)
{
    struct sink *sink = mem_alloc(sizeof(*sink));
    (void)err;
    sink->destination = (struct destination *)(uintptr_t)settings;
    *out = sink;
    return true;
}

static enum sink_encoding destination_encoding(const struct sink *sink)
{
    (void)sink;
    return SINK_PROTOBUF;
}

static void destination_interrupt(struct sink *sink)
{
    (void)sink;
}

static void destination_close(struct sink *sink)
{
    free(sink);
}

static void note_span(struct destination *to, struct sim_span *span)
{
    struct world *world = to->world;
    struct sim_delivery *delivery = &span->delivered[to->number];

    if (delivery->life == world->life) {
        delivery->in_life++;
    } else {
        to->repeated += delivery->total > 0 && !span->may_repeat;
        delivery->life = world->life;
        delivery->in_life = 1;
    }
    delivery->total++;
    if (delivery->in_life > 1 && !span->may_repeat && !to->accepted && !world->blind) {
        world_fail(world, "destination %u got a span of trace %zu twice in one life", to->number,
                   span->trace);
    }
}

/* What was sent, in the bytes it was sent, or nothing. */
static size_t note_traces(struct destination *to, const struct sink_batch *batch, bool taken,
                          bool *poisonous)
{
    struct world *world = to->world;
    struct span_batch *spans = NULL;
    struct error err;

    if (!otlp_decode_traces(buf_copy(batch->body, NULL), 0, &otlp_limits_default, &spans, &err)) {
        world_fail(world, "destination %u cannot read a batch: %s", to->number, err.message);
    }
    size_t count = spans->span_count;
    for (size_t i = 0; i < count; i++) {
        const struct span *span = &spans->spans[i];
        struct sim_span *sent = ledger_find(&world->ledger, span->raw);
        if (sent == NULL) {
            world_fail(world, "destination %u got a span that nobody sent", to->number);
        }
        struct slice service = spans->resources[spans->scopes[span->scope].resource].service;
        if (!slice_equal_text(service, ledger_service(sent->service))) {
            world_fail(world, "destination %u got a span of another service", to->number);
        }
        *poisonous = *poisonous || world_is_poisonous(world, sent->trace);
        if (taken) {
            note_span(to, sent);
        }
    }
    if (spans->rejected_count > 0) {
        world_fail(world, "destination %u got a span that was refused", to->number);
    }
    span_batch_unref(spans);
    return count;
}

static size_t note_logs(struct destination *to, const struct sink_batch *batch, bool taken)
{
    struct world *world = to->world;
    size_t at = 0, number = 0, count = 0;

    while (ledger_next_log(batch->body, &at, &number)) {
        count++;
        if (number >= world->ledger.request_count ||
            world->ledger.requests[number]->signal != OTLP_LOGS) {
            world_fail(world, "destination %u got a record that nobody sent", to->number);
        }
        struct sim_request *request = world->ledger.requests[number];
        if (taken) {
            request->delivered_in_life =
                request->delivered_life == world->life ? request->delivered_in_life + 1 : 1;
            request->delivered_life = world->life;
            request->delivered_total++;
        }
    }
    return count;
}

static void destination_deliver(struct sink *sink, const struct sink_batch *batch,
                                struct sink_outcome *out)
{
    struct destination *to = sink->destination;
    struct world *world = to->world;
    bool poisonous = false;

    *out = (struct sink_outcome){.verdict = SINK_RETRY};
    (void)error_set(&out->err, ERR_UNAVAILABLE, "not now");
    if (world->dead) {
        return;
    }
    if (batch->item_count > to->takes_max && batch->item_count > 1) {
        out->verdict = SINK_TOO_LARGE;
        (void)error_set(&out->err, ERR_TOO_LARGE, "too much at once");
    } else if (to->mood == MOOD_DOWN || (to->mood == MOOD_FLAKY && world_random(world, 2) == 0)) {
        out->retry_after_ms = world_random(world, 4) == 0 ? 60000 : 0;
    } else {
        out->verdict = SINK_DELIVERED;
        if (!to->logs) {
            (void)note_traces(to, batch, false, &poisonous);
        }
        if (poisonous && to->picky) {
            out->verdict = SINK_REJECTED;
            (void)error_set(&out->err, ERR_INVALID, "not that");
        }
    }
    bool taken = out->verdict == SINK_DELIVERED;
    size_t count =
        to->logs ? note_logs(to, batch, taken) : note_traces(to, batch, taken, &poisonous);
    if (count != batch->item_count) {
        world_fail(world, "destination %u got %zu items, and was told %zu", to->number, count,
                   batch->item_count);
    }
    if (taken) {
        world->deliveries++;
        out->rejected = world_random(world, 10) == 0 ? 1 : 0;
    }
    world_note(world, "destination %u: %zu items, %s", to->number, count,
               taken                            ? "taken"
               : out->verdict == SINK_RETRY     ? "retry"
               : out->verdict == SINK_TOO_LARGE ? "too large"
                                                : "rejected");
}

static const struct sink_driver destination_driver = {
    .type = "sim",
    .open = destination_open,
    .encoding = destination_encoding,
    .deliver = destination_deliver,
    .interrupt = destination_interrupt,
    .close = destination_close,
};

static const char *const destination_names[SIM_DESTINATIONS] = {"all", "second", "accepted",
                                                                "logs"};

/* The same order as in the daemon: what the destination still needs is announced before replay. */
static bool start_destination(struct world *world, struct destination *to, struct error *err)
{
    static const char *const traces[] = {"traces", "traces/2"};
    static const char *const logs[] = {"logs"};
    const char *name = destination_names[to->number];
    const char *const *ids = to->logs ? logs : to->receivers == 2 ? &traces[1] : traces;
    size_t id_count = to->receivers == 3 ? 2 : 1;
    char path[128];
    struct sink_cursor at = {0};
    struct error none = {0};

    (void)snprintf(path, sizeof(path), "%s/cursors/%s", world->folder, name);
    bool known = sink_cursor_read(&world->disk.fs, path, &at, &none) || none.code == ERR_CORRUPT;
    struct sink_runner_config config = {
        .name = name,
        .driver = &destination_driver,
        .settings = to,
        .cursor_path = path,
        .retry = {.enabled = true,
                  .initial_interval_ns = NS_PER_S,
                  .randomization_factor = 0.5,
                  .multiplier = 1.5,
                  .max_interval_ns = 30 * NS_PER_S},
        .items_min = 1,
        .items_max = world->setup.items_max[to->number],
        .bytes_max = 20000,
    };
    bool ok;
    if (to->accepted) {
        config.start = pipeline_record_end(world->pipeline);
        ok = pipeline_record_source(world->pipeline, name, to->logs ? OTLP_LOGS : OTLP_TRACES, ids,
                                    id_count, known ? at.seq : config.start.seq, &config.source,
                                    err);
    } else {
        config.start = pipeline_trace_end(world->pipeline);
        ok = pipeline_trace_source(world->pipeline, name, ids, id_count, &config.source, err);
    }
    if (ok) {
        config.source.release(config.source.ctx, known ? &at : &config.start);
        ok = sink_runner_open(&to->runner, &config, &world->disk.fs, &world->clock, err);
    }
    to->ended = false;
    return ok;
}

bool world_turn_destination(struct world *world, struct destination *destination)
{
    struct sink_status before, after;
    size_t deliveries = world->deliveries;

    if (destination->runner == NULL || destination->ended) {
        return false;
    }
    sink_runner_status(destination->runner, &before);
    destination->ended = !sink_runner_turn(destination->runner, 0);
    sink_runner_status(destination->runner, &after);
    if (memcmp(&before.cursor, &after.cursor, sizeof(before.cursor)) != 0) {
        world_note(world, "destination %u: cursor %llu/%u/%u", destination->number,
                   (unsigned long long)after.cursor.seq, after.cursor.trace, after.cursor.span);
    }
    return deliveries != world->deliveries ||
           memcmp(&before.cursor, &after.cursor, sizeof(before.cursor)) != 0;
}

/* --- lives --- */

static void close_destinations(struct world *world, bool save)
{
    for (size_t i = 0; i < SIM_DESTINATIONS; i++) {
        if (world->destinations[i].runner != NULL) {
            sink_runner_close(world->destinations[i].runner, save);
            world->destinations[i].runner = NULL;
        }
    }
}

static bool open_pipeline(struct world *world, struct error *err)
{
    static const struct pipeline_route routes[] = {
        {"traces", OTLP_TRACES, 1}, {"traces/2", OTLP_TRACES, 2}, {"logs", OTLP_LOGS, 3}};
    static const char *const receivers[SIM_RECEIVERS] = {"otlp", "otlp/2"};
    const struct world_setup *setup = &world->setup;
    char wal_dir[80];
    char blocks_dir[80];

    (void)snprintf(wal_dir, sizeof(wal_dir), "%s/wal", world->folder);
    (void)snprintf(blocks_dir, sizeof(blocks_dir), "%s/blocks", world->folder);
    struct pipeline_config config = {
        .data_dir = world->folder,
        .wal = {.dir = wal_dir,
                .durability = setup->durability,
                .interval_ns = INTERVAL_NS,
                .segment_bytes = setup->wal_segment_bytes,
                .total_bytes_max = setup->wal_total_bytes},
        .blocks = {.dir = blocks_dir,
                   .persist = true,
                   .partition_ns = setup->partition_ns,
                   .retention_ns = setup->retention_ns,
                   .disk_bytes_max = setup->disk_bytes_max,
                   .cache_bytes_max = setup->cache_bytes,
                   .zstd_level = 1,
                   .keep_only_for_sinks = !setup->with_index},
        .traces = {.settle_ns = NS_PER_S,
                   .idle_ns = 30 * NS_PER_S,
                   .max_age_ns = setup->max_age_ns,
                   .max_spans = setup->max_spans,
                   .memory_bytes_max = setup->memory_bytes_max,
                   .remembered_max = 100000},
        .limits = otlp_limits_default,
        .routes = routes,
        .route_count = COUNT_OF(routes),
        .receiver_names = receivers,
        .receiver_count = COUNT_OF(receivers),
        .block_bytes = setup->block_bytes,
        .block_age_ns = NS_PER_S,
        .finish_on_shutdown = setup->finish_on_shutdown,
    };
    if (!pipeline_open(&world->pipeline, &config, &world->disk.fs, &world->clock, &world->budget,
                       err)) {
        world->pipeline = NULL;
        return false;
    }
    if (setup->holding) {
        trace_log_set_cursor(world->pipeline->log, "archive", 0);
    }
    return true;
}

/*
 * What a destination may get twice: the batch that was in flight at a death, and anything after a
 * disk that did not take its cursor.
 */
static void settle_repeats(struct world *world, struct destination *to)
{
    if (world->troubled || to->may_repeat == SIZE_MAX) {
        to->may_repeat = SIZE_MAX;
    } else {
        to->may_repeat -= to->repeated < to->may_repeat ? to->repeated : to->may_repeat;
        to->may_repeat += world->dead ? world->setup.items_max[to->number] : 0;
    }
    to->repeated = 0;
}

/* Everything of the process goes; the disk stays. */
static void clear_process(struct world *world, bool save)
{
    for (size_t i = 0; i < SIM_DESTINATIONS; i++) {
        settle_repeats(world, &world->destinations[i]);
    }
    close_destinations(world, save);
    if (world->pipeline != NULL) {
        pipeline_close(world->pipeline);
        world->pipeline = NULL;
    }
    for (size_t i = 0; i < world->ledger.request_count; i++) {
        struct sim_request *request = world->ledger.requests[i];
        if (request->state == REQUEST_WAITING) {
            request->state = REQUEST_UNACKED; /* the connection is gone */
        }
    }
    if (budget_used(&world->budget) != 0) {
        world_fail(world, "%zu bytes are charged although the process has ended",
                   budget_used(&world->budget));
    }
    if (world->mem != NULL && fs_mem_open_count(world->mem) != 0) {
        world_fail(world, "%zu files are open although the process has ended",
                   fs_mem_open_count(world->mem));
    }
}

/*
 * Sent more than once, so perhaps in the ingest log more than once. Within a life that does not
 * matter. After a start only so many blocks are remembered, and without an index only blocks are
 * looked at that may share spans with the ingest log: then a repetition may be stored, too.
 */
static void judge_repetition(const struct world *world, struct sim_span *span, uint64_t end)
{
    bool forgotten =
        span->first_life != world->life && (!world->setup.with_index || end - span->first_seq > 32);

    if (span->sent > 1 && (forgotten || world_may_drop(world) || world->setup.retention_ns > 0)) {
        span->may_repeat = true;
    }
}

bool world_start(struct world *world)
{
    struct error err = {0};

    world->life++;
    world->before_troubled = world->troubled;
    world->troubled = world->disk.times > 0 || world->disk_is_full;
    world->sleeps = 0;
    world->accepted = metric_value(METRIC_SPANS_ACCEPTED);
    world->replayed = metric_value(METRIC_WAL_REPLAYED_SPANS);
    world->stored = metric_value(METRIC_SPANS_STORED);
    world->duplicates = metric_value(METRIC_SPANS_DUPLICATE);
    world_note(world, "start%s%s", world->setup.durability == DURABILITY_SYNC ? "" : ", interval",
               world->setup.with_index ? ", index" : "");
    char cursors[80];
    (void)snprintf(cursors, sizeof(cursors), "%s/cursors", world->folder);
    bool ok = open_pipeline(world, &err) && fs_make_dirs(&world->disk.fs, cursors, &err);
    for (size_t i = 0; ok && i < world->ledger.span_count; i++) {
        judge_repetition(world, world->ledger.spans[i], trace_log_end(world->pipeline->log));
    }
    for (unsigned i = 0; ok && i < SIM_DESTINATIONS; i++) {
        if ((world->setup.destinations >> i & 1) != 0) {
            ok = start_destination(world, &world->destinations[i], &err);
        }
    }
    ok = ok && pipeline_begin(world->pipeline, &err);
    if (world->dead) {
        return false; /* to be buried */
    }
    if (!ok) {
        world_note(world, "start failed: %s", err.message);
        if (world->disk.fired == 0 && !world->disk_is_full) {
            world_fail(world, "the process does not start: %s", err.message);
        }
        world->starts_failed++;
        world->troubled = true;
        clear_process(world, false);
    }
    return ok;
}

void world_stop(struct world *world)
{
    struct pipeline *p = world->pipeline;

    world_note(world, "stop");
    atomic_store(&p->stats.state, PIPELINE_DRAINING);
    ring_close(&p->to_log);
    ring_close(&p->pause);
    while (world_commit(world)) {
        while (pipeline_correlate(p, 0)) {
        }
    }
    ring_close(&p->to_trace);
    while (pipeline_correlate(p, 0)) {
    }
    if (p->config.finish_on_shutdown) {
        correlator_finish_all(p->trace.correlator, TRACE_SHUTDOWN);
    }
    for (size_t rounds = 0; pipeline_wind_up(p); rounds++) {
        (void)pipeline_store(p, 0);
        if (rounds > 10000) {
            world_fail(world, "the trace thread does not come to its end");
        }
    }
    ring_close(&p->to_store);
    while (pipeline_store(p, 0)) {
    }
    if (world->dead) {
        return;
    }
    for (size_t i = 0; i < world->ledger.request_count; i++) {
        if (world->ledger.requests[i]->state == REQUEST_WAITING) {
            world_fail(world, "request %zu got no answer", i);
        }
    }
    clear_process(world, true);
    if (world->dead) {
        world_bury(world);
    }
}

/*
 * `durability: interval` says what a power cut may cost: what was acknowledged since a sync that
 * was due at the latest turn of the log thread.
 */
static void forgive_interval(struct world *world)
{
    uint64_t since_ns = world->committed_ns - INTERVAL_NS;

    for (size_t i = 0; i < world->ledger.span_count; i++) {
        struct sim_span *span = world->ledger.spans[i];
        span->acked = span->acked && span->acked_ns <= since_ns;
    }
    for (size_t i = 0; i < world->ledger.request_count; i++) {
        struct sim_request *request = world->ledger.requests[i];
        request->may_be_lost = request->may_be_lost || request->acked_ns > since_ns;
    }
}

void world_die(struct world *world, enum death death)
{
    if (death == DEATH_POWER_CUT && world->setup.durability == DURABILITY_INTERVAL) {
        if (world->troubled) {
            death = DEATH_KILL; /* nothing is promised for a disk that failed to sync */
        } else {
            forgive_interval(world);
        }
    }
    world->dies_at = 0;
    world->deaths++;
    world_note(world, "%s", death == DEATH_KILL ? "KILLED" : "POWER CUT");
    if (world->mem == NULL) {
        fs_fault_plan(&world->disk, FS_OP_ANY, 1, UINT64_MAX, FS_FAULT_FAIL, EIO);
    } else if (death == DEATH_KILL) {
        fs_mem_kill(world->mem);
    } else {
        fs_mem_crash(world->mem, random_next(&world->random));
    }
    world->dead = true;
}

void world_bury(struct world *world)
{
    clear_process(world, false);
    if (world->mem != NULL) {
        fs_mem_restart(world->mem);
    } else {
        fs_fault_clear(&world->disk);
    }
    world->dead = false;
    for (size_t i = 0; i < SIM_DESTINATIONS; i++) {
        world->destinations[i].ended = false;
    }
}

/* --- clients --- */

static void on_reply(void *ctx, const struct ingest_result *result)
{
    struct sim_request *request = ctx;
    struct world *world = world_now;

    if (world->dead) {
        return; /* nobody hears it */
    }
    request->answers++;
    world_note(world, "request %zu: %s%s, last lsn %llu", request->number,
               result->err.code == ERR_NONE ? "ok" : "refused: ",
               result->err.code == ERR_NONE ? "" : result->err.message,
               (unsigned long long)wal_last(world->pipeline->wal));
    if (request->answers > 1 || request->state != REQUEST_WAITING) {
        world_fail(world, "request %zu was answered %u times", request->number, request->answers);
    }
    if (result->err.code == ERR_LIMIT || result->err.code == ERR_UNAVAILABLE) {
        request->state = REQUEST_UNACKED;
        return;
    }
    if (result->err.code != ERR_NONE) {
        world_fail(world, "request %zu was refused for good: %s", request->number,
                   result->err.message);
    }
    if (result->rejected != request->invalid) {
        world_fail(world, "request %zu: %llu spans were rejected, and %zu are bad", request->number,
                   (unsigned long long)result->rejected, request->invalid);
    }
    request->state = REQUEST_ACKED;
    request->acked_ns = world->monotonic_ns;
    request->may_be_lost = false;
    world->acked++;
    for (size_t i = 0; i < request->span_count; i++) {
        struct sim_span *span = world->ledger.spans[request->spans[i]];
        span->acked_ns = span->acked ? span->acked_ns : world->monotonic_ns;
        span->acked = true;
    }
}

static void note_sending(struct world *world, struct sim_span *span)
{
    uint64_t end = trace_log_end(world->pipeline->log);

    if (span->sent++ == 0) {
        span->first_life = world->life;
        span->first_ns = world->monotonic_ns;
        span->first_seq = end;
    }
    judge_repetition(world, span, end);
}

void world_send(struct world *world, struct sim_request *request)
{
    struct strbuf body;
    struct ingest ingest = pipeline_ingest(world->pipeline);

    strbuf_init(&body, 1 << 24);
    ledger_body(&world->ledger, request, &body);
    struct buf *copy = buf_copy(strbuf_slice(&body), &world->budget);
    strbuf_deinit(&body);
    if (copy == NULL) {
        world_note(world, "request %zu: no memory for its body", request->number);
        return; /* the receiver says "retry later" */
    }
    for (size_t i = 0; i < request->span_count; i++) {
        world->ledger.spans[request->spans[i]]->request = request->number;
        note_sending(world, world->ledger.spans[request->spans[i]]);
    }
    request->state = REQUEST_WAITING;
    request->answers = 0;
    world_note(world, "request %zu is sent: %zu spans, %zu bytes", request->number,
               request->span_count, copy->len);
    struct ingest_request sent = {.signal = request->signal,
                                  .body = copy,
                                  .transport = "http",
                                  .receiver = request->receiver,
                                  .reply = on_reply,
                                  .reply_ctx = request};
    ingest.submit(ingest.ctx, &sent);
}

bool world_commit(struct world *world)
{
    uint64_t now_ns = world->monotonic_ns;
    bool busy = pipeline_commit(world->pipeline, 0);

    if (!world->dead) {
        world->committed_ns = now_ns;
    }
    return busy;
}

void world_turn_all(struct world *world)
{
    struct pipeline *p = world->pipeline;
    bool busy = true;

    for (size_t rounds = 0; busy && !world->dead; rounds++) {
        busy = world_commit(world);
        busy = pipeline_correlate(p, 0) || busy;
        busy = pipeline_store(p, 0) || busy;
        for (size_t i = 0; i < SIM_DESTINATIONS; i++) {
            busy = world_turn_destination(world, &world->destinations[i]) || busy;
        }
        if (rounds > 10000) {
            world_fail(world, "the turns do not come to an end");
        }
    }
}
