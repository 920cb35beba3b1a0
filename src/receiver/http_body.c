/*
 * http_body.c - request bodies: codings undone, JSON turned into protobuf (OTLP 1.11 "OTLP/HTTP").
 */
#include "http.h"

#include <spangate/base/mem.h>
#include <spangate/otlp/otlp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s = slice_from(s, 1);
    }
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

bool media_type_is(const char *content_type, const char *type)
{
    if (content_type == NULL) {
        return false;
    }
    struct slice essence = {(const uint8_t *)content_type, strcspn(content_type, ";")};

    essence = trim(essence);
    return essence.len == strlen(type) &&
           strncasecmp((const char *)essence.data, type, essence.len) == 0;
}

bool codings_parse(const char *value, struct codings *out, struct error *err)
{
    *out = (struct codings){0};
    if (value == NULL) {
        return true;
    }
    for (;;) {
        size_t len = strcspn(value, ",");
        enum codec codec;
        if (!codec_parse(trim((struct slice){(const uint8_t *)value, len}), &codec, err)) {
            return error_set(
                err, ERR_UNSUPPORTED,
                "unsupported content encoding, supported: gzip, deflate, zstd, identity");
        }
        if (codec != CODEC_NONE) {
            if (out->count == CODINGS_MAX) {
                return error_set(err, ERR_UNSUPPORTED, "more than %d content encodings",
                                 CODINGS_MAX);
            }
            out->codecs[out->count++] = codec;
        }
        if (value[len] == '\0') {
            return true;
        }
        value += len + 1;
    }
}

bool codings_undo(const struct codings *codings, size_t max, struct budget *budget,
                  struct buf **body, struct error *err)
{
    for (size_t i = codings->count; i-- > 0;) {
        struct buf *plain = NULL;
        struct slice in = *body != NULL ? buf_slice(*body) : (struct slice){0};
        bool ok = codec_inflate(codings->codecs[i], in, max, budget, &plain, err);
        buf_unref(*body);
        *body = plain; /* NULL unless ok */
        if (!ok) {
            return false;
        }
    }
    if (*body != NULL && (*body)->len > max) {
        (void)error_set(err, ERR_TOO_LARGE, "body of %zu bytes is over the limit of %zu",
                        (*body)->len, max);
        buf_unref(*body);
        *body = NULL;
        return false;
    }
    return true;
}

/* A buf that owns the memory of the strbuf. NULL, and the memory freed, when the budget refuses. */
static struct buf *buf_of(struct strbuf *text, struct budget *budget)
{
    size_t len = text->len;
    size_t cap = text->cap;
    struct buf *buf = buf_new(0, budget);

    if (buf != NULL && budget != NULL && !budget_try_charge(budget, cap)) {
        buf_unref(buf);
        buf = NULL;
    }
    if (buf == NULL) {
        strbuf_deinit(text);
        return NULL;
    }
    free(buf->data);
    buf->data = (uint8_t *)strbuf_take(text);
    buf->cap = cap;
    buf->len = len;
    return buf;
}

bool body_from_json(enum otlp_signal signal, size_t max, struct budget *budget, struct buf **body,
                    struct error *err)
{
    struct strbuf out;

    strbuf_init(&out, max);
    bool ok = otlp_json_decode(signal, buf_slice(*body), &otlp_limits_default, &out, err);
    buf_unref(*body);
    *body = NULL;
    if (!ok) {
        strbuf_deinit(&out);
        return false;
    }
    if (out.len == 0) { /* {} is an empty request */
        strbuf_deinit(&out);
        return true;
    }
    *body = buf_of(&out, budget);
    if (*body == NULL) {
        return error_set(err, ERR_LIMIT, "no memory left for the body");
    }
    return true;
}
