/* expand_test.c - ${…} in values: the Collector's rules, row by row. */
#include "unit.h"

#include <unistd.h>

#include <spangate/base/mem.h>
#include <spangate/config/expand.h>
#include <spangate/config/source.h>

struct fixture {
    struct config_tree tree;
    struct config_report report;
};

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    config_tree_init(&f->tree);
    config_report_init(&f->report);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    config_tree_deinit(&f->tree);
    config_report_deinit(&f->report);
    free(f);
    return 0;
}

static int environment(void **state)
{
    (void)state;
    return setenv("T_NAME", "value", 1) + setenv("T_PORT", "4317", 1) +
           setenv("T_ZEROS", "0123", 1) + setenv("T_LIST", "[a, b]", 1) +
           setenv("T_MAP", "{k: v, d: {e: 1}}", 1) + setenv("T_EMPTY", "", 1) +
           setenv("T_WHICH", "T_NAME", 1) + setenv("T_NESTED", "${env:T_NAME}!", 1) +
           setenv("T_DOLLARS", "a$$b", 1) + setenv("T_SELF", "${env:T_SELF}", 1) +
           setenv("T_LOOP", "x${env:T_LOOP}", 1) +
           setenv("T_GROW", "${env:T_GROW}${env:T_GROW}", 1) +
           setenv("T_TREE", "[\"${env:T_TREE}\", \"${env:T_TREE}\"]", 1) +
           setenv("T_BAD", "[unclosed", 1) + setenv("T_QUOTED", "\"q\"", 1) + unsetenv("T_UNSET");
}

/* The value of key `v` after expansion; NULL when it is no scalar. */
static const struct config_node *expand(struct fixture *f, const char *yaml)
{
    struct error err = {0};
    if (!config_add_text(&f->tree, "t.yaml", slice_of(yaml), &err)) {
        fail_msg("%s", err.message);
    }
    config_expand(&f->tree, &f->report);
    return config_get(f->tree.root, "v");
}

