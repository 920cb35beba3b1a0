/*
 * fs.c - the POSIX file system, and the wrappers that name what failed.
 */
#include <spangate/base/fs.h>

#include <spangate/base/mem.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int result(int rc)
{
    return rc < 0 ? -errno : rc;
}

static int posix_open(const struct fs *fs, const char *path, int flags, mode_t mode)
{
    (void)fs;
    return result(open(path, flags | O_CLOEXEC, mode));
}

static int posix_close(const struct fs *fs, int fd)
{
    (void)fs;
    return result(close(fd));
}

static int64_t posix_pread(const struct fs *fs, int fd, void *data, size_t len, uint64_t offset)
{
    (void)fs;
    ssize_t got = pread(fd, data, len, (off_t)offset);
    return got < 0 ? -errno : got;
}

static int64_t posix_pwritev(const struct fs *fs, int fd, const struct iovec *iov, int count,
                             uint64_t offset)
{
    (void)fs;
    ssize_t put = pwritev(fd, iov, count, (off_t)offset);
    return put < 0 ? -errno : put;
}

static int posix_fdatasync(const struct fs *fs, int fd)
{
    (void)fs;
    return result(fdatasync(fd));
}

static int posix_allocate(const struct fs *fs, int fd, uint64_t len)
{
    (void)fs;
    return -posix_fallocate(fd, 0, (off_t)len);
}

static int posix_truncate(const struct fs *fs, int fd, uint64_t len)
{
    (void)fs;
    return result(ftruncate(fd, (off_t)len));
}

static int posix_rename(const struct fs *fs, const char *from, const char *to)
{
    (void)fs;
    return result(rename(from, to));
}

static int posix_unlink(const struct fs *fs, const char *path)
{
    (void)fs;
    return result(unlink(path));
}

static int posix_mkdir(const struct fs *fs, const char *path, mode_t mode)
{
    (void)fs;
    int rc = result(mkdir(path, mode));
    return rc == -EEXIST ? 0 : rc;
}

static int posix_rmdir(const struct fs *fs, const char *path)
{
    (void)fs;
    return result(rmdir(path));
}

static int posix_sync_dir(const struct fs *fs, const char *path)
{
    (void)fs;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int rc = result(fsync(fd));
    (void)close(fd);
    return rc;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int posix_list(const struct fs *fs, const char *path, char ***names)
{
    (void)fs;
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return -errno;
    }
    char **list = mem_alloc(sizeof(*list));
    size_t count = 0;
    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        list = mem_realloc(list, (count + 2) * sizeof(*list));
        list[count++] = mem_strdup(entry->d_name);
    }
    int failed = errno;
    (void)closedir(dir);
    list[count] = NULL;
    if (failed != 0) {
        fs_free_names(list);
        return -failed;
    }
    qsort(list, count, sizeof(*list), compare_names);
    *names = list;
    return 0;
}

static int posix_size(const struct fs *fs, const char *path, uint64_t *size)
{
    (void)fs;
    struct stat st;
    if (stat(path, &st) != 0) {
        return -errno;
    }
    *size = (uint64_t)st.st_size;
    return 0;
}

static int posix_free_space(const struct fs *fs, const char *path, uint64_t *bytes)
{
    (void)fs;
    struct statvfs st;
    if (statvfs(path, &st) != 0) {
        return -errno;
    }
    *bytes = (uint64_t)st.f_bavail * (uint64_t)st.f_frsize;
    return 0;
}

const struct fs fs_posix = {
    .open = posix_open,
    .close = posix_close,
    .pread = posix_pread,
    .pwritev = posix_pwritev,
    .fdatasync = posix_fdatasync,
    .allocate = posix_allocate,
    .truncate = posix_truncate,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .mkdir = posix_mkdir,
    .rmdir = posix_rmdir,
    .sync_dir = posix_sync_dir,
    .list = posix_list,
    .size = posix_size,
    .free_space = posix_free_space,
};

bool fs_open(const struct fs *fs, const char *path, int flags, int *fd, struct error *err)
{
    int rc = fs->open(fs, path, flags, 0600);
    if (rc < 0) {
        return error_set_errno(err, -rc, "open %s", path);
    }
    *fd = rc;
    return true;
}

void fs_close(const struct fs *fs, int fd)
{
    if (fd >= 0) {
        (void)fs->close(fs, fd);
    }
}

