/*
 * contexts.c - see contexts.h. The set hangs on a pthread key, whose destructor runs at thread end.
 */
#include "contexts.h"

#include <libdeflate.h>
#include <pthread.h>
#include <spangate/base/mem.h>
#include <spangate/codec/codec.h>
#include <stdlib.h>
#include <zstd.h>

struct contexts {
    struct libdeflate_decompressor *inflater;
    struct libdeflate_compressor *deflater;
    int deflater_level;
    ZSTD_DCtx *unzstd;
    ZSTD_CCtx *zstd;
};

/* One key a process; the only variable of this file. */
static struct {
    pthread_once_t once;
    pthread_key_t key;
} contexts_key = {.once = PTHREAD_ONCE_INIT};

static void free_contexts(void *set)
{
    struct contexts *contexts = set;

    if (contexts == NULL) {
        return;
    }
    libdeflate_free_decompressor(contexts->inflater);
    libdeflate_free_compressor(contexts->deflater);
    (void)ZSTD_freeDCtx(contexts->unzstd);
    (void)ZSTD_freeCCtx(contexts->zstd);
    free(contexts);
}

static void make_key(void)
{
    if (pthread_key_create(&contexts_key.key, free_contexts) != 0) {
        abort();
    }
}

static struct contexts *contexts_here(void)
{
    struct contexts *contexts;

    if (pthread_once(&contexts_key.once, make_key) != 0) {
        abort();
    }
    contexts = pthread_getspecific(contexts_key.key);
    if (contexts == NULL) {
        contexts = mem_zalloc(1, sizeof(*contexts));
        if (pthread_setspecific(contexts_key.key, contexts) != 0) {
            abort();
        }
    }
    return contexts;
}

/* Running out of heap aborts, here as in mem.h. */
static void *not_null(void *context)
{
    if (context == NULL) {
        abort();
    }
    return context;
}

struct libdeflate_decompressor *contexts_inflater(void)
{
    struct contexts *contexts = contexts_here();

    if (contexts->inflater == NULL) {
        contexts->inflater = not_null(libdeflate_alloc_decompressor());
    }
    return contexts->inflater;
}

struct libdeflate_compressor *contexts_deflater(int level)
{
    struct contexts *contexts = contexts_here();

    if (contexts->deflater != NULL && contexts->deflater_level != level) {
        libdeflate_free_compressor(contexts->deflater);
        contexts->deflater = NULL;
    }
    if (contexts->deflater == NULL) {
        contexts->deflater = not_null(libdeflate_alloc_compressor(level));
        contexts->deflater_level = level;
    }
    return contexts->deflater;
}

struct ZSTD_DCtx_s *contexts_unzstd(void)
{
    struct contexts *contexts = contexts_here();

    if (contexts->unzstd == NULL) {
        contexts->unzstd = not_null(ZSTD_createDCtx());
    }
    return contexts->unzstd;
}

struct ZSTD_CCtx_s *contexts_zstd(void)
{
    struct contexts *contexts = contexts_here();

    if (contexts->zstd == NULL) {
        contexts->zstd = not_null(ZSTD_createCCtx());
    }
    return contexts->zstd;
}

void codec_thread_exit(void)
{
    if (pthread_once(&contexts_key.once, make_key) != 0) {
        abort();
    }
    free_contexts(pthread_getspecific(contexts_key.key));
    (void)pthread_setspecific(contexts_key.key, NULL);
}
