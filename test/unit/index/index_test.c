/*
 * index_test.c - where a trace is, which services and operations there are: whatever happened to
 * the files.
 */
#include "block_sample.h"
#include "internal.h"

#include <fcntl.h>
#include <limits.h>
#include <spangate/base/thread.h>
#include <spangate/codec/codec.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOUR_NS (3600 * NS_PER_S)

enum { TRACES = 4, SPANS = 3 };

struct fixture {
    char dir[64];
    struct trace_log_config config;
    struct trace_log *log;
    struct index *index;
    uint64_t wall_ns;
    struct budget budget;
    struct fs fs;
    uint64_t added;
};

/* Real files without waiting for the disk: no test here cuts the power. */
static int no_sync(const struct fs *fs, int fd)
{
    (void)fs;
    (void)fd;
    return 0;
}

static int no_sync_dir(const struct fs *fs, const char *path)
{
    (void)fs;
    (void)path;
    return 0;
}

static void open_all(struct fixture *f)
{
    struct trace_log_recovery found;
    struct error err;

    f->fs = fs_posix;
    f->fs.fdatasync = no_sync;
    f->fs.sync_dir = no_sync_dir;
    if (!trace_log_open(&f->log, &f->config, &f->fs, &clock_system, &f->budget, &found, &err) ||
        !index_open(&f->index, f->log, f->config.persist, &err) ||
        !index_catch_up(f->index, false, &f->added, &err)) {
        fail_msg("%s", err.message);
    }
}

static void close_all(struct fixture *f)
{
    index_close(f->index);
    trace_log_close(f->log);
}

static void reopen(struct fixture *f)
{
    close_all(f);
    open_all(f);
}

static void init(struct fixture *f)
{
    *f = (struct fixture){.wall_ns = SAMPLE_START_NS};
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/spangate-index-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    budget_init(&f->budget, 1 << 30, NULL);
    f->config =
        (struct trace_log_config){.dir = f->dir, .persist = true, .cache_bytes_max = 4 << 20};
    open_all(f);
}

static void remove_tree(const char *dir)
{
    char **names = NULL;

    if (fs_posix.list(&fs_posix, dir, &names) != 0) {
        return;
    }
    for (size_t i = 0; names[i] != NULL; i++) {
        char path[512];
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            char **inner = NULL;
            assert_int_equal(fs_posix.list(&fs_posix, path, &inner), 0);
            for (size_t k = 0; inner[k] != NULL; k++) {
                char file[1024];
                (void)snprintf(file, sizeof(file), "%s/%s", path, inner[k]);
                (void)unlink(file);
            }
            fs_free_names(inner);
            (void)rmdir(path);
        } else {
            (void)unlink(path);
        }
    }
    fs_free_names(names);
    (void)rmdir(dir);
}

static void deinit(struct fixture *f)
{
    close_all(f);
    assert_int_equal(budget_used(&f->budget), 0);
    remove_tree(f->dir);
    codec_thread_exit();
}

/* Store a block; index it too unless told otherwise. Block seq holds traces seq * 100 …. */
static uint64_t put(struct fixture *f, bool index_it)
{
    struct error err;
    uint64_t seq = trace_log_end(f->log);
    struct block *block = sample_block(seq * 100, TRACES, SPANS, f->wall_ns);
    struct block *mine = block_ref(block);

    trace_log_submit(f->log, block);
    if (!trace_log_write(f->log, block, &err) || (index_it && !index_add(f->index, mine, &err))) {
        fail_msg("%s", err.message);
    }
    block_unref(mine);
    return seq;
}

static void put_many(struct fixture *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)put(f, true);
    }
}

static size_t find(struct fixture *f, uint64_t n, uint64_t *seqs, size_t max)
{
    struct trace_id id = sample_id(n);
    struct error err;
    size_t count = 99;

    if (!index_find(f->index, &id, seqs, max, &count, &err)) {
        fail_msg("%s", err.message);
    }
    return count;
}

static void assert_found(struct fixture *f, uint64_t seq)
{
    for (uint64_t i = 0; i < TRACES; i++) {
        uint64_t seqs[4] = {0};
        assert_int_equal(find(f, seq * 100 + i, seqs, 4), 1);
        assert_int_equal(seqs[0], seq);
    }
}

