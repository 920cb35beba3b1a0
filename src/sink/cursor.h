/*
 * cursor.h - where a destination has come to, as a small file.
 *
 * One line of text, so that a person can read it:
 *
 *   spangate-cursor 1 <seq> <trace> <span> <CRC-32C of what stands before it, 8 hex digits>
 *
 * The file is replaced and synced as a whole: after a crash the old or the new one is there.
 */
#ifndef SPANGATE_SRC_SINK_CURSOR_H
#define SPANGATE_SRC_SINK_CURSOR_H

#include <spangate/sink/runner.h>

/* < 0, 0, > 0 as memcmp(). */
int cursor_compare(const struct sink_cursor *a, const struct sink_cursor *b);

bool cursor_write(const struct fs *fs, const char *path, const struct sink_cursor *cursor,
                  struct error *err) MUST_CHECK;

#endif
