/*
 * db.h - one SQLite connection to one partition's index, with its statements.
 *
 *   meta       what the file is: version, base (added to a run entry's block), finished, bounds
 *   block      the blocks indexed: time range, ids of services (NULL: too many to list)
 *   service    names; operation: names and kinds by service
 *   run        sorted runs of (hash of trace id, block), see runs.h; chunk: their pages
 *   filter     Bloom filter over all runs, once the partition is finished, see filter.h
 *
 * SQLite does not check what it reads, so rows carry a CRC-32C of their content.
 *
 * Statements are constants, prepared when first used and kept. A connection is used by one thread
 * at a time. Only a writer writes and checkpoints (there is one a partition); a reader is
 * query-only and leaves the WAL alone, also when it closes last.
 */
#ifndef SPANGATE_SRC_INDEX_DB_H
#define SPANGATE_SRC_INDEX_DB_H

#include <spangate/base/error.h>
#include <spangate/base/slice.h>
#include <sqlite3.h>

enum { INDEX_VERSION = 1 };

enum db_mode { DB_READ, DB_WRITE };

enum db_statement {
    DB_BEGIN_READ,
    DB_BEGIN_WRITE,
    DB_COMMIT,
    DB_ROLLBACK,
    DB_META_GET,
    DB_META_SET,
    DB_BLOCK_PUT,
    DB_BLOCK_HAS,
    DB_BLOCKS,
    DB_BLOCK_SUMS,
    DB_SERVICE_PUT,
    DB_SERVICES,
    DB_SERVICE_GET,
    DB_OPERATION_PUT,
    DB_OPERATIONS,
    DB_OPERATIONS_OF,
    DB_RUN_PUT,
    DB_RUNS,
    DB_RUN_DELETE,
    DB_RUN_MAX,
    DB_CHUNK_PUT,
    DB_CHUNK_GET,
    DB_CHUNKS_DELETE,
    DB_FILTER_PUT,
    DB_FILTER_GET,
    DB_FILTER_DELETE,
    DB_SHRINK,
    DB_STATEMENTS
};

struct db {
    sqlite3 *handle;
    sqlite3_stmt *statements[DB_STATEMENTS];
};

/*
 * Open the file. DB_WRITE makes it with its tables if it is missing. ERR_CORRUPT: no index of
 * ours, damaged or of another version: delete and rebuild. ERR_NOT_FOUND: DB_READ, and it is not
 * there.
 */
bool db_open(struct db *db, const char *path, enum db_mode mode, struct error *err) MUST_CHECK;
void db_close(struct db *db); /* a closed one is allowed */

/* A statement ready for binding, or NULL. */
sqlite3_stmt *db_statement(struct db *db, enum db_statement which, struct error *err);

/* Step a statement that returns no row, and reset it. */
bool db_done(struct db *db, sqlite3_stmt *stmt, struct error *err) MUST_CHECK;

/* Run one that takes nothing, to its end. */
bool db_run(struct db *db, enum db_statement which, struct error *err) MUST_CHECK;

/* The next row. *row false: no more (the statement is reset then, also on failure). */
bool db_row(struct db *db, sqlite3_stmt *stmt, bool *row, struct error *err) MUST_CHECK;

/* End whatever transaction is open, without its changes. */
void db_rollback(struct db *db);

bool db_meta_get(struct db *db, const char *key, bool *found, int64_t *value,
                 struct error *err) MUST_CHECK;
bool db_meta_set(struct db *db, const char *key, int64_t value, struct error *err) MUST_CHECK;

/* Move the WAL into the file, as far as readers let us; truncate: also give the WAL's space back.
 * */
bool db_checkpoint(struct db *db, bool truncate, struct error *err) MUST_CHECK;

/* Remove the file and what SQLite put beside it. */
void db_delete(const char *path);

/* Bytes of the file and its WAL. */
uint64_t db_bytes(const char *path);

/* Times as SQLite's signed integers; those after 2262 count as the last moment. */
static inline int64_t db_time(uint64_t ns)
{
    return ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
}

static inline struct slice db_blob(sqlite3_stmt *stmt, int column)
{
    const void *data = sqlite3_column_blob(stmt, column);

    return (struct slice){data, data == NULL ? 0 : (size_t)sqlite3_column_bytes(stmt, column)};
}

static inline void db_bind_text(sqlite3_stmt *stmt, int at, struct slice text)
{
    (void)sqlite3_bind_text(stmt, at, text.len == 0 ? "" : (const char *)text.data, (int)text.len,
                            SQLITE_STATIC);
}

#endif
