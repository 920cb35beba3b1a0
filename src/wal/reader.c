/*
 * reader.c - following the durable records, from the files, with large reads.
 *
 * A reader pins segments by `released`: one whose last lsn is not below it is not retired, also not
 * after the reader was closed, because destinations are closed before the log is. Only the search
 * for the segment takes the lock; reading does not.
 */
#include "log.h"

#include <fcntl.h>
#include <spangate/base/mem.h>
#include <stdlib.h>
#include <time.h>

enum { CHUNK_BYTES = 256 * 1024 };

struct wal_reader *wal_reader_open(struct wal *wal, uint64_t from_lsn)
{
    struct wal_reader *reader = mem_zalloc(1, sizeof(*reader));

    reader->wal = wal;
    reader->fd = -1;
    reader->released = from_lsn > 0 ? from_lsn : 1;
    (void)pthread_mutex_lock(&wal->shared.lock);
    reader->next = wal->shared.readers;
    wal->shared.readers = reader;
    wal_gauge(wal);
    (void)pthread_mutex_unlock(&wal->shared.lock);
    return reader;
}

static void stop_scan(struct wal_reader *reader)
{
    scan_deinit(&reader->scan);
    fs_close(reader->wal->fs, reader->fd);
    reader->fd = -1;
}

static void moved_on(struct wal *wal)
{
    if (wal->config.durability == DURABILITY_MEMORY) {
        memory_trim(wal);
    } else {
        wal_gauge(wal);
    }
}

void wal_reader_close(struct wal_reader *reader)
{
    struct wal *wal = reader->wal;
    struct wal_reader **at = &wal->shared.readers;

    stop_scan(reader);
    (void)pthread_mutex_lock(&wal->shared.lock);
    while (*at != reader) {
        at = &(*at)->next;
    }
    *at = reader->next;
    if (wal->config.durability != DURABILITY_MEMORY &&
        reader->released < wal->shared.closed_least) {
        wal->shared.closed_least = reader->released; /* it goes on there in the next life */
    }
    moved_on(wal);
    (void)pthread_mutex_unlock(&wal->shared.lock);
    wal_retire(wal);
    free(reader);
}

void wal_reader_release(struct wal_reader *reader, uint64_t lsn)
{
    struct wal *wal = reader->wal;

    (void)pthread_mutex_lock(&wal->shared.lock);
    if (lsn > reader->released) {
        reader->released = lsn;
        moved_on(wal);
    }
    (void)pthread_mutex_unlock(&wal->shared.lock);
    wal_retire(wal);
}

void wal_reader_wake(struct wal_reader *reader)
{
    (void)pthread_mutex_lock(&reader->wal->shared.lock);
    reader->woken = true;
    (void)pthread_cond_broadcast(&reader->wal->shared.published);
    (void)pthread_mutex_unlock(&reader->wal->shared.lock);
}

static struct timespec deadline_in(uint64_t wait_ns)
{
    struct timespec at;
    uint64_t ns;

    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    wait_ns = wait_ns > NS_PER_S << 30 ? NS_PER_S << 30 : wait_ns;
    ns = (uint64_t)at.tv_nsec + wait_ns;
    at.tv_sec += (time_t)(ns / NS_PER_S);
    at.tv_nsec = (long)(ns % NS_PER_S);
    return at;
}

static bool is_there(struct wal *wal, uint64_t lsn)
{
    return wal->config.durability == DURABILITY_MEMORY ? memory_find(wal, lsn) != NULL
                                                       : wal_segment_from(wal, lsn) != NULL;
}

/* Lock held. Wait until a record >= lsn is published; false: time is up, or woken. */
static bool wait_for(struct wal_reader *reader, uint64_t lsn, uint64_t wait_ns)
{
    struct wal *wal = reader->wal;
    struct timespec until = deadline_in(wait_ns);

    while (!is_there(wal, lsn)) {
        if (reader->woken || wait_ns == 0 ||
            pthread_cond_timedwait(&wal->shared.published, &wal->shared.lock, &until) != 0) {
            reader->woken = false;
            return is_there(wal, lsn);
        }
    }
    return true;
}

/* What the scan has to know of a segment; copied under the lock. */
struct target {
    uint64_t number, salt, base_lsn, begin, end;
};

