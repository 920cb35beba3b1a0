/*
 * metrics.c - series of the metrics in metrics.def, and their Prometheus text.
 *
 * Series are never freed, so a pointer to one is good for the life of the process. A metric's
 * list grows under one lock; counting takes none.
 */
#include <spangate/base/metrics.h>

#include <spangate/base/mem.h>
#include <spangate/base/text.h>

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum metric_type { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM };

struct metric_info {
    const char *name;
    const char *labels; /* "a" or "a,b", "" for none */
    const char *help;
    enum metric_type type;
};

static const struct metric_info infos[METRIC_COUNT] = {
#define COUNTER(id, name, labels, help) [METRIC_##id] = {name, labels, help, TYPE_COUNTER},
#define GAUGE(id, name, labels, help) [METRIC_##id] = {name, labels, help, TYPE_GAUGE},
#define HISTOGRAM(id, name, labels, help) [METRIC_##id] = {name, labels, help, TYPE_HISTOGRAM},
#define ALIAS(name, id)
#include <spangate/base/metrics.def>
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef ALIAS
};

static const struct {
    const char *name;
    enum metric_id id;
} aliases[] = {
#define COUNTER(id, name, labels, help)
#define GAUGE(id, name, labels, help)
#define HISTOGRAM(id, name, labels, help)
#define ALIAS(name, id) {name, METRIC_##id},
#include <spangate/base/metrics.def>
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef ALIAS
};

/* Upper bounds in microseconds: 100 µs to 10 s. */
static const uint64_t bounds_us[] = {100,     250,     500,     1000,    2500,   5000,
                                     10000,   25000,   50000,   100000,  250000, 500000,
                                     1000000, 2500000, 5000000, 10000000};
enum { BOUND_COUNT = COUNT_OF(bounds_us) };

struct histogram {
    atomic_uint_fast64_t buckets[BOUND_COUNT + 1];
    atomic_uint_fast64_t sum_us;
};

struct metric_series {
    char *values[2]; /* label values, NULL where the metric has fewer labels */
    atomic_int_fast64_t value;
    struct histogram *histogram;
};

