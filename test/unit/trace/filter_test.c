/*
 * filter_test.c - which spans a search asks for.
 */
#include "unit.h"

#include <spangate/base/strbuf.h>
#include <spangate/otlp/pb.h>
#include <spangate/trace/filter.h>

static void put_attribute(struct strbuf *out, uint32_t field, const char *key, const char *value)
{
    size_t attribute = pb_begin(out, field);
    pb_put_bytes(out, 1, slice_of(key));
    size_t any = pb_begin(out, 2);
    pb_put_bytes(out, 1, slice_of(value));
    pb_end(out, any);
    pb_end(out, attribute);
}

static void put_number(struct strbuf *out, uint32_t field, const char *key, uint32_t number,
                       uint64_t value)
{
    size_t attribute = pb_begin(out, field);
    pb_put_bytes(out, 1, slice_of(key));
    size_t any = pb_begin(out, 2);
    pb_put_tag(out, number, PB_VARINT);
    pb_put_varint(out, value);
    pb_end(out, any);
    pb_end(out, attribute);
}

struct sample {
    struct strbuf raw, resource, scope;
};

static struct sample *sample_new(void)
{
    struct sample *s = calloc(1, sizeof(*s));
    strbuf_init(&s->raw, 10000);
    strbuf_init(&s->resource, 10000);
    strbuf_init(&s->scope, 10000);

    pb_put_bytes(&s->raw, 3, slice_of("vendor=1"));
    pb_put_bytes(&s->raw, 5, slice_of("GET /"));
    put_attribute(&s->raw, 9, "http.method", "GET");
    put_number(&s->raw, 9, "http.status_code", 3, 500);
    put_number(&s->raw, 9, "cached", 2, 1);
    put_attribute(&s->raw, 9, "twice", "first");
    put_attribute(&s->raw, 9, "twice", "second");
    size_t event = pb_begin(&s->raw, 11);
    pb_put_bytes(&s->raw, 2, slice_of("exception"));
    put_attribute(&s->raw, 3, "exception.type", "IOError");
    pb_end(&s->raw, event);
    size_t status = pb_begin(&s->raw, 15);
    pb_put_bytes(&s->raw, 2, slice_of("broken pipe"));
    pb_put_uint(&s->raw, 3, 2);
    pb_end(&s->raw, status);

    size_t resource = pb_begin(&s->resource, 1);
    put_attribute(&s->resource, 1, "service.name", "shop");
    pb_end(&s->resource, resource);

    size_t scope = pb_begin(&s->scope, 1);
    pb_put_bytes(&s->scope, 1, slice_of("lib"));
    pb_put_bytes(&s->scope, 2, slice_of("1.2"));
    put_attribute(&s->scope, 3, "lib.mode", "fast");
    pb_end(&s->scope, scope);
    return s;
}

static void sample_free(struct sample *s)
{
    strbuf_deinit(&s->raw);
    strbuf_deinit(&s->resource);
    strbuf_deinit(&s->scope);
    free(s);
}

static bool matches(const struct sample *s, const struct filter_tag *tags, size_t count)
{
    struct trace_filter filter = {.tags = tags, .tag_count = count};
    return filter_tags(&filter, strbuf_slice(&s->raw), SPAN_KIND_SERVER, SPAN_STATUS_ERROR,
                       strbuf_slice(&s->resource), strbuf_slice(&s->scope));
}

static bool has(const struct sample *s, const char *key, const char *value)
{
    struct filter_tag tag = {slice_of(key), slice_of(value)};
    return matches(s, &tag, 1);
}

static void a_tag_is_found_wherever_it_stands(void **state)
{
    (void)state;
    struct sample *s = sample_new();
    assert_true(has(s, "http.method", "GET"));
    assert_true(has(s, "http.status_code", "500"));
    assert_true(has(s, "cached", "true"));
    assert_true(has(s, "twice", "first"));
    assert_true(has(s, "twice", "second"));
    assert_true(has(s, "service.name", "shop"));
    assert_true(has(s, "lib.mode", "fast"));
    assert_true(has(s, "exception.type", "IOError"));
    assert_true(has(s, "event", "exception"));
    sample_free(s);
}

