/*
 * fs.h - every file operation of the logs, as a table that tests replace by a faulty or simulated
 * one.
 *
 * The functions in `struct fs` return 0 or a count on success and -errno on failure. The wrappers
 * below turn that into struct error with the path in it; use the wrappers. Paths are absolute or
 * relative to the process; nothing follows from the current folder changing, it never does.
 */
#ifndef SPANGATE_BASE_FS_H
#define SPANGATE_BASE_FS_H

#include <spangate/base/error.h>
#include <spangate/base/slice.h>
#include <sys/types.h>
#include <sys/uio.h>

struct fs {
    int (*open)(const struct fs *fs, const char *path, int flags, mode_t mode); /* fd */
    int (*close)(const struct fs *fs, int fd);
    int64_t (*pread)(const struct fs *fs, int fd, void *data, size_t len, uint64_t offset);
    int64_t (*pwritev)(const struct fs *fs, int fd, const struct iovec *iov, int count,
                       uint64_t offset);
    int (*fdatasync)(const struct fs *fs, int fd);
    int (*allocate)(const struct fs *fs, int fd, uint64_t len); /* reserve blocks, grow the size */
    int (*truncate)(const struct fs *fs, int fd, uint64_t len);
    int (*rename)(const struct fs *fs, const char *from, const char *to);
    int (*unlink)(const struct fs *fs, const char *path);
    int (*mkdir)(const struct fs *fs, const char *path, mode_t mode); /* 0 also when it exists */
    int (*rmdir)(const struct fs *fs, const char *path);
    int (*sync_dir)(const struct fs *fs, const char *path);
    /* Names in a folder, sorted, NULL-terminated, without "." and ".."; release with
     * fs_free_names. */
    int (*list)(const struct fs *fs, const char *path, char ***names);
    int (*size)(const struct fs *fs, const char *path, uint64_t *size);
    int (*free_space)(const struct fs *fs, const char *path, uint64_t *bytes);
};

extern const struct fs fs_posix;

/* Wrappers: bool + struct error. "what" they say is the operation and the path. */
bool fs_open(const struct fs *fs, const char *path, int flags, int *fd,
             struct error *err) MUST_CHECK;
void fs_close(const struct fs *fs, int fd); /* -1 is allowed */
/* Exactly len bytes; a short file is ERR_CORRUPT. name is for the message. */
bool fs_read_at(const struct fs *fs, int fd, const char *name, void *data, size_t len,
                uint64_t offset, struct error *err) MUST_CHECK;
/* All bytes, continuing after short writes. iov is changed. */
bool fs_write_at(const struct fs *fs, int fd, const char *name, struct iovec *iov, int count,
                 uint64_t offset, struct error *err) MUST_CHECK;
bool fs_sync(const struct fs *fs, int fd, const char *name, struct error *err) MUST_CHECK;
bool fs_sync_dir(const struct fs *fs, const char *path, struct error *err) MUST_CHECK;
/* The folder and its parents, mode 0700 for those made. */
bool fs_make_dirs(const struct fs *fs, const char *path, struct error *err) MUST_CHECK;
/* A whole small file (at most max bytes); release *data with free(). ERR_NOT_FOUND when absent. */
bool fs_read_file(const struct fs *fs, const char *path, size_t max, char **data, size_t *len,
                  struct error *err) MUST_CHECK;
/* Replace a file so that after a crash the old or the new content is there: tmp, sync, rename,
 * sync. */
bool fs_replace_file(const struct fs *fs, const char *path, struct slice content,
                     struct error *err) MUST_CHECK;
void fs_free_names(char **names);

#endif
