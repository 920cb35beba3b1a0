/*
 * h2_nv.c - between our headers and nghttp2's.
 */
#include "h2_nv.h"

#include <assert.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

void h2_nv_fill(nghttp2_nv *nva, const struct h2_header *headers, size_t count)
{
    assert(count <= H2_NV_MAX);
    for (size_t i = 0; i < count; i++) {
        /* nghttp2 takes them as not const but does not write. */
        union {
            const uint8_t *in;
            uint8_t *out;
        } name = {.in = headers[i].name.data}, value = {.in = headers[i].value.data};
        nva[i] = (nghttp2_nv){
            .name = name.out,
            .value = value.out,
            .namelen = headers[i].name.len,
            .valuelen = headers[i].value.len,
            .flags = NGHTTP2_NV_FLAG_NONE,
        };
    }
}

static uint8_t *put(uint8_t *at, uint8_t **field, const uint8_t *bytes, size_t len)
{
    if (len > 0) {
        memcpy(at, bytes, len);
    }
    *field = at;
    return at + len;
}

void h2_nv_copy_init(struct h2_nv_copy *copy, const struct h2_header *headers, size_t count)
{
    size_t size = count * sizeof(nghttp2_nv);

    for (size_t i = 0; i < count; i++) {
        size += headers[i].name.len + headers[i].value.len;
    }
    copy->count = count;
    copy->nva = size <= sizeof(copy->small.bytes) ? &copy->small.align : mem_alloc(size);
    h2_nv_fill(copy->nva, headers, count);

    uint8_t *at = (uint8_t *)(copy->nva + count);
    for (size_t i = 0; i < count; i++) {
        at = put(at, &copy->nva[i].name, headers[i].name.data, headers[i].name.len);
        at = put(at, &copy->nva[i].value, headers[i].value.data, headers[i].value.len);
    }
}

void h2_nv_copy_deinit(struct h2_nv_copy *copy)
{
    if (copy->nva != NULL && copy->nva != &copy->small.align) {
        free(copy->nva);
    }
    copy->nva = NULL;
    copy->count = 0;
}
