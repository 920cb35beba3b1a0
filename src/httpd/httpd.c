/*
 * httpd.c - servers on libmicrohttpd: one daemon a listening socket, each with its epoll thread.
 *
 *   on_request_line   the connection's request is set up afresh
 *   on_access, first  headers are there: framing is checked, the handler says how much it takes
 *   on_access …       body bytes, copied once into the buf
 *   on_access, last   the handler gets the request: answered at once, or the connection suspended
 *   on_completed      the request is over, however it ended
 *
 * An answer given inside the handler costs nothing extra. Otherwise the connection is suspended
 * after the handler returned, and a reply that came in between is noticed by the exchange on
 * request.reply.
 */
#include "internal.h"
#include "tls.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <spangate/base/clock.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define STOP_WAIT_NS NS_PER_S

/* --- refusing --- */

static void refuse(struct httpd_request *request, enum error_code code, const char *message)
{
    struct httpd *httpd = request->connection->httpd;
    struct error err;

    request->close = true;
    (void)error_set(&err, code, "%s", message);
    if (httpd->config.on_refuse != NULL) {
        httpd->config.on_refuse(httpd->config.ctx, request, &err);
    } else {
        reply_plain(request,
                    code == ERR_TOO_LARGE ? MHD_HTTP_CONTENT_TOO_LARGE
                    : code == ERR_LIMIT   ? MHD_HTTP_SERVICE_UNAVAILABLE
                                          : MHD_HTTP_BAD_REQUEST,
                    err.message, true);
    }
}

/* Refuse while body bytes are still to come: the answer goes to the socket, the connection ends. */
static enum MHD_Result refuse_now(struct httpd_request *request, enum error_code code,
                                  const char *message)
{
    request->raw = true;
    refuse(request, code, message);
    assert(request->raw_done); /* on_refuse replies before it returns */
    return MHD_NO;
}

/* --- headers --- */

struct framing {
    unsigned lengths, codings, hosts;
    const char *length, *coding;
    bool expects_continue;
};

static enum MHD_Result count_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    struct framing *framing = arg;

    (void)kind;
    value = value != NULL ? value : "";
    switch (name[0]) {
    case 'c':
    case 'C':
        if (strcasecmp(name, "content-length") == 0) {
            framing->lengths++;
            framing->length = value;
        }
        break;
    case 't':
    case 'T':
        if (strcasecmp(name, "transfer-encoding") == 0) {
            framing->codings++;
            framing->coding = value;
        }
        break;
    case 'h':
    case 'H':
        framing->hosts += strcasecmp(name, "host") == 0;
        break;
    case 'e':
    case 'E':
        framing->expects_continue |=
            strcasecmp(name, "expect") == 0 && strcasecmp(value, "100-continue") == 0;
        break;
    default:
        break;
    }
    return MHD_YES;
}

/* RFC 9112 section 6.1 to 6.3. NULL: the framing is sound. */
static const char *framing_fault(const struct framing *framing, struct httpd_request *request)
{
    if (framing->hosts > 1) {
        return "more than one Host header";
    }
    if (framing->codings > 0 && framing->lengths > 0) {
        return "both Content-Length and Transfer-Encoding";
    }
    if (framing->codings > 1 ||
        (framing->codings == 1 && strcasecmp(framing->coding, "chunked") != 0)) {
        return "a Transfer-Encoding other than chunked";
    }
    if (framing->lengths > 1) {
        return "more than one Content-Length";
    }
    if (framing->lengths == 1) {
        size_t digits = strspn(framing->length, "0123456789");
        if (digits == 0 || digits > 18 || framing->length[digits] != '\0') {
            return "a Content-Length that is not a number";
        }
        request->length = strtoull(framing->length, NULL, 10);
        request->length_known = true;
    }
    request->body_expected = framing->codings > 0 || request->length > 0;
    request->expects_continue = framing->expects_continue;
    return NULL;
}

