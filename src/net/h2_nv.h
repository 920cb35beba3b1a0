/*
 * h2_nv.h - between our headers and nghttp2's.
 */
#ifndef SPANGATE_SRC_H2_NV_H
#define SPANGATE_SRC_H2_NV_H

#include <nghttp2/nghttp2.h>
#include <spangate/net/h2.h>

enum {
    H2_NV_MAX = 64, /* headers that one message of ours may have */
    H2_STREAM_WINDOW = 1 << 20,
    H2_CONNECTION_WINDOW = 4 << 20,
};

/* Views of the headers; nghttp2 copies what it needs when they are submitted. */
void h2_nv_fill(nghttp2_nv *nva, const struct h2_header *headers, size_t count);

/* A copy that outlives the headers. Small ones need no memory of their own. */
struct h2_nv_copy {
    size_t count;
    nghttp2_nv *nva; /* in small, or from the heap */
    union {
        nghttp2_nv align;
        uint8_t bytes[192];
    } small;
};
void h2_nv_copy_init(struct h2_nv_copy *copy, const struct h2_header *headers, size_t count);
void h2_nv_copy_deinit(struct h2_nv_copy *copy);

#endif
