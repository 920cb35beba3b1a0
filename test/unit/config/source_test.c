/* source_test.c - files, variables and text, merged in order. */
#include "unit.h"

#include <unistd.h>

#include <spangate/config/source.h>

static int setup(void **state)
{
    struct config_tree *tree = malloc(sizeof(*tree));
    config_tree_init(tree);
    *state = tree;
    return 0;
}

static int teardown(void **state)
{
    config_tree_deinit(*state);
    free(*state);
    return 0;
}

static void add(struct config_tree *tree, const char *name, const char *text)
{
    struct error err = {0};
    if (!config_add_text(tree, name, slice_of(text), &err)) {
        fail_msg("%s", err.message);
    }
}

static const char *value(const struct config_tree *tree, const char *path)
{
    const struct config_node *node = config_find(tree->root, path);
    return node != NULL && node->kind == CONFIG_SCALAR ? node->text : NULL;
}

static void maps_merge_and_the_later_wins(void **state)
{
    struct config_tree *tree = *state;
    add(tree, "one", "a: {x: 1, y: 2}\nkeep: yes\n");
    add(tree, "two", "a: {y: 3, z: 4}\n");

    assert_string_equal(value(tree, "a.x"), "1");
    assert_string_equal(value(tree, "a.y"), "3");
    assert_string_equal(value(tree, "a.z"), "4");
    assert_string_equal(value(tree, "keep"), "yes");
    assert_string_equal(config_place_of(tree->root, "a.y").source, "two");
    assert_string_equal(config_place_of(tree->root, "a.x").source, "one");
}

static void lists_are_replaced(void **state)
{
    struct config_tree *tree = *state;
    add(tree, "one", "l: [1, 2, 3]\n");
    add(tree, "two", "l: [9]\n");
    assert_int_equal(config_get(tree->root, "l")->count, 1);
}

static void null_removes_what_was_there_and_an_empty_map_does_not(void **state)
{
    struct config_tree *tree = *state;
    add(tree, "one", "a: {x: 1}\nb: {x: 1}\n");
    add(tree, "two", "a:\nb: {}\n");
    assert_true(config_is_null(config_get(tree->root, "a")));
    assert_string_equal(value(tree, "b.x"), "1");
}

static void what_is_put_beneath_does_not_win(void **state)
{
    struct config_tree *tree = *state;
    struct config_node *defaults;
    struct error err = {0};

    add(tree, "one", "a: {x: 1}\n");
    assert_true(config_parse(tree, "defaults", slice_of("a: {x: 2, y: 3}\n"), &defaults, &err));
    assert_true(config_merge_beneath(tree, defaults, &err));
    assert_string_equal(value(tree, "a.x"), "1");
    assert_string_equal(value(tree, "a.y"), "3");
}

static void a_top_level_list_is_refused(void **state)
{
    struct error err = {0};
    assert_false(config_add_text(*state, "t.yaml", slice_of("- a\n"), &err));
    assert_string_equal(err.message, "t.yaml:1:1: the top level must be a map of sections");
}

static void top_level_keys_are_paths_at_double_colons(void **state)
{
    struct config_tree *tree = *state;
    struct error err = {0};

    assert_true(config_add_source(tree, "yaml:processors::batch::timeout: 2s", &err));
    assert_true(config_add_source(tree, "yaml:processors::batch/foo::timeout: 3s", &err));
    assert_string_equal(value(tree, "processors.batch.timeout"), "2s");
    assert_string_equal(value(tree, "processors.batch/foo.timeout"), "3s");
    assert_false(config_add_source(tree, "yaml:a::::b: 1", &err));
    assert_non_null(strstr(err.message, "is not a path of keys"));
}

static void set_puts_a_value_at_a_path(void **state)
{
    struct config_tree *tree = *state;
    struct error err = {0};

    add(tree, "one", "a: {b: {c: 1, d: 2}}\n");
    assert_true(config_add_set(tree, "a.b.c=7", &err));
    assert_true(config_add_set(tree, "a.b.list=[x, y]", &err));
    assert_true(config_add_set(tree, "n::b.c=k=v", &err));
    assert_true(config_add_set(tree, "a.b.d=", &err));

    assert_string_equal(value(tree, "a.b.c"), "7");
    assert_int_equal(config_find(tree->root, "a.b.list")->count, 2);
    assert_string_equal(config_get(config_get(tree->root, "n"), "b.c")->text, "k=v");
    assert_true(config_is_null(config_find(tree->root, "a.b.d")));
}

