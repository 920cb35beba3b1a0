/*
 * log_metrics_test.c - what reaches stderr, and what a scrape shows.
 */
#include "unit.h"

#include <fcntl.h>
#include <spangate/base/log.h>
#include <spangate/base/metrics.h>
#include <unistd.h>

/* Run fn with stderr going to a pipe; the text is in out. */
static void capture(void (*fn)(void), char *out, size_t cap)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    int saved = dup(STDERR_FILENO);
    (void)dup2(fds[1], STDERR_FILENO);
    fn();
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    (void)close(fds[1]);
    ssize_t got = read(fds[0], out, cap - 1);
    (void)close(fds[0]);
    out[got > 0 ? got : 0] = '\0';
}

static void write_a_nasty_line(void)
{
    log_warn("sink", "delivery failed", "name=%s error=\"%s\"", "tempo", "a\x1b[31m b\nc");
}

static void control_characters_never_reach_the_terminal(void **state)
{
    (void)state;
    char text[1000];
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture(write_a_nasty_line, text, sizeof(text));
    assert_non_null(
        strstr(text, " warn  sink \"delivery failed\" name=tempo error=\"a?[31m b?c\"\n"));
}

static void a_json_line_holds_the_pairs_as_members(void **state)
{
    (void)state;
    char text[1000];
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    capture(write_a_nasty_line, text, sizeof(text));
    assert_non_null(strstr(text, "\"level\":\"warn\",\"component\":\"sink\",\"msg\":\"delivery "
                                 "failed\",\"name\":\"tempo\",\"error\":\"a?[31m b?c\"}\n"));
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
}

static void write_many_lines(void)
{
    for (int i = 0; i < 50; i++) {
        log_info("test", "again", "i=%d", i);
    }
    log_debug("test", "not at this level", "");
}

static void a_call_site_is_limited_to_ten_lines_a_window(void **state)
{
    (void)state;
    static char text[20000];
    size_t lines = 0;
    capture(write_many_lines, text, sizeof(text));
    for (char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    assert_int_equal(lines, 10);
    assert_null(strstr(text, "not at this level"));
}

static void a_scrape_shows_labels_histograms_and_aliases(void **state)
{
    (void)state;
    struct strbuf out;
    strbuf_init(&out, 1 << 20);
    series_add(metric_series(METRIC_SPANS_ACCEPTED, "otlp", "grpc"), 7);
    series_add(metric_series(METRIC_SPANS_ACCEPTED, "otlp", "grpc"), 1);
    series_add(metric_series(METRIC_SINK_SENT, "a\"b\n", NULL), 3);
    metric_observe(METRIC_WAL_SYNC_SECONDS, 0.0003);
    metric_set(METRIC_TRACES_OPEN, 12);
    metrics_write(&out);
    assert_non_null(
        strstr(out.data,
               "spangate_receiver_accepted_spans_total{receiver=\"otlp\",transport=\"grpc\"} 8\n"));
    assert_non_null(strstr(
        out.data, "otelcol_receiver_accepted_spans{receiver=\"otlp\",transport=\"grpc\"} 8\n"));
    assert_non_null(
        strstr(out.data, "spangate_exporter_sent_spans_total{exporter=\"a\\\"b\\n\"} 3\n"));
    assert_non_null(strstr(out.data, "spangate_wal_sync_seconds_bucket{le=\"0.0005\"} 1\n"));
    assert_non_null(strstr(out.data, "spangate_wal_sync_seconds_bucket{le=\"0.00025\"} 0\n"));
    assert_non_null(strstr(out.data, "spangate_wal_sync_seconds_count 1\n"));
    assert_non_null(strstr(out.data, "spangate_traces_open 12\n"));
    assert_int_equal(metric_value(METRIC_SPANS_ACCEPTED), 8);
    strbuf_deinit(&out);
}

static void too_many_label_values_are_counted_as_other(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_SERIES_MAX * 2; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "exporter-%d", i);
        series_add(metric_series(METRIC_SINK_FAILED, name, NULL), 1);
    }
    assert_int_equal(metric_value(METRIC_SINK_FAILED), METRIC_SERIES_MAX * 2);
    assert_int_equal(series_value(metric_series(METRIC_SINK_FAILED, "other", NULL)),
                     METRIC_SERIES_MAX + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_never_reach_the_terminal),
        cmocka_unit_test(a_json_line_holds_the_pairs_as_members),
        cmocka_unit_test(a_call_site_is_limited_to_ten_lines_a_window),
        cmocka_unit_test(a_scrape_shows_labels_histograms_and_aliases),
        cmocka_unit_test(too_many_label_values_are_counted_as_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
