/* waterfall.h - a trace as text: who called whom, and when. */
#ifndef SPANGATE_SRC_DAEMON_WATERFALL_H
#define SPANGATE_SRC_DAEMON_WATERFALL_H

#include <spangate/base/error.h>
#include <spangate/base/strbuf.h>

struct waterfall_style {
    unsigned columns; /* of the terminal; at least 60 are used */
    bool color;       /* failed spans in red */
};

/*
 * Draw an answer of /api/v1/traces/{id}: OTLP/JSON with members around it. One line a span,
 * children under their parents, siblings by start. What comes from spans is made safe for a
 * terminal.
 */
bool waterfall_draw(struct slice json, const struct waterfall_style *style, struct strbuf *out,
                    struct error *err) MUST_CHECK;

#endif
