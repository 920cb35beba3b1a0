/*
 * runs.c - write, merge and search sorted runs.
 */
#include "runs.h"

#include <assert.h>
#include <inttypes.h>
#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

/* A chunk, its row and its cell fit into one page of 4096 bytes (at most 4061 of payload). */
enum { ENTRY_BYTES = 12, CHUNK_HEAD = 4, CHUNK_ENTRIES = 336 };
enum { CHUNK_BYTES = CHUNK_HEAD + CHUNK_ENTRIES * ENTRY_BYTES };

enum { CHUNK_BITS = 24 };
enum { GUESSES_MAX = 6 };

struct run {
    int64_t id;
    int64_t level;
    int64_t entries;
    int64_t chunks;
};

struct run_list {
    struct run *runs;
    size_t count, cap;
};

struct chunk {
    uint8_t bytes[CHUNK_BYTES];
    size_t count;
};

/* --- entries --- */

static int compare_entries(const void *a, const void *b)
{
    const struct run_entry *left = a;
    const struct run_entry *right = b;

    if (left->hash != right->hash) {
        return left->hash < right->hash ? -1 : 1;
    }
    return left->block < right->block ? -1 : left->block > right->block;
}

size_t run_entries_sort(struct run_entry *entries, size_t count)
{
    size_t kept = 0;

    qsort(entries, count, sizeof(*entries), compare_entries);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || compare_entries(&entries[kept - 1], &entries[i]) != 0) {
            entries[kept++] = entries[i];
        }
    }
    return kept;
}

static struct run_entry entry_at(const struct chunk *chunk, size_t i)
{
    const uint8_t *at = chunk->bytes + CHUNK_HEAD + i * ENTRY_BYTES;
    struct run_entry entry;

    memcpy(&entry.hash, at, sizeof(entry.hash));
    memcpy(&entry.block, at + sizeof(entry.hash), sizeof(entry.block));
    return entry;
}

/* --- writing --- */

/* A run being written. */
struct run_writer {
    struct db *db;
    int64_t id;
    int64_t entries;
    int64_t chunks;
    struct chunk chunk;
};

static bool flush_chunk(struct run_writer *w, struct error *err)
{
    sqlite3_stmt *stmt = db_statement(w->db, DB_CHUNK_PUT, err);
    size_t len = w->chunk.count * ENTRY_BYTES;

    if (stmt == NULL) {
        return false;
    }
    if (w->chunks == INT64_C(1) << CHUNK_BITS) {
        return error_set(err, ERR_LIMIT, "index: a run has more than 2^%d chunks", CHUNK_BITS);
    }
    uint32_t crc = crc32c(0, w->chunk.bytes + CHUNK_HEAD, len);
    memcpy(w->chunk.bytes, &crc, sizeof(crc));
    (void)sqlite3_bind_int64(stmt, 1, w->id << CHUNK_BITS | w->chunks);
    (void)sqlite3_bind_blob(stmt, 2, w->chunk.bytes, (int)(CHUNK_HEAD + len), SQLITE_STATIC);
    w->chunks++;
    w->chunk.count = 0;
    return db_done(w->db, stmt, err);
}

static bool write_entry(struct run_writer *w, struct run_entry entry, struct error *err)
{
    uint8_t *at = w->chunk.bytes + CHUNK_HEAD + w->chunk.count * ENTRY_BYTES;

    memcpy(at, &entry.hash, sizeof(entry.hash));
    memcpy(at + sizeof(entry.hash), &entry.block, sizeof(entry.block));
    w->entries++;
    return ++w->chunk.count < CHUNK_ENTRIES || flush_chunk(w, err);
}

static bool finish_run(struct run_writer *w, int64_t level, struct error *err)
{
    if (w->chunk.count > 0 && !flush_chunk(w, err)) {
        return false;
    }
    sqlite3_stmt *stmt = db_statement(w->db, DB_RUN_PUT, err);
    if (stmt == NULL) {
        return false;
    }
    (void)sqlite3_bind_int64(stmt, 1, w->id);
    (void)sqlite3_bind_int64(stmt, 2, level);
    (void)sqlite3_bind_int64(stmt, 3, w->entries);
    (void)sqlite3_bind_int64(stmt, 4, w->chunks);
    return db_done(w->db, stmt, err);
}

