/*
 * file.c - the driver file: appends each batch to a file and syncs it.
 *
 *   json   one request a line, OTLP/JSON
 *   proto  u32 big-endian length, then that many bytes of protobuf, again and again
 *
 * A batch is delivered when it is on disk. What a crash or a full disk left half-written never
 * spoils what comes after it: after a torn line a new one is begun; a file of messages that ends
 * within one is set aside as if it were full, because nothing behind the tear could be found.
 *
 * Rotation renames the file to <name>-<UTC time><extension> and begins a new one.
 *
 * Threads: the runner's thread; interrupt from any.
 */

#include <fcntl.h>
#include <spangate/base/clock.h>
#include <spangate/base/fs.h>
#include <spangate/base/mem.h>
#include <spangate/export/export.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

/* 2026-01-31T10-20-30.123: sorts by age, and has no colon for the sake of other systems. */
enum { STAMP_LEN = 23 };

struct sink {
    const struct file_settings *settings;
    const struct fs *fs;
    int fd; /* -1: to be opened by the next batch */
    uint64_t size;
    bool torn; /* the last line has no end */
    char *directory;
    char *stem;            /* of the file name, without extension */
    const char *extension; /* with its dot, in settings->path; "" when there is none */
    atomic_bool interrupted;
};

/* --- names --- */

static void split_path(struct sink *sink)
{
    const char *path = sink->settings->path;
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(name, '.');

    if (slash == NULL) {
        sink->directory = mem_strdup(".");
    } else {
        sink->directory =
            slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
    }
    bool has_extension = dot != NULL && dot != name;
    sink->extension = has_extension ? dot : "";
    sink->stem = has_extension ? mem_strndup(name, (size_t)(dot - name)) : mem_strdup(name);
}

static void format_stamp(uint64_t wall_ns, char out[STAMP_LEN + 1])
{
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    struct tm utc;

    (void)gmtime_r(&seconds, &utc);
    size_t len = strftime(out, STAMP_LEN + 1, "%Y-%m-%dT%H-%M-%S", &utc);
    (void)snprintf(out + len, STAMP_LEN + 1 - len, ".%03u", (unsigned)(wall_ns / NS_PER_MS % 1000));
}

/* Where the current file goes; a name that is free. */
static char *backup_path(const struct sink *sink)
{
    for (uint64_t at = clock_wall(&clock_system);; at += NS_PER_MS) {
        char stamp[STAMP_LEN + 1];
        uint64_t size;
        format_stamp(at, stamp);
        char *path = mem_printf("%s/%s-%s%s", sink->directory, sink->stem, stamp, sink->extension);
        if (sink->fs->size(sink->fs, path, &size) != 0) {
            return path;
        }
        free(path);
    }
}

static bool is_stamp(const char *text)
{
    static const char shape[] = "0000-00-00T00-00-00.000";

    for (size_t i = 0; i < STAMP_LEN; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (shape[i] == '0' ? !digit : text[i] != shape[i]) {
            return false;
        }
    }
    return true;
}

static bool is_backup(const struct sink *sink, const char *name)
{
    size_t stem = strlen(sink->stem);

    return strlen(name) == stem + 1 + STAMP_LEN + strlen(sink->extension) &&
           strncmp(name, sink->stem, stem) == 0 && name[stem] == '-' && is_stamp(name + stem + 1) &&
           strcmp(name + stem + 1 + STAMP_LEN, sink->extension) == 0;
}

/* Remove the oldest beyond max_backups. What cannot be removed stays for the next time. */
static void prune(const struct sink *sink)
{
    char **names;
    size_t count = 0;

    if (sink->settings->max_backups == 0 ||
        sink->fs->list(sink->fs, sink->directory, &names) != 0) {
        return;
    }
    for (size_t i = 0; names[i] != NULL; i++) {
        count += is_backup(sink, names[i]);
    }
    for (size_t i = 0; names[i] != NULL && count > sink->settings->max_backups; i++) {
        if (is_backup(sink, names[i])) {
            char *path = mem_printf("%s/%s", sink->directory, names[i]);
            (void)sink->fs->unlink(sink->fs, path);
            free(path);
            count--;
        }
    }
    fs_free_names(names);
}

