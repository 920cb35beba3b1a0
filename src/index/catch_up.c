/*
 * catch_up.c - keeping each partition's file in line with the blocks: at the start, after
 * failures, when a new partition begins. Store thread.
 */
#include "internal.h"
#include "scan.h"

#include <inttypes.h>
#include <limits.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <stdio.h>
#include <stdlib.h>

bool index_path(struct index *index, uint64_t partition, char *out)
{
    char dir[PATH_MAX];

    trace_log_partition_dir(index->log, partition, dir);
    int n = snprintf(out, PATH_MAX, "%s/index.sqlite", dir);
    return dir[0] != '\0' && n > 0 && n < PATH_MAX;
}

struct infos {
    struct partition_info *infos;
    size_t count, cap;
};

static bool collect(void *ctx, const struct partition_info *info)
{
    struct infos *all = ctx;

    if (all->count == all->cap) {
        all->cap = all->cap == 0 ? 32 : all->cap * 2;
        all->infos = mem_realloc(all->infos, all->cap * sizeof(*all->infos));
    }
    all->infos[all->count++] = *info;
    return true;
}

static uint64_t newest_partition(struct index *index)
{
    struct infos all = {0};

    trace_log_partitions(index->log, collect, &all);
    uint64_t newest = all.count > 0 ? all.infos[all.count - 1].partition : 0;
    free(all.infos);
    return newest;
}

/* --- finishing --- */

static void run_finisher(void *arg)
{
    struct index *index = arg;
    struct index_writer *w = &index->finisher.writer;
    struct filter filter;
    struct error err;

    if (index_writer_finish(w, &filter, &err)) {
        partition_set_filter(&index->set, w->partition, &filter);
    } else if (err.code == ERR_CORRUPT) {
        (void)partition_set_damage(&index->set, w->partition, 0);
        log_error("index", "damaged, will be rebuilt", "error=\"%s\"", err.message);
    } else {
        log_warn("index", "not finished, finding takes longer there", "error=\"%s\"", err.message);
    }
    index_writer_close(w);
}

void index_join_finisher(struct index *index)
{
    if (index->finisher.thread.started) {
        thread_join(&index->finisher.thread);
        index->finisher.thread = (struct thread){0};
        index->finisher.partition = 0;
    }
}

/* The writer's partition gets no more blocks. */
static void finish_writer(struct index *index)
{
    struct index_writer *w = &index->writer;

    if (w->open && !w->finished) {
        index_join_finisher(index);
        index->finisher.partition = w->partition;
        index_writer_move(&index->finisher.writer, w);
        thread_start(&index->finisher.thread, "index-finish", run_finisher, index);
    } else {
        index_writer_close(w);
    }
}

/* --- mending --- */

/* Add those blocks of the log that the writer's file does not have. */
static bool add_blocks(struct index *index, const struct seq_list *blocks, uint64_t *added,
                       struct error *err)
{
    struct index_writer *w = &index->writer;

    for (size_t i = blocks->count; i > 0; i--) { /* oldest first */
        uint64_t seq = blocks->seqs[i - 1];
        struct block *block = NULL;
        bool has = false;
        if (!index_writer_has(w, seq, &has, err)) {
            return false;
        }
        if (has) {
            continue;
        }
        if (!trace_log_load(index->log, seq, BLOCK_TABLES, &block, err)) {
            if (err->code == ERR_NOT_FOUND || err->code == ERR_CORRUPT) {
                continue; /* gone, or set aside and reported */
            }
            return false;
        }
        bool ok = index_writer_add(w, block, err);
        block_unref(block);
        if (!ok) {
            return false;
        }
        (*added)++;
    }
    return true;
}

/* The writer's file is complete: queries may ask it. */
static bool install(struct index *index, struct error *err)
{
    struct index_sums sums;

    if (!index_writer_sums(&index->writer, &sums, err)) {
        return false;
    }
    partition_set_put(&index->set, index->writer.partition, false, &sums, NULL);
    return true;
}

static bool open_writer(struct index *index, uint64_t partition, struct error *err)
{
    char path[PATH_MAX];

    if (!index_path(index, partition, path)) {
        return error_set(err, ERR_INVALID, "path of an index is too long");
    }
    return index_writer_open(&index->writer, partition, path, err);
}

/* Throw the file away and make it from the blocks. Until that is done the blocks answer. */
static bool rebuild(struct index *index, uint64_t partition, uint64_t *added, struct error *err)
{
    struct seq_list blocks = {0};
    char path[PATH_MAX];

    if (index->finisher.partition == partition) {
        index_join_finisher(index);
    }
    if (index->writer.open && index->writer.partition == partition) {
        index_writer_close(&index->writer);
    } else {
        finish_writer(index);
    }
    partition_set_put(&index->set, partition, true, NULL, NULL);
    if (!index_path(index, partition, path)) {
        return error_set(err, ERR_INVALID, "path of an index is too long");
    }
    db_delete(path);
    scan_partition(index->log, partition, &blocks);
    bool ok = open_writer(index, partition, err) && add_blocks(index, &blocks, added, err) &&
              install(index, err);
    size_t count = blocks.count;
    free(blocks.seqs);
    if (!ok) {
        index_writer_close(&index->writer);
        return error_wrap(err, "rebuild %s", path);
    }
    log_info("index", "rebuilt from blocks", "file=%s blocks=%zu", path, count);
    return true;
}

