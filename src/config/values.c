/* values.c - numbers, durations, sizes and names as people write them. */
#include "values.h"

#include <spangate/base/text.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static bool parse_bool(const char *text, bool *out)
{
    if (strcasecmp(text, "true") == 0) {
        *out = true;
        return true;
    }
    *out = false;
    return strcasecmp(text, "false") == 0;
}

static bool parse_uint(const char *text, uint64_t *out)
{
    char *end;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool parse_int(const char *text, int64_t *out)
{
    uint64_t magnitude;
    bool negative = text[0] == '-';

    if (!parse_uint(text + negative, &magnitude) || magnitude > INT64_MAX) {
        return false;
    }
    *out = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

static bool parse_double(const char *text, double *out)
{
    char *end;

    if (text[0] == '\0' || strspn(text, "0123456789+-.eE") != strlen(text)) {
        return false;
    }
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

static bool parse_duration(const char *text, uint64_t *out)
{
    struct error ignored;
    int64_t ns;

    if (!duration_parse(slice_of(text), &ns, &ignored) || ns < 0) {
        return false;
    }
    *out = (uint64_t)ns;
    return true;
}

static bool parse_bytes(const char *text, uint64_t *out)
{
    struct error ignored;
    return size_parse(slice_of(text), out, &ignored);
}

static bool parse_amount(const char *text, struct config_amount *out)
{
    size_t len = strlen(text);
    char number[32];

    *out = (struct config_amount){0};
    if (len == 0 || text[len - 1] != '%') {
        return parse_bytes(text, &out->bytes) && out->bytes > 0;
    }
    if (len > sizeof(number)) {
        return false;
    }
    memcpy(number, text, len - 1);
    number[len - 1] = '\0';
    return parse_double(number, &out->percent) && out->percent > 0 && out->percent <= 100;
}

static bool parse_choice(const struct config_name *names, const char *text, int *out)
{
    for (const struct config_name *n = names; n->name != NULL; n++) {
        if (strcmp(n->name, text) == 0) {
            *out = n->value;
            return true;
        }
    }
    return false;
}

static bool parse(const struct config_field *field, const char *text, union config_value *out)
{
    switch (field->type) {
    case CONFIG_BOOL:
        return parse_bool(text, &out->yes);
    case CONFIG_UINT:
        return parse_uint(text, &out->uint);
    case CONFIG_INT:
        return parse_int(text, &out->sint);
    case CONFIG_DOUBLE:
        return parse_double(text, &out->real);
    case CONFIG_DURATION:
        return parse_duration(text, &out->uint);
    case CONFIG_BYTES:
        return parse_bytes(text, &out->uint);
    case CONFIG_BYTES_OR_PERCENT:
        return parse_amount(text, &out->amount);
    case CONFIG_ENUM:
        return parse_choice(field->names, text, &out->choice);
    default:
        return false;
    }
}

/* -1, 0, 1; 0 for types without an order. */
static int compare(enum config_type type, const union config_value *a, const union config_value *b)
{
    switch (type) {
    case CONFIG_UINT:
    case CONFIG_DURATION:
    case CONFIG_BYTES:
        return (a->uint > b->uint) - (a->uint < b->uint);
    case CONFIG_INT:
        return (a->sint > b->sint) - (a->sint < b->sint);
    case CONFIG_DOUBLE:
        return (a->real > b->real) - (a->real < b->real);
    case CONFIG_BYTES_OR_PERCENT: /* bounds are sizes; a percentage is checked when resolved */
        return a->amount.bytes == 0
                   ? 0
                   : (a->amount.bytes > b->amount.bytes) - (a->amount.bytes < b->amount.bytes);
    default:
        return 0;
    }
}

bool value_parse(const struct config_field *field, const char *text, union config_value *out,
                 char *why, size_t cap)
{
    union config_value bound;

    if (!parse(field, text, out)) {
        char what[160];
        value_describe(field, what, sizeof(what));
        (void)snprintf(why, cap, "expected %s", what);
        return false;
    }
    if (field->min != NULL) {
        bool ok = parse(field, field->min, &bound);
        assert(ok);
        if (compare(field->type, out, &bound) < 0) {
            (void)snprintf(why, cap, "must be at least %s", field->min);
            return false;
        }
    }
    if (field->max != NULL) {
        bool ok = parse(field, field->max, &bound);
        assert(ok);
        if (compare(field->type, out, &bound) > 0) {
            (void)snprintf(why, cap, "must be at most %s", field->max);
            return false;
        }
    }
    return true;
}

size_t value_size(enum config_type type)
{
    switch (type) {
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_ENUM:
        return sizeof(int);
    case CONFIG_BYTES_OR_PERCENT:
        return sizeof(struct config_amount);
    case CONFIG_DOUBLE:
        return sizeof(double);
    default:
        return sizeof(uint64_t);
    }
}

/* Exactly, unlike what is made for a person's eye: it is read back. */
static void format_bytes(uint64_t bytes, char *out, size_t cap)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;

    while (bytes > 0 && bytes % 1024 == 0 && unit + 1 < COUNT_OF(units)) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(out, cap, "%" PRIu64 "%s", bytes, units[unit]);
}

void value_format(const struct config_field *field, const union config_value *value, char *out,
                  size_t cap)
{
    out[0] = '\0';
    switch (field->type) {
    case CONFIG_BOOL:
        (void)snprintf(out, cap, "%s", value->yes ? "true" : "false");
        break;
    case CONFIG_UINT:
        (void)snprintf(out, cap, "%" PRIu64, value->uint);
        break;
    case CONFIG_INT:
        (void)snprintf(out, cap, "%" PRId64, value->sint);
        break;
    case CONFIG_DOUBLE:
        (void)snprintf(out, cap, "%.17g", value->real);
        for (int digits = 1; digits < 17; digits++) {
            char shorter[40];
            (void)snprintf(shorter, sizeof(shorter), "%.*g", digits, value->real);
            if (strtod(shorter, NULL) == value->real) {
                (void)snprintf(out, cap, "%s", shorter);
                break;
            }
        }
        break;
    case CONFIG_DURATION:
        duration_format((int64_t)value->uint, out, cap);
        break;
    case CONFIG_BYTES:
        format_bytes(value->uint, out, cap);
        break;
    case CONFIG_BYTES_OR_PERCENT:
        if (value->amount.percent > 0) {
            (void)snprintf(out, cap, "%.15g%%", value->amount.percent);
        } else {
            format_bytes(value->amount.bytes, out, cap);
        }
        break;
    case CONFIG_ENUM:
        for (const struct config_name *n = field->names; n->name != NULL; n++) {
            if (n->value == value->choice) {
                (void)snprintf(out, cap, "%s", n->name);
                break;
            }
        }
        break;
    default:
        break;
    }
}

static void describe_names(const struct config_name *names, char *out, size_t cap)
{
    size_t len = (size_t)snprintf(out, cap, "one of");
    for (const struct config_name *n = names; n->name != NULL && len < cap; n++) {
        int wrote = snprintf(out + len, cap - len, "%s%s", n == names ? " " : ", ",
                             n->name[0] == '\0' ? "\"\"" : n->name);
        len += wrote > 0 ? (size_t)wrote : 0;
    }
}

void value_describe(const struct config_field *field, char *out, size_t cap)
{
    static const char *const texts[] = {
        [CONFIG_STRING] = "a text",
        [CONFIG_URL] = "a URL",
        [CONFIG_SECRET] = "a text (secret)",
        [CONFIG_BOOL] = "true or false",
        [CONFIG_UINT] = "a whole number",
        [CONFIG_INT] = "a whole number, negative allowed",
        [CONFIG_DOUBLE] = "a number",
        [CONFIG_DURATION] = "a duration with its unit, like 300ms or 1h30m",
        [CONFIG_BYTES] = "a size, like 64MiB or 1048576",
        [CONFIG_BYTES_OR_PERCENT] = "a size, like 64MiB, or a percentage of the memory, like 25%",
        [CONFIG_STRINGS] = "a list of texts",
        [CONFIG_SECRETS] = "a list of texts (secret)",
        [CONFIG_HEADERS] = "a map of names and values, or a list of {name, value}",
        [CONFIG_STRUCT] = "a map",
        [CONFIG_STRUCTS] = "a list of maps",
        [CONFIG_SECTIONS] = "a map by name",
        [CONFIG_NO_EFFECT] = "anything",
        [CONFIG_UNSUPPORTED] = "not supported",
    };

    if (field->type == CONFIG_ENUM) {
        describe_names(field->names, out, cap);
        return;
    }
    (void)snprintf(out, cap, "%s", texts[field->type]);
}