static void assert_all_found(struct fixture *f, uint64_t first, uint64_t last)
{
    uint64_t seqs[4];

    for (uint64_t seq = first; seq <= last; seq++) {
        assert_found(f, seq);
        assert_int_equal(find(f, seq * 100 + TRACES, seqs, 4), 0);
    }
}

static void path_of(struct fixture *f, uint64_t partition, char *path)
{
    assert_true(index_path(f->index, partition, path));
}

static uint64_t first_partition(void)
{
    return SAMPLE_START_NS / HOUR_NS;
}

static void a_trace_is_found_after_its_block_was_added(void **state)
{
    (void)state;
    struct fixture f;

    init(&f);
    put_many(&f, 40);
    assert_all_found(&f, 1, 40);
    deinit(&f);
}

static void three_thousand_blocks_are_merged_and_all_is_found(void **state)
{
    (void)state;
    struct fixture f;
    enum { BLOCKS = 3000 };

    init(&f);
    put_many(&f, BLOCKS);
    for (uint64_t seq = 1; seq <= BLOCKS; seq += 7) {
        assert_found(&f, seq);
    }
    reopen(&f);
    assert_int_equal(f.added, 0);
    for (uint64_t seq = BLOCKS; seq > 0; seq -= seq < 11 ? seq : 11) {
        assert_found(&f, seq);
    }
    /* The next partition makes the one before a single run with a filter. */
    f.wall_ns += HOUR_NS;
    put_many(&f, 2);
    index_join_finisher(f.index);
    assert_int_equal(f.index->set.count, 2);
    assert_true(filter_bytes(&f.index->set.partitions[0].filter) > 0);
    for (uint64_t seq = 1; seq <= BLOCKS + 2; seq += 13) {
        assert_found(&f, seq);
    }
    deinit(&f);
}

static void a_trace_in_many_blocks_is_found_newest_first(void **state)
{
    (void)state;
    struct fixture f;
    struct error err;
    uint64_t seqs[16];

    init(&f);
    for (int i = 0; i < 10; i++) {
        struct block *block = sample_block(7, 1, 2, f.wall_ns);
        struct block *mine = block_ref(block);
        trace_log_submit(f.log, block);
        assert_true(trace_log_write(f.log, block, &err));
        assert_true(index_add(f.index, mine, &err));
        block_unref(mine);
        if (i == 4) {
            f.wall_ns += HOUR_NS;
        }
    }
    assert_int_equal(find(&f, 7, seqs, 16), 10);
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(seqs[i], 10 - i);
    }
    assert_int_equal(find(&f, 7, seqs, 3), 3);
    assert_int_equal(seqs[2], 8);
    assert_int_equal(find(&f, 7, seqs, 0), 0);
    deinit(&f);
}

static void adding_a_block_twice_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct block *block = NULL;
    struct error err;

    init(&f);
    put_many(&f, 3);
    assert_true(trace_log_load(f.log, 2, BLOCK_TABLES, &block, &err));
    assert_true(index_add(f.index, block, &err));
    block_unref(block);
    assert_all_found(&f, 1, 3);
    deinit(&f);
}

/* The process ended between storing and indexing. */
static void blocks_not_indexed_are_found_at_once_and_caught_up_with(void **state)
{
    (void)state;
    struct fixture f;

    init(&f);
    put_many(&f, 3);
    f.wall_ns += HOUR_NS;
    (void)put(&f, false);
    (void)put(&f, false);
    assert_all_found(&f, 1, 5); /* from the blocks */
    reopen(&f);
    assert_int_equal(f.added, 2);
    assert_all_found(&f, 1, 5);
    reopen(&f);
    assert_int_equal(f.added, 0);
    assert_int_equal(put(&f, true), 6);
    assert_all_found(&f, 1, 6);
    deinit(&f);
}

static void a_missing_file_is_made_anew(void **state)
{
    (void)state;
    struct fixture f;
    char path[PATH_MAX];

    init(&f);
    put_many(&f, 3);
    f.wall_ns += HOUR_NS;
    put_many(&f, 3);
    path_of(&f, first_partition(), path);
    close_all(&f);
    db_delete(path);
    open_all(&f);
    assert_int_equal(f.added, 3);
    assert_all_found(&f, 1, 6);
    deinit(&f);
}

