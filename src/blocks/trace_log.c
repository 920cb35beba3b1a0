/*
 * trace_log.c - finished traces, from the trace thread's hands to disk and back to readers.
 *
 *   trace_log_submit()  trace thread   a number and a place in line; queries see the block
 *   trace_log_write()   store thread   encode, append, sync; everybody sees the block
 *   trace_log_load()    any thread     from the cache or from disk
 *
 * Blocks are stored in the order of their numbers, so the folders are ascending in time and in
 * number, and a block's place is found by two binary searches. Sealing time never goes back: when
 * the wall clock does, blocks stay in the newest partition until it has caught up.
 */
#include "log.h"

#include "memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Damaged blocks kept for a person to look at. */
enum { CORRUPT_FILES_MAX = 256 };

/* Scratch memory for encoding that is kept between blocks. */
enum { IMAGE_BYTES_KEPT = 8 * 1024 * 1024 };

enum { FILE_NUMBERS_TRIED = 64 };

void log_lock(struct trace_log *log)
{
    (void)pthread_mutex_lock(&log->shared.lock);
}

void log_unlock(struct trace_log *log)
{
    (void)pthread_mutex_unlock(&log->shared.lock);
}

/* --- partitions --- */

/* Index of the first partition whose id is at least `id`. */
static size_t partition_at(const struct trace_log *log, uint64_t id)
{
    size_t low = 0;
    size_t high = log->shared.partition_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->shared.partitions[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct partition *log_partition(struct trace_log *log, uint64_t id)
{
    size_t at = partition_at(log, id);

    if (at == log->shared.partition_count || log->shared.partitions[at].id != id) {
        return NULL;
    }
    return &log->shared.partitions[at];
}

static struct partition *newest_partition(struct trace_log *log)
{
    size_t count = log->shared.partition_count;

    return count == 0 ? NULL : &log->shared.partitions[count - 1];
}

struct partition *log_add_partition(struct trace_log *log, uint64_t id, const char *name)
{
    struct partition *newest = newest_partition(log);

    if (newest != NULL && newest->id == id) {
        return newest;
    }
    assert(newest == NULL || newest->id < id);
    if (log->shared.partition_count == log->shared.partition_cap) {
        size_t cap = log->shared.partition_cap == 0 ? 16 : log->shared.partition_cap * 2;
        log->shared.partitions =
            mem_realloc(log->shared.partitions, cap * sizeof(*log->shared.partitions));
        log->shared.partition_cap = cap;
    }
    assert(log->shared.partitions != NULL);
    struct partition *p = &log->shared.partitions[log->shared.partition_count++];
    *p = (struct partition){.id = id, .loaded = true};
    (void)snprintf(p->name, sizeof(p->name), "%s", name);
    return p;
}

void log_remove_partition(struct trace_log *log, struct partition *p)
{
    size_t at = (size_t)(p - log->shared.partitions);

    partition_deinit(p);
    log->shared.partition_count--;
    memmove(p, p + 1, (log->shared.partition_count - at) * sizeof(*p));
}

void log_unload_some(struct trace_log *log, const struct partition *keep)
{
    const struct partition *newest = newest_partition(log);

    for (;;) {
        struct partition *coldest = NULL;
        size_t loaded = 0;
        for (size_t i = 0; i < log->shared.partition_count; i++) {
            struct partition *p = &log->shared.partitions[i];
            if (!p->loaded) {
                continue;
            }
            loaded += p->count - p->head;
            if (p != newest && p != keep && (coldest == NULL || p->used < coldest->used)) {
                coldest = p;
            }
        }
        if (loaded <= log->entries_loaded_max || coldest == NULL) {
            return;
        }
        partition_unload(coldest);
    }
}

bool log_partition_path(const struct trace_log *log, const char *name, char *out)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", log->config.dir, name);

    return n > 0 && n < PATH_MAX;
}

bool log_file_path(const struct trace_log *log, const char *name, uint32_t file, char *out)
{
    char dir[PATH_MAX];

    return log_partition_path(log, name, dir) && blockfile_path(dir, file, out);
}

/* Read all lists of a folder; what was found there at the start was mended then, so damage is not
 * told. */
static bool read_entries(struct trace_log *log, const char *name,
                         const struct partition_file *files, size_t file_count,
                         struct entry_list *list, struct error *err)
{
    for (size_t i = 0; i < file_count; i++) {
        char path[PATH_MAX];
        struct blockfile_report report;
        if (!log_file_path(log, name, files[i].number, path)) {
            return error_set(err, ERR_INVALID, "path of partition %s is too long", name);
        }
        if (!blockfile_list(log->fs, path, files[i].number, list, &report, NULL, NULL, err)) {
            return false;
        }
    }
    entries_sort(list->entries, list->count);
    list->count = entries_dedupe(list->entries, list->count);
    return true;
}

static void install_entries(struct trace_log *log, struct partition *p, struct entry_list *list)
{
    uint64_t bytes = 0;

    p->entries = list->entries;
    p->head = 0;
    p->count = list->count;
    p->cap = list->cap;
    p->loaded = true;
    p->used = ++log->shared.tick;
    *list = (struct entry_list){0};
    assert(p->count == 0 || p->entries != NULL);
    while (p->head < p->count && p->entries[p->head].seq < p->first_seq) {
        p->head++;
    }
    for (size_t i = p->head; i < p->count; i++) {
        bytes += p->entries[i].stored_bytes;
    }
    /* Blocks set aside since the directory was written are in it again until they are asked for. */
    log->shared.bytes += bytes - p->bytes;
    p->bytes = bytes;
    p->block_count = p->count - p->head;
    log_unload_some(log, p);
}

bool log_load_partition(struct trace_log *log, uint64_t id, struct error *err)
{
    char name[PARTITION_NAME_MAX];
    struct entry_list list = {0};

    log_lock(log);
    const struct partition *p = log_partition(log, id);
    if (p == NULL || p->loaded) {
        log_unlock(log);
        return true;
    }
    size_t file_count = p->file_count;
    struct partition_file *files = mem_alloc((file_count + 1) * sizeof(*files));
    if (file_count > 0) {
        memcpy(files, p->files, file_count * sizeof(*files));
    }
    memcpy(name, p->name, sizeof(name));
    log_unlock(log);

    bool ok = read_entries(log, name, files, file_count, &list, err);
    if (ok) {
        log_lock(log);
        struct partition *still = log_partition(log, id);
        if (still != NULL && !still->loaded) {
            install_entries(log, still, &list);
        }
        log_unlock(log);
    }
    free(list.entries);
    free(files);
    return ok;
}

/* --- finding a block --- */

static struct block_info info_of(const struct block_entry *entry, uint64_t partition)
{
    return (struct block_info){
        .seq = entry->seq,
        .sealed_ns = entry->sealed_ns,
        .start_ns_min = entry->start_ns_min,
        .start_ns_max = entry->start_ns_max,
        .lsn_max = entry->lsn_max,
        .stored_bytes = entry->stored_bytes,
        .trace_count = entry->trace_count,
        .span_count = entry->span_count,
        .partition = partition,
    };
}

/* What a lookup found. */
struct place {
    struct block_entry entry;
    uint64_t partition;
    char name[PARTITION_NAME_MAX];
};

enum looked { LOOKED_FOUND, LOOKED_NONE, LOOKED_UNLOADED };

static enum looked found_in(struct trace_log *log, struct partition *p,
                            const struct block_entry *entry, struct place *out)
{
    p->used = ++log->shared.tick;
    out->entry = *entry;
    out->partition = p->id;
    memcpy(out->name, p->name, sizeof(out->name));
    return LOOKED_FOUND;
}

/* First block with seq >= from. LOOKED_UNLOADED: load out->partition and ask again. */
static enum looked look_up(struct trace_log *log, uint64_t from, struct place *out)
{
    for (size_t i = 0; i < log->shared.partition_count; i++) {
        struct partition *p = &log->shared.partitions[i];
        if (p->block_count == 0 || p->last_seq < from) {
            continue;
        }
        out->partition = p->id;
        if (!p->loaded) {
            return LOOKED_UNLOADED;
        }
        const struct block_entry *entry = partition_lower(p, from);
        if (entry < p->entries + p->count) {
            return found_in(log, p, entry, out);
        }
    }
    return LOOKED_NONE;
}

/* Last block with seq < below. */
static enum looked look_down(struct trace_log *log, uint64_t below, struct place *out)
{
    for (size_t i = log->shared.partition_count; i > 0; i--) {
        struct partition *p = &log->shared.partitions[i - 1];
        if (p->block_count == 0 || p->first_seq >= below) {
            continue;
        }
        out->partition = p->id;
        if (!p->loaded) {
            return LOOKED_UNLOADED;
        }
        const struct block_entry *entry = partition_lower(p, below);
        if (entry > p->entries + p->head) {
            return found_in(log, p, entry - 1, out);
        }
    }
    return LOOKED_NONE;
}

/* Bounds of a partition, for stepping over one that cannot be read. */
static bool partition_bounds(struct trace_log *log, uint64_t id, uint64_t *first, uint64_t *last)
{
    log_lock(log);
    const struct partition *p = log_partition(log, id);
    if (p != NULL) {
        *first = p->first_seq;
        *last = p->last_seq;
    }
    log_unlock(log);
    return p != NULL;
}

/* Search upwards from `seq` or downwards below it, loading lists as needed. */
static bool find_block(struct trace_log *log, uint64_t seq, bool upwards, struct place *out)
{
    for (;;) {
        struct error err;
        uint64_t first = 0;
        uint64_t last = 0;

        log_lock(log);
        enum looked looked = upwards ? look_up(log, seq, out) : look_down(log, seq, out);
        log_unlock(log);
        if (looked != LOOKED_UNLOADED) {
            return looked == LOOKED_FOUND;
        }
        if (log_load_partition(log, out->partition, &err)) {
            continue;
        }
        log_error("trace_log", "partition cannot be read, its blocks are passed over",
                  "error=\"%s\"", err.message);
        if (partition_bounds(log, out->partition, &first, &last)) {
            seq = upwards ? last + 1 : first;
        }
    }
}

bool trace_log_next(struct trace_log *log, uint64_t from, struct block_info *out)
{
    struct place place;

    if (!find_block(log, from, true, &place)) {
        return false;
    }
    *out = info_of(&place.entry, place.partition);
    return true;
}

void trace_log_each(struct trace_log *log, bool (*each)(void *ctx, const struct block_info *info),
                    void *ctx)
{
    struct place place = {.entry = {.seq = UINT64_MAX}};

    while (find_block(log, place.entry.seq, false, &place)) {
        struct block_info info = info_of(&place.entry, place.partition);
        if (!each(ctx, &info)) {
            return;
        }
    }
}

void trace_log_partitions(struct trace_log *log,
                          bool (*each)(void *ctx, const struct partition_info *info), void *ctx)
{
    log_lock(log);
    size_t count = 0;
    struct partition_info *infos = mem_zalloc(log->shared.partition_count + 1, sizeof(*infos));
    for (size_t i = 0; i < log->shared.partition_count; i++) {
        const struct partition *p = &log->shared.partitions[i];
        if (p->block_count > 0) {
            infos[count++] = (struct partition_info){
                .partition = p->id,
                .first_seq = p->first_seq,
                .last_seq = p->last_seq,
                .block_count = p->block_count,
                .bytes = p->bytes,
            };
        }
    }
    log_unlock(log);
    for (size_t i = 0; i < count && each(ctx, &infos[i]); i++) {
    }
    free(infos);
}

/* --- open and close --- */

static void copy_config(struct trace_log *log, const struct trace_log_config *config)
{
    log->config = *config;
    log->config.dir = mem_strdup(config->dir == NULL ? "" : config->dir);
    if (log->config.partition_ns == 0) {
        log->config.partition_ns = 3600 * NS_PER_S;
    }
    if (log->config.zstd_level == 0) {
        log->config.zstd_level = 1;
    }
}

bool trace_log_open(struct trace_log **out, const struct trace_log_config *config,
                    const struct fs *fs, const struct clock *clock, struct budget *budget,
                    struct trace_log_recovery *report, struct error *err)
{
    struct trace_log *log = mem_zalloc(1, sizeof(*log));
    pthread_condattr_t attr;

    copy_config(log, config);
    log->fs = fs;
    log->clock = clock;
    log->budget = budget;
    log->entries_loaded_max = ENTRIES_LOADED_MAX;
    log->own.writer.fs = fs;
    log->own.writer.fd = -1;
    log->own.wall_ns = clock_wall(clock); /* so that a jump before the first housekeeping is seen */
    log->own.monotonic_ns = clock_monotonic(clock);
    log->lock_fd = -1;
    (void)pthread_mutex_init(&log->shared.lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&log->shared.stored, &attr);
    (void)pthread_condattr_destroy(&attr);
    block_cache_init(&log->shared.full, config->cache_bytes_max - config->cache_bytes_max / 4);
    block_cache_init(&log->shared.tables, config->cache_bytes_max / 4);
    log->shared.next_seq = 1;
    *report = (struct trace_log_recovery){0};
    if (log->config.persist && !log_recover(log, report, err)) {
        trace_log_close(log);
        return error_wrap(err, "open trace log %s", config->dir);
    }
    log->shared.end = log->shared.next_seq;
    *out = log;
    return true;
}

void trace_log_close(struct trace_log *log)
{
    struct cached_block *gone = NULL;

    if (log == NULL) {
        return;
    }
    blockfile_finish(&log->own.writer);
    fs_close(log->fs, log->lock_fd);
    block_cache_clear(&log->shared.full, &gone);
    block_cache_clear(&log->shared.tables, &gone);
    block_cache_release(gone);
    for (size_t i = 0; i < log->shared.pending_count; i++) {
        block_unref(log->shared.pending[i]);
    }
    for (size_t i = log->shared.kept_head; i < log->shared.kept_count; i++) {
        block_unref(log->shared.kept[i]);
    }
    for (size_t i = 0; i < log->shared.partition_count; i++) {
        partition_deinit(&log->shared.partitions[i]);
    }
    for (size_t i = 0; i < log->shared.cursor_count; i++) {
        free(log->shared.cursors[i].sink);
    }
    free(log->shared.pending);
    free(log->shared.kept);
    free(log->shared.partitions);
    free(log->shared.cursors);
    free(log->own.image.data);
    (void)pthread_cond_destroy(&log->shared.stored);
    (void)pthread_mutex_destroy(&log->shared.lock);
    free(log->config.dir);
    free(log);
}

/* --- submit --- */

void trace_log_submit(struct trace_log *log, struct block *block)
{
    log_lock(log);
    block->seq = log->shared.next_seq++;
    if (block->sealed_ns < log->shared.sealed_ns_last) {
        block->sealed_ns = log->shared.sealed_ns_last;
    }
    log->shared.sealed_ns_last = block->sealed_ns;
    if (log->shared.pending_count == log->shared.pending_cap) {
        log->shared.pending_cap = log->shared.pending_cap == 0 ? 16 : log->shared.pending_cap * 2;
        log->shared.pending =
            mem_realloc(log->shared.pending, log->shared.pending_cap * sizeof(struct block *));
    }
    log->shared.pending[log->shared.pending_count++] = block;
    log_unlock(log);
}

void trace_log_pending_each(struct trace_log *log,
                            bool (*each)(void *ctx, const struct block *block), void *ctx)
{
    log_lock(log);
    size_t count = log->shared.pending_count;
    struct block **blocks = mem_alloc((count + 1) * sizeof(struct block *));
    for (size_t i = 0; i < count; i++) {
        blocks[i] = block_ref(log->shared.pending[i]);
    }
    log_unlock(log);

    bool more = true;
    for (size_t i = count; i > 0; i--) {
        more = more && each(ctx, blocks[i - 1]);
        block_unref(blocks[i - 1]);
    }
    free(blocks);
}

/* --- write --- */

/* Where a block of that sealing time goes: never before the newest partition. */
static uint64_t partition_of(struct trace_log *log, uint64_t sealed_ns, uint32_t *file_max)
{
    uint64_t id = sealed_ns / log->config.partition_ns;

    log_lock(log);
    const struct partition *newest = newest_partition(log);
    if (newest != NULL && newest->id > id) {
        id = newest->id;
    }
    *file_max = newest != NULL && newest->id == id ? newest->file_max : 0;
    log_unlock(log);
    return id;
}

static void partition_name(struct trace_log *log, uint64_t id, char out[PARTITION_NAME_MAX])
{
    log_lock(log);
    const struct partition *p = log_partition(log, id);
    if (p != NULL) {
        memcpy(out, p->name, PARTITION_NAME_MAX);
    } else {
        partition_format(id, log->config.partition_ns, out);
    }
    log_unlock(log);
}

static bool begin_file(struct trace_log *log, uint64_t partition, uint32_t number,
                       struct error *err)
{
    struct blockfile_writer *w = &log->own.writer;
    char name[PARTITION_NAME_MAX];
    char dir[PATH_MAX];

    partition_name(log, partition, name);
    if (!log_partition_path(log, name, dir)) {
        return error_set(err, ERR_INVALID, "path under %s is too long", log->config.dir);
    }
    int rc = log->fs->mkdir(log->fs, dir, 0700);
    if (rc != 0) {
        return error_set_errno(err, -rc, "create folder %s", dir);
    }
    if (!fs_sync_dir(log->fs, log->config.dir, err)) {
        return false;
    }
    for (uint32_t i = 0; i < FILE_NUMBERS_TRIED; i++) {
        if (blockfile_create(w, dir, number + i, err)) {
            log->own.partition = partition;
            return true;
        }
        if (err->code != ERR_IN_USE) {
            return false;
        }
    }
    return false;
}

static uint64_t segment_bytes(const struct trace_log *log)
{
    uint64_t part = log->config.disk_bytes_max / 16;

    if (log->config.disk_bytes_max == 0 || part > SEGMENT_BYTES) {
        return SEGMENT_BYTES;
    }
    return part < SEGMENT_BYTES_MIN ? SEGMENT_BYTES_MIN : part;
}

static struct block_entry entry_for(const struct block *block)
{
    return (struct block_entry){
        .seq = block->seq,
        .sealed_ns = block->sealed_ns,
        .start_ns_min = block->start_ns_min,
        .start_ns_max = block->start_ns_max,
        .lsn_max = block->lsn_max,
        .stored_bytes = block_bytes(block),
        .trace_count = block->trace_count,
        .span_count = block->span_count,
    };
}

/* Append the block to the open segment file, or to a new one. */
static bool store(struct trace_log *log, const struct block *block, uint64_t partition,
                  uint32_t file_max, struct block_entry *entry, struct error *err)
{
    struct blockfile_writer *w = &log->own.writer;

    if (w->fd >= 0 && (log->own.partition != partition || w->offset >= segment_bytes(log))) {
        blockfile_finish(w);
    }
    if (w->fd < 0) {
        /* The number of a file that was abandoned is not used again. */
        uint32_t number = file_max + 1;
        if (log->own.partition == partition && w->number >= number) {
            number = w->number + 1;
        }
        if (!begin_file(log, partition, number, err)) {
            return false;
        }
    }
    block_encode(block, log->config.zstd_level, w->salt, &log->own.image);
    bool ok = blockfile_append(w, &log->own.image, entry, err);
    if (!ok) {
        blockfile_abandon(w);
    }
    if (log->own.image.cap > IMAGE_BYTES_KEPT) {
        free(log->own.image.data);
        log->own.image = (struct block_image){0};
    }
    return ok;
}

static void keep_in_memory(struct trace_log *log, struct block *block)
{
    if (log->shared.kept_count == log->shared.kept_cap) {
        size_t live = log->shared.kept_count - log->shared.kept_head;
        size_t cap = live * 2 < 64 ? 64 : live * 2;
        struct block **kept = mem_alloc(cap * sizeof(struct block *));
        if (live > 0) {
            memcpy(kept, log->shared.kept + log->shared.kept_head, live * sizeof(struct block *));
        }
        free(log->shared.kept);
        log->shared.kept = kept;
        log->shared.kept_cap = cap;
        log->shared.kept_count = live;
        log->shared.kept_head = 0;
    }
    log->shared.kept[log->shared.kept_count++] = block;
}

/* The block leaves the line and becomes readable by its number. */
static void publish(struct trace_log *log, struct block *block, uint64_t partition,
                    const struct block_entry *entry)
{
    struct cached_block *gone = NULL;
    char name[PARTITION_NAME_MAX];

    partition_name(log, partition, name);
    log_lock(log);
    struct partition *p = log_add_partition(log, partition, name);
    partition_push(p, entry);
    p->used = ++log->shared.tick;
    block->stored_bytes = entry->stored_bytes;
    log->shared.bytes += entry->stored_bytes;
    log->shared.end = block->seq + 1;
    log->shared.pending_count--;
    memmove(log->shared.pending, log->shared.pending + 1,
            log->shared.pending_count * sizeof(struct block *));
    if (log->config.persist) {
        block_cache_put(&log->shared.full, block, &gone);
        log_unload_some(log, p);
    } else {
        keep_in_memory(log, block_ref(block));
        log_trim_memory(log, &gone);
    }
    (void)pthread_cond_broadcast(&log->shared.stored);
    log_unlock(log);
    block_cache_release(gone);
}

bool trace_log_write(struct trace_log *log, struct block *block, struct error *err)
{
    struct block_entry entry = entry_for(block);
    uint32_t file_max = 0;

    log_lock(log);
    assert(log->shared.pending_count > 0 && log->shared.pending[0] == block);
    log_unlock(log);
    uint64_t partition = partition_of(log, block->sealed_ns, &file_max);
    if (log->config.persist && !store(log, block, partition, file_max, &entry, err)) {
        return error_wrap(err, "store block %" PRIu64, block->seq);
    }
    metric_add(METRIC_SPANS_STORED, block->span_count);
    metric_add(METRIC_BLOCKS_WRITTEN, 1);
    metric_add(METRIC_BLOCK_BYTES, entry.stored_bytes);
    publish(log, block, partition, &entry);
    block_unref(block); /* the reference that trace_log_submit() took */
    return true;
}

/* --- load --- */

void log_save_damaged(struct trace_log *log, const char *path, uint64_t offset, uint64_t len)
{
    enum { COPY_BYTES = 64 * 1024 };
    char dir[PATH_MAX];
    char copy[PATH_MAX];
    const char *file = strrchr(path, '/');
    const char *folder = file;
    struct error err;
    char **names = NULL;
    size_t count = 0;
    int from = -1;
    int to = -1;

    if (!log_partition_path(log, "corrupt", dir) || !fs_make_dirs(log->fs, dir, &err) ||
        log->fs->list(log->fs, dir, &names) != 0) {
        return;
    }
    while (names[count] != NULL) {
        count++;
    }
    fs_free_names(names);
    while (folder != NULL && folder > path && folder[-1] != '/') {
        folder--;
    }
    int n = snprintf(copy, sizeof(copy), "%s/%.*s-%s-%" PRIu64, dir,
                     file == NULL ? 0 : (int)(file - folder), folder == NULL ? "" : folder,
                     file == NULL ? path : file + 1, offset);
    if (count >= CORRUPT_FILES_MAX || n < 0 || (size_t)n >= sizeof(copy) ||
        !fs_open(log->fs, path, O_RDONLY, &from, &err)) {
        return;
    }
    uint8_t *bytes = mem_alloc(COPY_BYTES);
    bool ok = fs_open(log->fs, copy, O_WRONLY | O_CREAT | O_TRUNC, &to, &err);
    for (uint64_t done = 0; ok && done < len; done += COPY_BYTES) {
        uint64_t left = len - done;
        struct iovec iov = {.iov_base = bytes,
                            .iov_len = left < COPY_BYTES ? (size_t)left : COPY_BYTES};
        ok = fs_read_at(log->fs, from, path, bytes, iov.iov_len, offset + done, &err) &&
             fs_write_at(log->fs, to, copy, &iov, 1, done, &err);
    }
    fs_close(log->fs, from);
    fs_close(log->fs, to);
    free(bytes);
}

/* Take a block out of the list. false: another thread was faster. */
static bool forget(struct trace_log *log, const struct place *place)
{
    struct cached_block *gone = NULL;
    struct block_entry removed;

    log_lock(log);
    struct partition *p = log_partition(log, place->partition);
    bool was_there = p != NULL && p->loaded && partition_remove(p, place->entry.seq, &removed);
    if (was_there) {
        log->shared.bytes -= removed.stored_bytes;
    }
    block_cache_remove(&log->shared.full, place->entry.seq, &gone);
    block_cache_remove(&log->shared.tables, place->entry.seq, &gone);
    log_unlock(log);
    block_cache_release(gone);
    return was_there;
}

static void quarantine(struct trace_log *log, const struct place *place, const char *path,
                       const struct error *why)
{
    struct error err;

    if (!forget(log, place)) {
        return;
    }
    metric_add(METRIC_BLOCKS_QUARANTINED, 1);
    log_error("trace_log", "damaged block set aside",
              "seq=%" PRIu64 " spans=%" PRIu32 " error=\"%s\"", place->entry.seq,
              place->entry.span_count, why->message);
    log_save_damaged(log, path, place->entry.offset, place->entry.stored_bytes);
    if (!blockfile_mark_dead(log->fs, path, &place->entry, &err)) {
        log_warn("trace_log", "damaged block could not be marked", "seq=%" PRIu64 " error=\"%s\"",
                 place->entry.seq, err.message);
    }
}

static struct block *kept_block(struct trace_log *log, uint64_t seq)
{
    size_t low = log->shared.kept_head;
    size_t high = log->shared.kept_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->shared.kept[middle]->seq < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == log->shared.kept_count || log->shared.kept[low]->seq != seq) {
        return NULL;
    }
    return block_ref(log->shared.kept[low]);
}

