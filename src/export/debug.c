/*
 * debug.c - the driver debug: shows on stderr what passes by.
 *
 *   basic     one log line a batch, with counts
 *   normal    and one line a span: name, ids, duration, status, attributes
 *   detailed  and the whole request as OTLP/JSON on one line
 *
 * It is made to show data, so it prints payload where everything else must not. Control characters
 * are escaped, because what is printed comes from outside and goes to a terminal.
 *
 * Threads: the runner's thread; interrupt from any.
 */

#include <spangate/base/clock.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/text.h>
#include <spangate/export/export.h>
#include <spangate/otlp/attributes.h>
#include <spangate/otlp/otlp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 64 * 1024 * 1024 };

struct sink {
    const struct debug_settings *settings;
    struct strbuf text;
    atomic_bool interrupted;
};

static const char *const signal_names[OTLP_SIGNALS] = {
    [OTLP_TRACES] = "traces",
    [OTLP_METRICS] = "metrics",
    [OTLP_LOGS] = "logs",
};

static bool debug_open(struct sink **out, const void *settings, struct error *err)
{
    struct sink *sink = mem_zalloc(1, sizeof(*sink));

    (void)err;
    sink->settings = settings;
    strbuf_init(&sink->text, TEXT_MAX);
    *out = sink;
    return true;
}

static enum sink_encoding debug_encoding(const struct sink *sink)
{
    return sink->settings->verbosity == DEBUG_DETAILED ? SINK_JSON : SINK_PROTOBUF;
}

static void put_escaped(struct strbuf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c < 0x20 || c == 0x7f) {
            strbuf_printf(out, "\\x%02x", c);
        } else {
            strbuf_putc(out, (char)c);
        }
    }
}

static void put_attributes(struct strbuf *out, struct attribute_iter iter)
{
    struct attribute attribute;
    struct strbuf value;

    strbuf_init(&value, TEXT_MAX);
    while (attribute_next(&iter, &attribute)) {
        strbuf_clear(&value);
        any_to_text(&attribute.value, &value);
        strbuf_putc(out, ' ');
        put_escaped(out, attribute.key);
        strbuf_putc(out, '=');
        put_escaped(out, strbuf_slice(&value));
    }
    strbuf_deinit(&value);
}

static void put_span(struct strbuf *out, const struct span *span)
{
    static const char *const states[] = {"", " status=ok", " status=error"};
    char trace_id[33];
    char span_id[17];
    char duration[40];

    hex_encode(span->trace_id.bytes, sizeof(span->trace_id.bytes), trace_id);
    hex_encode(span->span_id.bytes, sizeof(span->span_id.bytes), span_id);
    uint64_t length_ns = span->end_ns - span->start_ns;
    duration_format(length_ns > INT64_MAX ? INT64_MAX : (int64_t)length_ns, duration,
                    sizeof(duration));
    put_escaped(out, span->name);
    strbuf_printf(out, " %s %s %s%s", trace_id, span_id, duration, states[span->status]);
    put_attributes(out, span_attributes(span->raw));
    strbuf_putc(out, '\n');
}

static void put_spans(struct strbuf *out, const struct span_batch *batch)
{
    uint32_t shown = UINT32_MAX;

    for (size_t i = 0; i < batch->span_count; i++) {
        uint32_t resource = batch->scopes[batch->spans[i].scope].resource;
        if (resource != shown) {
            shown = resource;
            strbuf_append_text(out, "resource:");
            put_attributes(out, resource_attributes(batch->resources[resource].envelope));
            strbuf_putc(out, '\n');
        }
        put_span(out, &batch->spans[i]);
    }
}

/* One write a batch, so that lines of other threads do not come in between. */
static void flush_text(struct sink *sink)
{
    (void)fwrite(sink->text.data, 1, sink->text.len, stderr);
    strbuf_deinit(&sink->text);
}

static void show_traces(struct sink *sink, const struct sink_batch *request)
{
    struct span_batch *batch = NULL;
    struct error err;
    struct buf *copy = buf_copy(request->body, NULL);

    if (!otlp_decode_traces(copy, clock_wall(&clock_system), &otlp_limits_default, &batch, &err)) {
        log_warn("debug", "cannot show a batch", "error=\"%s\"", err.message);
        return;
    }
    log_info("debug", "traces", "resource_spans=%zu spans=%zu", batch->resource_count,
             batch->span_count);
    if (sink->settings->verbosity == DEBUG_NORMAL) {
        put_spans(&sink->text, batch);
        flush_text(sink);
    }
    span_batch_unref(batch);
}

static void debug_deliver(struct sink *sink, const struct sink_batch *batch,
                          struct sink_outcome *out)
{
    *out = (struct sink_outcome){.verdict = SINK_DELIVERED};
    if (atomic_load(&sink->interrupted)) {
        out->verdict = SINK_RETRY;
        (void)error_set(&out->err, ERR_UNAVAILABLE, "debug: interrupted");
    } else if (sink->settings->verbosity == DEBUG_DETAILED) {
        log_info("debug", signal_names[batch->signal], "items=%zu", batch->item_count);
        put_escaped(&sink->text, batch->body);
        strbuf_putc(&sink->text, '\n');
        flush_text(sink);
    } else if (batch->signal == OTLP_TRACES) {
        show_traces(sink, batch);
    } else {
        log_info("debug", signal_names[batch->signal], "items=%zu", batch->item_count);
    }
}

static void debug_interrupt(struct sink *sink)
{
    atomic_store(&sink->interrupted, true);
}

static void debug_close(struct sink *sink)
{
    strbuf_deinit(&sink->text);
    free(sink);
}

const struct sink_driver debug_driver = {
    .type = "debug",
    .open = debug_open,
    .encoding = debug_encoding,
    .deliver = debug_deliver,
    .interrupt = debug_interrupt,
    .close = debug_close,
};