static void a_file_of_another_version_is_made_anew(void **state)
{
    (void)state;
    struct fixture f;
    struct db db;
    struct error err;
    char path[PATH_MAX];

    init(&f);
    put_many(&f, 3);
    path_of(&f, first_partition(), path);
    close_all(&f);
    assert_true(db_open(&db, path, DB_WRITE, &err));
    assert_true(db_meta_set(&db, "version", 99, &err));
    db_close(&db);
    open_all(&f);
    assert_int_equal(f.added, 3);
    assert_all_found(&f, 1, 3);
    deinit(&f);
}

static void everything_can_be_rebuilt_on_request(void **state)
{
    (void)state;
    struct fixture f;
    struct error err;

    init(&f);
    put_many(&f, 3);
    f.wall_ns += HOUR_NS;
    put_many(&f, 4);
    assert_true(index_catch_up(f.index, true, &f.added, &err));
    assert_int_equal(f.added, 7);
    assert_all_found(&f, 1, 7);
    put_many(&f, 2);
    assert_all_found(&f, 1, 9);
    deinit(&f);
}

static uint8_t *read_whole(const char *path, size_t *len)
{
    char *data = NULL;
    struct error err;

    assert_true(fs_read_file(&fs_posix, path, 64 << 20, &data, len, &err));
    return (uint8_t *)data;
}

static void write_whole(const char *path, const uint8_t *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    (void)close(fd);
}

static void a_cut_file_is_noticed_at_every_page(void **state)
{
    (void)state;
    struct fixture f;
    char path[PATH_MAX];
    size_t len = 0;

    init(&f);
    put_many(&f, 20);
    f.wall_ns += HOUR_NS;
    put_many(&f, 1);
    path_of(&f, first_partition(), path);
    close_all(&f);
    uint8_t *bytes = read_whole(path, &len);
    for (size_t cut = 0; cut < len; cut += 2048) {
        db_delete(path);
        write_whole(path, bytes, cut);
        open_all(&f);
        assert_all_found(&f, 1, 21);
        close_all(&f);
    }
    free(bytes);
    open_all(&f);
    deinit(&f);
}

/* Flip bytes all over the file while it is closed: answers stay complete, and the file gets
 * mended. */
static void a_flipped_byte_never_hides_a_trace(void **state)
{
    (void)state;
    struct fixture f;
    char path[PATH_MAX];
    size_t len = 0;

    init(&f);
    put_many(&f, 20);
    f.wall_ns += HOUR_NS;
    put_many(&f, 1);
    path_of(&f, first_partition(), path);
    close_all(&f);
    uint8_t *bytes = read_whole(path, &len);
    for (size_t at = 0; at < len; at += 211) {
        struct error err;
        db_delete(path);
        bytes[at] ^= 0x41;
        write_whole(path, bytes, len);
        bytes[at] ^= 0x41;
        open_all(&f);
        assert_all_found(&f, 1, 21);
        if (!index_repair(f.index, &err)) {
            fail_msg("%s", err.message);
        }
        assert_all_found(&f, 1, 21);
        close_all(&f);
    }
    free(bytes);
    open_all(&f);
    deinit(&f);
}

/* The file of the partition being written turns to garbage under the process' hands. */
static void damage_while_running_is_answered_by_blocks_and_then_mended(void **state)
{
    (void)state;
    struct fixture f;
    struct error err;
    char path[PATH_MAX];
    bool damaged = true;

    init(&f);
    put_many(&f, 50);
    f.wall_ns += HOUR_NS;
    put_many(&f, 1);
    index_join_finisher(f.index);
    path_of(&f, first_partition(), path);
    uint8_t garbage[8192];
    memset(garbage, 0x5a, sizeof(garbage));
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, garbage, sizeof(garbage), 0), (ssize_t)sizeof(garbage));
    (void)close(fd);
    /* The filter lets only asked-for traces through to the file. */
    assert_all_found(&f, 1, 51);
    assert_true(partition_set_knows(&f.index->set, first_partition(), &damaged));
    assert_true(damaged);
    (void)put(&f, true); /* mends in passing */
    assert_true(partition_set_knows(&f.index->set, first_partition(), &damaged));
    assert_false(damaged);
    assert_true(index_repair(f.index, &err));
    assert_all_found(&f, 1, 52);
    reopen(&f);
    assert_int_equal(f.added, 0);
    assert_all_found(&f, 1, 52);
    deinit(&f);
}

