/*
 * segment.c - see segment.h.
 */
#include "segment.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spangate/base/mem.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORD_BITS = 64, NAME_DIGITS = 16 };

struct segment *segment_new(const struct segment_header *header)
{
    struct segment *segment = mem_zalloc(1, sizeof(*segment));

    segment->number = header->number;
    segment->salt = header->salt;
    segment->base_lsn = header->base_lsn;
    segment->durable_lsn = header->durable_lsn;
    segment->file_bytes = header->file_bytes;
    segment->begin = SEGMENT_HEADER_BYTES;
    segment->written_end = SEGMENT_HEADER_BYTES;
    segment->end = SEGMENT_HEADER_BYTES;
    return segment;
}

void segment_free(struct segment *segment)
{
    free(segment->needed);
    free(segment);
}

void segment_need(struct segment *segment, uint64_t from, uint64_t to)
{
    size_t words = (size_t)((to - segment->base_lsn) / WORD_BITS) + 1;

    assert(from >= segment->base_lsn && to >= from);
    if (words > segment->needed_words) {
        size_t cap = words < 2 * segment->needed_words ? 2 * segment->needed_words : words;
        segment->needed = mem_realloc(segment->needed, cap * sizeof(*segment->needed));
        memset(segment->needed + segment->needed_words, 0,
               (cap - segment->needed_words) * sizeof(*segment->needed));
        segment->needed_words = cap;
    }
    for (uint64_t lsn = from; lsn <= to; lsn++) {
        uint64_t index = lsn - segment->base_lsn;
        segment->needed[index / WORD_BITS] |= UINT64_C(1) << index % WORD_BITS;
    }
    segment->needed_count += to - from + 1;
}

void segment_release(struct segment *segment, uint64_t lsn)
{
    uint64_t index = lsn - segment->base_lsn;
    uint64_t bit = UINT64_C(1) << index % WORD_BITS;

    if (index / WORD_BITS >= segment->needed_words ||
        (segment->needed[index / WORD_BITS] & bit) == 0) {
        return;
    }
    segment->needed[index / WORD_BITS] &= ~bit;
    segment->needed_count--;
}

uint64_t segment_oldest_needed(const struct segment *segment)
{
    if (segment->needed_count == 0) {
        return 0;
    }
    for (size_t i = 0; i < segment->needed_words; i++) {
        if (segment->needed[i] != 0) {
            return segment->base_lsn + i * WORD_BITS +
                   (uint64_t)__builtin_ctzll(segment->needed[i]);
        }
    }
    return 0;
}

void segment_path(const char *dir, uint64_t number, enum segment_name kind, char *out)
{
    (void)snprintf(out, PATH_MAX, "%s/%016" PRIx64 ".%s", dir, number,
                   kind == SEGMENT_LIVE ? "seg" : "spare");
}

bool segment_parse_name(const char *name, uint64_t *number, enum segment_name *kind)
{
    uint64_t value = 0;

    for (size_t i = 0; i < NAME_DIGITS; i++) {
        char c = name[i];
        if (c >= '0' && c <= '9') {
            value = value << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return false;
        }
    }
    if (strcmp(name + NAME_DIGITS, ".seg") == 0) {
        *kind = SEGMENT_LIVE;
    } else if (strcmp(name + NAME_DIGITS, ".spare") == 0) {
        *kind = SEGMENT_SPARE;
    } else {
        return false;
    }
    *number = value;
    return value > 0 && value <= SEGMENT_NUMBER_MAX;
}

bool segment_disk_error(struct error *err)
{
    if (err->code != ERR_LIMIT) {
        err->code = ERR_UNAVAILABLE;
    }
    return false;
}

bool segment_create(const struct fs *fs, const char *dir, struct segment_header *header,
                    uint64_t spare, int *fd, struct error *err)
{
    char path[PATH_MAX], spare_path[PATH_MAX];
    struct iovec iov = {.iov_base = header, .iov_len = sizeof(*header)};
    int file = -1;
    int rc;

    segment_path(dir, header->number, SEGMENT_LIVE, path);
    if (spare != 0) {
        segment_path(dir, spare, SEGMENT_SPARE, spare_path);
        rc = fs->rename(fs, spare_path, path);
        if (rc != 0) {
            error_set_errno(err, -rc, "rename %s", spare_path);
            return segment_disk_error(err);
        }
    }
    if (!fs_open(fs, path, O_RDWR | (spare != 0 ? 0 : O_CREAT | O_EXCL), &file, err)) {
        goto fail;
    }
    /* Reserve the blocks now: a full disk must stop us here and not in the middle of a record. */
    rc = fs->allocate(fs, file, header->file_bytes);
    if (rc != 0) {
        error_set_errno(err, -rc, "reserve %" PRIu64 " bytes for %s", header->file_bytes, path);
        goto fail;
    }
    if (!fs_sync_dir(fs, dir, err)) {
        goto fail;
    }
    header->flags = spare == 0 ? SEGMENT_FRESH : 0;
    segment_header_seal(header);
    if (!fs_write_at(fs, file, path, &iov, 1, 0, err)) {
        err->code = ERR_UNAVAILABLE;
        goto fail;
    }
    *fd = file;
    return true;

fail:
    fs_close(fs, file);
    (void)fs->unlink(fs, path);
    return segment_disk_error(err);
}
