/*
 * routes.h - a bit for each pipeline of the configuration, the same bit in every run.
 *
 * Stored traces and log records carry the set of pipelines they entered as a bit mask. The file
 * data_dir/routes keeps which bit is whose (routes.c has the format), so that a changed
 * configuration does not send old traces to the wrong destination.
 */
#ifndef SPANGATE_SRC_PIPELINE_ROUTES_H
#define SPANGATE_SRC_PIPELINE_ROUTES_H

#include <spangate/base/fs.h>
#include <spangate/pipeline/pipeline.h>

enum { ROUTES_MAX = 32 };

struct routes {
    char *ids[ROUTES_MAX]; /* by bit */
    size_t count;
    /* For the running configuration: pipelines a receiver feeds, by signal. */
    uint32_t by_receiver[64][OTLP_SIGNALS];
};

/*
 * Read the file, give bits to new pipelines, write it back. path NULL: nothing is kept on disk.
 * A damaged file is made anew. ERR_LIMIT: more than ROUTES_MAX pipelines over the life of the data
 * folder.
 */
bool routes_open(struct routes *routes, const char *path, const struct fs *fs,
                 const struct pipeline_route *list, size_t count, struct error *err) MUST_CHECK;
void routes_deinit(struct routes *routes);

/* The bits of these pipelines; unknown ids have none. */
uint32_t routes_mask(const struct routes *routes, const char *const *ids, size_t count);

#endif
