/* print_test.c - what is printed loads again, hides secrets, and matches the documentation. */
#include "load.h"

#include "print.h"
#include "registry.h"

#include <spangate/base/fs.h>

static char *print(const char *yaml, bool comments)
{
    struct settings *s = load(yaml, NULL);
    struct strbuf out;

    strbuf_init(&out, 1 << 20);
    if (comments) {
        settings_print_commented(s, &out);
    } else {
        settings_print(s, &out);
    }
    settings_free(s);
    return strbuf_take(&out);
}

static const char everything[] =
    "extensions: {health_check: , file_storage: {directory: /d}, bearertokenauth: {tokens: "
    "[canary8, canary9]}, bearertokenauth/2: {token: canary10}, basicauth: {htpasswd: {inline: "
    "'canary11:canary12'}}, apikeyauth: {keys: [canary13]}}\n"
    "receivers: {otlp: {protocols: {grpc: {tls: {cert_file: /c, key_file: /k, client_ca_file: /a, "
    "reload_interval: 1m}, auth: {authenticator: basicauth}}, http: {cors: {allowed_origins: "
    "['*']}}}}, nop: }\n"
    "processors: {batch: , memory_limiter: {check_interval: 1s, limit_percentage: 33}, "
    "groupbytrace: {wait_duration: 700ms}}\n"
    "connectors: {forward: }\n"
    "exporters:\n"
    "  otlp_http/tempo: {endpoint: 'https://canary1:canary2@h/p?k=canary3', headers: {harmless: "
    "canary4, "
    "authorization: 'Bearer canary5'}, proxy_url: 'http://u:canary6@p', "
    "sending_queue: {batch: {min_size: 7}}}\n"
    "  otlp_grpc: {endpoint: 'h:1', headers: [{name: x, value: canary7}]}\n"
    "  file: {path: 'a $$ b', rotation: }\n"
    "  file/2: {path: \"tab\\tand \\\"quotes\\\"\", rotation: {max_megabytes: 5}}\n"
    "  debug: {verbosity: detailed}\n"
    "  trace_store:\n"
    "  nop:\n"
    "service:\n"
    "  extensions: [health_check, file_storage, basicauth]\n"
    "  telemetry: {logs: {level: warn}, metrics: {readers: [{pull: {exporter: {prometheus: {port: "
    "1}}}}]}}\n"
    "  pipelines:\n"
    "    traces: {receivers: [otlp], processors: [memory_limiter, groupbytrace, batch], exporters: "
    "[otlp_http/tempo, otlp_grpc, trace_store, forward]}\n"
    "    traces/2: {receivers: [forward, nop], exporters: [file, file/2, debug, nop]}\n"
    "    logs: {receivers: [otlp], exporters: [debug]}\n"
    "spangate: {retention: 1h30m, query: {allowed_hosts: [a.example]}}\n";

static void printing_what_was_printed_changes_nothing(void **state)
{
    (void)state;
    const char *const documents[] = {everything, SMALL, "spangate: {}\n"};
    for (size_t i = 0; i < COUNT_OF(documents); i++) {
        char *once = print(documents[i], false);
        char *twice = print(once, false);
        char *commented = print(once, true);
        char *again = print(commented, false);
        assert_string_equal(once, twice);
        assert_string_equal(once, again);
        free(once);
        free(twice);
        free(commented);
        free(again);
    }
}

static void secrets_are_never_printed(void **state)
{
    (void)state;
    for (int comments = 0; comments < 2; comments++) {
        char *text = print(everything, comments == 1);
        assert_null(strstr(text, "canary"));
        assert_non_null(strstr(text, "https://REDACTED@h/p?REDACTED"));
        assert_non_null(strstr(text, "- {name: harmless, value: \"[REDACTED]\"}"));
        assert_non_null(strstr(text, "tokens: [\"[REDACTED]\", \"[REDACTED]\"]\n"));
        assert_non_null(strstr(text, "inline: \"[REDACTED]\"\n"));
        free(text);
    }
}

