/*
 * status.h - the one table that turns an error into HTTP and gRPC answers, and the bytes of the
 * answers (OTLP 1.11 "OTLP/HTTP Response", "OTLP/gRPC Response"; google.rpc.Status, RetryInfo).
 */
#ifndef SPANGATE_OTLP_STATUS_H
#define SPANGATE_OTLP_STATUS_H

#include <spangate/base/error.h>
#include <spangate/base/strbuf.h>
#include <spangate/otlp/span.h>

enum otlp_encoding { OTLP_PROTOBUF, OTLP_JSON };

struct status_row {
    enum error_code error;
    int http;               /* status code */
    int grpc;               /* grpc-status */
    unsigned retry_after_s; /* 0: the client must not retry */
    int body_code;          /* Status.code in an HTTP body: 429 and 415 differ from gRPC there */
};

/* ERR_TOO_LARGE, ERR_UNSUPPORTED etc. as rows; ERR_NONE is {200, 0}. */
const struct status_row *status_of(enum error_code code);

const char *otlp_content_type(enum otlp_encoding encoding); /* exactly as clients compare it */

/* google.rpc.Status{code, message[, details: RetryInfo]} in the encoding. retry_after_s 0: none. */
void status_encode(enum otlp_encoding encoding, int grpc_code, const char *message,
                   unsigned retry_after_s, struct strbuf *out);

/* RetryInfo{seconds} alone, protobuf: for the trailer google.rpc.retryinfo-bin. */
void retry_info_encode(unsigned retry_after_s, struct strbuf *out);

/*
 * Export<Signal>ServiceResponse: partial_success left out when rejected is 0 and message is empty
 * (protobuf 0 bytes, JSON {}).
 */
void export_response_encode(enum otlp_encoding encoding, enum otlp_signal signal, uint64_t rejected,
                            const char *message, struct strbuf *out);

/* What a backend answered: rejected count and message of an Export<Signal>ServiceResponse; absent
 * fields give 0 and "". message points into memory of size cap. false: not such a message. */
bool export_response_decode(enum otlp_encoding encoding, enum otlp_signal signal, struct slice body,
                            uint64_t *rejected, char *message, size_t cap) MUST_CHECK;

/* What a backend's error said: message of a google.rpc.Status and its RetryInfo in ms (0: none). */
bool status_decode(enum otlp_encoding encoding, struct slice body, char *message, size_t cap,
                   uint64_t *retry_after_ms) MUST_CHECK;

#endif