static void scalars_expand_as_the_table_says(void **state)
{
    static const struct {
        const char *yaml, *expected;
    } rows[] = {
        {"v: ${env:T_NAME}", "value"},
        {"v: ${T_NAME}", "value"},
        {"v: \"${env:T_NAME}\"", "value"},
        {"v: ${env:T_UNSET:-fallback}", "fallback"},
        {"v: ${T_UNSET:-fallback}", "fallback"},
        {"v: ${env:T_UNSET:-}", ""},
        {"v: ${env:T_NAME:-fallback}", "value"},
        {"v: ${env:T_EMPTY:-fallback}", ""},
        {"v: ${env:T_UNSET:-a:-b}", "a:-b"},
        {"v: http://${env:T_NAME}:${env:T_PORT}/", "http://value:4317/"},
        {"v: ${env:T_ZEROS}", "0123"},
        {"v: ${env:${env:T_WHICH}}", "value"},
        {"v: ${env:${T_WHICH}}", "value"},
        {"v: ${env:T_UNSET:-${env:T_NAME}}", "value"},
        {"v: ${env:T_NESTED}", "value!"},
        {"v: $$", "$"},
        {"v: $${env:T_NAME}", "${env:T_NAME}"},
        {"v: $$${env:T_NAME}", "$value"},
        {"v: $$$${env:T_NAME}", "$${env:T_NAME}"},
        {"v: $T_NAME", "$T_NAME"},
        {"v: a$$b$c", "a$b$c"},
        {"v: ${env:T_DOLLARS}", "a$b"},
        {"v: ${yaml:text}", "text"},
        {"v: '}${env:T_NAME}{'", "}value{"},
        {"v: '$'", "$"},
        {"v: '${'", "${"},
        {"v: '${env:T_NAME'", "${env:T_NAME"},
        {"v: ${env:T_BAD}", "[unclosed"},
        {"v: ${env:T_QUOTED}", "\"q\""},
        {"v: x-${env:T_PORT}", "x-4317"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fixture *f = NULL;
        assert_int_equal(setup((void **)&f), 0);
        const struct config_node *v = expand(f, rows[i].yaml);
        if (f->report.problems.total > 0) {
            fail_msg("%s: %s", rows[i].yaml, f->report.problems.items[0].text);
        }
        if (v->kind != CONFIG_SCALAR || strcmp(v->text, rows[i].expected) != 0) {
            fail_msg("%s: got %s", rows[i].yaml, v->text);
        }
        assert_int_equal(v->len, strlen(v->text));
        teardown((void **)&f);
    }
    (void)state;
}

static void a_whole_value_is_typed_as_yaml(void **state)
{
    struct fixture *f = *state;
    const struct config_node *v = expand(f, "v: [\"${env:T_LIST}\", \"${env:T_MAP}\", "
                                            "\"${env:T_EMPTY}\", \"${env:T_PORT}\"]");
    assert_int_equal(v->entries[0].value->kind, CONFIG_LIST);
    assert_int_equal(v->entries[0].value->count, 2);
    assert_string_equal(config_find(v->entries[1].value, "d.e")->text, "1");
    assert_true(config_find(v->entries[1].value, "d.e")->expanded);
    assert_true(config_is_null(v->entries[2].value));
    assert_true(v->entries[3].value->plain);
    assert_int_equal(f->report.problems.total, 0);
}

static void keys_are_not_expanded(void **state)
{
    struct fixture *f = *state;
    (void)expand(f, "${env:T_NAME}: 1\nv: 1\n");
    assert_non_null(config_get(f->tree.root, "${env:T_NAME}"));
}

static void an_unset_variable_is_a_warning_and_nothing(void **state)
{
    struct fixture *f = *state;
    const struct config_node *v = expand(f, "v:\n  - ${env:T_UNSET}\n");
    assert_true(config_is_null(v->entries[0].value));
    assert_int_equal(f->report.problems.total, 0);
    assert_int_equal(f->report.warnings.total, 1);
    assert_string_equal(f->report.warnings.items[0].text,
                        "t.yaml:2:5: environment variable T_UNSET is not set: the value is empty");
}

static void what_cannot_be_expanded_is_a_problem_at_its_place(void **state)
{
    static const struct {
        const char *yaml, *expected;
    } rows[] = {
        {"v: a ${env:T_MAP}", "t.yaml:1:4: env:T_MAP is a map or list and cannot stand within a "
                              "longer text"},
        {"v: a ${env:T_LIST}", "t.yaml:1:4: env:T_LIST is a map or list and cannot stand within a "
                               "longer text"},
        {"v: ${env:1bad}", "t.yaml:1:4: environment variable \"1bad\" has invalid name: must match "
                           "regex ^[a-zA-Z_][a-zA-Z0-9_]*$"},
        {"v: ${env:}", "t.yaml:1:4: environment variable \"\" has invalid name: must match regex "
                       "^[a-zA-Z_][a-zA-Z0-9_]*$"},
        {"v: ${env:a-b}", "t.yaml:1:4: environment variable \"a-b\" has invalid name: must match "
                          "regex ^[a-zA-Z_][a-zA-Z0-9_]*$"},
        {"v: ${env:$T}", "t.yaml:1:4: an expansion cannot have a '$' in it"},
        {"v: ${https://x}", "t.yaml:1:4: ${https:…}: this scheme is not supported (supported: env "
                            "file yaml)"},
        {"v: ${env:T_SELF}", "t.yaml:1:4: too many recursive expansions"},
        {"v: ${env:T_LOOP}", "t.yaml:1:4: too many recursive expansions"},
        {"v: ${env:T_GROW}", "t.yaml:1:4: too many recursive expansions"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fixture *f = NULL;
        assert_int_equal(setup((void **)&f), 0);
        (void)expand(f, rows[i].yaml);
        assert_int_equal(f->report.problems.total, 1);
        assert_string_equal(f->report.problems.items[0].text, rows[i].expected);
        teardown((void **)&f);
    }
    (void)state;
}

static void a_tree_that_grows_from_itself_ends_at_a_limit(void **state)
{
    struct fixture *f = *state;
    (void)expand(f, "v: ${env:T_TREE}");
    assert_true(f->report.problems.total > 0);
    assert_true(f->tree.node_count <= CONFIG_NODES_MAX);
}

static void a_file_is_put_in_without_its_last_newline(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/spangate-expand-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "secret\n", 7), 7);
    assert_int_equal(close(fd), 0);

    char *yaml =
        mem_printf("v: [\"${file:%s}\", \"Bearer ${file:%s}\", \"${file:/no/such}\"]", path, path);
    const struct config_node *v = expand(f, yaml);
    assert_string_equal(v->entries[0].value->text, "secret");
    assert_string_equal(v->entries[1].value->text, "Bearer secret");
    assert_true(v->entries[1].value->expanded);
    assert_int_equal(f->report.problems.total, 1);
    assert_non_null(strstr(f->report.problems.items[0].text, "/no/such"));
    free(yaml);
    assert_int_equal(unlink(path), 0);
}

static void a_value_over_a_mebibyte_is_refused(void **state)
{
    struct fixture *f = *state;
    char *big = malloc(CONFIG_VALUE_MAX + 2);
    memset(big, 'x', CONFIG_VALUE_MAX + 1);
    big[CONFIG_VALUE_MAX + 1] = '\0';
    assert_int_equal(setenv("T_BIG", big, 1), 0);
    (void)expand(f, "v: a ${env:T_BIG}");
    assert_int_equal(f->report.problems.total, 1);
    assert_string_equal(f->report.problems.items[0].text,
                        "t.yaml:1:4: env:T_BIG is larger than 1048576 bytes");
    assert_int_equal(unsetenv("T_BIG"), 0);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_expand_as_the_table_says),
        cmocka_unit_test_setup_teardown(a_whole_value_is_typed_as_yaml, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_are_not_expanded, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unset_variable_is_a_warning_and_nothing, setup,
                                        teardown),
        cmocka_unit_test(what_cannot_be_expanded_is_a_problem_at_its_place),
        cmocka_unit_test_setup_teardown(a_tree_that_grows_from_itself_ends_at_a_limit, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_file_is_put_in_without_its_last_newline, setup, teardown),
        cmocka_unit_test_setup_teardown(a_value_over_a_mebibyte_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, environment, NULL);
}