static void what_another_section_decided_is_shown(void **state)
{
    (void)state;
    char *text = print(everything, false);
    assert_non_null(strstr(text, "  data_dir: /d\n"));
    assert_non_null(strstr(text, "    idle: 700ms\n"));
    assert_non_null(strstr(text, "    settle: 700ms\n"));
    free(text);
}

static void commented_output_explains_each_key(void **state)
{
    (void)state;
    char *text = print(SMALL, true);
    assert_non_null(strstr(text, "  # When a sender is told \"ok\"."));
    free(text);
}

static void components_are_listed_in_the_collectors_shape(void **state)
{
    struct strbuf out;
    (void)state;

    strbuf_init(&out, 1 << 16);
    components_print(&out);
    assert_non_null(strstr(out.data, "buildinfo:\n  command: spangate\n"));
    assert_non_null(strstr(out.data, "exporters:\n  - name: debug\n"));
    assert_non_null(strstr(out.data, "    deprecated_alias: otlphttp\n"));
    assert_non_null(strstr(out.data, "      traces-to-traces: Beta\n"));
    strbuf_deinit(&out);
}

static void the_registry_is_sorted_and_what_we_have_is_not_called_unsupported(void **state)
{
    (void)state;
    for (size_t i = 0; registry[i] != NULL; i++) {
        const struct component *c = registry[i];
        if (i > 0 && registry[i - 1]->class == c->class) {
            assert_true(strcmp(registry[i - 1]->type, c->type) < 0);
        }
        assert_true(i == 0 || registry[i - 1]->class <= c->class);
        assert_false(registry_is_known(c->class, c->type));
        assert_true(c->alias == NULL || !registry_is_known(c->class, c->alias));
        assert_non_null(c->help);
    }
}

/* Every key has help: it is what people read. */
static void check_help(const struct config_schema *schema)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct config_field *field = &schema->fields[i];
        if (field->type == CONFIG_STRUCT || field->type == CONFIG_STRUCTS) {
            check_help(field->schema);
        } else if (field->help == NULL) {
            fail_msg("%s has no help", field->key);
        }
    }
}

static void every_key_has_help(void **state)
{
    (void)state;
    check_help(&service_schema);
    check_help(&pipeline_schema);
    check_help(&spangate_schema);
    for (size_t i = 0; registry[i] != NULL; i++) {
        check_help(registry[i]->schema);
    }
}

/* The committed page is what the program writes; `remedy` makes it so again. */
static void check_page(const char *path, void (*write)(struct strbuf *out), const char *remedy)
{
    struct strbuf expected;
    struct error err = {0};
    char *text = NULL;
    size_t len = 0;

    strbuf_init(&expected, 1 << 20);
    write(&expected);
    assert_false(expected.overflow);
    if (!fs_read_file(&fs_posix, path, 1 << 20, &text, &len, &err)) {
        fail_msg("%s", err.message);
    }
    bool equal = len == expected.len && memcmp(text, expected.data, len) == 0;
    free(text);
    strbuf_deinit(&expected);
    if (!equal) {
        fail_msg("run: %s", remedy);
    }
}

static void the_documentation_is_what_the_tables_say(void **state)
{
    (void)state;
    check_page(DOCS_DIR "/configuration.md", configuration_write_docs,
               "spangate docs config > docs/configuration.md");
    check_page(DOCS_DIR "/metrics.md", metrics_write_docs,
               "spangate docs metrics > docs/metrics.md");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printing_what_was_printed_changes_nothing),
        cmocka_unit_test(secrets_are_never_printed),
        cmocka_unit_test(what_another_section_decided_is_shown),
        cmocka_unit_test(commented_output_explains_each_key),
        cmocka_unit_test(components_are_listed_in_the_collectors_shape),
        cmocka_unit_test(the_registry_is_sorted_and_what_we_have_is_not_called_unsupported),
        cmocka_unit_test(every_key_has_help),
        cmocka_unit_test(the_documentation_is_what_the_tables_say),
    };
    return cmocka_run_group_tests(tests, quiet, NULL);
}
