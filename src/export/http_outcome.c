/*
 * http_outcome.c - the verdict on an HTTP answer (http_outcome.h).
 *
 * A 2xx is a success whatever its body says, because sending again would duplicate the data. The
 * partial success in it is read only when the content type is exactly the one we asked with.
 * Retried are the four statuses that OTLP names; everything else is final.
 */

#include "http_outcome.h"

#include <spangate/base/text.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { EXCERPT_MAX = 200, RETRY_AFTER_MAX_MS = 24 * 3600 * 1000 };

/* The media type without parameters, in any case. */
static bool media_type_is(const char *content_type, const char *name)
{
    size_t len = strlen(name);

    return content_type != NULL && strncasecmp(content_type, name, len) == 0 &&
           (content_type[len] == '\0' || content_type[len] == ';' || content_type[len] == ' ');
}

/* The beginning of a body as one line of text. */
static void excerpt(struct slice body, char *out, size_t cap)
{
    struct strbuf clean;
    size_t len = 0;
    bool gap = false;

    strbuf_init(&clean, 3 * EXCERPT_MAX);
    if (body.len > EXCERPT_MAX) {
        body.len = EXCERPT_MAX;
    }
    utf8_sanitize(body, &clean);
    for (size_t i = 0; i < clean.len && len + 2 < cap; i++) {
        unsigned char c = (unsigned char)clean.data[i];
        if (c <= ' ' || c == 0x7f) {
            gap = len > 0;
            continue;
        }
        if (gap) {
            out[len++] = ' ';
            gap = false;
        }
        out[len++] = (char)c;
    }
    out[len] = '\0';
    strbuf_deinit(&clean);
}

/* What the backend said: the message of a google.rpc.Status, otherwise the text of the body. */
static void error_text(const struct http_answer *answer, char *out, size_t cap,
                       uint64_t *retry_after_ms)
{
    /* Some send Status with a wrong type or none, but what is declared as text is text. */
    bool json = media_type_is(answer->content_type, "application/json");
    bool protobuf = answer->content_type == NULL ||
                    media_type_is(answer->content_type, "application/x-protobuf") ||
                    media_type_is(answer->content_type, "application/octet-stream");

    out[0] = '\0';
    if ((json || protobuf) && answer->body_is_whole &&
        status_decode(json ? OTLP_JSON : OTLP_PROTOBUF, answer->body, out, cap, retry_after_ms) &&
        out[0] != '\0') {
        char raw[EXCERPT_MAX + 1];
        (void)snprintf(raw, sizeof(raw), "%s", out);
        excerpt(slice_of(raw), out, cap); /* on one line */
        return;
    }
    excerpt(answer->body, out, cap);
}

static enum error_code error_code_of(long status)
{
    switch (status) {
    case 401:
    case 403:
        return ERR_UNAUTHENTICATED;
    case 404:
        return ERR_NOT_FOUND;
    case 413:
        return ERR_TOO_LARGE;
    case 405:
    case 415:
        return ERR_UNSUPPORTED;
    case 429:
        return ERR_LIMIT;
    case 502:
    case 503:
    case 504:
        return ERR_UNAVAILABLE;
    default:
        return ERR_INVALID;
    }
}

static enum sink_verdict verdict_of(long status)
{
    switch (status) {
    case 413:
        return SINK_TOO_LARGE;
    case 429:
    case 502:
    case 503:
    case 504:
        return SINK_RETRY;
    default:
        return SINK_REJECTED;
    }
}

static void delivered(const struct http_answer *answer, struct sink_outcome *out)
{
    char message[EXCERPT_MAX + 1];
    uint64_t rejected;

    out->verdict = SINK_DELIVERED;
    if (!answer->body_is_whole || answer->content_type == NULL ||
        strcmp(answer->content_type, otlp_content_type(answer->encoding)) != 0 ||
        !export_response_decode(answer->encoding, answer->signal, answer->body, &rejected, message,
                                sizeof(message))) {
        return;
    }
    out->rejected = rejected > answer->item_count ? answer->item_count : rejected;
    if (rejected > 0) {
        (void)error_set(&out->err, ERR_INVALID, "%s rejected %llu of %zu: %s", answer->url,
                        (unsigned long long)out->rejected, answer->item_count, message);
    }
}

void http_outcome(const struct http_answer *answer, struct sink_outcome *out)
{
    char text[EXCERPT_MAX + 1];
    uint64_t retry_info_ms = 0;

    *out = (struct sink_outcome){0};
    if (answer->status >= 200 && answer->status <= 299) {
        delivered(answer, out);
        return;
    }
    error_text(answer, text, sizeof(text), &retry_info_ms);
    out->verdict = verdict_of(answer->status);
    if (out->verdict == SINK_RETRY) {
        uint64_t wait_ms =
            answer->retry_after_ms > retry_info_ms ? answer->retry_after_ms : retry_info_ms;
        out->retry_after_ms = wait_ms > RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : wait_ms;
    }
    (void)error_set(&out->err, error_code_of(answer->status), "%ld from %s%s%s", answer->status,
                    answer->url, text[0] == '\0' ? "" : ": ", text);
}

void http_redact(char *message, const char *secret)
{
    size_t len = strlen(secret);

    /* Shorter ones are no secrets and would only tear holes into words. */
    if (len < 6) {
        return;
    }
    for (char *at = strstr(message, secret); at != NULL; at = strstr(at + len, secret)) {
        memset(at, '*', len);
    }
}
