/*
 * mem.h - allocation that does not fail.
 *
 * Running out of heap aborts: code that handles it is never tested. What we do handle is our own
 * budget (budget.h), charged before bytes are read. Free with free().
 */
#ifndef SPANGATE_BASE_MEM_H
#define SPANGATE_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);
void *mem_zalloc(size_t count, size_t size); /* zeroed; the product is checked */
void *mem_realloc(void *old, size_t size);
char *mem_strdup(const char *text);
char *mem_strndup(const void *text, size_t len);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
