/*
 * writer.c - add blocks to a partition's index.
 */
#include "writer.h"

#include "names.h"
#include "runs.h"

#include <assert.h>
#include <inttypes.h>
#include <spangate/base/hash.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

/* Pages in the WAL after which it is moved into the file: 8 MiB. */
enum { CHECKPOINT_PAGES = 2048 };

/* Filters are stored in rows of this size. */
enum { FILTER_ROW_BYTES = 64 * 1024 };

uint32_t index_block_crc(uint64_t seq, int64_t start_min, int64_t start_max, struct slice services)
{
    uint64_t fixed[3] = {seq, (uint64_t)start_min, (uint64_t)start_max};

    return crc32c(crc32c(0, fixed, sizeof(fixed)), services.data, services.len);
}

uint32_t index_name_crc(uint64_t id, struct slice name, uint8_t kind)
{
    uint64_t fixed[2] = {id, kind};

    return crc32c(crc32c(0, fixed, sizeof(fixed)), name.data, name.len);
}

/* --- what is known --- */

static bool hash_set_has(const struct hash_set *set, uint64_t hash)
{
    if (set->cap == 0) {
        return false;
    }
    for (size_t at = hash & (set->cap - 1); set->slots[at] != 0; at = (at + 1) & (set->cap - 1)) {
        if (set->slots[at] == hash) {
            return true;
        }
    }
    return false;
}

static void hash_set_insert(uint64_t *slots, size_t cap, uint64_t hash)
{
    size_t at = hash & (cap - 1);

    while (slots[at] != 0) {
        at = (at + 1) & (cap - 1);
    }
    slots[at] = hash;
}

static void hash_set_add(struct hash_set *set, uint64_t hash)
{
    if (set->count * 2 >= set->cap) {
        size_t cap = set->cap == 0 ? 256 : set->cap * 2;
        uint64_t *slots = mem_zalloc(cap, sizeof(*slots));
        for (size_t i = 0; i < set->cap; i++) {
            if (set->slots[i] != 0) {
                hash_set_insert(slots, cap, set->slots[i]);
            }
        }
        free(set->slots);
        set->slots = slots;
        set->cap = cap;
    }
    hash_set_insert(set->slots, set->cap, hash);
    set->count++;
}

static void hash_set_clear(struct hash_set *set)
{
    if (set->count > 0) {
        memset(set->slots, 0, set->cap * sizeof(*set->slots));
        set->count = 0;
    }
}

static uint64_t operation_hash(uint64_t service, struct slice name, uint8_t kind)
{
    uint64_t hash = hash_mix(hash_bytes(name.data, name.len), service << 8 | kind);

    return hash == 0 ? 1 : hash;
}

static struct writer_service *know_service(struct index_writer *w, uint32_t id, struct slice name)
{
    struct writer_service *service = arena_alloc(&w->names, sizeof(*service));

    *service = (struct writer_service){.id = id, .name = arena_copy(&w->names, name)};
    map_put(&w->services, service->name, service);
    w->service_count++;
    return service;
}

static void know_operation(struct index_writer *w, struct writer_service *service, uint64_t hash)
{
    hash_set_add(&w->operations, hash);
    w->operation_count++;
    service->operation_count++;
}

static void forget_names(struct index_writer *w)
{
    map_deinit(&w->services);
    map_init(&w->services);
    arena_reset(&w->names);
    hash_set_clear(&w->operations);
    w->service_count = 0;
    w->operation_count = 0;
}

static bool load_services(struct index_writer *w, struct writer_service **by_id, struct error *err)
{
    sqlite3_stmt *stmt = db_statement(&w->db, DB_SERVICES, err);
    bool row = false;

    if (stmt == NULL) {
        return false;
    }
    while (db_row(&w->db, stmt, &row, err)) {
        if (!row) {
            return true;
        }
        int64_t id = sqlite3_column_int64(stmt, 0);
        struct slice name = db_blob(stmt, 1);
        if (id < 0 || id >= SERVICES_MAX ||
            index_name_crc((uint64_t)id, name, 0) != (uint32_t)sqlite3_column_int64(stmt, 2)) {
            (void)sqlite3_reset(stmt);
            return error_set(err, ERR_CORRUPT, "index: row of service %" PRId64 " is damaged", id);
        }
        by_id[id] = know_service(w, (uint32_t)id, name);
    }
    return false;
}

