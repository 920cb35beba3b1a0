/*
 * buf.h - bytes with a reference count: request bodies.
 *
 * One owner fills a buf (data[0..cap)), sets len, and from then on it is immutable and may be read
 * by any thread. If a budget is given, cap bytes are charged to it until the last unref.
 */
#ifndef SPANGATE_BASE_BUF_H
#define SPANGATE_BASE_BUF_H

#include <spangate/base/budget.h>
#include <spangate/base/slice.h>
#include <stdatomic.h>

struct buf {
    atomic_uint refs;
    struct budget *budget; /* NULL: not charged */
    size_t cap;
    size_t len;
    uint8_t *data;
};

/* A buf with one reference and len 0, or NULL when the budget refuses. budget may be NULL. */
struct buf *buf_new(size_t cap, struct budget *budget);

/* A buf holding a copy of the bytes. NULL when the budget refuses. */
struct buf *buf_copy(struct slice bytes, struct budget *budget);

/* Make room for cap bytes while there is one owner. false, unchanged, when the budget refuses. */
bool buf_reserve(struct buf *buf, size_t cap);

struct buf *buf_ref(struct buf *buf);
void buf_unref(struct buf *buf); /* NULL is allowed */

static inline struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){.data = buf->data, .len = buf->len};
}

#endif
