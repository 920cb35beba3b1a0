/*
 * span_scan.h - read the fixed fields of an encoded span again.
 *
 * The bytes passed the decoder once, so there is nothing to report: what does not parse ends the
 * scan. The last occurrence of a field counts, as in the decoder. No allocation; any thread.
 */
#ifndef SPANGATE_TRACE_SPAN_SCAN_H
#define SPANGATE_TRACE_SPAN_SCAN_H

#include <spangate/otlp/span.h>

struct span_fields {
    struct span_id span_id;
    struct span_id parent_id;
    uint64_t start_ns, end_ns; /* as sent */
    struct slice name;
};

void span_scan(struct slice raw, struct span_fields *out);

/*
 * The same from the fields before the first one with a higher number than any of these. Encoders
 * write fields in order, so this mostly finds everything in the first hundred bytes. Whether it
 * does for a span must be found out once, by comparing with what the decoder said.
 */
void span_scan_front(struct slice raw, struct span_fields *out);

#endif
