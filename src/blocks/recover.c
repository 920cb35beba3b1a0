/*
 * recover.c - what is on disk when the trace log is opened.
 *
 * Only directories of segment files are read, and headers where a file has none. A block counts as
 * stored when its sync returned, so only the newest block can be half written: it alone is read
 * whole. When its write had failed and was repeated, it stands in several files; the last whole
 * copy counts. What is found in files that were not finished is synced before it counts, because
 * the process may have been killed before it could.
 *
 * Nothing here needs a person: what is damaged is copied to corrupt/, counted and stepped over. But
 * a disk that does not answer fails the opening, as in the ingest log: going on without a file that
 * is there tomorrow would let destinations pass by its blocks.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>

struct folder {
    uint64_t start_ns;
    const char *name;
};

/* A file without a directory. */
struct unfinished {
    uint64_t partition;
    uint32_t number;
    uint64_t good_len;
};

struct recovery {
    struct trace_log *log;
    struct trace_log_recovery *report;
    uint64_t seq_max;
    struct unfinished *unfinished;
    size_t unfinished_count, unfinished_cap;
};

static void save_damaged(void *ctx, const char *path, uint64_t offset, uint64_t len)
{
    struct recovery *r = ctx;

    r->report->quarantined++;
    metric_add(METRIC_BLOCKS_QUARANTINED, 1);
    log_error("trace_log", "damaged stretch of a segment stepped over",
              "file=%s offset=%" PRIu64 " bytes=%" PRIu64, path, offset, len);
    log_save_damaged(r->log, path, offset, len);
}

static void note_unfinished(struct recovery *r, uint64_t partition, uint32_t number,
                            uint64_t good_len)
{
    if (r->unfinished_count == r->unfinished_cap) {
        r->unfinished_cap = r->unfinished_cap == 0 ? 8 : r->unfinished_cap * 2;
        r->unfinished = mem_realloc(r->unfinished, r->unfinished_cap * sizeof(*r->unfinished));
    }
    r->unfinished[r->unfinished_count++] =
        (struct unfinished){.partition = partition, .number = number, .good_len = good_len};
}

static const struct unfinished *find_unfinished(const struct recovery *r, uint64_t partition,
                                                uint32_t number)
{
    for (size_t i = 0; i < r->unfinished_count; i++) {
        if (r->unfinished[i].partition == partition && r->unfinished[i].number == number) {
            return &r->unfinished[i];
        }
    }
    return NULL;
}

/* The lists of all files in a folder. */
static bool list_folder(struct recovery *r, uint64_t partition, const char *name,
                        struct entry_list *list, uint32_t *file_max, struct error *err)
{
    const struct fs *fs = r->log->fs;
    char dir[PATH_MAX];
    char path[PATH_MAX];
    uint32_t *numbers = NULL;
    size_t count = 0;
    bool ok = true;

    if (!log_partition_path(r->log, name, dir)) {
        return error_set(err, ERR_INVALID, "path of partition %s is too long", name);
    }
    if (!partition_files(fs, dir, &numbers, &count, err)) {
        return false;
    }
    for (size_t i = 0; ok && i < count; i++) {
        struct blockfile_report found;
        *file_max = numbers[i];
        if (!blockfile_path(dir, numbers[i], path)) {
            ok = error_set(err, ERR_INVALID, "path of partition %s is too long", name);
        } else {
            ok = blockfile_list(fs, path, numbers[i], list, &found, save_damaged, r, err);
        }
        if (ok) {
            r->seq_max = found.seq_max > r->seq_max ? found.seq_max : r->seq_max;
        }
        if (ok && !found.has_directory) {
            note_unfinished(r, partition, numbers[i], found.good_len);
        }
    }
    free(numbers);
    return ok;
}

/* A folder without blocks: left by a crash between making it and the first block, or by a drop. */
static void remove_folder(struct trace_log *log, const char *name)
{
    char dir[PATH_MAX];
    char **names = NULL;

    if (!log_partition_path(log, name, dir) || log->fs->list(log->fs, dir, &names) != 0) {
        return;
    }
    for (size_t i = 0; names[i] != NULL; i++) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (n > 0 && (size_t)n < sizeof(path)) {
            (void)log->fs->unlink(log->fs, path);
        }
    }
    fs_free_names(names);
    (void)log->fs->rmdir(log->fs, dir);
}

/* Read the newest block as a whole; copies of it that are not whole go. */
static size_t check_newest(struct recovery *r, uint64_t partition, const char *name,
                           struct block_entry *entries, size_t count)
{
    struct trace_log *log = r->log;
    uint64_t seq = count > 0 ? entries[count - 1].seq : 0;

