/*
 * request.c - the request line taken apart, and what handlers may ask of a request.
 *
 * libmicrohttpd decodes the target in place; we keep our own copy from before that, because a
 * service name may hold an encoded slash.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <spangate/base/mem.h>
#include <spangate/base/text.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Decode %XX, and '+' as a space if asked. %00 and broken sequences stay as they are. */
static size_t percent_decode(const char *from, size_t len, bool plus, char *to)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++) {
        char c = from[i];
        uint8_t byte;
        if (c == '%' && len - i > 2 &&
            hex_decode((struct slice){(const uint8_t *)from + i + 1, 2}, &byte, 1) && byte != 0) {
            c = (char)byte;
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        to[out++] = c;
    }
    to[out] = '\0';
    return out;
}

static void collapse_slashes(char *path)
{
    char *to = path;

    for (const char *from = path; *from != '\0'; from++) {
        if (*from == '/' && to > path && to[-1] == '/') {
            continue;
        }
        *to++ = *from;
    }
    *to = '\0';
}

/* Length of "scheme://" in front of an absolute-form target, or 0. */
static size_t scheme_len(const char *target)
{
    size_t n = strspn(target, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

    return n > 0 && strncmp(target + n, "://", 3) == 0 ? n + 3 : 0;
}

static char *put(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    at[len] = '\0';
    return at + len + 1;
}

void request_set_target(struct httpd_request *request, const char *target)
{
    size_t len = strlen(target);
    size_t need = 2 * len + 8;

    if (request->text_cap < need) {
        free(request->text);
        request->text = mem_alloc(need);
        request->text_cap = need;
    }

    char *at = request->text;
    size_t scheme = scheme_len(target);
    request->authority = NULL;
    if (scheme > 0) {
        size_t n = strcspn(target + scheme, "/?");
        request->authority = at;
        at = put(at, target + scheme, n);
        target += scheme + n;
    }

    size_t path_len = strcspn(target, "?");
    request->raw_path = at;
    at = path_len > 0 ? put(at, target, path_len) : put(at, "/", 1);
    target += path_len;
    request->query = at;
    at = *target == '?' ? put(at, target + 1, strlen(target + 1)) : put(at, "", 0);
    request->path = at;
    (void)percent_decode(request->raw_path, strlen(request->raw_path), false, at);
    collapse_slashes(at);
}

const char *httpd_method(const struct httpd_request *request)
{
    return request->method;
}

const char *httpd_path(const struct httpd_request *request)
{
    return request->path;
}

const char *httpd_raw_path(const struct httpd_request *request)
{
    return request->raw_path;
}

const char *httpd_header(const struct httpd_request *request, const char *name)
{
    /* RFC 9112 section 3.2.2: the authority of an absolute-form target is the host, whatever Host
     * says. */
    if (request->authority != NULL && strcasecmp(name, "host") == 0) {
        return request->authority;
    }
    return MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, name);
}

const char *httpd_query(const struct httpd_request *request, const char *name, size_t n)
{
    /* The arena is a cache inside a request that is the caller's for now. */
    struct httpd_request *own = &request->connection->request;
    size_t name_len = strlen(name);

    if (!own->decoded_used) {
        arena_init(&own->decoded);
        own->decoded_used = true;
    }
    for (const char *at = request->query; *at != '\0';) {
        size_t len = strcspn(at, "&");
        const char *equals = memchr(at, '=', len);
        size_t key_len = equals != NULL ? (size_t)(equals - at) : len;
        const char *value = equals != NULL ? equals + 1 : at + len;
        size_t value_len = len - (size_t)(value - at);

        char *key = arena_alloc(&own->decoded, key_len + 1);
        if (percent_decode(at, key_len, true, key) == name_len &&
            memcmp(key, name, name_len) == 0 && n-- == 0) {
            char *text = arena_alloc(&own->decoded, value_len + 1);
            (void)percent_decode(value, value_len, true, text);
            return text;
        }
        at += len;
        at += *at == '&';
    }
    return NULL;
}

struct buf *httpd_body(struct httpd_request *request)
{
    return request->body;
}

struct buf *httpd_take_body(struct httpd_request *request)
{
    struct buf *body = request->body;

    request->body = NULL;
    return body;
}

const char *httpd_peer(const struct httpd_request *request)
{
    struct connection *connection = request->connection;

    if (connection->peer[0] == '\0') {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        const struct sockaddr *address = info != NULL ? info->client_addr : NULL;
        const void *ip = NULL;
        if (address != NULL && address->sa_family == AF_INET) {
            ip = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
        } else if (address != NULL && address->sa_family == AF_INET6) {
            ip = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        }
        if (ip == NULL || inet_ntop(address->sa_family, ip, connection->peer,
                                    (socklen_t)sizeof(connection->peer)) == NULL) {
            memcpy(connection->peer, "unknown", sizeof("unknown"));
        }
    }
    return connection->peer;
}

void httpd_set_ctx(struct httpd_request *request, void *ctx)
{
    request->ctx = ctx;
}

void *httpd_ctx(const struct httpd_request *request)
{
    return request->ctx;
}
