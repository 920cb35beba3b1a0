/*
 * retain.c - letting blocks go: by age, by size, and because everybody has them. Store thread.
 *
 * Order of a drop: keep the next number on disk, forget the blocks (no reader finds them any
 * more), let the index close its file, unlink. A crash in between leaves files that are found
 * again and dropped again.
 */
#include "log.h"

#include "memory.h"

#include <inttypes.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * When the wall clock was set by more than this, ages are not believed for a while: a clock that
 * jumps ahead for a moment must not empty the store.
 */
#define CLOCK_JUMP_NS (60 * NS_PER_S)
#define CLOCK_DISTRUST_NS (3600 * NS_PER_S)

struct retention {
    struct trace_log *log;
    void (*drop)(void *ctx, uint64_t partition);
    void *ctx;
};

static bool save_next_seq(struct trace_log *log, struct error *err)
{
    char path[PATH_MAX];
    char text[48];

    log_lock(log);
    uint64_t next = log->shared.next_seq;
    uint64_t replay_from = log->shared.replay_from;
    log_unlock(log);
    (void)snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 "\n", next, replay_from);
    if (!log_partition_path(log, "next-seq", path)) {
        return error_set(err, ERR_INVALID, "path under %s is too long", log->config.dir);
    }
    return fs_replace_file(log->fs, path, slice_of(text), err);
}

static void uncache_range(struct block_cache *cache, uint64_t first, uint64_t last,
                          struct cached_block **gone)
{
    const struct cached_block *at = cache->newest;

    while (at != NULL) {
        const struct cached_block *older = at->older;
        if (at->block->seq >= first && at->block->seq <= last) {
            block_cache_remove(cache, at->block->seq, gone);
        }
        at = older;
    }
}

static void uncache(struct trace_log *log, uint64_t first, uint64_t last)
{
    struct cached_block *gone = NULL;

    log_lock(log);
    uncache_range(&log->shared.full, first, last, &gone);
    uncache_range(&log->shared.tables, first, last, &gone);
    log_unlock(log);
    block_cache_release(gone);
}

static bool remove_files(struct trace_log *log, const char *name, struct error *err)
{
    char dir[PATH_MAX];
    char **names = NULL;
    bool ok = true;

    if (!log_partition_path(log, name, dir)) {
        return error_set(err, ERR_INVALID, "path of partition %s is too long", name);
    }
    int rc = log->fs->list(log->fs, dir, &names);
    if (rc != 0) {
        return error_set_errno(err, -rc, "list %s", dir);
    }
    for (size_t i = 0; names[i] != NULL; i++) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        rc = n > 0 && (size_t)n < sizeof(path) ? log->fs->unlink(log->fs, path) : 0;
        if (rc != 0 && ok) {
            ok = error_set_errno(err, -rc, "unlink %s", path);
        }
    }
    fs_free_names(names);
    if (!ok) {
        return false;
    }
    rc = log->fs->rmdir(log->fs, dir);
    if (rc != 0) {
        return error_set_errno(err, -rc, "remove folder %s", dir);
    }
    return fs_sync_dir(log->fs, log->config.dir, err);
}

static bool drop_partition(const struct retention *r, uint64_t id, const char *reason,
                           struct error *err)
{
    struct trace_log *log = r->log;
    struct partition dropped = {0};

    if (log->config.persist && !save_next_seq(log, err)) {
        return false;
    }
    if (log->own.writer.fd >= 0 && log->own.partition == id) {
        blockfile_finish(&log->own.writer);
    }
    log_lock(log);
    struct partition *p = log_partition(log, id);
    if (p != NULL) {
        memcpy(dropped.name, p->name, sizeof(dropped.name));
        dropped.first_seq = p->first_seq;
        dropped.last_seq = p->last_seq;
        dropped.bytes = p->bytes;
        dropped.block_count = p->block_count;
        log->shared.bytes -= p->bytes;
        log_remove_partition(log, p);
    }
    log_unlock(log);
    if (p == NULL) {
        return true;
    }
    uncache(log, dropped.first_seq, dropped.last_seq);
    if (r->drop != NULL) {
        r->drop(r->ctx, id);
    }
    series_add(metric_series(METRIC_PARTITIONS_DROPPED, reason, NULL), 1);
    log_info("trace_log", "partition dropped",
             "partition=%s reason=%s blocks=%" PRIu64 " bytes=%" PRIu64, dropped.name, reason,
             dropped.block_count, dropped.bytes);
    return !log->config.persist || remove_files(log, dropped.name, err);
}

