/*
 * query.c - the query port: who may ask, what there is, and the threads that answer.
 *
 * The epoll thread of httpd only sorts requests: foreign hosts, wrong methods, unknown paths and
 * the page's files are answered there; everything that looks at traces goes through a ring to a few
 * worker threads.
 *
 * Who may ask is decided before a body is read. Credentials are asked for where they are
 * configured. With or without them the port must not answer pages of other sites that a browser
 * on this machine happens to show: requests for a host that is not ours (DNS rebinding) and changes
 * asked for by another origin are refused.
 */
#include "query_private.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/text.h>
#include <spangate/net/address.h>
#include <spangate/web/web.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { THREADS_DEFAULT = 2, WAITING_MAX = 256, HOST_MAX = 256, BODY_MAX = 64 * 1024 };

/* --- endpoints --- */

typedef void handler_fn(struct call *call);

struct endpoint {
    const char *before, *after; /* after NULL: `before` is the whole path */
    const char *method;
    handler_fn *run;
};

/* In the order in which they are tried. */
static const struct endpoint endpoints[] = {
    {"/api/services", NULL, "GET", jaeger_services},
    {"/api/services/", "/operations", "GET", jaeger_service_operations},
    {"/api/operations", NULL, "GET", jaeger_operations},
    {"/api/traces", NULL, "GET", jaeger_search},
    {"/api/traces/", "", "GET", jaeger_trace},
    {"/api/dependencies", NULL, "GET", jaeger_dependencies},
    {"/api/metrics/", "", "GET", jaeger_metrics},
    {"/api/v1/services", NULL, "GET", api_services},
    {"/api/v1/operations", NULL, "GET", api_operations},
    {"/api/v1/traces", NULL, "GET", api_search},
    {"/api/v1/traces/", "/finish", "POST", api_finish},
    {"/api/v1/traces/", "", "GET", api_trace},
    {"/api/v1/status", NULL, "GET", api_status},
};

/* Whether a path has the shape before*after with something in the middle. */
static bool has_shape(const char *path, const struct endpoint *endpoint)
{
    size_t len = strlen(path);
    size_t before = strlen(endpoint->before);
    size_t after = strlen(endpoint->after);

    return len > before + after && strncmp(path, endpoint->before, before) == 0 &&
           strcmp(path + len - after, endpoint->after) == 0;
}

static const struct endpoint *find_endpoint(const struct httpd_request *request)
{
    for (size_t i = 0; i < COUNT_OF(endpoints); i++) {
        const struct endpoint *endpoint = &endpoints[i];
        /* A name in the middle may hold an encoded slash: shapes are looked for before decoding. */
        if (endpoint->after == NULL ? strcmp(httpd_path(request), endpoint->before) == 0
                                    : has_shape(httpd_raw_path(request), endpoint)) {
            return endpoint;
        }
    }
    return NULL;
}

/* The part of the path between `before` and `after`, decoded. Release with free(). */
static char *name_in_path(const struct httpd_request *request, const struct endpoint *endpoint)
{
    if (endpoint->after == NULL) {
        return mem_strdup("");
    }
    const char *raw = httpd_raw_path(request) + strlen(endpoint->before);
    size_t len = strlen(raw) - strlen(endpoint->after);
    char *name = mem_alloc(len + 1);
    char *to = name;

    for (size_t i = 0; i < len; i++) {
        uint8_t byte;
        if (raw[i] == '%' && len - i > 2 &&
            hex_decode((struct slice){(const uint8_t *)raw + i + 1, 2}, &byte, 1) && byte != 0) {
            *to++ = (char)byte;
            i += 2;
        } else {
            *to++ = raw[i];
        }
    }
    *to = '\0';
    return name;
}

/* --- answers --- */

static const struct httpd_header_pair api_headers[] = {
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-store"},
};

static const struct httpd_header_pair page_headers[] = {
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-cache"},
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
     "require-trusted-types-for 'script'"},
};

static void reply_text(struct httpd_request *request, int status, const char *text)
{
    httpd_reply(request, status, "text/plain; charset=utf-8", slice_of(text), api_headers,
                COUNT_OF(api_headers), false);
}

static void reply_not_allowed(struct httpd_request *request, const char *method)
{
    const struct httpd_header_pair headers[] = {
        api_headers[0],
        api_headers[1],
        api_headers[2],
        {"Allow", strcmp(method, "GET") == 0 ? "GET, HEAD" : method},
    };

    httpd_reply(request, 405, "text/plain; charset=utf-8", slice_of("method not allowed\n"),
                headers, COUNT_OF(headers), false);
}

void call_reply(struct call *call, int status, const char *content_type, struct strbuf *body)
{
    httpd_reply_text(call->request, status, content_type, body, api_headers, COUNT_OF(api_headers),
                     false);
}

