/*
 * wal.c - the ingest log: append, sync, and what a failure voids.
 *
 * Appending gathers small records in memory and writes large pieces; a large payload is written
 * from where it is. wal_sync() writes the rest, syncs once, and publishes: only then a record
 * counts.
 *
 * When a write or a sync fails, everything since the last good wal_sync() is void. Whether its
 * bytes reached the disk nobody knows, and they must not come back later, so:
 *
 *   - lsn are never given out twice, void or not;
 *   - the file is closed, and never written or synced again;
 *   - the next append begins a fresh segment, whose header carries durable_lsn, the last lsn that
 *     counts. Replay drops records of *earlier* segments beyond the least durable_lsn of all later
 *     headers. That header is on disk before the first record behind it is acknowledged, because
 *     the same fdatasync covers both;
 *   - as long as a segment with void records can be read, a header that voids them stays, too
 *     (can_retire() in retire.c).
 *
 * A crash after the failure and before the next segment exists may bring void records back. They
 * were refused with "retry" and are not contradicted by anything later, so that is a repeated
 * delivery and no harm.
 *
 * A new segment begins only after the one before is synced, so at any time at most one file has
 * unsynced records.
 */
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>
#include <spangate/base/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    GATHER_BYTES = 1024 * 1024,
    DIRECT_BYTES = 128 * 1024, /* payloads from here on are not copied */
    SEGMENT_BYTES_DEFAULT = 32 * 1024 * 1024,
    SEGMENT_BYTES_MIN = 4096,
    SEGMENT_BYTES_MAX = 1024 * 1024 * 1024, /* so that SEGMENT_LSN_SHIFT holds */
    SEGMENTS_MIN = 4,                       /* of this size must fit total_bytes_max */
    FILE_BLOCK = 4096,
};

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* --- opening and closing --- */

static void write_pid(struct wal *wal, const char *path)
{
    char text[24];
    struct error ignored;
    struct iovec iov = {.iov_base = text};

    iov.iov_len = (size_t)snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (wal->fs->truncate(wal->fs, wal->lock_fd, 0) == 0) {
        /* For a person who finds the folder locked; nothing depends on it. */
        (void)!fs_write_at(wal->fs, wal->lock_fd, path, &iov, 1, 0, &ignored);
    }
}

/* The lock goes with its descriptor, so a killed process never leaves one behind. */
static bool lock_folder(struct wal *wal, struct error *err)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/lock", wal->config.dir);
    if (!fs_open(wal->fs, path, O_RDWR | O_CREAT, &wal->lock_fd, err)) {
        return false;
    }
    /* EBADF: a simulated file system, whose descriptors the kernel does not know. */
    if (flock(wal->lock_fd, LOCK_EX | LOCK_NB) != 0 && errno != EBADF) {
        int failed = errno;
        char holder[16] = "";
        (void)wal->fs->pread(wal->fs, wal->lock_fd, holder, sizeof(holder) - 1, 0);
        holder[strcspn(holder, "\n")] = '\0';
        if (failed == EWOULDBLOCK) {
            return error_set(err, ERR_IN_USE, "ingest log %s is locked by process %s",
                             wal->config.dir, holder);
        }
        return error_set_errno(err, failed, "lock %s", path);
    }
    write_pid(wal, path);
    return true;
}

static void clamp_config(struct wal_config *config)
{
    if (config->segment_bytes == 0) {
        config->segment_bytes = SEGMENT_BYTES_DEFAULT;
    }
    if (config->total_bytes_max != 0 &&
        config->segment_bytes > config->total_bytes_max / SEGMENTS_MIN) {
        config->segment_bytes = config->total_bytes_max / SEGMENTS_MIN;
    }
    if (config->segment_bytes < SEGMENT_BYTES_MIN) {
        config->segment_bytes = SEGMENT_BYTES_MIN;
    }
    if (config->segment_bytes > SEGMENT_BYTES_MAX) {
        config->segment_bytes = SEGMENT_BYTES_MAX;
    }
    config->segment_bytes = (config->segment_bytes + FILE_BLOCK - 1) / FILE_BLOCK * FILE_BLOCK;
}

static void init_shared(struct wal *wal)
{
    pthread_condattr_t attr;

    (void)pthread_mutex_init(&wal->shared.lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&wal->shared.published, &attr);
    (void)pthread_condattr_destroy(&attr);
}

