/*
 * grpc_outcome.h - what a gRPC answer means for the batch that was sent. No I/O; any thread.
 *
 * Specification: OTLP 1.11 "OTLP/gRPC Response", "gRPC over HTTP2" (statuses, HTTP codes without a
 * status).
 */
#ifndef SPANGATE_SRC_GRPC_OUTCOME_H
#define SPANGATE_SRC_GRPC_OUTCOME_H

#include <spangate/net/h2.h>
#include <spangate/sink/sink.h>

/* Fill out for a call that brought a response. */
void grpc_outcome(const struct h2_response *response, enum otlp_signal signal,
                  struct sink_outcome *out);

/* %XX back to bytes; a lone % stays. */
void grpc_percent_decode(struct slice text, struct strbuf *out);

#endif
