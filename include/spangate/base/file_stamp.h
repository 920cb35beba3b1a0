/*
 * file_stamp.h - whether a file is another one than it was: for certificates and secrets that are
 * replaced while we run. Links are followed, so a swapped link counts too.
 */
#ifndef SPANGATE_BASE_FILE_STAMP_H
#define SPANGATE_BASE_FILE_STAMP_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

struct file_stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed; /* of content, owner or permissions */
};

/* path NULL, or nothing there: all zero. */
struct file_stamp file_stamp(const char *path);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);

#endif
