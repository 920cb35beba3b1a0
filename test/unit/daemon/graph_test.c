/* graph_test.c - pipelines and connectors: which receivers feed which exporters. */
#include "load.h"

#define HEAD "receivers: {nop: , nop/2: }\nexporters: {debug: , file: {path: f}, trace_store: }\n"

static const struct pipeline_settings *pipeline(const struct settings *s, const char *id)
{
    for (size_t i = 0; i < s->pipeline_count; i++) {
        if (strcmp(s->pipelines[i].id, id) == 0) {
            return &s->pipelines[i];
        }
    }
    return NULL;
}

static void pipelines_name_receivers_and_exporters_by_bit(void **state)
{
    (void)state;
    struct settings *s =
        load(HEAD "service: {pipelines: {traces/a: {receivers: [nop/2], exporters: [file, debug]}, "
                  "logs: {receivers: [nop, nop/2], exporters: [debug]}}}\n",
             NULL);
    assert_int_equal(s->pipeline_count, 2);
    assert_int_equal(s->exporter_count, 2);
    assert_int_equal(pipeline(s, "traces/a")->receivers, 2);
    assert_int_equal(pipeline(s, "traces/a")->exporters, 3);
    assert_int_equal(pipeline(s, "logs")->signal, OTLP_LOGS);
    assert_int_equal(pipeline(s, "logs")->receivers, 3);
    assert_int_equal(pipeline(s, "logs")->exporters, 1);
    settings_free(s);
}

static void what_no_pipeline_uses_does_not_run(void **state)
{
    (void)state;
    struct settings *s = load(
        HEAD "service: {pipelines: {traces: {receivers: [nop/2], exporters: [file]}}}\n", NULL);
    assert_int_equal(s->receiver_count, 1);
    assert_string_equal(s->receivers[0].id, "nop/2");
    assert_int_equal(s->exporter_count, 1);
    assert_string_equal(s->exporters[0].id, "file");
    assert_int_equal(pipeline(s, "traces")->receivers, 1);
    assert_int_equal(pipeline(s, "traces")->exporters, 1);
    settings_free(s);
}

static void forward_hands_receivers_on(void **state)
{
    (void)state;
    struct settings *s =
        load(HEAD "connectors: {forward: , forward/2: }\nprocessors: {batch: {timeout: 7s}}\n"
                  "service: {pipelines: {"
                  "traces/in: {receivers: [nop], processors: [batch], exporters: [forward]}, "
                  "traces/mid: {receivers: [forward, nop/2], exporters: [forward/2, debug]}, "
                  "traces/out: {receivers: [forward/2], exporters: [file]}}}\n",
             NULL);
    assert_null(pipeline(s, "traces/in"));
    assert_int_equal(pipeline(s, "traces/mid")->receivers, 3);
    assert_int_equal(pipeline(s, "traces/out")->receivers, 3);
    for (size_t i = 0; i < s->exporter_count; i++) {
        assert_int_equal(s->exporters[i].linger_ns, UINT64_C(7000000000));
    }
    settings_free(s);
}

static void connectors_need_both_roles_and_one_signal(void **state)
{
    (void)state;
    refused(
        HEAD "connectors:\n  forward:\n  forward/2:\n  forward/3:\n"
             "service: {pipelines: {traces: {receivers: [nop, forward/2], exporters: [debug, "
             "forward, forward/3]}, "
             "logs: {receivers: [forward/3], exporters: [debug]}}}\n",
        "--config yaml:4:3: connectors::forward: must be used as both receiver and exporter but is "
        "not used as receiver\n"
        "--config yaml:5:3: connectors::forward/2: must be used as both receiver and exporter but "
        "is not used as exporter\n"
        "--config yaml:6:3: connectors::forward/3: joins pipelines of the same signal only");
}

static void circles_are_refused(void **state)
{
    (void)state;
    refused(
        HEAD "connectors: {forward/a: , forward/b: }\nservice:\n  pipelines:\n"
             "    traces/1: {receivers: [nop, forward/b], exporters: [forward/a]}\n"
             "    traces/2: {receivers: [forward/a], exporters: [forward/b, debug]}\n",
        "--config yaml:6:5: cycle detected: pipeline \"traces/1\" feeds itself through connectors");
    refused(
        HEAD "connectors: {forward: }\nservice:\n  pipelines:\n"
             "    traces: {receivers: [nop, forward], exporters: [forward]}\n",
        "--config yaml:6:5: cycle detected: pipeline \"traces\" feeds itself through connectors");
}

static void one_name_for_two_things_is_refused(void **state)
{
    (void)state;
    char *report =
        report_of("receivers: {nop: }\nexporters: {forward: , debug: }\nconnectors: {forward: }\n"
                  "service: {pipelines: {traces: {receivers: [nop], exporters: [debug]}}}\n");
    assert_non_null(
        strstr(report,
               "connectors::forward: ambiguous ID: Found both \"forward\" exporter and \"forward\" "
               "connector. Change one of the components' IDs to eliminate ambiguity (e.g. rename "
               "\"forward\" connector to \"forward/connector\")"));
    free(report);
}

static void a_signal_that_a_component_does_not_take_is_refused(void **state)
{
    (void)state;
    refused(
        HEAD "processors: {groupbytrace: }\nservice:\n  pipelines:\n    metrics:\n      receivers: "
             "[nop]\n"
             "      processors: [groupbytrace]\n      exporters: [trace_store]\n",
        "--config yaml:8:7: service::pipelines::metrics: processor \"groupbytrace\" does not take "
        "metrics\n"
        "--config yaml:9:7: service::pipelines::metrics: exporter \"trace_store\" does not take "
        "metrics");
}

static void there_is_a_limit_to_pipelines(void **state)
{
    struct strbuf yaml;
    (void)state;

    strbuf_init(&yaml, 1 << 16);
    strbuf_append_text(&yaml, HEAD "service:\n  pipelines:\n");
    for (int i = 0; i < 33; i++) {
        strbuf_printf(&yaml, "    traces/%d: {receivers: [nop], exporters: [debug]}\n", i);
    }
    refused(yaml.data, "--config yaml:5:5: service::pipelines: more than 32");
    strbuf_deinit(&yaml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipelines_name_receivers_and_exporters_by_bit),
        cmocka_unit_test(what_no_pipeline_uses_does_not_run),
        cmocka_unit_test(forward_hands_receivers_on),
        cmocka_unit_test(connectors_need_both_roles_and_one_signal),
        cmocka_unit_test(circles_are_refused),
        cmocka_unit_test(one_name_for_two_things_is_refused),
        cmocka_unit_test(a_signal_that_a_component_does_not_take_is_refused),
        cmocka_unit_test(there_is_a_limit_to_pipelines),
    };
    return cmocka_run_group_tests(tests, quiet, NULL);
}