static bool delete_run(struct db *db, const struct run *run, struct error *err)
{
    sqlite3_stmt *chunks = db_statement(db, DB_CHUNKS_DELETE, err);
    sqlite3_stmt *row = db_statement(db, DB_RUN_DELETE, err);

    if (chunks == NULL || row == NULL) {
        return false;
    }
    (void)sqlite3_bind_int64(chunks, 1, run->id << CHUNK_BITS);
    (void)sqlite3_bind_int64(chunks, 2, ((run->id + 1) << CHUNK_BITS) - 1);
    (void)sqlite3_bind_int64(row, 1, run->id);
    return db_done(db, chunks, err) && db_done(db, row, err);
}

/* --- reading --- */

static bool read_chunk(struct db *db, const struct run *run, int64_t number, struct chunk *out,
                       struct error *err)
{
    sqlite3_stmt *stmt = db_statement(db, DB_CHUNK_GET, err);
    bool row = false;

    if (stmt == NULL) {
        return false;
    }
    (void)sqlite3_bind_int64(stmt, 1, run->id << CHUNK_BITS | number);
    if (!db_row(db, stmt, &row, err)) {
        return false;
    }
    if (!row) {
        return error_set(err, ERR_CORRUPT, "index: chunk %" PRId64 " of run %" PRId64 " is missing",
                         number, run->id);
    }
    struct slice data = db_blob(stmt, 0);
    int64_t expected =
        number + 1 < run->chunks ? CHUNK_ENTRIES : run->entries - number * CHUNK_ENTRIES;
    bool ok = expected > 0 && expected <= CHUNK_ENTRIES &&
              data.len == CHUNK_HEAD + (size_t)expected * ENTRY_BYTES;
    if (ok) {
        uint32_t crc;
        memcpy(out->bytes, data.data, data.len);
        memcpy(&crc, out->bytes, sizeof(crc));
        out->count = (size_t)expected;
        ok = crc == crc32c(0, out->bytes + CHUNK_HEAD, data.len - CHUNK_HEAD);
    }
    (void)sqlite3_reset(stmt);
    return ok ||
           error_set(err, ERR_CORRUPT, "index: chunk %" PRId64 " of run %" PRId64 " is damaged",
                     number, run->id);
}

static bool list_runs(struct db *db, struct run_list *out, struct error *err)
{
    sqlite3_stmt *stmt = db_statement(db, DB_RUNS, err);
    bool row = false;

    if (stmt == NULL) {
        return false;
    }
    while (db_row(db, stmt, &row, err)) {
        if (!row) {
            return true;
        }
        if (out->count == out->cap) {
            out->cap = out->cap == 0 ? 64 : out->cap * 2;
            out->runs = mem_realloc(out->runs, out->cap * sizeof(*out->runs));
        }
        struct run run = {
            .id = sqlite3_column_int64(stmt, 0),
            .level = sqlite3_column_int64(stmt, 1),
            .entries = sqlite3_column_int64(stmt, 2),
            .chunks = sqlite3_column_int64(stmt, 3),
        };
        if (run.id <= 0 || run.id > INT64_MAX >> (CHUNK_BITS + 1) || run.entries < 0 ||
            run.chunks != (run.entries + CHUNK_ENTRIES - 1) / CHUNK_ENTRIES) {
            (void)sqlite3_reset(stmt);
            return error_set(err, ERR_CORRUPT, "index: row of run %" PRId64 " is damaged", run.id);
        }
        out->runs[out->count++] = run;
    }
    return false;
}

/* --- merging --- */

/* One run being read from its lowest entry up. */
struct run_cursor {
    struct run run;
    struct run_entry entry; /* the current one */
    int64_t next_chunk;
    size_t at; /* of the entry behind the current one */
    struct chunk chunk;
};

