/*
 * fs_fault.h - a file system that fails when told to.
 *
 * Wraps any struct fs. A plan says: the nth call of an operation from now on fails with an errno,
 * and the `times - 1` calls after it too. For every-n-th-fault tests, loop over n until a run fires
 * no fault. Any thread may call the file operations; plan from one.
 */
#ifndef SPANGATE_TEST_FS_FAULT_H
#define SPANGATE_TEST_FS_FAULT_H

#include <pthread.h>
#include <spangate/base/fs.h>

enum fs_op {
    FS_OP_OPEN,
    FS_OP_CLOSE,
    FS_OP_PREAD,
    FS_OP_PWRITEV,
    FS_OP_FDATASYNC,
    FS_OP_ALLOCATE,
    FS_OP_TRUNCATE,
    FS_OP_RENAME,
    FS_OP_UNLINK,
    FS_OP_MKDIR,
    FS_OP_RMDIR,
    FS_OP_SYNC_DIR,
    FS_OP_LIST,
    FS_OP_SIZE,
    FS_OP_FREE_SPACE,
    FS_OPS,
    FS_OP_ANY = FS_OPS /* a plan for whatever comes, close excepted */
};

enum fs_fault_kind {
    FS_FAULT_FAIL,  /* nothing is done, the errno is returned */
    FS_FAULT_TORN,  /* pwritev: half of the bytes are written, then the errno is returned */
    FS_FAULT_SHORT, /* pwritev: half of the bytes are written, and their count returned */
};

struct fs_fault {
    struct fs fs; /* hand out &fault.fs */
    const struct fs *under;
    pthread_mutex_t lock;
    enum fs_op op;
    enum fs_fault_kind kind;
    int sys_errno;
    uint64_t skip, times; /* calls of op still to pass, then to fail */
    uint64_t fired;       /* faults since the plan was made */
    uint64_t calls[FS_OPS];
    int *failed_syncs; /* descriptors whose fdatasync failed */
    size_t failed_sync_count;
    uint64_t resyncs; /* fdatasync or pwritev on one of those: must stay 0 */
    /* Called before each operation when not NULL; it may change the plan. */
    void (*hook)(void *ctx, enum fs_op op);
    void *hook_ctx;
};

void fs_fault_init(struct fs_fault *fault, const struct fs *under); /* no plan */
void fs_fault_deinit(struct fs_fault *fault);

/* nth counts from 1. times UINT64_MAX: for good. Replaces the plan before; fired begins at 0. */
void fs_fault_plan(struct fs_fault *fault, enum fs_op op, uint64_t nth, uint64_t times,
                   enum fs_fault_kind kind, int sys_errno);
void fs_fault_clear(struct fs_fault *fault);

#endif
