/* source.c - files, variables and text from the command line into the tree. */
#include "tree.h"

#include <spangate/base/mem.h>
#include <spangate/config/source.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_STEP = 16 * 1024 };

bool config_read_file(const char *path, size_t max, char **text, size_t *len, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "read %s", path);
    }
    char *data = NULL;
    size_t have = 0;
    ssize_t got;
    int sys_errno = 0;
    do {
        data = mem_realloc(data, have + READ_STEP + 1);
        do {
            got = read(fd, data + have, READ_STEP);
        } while (got < 0 && errno == EINTR);
        sys_errno = got < 0 ? errno : 0;
        have += got > 0 ? (size_t)got : 0;
    } while (got > 0 && have <= max);
    (void)close(fd);
    if (sys_errno != 0 || have > max) {
        free(data);
        return sys_errno != 0
                   ? error_set_errno(err, sys_errno, "read %s", path)
                   : error_set(err, ERR_TOO_LARGE, "read %s: more than %zu bytes", path, max);
    }
    data[have] = '\0';
    *text = data;
    *len = have;
    return true;
}

static bool starts_with(const char *text, const char *prefix, const char **rest)
{
    size_t len = strlen(prefix);
    *rest = text + len;
    return strncmp(text, prefix, len) == 0;
}

bool config_add_text(struct config_tree *tree, const char *name, struct slice text,
                     struct error *err)
{
    struct config_node *document;
    return config_parse(tree, name, text, &document, err) && config_merge(tree, document, err);
}

static bool add_file(struct config_tree *tree, const char *path, struct error *err)
{
    char *data = NULL;
    size_t len = 0;

    if (!config_read_file(path, CONFIG_TEXT_MAX, &data, &len, err)) {
        return error_wrap(err, "configuration");
    }
    bool ok = config_add_text(tree, path, (struct slice){(const uint8_t *)data, len}, err);
    free(data);
    return ok;
}

static bool add_variable(struct config_tree *tree, const char *name, struct error *err)
{
    const char *text = getenv(name);
    if (text == NULL) {
        return error_set(err, ERR_INVALID, "environment variable %s, named by --config, is not set",
                         name);
    }
    char *label = mem_printf("env:%s", name);
    bool ok = config_add_text(tree, label, slice_of(text), err);
    free(label);
    return ok;
}

/* Whether text begins with a URI scheme, of two letters or more and followed by ':'. */
static bool has_scheme(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    return len >= 2 && text[len] == ':' && text[0] != '.' && text[0] != '-';
}

bool config_add_source(struct config_tree *tree, const char *uri, struct error *err)
{
    const char *rest;

    if (starts_with(uri, "file:", &rest)) {
        return add_file(tree, rest, err);
    }
    if (starts_with(uri, "env:", &rest)) {
        return add_variable(tree, rest, err);
    }
    if (starts_with(uri, "yaml:", &rest)) {
        return config_add_text(tree, "--config yaml", slice_of(rest), err);
    }
    if (has_scheme(uri)) {
        return error_set(err, ERR_INVALID,
                         "--config %.*s:…: this scheme is not supported (supported: file env yaml)",
                         (int)strcspn(uri, ":"), uri);
    }
    return add_file(tree, uri, err);
}

bool config_add_set(struct config_tree *tree, const char *assignment, struct error *err)
{
    const char *equals = strchr(assignment, '=');
    struct config_node *document;

    if (equals == NULL || equals == assignment) {
        return error_set(err, ERR_INVALID, "--set needs KEY=VALUE");
    }
    char *keys = mem_strndup(assignment, (size_t)(equals - assignment));
    char *label = mem_printf("--set %s", keys);
    bool ok = config_parse(tree, label, slice_of(equals + 1), &document, err);
    if (ok) {
        const char *divider = strstr(keys, "::") != NULL ? "::" : ".";
        ok = node_wrap(tree, document->place, keys, divider, document, &document, err) &&
             config_merge(tree, document, err);
    }
    free(keys);
    free(label);
    return ok;
}
