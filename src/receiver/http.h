/*
 * http.h - what the files of the OTLP/HTTP front door share.
 */
#ifndef SPANGATE_SRC_RECEIVER_HTTP_H
#define SPANGATE_SRC_RECEIVER_HTTP_H

#include <spangate/base/strbuf.h>
#include <spangate/codec/codec.h>
#include <spangate/httpd/httpd.h>
#include <spangate/otlp/ingest.h>
#include <spangate/otlp/status.h>
#include <spangate/receiver/receiver.h>

/* --- http_body.c: from what was sent to protobuf --- */

enum { CODINGS_MAX = 2 };

/* Content-Encoding, in the order in which they were applied. */
struct codings {
    enum codec codecs[CODINGS_MAX];
    size_t count;
};

/* value NULL: none. ERR_UNSUPPORTED: a coding we do not know, or more than CODINGS_MAX. */
bool codings_parse(const char *value, struct codings *out, struct error *err) MUST_CHECK;

/* Undo the codings. *body is replaced, and NULL after a failure. max: bytes after each step. */
bool codings_undo(const struct codings *codings, size_t max, struct budget *budget,
                  struct buf **body, struct error *err) MUST_CHECK;

/* OTLP/JSON to protobuf; *body is replaced, and NULL after a failure. max: bytes of protobuf. */
bool body_from_json(enum otlp_signal signal, size_t max, struct budget *budget, struct buf **body,
                    struct error *err) MUST_CHECK;

/* Whether the media type in front of parameters is this one; case does not matter. NULL is none. */
bool media_type_is(const char *content_type, const char *type);

/* --- http_cors.c --- */

enum { CORS_HEADERS_MAX = 8 };

/* Whether it was a preflight, which is then answered. */
bool cors_preflight(const struct cors_settings *cors, struct httpd_request *request);

/* The headers of an answer to a request from a page. Returns how many were written. */
size_t cors_headers(const struct cors_settings *cors, const struct httpd_request *request,
                    struct httpd_header_pair out[CORS_HEADERS_MAX]);

#endif