bool wal_open(struct wal **out, const struct wal_config *config, const struct fs *fs,
              const struct clock *clock, struct error *err)
{
    struct wal *wal = mem_zalloc(1, sizeof(*wal));

    wal->config = *config;
    wal->config.dir = config->dir == NULL ? NULL : mem_strdup(config->dir);
    wal->fs = fs;
    wal->clock = clock;
    wal->lock_fd = -1;
    wal->own.fd = -1;
    wal->own.next_lsn = 1;
    wal->own.next_number = 1;
    wal->own.synced_ns = clock_monotonic(clock);
    wal->shared.closed_least = UINT64_MAX;
    clamp_config(&wal->config);
    init_shared(wal);
    if (config->durability != DURABILITY_MEMORY) {
        assert(config->dir != NULL);
        if (strlen(config->dir) > PATH_MAX - 80) {
            error_set(err, ERR_INVALID, "ingest log: the path of its folder is too long");
            goto fail;
        }
        if (!fs_make_dirs(fs, wal->config.dir, err) || !lock_folder(wal, err)) {
            goto fail;
        }
    }
    *out = wal;
    return true;

fail:
    wal_close(wal);
    return false;
}

void wal_close(struct wal *wal)
{
    struct error ignored;

    if (wal == NULL) {
        return;
    }
    assert(wal->shared.readers == NULL);
    if (wal->own.dirty && wal->own.unpublished == 0) {
        /* DURABILITY_INTERVAL: what was acknowledged need not wait for its interval. */
        (void)!fs_sync(wal->fs, wal->own.fd, "segment", &ignored);
    }
    fs_close(wal->fs, wal->own.fd);
    wal_retire(wal);
    for (size_t i = 0; i < wal->shared.segment_count; i++) {
        segment_free(wal->shared.segments[i]);
    }
    free(wal->shared.segments);
    memory_free(wal);
    fs_close(wal->fs, wal->lock_fd); /* last: the folder is ours until here */
    (void)pthread_cond_destroy(&wal->shared.published);
    (void)pthread_mutex_destroy(&wal->shared.lock);
    free(wal->own.gather);
    free(wal->config.dir);
    free(wal);
}

/* --- writing --- */

/* The last lsn that is not void. */
static uint64_t last_valid(struct wal *wal)
{
    return wal->own.unpublished > 0 ? wal->own.next_lsn - 1 : wal_last(wal);
}

/*
 * The disk failed under the current segment. See the top of this file. The caller returns the error
 * from wal_append() or wal_sync().
 */
static void fail_segment(struct wal *wal, struct error *err)
{
    segment_disk_error(err);
    metric_add(METRIC_WAL_SYNC_FAILURES, 1);
    fs_close(wal->fs, wal->own.fd);
    wal->own.fd = -1;
    wal->own.current = NULL;
    wal->own.gathered = 0;
    wal->own.dirty = false;
    wal->own.unpublished = 0;
    wal->own.unpublished_bytes = 0;

    (void)pthread_mutex_lock(&wal->shared.lock);
    for (size_t i = 0; i < wal->shared.segment_count; i++) {
        struct segment *segment = wal->shared.segments[i];
        segment->written_end = segment->end;
        segment->written_last = segment->last_lsn;
        segment->sealed = true;
    }
    (void)pthread_mutex_unlock(&wal->shared.lock);
}

static bool write_out(struct wal *wal, struct iovec *iov, int count, struct error *err)
{
    uint64_t bytes = 0;

    for (int i = 0; i < count; i++) {
        bytes += iov[i].iov_len;
    }
    if (bytes == 0) {
        return true;
    }
    wal->own.dirty = true;
    if (!fs_write_at(wal->fs, wal->own.fd, "segment", iov, count, wal->own.write_offset, err)) {
        return error_wrap(err, "ingest log %s", wal->config.dir);
    }
    wal->own.write_offset += bytes;
    wal->own.gathered = 0;
    return true;
}

static bool flush(struct wal *wal, struct error *err)
{
    struct iovec iov = {.iov_base = wal->own.gather, .iov_len = wal->own.gathered};

    return write_out(wal, &iov, 1, err);
}

static bool sync_current(struct wal *wal, struct error *err)
{
    uint64_t begin, end;

    if (!wal->own.dirty) {
        return true;
    }
    begin = clock_monotonic(wal->clock);
    if (!fs_sync(wal->fs, wal->own.fd, "segment", err)) {
        return error_wrap(err, "ingest log %s", wal->config.dir);
    }
    (void)pthread_mutex_lock(&wal->shared.lock);
    wal->own.current->durable = true;
    (void)pthread_mutex_unlock(&wal->shared.lock);
    end = clock_monotonic(wal->clock);
    metric_observe(METRIC_WAL_SYNC_SECONDS, (double)(end - begin) / (double)NS_PER_S);
    wal->own.synced_ns = end;
    wal->own.dirty = false;
    return true;
}

