/*
 * http_client.c - URLs and handles (http_client.h).
 */

#include "http_client.h"

#include <pthread.h>
#include <spangate/base/mem.h>
#include <stdlib.h>
#include <string.h>

static void start_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

CURL *http_client_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, start_curl);
    CURL *easy = curl_easy_init();
    if (easy == NULL) {
        abort(); /* out of memory */
    }
    curl_easy_setopt(easy, CURLOPT_USERAGENT, HTTP_USER_AGENT);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    /* One request at a time gains nothing from HTTP/2, and HTTP/1.1 costs a quarter of the CPU. */
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    return easy;
}

static CURLU *new_url(void)
{
    CURLU *url = curl_url();

    if (url == NULL) {
        abort();
    }
    return url;
}

/* A part of the URL as a heap string of ours; NULL when there is none. */
static char *url_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;

    if (curl_url_get(url, part, &text, 0) != CURLUE_OK) {
        return NULL;
    }
    char *copy = mem_strdup(text);
    curl_free(text);
    return copy;
}

/* Never shows the text itself: it may hold a password. */
static CURLU *parse_url(const char *key, const char *text, struct error *err)
{
    CURLU *url = new_url();
    CURLUcode rc = curl_url_set(url, CURLUPART_URL, text, 0);

    if (rc == CURLUE_OK) {
        char *scheme = url_part(url, CURLUPART_SCHEME);
        bool usable =
            scheme != NULL && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
        free(scheme);
        if (usable) {
            return url;
        }
        rc = CURLUE_UNSUPPORTED_SCHEME;
    }
    curl_url_cleanup(url);
    if (rc == CURLUE_BAD_SCHEME || rc == CURLUE_UNSUPPORTED_SCHEME) {
        (void)error_set(err, ERR_INVALID, "%s must begin with http:// or https://", key);
    } else {
        (void)error_set(err, ERR_INVALID, "%s is no URL: %s", key, curl_url_strerror(rc));
    }
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static char *joined_path(const char *base, const char *path)
{
    size_t len = strlen(base);

    while (len > 0 && base[len - 1] == '/') {
        len--;
    }
    char *trimmed = mem_strndup(base, len);
    char *joined =
        ends_with(trimmed, path) ? mem_strdup(trimmed) : mem_printf("%s%s", trimmed, path);
    free(trimmed);
    return joined;
}

bool http_signal_url(const struct otlp_http_settings *settings, enum otlp_signal signal, char **url,
                     struct error *err)
{
    static const char *const paths[OTLP_SIGNALS] = {
        [OTLP_TRACES] = "/v1/traces",
        [OTLP_METRICS] = "/v1/metrics",
        [OTLP_LOGS] = "/v1/logs",
    };
    static const char *const keys[OTLP_SIGNALS] = {
        [OTLP_TRACES] = "traces_endpoint",
        [OTLP_METRICS] = "metrics_endpoint",
        [OTLP_LOGS] = "logs_endpoint",
    };
    const char *verbatim = settings->signal_endpoint[signal];

    *url = NULL;
    if (verbatim != NULL && verbatim[0] != '\0') {
        CURLU *parsed = parse_url(keys[signal], verbatim, err);
        if (parsed == NULL) {
            return false;
        }
        curl_url_cleanup(parsed);
        *url = mem_strdup(verbatim);
        return true;
    }
    if (settings->endpoint == NULL || settings->endpoint[0] == '\0') {
        return true;
    }
    CURLU *parsed = parse_url("endpoint", settings->endpoint, err);
    if (parsed == NULL) {
        return false;
    }
    char *base = url_part(parsed, CURLUPART_PATH);
    char *path = joined_path(base == NULL ? "" : base, paths[signal]);
    CURLUcode rc = curl_url_set(parsed, CURLUPART_PATH, path, 0);
    *url = rc == CURLUE_OK ? url_part(parsed, CURLUPART_URL) : NULL;
    free(base);
    free(path);
    curl_url_cleanup(parsed);
    return *url != NULL || error_set(err, ERR_INVALID, "endpoint is no URL");
}

char *http_shown_url(const char *url)
{
    CURLU *parsed = new_url();
    char *shown = NULL;

    if (curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK) {
        (void)curl_url_set(parsed, CURLUPART_USER, NULL, 0);
        (void)curl_url_set(parsed, CURLUPART_PASSWORD, NULL, 0);
        (void)curl_url_set(parsed, CURLUPART_OPTIONS, NULL, 0);
        (void)curl_url_set(parsed, CURLUPART_QUERY, NULL, 0);
        (void)curl_url_set(parsed, CURLUPART_FRAGMENT, NULL, 0);
        shown = url_part(parsed, CURLUPART_URL);
    }
    curl_url_cleanup(parsed);
    return shown != NULL ? shown : mem_strdup("(no URL)");
}

bool http_url_with_host(const char *url, const char *name, char **out, char **host,
                        struct error *err)
{
    CURLU *parsed = parse_url("endpoint", url, err);

    if (parsed == NULL) {
        return false;
    }
    *host = url_part(parsed, CURLUPART_HOST);
    bool ok = curl_url_set(parsed, CURLUPART_HOST, name, 0) == CURLUE_OK;
    *out = ok ? url_part(parsed, CURLUPART_URL) : NULL;
    curl_url_cleanup(parsed);
    if (*host == NULL || *out == NULL) {
        free(*host);
        free(*out);
        return error_set(err, ERR_INVALID, "server_name_override is no host name");
    }
    return true;
}
