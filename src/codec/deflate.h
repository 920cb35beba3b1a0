/*
 * deflate.h - gzip, zlib and raw deflate over libdeflate. Same contracts as in codec.h.
 */
#ifndef SPANGATE_SRC_CODEC_DEFLATE_H
#define SPANGATE_SRC_CODEC_DEFLATE_H

#include <spangate/codec/codec.h>

bool deflate_inflate(enum codec codec, struct slice in, size_t max, struct budget *budget,
                     struct buf **out, struct error *err) MUST_CHECK;
bool deflate_deflate(enum codec codec, int level, struct slice in, struct strbuf *out,
                     struct error *err) MUST_CHECK;

#endif