static struct block *block_in_memory(struct trace_log *log, uint64_t seq, enum block_parts parts)
{
    log_lock(log);
    struct block *block = NULL;
    if (!log->config.persist) {
        block = kept_block(log, seq);
    } else {
        block = block_cache_get(&log->shared.full, seq);
        if (block == NULL && parts == BLOCK_TABLES) {
            block = block_cache_get(&log->shared.tables, seq);
        }
    }
    log_unlock(log);
    return block;
}

static void cache_loaded(struct trace_log *log, struct block *block, enum block_parts parts)
{
    struct cached_block *gone = NULL;
    struct place place;

    log_lock(log);
    if (look_up(log, block->seq, &place) != LOOKED_NONE) {
        block_cache_put(parts == BLOCK_ALL ? &log->shared.full : &log->shared.tables, block, &gone);
    }
    log_unlock(log);
    block_cache_release(gone);
}

bool trace_log_load(struct trace_log *log, uint64_t seq, enum block_parts parts, struct block **out,
                    struct error *err)
{
    struct place place;
    char path[PATH_MAX];

    struct block *block = block_in_memory(log, seq, parts);
    if (block != NULL) {
        *out = block;
        return true;
    }
    if (!log->config.persist || !find_block(log, seq, true, &place) || place.entry.seq != seq) {
        return error_set(err, ERR_NOT_FOUND, "block %" PRIu64 " is not in the trace log", seq);
    }
    if (!log_file_path(log, place.name, place.entry.file, path)) {
        return error_set(err, ERR_INVALID, "path of block %" PRIu64 " is too long", seq);
    }
    if (blockfile_load(log->fs, path, &place.entry, parts == BLOCK_ALL, log->budget, out, err)) {
        cache_loaded(log, *out, parts);
        return true;
    }
    if (err->code == ERR_NOT_FOUND) {
        (void)forget(log, &place);
    } else if (err->code == ERR_CORRUPT) {
        quarantine(log, &place, path, err);
    }
    return false;
}

