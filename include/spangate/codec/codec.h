/*
 * codec.h - compression: the only place that knows zlib, libdeflate and zstd.
 *
 * Decompression never trusts a declared size: output stops at a cap. Whole buffers in, whole
 * buffers out. Threads: any; contexts are cached per thread and released by codec_thread_exit().
 */
#ifndef SPANGATE_CODEC_CODEC_H
#define SPANGATE_CODEC_CODEC_H

#include <spangate/base/buf.h>
#include <spangate/base/error.h>
#include <spangate/base/strbuf.h>

enum codec { CODEC_NONE, CODEC_GZIP, CODEC_ZLIB, CODEC_DEFLATE, CODEC_ZSTD };

/* "", identity, none, gzip, x-gzip, zlib, deflate, zstd in any case; ERR_UNSUPPORTED otherwise. */
bool codec_parse(struct slice name, enum codec *out, struct error *err) MUST_CHECK;
const char *codec_name(enum codec codec); /* as in Content-Encoding; CODEC_NONE: "identity" */

/*
 * Inflate the whole of `in` into a new buf charged to budget. CODEC_DEFLATE finds out by itself
 * whether RFC 1950 or 1951 was meant. gzip: several members are accepted, checksums verified,
 * trailing garbage and an empty input refused. zstd: several frames; windows over 8 MiB refused.
 *
 * ERR_INVALID: damaged input (the message begins with the codec's name). ERR_TOO_LARGE: the output
 * would pass max, or more than 1000:1 past 1 MiB. ERR_LIMIT: the budget refused.
 */
bool codec_inflate(enum codec codec, struct slice in, size_t max, struct budget *budget,
                   struct buf **out, struct error *err) MUST_CHECK;

/* Compress all of `in`, appended to out. level 0: the default (gzip 1, zlib 1, zstd 1). */
bool codec_deflate(enum codec codec, int level, struct slice in, struct strbuf *out,
                   struct error *err) MUST_CHECK;

/* zstd for blocks: into memory of known size. Sections of the trace log use these. */
size_t codec_zstd_bound(size_t len);
size_t codec_zstd(const void *in, size_t len, void *out, size_t cap,
                  int level); /* 0: cap too small */
/* Exactly `exact` bytes must come out; ERR_CORRUPT otherwise. */
bool codec_unzstd(struct slice in, void *out, size_t exact, struct error *err) MUST_CHECK;

void codec_thread_exit(void);

#endif
