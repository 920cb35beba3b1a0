/* web.h - the page's files, embedded at build time from src/web/. */
#ifndef SPANGATE_WEB_WEB_H
#define SPANGATE_WEB_WEB_H

#include <spangate/base/slice.h>

struct web_file {
    const char *path; /* "/", "/app.js" … */
    const char *content_type;
    struct slice content;
};

/* The file for a request path, NULL: none. */
const struct web_file *web_find(const char *path);

#endif
