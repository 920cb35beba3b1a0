/*
 * retire.c - which records are in need, and giving back the segments that hold none.
 *
 * A sealed segment goes when all its records are released and every reader has passed it, in any
 * order, with two exceptions: the newest one with a durable header knows the next lsn, and one
 * whose header voids records stays behind the segment that holds them. Renaming and unlinking
 * happen on the thread that released last, without the lock; one thread at a time.
 */
#include "log.h"

#include <errno.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* --- what is in need --- */

uint64_t wal_readers_least(const struct wal *wal)
{
    uint64_t least = wal->shared.closed_least;

    for (const struct wal_reader *r = wal->shared.readers; r != NULL; r = r->next) {
        least = r->released < least ? r->released : least;
    }
    return least;
}

struct segment *wal_segment_from(struct wal *wal, uint64_t lsn)
{
    for (size_t i = 0; i < wal->shared.segment_count; i++) {
        if (wal->shared.segments[i]->last_lsn >= lsn && wal->shared.segments[i]->last_lsn != 0) {
            return wal->shared.segments[i];
        }
    }
    return NULL;
}

static bool is_needed(const struct segment *segment, uint64_t readers_least)
{
    return segment->needed_count > 0 || segment->last_lsn >= readers_least;
}

void wal_add_segment(struct wal *wal, struct segment *segment)
{
    if (wal->shared.segment_count == wal->shared.segment_cap) {
        wal->shared.segment_cap = 2 * wal->shared.segment_cap + 16;
        wal->shared.segments =
            mem_realloc(wal->shared.segments, wal->shared.segment_cap * sizeof(struct segment *));
    }
    wal->shared.segments[wal->shared.segment_count++] = segment;
}

static uint64_t size_locked(const struct wal *wal)
{
    uint64_t least = wal_readers_least(wal);
    uint64_t bytes = wal->shared.queue_bytes;

    for (size_t i = 0; i < wal->shared.segment_count; i++) {
        const struct segment *segment = wal->shared.segments[i];
        bytes += is_needed(segment, least) ? segment->file_bytes : 0;
    }
    return bytes;
}

void wal_gauge(struct wal *wal)
{
    metric_set(METRIC_WAL_SIZE_BYTES, (int64_t)size_locked(wal));
}

uint64_t wal_size(struct wal *wal)
{
    uint64_t bytes;

    (void)pthread_mutex_lock(&wal->shared.lock);
    bytes = size_locked(wal);
    (void)pthread_mutex_unlock(&wal->shared.lock);
    return bytes;
}

uint64_t wal_last(struct wal *wal)
{
    uint64_t last;

    (void)pthread_mutex_lock(&wal->shared.lock);
    last = wal->shared.last;
    (void)pthread_mutex_unlock(&wal->shared.lock);
    return last;
}

static uint64_t oldest_unread(struct wal *wal)
{
    uint64_t least = wal_readers_least(wal);
    const struct segment *segment;

    if (least > wal->shared.last) {
        return UINT64_MAX;
    }
    if (wal->config.durability == DURABILITY_MEMORY) {
        return wal->shared.queue_count > 0 ? max_u64(least, wal->shared.queue_first) : UINT64_MAX;
    }
    segment = wal_segment_from(wal, least);
    return segment == NULL ? UINT64_MAX : max_u64(least, segment->base_lsn);
}

/* With the lock held; UINT64_MAX: none. */
static uint64_t oldest_needed(const struct wal *wal)
{
    uint64_t oldest = 0;

    for (size_t i = 0; oldest == 0 && i < wal->shared.segment_count; i++) {
        oldest = segment_oldest_needed(wal->shared.segments[i]);
    }
    return oldest == 0 ? UINT64_MAX : oldest;
}

uint64_t wal_oldest(struct wal *wal)
{
    (void)pthread_mutex_lock(&wal->shared.lock);
    uint64_t unread = oldest_unread(wal);
    uint64_t oldest = oldest_needed(wal);
    oldest = unread < oldest ? unread : oldest;
    oldest = oldest == UINT64_MAX ? wal->shared.last + 1 : oldest;
    (void)pthread_mutex_unlock(&wal->shared.lock);
    return oldest;
}

uint64_t wal_oldest_unreleased(struct wal *wal)
{
    (void)pthread_mutex_lock(&wal->shared.lock);
    uint64_t oldest = oldest_needed(wal);
    oldest = oldest == UINT64_MAX ? wal->shared.last + 1 : oldest;
    (void)pthread_mutex_unlock(&wal->shared.lock);
    return oldest;
}

/* The segment that may hold lsn, by halving; NULL: gone. */
static struct segment *segment_of(struct wal *wal, uint64_t lsn)
{
    size_t low = 0, high = wal->shared.segment_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (wal->shared.segments[middle]->base_lsn <= lsn) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    /* Segments without a record may share a base with the next. */
    while (low > 0 && wal->shared.segments[low - 1]->last_lsn < lsn) {
        low--;
        if (wal->shared.segments[low]->last_lsn != 0) {
            return NULL;
        }
    }
    return low == 0 ? NULL : wal->shared.segments[low - 1];
}