void call_reply_json(struct call *call, int status, struct strbuf *body)
{
    const char *pretty = httpd_query(call->request, "prettyPrint", 0);

    if (pretty != NULL && pretty[0] != '\0' && strcmp(pretty, "false") != 0) {
        struct strbuf indented;
        strbuf_init(&indented, ANSWER_BYTES_MAX);
        json_indent(strbuf_slice(body), &indented);
        if (indented.overflow) { /* better dense than cut */
            strbuf_deinit(&indented);
        } else {
            strbuf_deinit(body);
            *body = indented;
        }
    }
    call_reply(call, status, "application/json", body);
}

int status_of_error(const struct error *err)
{
    switch (err->code) {
    case ERR_NOT_FOUND:
        return 404;
    case ERR_INVALID:
        return 400;
    case ERR_LIMIT:
    case ERR_UNAVAILABLE:
        return 503;
    case ERR_NONE:
    case ERR_TOO_LARGE:
    case ERR_CORRUPT:
    case ERR_UNSUPPORTED:
    case ERR_UNAUTHENTICATED:
    case ERR_IN_USE:
        break;
    }
    return 500;
}

/* --- who may ask --- */

/* The host of "host", "host:port", "[::1]:port" in lower case, without brackets and a last dot. */
static bool host_of(const char *text, char out[HOST_MAX])
{
    size_t len;

    if (text[0] == '[') {
        text++;
        len = strcspn(text, "]");
        if (text[len] != ']') {
            return false;
        }
    } else {
        const char *colon = strchr(text, ':');
        /* Two colons without brackets: a bare IPv6 address. */
        len =
            colon != NULL && strchr(colon + 1, ':') == NULL ? (size_t)(colon - text) : strlen(text);
    }
    if (len == 0 || len >= HOST_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        out[i] = (char)tolower((unsigned char)text[i]);
    }
    len -= len > 1 && out[len - 1] == '.';
    out[len] = '\0';
    return true;
}

