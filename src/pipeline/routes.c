/*
 * routes.c - which bit is which pipeline.
 */
#include "routes.h"

#include <spangate/base/mem.h>
#include <spangate/base/strbuf.h>

#include <stdlib.h>

enum { FILE_BYTES_MAX = 64 * 1024 };

static size_t bit_of(const struct routes *routes, const char *id)
{
    size_t i = 0;
    while (i < routes->count && strcmp(routes->ids[i], id) != 0) {
        i++;
    }
    return i;
}

static bool add(struct routes *routes, const char *id, struct error *err)
{
    if (bit_of(routes, id) < routes->count) {
        return true;
    }
    if (routes->count == ROUTES_MAX) {
        return error_set(err, ERR_LIMIT, "more than %d pipelines in the life of this data folder",
                         ROUTES_MAX);
    }
    routes->ids[routes->count++] = mem_strdup(id);
    return true;
}

static bool read_file(struct routes *routes, const char *path, const struct fs *fs,
                      struct error *err)
{
    char *text = NULL;
    size_t len = 0;
    if (!fs_read_file(fs, path, FILE_BYTES_MAX, &text, &len, err)) {
        return err->code == ERR_NOT_FOUND;
    }
    bool ok = true;
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); ok && line != NULL; line = strsep(&rest, "\n")) {
        ok = line[0] == '\0' || add(routes, line, err);
    }
    free(text);
    return ok;
}

static bool write_file(const struct routes *routes, const char *path, const struct fs *fs,
                       struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, FILE_BYTES_MAX);
    for (size_t i = 0; i < routes->count; i++) {
        strbuf_printf(&text, "%s\n", routes->ids[i]);
    }
    bool ok = fs_replace_file(fs, path, strbuf_slice(&text), err);
    strbuf_deinit(&text);
    return ok;
}

bool routes_open(struct routes *routes, const char *path, const struct fs *fs,
                 const struct pipeline_route *list, size_t count, struct error *err)
{
    *routes = (struct routes){0};
    if (path != NULL && !read_file(routes, path, fs, err)) {
        routes_deinit(routes);
        return error_wrap(err, "pipelines of the data folder");
    }
    size_t known = routes->count;
    for (size_t i = 0; i < count; i++) {
        if (!add(routes, list[i].id, err)) {
            routes_deinit(routes);
            return false;
        }
        uint32_t bit = UINT32_C(1) << bit_of(routes, list[i].id);
        for (size_t receiver = 0; receiver < 64; receiver++) {
            if ((list[i].receivers >> receiver & 1) != 0) {
                routes->by_receiver[receiver][list[i].signal] |= bit;
            }
        }
    }
    if (path != NULL && routes->count != known && !write_file(routes, path, fs, err)) {
        routes_deinit(routes);
        return error_wrap(err, "pipelines of the data folder");
    }
    return true;
}

void routes_deinit(struct routes *routes)
{
    for (size_t i = 0; i < routes->count; i++) {
        free(routes->ids[i]);
    }
    *routes = (struct routes){0};
}

uint32_t routes_mask(const struct routes *routes, const char *const *ids, size_t count)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bit = bit_of(routes, ids[i]);
        mask |= bit < routes->count ? UINT32_C(1) << bit : 0;
    }
    return mask;
}
