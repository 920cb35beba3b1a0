/*
 * answer_json.h - pull events out of the small JSON answers of backends.
 *
 * Tolerant where backends differ (unknown members, numbers of any form), strict about structure.
 * Strings are unescaped into a fixed buffer and cut there; nothing is allocated. Threads: any.
 */
#ifndef SPANGATE_SRC_OTLP_ANSWER_JSON_H
#define SPANGATE_SRC_OTLP_ANSWER_JSON_H

#include <spangate/base/slice.h>

enum { ANSWER_DEPTH_MAX = 64, ANSWER_TEXT_MAX = 512 };

enum answer_event {
    ANSWER_BEGIN,  /* of an object or array */
    ANSWER_FINISH, /* of it */
    ANSWER_VALUE,  /* a string, number, true or false, as text */
    ANSWER_NULL,
    ANSWER_END,  /* of the document */
    ANSWER_ERROR /* no JSON */
};

struct answer_reader {
    const uint8_t *at;
    const uint8_t *end;
    size_t depth;     /* containers that are open */
    uint64_t objects; /* bit n: the container at depth n is an object */
    bool started;
    bool first; /* nothing was read yet in the innermost container */
    /* The member name of the last event, "" in arrays; and the text of ANSWER_VALUE. */
    char key[ANSWER_TEXT_MAX];
    char text[ANSWER_TEXT_MAX];
};

struct answer_reader answer_over(struct slice json);
enum answer_event answer_next(struct answer_reader *reader);

#endif