bool fs_read_at(const struct fs *fs, int fd, const char *name, void *data, size_t len,
                uint64_t offset, struct error *err)
{
    uint8_t *at = data;
    while (len > 0) {
        int64_t got = fs->pread(fs, fd, at, len, offset);
        if (got == -EINTR) {
            continue;
        }
        if (got < 0) {
            return error_set_errno(err, (int)-got, "read %s", name);
        }
        if (got == 0) {
            return error_set(err, ERR_CORRUPT, "read %s: the file ends %zu bytes early", name, len);
        }
        at += got;
        offset += (uint64_t)got;
        len -= (size_t)got;
    }
    return true;
}

bool fs_write_at(const struct fs *fs, int fd, const char *name, struct iovec *iov, int count,
                 uint64_t offset, struct error *err)
{
    while (count > 0) {
        if (iov->iov_len == 0) {
            iov++;
            count--;
            continue;
        }
        int64_t put = fs->pwritev(fs, fd, iov, count < IOV_MAX ? count : IOV_MAX, offset);
        if (put == -EINTR) {
            continue;
        }
        if (put <= 0) {
            return error_set_errno(err, put == 0 ? EIO : (int)-put, "write %s", name);
        }
        offset += (uint64_t)put;
        size_t left = (size_t)put;
        while (left > 0) {
            size_t part = left < iov->iov_len ? left : iov->iov_len;
            iov->iov_base = (uint8_t *)iov->iov_base + part;
            iov->iov_len -= part;
            left -= part;
            if (iov->iov_len == 0) {
                iov++;
                count--;
            }
        }
    }
    return true;
}

bool fs_sync(const struct fs *fs, int fd, const char *name, struct error *err)
{
    int rc = fs->fdatasync(fs, fd);
    return rc == 0 || error_set_errno(err, -rc, "sync %s", name);
}

bool fs_sync_dir(const struct fs *fs, const char *path, struct error *err)
{
    int rc = fs->sync_dir(fs, path);
    return rc == 0 || error_set_errno(err, -rc, "sync folder %s", path);
}

bool fs_make_dirs(const struct fs *fs, const char *path, struct error *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(part)) {
        return error_set(err, ERR_INVALID, "folder name of %zu bytes", len);
    }
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        int rc = fs->mkdir(fs, part, 0700);
        /* A parent that exists may forbid creation in it (EROFS, EACCES): only the last one
         * counts. */
        if (rc != 0 && i == len) {
            return error_set_errno(err, -rc, "create folder %s", part);
        }
    }
    return true;
}

bool fs_read_file(const struct fs *fs, const char *path, size_t max, char **data, size_t *len,
                  struct error *err)
{
    uint64_t size = 0;
    int rc = fs->size(fs, path, &size);
    if (rc != 0) {
        return error_set_errno(err, -rc, "read %s", path);
    }
    if (size > max) {
        return error_set(err, ERR_TOO_LARGE, "read %s: %llu bytes, at most %zu", path,
                         (unsigned long long)size, max);
    }
    int fd = -1;
    if (!fs_open(fs, path, O_RDONLY, &fd, err)) {
        return false;
    }
    char *text = mem_alloc((size_t)size + 1);
    bool ok = fs_read_at(fs, fd, path, text, (size_t)size, 0, err);
    fs_close(fs, fd);
    if (!ok) {
        free(text);
        return false;
    }
    text[size] = '\0';
    *data = text;
    *len = (size_t)size;
    return true;
}

bool fs_replace_file(const struct fs *fs, const char *path, struct slice content, struct error *err)
{
    char fresh[PATH_MAX];
    char dir[PATH_MAX];
    int n = snprintf(fresh, sizeof(fresh), "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof(fresh)) {
        return error_set(err, ERR_INVALID, "path %s is too long", path);
    }
    const char *slash = strrchr(path, '/');
    (void)snprintf(dir, sizeof(dir), "%.*s", slash == NULL ? 1 : (int)(slash - path),
                   slash == NULL ? "." : path);

    int fd = -1;
    if (!fs_open(fs, fresh, O_WRONLY | O_CREAT | O_TRUNC, &fd, err)) {
        return false;
    }
    struct iovec iov = {.iov_base = (void *)(uintptr_t)content.data, .iov_len = content.len};
    bool ok = fs_write_at(fs, fd, fresh, &iov, 1, 0, err) && fs_sync(fs, fd, fresh, err);
    fs_close(fs, fd);
    if (!ok) {
        (void)fs->unlink(fs, fresh);
        return false;
    }
    int rc = fs->rename(fs, fresh, path);
    if (rc != 0) {
        (void)fs->unlink(fs, fresh);
        return error_set_errno(err, -rc, "rename %s", fresh);
    }
    return fs_sync_dir(fs, dir, err);
}

void fs_free_names(char **names)
{
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        free(names[i]);
    }
    free(names);
}
