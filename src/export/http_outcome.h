/*
 * http_outcome.h - what an HTTP answer means for the batch that was sent. No I/O; any thread.
 *
 * Specification: OTLP 1.11 "OTLP/HTTP Response", "Failures", "OTLP/HTTP Throttling".
 */
#ifndef SPANGATE_SRC_EXPORT_HTTP_OUTCOME_H
#define SPANGATE_SRC_EXPORT_HTTP_OUTCOME_H

#include <spangate/otlp/status.h>
#include <spangate/sink/sink.h>

struct http_answer {
    long status;              /* 200 … */
    const char *content_type; /* NULL: none */
    uint64_t retry_after_ms;  /* of the header Retry-After; 0: none */
    struct slice body;        /* what was kept of it */
    bool body_is_whole;
    const char *url;             /* for the message, without secrets */
    enum otlp_encoding encoding; /* of the request */
    enum otlp_signal signal;
    size_t item_count;
};

void http_outcome(const struct http_answer *answer, struct sink_outcome *out);

/* Overwrite every occurrence of a secret in a message. */
void http_redact(char *message, const char *secret);

#endif