static bool load_operations(struct index_writer *w, struct writer_service **by_id,
                            struct error *err)
{
    sqlite3_stmt *stmt = db_statement(&w->db, DB_OPERATIONS, err);
    bool row = false;

    if (stmt == NULL) {
        return false;
    }
    while (db_row(&w->db, stmt, &row, err)) {
        if (!row) {
            return true;
        }
        int64_t id = sqlite3_column_int64(stmt, 0);
        struct slice name = db_blob(stmt, 1);
        int64_t kind = sqlite3_column_int64(stmt, 2);
        if (id < 0 || id >= SERVICES_MAX || by_id[id] == NULL || kind < 0 || kind > UINT8_MAX ||
            index_name_crc((uint64_t)id, name, (uint8_t)kind) !=
                (uint32_t)sqlite3_column_int64(stmt, 3)) {
            (void)sqlite3_reset(stmt);
            return error_set(err, ERR_CORRUPT, "index: row of an operation is damaged");
        }
        know_operation(w, by_id[id], operation_hash((uint64_t)id, name, (uint8_t)kind));
    }
    return false;
}

/* Fill the memory of names from the file; also after a transaction that was rolled back. */
static bool load_names(struct index_writer *w, struct error *err)
{
    struct writer_service **by_id = mem_zalloc(SERVICES_MAX, sizeof(struct writer_service *));

    forget_names(w);
    bool ok = load_services(w, by_id, err) && load_operations(w, by_id, err);
    free(by_id);
    return ok;
}

/* --- open and close --- */

static bool load_state(struct index_writer *w, struct error *err)
{
    sqlite3_stmt *stmt = db_statement(&w->db, DB_RUN_MAX, err);
    int64_t finished = 0;
    bool row = false;

    if (stmt == NULL || !db_row(&w->db, stmt, &row, err)) {
        return false;
    }
    w->next_run = (row ? sqlite3_column_int64(stmt, 0) : 0) + 1;
    (void)sqlite3_reset(stmt);
    if (!db_meta_get(&w->db, "base", &row, &w->base, err) ||
        !db_meta_get(&w->db, "finished", &row, &finished, err)) {
        return false;
    }
    w->finished = finished != 0;
    return load_names(w, err);
}

/* SQLite tells after each commit how long its WAL is. */
static int note_pages(void *ctx, sqlite3 *handle, const char *name, int pages)
{
    int *wal_pages = ctx;

    (void)handle;
    (void)name;
    *wal_pages = pages;
    return SQLITE_OK;
}

bool index_writer_open(struct index_writer *w, uint64_t partition, const char *path,
                       struct error *err)
{
    assert(!w->open);
    *w = (struct index_writer){.partition = partition};
    if (!db_open(&w->db, path, DB_WRITE, err)) {
        return false;
    }
    w->open = true;
    (void)sqlite3_wal_hook(w->db.handle, note_pages, &w->wal_pages);
    arena_init(&w->names);
    map_init(&w->services);
    if (!load_state(w, err)) {
        index_writer_close(w);
        return error_wrap(err, "open %s", path);
    }
    return true;
}

void index_writer_close(struct index_writer *w)
{
    if (!w->open) {
        return;
    }
    db_rollback(&w->db);
    db_close(&w->db);
    map_deinit(&w->services);
    arena_deinit(&w->names);
    free(w->operations.slots);
    *w = (struct index_writer){0};
}

void index_writer_move(struct index_writer *to, struct index_writer *from)
{
    assert(from->open && !to->open);
    (void)sqlite3_wal_hook(from->db.handle, NULL, NULL); /* it has from's address */
    *to = *from;
    *from = (struct index_writer){0};
}

/* --- add --- */

