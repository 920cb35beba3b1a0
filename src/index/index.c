/*
 * index.c - adding blocks, and answering questions over all partitions.
 *
 * A question goes to each partition's file, newest first. Where a file cannot answer (damaged, not
 * there, behind) the blocks do, so an answer is complete whatever happened to the index: blocks
 * that were stored but are not indexed yet are looked through in the same way.
 */
#include "internal.h"
#include "scan.h"

#include <inttypes.h>
#include <limits.h>
#include <spangate/base/hash.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>
#include <stdlib.h>

/* Blocks added before mending is tried again after it failed. */
enum { REPAIR_PAUSE = 64 };

/* Rows read in one transaction. */
enum { PORTION = 256 };

bool index_open(struct index **out, struct trace_log *log, bool persist, struct error *err)
{
    (void)err;
    struct index *index = mem_zalloc(1, sizeof(*index));

    index->log = log;
    index->persist = persist;
    partition_set_init(&index->set);
    *out = index;
    return true;
}

void index_close(struct index *index)
{
    if (index == NULL) {
        return;
    }
    index_join_finisher(index);
    index_writer_close(&index->writer);
    partition_set_deinit(&index->set);
    free(index);
}

/* --- add --- */

static bool add_block(struct index *index, const struct block *block, uint64_t partition,
                      struct error *err)
{
    bool damaged = false;
    uint64_t added = 0;

    if (partition_set_knows(&index->set, partition, &damaged) && damaged) {
        partition_set_reach(&index->set, block->seq + 1); /* its blocks answer, this one too */
        return true;
    }
    if (index_writer_for(index, partition, &added, err) &&
        index_writer_add(&index->writer, block, err)) {
        partition_set_added(&index->set, block, partition);
        return true;
    }
    index_writer_close(&index->writer);
    partition_set_missing(&index->set, partition, block->seq);
    if (err->code == ERR_CORRUPT) {
        (void)partition_set_damage(&index->set, partition, 0);
    }
    return false;
}

bool index_repair(struct index *index, struct error *err)
{
    return !index->persist || index_mend(index, err);
}

bool index_add(struct index *index, const struct block *block, struct error *err)
{
    struct block_info info;
    struct error why;

    if (!index->persist || !trace_log_next(index->log, block->seq, &info) ||
        info.seq != block->seq) {
        return true; /* retention was faster */
    }
    if (index->repair_pause > 0) {
        index->repair_pause--;
    } else if (!index_mend(index, &why)) {
        index->repair_pause = REPAIR_PAUSE;
        log_warn("index", "mending failed, blocks are searched meanwhile", "error=\"%s\"",
                 why.message);
    }
    if (!add_block(index, block, info.partition, err)) {
        return error_wrap(err, "index block %" PRIu64, block->seq);
    }
    return true;
}

void index_drop(struct index *index, uint64_t partition)
{
    if (index->writer.open && index->writer.partition == partition) {
        index_writer_close(&index->writer);
    }
    if (index->finisher.partition == partition) {
        index_join_finisher(index);
    }
    partition_set_remove(&index->set, partition);
}

/* --- asking one file --- */

/* A question to one partition's file; ctx holds question and answer. */
typedef bool ask_fn(struct db *db, void *ctx, struct error *err);

static struct index_reader *open_reader(struct index *index, const struct partition_view *view,
                                        struct error *err)
{
    char path[PATH_MAX];

    struct index_reader *reader = partition_set_take(&index->set, view->id, view->generation);
    if (reader != NULL) {
        return reader;
    }
    if (!index_path(index, view->id, path)) {
        (void)error_set(err, ERR_INVALID, "path of an index is too long");
        return NULL;
    }
    reader = mem_zalloc(1, sizeof(*reader));
    reader->partition = view->id;
    reader->generation = view->generation;
    if (!db_open(&reader->db, path, DB_READ, err)) {
        free(reader);
        return NULL;
    }
    return reader;
}

/* What a failed question means for the partition: its blocks answer this time, or from now on. */
static void note_failure(struct index *index, const struct partition_view *view,
                         const struct error *err)
{
    bool broken = err->code == ERR_CORRUPT || err->code == ERR_NOT_FOUND;

    if (broken && partition_set_damage(&index->set, view->id, view->generation)) {
        metric_add(METRIC_INDEX_FAILURES, 1);
        log_error("index", "damaged, its blocks are searched until it is rebuilt",
                  "partition=%" PRIu64 " error=\"%s\"", view->id, err->message);
    } else if (!broken) {
        log_warn("index", "cannot be read, blocks are searched instead",
                 "partition=%" PRIu64 " error=\"%s\"", view->id, err->message);
    }
}

/* false: the file cannot answer, ask the blocks. */
static bool ask(struct index *index, const struct partition_view *view, ask_fn *question, void *ctx)
{
    struct error err;

    if (view->damaged) {
        return false;
    }
    struct index_reader *reader = open_reader(index, view, &err);
    bool ok = reader != NULL && question(&reader->db, ctx, &err);
    if (ok) {
        partition_set_give(&index->set, reader);
        return true;
    }
    if (reader != NULL) {
        db_close(&reader->db);
        free(reader);
    }
    note_failure(index, view, &err);
    return false;
}

