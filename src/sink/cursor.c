/* cursor.c - see cursor.h. */
#include "cursor.h"

#include <inttypes.h>
#include <spangate/base/hash.h>
#include <stdio.h>
#include <stdlib.h>

enum { CURSOR_FILE_MAX = 256 };

#define CURSOR_WORDS "spangate-cursor 1 "

int cursor_compare(const struct sink_cursor *a, const struct sink_cursor *b)
{
    if (a->seq != b->seq) {
        return a->seq < b->seq ? -1 : 1;
    }
    if (a->trace != b->trace) {
        return a->trace < b->trace ? -1 : 1;
    }
    return a->span < b->span ? -1 : a->span > b->span;
}

/* The whole file for a cursor; its length. */
static size_t format(const struct sink_cursor *cursor, char *out)
{
    int front = snprintf(out, CURSOR_FILE_MAX, CURSOR_WORDS "%" PRIu64 " %" PRIu32 " %" PRIu32,
                         cursor->seq, cursor->trace, cursor->span);
    size_t at = (size_t)front;
    int rest = snprintf(out + at, CURSOR_FILE_MAX - at, " %08" PRIx32 "\n", crc32c(0, out, at));
    return at + (size_t)rest;
}

bool cursor_write(const struct fs *fs, const char *path, const struct sink_cursor *cursor,
                  struct error *err)
{
    char text[CURSOR_FILE_MAX];
    size_t len = format(cursor, text);

    return fs_replace_file(fs, path, (struct slice){(const uint8_t *)text, len}, err);
}

/* Whether the text is what format() makes of the cursor in it: anything else is damage. */
static bool parse(const char *text, size_t len, struct sink_cursor *out)
{
    char again[CURSOR_FILE_MAX];
    char *at;

    if (strncmp(text, CURSOR_WORDS, strlen(CURSOR_WORDS)) != 0) {
        return false;
    }
    struct sink_cursor cursor = {.seq = strtoull(text + strlen(CURSOR_WORDS), &at, 10)};
    cursor.trace = (uint32_t)strtoul(at, &at, 10);
    cursor.span = (uint32_t)strtoul(at, &at, 10);
    if (format(&cursor, again) != len || memcmp(again, text, len) != 0) {
        return false;
    }
    *out = cursor;
    return true;
}

bool sink_cursor_read(const struct fs *fs, const char *path, struct sink_cursor *out,
                      struct error *err)
{
    char *text;
    size_t len;

    if (!fs_read_file(fs, path, CURSOR_FILE_MAX, &text, &len, err)) {
        if (err->code == ERR_TOO_LARGE) {
            err->code = ERR_CORRUPT;
        }
        return false;
    }
    bool ok = parse(text, len, out);
    free(text);
    return ok || error_set(err, ERR_CORRUPT, "cursor %s is damaged", path);
}
