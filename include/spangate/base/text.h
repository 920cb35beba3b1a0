/*
 * text.h - hex, base64, UTF-8, JSON string escapes, durations and sizes as people write them.
 */
#ifndef SPANGATE_BASE_TEXT_H
#define SPANGATE_BASE_TEXT_H

#include <spangate/base/error.h>
#include <spangate/base/slice.h>
#include <spangate/base/strbuf.h>

/* 2 * len lower-case digits and a NUL into out. */
void hex_encode(const void *data, size_t len, char *out);
/* Exactly 2 * len digits of either case into out; false on anything else. */
bool hex_decode(struct slice text, void *out, size_t len) MUST_CHECK;

void base64_encode(struct slice bytes, struct strbuf *out); /* standard alphabet, padded */
/* Standard or URL-safe alphabet, padded or not. false on any other character or length. */
bool base64_decode(struct slice text, struct strbuf *out) MUST_CHECK;

/* RFC 3629: no surrogates, nothing over U+10FFFF, no overlong forms. NUL is valid. */
bool utf8_is_valid(struct slice text);
/* Each byte that is in no valid sequence becomes U+FFFD. */
void utf8_sanitize(struct slice text, struct strbuf *out);

/* A JSON string with its quotes. Invalid UTF-8 becomes U+FFFD; '<', U+2028 and U+2029 are escaped.
 * */
void json_put_string(struct strbuf *out, struct slice text);

/*
 * Go's time.ParseDuration: "300ms", "1h15m30.918s", "0". Units ns us µs ms s m h; a sign is
 * allowed. Fails with ERR_INVALID and Go's wording (missing unit, unknown unit, out of range).
 */
bool duration_parse(struct slice text, int64_t *ns, struct error *err) MUST_CHECK;
/* The shortest such text, e.g. "1m30s", "200ms", "0s". out holds at least 40 bytes. */
void duration_format(int64_t ns, char *out, size_t cap);

/* "64MiB", "10GB", "1024", "1.5GiB" (binary and decimal prefixes, optional B). */
bool size_parse(struct slice text, uint64_t *bytes, struct error *err) MUST_CHECK;
void size_format(uint64_t bytes, char *out, size_t cap);

/* Edit distance of two short names (at most 64 characters): for "did you mean". */
size_t text_distance(const char *a, const char *b);

#endif
