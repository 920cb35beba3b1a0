/*
 * log.c - one line a write(2) to stderr, rate-limited by call site.
 */
#include <spangate/base/log.h>

#include <spangate/base/clock.h>
#include <spangate/base/text.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW_S = 10, LINES_PER_WINDOW = 10, LINE_MAX_BYTES = 2048 };

static struct {
    enum log_level level;
    enum log_format format;
} settings = {LOG_LEVEL_INFO, LOG_FORMAT_TEXT};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_setup(enum log_level level, enum log_format format)
{
    settings.level = level;
    settings.format = format;
}

bool log_enabled(enum log_level level)
{
    return level <= settings.level;
}

/* Whether this line may be written; *swallowed: how many were not since the last window. */
static bool admit(struct log_site *site, uint64_t now_s, unsigned *swallowed)
{
    uint_fast64_t window = atomic_load_explicit(&site->window_s, memory_order_relaxed);
    *swallowed = 0;
    if (now_s - window >= WINDOW_S &&
        atomic_compare_exchange_strong_explicit(&site->window_s, &window, now_s,
                                                memory_order_relaxed, memory_order_relaxed)) {
        atomic_store_explicit(&site->written, 0, memory_order_relaxed);
        *swallowed = (unsigned)atomic_exchange_explicit(&site->swallowed, 0, memory_order_relaxed);
    }
    if (atomic_fetch_add_explicit(&site->written, 1, memory_order_relaxed) >= LINES_PER_WINDOW) {
        (void)atomic_fetch_add_explicit(&site->swallowed, 1, memory_order_relaxed);
        return false;
    }
    return true;
}

/* Values may hold bytes from outside: no control character reaches a terminal. */
static void escape_controls(char *text)
{
    for (char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            *at = '?';
        }
    }
}

/* key=value pairs as JSON members; a value may stand in double quotes. */
static void put_json_pairs(struct strbuf *out, const char *pairs)
{
    const char *at = pairs;
    while (*at != '\0') {
        const char *equals = strchr(at, '=');
        if (equals == NULL) {
            break;
        }
        const char *value = equals + 1;
        const char *end = NULL;
        if (*value == '"') {
            value++;
            /* The closing quote is the last one before " key=" or the end. */
            for (const char *q = strchr(value, '"'); q != NULL; q = strchr(q + 1, '"')) {
                end = q;
                if (q[1] == ' ' && strchr(q + 1, '=') != NULL) {
                    break;
                }
            }
            end = end == NULL ? value + strlen(value) : end;
        } else {
            end = value + strcspn(value, " ");
        }
        strbuf_putc(out, ',');
        json_put_string(out, (struct slice){(const uint8_t *)at, (size_t)(equals - at)});
        strbuf_putc(out, ':');
        json_put_string(out, (struct slice){(const uint8_t *)value, (size_t)(end - value)});
        at = *end == '"' ? end + 1 : end;
        while (*at == ' ') {
            at++;
        }
    }
}

void log_write(struct log_site *site, enum log_level level, const char *component,
               const char *message, const char *fmt, ...)
{
    uint64_t now_ns = clock_wall(&clock_system);
    unsigned swallowed = 0;
    if (!admit(site, clock_monotonic(&clock_system) / NS_PER_S + WINDOW_S, &swallowed)) {
        return;
    }

    char pairs[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(pairs, sizeof(pairs), fmt, args);
    va_end(args);
    if (len < 0) {
        pairs[0] = '\0';
    }
    escape_controls(pairs);
    if (swallowed > 0) {
        size_t used = strlen(pairs);
        (void)snprintf(pairs + used, sizeof(pairs) - used, "%sswallowed=%u", used > 0 ? " " : "",
                       swallowed);
    }

    char when[40];
    struct tm utc;
    time_t seconds = (time_t)(now_ns / NS_PER_S);
    (void)gmtime_r(&seconds, &utc);
    size_t stamp = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(when + stamp, sizeof(when) - stamp, ".%03uZ",
                   (unsigned)(now_ns % NS_PER_S / NS_PER_MS));

    struct strbuf line;
    strbuf_init(&line, (size_t)LINE_MAX_BYTES * 8);
    if (settings.format == LOG_FORMAT_JSON) {
        strbuf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"component\":", when,
                      level_names[level]);
        json_put_string(&line, slice_of(component));
        strbuf_append_text(&line, ",\"msg\":");
        json_put_string(&line, slice_of(message));
        put_json_pairs(&line, pairs);
        strbuf_append_text(&line, "}\n");
    } else {
        strbuf_printf(&line, "%s %-5s %s \"%s\"%s%s\n", when, level_names[level], component,
                      message, pairs[0] != '\0' ? " " : "", pairs);
    }
    /* A log that cannot be written has nobody to tell. */
    ssize_t written = write(STDERR_FILENO, line.data, line.len);
    (void)written;
    strbuf_deinit(&line);
}
