/*
 * recover.c - reading the log back after a start, whatever state the last stop left it in.
 *
 * First all segment headers are read: the least durable_lsn of the later ones is the `cutoff` of a
 * segment; records beyond it are void (see wal.c). Then the segments are scanned in order. What is
 * no record is judged by what follows:
 *
 *   - a record of the same segment follows, or the next header says that records are missing:
 *     damage. The stretch is copied to corrupt/, counted, and stepped over;
 *   - nothing follows in the last segment: a torn tail, cut off (truncated). It was never
 *     acknowledged, or a later record or segment would say so;
 *   - bytes of an earlier life of a recycled file are neither: they carry another salt.
 *
 * A power cut may also persist the later pages of an unsynced write and not the earlier ones. That
 * looks like damage in front of records that were never acknowledged, and is treated as such.
 *
 * A segment file without header and records was about to begin when the power went: it is
 * recycled. New records go into a fresh segment, never behind what was read back.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CHUNK_BYTES = 1024 * 1024,
    COPY_BYTES = 256 * 1024,
    CORRUPT_FILES_MAX = 256, /* beyond, damage is counted but not copied */
};

/* A segment file, as found. */
struct found {
    uint64_t number;
    uint64_t file_bytes;
    struct segment_header header; /* when verdict is HEADER_OK */
    enum header_verdict verdict;
    struct error damage; /* when verdict is HEADER_DAMAGED */
    uint64_t cutoff;     /* records beyond are void */
    bool next_known;     /* the segment numbered one more is here, header and all */
    bool is_last;        /* none behind has begun */
};

struct replay {
    struct wal *wal;
    bool (*each)(void *ctx, const struct wal_record *record, struct error *err);
    void *ctx;
    struct wal_recovery *report;
    struct found *found;
    size_t found_count;
    uint64_t seen_lsn;  /* the highest seen, void and damaged ones included */
    uint64_t valid_lsn; /* the highest handed out */
    size_t corrupt_files;
};

/* --- damage --- */

static bool copy_bytes(const struct fs *fs, int from, int to, const char *path, uint64_t offset,
                       uint64_t end, struct error *err)
{
    uint8_t *chunk = mem_alloc(COPY_BYTES);
    bool ok = true;

    for (uint64_t at = offset; ok && at < end;) {
        size_t len = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        struct iovec iov = {.iov_base = chunk, .iov_len = len};
        ok = fs_read_at(fs, from, path, chunk, len, at, err) &&
             fs_write_at(fs, to, path, &iov, 1, at - offset, err);
        at += len;
    }
    free(chunk);
    return ok;
}

/* Best effort: damage must never keep us from starting. */
static bool keep_copy(struct replay *replay, int fd, uint64_t number, uint64_t from, uint64_t to,
                      struct error *err)
{
    const struct fs *fs = replay->wal->fs;
    char path[PATH_MAX];
    int copy = -1;
    bool ok;

    (void)snprintf(path, sizeof(path), "%s/corrupt", replay->wal->config.dir);
    if (!fs_make_dirs(fs, path, err)) {
        return false;
    }
    if (replay->corrupt_files == 0) {
        char **names = NULL;
        if (fs->list(fs, path, &names) == 0) {
            for (; names[replay->corrupt_files] != NULL; replay->corrupt_files++) {
            }
            fs_free_names(names);
        }
    }
    if (++replay->corrupt_files > CORRUPT_FILES_MAX) {
        return error_set(err, ERR_LIMIT, "%s holds %d files", path, CORRUPT_FILES_MAX);
    }
    (void)snprintf(path, sizeof(path), "%s/corrupt/%016" PRIx64 "-%08" PRIx64 ".bin",
                   replay->wal->config.dir, number, from);
    if (!fs_open(fs, path, O_WRONLY | O_CREAT | O_TRUNC, &copy, err)) {
        return false;
    }
    ok = copy_bytes(fs, fd, copy, path, from, to, err) && fs_sync(fs, copy, path, err);
    fs_close(fs, copy);
    return ok;
}

