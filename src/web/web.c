/*
 * web.c - the page's files by path. Every address of the page's own gives index.html: the script
 * in it reads the address. Any thread; nothing here changes.
 */
#include "files.h"

#include <string.h>

static bool is_page(const char *path)
{
    return strcmp(path, "/") == 0 || strcmp(path, "/search") == 0 || strcmp(path, "/setup") == 0 ||
           strncmp(path, "/trace/", strlen("/trace/")) == 0;
}

const struct web_file *web_find(const char *path)
{
    const char *wanted = is_page(path) ? "/index.html" : path;

    for (size_t i = 0; i < web_file_count; i++) {
        if (strcmp(web_files[i].path, wanted) == 0) {
            return &web_files[i];
        }
    }
    return NULL;
}