/* What one block needs looked up once: ids of its services by index into its strings. */
struct additions {
    const struct block *block;
    struct writer_service **services; /* by string; NULL: not looked up or over the limit */
    bool *looked_up;
    uint32_t *ids; /* of services, for the block's row */
    size_t id_count;
    bool overflow; /* the row cannot name all services */
};

static void warn_limit(const struct index_writer *w, const char *what)
{
    log_warn("index", "too many names in one partition, some are not listed",
             "partition=%" PRIu64 " of=%s", w->partition, what);
}

static bool add_service(struct index_writer *w, struct slice name, struct writer_service **out,
                        struct error *err)
{
    *out = map_get(&w->services, name);
    if (*out != NULL) {
        return true;
    }
    if (name.len > NAME_BYTES_MAX || w->service_count >= SERVICES_MAX) {
        warn_limit(w, "services");
        return true;
    }
    sqlite3_stmt *stmt = db_statement(&w->db, DB_SERVICE_PUT, err);
    if (stmt == NULL) {
        return false;
    }
    uint32_t id = (uint32_t)w->service_count;
    (void)sqlite3_bind_int64(stmt, 1, id);
    db_bind_text(stmt, 2, name);
    (void)sqlite3_bind_int64(stmt, 3, index_name_crc(id, name, 0));
    if (!db_done(&w->db, stmt, err)) {
        return false;
    }
    *out = know_service(w, id, name);
    return true;
}

static bool look_up_service(struct index_writer *w, struct additions *a, uint32_t string,
                            struct error *err)
{
    if (a->looked_up[string]) {
        return true;
    }
    a->looked_up[string] = true;
    if (!add_service(w, a->block->strings[string], &a->services[string], err)) {
        return false;
    }
    if (a->services[string] == NULL) {
        a->overflow = true;
    } else {
        a->ids[a->id_count++] = a->services[string]->id;
    }
    return true;
}

static bool add_operation(struct index_writer *w, struct writer_service *service, struct slice name,
                          uint8_t kind, struct error *err)
{
    uint64_t hash = operation_hash(service->id, name, kind);

    if (hash_set_has(&w->operations, hash)) {
        return true;
    }
    if (name.len > NAME_BYTES_MAX || w->operation_count >= OPERATIONS_MAX ||
        service->operation_count >= OPERATIONS_PER_SERVICE_MAX) {
        warn_limit(w, "operations");
        return true;
    }
    sqlite3_stmt *stmt = db_statement(&w->db, DB_OPERATION_PUT, err);
    if (stmt == NULL) {
        return false;
    }
    (void)sqlite3_bind_int64(stmt, 1, service->id);
    db_bind_text(stmt, 2, name);
    (void)sqlite3_bind_int64(stmt, 3, kind);
    (void)sqlite3_bind_int64(stmt, 4, index_name_crc(service->id, name, kind));
    if (!db_done(&w->db, stmt, err)) {
        return false;
    }
    know_operation(w, service, hash);
    return true;
}

/* A small memory of what the spans before were, by name, service and kind: most repeat. */
enum { SEEN_SLOTS = 1024 };

static bool add_names(struct index_writer *w, struct additions *a, struct error *err)
{
    const struct block *b = a->block;
    uint64_t *seen = mem_zalloc(SEEN_SLOTS, sizeof(*seen));
    bool ok = true;

    for (uint32_t i = 0; ok && i < b->span_count; i++) {
        const struct block_span *span = &b->spans[i];
        uint32_t service = b->resources[b->scopes[span->scope].resource].service;
        uint64_t key = ((uint64_t)service << 32 | span->name) + 1;
        uint64_t *slot = &seen[(key * UINT64_C(0x9e3779b97f4a7c15) + span->kind) % SEEN_SLOTS];
        if (*slot == (key ^ (uint64_t)span->kind << 56)) {
            continue;
        }
        *slot = key ^ (uint64_t)span->kind << 56;
        ok = look_up_service(w, a, service, err);
        if (ok && a->services[service] != NULL) {
            ok = add_operation(w, a->services[service], b->strings[span->name], span->kind, err);
        }
    }
    free(seen);
    return ok;
}