    while (count > 0 && entries[count - 1].seq == seq) {
        const struct block_entry *newest = &entries[count - 1];
        struct block *block = NULL;
        struct error err;
        char path[PATH_MAX];

        if (find_unfinished(r, partition, newest->file) == NULL ||
            !log_file_path(log, name, newest->file, path)) {
            break;
        }
        if (blockfile_load(log->fs, path, newest, true, log->budget, &block, &err)) {
            block_unref(block);
            break;
        }
        if (err.code != ERR_CORRUPT) {
            break; /* reading it later tells more */
        }
        save_damaged(r, path, newest->offset, newest->stored_bytes);
        if (!blockfile_mark_dead(log->fs, path, newest, &err)) {
            log_warn("trace_log", "half-written block could not be marked", "error=\"%s\"",
                     err.message);
        }
        count--;
    }
    return count;
}

static bool recover_folder(struct recovery *r, const struct folder *folder, bool newest,
                           struct error *err)
{
    struct trace_log *log = r->log;
    struct entry_list list = {0};
    uint32_t file_max = 0;
    size_t partitions = log->shared.partition_count;
    uint64_t id = folder->start_ns / log->config.partition_ns;

    /* Folders made with another partition length must not share a number. */
    if (partitions > 0 && id <= log->shared.partitions[partitions - 1].id) {
        id = log->shared.partitions[partitions - 1].id + 1;
    }
    if (!list_folder(r, id, folder->name, &list, &file_max, err)) {
        free(list.entries);
        return false;
    }
    entries_sort(list.entries, list.count);
    if (newest) {
        list.count = check_newest(r, id, folder->name, list.entries, list.count);
    }
    list.count = entries_dedupe(list.entries, list.count);
    if (list.count == 0) {
        remove_folder(log, folder->name);
    }
    if (list.count > 0) {
        struct partition *p = log_add_partition(log, id, folder->name);
        for (size_t i = 0; i < list.count; i++) {
            partition_push(p, &list.entries[i]);
        }
        p->file_max = file_max;
        p->used = ++log->shared.tick;
        log->shared.bytes += p->bytes;
        if (p->sealed_ns_max > log->shared.sealed_ns_last) {
            log->shared.sealed_ns_last = p->sealed_ns_max;
        }
        r->report->partitions++;
        r->report->blocks += p->block_count;
        r->report->bytes += p->bytes;
        log_unload_some(log, p);
    }
    free(list.entries);
    return true;
}

static bool sync_file(const struct fs *fs, const char *path, struct error *err)
{
    int fd = -1;

    if (!fs_open(fs, path, O_RDWR, &fd, err)) {
        return false;
    }
    bool ok = fs_sync(fs, fd, path, err);
    fs_close(fs, fd);
    return ok;
}

/*
 * A process that was killed may have left a block that is whole and not synced, in a file whose
 * name is not. It counts as stored from here on and the ingest log lets its records go, so it must
 * be as durable as any other before.
 */
static bool sync_unfinished(struct recovery *r, struct error *err)
{
    struct trace_log *log = r->log;

    for (size_t i = 0; i < r->unfinished_count; i++) {
        const struct unfinished *u = &r->unfinished[i];
        const struct partition *p = log_partition(log, u->partition);
        char path[PATH_MAX];
        char dir[PATH_MAX];

        if (p != NULL && log_file_path(log, p->name, u->number, path) &&
            log_partition_path(log, p->name, dir) &&
            !(sync_file(log->fs, path, err) && fs_sync_dir(log->fs, dir, err))) {
            return error_wrap(err, "make durable what was found");
        }
    }
    return r->unfinished_count == 0 || fs_sync_dir(log->fs, log->config.dir, err);
}

/* Give files their directory now, so that the next start need not walk them. */
static void finish_files(struct recovery *r)
{
    struct trace_log *log = r->log;

    for (size_t i = 0; i < r->unfinished_count; i++) {
        const struct unfinished *u = &r->unfinished[i];
        const struct partition *p = log_partition(log, u->partition);
        struct entry_list list = {0};
        struct error err;
        char path[PATH_MAX];

        if (p == NULL || !p->loaded || !log_file_path(log, p->name, u->number, path)) {
            continue;
        }
        for (size_t k = p->head; k < p->count; k++) {
            if (p->entries[k].file == u->number) {
                entry_list_push(&list, &p->entries[k]);
            }
        }
        if (list.count == 0) {
            (void)log->fs->unlink(log->fs, path);
        } else if (!blockfile_repair(log->fs, path, u->good_len, list.entries, list.count, &err)) {
            log_warn("trace_log", "segment could not be finished, its headers will be walked again",
                     "error=\"%s\"", err.message);
        }
        free(list.entries);
    }
}

