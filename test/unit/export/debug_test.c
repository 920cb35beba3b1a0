/*
 * debug_test.c - what the driver debug shows, read back from stderr.
 */

#include "unit.h"

#include <spangate/base/log.h>
#include <spangate/base/text.h>
#include <spangate/export/export.h>
#include <spangate/otlp/pb.h>
#include <unistd.h>

/* One span with an attribute, below a resource with a name. */
static struct slice request(struct strbuf *out, const char *name)
{
    uint8_t id[16] = {1, 2, 3};

    strbuf_init(out, 100000);
    size_t resource_spans = pb_begin(out, 1);
    pb_put_bytes(out, 1, BYTES("\x0a\x16\x0a\x0cservice.name\x12\x06\x0a\x04shop"));
    size_t scope_spans = pb_begin(out, 2);
    size_t span = pb_begin(out, 2);
    pb_put_bytes(out, 1, (struct slice){id, 16});
    pb_put_bytes(out, 2, (struct slice){id, 8});
    pb_put_bytes(out, 5, slice_of(name));
    pb_put_fixed64(out, 7, 1000000);
    pb_put_fixed64(out, 8, 3500000);
    pb_put_bytes(out, 9, BYTES("\x0a\x01k\x12\x02\x18\x2a"));
    pb_put_bytes(out, 15, BYTES("\x18\x02"));
    pb_end(out, span);
    pb_end(out, scope_spans);
    pb_end(out, resource_spans);
    return strbuf_slice(out);
}

/* Deliver with stderr led into a file, and return what was written. */
static char *shown(struct debug_settings *settings, const struct sink_batch *batch,
                   enum sink_encoding encoding)
{
    static char text[4096];
    struct sink *sink = NULL;
    struct sink_outcome outcome;
    struct error err = {0};
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_true(debug_driver.open(&sink, settings, &err));
    assert_int_equal(debug_driver.encoding(sink), encoding);
    (void)fflush(stderr);
    int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    debug_driver.deliver(sink, batch, &outcome);
    (void)fflush(stderr);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    assert_int_equal(outcome.verdict, SINK_DELIVERED);

    debug_driver.interrupt(sink);
    debug_driver.deliver(sink, batch, &outcome);
    assert_int_equal(outcome.verdict, SINK_RETRY);
    debug_driver.close(sink);

    rewind(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    (void)fclose(file);
    return text;
}

static void basic_counts_what_passes(void **state)
{
    (void)state;
    struct debug_settings settings = {.verbosity = DEBUG_BASIC};
    struct strbuf body;
    struct sink_batch batch = {.signal = OTLP_TRACES, .item_count = 1};

    batch.body = request(&body, "GET /");
    char *text = shown(&settings, &batch, SINK_PROTOBUF);
    assert_non_null(strstr(text, "resource_spans=1 spans=1"));
    assert_null(strstr(text, "GET /"));
    strbuf_deinit(&body);

    batch = (struct sink_batch){.signal = OTLP_LOGS, .item_count = 5};
    text = shown(&settings, &batch, SINK_PROTOBUF);
    assert_non_null(strstr(text, "logs"));
    assert_non_null(strstr(text, "items=5"));
}

static void normal_shows_one_line_a_span(void **state)
{
    (void)state;
    struct debug_settings settings = {.verbosity = DEBUG_NORMAL};
    struct strbuf body;
    struct sink_batch batch = {.signal = OTLP_TRACES, .item_count = 1};

    batch.body = request(&body, "GET /\x1b[2J\n");
    char *text = shown(&settings, &batch, SINK_PROTOBUF);
    assert_non_null(strstr(text, "\nresource: service.name=shop\n"));
    assert_non_null(strstr(text, "\nGET /\\x1b[2J\\x0a 01020300000000000000000000000000 "
                                 "0102030000000000 2.5ms status=error k=42\n"));
    strbuf_deinit(&body);
}

static void detailed_shows_the_request_as_json(void **state)
{
    (void)state;
    struct debug_settings settings = {.verbosity = DEBUG_DETAILED};
    struct sink_batch batch = {
        .signal = OTLP_METRICS, .item_count = 1, .body = BYTES("{\"resourceMetrics\":[]}")};

    char *text = shown(&settings, &batch, SINK_JSON);
    assert_non_null(strstr(text, "\n{\"resourceMetrics\":[]}\n"));
}

int main(void)
{
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(basic_counts_what_passes),
        cmocka_unit_test(normal_shows_one_line_a_span),
        cmocka_unit_test(detailed_shows_the_request_as_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
