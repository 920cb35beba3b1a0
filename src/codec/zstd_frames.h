/*
 * zstd_frames.h - zstd frames (RFC 8878). Same contracts as in codec.h. Named codec_* where public.
 */
#ifndef SPANGATE_SRC_CODEC_ZSTD_FRAMES_H
#define SPANGATE_SRC_CODEC_ZSTD_FRAMES_H

#include <spangate/codec/codec.h>

bool zstd_inflate(struct slice in, size_t max, struct budget *budget, struct buf **out,
                  struct error *err) MUST_CHECK;
bool zstd_deflate(int level, struct slice in, struct strbuf *out, struct error *err) MUST_CHECK;

#endif