/* --- opening --- */

/* Whether the file ends within a message. */
static bool scan_messages(struct sink *sink, bool *torn, struct error *err)
{
    uint64_t at = 0;

    while (sink->size - at >= 4) {
        uint8_t head[4];
        if (!fs_read_at(sink->fs, sink->fd, sink->settings->path, head, sizeof(head), at, err)) {
            return false;
        }
        uint32_t len = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 |
                       (uint32_t)head[3];
        if (len > sink->size - at - 4) {
            break;
        }
        at += 4 + (uint64_t)len;
    }
    *torn = at != sink->size;
    return true;
}

static bool last_line_is_torn(struct sink *sink, bool *torn, struct error *err)
{
    char last = '\n';

    if (sink->size > 0 &&
        !fs_read_at(sink->fs, sink->fd, sink->settings->path, &last, 1, sink->size - 1, err)) {
        return false;
    }
    *torn = last != '\n';
    return true;
}

static void close_file(struct sink *sink)
{
    fs_close(sink->fs, sink->fd);
    sink->fd = -1;
}

static bool set_aside(struct sink *sink, struct error *err)
{
    close_file(sink);
    char *backup = backup_path(sink);
    int rc = sink->fs->rename(sink->fs, sink->settings->path, backup);
    bool ok = rc == 0 || error_set_errno(err, -rc, "rename %s to %s", sink->settings->path, backup);
    free(backup);
    return ok;
}

static bool open_file(struct sink *sink, int flags, struct error *err)
{
    const char *path = sink->settings->path;

    if (!fs_open(sink->fs, path, O_RDWR | O_CREAT | flags, &sink->fd, err)) {
        return false;
    }
    int rc = sink->fs->size(sink->fs, path, &sink->size);
    sink->torn = false;
    if (rc != 0) {
        (void)error_set_errno(err, -rc, "size of %s", path);
        close_file(sink);
        return false;
    }
    /* The file exists after a crash only once its directory entry is on disk. */
    if (!fs_sync_dir(sink->fs, sink->directory, err)) {
        close_file(sink);
        return false;
    }
    return true;
}

/* A fresh file; the old one, if any, was moved away. */
static bool open_fresh(struct sink *sink, struct error *err)
{
    bool ok = open_file(sink, O_EXCL, err);

    prune(sink);
    return ok;
}

/* Go on at the end of what is there. */
static bool open_end(struct sink *sink, struct error *err)
{
    bool torn;

    if (!open_file(sink, 0, err)) {
        return false;
    }
    bool ok = sink->settings->json ? last_line_is_torn(sink, &torn, err)
                                   : scan_messages(sink, &torn, err);
    if (!ok) {
        close_file(sink);
        return false;
    }
    if (torn && !sink->settings->json) {
        return set_aside(sink, err) && open_fresh(sink, err);
    }
    sink->torn = torn;
    return true;
}

static void file_close(struct sink *sink)
{
    close_file(sink);
    free(sink->directory);
    free(sink->stem);
    free(sink);
}

static bool check_path(const char *path, struct error *err)
{
    struct stat st;

    if (path == NULL || path[0] == '\0') {
        return error_set(err, ERR_INVALID, "path is missing");
    }
    /* Offsets, syncs and renames mean nothing to pipes and devices. */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return error_set(err, ERR_INVALID, "%s is no regular file", path);
    }
    return true;
}

static bool file_open(struct sink **out, const void *settings, struct error *err)
{
    const struct file_settings *file = settings;

    if (!check_path(file->path, err)) {
        return false;
    }
    struct sink *sink = mem_zalloc(1, sizeof(*sink));
    sink->settings = file;
    sink->fs = &fs_posix;
    sink->fd = -1;
    split_path(sink);
    /* A rotated file is a log of its own: it is continued, never emptied. */
    bool keep = file->append || file->rotate_bytes > 0;
    bool ok = !file->create_directory || fs_make_dirs(sink->fs, sink->directory, err);
    ok = ok && (keep ? open_end(sink, err) : open_file(sink, O_TRUNC, err));
    if (!ok) {
        file_close(sink);
        return false;
    }
    *out = sink;
    return true;
}