static void quarantine(struct replay *replay, int fd, uint64_t number, uint64_t from, uint64_t to,
                       const struct error *reason)
{
    struct error err = {0};
    bool copied = keep_copy(replay, fd, number, from, to, &err);

    metric_add(METRIC_WAL_QUARANTINED, 1);
    replay->report->quarantined++;
    log_warn("wal", "damaged stretch of the ingest log, stepped over",
             "segment=%016" PRIx64 " offset=%" PRIu64 " bytes=%" PRIu64 " after_lsn=%" PRIu64
             " reason=\"%s\" copy=\"%s\"",
             number, from, to - from, replay->valid_lsn, reason->message,
             copied ? "corrupt/" : err.message);
}

/* Gaps met since the last record: what follows decides what they are. */
struct gaps {
    struct scan_gap *list;
    size_t count, cap;
};

static void gaps_add(struct gaps *gaps, const struct scan_gap *gap)
{
    if (gaps->count > 0 && gaps->list[gaps->count - 1].to == gap->from) {
        gaps->list[gaps->count - 1].to = gap->to;
        return;
    }
    if (gaps->count == gaps->cap) {
        gaps->cap = 2 * gaps->cap + 4;
        gaps->list = mem_realloc(gaps->list, gaps->cap * sizeof(*gaps->list));
    }
    gaps->list[gaps->count++] = *gap;
}

static void gaps_quarantine(struct gaps *gaps, struct replay *replay, int fd, uint64_t number)
{
    for (size_t i = 0; i < gaps->count; i++) {
        const struct scan_gap *gap = &gaps->list[i];
        quarantine(replay, fd, number, gap->from, gap->to, &gap->reason);
    }
    gaps->count = 0;
}

/* --- one segment --- */

/* The state of scanning one file. */
struct pass {
    struct replay *replay;
    const struct found *found;
    int fd;
    struct scan scan;
    struct gaps gaps;
    struct segment *segment; /* ours only until it is in the log's list */
    uint64_t good_end;       /* behind the last valid record */
};

static void list_segment(struct pass *pass, const struct segment_header *header)
{
    struct wal *wal = pass->replay->wal;

    pass->segment = segment_new(header);
    pass->segment->sealed = true;
    pass->segment->durable = true;
    (void)pthread_mutex_lock(&wal->shared.lock);
    wal_add_segment(wal, pass->segment);
    (void)pthread_mutex_unlock(&wal->shared.lock);
}

static bool take_record(struct pass *pass, const struct wal_record *record, struct error *err)
{
    struct replay *replay = pass->replay;
    struct wal *wal = replay->wal;

    if (pass->segment == NULL) {
        struct segment_header rebuilt = {
            .number = pass->found->number,
            .salt = pass->scan.salt,
            .base_lsn = pass->scan.base_lsn,
            .durable_lsn = pass->scan.base_lsn - 1,
            .file_bytes = pass->found->file_bytes,
        };
        list_segment(pass, &rebuilt);
        pass->segment->begin = pass->scan.back_offset;
    }
    (void)pthread_mutex_lock(&wal->shared.lock);
    segment_need(pass->segment, record->lsn, record->lsn);
    pass->segment->last_lsn = record->lsn;
    pass->segment->end = pass->scan.offset;
    pass->segment->written_last = record->lsn;
    pass->segment->written_end = pass->scan.offset;
    (void)pthread_mutex_unlock(&wal->shared.lock);

    pass->good_end = pass->scan.offset;
    replay->valid_lsn = record->lsn;
    replay->report->records++;
    replay->report->bytes += record->payload.len;
    return replay->each(replay->ctx, record, err);
}

/* Whether the bytes behind the last record are more than what an earlier life left there. */
static bool tail_is_ours(const struct pass *pass, const struct scan_gap *tail)
{
    uint8_t bytes[RECORD_HEADER_BYTES];
    struct record_header header;
    struct error ignored;

    if (tail->to == tail->from) {
        return false;
    }
    if (pass->found->verdict == HEADER_OK && (pass->found->header.flags & SEGMENT_FRESH) != 0) {
        return true; /* there was no earlier life */
    }
    if (pass->found->file_bytes - tail->from < sizeof(bytes) || !pass->scan.salt_known ||
        !fs_read_at(pass->replay->wal->fs, pass->fd, pass->scan.name, bytes, sizeof(bytes),
                    tail->from, &ignored)) {
        return false;
    }
    memcpy(&header, bytes, sizeof(header));
    return header.magic == RECORD_MAGIC && header.segment == pass->found->number &&
           header.salt == pass->scan.salt;
}

