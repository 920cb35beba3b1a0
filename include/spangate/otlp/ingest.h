/*
 * ingest.h - what receivers hand to the pipeline, and what comes back.
 */
#ifndef SPANGATE_OTLP_INGEST_H
#define SPANGATE_OTLP_INGEST_H

#include <spangate/base/buf.h>
#include <spangate/base/error.h>
#include <spangate/otlp/span.h>

struct ingest_result {
    struct error err;    /* err.code ERR_NONE: accepted and durable */
    uint64_t rejected;   /* items refused one by one */
    const char *message; /* why, "" when none; valid during the call */
};

/* Exactly once, from any thread, possibly before submit returns. */
typedef void ingest_reply_fn(void *ctx, const struct ingest_result *result);

struct ingest_request {
    enum otlp_signal signal;
    struct buf *body;      /* protobuf; taken by submit in every case. NULL: empty request */
    const char *transport; /* "http" or "grpc": label of metrics */
    uint32_t receiver;     /* index of the receiver in the configuration: decides the pipelines */
    ingest_reply_fn *reply;
    void *reply_ctx;
};

/*
 * The pipeline's entry. Always leads to exactly one reply: on a refusal (ERR_INVALID,
 * ERR_TOO_LARGE, ERR_LIMIT, ERR_UNAVAILABLE, ERR_UNSUPPORTED: no pipeline takes this signal) it
 * comes before submit returns.
 */
struct ingest {
    void (*submit)(void *ctx, const struct ingest_request *request);
    /* Whether any pipeline of that receiver takes the signal: 404 / UNIMPLEMENTED if not. */
    bool (*takes)(void *ctx, uint32_t receiver, enum otlp_signal signal);
    void *ctx;
    struct budget *budget; /* for bodies */
};

#endif
