/*
 * stored_set.h - the spans of one trace that left the correlator before: in the open block, in
 * sealed blocks, in stored blocks. For recognizing spans that come a second time. Trace thread.
 */
#ifndef SPANGATE_SRC_PIPELINE_STORED_SET_H
#define SPANGATE_SRC_PIPELINE_STORED_SET_H

#include "pipeline_private.h"

struct stored_set {
    struct trace_view view;
    struct map by_hash; /* raw_hash to struct view_span, both inside the view */
};

/* Never fails: what cannot be read is logged, and its spans then count as new. */
void stored_set_open(struct stored_set *set, struct pipeline *p, const struct trace_id *id);
bool stored_set_has(const struct stored_set *set, struct slice raw, uint64_t raw_hash);
void stored_set_close(struct stored_set *set);

/*
 * Replay: take the spans out of the batch that are stored already, because the crash came between
 * storing their block and letting their record go. Only the owner of the batch may call.
 */
void stored_set_filter(struct pipeline *p, struct span_batch *batch);

#endif
