/*
 * params.c - parameters of the query port, in the spelling and with the error texts of Jaeger.
 */
#include "query_private.h"

#include <ctype.h>
#include <errno.h>
#include <spangate/base/text.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define NUMBER_ERROR "strconv.ParseInt: parsing \"%.64s\": "

bool parse_int(const char *text, unsigned bits, int64_t *out, struct error *err)
{
    const char *digits = text + (*text == '-' || *text == '+');
    int64_t most = bits == 32 ? INT32_MAX : INT64_MAX;
    int64_t least = bits == 32 ? INT32_MIN : INT64_MIN;

    if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0') {
        return error_set(err, ERR_INVALID, NUMBER_ERROR "invalid syntax", text);
    }
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno == ERANGE || value > most || value < least) {
        return error_set(err, ERR_INVALID, NUMBER_ERROR "value out of range", text);
    }
    *out = value;
    return true;
}

bool parse_bool(const char *text, bool *out, struct error *err)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};

    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return error_set(err, ERR_INVALID, "strconv.ParseBool: parsing \"%.64s\": invalid syntax",
                     text);
}

static bool from_base64(const char *text, struct trace_id *out)
{
    struct strbuf bytes;
    bool ok;

    strbuf_init(&bytes, sizeof(out->bytes));
    ok = strlen(text) <= 24 && base64_decode(slice_of(text), &bytes) && !bytes.overflow &&
         (bytes.len == 8 || bytes.len == 16);
    if (ok) {
        memset(out->bytes, 0, sizeof(out->bytes));
        memcpy(out->bytes + sizeof(out->bytes) - bytes.len, bytes.data, bytes.len);
    }
    strbuf_deinit(&bytes);
    return ok;
}

bool parse_trace_id(const char *text, bool base64, struct trace_id *out, struct error *err)
{
    size_t len = strlen(text);
    char padded[TRACE_ID_TEXT];

    if (len > 0 && len <= 32) {
        memset(padded, '0', 32 - len);
        memcpy(padded + 32 - len, text, len + 1);
        if (hex_decode((struct slice){(const uint8_t *)padded, 32}, out->bytes,
                       sizeof(out->bytes))) {
            return true;
        }
    }
    if (base64 && from_base64(text, out)) {
        return true;
    }
    if (len > 32) {
        return error_set(err, ERR_INVALID,
                         "TraceID cannot be longer than 32 hex characters: %.100s", text);
    }
    return error_set(err, ERR_INVALID, "strconv.ParseUint: parsing \"%s\": invalid syntax", text);
}

void trace_id_text(const struct trace_id *id, char out[TRACE_ID_TEXT])
{
    static const uint8_t zero[8] = {0};

    if (memcmp(id->bytes, zero, sizeof(zero)) == 0) {
        hex_encode(id->bytes + 8, 8, out);
    } else {
        hex_encode(id->bytes, 16, out);
    }
}

uint64_t scaled(int64_t value, uint64_t factor)
{
    if (value <= 0) {
        return 0;
    }
    return (uint64_t)value > (UINT64_MAX - 1) / factor ? UINT64_MAX - 1 : (uint64_t)value * factor;
}

/* Exactly `count` digits. */
static bool take_digits(const char **at, int count, int *out)
{
    *out = 0;
    for (int i = 0; i < count; i++) {
        if (!isdigit((unsigned char)**at)) {
            return false;
        }
        *out = *out * 10 + (**at - '0');
        (*at)++;
    }
    return true;
}

static bool take_char(const char **at, const char *any_of)
{
    if (**at == '\0' || strchr(any_of, **at) == NULL) {
        return false;
    }
    (*at)++;
    return true;
}

static bool take_zone(const char **at, int64_t *offset_s)
{
    int hours;
    int minutes;
    bool west = **at == '-';

    *offset_s = 0;
    if (take_char(at, "Zz")) {
        return true;
    }
    if (!take_char(at, "+- ") || !take_digits(at, 2, &hours) || !take_char(at, ":") ||
        !take_digits(at, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *offset_s = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    *offset_s = west ? -*offset_s : *offset_s;
    return true;
}

static bool parse_rfc3339(const char *at, uint64_t *ns)
{
    struct tm tm = {0};
    uint64_t fraction = 0;
    int64_t offset_s;

    if (!take_digits(&at, 4, &tm.tm_year) || !take_char(&at, "-") ||
        !take_digits(&at, 2, &tm.tm_mon) || !take_char(&at, "-") ||
        !take_digits(&at, 2, &tm.tm_mday) || !take_char(&at, "Tt ") ||
        !take_digits(&at, 2, &tm.tm_hour) || !take_char(&at, ":") ||
        !take_digits(&at, 2, &tm.tm_min) || !take_char(&at, ":") ||
        !take_digits(&at, 2, &tm.tm_sec) || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
        tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60) {
        return false;
    }
    if (take_char(&at, ".")) {
        if (!isdigit((unsigned char)*at)) {
            return false;
        }
        for (uint64_t unit = NS_PER_S / 10; isdigit((unsigned char)*at); unit /= 10) {
            fraction += (uint64_t)(*at++ - '0') * unit;
        }
    }
    if (!take_zone(&at, &offset_s) || *at != '\0') {
        return false;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t seconds = (int64_t)timegm(&tm) - offset_s;
    uint64_t whole = scaled(seconds, NS_PER_S);
    *ns = whole > UINT64_MAX - 1 - fraction ? UINT64_MAX - 1 : whole + (seconds < 0 ? 0 : fraction);
    return true;
}

bool parse_time(const char *text, uint64_t *ns, struct error *err)
{
    if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0') {
        errno = 0;
        unsigned long long value = strtoull(text, NULL, 10);
        *ns = errno == ERANGE || value == UINT64_MAX ? UINT64_MAX - 1 : value;
        return true;
    }
    if (!parse_rfc3339(text, ns)) {
        return error_set(err, ERR_INVALID,
                         "\"%.64s\" is no time: nanoseconds since 1970 or RFC 3339 are", text);
    }
    return true;
}
