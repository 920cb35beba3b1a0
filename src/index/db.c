/*
 * db.c - opening, statements, errors.
 */
#include "db.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <spangate/base/log.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 2000 };

/* Page caches in KiB, as SQLite's cache_size takes them. */
static const char writer_cache[] = "PRAGMA cache_size=-4096";
static const char reader_cache[] = "PRAGMA cache_size=-256";

static const char *const sql[DB_STATEMENTS] = {
    [DB_BEGIN_READ] = "BEGIN",
    [DB_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [DB_COMMIT] = "COMMIT",
    [DB_ROLLBACK] = "ROLLBACK",
    [DB_META_GET] = "SELECT value FROM meta WHERE key = ?1",
    [DB_META_SET] = ("INSERT INTO meta(key, value) VALUES(?1, ?2) "
                     "ON CONFLICT(key) DO UPDATE SET value = excluded.value"),
    [DB_BLOCK_PUT] = ("INSERT OR IGNORE INTO block(seq, start_min, start_max, services, crc) "
                      "VALUES(?1, ?2, ?3, ?4, ?5)"),
    [DB_BLOCK_HAS] = "SELECT 1 FROM block WHERE seq = ?1",
    [DB_BLOCKS] = ("SELECT seq, start_min, start_max, services, crc FROM block "
                   "WHERE seq < ?1 ORDER BY seq DESC"),
    [DB_BLOCK_SUMS] = "SELECT count(*), max(seq), min(start_min), max(start_max) FROM block",
    [DB_SERVICE_PUT] = "INSERT INTO service(id, name, crc) VALUES(?1, ?2, ?3)",
    [DB_SERVICES] = "SELECT id, name, crc FROM service",
    [DB_SERVICE_GET] = "SELECT id FROM service WHERE name = ?1",
    [DB_OPERATION_PUT] = ("INSERT OR IGNORE INTO operation(service, name, kind, crc) "
                          "VALUES(?1, ?2, ?3, ?4)"),
    [DB_OPERATIONS] = "SELECT service, name, kind, crc FROM operation",
    [DB_OPERATIONS_OF] = "SELECT service, name, kind, crc FROM operation WHERE service = ?1",
    [DB_RUN_PUT] = "INSERT INTO run(id, level, entries, chunks) VALUES(?1, ?2, ?3, ?4)",
    [DB_RUNS] = "SELECT id, level, entries, chunks FROM run ORDER BY id",
    [DB_RUN_DELETE] = "DELETE FROM run WHERE id = ?1",
    [DB_RUN_MAX] = "SELECT coalesce(max(id), 0) FROM run",
    [DB_CHUNK_PUT] = "INSERT INTO chunk(id, data) VALUES(?1, ?2)",
    [DB_CHUNK_GET] = "SELECT data FROM chunk WHERE id = ?1",
    [DB_CHUNKS_DELETE] = "DELETE FROM chunk WHERE id BETWEEN ?1 AND ?2",
    [DB_FILTER_PUT] = "INSERT INTO filter(id, data, crc) VALUES(?1, ?2, ?3)",
    [DB_FILTER_GET] = "SELECT data, crc FROM filter WHERE id = ?1",
    [DB_FILTER_DELETE] = "DELETE FROM filter",
    [DB_SHRINK] = "PRAGMA incremental_vacuum",
};

static const char *const schema[] = {
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    ("CREATE TABLE block(seq INTEGER PRIMARY KEY, start_min INTEGER NOT NULL, "
     "start_max INTEGER NOT NULL, services BLOB, crc INTEGER NOT NULL)"),
    ("CREATE TABLE service(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
     "crc INTEGER NOT NULL)"),
    ("CREATE TABLE operation(service INTEGER NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL, "
     "crc INTEGER NOT NULL, PRIMARY KEY(service, name, kind)) WITHOUT ROWID"),
    ("CREATE TABLE run(id INTEGER PRIMARY KEY, level INTEGER NOT NULL, entries INTEGER NOT NULL, "
     "chunks INTEGER NOT NULL)"),
    "CREATE TABLE chunk(id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE filter(id INTEGER PRIMARY KEY, data BLOB NOT NULL, crc INTEGER NOT NULL)",
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Memory statistics would take a lock at each allocation. */
static void configure(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_initialize();
}

static bool fail(struct db *db, int rc, struct error *err)
{
    const char *what = db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc);
    enum error_code code = ERR_UNAVAILABLE;

    switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR: /* our statements are right, so tables are missing or others */
    case SQLITE_CONSTRAINT:
        code = ERR_CORRUPT;
        break;
    case SQLITE_FULL:
        code = ERR_LIMIT;
        break;
    case SQLITE_IOERR:
        code = rc == SQLITE_IOERR_SHORT_READ ? ERR_CORRUPT : ERR_UNAVAILABLE;
        break;
    default:
        break;
    }
    return error_set(err, code, "sqlite: %s (%d)", what, rc);
}

