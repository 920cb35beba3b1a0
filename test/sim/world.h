/*
 * world.h - everything around the gateway: time, disk, clients, destinations, and its lives.
 *
 * One thread. All chance comes from one seed. The gateway is the real one, from decoding to the
 * cursors of the destinations; only threads, sockets and the disk are replaced: turns are taken by
 * hand, requests are submitted directly, and the disk is fs_mem behind fs_fault (or, with an index,
 * a folder behind fs_fault, because SQLite wants files).
 *
 * The process can die inside any file operation: from then on each one fails, nothing that it says
 * is heard, and the schedule buries it before it goes on (world_bury()).
 */
#ifndef SPANGATE_SIM_WORLD_H
#define SPANGATE_SIM_WORLD_H

#include "fs_fault.h"
#include "fs_mem.h"
#include "ledger.h"
#include "pipeline_private.h"

#include <spangate/base/compiler.h>

enum { EVENTS_KEPT = 64, EVENT_BYTES = 160 };

enum death { DEATH_KILL, DEATH_POWER_CUT };

/* How a simulated process is configured; drawn from the seed. */
struct world_setup {
    bool with_index; /* and so on a real folder */
    bool holding;    /* an archive that never takes anything: no block is dropped */
    enum durability durability;
    uint64_t wal_segment_bytes, wal_total_bytes;
    uint64_t disk_bytes_max;
    uint64_t retention_ns;
    uint64_t partition_ns;
    size_t block_bytes, cache_bytes;
    uint64_t max_spans, memory_bytes_max, max_age_ns;
    bool finish_on_shutdown;
    unsigned destinations; /* bit i: it exists */
    size_t items_max[SIM_DESTINATIONS];
};

enum mood { MOOD_WELL, MOOD_FLAKY, MOOD_DOWN };

struct destination {
    struct world *world;
    unsigned number;
    bool logs;
    bool accepted;      /* reads the ingest log */
    unsigned receivers; /* bit i: is fed by receiver i */
    struct sink_runner *runner;
    bool ended; /* its last turn said that it is done */
    enum mood mood;
    size_t takes_max;  /* items; more is too large */
    bool picky;        /* rejects a batch with a poisonous trace in it */
    size_t repeated;   /* spans delivered again in this life that an earlier one had delivered */
    size_t may_repeat; /* so many: what was in flight when earlier lives ended */
};

struct world {
    struct clock clock; /* first: the gateway has a pointer to it */
    uint64_t monotonic_ns;
    int64_t wall_offset_ns;

    uint64_t seed;
    uint64_t random;
    struct world_setup setup;
    struct fs_mem *mem; /* NULL with_index */
    struct fs_fault disk;
    char folder[64];
    struct budget budget;
    struct ledger ledger;

    struct pipeline *pipeline; /* NULL: the process is not running */
    struct destination destinations[SIM_DESTINATIONS];
    unsigned life; /* of the process, from 1 */
    bool troubled; /* in this life the disk failed */
    bool before_troubled;
    bool disk_is_full;
    bool blind;   /* blocks could not be read when it was asked what they hold: spans may repeat */
    bool looking; /* the oracle reads: no fault, no death, no count */

    uint64_t operations; /* on files */
    uint64_t dies_at;    /* within this one; 0: not */
    enum death death;
    bool dead;
    size_t deaths, starts_failed;

    uint64_t accepted, replayed, stored, duplicates; /* counters at the start of this life */
    uint64_t committed_ns; /* monotonic: the latest turn of the log thread */
    uint64_t jumped_ns;    /* monotonic: when the wall clock was set first; 0: never */
    uint64_t sleeps;       /* in a row, without a step of the schedule */
    size_t acked, deliveries, checks;

    bool verbose;
    char events[EVENTS_KEPT][EVENT_BYTES];
    size_t event_count;
    uint64_t step;
};

/* A world with nobody in it. */
void world_init(struct world *world, uint64_t seed, const struct world_setup *setup);
void world_deinit(struct world *world);
void world_draw_setup(uint64_t seed, struct world_setup *setup);

uint64_t world_random(struct world *world, uint64_t below);

/* Note what happens; printed when something goes wrong. */
void world_note(struct world *world, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A promise was broken: print the seed and the latest events, end the program. */
_Noreturn void world_fail(struct world *world, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Start the process. false: it could not, the disk failed; or it died on the way. */
bool world_start(struct world *world);
/* Drain and close, as at SIGTERM. */
void world_stop(struct world *world);
/* The process dies now. */
void world_die(struct world *world, enum death death);
/* Clear away a process that died; what its clients wait for is unanswered for good. */
void world_bury(struct world *world);

/* A client sends the request, or sends it once more. */
void world_send(struct world *world, struct sim_request *request);

/* One turn of the log thread. */
bool world_commit(struct world *world);

/* One turn of a destination; false: nothing to do. */
bool world_turn_destination(struct world *world, struct destination *destination);

/* All turns until nobody has anything to do at this moment. */
void world_turn_all(struct world *world);

void world_heal_disk(struct world *world);
bool world_is_poisonous(const struct world *world, size_t trace);
/* Whether the destination is to get what receiver's clients send. */
bool destination_wants(const struct destination *destination, enum otlp_signal signal,
                       unsigned receivers);

/* Whether blocks that every destination has taken may be dropped. */
bool world_may_drop(const struct world *world);

/* The world whose turn it is: for what has no context of its own. */
extern struct world *world_now;

#endif