static void cut_tail(struct pass *pass, uint64_t bytes)
{
    struct wal *wal = pass->replay->wal;
    int rc = wal->fs->truncate(wal->fs, pass->fd, pass->good_end);

    pass->replay->report->torn_bytes += bytes;
    log_warn("wal", "cut off a torn tail: its sender was never told \"accepted\"",
             "segment=%s offset=%" PRIu64 " bytes=%" PRIu64 " errno=%d", pass->scan.name,
             pass->good_end, bytes, -rc);
    if (rc == 0 && pass->segment != NULL) {
        (void)pthread_mutex_lock(&wal->shared.lock);
        pass->segment->file_bytes = pass->good_end;
        (void)pthread_mutex_unlock(&wal->shared.lock);
    }
}

/* The scan has come to the end, or to void records: judge what is left. */
static void finish_tail(struct pass *pass, const struct scan_gap *tail)
{
    struct replay *replay = pass->replay;
    const struct found *found = pass->found;
    bool missing = found->next_known && replay->valid_lsn < found->cutoff;

    if (replay->valid_lsn >= found->cutoff) {
        pass->gaps.count = 0; /* all that counts is read; the rest is void */
        return;
    }
    if (tail->to > tail->from && (missing || tail_is_ours(pass, tail))) {
        gaps_add(&pass->gaps, tail);
    }
    if (found->is_last) {
        uint64_t bytes = 0;
        for (size_t i = 0; i < pass->gaps.count; i++) {
            bytes += pass->gaps.list[i].to - pass->gaps.list[i].from;
        }
        if (bytes > 0) {
            cut_tail(pass, bytes);
        }
        pass->gaps.count = 0;
        return;
    }
    gaps_quarantine(&pass->gaps, replay, pass->fd, found->number);
}

static bool scan_records(struct pass *pass, struct error *err)
{
    struct replay *replay = pass->replay;

    for (;;) {
        struct wal_record record;
        struct scan_gap gap;
        struct scan_gap nothing = {0};
        enum scan_step step = scan_next(&pass->scan, &record, &gap, err);

        if (pass->scan.last_lsn > replay->seen_lsn) {
            replay->seen_lsn = pass->scan.last_lsn;
        }
        switch (step) {
        case SCAN_RECORD:
            if (record.lsn > pass->found->cutoff) {
                finish_tail(pass, &nothing);
                return true;
            }
            gaps_quarantine(&pass->gaps, replay, pass->fd, pass->found->number);
            if (!take_record(pass, &record, err)) {
                return false;
            }
            break;
        case SCAN_GAP:
            gaps_add(&pass->gaps, &gap);
            break;
        case SCAN_END:
            finish_tail(pass, &gap);
            return true;
        case SCAN_FAILED:
            return false;
        }
    }
}

/* A header nobody can read, and no record either: out of the way with it, but not away. */
static void move_to_corrupt(struct replay *replay, uint64_t number)
{
    const struct fs *fs = replay->wal->fs;
    char from[PATH_MAX], to[PATH_MAX];
    struct error err = {0};
    int rc;

    segment_path(replay->wal->config.dir, number, SEGMENT_LIVE, from);
    (void)snprintf(to, sizeof(to), "%s/corrupt", replay->wal->config.dir);
    rc = fs_make_dirs(fs, to, &err) ? 0 : -EIO;
    (void)snprintf(to, sizeof(to), "%s/corrupt/%016" PRIx64 ".seg", replay->wal->config.dir,
                   number);
    rc = rc == 0 ? fs->rename(fs, from, to) : rc;
    if (rc != 0) {
        log_warn("wal", "cannot set a damaged segment aside", "path=%s errno=%d", from, -rc);
    }
}

static void begin_scan(struct pass *pass)
{
    const struct found *found = pass->found;

    scan_init(&pass->scan, pass->replay->wal->fs, pass->fd, found->number, found->file_bytes,
              CHUNK_BYTES);
    pass->scan.last_lsn = pass->replay->seen_lsn;
    if (found->verdict == HEADER_OK) {
        pass->scan.salt = found->header.salt;
        pass->scan.salt_known = true;
        pass->scan.base_lsn = found->header.base_lsn;
        if (pass->scan.base_lsn <= pass->scan.last_lsn) {
            pass->scan.base_lsn = pass->scan.last_lsn + 1; /* only if files were mixed up */
        }
        list_segment(pass, &found->header);
        pass->segment->base_lsn = pass->scan.base_lsn;
        pass->segment->file_bytes = found->file_bytes;
    } else if (found->verdict == HEADER_DAMAGED) {
        quarantine(pass->replay, pass->fd, found->number, 0, SEGMENT_HEADER_BYTES, &found->damage);
    }
}

