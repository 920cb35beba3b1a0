/*
 * zstd_frames.c - zstd frames, whole buffers.
 *
 * Decoding writes straight into the output, which then is the window: no window memory is held a
 * thread, and no second copy made. Before that the frames are walked by their block headers, so
 * that a cut or foreign tail is found, and a window over 8 MiB refused, before anything is decoded.
 */
#include "zstd_frames.h"

#include "contexts.h"
#include "output.h"

#include <zstd.h>
#include <zstd_errors.h>

enum {
    LEVEL_DEFAULT = 1,
    WINDOW_LOG_MAX = 23, /* RFC 8878, 3.1.1.1.2: what a decoder should take at least */
    TYPICAL_RATIO = 8,
};

/*
 * The window of the frame at the start of in (RFC 8878, 3.1.1.1); 0 for a skippable one. A single
 * segment needs no window but its content, which the caller's max bounds.
 */
static uint64_t frame_window(struct slice in)
{
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    uint64_t base;

    if (in.len < 6 || memcmp(in.data, magic, sizeof(magic)) != 0 || (in.data[4] & 0x20) != 0) {
        return 0;
    }
    base = UINT64_C(1) << (10 + (in.data[5] >> 3));
    return base + base / 8 * (in.data[5] & 7);
}

/* Check the framing of the whole input; *length: what it declares, or a guess. */
static bool walk_frames(struct slice in, uint64_t *length, struct error *err)
{
    bool known = true;
    struct slice rest = in;

    *length = 0;
    while (rest.len > 0) {
        size_t used = ZSTD_findFrameCompressedSize(rest.data, rest.len);
        unsigned long long content = ZSTD_getFrameContentSize(rest.data, rest.len);
        if (ZSTD_isError(used)) {
            return rest.len < in.len && ZSTD_getErrorCode(used) == ZSTD_error_prefix_unknown
                       ? error_set(err, ERR_INVALID, "zstd: %zu bytes follow the end of the stream",
                                   rest.len)
                       : error_set(err, ERR_INVALID, "zstd: the stream is damaged or cut off: %s",
                                   ZSTD_getErrorName(used));
        }
        if (frame_window(rest) > UINT64_C(1) << WINDOW_LOG_MAX) {
            return error_set(err, ERR_INVALID, "zstd: needs a window over %u MiB",
                             (1U << WINDOW_LOG_MAX) >> 20);
        }
        if (content == ZSTD_CONTENTSIZE_UNKNOWN || content == ZSTD_CONTENTSIZE_ERROR ||
            content > UINT64_MAX / 2 || *length > UINT64_MAX / 2) {
            known = false;
        } else {
            *length += content;
        }
        rest = slice_from(rest, used);
    }
    if (!known) {
        *length = in.len * TYPICAL_RATIO;
    }
    return true;
}

bool zstd_inflate(struct slice in, size_t max, struct budget *budget, struct buf **out,
                  struct error *err)
{
    struct output output;
    uint64_t length;

    if (in.len == 0) {
        return error_set(err, ERR_INVALID, "zstd: the input is empty");
    }
    if (!walk_frames(in, &length, err) ||
        !output_open(&output, "zstd", in.len, max, length < max ? (size_t)length : max, budget,
                     err)) {
        return false;
    }
    for (;;) {
        size_t result = ZSTD_decompressDCtx(contexts_unzstd(), output_at(&output),
                                            output_room(&output), in.data, in.len);
        if (!ZSTD_isError(result)) {
            output.buf->len = result;
            *out = output_take(&output);
            return true;
        }
        if (ZSTD_getErrorCode(result) != ZSTD_error_dstSize_tooSmall) {
            error_set(err, ERR_INVALID, "zstd: the stream is damaged: %s",
                      ZSTD_getErrorName(result));
            break;
        }
        if (!output_grow(&output, err)) {
            break;
        }
    }
    output_close(&output);
    return false;
}

static int level_or_default(int level)
{
    return level == 0 ? LEVEL_DEFAULT : level; /* zstd itself clamps to what it knows */
}

bool zstd_deflate(int level, struct slice in, struct strbuf *out, struct error *err)
{
    size_t room = ZSTD_compressBound(in.len);
    size_t written;

    if (room > out->limit - out->len) {
        room = out->limit - out->len;
    }
    if (!strbuf_reserve(out, room)) {
        return error_set(err, ERR_TOO_LARGE, "zstd: no room for the output");
    }
    written = codec_zstd(in.data, in.len, out->data + out->len, room, level);
    if (written == 0) {
        return error_set(err, ERR_TOO_LARGE, "zstd: the output passes %zu bytes", out->limit);
    }
    out->len += written;
    out->data[out->len] = '\0';
    return true;
}

size_t codec_zstd_bound(size_t len)
{
    return ZSTD_compressBound(len);
}

size_t codec_zstd(const void *in, size_t len, void *out, size_t cap, int level)
{
    size_t written = ZSTD_compressCCtx(contexts_zstd(), out, cap, in, len, level_or_default(level));

    return ZSTD_isError(written) ? 0 : written;
}

bool codec_unzstd(struct slice in, void *out, size_t exact, struct error *err)
{
    size_t result = ZSTD_decompressDCtx(contexts_unzstd(), out, exact, in.data, in.len);

    if (ZSTD_isError(result)) {
        return error_set(err, ERR_CORRUPT, "zstd: the stream is damaged: %s",
                         ZSTD_getErrorName(result));
    }
    return result == exact ||
           error_set(err, ERR_CORRUPT, "zstd: %zu bytes where %zu belong", result, exact);
}
