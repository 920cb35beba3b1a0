/*
 * units.c - durations as Go writes them, sizes as people do.
 */
#include <spangate/base/text.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct unit {
    const char *name;
    double factor;
};

static const struct unit time_units[] = {
    {"ns", 1},   {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"\xce\xbcs", 1e3},
    {"ms", 1e6}, {"s", 1e9},  {"m", 60e9},        {"h", 3600e9},
};

static bool is_number_part(uint8_t c)
{
    return (c >= '0' && c <= '9') || c == '.';
}

/* The number at the front of *text; *text moves past it. false: there is none. */
static bool take_number(struct slice *text, uint64_t *whole, double *fraction)
{
    size_t i = 0;
    size_t digits = 0;
    *whole = 0;
    *fraction = 0;
    for (; i < text->len && text->data[i] >= '0' && text->data[i] <= '9'; i++, digits++) {
        uint64_t digit = text->data[i] - (uint64_t)'0';
        if (*whole > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *whole = *whole * 10 + digit;
    }
    if (i < text->len && text->data[i] == '.') {
        double scale = 0.1;
        for (i++; i < text->len && text->data[i] >= '0' && text->data[i] <= '9'; i++, digits++) {
            *fraction += scale * (text->data[i] - '0');
            scale /= 10;
        }
    }
    *text = slice_from(*text, i);
    return digits > 0;
}

bool duration_parse(struct slice text, int64_t *ns, struct error *err)
{
    struct slice rest = text;
    bool negative = false;
    uint64_t total = 0;

    if (rest.len > 0 && (rest.data[0] == '-' || rest.data[0] == '+')) {
        negative = rest.data[0] == '-';
        rest = slice_from(rest, 1);
    }
    if (slice_equal_text(rest, "0")) {
        *ns = 0;
        return true;
    }
    if (rest.len == 0) {
        return error_set(err, ERR_INVALID, "invalid duration \"%.*s\"", SLICE_ARGS(text));
    }
    while (rest.len > 0) {
        uint64_t whole;
        double fraction;
        if (!take_number(&rest, &whole, &fraction)) {
            return error_set(err, ERR_INVALID, "invalid duration \"%.*s\"", SLICE_ARGS(text));
        }
        size_t len = 0;
        while (len < rest.len && !is_number_part(rest.data[len])) {
            len++;
        }
        if (len == 0) {
            return error_set(err, ERR_INVALID, "missing unit in duration \"%.*s\"",
                             SLICE_ARGS(text));
        }
        struct slice name = {rest.data, len};
        const struct unit *unit = NULL;
        for (size_t i = 0; i < COUNT_OF(time_units); i++) {
            unit = slice_equal_text(name, time_units[i].name) ? &time_units[i] : unit;
        }
        if (unit == NULL) {
            return error_set(err, ERR_INVALID, "unknown unit \"%.*s\" in duration \"%.*s\"",
                             SLICE_ARGS(name), SLICE_ARGS(text));
        }
        uint64_t factor = (uint64_t)unit->factor;
        uint64_t part = 0;
        if (__builtin_mul_overflow(whole, factor, &part) ||
            __builtin_add_overflow(part, (uint64_t)llround(fraction * unit->factor), &part) ||
            __builtin_add_overflow(total, part, &total) || total > INT64_MAX) {
            return error_set(err, ERR_INVALID, "duration \"%.*s\" is out of range",
                             SLICE_ARGS(text));
        }
        rest = slice_from(rest, len);
    }
    *ns = negative ? -(int64_t)total : (int64_t)total;
    return true;
}

void duration_format(int64_t ns, char *out, size_t cap)
{
    uint64_t left = ns < 0 ? (uint64_t)0 - (uint64_t)ns : (uint64_t)ns;
    const char *sign = ns < 0 ? "-" : "";
    uint64_t hours = left / UINT64_C(3600000000000);
    uint64_t minutes = left / UINT64_C(60000000000) % 60;
    uint64_t rest = left % UINT64_C(60000000000);

    if (left == 0) {
        (void)snprintf(out, cap, "0s");
        return;
    }
    char seconds[32] = "";
    if (rest > 0) {
        struct unit unit = {"s", 1e9};
        if (left < 1000) {
            unit = (struct unit){"ns", 1};
        } else if (left < 1000000) {
            unit = (struct unit){"us", 1e3};
        } else if (left < 1000000000) {
            unit = (struct unit){"ms", 1e6};
        }
        (void)snprintf(seconds, sizeof(seconds), "%.9f", (double)rest / unit.factor);
        size_t len = strlen(seconds);
        while (len > 0 && seconds[len - 1] == '0') {
            len--;
        }
        len -= len > 0 && seconds[len - 1] == '.';
        (void)snprintf(seconds + len, sizeof(seconds) - len, "%s", unit.name);
    }
    char h[32] = "";
    char m[32] = "";
    if (hours > 0) {
        (void)snprintf(h, sizeof(h), "%" PRIu64 "h", hours);
    }
    if (minutes > 0) {
        (void)snprintf(m, sizeof(m), "%" PRIu64 "m", minutes);
    }
    (void)snprintf(out, cap, "%s%s%s%s", sign, h, m, seconds);
}

static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"KB", 1e3},
    {"MB", 1e6},
    {"GB", 1e9},
    {"TB", 1e12},
    {"KiB", 1024.0},
    {"MiB", 1024.0 * 1024},
    {"GiB", 1024.0 * 1024 * 1024},
    {"TiB", 1024.0 * 1024 * 1024 * 1024},
    {"Ki", 1024.0},
    {"Mi", 1024.0 * 1024},
    {"Gi", 1024.0 * 1024 * 1024},
    {"Ti", 1024.0 * 1024 * 1024 * 1024},
};

static bool same_unit(struct slice name, const char *unit)
{
    return name.len == strlen(unit) && strncasecmp((const char *)name.data, unit, name.len) == 0;
}

bool size_parse(struct slice text, uint64_t *bytes, struct error *err)
{
    struct slice rest = text;
    uint64_t whole;
    double fraction;
    if (!take_number(&rest, &whole, &fraction)) {
        return error_set(err, ERR_INVALID, "invalid size \"%.*s\"", SLICE_ARGS(text));
    }
    while (rest.len > 0 && rest.data[0] == ' ') {
        rest = slice_from(rest, 1);
    }
    for (size_t i = 0; i < COUNT_OF(size_units); i++) {
        if (rest.len == 0 ? size_units[i].name[0] == '\0' : same_unit(rest, size_units[i].name)) {
            uint64_t factor = (uint64_t)size_units[i].factor;
            uint64_t product = 0;
            if (__builtin_mul_overflow(whole, factor, &product) ||
                __builtin_add_overflow(product, (uint64_t)(fraction * size_units[i].factor),
                                       &product)) {
                return error_set(err, ERR_INVALID, "size \"%.*s\" is out of range",
                                 SLICE_ARGS(text));
            }
            *bytes = product;
            return true;
        }
    }
    return error_set(err, ERR_INVALID, "unknown unit in size \"%.*s\" (KiB, MiB, GiB, KB, MB, GB)",
                     SLICE_ARGS(text));
}

void size_format(uint64_t bytes, char *out, size_t cap)
{
    static const char *const names[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;
    uint64_t value = bytes;
    while (i + 1 < COUNT_OF(names) && value >= 1024 && value % 1024 == 0) {
        value /= 1024;
        i++;
    }
    (void)snprintf(out, cap, "%" PRIu64 "%s", value, names[i]);
}
