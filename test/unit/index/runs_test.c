/*
 * runs_test.c - sorted runs and filters: whatever was put in is found, whatever the hashes are.
 */
#include "runs.h"
#include "unit.h"

#include <spangate/base/mem.h>
#include <spangate/base/random.h>
#include <unistd.h>

struct fixture {
    struct db db;
    int64_t next_id;
    char path[64];
};

static void open_fixture(struct fixture *f)
{
    struct error err;

    *f = (struct fixture){.next_id = 1};
    (void)snprintf(f->path, sizeof(f->path), "/tmp/spangate-runs-%d.sqlite", (int)getpid());
    db_delete(f->path);
    if (!db_open(&f->db, f->path, DB_WRITE, &err)) {
        fail_msg("%s", err.message);
    }
}

static void close_fixture(struct fixture *f)
{
    db_close(&f->db);
    db_delete(f->path);
}

static void add(struct fixture *f, struct run_entry *entries, size_t count)
{
    struct error err;

    count = run_entries_sort(entries, count);
    if (!db_run(&f->db, DB_BEGIN_WRITE, &err) ||
        !runs_add(&f->db, &f->next_id, entries, count, &err) || !db_run(&f->db, DB_COMMIT, &err)) {
        fail_msg("%s", err.message);
    }
}

static void merge_all(struct fixture *f, struct filter *filter)
{
    struct error err;

    if (!db_run(&f->db, DB_BEGIN_WRITE, &err) ||
        !runs_merge_all(&f->db, &f->next_id, filter, &err) || !db_run(&f->db, DB_COMMIT, &err)) {
        fail_msg("%s", err.message);
    }
}

struct found {
    size_t count;
    int64_t sum;
};

static void note(void *ctx, int32_t block)
{
    struct found *found = ctx;

    found->count++;
    found->sum += block;
}

static struct found find(struct fixture *f, uint64_t hash)
{
    struct found found = {0};
    struct error err;

    if (!runs_find(&f->db, hash, note, &found, &err)) {
        fail_msg("%s", err.message);
    }
    return found;
}

static size_t run_count(struct fixture *f)
{
    struct error err;
    sqlite3_stmt *stmt = db_statement(&f->db, DB_RUNS, &err);
    bool row = true;
    size_t count = 0;

    while (row) {
        assert_true(db_row(&f->db, stmt, &row, &err));
        count += row;
    }
    return count;
}

static void every_entry_is_found_before_and_after_merging(void **state)
{
    (void)state;
    struct fixture f;
    struct filter filter;
    enum { RUNS = 300, ENTRIES = 37 };
    uint64_t random = 7;
    uint64_t *hashes = mem_alloc(RUNS * ENTRIES * sizeof(*hashes));

    open_fixture(&f);
    for (int r = 0; r < RUNS; r++) {
        struct run_entry entries[ENTRIES];
        for (int i = 0; i < ENTRIES; i++) {
            hashes[r * ENTRIES + i] = random_next(&random);
            entries[i] = (struct run_entry){hashes[r * ENTRIES + i], r};
        }
        add(&f, entries, ENTRIES);
        assert_true(run_count(&f) <= 3 * RUN_FAN_IN);
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < RUNS * ENTRIES; i++) {
            struct found found = find(&f, hashes[i]);
            assert_int_equal(found.count, 1);
            assert_int_equal(found.sum, i / ENTRIES);
            assert_int_equal(find(&f, random_next(&random)).count, 0);
        }
        if (round == 0) {
            merge_all(&f, &filter);
            assert_int_equal(run_count(&f), 1);
        }
    }
    size_t wrong = 0;
    for (int i = 0; i < RUNS * ENTRIES; i++) {
        assert_true(filter_may_have(&filter, hashes[i]));
        wrong += filter_may_have(&filter, random_next(&random));
    }
    assert_true(wrong < RUNS * ENTRIES / 25); /* under 4 %, where 1.5 % are expected */
    filter_deinit(&filter);
    free(hashes);
    close_fixture(&f);
}

/* Somebody may choose trace ids so that hashes are all alike, or all in one corner. */
static void unfair_hashes_are_found_too(void **state)
{
    (void)state;
    struct fixture f;
    enum { RUNS = 40, ENTRIES = 1000 };
    struct run_entry *entries = mem_alloc(ENTRIES * sizeof(*entries));

    open_fixture(&f);
    for (int r = 0; r < RUNS; r++) {
        for (int i = 0; i < ENTRIES; i++) {
            uint64_t hash = i < 400   ? 5
                            : i < 800 ? (uint64_t)(r * ENTRIES + i)
                                      : UINT64_MAX - (uint64_t)(i % 7);
            entries[i] = (struct run_entry){hash, r * 1000 + i};
        }
        add(&f, entries, ENTRIES);
    }
    assert_int_equal(find(&f, 5).count, RUNS * 400);
    for (int r = 0; r < RUNS; r++) {
        assert_int_equal(find(&f, (uint64_t)(r * ENTRIES + 400)).count, 1);
        assert_int_equal(find(&f, (uint64_t)(r * ENTRIES + 799)).count, 1);
    }
    assert_int_equal(find(&f, UINT64_MAX - 3).count,
                     RUNS * 29); /* 800 … 999 hold 28 or 29 of each */
    assert_int_equal(find(&f, 4).count, 0);
    assert_int_equal(find(&f, UINT64_MAX / 2).count, 0);
    free(entries);
    close_fixture(&f);
}

static void repeats_are_stored_once(void **state)
{
    (void)state;
    struct fixture f;
    struct filter filter;
    struct run_entry entries[4] = {{9, 1}, {9, 1}, {9, 2}, {9, 1}};

    open_fixture(&f);
    add(&f, entries, 4);
    assert_int_equal(find(&f, 9).count, 2);
    struct run_entry again[1] = {{9, 2}};
    add(&f, again, 1);
    merge_all(&f, &filter);
    assert_int_equal(find(&f, 9).count, 2);
    filter_deinit(&filter);
    close_fixture(&f);
}

static void empty_runs_do_no_harm(void **state)
{
    (void)state;
    struct fixture f;
    struct filter filter;
    struct run_entry none[1];

    open_fixture(&f);
    merge_all(&f, &filter);
    filter_deinit(&filter);
    for (int i = 0; i < 40; i++) {
        add(&f, none, 0);
    }
    assert_int_equal(find(&f, 0).count, 0);
    merge_all(&f, &filter);
    filter_deinit(&filter);
    assert_int_equal(find(&f, UINT64_MAX).count, 0);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_found_before_and_after_merging),
        cmocka_unit_test(unfair_hashes_are_found_too),
        cmocka_unit_test(repeats_are_stored_once),
        cmocka_unit_test(empty_runs_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
