/*
 * serve.c - start everything in order, wait for a signal, stop everything in the reverse order.
 *
 * Start: logs and index, destinations, replay, query port, receivers last, so that the first
 * acknowledged span meets a complete house. Health and metrics answer from the beginning: a long
 * replay is visible as "not ready". Stop: receivers refuse, the pipeline commits and stores what it
 * has, destinations get a deadline, files close. Runs on the main thread, which alone sees signals.
 */
#include "commands.h"
#include "endpoints.h"
#include "machine.h"

#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>
#include <spangate/base/text.h>
#include <spangate/codec/codec.h>
#include <spangate/pipeline/pipeline.h>
#include <spangate/query/query.h>

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 1024 * 1024,
    DISK_LIMIT_MIN = 16 * 1024 * 1024,
    SINKS_MAX = 64 * OTLP_SIGNALS,
    RECEIVERS_MAX = 128,
    LARGE_BYTES_MIN = 128 * 1024,
    LARGE_BYTES_MAX = 32 * 1024 * 1024, /* glibc's own limit of that */
};

#define STOP_DEADLINE_NS (8 * NS_PER_S) /* of ten that a supervisor usually waits */

struct server {
    const struct settings *settings;
    struct budget budget;
    struct pipeline_route *routes;
    const char **receiver_names;
    struct pipeline *pipeline;
    struct ingest ingest;
    struct endpoints *endpoints;
    struct query *query;
    struct {
        struct sink_runner *runner;
        char *name;
        const char *type;
    } sinks[SINKS_MAX];
    size_t sink_count;
    struct receiver *receivers[RECEIVERS_MAX];
    atomic_size_t receiver_count; /* read by the status page while receivers open */
};

/* ---- supervisors ---- */

/* sd_notify(3) without its library: one datagram to $NOTIFY_SOCKET. */
static void notify_supervisor(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || strlen(path) >= sizeof(address.sun_path)) {
        return;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, len);
    (void)close(fd);
}

/* ---- pipeline ---- */

static bool stores_traces(const struct settings *settings)
{
    for (size_t i = 0; i < settings->pipeline_count; i++) {
        for (size_t e = 0; e < settings->exporter_count; e++) {
            if ((settings->pipelines[i].exporters >> e & 1) != 0 &&
                settings->exporters[e].is_trace_store) {
                return true;
            }
        }
    }
    return false;
}

/*
 * The configured limit, or what the disk has room for when that is less: a log that does not know
 * that it cannot grow would never let old traces go.
 */
static uint64_t disk_limit(const struct settings *s)
{
    struct error err;
    if (s->durability == DURABILITY_MEMORY && !stores_traces(s)) {
        return s->disk_limit;
    }
    if (!fs_make_dirs(&fs_posix, s->data_dir, &err)) {
        return s->disk_limit; /* opening the logs will say what is wrong */
    }
    uint64_t room = machine_disk_bytes(s->data_dir);
    if (room == UINT64_MAX || room - room / 10 >= s->disk_limit) {
        return s->disk_limit;
    }
    uint64_t limit = room - room / 10 > DISK_LIMIT_MIN ? room - room / 10 : DISK_LIMIT_MIN;
    log_warn("serve", "the disk has less room than disk_limit", "disk_limit=%llu using=%llu",
             (unsigned long long)s->disk_limit, (unsigned long long)limit);
    return limit;
}