/* --- blocks that no file has yet --- */

struct tail {
    uint64_t end;
    struct seq_list blocks; /* newest first */
};

static bool collect_tail(void *ctx, const struct block_info *info)
{
    struct tail *tail = ctx;

    if (info->seq < tail->end) {
        return false;
    }
    seq_list_push(&tail->blocks, info->seq);
    return true;
}

static struct seq_list tail_blocks(struct index *index, uint64_t end)
{
    struct tail tail = {.end = end};

    trace_log_each(index->log, collect_tail, &tail);
    return tail.blocks;
}

/* --- find --- */

struct find_question {
    uint64_t hash;
    struct seq_list *found;
};

static bool ask_find(struct db *db, void *ctx, struct error *err)
{
    struct find_question *q = ctx;

    q->found->count = 0;
    return index_read_find(db, q->hash, q->found, err);
}

/* Blocks of one partition that may hold the trace, newest first. */
static bool find_in(struct index *index, const struct partition_view *view,
                    const struct trace_id *id, uint64_t hash, size_t max, struct seq_list *found,
                    struct error *err)
{
    struct find_question q = {.hash = hash, .found = found};
    struct seq_list all = {0};
    bool ok = true;

    if (view->damaged || (view->may_have && !ask(index, view, ask_find, &q))) {
        found->count = 0;
        scan_partition(index->log, view->id, &all);
        ok = scan_find(index->log, &all, id, max, found, err);
        free(all.seqs);
        return ok;
    }
    ok = scan_find(index->log, &view->missing, id, max, found, err);
    seq_list_sort(found);
    return ok;
}

static void take_seqs(const struct seq_list *found, uint64_t *seqs, size_t max, size_t *count)
{
    for (size_t i = 0; i < found->count && *count < max; i++) {
        seqs[(*count)++] = found->seqs[i];
    }
}

bool index_find(struct index *index, const struct trace_id *id, uint64_t *seqs, size_t max,
                size_t *count, struct error *err)
{
    uint64_t hash = hash_stable(id->bytes, sizeof(id->bytes));
    size_t view_count = 0;
    uint64_t end = 0;
    struct partition_view *views = partition_set_views(&index->set, &hash, &view_count, &end);
    struct seq_list tail = tail_blocks(index, end);
    struct seq_list found = {0};

    *count = 0;
    bool ok = scan_find(index->log, &tail, id, max, &found, err);
    take_seqs(&found, seqs, max, count);
    for (size_t i = 0; ok && i < view_count && *count < max; i++) {
        found.count = 0;
        ok = find_in(index, &views[i], id, hash, max, &found, err);
        take_seqs(&found, seqs, max, count);
    }
    free(found.seqs);
    free(tail.seqs);
    partition_views_free(views, view_count);
    return ok;
}

/* --- blocks --- */

struct blocks_question {
    struct slice service;
    int64_t start_min, start_max;
    uint64_t start_ns_min, start_ns_max;
    uint64_t end;   /* blocks from here on were looked at already, indexed meanwhile or not */
    uint64_t below; /* where the next portion begins */
    uint64_t after; /* below after that portion */
    struct seq_list found;
    bool (*each)(void *ctx, uint64_t seq);
    void *ctx;
    bool stopped;
};

static bool ask_blocks(struct db *db, void *ctx, struct error *err)
{
    struct blocks_question *q = ctx;

    q->found.count = 0;
    q->after = q->below;
    return index_read_blocks(db, q->service, q->start_min, q->start_max, &q->after, PORTION,
                             &q->found, err);
}

/* Hand over those of the blocks (newest first) below q->below that match. */
static bool hand_over_scanned(struct index *index, struct blocks_question *q,
                              const struct seq_list *blocks, struct error *err)
{
    for (size_t i = 0; i < blocks->count && !q->stopped; i++) {
        bool matches = false;
        if (blocks->seqs[i] >= q->below) {
            continue;
        }
        if (!scan_matches(index->log, blocks->seqs[i], q->service, q->start_ns_min, q->start_ns_max,
                          &matches, err)) {
            return false;
        }
        q->stopped = matches && !q->each(q->ctx, blocks->seqs[i]);
    }
    return true;
}

static bool scan_rest(struct index *index, struct blocks_question *q, uint64_t partition,
                      struct error *err)
{
    struct seq_list all = {0};

    scan_partition(index->log, partition, &all);
    bool ok = hand_over_scanned(index, q, &all, err);
    free(all.seqs);
    return ok;
}

/* Blocks that the file lacks, as far as they lie in the portion just read. */
static bool add_missing(struct index *index, struct blocks_question *q,
                        const struct seq_list *missing, struct error *err)
{
    for (size_t i = 0; i < missing->count; i++) {
        bool matches = false;
        if (missing->seqs[i] < q->after || missing->seqs[i] >= q->below) {
            continue;
        }
        if (!scan_matches(index->log, missing->seqs[i], q->service, q->start_ns_min,
                          q->start_ns_max, &matches, err)) {
            return false;
        }
        if (matches) {
            seq_list_push(&q->found, missing->seqs[i]);
        }
    }
    seq_list_sort(&q->found);
    /* What was missing may have come into the file since. */
    size_t kept = 0;
    for (size_t i = 0; i < q->found.count; i++) {
        if (kept == 0 || q->found.seqs[kept - 1] != q->found.seqs[i]) {
            q->found.seqs[kept++] = q->found.seqs[i];
        }
    }
    q->found.count = kept;
    return true;
}

