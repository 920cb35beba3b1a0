/*
 * pipeline.h - the life of a request: decode, log, acknowledge, correlate, store, and what queries
 * see.
 *
 * Threads: pipeline_ingest() may be called from any thread. pipeline_start() makes the threads log,
 * trace and store, four-line loops around the turns in pipeline.c. Queries run on the caller's
 * thread and ask the trace thread for what is open.
 */
#ifndef SPANGATE_PIPELINE_PIPELINE_H
#define SPANGATE_PIPELINE_PIPELINE_H

#include <spangate/base/clock.h>
#include <spangate/base/fs.h>
#include <spangate/blocks/trace_log.h>
#include <spangate/otlp/ingest.h>
#include <spangate/otlp/otlp.h>
#include <spangate/sink/sink.h>
#include <spangate/trace/correlator.h>
#include <spangate/trace/filter.h>
#include <spangate/trace/view.h>
#include <spangate/wal/wal.h>

/* One pipeline of the configuration: `traces/in` etc. */
struct pipeline_route {
    const char *id; /* "traces", "traces/2", "logs" … */
    enum otlp_signal signal;
    uint64_t receivers; /* bit i: receiver i feeds it */
};

struct pipeline_config {
    const char *data_dir;
    struct wal_config wal;
    struct trace_log_config blocks;
    struct correlator_config traces;
    struct otlp_limits limits;
    const struct pipeline_route *routes;
    size_t route_count;                /* at most 32 */
    const char *const *receiver_names; /* by index: labels of metrics */
    size_t receiver_count;
    size_t block_bytes;    /* seal at this many raw bytes: 1 MiB */
    uint64_t block_age_ns; /* or when the oldest trace in it is this old: 1 s */
    /* Finalize open traces at stop (reason shutdown); else they stay in the ingest log. */
    bool finish_on_shutdown;
};

struct pipeline;

/* Open logs and index and replay the ingest log; nothing runs yet. config's strings are borrowed.
 * budget is the process' memory budget, borrowed. */
bool pipeline_open(struct pipeline **out, const struct pipeline_config *config, const struct fs *fs,
                   const struct clock *clock, struct budget *budget, struct error *err) MUST_CHECK;

/* Read back what the ingest log holds, then run. Between open and start destinations are made. */
bool pipeline_start(struct pipeline *pipeline, struct error *err) MUST_CHECK;

/* What receivers submit to. Requests before start and after drain are refused with
 * ERR_UNAVAILABLE. */
struct ingest pipeline_ingest(struct pipeline *pipeline);

/* Refuse new requests, commit and acknowledge what is queued, finish open traces if configured,
 * seal and store. */
void pipeline_drain(struct pipeline *pipeline);
void pipeline_close(struct pipeline *pipeline); /* after drain and after all sinks have stopped */

/* Whether requests are accepted durably: replay done, disks well. reason: a constant text when
 * not. */
bool pipeline_is_ready(struct pipeline *pipeline, const char **reason);

/*
 * What a destination reads: finished traces (export_on: finalized) of the pipelines in route_ids,
 * or accepted requests of `signal` from the ingest log. To be called between open and start for
 * ingest-log sources. The source goes to the runner, which closes it.
 */
bool pipeline_trace_source(struct pipeline *pipeline, const char *sink_name,
                           const char *const *route_ids, size_t count, struct sink_source *out,
                           struct error *err) MUST_CHECK;
bool pipeline_record_source(struct pipeline *pipeline, const char *sink_name,
                            enum otlp_signal signal, const char *const *route_ids, size_t count,
                            uint64_t from_lsn, struct sink_source *out,
                            struct error *err) MUST_CHECK;
/* Where a new destination begins: the end of its log now. */
struct sink_cursor pipeline_trace_end(struct pipeline *pipeline);
struct sink_cursor pipeline_record_end(struct pipeline *pipeline);

/* --- queries; any thread --- */

/* All spans known of a trace, open and stored as one set; view initialised by the callee.
 * ERR_NOT_FOUND. */
bool pipeline_trace(struct pipeline *pipeline, const struct trace_id *id, struct trace_view *view,
                    struct error *err) MUST_CHECK;

/* One line of a result list. */
struct trace_summary {
    struct trace_id trace_id;
    char root_service[128],
        root_name[128]; /* cut at 127 bytes on a character boundary; "" without a root */
    uint64_t start_ns, end_ns;
    uint32_t span_count, error_count; /* of the fragment found: see open */
    uint32_t service_count;
    bool open;
    uint32_t revision;
    enum trace_reason reason;
};

/*
 * Traces with at least one span that passes the filter, newest start first, at most filter->limit.
 * Open and stored. *summaries: release with free(). *truncated: there are more, or there may be
 * because deadline_ns of wall clock were over before all was examined.
 */
bool pipeline_search(struct pipeline *pipeline, const struct trace_filter *filter,
                     uint64_t deadline_ns, struct trace_summary **summaries, size_t *count,
                     bool *truncated, struct error *err) MUST_CHECK;

/* Distinct names, sorted; NULL-terminated array of strings, release with fs_free_names(). Open
 * traces included. */
bool pipeline_services(struct pipeline *pipeline, char ***names, struct error *err) MUST_CHECK;

struct trace_operation {
    char *name;
    uint8_t kind; /* enum span_kind */
};
/* Release each name and the array with free(). */
bool pipeline_operations(struct pipeline *pipeline, struct slice service,
                         struct trace_operation **operations, size_t *count,
                         struct error *err) MUST_CHECK;

/* Finish an open trace now (reason admin). ERR_NOT_FOUND: not open. */
bool pipeline_finish_trace(struct pipeline *pipeline, const struct trace_id *id,
                           struct error *err) MUST_CHECK;

#endif