void wal_release(struct wal *wal, const uint64_t *lsns, size_t count)
{
    struct segment *segment = NULL;

    (void)pthread_mutex_lock(&wal->shared.lock);
    for (size_t i = 0; i < count; i++) {
        if (segment == NULL || lsns[i] < segment->base_lsn || lsns[i] > segment->last_lsn) {
            segment = segment_of(wal, lsns[i]);
        }
        if (segment != NULL) {
            segment_release(segment, lsns[i]);
        }
    }
    wal_gauge(wal);
    (void)pthread_mutex_unlock(&wal->shared.lock);
    wal_retire(wal);
}

/* --- letting segments go --- */

/* The newest segment whose header a power cut cannot take: it knows the next lsn, and stays. */
static size_t keeper_index(const struct wal *wal)
{
    size_t i = wal->shared.segment_count;

    while (i > 0 && !wal->shared.segments[i - 1]->durable) {
        i--;
    }
    return i - 1;
}

static bool can_retire(const struct wal *wal, size_t index, size_t keeper, uint64_t readers_least)
{
    const struct segment *segment = wal->shared.segments[index];

    if (index == keeper || index + 1 == wal->shared.segment_count || !segment->sealed) {
        return false;
    }
    /* Sealed with records that the next wal_sync() publishes: they are needed only then. */
    if (segment->written_last != segment->last_lsn || is_needed(segment, readers_least)) {
        return false;
    }
    /*
     * Its header voids records of older segments: stay behind them, unless the next voids as
     * much.
     */
    return !segment_voids(segment) || index == 0 ||
           wal->shared.segments[index + 1]->durable_lsn <= segment->durable_lsn;
}

/*
 * *busy: whether this thread is the one that retires; another one will come round to our
 * changes.
 */
static struct segment *take_retired(struct wal *wal, bool *busy)
{
    struct segment *segment = NULL;
    uint64_t least;
    size_t keeper;

    (void)pthread_mutex_lock(&wal->shared.lock);
    if (!wal->shared.replayed || (wal->shared.retiring && !*busy)) {
        (void)pthread_mutex_unlock(&wal->shared.lock);
        return NULL;
    }
    least = wal_readers_least(wal);
    keeper = keeper_index(wal);
    for (size_t i = 0; i < wal->shared.segment_count; i++) {
        if (can_retire(wal, i, keeper, least)) {
            segment = wal->shared.segments[i];
            memmove(&wal->shared.segments[i], &wal->shared.segments[i + 1],
                    (wal->shared.segment_count - i - 1) * sizeof(struct segment *));
            wal->shared.segment_count--;
            break;
        }
    }
    *busy = segment != NULL;
    wal->shared.retiring = *busy;
    (void)pthread_mutex_unlock(&wal->shared.lock);
    return segment;
}

static bool spare_wanted(struct wal *wal)
{
    bool wanted;

    (void)pthread_mutex_lock(&wal->shared.lock);
    wanted = wal->shared.spare_count < SPARES_MAX;
    (void)pthread_mutex_unlock(&wal->shared.lock);
    return wanted;
}

static bool spare_put(struct wal *wal, uint64_t number)
{
    bool put = false;

    (void)pthread_mutex_lock(&wal->shared.lock);
    if (wal->shared.spare_count < SPARES_MAX) {
        wal->shared.spares[wal->shared.spare_count++] = number;
        put = true;
    }
    (void)pthread_mutex_unlock(&wal->shared.lock);
    return put;
}

uint64_t wal_spare_take(struct wal *wal)
{
    uint64_t number = 0;

    (void)pthread_mutex_lock(&wal->shared.lock);
    if (wal->shared.spare_count > 0) {
        number = wal->shared.spares[--wal->shared.spare_count];
    }
    (void)pthread_mutex_unlock(&wal->shared.lock);
    return number;
}

void wal_unlink(struct wal *wal, const char *path)
{
    int rc = wal->fs->unlink(wal->fs, path);

    if (rc != 0 && rc != -ENOENT) {
        log_warn("wal", "cannot remove a file of no more use, it stays until the next start",
                 "path=%s errno=%d", path, -rc);
    }
}

void wal_dispose(struct wal *wal, uint64_t number, uint64_t file_bytes)
{
    char path[PATH_MAX], spare[PATH_MAX];

    segment_path(wal->config.dir, number, SEGMENT_LIVE, path);
    segment_path(wal->config.dir, number, SEGMENT_SPARE, spare);
    if (file_bytes == wal->config.segment_bytes && spare_wanted(wal) &&
        wal->fs->rename(wal->fs, path, spare) == 0) {
        if (!spare_put(wal, number)) {
            wal_unlink(wal, spare);
        }
        return;
    }
    wal_unlink(wal, path);
}

void wal_retire(struct wal *wal)
{
    struct segment *segment;
    bool busy = false;

    while ((segment = take_retired(wal, &busy)) != NULL) {
        wal_dispose(wal, segment->number, segment->file_bytes);
        segment_free(segment);
    }
}