static bool put_block(struct index_writer *w, const struct additions *a, bool *added,
                      struct error *err)
{
    const struct block *b = a->block;
    sqlite3_stmt *stmt = db_statement(&w->db, DB_BLOCK_PUT, err);
    int64_t start_min = db_time(b->start_ns_min);
    int64_t start_max = db_time(b->start_ns_max);
    struct slice ids = {(const uint8_t *)a->ids, a->id_count * sizeof(*a->ids)};

    if (stmt == NULL) {
        return false;
    }
    if (a->overflow) {
        ids = (struct slice){0};
    }
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)b->seq);
    (void)sqlite3_bind_int64(stmt, 2, start_min);
    (void)sqlite3_bind_int64(stmt, 3, start_max);
    if (a->overflow) {
        (void)sqlite3_bind_null(stmt, 4);
    } else {
        (void)sqlite3_bind_blob(stmt, 4, a->ids, (int)ids.len, SQLITE_STATIC);
    }
    (void)sqlite3_bind_int64(stmt, 5, index_block_crc(b->seq, start_min, start_max, ids));
    bool ok = db_done(&w->db, stmt, err);
    *added = ok && sqlite3_changes(w->db.handle) > 0;
    return ok;
}

static bool add_traces(struct index_writer *w, const struct block *b, struct error *err)
{
    struct run_entry *entries = mem_alloc(((size_t)b->trace_count + 1) * sizeof(*entries));
    int64_t block = (int64_t)b->seq - w->base;

    bool ok = block >= INT32_MIN && block <= INT32_MAX;
    if (!ok) {
        error_set(err, ERR_CORRUPT, "index: block %" PRIu64 " is too far from the first", b->seq);
    }
    for (uint32_t i = 0; i < b->trace_count; i++) {
        entries[i] = (struct run_entry){
            .hash = hash_stable(b->traces[i].trace_id.bytes, sizeof(b->traces[i].trace_id.bytes)),
            .block = (int32_t)block,
        };
    }
    ok = ok &&
         runs_add(&w->db, &w->next_run, entries, run_entries_sort(entries, b->trace_count), err);
    free(entries);
    return ok;
}

/* The filter does not know what comes now. */
static bool unfinish(struct index_writer *w, struct error *err)
{
    if (!w->finished) {
        return true;
    }
    return db_meta_set(&w->db, "finished", 0, err) && db_run(&w->db, DB_FILTER_DELETE, err);
}

static bool add_all(struct index_writer *w, const struct block *b, bool *added, struct error *err)
{
    size_t strings = (size_t)b->string_count + 1;
    struct additions a = {
        .block = b,
        .services = mem_zalloc(strings, sizeof(struct writer_service *)),
        .looked_up = mem_zalloc(strings, sizeof(bool)),
        .ids = mem_zalloc(strings, sizeof(uint32_t)),
    };

    bool ok = (w->base != 0 || db_meta_set(&w->db, "base", (int64_t)b->seq, err)) &&
              unfinish(w, err) && add_names(w, &a, err) && put_block(w, &a, added, err);
    if (ok && *added) {
        w->base = w->base == 0 ? (int64_t)b->seq : w->base;
        ok = add_traces(w, b, err);
    }
    free(a.services);
    free(a.looked_up);
    free(a.ids);
    return ok;
}

static bool checkpoint_if_long(struct index_writer *w, struct error *err)
{
    if (w->wal_pages < CHECKPOINT_PAGES) {
        return true;
    }
    w->wal_pages = 0;
    return db_checkpoint(&w->db, false, err);
}

bool index_writer_add(struct index_writer *w, const struct block *block, struct error *err)
{
    bool added = false;
    int64_t base = w->base;
    int64_t next_run = w->next_run;

    if (!db_run(&w->db, DB_BEGIN_WRITE, err)) {
        return false;
    }
    bool ok = add_all(w, block, &added, err) && db_run(&w->db, DB_COMMIT, err);
    if (!ok) {
        struct error again;
        db_rollback(&w->db);
        w->base = base;
        w->next_run = next_run;
        /* Names of the transaction are not in the file. If they cannot be read the file is of no
         * use. */
        if (!load_names(w, &again)) {
            *err = again;
        }
        return error_wrap(err, "index block %" PRIu64, block->seq);
    }
    if (added) {
        w->finished = false;
    }
    return checkpoint_if_long(w, err);
}