static bool method_is_known(const char *method)
{
    static const char *const known[] = {"POST",   "GET",   "HEAD",  "OPTIONS", "PUT",
                                        "DELETE", "PATCH", "TRACE", "CONNECT"};

    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (strcmp(method, known[i]) == 0) {
            return true;
        }
    }
    return false;
}

static enum MHD_Result take_headers(struct httpd_request *request, const char *method,
                                    const char *version)
{
    struct connection *connection = request->connection;
    struct httpd *httpd = connection->httpd;
    struct framing framing = {0};

    request->method = method;
    (void)MHD_get_connection_values(request->mhd, MHD_HEADER_KIND, count_header, &framing);
    const char *fault = framing_fault(&framing, request);
    if (fault == NULL && framing.codings > 0 && strcmp(version, MHD_HTTP_VERSION_1_1) != 0) {
        fault = "Transfer-Encoding in an HTTP/1.0 request";
    }
    if (fault != NULL) {
        return refuse_now(request, ERR_INVALID, fault);
    }
    request->close |= !method_is_known(method);

    /* A body that is short and under way is read and dropped when nobody wants it: the connection
     * lives on. */
    bool discardable = request->length_known && request->length <= DISCARD_MAX &&
                       !request->expects_continue && !request->close;
    request->raw = request->body_expected && !discardable;
    request->body_max = httpd->config.on_headers != NULL
                            ? httpd->config.on_headers(httpd->config.ctx, request)
                            : BODY_DEFAULT_MAX;
    if (request->raw_done) {
        return MHD_NO;
    }
    request->raw = false;
    atomic_store_explicit(&connection->watch.expected, request->length, memory_order_release);
    atomic_store_explicit(&connection->watch.phase, WATCH_BODY, memory_order_release);
    if (atomic_load_explicit(&request->reply, memory_order_relaxed) == REPLY_GIVEN) {
        request->step = STEP_DISCARD;
        return MHD_YES;
    }

    if (request->length > request->body_max) {
        char message[96];
        (void)snprintf(message, sizeof(message), "body of %llu bytes is over the limit of %zu",
                       (unsigned long long)request->length, request->body_max);
        return refuse_now(request, ERR_TOO_LARGE, message);
    }
    if (request->length > 0) {
        size_t first = request->length < BODY_FIRST_MAX ? (size_t)request->length : BODY_FIRST_MAX;
        request->body = buf_new(first, httpd->config.budget);
        if (request->body == NULL) {
            return refuse_now(request, ERR_LIMIT, "no memory left for the body");
        }
    }
    request->step = STEP_BODY;
    return MHD_YES;
}

/* --- body --- */

static enum MHD_Result take_body(struct httpd_request *request, const char *bytes, size_t *len)
{
    struct httpd *httpd = request->connection->httpd;
    struct buf *body = request->body;
    size_t used = body != NULL ? body->len : 0;
    size_t need = used + *len;

    if (need > request->body_max) {
        char message[64];
        (void)snprintf(message, sizeof(message), "body is over the limit of %zu bytes",
                       request->body_max);
        return refuse_now(request, ERR_TOO_LARGE, message);
    }
    if (body == NULL) {
        body = buf_new(need > BODY_CHUNKED_FIRST ? need : BODY_CHUNKED_FIRST, httpd->config.budget);
        request->body = body;
    } else if (need > body->cap) {
        size_t most = request->length_known ? (size_t)request->length : request->body_max;
        size_t cap = body->cap > most / 2 ? most : 2 * body->cap;
        if (!buf_reserve(body, cap > need ? cap : need)) {
            body = NULL;
        }
    }
    if (body == NULL) {
        return refuse_now(request, ERR_LIMIT, "no memory left for the body");
    }
    memcpy(body->data + used, bytes, *len);
    body->len = need;
    *len = 0;
    atomic_store_explicit(&request->connection->watch.received, need, memory_order_release);
    return MHD_YES;
}