/* *more false: the run is read to its end. */
static bool advance(struct db *db, struct run_cursor *c, bool *more, struct error *err)
{
    if (c->at == c->chunk.count) {
        *more = c->next_chunk < c->run.chunks;
        if (!*more) {
            return true;
        }
        if (!read_chunk(db, &c->run, c->next_chunk++, &c->chunk, err)) {
            return false;
        }
        c->at = 0;
    }
    *more = true;
    c->entry = entry_at(&c->chunk, c->at++);
    return true;
}

static bool before(const struct run_cursor *a, const struct run_cursor *b)
{
    return a->entry.hash != b->entry.hash ? a->entry.hash < b->entry.hash
                                          : a->entry.block < b->entry.block;
}

/* Move the cursor at `at` down to where it belongs in the heap. */
static void sift(struct run_cursor **heap, size_t count, size_t at)
{
    for (;;) {
        size_t least = 2 * at + 1;
        if (least >= count) {
            return;
        }
        if (least + 1 < count && before(heap[least + 1], heap[least])) {
            least++;
        }
        if (!before(heap[least], heap[at])) {
            return;
        }
        struct run_cursor *lower = heap[least];
        heap[least] = heap[at];
        heap[at] = lower;
        at = least;
    }
}

static bool merge_heap(struct db *db, struct run_cursor **heap, size_t count,
                       struct run_writer *out, struct filter *filter, struct error *err)
{
    struct run_entry last = {0};

    for (size_t i = count / 2; i > 0; i--) {
        sift(heap, count, i - 1);
    }
    while (count > 0) {
        struct run_entry entry = heap[0]->entry;
        bool more = false;
        if (out->entries == 0 || entry.hash != last.hash || entry.block != last.block) {
            if (!write_entry(out, entry, err)) {
                return false;
            }
            if (filter != NULL) {
                filter_add(filter, entry.hash);
            }
            last = entry;
        }
        if (!advance(db, heap[0], &more, err)) {
            return false;
        }
        if (!more) {
            heap[0] = heap[--count];
        }
        sift(heap, count, 0);
    }
    return true;
}

/* Merge runs into one new run of that level and delete them. */
static bool merge(struct db *db, int64_t *next_id, const struct run *runs, size_t count,
                  int64_t level, struct filter *filter, struct error *err)
{
    struct run_cursor *cursors = mem_alloc(count * sizeof(*cursors));
    struct run_cursor **heap = mem_alloc(count * sizeof(struct run_cursor *));
    struct run_writer *out = mem_zalloc(1, sizeof(*out));
    size_t live = 0;
    bool ok = true;

    *out = (struct run_writer){.db = db, .id = (*next_id)++};
    for (size_t i = 0; ok && i < count; i++) {
        bool more = false;
        cursors[i].run = runs[i];
        cursors[i].next_chunk = 0;
        cursors[i].at = 0;
        cursors[i].chunk.count = 0;
        ok = advance(db, &cursors[i], &more, err);
        if (ok && more) {
            heap[live++] = &cursors[i];
        }
    }
    ok = ok && merge_heap(db, heap, live, out, filter, err) && finish_run(out, level, err);
    for (size_t i = 0; ok && i < count; i++) {
        ok = delete_run(db, &runs[i], err);
    }
    free(out);
    free(heap);
    free(cursors);
    return ok;
}

/* The runs of one level to the front; how many. */
static size_t pick_level(struct run_list *list, int64_t level)
{
    size_t picked = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (list->runs[i].level == level) {
            struct run run = list->runs[i];
            list->runs[i] = list->runs[picked];
            list->runs[picked++] = run;
        }
    }
    return picked;
}

static bool merge_full_levels(struct db *db, int64_t *next_id, struct error *err)
{
    for (int64_t level = 0;; level++) {
        struct run_list list = {0};
        bool ok = list_runs(db, &list, err);
        size_t picked = ok ? pick_level(&list, level) : 0;
        bool again = picked >= RUN_FAN_IN;
        if (again) {
            ok = merge(db, next_id, list.runs, picked, level + 1, NULL, err);
        }
        free(list.runs);
        if (!ok || !again) {
            return ok;
        }
    }
}

