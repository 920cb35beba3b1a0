/* tree_test.c - YAML as nodes that know where they stand, and what is refused. */
#include "unit.h"

#include <spangate/base/strbuf.h>
#include <spangate/config/tree.h>

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

static struct config_node *parse(struct config_tree *tree, const char *text)
{
    struct config_node *node = NULL;
    struct error err = {0};
    if (!config_parse(tree, "t.yaml", slice_of(text), &node, &err)) {
        fail_msg("%s", err.message);
    }
    return node;
}

static void refused(struct config_tree *tree, const char *text, const char *message)
{
    struct config_node *node = NULL;
    struct error err = {0};
    assert_false(config_parse(tree, "t.yaml", slice_of(text), &node, &err));
    assert_string_equal(err.message, message);
    assert_null(node);
}

static void keys_and_values_know_line_and_column(void **state)
{
    struct config_node *root = parse(*state, "a:\n  bb: 1\n  c: [x, 'y']\n");
    const struct config_node *c = config_find(root, "a.c");

    assert_int_equal(config_place_of(root, "a.bb").line, 2);
    assert_int_equal(config_place_of(root, "a.bb").column, 3);
    assert_string_equal(config_place_of(root, "a.bb").source, "t.yaml");
    assert_int_equal(c->kind, CONFIG_LIST);
    assert_int_equal(c->entries[1].value->place.line, 3);
    assert_int_equal(c->entries[1].value->place.column, 10);
}

static void the_place_of_what_is_absent_is_its_nearest_ancestor(void **state)
{
    struct config_node *root = parse(*state, "a:\n  b: {}\n");
    assert_int_equal(config_place_of(root, "a.b.c.d").line, 2);
    assert_int_equal(config_place_of(root, "z").line, 1);
}

static void quoted_scalars_are_never_null(void **state)
{
    struct config_node *root =
        parse(*state, "a: ''\nb:\nc: ~\nd: null\ne: 'null'\nf: !!str null\n");
    assert_false(config_is_null(config_get(root, "a")));
    assert_true(config_is_null(config_get(root, "b")));
    assert_true(config_is_null(config_get(root, "c")));
    assert_true(config_is_null(config_get(root, "d")));
    assert_false(config_is_null(config_get(root, "e")));
    assert_false(config_is_null(config_get(root, "f")));
    assert_true(config_is_null(config_get(root, "absent")));
}

static void an_empty_document_is_null(void **state)
{
    assert_true(config_is_null(parse(*state, "")));
    assert_true(config_is_null(parse(*state, "# only a comment\n")));
    assert_true(config_is_null(parse(*state, "---\n...\n")));
}

static void a_key_twice_is_refused_with_both_lines(void **state)
{
    refused(*state, "a: 1\nb: 2\na: 3\n",
            "t.yaml:3:1: mapping key \"a\" already defined at line 1");
}

static void what_is_no_yaml_is_refused_at_its_place(void **state)
{
    refused(*state, "a: [1, 2\nb: 3\n",
            "t.yaml:2:2: did not find expected ',' or ']' (while parsing a flow sequence that "
            "begins in line 1)");
    refused(*state, "a: b: c\n", "t.yaml:1:5: mapping values are not allowed in this context");
    refused(*state, "a: \"\xff\"\n", "t.yaml: byte 4: invalid leading UTF-8 octet");
}

static void a_second_document_is_refused(void **state)
{
    refused(*state, "a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document begins here");
}

static void odd_yaml_is_refused_by_name(void **state)
{
    refused(*state, "a: !!int 5\n", "t.yaml:1:4: tags (tag:yaml.org,2002:int) are not supported");
    refused(*state, "? [a]\n: 1\n", "t.yaml:1:3: a key must be a text");
    refused(*state, "a: \"x\\0y\"\n", "t.yaml:1:4: a value holds a NUL character");
    refused(*state, "\"x\\0y\": 1\n", "t.yaml:1:1: a key holds a NUL character");
    refused(*state, "a: *b\n", "t.yaml:1:4: unknown anchor \"b\"");
    refused(*state, "a: &a [*a]\n", "t.yaml:1:8: an alias stands for something that contains it");
    refused(*state, "a: &a 1\n*a : 2\n", "t.yaml:2:1: a key cannot be an alias");
}

static void an_alias_is_a_copy_of_its_anchor(void **state)
{
    struct config_node *root = parse(*state, "a: &x {k: [1, 2]}\nb: *x\n");
    assert_string_equal(config_find(root, "b.k")->entries[1].value->text, "2");
    assert_ptr_not_equal(config_get(root, "a"), config_get(root, "b"));
}

static void a_merge_key_adds_what_the_map_does_not_have(void **state)
{
    struct config_node *root =
        parse(*state, "base: &b {x: 1, y: 2}\nmore: &m {y: 8, z: 9}\nt:\n  <<: [*b, *m]\n  x: 5\n");
    assert_string_equal(config_find(root, "t.x")->text, "5");
    assert_string_equal(config_find(root, "t.y")->text, "2");
    assert_string_equal(config_find(root, "t.z")->text, "9");
    assert_null(config_find(root, "t.<<"));
    refused(*state, "t:\n  <<: 5\n", "t.yaml:2:7: << needs a map or a list of maps");
}