static void a_bad_set_is_refused_without_showing_its_value(void **state)
{
    struct error err = {0};

    assert_false(config_add_set(*state, "novalue", &err));
    assert_string_equal(err.message, "--set needs KEY=VALUE");
    assert_false(config_add_set(*state, "=5", &err));
    assert_false(config_add_set(*state, "a..b=canary", &err));
    assert_null(strstr(err.message, "canary"));
    assert_false(config_add_set(*state, "a.b=[canary", &err));
    assert_memory_equal(err.message, "--set a.b:", 10);
    assert_null(strstr(err.message, "canary"));
}

static void a_variable_is_a_source(void **state)
{
    struct config_tree *tree = *state;
    struct error err = {0};

    assert_int_equal(setenv("SPANGATE_TEST_CONFIG", "a: {b: 5}", 1), 0);
    assert_true(config_add_source(tree, "env:SPANGATE_TEST_CONFIG", &err));
    assert_string_equal(value(tree, "a.b"), "5");
    assert_string_equal(config_place_of(tree->root, "a.b").source, "env:SPANGATE_TEST_CONFIG");
    assert_int_equal(unsetenv("SPANGATE_TEST_CONFIG"), 0);
    assert_false(config_add_source(tree, "env:SPANGATE_TEST_CONFIG", &err));
    assert_string_equal(err.message,
                        "environment variable SPANGATE_TEST_CONFIG, named by --config, is not set");
}

static void a_file_is_a_source_with_and_without_scheme(void **state)
{
    struct config_tree *tree = *state;
    struct error err = {0};
    char path[] = "/tmp/spangate-config-XXXXXX";
    char uri[64];
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: 1\n", 5), 5);
    assert_int_equal(close(fd), 0);
    (void)snprintf(uri, sizeof(uri), "file:%s", path);
    assert_true(config_add_source(tree, path, &err));
    assert_true(config_add_source(tree, uri, &err));
    assert_string_equal(value(tree, "a"), "1");
    assert_int_equal(unlink(path), 0);
    assert_false(config_add_source(tree, path, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* `--config <(generate)`: a pipe has no size. */
static void a_pipe_is_a_source(void **state)
{
    struct config_tree *tree = *state;
    struct error err = {0};
    int ends[2];
    char path[64];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "a: 7\n", 5), 5);
    assert_int_equal(close(ends[1]), 0);
    (void)snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
    assert_true(config_add_source(tree, path, &err));
    assert_string_equal(value(tree, "a"), "7");
    assert_int_equal(close(ends[0]), 0);
}

static void what_cannot_be_read_is_named(void **state)
{
    struct error err = {0};
    char *text = NULL;
    size_t len = 0;

    assert_false(config_add_source(*state, "/tmp", &err));
    assert_string_equal(err.message, "configuration: read /tmp: Is a directory");
    assert_false(config_read_file("/dev/zero", 100000, &text, &len, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

static void other_schemes_are_named(void **state)
{
    struct error err = {0};
    assert_false(config_add_source(*state, "https://user:canary@example/c.yaml", &err));
    assert_string_equal(err.message, "--config https:…: this scheme is not supported (supported: "
                                     "file env yaml)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(maps_merge_and_the_later_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_are_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(null_removes_what_was_there_and_an_empty_map_does_not,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_put_beneath_does_not_win, setup, teardown),
        cmocka_unit_test_setup_teardown(a_top_level_list_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(top_level_keys_are_paths_at_double_colons, setup, teardown),
        cmocka_unit_test_setup_teardown(set_puts_a_value_at_a_path, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_set_is_refused_without_showing_its_value, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_variable_is_a_source, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_is_a_source_with_and_without_scheme, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_pipe_is_a_source, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(other_schemes_are_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