static enum sink_encoding file_encoding(const struct sink *sink)
{
    return sink->settings->json ? SINK_JSON : SINK_PROTOBUF;
}

/* --- deliver --- */

static uint64_t record_bytes(const struct sink *sink, struct slice body)
{
    return sink->settings->json ? (uint64_t)sink->torn + body.len + 1 : 4 + (uint64_t)body.len;
}

static bool make_room(struct sink *sink, uint64_t bytes, struct error *err)
{
    uint64_t limit = sink->settings->rotate_bytes;

    if (sink->fd < 0 && !open_end(sink, err)) {
        return false;
    }
    if (limit == 0 || sink->size == 0 || sink->size + bytes <= limit) {
        return true;
    }
    return set_aside(sink, err) && open_fresh(sink, err);
}

static void set_part(struct iovec *part, const void *bytes, size_t len)
{
    /* iovec has no const; nobody writes through it here. */
    memcpy(&part->iov_base, &bytes, sizeof(bytes));
    part->iov_len = len;
}

static bool write_record(struct sink *sink, struct slice body, struct error *err)
{
    struct iovec parts[3];
    uint8_t head[4] = {(uint8_t)(body.len >> 24), (uint8_t)(body.len >> 16),
                       (uint8_t)(body.len >> 8), (uint8_t)body.len};
    int count = 0;

    if (!sink->settings->json) {
        set_part(&parts[count++], head, sizeof(head));
    } else if (sink->torn) {
        set_part(&parts[count++], "\n", 1);
    }
    set_part(&parts[count++], body.data, body.len);
    if (sink->settings->json) {
        set_part(&parts[count++], "\n", 1);
    }
    return fs_write_at(sink->fs, sink->fd, sink->settings->path, parts, count, sink->size, err) &&
           fs_sync(sink->fs, sink->fd, sink->settings->path, err);
}

static bool append_record(struct sink *sink, struct slice body, struct error *err)
{
    if (body.len > UINT32_MAX) {
        return error_set(err, ERR_TOO_LARGE, "%zu bytes in one message", body.len);
    }
    if (!make_room(sink, record_bytes(sink, body), err)) {
        return false;
    }
    uint64_t bytes = record_bytes(sink, body); /* anew: another file may have been opened */
    if (!write_record(sink, body, err)) {
        /*
         * Take back what may have been written, and look at the file again before the next batch:
         * after a failed sync nobody knows what is in it.
         */
        (void)sink->fs->truncate(sink->fs, sink->fd, sink->size);
        close_file(sink);
        return false;
    }
    sink->size += bytes;
    sink->torn = false;
    return true;
}

static void file_deliver(struct sink *sink, const struct sink_batch *batch,
                         struct sink_outcome *out)
{
    *out = (struct sink_outcome){.verdict = SINK_DELIVERED};
    if (atomic_load(&sink->interrupted)) {
        out->verdict = SINK_RETRY;
        (void)error_set(&out->err, ERR_UNAVAILABLE, "%s: interrupted", sink->settings->path);
    } else if (!append_record(sink, batch->body, &out->err)) {
        out->verdict = out->err.code == ERR_TOO_LARGE ? SINK_TOO_LARGE : SINK_RETRY;
    }
}

/* A write to a disk cannot be cut short; the next batch is not begun. */
static void file_interrupt(struct sink *sink)
{
    atomic_store(&sink->interrupted, true);
}

const struct sink_driver file_driver = {
    .type = "file",
    .open = file_open,
    .encoding = file_encoding,
    .deliver = file_deliver,
    .interrupt = file_interrupt,
    .close = file_close,
};