static struct {
    pthread_mutex_t lock;
    struct metric_series *series[METRIC_COUNT][METRIC_SERIES_MAX];
    _Atomic size_t count[METRIC_COUNT];
    _Atomic(struct metric_series *) plain[METRIC_COUNT];
    struct {
        void (*fn)(void *ctx);
        void *ctx;
    } collect[32];
    size_t collect_count;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool same_value(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

struct metric_series *metric_series(enum metric_id id, const char *value1, const char *value2)
{
    const char *labels = infos[id].labels;
    bool one = labels[0] != '\0';
    bool two = strchr(labels, ',') != NULL;
    value1 = one ? (value1 != NULL ? value1 : "") : NULL;
    value2 = two ? (value2 != NULL ? value2 : "") : NULL;

    (void)pthread_mutex_lock(&table.lock);
    size_t count = atomic_load(&table.count[id]);
    if (count >= METRIC_SERIES_MAX - 1) {
        /* The last place is for whatever comes after a full table, unless the set exists. */
        bool known = false;
        for (size_t i = 0; i < count && !known; i++) {
            known = same_value(table.series[id][i]->values[0], value1) &&
                    same_value(table.series[id][i]->values[1], value2);
        }
        if (!known) {
            value1 = one ? "other" : NULL;
            value2 = two ? "other" : NULL;
        }
    }
    struct metric_series *found = NULL;
    for (size_t i = 0; i < count && found == NULL; i++) {
        struct metric_series *s = table.series[id][i];
        found = same_value(s->values[0], value1) && same_value(s->values[1], value2) ? s : NULL;
    }
    if (found == NULL) {
        found = mem_zalloc(1, sizeof(*found));
        found->values[0] = value1 != NULL ? mem_strdup(value1) : NULL;
        found->values[1] = value2 != NULL ? mem_strdup(value2) : NULL;
        if (infos[id].type == TYPE_HISTOGRAM) {
            found->histogram = mem_zalloc(1, sizeof(*found->histogram));
        }
        table.series[id][count] = found;
        atomic_store_explicit(&table.count[id], count + 1, memory_order_release);
    }
    (void)pthread_mutex_unlock(&table.lock);
    return found;
}

static struct metric_series *plain(enum metric_id id)
{
    struct metric_series *series = atomic_load_explicit(&table.plain[id], memory_order_acquire);
    if (series == NULL) {
        series = metric_series(id, NULL, NULL);
        atomic_store_explicit(&table.plain[id], series, memory_order_release);
    }
    return series;
}

void series_add(struct metric_series *series, uint64_t n)
{
    atomic_fetch_add_explicit(&series->value, (int64_t)n, memory_order_relaxed);
}

void series_set(struct metric_series *series, int64_t value)
{
    atomic_store_explicit(&series->value, value, memory_order_relaxed);
}

void series_observe(struct metric_series *series, double seconds)
{
    assert(series->histogram != NULL);
    uint64_t us = seconds <= 0 ? 0 : (uint64_t)(seconds * 1e6);
    size_t bucket = 0;
    while (bucket < BOUND_COUNT && us > bounds_us[bucket]) {
        bucket++;
    }
    atomic_fetch_add_explicit(&series->histogram->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&series->histogram->sum_us, us, memory_order_relaxed);
    atomic_fetch_add_explicit(&series->value, 1, memory_order_relaxed);
}

uint64_t series_value(const struct metric_series *series)
{
    return (uint64_t)atomic_load_explicit(&series->value, memory_order_relaxed);
}

void metric_add(enum metric_id id, uint64_t n)
{
    series_add(plain(id), n);
}

void metric_set(enum metric_id id, int64_t value)
{
    series_set(plain(id), value);
}

void metric_observe(enum metric_id id, double seconds)
{
    series_observe(plain(id), seconds);
}

uint64_t metric_value(enum metric_id id)
{
    uint64_t sum = 0;
    size_t count = atomic_load_explicit(&table.count[id], memory_order_acquire);
    for (size_t i = 0; i < count; i++) {
        sum += series_value(table.series[id][i]);
    }
    return sum;
}

void metrics_on_collect(void (*collect)(void *ctx), void *ctx)
{
    (void)pthread_mutex_lock(&table.lock);
    assert(table.collect_count < COUNT_OF(table.collect));
    table.collect[table.collect_count].fn = collect;
    table.collect[table.collect_count++].ctx = ctx;
    (void)pthread_mutex_unlock(&table.lock);
}

void metrics_off_collect(void (*collect)(void *ctx), void *ctx)
{
    (void)pthread_mutex_lock(&table.lock);
    for (size_t i = 0; i < table.collect_count; i++) {
        if (table.collect[i].fn == collect && table.collect[i].ctx == ctx) {
            table.collect[i] = table.collect[--table.collect_count];
            break;
        }
    }
    (void)pthread_mutex_unlock(&table.lock);
}

/* Prometheus label values escape backslash, quote and newline. */
static void put_label_value(struct strbuf *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"') {
            strbuf_putc(out, '\\');
            strbuf_putc(out, *value);
        } else if (*value == '\n') {
            strbuf_append_text(out, "\\n");
        } else {
            strbuf_putc(out, *value);
        }
    }
}

