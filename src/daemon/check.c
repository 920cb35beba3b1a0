/*
 * check.c - `spangate check`: read every byte of a data folder and say what is well and what is
 * not.
 *
 * The gateway must not be running on it. A torn tail of the ingest log is cut and damaged stretches
 * are set aside, exactly as a start would do.
 */
#include "commands.h"

#include <spangate/blocks/trace_log.h>
#include <spangate/index/index.h>
#include <spangate/otlp/otlp.h>

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct checked {
    struct trace_log *log;
    uint64_t blocks, spans, traces, bytes, bad_blocks;
    uint64_t records, record_spans, bad_records;
};

static bool check_block(void *ctx, const struct block_info *info)
{
    struct checked *checked = ctx;
    struct block *block = NULL;
    struct error err;

    if (!trace_log_load(checked->log, info->seq, BLOCK_ALL, &block, &err)) {
        (void)fprintf(stderr, "block %" PRIu64 ": %s\n", info->seq, err.message);
        checked->bad_blocks++;
        return true;
    }
    checked->blocks++;
    checked->spans += block->span_count;
    checked->traces += block->trace_count;
    checked->bytes += info->stored_bytes;
    block_unref(block);
    return true;
}

static bool check_record(void *ctx, const struct wal_record *record, struct error *err)
{
    struct checked *checked = ctx;
    struct span_batch *batch = NULL;
    struct error bad;

    (void)err;
    checked->records++;
    if (record->signal != OTLP_TRACES) {
        return true;
    }
    if (!otlp_decode_traces(buf_copy(record->payload, NULL), record->received_ns,
                            &otlp_limits_default, &batch, &bad)) {
        (void)fprintf(stderr, "ingest log record %" PRIu64 ": %s\n", record->lsn, bad.message);
        checked->bad_records++;
        return true;
    }
    checked->record_spans += batch->span_count;
    span_batch_unref(batch);
    return true;
}

/* The ingest log, read to its end. Also what keeps a running gateway and us apart: its lock. */
static bool check_wal(const char *data_dir, struct checked *checked, struct wal_recovery *found,
                      struct error *err)
{
    char dir[PATH_MAX];
    struct wal *wal = NULL;
    (void)snprintf(dir, sizeof(dir), "%s/wal", data_dir);
    struct wal_config config = {.dir = dir, .total_bytes_max = UINT64_MAX};
    if (!wal_open(&wal, &config, &fs_posix, &clock_system, err)) {
        return error_wrap(err, "ingest log");
    }
    bool ok = wal_replay(wal, check_record, checked, found, err);
    wal_close(wal);
    return ok || error_wrap(err, "ingest log");
}

static bool check_blocks(const char *data_dir, bool rebuild, struct checked *checked,
                         struct trace_log_recovery *found, uint64_t *indexed, struct error *err)
{
    char dir[PATH_MAX];
    struct index *index = NULL;
    (void)snprintf(dir, sizeof(dir), "%s/blocks", data_dir);
    struct trace_log_config config = {.dir = dir,
                                      .persist = true,
                                      .partition_ns = 3600 * NS_PER_S,
                                      .cache_bytes_max = 16 * 1024 * 1024,
                                      .zstd_level = 1};
    if (!trace_log_open(&checked->log, &config, &fs_posix, &clock_system, NULL, found, err)) {
        return error_wrap(err, "trace log");
    }
    trace_log_each(checked->log, check_block, checked);
    bool ok =
        index_open(&index, checked->log, true, err) && index_catch_up(index, rebuild, indexed, err);
    if (index != NULL) {
        index_close(index);
    }
    trace_log_close(checked->log);
    return ok || error_wrap(err, "index");
}

int cmd_check(const struct args *args)
{
    struct settings *settings = NULL;
    struct checked checked = {0};
    struct wal_recovery wal = {0};
    struct trace_log_recovery blocks = {0};
    uint64_t indexed = 0;
    uint64_t size = 0;
    struct error err;

    if (!command_load(args, &settings)) {
        return EXIT_CONFIG;
    }
    const char *data_dir = args->data_dir != NULL ? args->data_dir : settings->data_dir;
    int code = EXIT_OK;
    if (fs_posix.size(&fs_posix, data_dir, &size) != 0) {
        (void)fprintf(stderr, "spangate: there is no data folder %s\n", data_dir);
        code = EXIT_FAILED;
    } else if (!check_wal(data_dir, &checked, &wal, &err) ||
               !check_blocks(data_dir, args->rebuild_index, &checked, &blocks, &indexed, &err)) {
        (void)fprintf(stderr, "spangate: %s\n", err.message);
        code = command_exit_code(&err);
    } else {
        uint64_t damaged =
            wal.quarantined + blocks.quarantined + checked.bad_blocks + checked.bad_records;
        (void)printf("data folder   %s\n"
                     "ingest log    %" PRIu64 " records, %" PRIu64 " spans, %" PRIu64
                     " bytes; torn %" PRIu64 " bytes, damaged %" PRIu64 "\n"
                     "trace log     %" PRIu64 " blocks, %" PRIu64 " traces, %" PRIu64
                     " spans, %" PRIu64 " bytes; damaged %" PRIu64 "\n"
                     "index         %" PRIu64 " blocks added%s\n"
                     "verdict       %s\n",
                     data_dir, wal.records, checked.record_spans, wal.bytes, wal.torn_bytes,
                     wal.quarantined + checked.bad_records, checked.blocks, checked.traces,
                     checked.spans, checked.bytes, blocks.quarantined + checked.bad_blocks, indexed,
                     args->rebuild_index ? " (rebuilt)" : "",
                     damaged == 0 ? "sound" : "damaged parts were set aside, see corrupt/");
        code = damaged == 0 ? EXIT_OK : EXIT_IO;
    }
    settings_free(settings);
    return code;
}