/* Drop the oldest segment file of a partition that has to stay otherwise. */
static bool drop_file(struct trace_log *log, uint64_t id, struct error *err)
{
    char path[PATH_MAX] = "";
    char name[PARTITION_NAME_MAX];
    uint64_t first = 0;
    uint64_t last = 0;
    uint32_t number = 0;

    if (!log_load_partition(log, id, err) || !save_next_seq(log, err)) {
        return false;
    }
    log_lock(log);
    struct partition *p = log_partition(log, id);
    if (p != NULL && p->loaded && p->file_count > 0) {
        uint64_t before = p->bytes;
        number = p->files[0].number;
        first = p->first_seq;
        last = p->files[0].last_seq;
        memcpy(name, p->name, sizeof(name));
        partition_remove_file(p);
        log->shared.bytes -= before - p->bytes;
    }
    log_unlock(log);
    if (number == 0) {
        return true;
    }
    if (log->own.writer.fd >= 0 && log->own.partition == id && log->own.writer.number == number) {
        blockfile_finish(&log->own.writer);
    }
    uncache(log, first, last);
    if (!log_file_path(log, name, number, path)) {
        return error_set(err, ERR_INVALID, "path of partition %s is too long", name);
    }
    int rc = log->fs->unlink(log->fs, path);
    return rc == 0 || error_set_errno(err, -rc, "unlink %s", path);
}

/* What the next step may look at. */
struct oldest {
    bool exists;
    bool only; /* there is no newer partition */
    uint64_t id, last_seq, sealed_ns_max, block_count;
    uint64_t file_last_seq; /* of its first segment file */
    uint64_t lsn_max, file_lsn_max;
    uint64_t delivered;
    uint64_t replay_from;
    uint64_t bytes; /* of the whole log */
    bool has_cursors;
};

static struct oldest look_at_oldest(struct trace_log *log)
{
    struct oldest o = {0};

    log_lock(log);
    if (log->shared.partition_count > 0) {
        const struct partition *p = &log->shared.partitions[0];
        o.exists = true;
        o.only = log->shared.partition_count == 1;
        o.id = p->id;
        o.last_seq = p->last_seq;
        o.sealed_ns_max = p->sealed_ns_max;
        o.block_count = p->block_count;
        o.file_last_seq = p->file_count > 0 ? p->files[0].last_seq : UINT64_MAX;
        for (size_t i = 0; i < p->file_count; i++) {
            o.lsn_max = p->files[i].lsn_max > o.lsn_max ? p->files[i].lsn_max : o.lsn_max;
        }
        o.file_lsn_max = p->file_count > 0 ? p->files[0].lsn_max : 0;
    }
    o.replay_from = log->shared.replay_from == 0 ? UINT64_MAX : log->shared.replay_from;
    o.delivered = log_delivered(log);
    o.bytes = log->shared.bytes;
    o.has_cursors = log->shared.cursor_count > 0;
    log_unlock(log);
    return o;
}

/* Whether the wall clock can be believed: it moved as the monotonic one did. */
static bool clock_is_sane(struct trace_log *log, uint64_t wall_ns)
{
    uint64_t monotonic_ns = clock_monotonic(log->clock);
    uint64_t expected = log->own.wall_ns + (monotonic_ns - log->own.monotonic_ns);
    uint64_t off = wall_ns > expected ? wall_ns - expected : expected - wall_ns;

    if (off > CLOCK_JUMP_NS) {
        log->own.suspicious_until_ns = monotonic_ns + CLOCK_DISTRUST_NS;
        log_warn("trace_log", "wall clock jumped, retention by age pauses for an hour",
                 "seconds=%" PRIu64 " ahead=%d", off / NS_PER_S, wall_ns > expected);
    }
    log->own.wall_ns = wall_ns;
    log->own.monotonic_ns = monotonic_ns;
    return monotonic_ns >= log->own.suspicious_until_ns;
}

static bool drop_old(const struct retention *r, struct error *err)
{
    struct trace_log *log = r->log;
    uint64_t now = clock_wall(log->clock);

    if (!clock_is_sane(log, now) || log->config.retention_ns == 0) {
        return true;
    }
    for (;;) {
        struct oldest o = look_at_oldest(log);
        if (!o.exists || o.block_count == 0 || now < log->config.retention_ns ||
            o.sealed_ns_max >= now - log->config.retention_ns) {
            return true;
        }
        if (!drop_partition(r, o.id, "retention", err)) {
            return false;
        }
    }
}