static void derived_tags_are_found(void **state)
{
    (void)state;
    struct sample *s = sample_new();
    assert_true(has(s, "span.kind", "server"));
    assert_true(has(s, "error", "true"));
    assert_true(has(s, "otel.status_code", "ERROR"));
    assert_true(has(s, "otel.status_description", "broken pipe"));
    assert_true(has(s, "otel.scope.name", "lib"));
    assert_true(has(s, "otel.scope.version", "1.2"));
    assert_true(has(s, "w3c.tracestate", "vendor=1"));
    sample_free(s);
}

static void what_is_not_there_or_different_is_not_found(void **state)
{
    (void)state;
    struct sample *s = sample_new();
    static const char *const wrong[][2] = {
        {"http.method", "get"},
        {"http.method", ""},
        {"http.status_code", "50"},
        {"HTTP.method", "GET"},
        {"span.kind", "client"},
        {"span.kind", ""},
        {"error", "false"},
        {"otel.status_code", "OK"},
        {"otel.scope.name", "li"},
        {"w3c.tracestate", "v"},
        {"event", "other"},
        {"", ""},
        {"service.name", "shop\001"},
        {"absent", ""},
        {"otel.status_description", ""},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(has(s, wrong[i][0], wrong[i][1]));
    }
    sample_free(s);
}

static void all_tags_must_hold(void **state)
{
    (void)state;
    struct sample *s = sample_new();
    struct filter_tag tags[] = {{slice_of("http.method"), slice_of("GET")},
                                {slice_of("service.name"), slice_of("shop")},
                                {slice_of("cached"), slice_of("false")}};
    assert_true(matches(s, tags, 0));
    assert_true(matches(s, tags, 2));
    assert_false(matches(s, tags, 3));
    sample_free(s);
}

static void a_span_without_anything_matches_no_tag(void **state)
{
    (void)state;
    struct filter_tag tags[] = {{slice_of("span.kind"), slice_of("internal")},
                                {slice_of("error"), slice_of("true")},
                                {slice_of("otel.scope.name"), slice_of("")}};
    for (size_t i = 0; i < 3; i++) {
        struct trace_filter filter = {.tags = &tags[i], .tag_count = 1};
        assert_false(filter_tags(&filter, (struct slice){0}, SPAN_KIND_UNSPECIFIED,
                                 SPAN_STATUS_UNSET, (struct slice){0}, (struct slice){0}));
    }
}

static bool fixed(const struct trace_filter *filter, uint64_t start_ns, uint64_t duration_ns)
{
    return filter_fixed(filter, slice_of("shop"), slice_of("GET /"), start_ns, duration_ns);
}

static void fixed_fields_are_compared_with_inclusive_bounds(void **state)
{
    (void)state;
    struct trace_filter filter = {0};
    assert_true(fixed(&filter, 0, 0));
    filter = (struct trace_filter){.service = slice_of("shop"), .operation = slice_of("GET /")};
    assert_true(fixed(&filter, 5, 5));
    filter.operation = slice_of("GET");
    assert_false(fixed(&filter, 5, 5));
    filter = (struct trace_filter){.service = slice_of("bank")};
    assert_false(fixed(&filter, 5, 5));
    filter = (struct trace_filter){
        .start_ns_min = 10, .start_ns_max = 20, .duration_ns_min = 3, .duration_ns_max = 4};
    assert_true(fixed(&filter, 10, 3));
    assert_true(fixed(&filter, 20, 4));
    assert_false(fixed(&filter, 9, 3));
    assert_false(fixed(&filter, 21, 3));
    assert_false(fixed(&filter, 15, 2));
    assert_false(fixed(&filter, 15, 5));
    filter = (struct trace_filter){.start_ns_min = 10, .duration_ns_min = 3};
    assert_true(fixed(&filter, UINT64_MAX, UINT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_is_found_wherever_it_stands),
        cmocka_unit_test(derived_tags_are_found),
        cmocka_unit_test(what_is_not_there_or_different_is_not_found),
        cmocka_unit_test(all_tags_must_hold),
        cmocka_unit_test(a_span_without_anything_matches_no_tag),
        cmocka_unit_test(fixed_fields_are_compared_with_inclusive_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
