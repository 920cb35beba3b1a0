/*
 * routes.c - which bit is which pipeline.
 *
 * The file holds the same text twice: "spangate-routes 1 LENGTH CRC", then LENGTH bytes of pipeline
 * ids, one a line. Either copy will do. When both are damaged, bits are given as in a new folder,
 * in the order of the configuration: the same as before, unless its pipelines were changed since.
 */
#include "routes.h"

#include <spangate/base/hash.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/strbuf.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_BYTES_MAX = 64 * 1024, HEADER_BYTES_MAX = 64 };

#define FILE_WORDS "spangate-routes 1 "

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

/* The header of a copy with these ids; its length. */
static size_t format_header(struct slice ids, char *out)
{
    return (size_t)snprintf(out, HEADER_BYTES_MAX, FILE_WORDS "%zu %08" PRIx32 "\n", ids.len,
                            crc32c(0, ids.data, ids.len));
}

/* The ids of the copy that begins here. false: it is damaged. */
static bool parse_copy(const char *at, const char *end, struct slice *ids)
{
    char header[HEADER_BYTES_MAX];
    const char *begin = memchr(at, '\n', (size_t)(end - at));

    if (begin == NULL) {
        return false;
    }
    begin++;
    size_t len = strtoul(at + strlen(FILE_WORDS), NULL, 10);
    if (len > (size_t)(end - begin)) {
        return false;
    }
    *ids = (struct slice){(const uint8_t *)begin, len};
    size_t header_len = format_header(*ids, header);
    return header_len == (size_t)(begin - at) && memcmp(header, at, header_len) == 0;
}

/* A copy that is whole; false: there is none. The text ends with a NUL. */
static bool find_copy(const char *text, size_t len, struct slice *ids)
{
    const char *end = text + len;
    const char *at = text;

    while ((at = memmem(at, (size_t)(end - at), FILE_WORDS, strlen(FILE_WORDS))) != NULL) {
        if (parse_copy(at, end, ids)) {
            return true;
        }
        at++;
    }
    return false;
}

static bool add_all(struct routes *routes, struct slice ids, struct error *err)
{
    char *text = mem_strndup(ids.data, ids.len);
    bool ok = true;
    char *rest = text;

    for (char *line = strsep(&rest, "\n"); ok && line != NULL; line = strsep(&rest, "\n")) {
        ok = line[0] == '\0' || add(routes, line, err);
    }
    free(text);
    return ok;
}

static bool read_file(struct routes *routes, const char *path, const struct fs *fs,
                      struct error *err)
{
    char *text = NULL;
    size_t len = 0;
    struct slice ids;
    bool ok = fs_read_file(fs, path, FILE_BYTES_MAX, &text, &len, err);

    if (!ok && err->code == ERR_NOT_FOUND) {
        return true;
    }
    if (!ok && err->code != ERR_TOO_LARGE) {
        return false;
    }
    if (ok && find_copy(text, len, &ids)) {
        ok = add_all(routes, ids, err);
    } else {
        ok = true;
        log_error("pipeline", "the list of pipelines is damaged, made anew from the configuration",
                  "path=%s", path);
    }
    free(text);
    return ok;
}

static bool write_file(const struct routes *routes, const char *path, const struct fs *fs,
                       struct error *err)
{
    char header[HEADER_BYTES_MAX];
    struct strbuf ids;
    struct strbuf text;

    strbuf_init(&ids, FILE_BYTES_MAX);
    strbuf_init(&text, FILE_BYTES_MAX);
    for (size_t i = 0; i < routes->count; i++) {
        strbuf_printf(&ids, "%s\n", routes->ids[i]);
    }
    size_t header_len = format_header(strbuf_slice(&ids), header);
    for (int copy = 0; copy < 2; copy++) {
        strbuf_append_slice(&text, (struct slice){(const uint8_t *)header, header_len});
        strbuf_append_slice(&text, strbuf_slice(&ids));
    }
    bool ok = fs_replace_file(fs, path, strbuf_slice(&text), err);
    strbuf_deinit(&text);
    strbuf_deinit(&ids);
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