static uint64_t disk_bytes(struct wal *wal)
{
    uint64_t bytes;

    (void)pthread_mutex_lock(&wal->shared.lock);
    bytes = wal->shared.spare_count * wal->config.segment_bytes;
    for (size_t i = 0; i < wal->shared.segment_count; i++) {
        bytes += wal->shared.segments[i]->file_bytes;
    }
    (void)pthread_mutex_unlock(&wal->shared.lock);
    return bytes;
}

/* Whether `bytes` more keep below the limit; spares that do not fit are given up for that. */
static bool make_room(struct wal *wal, uint64_t bytes, struct error *err)
{
    uint64_t max = wal->config.total_bytes_max;

    while (max != 0 && disk_bytes(wal) + bytes > max) {
        char path[PATH_MAX];
        uint64_t spare = wal_spare_take(wal);
        if (spare == 0) {
            return error_set(err, ERR_LIMIT,
                             "the ingest log holds its limit of %" PRIu64
                             " bytes: the trace log or a destination lags",
                             max);
        }
        segment_path(wal->config.dir, spare, SEGMENT_SPARE, path);
        wal_unlink(wal, path);
    }
    return true;
}

static void leave_current(struct wal *wal)
{
    if (wal->own.current == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&wal->shared.lock);
    wal->own.current->sealed = true;
    (void)pthread_mutex_unlock(&wal->shared.lock);
    fs_close(wal->fs, wal->own.fd);
    wal->own.fd = -1;
    wal->own.current = NULL;
}

/*
 * Begin a segment with room for a record of `need` bytes. What is appended so far is synced
 * first.
 */
static bool begin_segment(struct wal *wal, uint64_t need, struct error *err)
{
    uint64_t least = (SEGMENT_HEADER_BYTES + need + FILE_BLOCK - 1) / FILE_BLOCK * FILE_BLOCK;
    struct segment_header header = {
        .number = wal->own.next_number,
        .file_bytes = max_u64(least, wal->config.segment_bytes),
        .base_lsn = wal->own.next_lsn,
        .durable_lsn = last_valid(wal),
        .created_ns = clock_wall(wal->clock),
    };
    uint64_t spare = 0;
    int fd;

    if (wal->own.current != NULL && (!flush(wal, err) || !sync_current(wal, err))) {
        fail_segment(wal, err);
        return false;
    }
    if (wal->own.next_number > SEGMENT_NUMBER_MAX) {
        return error_set(err, ERR_UNAVAILABLE, "the ingest log has used up its segment numbers");
    }
    if (header.file_bytes == wal->config.segment_bytes) {
        spare = wal_spare_take(wal);
    }
    if (spare == 0 && !make_room(wal, header.file_bytes, err)) {
        return false;
    }
    random_bytes(&header.salt, sizeof(header.salt));
    wal->own.next_number++; /* also when it fails: a number is tried once */
    if (!segment_create(wal->fs, wal->config.dir, &header, spare, &fd, err)) {
        if (err->code != ERR_LIMIT) {
            leave_current(wal);
        }
        return false;
    }
    leave_current(wal);
    wal->own.fd = fd;
    wal->own.write_offset = SEGMENT_HEADER_BYTES;
    wal->own.dirty = true;
    wal->own.current = segment_new(&header);
    (void)pthread_mutex_lock(&wal->shared.lock);
    wal_add_segment(wal, wal->own.current);
    (void)pthread_mutex_unlock(&wal->shared.lock);
    wal_retire(wal);
    return true;
}

static size_t gather_cap(const struct wal *wal)
{
    return wal->config.segment_bytes < GATHER_BYTES ? (size_t)wal->config.segment_bytes
                                                    : GATHER_BYTES;
}

/* Header and payload at the end of the segment: copied, or written at once when large. */
static bool put_record(struct wal *wal, const struct record_header *header, struct slice payload,
                       struct error *err)
{
    static const uint8_t zeros[RECORD_ALIGN] = {0};
    size_t total = (size_t)record_bytes(payload.len);
    size_t padding = total - RECORD_HEADER_BYTES - payload.len;
    uint8_t *out;