static bool open_pipeline(struct server *server, struct error *err)
{
    const struct settings *s = server->settings;
    bool store = stores_traces(s);
    char wal_dir[PATH_MAX];
    char blocks_dir[PATH_MAX];

    (void)snprintf(wal_dir, sizeof(wal_dir), "%s/wal", s->data_dir);
    (void)snprintf(blocks_dir, sizeof(blocks_dir), "%s/blocks", s->data_dir);
    server->routes = mem_zalloc(s->pipeline_count, sizeof(*server->routes));
    for (size_t i = 0; i < s->pipeline_count; i++) {
        server->routes[i] = (struct pipeline_route){.id = s->pipelines[i].id,
                                                    .signal = s->pipelines[i].signal,
                                                    .receivers = s->pipelines[i].receivers};
    }
    server->receiver_names = mem_zalloc(s->receiver_count, sizeof(*server->receiver_names));
    for (size_t i = 0; i < s->receiver_count; i++) {
        server->receiver_names[i] = s->receivers[i].id;
    }
    /* A quarter of the disk for what is not yet in traces, the rest for traces. */
    uint64_t disk_bytes = disk_limit(s);
    uint64_t wal_bytes = disk_bytes / 4;
    struct pipeline_config config = {
        .data_dir = s->data_dir,
        .wal = {.dir = wal_dir,
                .durability = s->durability,
                .interval_ns = s->durability_interval_ns,
                .total_bytes_max = wal_bytes},
        .blocks = {.dir = blocks_dir,
                   .persist = store || s->durability != DURABILITY_MEMORY,
                   .retention_ns = s->retention_ns,
                   .disk_bytes_max = disk_bytes - wal_bytes,
                   .partition_ns = 3600 * NS_PER_S,
                   .cache_bytes_max = (size_t)(s->memory_limit / 8),
                   .zstd_level = 1,
                   .keep_only_for_sinks = !store},
        .traces = s->traces,
        .limits = otlp_limits_default,
        .routes = server->routes,
        .route_count = s->pipeline_count,
        .receiver_names = server->receiver_names,
        .receiver_count = s->receiver_count,
        .block_bytes = BLOCK_BYTES,
        .block_age_ns = NS_PER_S,
        /* With nothing on disk, what is open at the end has nowhere to wait for the next start. */
        .finish_on_shutdown = s->finish_on_shutdown || s->durability == DURABILITY_MEMORY,
    };
    config.traces.memory_bytes_max = s->memory_limit / 2;
    if (s->durability == DURABILITY_MEMORY) {
        config.wal.total_bytes_max = s->memory_limit / 8;
    }
    return pipeline_open(&server->pipeline, &config, &fs_posix, &clock_system, &server->budget,
                         err);
}

/* ---- destinations ---- */

/* "otlp_http/tempo" as a file name. */
static char *cursor_path(const struct settings *settings, const char *name)
{
    if (settings->durability == DURABILITY_MEMORY) {
        return NULL;
    }
    char *path = mem_printf("%s/cursors/%s", settings->data_dir, name);
    for (char *at = path + strlen(settings->data_dir) + strlen("/cursors/"); *at != '\0'; at++) {
        if (*at == '/') {
            *at = '%'; /* not allowed in component ids, so no two names meet */
        }
    }
    return path;
}

static bool start_sink(struct server *server, const struct exporter_settings *exporter,
                       enum otlp_signal signal, struct error *err)
{
    static const char *const suffixes[OTLP_SIGNALS] = {"", ":metrics", ":logs"};
    const struct settings *s = server->settings;
    const char *ids[64];
    size_t id_count = 0;
    for (size_t i = 0; i < s->pipeline_count && id_count < COUNT_OF(ids); i++) {
        if (s->pipelines[i].signal == signal &&
            (s->pipelines[i].exporters >> (exporter - s->exporters) & 1) != 0) {
            ids[id_count++] = s->pipelines[i].id;
        }
    }
    if (id_count == 0) {
        return true;
    }

    char *name = mem_printf("%s%s", exporter->id, suffixes[signal]);
    char *path = cursor_path(s, name);
    struct sink_cursor at = {0}; /* a damaged cursor begins at the oldest, as the runner does */
    struct error none = {0};
    bool known =
        path != NULL && (sink_cursor_read(&fs_posix, path, &at, &none) || none.code == ERR_CORRUPT);
    struct sink_runner_config config = {
        .name = name,
        .driver = exporter->driver,
        .settings = exporter->driver_settings,
        .cursor_path = path,
        .retry = exporter->retry,
        .items_min = exporter->items_min,
        .linger_ns = exporter->linger_ns,
        .items_max = exporter->items_max,
        .bytes_max = exporter->bytes_max,
    };
    bool ok;
    if (signal == OTLP_TRACES && !exporter->on_accepted) {
        config.start = pipeline_trace_end(server->pipeline);
        ok = pipeline_trace_source(server->pipeline, name, ids, id_count, &config.source, err);
    } else {
        config.start = pipeline_record_end(server->pipeline);
        ok = pipeline_record_source(server->pipeline, name, signal, ids, id_count,
                                    known ? at.seq : config.start.seq, &config.source, err);
    }
    if (ok) {
        /* Before the first housekeeping: what this destination still needs must stay. */
        config.source.release(config.source.ctx, known ? &at : &config.start);
    }
    ok = ok && sink_runner_start(&server->sinks[server->sink_count].runner, &config, &fs_posix,
                                 &clock_system, err);
    free(path);
    if (!ok) {
        free(name);
        return error_wrap(err, "exporter %s", exporter->id);
    }
    server->sinks[server->sink_count].name = name;
    server->sinks[server->sink_count++].type = exporter->driver->type;
    return true;
}