/* --- waiting and accounting --- */

uint64_t trace_log_end(struct trace_log *log)
{
    log_lock(log);
    uint64_t end = log->shared.end;
    log_unlock(log);
    return end;
}

static bool has_block(const struct trace_log *log, uint64_t from)
{
    for (size_t i = log->shared.partition_count; i > 0; i--) {
        const struct partition *p = &log->shared.partitions[i - 1];
        if (p->block_count > 0) {
            uint64_t last = p->loaded ? p->entries[p->count - 1].seq : p->last_seq;
            return last >= from;
        }
    }
    return false;
}

bool trace_log_wait(struct trace_log *log, uint64_t from, uint64_t wait_ns)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t nanoseconds = (uint64_t)until.tv_nsec + wait_ns % NS_PER_S;
    /* A wait of centuries would overflow time_t arithmetic in the kernel. */
    uint64_t seconds = wait_ns / NS_PER_S > 1000000 ? 1000000 : wait_ns / NS_PER_S;
    until.tv_sec += (time_t)(seconds + nanoseconds / NS_PER_S);
    until.tv_nsec = (long)(nanoseconds % NS_PER_S);

    log_lock(log);
    uint64_t wakes = log->shared.wakes;
    bool found = has_block(log, from);
    while (!found && wakes == log->shared.wakes && wait_ns > 0) {
        int rc = pthread_cond_timedwait(&log->shared.stored, &log->shared.lock, &until);
        found = has_block(log, from);
        if (rc != 0) {
            break;
        }
    }
    log_unlock(log);
    return found;
}

