/*
 * otlp_grpc.c - the driver otlp_grpc: one HTTP/2 connection, one Export call a batch.
 *
 * An uncompressed body is sent from where the runner keeps it: only the five bytes before it are
 * ours. Names of metadata are lower-cased, values go out as configured (for names in -bin: already
 * in base64).
 *
 * Threads: the runner's thread; interrupt from any.
 */
#include "grpc_outcome.h"

#include <ctype.h>
#include <inttypes.h>
#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/export/export.h>
#include <spangate/net/address.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { FRAME_HEAD = 5, HOST_MAX = 256, OWN_HEADERS = 10, CONFIGURED_HEADERS_MAX = 48 };

#define DEFAULT_TIMEOUT_NS (5 * NS_PER_S)

struct grpc_sink {
    const struct otlp_grpc_settings *settings;
    struct h2_client *client;
    bool tls;
    char *authority;
    char *user_agent;
    char timeout[16]; /* value of grpc-timeout */
    uint64_t timeout_ns;
    struct h2_header configured[CONFIGURED_HEADERS_MAX];
    char *names[CONFIGURED_HEADERS_MAX]; /* lower-cased */
    size_t configured_count;
    struct h2_response response;
    struct strbuf packed; /* frame with a compressed message, kept between batches */
};

static const char *const paths[OTLP_SIGNALS] = {
    [OTLP_TRACES] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    [OTLP_METRICS] = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    [OTLP_LOGS] = "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
};

/* --- open --- */

struct target {
    char host[HOST_MAX];
    uint16_t port;
    bool tls;
    char *authority; /* release with free() */
};

static bool starts_with(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/*
 * host:port, http://host[:port] or https://host[:port], as the Collector takes them: a scheme
 * decides about TLS, without one tls.insecure does.
 */
static bool parse_endpoint(const struct otlp_grpc_settings *settings, struct target *out,
                           struct error *err)
{
    const char *rest = settings->endpoint;
    const char *fallback_port = NULL;

    out->tls = !settings->tls.insecure;
    if (starts_with(rest, "http://")) {
        rest += strlen("http://");
        out->tls = false;
        fallback_port = "80";
    } else if (starts_with(rest, "https://")) {
        rest += strlen("https://");
        out->tls = true;
        fallback_port = "443";
    } else if (starts_with(rest, "dns:///")) {
        rest += strlen("dns:///");
    } else if (strstr(rest, "://") != NULL) {
        return error_set(err, ERR_INVALID,
                         "endpoint \"%s\": the scheme must be http, https or left out",
                         settings->endpoint);
    }
    size_t len = strcspn(rest, "/");
    if (rest[len] == '/' && rest[len + 1] != '\0') {
        return error_set(err, ERR_INVALID,
                         "endpoint \"%s\": OTLP/gRPC has no path; use otlp_http for one",
                         settings->endpoint);
    }
    const char *bracket = memchr(rest, ']', len);
    const char *from = bracket != NULL ? bracket : rest;
    bool has_port = memchr(from, ':', len - (size_t)(from - rest)) != NULL;
    char *authority = has_port || fallback_port == NULL
                          ? mem_strndup(rest, len)
                          : mem_printf("%.*s:%s", (int)len, rest, fallback_port);
    if (!address_split(authority, out->host, sizeof(out->host), &out->port, err)) {
        free(authority);
        return error_wrap(err, "endpoint");
    }
    if (out->host[0] == '\0' || out->port == 0) {
        (void)error_set(err, ERR_INVALID, "endpoint \"%s\" has no %s", settings->endpoint,
                        out->port == 0 ? "port" : "host");
        free(authority);
        return false;
    }
    out->authority = authority;
    return true;
}

static char *lower_case(const char *text)
{
    char *copy = mem_strdup(text);

    for (char *at = copy; *at != '\0'; at++) {
        *at = (char)tolower((unsigned char)*at);
    }
    return copy;
}

/* What HTTP/2 allows in a name, and no name that is ours to set. */
static bool check_header(const char *name, const char *value, struct error *err)
{
    static const char *const ours[] = {"te",
                                       "content-type",
                                       "grpc-timeout",
                                       "grpc-encoding",
                                       "grpc-accept-encoding",
                                       "user-agent",
                                       "host",
                                       "connection",
                                       "transfer-encoding",
                                       "keep-alive",
                                       "upgrade",
                                       "proxy-connection",
                                       "content-length"};

    if (name[0] == '\0' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != strlen(name)) {
        return error_set(err, ERR_INVALID, "header \"%s\": a name has letters, digits, - _ and .",
                         name);
    }
    for (size_t i = 0; i < COUNT_OF(ours); i++) {
        if (strcmp(name, ours[i]) == 0) {
            return error_set(err, ERR_INVALID, "header \"%s\" cannot be configured", name);
        }
    }
    for (const char *at = value; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            return error_set(err, ERR_INVALID, "the value of header \"%s\" has control characters",
                             name);
        }
    }
    return true;
}

