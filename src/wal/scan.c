/*
 * scan.c - see scan.h.
 */
#include "scan.h"

#include <inttypes.h>
#include <spangate/base/mem.h>
#include <stdio.h>
#include <stdlib.h>

void scan_init(struct scan *scan, const struct fs *fs, int fd, uint64_t number, uint64_t end,
               size_t chunk)
{
    *scan = (struct scan){
        .fs = fs,
        .fd = fd,
        .number = number,
        .offset = SEGMENT_HEADER_BYTES,
        .end = end,
        .chunk = chunk,
    };
    (void)snprintf(scan->name, sizeof(scan->name), "%016" PRIx64 ".seg", number);
}

void scan_deinit(struct scan *scan)
{
    free(scan->buf);
    scan->buf = NULL;
}

static size_t buffered(const struct scan *scan, uint64_t offset)
{
    return offset >= scan->buf_offset && offset < scan->buf_offset + scan->buf_len
               ? (size_t)(scan->buf_offset + scan->buf_len - offset)
               : 0;
}

static const uint8_t *at(const struct scan *scan, uint64_t offset)
{
    return scan->buf + (offset - scan->buf_offset);
}

/* Have the bytes [offset, offset + need) in the buffer, and more while we are at it. */
static bool fill(struct scan *scan, uint64_t offset, size_t need, struct error *err)
{
    size_t have = buffered(scan, offset);
    size_t want = need > scan->chunk ? need : scan->chunk;

    if (have >= need) {
        return true;
    }
    if (want > scan->end - offset) {
        want = (size_t)(scan->end - offset);
    }
    if (have > 0) {
        memmove(scan->buf, at(scan, offset), have);
    }
    if (want > scan->buf_cap || scan->buf_cap > 4 * scan->chunk) {
        scan->buf_cap = want; /* small files need no whole chunk */
        scan->buf = mem_realloc(scan->buf, scan->buf_cap);
    }
    scan->buf_offset = offset;
    scan->buf_len = have;
    if (!fs_read_at(scan->fs, scan->fd, scan->name, scan->buf + have, want - have, offset + have,
                    err)) {
        return false;
    }
    scan->buf_len = want;
    return true;
}

/* What only the place tells: the lsn must fit between its neighbours, the bytes into the file. */
static bool fits(const struct scan *scan, const struct record_header *header, uint64_t offset)
{
    uint64_t index_max = (offset - SEGMENT_HEADER_BYTES) / RECORD_HEADER_BYTES;

    if (header->lsn <= scan->last_lsn || header->lsn > LSN_MAX ||
        record_bytes(header->length) > scan->end - offset) {
        return false;
    }
    return !scan->salt_known ||
           (header->lsn >= scan->base_lsn && header->lsn - scan->base_lsn <= index_max);
}

static enum header_verdict check_at(const struct scan *scan, uint64_t offset, size_t len,
                                    struct record_header *header, struct error *err)
{
    enum header_verdict verdict =
        record_header_check((struct slice){at(scan, offset), len}, scan->number,
                            scan->salt_known ? &scan->salt : NULL, header, err);

    if ((verdict == HEADER_OK || header->length > 0) && !fits(scan, header, offset)) {
        header->length = 0;
        verdict = HEADER_DAMAGED;
        error_set(err, ERR_CORRUPT, "lsn or length does not fit its place");
    }
    return verdict;
}

/*
 * From scan->offset on, the next place that holds a record header of ours: *found, or scan->end.
 * *used_end: behind the last byte that is not zero before it.
 */