void trace_log_wake(struct trace_log *log)
{
    log_lock(log);
    log->shared.wakes++;
    (void)pthread_cond_broadcast(&log->shared.stored);
    log_unlock(log);
}

static uint64_t partition_bytes_from(const struct partition *p, uint64_t from)
{
    uint64_t bytes = 0;

    if (p->block_count == 0 || p->last_seq < from) {
        return 0;
    }
    if (p->first_seq >= from) {
        return p->bytes;
    }
    if (!p->loaded) {
        uint64_t part = p->last_seq - from + 1;
        return (uint64_t)((double)p->bytes * (double)part /
                          (double)(p->last_seq - p->first_seq + 1));
    }
    for (const struct block_entry *e = partition_lower(p, from); e < p->entries + p->count; e++) {
        bytes += e->stored_bytes;
    }
    return bytes;
}

uint64_t trace_log_bytes_from(struct trace_log *log, uint64_t from)
{
    uint64_t bytes = 0;

    log_lock(log);
    for (size_t i = log->shared.partition_count; i > 0; i--) {
        const struct partition *p = &log->shared.partitions[i - 1];
        bytes += partition_bytes_from(p, from);
        if (p->first_seq < from) {
            break;
        }
    }
    log_unlock(log);
    return bytes;
}

void trace_log_set_cursor(struct trace_log *log, const char *sink, uint64_t seq)
{
    struct cached_block *gone = NULL;
    size_t i = 0;

    log_lock(log);
    while (i < log->shared.cursor_count && strcmp(log->shared.cursors[i].sink, sink) != 0) {
        i++;
    }
    if (i == log->shared.cursor_count) {
        log->shared.cursors =
            mem_realloc(log->shared.cursors, (i + 1) * sizeof(*log->shared.cursors));
        log->shared.cursors[log->shared.cursor_count++].sink = mem_strdup(sink);
    }
    log->shared.cursors[i].seq = seq;
    if (!log->config.persist) {
        log_trim_memory(log, &gone);
    }
    log_unlock(log);
    block_cache_release(gone);
}

void trace_log_set_replay_from(struct trace_log *log, uint64_t lsn)
{
    log_lock(log);
    if (lsn > log->shared.replay_from) {
        log->shared.replay_from = lsn;
    }
    log_unlock(log);
}

uint64_t trace_log_replay_from(struct trace_log *log)
{
    log_lock(log);
    uint64_t lsn = log->shared.replay_from;
    log_unlock(log);
    return lsn;
}

uint64_t log_delivered(const struct trace_log *log)
{
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < log->shared.cursor_count; i++) {
        if (log->shared.cursors[i].seq < least) {
            least = log->shared.cursors[i].seq;
        }
    }
    return least;
}

void trace_log_partition_dir(struct trace_log *log, uint64_t partition, char *out)
{
    char name[PARTITION_NAME_MAX];

    partition_name(log, partition, name);
    if (!log_partition_path(log, name, out)) {
        out[0] = '\0';
    }
}

uint64_t trace_log_bytes(struct trace_log *log)
{
    log_lock(log);
    uint64_t bytes = log->shared.bytes;
    log_unlock(log);
    return bytes;
}