/* --- handing over --- */

/* The handler returned without an answer: let the connection rest until it comes. */
static enum MHD_Result suspend(struct httpd_request *request)
{
    struct httpd *httpd = request->connection->httpd;
    enum reply_state none = REPLY_NONE;

    MHD_suspend_connection(request->mhd);
    pthread_mutex_lock(&httpd->shared.lock);
    bool refusing = httpd->shared.refusing;
    bool resume = refusing;
    if (!refusing) {
        request->waiting = true;
        request->prev = NULL;
        request->next = httpd->shared.waiting;
        if (request->next != NULL) {
            request->next->prev = request;
        }
        httpd->shared.waiting = request;
    }
    pthread_mutex_unlock(&httpd->shared.lock);

    if (refusing && atomic_load(&request->reply) == REPLY_NONE) {
        reply_plain(request, MHD_HTTP_SERVICE_UNAVAILABLE, "shutting down", true);
    } else if (!refusing) {
        resume = !atomic_compare_exchange_strong(&request->reply, &none, REPLY_SUSPENDED);
        if (resume) { /* the answer came meanwhile, and its giver left the rest to us */
            reply_unlink(request);
        }
    }
    if (resume) {
        MHD_resume_connection(request->mhd);
    }
    return MHD_YES;
}

static enum MHD_Result hand_over(struct httpd_request *request)
{
    struct connection *connection = request->connection;
    struct httpd *httpd = connection->httpd;

    request->step = STEP_HANDED;
    request->counted = true;
    atomic_fetch_add(&httpd->answering, 1);
    atomic_store_explicit(&connection->watch.phase, WATCH_HANDLER, memory_order_release);
    httpd->config.on_request(httpd->config.ctx, request);
    if (atomic_load_explicit(&request->reply, memory_order_acquire) == REPLY_GIVEN) {
        return reply_send(request);
    }
    return suspend(request);
}

/* --- libmicrohttpd's callbacks --- */

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info->socket_context;
}

/* A client that does not speak HTTP, most often one that begins a TLS handshake. */
static void note_foreign(struct connection *connection)
{
    connection->foreign = true;
    log_warn("httpd", "bytes that are no HTTP, connection closed",
             "server=%s port=%u hint=\"does the client use TLS? this port is clear text\"",
             connection->httpd->name, (unsigned)connection->httpd->port);
}

static bool is_text(const char *target)
{
    for (const unsigned char *at = (const unsigned char *)target; *at != '\0'; at++) {
        if (*at <= 0x20 || *at == 0x7f) {
            return false;
        }
    }
    return true;
}

static void *on_request_line(void *ctx, const char *target, struct MHD_Connection *mhd)
{
    struct connection *connection = connection_of(mhd);
    struct httpd_request *request = &connection->request;

    (void)ctx;
    atomic_fetch_add(&connection->watch.serial, 1);
    atomic_store_explicit(&connection->watch.received, 0, memory_order_release);
    atomic_store_explicit(&connection->watch.expected, 0, memory_order_release);
    watch_enter(connection, WATCH_HEADERS);

    request->mhd = mhd;
    request->method = "";
    request->step = STEP_HEADERS;
    request->body_expected = request->length_known = request->expects_continue = false;
    request->length = 0;
    request->close = request->raw = request->raw_done = false;
    request->ctx = NULL;
    atomic_store_explicit(&request->reply, REPLY_NONE, memory_order_relaxed);
    request_set_target(request, target);
    if (!is_text(target) && connection->credentials == NULL) {
        note_foreign(connection);
        (void)shutdown(connection->fd, SHUT_RDWR);
    }
    return request;
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *mhd, const char *url,
                                 const char *method, const char *version, const char *bytes,
                                 size_t *len, void **request_ctx)
{
    struct httpd_request *request = *request_ctx;

    (void)ctx;
    (void)mhd;
    (void)url;
    switch (request->step) {
    case STEP_HEADERS:
        return take_headers(request, method, version);
    case STEP_BODY:
        return *len > 0 ? take_body(request, bytes, len) : hand_over(request);
    case STEP_DISCARD:
        if (*len > 0) {
            *len = 0;
            return MHD_YES;
        }
        return reply_send(request);
    case STEP_HANDED: /* resumed */
        return reply_send(request);
    case STEP_DONE:
        break;
    }
    return MHD_YES;
}