    if (wal->own.gather == NULL) {
        wal->own.gather = mem_alloc(gather_cap(wal));
    }
    if (payload.len >= DIRECT_BYTES || total > gather_cap(wal)) {
        struct iovec iov[] = {
            {wal->own.gather, wal->own.gathered},
            {(void *)(uintptr_t)header, sizeof(*header)},
            {(void *)(uintptr_t)payload.data, payload.len},
            {(void *)(uintptr_t)zeros, padding},
        };
        return write_out(wal, iov, COUNT_OF(iov), err);
    }
    if (wal->own.gathered + total > gather_cap(wal) && !flush(wal, err)) {
        return false;
    }
    out = wal->own.gather + wal->own.gathered;
    memcpy(out, header, sizeof(*header));
    if (payload.len > 0) {
        memcpy(out + RECORD_HEADER_BYTES, payload.data, payload.len);
    }
    memset(out + RECORD_HEADER_BYTES + payload.len, 0, padding);
    wal->own.gathered += total;
    return true;
}

bool wal_append(struct wal *wal, struct wal_record *record, struct error *err)
{
    uint64_t total = record_bytes(record->payload.len);
    struct segment *segment = wal->own.current;
    struct record_header header;
    bool earlier = wal->own.unpublished > 0;

    assert(wal->own.replayed);
    if (record->payload.len > RECORD_PAYLOAD_MAX) {
        return error_set(err, ERR_TOO_LARGE, "the ingest log takes records up to %d bytes, not %zu",
                         RECORD_PAYLOAD_MAX, record->payload.len);
    }
    if (wal->config.durability == DURABILITY_MEMORY) {
        return memory_append(wal, record, err);
    }
    if (wal->own.refused) {
        *err = wal->own.refusal;
        return false;
    }
    if (segment == NULL || total > segment->file_bytes - segment->written_end) {
        if (!begin_segment(wal, total, err)) {
            goto failed;
        }
        segment = wal->own.current;
        assert(segment != NULL);
    }
    record->lsn = wal->own.next_lsn++; /* never again, whatever comes */
    record_header_make(&header, record, segment->number, segment->salt);
    if (!put_record(wal, &header, record->payload, err)) {
        fail_segment(wal, err);
        goto failed;
    }
    segment->written_end += total;
    segment->written_last = record->lsn;
    wal->own.unpublished++;
    wal->own.unpublished_bytes += total;
    return true;

failed:
    if (earlier && wal->own.unpublished == 0) {
        /* Earlier appends returned true; the next wal_sync() has to take that back. */
        wal->own.refused = true;
        wal->own.refusal = *err;
    }
    return false;
}

static void count_appended(struct wal *wal)
{
    metric_add(METRIC_WAL_RECORDS, wal->own.unpublished);
    metric_add(METRIC_WAL_BYTES, wal->own.unpublished_bytes);
    wal->own.unpublished = 0;
    wal->own.unpublished_bytes = 0;
}

static void publish(struct wal *wal)
{
    (void)pthread_mutex_lock(&wal->shared.lock);
    for (size_t i = wal->shared.segment_count; i > 0; i--) {
        struct segment *segment = wal->shared.segments[i - 1];
        if (segment->written_last == segment->last_lsn) {
            if (segment == wal->own.current) {
                continue;
            }
            break; /* older ones have nothing unpublished either */
        }
        segment_need(segment, max_u64(segment->base_lsn, segment->last_lsn + 1),
                     segment->written_last);
        segment->last_lsn = segment->written_last;
        segment->end = segment->written_end;
    }
    wal->shared.last = wal->own.next_lsn - 1;
    wal_gauge(wal);
    (void)pthread_cond_broadcast(&wal->shared.published);
    (void)pthread_mutex_unlock(&wal->shared.lock);
    count_appended(wal);
}

bool wal_sync(struct wal *wal, struct error *err)
{
    bool due;

    if (wal->config.durability == DURABILITY_MEMORY) {
        memory_publish(wal);
        count_appended(wal);
        return true;
    }
    if (wal->own.refused) {
        *err = wal->own.refusal;
        wal->own.refused = false;
        return false;
    }
    due = wal->config.durability == DURABILITY_SYNC
              ? wal->own.unpublished > 0
              : clock_monotonic(wal->clock) - wal->own.synced_ns >= wal->config.interval_ns;
    if (!flush(wal, err) || (due && !sync_current(wal, err))) {
        fail_segment(wal, err);
        return false;
    }
    if (wal->own.unpublished > 0) {
        publish(wal);
    }
    return true;
}