/* The folder refuses new files: what cannot be indexed is searched, and indexed later. */
static void blocks_that_could_not_be_added_are_found_and_added_later(void **state)
{
    (void)state;
    struct fixture f;
    struct error err;
    char path[PATH_MAX];
    struct stat st;

    init(&f);
    /* A folder stands where the file should be. */
    (void)put(&f, false);
    path_of(&f, first_partition(), path);
    assert_int_equal(mkdir(path, 0700), 0);
    for (int i = 0; i < 3; i++) {
        uint64_t seq = trace_log_end(f.log);
        struct block *block = sample_block(seq * 100, TRACES, SPANS, f.wall_ns);
        struct block *mine = block_ref(block);
        trace_log_submit(f.log, block);
        assert_true(trace_log_write(f.log, block, &err));
        assert_false(index_add(f.index, mine, &err));
        block_unref(mine);
    }
    assert_found(&f, 2);
    assert_found(&f, 4);
    assert_false(index_repair(f.index, &err));
    assert_int_equal(rmdir(path), 0);
    assert_true(index_repair(f.index, &err));
    assert_int_equal(stat(path, &st), 0);
    assert_found(&f, 2);
    assert_found(&f, 4);
    reopen(&f);
    assert_all_found(&f, 1, 4);
    deinit(&f);
}

struct texts {
    char lines[64][64];
    size_t count, max;
};

static bool add_service(void *ctx, struct slice name)
{
    struct texts *t = ctx;

    (void)snprintf(t->lines[t->count++], sizeof(t->lines[0]), "%.*s", SLICE_ARGS(name));
    return t->count < t->max;
}

static bool add_operation(void *ctx, struct slice name, uint8_t kind)
{
    struct texts *t = ctx;

    (void)snprintf(t->lines[t->count++], sizeof(t->lines[0]), "%.*s/%u", SLICE_ARGS(name), kind);
    return t->count < t->max;
}

static void check_names(struct fixture *f)
{
    struct texts t = {.max = 64};
    struct error err;

    assert_true(index_services(f->index, add_service, &t, &err));
    assert_int_equal(t.count, SAMPLE_SERVICES);
    for (size_t i = 0; i < t.count; i++) {
        char want[32];
        (void)snprintf(want, sizeof(want), "service-%zu", i);
        assert_string_equal(t.lines[i], want);
    }
    t = (struct texts){.max = 2};
    assert_true(index_services(f->index, add_service, &t, &err));
    assert_int_equal(t.count, 2);

    t = (struct texts){.max = 64};
    assert_true(index_operations(f->index, slice_of("service-2"), add_operation, &t, &err));
    assert_int_equal(t.count, 3);
    assert_string_equal(t.lines[0], "operation-2/0");
    assert_string_equal(t.lines[1], "operation-2/1");
    assert_string_equal(t.lines[2], "operation-2/2");
    t = (struct texts){.max = 64};
    assert_true(index_operations(f->index, slice_of("service-"), add_operation, &t, &err));
    assert_int_equal(t.count, 0);
}

static void names_are_sorted_and_distinct_over_all_partitions(void **state)
{
    (void)state;
    struct fixture f;

    init(&f);
    for (int i = 0; i < 3; i++) {
        put_many(&f, 10);
        f.wall_ns += HOUR_NS;
    }
    (void)put(&f, false);
    check_names(&f);
    reopen(&f);
    check_names(&f);
    deinit(&f);
}

struct seqs {
    uint64_t seqs[4096];
    size_t count, max;
};

static bool add_seq(void *ctx, uint64_t seq)
{
    struct seqs *s = ctx;

    s->seqs[s->count++] = seq;
    return s->count < s->max;
}

static struct seqs blocks(struct fixture *f, const char *service, uint64_t min, uint64_t max,
                          size_t limit)
{
    struct seqs s = {.max = limit};
    struct error err;

    if (!index_blocks(f->index, slice_of(service), min, max, add_seq, &s, &err)) {
        fail_msg("%s", err.message);
    }
    for (size_t i = 1; i < s.count; i++) {
        assert_true(s.seqs[i - 1] > s.seqs[i]);
    }
    return s;
}

