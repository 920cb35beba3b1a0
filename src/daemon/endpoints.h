/*
 * endpoints.h - the small HTTP ports: health (13133) and Prometheus metrics (8888).
 */
#ifndef SPANGATE_SRC_DAEMON_ENDPOINTS_H
#define SPANGATE_SRC_DAEMON_ENDPOINTS_H

#include <spangate/base/error.h>

struct endpoints;

/*
 * NULL endpoints are off. is_ready decides between 200 and 503 on / and /readyz; it is called on
 * the server's thread only after endpoints_pipeline_is_open().
 */
bool endpoints_open(struct endpoints **out, const char *health, const char *metrics,
                    bool (*is_ready)(void *ctx, const char **reason), void *ctx,
                    struct error *err) MUST_CHECK;
void endpoints_pipeline_is_open(struct endpoints *endpoints);
void endpoints_close(struct endpoints *endpoints); /* NULL is allowed */

#endif
