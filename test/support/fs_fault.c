/*
 * fs_fault.c - see fs_fault.h.
 */
#include "fs_fault.h"

#include <errno.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

enum verdict { PASS, FAIL };

static struct fs_fault *fault_of(const struct fs *fs)
{
    return (struct fs_fault *)(uintptr_t)fs;
}

static enum verdict judge(struct fs_fault *fault, enum fs_op op)
{
    enum verdict verdict = PASS;
    bool planned;

    if (fault->hook != NULL) {
        fault->hook(fault->hook_ctx, op);
    }
    (void)pthread_mutex_lock(&fault->lock);
    fault->calls[op]++;
    planned = fault->op == op || (fault->op == FS_OP_ANY && op != FS_OP_CLOSE);
    if (planned && fault->times > 0) {
        if (fault->skip > 0) {
            fault->skip--;
        } else {
            fault->times -= fault->times != UINT64_MAX;
            fault->fired++;
            verdict = FAIL;
        }
    }
    (void)pthread_mutex_unlock(&fault->lock);
    return verdict;
}

static bool sync_failed_before(const struct fs_fault *fault, int fd)
{
    for (size_t i = 0; i < fault->failed_sync_count; i++) {
        if (fault->failed_syncs[i] == fd) {
            return true;
        }
    }
    return false;
}

static void watch_resync(struct fs_fault *fault, int fd, bool failing)
{
    (void)pthread_mutex_lock(&fault->lock);
    fault->resyncs += sync_failed_before(fault, fd);
    if (failing) {
        fault->failed_syncs = mem_realloc(fault->failed_syncs, (fault->failed_sync_count + 1) *
                                                                   sizeof(*fault->failed_syncs));
        fault->failed_syncs[fault->failed_sync_count++] = fd;
    }
    (void)pthread_mutex_unlock(&fault->lock);
}

/* The kernel gives the number to another file. */
static void forget_descriptor(struct fs_fault *fault, int fd)
{
    size_t kept = 0;

    (void)pthread_mutex_lock(&fault->lock);
    for (size_t i = 0; i < fault->failed_sync_count; i++) {
        if (fault->failed_syncs[i] != fd) {
            fault->failed_syncs[kept++] = fault->failed_syncs[i];
        }
    }
    fault->failed_sync_count = kept;
    (void)pthread_mutex_unlock(&fault->lock);
}

static int fault_open(const struct fs *fs, const char *path, int flags, mode_t mode)
{
    struct fs_fault *fault = fault_of(fs);

    return judge(fault, FS_OP_OPEN) == FAIL ? -fault->sys_errno
                                            : fault->under->open(fault->under, path, flags, mode);
}

/* Closing always closes: a failing close still gives the descriptor back. */
static int fault_close(const struct fs *fs, int fd)
{
    struct fs_fault *fault = fault_of(fs);
    int rc;

    forget_descriptor(fault, fd);
    rc = fault->under->close(fault->under, fd);
    return judge(fault, FS_OP_CLOSE) == FAIL ? -fault->sys_errno : rc;
}

static int64_t fault_pread(const struct fs *fs, int fd, void *data, size_t len, uint64_t offset)
{
    struct fs_fault *fault = fault_of(fs);

    return judge(fault, FS_OP_PREAD) == FAIL
               ? -fault->sys_errno
               : fault->under->pread(fault->under, fd, data, len, offset);
}

/* Half of the bytes, at least one. */
static int64_t write_half(struct fs_fault *fault, int fd, const struct iovec *iov, int count,
                          uint64_t offset)
{
    struct iovec *half = mem_alloc((size_t)count * sizeof(*half));
    size_t left = 0;
    int64_t put;

    for (int i = 0; i < count; i++) {
        left += iov[i].iov_len;
    }
    left = left < 2 ? left : left / 2;
    for (int i = 0; i < count; i++) {
        half[i] = iov[i];
        half[i].iov_len = half[i].iov_len < left ? half[i].iov_len : left;
        left -= half[i].iov_len;
    }
    put = fault->under->pwritev(fault->under, fd, half, count, offset);
    free(half);
    return put;
}

static int64_t fault_pwritev(const struct fs *fs, int fd, const struct iovec *iov, int count,
                             uint64_t offset)
{
    struct fs_fault *fault = fault_of(fs);
    int64_t put;

    watch_resync(fault, fd, false);
    if (judge(fault, FS_OP_PWRITEV) == PASS) {
        return fault->under->pwritev(fault->under, fd, iov, count, offset);
    }
    if (fault->kind == FS_FAULT_FAIL) {
        return -fault->sys_errno;
    }
    put = write_half(fault, fd, iov, count, offset);
    return fault->kind == FS_FAULT_SHORT ? put : -fault->sys_errno;
}

