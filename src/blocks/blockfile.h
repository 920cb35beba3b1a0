/*
 * blockfile.h - a segment file of the trace log: blocks one after the other, then a directory of
 * them.
 *
 *   block | padding to 64 | block | padding … | directory | trailer
 *
 * The directory is written when the file is finished. Without one (the file was being written when
 * the process ended, or its disk failed) the blocks are found by walking their headers. A file is
 * never continued after a failure or a restart: what comes next goes into a new one.
 */
#ifndef SPANGATE_SRC_BLOCKS_BLOCKFILE_H
#define SPANGATE_SRC_BLOCKS_BLOCKFILE_H

#include "format.h"

#include <limits.h>
#include <spangate/base/fs.h>

/* One block as the log remembers it. */
struct block_entry {
    uint64_t seq;
    uint64_t sealed_ns;
    uint64_t start_ns_min, start_ns_max;
    uint64_t lsn_max;
    uint64_t stored_bytes;
    uint32_t trace_count, span_count;
    uint32_t file;   /* number of the segment file within its partition */
    uint32_t offset; /* in it */
};

struct entry_list {
    struct block_entry *entries;
    size_t count, cap;
};

void entry_list_push(struct entry_list *list, const struct block_entry *entry);

/* What reading a file's list of blocks found beside the blocks. */
struct blockfile_report {
    bool has_directory;
    uint64_t size;
    uint64_t good_len; /* where the last block ends; behind it nothing is usable */
    uint64_t seq_max;  /* highest seq of any intact header, also of blocks cut short or set aside */
    size_t damaged;    /* stretches stepped over */
};

/* Told of each damaged stretch, for saving a copy. */
typedef void blockfile_damaged_fn(void *ctx, const char *path, uint64_t offset, uint64_t len);

/*
 * Append the entries of all blocks in the file, in order of offset. Damage is stepped over and
 * told (damaged may be NULL). Fails when the file cannot be read, and with ERR_UNSUPPORTED when a
 * newer version wrote it.
 */
bool blockfile_list(const struct fs *fs, const char *path, uint32_t number, struct entry_list *out,
                    struct blockfile_report *report, blockfile_damaged_fn *damaged, void *ctx,
                    struct error *err) MUST_CHECK;

/* Give a file without a directory one, cutting off what is behind good_len. */
bool blockfile_repair(const struct fs *fs, const char *path, uint64_t good_len,
                      const struct block_entry *entries, size_t count,
                      struct error *err) MUST_CHECK;

/* Read one block. ERR_NOT_FOUND: no such file, or the block was set aside. ERR_CORRUPT. */
bool blockfile_load(const struct fs *fs, const char *path, const struct block_entry *entry,
                    bool with_raw, struct budget *budget, struct block **out,
                    struct error *err) MUST_CHECK;

/* Overwrite the header of a damaged block so that nobody finds it again. */
bool blockfile_mark_dead(const struct fs *fs, const char *path, const struct block_entry *entry,
                         struct error *err) MUST_CHECK;

/* A file being written. One owner. */
struct blockfile_writer {
    const struct fs *fs;
    int fd; /* -1: none open */
    uint32_t number;
    uint64_t salt;   /* for block_encode() */
    uint64_t offset; /* end of the last block that was synced, aligned */
    bool linked;     /* the folder was synced since the file was made */
    struct entry_list entries;
    char dir[PATH_MAX - 32]; /* leaves room for the name */
    char path[PATH_MAX];
};

/* The path of a segment file. out holds PATH_MAX bytes. false: too long. */
bool blockfile_path(const char *dir, uint32_t number, char *out);

/* Create a file with this number; ERR_IN_USE when there is one. */
bool blockfile_create(struct blockfile_writer *w, const char *dir, uint32_t number,
                      struct error *err) MUST_CHECK;

/*
 * Append and sync one block; entry->file and offset are set. After a failure the file must be
 * abandoned: a sync that failed once proves nothing when it succeeds later.
 */
bool blockfile_append(struct blockfile_writer *w, const struct block_image *image,
                      struct block_entry *entry, struct error *err) MUST_CHECK;

/* Write the directory and close. If that fails the file is read by walking, which costs time only.
 * */
void blockfile_finish(struct blockfile_writer *w);

/* Cut the file behind its last synced block, as far as the disk lets us, and close it. */
void blockfile_abandon(struct blockfile_writer *w);

#endif
