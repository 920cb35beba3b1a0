/*
 * mem.c - heap allocation that aborts instead of failing.
 */
#include <spangate/base/mem.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_abort(void *memory, size_t size)
{
    if (memory == NULL && size > 0) {
        (void)fprintf(stderr, "spangate: out of memory (%zu bytes)\n", size);
        abort();
    }
    return memory;
}

void *mem_alloc(size_t size)
{
    return or_abort(malloc(size), size);
}

void *mem_zalloc(size_t count, size_t size)
{
    return or_abort(calloc(count, size), count > 0 ? size : 0);
}

void *mem_realloc(void *old, size_t size)
{
    return or_abort(realloc(old, size), size);
}

char *mem_strndup(const void *text, size_t len)
{
    char *copy = mem_alloc(len + 1);
    if (len > 0) {
        memcpy(copy, text, len);
    }
    copy[len] = '\0';
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_printf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = mem_alloc((size_t)len + 1);
    va_start(args, fmt);
    (void)vsnprintf(text, (size_t)len + 1, fmt, args);
    va_end(args);
    return text;
}
