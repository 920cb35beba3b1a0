/*
 * grpc_answer.c - answers of the gRPC front door.
 */
#include "grpc_answer.h"

#include "grpc_message.h"

#include <spangate/base/text.h>
#include <spangate/otlp/status.h>
#include <stdio.h>

enum { MESSAGE_MAX = 1024, DETAILS_MAX = 4096 };

#define ACCEPT_ENCODING "identity,gzip,zstd"

static struct h2_header header(const char *name, const char *value)
{
    return (struct h2_header){.name = slice_of(name), .value = slice_of(value)};
}

void grpc_percent_encode(const char *text, struct strbuf *out)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at < 0x20 || *at > 0x7e || *at == '%') {
            strbuf_printf(out, "%%%02X", *at);
        } else {
            strbuf_putc(out, (char)*at);
        }
    }
}

/* Metadata with a name in -bin: base64 without padding. */
static void put_binary(struct strbuf *out, struct slice bytes)
{
    base64_encode(bytes, out);
    while (out->len > 0 && out->data[out->len - 1] == '=') {
        out->data[--out->len] = '\0';
    }
}

static void put_head(uint8_t head[GRPC_HEAD], size_t len)
{
    head[0] = 0;
    head[1] = (uint8_t)(len >> 24);
    head[2] = (uint8_t)(len >> 16);
    head[3] = (uint8_t)(len >> 8);
    head[4] = (uint8_t)len;
}

void grpc_answer(struct h2_stream *stream, struct slice message)
{
    const struct h2_header headers[] = {
        header(":status", "200"),
        header("content-type", "application/grpc"),
        header("grpc-accept-encoding", ACCEPT_ENCODING),
    };
    const struct h2_header trailers[] = {header("grpc-status", "0")};
    uint8_t small[GRPC_HEAD + 512];
    struct strbuf large;

    if (message.len <= sizeof(small) - GRPC_HEAD) {
        put_head(small, message.len);
        if (message.len > 0) {
            memcpy(small + GRPC_HEAD, message.data, message.len);
        }
        h2_respond(stream, headers, COUNT_OF(headers),
                   (struct slice){small, GRPC_HEAD + message.len}, trailers, COUNT_OF(trailers));
        return;
    }
    strbuf_init(&large, GRPC_HEAD + message.len);
    put_head(small, message.len);
    strbuf_append(&large, small, GRPC_HEAD);
    strbuf_append_slice(&large, message);
    h2_respond(stream, headers, COUNT_OF(headers), strbuf_slice(&large), trailers,
               COUNT_OF(trailers));
    strbuf_deinit(&large);
}

void grpc_refuse(struct h2_stream *stream, const struct grpc_refusal *refusal)
{
    struct h2_header headers[7];
    char http[8];
    char grpc[8];
    struct strbuf message;
    struct strbuf bytes;
    struct strbuf details;
    struct strbuf retry;
    size_t n = 0;

    strbuf_init(&message, MESSAGE_MAX);
    strbuf_init(&bytes, DETAILS_MAX);
    strbuf_init(&details, 2 * DETAILS_MAX);
    strbuf_init(&retry, DETAILS_MAX);
    (void)snprintf(http, sizeof(http), "%d", refusal->http);
    (void)snprintf(grpc, sizeof(grpc), "%d", refusal->grpc);
    grpc_percent_encode(refusal->message, &message);

    headers[n++] = header(":status", http);
    headers[n++] = header("content-type", "application/grpc");
    headers[n++] = header("grpc-status", grpc);
    headers[n++] = (struct h2_header){slice_of("grpc-message"), strbuf_slice(&message)};
    status_encode(OTLP_PROTOBUF, refusal->grpc, refusal->message, refusal->retry_after_s, &bytes);
    put_binary(&details, strbuf_slice(&bytes));
    headers[n++] = (struct h2_header){slice_of("grpc-status-details-bin"), strbuf_slice(&details)};
    if (refusal->retry_after_s > 0) {
        strbuf_clear(&bytes);
        retry_info_encode(refusal->retry_after_s, &bytes);
        put_binary(&retry, strbuf_slice(&bytes));
        headers[n++] =
            (struct h2_header){slice_of("google.rpc.retryinfo-bin"), strbuf_slice(&retry)};
    }
    if (refusal->grpc == GRPC_UNIMPLEMENTED) {
        headers[n++] = header("grpc-accept-encoding", ACCEPT_ENCODING);
    }
    h2_respond(stream, headers, n, (struct slice){0}, NULL, 0);
    strbuf_deinit(&message);
    strbuf_deinit(&bytes);
    strbuf_deinit(&details);
    strbuf_deinit(&retry);
}

void grpc_stream_begin(struct h2_stream *stream)
{
    const struct h2_header headers[] = {
        header(":status", "200"),
        header("content-type", "application/grpc"),
        header("grpc-accept-encoding", ACCEPT_ENCODING),
    };

    h2_respond_begin(stream, headers, COUNT_OF(headers));
}

void grpc_stream_message(struct h2_stream *stream, struct slice message)
{
    uint8_t head[GRPC_HEAD];

    put_head(head, message.len);
    h2_respond_data(stream, (struct slice){head, sizeof(head)});
    h2_respond_data(stream, message);
}

void grpc_stream_end(struct h2_stream *stream, int grpc_status, const char *message)
{
    char status[8];

    (void)snprintf(status, sizeof(status), "%d", grpc_status);
    const struct h2_header trailers[] = {
        header("grpc-status", status),
        header("grpc-message", message),
    };
    h2_respond_end(stream, trailers, COUNT_OF(trailers));
}