/* Partitions whose blocks are all gone, one by one. */
static bool drop_empty(const struct retention *r, struct error *err)
{
    for (;;) {
        struct oldest o = look_at_oldest(r->log);
        if (!o.exists || o.only || o.block_count > 0) {
            return true;
        }
        if (!drop_partition(r, o.id, "delivered", err)) {
            return false;
        }
    }
}

/*
 * Not before the ingest log has let go of all its records up to those in the blocks: after a crash
 * they would come back, and nobody would know that they were delivered.
 */
static bool drop_delivered(const struct retention *r, struct error *err)
{
    for (;;) {
        struct oldest o = look_at_oldest(r->log);
        if (!o.exists || o.block_count == 0 || !o.has_cursors || o.file_last_seq >= o.delivered ||
            o.file_lsn_max >= o.replay_from) {
            return drop_empty(r, err);
        }
        bool whole = !o.only && o.last_seq < o.delivered && o.lsn_max < o.replay_from;
        bool ok = whole ? drop_partition(r, o.id, "delivered", err) : drop_file(r->log, o.id, err);
        if (!ok) {
            return false;
        }
    }
}

static bool drop_over_limit(const struct retention *r, bool *full, struct error *err)
{
    for (;;) {
        struct oldest o = look_at_oldest(r->log);
        if (!o.exists || o.bytes <= r->log->config.disk_bytes_max) {
            return true;
        }
        if (o.block_count > 0 && o.file_last_seq >= o.delivered) {
            *full = true;
            return true;
        }
        bool whole = !o.only && (o.block_count == 0 || o.last_seq < o.delivered);
        if (!whole && o.block_count == 0) {
            return true;
        }
        bool ok = whole ? drop_partition(r, o.id, "disk_limit", err) : drop_file(r->log, o.id, err);
        if (!ok) {
            return false;
        }
    }
}

/* The oldest block in memory goes. */
static void drop_kept(struct trace_log *log, struct cached_block **gone)
{
    struct block *block = log->shared.kept[log->shared.kept_head++];

    for (size_t i = 0; i < log->shared.partition_count; i++) {
        struct block_entry removed;
        if (partition_remove(&log->shared.partitions[i], block->seq, &removed)) {
            log->shared.bytes -= removed.stored_bytes;
            break;
        }
    }
    struct cached_block *entry = mem_zalloc(1, sizeof(*entry));
    entry->block = block;
    entry->chain = *gone;
    *gone = entry;
}

void log_trim_memory(struct trace_log *log, struct cached_block **gone)
{
    uint64_t delivered = log_delivered(log);
    bool all = log->config.keep_only_for_sinks && log->shared.cursor_count > 0;

    while (log->shared.kept_head < log->shared.kept_count &&
           log->shared.kept[log->shared.kept_head]->seq < delivered &&
           (all || log->shared.bytes > log->config.cache_bytes_max)) {
        drop_kept(log, gone);
    }
}

/* persist false: by age too, delivered or not, as with files. */
static void trim_old(struct trace_log *log)
{
    uint64_t now = clock_wall(log->clock);
    struct cached_block *gone = NULL;

    bool sane = clock_is_sane(log, now);
    log_lock(log);
    log_trim_memory(log, &gone);
    while (sane && log->config.retention_ns > 0 && now > log->config.retention_ns &&
           log->shared.kept_head < log->shared.kept_count &&
           log->shared.kept[log->shared.kept_head]->sealed_ns < now - log->config.retention_ns) {
        drop_kept(log, &gone);
    }
    log_unlock(log);
    block_cache_release(gone);
}

bool trace_log_retain(struct trace_log *log, void (*drop)(void *ctx, uint64_t partition), void *ctx,
                      bool *full, struct error *err)
{
    struct retention r = {.log = log, .drop = drop, .ctx = ctx};

    *full = false;
    if (!log->config.persist) {
        trim_old(log);
        *full = trace_log_bytes(log) > log->config.cache_bytes_max;
        return drop_empty(&r, err);
    }
    if (!drop_old(&r, err) || !drop_empty(&r, err)) {
        return false;
    }
    if (log->config.keep_only_for_sinks && !drop_delivered(&r, err)) {
        return false;
    }
    return log->config.disk_bytes_max == 0 || drop_over_limit(&r, full, err);
}