/* {a="x",b="y"[,le="…"]}; nothing when there is no label at all. */
static void put_labels(struct strbuf *out, const struct metric_info *info,
                       const struct metric_series *series, const char *le)
{
    if (info->labels[0] == '\0' && le == NULL) {
        return;
    }
    const char *comma = strchr(info->labels, ',');
    strbuf_putc(out, '{');
    if (info->labels[0] != '\0') {
        int first = comma != NULL ? (int)(comma - info->labels) : (int)strlen(info->labels);
        strbuf_printf(out, "%.*s=\"", first, info->labels);
        put_label_value(out, series->values[0]);
        strbuf_putc(out, '"');
    }
    if (comma != NULL) {
        strbuf_printf(out, ",%s=\"", comma + 1);
        put_label_value(out, series->values[1]);
        strbuf_putc(out, '"');
    }
    if (le != NULL) {
        strbuf_printf(out, "%sle=\"%s\"", info->labels[0] != '\0' ? "," : "", le);
    }
    strbuf_putc(out, '}');
}

static void put_histogram(struct strbuf *out, const char *name, const struct metric_info *info,
                          const struct metric_series *series)
{
    uint64_t total = 0;
    for (size_t i = 0; i <= BOUND_COUNT; i++) {
        char le[32] = "+Inf";
        if (i < BOUND_COUNT) {
            (void)snprintf(le, sizeof(le), "%g", (double)bounds_us[i] / 1e6);
        }
        total += atomic_load_explicit(&series->histogram->buckets[i], memory_order_relaxed);
        strbuf_printf(out, "%s_bucket", name);
        put_labels(out, info, series, le);
        strbuf_printf(out, " %" PRIu64 "\n", total);
    }
    strbuf_printf(out, "%s_sum", name);
    put_labels(out, info, series, NULL);
    strbuf_printf(out, " %g\n",
                  (double)atomic_load_explicit(&series->histogram->sum_us, memory_order_relaxed) /
                      1e6);
    strbuf_printf(out, "%s_count", name);
    put_labels(out, info, series, NULL);
    strbuf_printf(out, " %" PRIu64 "\n", total);
}

static const char *const type_names[] = {"counter", "gauge", "histogram"};

static void put_metric(struct strbuf *out, const char *name, enum metric_id id)
{
    const struct metric_info *info = &infos[id];
    strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, info->help, name,
                  type_names[info->type]);
    if (info->labels[0] == '\0') {
        (void)plain(id); /* a metric without labels is always there, at 0 */
    }
    size_t count = atomic_load_explicit(&table.count[id], memory_order_acquire);
    for (size_t i = 0; i < count; i++) {
        struct metric_series *series = table.series[id][i];
        if (info->type == TYPE_HISTOGRAM) {
            put_histogram(out, name, info, series);
            continue;
        }
        strbuf_append_text(out, name);
        put_labels(out, info, series, NULL);
        strbuf_printf(out, " %" PRId64 "\n",
                      (int64_t)atomic_load_explicit(&series->value, memory_order_relaxed));
    }
}

void metrics_write(struct strbuf *out)
{
    (void)pthread_mutex_lock(&table.lock);
    size_t collectors = table.collect_count;
    (void)pthread_mutex_unlock(&table.lock);
    for (size_t i = 0; i < collectors; i++) {
        table.collect[i].fn(table.collect[i].ctx);
    }
    for (enum metric_id id = 0; id < METRIC_COUNT; id++) {
        put_metric(out, infos[id].name, id);
    }
    for (size_t i = 0; i < COUNT_OF(aliases); i++) {
        put_metric(out, aliases[i].name, aliases[i].id);
    }
}

void metrics_write_markdown(struct strbuf *out)
{
    strbuf_append_text(out, "| Metric | Type | Labels | What it means |\n|---|---|---|---|\n");
    for (enum metric_id id = 0; id < METRIC_COUNT; id++) {
        strbuf_printf(out, "| `%s` | %s | %s | %s |\n", infos[id].name, type_names[infos[id].type],
                      infos[id].labels, infos[id].help);
    }
    for (size_t i = 0; i < COUNT_OF(aliases); i++) {
        strbuf_printf(out, "| `%s` | %s | %s | Same as `%s`. |\n", aliases[i].name,
                      type_names[infos[aliases[i].id].type], infos[aliases[i].id].labels,
                      infos[aliases[i].id].name);
    }
}