bool runs_add(struct db *db, int64_t *next_id, const struct run_entry *entries, size_t count,
              struct error *err)
{
    struct run_writer w = {.db = db, .id = (*next_id)++};

    for (size_t i = 0; i < count; i++) {
        if (!write_entry(&w, entries[i], err)) {
            return false;
        }
    }
    return finish_run(&w, 0, err) && merge_full_levels(db, next_id, err);
}

bool runs_merge_all(struct db *db, int64_t *next_id, struct filter *filter, struct error *err)
{
    struct run_list list = {0};
    uint64_t entries = 0;

    bool ok = list_runs(db, &list, err);
    for (size_t i = 0; i < list.count; i++) {
        entries += (uint64_t)list.runs[i].entries;
    }
    filter_init(filter, entries);
    /* A single run is written once more, too: its filter has to be filled, and this is rare. */
    ok = ok && (list.count == 0 ||
                merge(db, next_id, list.runs, list.count, RUN_LEVEL_FINAL, filter, err));
    free(list.runs);
    if (!ok) {
        filter_deinit(filter);
    }
    return ok;
}

/* --- searching --- */

/* First entry of the chunk that is not below the hash. */
static size_t lower_bound(const struct chunk *chunk, uint64_t hash)
{
    size_t low = 0;
    size_t high = chunk->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_at(chunk, middle).hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Where in [low, high] the hash should be. */
static int64_t guess(const struct run *run, uint64_t hash, int64_t low, int64_t high, int tries)
{
    int64_t at = (int64_t)((hash >> 32) * (uint64_t)run->entries >> 32) / CHUNK_ENTRIES;

    if (tries >= GUESSES_MAX) {
        return low + (high - low) / 2;
    }
    return at < low ? low : at > high ? high : at;
}

/* The first chunk that may hold the hash: the lowest whose last entry is not below it. */
static bool find_chunk(struct db *db, const struct run *run, uint64_t hash, struct chunk *chunk,
                       int64_t *number, struct error *err)
{
    int64_t low = 0;
    int64_t high = run->chunks - 1;
    int64_t loaded = -1;

    for (int tries = 0; low <= high; tries++) {
        int64_t at = guess(run, hash, low, high, tries);
        if (!read_chunk(db, run, at, chunk, err)) {
            return false;
        }
        loaded = at;
        if (entry_at(chunk, chunk->count - 1).hash < hash) {
            low = at + 1;
        } else if (entry_at(chunk, 0).hash < hash || at == low) {
            *number = at;
            return true;
        } else {
            high = at - 1; /* the chunk before may end with the hash */
        }
    }
    *number = low;
    return low == run->chunks || low == loaded || read_chunk(db, run, low, chunk, err);
}

static bool find_in_run(struct db *db, const struct run *run, uint64_t hash,
                        void (*found)(void *ctx, int32_t block), void *ctx, struct error *err)
{
    struct chunk chunk;
    int64_t number = 0;

    chunk.count = 0;
    if (run->chunks == 0) {
        return true;
    }
    if (!find_chunk(db, run, hash, &chunk, &number, err)) {
        return false;
    }
    while (number < run->chunks) {
        size_t at = lower_bound(&chunk, hash);
        for (; at < chunk.count; at++) {
            struct run_entry entry = entry_at(&chunk, at);
            if (entry.hash != hash) {
                return true;
            }
            found(ctx, entry.block);
        }
        number++;
        if (number < run->chunks && !read_chunk(db, run, number, &chunk, err)) {
            return false;
        }
    }
    return true;
}

bool runs_find(struct db *db, uint64_t hash, void (*found)(void *ctx, int32_t block), void *ctx,
               struct error *err)
{
    struct run_list list = {0};

    bool ok = list_runs(db, &list, err);
    for (size_t i = 0; ok && i < list.count; i++) {
        ok = find_in_run(db, &list.runs[i], hash, found, ctx, err);
    }
    free(list.runs);
    return ok;
}
