/*
 * json_reader.c - the tokens of JSON text that are not hot: errors, escapes, numbers, skipping.
 */
#include "json_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* More digits than this cannot change which double is nearest, only whether one is left. */
    DIGITS_MAX = 780,
    EXPONENT_MAX = 1000000,
};

const uint8_t *json_fail(const struct json_reader *r, const uint8_t *at, const char *fmt, ...)
{
    char cause[ERROR_MESSAGE_MAX / 2];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(cause, sizeof(cause), fmt, args);
    va_end(args);
    error_set(r->err, ERR_INVALID, "byte %zu: %s", (size_t)(at - r->begin), cause);
    return NULL;
}

const uint8_t *json_expected(const struct json_reader *r, const uint8_t *at, const char *what)
{
    if (at >= r->end) {
        return json_fail(r, r->end, "the text ends where %s belongs", what);
    }
    return json_fail(r, at, "expected %s", what);
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of a \u escape, -1 when they are no digits. */
static int32_t hex_quad(const uint8_t *at)
{
    int32_t value = 0;

    for (size_t i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

const uint8_t *json_string_end(const struct json_reader *r, const uint8_t *at, bool *escaped)
{
    const uint8_t *end = r->end;

    *escaped = false;
    for (;;) {
        at = json_plain_end(at, end);
        if (at == end) {
            return json_expected(r, at, "the end of a string");
        }
        if (*at == '"') {
            return at;
        }
        if (*at != '\\') {
            return json_fail(r, at, "control character 0x%02x in a string", *at);
        }
        *escaped = true;
        if (end - at < 2) {
            return json_expected(r, end, "the rest of an escape");
        }
        if (at[1] != 'u') {
            if (at[1] == '\0' || strchr("\"\\/bfnrt", at[1]) == NULL) {
                return json_fail(r, at, "unknown escape in a string");
            }
            at += 2;
        } else {
            if (end - at < 6) {
                return json_expected(r, end, "the rest of an escape");
            }
            if (hex_quad(at + 2) < 0) {
                return json_fail(r, at, "\\u without four hex digits");
            }
            at += 6;
        }
    }
}

static size_t put_utf8(uint8_t *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

/* at stands on the backslash of a \u escape; *len becomes the bytes it takes, partner included. */
static uint32_t unescape_unicode(const uint8_t *at, const uint8_t *end, size_t *len)
{
    uint32_t code = (uint32_t)hex_quad(at + 2);

    *len = 6;
    if (code < 0xd800 || code > 0xdfff) {
        return code;
    }
    if (code < 0xdc00 && end - at >= 12 && at[6] == '\\' && at[7] == 'u') {
        uint32_t low = (uint32_t)hex_quad(at + 8);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *len = 12;
            return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    return 0xfffd;
}

static uint8_t unescape_short(uint8_t c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c; /* quote, backslash, slash */
    }
}

size_t json_unescape(struct slice raw, uint8_t *out)
{
    const uint8_t *at = raw.data;
    const uint8_t *end = raw.data + raw.len;
    uint8_t *to = out;

    while (at < end) {
        const uint8_t *backslash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((backslash != NULL ? backslash : end) - at);
        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (backslash == NULL) {
            break;
        }
        if (at[1] == 'u') {
            size_t len;
            to += put_utf8(to, unescape_unicode(at, end, &len));
            at += len;
        } else {
            *to++ = unescape_short(at[1]);
            at += 2;
        }
    }
    return (size_t)(to - out);
}

static bool is_digit(const uint8_t *at, const uint8_t *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* One more digit of the mantissa. false: there is no room for it. */
static bool take_digit(struct json_number *n, uint8_t digit)
{
    uint64_t grown;

    if (__builtin_mul_overflow(n->mantissa, 10, &grown) ||
        __builtin_add_overflow(grown, digit, &grown)) {
        return false;
    }
    n->mantissa = grown;
    return true;
}

/*
 * Digits before or behind the point; `taken` and `dropped` are what one of either does to the
 * exponent. *full: a digit was dropped, after which none may be taken.
 */
static const uint8_t *scan_digits(const uint8_t *at, const uint8_t *end, struct json_number *n,
                                  int32_t taken, int32_t dropped, bool *full)
{
    for (; is_digit(at, end); at++) {
        uint8_t digit = (uint8_t)(*at - '0');
        bool kept = !*full && take_digit(n, digit);
        if (!kept) {
            *full = true;
            n->inexact = n->inexact || digit != 0;
        }
        if (n->exponent > -EXPONENT_MAX && n->exponent < EXPONENT_MAX) {
            n->exponent += kept ? taken : dropped;
        }
    }
    return at;
}

/* From behind the e. NULL: there are no digits. */
static const uint8_t *scan_exponent(const uint8_t *at, const uint8_t *end, struct json_number *n)
{
    bool minus = at < end && *at == '-';
    int32_t exponent = 0;

    at += at < end && (*at == '+' || *at == '-') ? 1 : 0;
    if (!is_digit(at, end)) {
        return NULL;
    }
    for (; is_digit(at, end); at++) {
        if (exponent < EXPONENT_MAX) {
            exponent = exponent * 10 + (*at - '0');
        }
    }
    n->written = minus ? -exponent : exponent;
    n->exponent += n->written;
    return at;
}

static const uint8_t *scan_number(const uint8_t *at, const uint8_t *end, struct json_number *n)
{
    const uint8_t *begin = at;
    bool full = false;

    *n = (struct json_number){0};
    if (at < end && *at == '-') {
        n->negative = true;
        at++;
    }
    if (!is_digit(at, end) || (*at == '0' && is_digit(at + 1, end))) {
        return NULL; /* 012 is no number */
    }
    at = scan_digits(at, end, n, 0, 1, &full);
    if (at < end && *at == '.') {
        at++;
        if (!is_digit(at, end)) {
            return NULL;
        }
        at = scan_digits(at, end, n, -1, 0, &full);
    }
    if (at < end && (*at | 0x20) == 'e') {
        at = scan_exponent(at + 1, end, n);
        if (at == NULL) {
            return NULL;
        }
    }
    n->text = (struct slice){.data = begin, .len = (size_t)(at - begin)};
    return at;
}

const uint8_t *json_number(const struct json_reader *r, const uint8_t *at, struct json_number *out)
{
    const uint8_t *after = scan_number(at, r->end, out);

    return after != NULL ? after : json_expected(r, at, "a number");
}

bool json_number_of(struct slice text, struct json_number *out)
{
    return scan_number(text.data, text.data + text.len, out) == text.data + text.len;
}

bool json_number_integer(const struct json_number *number, uint64_t *magnitude)
{
    uint64_t value = number->mantissa;
    int32_t exponent = number->exponent;

    if (number->inexact) {
        return false; /* too large, or a fraction that is not zero */
    }
    if (value == 0) {
        *magnitude = 0;
        return true;
    }
    for (; exponent < 0; exponent++) {
        if (value % 10 != 0) {
            return false;
        }
        value /= 10;
    }
    for (; exponent > 0; exponent--) {
        if (__builtin_mul_overflow(value, 10, &value)) {
            return false;
        }
    }
    *magnitude = value;
    return true;
}

/*
 * strtod() on the digits as one integer with an exponent: without a decimal point there is nothing
 * that depends on the locale. A digit 1 at the end stands for those that were cut off.
 */
static double long_double(const struct json_number *number)
{
    char text[DIGITS_MAX + 32];
    size_t count = 0;
    int32_t exponent = number->written;
    bool fraction = false;
    bool rest = false;
    const uint8_t *end = number->text.data + number->text.len;

    for (const uint8_t *at = number->text.data; at < end && (*at | 0x20) != 'e'; at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        if (*at == '-' || (*at == '0' && count == 0 && !fraction)) {
            continue; /* zeros in front */
        }
        bool keep = count < DIGITS_MAX && (count > 0 || *at != '0');
        if (keep) {
            text[count++] = (char)*at;
        } else if (count > 0) {
            rest = rest || *at != '0';
        }
        if (fraction) {
            exponent -= keep || count == 0 ? 1 : 0;
        } else {
            exponent += keep ? 0 : 1;
        }
    }
    if (rest) {
        text[count++] = '1';
        exponent--;
    }
    (void)snprintf(text + count, sizeof(text) - count, "e%d", exponent);
    return strtod(text, NULL);
}

double json_number_double(const struct json_number *number)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double value;

    if (number->mantissa == 0 && !number->inexact) {
        value = 0;
    } else if (!number->inexact && number->mantissa <= UINT64_C(1) << 53 &&
               number->exponent >= -22 && number->exponent <= 22) {
        /* Both are exact doubles, so one operation rounds once. */
        value = (double)number->mantissa;
        if (number->exponent < 0) {
            value /= power[-number->exponent];
        } else {
            value *= power[number->exponent];
        }
    } else {
        value = long_double(number);
    }
    return number->negative ? -value : value;
}

const uint8_t *json_word(const struct json_reader *r, const uint8_t *at, const char *word)
{
    size_t len = strlen(word);
    size_t left = (size_t)(r->end - at);

    if (left < len && memcmp(at, word, left) == 0) {
        return json_fail(r, r->end, "the text ends inside %s", word);
    }
    if (left < len || memcmp(at, word, len) != 0) {
        return json_expected(r, at, "a value");
    }
    return at + len;
}

/* A value that holds no other. */
static const uint8_t *skip_scalar(const struct json_reader *r, const uint8_t *at)
{
    struct json_number number;
    bool escaped;

    switch (*at) {
    case '"':
        at = json_string_end(r, at + 1, &escaped);
        return at != NULL ? at + 1 : NULL;
    case 't':
        return json_word(r, at, "true");
    case 'f':
        return json_word(r, at, "false");
    case 'n':
        return json_word(r, at, "null");
    default:
        if (*at != '-' && !is_digit(at, r->end)) {
            return json_expected(r, at, "a value");
        }
        return json_number(r, at, &number);
    }
}

/* `"name" :`, up to where the value begins. */
static const uint8_t *skip_name(const struct json_reader *r, const uint8_t *at)
{
    bool escaped;

    if (at == r->end || *at != '"') {
        return json_expected(r, at, "a name in quotes");
    }
    at = json_string_end(r, at + 1, &escaped);
    if (at == NULL) {
        return NULL;
    }
    at = json_space(at + 1, r->end);
    if (at == r->end || *at != ':') {
        return json_expected(r, at, "a colon");
    }
    return at + 1;
}

/*
 * The beginning of the object or array at `at`, up to where its first value begins. An empty one is
 * read to behind its end, and *closed is then true.
 */
static const uint8_t *skip_opening(struct json_reader *r, const uint8_t *at, bool *closed)
{
    uint8_t close = *at == '{' ? '}' : ']';

    if (!json_enter(r, at)) {
        return NULL;
    }
    r->nest[r->depth - 1] = close;
    at = json_space(at + 1, r->end);
    *closed = at < r->end && *at == close;
    if (*closed) {
        r->depth--;
        return at + 1;
    }
    return close == '}' ? skip_name(r, at) : at;
}

/* Behind a value: closes what ends with it, and stops where the next one begins, if any. */
static const uint8_t *skip_to_next(struct json_reader *r, const uint8_t *at, size_t base)
{
    while (r->depth > base) {
        bool in_object = r->nest[r->depth - 1] == '}';
        at = json_space(at, r->end);
        if (at < r->end && *at == ',') {
            at = json_space(at + 1, r->end);
            return in_object ? skip_name(r, at) : at;
        }
        if (at == r->end || *at != r->nest[r->depth - 1]) {
            return json_expected(r, at, in_object ? "',' or '}'" : "',' or ']'");
        }
        at++;
        r->depth--;
    }
    return at;
}

const uint8_t *json_skip(struct json_reader *r, const uint8_t *at)
{
    size_t base = r->depth;

    do {
        bool complete = true;
        at = json_space(at, r->end);
        if (at == r->end) {
            return json_expected(r, at, "a value");
        }
        at = *at == '{' || *at == '[' ? skip_opening(r, at, &complete) : skip_scalar(r, at);
        if (at != NULL && complete) {
            at = skip_to_next(r, at, base);
        }
    } while (at != NULL && r->depth > base);
    return at;
}
