/*
 * contexts.h - the libraries' working memory, one set a thread.
 *
 * Making a context costs more than inflating a small body, so each thread keeps its own. They are
 * freed by codec_thread_exit(), and at the latest when the thread ends.
 */
#ifndef SPANGATE_SRC_CODEC_CONTEXTS_H
#define SPANGATE_SRC_CODEC_CONTEXTS_H

struct libdeflate_compressor;
struct libdeflate_decompressor;
struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

/* All borrowed from this thread's set. The compressor is made anew when the level changes. */
struct libdeflate_decompressor *contexts_inflater(void);
struct libdeflate_compressor *contexts_deflater(int level);
struct ZSTD_DCtx_s *contexts_unzstd(void);
struct ZSTD_CCtx_s *contexts_zstd(void);

#endif
