/*
 * file_stamp.c - see file_stamp.h.
 */
#include <spangate/base/file_stamp.h>

#include <stddef.h>
#include <sys/stat.h>

struct file_stamp file_stamp(const char *path)
{
    struct file_stamp stamp = {0};
    struct stat st;

    if (path != NULL && stat(path, &st) == 0) {
        stamp = (struct file_stamp){
            .dev = st.st_dev, .ino = st.st_ino, .size = st.st_size, .changed = st.st_ctim};
    }
    return stamp;
}

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}
