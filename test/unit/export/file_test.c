/*
 * file_test.c - the driver file: what is on disk after what.
 */

#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <spangate/base/fs.h>
#include <spangate/base/mem.h>
#include <spangate/export/export.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char directory[64];
    char path[128];
    struct file_settings settings;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(1, sizeof(*f));

    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/spangate-file-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    (void)snprintf(f->path, sizeof(f->path), "%s/traces.json", f->directory);
    f->settings = (struct file_settings){.path = f->path, .json = true, .append = true};
    *state = f;
    return 0;
}

static char **list(const struct fixture *f)
{
    char **names = NULL;

    assert_int_equal(fs_posix.list(&fs_posix, f->directory, &names), 0);
    return names;
}

static size_t file_count(const struct fixture *f)
{
    char **names = list(f);
    size_t count = 0;

    while (names[count] != NULL) {
        count++;
    }
    fs_free_names(names);
    return count;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char **names = list(f);
    char path[512];

    for (size_t i = 0; names[i] != NULL; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", f->directory, names[i]);
        if (unlink(path) != 0) {
            (void)rmdir(path);
        }
    }
    fs_free_names(names);
    (void)rmdir(f->directory);
    free(f);
    return 0;
}

static struct sink *open_sink(const struct fixture *f)
{
    struct sink *sink = NULL;
    struct error err = {0};

    if (!file_driver.open(&sink, &f->settings, &err)) {
        fail_msg("%s", err.message);
    }
    return sink;
}

static struct sink_outcome deliver(struct sink *sink, const char *body)
{
    struct sink_batch batch = {.body = slice_of(body), .item_count = 1};
    struct sink_outcome outcome;

    file_driver.deliver(sink, &batch, &outcome);
    return outcome;
}