/* Spans of block n start at n * 100 ms after SAMPLE_START_NS, for 3 ms. */
static void check_blocks(struct fixture *f, size_t count)
{
    uint64_t step = 100 * NS_PER_MS;

    assert_int_equal(blocks(f, "", 0, UINT64_MAX, 4096).count, count);
    assert_int_equal(blocks(f, "service-1", 0, UINT64_MAX, 4096).count, count);
    assert_int_equal(blocks(f, "service-9", 0, UINT64_MAX, 4096).count, 0);
    assert_int_equal(blocks(f, "", 0, UINT64_MAX, 5).count, 5);
    struct seqs s =
        blocks(f, "service-1", SAMPLE_START_NS + 3 * step, SAMPLE_START_NS + 5 * step, 4096);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.seqs[0], 5);
    assert_int_equal(s.seqs[2], 3);
    assert_int_equal(blocks(f, "", 0, SAMPLE_START_NS, 4096).count, 0);
    assert_int_equal(blocks(f, "", SAMPLE_START_NS + (count + 1) * step, UINT64_MAX, 4096).count,
                     0);
}

static void blocks_are_chosen_by_service_and_range(void **state)
{
    (void)state;
    struct fixture f;
    struct error err;

    init(&f);
    put_many(&f, 600); /* more than one portion */
    f.wall_ns += HOUR_NS;
    put_many(&f, 10);
    (void)put(&f, false);
    check_blocks(&f, 611);
    reopen(&f);
    check_blocks(&f, 611);
    /* Blocks that the file lacks stand at their place, and damaged files change nothing. */
    partition_set_missing(&f.index->set, first_partition(), 4);
    check_blocks(&f, 611);
    assert_true(partition_set_damage(&f.index->set, first_partition(), 0));
    check_blocks(&f, 611);
    assert_true(index_repair(f.index, &err));
    check_blocks(&f, 611);
    deinit(&f);
}

static void a_dropped_partition_is_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    struct error err;
    uint64_t seqs[4];
    char dir[PATH_MAX];

    init(&f);
    put_many(&f, 5);
    f.wall_ns += HOUR_NS;
    put_many(&f, 5);
    assert_found(&f, 2);
    /* Somebody reads from it just now. */
    struct index_reader *reader =
        partition_set_take(&f.index->set, first_partition(), f.index->set.partitions[0].generation);
    assert_non_null(reader);
    trace_log_partition_dir(f.log, first_partition(), dir);
    index_drop(f.index, first_partition());
    remove_tree(dir);
    struct name_set names;
    name_set_init(&names);
    assert_true(index_read_services(&reader->db, &names, &err));
    assert_int_equal(names.count, SAMPLE_SERVICES);
    name_set_deinit(&names);
    partition_set_give(&f.index->set, reader); /* and is closed */
    assert_int_equal(find(&f, 200, seqs, 4), 0);
    assert_all_found(&f, 6, 10);
    deinit(&f);
}

static void dropping_the_partition_being_written_is_allowed(void **state)
{
    (void)state;
    struct fixture f;
    struct error err;
    bool full = false;
    uint64_t seqs[4];

    init(&f);
    put_many(&f, 5);
    index_drop(f.index, first_partition());
    f.config.retention_ns = 1;
    close_all(&f);
    open_all(&f);
    assert_true(trace_log_retain(f.log, NULL, NULL, &full, &err));
    assert_int_equal(find(&f, 200, seqs, 4), 0);
    assert_int_equal(put(&f, true), 6);
    assert_found(&f, 6);
    deinit(&f);
}

static void without_files_the_blocks_in_memory_answer(void **state)
{
    (void)state;
    struct fixture f;

    init(&f);
    close_all(&f);
    f.config.persist = false;
    open_all(&f);
    put_many(&f, 30);
    assert_all_found(&f, 1, 30);
    check_names(&f);
    check_blocks(&f, 30);
    assert_int_equal(index_bytes(f.index), 0);
    deinit(&f);
}