/* Point the scan at the segment, behind what it has seen already when that is before lsn. */
static bool aim(struct wal_reader *reader, const struct target *target, uint64_t lsn,
                struct error *err)
{
    struct scan *scan = &reader->scan;
    char path[PATH_MAX];

    if (reader->fd >= 0 && scan->number == target->number) {
        scan->end = target->end;
        if (lsn == scan->last_lsn && scan->back_offset != 0) {
            scan_step_back(scan); /* the same record again */
        }
        if (lsn > scan->last_lsn) {
            return true;
        }
    }
    stop_scan(reader);
    segment_path(reader->wal->config.dir, target->number, SEGMENT_LIVE, path);
    if (!fs_open(reader->wal->fs, path, O_RDONLY, &reader->fd, err)) {
        return segment_disk_error(err);
    }
    scan_init(scan, reader->wal->fs, reader->fd, target->number, target->end, CHUNK_BYTES);
    scan->salt = target->salt;
    scan->salt_known = true;
    scan->base_lsn = target->base_lsn;
    scan->last_lsn = target->base_lsn - 1;
    scan->offset = target->begin;
    return true;
}

/* The record cannot be read: say which, and let the caller go on behind it. */
static bool report_gap(uint64_t *lsn, uint64_t bad, const struct error *reason, struct error *err)
{
    *lsn = bad > *lsn ? bad : *lsn;
    if (reason->code != ERR_NONE) {
        *err = *reason;
    } else {
        error_set(err, ERR_CORRUPT, "it is missing");
    }
    err->code = ERR_CORRUPT;
    return error_wrap(err, "ingest log, record %llu", (unsigned long long)*lsn);
}

static bool read_next(struct wal_reader *reader, uint64_t *lsn, struct wal_record *record,
                      struct error *err)
{
    struct scan *scan = &reader->scan;
    struct error reason = {0};
    bool damaged = false;

    for (;;) {
        struct scan_gap gap;
        uint64_t before = scan->last_lsn;
        switch (scan_next(scan, record, &gap, err)) {
        case SCAN_RECORD:
            if (record->lsn > *lsn && damaged) {
                /*
                 * A record that was wanted stood in the damaged stretch. This one comes next
                 * time.
                 */
                uint64_t missing = before + 1 < record->lsn ? before + 1 : record->lsn - 1;
                scan_step_back(scan);
                record->lsn = 0;
                return report_gap(lsn, missing, &reason, err);
            }
            if (record->lsn >= *lsn) {
                *lsn = record->lsn;
                return true;
            }
            damaged = false;
            break;
        case SCAN_GAP:
            if (gap.lsn >= *lsn) {
                return report_gap(lsn, gap.lsn, &gap.reason, err);
            }
            damaged = gap.lsn == 0;
            reason = gap.reason;
            break;
        case SCAN_END:
            /* The log says that a record >= *lsn is here, so the rest is damaged. */
            scan->offset = scan->end;
            return report_gap(lsn, before + 1, damaged ? &reason : &gap.reason, err);
        case SCAN_FAILED:
            if (err->code == ERR_CORRUPT) { /* the file is shorter than it was */
                scan->offset = scan->end;
                return report_gap(lsn, before + 1, err, err);
            }
            return segment_disk_error(err);
        }
    }
}

bool wal_reader_next(struct wal_reader *reader, uint64_t *lsn, uint64_t wait_ns,
                     struct wal_record *record, struct error *err)
{
    struct wal *wal = reader->wal;
    const struct segment *segment;
    struct target target;

    record->lsn = 0;
    (void)pthread_mutex_lock(&wal->shared.lock);
    if (*lsn < reader->released) {
        *lsn = reader->released; /* older ones may be gone at any moment */
    }
    if (!wait_for(reader, *lsn, wait_ns)) {
        (void)pthread_mutex_unlock(&wal->shared.lock);
        return true;
    }
    if (wal->config.durability == DURABILITY_MEMORY) {
        *record = memory_find(wal, *lsn)->record;
        *lsn = record->lsn;
        (void)pthread_mutex_unlock(&wal->shared.lock);
        return true;
    }
    segment = wal_segment_from(wal, *lsn);
    target = (struct target){segment->number, segment->salt, segment->base_lsn, segment->begin,
                             segment->end};
    (void)pthread_mutex_unlock(&wal->shared.lock);

    return aim(reader, &target, *lsn, err) && read_next(reader, lsn, record, err);
}