static void on_completed(void *ctx, struct MHD_Connection *mhd, void **request_ctx,
                         enum MHD_RequestTerminationCode code)
{
    struct httpd *httpd = ctx;
    struct httpd_request *request = *request_ctx;

    (void)mhd;
    (void)code;
    if (request == NULL) {
        return;
    }
    buf_unref(request->body);
    request->body = NULL;
    if (request->response != NULL) {
        MHD_destroy_response(request->response);
        request->response = NULL;
    }
    if (request->decoded_used) {
        arena_deinit(&request->decoded);
        request->decoded_used = false;
    }
    atomic_store_explicit(&request->connection->watch.phase, WATCH_IDLE, memory_order_release);
    if (request->counted) {
        request->counted = false;
        if (atomic_fetch_sub(&httpd->answering, 1) == 1 && atomic_load(&httpd->stopping)) {
            pthread_mutex_lock(&httpd->shared.lock);
            pthread_cond_broadcast(&httpd->shared.quiet);
            pthread_mutex_unlock(&httpd->shared.lock);
        }
    }
}

static void name_thread(const struct httpd *httpd)
{
    static _Thread_local bool named;

    if (!named) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%s", httpd->name);
        (void)pthread_setname_np(pthread_self(), name);
        named = true;
    }
}

static void connection_open(struct httpd *httpd, struct MHD_Connection *mhd, void **socket_ctx)
{
    struct connection *connection = mem_zalloc(1, sizeof(*connection));
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);

    name_thread(httpd);
    connection->httpd = httpd;
    connection->fd = info->connect_fd;
    connection->request.connection = connection;
    *socket_ctx = connection;
    if (httpd->tls != NULL) {
        connection->credentials = tls_begin(httpd->tls, mhd, connection);
    }

    pthread_mutex_lock(&httpd->shared.lock);
    bool first = httpd->shared.connections == NULL;
    connection->next = httpd->shared.connections;
    if (connection->next != NULL) {
        connection->next->prev = connection;
    }
    httpd->shared.connections = connection;
    pthread_mutex_unlock(&httpd->shared.lock);
    if (first) {
        watch_wake(httpd); /* it sleeps without end while there is no connection */
    }
}

/* Say why a connection came to nothing where nobody else can. */
static void explain_end(struct connection *connection)
{
    if (connection->credentials != NULL) {
        if (connection->greeted && !connection->secured) {
            log_warn("httpd", "TLS handshake failed, connection closed", "server=%s port=%u",
                     connection->httpd->name, (unsigned)connection->httpd->port);
        }
    } else if (!connection->foreign && atomic_load(&connection->watch.serial) == 0 &&
               watch_bytes_received(connection->fd) > 1) { /* the end of the stream counts as one */
        note_foreign(connection);
    }
}

static void connection_close(struct httpd *httpd, struct connection *connection)
{
    explain_end(connection);
    int lingering = connection->linger ? fcntl(connection->fd, F_DUPFD_CLOEXEC, 0) : -1;
    bool keep = false;

    pthread_mutex_lock(&httpd->shared.lock);
    if (connection->prev != NULL) {
        connection->prev->next = connection->next;
    } else {
        httpd->shared.connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->prev = connection->prev;
    }
    if (lingering >= 0 && httpd->shared.linger_count < LINGER_MAX) {
        httpd->shared.lingering[httpd->shared.linger_count++] = lingering;
        keep = true;
    }
    pthread_mutex_unlock(&httpd->shared.lock);

    if (keep) {
        (void)shutdown(lingering, SHUT_WR);
        watch_wake(httpd);
    } else if (lingering >= 0) {
        (void)close(lingering);
    }
    tls_end(connection->credentials);
    free(connection->request.text);
    free(connection);
}

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **socket_ctx,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection_open(ctx, mhd, socket_ctx);
    } else if (*socket_ctx != NULL) {
        connection_close(ctx, *socket_ctx);
        *socket_ctx = NULL;
    }
}

