/*
 * wal_support.h - an ingest log on a simulated disk, for the tests of this folder.
 *
 * Payloads follow from a key, so that a record read back says by itself which one it is.
 */
#ifndef SPANGATE_TEST_UNIT_WAL_SUPPORT_H
#define SPANGATE_TEST_UNIT_WAL_SUPPORT_H

#include <unit.h>

#include <fs_fault.h>
#include <fs_mem.h>
#include <spangate/wal/wal.h>

/* A record as replay handed it out. */
struct seen {
    uint64_t lsn;
    uint64_t key; /* 0: the payload is none of ours, or not whole */
    enum otlp_signal signal;
    uint32_t route;
    uint64_t received_ns;
    size_t len;
};

struct test_clock {
    struct clock clock; /* first */
    uint64_t monotonic;
};

struct rig {
    struct fs_mem *mem;
    struct fs_fault fault; /* over mem; without a plan it does nothing */
    struct test_clock clock;
    struct wal_config config;
    struct wal *wal;
    struct wal_recovery report;
    struct seen *seen; /* of the last replay */
    size_t seen_count;
};

#define RIG_DIR "/data/wal"

/* segment_bytes 4096, no limit, DURABILITY_SYNC. */
void rig_init(struct rig *rig);
void rig_deinit(struct rig *rig); /* closes the log; fails the test on open descriptors */

bool rig_try_open(struct rig *rig,
                  struct error *err); /* open and replay; closed again on failure */
void rig_open(struct rig *rig);
void rig_close(struct rig *rig);
void rig_reopen(struct rig *rig);

/* len bytes that follow from key (which is not 0); len is at least 16. */
uint8_t *payload_make(uint64_t key, size_t len);
uint64_t payload_key(struct slice payload);

/* Append a record of that key; its lsn, or 0 and *err. */
uint64_t rig_try_append(struct rig *rig, uint64_t key, size_t len, struct error *err);
uint64_t rig_append(struct rig *rig, uint64_t key, size_t len);
void rig_sync(struct rig *rig);
uint64_t rig_put(struct rig *rig, uint64_t key, size_t len); /* append and sync */
void rig_release(struct rig *rig, uint64_t lsn);

/* Replay saw exactly these keys, in this order; 0 ends the list. */
void assert_seen(const struct rig *rig, const uint64_t *keys);
#define ASSERT_SEEN(rig, ...) assert_seen(rig, (const uint64_t[]){__VA_ARGS__, 0})

/* The path of the nth .seg file (0 is the oldest), or of none: false. */
bool rig_segment(struct rig *rig, size_t n, char path[64]);
size_t rig_file_count(struct rig *rig, const char *folder, const char *suffix);

/* Change the byte at offset by xor. */
void rig_flip(struct rig *rig, const char *path, size_t offset, uint8_t mask);

#endif
