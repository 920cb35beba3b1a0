/*
 * slice.h - a view of bytes that somebody else owns.
 *
 * Passed by value. It lives as long as what it points into; data may be NULL only when len is 0.
 */
#ifndef SPANGATE_BASE_SLICE_H
#define SPANGATE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data;
    size_t len;
};

/* The bytes of a C string without its NUL. */
static inline struct slice slice_of(const char *text)
{
    return (struct slice){.data = (const uint8_t *)text, .len = strlen(text)};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_equal_text(struct slice a, const char *text)
{
    return slice_equal(a, slice_of(text));
}

/* The part from `from` on; empty when the slice is shorter. */
static inline struct slice slice_from(struct slice s, size_t from)
{
    return from >= s.len ? (struct slice){0} : (struct slice){s.data + from, s.len - from};
}

/* For printf: "%.*s", SLICE_ARGS(s). Text from outside may hold control characters: log.h escapes.
 * */
#define SLICE_ARGS(s)                                                                              \
    (int)((s).len > 4096 ? 4096 : (s).len),                                                        \
        (const char *)((s).len > 0 ? (s).data : (const uint8_t *)"")

#endif