static bool replay_segment(struct replay *replay, const struct found *found, struct error *err)
{
    struct wal *wal = replay->wal;
    struct pass pass = {
        .replay = replay, .found = found, .fd = -1, .good_end = SEGMENT_HEADER_BYTES};
    char path[PATH_MAX];
    bool ok;

    segment_path(wal->config.dir, found->number, SEGMENT_LIVE, path);
    if (!fs_open(wal->fs, path, O_RDWR, &pass.fd, err)) {
        return false;
    }
    begin_scan(&pass);
    ok = scan_records(&pass, err);
    if (ok && found->is_last && pass.segment != NULL) {
        /* After a mere kill the tail is perhaps not synced. Readers will see it, so it has to
         * stay. */
        int rc = wal->fs->fdatasync(wal->fs, pass.fd);
        if (rc != 0) {
            pass.segment->durable = false;
            log_warn("wal", "cannot sync what was read back", "path=%s errno=%d", path, -rc);
        }
    }
    scan_deinit(&pass.scan);
    free(pass.gaps.list);
    fs_close(wal->fs, pass.fd);
    if (!ok) {
        return false;
    }
    replay->report->segments += pass.segment != NULL;
    if (pass.segment == NULL && found->verdict == HEADER_DAMAGED) {
        move_to_corrupt(replay, found->number);
    } else if (pass.segment == NULL) {
        wal_dispose(wal, found->number, found->file_bytes); /* it never began */
    }
    return true;
}

/* --- all of them --- */

static bool read_header(struct wal *wal, struct found *found, struct error *err)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES] = {0};
    char path[PATH_MAX];
    int fd = -1;
    int rc;
    bool ok = true;

    segment_path(wal->config.dir, found->number, SEGMENT_LIVE, path);
    rc = wal->fs->size(wal->fs, path, &found->file_bytes);
    if (rc != 0) {
        return error_set_errno(err, -rc, "size of %s", path);
    }
    if (found->file_bytes >= sizeof(bytes)) {
        ok = fs_open(wal->fs, path, O_RDONLY, &fd, err) &&
             fs_read_at(wal->fs, fd, path, bytes, sizeof(bytes), 0, err);
        fs_close(wal->fs, fd);
    }
    if (!ok) {
        return false;
    }
    found->verdict = segment_header_check(bytes, found->number, &found->header, &found->damage);
    if (found->verdict == HEADER_UNSUPPORTED) {
        *err = found->damage;
        return error_wrap(err, "segment %s", path);
    }
    return true;
}

static void take_spare(struct wal *wal, uint64_t number)
{
    char path[PATH_MAX];
    uint64_t bytes = 0;

    segment_path(wal->config.dir, number, SEGMENT_SPARE, path);
    (void)wal->fs->size(wal->fs, path, &bytes);
    if (bytes == wal->config.segment_bytes && wal->shared.spare_count < SPARES_MAX) {
        wal->shared.spares[wal->shared.spare_count++] = number;
        return;
    }
    if (wal->fs->unlink(wal->fs, path) != 0) {
        log_warn("wal", "cannot remove a spare segment", "path=%s", path);
    }
}

/* Fill replay->found, in order of number. */
static bool find_segments(struct replay *replay, struct error *err)
{
    struct wal *wal = replay->wal;
    char **names = NULL;
    size_t count = 0;
    bool ok = true;
    int rc = wal->fs->list(wal->fs, wal->config.dir, &names);

    if (rc != 0) {
        return error_set_errno(err, -rc, "list %s", wal->config.dir);
    }
    while (names[count] != NULL) {
        count++;
    }
    replay->found = mem_zalloc(count + 1, sizeof(*replay->found));
    for (size_t i = 0; ok && i < count; i++) {
        uint64_t number;
        enum segment_name kind;
        if (!segment_parse_name(names[i], &number, &kind)) {
            continue;
        }
        if (number >= wal->own.next_number) {
            wal->own.next_number = number + 1;
        }
        if (kind == SEGMENT_SPARE) {
            take_spare(wal, number);
            continue;
        }
        replay->found[replay->found_count].number = number;
        ok = read_header(wal, &replay->found[replay->found_count++], err);
    }
    fs_free_names(names);
    return ok;
}

