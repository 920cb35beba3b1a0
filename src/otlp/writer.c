/*
 * writer.c - rebuild a request from envelopes and spans (otlp.h).
 *
 * Lengths of ResourceSpans and ScopeSpans are filled in when they close, in the 5-byte form.
 */

#include <spangate/otlp/otlp.h>
#include <spangate/otlp/pb.h>

enum { REQUEST_RESOURCE_SPANS = 1, RESOURCE_SPANS_SCOPE_SPANS = 2, SCOPE_SPANS_SPANS = 2 };

#define NOTHING_OPEN SIZE_MAX

/* Neighbours usually are the same view, so that nothing has to be compared. */
static bool same_envelope(struct slice a, struct slice b)
{
    return (a.data == b.data && a.len == b.len) || slice_equal(a, b);
}

static void close_scope(struct otlp_writer *writer)
{
    if (writer->scope_at != NOTHING_OPEN) {
        pb_end(writer->out, writer->scope_at);
        writer->scope_at = NOTHING_OPEN;
    }
}

static void close_resource(struct otlp_writer *writer)
{
    close_scope(writer);
    if (writer->resource_at != NOTHING_OPEN) {
        pb_end(writer->out, writer->resource_at);
        writer->resource_at = NOTHING_OPEN;
    }
}

void otlp_writer_begin(struct otlp_writer *writer, struct strbuf *out)
{
    *writer =
        (struct otlp_writer){.out = out, .resource_at = NOTHING_OPEN, .scope_at = NOTHING_OPEN};
}

void otlp_writer_add(struct otlp_writer *writer, struct slice resource_envelope,
                     struct slice scope_envelope, struct slice raw_span)
{
    if (writer->resource_at == NOTHING_OPEN ||
        !same_envelope(writer->resource, resource_envelope)) {
        close_resource(writer);
        writer->resource_at = pb_begin(writer->out, REQUEST_RESOURCE_SPANS);
        writer->resource = resource_envelope;
        strbuf_append_slice(writer->out, resource_envelope);
    }
    if (writer->scope_at == NOTHING_OPEN || !same_envelope(writer->scope, scope_envelope)) {
        close_scope(writer);
        writer->scope_at = pb_begin(writer->out, RESOURCE_SPANS_SCOPE_SPANS);
        writer->scope = scope_envelope;
        strbuf_append_slice(writer->out, scope_envelope);
    }
    pb_put_bytes(writer->out, SCOPE_SPANS_SPANS, raw_span);
    writer->span_count++;
}

void otlp_writer_end(struct otlp_writer *writer)
{
    close_resource(writer);
}