static bool run_text(struct db *db, const char *text, struct error *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db->handle, text, -1, &stmt, NULL);

    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(stmt);
    }
    bool ok = rc == SQLITE_DONE || fail(db, rc, err);
    (void)sqlite3_finalize(stmt);
    return ok;
}

sqlite3_stmt *db_statement(struct db *db, enum db_statement which, struct error *err)
{
    if (db->statements[which] == NULL) {
        int rc = sqlite3_prepare_v3(db->handle, sql[which], -1, SQLITE_PREPARE_PERSISTENT,
                                    &db->statements[which], NULL);
        if (rc != SQLITE_OK) {
            (void)fail(db, rc, err);
            return NULL;
        }
    }
    return db->statements[which];
}

bool db_done(struct db *db, sqlite3_stmt *stmt, struct error *err)
{
    int rc = sqlite3_step(stmt);
    bool ok = rc == SQLITE_DONE || rc == SQLITE_ROW || fail(db, rc, err);

    (void)sqlite3_reset(stmt);
    return ok;
}

bool db_run(struct db *db, enum db_statement which, struct error *err)
{
    sqlite3_stmt *stmt = db_statement(db, which, err);
    bool row = true;

    if (stmt == NULL) {
        return false;
    }
    while (row) {
        if (!db_row(db, stmt, &row, err)) {
            return false;
        }
    }
    return true;
}

bool db_row(struct db *db, sqlite3_stmt *stmt, bool *row, struct error *err)
{
    int rc = sqlite3_step(stmt);

    *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        return true;
    }
    bool ok = rc == SQLITE_DONE || fail(db, rc, err);
    (void)sqlite3_reset(stmt);
    return ok;
}

void db_rollback(struct db *db)
{
    struct error ignored;

    if (db->handle != NULL && sqlite3_get_autocommit(db->handle) == 0 &&
        !db_run(db, DB_ROLLBACK, &ignored)) {
        /* SQLite rolled back by itself: that is what was wanted. */
        return;
    }
}

bool db_meta_get(struct db *db, const char *key, bool *found, int64_t *value, struct error *err)
{
    sqlite3_stmt *stmt = db_statement(db, DB_META_GET, err);

    if (stmt == NULL) {
        return false;
    }
    db_bind_text(stmt, 1, slice_of(key));
    if (!db_row(db, stmt, found, err)) {
        return false;
    }
    if (*found) {
        *value = sqlite3_column_int64(stmt, 0);
        (void)sqlite3_reset(stmt);
    }
    return true;
}

bool db_meta_set(struct db *db, const char *key, int64_t value, struct error *err)
{
    sqlite3_stmt *stmt = db_statement(db, DB_META_SET, err);

    if (stmt == NULL) {
        return false;
    }
    db_bind_text(stmt, 1, slice_of(key));
    (void)sqlite3_bind_int64(stmt, 2, value);
    return db_done(db, stmt, err);
}

/* --- open and close --- */

static bool make_tables(struct db *db, struct error *err)
{
    if (!db_run(db, DB_BEGIN_WRITE, err)) {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(schema); i++) {
        if (!run_text(db, schema[i], err)) {
            db_rollback(db);
            return false;
        }
    }
    if (!db_meta_set(db, "version", INDEX_VERSION, err) || !db_run(db, DB_COMMIT, err)) {
        db_rollback(db);
        return false;
    }
    return true;
}

static bool is_empty(struct db *db, bool *empty, struct error *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db->handle, "SELECT count(*) FROM sqlite_schema", -1, &stmt, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
        *empty = rc == SQLITE_ROW && sqlite3_column_int64(stmt, 0) == 0;
    }
    bool ok = rc == SQLITE_ROW || fail(db, rc, err);
    (void)sqlite3_finalize(stmt);
    return ok;
}

