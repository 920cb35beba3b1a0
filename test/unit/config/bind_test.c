/* bind_test.c - values by table: types, ranges, defaults, and what a person is told. */
#include "unit.h"

#include <spangate/config/expand.h>
#include <spangate/config/source.h>

#include "sample.h"

struct fixture {
    struct config_tree tree;
    struct config_report report;
    struct sample sample;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
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

static void bind(struct fixture *f, const char *yaml)
{
    struct error err = {0};
    if (!config_add_text(&f->tree, "t.yaml", slice_of(yaml), &err)) {
        fail_msg("%s", err.message);
    }
    config_expand(&f->tree, &f->report);
    struct config_binder binder = {
        .arena = &f->tree.arena, .report = &f->report, .owner = "things::x"};
    struct config_place place = {.source = "t.yaml", .order = 1, .line = 1, .column = 1};
    config_bind(&binder, &sample_schema, f->tree.root, place, &f->sample);
}

static void no_problems(const struct fixture *f)
{
    if (f->report.problems.total > 0) {
        fail_msg("%s", f->report.problems.items[0].text);
    }
}

static void defaults_come_from_the_table(void **state)
{
    struct fixture *f = *state;
    bind(f, "needed: x\n");
    no_problems(f);
    assert_true(f->sample.flag);
    assert_false(f->sample.flag_given);
    assert_string_equal(f->sample.text, "hello");
    assert_null(f->sample.url);
    assert_null(f->sample.secret);
    assert_int_equal(f->sample.count, 10);
    assert_int_equal(f->sample.level, -1);
    assert_true(f->sample.ratio == 0.5);
    assert_int_equal(f->sample.wait_ns, 200000000);
    assert_int_equal(f->sample.bytes, 64 << 20);
    assert_int_equal(f->sample.amount.bytes, 256 << 20);
    assert_int_equal(f->sample.mode, MODE_FAST);
    assert_int_equal(f->sample.name_count, 0);
    assert_false(f->sample.tls_given);
    assert_int_equal(f->sample.tls.timeout_ns, 5000000000);
}

static void values_replace_defaults(void **state)
{
    struct fixture *f = *state;
    bind(f, "flag: False\ntext: 0123\nendpoint: http://h\nsecret: s\nneeded: n\ncount: 100\n"
            "level: 3\nratio: 1e-1\nwait: 1m30s\nbytes: 2097152\namount: 25%\nmode: sure\n"
            "names: [a, 5]\nheaders: {X-A: 1, x-b: two}\n"
            "items: [{name: p}, {name: q, weight: 7}]\ntls: {ca_file: /c}\n");
    no_problems(f);
    assert_false(f->sample.flag);
    assert_true(f->sample.flag_given);
    assert_string_equal(f->sample.text, "0123");
    assert_string_equal(f->sample.url, "http://h");
    assert_string_equal(f->sample.secret, "s");
    assert_int_equal(f->sample.count, 100);
    assert_int_equal(f->sample.level, 3);
    assert_true(f->sample.ratio == 0.1);
    assert_int_equal(f->sample.wait_ns, 90000000000);
    assert_int_equal(f->sample.bytes, 2097152);
    assert_true(f->sample.amount.percent == 25);
    assert_int_equal(f->sample.amount.bytes, 0);
    assert_int_equal(f->sample.mode, MODE_SAFE);
    assert_int_equal(f->sample.name_count, 2);
    assert_string_equal(f->sample.names[1], "5");
    assert_null(f->sample.names[2]);
    assert_int_equal(f->sample.header_count, 2);
    assert_string_equal(f->sample.headers[0].name, "X-A");
    assert_string_equal(f->sample.headers[1].value, "two");
    assert_int_equal(f->sample.item_count, 2);
    assert_int_equal(f->sample.items[0].weight, 1);
    assert_int_equal(f->sample.items[1].weight, 7);
    assert_true(f->sample.tls_given);
    assert_string_equal(f->sample.tls.ca_file, "/c");
}

static void null_means_the_default(void **state)
{
    struct fixture *f = *state;
    bind(f,
         "needed: n\ncount:\ntext: null\nnames:\nheaders: ~\ntls: null\nplain:\nbuffer:\nauth:\n");
    no_problems(f);
    assert_int_equal(f->sample.count, 10);
    assert_string_equal(f->sample.text, "hello");
    assert_false(f->sample.tls_given);
    assert_true(f->sample.plain_given);
    assert_int_equal(f->sample.plain.timeout_ns, 5000000000);
    assert_int_equal(f->report.warnings.total, 0);
}

static void an_expanded_text_is_taken_as_it_is(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(setenv("T_TEXT", "null", 1), 0);
    assert_int_equal(setenv("T_NONE", "", 1), 0);
    bind(f, "needed: ${env:T_TEXT}\ntext: ${env:T_NONE}\ncount: ${env:T_NONE}\n");
    no_problems(f);
    assert_string_equal(f->sample.needed, "null");
    assert_string_equal(f->sample.text, "");
    assert_int_equal(f->sample.count, 10);
}

static void headers_may_be_a_list(void **state)
{
    struct fixture *f = *state;
    bind(f, "needed: n\nheaders: [{name: a, value: 1}, {name: a, value: 2}]\n");
    no_problems(f);
    assert_int_equal(f->sample.header_count, 2);
    assert_string_equal(f->sample.headers[1].value, "2");
}

static void each_problem_says_where_and_what(void **state)
{
    static const struct {
        const char *yaml, *expected;
    } rows[] = {
        {"needed: n\nflg: true\n",
         "t.yaml:2:1: things::x: '' has invalid keys: flg (did you mean \"flag\"?)"},
        {"needed: n\nzzzzzz: 1\n", "t.yaml:2:1: things::x: '' has invalid keys: zzzzzz"},
        {"needed: n\ntls:\n  ca_fle: x\n",
         "t.yaml:3:3: things::x: 'tls' has invalid keys: ca_fle (did you mean \"ca_file\"?)"},
        {"flag: true\n", "t.yaml:1:1: things::x: needed: is required"},
        {"needed: n\ncount: abc\n",
         "t.yaml:2:8: things::x: count: expected a whole number, found \"abc\""},
        {"needed: n\ncount: 0\n", "t.yaml:2:8: things::x: count: must be at least 1, found \"0\""},
        {"needed: n\ncount: 101\n",
         "t.yaml:2:8: things::x: count: must be at most 100, found \"101\""},
        {"needed: n\ncount: -5\n",
         "t.yaml:2:8: things::x: count: expected a whole number, found \"-5\""},
        {"needed: n\ncount: 99999999999999999999\n",
         "t.yaml:2:8: things::x: count: expected a whole number, found \"99999999999999999999\""},
        {"needed: n\nwait: 30\n", "t.yaml:2:7: things::x: wait: expected a duration with its unit, "
                                  "like 300ms or 1h30m, found \"30\""},
        {"needed: n\nwait: -1s\n", "t.yaml:2:7: things::x: wait: expected a duration with its "
                                   "unit, like 300ms or 1h30m, found \"-1s\""},
        {"needed: n\nwait: 2h\n", "t.yaml:2:7: things::x: wait: must be at most 1h, found \"2h\""},
        {"needed: n\nmode: slow\n",
         "t.yaml:2:7: things::x: mode: expected one of fast, safe, sure, found \"slow\""},
        {"needed: n\nflag: yes\n",
         "t.yaml:2:7: things::x: flag: expected true or false, found \"yes\""},
        {"needed: n\ntext: [a]\n", "t.yaml:2:7: things::x: text: expected a text, found a list"},
        {"needed: n\ntls: 5\n", "t.yaml:2:6: things::x: tls: expected a map, found a text"},
        {"needed: n\nnames: [[a]]\n",
         "t.yaml:2:9: things::x: names: expected a text in this list, found a list"},
        {"needed: n\nheaders: {\"a b\": 1}\n", "t.yaml:2:11: things::x: headers: a header needs a "
                                               "name of letters, digits and hyphens"},
        {"needed: n\nheaders: {a: [1]}\n",
         "t.yaml:2:11: things::x: headers: the value of header a must be a text"},
        {"needed: n\nheaders: {a: \"x\\ny\"}\n", "t.yaml:2:11: things::x: headers: the value of "
                                                 "header a holds a control character"},
        {"needed: n\nitems: [{weight: 1}]\n", "t.yaml:2:9: things::x: items.name: is required"},
        {"needed: n\nitems: {a: 1}\n",
         "t.yaml:2:8: things::x: items: expected a list of maps, found a map"},
        {"needed: n\nauth: {authenticator: x}\n",
         "t.yaml:2:1: things::x: auth: not supported by this version. Put a proxy in front."},
        {"needed: n\nmeta: true\n",
         "t.yaml:2:1: things::x: meta: not supported by this version. It is dropped."},
        {"needed: n\namount: 101%\n",
         "t.yaml:2:9: things::x: amount: expected a size, like 64MiB, or a percentage of the "
         "memory, like 25%, found \"101%\""},
        {"needed: n\namount: 1\n", "t.yaml:2:9: things::x: amount: must be at least 1MiB, found "
                                   "\"1\""},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fixture *f = NULL;
        assert_int_equal(setup((void **)&f), 0);
        bind(f, rows[i].yaml);
        assert_int_equal(f->report.problems.total, 1);
        assert_string_equal(f->report.problems.items[0].text, rows[i].expected);
        teardown((void **)&f);
    }
    (void)state;
}

static void several_problems_come_in_the_order_of_the_file(void **state)
{
    struct fixture *f = *state;
    struct strbuf text;
    struct error err = {0};

    bind(f, "zz: 1\ncount: x\nneeded: n\nbytes: y\n");
    strbuf_init(&text, 1 << 16);
    config_report_problems(&f->report, &text);
    assert_string_equal(text.data,
                        "t.yaml:1:1: things::x: '' has invalid keys: zz\n"
                        "t.yaml:2:8: things::x: count: expected a whole number, found \"x\"\n"
                        "t.yaml:4:8: things::x: bytes: expected a size, like 64MiB or 1048576, "
                        "found \"y\"");
    assert_false(config_report_ok(&f->report, &err));
    assert_string_equal(err.message, "t.yaml:1:1: things::x: '' has invalid keys: zz (and 2 more)");
    strbuf_deinit(&text);
}

static void keys_without_effect_warn_once_unless_they_are_quiet(void **state)
{
    struct fixture *f = *state;
    bind(f, "needed: n\nbuffer: 512\nhush: 5\nmeta: false\nauth: {}\n");
    no_problems(f);
    assert_int_equal(f->report.warnings.total, 1);
    assert_string_equal(
        f->report.warnings.items[0].text,
        "t.yaml:2:1: things::x: buffer has no effect here: Buffers grow as needed.");
}

static void a_value_from_outside_is_not_shown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(setenv("T_CANARY", "canary-secret", 1), 0);
    assert_int_equal(setenv("T_CANARY_MAP", "{canary: 1}", 1), 0);
    bind(f, "needed: n\ncount: ${env:T_CANARY}\nwait: 1${env:T_CANARY}\n"
            "headers: {a: \"${env:T_CANARY}\\n\"}\nmode: ${env:T_CANARY}\nauth: ${env:T_CANARY}\n");
    assert_int_equal(f->report.problems.total, 5);
    for (size_t i = 0; i < f->report.problems.count; i++) {
        assert_null(strstr(f->report.problems.items[i].text, "canary"));
    }
}

static void suggestions_are_near_words_only(void **state)
{
    static const char *const words[] = {"batch", "memory_limiter", "otlp", NULL};
    char hint[100];
    (void)state;

    config_suggest("bacth", words, hint, sizeof(hint));
    assert_string_equal(hint, " (did you mean \"batch\"?)");
    config_suggest("memory_limit", words, hint, sizeof(hint));
    assert_string_equal(hint, " (did you mean \"memory_limiter\"?)");
    config_suggest("xy", words, hint, sizeof(hint));
    assert_string_equal(hint, "");
    config_suggest("zipkin", words, hint, sizeof(hint));
    assert_string_equal(hint, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_come_from_the_table, setup, teardown),
        cmocka_unit_test_setup_teardown(values_replace_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(null_means_the_default, setup, teardown),
        cmocka_unit_test_setup_teardown(an_expanded_text_is_taken_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(headers_may_be_a_list, setup, teardown),
        cmocka_unit_test(each_problem_says_where_and_what),
        cmocka_unit_test_setup_teardown(several_problems_come_in_the_order_of_the_file, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(keys_without_effect_warn_once_unless_they_are_quiet, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_value_from_outside_is_not_shown, setup, teardown),
        cmocka_unit_test(suggestions_are_near_words_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
