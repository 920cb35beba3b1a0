/*
 * http_exchange.c - one HTTP request and its answer, for the command line (export.h).
 */

#include "http_client.h"

#include <spangate/base/clock.h>
#include <stdlib.h>
#include <string.h>

static size_t take_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct strbuf *out = ctx;

    strbuf_append(out, bytes, size * count);
    return out->overflow ? 0 : size * count;
}

static void set_method(CURL *easy, const char *method, struct slice body)
{
    if (body.len > 0 || strcmp(method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.len == 0 ? "" : (const void *)body.data);
    }
    if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    }
}

bool http_exchange(const char *method, const char *url, const char *content_type, struct slice body,
                   uint64_t timeout_ns, int *status, struct strbuf *out, struct error *err)
{
    char reason[CURL_ERROR_SIZE] = "";
    char type_line[256];
    long code = 0;
    CURL *easy = http_client_new();
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");

    if (content_type != NULL) {
        (void)snprintf(type_line, sizeof(type_line), "Content-Type: %s", content_type);
        headers = curl_slist_append(headers, type_line);
    }
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)((timeout_ns + NS_PER_MS - 1) / NS_PER_MS));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, out);
    set_method(easy, method, body);

    CURLcode rc = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    if (rc == CURLE_OK) {
        *status = (int)code;
        return true;
    }

    char *shown = http_shown_url(url);
    enum error_code kind = rc == CURLE_URL_MALFORMAT || rc == CURLE_UNSUPPORTED_PROTOCOL
                               ? ERR_INVALID
                               : ERR_UNAVAILABLE;
    if (rc == CURLE_WRITE_ERROR && out->overflow) {
        (void)error_set(err, ERR_TOO_LARGE, "%s: the answer is larger than %zu bytes", shown,
                        out->limit);
    } else {
        (void)error_set(err, kind, "%s: %s", shown,
                        reason[0] != '\0' ? reason : curl_easy_strerror(rc));
    }
    free(shown);
    return false;
}