static bool take_headers(struct grpc_sink *sink, struct error *err)
{
    const struct otlp_grpc_settings *settings = sink->settings;

    if (settings->header_count > CONFIGURED_HEADERS_MAX) {
        return error_set(err, ERR_INVALID, "%zu headers where at most %d are taken",
                         settings->header_count, (int)CONFIGURED_HEADERS_MAX);
    }
    for (size_t i = 0; i < settings->header_count; i++) {
        const char *value = settings->headers[i].value != NULL ? settings->headers[i].value : "";
        sink->names[i] = lower_case(settings->headers[i].name);
        sink->configured[i] = (struct h2_header){slice_of(sink->names[i]), slice_of(value)};
        sink->configured_count = i + 1;
        if (!check_header(sink->names[i], value, err)) {
            return false;
        }
    }
    return true;
}

/* At most eight digits and a unit. */
static void format_timeout(uint64_t ns, char *out, size_t cap)
{
    static const struct {
        char unit;
        uint64_t ns;
    } units[] = {{'u', NS_PER_US}, {'m', NS_PER_MS}, {'S', NS_PER_S}, {'M', 60 * NS_PER_S}};

    for (size_t i = 0; i < COUNT_OF(units); i++) {
        uint64_t value = ns / units[i].ns;
        if (value <= 99999999 || i + 1 == COUNT_OF(units)) {
            (void)snprintf(out, cap, "%" PRIu64 "%c", value <= 99999999 ? value : 99999999,
                           units[i].unit);
            return;
        }
    }
}

static void grpc_close(struct sink *base)
{
    struct grpc_sink *sink = (struct grpc_sink *)(void *)base;

    h2_client_free(sink->client);
    h2_response_deinit(&sink->response);
    strbuf_deinit(&sink->packed);
    for (size_t i = 0; i < sink->configured_count; i++) {
        free(sink->names[i]);
    }
    free(sink->authority);
    free(sink->user_agent);
    free(sink);
}

static bool grpc_open(struct sink **out, const void *settings_of, struct error *err)
{
    const struct otlp_grpc_settings *settings = settings_of;
    const struct tls_client_settings *tls = &settings->tls;
    struct grpc_sink *sink;
    struct target target;

    if (settings->compression != CODEC_NONE && settings->compression != CODEC_GZIP &&
        settings->compression != CODEC_ZSTD) {
        return error_set(err, ERR_INVALID,
                         "compression %s is not known to gRPC: use none, gzip or zstd",
                         codec_name(settings->compression));
    }
    if (!parse_endpoint(settings, &target, err)) {
        return false;
    }
    sink = mem_zalloc(1, sizeof(*sink));
    sink->settings = settings;
    sink->tls = target.tls;
    sink->authority = target.authority;
    if (settings->authority != NULL && settings->authority[0] != '\0') {
        free(sink->authority);
        sink->authority = mem_strdup(settings->authority);
    }
    sink->user_agent = mem_strdup(settings->user_agent != NULL && settings->user_agent[0] != '\0'
                                      ? settings->user_agent
                                      : "Spangate/" SPANGATE_VERSION);
    sink->timeout_ns = settings->timeout_ns > 0 ? settings->timeout_ns : DEFAULT_TIMEOUT_NS;
    format_timeout(sink->timeout_ns, sink->timeout, sizeof(sink->timeout));
    h2_response_init(&sink->response);
    strbuf_init(&sink->packed, SIZE_MAX / 2);
    const struct h2_client_config config = {
        .host = target.host,
        .port = target.port,
        .tls = target.tls,
        .insecure_skip_verify = tls->insecure_skip_verify,
        .ca_file = tls->ca_file,
        .cert_file = tls->cert_file,
        .key_file = tls->key_file,
        .server_name = tls->server_name_override,
    };
    sink->client = h2_client_new(&config);
    if (!take_headers(sink, err)) {
        grpc_close((struct sink *)(void *)sink);
        return false;
    }
    *out = (struct sink *)(void *)sink;
    return true;
}