static int fault_fdatasync(const struct fs *fs, int fd)
{
    struct fs_fault *fault = fault_of(fs);
    enum verdict verdict = judge(fault, FS_OP_FDATASYNC);

    watch_resync(fault, fd, verdict == FAIL);
    return verdict == FAIL ? -fault->sys_errno : fault->under->fdatasync(fault->under, fd);
}

static int fault_allocate(const struct fs *fs, int fd, uint64_t len)
{
    struct fs_fault *fault = fault_of(fs);

    return judge(fault, FS_OP_ALLOCATE) == FAIL ? -fault->sys_errno
                                                : fault->under->allocate(fault->under, fd, len);
}

static int fault_truncate(const struct fs *fs, int fd, uint64_t len)
{
    struct fs_fault *fault = fault_of(fs);

    return judge(fault, FS_OP_TRUNCATE) == FAIL ? -fault->sys_errno
                                                : fault->under->truncate(fault->under, fd, len);
}

static int fault_rename(const struct fs *fs, const char *from, const char *to)
{
    struct fs_fault *fault = fault_of(fs);

    return judge(fault, FS_OP_RENAME) == FAIL ? -fault->sys_errno
                                              : fault->under->rename(fault->under, from, to);
}

static int fault_unlink(const struct fs *fs, const char *path)
{
    struct fs_fault *fault = fault_of(fs);

    return judge(fault, FS_OP_UNLINK) == FAIL ? -fault->sys_errno
                                              : fault->under->unlink(fault->under, path);
}

static int fault_mkdir(const struct fs *fs, const char *path, mode_t mode)
{
    struct fs_fault *fault = fault_of(fs);

    return judge(fault, FS_OP_MKDIR) == FAIL ? -fault->sys_errno
                                             : fault->under->mkdir(fault->under, path, mode);
}

static int fault_rmdir(const struct fs *fs, const char *path)
{
    struct fs_fault *fault = fault_of(fs);

    return judge(fault, FS_OP_RMDIR) == FAIL ? -fault->sys_errno
                                             : fault->under->rmdir(fault->under, path);
}

static int fault_sync_dir(const struct fs *fs, const char *path)
{
    struct fs_fault *fault = fault_of(fs);

    return judge(fault, FS_OP_SYNC_DIR) == FAIL ? -fault->sys_errno
                                                : fault->under->sync_dir(fault->under, path);
}

static int fault_list(const struct fs *fs, const char *path, char ***names)
{
    struct fs_fault *fault = fault_of(fs);

    return judge(fault, FS_OP_LIST) == FAIL ? -fault->sys_errno
                                            : fault->under->list(fault->under, path, names);
}

static int fault_size(const struct fs *fs, const char *path, uint64_t *size)
{
    struct fs_fault *fault = fault_of(fs);

    return judge(fault, FS_OP_SIZE) == FAIL ? -fault->sys_errno
                                            : fault->under->size(fault->under, path, size);
}

static int fault_free_space(const struct fs *fs, const char *path, uint64_t *bytes)
{
    struct fs_fault *fault = fault_of(fs);

    return judge(fault, FS_OP_FREE_SPACE) == FAIL
               ? -fault->sys_errno
               : fault->under->free_space(fault->under, path, bytes);
}

void fs_fault_init(struct fs_fault *fault, const struct fs *under)
{
    *fault = (struct fs_fault){
        .fs =
            {
                .open = fault_open,
                .close = fault_close,
                .pread = fault_pread,
                .pwritev = fault_pwritev,
                .fdatasync = fault_fdatasync,
                .allocate = fault_allocate,
                .truncate = fault_truncate,
                .rename = fault_rename,
                .unlink = fault_unlink,
                .mkdir = fault_mkdir,
                .rmdir = fault_rmdir,
                .sync_dir = fault_sync_dir,
                .list = fault_list,
                .size = fault_size,
                .free_space = fault_free_space,
            },
        .under = under,
        .sys_errno = EIO,
    };
    (void)pthread_mutex_init(&fault->lock, NULL);
}

void fs_fault_deinit(struct fs_fault *fault)
{
    free(fault->failed_syncs);
    (void)pthread_mutex_destroy(&fault->lock);
}

void fs_fault_plan(struct fs_fault *fault, enum fs_op op, uint64_t nth, uint64_t times,
                   enum fs_fault_kind kind, int sys_errno)
{
    (void)pthread_mutex_lock(&fault->lock);
    fault->op = op;
    fault->kind = kind;
    fault->sys_errno = sys_errno;
    fault->skip = nth - 1;
    fault->times = times;
    fault->fired = 0;
    (void)pthread_mutex_unlock(&fault->lock);
}

void fs_fault_clear(struct fs_fault *fault)
{
    fs_fault_plan(fault, FS_OP_ANY, 1, 0, FS_FAULT_FAIL, EIO);
}
