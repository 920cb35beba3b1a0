/* reader.c - read a partition's index. */
#include "reader.h"

#include "runs.h"

#include <inttypes.h>
#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

void seq_list_push(struct seq_list *list, uint64_t seq)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 32 : list->cap * 2;
        list->seqs = mem_realloc(list->seqs, list->cap * sizeof(*list->seqs));
    }
    list->seqs[list->count++] = seq;
}

static int compare_downwards(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left > right ? -1 : left < right;
}

void seq_list_sort(struct seq_list *list)
{
    size_t kept = 0;

    if (list->count > 1) {
        qsort(list->seqs, list->count, sizeof(*list->seqs), compare_downwards);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (kept == 0 || list->seqs[kept - 1] != list->seqs[i]) {
            list->seqs[kept++] = list->seqs[i];
        }
    }
    list->count = kept;
}

/* End a read transaction; a failure before stays the error. */
static bool end_read(struct db *db, bool ok, struct error *err)
{
    if (!ok) {
        db_rollback(db);
        return false;
    }
    return db_run(db, DB_COMMIT, err);
}

/* --- traces --- */

struct finding {
    struct seq_list *out;
    int64_t base;
};

static void found_block(void *ctx, int32_t block)
{
    struct finding *f = ctx;

    seq_list_push(f->out, (uint64_t)(f->base + block));
}

bool index_read_find(struct db *db, uint64_t hash, struct seq_list *out, struct error *err)
{
    struct finding f = {.out = out};
    bool has_base = false;

    if (!db_run(db, DB_BEGIN_READ, err)) {
        return false;
    }
    bool ok = db_meta_get(db, "base", &has_base, &f.base, err) &&
              (!has_base || runs_find(db, hash, found_block, &f, err));
    return end_read(db, ok, err);
}

/* --- blocks --- */

static bool has_id(struct slice ids, uint32_t id)
{
    for (size_t at = 0; at + sizeof(id) <= ids.len; at += sizeof(id)) {
        if (memcmp(ids.data + at, &id, sizeof(id)) == 0) {
            return true;
        }
    }
    return false;
}

/* -1: no such service here. */
static bool service_id(struct db *db, struct slice service, int64_t *id, struct error *err)
{
    sqlite3_stmt *stmt = db_statement(db, DB_SERVICE_GET, err);
    bool row = false;

    if (stmt == NULL) {
        return false;
    }
    db_bind_text(stmt, 1, service);
    if (!db_row(db, stmt, &row, err)) {
        return false;
    }
    *id = row ? sqlite3_column_int64(stmt, 0) : -1;
    (void)sqlite3_reset(stmt);
    return true;
}

static bool read_blocks(struct db *db, bool any, int64_t id, int64_t start_min, int64_t start_max,
                        uint64_t *below, size_t max, struct seq_list *out, struct error *err)
{
    sqlite3_stmt *stmt = db_statement(db, DB_BLOCKS, err);
    size_t end = out->count + max;
    bool row = false;

    if (stmt == NULL) {
        return false;
    }
    (void)sqlite3_bind_int64(stmt, 1, *below > INT64_MAX ? INT64_MAX : (int64_t)*below);
    while (out->count < end) {
        if (!db_row(db, stmt, &row, err)) {
            return false;
        }
        if (!row) {
            *below = 0;
            return true;
        }
        uint64_t seq = (uint64_t)sqlite3_column_int64(stmt, 0);
        int64_t block_min = sqlite3_column_int64(stmt, 1);
        int64_t block_max = sqlite3_column_int64(stmt, 2);
        bool listed = sqlite3_column_type(stmt, 3) != SQLITE_NULL;
        struct slice ids = db_blob(stmt, 3);
        if (index_block_crc(seq, block_min, block_max, ids) !=
            (uint32_t)sqlite3_column_int64(stmt, 4)) {
            (void)sqlite3_reset(stmt);
            return error_set(err, ERR_CORRUPT, "index: row of block %" PRIu64 " is damaged", seq);
        }
        *below = seq;
        if (block_max >= start_min && block_min <= start_max &&
            (any || !listed || (id >= 0 && has_id(ids, (uint32_t)id)))) {
            seq_list_push(out, seq);
        }
    }
    (void)sqlite3_reset(stmt);
    return true;
}

bool index_read_blocks(struct db *db, struct slice service, int64_t start_min, int64_t start_max,
                       uint64_t *below, size_t max, struct seq_list *out, struct error *err)
{
    int64_t id = -1;

    if (!db_run(db, DB_BEGIN_READ, err)) {
        return false;
    }
    bool ok = (service.len == 0 || service_id(db, service, &id, err)) &&
              read_blocks(db, service.len == 0, id, start_min, start_max, below, max, out, err);
    return end_read(db, ok, err);
}

/* --- names --- */

