/* load.h - load a configuration in a test, or the report of why it cannot be. */
#ifndef SPANGATE_TEST_DAEMON_LOAD_H
#define SPANGATE_TEST_DAEMON_LOAD_H

#include "unit.h"

#include "settings.h"

#include <spangate/base/mem.h>

/* The smallest file with a pipeline; what a test adds is merged over it. */
#define SMALL                                                                                      \
    "receivers: {otlp: {protocols: {http: {}}}}\n"                                                 \
    "exporters: {debug: }\n"                                                                       \
    "service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n"

static inline char *as_source(const char *yaml)
{
    return mem_printf("yaml:%s", yaml);
}

/* Load base and more over it (each may be NULL). Release with settings_free(). */
static inline struct settings *load(const char *base, const char *more)
{
    struct settings *settings = NULL;
    struct error err = {0};
    char *report = NULL;
    char *sources[2];
    size_t count = 0;

    if (base != NULL) {
        sources[count++] = as_source(base);
    }
    if (more != NULL) {
        sources[count++] = as_source(more);
    }
    bool ok = settings_load(&settings, (const char *const *)sources, count, NULL, 0, &report, &err);
    while (count > 0) {
        free(sources[--count]);
    }
    if (!ok) {
        fail_msg("%s", report);
    }
    assert_null(report);
    return settings;
}

/* What is reported; release with free(). */
static inline char *report_of(const char *yaml)
{
    struct settings *settings = NULL;
    struct error err = {0};
    char *report = NULL;
    char *source = as_source(yaml);

    bool ok = settings_load(&settings, (const char *const[]){source}, 1, NULL, 0, &report, &err);
    free(source);
    if (ok) {
        fail_msg("loaded:\n%s", yaml);
    }
    assert_null(settings);
    assert_non_null(report);
    assert_true(err.code != ERR_NONE);
    return report;
}

static inline void refused(const char *yaml, const char *expected)
{
    char *report = report_of(yaml);
    assert_string_equal(report, expected);
    free(report);
}

static inline int quiet(void **state)
{
    (void)state;
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return setenv("STATE_DIRECTORY", "/var/lib/state-of-test", 1) +
           unsetenv("SPANGATE_LISTEN_HOST");
}

#endif