static bool look_forward(struct scan *scan, uint64_t *found, uint64_t *used_end, struct error *err)
{
    uint64_t offset = scan->offset;
    bool first = true;

    *used_end = offset;
    while (scan->end - offset >= RECORD_ALIGN) {
        size_t len;
        if (!fill(scan, offset, RECORD_ALIGN, err)) {
            return false;
        }
        len = buffered(scan, offset);
        if (len < RECORD_HEADER_BYTES && scan->end - offset >= RECORD_HEADER_BYTES) {
            if (!fill(scan, offset, RECORD_HEADER_BYTES, err)) {
                return false;
            }
            len = buffered(scan, offset);
        }
        for (; len >= RECORD_ALIGN; len -= RECORD_ALIGN, offset += RECORD_ALIGN) {
            uint64_t word;
            memcpy(&word, at(scan, offset), sizeof(word));
            if ((uint32_t)word == RECORD_MAGIC && !first) {
                struct record_header header;
                struct error ignored;
                if (len < RECORD_HEADER_BYTES && scan->end - offset >= RECORD_HEADER_BYTES) {
                    break; /* read on, then look again */
                }
                if (check_at(scan, offset, len, &header, &ignored) == HEADER_OK) {
                    *found = offset;
                    return true;
                }
            }
            first = false;
            *used_end = word != 0 ? offset + RECORD_ALIGN : *used_end;
        }
    }
    *found = scan->end;
    return true;
}

static enum scan_step step_over(struct scan *scan, struct scan_gap *gap, struct error *err)
{
    uint64_t found, used_end;

    if (!look_forward(scan, &found, &used_end, err)) {
        return SCAN_FAILED;
    }
    gap->from = scan->offset;
    if (found < scan->end) {
        gap->to = found;
        scan->offset = found;
        return SCAN_GAP;
    }
    gap->to = used_end;
    return SCAN_END;
}

static void adopt(struct scan *scan, const struct record_header *header)
{
    uint64_t before = (scan->offset - SEGMENT_HEADER_BYTES) / RECORD_HEADER_BYTES;
    uint64_t least = header->lsn > before ? header->lsn - before : 1;

    scan->salt = header->salt;
    scan->salt_known = true;
    scan->base_lsn = least > scan->last_lsn ? least : scan->last_lsn + 1;
}

enum scan_step scan_next(struct scan *scan, struct wal_record *record, struct scan_gap *gap,
                         struct error *err)
{
    struct record_header header;
    enum header_verdict verdict;
    struct slice payload;
    size_t need = RECORD_HEADER_BYTES;

    *gap = (struct scan_gap){.from = scan->offset, .to = scan->offset};
    if (scan->offset >= scan->end) {
        return SCAN_END;
    }
    if (need > scan->end - scan->offset) {
        need = (size_t)(scan->end - scan->offset);
    }
    if (!fill(scan, scan->offset, need, err)) {
        return SCAN_FAILED;
    }
    verdict = check_at(scan, scan->offset, need, &header, &gap->reason);
    if (verdict == HEADER_UNSUPPORTED) {
        *err = gap->reason;
        error_wrap(err, "%s at %" PRIu64, scan->name, scan->offset);
        return SCAN_FAILED;
    }
    if (verdict != HEADER_OK && header.length == 0) {
        return step_over(scan, gap, err);
    }
    if (!fill(scan, scan->offset, (size_t)record_bytes(header.length), err)) {
        return SCAN_FAILED;
    }
    payload = (struct slice){at(scan, scan->offset) + RECORD_HEADER_BYTES, header.length};
    if (verdict != HEADER_OK || !record_payload_check(&header, payload, &gap->reason)) {
        /* The header is whole, so its length holds, and the next record stands behind it. */
        gap->to = scan->offset + record_bytes(header.length);
        gap->lsn = header.lsn;
        scan->offset = gap->to;
        if (scan->salt_known) {
            scan->last_lsn = header.lsn;
        }
        return SCAN_GAP;
    }
    if (!scan->salt_known) {
        adopt(scan, &header);
    }
    *record = (struct wal_record){
        .lsn = header.lsn,
        .signal = (enum otlp_signal)(header.tag - 1),
        .route = header.route,
        .received_ns = header.received_ns,
        .payload = payload,
    };
    scan->back_offset = scan->offset;
    scan->back_lsn = scan->last_lsn;
    scan->last_lsn = header.lsn;
    scan->offset += record_bytes(header.length);
    return SCAN_RECORD;
}

void scan_step_back(struct scan *scan)
{
    scan->offset = scan->back_offset;
    scan->last_lsn = scan->back_lsn;
}
