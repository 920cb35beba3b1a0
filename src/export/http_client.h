/*
 * http_client.h - what the users of libcurl here share: its start, URLs, and names for the log.
 *
 * Threads: any.
 */
#ifndef SPANGATE_SRC_EXPORT_HTTP_CLIENT_H
#define SPANGATE_SRC_EXPORT_HTTP_CLIENT_H

#include <curl/curl.h>
#include <spangate/base/error.h>
#include <spangate/export/export.h>

#define HTTP_USER_AGENT "Spangate/" SPANGATE_VERSION

/* A new easy handle with what all requests have in common: http and https only, no redirects. */
CURL *http_client_new(void);

/*
 * Where to send a signal: signal_endpoint verbatim, or endpoint with /v1/<signal> exactly once.
 * *url is NULL when neither is set; release it with free(). ERR_INVALID: no URL that we can use.
 */
bool http_signal_url(const struct otlp_http_settings *settings, enum otlp_signal signal, char **url,
                     struct error *err) MUST_CHECK;

/* The URL without credentials, query and fragment, for messages. Release with free(). */
char *http_shown_url(const char *url);

/*
 * The URL with another host, the name that the certificate must have. *host is the real one; both
 * are released with free(). ERR_INVALID: no URL.
 */
bool http_url_with_host(const char *url, const char *name, char **out, char **host,
                        struct error *err) MUST_CHECK;

#endif
