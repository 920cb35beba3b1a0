/*
 * otlp_http.c - the driver otlp_http: OTLP/HTTP with protobuf or JSON bodies, by libcurl.
 *
 * One easy handle on one multi handle, so that connections are kept alive and another thread can
 * wake a transfer that must end. The body goes out from where the runner keeps it, or from a
 * buffer that is reused when it is compressed.
 *
 * Threads: the runner's thread; interrupt from any.
 */

#include "http_client.h"
#include "http_outcome.h"

#include <ctype.h>
#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    ANSWER_KEPT_MAX = 64 * 1024,        /* of a body: enough for any message */
    ANSWER_BYTES_MAX = 4 * 1024 * 1024, /* OTLP: more than that is cut off */
    UPLOAD_BUFFER = 256 * 1024,
    POLL_MS = 1000,
};

struct target {
    char *url;   /* NULL: nothing configured for the signal */
    char *shown; /* for messages */
};

struct sink {
    const struct otlp_http_settings *settings;
    struct target targets[OTLP_SIGNALS];
    CURL *easy;
    CURLM *multi;
    struct curl_slist *headers;
    struct curl_slist *connect_to;
    struct strbuf packed; /* the compressed body */
    struct strbuf answer; /* the beginning of its answer */
    size_t answer_bytes;
    char reason[CURL_ERROR_SIZE];
    atomic_bool interrupted;
};

/* --- open --- */

static bool has_line_break(const char *text)
{
    return strpbrk(text, "\r\n") != NULL;
}

