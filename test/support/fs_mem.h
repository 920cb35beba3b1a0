/*
 * fs_mem.h - a file system in memory that can lose power.
 *
 * Every file has its live content and what is on the disk: fdatasync() copies the first to the
 * second. Folder entries become durable by sync_dir(). fs_mem_crash() is the power cut: each 4 KiB
 * page that was not synced is kept, dropped or torn at a 512-byte sector, an unsynced size change
 * happens or not, and of the unsynced creations, renames and removals a prefix survives, as on a
 * journaling file system. What a cut does follows from the seed alone. Folders made are durable at
 * once. Any thread may call.
 *
 * Descriptors are no kernel descriptors: they begin at FS_MEM_FD_FIRST.
 */
#ifndef SPANGATE_TEST_FS_MEM_H
#define SPANGATE_TEST_FS_MEM_H

#include <spangate/base/fs.h>

enum { FS_MEM_FD_FIRST = 1 << 24, FS_MEM_PAGE = 4096, FS_MEM_SECTOR = 512 };

struct fs_mem;

struct fs_mem *fs_mem_new(void);
void fs_mem_free(struct fs_mem *mem);
const struct fs *fs_mem_fs(struct fs_mem *mem);

/* Bytes that all files together may take; beyond, allocate and pwritev say ENOSPC. */
void fs_mem_set_space(struct fs_mem *mem, uint64_t bytes);

/*
 * End the process that uses it: descriptors are gone and every call fails with EIO until
 * fs_mem_restart(). After fs_mem_kill() (kill -9) all that was written is there; after
 * fs_mem_crash() (power cut) what was synced, and by the seed some of the rest.
 */
void fs_mem_kill(struct fs_mem *mem);
void fs_mem_crash(struct fs_mem *mem, uint64_t seed);
void fs_mem_restart(struct fs_mem *mem);

/*
 * A file's bytes as written, and changing them in place and durably: for tests that damage
 * files.
 */
bool fs_mem_read(struct fs_mem *mem, const char *path, uint8_t **data, size_t *len);
void fs_mem_write(struct fs_mem *mem, const char *path, const void *data, size_t len);

/* Descriptors open now: for leak checks. */
size_t fs_mem_open_count(struct fs_mem *mem);

#endif