static enum sink_encoding grpc_encoding(const struct sink *base)
{
    (void)base;
    return SINK_PROTOBUF;
}

/* --- deliver --- */

static size_t put_headers(const struct grpc_sink *sink, enum otlp_signal signal,
                          struct h2_header *out)
{
    const struct otlp_grpc_settings *settings = sink->settings;
    const struct {
        const char *name;
        const char *value;
    } own[OWN_HEADERS] = {
        {":method", "POST"},
        {":scheme", sink->tls ? "https" : "http"},
        {":path", paths[signal]},
        {":authority", sink->authority},
        {"te", "trailers"},
        {"content-type", "application/grpc"},
        {"user-agent", sink->user_agent},
        {"grpc-timeout", sink->timeout},
        {"grpc-accept-encoding", "identity,gzip"},
        {"grpc-encoding", codec_name(settings->compression)},
    };
    size_t n = settings->compression == CODEC_NONE ? OWN_HEADERS - 1 : OWN_HEADERS;

    for (size_t i = 0; i < n; i++) {
        out[i] = (struct h2_header){slice_of(own[i].name), slice_of(own[i].value)};
    }
    for (size_t i = 0; i < sink->configured_count; i++) {
        out[n++] = sink->configured[i];
    }
    return n;
}

static void put_head(uint8_t head[FRAME_HEAD], bool compressed, size_t len)
{
    head[0] = compressed ? 1 : 0;
    head[1] = (uint8_t)(len >> 24);
    head[2] = (uint8_t)(len >> 16);
    head[3] = (uint8_t)(len >> 8);
    head[4] = (uint8_t)len;
}

/* The frame of the batch as one or two parts. */
static bool make_frame(struct grpc_sink *sink, struct slice body, uint8_t head[FRAME_HEAD],
                       struct slice parts[2], struct error *err)
{
    if (sink->settings->compression == CODEC_NONE) {
        put_head(head, false, body.len);
        parts[0] = (struct slice){head, FRAME_HEAD};
        parts[1] = body;
        return body.len <= UINT32_MAX ||
               error_set(err, ERR_TOO_LARGE, "%zu bytes are too many for a gRPC message", body.len);
    }
    strbuf_clear(&sink->packed);
    strbuf_append(&sink->packed, "\0\0\0\0", FRAME_HEAD);
    if (!codec_deflate(sink->settings->compression, 0, body, &sink->packed, err)) {
        return error_wrap(err, "compress the batch");
    }
    put_head((uint8_t *)sink->packed.data, true, sink->packed.len - FRAME_HEAD);
    parts[0] = strbuf_slice(&sink->packed);
    parts[1] = (struct slice){0};
    return sink->packed.len - FRAME_HEAD <= UINT32_MAX ||
           error_set(err, ERR_TOO_LARGE, "%zu bytes are too many for a gRPC message",
                     sink->packed.len);
}

static void grpc_deliver(struct sink *base, const struct sink_batch *batch,
                         struct sink_outcome *out)
{
    struct grpc_sink *sink = (struct grpc_sink *)(void *)base;
    struct h2_header headers[OWN_HEADERS + CONFIGURED_HEADERS_MAX];
    uint8_t head[FRAME_HEAD];
    struct slice parts[2];

    *out = (struct sink_outcome){.verdict = SINK_RETRY};
    if (!make_frame(sink, batch->body, head, parts, &out->err)) {
        out->verdict = out->err.code == ERR_TOO_LARGE ? SINK_TOO_LARGE : SINK_REJECTED;
        return;
    }
    size_t count = put_headers(sink, batch->signal, headers);
    if (!h2_client_callv(sink->client, headers, count, parts, COUNT_OF(parts), sink->timeout_ns,
                         &sink->response, &out->err)) {
        /* An answer of more than 4 MiB is final (OTLP), whatever it said. */
        out->verdict = out->err.code == ERR_TOO_LARGE ? SINK_REJECTED : SINK_RETRY;
        return;
    }
    grpc_outcome(&sink->response, batch->signal, out);
}

static void grpc_interrupt(struct sink *base)
{
    h2_client_interrupt(((struct grpc_sink *)(void *)base)->client);
}

const struct sink_driver otlp_grpc_driver = {
    .type = "otlp_grpc",
    .open = grpc_open,
    .encoding = grpc_encoding,
    .deliver = grpc_deliver,
    .interrupt = grpc_interrupt,
    .close = grpc_close,
};