bool index_read_services(struct db *db, struct name_set *out, struct error *err)
{
    sqlite3_stmt *stmt = db_statement(db, DB_SERVICES, err);
    bool row = false;

    if (stmt == NULL) {
        return false;
    }
    while (db_row(db, stmt, &row, err)) {
        if (!row) {
            return true;
        }
        int64_t id = sqlite3_column_int64(stmt, 0);
        struct slice name = db_blob(stmt, 1);
        if (index_name_crc((uint64_t)id, name, 0) != (uint32_t)sqlite3_column_int64(stmt, 2)) {
            (void)sqlite3_reset(stmt);
            return error_set(err, ERR_CORRUPT, "index: row of service %" PRId64 " is damaged", id);
        }
        name_set_add(out, name, 0);
    }
    return false;
}

static bool read_operations(struct db *db, int64_t id, struct name_set *out, struct error *err)
{
    sqlite3_stmt *stmt = db_statement(db, DB_OPERATIONS_OF, err);
    bool row = false;

    if (stmt == NULL) {
        return false;
    }
    (void)sqlite3_bind_int64(stmt, 1, id);
    while (db_row(db, stmt, &row, err)) {
        if (!row) {
            return true;
        }
        struct slice name = db_blob(stmt, 1);
        int64_t kind = sqlite3_column_int64(stmt, 2);
        if (kind < 0 || kind > UINT8_MAX ||
            index_name_crc((uint64_t)id, name, (uint8_t)kind) !=
                (uint32_t)sqlite3_column_int64(stmt, 3)) {
            (void)sqlite3_reset(stmt);
            return error_set(err, ERR_CORRUPT, "index: row of an operation is damaged");
        }
        name_set_add(out, name, (uint8_t)kind);
    }
    return false;
}

bool index_read_operations(struct db *db, struct slice service, struct name_set *out,
                           struct error *err)
{
    int64_t id = -1;

    if (!db_run(db, DB_BEGIN_READ, err)) {
        return false;
    }
    bool ok = service_id(db, service, &id, err) && (id < 0 || read_operations(db, id, out, err));
    return end_read(db, ok, err);
}

/* --- finished partitions --- */

bool index_read_summary(struct db *db, bool *finished, struct index_sums *sums, struct error *err)
{
    int64_t values[5] = {0};
    static const char *const keys[] = {"finished", "blocks", "last_seq", "start_min", "start_max"};

    if (!db_run(db, DB_BEGIN_READ, err)) {
        return false;
    }
    bool ok = true;
    for (size_t i = 0; ok && i < COUNT_OF(keys); i++) {
        bool found = false;
        ok = db_meta_get(db, keys[i], &found, &values[i], err);
    }
    *finished = values[0] == 1;
    *sums = (struct index_sums){
        .blocks = (uint64_t)values[1],
        .last_seq = (uint64_t)values[2],
        .start_min = values[3],
        .start_max = values[4],
    };
    return end_read(db, ok, err);
}

static bool read_filter_row(struct db *db, int64_t id, uint8_t *to, size_t room, size_t *len,
                            struct error *err)
{
    sqlite3_stmt *stmt = db_statement(db, DB_FILTER_GET, err);
    bool row = false;

    if (stmt == NULL) {
        return false;
    }
    (void)sqlite3_bind_int64(stmt, 1, id);
    if (!db_row(db, stmt, &row, err)) {
        return false;
    }
    struct slice part = row ? db_blob(stmt, 0) : (struct slice){0};
    bool ok = part.len > 0 && part.len <= room &&
              crc32c((uint32_t)id, part.data, part.len) == (uint32_t)sqlite3_column_int64(stmt, 1);
    if (ok) {
        memcpy(to, part.data, part.len);
        *len = part.len;
    }
    (void)sqlite3_reset(stmt);
    return ok || error_set(err, ERR_CORRUPT, "index: row %" PRId64 " of the filter is damaged", id);
}

bool index_read_filter(struct db *db, size_t bytes_max, struct filter *out, struct error *err)
{
    bool found = false;
    int64_t bytes = 0;

    *out = (struct filter){0};
    if (!db_meta_get(db, "filter_bytes", &found, &bytes, err)) {
        return false;
    }
    if (!found || bytes <= 0 || bytes % FILTER_LINE_BYTES != 0 || (uint64_t)bytes > bytes_max) {
        return true;
    }
    struct filter filter = {
        .words = mem_alloc((size_t)bytes),
        .lines = (size_t)bytes / FILTER_LINE_BYTES,
    };
    size_t at = 0;
    for (int64_t id = 0; at < (size_t)bytes; id++) {
        size_t len = 0;
        if (!read_filter_row(db, id, (uint8_t *)filter.words + at, (size_t)bytes - at, &len, err)) {
            filter_deinit(&filter);
            return false;
        }
        at += len;
    }
    *out = filter;
    return true;
}
