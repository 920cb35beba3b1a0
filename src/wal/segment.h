/*
 * segment.h - one segment: its file, and what the log knows of its records.
 *
 * A file's lives:   created or taken from the spares -> appended to -> sealed -> retired when no
 * record is needed any more: it becomes a spare (NNNN.spare) or is unlinked. A spare is renamed to
 * the next number and begins again; recycled files cost half of fresh ones to write.
 */
#ifndef SPANGATE_SRC_WAL_SEGMENT_H
#define SPANGATE_SRC_WAL_SEGMENT_H

#include "format.h"

#include <limits.h>

struct segment {
    uint64_t number;
    uint64_t salt;
    uint64_t base_lsn;
    uint64_t durable_lsn; /* of its header: earlier segments' records beyond are void */
    uint64_t file_bytes;  /* what the file takes */
    uint64_t begin;       /* where records begin; later than usual if the header was lost */

    /* What is written, published or not: the log thread's until sealed, then under the lock. */
    uint64_t written_end;
    uint64_t written_last;

    /* Under the log's lock: what counts. */
    uint64_t end;      /* behind the last record */
    uint64_t last_lsn; /* 0: none */
    bool sealed;       /* nothing is appended any more */
    bool durable;      /* the header is surely on disk: after a power cut it tells the next lsn */
    uint64_t needed_count;
    uint64_t *needed; /* a bit a record, by lsn - base_lsn: not released yet */
    size_t needed_words;
};

struct segment *segment_new(const struct segment_header *header);
void segment_free(struct segment *segment);

/* All of [from, to] are needed. */
void segment_need(struct segment *segment, uint64_t from, uint64_t to);
void segment_release(struct segment *segment, uint64_t lsn);   /* nothing if it was not needed */
uint64_t segment_oldest_needed(const struct segment *segment); /* 0: none */

/* Whether its header makes records of earlier segments void. */
static inline bool segment_voids(const struct segment *segment)
{
    return segment->durable_lsn + 1 < segment->base_lsn;
}

enum segment_name { SEGMENT_LIVE, SEGMENT_SPARE };

/* out holds PATH_MAX bytes. */
void segment_path(const char *dir, uint64_t number, enum segment_name kind, char *out);
/* false: the name is none of ours. */
bool segment_parse_name(const char *name, uint64_t *number, enum segment_name *kind);

/*
 * Make the file of `header->number`: from the spare with that number, or anew when spare is 0.
 * header->file_bytes are reserved; then the folder is synced, and only then the header is
 * written: a recycled file's old bytes stay whole until its new name is durable. On failure
 * nothing is left, the spare neither. ERR_LIMIT: the disk is full, and no header was written.
 * ERR_UNAVAILABLE: it failed; a crash may bring the header back, so no earlier segment may go on.
 */
bool segment_create(const struct fs *fs, const char *dir, struct segment_header *header,
                    uint64_t spare, int *fd, struct error *err) MUST_CHECK;

/* The code that callers may act on: a full disk is ERR_LIMIT, anything else ERR_UNAVAILABLE. */
bool segment_disk_error(struct error *err);

#endif
