/*
 * waterfall.c - spans in the order of a person's reading, with bars.
 *
 * The tree is walked with a stack of its own: a chain of spans may be as deep as the trace is long.
 */
#include "waterfall.h"

#include <spangate/base/clock.h>
#include <spangate/base/map.h>
#include <spangate/base/mem.h>
#include <spangate/base/text.h>
#include <spangate/otlp/otlp.h>

#include <stdio.h>
#include <stdlib.h>

enum {
    COLUMNS_MIN = 60,
    COLUMNS_MAX = 400,
    DURATION_COLUMNS = 10,
    INDENT_MAX = 20, /* levels that still move to the right */
    BODY_MAX = 256 << 20,
};

struct node {
    const struct span *span;
    struct slice service;
    struct node *first_child, *last_child, *next; /* siblings by start */
    unsigned depth;
    bool has_parent, drawn;
};

static int by_start(const void *left, const void *right)
{
    const struct node *a = left;
    const struct node *b = right;
    if (a->span->start_ns != b->span->start_ns) {
        return a->span->start_ns < b->span->start_ns ? -1 : 1;
    }
    /* The longer of two that start together is more likely the outer one. */
    return a->span->end_ns > b->span->end_ns ? -1 : a->span->end_ns < b->span->end_ns;
}

/* Nodes sorted by start, linked to their parents. */
static struct node *make_tree(const struct span_batch *batch)
{
    struct node *nodes = mem_zalloc(batch->span_count + 1, sizeof(*nodes));
    struct map ids;

    for (size_t i = 0; i < batch->span_count; i++) {
        const struct batch_scope *scope = &batch->scopes[batch->spans[i].scope];
        nodes[i].span = &batch->spans[i];
        nodes[i].service = batch->resources[scope->resource].service;
    }
    qsort(nodes, batch->span_count, sizeof(*nodes), by_start);
    map_init(&ids);
    for (size_t i = batch->span_count; i-- > 0;) {
        map_put(&ids, (struct slice){nodes[i].span->span_id.bytes, 8}, &nodes[i]);
    }
    for (size_t i = 0; i < batch->span_count; i++) {
        struct node *node = &nodes[i];
        struct node *parent = span_is_root(node->span)
                                  ? NULL
                                  : map_get(&ids, (struct slice){node->span->parent_id.bytes, 8});
        if (parent == NULL || parent == node) {
            continue;
        }
        node->has_parent = true;
        if (parent->last_child == NULL) {
            parent->first_child = node;
        } else {
            parent->last_child->next = node;
        }
        parent->last_child = node;
    }
    map_deinit(&ids);
    return nodes;
}

/* At most `columns` characters; what a terminal would act on becomes '?'. Returns columns used. */
static unsigned put_safe(struct slice text, unsigned columns, struct strbuf *out)
{
    unsigned used = 0;

    for (size_t i = 0; i < text.len;) {
        uint8_t c = text.data[i];
        size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        bool control = c < 0x20 || c == 0x7f ||
                       (c == 0xc2 && i + 1 < text.len && text.data[i + 1] < 0xa0) ||
                       i + len > text.len;
        if (used == columns) {
            break;
        }
        if (control) {
            strbuf_putc(out, '?');
        } else {
            strbuf_append(out, text.data + i, len);
        }
        used++;
        i += len;
    }
    return used;
}

static void put_spaces(unsigned count, struct strbuf *out)
{
    for (unsigned i = 0; i < count; i++) {
        strbuf_putc(out, ' ');
    }
}

static void format_span_time(uint64_t ns, char *out, size_t cap)
{
    if (ns < NS_PER_MS) {
        (void)snprintf(out, cap, "%.1fus", (double)ns / 1e3);
    } else if (ns < NS_PER_S) {
        (void)snprintf(out, cap, "%.1fms", (double)ns / 1e6);
    } else {
        (void)snprintf(out, cap, "%.2fs", (double)ns / 1e9);
    }
}

struct frame {
    uint64_t start_ns, end_ns; /* of the whole trace */
    unsigned left, bar;        /* columns */
    bool color;
};

static void put_bar(const struct frame *f, const struct span *span, struct strbuf *out)
{
    double length = (double)(f->end_ns - f->start_ns);
    double scale = length > 0 ? (double)f->bar / length : 0;
    unsigned from = (unsigned)((double)(span->start_ns - f->start_ns) * scale);
    unsigned to = (unsigned)((double)(span->end_ns - f->start_ns) * scale + 0.5);

    from = from >= f->bar ? f->bar - 1 : from;
    to = to <= from ? from + 1 : to > f->bar ? f->bar : to;
    put_spaces(from, out);
    for (unsigned i = from; i < to; i++) {
        strbuf_append_text(out, i == from ? "\xe2\x96\x8c" : "\xe2\x96\x88"); /* half, full block */
    }
}

