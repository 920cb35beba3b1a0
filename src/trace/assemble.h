/*
 * assemble.h - the spans of a trace as an array in order of start: what is handed out when a trace
 * is finished or looked at.
 *
 * The array lives in a scratch that is used again for the next trace. Owner: the correlator's
 * thread.
 */
#ifndef SPANGATE_TRACE_ASSEMBLE_H
#define SPANGATE_TRACE_ASSEMBLE_H

#include "intern.h"
#include "span_store.h"
#include "trace_table.h"
#include <spangate/trace/correlator.h>

struct sort_key {
    uint64_t start_ns;
    uint32_t arrival;
};

struct scratch {
    struct finished_span *arrived; /* in order of arrival */
    struct finished_span *sorted;  /* NULL until a trace needs it */
    struct sort_key *keys;
    size_t cap;
    struct account *account;
};

void scratch_init(struct scratch *scratch, struct account *account);
void scratch_deinit(struct scratch *scratch);
void scratch_trim(struct scratch *scratch); /* let go of what only a huge trace needed */

/*
 * Fill *out (but for reason) from a trace. false: a span's parent is missing, and *out is whole
 * all the same. What *out points to is valid until the next call with this scratch, or until the
 * spans move.
 */
bool assemble(const struct trace_record *trace, const struct span_store *spans,
              const struct intern *intern, struct scratch *scratch, struct finished_trace *out);

/* Read one span out of the store. */
void assemble_span(const struct trace_record *trace, const struct span_record *record,
                   struct span *out);

/* Whether every parent named in the trace is in it, without assembling. */
bool trace_is_complete(const struct trace_record *trace, const struct span_store *spans);

#endif
