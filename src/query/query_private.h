/*
 * query_private.h - what the files of query/ share.
 *
 * A call is one request on one of the worker threads. Its handler answers it exactly once, with one
 * of the call_reply functions.
 */
#ifndef SPANGATE_SRC_QUERY_PRIVATE_H
#define SPANGATE_SRC_QUERY_PRIVATE_H

#include <spangate/base/clock.h>
#include <spangate/base/ring.h>
#include <spangate/base/strbuf.h>
#include <spangate/base/thread.h>
#include <spangate/httpd/httpd.h>
#include <spangate/query/query.h>

#define ANSWER_BYTES_MAX ((size_t)64 << 20)
#define TEXT_BYTES_MAX ((size_t)64 << 10) /* an error with its message, a key */
#define SEARCH_TIME_NS (10 * NS_PER_S)

enum {
    LIMIT_DEFAULT = 100,
    LIMIT_MAX = 1500,
    TAGS_MAX = 64,
    TRACE_ID_TEXT = 33,
};

struct query {
    struct pipeline *pipeline;
    struct query_status_source status; /* write NULL: none */
    struct httpd *httpd;
    struct auth *auth; /* NULL: whoever reaches the port may ask */
    struct ring calls; /* struct httpd_request */
    struct thread *threads;
    size_t thread_count;
    char **hosts; /* lower case; without brackets */
    size_t host_count;
    bool any_address; /* the endpoint is open on all addresses: each may be asked for by number */
};

struct call {
    struct query *query;
    struct httpd_request *request;
    const char *name; /* what stood for '*' in the endpoint's path, decoded; "" if nothing */
};

/* --- answers; body is taken --- */

void call_reply(struct call *call, int status, const char *content_type, struct strbuf *body);
/* JSON, indented when prettyPrint asks for it. */
void call_reply_json(struct call *call, int status, struct strbuf *body);

/* --- params.c: texts to values; errors are in the words of Jaeger, which people are shown --- */

/* Like Go's strconv.ParseInt(text, 10, bits). */
bool parse_int(const char *text, unsigned bits, int64_t *out, struct error *err) MUST_CHECK;
/* 1 to 32 hex digits, or base64 of 8 or 16 bytes where base64 is set. */
bool parse_trace_id(const char *text, bool base64, struct trace_id *out,
                    struct error *err) MUST_CHECK;
/* Decimal nanoseconds, or RFC 3339 (a space for the T or before the zone is accepted). */
bool parse_time(const char *text, uint64_t *ns, struct error *err) MUST_CHECK;
bool parse_bool(const char *text, bool *out, struct error *err) MUST_CHECK;

/* As Jaeger writes it: 16 digits when the upper half is zero, else 32. */
void trace_id_text(const struct trace_id *id, char out[TRACE_ID_TEXT]);

/* value * factor, at most UINT64_MAX - 1; negative values are 0. */
uint64_t scaled(int64_t value, uint64_t factor);

/* --- search.c: a search as parameters spell it --- */

enum time_style { TIME_MICROSECONDS, TIME_NANOSECONDS }; /* Jaeger's, ours */

struct search {
    struct trace_filter filter; /* points into the call's request and into arena */
    struct filter_tag tags[TAGS_MAX];
    struct arena arena;
    bool raw;
};

/* Deinit in either case. */
bool search_parse(const struct call *call, enum time_style style, struct search *search,
                  struct error *err) MUST_CHECK;
void search_deinit(struct search *search);

/* --- jaeger_json.c --- */

/* A trace object of Jaeger's API. raw: without the adjusters. */
void jaeger_put_trace(struct strbuf *out, struct trace_view *view, bool raw);

/* --- pretty.c --- */

/* The same JSON with 4 spaces a level, as Go's json.MarshalIndent lays it out. */
void json_indent(struct slice json, struct strbuf *out);

/* --- endpoints --- */

void jaeger_services(struct call *call);
void jaeger_service_operations(struct call *call);
void jaeger_operations(struct call *call);
void jaeger_search(struct call *call);
void jaeger_trace(struct call *call);
void jaeger_metrics(struct call *call);
void jaeger_dependencies(struct call *call); /* dependencies.c */

/* Jaeger's envelope around an error. */
void jaeger_reply_error(struct call *call, int status, const char *message);
/* …and around data: put what belongs into data between begin and reply. */
void jaeger_begin(struct strbuf *out);
void jaeger_reply(struct call *call, struct strbuf *out, size_t total);

void api_services(struct call *call);
void api_operations(struct call *call);
void api_search(struct call *call);
void api_trace(struct call *call);
void api_finish(struct call *call);
void api_status(struct call *call);

/* What the caller is told when the pipeline says no. */
int status_of_error(const struct error *err);

#endif