/* Ten levels of ten aliases would be ten thousand million values. */
static void an_alias_bomb_ends_at_the_limit(void **state)
{
    struct strbuf text;
    struct config_node *node = NULL;
    struct error err = {0};

    strbuf_init(&text, 1 << 16);
    strbuf_append_text(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 10; i++) {
        strbuf_printf(&text, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++) {
            strbuf_printf(&text, "%s*a%d", k > 0 ? "," : "", i - 1);
        }
        strbuf_append_text(&text, "]\n");
    }
    assert_false(config_parse(*state, "bomb.yaml", strbuf_slice(&text), &node, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_non_null(strstr(err.message, "more than 100000 values"));
    strbuf_deinit(&text);
}

static void nest(struct strbuf *text, int levels)
{
    strbuf_init(text, 1 << 20);
    for (int i = 0; i < levels; i++) {
        strbuf_putc(text, '[');
    }
    for (int i = 0; i < levels; i++) {
        strbuf_putc(text, ']');
    }
}

static void depth_is_bounded_at_64_levels(void **state)
{
    struct strbuf good;
    struct strbuf bad;
    struct config_node *node = NULL;
    struct error err = {0};

    nest(&good, 64);
    nest(&bad, 65);
    assert_true(config_parse(*state, "t.yaml", strbuf_slice(&good), &node, &err));
    assert_false(config_parse(*state, "t.yaml", strbuf_slice(&bad), &node, &err));
    assert_string_equal(err.message, "t.yaml:1:65: nested deeper than 64 levels");
    strbuf_deinit(&good);
    strbuf_deinit(&bad);
}

static void aliases_cannot_pass_the_depth_limit(void **state)
{
    struct strbuf text;
    struct config_node *node = NULL;
    struct error err = {0};

    strbuf_init(&text, 1 << 16);
    strbuf_append_text(&text, "a0: &a0 [[[[[[[[[[x]]]]]]]]]]\n");
    for (int i = 1; i < 8; i++) {
        strbuf_printf(&text, "a%d: &a%d [[[[[[[[[[*a%d]]]]]]]]]]\n", i, i, i - 1);
    }
    assert_false(config_parse(*state, "t.yaml", strbuf_slice(&text), &node, &err));
    assert_non_null(strstr(err.message, "nested deeper than 64 levels by aliases"));
    strbuf_deinit(&text);
}

static void a_source_larger_than_4_mib_is_refused(void **state)
{
    char *text = malloc(CONFIG_TEXT_MAX + 1);
    struct config_node *node = NULL;
    struct error err = {0};

    memset(text, '#', CONFIG_TEXT_MAX + 1);
    struct slice slice = {(const uint8_t *)text, CONFIG_TEXT_MAX + 1};
    assert_false(config_parse(*state, "t.yaml", slice, &node, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    slice.len--;
    assert_true(config_parse(*state, "t.yaml", slice, &node, &err));
    free(text);
}

/* Every prefix of a rich document parses or is refused with its name and a reason. */
static void every_prefix_is_parsed_or_refused(void **state)
{
    (void)state;
    static const char text[] = "a: &x {k: [1, \"two\\n\", 'three'], <<: {q: 1}}\n"
                               "b: *x\nc: |\n  block\n  text\nd: >-\n  folded\n\"e\": !!str 5\n";
    for (size_t len = 0; len < sizeof(text); len++) {
        struct config_tree tree;
        struct config_node *node = NULL;
        struct error err = {0};
        uint8_t *prefix = malloc(len + (len == 0));
        memcpy(prefix, text, len);

        config_tree_init(&tree);
        if (!config_parse(&tree, "t.yaml", (struct slice){prefix, len}, &node, &err)) {
            assert_int_equal(err.code, ERR_INVALID);
            assert_memory_equal(err.message, "t.yaml:", 7);
        }
        config_tree_deinit(&tree);
        free(prefix);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_and_values_know_line_and_column, setup, teardown),
        cmocka_unit_test_setup_teardown(the_place_of_what_is_absent_is_its_nearest_ancestor, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(quoted_scalars_are_never_null, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_document_is_null, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_twice_is_refused_with_both_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_yaml_is_refused_at_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_document_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(odd_yaml_is_refused_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(an_alias_is_a_copy_of_its_anchor, setup, teardown),
        cmocka_unit_test_setup_teardown(a_merge_key_adds_what_the_map_does_not_have, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_alias_bomb_ends_at_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(depth_is_bounded_at_64_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(aliases_cannot_pass_the_depth_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_source_larger_than_4_mib_is_refused, setup, teardown),
        cmocka_unit_test(every_prefix_is_parsed_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
