/* waterfall_test.c - the demonstration trace, and traces as text. */
#include "unit.h"

#include "demo.h"
#include "waterfall.h"

#include <spangate/otlp/otlp.h>

#define NOW UINT64_C(1700000000000000000)

static char *draw(const char *json, unsigned columns, bool color)
{
    struct waterfall_style style = {.columns = columns, .color = color};
    struct strbuf out;
    struct error err = {0};

    strbuf_init(&out, 1 << 20);
    if (!waterfall_draw(slice_of(json), &style, &out, &err)) {
        fail_msg("%s", err.message);
    }
    return strbuf_take(&out);
}

static char *demo(void)
{
    static const struct trace_id id = {{0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
    struct strbuf body;
    strbuf_init(&body, 1 << 20);
    demo_write(&id, NOW, &body);
    return strbuf_take(&body);
}

static void the_demonstration_is_one_whole_trace_over_four_services(void **state)
{
    (void)state;
    struct strbuf request;
    struct span_batch *batch = NULL;
    struct error err = {0};
    char *json = demo();
    size_t roots = 0;
    size_t failed = 0;
    uint64_t last = 0;

    strbuf_init(&request, 1 << 20);
    assert_true(
        otlp_json_decode(OTLP_TRACES, slice_of(json), &otlp_limits_default, &request, &err));
    assert_true(otlp_decode_traces(buf_copy(strbuf_slice(&request), NULL), 0, &otlp_limits_default,
                                   &batch, &err));
    assert_int_equal(batch->rejected_count, 0);
    assert_int_equal(batch->span_count, 10);
    assert_int_equal(batch->resource_count, 4);
    for (size_t i = 0; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        roots += span_is_root(span);
        failed += span->status == SPAN_STATUS_ERROR;
        last = span->end_ns > last ? span->end_ns : last;
        for (size_t k = 0; k < i; k++) {
            assert_false(span_id_equal(&span->span_id, &batch->spans[k].span_id));
        }
        bool found = span_is_root(span);
        for (size_t k = 0; k < batch->span_count; k++) {
            const struct span *parent = &batch->spans[k];
            if (span_id_equal(&parent->span_id, &span->parent_id)) {
                found = true;
                assert_true(parent->start_ns <= span->start_ns);
                assert_true(parent->end_ns >= span->end_ns);
            }
        }
        assert_true(found);
    }
    assert_int_equal(roots, 1);
    assert_true(failed >= 3);
    assert_int_equal(last, NOW);
    span_batch_unref(batch);
    strbuf_deinit(&request);
    free(json);
}

static void children_stand_under_their_parents(void **state)
{
    (void)state;
    char *json = demo();
    char *text = draw(json, 100, false);

    assert_memory_equal(text, "trace ab0102030405060708090a0b0c0d0e0f  10 spans  412.0ms\n\n", 58);
    const char *root = strstr(text, "\n! frontend POST /checkout");
    const char *checkout = strstr(text, "\n    ! checkout POST /orders");
    const char *db = strstr(text, "\n        db SELECT shop.stock");
    const char *payments = strstr(text, "\n        ! payments payments.Payments/Charge");
    assert_non_null(root);
    assert_non_null(checkout);
    assert_non_null(db);
    assert_non_null(payments);
    assert_true(root < checkout && checkout < db && db < payments);
    assert_null(strchr(text, '\033'));
    free(text);
    free(json);
}

static void failed_spans_are_red_where_color_is_wanted(void **state)
{
    (void)state;
    char *json = demo();
    char *text = draw(json, 100, true);
    assert_non_null(strstr(text, "\033[31m! frontend"));
    free(text);
    free(json);
}

#define SPAN(id, parent, name, start, end)                                                         \
    "{\"traceId\":\"0102030405060708090a0b0c0d0e0f10\",\"spanId\":\"00000000000000" id             \
    "\",\"parentSpanId\":\"" parent "\",\"name\":\"" name "\",\"startTimeUnixNano\":\"" start      \
    "\",\"endTimeUnixNano\":\"" end "\"}"
#define TRACE(spans)                                                                               \
    "{\"traceId\":\"x\",\"state\":\"open\",\"spanCount\":1,\"resourceSpans\":[{\"scopeSpans\":"    \
    "[{\"spans\":[" spans "]}]}]}"

static void what_a_span_says_cannot_command_the_terminal(void **state)
{
    (void)state;
    char *text = draw(TRACE(SPAN("01", "", "a\\u001b[2J\\u009bb\\nc", "1", "2")), 80, false);
    assert_null(strchr(text, '\033'));
    assert_null(strstr(text, "\xc2\x9b"));
    assert_non_null(strstr(text, "? a?[2J?b?c"));
    free(text);
}

static void orphans_and_circles_are_drawn_once(void **state)
{
    (void)state;
    char *text =
        draw(TRACE(SPAN("01", "0000000000000002", "one", "1", "2") "," SPAN(
                 "02", "0000000000000001", "two", "1",
                 "2") "," SPAN("03", "00000000000000ff", "three", "5",
                               "9") "," SPAN("04", "0000000000000004", "own parent", "7", "8")),
             80, false);
    static const char *const names[] = {"one", "two", "three", "own parent"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *first = strstr(text, names[i]);
        assert_non_null(first);
        assert_null(strstr(first + 1, names[i]));
    }
    free(text);
}

static void lines_fit_the_terminal(void **state)
{
    (void)state;
    char *json = demo();
    for (unsigned columns = 0; columns < 200; columns += 37) {
        char *text = draw(json, columns, false);
        unsigned used = 0;
        for (const char *c = text; *c != '\0'; c++) {
            used = *c == '\n' ? 0 : used + (((unsigned char)*c & 0xc0) != 0x80);
            assert_true(used <= (columns < 60 ? 60 : columns));
        }
        free(text);
    }
    free(json);
}

static void an_answer_without_spans_is_refused(void **state)
{
    (void)state;
    struct waterfall_style style = {.columns = 80};
    struct strbuf out;
    struct error err = {0};

    strbuf_init(&out, 1 << 20);
    assert_false(waterfall_draw(slice_of("{\"resourceSpans\":[]}"), &style, &out, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(waterfall_draw(slice_of("no json"), &style, &out, &err));
    assert_int_equal(err.code, ERR_INVALID);
    strbuf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_demonstration_is_one_whole_trace_over_four_services),
        cmocka_unit_test(children_stand_under_their_parents),
        cmocka_unit_test(failed_spans_are_red_where_color_is_wanted),
        cmocka_unit_test(what_a_span_says_cannot_command_the_terminal),
        cmocka_unit_test(orphans_and_circles_are_drawn_once),
        cmocka_unit_test(lines_fit_the_terminal),
        cmocka_unit_test(an_answer_without_spans_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
