/* args_test.c - the command line. */
#include "unit.h"

#include "args.h"

enum { WORDS_MAX = 16 };

/* Parse words divided by spaces. */
static bool parse(const char *line, struct args *args, struct error *err)
{
    static char text[512];
    static char *argv[WORDS_MAX];
    int argc = 0;

    (void)snprintf(text, sizeof(text), "spangate %s", line);
    char *rest = text;
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        if (word[0] != '\0') {
            argv[argc++] = word;
        }
    }
    argv[argc] = NULL;
    return args_parse(args, argc, argv, err);
}

static struct args good(const char *line)
{
    struct args args;
    struct error err = {0};
    if (!parse(line, &args, &err)) {
        fail_msg("%s: %s", line, err.message);
    }
    return args;
}

static void nothing_means_serve(void **state)
{
    (void)state;
    assert_int_equal(good("").command, COMMAND_SERVE);
    assert_int_equal(good("--config a.yaml").command, COMMAND_SERVE);
    assert_int_equal(good("serve").command, COMMAND_SERVE);
}

static void options_take_their_value_either_way(void **state)
{
    (void)state;
    struct args args = good("serve --config=a.yaml --config env:X --set a.b=c=d --set=e=f");
    assert_int_equal(args.source_count, 2);
    assert_string_equal(args.sources[0], "a.yaml");
    assert_string_equal(args.sources[1], "env:X");
    assert_int_equal(args.set_count, 2);
    assert_string_equal(args.sets[0], "a.b=c=d");
    assert_string_equal(args.sets[1], "e=f");
}

static void each_command_has_its_options(void **state)
{
    (void)state;
    assert_true(good("print-config --defaults").defaults);
    assert_int_equal(good("print-initial-config").command, COMMAND_PRINT_CONFIG);
    assert_string_equal(good("trace 0af7 --endpoint http://h:1").endpoint, "http://h:1");
    assert_string_equal(good("trace --json 0af7").operand, "0af7");
    assert_true(good("version --json").json);
    assert_true(good("check --data-dir /d --rebuild-index").rebuild_index);
    assert_string_equal(good("check --data-dir=/d").data_dir, "/d");
    assert_string_equal(good("--feature-gates=-x,+y").feature_gates, "-x,+y");
}

static void version_and_help_have_short_forms(void **state)
{
    (void)state;
    assert_int_equal(good("--version").command, COMMAND_VERSION);
    assert_int_equal(good("-v").command, COMMAND_VERSION);
    assert_int_equal(good("-h").command, COMMAND_HELP);
    assert_null(good("--help").operand);
    assert_string_equal(good("trace -h").operand, "trace");
    assert_string_equal(good("serve --config x --help").operand, "serve");
    assert_string_equal(good("help demo").operand, "demo");
}

static void mistakes_are_named_with_a_suggestion(void **state)
{
    static const struct {
        const char *line, *message;
    } rows[] = {
        {"serv", "unknown command \"serv\" (did you mean \"serve\"?)"},
        {"frobnicate", "unknown command \"frobnicate\""},
        {"--confg x", "unknown option --confg (did you mean \"--config\"?)"},
        {"--config", "option --config needs a value: --config=URI"},
        {"version --config x", "option --config does not belong to \"version\""},
        {"print-config --defaults=1", "option --defaults has no value"},
        {"trace", "\"trace\" needs ID"},
        {"trace a b", "\"b\" is one word too many for \"trace\""},
        {"validate x", "\"x\" is one word too many for \"validate\""},
        {"serve -x", "unknown option -x"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct args args;
        struct error err = {0};
        assert_false(parse(rows[i].line, &args, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_string_equal(err.message, rows[i].message);
    }
}

static void too_many_sources_are_refused(void **state)
{
    char *argv[2 + 2 * (ARGS_SOURCES_MAX + 1)];
    char option[] = "--config";
    char value[] = "x";
    char program[] = "spangate";
    int argc = 0;
    struct args args;
    struct error err = {0};
    (void)state;

    argv[argc++] = program;
    for (int i = 0; i <= ARGS_SOURCES_MAX; i++) {
        argv[argc++] = option;
        argv[argc++] = value;
    }
    argv[argc] = NULL;
    assert_false(args_parse(&args, argc, argv, &err));
    assert_string_equal(err.message, "--config more than 100 times");
}

static void help_lists_commands_and_options(void **state)
{
    struct strbuf all;
    struct strbuf one;
    (void)state;

    strbuf_init(&all, 1 << 16);
    strbuf_init(&one, 1 << 16);
    args_help(NULL, &all);
    args_help("check", &one);
    assert_non_null(strstr(all.data, "  trace ID         show a trace\n"));
    assert_non_null(strstr(all.data, "  --config=URI           "));
    assert_null(strstr(all.data, "docs"));
    assert_non_null(strstr(one.data, "  --data-dir=DIR         the data folder"));
    assert_null(strstr(one.data, "--endpoint"));
    strbuf_deinit(&all);
    strbuf_deinit(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_means_serve),
        cmocka_unit_test(options_take_their_value_either_way),
        cmocka_unit_test(each_command_has_its_options),
        cmocka_unit_test(version_and_help_have_short_forms),
        cmocka_unit_test(mistakes_are_named_with_a_suggestion),
        cmocka_unit_test(too_many_sources_are_refused),
        cmocka_unit_test(help_lists_commands_and_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