/*
 * What the later segments say about each: from the last to the first. Returns the least next
 * lsn.
 */
static uint64_t judge_segments(struct replay *replay)
{
    uint64_t cutoff = UINT64_MAX;
    uint64_t next_lsn = 1;
    bool is_last = true;

    for (size_t i = replay->found_count; i > 0; i--) {
        struct found *found = &replay->found[i - 1];
        const struct found *next = i < replay->found_count ? found + 1 : NULL;
        found->cutoff = cutoff;
        found->is_last = is_last;
        found->next_known =
            next != NULL && next->verdict == HEADER_OK && next->number == found->number + 1;
        if (found->verdict == HEADER_OK) {
            cutoff = found->header.durable_lsn < cutoff ? found->header.durable_lsn : cutoff;
            next_lsn = found->header.base_lsn > next_lsn ? found->header.base_lsn : next_lsn;
        } else if (found->verdict == HEADER_DAMAGED && is_last) {
            /* It knew the next lsn. This one is surely beyond. */
            next_lsn = found->number << SEGMENT_LSN_SHIFT;
        }
        is_last = is_last && found->verdict != HEADER_OK && found->verdict != HEADER_DAMAGED;
    }
    return next_lsn;
}

/*
 * Lock held. A reader may have passed records that a power cut took (DURABILITY_INTERVAL). New
 * records must not get their lsn: it would never see them.
 */
static uint64_t next_lsn_of(const struct wal *wal, uint64_t least)
{
    least = wal->shared.begin_at > least ? wal->shared.begin_at : least;
    for (const struct wal_reader *r = wal->shared.readers; r != NULL; r = r->next) {
        least = r->released > least && r->released < LSN_MAX ? r->released : least;
    }
    return least;
}

void wal_begin_at(struct wal *wal, uint64_t lsn)
{
    (void)pthread_mutex_lock(&wal->shared.lock);
    wal->shared.begin_at = lsn < LSN_MAX ? lsn : 0;
    (void)pthread_mutex_unlock(&wal->shared.lock);
}

uint64_t wal_first(struct wal *wal)
{
    struct found first = {0};
    struct error ignored;
    char **names = NULL;

    if (wal->config.durability == DURABILITY_MEMORY ||
        wal->fs->list(wal->fs, wal->config.dir, &names) != 0) {
        return 0;
    }
    for (size_t i = 0; names[i] != NULL; i++) {
        uint64_t number;
        enum segment_name kind;
        if (segment_parse_name(names[i], &number, &kind) && kind == SEGMENT_LIVE &&
            (first.number == 0 || number < first.number)) {
            first.number = number;
        }
    }
    fs_free_names(names);
    bool known =
        first.number != 0 && read_header(wal, &first, &ignored) && first.verdict == HEADER_OK;
    return known ? first.header.base_lsn : 0;
}

bool wal_replay(struct wal *wal,
                bool (*each)(void *ctx, const struct wal_record *record, struct error *err),
                void *ctx, struct wal_recovery *report, struct error *err)
{
    struct replay replay = {.wal = wal, .each = each, .ctx = ctx, .report = report};
    uint64_t next_lsn = 1;
    bool ok = true;

    *report = (struct wal_recovery){0};
    if (wal->config.durability != DURABILITY_MEMORY) {
        ok = find_segments(&replay, err);
        next_lsn = ok ? judge_segments(&replay) : 1;
        for (size_t i = 0; ok && i < replay.found_count; i++) {
            ok = replay_segment(&replay, &replay.found[i], err);
        }
        free(replay.found);
    }
    if (!ok) {
        return false;
    }
    wal->own.replayed = true;
    (void)pthread_mutex_lock(&wal->shared.lock);
    wal->own.next_lsn =
        next_lsn_of(wal, replay.seen_lsn >= next_lsn ? replay.seen_lsn + 1 : next_lsn);
    wal->shared.last = wal->own.next_lsn - 1;
    wal->shared.replayed = wal->config.durability != DURABILITY_MEMORY;
    wal_gauge(wal);
    (void)pthread_cond_broadcast(&wal->shared.published);
    (void)pthread_mutex_unlock(&wal->shared.lock);
    wal_retire(wal);
    return true;
}
