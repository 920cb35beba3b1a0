/*
 * scan.h - the records of one segment file, one after the other, with large reads.
 *
 * Replay and readers share it. Where the bytes are no record, it looks forward, eight bytes at a
 * time, for the next record of this segment and life, and reports the stretch between. Memory: the
 * chunk, or the largest record met.
 */
#ifndef SPANGATE_SRC_WAL_SCAN_H
#define SPANGATE_SRC_WAL_SCAN_H

#include "format.h"

struct scan {
    const struct fs *fs;
    int fd;
    char name[24]; /* for messages */
    uint64_t number;
    uint64_t salt;
    bool salt_known;   /* false: the segment header is lost; the first record tells */
    uint64_t base_lsn; /* lower bound of what the first record may have; 0 with salt_known false */
    uint64_t last_lsn; /* of the last record seen; before: the last of the segment before, or 0 */
    uint64_t offset;   /* where the next record is expected */
    uint64_t back_offset, back_lsn; /* offset and last_lsn before the last record */
    uint64_t end;                   /* bytes behind are not looked at */
    size_t chunk;                   /* bytes of one read */
    uint8_t *buf;                   /* file bytes [buf_offset, buf_offset + buf_len) */
    size_t buf_cap, buf_len;
    uint64_t buf_offset;
};

/* A stretch that is no record. */
struct scan_gap {
    uint64_t from, to;
    uint64_t lsn; /* of the record when its header is whole, else 0 */
    struct error reason;
};

enum scan_step {
    SCAN_RECORD, /* *record is filled; the payload is valid until the next call */
    SCAN_GAP,    /* *gap is filled, and more may follow */
    SCAN_END,    /* no record up to end. gap: what is not zero there; empty if nothing */
    SCAN_FAILED, /* reading failed or the version is not ours; err. May be called again. */
};

/* fd is borrowed until scan_deinit(). Begins behind the segment header. */
void scan_init(struct scan *scan, const struct fs *fs, int fd, uint64_t number, uint64_t end,
               size_t chunk);
void scan_deinit(struct scan *scan); /* frees the buffer; does not close */

enum scan_step scan_next(struct scan *scan, struct wal_record *record, struct scan_gap *gap,
                         struct error *err);

/* Go back to before the record that scan_next() returned last. Once. */
void scan_step_back(struct scan *scan);

#endif
