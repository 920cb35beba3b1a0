/*
 * endpoints.c - health and metrics.
 *
 *   /healthz  200 while the process answers
 *   /readyz   200 when requests are accepted durably, else 503 with the reason
 *   /         as /readyz, in the shape of the Collector's health_check extension
 *   /metrics  Prometheus text
 */
#include "endpoints.h"

#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/base/metrics.h>
#include <spangate/base/text.h>
#include <spangate/httpd/httpd.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct endpoints {
    struct httpd *health, *metrics;
    bool (*is_ready)(void *ctx, const char **reason);
    void *ctx;
    atomic_bool pipeline_open;
    uint64_t since_ns;   /* monotonic */
    char since_text[40]; /* RFC 3339 */
};

enum { ANSWER_MAX = 4 * 1024 * 1024 };

static void reply_text(struct httpd_request *request, int status, const char *type,
                       struct strbuf *text)
{
    httpd_reply(request, status, type, strbuf_slice(text), NULL, 0, false);
    strbuf_deinit(text);
}

static bool is_get(struct httpd_request *request)
{
    const char *method = httpd_method(request);
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
        return true;
    }
    static const struct httpd_header_pair allow = {"Allow", "GET, HEAD"};
    httpd_reply(request, 405, "text/plain; charset=utf-8", slice_of("405 method not allowed\n"),
                &allow, 1, false);
    return false;
}

static void answer_health(void *ctx, struct httpd_request *request)
{
    struct endpoints *e = ctx;
    const char *path = httpd_path(request);
    const char *reason = "starting";
    struct strbuf text;

    if (!is_get(request)) {
        return;
    }
    strbuf_init(&text, ANSWER_MAX);
    if (strcmp(path, "/healthz") == 0) {
        strbuf_append_text(&text, "ok\n");
        reply_text(request, 200, "text/plain; charset=utf-8", &text);
        return;
    }
    bool ready = atomic_load(&e->pipeline_open) && e->is_ready(e->ctx, &reason);
    if (strcmp(path, "/readyz") == 0) {
        strbuf_printf(&text, "%s\n", ready ? "ready" : reason);
        reply_text(request, ready ? 200 : 503, "text/plain; charset=utf-8", &text);
        return;
    }
    if (strcmp(path, "/") != 0) {
        strbuf_append_text(&text, "404 page not found\n");
        reply_text(request, 404, "text/plain; charset=utf-8", &text);
        return;
    }
    char uptime[40];
    uint64_t seconds = (clock_monotonic(&clock_system) - e->since_ns) / NS_PER_S;
    duration_format((int64_t)(seconds * NS_PER_S), uptime, sizeof(uptime));
    strbuf_printf(&text, "{\"status\":\"%s\",\"upSince\":\"%s\",\"uptime\":\"%s\"}",
                  ready ? "Server available" : "Server not available", e->since_text, uptime);
    reply_text(request, ready ? 200 : 503, "application/json", &text);
}

static void answer_metrics(void *ctx, struct httpd_request *request)
{
    struct strbuf text;
    (void)ctx;
    if (!is_get(request)) {
        return;
    }
    strbuf_init(&text, ANSWER_MAX);
    if (strcmp(httpd_path(request), "/metrics") != 0) {
        strbuf_append_text(&text, "404 page not found\n");
        reply_text(request, 404, "text/plain; charset=utf-8", &text);
        return;
    }
    metrics_write(&text);
    reply_text(request, 200, "text/plain; version=0.0.4; charset=utf-8", &text);
}

/* Resident bytes from /proc/self/statm; 0 where it is hidden. */
static int64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long long pages = 0;
    char line[128];
    if (file == NULL) {
        return 0;
    }
    if (fgets(line, sizeof(line), file) != NULL) {
        char *second = strchr(line, ' ');
        pages = second != NULL ? strtoll(second, NULL, 10) : 0;
    }
    (void)fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void collect(void *ctx)
{
    const struct endpoints *e = ctx;
    struct rusage usage;
    metric_set(METRIC_PROCESS_UPTIME,
               (int64_t)((clock_monotonic(&clock_system) - e->since_ns) / NS_PER_S));
    metric_set(METRIC_PROCESS_RSS, resident_bytes());
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        metric_set(METRIC_PROCESS_CPU_MS,
                   (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000);
    }
}

static bool open_port(struct httpd **out, struct endpoints *e, const char *name,
                      const char *endpoint, httpd_request_fn *answer, struct error *err)
{
    struct httpd_config config = {.name = name,
                                  .endpoint = endpoint,
                                  .on_request = answer,
                                  .ctx = e,
                                  .max_connections = 64,
                                  .connection_memory = 32 * 1024,
                                  .idle_timeout_ns = 60 * NS_PER_S};
    return endpoint == NULL || httpd_start(out, &config, err) || error_wrap(err, "%s", name);
}

bool endpoints_open(struct endpoints **out, const char *health, const char *metrics,
                    bool (*is_ready)(void *ctx, const char **reason), void *ctx, struct error *err)
{
    struct endpoints *e = mem_zalloc(1, sizeof(*e));
    struct tm utc;
    time_t now = (time_t)(clock_wall(&clock_system) / NS_PER_S);
    e->is_ready = is_ready;
    e->ctx = ctx;
    e->since_ns = clock_monotonic(&clock_system);
    (void)gmtime_r(&now, &utc);
    (void)strftime(e->since_text, sizeof(e->since_text), "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (!open_port(&e->health, e, "health", health, answer_health, err) ||
        !open_port(&e->metrics, e, "metrics", metrics, answer_metrics, err)) {
        endpoints_close(e);
        return false;
    }
    metrics_on_collect(collect, e);
    *out = e;
    return true;
}

void endpoints_pipeline_is_open(struct endpoints *endpoints)
{
    atomic_store(&endpoints->pipeline_open, true);
}

void endpoints_close(struct endpoints *endpoints)
{
    if (endpoints == NULL) {
        return;
    }
    if (endpoints->health != NULL) {
        httpd_stop(endpoints->health);
    }
    if (endpoints->metrics != NULL) {
        httpd_stop(endpoints->metrics);
    }
    free(endpoints);
}
