/*
 * metrics.h - the numbers the daemon reports, from the one table metrics.def.
 *
 * A metric without labels has one series, reached by its id. One with labels has a series for
 * each set of label values: get it once (metric_series) and keep the pointer. Counting is one
 * relaxed atomic addition; do it per request or batch, never per span. A metric holds at most
 * METRIC_SERIES_MAX series; what comes later is counted under label values "other".
 */
#ifndef SPANGATE_BASE_METRICS_H
#define SPANGATE_BASE_METRICS_H

#include <spangate/base/strbuf.h>
#include <stdint.h>

enum metric_id {
#define COUNTER(id, name, labels, help) METRIC_##id,
#define GAUGE(id, name, labels, help) METRIC_##id,
#define HISTOGRAM(id, name, labels, help) METRIC_##id,
#define ALIAS(name, id)
#include <spangate/base/metrics.def>
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef ALIAS
    METRIC_COUNT
};

enum { METRIC_SERIES_MAX = 256 };

struct metric_series;

/* Label values in the order of the table, NULL where there are fewer. Never NULL; never freed. */
struct metric_series *metric_series(enum metric_id id, const char *value1, const char *value2);

void series_add(struct metric_series *series, uint64_t n);
void series_set(struct metric_series *series, int64_t value);
void series_observe(struct metric_series *series, double seconds);
uint64_t series_value(const struct metric_series *series);

/* The series without labels. */
void metric_add(enum metric_id id, uint64_t n);
void metric_set(enum metric_id id, int64_t value);
void metric_observe(enum metric_id id, double seconds);

/* Sum over all series of a counter or gauge; observations of a histogram. */
uint64_t metric_value(enum metric_id id);

/* Called before each scrape, to set gauges. At most 32; any thread may scrape. */
void metrics_on_collect(void (*collect)(void *ctx), void *ctx);
/* End that, before ctx goes. Nothing happens when it was not asked for. */
void metrics_off_collect(void (*collect)(void *ctx), void *ctx);

/* Prometheus text format 0.0.4, aliases included. */
void metrics_write(struct strbuf *out);

/* The table for docs: name, type, labels, help as Markdown rows. */
void metrics_write_markdown(struct strbuf *out);

#endif
