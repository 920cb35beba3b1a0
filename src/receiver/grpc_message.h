/*
 * grpc_message.h - the request side of gRPC's wire format, without a connection: one message out of
 * DATA cut anywhere, and the headers that have a syntax of their own.
 *
 *   +------+----------------+-----------...-+
 *   | flag | length, 4 B BE |    message    |    flag 1: compressed as grpc-encoding says
 *   +------+----------------+-----------...-+
 *
 * Specification: "gRPC over HTTP2". Any thread, no locks.
 */
#ifndef SPANGATE_SRC_GRPC_MESSAGE_H
#define SPANGATE_SRC_GRPC_MESSAGE_H

#include <spangate/base/buf.h>
#include <spangate/base/compiler.h>
#include <spangate/base/slice.h>

enum { GRPC_HEAD = 5 };

enum grpc_fault {
    GRPC_FAULT_NONE,
    GRPC_FAULT_FLAG,      /* neither 0 nor 1 */
    GRPC_FAULT_TOO_LARGE, /* the declared length is over max */
    GRPC_FAULT_BUDGET,    /* there is no memory for it now */
    GRPC_FAULT_SECOND,    /* something follows the message */
    GRPC_FAULT_EMPTY,     /* the stream ended without a message */
    GRPC_FAULT_CUT,       /* the stream ended within the message */
};

struct grpc_message {
    size_t max;
    struct budget *budget;
    uint8_t head[GRPC_HEAD];
    size_t head_len;
    bool compressed;
    uint32_t length;  /* declared */
    struct buf *body; /* NULL: no byte of it yet */
    enum grpc_fault fault;
};

void grpc_message_init(struct grpc_message *message, size_t max, struct budget *budget);
void grpc_message_deinit(struct grpc_message *message);

/*
 * The next bytes of the stream. The length is checked before memory is taken, and memory is taken
 * as bytes arrive, so a large announcement alone costs nothing. After a fault the bytes are
 * ignored.
 */
void grpc_message_feed(struct grpc_message *message, struct slice data);

/* The stream has ended. false: message->fault says why there is no message. */
bool grpc_message_end(struct grpc_message *message);

/* The body, NULL when it is empty. Release with buf_unref(). */
struct buf *grpc_message_take(struct grpc_message *message);

/* "10S", "250m": digits (1 to 8) and one of H M S m u n. ns saturates. false: something else. */
bool grpc_timeout_parse(struct slice text, uint64_t *ns) MUST_CHECK;

/* application/grpc, with +proto or parameters; not +json, not grpc-web. */
bool grpc_content_type_is_ours(struct slice text);

#endif