bool index_writer_has(struct index_writer *w, uint64_t seq, bool *has, struct error *err)
{
    sqlite3_stmt *stmt = db_statement(&w->db, DB_BLOCK_HAS, err);

    if (stmt == NULL) {
        return false;
    }
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)seq);
    bool ok = db_row(&w->db, stmt, has, err);
    (void)sqlite3_reset(stmt);
    return ok;
}

bool index_writer_sums(struct index_writer *w, struct index_sums *out, struct error *err)
{
    sqlite3_stmt *stmt = db_statement(&w->db, DB_BLOCK_SUMS, err);
    bool row = false;

    *out = (struct index_sums){0};
    if (stmt == NULL || !db_row(&w->db, stmt, &row, err)) {
        return false;
    }
    if (row) {
        out->blocks = (uint64_t)sqlite3_column_int64(stmt, 0);
        out->last_seq = (uint64_t)sqlite3_column_int64(stmt, 1);
        out->start_min = sqlite3_column_int64(stmt, 2);
        out->start_max = sqlite3_column_int64(stmt, 3);
        (void)sqlite3_reset(stmt);
    }
    return true;
}

/* --- finish --- */

static bool put_filter(struct index_writer *w, const struct filter *filter, struct error *err)
{
    const uint8_t *bytes = (const uint8_t *)filter->words;
    size_t len = filter_bytes(filter);
    int64_t id = 0;

    if (!db_run(&w->db, DB_FILTER_DELETE, err)) {
        return false;
    }
    for (size_t at = 0; at < len; at += FILTER_ROW_BYTES, id++) {
        sqlite3_stmt *stmt = db_statement(&w->db, DB_FILTER_PUT, err);
        size_t part = len - at < FILTER_ROW_BYTES ? len - at : FILTER_ROW_BYTES;
        if (stmt == NULL) {
            return false;
        }
        (void)sqlite3_bind_int64(stmt, 1, id);
        (void)sqlite3_bind_blob(stmt, 2, bytes + at, (int)part, SQLITE_STATIC);
        (void)sqlite3_bind_int64(stmt, 3, crc32c((uint32_t)id, bytes + at, part));
        if (!db_done(&w->db, stmt, err)) {
            return false;
        }
    }
    return db_meta_set(&w->db, "filter_bytes", (int64_t)len, err);
}

static bool put_sums(struct index_writer *w, struct error *err)
{
    struct index_sums sums;

    return index_writer_sums(w, &sums, err) &&
           db_meta_set(&w->db, "blocks", (int64_t)sums.blocks, err) &&
           db_meta_set(&w->db, "last_seq", (int64_t)sums.last_seq, err) &&
           db_meta_set(&w->db, "start_min", sums.start_min, err) &&
           db_meta_set(&w->db, "start_max", sums.start_max, err) &&
           db_meta_set(&w->db, "finished", 1, err);
}

bool index_writer_finish(struct index_writer *w, struct filter *filter, struct error *err)
{
    int64_t next_run = w->next_run;
    struct error ignored;

    *filter = (struct filter){0};
    if (!db_run(&w->db, DB_BEGIN_WRITE, err)) {
        return false;
    }
    bool ok = runs_merge_all(&w->db, &w->next_run, filter, err) && put_filter(w, filter, err) &&
              put_sums(w, err) && db_run(&w->db, DB_COMMIT, err);
    if (!ok) {
        db_rollback(&w->db);
        w->next_run = next_run;
        filter_deinit(filter);
        return error_wrap(err, "finish the index of partition %" PRIu64, w->partition);
    }
    w->finished = true;
    /* Both only save space; a reader may be in the way. */
    if (!db_run(&w->db, DB_SHRINK, &ignored) || !db_checkpoint(&w->db, true, &ignored)) {
        log_info("index", "finished index not made compact", "partition=%" PRIu64 " error=\"%s\"",
                 w->partition, ignored.message);
    }
    return true;
}