static void on_log(void *ctx, const char *fmt, va_list args)
{
    const struct httpd *httpd = ctx;
    char line[256];

    if (!log_enabled(LOG_LEVEL_DEBUG)) {
        return;
    }
    (void)vsnprintf(line, sizeof(line), fmt, args);
    line[strcspn(line, "\n")] = '\0';
    log_debug("httpd", "from libmicrohttpd", "server=%s message=\"%s\"", httpd->name, line);
}

/* We decode the target ourselves, from before libmicrohttpd's view of it. */
static size_t keep_escapes(void *ctx, struct MHD_Connection *mhd, char *text)
{
    (void)ctx;
    (void)mhd;
    return strlen(text);
}

/* --- start and stop --- */

static void add_tls_options(const struct tls_files *files, struct MHD_OptionItem out[3])
{
    /* libmicrohttpd's items have neither const nor functions. */
    union {
        const char *text;
        gnutls_certificate_retrieve_function3 *function;
        void *pointer;
    } priorities = {.text = tls_priorities(files)}, callback = {.function = tls_no_certificate};

    out[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, priorities.pointer};
    out[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, callback.pointer};
    out[2] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
}

static struct MHD_Daemon *start_daemon(struct httpd *httpd, int fd)
{
    sigset_t all, before;
    unsigned tls = httpd->tls != NULL ? MHD_USE_TLS : 0;
    struct MHD_OptionItem tls_options[3] = {{MHD_OPTION_END, 0, NULL}};
    unsigned idle_s = (unsigned)(httpd->config.idle_timeout_ns / NS_PER_S);

    if (httpd->tls != NULL) {
        add_tls_options(httpd->tls, tls_options);
    }
    /* Signals belong to the main thread; the new thread inherits the mask. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | tls, 0, NULL,
        NULL, on_access, httpd, MHD_OPTION_EXTERNAL_LOGGER, on_log, (void *)httpd,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)httpd->config.max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        httpd->config.connection_memory, MHD_OPTION_CONNECTION_TIMEOUT, idle_s > 0 ? idle_s : 1U,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, on_request_line, NULL, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, (void *)httpd, MHD_OPTION_NOTIFY_CONNECTION, on_connection, (void *)httpd,
        MHD_OPTION_ARRAY, tls_options, MHD_OPTION_END);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return daemon;
}

static void destroy(struct httpd *httpd)
{
    for (size_t i = 0; i < COUNT_OF(httpd->daemons); i++) {
        if (httpd->daemons[i] != NULL) {
            MHD_stop_daemon(httpd->daemons[i]); /* closes its listening socket */
        } else if (httpd->listening[i] >= 0) {
            (void)close(httpd->listening[i]);
        }
    }
    watch_stop(httpd);
    for (size_t i = 0; i < httpd->shared.linger_count; i++) {
        (void)close(httpd->shared.lingering[i]);
    }
    (void)close(httpd->watch_event);
    pthread_mutex_destroy(&httpd->shared.lock);
    pthread_cond_destroy(&httpd->shared.quiet);
    tls_files_close(httpd->tls);
    free(httpd->name);
    free(httpd);
}

static void init_shared(struct httpd *httpd)
{
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&httpd->shared.quiet, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&httpd->shared.lock, NULL);
}

