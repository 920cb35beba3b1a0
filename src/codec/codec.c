/*
 * codec.c - names of codecs, and which file does the work.
 */
#include "deflate.h"
#include "zstd_frames.h"

#include <spangate/codec/codec.h>
#include <strings.h>

static const struct {
    const char *name;
    enum codec codec;
} codec_names[] = {
    {"", CODEC_NONE},       {"identity", CODEC_NONE},   {"none", CODEC_NONE}, {"gzip", CODEC_GZIP},
    {"x-gzip", CODEC_GZIP}, {"deflate", CODEC_DEFLATE}, {"zlib", CODEC_ZLIB}, {"zstd", CODEC_ZSTD},
};

bool codec_parse(struct slice name, enum codec *out, struct error *err)
{
    for (size_t i = 0; i < COUNT_OF(codec_names); i++) {
        if (name.len == strlen(codec_names[i].name) &&
            (name.len == 0 ||
             strncasecmp((const char *)name.data, codec_names[i].name, name.len) == 0)) {
            *out = codec_names[i].codec;
            return true;
        }
    }
    return error_set(err, ERR_UNSUPPORTED,
                     "compression \"%.*s\" is not known: use gzip, zstd, zlib, deflate or identity",
                     name.len > 40 ? 40 : (int)name.len, (const char *)name.data);
}

const char *codec_name(enum codec codec)
{
    switch (codec) {
    case CODEC_GZIP:
        return "gzip";
    case CODEC_ZLIB:
        return "zlib";
    case CODEC_DEFLATE:
        return "deflate";
    case CODEC_ZSTD:
        return "zstd";
    case CODEC_NONE:
        break;
    }
    return "identity";
}

static bool copy(struct slice in, size_t max, struct budget *budget, struct buf **out,
                 struct error *err)
{
    struct buf *buf;

    if (in.len > max) {
        return error_set(err, ERR_TOO_LARGE, "identity: %zu bytes where at most %zu are taken",
                         in.len, max);
    }
    buf = buf_copy(in, budget);
    if (buf == NULL) {
        return error_set(err, ERR_LIMIT, "identity: no memory left in the budget for %zu bytes",
                         in.len);
    }
    *out = buf;
    return true;
}

bool codec_inflate(enum codec codec, struct slice in, size_t max, struct budget *budget,
                   struct buf **out, struct error *err)
{
    switch (codec) {
    case CODEC_NONE:
        return copy(in, max, budget, out, err);
    case CODEC_ZSTD:
        return zstd_inflate(in, max, budget, out, err);
    default:
        return deflate_inflate(codec, in, max, budget, out, err);
    }
}

bool codec_deflate(enum codec codec, int level, struct slice in, struct strbuf *out,
                   struct error *err)
{
    switch (codec) {
    case CODEC_NONE:
        strbuf_append_slice(out, in);
        return !out->overflow ||
               error_set(err, ERR_TOO_LARGE, "identity: the output passes %zu bytes", out->limit);
    case CODEC_ZSTD:
        return zstd_deflate(level, in, out, err);
    default:
        return deflate_deflate(codec, level, in, out, err);
    }
}
