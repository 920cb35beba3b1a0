/*
 * strbuf.h - bytes that grow up to a limit: the writer behind JSON, protobuf and text answers.
 *
 * Writing past the limit sets `overflow` and drops the rest, so a sequence of writes is checked
 * once at its end. One owner, no lock.
 */
#ifndef SPANGATE_BASE_STRBUF_H
#define SPANGATE_BASE_STRBUF_H

#include <spangate/base/compiler.h>
#include <spangate/base/slice.h>

struct strbuf {
    char *data; /* NUL-terminated after every call, also when empty after the first write */
    size_t len;
    size_t cap;
    size_t limit;
    bool overflow;
};

/* limit: bytes that the content may reach. Release with strbuf_deinit(). */
void strbuf_init(struct strbuf *sb, size_t limit);
void strbuf_deinit(struct strbuf *sb);
void strbuf_clear(struct strbuf *sb); /* len 0, overflow false, memory kept */

/* Room for `extra` more bytes at data + len. false (and overflow set) when the limit forbids it. */
bool strbuf_reserve(struct strbuf *sb, size_t extra);

void strbuf_append(struct strbuf *sb, const void *bytes, size_t len);
void strbuf_append_slice(struct strbuf *sb, struct slice s);
void strbuf_append_text(struct strbuf *sb, const char *text);
void strbuf_putc(struct strbuf *sb, char c);
void strbuf_printf(struct strbuf *sb, const char *fmt, ...) PRINTF_LIKE(2, 3);

static inline struct slice strbuf_slice(const struct strbuf *sb)
{
    return (struct slice){.data = (const uint8_t *)sb->data, .len = sb->len};
}

/* The text; release with free(). The strbuf is empty afterwards. */
char *strbuf_take(struct strbuf *sb);

#endif
