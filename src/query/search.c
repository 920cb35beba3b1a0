/*
 * search.c - the parameters of /api/traces (Jaeger 2.20) and of /api/v1/traces, which differ in how
 * they write times.
 */
#include "query_private.h"

#include <jansson.h>
#include <spangate/base/text.h>
#include <string.h>

#define LOOKBACK_JAEGER_NS (UINT64_C(48) * 3600 * NS_PER_S)
#define LOOKBACK_NS (3600 * NS_PER_S)

/* Absent and empty are the same to Jaeger. */
static const char *param(const struct call *call, const char *name)
{
    const char *value = httpd_query(call->request, name, 0);

    return value != NULL ? value : "";
}

static bool time_param(const struct call *call, enum time_style style, const char *name,
                       uint64_t otherwise, uint64_t *out, struct error *err)
{
    const char *text = param(call, name);
    int64_t micros;

    *out = otherwise;
    if (text[0] == '\0') {
        return true;
    }
    if (style == TIME_NANOSECONDS ? parse_time(text, out, err)
                                  : parse_int(text, 64, &micros, err)) {
        *out = style == TIME_NANOSECONDS ? *out : scaled(micros, NS_PER_US);
        return true;
    }
    return error_wrap(err, "unable to parse param '%s'", name);
}

static bool duration_param(const struct call *call, const char *name, uint64_t *out,
                           struct error *err)
{
    const char *text = param(call, name);
    int64_t ns = 0;

    *out = 0;
    if (text[0] != '\0' && !duration_parse(slice_of(text), &ns, err)) {
        return error_wrap(err, "unable to parse param '%s': time", name);
    }
    *out = ns > 0 ? (uint64_t)ns : 0;
    return true;
}

/* A later value of the same key replaces the earlier one. key is copied. */
static bool put_tag(struct search *search, struct slice key, struct slice value, struct error *err)
{
    struct filter_tag *tag = NULL;

    for (size_t i = 0; i < search->filter.tag_count && tag == NULL; i++) {
        tag = slice_equal(search->tags[i].key, key) ? &search->tags[i] : NULL;
    }
    if (tag == NULL) {
        if (search->filter.tag_count == TAGS_MAX) {
            return error_set(err, ERR_INVALID, "more than %d tags", TAGS_MAX);
        }
        tag = &search->tags[search->filter.tag_count++];
        tag->key = arena_copy(&search->arena, key);
    }
    tag->value = arena_copy(&search->arena, value);
    return true;
}

static const char *json_type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_INTEGER:
    case JSON_REAL:
        return "number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "bool";
    case JSON_STRING:
    case JSON_NULL:
        break;
    }
    return "value";
}

#define TAGS_ERROR "malformed 'tags' parameter, cannot unmarshal JSON: "

static bool put_json_tags(struct search *search, const char *text, struct error *err)
{
    json_error_t why;
    json_t *tags = json_loads(text, JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
    const char *key;
    json_t *value;
    bool ok = true;

    if (tags == NULL) {
        return error_set(err, ERR_INVALID, TAGS_ERROR "%s", why.text);
    }
    if (!json_is_object(tags) && !json_is_null(tags)) {
        ok = error_set(err, ERR_INVALID,
                       TAGS_ERROR
                       "json: cannot unmarshal %s into Go value of type map[string]string",
                       json_is_string(tags) ? "string" : json_type_name(tags));
    }
    json_object_foreach(tags, key, value)
    {
        if (!ok) {
            break;
        }
        if (json_is_string(value)) {
            ok = put_tag(search, slice_of(key),
                         (struct slice){(const uint8_t *)json_string_value(value),
                                        json_string_length(value)},
                         err);
        } else if (!json_is_null(value)) {
            ok = error_set(err, ERR_INVALID,
                           TAGS_ERROR "json: cannot unmarshal %s into Go value of type string",
                           json_type_name(value));
        }
    }
    json_decref(tags);
    return ok;
}

static bool parse_tags(const struct call *call, struct search *search, struct error *err)
{
    const char *text;

    for (size_t i = 0; (text = httpd_query(call->request, "tag", i)) != NULL; i++) {
        const char *colon = strchr(text, ':');
        if (colon == NULL) {
            return error_set(err, ERR_INVALID,
                             "malformed 'tag' parameter, expecting key:value, received: %.100s",
                             text);
        }
        struct slice key = {(const uint8_t *)text, (size_t)(colon - text)};
        if (!put_tag(search, key, slice_of(colon + 1), err)) {
            return false;
        }
    }
    for (size_t i = 0; (text = httpd_query(call->request, "tags", i)) != NULL; i++) {
        if (text[0] != '\0' && !put_json_tags(search, text, err)) {
            return false;
        }
    }
    search->filter.tags = search->tags;
    return true;
}

bool search_parse(const struct call *call, enum time_style style, struct search *search,
                  struct error *err)
{
    struct trace_filter *filter = &search->filter;
    uint64_t now = clock_wall(&clock_system);
    uint64_t lookback = style == TIME_MICROSECONDS ? LOOKBACK_JAEGER_NS : LOOKBACK_NS;
    int64_t limit = LIMIT_DEFAULT;

    *search = (struct search){0};
    arena_init(&search->arena);
    filter->service = slice_of(param(call, "service"));
    filter->operation = slice_of(param(call, "operation"));
    if (!time_param(call, style, "start", now > lookback ? now - lookback : 0,
                    &filter->start_ns_min, err) ||
        !time_param(call, style, "end", now, &filter->start_ns_max, err) ||
        !parse_tags(call, search, err)) {
        return false;
    }
    if (param(call, "limit")[0] != '\0' && !parse_int(param(call, "limit"), 32, &limit, err)) {
        return false;
    }
    if (!duration_param(call, "minDuration", &filter->duration_ns_min, err) ||
        !duration_param(call, "maxDuration", &filter->duration_ns_max, err)) {
        return false;
    }
    if (filter->duration_ns_max > 0 && filter->duration_ns_max < filter->duration_ns_min) {
        return error_set(err, ERR_INVALID, "'maxDuration' should be greater than 'minDuration'");
    }
    if (param(call, "raw")[0] != '\0' && !parse_bool(param(call, "raw"), &search->raw, err)) {
        return error_wrap(err, "unable to parse param 'raw'");
    }
    /* A microsecond is a span of time: its last nanosecond counts. This also keeps an end of 0,
     * which would mean none to the filter, what it says. */
    if (style == TIME_MICROSECONDS && filter->start_ns_max < UINT64_MAX - NS_PER_US) {
        filter->start_ns_max += NS_PER_US - 1;
    }
    if (filter->start_ns_max == 0) {
        filter->start_ns_max = 1;
    }
    filter->limit = limit <= 0 ? LIMIT_DEFAULT : limit > LIMIT_MAX ? LIMIT_MAX : (size_t)limit;
    return true;
}

void search_deinit(struct search *search)
{
    arena_deinit(&search->arena);
}
