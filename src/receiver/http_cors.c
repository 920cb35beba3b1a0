/*
 * http_cors.c - browsers that send telemetry to another origin: the CORS protocol of the Fetch
 * standard. Off unless origins are configured.
 *
 * An origin that matched is echoed and may send credentials. One that is allowed only because
 * everybody is ("*") gets "*" and may not: the two together would hand every page the user's
 * cookies.
 */
#include "http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BASE_HEADERS                                                                               \
    "content-type, content-encoding, authorization, traceparent, tracestate, x-requested-with"

/* Exact, or with one '*' that stands for anything. Scheme and host have no case. */
static bool origin_matches(const char *pattern, const char *origin)
{
    const char *star = strchr(pattern, '*');
    size_t len = strlen(origin);

    if (star == NULL) {
        return strcasecmp(pattern, origin) == 0;
    }
    size_t before = (size_t)(star - pattern);
    size_t after = strlen(star + 1);
    return len >= before + after && strncasecmp(pattern, origin, before) == 0 &&
           strcasecmp(star + 1, origin + len - after) == 0;
}

/* What Access-Control-Allow-Origin says; NULL: nothing. */
static const char *allowed_origin(const struct cors_settings *cors, const char *origin)
{
    const char *answer = NULL;

    for (size_t i = 0; i < cors->allowed_origin_count && answer != origin; i++) {
        if (strcmp(cors->allowed_origins[i], "*") == 0) {
            answer = "*";
        } else if (origin_matches(cors->allowed_origins[i], origin)) {
            answer = origin;
        }
    }
    return answer;
}

/* A list of header names: tokens, commas and spaces (RFC 9110 section 5.6.2). */
static bool is_header_list(const char *text)
{
    return text != NULL && strlen(text) <= 1024 &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "!#$%&'*+-.^_`|~, ")] == '\0';
}

static void allowed_headers(const struct cors_settings *cors, const char *asked, struct strbuf *out)
{
    strbuf_append_text(out, BASE_HEADERS);
    for (size_t i = 0; i < cors->allowed_header_count; i++) {
        const char *name = cors->allowed_headers[i];
        if (strcmp(name, "*") == 0) {
            /* A literal * would not cover credentials. */
            name = is_header_list(asked) && asked[0] != '\0' ? asked : NULL;
        }
        if (name != NULL) {
            strbuf_printf(out, ", %s", name);
        }
    }
}

size_t cors_headers(const struct cors_settings *cors, const struct httpd_request *request,
                    struct httpd_header_pair out[CORS_HEADERS_MAX])
{
    size_t n = 0;

    if (cors->allowed_origin_count == 0) {
        return 0;
    }
    const char *origin = httpd_header(request, "Origin");
    const char *allowed = origin != NULL ? allowed_origin(cors, origin) : NULL;
    out[n++] = (struct httpd_header_pair){"Vary", "Origin"};
    if (allowed == NULL) {
        return n;
    }
    out[n++] = (struct httpd_header_pair){"Access-Control-Allow-Origin", allowed};
    if (allowed == origin) {
        out[n++] = (struct httpd_header_pair){"Access-Control-Allow-Credentials", "true"};
    }
    out[n++] = (struct httpd_header_pair){"Access-Control-Expose-Headers", "Retry-After"};
    return n;
}

bool cors_preflight(const struct cors_settings *cors, struct httpd_request *request)
{
    struct httpd_header_pair headers[CORS_HEADERS_MAX];
    struct strbuf names;
    char max_age[24];
    size_t n = 0;

    if (cors->allowed_origin_count == 0 || strcmp(httpd_method(request), "OPTIONS") != 0) {
        return false;
    }
    const char *origin = httpd_header(request, "Origin");
    const char *method = httpd_header(request, "Access-Control-Request-Method");
    if (origin == NULL || method == NULL) {
        return false;
    }

    strbuf_init(&names, 4096);
    headers[n++] = (struct httpd_header_pair){
        "Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"};
    const char *allowed = allowed_origin(cors, origin);
    if (allowed != NULL && strcmp(method, "POST") == 0) {
        allowed_headers(cors, httpd_header(request, "Access-Control-Request-Headers"), &names);
        headers[n++] = (struct httpd_header_pair){"Access-Control-Allow-Origin", allowed};
        headers[n++] = (struct httpd_header_pair){"Access-Control-Allow-Methods", "POST"};
        headers[n++] = (struct httpd_header_pair){"Access-Control-Allow-Headers", names.data};
        if (allowed == origin) {
            headers[n++] = (struct httpd_header_pair){"Access-Control-Allow-Credentials", "true"};
        }
        if (cors->max_age_s > 0) {
            (void)snprintf(max_age, sizeof(max_age), "%lld", (long long)cors->max_age_s);
            headers[n++] = (struct httpd_header_pair){"Access-Control-Max-Age", max_age};
        }
    }
    /* Who is not allowed gets the same status without permissions: the browser says no. */
    httpd_reply(request, 204, NULL, (struct slice){0}, headers, n, false);
    strbuf_deinit(&names);
    return true;
}