static int compare_folders(const void *a, const void *b)
{
    const struct folder *left = a;
    const struct folder *right = b;

    return left->start_ns < right->start_ns ? -1 : left->start_ns > right->start_ns;
}

/*
 * The numbers kept when blocks were dropped; 0: none. A file that is there and cannot be read is
 * not the same as none: numbers given out twice would be passed by the destinations.
 */
static bool read_next_seq(struct trace_log *log, uint64_t *seq, struct error *err)
{
    char path[PATH_MAX];
    char *text = NULL;
    char *rest = NULL;
    size_t len = 0;

    *seq = 0;
    if (!log_partition_path(log, "next-seq", path)) {
        return error_set(err, ERR_INVALID, "path under %s is too long", log->config.dir);
    }
    if (!fs_read_file(log->fs, path, 64, &text, &len, err)) {
        return err->code == ERR_NOT_FOUND || err->code == ERR_CORRUPT || err->code == ERR_TOO_LARGE;
    }
    uint64_t next = strtoull(text, &rest, 10);
    uint64_t replay_from = strtoull(rest, NULL, 10);
    *seq = next == UINT64_MAX ? 0 : next;
    log->shared.replay_from = replay_from == UINT64_MAX ? 0 : replay_from;
    free(text);
    return true;
}

static bool lock_folder(struct trace_log *log, struct error *err)
{
    char path[PATH_MAX];

    if (!log_partition_path(log, "lock", path)) {
        return error_set(err, ERR_INVALID, "path under %s is too long", log->config.dir);
    }
    if (!fs_open(log->fs, path, O_RDWR | O_CREAT, &log->lock_fd, err)) {
        return false;
    }
    /* EBADF: a simulated file system, whose descriptors the kernel does not know. */
    if (flock(log->lock_fd, LOCK_EX | LOCK_NB) == 0 || errno == EBADF) {
        return true;
    }
    return errno == EWOULDBLOCK ? error_set(err, ERR_IN_USE, "another process uses it")
                                : error_set_errno(err, errno, "lock %s", path);
}

static void sync_parent(struct trace_log *log)
{
    char parent[PATH_MAX];
    struct error err;

    (void)snprintf(parent, sizeof(parent), "%s", log->config.dir);
    char *slash = strrchr(parent, '/');
    if (slash != NULL && slash != parent) {
        *slash = '\0';
        if (!fs_sync_dir(log->fs, parent, &err)) {
            log_warn("trace_log", "folder of the trace log may be lost in a power cut",
                     "error=\"%s\"", err.message);
        }
    }
}

bool log_recover(struct trace_log *log, struct trace_log_recovery *report, struct error *err)
{
    struct recovery r = {.log = log, .report = report};
    char **names = NULL;
    size_t count = 0;
    size_t folder_count = 0;
    bool ok = true;

    if (!fs_make_dirs(log->fs, log->config.dir, err) || !lock_folder(log, err)) {
        return false;
    }
    sync_parent(log);
    int rc = log->fs->list(log->fs, log->config.dir, &names);
    if (rc != 0) {
        return error_set_errno(err, -rc, "list %s", log->config.dir);
    }
    while (names[count] != NULL) {
        count++;
    }
    struct folder *folders = mem_alloc((count + 1) * sizeof(*folders));
    for (size_t i = 0; i < count; i++) {
        struct folder *folder = &folders[folder_count];
        if (partition_parse(names[i], &folder->start_ns)) {
            folder->name = names[i];
            folder_count++;
        }
    }
    qsort(folders, folder_count, sizeof(*folders), compare_folders);
    for (size_t i = 0; ok && i < folder_count; i++) {
        ok = recover_folder(&r, &folders[i], i + 1 == folder_count, err);
    }
    uint64_t kept = 0;
    ok = ok && sync_unfinished(&r, err) && read_next_seq(log, &kept, err);
    if (ok) {
        finish_files(&r);
        uint64_t next = r.seq_max + 1 + (report->quarantined > 0);
        log->shared.next_seq = kept > next ? kept : next;
    }
    free(r.unfinished);
    free(folders);
    fs_free_names(names);
    return ok;
}