static void put_line(const struct frame *f, const struct node *node, struct strbuf *out)
{
    const struct span *span = node->span;
    bool failed = span->status == SPAN_STATUS_ERROR;
    unsigned depth = node->depth > INDENT_MAX ? INDENT_MAX : node->depth;
    unsigned used = depth * 2;
    char duration[32];

    if (failed && f->color) {
        strbuf_append_text(out, "\033[31m");
    }
    put_spaces(used, out);
    if (failed) {
        strbuf_append_text(out, "! ");
        used += 2;
    }
    used += put_safe(node->service.len > 0 ? node->service : slice_of("?"), f->left / 3, out);
    strbuf_putc(out, ' ');
    used++;
    if (used + 1 < f->left) {
        used += put_safe(span->name, f->left - used - 1, out);
    }
    put_spaces(used < f->left ? f->left - used : 0, out);
    format_span_time(span->end_ns - span->start_ns, duration, sizeof(duration));
    strbuf_printf(out, " %*s  ", DURATION_COLUMNS, duration);
    put_bar(f, span, out);
    if (failed && f->color) {
        strbuf_append_text(out, "\033[0m");
    }
    strbuf_putc(out, '\n');
}

/* A span and all below it. `stack` has room for every node. */
static void draw_from(const struct frame *f, struct node *root, struct node **stack,
                      struct strbuf *out)
{
    size_t count = 0;

    root->depth = 0;
    stack[count++] = root;
    while (count > 0) {
        struct node *node = stack[--count];
        if (node->drawn) {
            continue; /* a circle of parents: each is shown once */
        }
        node->drawn = true;
        put_line(f, node, out);
        size_t first = count;
        for (struct node *child = node->first_child; child != NULL; child = child->next) {
            if (!child->drawn) {
                child->depth = node->depth + 1;
                stack[count++] = child;
            }
        }
        for (size_t last = count; first + 1 < last; first++) { /* the first child comes out first */
            struct node *swap = stack[first];
            stack[first] = stack[--last];
            stack[last] = swap;
        }
    }
}

static void draw(const struct span_batch *batch, const struct waterfall_style *style,
                 struct strbuf *out)
{
    struct node *nodes = make_tree(batch);
    struct node **stack = mem_zalloc(batch->span_count * 2 + 1, sizeof(struct node *));
    unsigned columns = style->columns < COLUMNS_MIN   ? COLUMNS_MIN
                       : style->columns > COLUMNS_MAX ? COLUMNS_MAX
                                                      : style->columns;
    struct frame f = {.start_ns = UINT64_MAX, .left = columns / 2, .color = style->color};
    char id[33];
    char duration[32];

    f.bar = columns - f.left - DURATION_COLUMNS - 4;
    for (size_t i = 0; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        f.start_ns = span->start_ns < f.start_ns ? span->start_ns : f.start_ns;
        f.end_ns = span->end_ns > f.end_ns ? span->end_ns : f.end_ns;
    }
    hex_encode(nodes[0].span->trace_id.bytes, 16, id);
    format_span_time(f.end_ns - f.start_ns, duration, sizeof(duration));
    strbuf_printf(out, "trace %s  %zu spans  %s\n\n", id, batch->span_count, duration);
    for (size_t i = 0; i < batch->span_count; i++) {
        if (!nodes[i].has_parent) {
            draw_from(&f, &nodes[i], stack, out);
        }
    }
    for (size_t i = 0; i < batch->span_count; i++) {
        if (!nodes[i].drawn) {
            draw_from(&f, &nodes[i], stack, out);
        }
    }
    free(stack);
    free(nodes);
}

bool waterfall_draw(struct slice json, const struct waterfall_style *style, struct strbuf *out,
                    struct error *err)
{
    struct otlp_limits limits = otlp_limits_default;
    struct span_batch *batch = NULL;
    struct strbuf request;

    limits.spans_max = SIZE_MAX;
    limits.body_bytes_max = BODY_MAX;
    strbuf_init(&request, BODY_MAX);
    bool ok = otlp_json_decode(OTLP_TRACES, json, &limits, &request, err);
    if (ok) {
        struct buf *body = buf_copy(strbuf_slice(&request), NULL);
        ok = otlp_decode_traces(body, 0, &limits, &batch, err);
    }
    strbuf_deinit(&request);
    if (!ok) {
        return error_wrap(err, "the answer");
    }
    if (batch->span_count == 0) {
        ok = error_set(err, ERR_NOT_FOUND, "the trace has no spans");
    } else {
        draw(batch, style, out);
    }
    span_batch_unref(batch);
    return ok;
}