/* Headers that the driver decides about. */
static bool is_own_header(const char *name)
{
    static const char *const own[] = {"content-type", "content-encoding", "content-length",
                                      "transfer-encoding", "expect"};

    for (size_t i = 0; i < COUNT_OF(own); i++) {
        if (strcasecmp(name, own[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void add_header(struct sink *sink, const char *name, const char *value)
{
    /* libcurl leaves "name:" out and sends "name;" as a header without value. */
    char *line = value[0] == '\0' ? mem_printf("%s;", name) : mem_printf("%s: %s", name, value);

    sink->headers = curl_slist_append(sink->headers, line);
    free(line);
}

static bool add_headers(struct sink *sink, struct error *err)
{
    const struct otlp_http_settings *settings = sink->settings;

    add_header(sink, "Content-Type", otlp_content_type(settings->json ? OTLP_JSON : OTLP_PROTOBUF));
    if (settings->compression != CODEC_NONE) {
        add_header(sink, "Content-Encoding", codec_name(settings->compression));
    }
    sink->headers = curl_slist_append(sink->headers, "Expect:"); /* no waiting for 100-continue */
    for (size_t i = 0; i < settings->header_count; i++) {
        const char *name = settings->headers[i].name;
        const char *value = settings->headers[i].value == NULL ? "" : settings->headers[i].value;
        if (name[0] == '\0' || strpbrk(name, ":; \t") != NULL || has_line_break(name) ||
            has_line_break(value)) {
            return error_set(err, ERR_INVALID,
                             "headers: \"%s\" is no header name, or its value has a line break",
                             name);
        }
        if (!is_own_header(name)) {
            add_header(sink, name, value);
        }
    }
    return true;
}

static bool check_file(const char *key, const char *path, struct error *err)
{
    return path == NULL || access(path, R_OK) == 0 ||
           error_set(err, ERR_INVALID, "tls: %s: cannot read %s", key, path);
}

static bool set_tls(struct sink *sink, struct error *err)
{
    const struct tls_client_settings *tls = &sink->settings->tls;

    if (!check_file("ca_file", tls->ca_file, err) ||
        !check_file("cert_file", tls->cert_file, err) ||
        !check_file("key_file", tls->key_file, err)) {
        return false;
    }
    if (tls->ca_file != NULL) {
        curl_easy_setopt(sink->easy, CURLOPT_CAINFO, tls->ca_file);
    }
    if (tls->cert_file != NULL) {
        curl_easy_setopt(sink->easy, CURLOPT_SSLCERT, tls->cert_file);
    }
    if (tls->key_file != NULL) {
        curl_easy_setopt(sink->easy, CURLOPT_SSLKEY, tls->key_file);
    }
    if (tls->insecure_skip_verify) {
        curl_easy_setopt(sink->easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(sink->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return true;
}

/*
 * Another name for the certificate than for the connection: libcurl takes the name from the URL,
 * so the URL gets it, and the connection is told where to go instead.
 */
static bool override_name(struct sink *sink, struct target *target, struct error *err)
{
    const char *name = sink->settings->tls.server_name_override;
    char *url;
    char *host;

    if (name == NULL || name[0] == '\0' || strncasecmp(target->url, "https:", 6) != 0) {
        return true;
    }
    if (!http_url_with_host(target->url, name, &url, &host, err)) {
        return false;
    }
    char *rule = mem_printf("%s::%s:", name, host);
    sink->connect_to = curl_slist_append(sink->connect_to, rule);
    free(rule);
    free(host);
    free(target->url);
    target->url = url;
    return true;
}

static bool set_targets(struct sink *sink, struct error *err)
{
    size_t count = 0;

    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        struct target *target = &sink->targets[signal];
        if (!http_signal_url(sink->settings, (enum otlp_signal)signal, &target->url, err)) {
            return false;
        }
        if (target->url == NULL) {
            continue;
        }
        count++;
        target->shown = http_shown_url(target->url);
        if (!override_name(sink, target, err)) {
            return false;
        }
    }
    return count > 0 || error_set(err, ERR_INVALID, "endpoint is missing");
}

/* The beginning of the answer is kept, the rest counted, and too much of it refused. */
static size_t take_answer(char *bytes, size_t size, size_t count, void *ctx)
{
    struct sink *sink = ctx;
    size_t len = size * count;
    size_t room = ANSWER_KEPT_MAX - sink->answer.len;

    strbuf_append(&sink->answer, bytes, len < room ? len : room);
    sink->answer_bytes += len;
    return sink->answer_bytes > ANSWER_BYTES_MAX ? 0 : len;
}

static void set_options(struct sink *sink)
{
    const struct otlp_http_settings *settings = sink->settings;

    curl_easy_setopt(sink->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(sink->easy, CURLOPT_QUICK_EXIT, 1L); /* no waiting for a dead name server */
    curl_easy_setopt(sink->easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(sink->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
    curl_easy_setopt(sink->easy, CURLOPT_TIMEOUT_MS,
                     (long)((settings->timeout_ns + NS_PER_MS - 1) / NS_PER_MS));
    curl_easy_setopt(sink->easy, CURLOPT_ERRORBUFFER, sink->reason);
    curl_easy_setopt(sink->easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(sink->easy, CURLOPT_WRITEDATA, sink);
    curl_easy_setopt(sink->easy, CURLOPT_HTTPHEADER, sink->headers);
    if (sink->connect_to != NULL) {
        curl_easy_setopt(sink->easy, CURLOPT_CONNECT_TO, sink->connect_to);
    }
    if (settings->proxy_url != NULL && settings->proxy_url[0] != '\0') {
        curl_easy_setopt(sink->easy, CURLOPT_PROXY, settings->proxy_url);
    }
}

static void otlp_http_close(struct sink *sink)
{
    curl_easy_cleanup(sink->easy);
    curl_multi_cleanup(sink->multi);
    curl_slist_free_all(sink->headers);
    curl_slist_free_all(sink->connect_to);
    strbuf_deinit(&sink->packed);
    strbuf_deinit(&sink->answer);
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        free(sink->targets[signal].url);
        free(sink->targets[signal].shown);
    }
    free(sink);
}

static bool otlp_http_open(struct sink **out, const void *settings, struct error *err)
{
    struct sink *sink = mem_zalloc(1, sizeof(*sink));

    sink->settings = settings;
    sink->easy = http_client_new();
    sink->multi = curl_multi_init();
    if (sink->multi == NULL) {
        abort(); /* out of memory */
    }
    strbuf_init(&sink->packed, 0);
    strbuf_init(&sink->answer, ANSWER_KEPT_MAX);
    if (!set_targets(sink, err) || !add_headers(sink, err) || !set_tls(sink, err)) {
        otlp_http_close(sink);
        return false;
    }
    set_options(sink);
    *out = sink;
    return true;
}

static enum sink_encoding otlp_http_encoding(const struct sink *sink)
{
    return sink->settings->json ? SINK_JSON : SINK_PROTOBUF;
}

/* --- deliver --- */

static bool is_interrupted(struct sink *sink)
{
    return atomic_load_explicit(&sink->interrupted, memory_order_acquire);
}

/* Run the transfer to its end, or until somebody interrupts. */
static CURLcode transfer(struct sink *sink)
{
    CURLcode result = CURLE_ABORTED_BY_CALLBACK;
    CURLMcode rc = curl_multi_add_handle(sink->multi, sink->easy);
    int running = 1;

    while (rc == CURLM_OK && running > 0 && !is_interrupted(sink)) {
        rc = curl_multi_perform(sink->multi, &running);
        if (rc == CURLM_OK && running > 0) {
            rc = curl_multi_poll(sink->multi, NULL, 0, POLL_MS, NULL);
        }
    }
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(sink->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            result = message->data.result;
        }
    }
    (void)curl_multi_remove_handle(sink->multi, sink->easy);
    return result;
}

/* The body as it goes out. */
static bool pack(struct sink *sink, struct slice body, struct slice *out, struct error *err)
{
    const struct otlp_http_settings *settings = sink->settings;

    *out = body;
    if (settings->compression == CODEC_NONE) {
        return true;
    }
    strbuf_clear(&sink->packed);
    sink->packed.limit =
        body.len + body.len / 8 + 65536; /* what does not compress grows a little */
    if (!codec_deflate(settings->compression, settings->compression_level, body, &sink->packed,
                       err)) {
        return error_wrap(err, "compress %zu bytes", body.len);
    }
    *out = strbuf_slice(&sink->packed);
    return true;
}

/* Backends like to repeat what they did not accept, credentials included. */
static void redact(const struct sink *sink, char *message)
{
    const struct otlp_http_settings *settings = sink->settings;

    for (size_t i = 0; i < settings->header_count; i++) {
        const char *value = settings->headers[i].value;
        if (value == NULL) {
            continue;
        }
        const char *token = strrchr(value, ' '); /* of "Bearer …" */
        http_redact(message, value);
        if (token != NULL) {
            http_redact(message, token + 1);
        }
    }
}

static void judge(struct sink *sink, const struct sink_batch *batch, CURLcode rc,
                  struct sink_outcome *out)
{
    const char *shown = sink->targets[batch->signal].shown;
    long status = 0;
    char *content_type = NULL;
    curl_off_t retry_after_s = 0;

    curl_easy_getinfo(sink->easy, CURLINFO_RESPONSE_CODE, &status);
    /*
     * Once a status has come it counts, also when the body was cut off by us or by the backend:
     * after a 2xx the data is there.
     */
    if (status < 200) {
        *out = (struct sink_outcome){.verdict = SINK_RETRY};
        if (is_interrupted(sink)) {
            (void)error_set(&out->err, ERR_UNAVAILABLE, "%s: interrupted", shown);
        } else {
            (void)error_set(&out->err, ERR_UNAVAILABLE, "%s: %s", shown,
                            sink->reason[0] != '\0' ? sink->reason : curl_easy_strerror(rc));
        }
        return;
    }
    curl_easy_getinfo(sink->easy, CURLINFO_CONTENT_TYPE, &content_type);
    curl_easy_getinfo(sink->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    http_outcome(
        &(struct http_answer){
            .status = status,
            .content_type = content_type,
            .retry_after_ms = retry_after_s > 0 ? (uint64_t)retry_after_s * 1000 : 0,
            .body = strbuf_slice(&sink->answer),
            .body_is_whole = rc == CURLE_OK && sink->answer_bytes == sink->answer.len,
            .url = shown,
            .encoding = sink->settings->json ? OTLP_JSON : OTLP_PROTOBUF,
            .signal = batch->signal,
            .item_count = batch->item_count,
        },
        out);
    redact(sink, out->err.message);
}

static void otlp_http_deliver(struct sink *sink, const struct sink_batch *batch,
                              struct sink_outcome *out)
{
    const struct target *target = &sink->targets[batch->signal];
    struct slice body;

    *out = (struct sink_outcome){.verdict = SINK_REJECTED};
    if (target->url == NULL) {
        (void)error_set(&out->err, ERR_INVALID, "no endpoint is configured for this signal");
        return;
    }
    if (is_interrupted(sink)) {
        out->verdict = SINK_RETRY;
        (void)error_set(&out->err, ERR_UNAVAILABLE, "%s: interrupted", target->shown);
        return;
    }
    if (!pack(sink, batch->body, &body, &out->err)) {
        return;
    }
    strbuf_clear(&sink->answer);
    sink->answer_bytes = 0;
    sink->reason[0] = '\0';
    curl_easy_setopt(sink->easy, CURLOPT_URL, target->url);
    curl_easy_setopt(sink->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl_easy_setopt(sink->easy, CURLOPT_POSTFIELDS, body.len == 0 ? "" : (const void *)body.data);
    CURLcode rc = transfer(sink);
    judge(sink, batch, rc, out);
    curl_easy_setopt(sink->easy, CURLOPT_POSTFIELDS, ""); /* the body is the runner's again */
}

static void otlp_http_interrupt(struct sink *sink)
{
    atomic_store_explicit(&sink->interrupted, true, memory_order_release);
    (void)curl_multi_wakeup(sink->multi);
}

const struct sink_driver otlp_http_driver = {
    .type = "otlp_http",
    .open = otlp_http_open,
    .encoding = otlp_http_encoding,
    .deliver = otlp_http_deliver,
    .interrupt = otlp_http_interrupt,
    .close = otlp_http_close,
};
