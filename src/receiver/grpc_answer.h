/*
 * grpc_answer.h - the answer side of gRPC: a message with trailers, or Trailers-Only for everything
 * that went wrong.
 *
 * Errors are never in real trailers: clients exist that decide from the first header block alone
 * whether to send again. Details are given twice, as grpc-status-details-bin and as
 * google.rpc.retryinfo-bin, because clients look for the pause to keep in one or the other.
 *
 * On the thread of the stream's loop.
 */
#ifndef SPANGATE_SRC_GRPC_ANSWER_H
#define SPANGATE_SRC_GRPC_ANSWER_H

#include <spangate/base/strbuf.h>
#include <spangate/net/h2.h>

/* grpc-status. */
enum grpc_status {
    GRPC_OK = 0,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_NOT_FOUND = 5,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

struct grpc_refusal {
    int http; /* :status, 200 in nearly all cases */
    int grpc;
    unsigned retry_after_s; /* 0: the client must not send it again */
    const char *message;
};

/* OK with one message (may be empty: five zero bytes are sent, which some clients insist on). */
void grpc_answer(struct h2_stream *stream, struct slice message);

void grpc_refuse(struct h2_stream *stream, const struct grpc_refusal *refusal);

/* A stream of messages that stays open, and its end. */
void grpc_stream_begin(struct h2_stream *stream);
void grpc_stream_message(struct h2_stream *stream, struct slice message);
void grpc_stream_end(struct h2_stream *stream, int grpc_status, const char *message);

/* UTF-8 to grpc-message: every byte outside 0x20-0x7e, and '%', as %XX. */
void grpc_percent_encode(const char *text, struct strbuf *out);

#endif