bool httpd_start(struct httpd **out, const struct httpd_config *config, struct error *err)
{
    int fds[ADDRESS_SOCKETS_MAX];
    size_t count = 0;
    uint16_t port = 0;
    struct tls_files *tls = NULL;

    if (config->tls != NULL && !tls_files_open(&tls, config->tls, err)) {
        return false;
    }
    if (!address_listen(config->endpoint, fds, &count, &port, err)) {
        tls_files_close(tls);
        return false;
    }

    struct httpd *httpd = mem_zalloc(1, sizeof(*httpd));
    httpd->tls = tls;
    httpd->config = *config;
    httpd->config.max_connections =
        config->max_connections > 0 ? config->max_connections : CONNECTIONS_MAX;
    httpd->config.connection_memory =
        config->connection_memory > 0 ? config->connection_memory : CONNECTION_MEMORY;
    httpd->config.idle_timeout_ns =
        config->idle_timeout_ns > 0 ? config->idle_timeout_ns : IDLE_TIMEOUT_NS;
    httpd->name = mem_strdup(config->name);
    httpd->config.name = httpd->config.endpoint = NULL;
    httpd->port = port;
    httpd->watch_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(httpd->watch_event >= 0);
    init_shared(httpd);
    for (size_t i = 0; i < COUNT_OF(httpd->listening); i++) {
        httpd->listening[i] = i < count ? fds[i] : -1;
    }
    watch_start(httpd);

    for (size_t i = 0; i < count; i++) {
        httpd->daemons[i] = start_daemon(httpd, fds[i]);
        if (httpd->daemons[i] == NULL) {
            destroy(httpd);
            return error_set(err, ERR_UNAVAILABLE, "cannot start the HTTP server on %s",
                             config->endpoint);
        }
    }
    *out = httpd;
    return true;
}

uint16_t httpd_port(const struct httpd *httpd)
{
    return httpd->port;
}

void httpd_drain(struct httpd *httpd)
{
    if (atomic_exchange(&httpd->draining, true)) {
        return;
    }
    for (size_t i = 0; i < COUNT_OF(httpd->daemons); i++) {
        if (httpd->daemons[i] != NULL) {
            MHD_socket fd = MHD_quiesce_daemon(httpd->daemons[i]);
            if (fd != MHD_INVALID_SOCKET) {
                (void)close(fd);
            }
        }
    }
}

/* Requests that nobody answered: they must not be suspended when the daemons stop. */
static void refuse_waiting(struct httpd *httpd)
{
    for (;;) {
        pthread_mutex_lock(&httpd->shared.lock);
        httpd->shared.refusing = true;
        struct httpd_request *request = httpd->shared.waiting;
        if (request != NULL) {
            httpd->shared.waiting = request->next;
            if (request->next != NULL) {
                request->next->prev = NULL;
            }
            request->waiting = false;
        }
        pthread_mutex_unlock(&httpd->shared.lock);
        if (request == NULL) {
            return;
        }
        reply_plain(request, MHD_HTTP_SERVICE_UNAVAILABLE, "shutting down", true);
    }
}

void httpd_stop(struct httpd *httpd)
{
    struct timespec until;

    if (httpd == NULL) {
        return;
    }
    httpd_drain(httpd);
    atomic_store(&httpd->stopping, true);
    refuse_waiting(httpd);

    /* Let answers that are under way reach their clients, for a moment. */
    uint64_t until_ns = clock_monotonic(&clock_system) + STOP_WAIT_NS;
    until.tv_sec = (time_t)(until_ns / NS_PER_S);
    until.tv_nsec = (long)(until_ns % NS_PER_S);
    pthread_mutex_lock(&httpd->shared.lock);
    while (atomic_load(&httpd->answering) > 0 &&
           pthread_cond_timedwait(&httpd->shared.quiet, &httpd->shared.lock, &until) == 0) {
    }
    pthread_mutex_unlock(&httpd->shared.lock);
    destroy(httpd);
}