static void names_beyond_the_limits_are_left_out_but_their_blocks_are_not(void **state)
{
    (void)state;
    struct fixture f;
    struct error err;
    enum { SPAN_COUNT = 12000 };

    init(&f);
    struct arena arena;
    arena_init(&arena);
    struct finished_trace trace = sample_trace(&arena, 100, SPAN_COUNT);
    struct finished_span *spans = arena_alloc(&arena, SPAN_COUNT * sizeof(*spans));
    memcpy(spans, trace.spans, SPAN_COUNT * sizeof(*spans));
    for (size_t i = 0; i < SPAN_COUNT; i++) {
        spans[i].service = sample_text(&arena, "many-%llu", i);
        spans[i].resource = spans[i].service;
        spans[i].resource_hash = hash_bytes(spans[i].service.data, spans[i].service.len);
    }
    trace.spans = spans;
    struct block_builder *builder = block_builder_new(NULL);
    uint64_t *lsns = NULL;
    size_t lsn_count = 0;
    block_builder_add(builder, &trace, NULL);
    struct block *block = block_builder_seal(builder, f.wall_ns, &lsns, &lsn_count);
    struct block *mine = block_ref(block);
    trace_log_submit(f.log, block);
    assert_true(trace_log_write(f.log, block, &err));
    assert_true(index_add(f.index, mine, &err));
    struct name_set names;
    name_set_init(&names);
    struct texts t = {.max = 10};
    assert_true(index_services(f.index, add_service, &t, &err));
    assert_int_equal(t.count, 10);
    name_set_deinit(&names);
    assert_int_equal(blocks(&f, "many-11999", 0, UINT64_MAX, 10).count, 1);
    reopen(&f);
    assert_int_equal(f.added, 0);
    assert_int_equal(blocks(&f, "many-11999", 0, UINT64_MAX, 10).count, 1);
    free(lsns);
    block_unref(mine);
    block_builder_free(builder);
    arena_deinit(&arena);
    deinit(&f);
}

struct reading {
    struct fixture *f;
    atomic_uint_fast64_t *written;
    atomic_bool *done;
    uint64_t checks;
};

static void read_along(void *arg)
{
    struct reading *r = arg;
    uint64_t random = (uintptr_t)r;

    while (!atomic_load(r->done) || r->checks < 10) {
        uint64_t last = atomic_load(r->written);
        if (last > 0) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
            assert_found(r->f, 1 + (random >> 33) % last);
            r->checks++;
        }
    }
    codec_thread_exit();
}

/* Every block that was stored is found at every moment, while runs are merged and partitions
 * finished. */
static void readers_find_everything_while_blocks_are_added(void **state)
{
    (void)state;
    struct fixture f;
    atomic_uint_fast64_t written = 0;
    atomic_bool done = false;
    struct reading readings[2];
    struct thread threads[2] = {0};

    init(&f);
    for (size_t i = 0; i < 2; i++) {
        readings[i] = (struct reading){.f = &f, .written = &written, .done = &done};
        thread_start(&threads[i], "reader", read_along, &readings[i]);
    }
    for (int i = 0; i < 400; i++) {
        atomic_store(&written, put(&f, true));
        f.wall_ns += i % 100 == 99 ? HOUR_NS : 0;
    }
    atomic_store(&done, true);
    for (size_t i = 0; i < 2; i++) {
        thread_join(&threads[i]);
    }
    deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trace_is_found_after_its_block_was_added),
        cmocka_unit_test(three_thousand_blocks_are_merged_and_all_is_found),
        cmocka_unit_test(a_trace_in_many_blocks_is_found_newest_first),
        cmocka_unit_test(adding_a_block_twice_changes_nothing),
        cmocka_unit_test(blocks_not_indexed_are_found_at_once_and_caught_up_with),
        cmocka_unit_test(a_missing_file_is_made_anew),
        cmocka_unit_test(a_file_of_another_version_is_made_anew),
        cmocka_unit_test(everything_can_be_rebuilt_on_request),
        cmocka_unit_test(a_cut_file_is_noticed_at_every_page),
        cmocka_unit_test(a_flipped_byte_never_hides_a_trace),
        cmocka_unit_test(damage_while_running_is_answered_by_blocks_and_then_mended),
        cmocka_unit_test(blocks_that_could_not_be_added_are_found_and_added_later),
        cmocka_unit_test(names_are_sorted_and_distinct_over_all_partitions),
        cmocka_unit_test(blocks_are_chosen_by_service_and_range),
        cmocka_unit_test(a_dropped_partition_is_forgotten),
        cmocka_unit_test(dropping_the_partition_being_written_is_allowed),
        cmocka_unit_test(without_files_the_blocks_in_memory_answer),
        cmocka_unit_test(names_beyond_the_limits_are_left_out_but_their_blocks_are_not),
        cmocka_unit_test(readers_find_everything_while_blocks_are_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