static bool start_sinks(struct server *server, struct error *err)
{
    const struct settings *s = server->settings;
    if (s->durability != DURABILITY_MEMORY) {
        char *dir = mem_printf("%s/cursors", s->data_dir);
        bool ok = fs_make_dirs(&fs_posix, dir, err);
        free(dir);
        if (!ok) {
            return false;
        }
    }
    for (size_t i = 0; i < s->exporter_count; i++) {
        if (s->exporters[i].driver == NULL) {
            continue; /* trace_store, nop */
        }
        for (enum otlp_signal signal = OTLP_TRACES; signal < OTLP_SIGNALS; signal++) {
            if (server->sink_count == SINKS_MAX) {
                return error_set(err, ERR_INVALID, "more than %d destinations", SINKS_MAX);
            }
            if (!start_sink(server, &s->exporters[i], signal, err)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- receivers ---- */

static bool open_receivers(struct server *server, struct error *err)
{
    const struct settings *s = server->settings;
    for (size_t i = 0; i < s->receiver_count; i++) {
        const struct receiver_settings *r = &s->receivers[i];
        if (server->receiver_count + 2 > RECEIVERS_MAX) {
            return error_set(err, ERR_INVALID, "more than %d receivers", RECEIVERS_MAX / 2);
        }
        if (r->has_grpc) {
            if (!otlp_grpc_receiver_open(&server->receivers[server->receiver_count], &r->grpc,
                                         (uint32_t)i, &server->ingest, err)) {
                return error_wrap(err, "receiver %s: grpc", r->id);
            }
            server->receiver_count++;
            log_info("serve", "receiving OTLP/gRPC", "endpoint=%s", r->grpc.endpoint);
        }
        if (r->has_http) {
            if (!otlp_http_receiver_open(&server->receivers[server->receiver_count], &r->http,
                                         (uint32_t)i, &server->ingest, err)) {
                return error_wrap(err, "receiver %s: http", r->id);
            }
            server->receiver_count++;
            log_info("serve", "receiving OTLP/HTTP", "endpoint=%s", r->http.endpoint);
        }
    }
    return true;
}

/* ---- what the page shows ---- */

static void write_status(void *ctx, struct strbuf *out)
{
    static const char *const durabilities[] = {"sync", "interval", "memory"};
    const struct server *server = ctx;
    const struct settings *s = server->settings;
    const char *reason = NULL;
    bool ready = pipeline_is_ready(server->pipeline, &reason);

    strbuf_printf(out, "{\"version\":\"%s\",\"ready\":%s,\"reason\":", SPANGATE_VERSION,
                  ready ? "true" : "false");
    json_put_string(out, slice_of(reason != NULL ? reason : ""));
    strbuf_printf(out, ",\"durability\":\"%s\",\"dataDir\":", durabilities[s->durability]);
    json_put_string(out, slice_of(s->data_dir));
    strbuf_append_text(out, ",\"receivers\":[");
    const char *comma = "";
    size_t open = 0;
    for (size_t i = 0; i < s->receiver_count; i++) {
        const struct receiver_settings *r = &s->receivers[i];
        const char *const endpoints[2] = {r->has_grpc ? r->grpc.endpoint : NULL,
                                          r->has_http ? r->http.endpoint : NULL};
        for (size_t t = 0; t < 2; t++) {
            if (endpoints[t] == NULL) {
                continue;
            }
            strbuf_printf(out, "%s{\"protocol\":\"%s\",\"port\":%u,\"endpoint\":", comma,
                          t == 0 ? "grpc" : "http",
                          open < server->receiver_count ? receiver_port(server->receivers[open])
                                                        : 0U);
            json_put_string(out, slice_of(endpoints[t]));
            strbuf_putc(out, '}');
            comma = ",";
            open++;
        }
    }
    strbuf_printf(out,
                  "],\"spans\":{\"accepted\":%llu,\"replayed\":%llu,\"refused\":%llu,"
                  "\"duplicate\":%llu,\"stored\":%llu},\"requests\":%llu,\"exporters\":[",
                  (unsigned long long)metric_value(METRIC_SPANS_ACCEPTED),
                  (unsigned long long)metric_value(METRIC_WAL_REPLAYED_SPANS),
                  (unsigned long long)metric_value(METRIC_SPANS_REFUSED),
                  (unsigned long long)metric_value(METRIC_SPANS_DUPLICATE),
                  (unsigned long long)metric_value(METRIC_SPANS_STORED),
                  (unsigned long long)metric_value(METRIC_REQUESTS));
    for (size_t i = 0; i < server->sink_count; i++) {
        struct sink_status status;
        sink_runner_status(server->sinks[i].runner, &status);
        strbuf_printf(out, "%s{\"name\":", i > 0 ? "," : "");
        json_put_string(out, slice_of(server->sinks[i].name));
        strbuf_printf(out,
                      ",\"type\":\"%s\",\"sent\":%llu,\"failed\":%llu,\"rejected\":%llu,"
                      "\"skipped\":%llu,\"retries\":%llu,\"lagBytes\":%llu,\"lastError\":",
                      server->sinks[i].type, (unsigned long long)status.delivered,
                      (unsigned long long)status.failed, (unsigned long long)status.partial,
                      (unsigned long long)status.skipped, (unsigned long long)status.retries,
                      (unsigned long long)status.lag_bytes);
        json_put_string(out, slice_of(status.last_error));
        strbuf_putc(out, '}');
    }
    strbuf_append_text(out, "]}");
}

static void collect(void *ctx)
{
    struct server *server = ctx;
    series_set(metric_series(METRIC_MEMORY_BUDGET, "used", NULL),
               (int64_t)budget_used(&server->budget));
    series_set(metric_series(METRIC_MEMORY_BUDGET, "limit", NULL),
               (int64_t)atomic_load(&server->budget.limit));
}

static bool is_ready(void *ctx, const char **reason)
{
    const struct server *server = ctx;
    if (server->pipeline == NULL) {
        *reason = "opening the data folder";
        return false;
    }
    return pipeline_is_ready(server->pipeline, reason);
}

/* ---- start and stop ---- */

static bool start(struct server *server, struct error *err)
{
    const struct settings *s = server->settings;
    static const char *const promises[] = {
        "'ok' is said after fdatasync: nothing acknowledged is lost",
        "'ok' is said before fdatasync: a power cut may lose the last interval",
        "'ok' is said before anything is on disk: a crash loses what is in memory",
    };

    if (!endpoints_open(&server->endpoints, s->health_endpoint, s->metrics_endpoint, is_ready,
                        server, err) ||
        !open_pipeline(server, err)) {
        return false;
    }
    metrics_on_collect(collect, server);
    endpoints_pipeline_is_open(server->endpoints);
    log_info("serve", "durability", "mode=%s promise=\"%s\" data_dir=%s",
             s->durability == DURABILITY_SYNC       ? "sync"
             : s->durability == DURABILITY_INTERVAL ? "interval"
                                                    : "memory",
             promises[s->durability], s->data_dir);
    if (!start_sinks(server, err) || !pipeline_start(server->pipeline, err)) {
        return false;
    }
    if (s->query_endpoint != NULL) {
        struct query_status_source status = {.write = write_status, .ctx = server};
        struct query_config config = {
            .endpoint = s->query_endpoint,
            .allowed_hosts = (const char *const *)s->query_allowed_hosts,
            .allowed_host_count = s->query_allowed_host_count,
            .threads = 2,
            .tls = s->query_tls,
            .auth = s->query_auth,
        };
        if (!query_open(&server->query, &config, server->pipeline, &status, err)) {
            return error_wrap(err, "query");
        }
        log_info("serve", "page and query API", "url=%s://%s/",
                 s->query_tls != NULL ? "https" : "http", s->query_endpoint);
    }
    server->ingest = pipeline_ingest(server->pipeline);
    return open_receivers(server, err);
}

static void stop(struct server *server)
{
    uint64_t deadline_ns = clock_monotonic(&clock_system) + STOP_DEADLINE_NS;
    const char *reason = NULL;
    bool started = server->pipeline != NULL &&
                   (pipeline_is_ready(server->pipeline, &reason) || server->receiver_count > 0);

    for (size_t i = 0; i < server->receiver_count; i++) {
        receiver_drain(server->receivers[i]);
    }
    if (server->pipeline != NULL) {
        pipeline_drain(server->pipeline);
    }
    query_close(server->query); /* its status page looks at receivers and destinations */
    for (size_t i = 0; i < server->receiver_count; i++) {
        receiver_close(server->receivers[i]);
    }
    for (size_t i = 0; i < server->sink_count; i++) {
        sink_runner_stop(server->sinks[i].runner, started, deadline_ns);
        free(server->sinks[i].name);
    }
    endpoints_close(server->endpoints);
    pipeline_close(server->pipeline);
    free(server->routes);
    free(server->receiver_names);
    codec_thread_exit();
}

/* Block the signals we handle in this and all later threads. */
static void own_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGHUP);
    (void)sigaddset(set, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void end_at_once(int signal_number)
{
    static const char text[] = "spangate: second signal, ending at once\n";
    (void)signal_number;
    ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)written;
    _exit(EXIT_FAILURE);
}

/* From here on a second SIGINT or SIGTERM does not wait for anything. */
static void let_second_signal_end(void)
{
    struct sigaction action = {.sa_handler = end_at_once};
    sigset_t set;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/*
 * Large bodies and blocks go back to the system when they are freed, in every state of the heap;
 * left alone, glibc soon keeps up to 32 MiB pieces and what fragments between them, which is no
 * matter of ours to count. What is large depends on how much we may have.
 */
static void bound_heap(uint64_t memory_limit)
{
#ifdef __GLIBC__
    uint64_t large = memory_limit / 256;
    large = large < LARGE_BYTES_MIN ? LARGE_BYTES_MIN : large;
    large = large > LARGE_BYTES_MAX ? LARGE_BYTES_MAX : large;
    (void)mallopt(M_MMAP_THRESHOLD, (int)large);
#else
    (void)memory_limit;
#endif
}

/* Run until SIGINT or SIGTERM. true after an orderly stop. */
static bool serve(const struct settings *settings, struct error *err)
{
    struct server *server = mem_zalloc(1, sizeof(*server));
    sigset_t signals;
    int signal_number = 0;

    server->settings = settings;
    budget_init(&server->budget, (size_t)settings->memory_limit, NULL);
    bound_heap(settings->memory_limit);
    own_signals(&signals);
    log_info("serve", "starting", "version=%s pid=%d memory_limit=%llu", SPANGATE_VERSION,
             (int)getpid(), (unsigned long long)settings->memory_limit);
    bool ok = start(server, err);
    if (ok) {
        log_info("serve", "ready", "");
        notify_supervisor("READY=1");
        do {
            (void)sigwait(&signals, &signal_number);
            if (signal_number == SIGHUP) {
                log_warn("serve", "SIGHUP ignored", "reason=\"this version does not reload\"");
            }
        } while (signal_number != SIGINT && signal_number != SIGTERM);
        log_info("serve", "stopping", "signal=%s", signal_number == SIGINT ? "SIGINT" : "SIGTERM");
        notify_supervisor("STOPPING=1");
    }
    let_second_signal_end();
    stop(server);
    if (ok) {
        log_info("serve", "stopped", "");
    }
    free(server);
    return ok;
}

int cmd_serve(const struct args *args)
{
    struct settings *settings = NULL;
    struct error err;

    if (!command_load(args, &settings)) {
        return EXIT_CONFIG;
    }
    log_setup(settings->log_level, settings->log_format);
    int code = EXIT_OK;
    if (!serve(settings, &err)) {
        log_error("serve", "cannot start", "error=\"%s\"", err.message);
        code = command_exit_code(&err);
    }
    settings_free(settings);
    return code;
}
