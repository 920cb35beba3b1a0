/*
 * json_reader.h - the tokens of JSON text (RFC 8259), read in place.
 *
 * No tree, no recursion, no allocation. Every function takes where to read and returns where it
 * stopped, or NULL after filling the reader's error with "byte N: cause". What is hot is inline.
 * Bytes of 0x80 and more inside strings are passed on unchecked: the decoder repairs UTF-8.
 */
#ifndef SPANGATE_SRC_OTLP_JSON_READER_H
#define SPANGATE_SRC_OTLP_JSON_READER_H

#include <spangate/base/error.h>
#include <spangate/base/slice.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct json_reader {
    const uint8_t *begin; /* byte 0 of the messages */
    const uint8_t *end;
    struct error *err;
    size_t depth; /* open objects and arrays */
    size_t depth_max;
    uint8_t *nest; /* depth_max bytes for json_skip() */
};

/*
 * A number without rounding: mantissa * 10^exponent. `inexact`: digits that are not zero did not
 * fit into the mantissa, and only `text` has them all.
 */
struct json_number {
    struct slice text;
    uint64_t mantissa;
    int32_t exponent;
    int32_t written; /* the exponent behind the e, 0 if none */
    bool negative;
    bool inexact;
};

/* Fills the error and returns NULL. */
const uint8_t *json_fail(const struct json_reader *r, const uint8_t *at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* "expected <what>", or "the text ends" when that is the reason. */
const uint8_t *json_expected(const struct json_reader *r, const uint8_t *at, const char *what);

/* `at` stands after the opening quote; returns the closing one. Checks escapes without decoding. */
const uint8_t *json_string_end(const struct json_reader *r, const uint8_t *at, bool *escaped);

/*
 * What the text between the quotes means, into out; returns its length, at most raw.len. raw has
 * passed json_string_end(). A surrogate without its partner becomes U+FFFD.
 */
size_t json_unescape(struct slice raw, uint8_t *out);

/* A number as JSON writes it. */
const uint8_t *json_number(const struct json_reader *r, const uint8_t *at, struct json_number *out);
/* The whole text is such a number. */
bool json_number_of(struct slice text, struct json_number *out) MUST_CHECK;

/* false: it has a fraction, or its magnitude needs more than 64 bits. */
bool json_number_integer(const struct json_number *number, uint64_t *magnitude) MUST_CHECK;
/* Correctly rounded; beyond the range of a double it is infinite. */
double json_number_double(const struct json_number *number);

/* Any value, checked and forgotten. */
const uint8_t *json_skip(struct json_reader *r, const uint8_t *at);

/* One of true, false, null, which must stand here completely. */
const uint8_t *json_word(const struct json_reader *r, const uint8_t *at, const char *word);

/* One object or array more; false after filling the error when that is too many. */
static inline bool json_enter(struct json_reader *r, const uint8_t *at)
{
    if (r->depth == r->depth_max) {
        (void)json_fail(r, at, "objects and arrays are nested more than %zu deep", r->depth_max);
        return false;
    }
    r->depth++;
    return true;
}

static inline const uint8_t *json_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) {
        at++;
    }
    return at;
}

/* The first byte that is a quote, a backslash or a control character; end if there is none. */
static inline const uint8_t *json_plain_end(const uint8_t *at, const uint8_t *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1f);

    while (end - at >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i special = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
            _mm_cmpeq_epi8(_mm_max_epu8(bytes, control), control));
        unsigned mask = (unsigned)_mm_movemask_epi8(special);
        if (mask != 0) {
            return at + __builtin_ctz(mask);
        }
        at += 16;
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && *at >= 0x20) {
        at++;
    }
    return at;
}

/* Decimal digits from `at` on, at most 19 so that the value fits. */
static inline const uint8_t *json_digits(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    const uint8_t *stop = end - at > 19 ? at + 19 : end;
    uint64_t sum = 0;

    while (at < stop && (uint8_t)(*at - '0') < 10) {
        sum = sum * 10 + (uint64_t)(*at - '0');
        at++;
    }
    *value = sum;
    return at;
}

#endif
