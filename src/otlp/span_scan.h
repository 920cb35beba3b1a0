/*
 * span_scan.h - reading one encoded span: the inner step of otlp_decode_traces().
 */
#ifndef SPANGATE_SRC_OTLP_SPAN_SCAN_H
#define SPANGATE_SRC_OTLP_SPAN_SCAN_H

#include "message.h"

#include <spangate/otlp/span.h>

/* What is learnt beside the span itself. The ids are as they stand there, of any length. */
struct span_scan {
    struct slice trace_id, span_id, parent_id;
    struct message_findings findings;
};

/*
 * Fill *span from its bytes, ids aside, and *scan. false: malformed, see scan->findings. Where a
 * field comes twice the last one counts, as protobuf says. Memory may be read up to limit, the end
 * of what raw is a part of.
 */
bool scan_span(struct slice raw, const uint8_t *limit, size_t depth_max, struct span *span,
               struct span_scan *scan);

#endif
