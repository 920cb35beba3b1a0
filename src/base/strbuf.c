/*
 * strbuf.c - bytes that grow up to a limit.
 */
#include <spangate/base/strbuf.h>

#include <spangate/base/mem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAP = 256 };

void strbuf_init(struct strbuf *sb, size_t limit)
{
    *sb = (struct strbuf){.limit = limit};
}

void strbuf_deinit(struct strbuf *sb)
{
    free(sb->data);
    *sb = (struct strbuf){.limit = sb->limit};
}

void strbuf_clear(struct strbuf *sb)
{
    sb->len = 0;
    sb->overflow = false;
    if (sb->data != NULL) {
        sb->data[0] = '\0';
    }
}

bool strbuf_reserve(struct strbuf *sb, size_t extra)
{
    if (sb->overflow || sb->len > sb->limit || extra > sb->limit - sb->len) {
        sb->overflow = true;
        return false;
    }
    size_t need = sb->len + extra + 1;
    if (need > sb->cap) {
        size_t cap = sb->cap < FIRST_CAP ? FIRST_CAP : sb->cap;
        while (cap < need) {
            cap += cap; /* need is at most limit + 1, far from wrapping */
        }
        sb->data = mem_realloc(sb->data, cap);
        sb->cap = cap;
    }
    return true;
}

void strbuf_append(struct strbuf *sb, const void *bytes, size_t len)
{
    if (len == 0 || !strbuf_reserve(sb, len)) {
        return;
    }
    memcpy(sb->data + sb->len, bytes, len);
    sb->len += len;
    sb->data[sb->len] = '\0';
}

void strbuf_append_slice(struct strbuf *sb, struct slice s)
{
    strbuf_append(sb, s.data, s.len);
}

void strbuf_append_text(struct strbuf *sb, const char *text)
{
    strbuf_append(sb, text, strlen(text));
}

void strbuf_putc(struct strbuf *sb, char c)
{
    strbuf_append(sb, &c, 1);
}

void strbuf_printf(struct strbuf *sb, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len <= 0 || !strbuf_reserve(sb, (size_t)len)) {
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(sb->data + sb->len, (size_t)len + 1, fmt, args);
    va_end(args);
    sb->len += (size_t)len;
}

char *strbuf_take(struct strbuf *sb)
{
    char *text = sb->data != NULL ? sb->data : mem_strdup("");
    *sb = (struct strbuf){.limit = sb->limit};
    return text;
}
