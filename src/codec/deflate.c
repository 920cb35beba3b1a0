/*
 * deflate.c - gzip (RFC 1952), zlib (RFC 1950) and raw deflate (RFC 1951), whole buffers.
 *
 * libdeflate wants the output's size beforehand and starts over when it was too small, so the
 * first guess matters: for gzip it is the length that the trailer declares. Each gzip member is
 * decoded on its own, so growing repeats one member and not the whole.
 */
#include "deflate.h"

#include "contexts.h"
#include "output.h"

#include <libdeflate.h>

enum {
    LEVEL_DEFAULT = 1,
    LEVEL_MAX = 12,
    TYPICAL_RATIO = 8,
    GZIP_BYTES_MIN = 18, /* header and trailer */
};

typedef enum libdeflate_result decode_fn(struct libdeflate_decompressor *d, const void *in,
                                         size_t in_len, void *out, size_t out_cap, size_t *in_used,
                                         size_t *out_used);

static decode_fn *decoder_of(enum codec codec)
{
    switch (codec) {
    case CODEC_GZIP:
        return libdeflate_gzip_decompress_ex;
    case CODEC_ZLIB:
        return libdeflate_zlib_decompress_ex;
    default:
        return libdeflate_deflate_decompress_ex;
    }
}

static size_t expected_length(enum codec codec, struct slice in)
{
    if (codec == CODEC_GZIP && in.len >= GZIP_BYTES_MIN) {
        const uint8_t *at = in.data + in.len - 4;
        return (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
    }
    return in.len * TYPICAL_RATIO;
}

/* One stream (gzip: member) at the start of in, appended to output; *used bytes of in. */
static bool decode_stream(decode_fn *decode, struct slice in, struct output *output, size_t *used,
                          struct error *err)
{
    for (;;) {
        size_t written = 0;
        enum libdeflate_result result =
            decode(contexts_inflater(), in.data, in.len, output_at(output), output_room(output),
                   used, &written);
        switch (result) {
        case LIBDEFLATE_SUCCESS:
            output->buf->len += written;
            return true;
        case LIBDEFLATE_INSUFFICIENT_SPACE:
            if (!output_grow(output, err)) {
                return false;
            }
            break;
        default:
            return error_set(err, ERR_INVALID, "%s: the stream is damaged or cut off",
                             output->codec);
        }
    }
}

/* codec says the exact framing; name is what the sender called it. */
static bool decode_all(enum codec codec, const char *name, struct slice in, size_t max,
                       struct budget *budget, struct buf **out, struct error *err)
{
    decode_fn *decode = decoder_of(codec);
    struct output output;
    struct slice rest = in;

    if (in.len == 0) {
        return error_set(err, ERR_INVALID, "%s: the input is empty", name);
    }
    if (!output_open(&output, name, in.len, max, expected_length(codec, in), budget, err)) {
        return false;
    }
    do {
        size_t used = 0;
        if (rest.len < in.len && rest.data[0] != 0x1f) {
            error_set(err, ERR_INVALID, "%s: %zu bytes follow the end of the stream", name,
                      rest.len);
            goto fail;
        }
        if (!decode_stream(decode, rest, &output, &used, err)) {
            goto fail;
        }
        rest = slice_from(rest, used);
    } while (rest.len > 0 && codec == CODEC_GZIP);

    if (rest.len > 0) {
        error_set(err, ERR_INVALID, "%s: %zu bytes follow the end of the stream", name, rest.len);
        goto fail;
    }
    *out = output_take(&output);
    return true;

fail:
    output_close(&output);
    return false;
}

/* RFC 1950 2.2: method 8, window at most 32 KiB, the two bytes a multiple of 31, no dictionary. */
static bool has_zlib_header(struct slice in)
{
    return in.len >= 2 && (in.data[0] & 0x0f) == 8 && in.data[0] >> 4 <= 7 &&
           (in.data[0] * 256 + in.data[1]) % 31 == 0 && (in.data[1] & 0x20) == 0;
}

bool deflate_inflate(enum codec codec, struct slice in, size_t max, struct budget *budget,
                     struct buf **out, struct error *err)
{
    struct error as_zlib = {0};

    if (codec != CODEC_DEFLATE) {
        return decode_all(codec, codec_name(codec), in, max, budget, out, err);
    }
    /* HTTP's "deflate" means zlib, but many senders leave its wrapper away (RFC 9110, 8.4.1.2). */
    if (!has_zlib_header(in)) {
        return decode_all(CODEC_DEFLATE, codec_name(codec), in, max, budget, out, err);
    }
    if (decode_all(CODEC_ZLIB, codec_name(codec), in, max, budget, out, &as_zlib)) {
        return true;
    }
    if (as_zlib.code == ERR_INVALID) {
        /* A stored block of raw deflate can begin like that too. */
        return decode_all(CODEC_DEFLATE, codec_name(codec), in, max, budget, out, err);
    }
    *err = as_zlib;
    return false;
}

bool deflate_deflate(enum codec codec, int level, struct slice in, struct strbuf *out,
                     struct error *err)
{
    struct libdeflate_compressor *deflater;
    size_t room, written;

    if (level <= 0) {
        level = LEVEL_DEFAULT;
    }
    deflater = contexts_deflater(level > LEVEL_MAX ? LEVEL_MAX : level);
    room = codec == CODEC_GZIP ? libdeflate_gzip_compress_bound(deflater, in.len)
                               : libdeflate_zlib_compress_bound(deflater, in.len);
    if (room > out->limit - out->len) {
        room = out->limit - out->len; /* it may still fit */
    }
    if (!strbuf_reserve(out, room)) {
        return error_set(err, ERR_TOO_LARGE, "%s: no room for the output", codec_name(codec));
    }
    written = codec == CODEC_GZIP
                  ? libdeflate_gzip_compress(deflater, in.data, in.len, out->data + out->len, room)
                  : libdeflate_zlib_compress(deflater, in.data, in.len, out->data + out->len, room);
    if (written == 0) {
        return error_set(err, ERR_TOO_LARGE, "%s: the output passes %zu bytes", codec_name(codec),
                         out->limit);
    }
    out->len += written;
    out->data[out->len] = '\0';
    return true;
}
