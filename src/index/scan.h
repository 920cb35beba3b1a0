/*
 * scan.h - the same questions answered by the blocks themselves: slower, and always right.
 *
 * Used when blocks are only in memory (there are few), and for a partition whose index is damaged
 * or behind until it is mended.
 */
#ifndef SPANGATE_SRC_INDEX_SCAN_H
#define SPANGATE_SRC_INDEX_SCAN_H

#include "names.h"
#include "reader.h"

#include <spangate/blocks/trace_log.h>

/* Blocks of one partition, newest first. */
void scan_partition(struct trace_log *log, uint64_t partition, struct seq_list *out);

/*
 * Those of the blocks that hold the trace, appended in their order, at most max. Blocks that are
 * gone or damaged are passed over; any other failure to read one is one.
 */
bool scan_find(struct trace_log *log, const struct seq_list *blocks, const struct trace_id *id,
               size_t max, struct seq_list *out, struct error *err) MUST_CHECK;

/* Whether a block has spans of the service starting in that range, as far as its tables tell. */
bool scan_matches(struct trace_log *log, uint64_t seq, struct slice service, uint64_t start_ns_min,
                  uint64_t start_ns_max, bool *matches, struct error *err) MUST_CHECK;

/* service NULL: the services of the blocks; otherwise the operations of that service. */
bool scan_names(struct trace_log *log, const struct seq_list *blocks, const struct slice *service,
                struct name_set *out, struct error *err) MUST_CHECK;

#endif
