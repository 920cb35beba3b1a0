/* files.h - the table that embed.cmake makes of src/web/page. Constant. */
#ifndef SPANGATE_SRC_WEB_FILES_H
#define SPANGATE_SRC_WEB_FILES_H

#include <spangate/web/web.h>

extern const struct web_file web_files[];
extern const size_t web_file_count;

#endif