bool index_writer_for(struct index *index, uint64_t partition, uint64_t *added, struct error *err)
{
    bool damaged = false;

    if (index->writer.open && index->writer.partition == partition) {
        return true;
    }
    if (index->writer.open && index->writer.partition < partition) {
        finish_writer(index);
    } else {
        index_writer_close(&index->writer);
    }
    if (index->finisher.partition == partition) {
        index_join_finisher(index);
    }
    if (!open_writer(index, partition, err)) {
        if (err->code != ERR_CORRUPT) {
            return false;
        }
        log_error("index", "damaged, rebuilding it from blocks", "error=\"%s\"", err->message);
        return rebuild(index, partition, added, err);
    }
    return partition_set_knows(&index->set, partition, &damaged) || install(index, err);
}

static bool mend(struct index *index, uint64_t partition, bool damaged, struct seq_list *missing,
                 struct error *err)
{
    uint64_t added = 0;

    if (damaged) {
        return rebuild(index, partition, &added, err);
    }
    seq_list_sort(missing);
    if (!index_writer_for(index, partition, &added, err) ||
        !add_blocks(index, missing, &added, err) || !install(index, err)) {
        return false;
    }
    partition_set_mended(&index->set, partition);
    return true;
}

bool index_mend(struct index *index, struct error *err)
{
    struct seq_list missing = {0};
    uint64_t partition = 0;
    bool damaged = false;

    if (!partition_set_ailing(&index->set, &partition, &damaged, &missing)) {
        return true;
    }
    bool ok = mend(index, partition, damaged, &missing, err);
    free(missing.seqs);
    if (!ok) {
        if (err->code == ERR_CORRUPT) {
            (void)partition_set_damage(&index->set, partition, 0);
        }
        index_writer_close(&index->writer);
        return error_wrap(err, "mend the index of partition %" PRIu64, partition);
    }
    if (partition < newest_partition(index)) {
        finish_writer(index);
    }
    return true;
}

/* --- at the start --- */

/* A finished file that has all blocks of its partition needs no more than a look. */
static bool accept_finished(struct index *index, const struct partition_info *info)
{
    char path[PATH_MAX];
    struct db db;
    struct error err;
    struct index_sums sums;
    struct filter filter = {0};
    bool finished = false;

    if (!index_path(index, info->partition, path) || !db_open(&db, path, DB_READ, &err)) {
        return false;
    }
    bool ok = index_read_summary(&db, &finished, &sums, &err) && finished &&
              sums.blocks >= info->block_count && sums.last_seq >= info->last_seq &&
              index_read_filter(&db, FILTERS_BYTES_MAX, &filter, &err);
    db_close(&db);
    if (ok) {
        partition_set_put(&index->set, info->partition, false, &sums, &filter);
    }
    return ok;
}

static bool catch_up_partition(struct index *index, const struct partition_info *info,
                               bool rebuild_it, bool newest, uint64_t *added, struct error *err)
{
    struct seq_list blocks = {0};

    if (rebuild_it) {
        if (!rebuild(index, info->partition, added, err)) {
            return false;
        }
    } else {
        scan_partition(index->log, info->partition, &blocks);
        bool ok = index_writer_for(index, info->partition, added, err) &&
                  add_blocks(index, &blocks, added, err) && install(index, err);
        free(blocks.seqs);
        if (!ok && err->code == ERR_CORRUPT) {
            log_error("index", "damaged, rebuilding it from blocks", "error=\"%s\"", err->message);
            ok = rebuild(index, info->partition, added, err);
        }
        if (!ok) {
            return false;
        }
    }
    if (!newest) {
        finish_writer(index);
    }
    return true;
}

/* Partitions that the log does not have any more. */
static void forget_others(struct index *index, const struct infos *all)
{
    size_t count = 0;
    uint64_t *ids = partition_set_ids(&index->set, &count);

    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t k = 0; k < all->count; k++) {
            known = known || all->infos[k].partition == ids[i];
        }
        if (!known) {
            partition_set_remove(&index->set, ids[i]);
        }
    }
    free(ids);
}

bool index_catch_up(struct index *index, bool rebuild_all, uint64_t *added, struct error *err)
{
    struct infos all = {0};

    *added = 0;
    if (!index->persist) {
        return true;
    }
    uint64_t end = trace_log_end(index->log);
    trace_log_partitions(index->log, collect, &all);
    bool *accepted = mem_zalloc(all.count + 1, sizeof(*accepted));
    forget_others(index, &all);
    /* Newest first, because filters are kept while there is room for them. */
    for (size_t i = all.count; i > 0; i--) {
        accepted[i - 1] =
            !rebuild_all && i < all.count && accept_finished(index, &all.infos[i - 1]);
    }
    for (size_t i = 0; i < all.count; i++) {
        if (!accepted[i] && !catch_up_partition(index, &all.infos[i], rebuild_all,
                                                i + 1 == all.count, added, err)) {
            /* The index is derived: without it queries are slower, and it is mended later. */
            index_writer_close(&index->writer);
            partition_set_put(&index->set, all.infos[i].partition, true, NULL, NULL);
            log_warn("index", "partition cannot be indexed now, its blocks are searched instead",
                     "partition=%" PRIu64 " error=\"%s\"", all.infos[i].partition, err->message);
        }
    }
    partition_set_reach(&index->set, end);
    free(accepted);
    free(all.infos);
    return true;
}
