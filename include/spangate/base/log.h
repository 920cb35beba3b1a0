/*
 * log.h - lines for people who operate the gateway.
 *
 *   log_warn("sink", "delivery failed, will retry", "sink=%s attempt=%u error=\"%s\"", …);
 *
 * component and message are constants (greppable); the rest is key=value, "" for none. error = act
 * now, warn = degraded but handled, info = state changes, debug = per request. Each call site has
 * a rate limit (10 lines in 10 s) and says how many it swallowed. Control characters are
 * escaped; never log payload or credentials. Any thread may call.
 */
#ifndef SPANGATE_BASE_LOG_H
#define SPANGATE_BASE_LOG_H

#include <spangate/base/compiler.h>
#include <stdatomic.h>
#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* One call site's rate limit. */
struct log_site {
    atomic_uint_fast64_t window_s;
    atomic_uint_fast32_t written;
    atomic_uint_fast32_t swallowed;
};

/* Before threads start. Lines go to stderr. */
void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

void log_write(struct log_site *site, enum log_level level, const char *component,
               const char *message, const char *fmt, ...) PRINTF_LIKE(5, 6);

#define LOG_AT(level, component, message, ...)                                                     \
    do {                                                                                           \
        static struct log_site log_site_here;                                                      \
        if (log_enabled(level)) {                                                                  \
            log_write(&log_site_here, level, component, message, __VA_ARGS__);                     \
        }                                                                                          \
    } while (0)

#define log_error(component, message, ...) LOG_AT(LOG_LEVEL_ERROR, component, message, __VA_ARGS__)
#define log_warn(component, message, ...) LOG_AT(LOG_LEVEL_WARN, component, message, __VA_ARGS__)
#define log_info(component, message, ...) LOG_AT(LOG_LEVEL_INFO, component, message, __VA_ARGS__)
#define log_debug(component, message, ...) LOG_AT(LOG_LEVEL_DEBUG, component, message, __VA_ARGS__)

#endif
