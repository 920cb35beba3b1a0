/*
 * processors.c - the sections of processors and connectors.
 *
 * None of them is a step of its own: batch sets how large the requests of the exporters behind it
 * are, memory_limiter the budget of the process, groupbytrace when a trace counts as finished.
 */
#include "components.h"

static const struct config_field batch_fields[] = {
    {
        .key = "timeout",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct batch_draft, timeout_ns, uint64_t),
        .fallback = "200ms",
        .max = "10m",
        .help = "Exporters behind it wait at most this long for a batch of send_batch_size.",
    },
    {
        .key = "send_batch_size",
        .type = CONFIG_UINT,
        .at = CONFIG_AT(struct batch_draft, send_batch_size, uint64_t),
        .fallback = "8192",
        .max = "100000000",
        .help = "A batch of this many items is sent without waiting for more.",
    },
    {
        .key = "send_batch_max_size",
        .type = CONFIG_UINT,
        .at = CONFIG_AT(struct batch_draft, send_batch_max_size, uint64_t),
        .fallback = "0",
        .max = "100000000",
        .help = "No batch has more items. 0: 8192 or send_batch_size, whichever is more.",
    },
    {
        .key = "metadata_keys",
        .type = CONFIG_UNSUPPORTED,
        .help = "Request metadata is not kept.",
    },
    {
        .key = "metadata_cardinality_limit",
        .type = CONFIG_NO_EFFECT,
        .quiet = true,
        .help = "See metadata_keys.",
    },
};
static const struct config_schema batch_schema = CONFIG_SCHEMA(struct batch_draft, batch_fields);

#define ONE_LIMIT "Memory is charged before it is taken; there is no soft limit."

static const struct config_field memory_limiter_fields[] = {
    {
        .key = "check_interval",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct memory_limiter_draft, check_interval_ns, uint64_t),
        .fallback = "0s",
        .help = "Must be there as in the Collector, but nothing is polled: memory is charged "
                "before it is taken.",
    },
    {
        .key = "limit_mib",
        .type = CONFIG_UINT,
        .at = CONFIG_AT(struct memory_limiter_draft, limit_mib, uint64_t),
        .fallback = "0",
        .max = "16777216",
        .help = "Sets spangate.memory_limit, where that is not given.",
    },
    {
        .key = "limit_percentage",
        .type = CONFIG_UINT,
        .at = CONFIG_AT(struct memory_limiter_draft, limit_percentage, uint64_t),
        .fallback = "0",
        .max = "100",
        .help = "The same as a part of the machine's or control group's memory.",
    },
    {.key = "spike_limit_mib", .type = CONFIG_NO_EFFECT, .quiet = true, .help = ONE_LIMIT},
    {.key = "spike_limit_percentage", .type = CONFIG_NO_EFFECT, .quiet = true, .help = ONE_LIMIT},
    {
        .key = "min_gc_interval_when_soft_limited",
        .type = CONFIG_NO_EFFECT,
        .help = "There is no garbage collector.",
    },
    {
        .key = "min_gc_interval_when_hard_limited",
        .type = CONFIG_NO_EFFECT,
        .help = "There is no garbage collector.",
    },
    {
        .key = "max_gc_interval_when_soft_limited",
        .type = CONFIG_NO_EFFECT,
        .help = "There is no garbage collector.",
    },
    {
        .key = "max_gc_interval_when_hard_limited",
        .type = CONFIG_NO_EFFECT,
        .help = "There is no garbage collector.",
    },
};
static const struct config_schema memory_limiter_schema =
    CONFIG_SCHEMA(struct memory_limiter_draft, memory_limiter_fields);

static const struct config_field groupbytrace_fields[] = {
    {
        .key = "wait_duration",
        .type = CONFIG_DURATION,
        .at = CONFIG_AT(struct groupbytrace_draft, wait_duration_ns, uint64_t),
        .fallback = "1s",
        .min = "1ms",
        .help = "Sets spangate.traces.idle, and is an upper bound of settle, where those are not "
                "given.",
    },
    {
        .key = "num_traces",
        .type = CONFIG_NO_EFFECT,
        .help = "Open traces are bounded by spangate.memory_limit.",
    },
    {.key = "num_workers", .type = CONFIG_NO_EFFECT, .help = "One thread puts traces together."},
    {
        .key = "discard_orphans",
        .type = CONFIG_UNSUPPORTED,
        .fallback = "false",
        .help = "Spans without a root are kept.",
    },
    {
        .key = "store_on_disk",
        .type = CONFIG_UNSUPPORTED,
        .fallback = "false",
        .help = "Open traces are always in the ingest log as well.",
    },
};
static const struct config_schema groupbytrace_schema =
    CONFIG_SCHEMA(struct groupbytrace_draft, groupbytrace_fields);

static const struct config_schema empty_schema = {.fields = NULL, .count = 0, .size = 0};

const struct component batch_processor_component = {
    .class = COMPONENT_PROCESSOR,
    .type = "batch",
    .signals = TAKES_ALL,
    .schema = &batch_schema,
    .help = "Sets how large the requests of the exporters in its pipeline are.",
};

const struct component memory_limiter_processor_component = {
    .class = COMPONENT_PROCESSOR,
    .type = "memory_limiter",
    .signals = TAKES_ALL,
    .schema = &memory_limiter_schema,
    .help = "Sets spangate.memory_limit.",
};

const struct component groupbytrace_processor_component = {
    .class = COMPONENT_PROCESSOR,
    .type = "groupbytrace",
    .signals = TAKES_TRACES,
    .schema = &groupbytrace_schema,
    .help = "Sets when a trace counts as finished. Traces are always put together.",
};

const struct component forward_connector_component = {
    .class = COMPONENT_CONNECTOR,
    .type = "forward",
    .signals = TAKES_ALL,
    .schema = &empty_schema,
    .help = "Joins pipelines: what one exports to it, another receives from it.",
};