static bool is_address(const char *host)
{
    struct in6_addr any;

    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static bool host_is_allowed(const struct query *query, const char *text)
{
    char host[HOST_MAX];

    if (!host_of(text, host)) {
        return false;
    }
    for (size_t i = 0; i < query->host_count; i++) {
        if (strcmp(query->hosts[i], host) == 0) {
            return true;
        }
    }
    /* A number cannot be made to point elsewhere as a name can. */
    return query->any_address && is_address(host);
}

/* Whether a change is asked for by our own page, or by something that is no browser. */
static bool origin_is_allowed(const struct query *query, const struct httpd_request *request)
{
    const char *origin = httpd_header(request, "Origin");
    const char *site = httpd_header(request, "Sec-Fetch-Site");

    if (site != NULL && strcasecmp(site, "same-origin") != 0 && strcasecmp(site, "none") != 0) {
        return false;
    }
    if (origin == NULL) {
        return true;
    }
    const char *authority = strstr(origin, "://");
    return authority != NULL && host_is_allowed(query, authority + 3);
}

/* --- requests --- */

static bool find_header(void *ctx, const char *name, struct slice *value)
{
    const char *text = httpd_header(ctx, name);

    *value = text != NULL ? slice_of(text) : (struct slice){0};
    return text != NULL;
}

static bool is_known(const struct query *query, struct httpd_request *request)
{
    struct error err;

    if (query->auth == NULL || auth_check(query->auth, find_header, request, &err)) {
        return true;
    }
    bool limit = err.code == ERR_LIMIT;
    const struct httpd_header_pair headers[] = {
        api_headers[0],
        api_headers[1],
        api_headers[2],
        limit ? (struct httpd_header_pair){"Retry-After", "1"}
              : (struct httpd_header_pair){"WWW-Authenticate", auth_challenge(query->auth)},
    };
    log_warn("query", "request refused", "peer=%s error=\"%s\"", httpd_peer(request), err.message);
    httpd_reply(request, limit ? 429 : 401, "text/plain; charset=utf-8",
                slice_of(limit ? "try again later\n" : "credentials are missing or wrong\n"),
                headers, COUNT_OF(headers), false);
    return false;
}

/* Whether the request was answered here. */
static bool refuse(const struct query *query, struct httpd_request *request)
{
    const char *host = httpd_header(request, "Host");
    const char *method = httpd_method(request);
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;

    /* Without a Host it is HTTP/1.0: no browser. */
    if (host != NULL && !host_is_allowed(query, host)) {
        reply_text(request, 421,
                   "This name is not served here; query.allowed_hosts lists those that are.\n");
        return true;
    }
    if (!reads && !origin_is_allowed(query, request)) {
        reply_text(request, 403, "Changes are not taken from other sites.\n");
        return true;
    }
    return !is_known(query, request);
}

static bool method_fits(const char *method, const struct endpoint *endpoint)
{
    return strcmp(method, endpoint->method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(endpoint->method, "GET") == 0);
}

static void reply_file(struct httpd_request *request)
{
    const char *path = httpd_path(request);
    bool reads =
        strcmp(httpd_method(request), "GET") == 0 || strcmp(httpd_method(request), "HEAD") == 0;
    const struct web_file *file = strncmp(path, "/api/", 5) == 0 ? NULL : web_find(path);

    if (file == NULL) {
        reply_text(request, 404, "404 page not found\n");
    } else if (!reads) {
        reply_not_allowed(request, "GET");
    } else {
        httpd_reply(request, 200, file->content_type, file->content, page_headers,
                    COUNT_OF(page_headers), false);
    }
}

static size_t on_headers(void *ctx, struct httpd_request *request)
{
    return refuse(ctx, request) ? 0 : BODY_MAX;
}

static void on_request(void *ctx, struct httpd_request *request)
{
    struct query *query = ctx;
    const struct endpoint *endpoint = find_endpoint(request);
    if (endpoint == NULL) {
        reply_file(request);
        return;
    }
    if (!method_fits(httpd_method(request), endpoint)) {
        reply_not_allowed(request, endpoint->method);
        return;
    }
    if (!ring_push(&query->calls, request)) {
        static const struct httpd_header_pair retry = {"Retry-After", "1"};
        httpd_reply(request, 503, "text/plain; charset=utf-8",
                    slice_of("too many queries at once, try again later\n"), &retry, 1, false);
    }
}

static void worker_run(void *arg)
{
    struct query *query = arg;
    void *item;

    while (ring_pop_wait(&query->calls, &item, 1, UINT64_MAX) == 1) {
        struct httpd_request *request = item;
        const struct endpoint *endpoint = find_endpoint(request);
        char *name = name_in_path(request, endpoint);
        struct call call = {.query = query, .request = request, .name = name};
        endpoint->run(&call);
        free(name);
    }
}

/* --- open and close --- */

static void add_host(struct query *query, const char *text)
{
    char host[HOST_MAX];

    if (host_of(text, host)) {
        query->hosts[query->host_count++] = mem_strdup(host);
    }
}

static bool collect_hosts(struct query *query, const struct query_config *config, struct error *err)
{
    char own[HOST_MAX];
    uint16_t port;

    if (!address_split(config->endpoint, own, sizeof(own), &port, err)) {
        return false;
    }
    query->hosts = mem_zalloc(config->allowed_host_count + 4, sizeof(char *));
    add_host(query, "localhost");
    add_host(query, "127.0.0.1");
    add_host(query, "::1");
    query->any_address = own[0] == '\0' || strcmp(own, "0.0.0.0") == 0 || strcmp(own, "::") == 0;
    if (!query->any_address) {
        add_host(query, own);
    }
    for (size_t i = 0; i < config->allowed_host_count; i++) {
        add_host(query, config->allowed_hosts[i]);
    }
    return true;
}

static void free_query(struct query *query)
{
    ring_deinit(&query->calls);
    auth_free(query->auth);
    for (size_t i = 0; i < query->host_count; i++) {
        free(query->hosts[i]);
    }
    free(query->hosts);
    free(query->threads);
    free(query);
}

bool query_open(struct query **out, const struct query_config *config, struct pipeline *pipeline,
                const struct query_status_source *status, struct error *err)
{
    struct query *query = mem_zalloc(1, sizeof(*query));

    query->pipeline = pipeline;
    query->status = status != NULL ? *status : (struct query_status_source){0};
    ring_init(&query->calls, WAITING_MAX);
    struct httpd_config http = {
        .name = "query",
        .endpoint = config->endpoint,
        .on_headers = on_headers,
        .on_request = on_request,
        .ctx = query,
        .tls = config->tls,
    };
    if ((config->auth != NULL && !auth_new(&query->auth, config->auth, err)) ||
        !collect_hosts(query, config, err) || !httpd_start(&query->httpd, &http, err)) {
        free_query(query);
        return error_wrap(err, "query port");
    }
    query->thread_count = config->threads > 0 ? config->threads : THREADS_DEFAULT;
    query->threads = mem_zalloc(query->thread_count, sizeof(*query->threads));
    for (size_t i = 0; i < query->thread_count; i++) {
        thread_start(&query->threads[i], "query-worker", worker_run, query);
    }
    *out = query;
    return true;
}

uint16_t query_port(const struct query *query)
{
    return httpd_port(query->httpd);
}

void query_close(struct query *query)
{
    if (query == NULL) {
        return;
    }
    httpd_drain(query->httpd);
    ring_close(&query->calls); /* what waits is still answered */
    for (size_t i = 0; i < query->thread_count; i++) {
        thread_join(&query->threads[i]);
    }
    httpd_stop(query->httpd);
    free_query(query);
}