static bool blocks_in(struct index *index, const struct partition_view *view,
                      struct blocks_question *q, struct error *err)
{
    bool in_range = view->start_max >= q->start_min && view->start_min <= q->start_max;

    q->below = q->end;
    if (!view->damaged && !in_range) {
        return hand_over_scanned(index, q, &view->missing, err);
    }
    while (q->below > 0 && !q->stopped) {
        if (!ask(index, view, ask_blocks, q)) {
            return scan_rest(index, q, view->id, err);
        }
        if (!add_missing(index, q, &view->missing, err)) {
            return false;
        }
        for (size_t i = 0; i < q->found.count && !q->stopped; i++) {
            q->stopped = !q->each(q->ctx, q->found.seqs[i]);
        }
        q->below = q->after;
    }
    return true;
}

bool index_blocks(struct index *index, struct slice service, uint64_t start_ns_min,
                  uint64_t start_ns_max, bool (*each)(void *ctx, uint64_t seq), void *ctx,
                  struct error *err)
{
    size_t view_count = 0;
    uint64_t end = 0;
    struct partition_view *views = partition_set_views(&index->set, NULL, &view_count, &end);
    struct seq_list tail = tail_blocks(index, end);
    struct blocks_question q = {
        .service = service,
        .start_min = db_time(start_ns_min),
        .start_max = db_time(start_ns_max),
        .start_ns_min = start_ns_min,
        .start_ns_max = start_ns_max,
        .end = end,
        .below = UINT64_MAX,
        .each = each,
        .ctx = ctx,
    };

    bool ok = hand_over_scanned(index, &q, &tail, err);
    for (size_t i = 0; ok && i < view_count && !q.stopped; i++) {
        ok = blocks_in(index, &views[i], &q, err);
    }
    free(q.found.seqs);
    free(tail.seqs);
    partition_views_free(views, view_count);
    return ok;
}

/* --- names --- */

struct names_question {
    const struct slice *service; /* NULL: services are asked for */
    struct name_set *names;
};

static bool ask_names(struct db *db, void *ctx, struct error *err)
{
    struct names_question *q = ctx;

    return q->service == NULL ? index_read_services(db, q->names, err)
                              : index_read_operations(db, *q->service, q->names, err);
}

static bool names_in(struct index *index, const struct partition_view *view,
                     struct names_question *q, struct error *err)
{
    struct seq_list all = {0};

    if (ask(index, view, ask_names, q)) {
        return scan_names(index->log, &view->missing, q->service, q->names, err);
    }
    scan_partition(index->log, view->id, &all);
    bool ok = scan_names(index->log, &all, q->service, q->names, err);
    free(all.seqs);
    return ok;
}

static bool collect_names(struct index *index, const struct slice *service, struct name_set *names,
                          struct error *err)
{
    struct names_question q = {.service = service, .names = names};
    size_t view_count = 0;
    uint64_t end = 0;
    struct partition_view *views = partition_set_views(&index->set, NULL, &view_count, &end);
    struct seq_list tail = tail_blocks(index, end);

    bool ok = scan_names(index->log, &tail, service, names, err);
    for (size_t i = 0; ok && i < view_count; i++) {
        ok = names_in(index, &views[i], &q, err);
    }
    name_set_sort(names);
    free(tail.seqs);
    partition_views_free(views, view_count);
    return ok;
}

bool index_services(struct index *index, bool (*each)(void *ctx, struct slice service), void *ctx,
                    struct error *err)
{
    struct name_set names;

    name_set_init(&names);
    bool ok = collect_names(index, NULL, &names, err);
    for (size_t i = 0; ok && i < names.count && each(ctx, names.names[i]->text); i++) {
    }
    name_set_deinit(&names);
    return ok;
}

bool index_operations(struct index *index, struct slice service,
                      bool (*each)(void *ctx, struct slice name, uint8_t kind), void *ctx,
                      struct error *err)
{
    struct name_set names;

    name_set_init(&names);
    bool ok = collect_names(index, &service, &names, err);
    for (size_t i = 0; ok && i < names.count; i++) {
        if (!each(ctx, names.names[i]->text, names.names[i]->kind)) {
            break;
        }
    }
    name_set_deinit(&names);
    return ok;
}

uint64_t index_bytes(struct index *index)
{
    size_t count = 0;
    uint64_t *ids = partition_set_ids(&index->set, &count);
    uint64_t bytes = 0;

    for (size_t i = 0; i < count; i++) {
        char path[PATH_MAX];
        bytes += index_path(index, ids[i], path) ? db_bytes(path) : 0;
    }
    free(ids);
    return bytes;
}
