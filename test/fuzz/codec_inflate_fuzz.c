/*
 * codec_inflate_fuzz.c - any bytes as a compressed body: inflated within the cap, or refused as the
 * sender's fault. The first byte chooses codec and cap.
 */
#include <assert.h>
#include <spangate/codec/codec.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum codec codecs[] = {CODEC_GZIP, CODEC_ZLIB, CODEC_DEFLATE, CODEC_ZSTD};
    static const size_t caps[] = {0, 1000, 65536, 4 * 1024 * 1024};
    struct budget budget;
    struct buf *out = NULL;
    struct error err = {0};
    enum codec codec;
    size_t cap;

    if (size == 0) {
        return 0;
    }
    codec = codecs[data[0] & 3];
    cap = caps[data[0] >> 2 & 3];
    budget_init(&budget, 8 * 1024 * 1024, NULL);
    if (codec_inflate(codec, (struct slice){data + 1, size - 1}, cap, &budget, &out, &err)) {
        struct strbuf again;
        struct buf *back = NULL;
        assert(out->len <= cap);
        strbuf_init(&again, SIZE_MAX / 4);
        bool packed = codec_deflate(codec, 0, buf_slice(out), &again, &err);
        assert(packed);
        /* The ratio guard may refuse what the other side packed worse. */
        if (codec_inflate(codec, strbuf_slice(&again), cap, NULL, &back, &err)) {
            assert(slice_equal(buf_slice(back), buf_slice(out)));
            buf_unref(back);
        } else {
            assert(err.code == ERR_TOO_LARGE);
        }
        strbuf_deinit(&again);
        buf_unref(out);
    } else {
        assert(out == NULL);
        assert(err.code == ERR_INVALID || err.code == ERR_TOO_LARGE || err.code == ERR_LIMIT);
        assert(err.message[0] != '\0');
    }
    assert(budget_used(&budget) == 0);
    return 0;
}