static void put(const char *path, const char *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void assert_content(const char *path, const char *bytes, size_t len)
{
    char *data = NULL;
    size_t size = 0;
    struct error err = {0};

    assert_true(fs_read_file(&fs_posix, path, 1024 * 1024, &data, &size, &err));
    assert_int_equal(size, len);
    assert_memory_equal(data, bytes, len);
    free(data);
}

#define ASSERT_CONTENT(path, literal) assert_content(path, literal, sizeof(literal) - 1)

static void json_batches_are_lines(void **state)
{
    struct fixture *f = *state;
    struct sink *sink = open_sink(f);

    assert_int_equal(file_driver.encoding(sink), SINK_JSON);
    assert_int_equal(deliver(sink, "{\"a\":1}").verdict, SINK_DELIVERED);
    assert_int_equal(deliver(sink, "{\"b\":2}").verdict, SINK_DELIVERED);
    ASSERT_CONTENT(f->path, "{\"a\":1}\n{\"b\":2}\n"); /* before close: on disk when delivered */
    file_driver.close(sink);
}

static void protobuf_batches_have_their_length_before_them(void **state)
{
    struct fixture *f = *state;
    f->settings.json = false;
    struct sink *sink = open_sink(f);

    assert_int_equal(file_driver.encoding(sink), SINK_PROTOBUF);
    assert_int_equal(deliver(sink, "abc").verdict, SINK_DELIVERED);
    assert_int_equal(deliver(sink, "").verdict, SINK_DELIVERED);
    assert_int_equal(deliver(sink, "de").verdict, SINK_DELIVERED);
    file_driver.close(sink);
    ASSERT_CONTENT(f->path, "\0\0\0\3abc\0\0\0\0\0\0\0\2de");
}

static void without_append_a_new_start_begins_anew(void **state)
{
    struct fixture *f = *state;

    for (int append = 0; append < 2; append++) {
        put(f->path, "old\n", 4);
        f->settings.append = append;
        struct sink *sink = open_sink(f);
        assert_int_equal(deliver(sink, "new").verdict, SINK_DELIVERED);
        file_driver.close(sink);
        if (append) {
            ASSERT_CONTENT(f->path, "old\nnew\n");
        } else {
            ASSERT_CONTENT(f->path, "new\n");
        }
    }
}

static void a_torn_line_does_not_spoil_the_next(void **state)
{
    struct fixture *f = *state;

    put(f->path, "{\"a\":1}\n{\"half", 14);
    struct sink *sink = open_sink(f);
    ASSERT_CONTENT(f->path, "{\"a\":1}\n{\"half"); /* untouched until there is something to say */
    assert_int_equal(deliver(sink, "{\"b\":2}").verdict, SINK_DELIVERED);
    assert_int_equal(deliver(sink, "{\"c\":3}").verdict, SINK_DELIVERED);
    file_driver.close(sink);
    ASSERT_CONTENT(f->path, "{\"a\":1}\n{\"half\n{\"b\":2}\n{\"c\":3}\n");
}

static void a_file_that_ends_within_a_message_is_set_aside(void **state)
{
    struct fixture *f = *state;
    static const char whole[] = "\0\0\0\2ab\0\0\0\3abc";

    f->settings.json = false;
    for (size_t len = 0; len < sizeof(whole); len++) {
        bool torn = len != 0 && len != 6 && len != sizeof(whole) - 1;
        size_t before = file_count(f);
        put(f->path, whole, len);
        struct sink *sink = open_sink(f);
        assert_int_equal(deliver(sink, "x").verdict, SINK_DELIVERED);
        file_driver.close(sink);
        if (torn) {
            ASSERT_CONTENT(f->path, "\0\0\0\1x");
            assert_int_equal(file_count(f), (before == 0 ? 1 : before) + 1);
        } else {
            char expected[32];
            memcpy(expected, whole, len);
            memcpy(expected + len, "\0\0\0\1x", 5);
            assert_content(f->path, expected, len + 5);
        }
    }
}

static void a_full_file_is_rotated_before_it_passes_its_size(void **state)
{
    struct fixture *f = *state;
    f->settings.rotate_bytes = 10;
    f->settings.max_backups = 2;
    struct sink *sink = open_sink(f);

    assert_int_equal(deliver(sink, "1234").verdict, SINK_DELIVERED);
    assert_int_equal(deliver(sink, "5678").verdict, SINK_DELIVERED); /* exactly 10 bytes */
    assert_int_equal(file_count(f), 1);
    assert_int_equal(deliver(sink, "9").verdict, SINK_DELIVERED);
    assert_int_equal(file_count(f), 2);
    ASSERT_CONTENT(f->path, "9\n");

    char **names = list(f);
    char backup[256];
    (void)snprintf(backup, sizeof(backup), "%s/%s", f->directory, names[0]);
    assert_memory_equal(names[0], "traces-20", 9);
    assert_string_equal(names[0] + strlen(names[0]) - 5, ".json");
    ASSERT_CONTENT(backup, "1234\n5678\n");
    fs_free_names(names);

    /* A batch larger than a file gets one of its own; the oldest files go. */
    assert_int_equal(deliver(sink, "longer than ten").verdict, SINK_DELIVERED);
    assert_int_equal(deliver(sink, "a").verdict, SINK_DELIVERED);
    assert_int_equal(deliver(sink, "longer than ten").verdict, SINK_DELIVERED);
    file_driver.close(sink);
    assert_int_equal(file_count(f), 3);
    assert_int_not_equal(access(backup, F_OK), 0);
    ASSERT_CONTENT(f->path, "longer than ten\n");
}

static void only_our_own_old_files_are_removed(void **state)
{
    struct fixture *f = *state;
    static const char *const others[] = {"traces-2020-01-01T00-00-00.000.txt",
                                         "other-2020-01-01T00-00-00.000.json", "traces-old.json",
                                         "traces-2020-01-01T00-00-00x000.json"};
    char path[256];

    for (size_t i = 0; i < COUNT_OF(others); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", f->directory, others[i]);
        put(path, "x", 1);
    }
    (void)snprintf(path, sizeof(path), "%s/traces-2020-01-01T00-00-00.000.json", f->directory);
    put(path, "x", 1);
    f->settings.rotate_bytes = 1;
    f->settings.max_backups = 1;
    struct sink *sink = open_sink(f);
    assert_int_equal(deliver(sink, "1").verdict, SINK_DELIVERED);
    assert_int_equal(deliver(sink, "2").verdict, SINK_DELIVERED);
    file_driver.close(sink);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(file_count(f), COUNT_OF(others) + 2);
}

static void a_rotated_file_is_continued_after_a_restart(void **state)
{
    struct fixture *f = *state;
    f->settings.rotate_bytes = 1000;
    f->settings.append = false;

    for (int i = 0; i < 2; i++) {
        struct sink *sink = open_sink(f);
        assert_int_equal(deliver(sink, "x").verdict, SINK_DELIVERED);
        file_driver.close(sink);
    }
    ASSERT_CONTENT(f->path, "x\nx\n");
}

static void the_directory_is_made_when_asked_for(void **state)
{
    struct fixture *f = *state;
    struct sink *sink = NULL;
    struct error err = {0};

    (void)snprintf(f->path, sizeof(f->path), "%s/a/b/traces", f->directory);
    assert_false(file_driver.open(&sink, &f->settings, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    f->settings.create_directory = true;
    sink = open_sink(f);
    assert_int_equal(deliver(sink, "x").verdict, SINK_DELIVERED);
    file_driver.close(sink);
    ASSERT_CONTENT(f->path, "x\n");
    (void)unlink(f->path);
    (void)snprintf(f->path, sizeof(f->path), "%s/a/b", f->directory);
    (void)rmdir(f->path);
}

static void what_is_no_regular_file_is_refused(void **state)
{
    struct fixture *f = *state;
    struct sink *sink = NULL;
    struct error err = {0};
    char device[] = "/dev/null", empty[] = "";

    f->settings.path = device;
    assert_false(file_driver.open(&sink, &f->settings, &err));
    assert_string_equal(err.message, "/dev/null is no regular file");
    f->settings.path = empty;
    assert_false(file_driver.open(&sink, &f->settings, &err));
    assert_string_equal(err.message, "path is missing");
}

/* The kernel stops a write in its middle at the limit of file sizes, as a full disk would. */
static void a_write_that_fails_in_its_middle_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit;

    for (int json = 0; json < 2; json++) {
        f->settings.json = json;
        f->settings.append = false;
        struct sink *sink = open_sink(f);
        assert_int_equal(deliver(sink, "first").verdict, SINK_DELIVERED);

        (void)signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
        struct rlimit small = {.rlim_cur = 20, .rlim_max = limit.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        struct sink_outcome outcome = deliver(sink, "a line that is longer than there is room for");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_int_equal(outcome.verdict, SINK_RETRY);
        assert_true(outcome.err.message[0] != '\0');

        assert_int_equal(deliver(sink, "again").verdict, SINK_DELIVERED);
        file_driver.close(sink);
        if (json) {
            ASSERT_CONTENT(f->path, "first\nagain\n");
        } else {
            ASSERT_CONTENT(f->path, "\0\0\0\5first\0\0\0\5again");
        }
    }
}

static void after_interrupt_nothing_is_written(void **state)
{
    struct fixture *f = *state;
    struct sink *sink = open_sink(f);

    file_driver.interrupt(sink);
    assert_int_equal(deliver(sink, "x").verdict, SINK_RETRY);
    file_driver.close(sink);
    ASSERT_CONTENT(f->path, "");
}

int main(void)
{
#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        FILE_TEST(json_batches_are_lines),
        FILE_TEST(protobuf_batches_have_their_length_before_them),
        FILE_TEST(without_append_a_new_start_begins_anew),
        FILE_TEST(a_torn_line_does_not_spoil_the_next),
        FILE_TEST(a_file_that_ends_within_a_message_is_set_aside),
        FILE_TEST(a_full_file_is_rotated_before_it_passes_its_size),
        FILE_TEST(only_our_own_old_files_are_removed),
        FILE_TEST(a_rotated_file_is_continued_after_a_restart),
        FILE_TEST(the_directory_is_made_when_asked_for),
        FILE_TEST(what_is_no_regular_file_is_refused),
        FILE_TEST(a_write_that_fails_in_its_middle_leaves_nothing_behind),
        FILE_TEST(after_interrupt_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