static bool check_version(struct db *db, struct error *err)
{
    bool found = false;
    int64_t version = 0;

    if (!db_meta_get(db, "version", &found, &version, err)) {
        return false;
    }
    if (!found || version != INDEX_VERSION) {
        return error_set(err, ERR_CORRUPT, "index of version %" PRId64 " instead of %d", version,
                         INDEX_VERSION);
    }
    return true;
}

static bool prepare_writer(struct db *db, struct error *err)
{
    bool empty = false;

    /* auto_vacuum only counts before the first table is made. */
    if (!run_text(db, "PRAGMA auto_vacuum=INCREMENTAL", err) ||
        !run_text(db, "PRAGMA journal_mode=WAL", err) ||
        !run_text(db, "PRAGMA synchronous=NORMAL", err) || !run_text(db, writer_cache, err) ||
        !is_empty(db, &empty, err)) {
        return false;
    }
    return !empty || make_tables(db, err);
}

static bool prepare_reader(struct db *db, struct error *err)
{
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return run_text(db, "PRAGMA query_only=1", err) && run_text(db, reader_cache, err);
}

bool db_open(struct db *db, const char *path, enum db_mode mode, struct error *err)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (mode == DB_WRITE ? SQLITE_OPEN_CREATE : 0);

    (void)pthread_once(&once, configure);
    *db = (struct db){0};
    if (mode == DB_READ && access(path, F_OK) != 0) {
        return error_set_errno(err, errno, "open %s", path);
    }
    int rc = sqlite3_open_v2(path, &db->handle, flags, NULL);
    if (rc != SQLITE_OK) {
        (void)fail(db, rc, err);
        db_close(db);
        return error_wrap(err, "open %s", path);
    }
    (void)sqlite3_extended_result_codes(db->handle, 1);
    (void)sqlite3_busy_timeout(db->handle, BUSY_MS);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    bool ok = run_text(db, "PRAGMA wal_autocheckpoint=0", err) &&
              run_text(db, "PRAGMA mmap_size=0", err) &&
              run_text(db, "PRAGMA cell_size_check=1", err) &&
              run_text(db, "PRAGMA temp_store=MEMORY", err) &&
              (mode == DB_WRITE ? prepare_writer(db, err) : prepare_reader(db, err)) &&
              check_version(db, err);
    if (!ok) {
        db_close(db);
        return error_wrap(err, "open %s", path);
    }
    return true;
}

void db_close(struct db *db)
{
    for (size_t i = 0; i < DB_STATEMENTS; i++) {
        (void)sqlite3_finalize(db->statements[i]);
    }
    if (db->handle != NULL) {
        int rc = sqlite3_close(db->handle);
        assert(rc == SQLITE_OK);
    }
    *db = (struct db){0};
}

bool db_checkpoint(struct db *db, bool truncate, struct error *err)
{
    int rc = sqlite3_wal_checkpoint_v2(
        db->handle, NULL, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, NULL,
        NULL);

    /* A reader is in the way: the next checkpoint takes what is left. */
    return rc == SQLITE_OK || rc == SQLITE_BUSY || fail(db, rc, err);
}

static const char *const file_suffixes[] = {"", "-wal", "-shm"};

void db_delete(const char *path)
{
    for (size_t i = 0; i < COUNT_OF(file_suffixes); i++) {
        char file[PATH_MAX];
        int n = snprintf(file, sizeof(file), "%s%s", path, file_suffixes[i]);
        if (n > 0 && (size_t)n < sizeof(file) && unlink(file) != 0 && errno != ENOENT) {
            log_warn("index", "file of a damaged index not removed", "file=%s errno=%d", file,
                     errno);
        }
    }
}

uint64_t db_bytes(const char *path)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < 2; i++) {
        char file[PATH_MAX];
        struct stat st;
        int n = snprintf(file, sizeof(file), "%s%s", path, file_suffixes[i]);
        if (n > 0 && (size_t)n < sizeof(file) && stat(file, &st) == 0) {
            bytes += (uint64_t)st.st_size;
        }
    }
    return bytes;
}
