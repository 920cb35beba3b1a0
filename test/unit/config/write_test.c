/* write_test.c - what is written loads again to the same, and shows no secret. */
#include "unit.h"

#include <spangate/config/expand.h>
#include <spangate/config/source.h>

#include "sample.h"

/* Load yaml, write it out; release with free(). */
static char *rewrite(const char *yaml, bool comments)
{
    struct config_tree tree;
    struct config_report report;
    struct sample sample;
    struct strbuf out;
    struct error err = {0};

    config_tree_init(&tree);
    config_report_init(&report);
    if (!config_add_text(&tree, "t.yaml", slice_of(yaml), &err)) {
        fail_msg("%s in:\n%s", err.message, yaml);
    }
    config_expand(&tree, &report);
    struct config_binder binder = {.arena = &tree.arena, .report = &report, .owner = ""};
    config_bind(&binder, &sample_schema, tree.root, (struct config_place){0}, &sample);
    if (report.problems.total > 0) {
        fail_msg("%s in:\n%s", report.problems.items[0].text, yaml);
    }
    strbuf_init(&out, 1 << 20);
    struct config_style style = {.indent = 0, .comments = comments};
    config_write(&sample_schema, &sample, &style, &out);
    config_report_deinit(&report);
    config_tree_deinit(&tree);
    return strbuf_take(&out);
}

static void every_type_is_written_as_a_person_would(void **state)
{
    (void)state;
    char *text = rewrite(
        "needed: \"it's: 5\\u00b0 \\\"x\\\"\"\nsecret: s\nheaders: {a: k, b: ''}\nwait: 90s\n"
        "amount: 12.5%\nnames: [x, '1', 'a b']\nbytes: 1500\nmode: sure\n"
        "endpoint: https://me:pw@h:1/p?token=t\nitems: [{name: p}]\ntls: {}\n",
        false);
    assert_string_equal(text, "flag: true\n"
                              "text: hello\n"
                              "endpoint: \"https://REDACTED@h:1/p?REDACTED\"\n"
                              "secret: \"[REDACTED]\"\n"
                              "needed: \"it's: 5\xc2\xb0 \\\"x\\\"\"\n"
                              "count: 10\n"
                              "level: -1\n"
                              "ratio: 0.5\n"
                              "wait: 1m30s\n"
                              "bytes: 1500\n"
                              "amount: 12.5%\n"
                              "mode: safe\n"
                              "names: [x, \"1\", \"a b\"]\n"
                              "headers:\n"
                              "  - {name: a, value: \"[REDACTED]\"}\n"
                              "  - {name: b, value: \"\"}\n"
                              "items:\n"
                              "  -\n"
                              "    name: p\n"
                              "    weight: 1\n"
                              "tls:\n"
                              "  ca_file: \"\"\n"
                              "  timeout: 5s\n");
    free(text);
}

static void writing_what_was_written_changes_nothing(void **state)
{
    static const char *const documents[] = {
        "needed: n\n",
        "needed: \"a $$ b $${env:X} \\\\ \\t \\x01\"\ntext: 'null'\n",
        "needed: 'yes'\ntext: '0x10'\nsecret: '[x'\nratio: 0.1\nwait: 59m0.5s\nbytes: 3GiB\n",
        "needed: '- a'\ntext: 'a: b'\nnames: ['', '#', '%', '@', '`', '&a', '*a', '!x', '| ', "
        "'?']\n",
        "needed: 'x:'\ntls: {}\nplain:\nitems: []\nheaders: []\n",
        "needed: 'https://u:p@h/?q'\nendpoint: 'http://h/#frag'\namount: 33.3%\n",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(documents); i++) {
        char *once = rewrite(documents[i], false);
        char *twice = rewrite(once, false);
        char *commented = rewrite(once, true);
        char *again = rewrite(commented, false);
        assert_string_equal(once, twice);
        assert_string_equal(once, again);
        free(once);
        free(twice);
        free(commented);
        free(again);
    }
}

static void secrets_never_appear(void **state)
{
    (void)state;
    char *text =
        rewrite("needed: n\nsecret: canary\nheaders: {authorization: canary, harmless: canary}\n"
                "endpoint: https://canary:canary@host/path?k=canary#canary\n",
                true);
    assert_null(strstr(text, "canary"));
    free(text);
}

static void comments_are_the_help_of_the_table(void **state)
{
    (void)state;
    char *text = rewrite("needed: n\n", true);
    assert_memory_equal(text, "# Whether it flies.\nflag: true\n", 31);
    free(text);
}

static void the_documentation_is_a_row_for_each_key(void **state)
{
    struct strbuf out;
    (void)state;

    strbuf_init(&out, 1 << 20);
    config_write_markdown(&sample_schema, &out);
    assert_non_null(strstr(out.data, "| `flag` | true or false | `true` | Whether it flies. |\n"));
    assert_non_null(
        strstr(out.data, "| `needed` | a text | required | What cannot \\| be missing. |\n"));
    assert_non_null(strstr(out.data, "| `count` | a whole number, 1 to 100 | `10` |  |\n"));
    assert_non_null(strstr(out.data, "| `tls.timeout` | a duration"));
    assert_non_null(strstr(out.data, "| `items[].name` |"));
    assert_non_null(strstr(out.data, "| Accepted, no effect. Buffers grow as needed. |\n"));
    strbuf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_written_as_a_person_would),
        cmocka_unit_test(writing_what_was_written_changes_nothing),
        cmocka_unit_test(secrets_never_appear),
        cmocka_unit_test(comments_are_the_help_of_the_table),
        cmocka_unit_test(the_documentation_is_a_row_for_each_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
