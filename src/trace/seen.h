/*
 * seen.h - which span ids a large trace has, and which parents it still lacks.
 *
 * Traces of up to SMALL_TRACE_SPANS spans compare one byte of hash a span instead; a trace of a
 * million spans must not cost a comparison of each with each. Entries are references to spans:
 *
 *   PRESENT  the first span with its id        key: span id
 *   EXTRA    another span with an id that is   key: the span's bytes
 *            PRESENT (a conflict)
 *   WANTED   a span whose parent has not come  key: parent id
 *
 * Adding is constant time whatever ids a sender makes up. Owner: the correlator's thread.
 */
#ifndef SPANGATE_TRACE_SEEN_H
#define SPANGATE_TRACE_SEEN_H

#include "span_store.h"
#include "tag_table.h"

struct seen {
    struct tag_table table;
    uint32_t wanted; /* parents that are missing */
};

enum seen_verdict { SEEN_NEW, SEEN_DUPLICATE, SEEN_CONFLICT };

struct seen *seen_new(struct account *account);
void seen_free(struct seen *seen, struct account *account); /* NULL is allowed */

/* How a span stands to those added before. Changes nothing. */
enum seen_verdict seen_check(const struct seen *seen, const struct span_store *store,
                             const struct span_id *id, struct slice raw);

/* Add the span at ref; verdict: what seen_check() said of it. */
void seen_add(struct seen *seen, const struct span_store *store, uint32_t ref,
              const struct span_id *id, const struct span_id *parent, struct slice raw,
              enum seen_verdict verdict);

/* The span with these bytes is at another place now. */
void seen_move(struct seen *seen, uint32_t from, uint32_t to, struct slice raw);

#endif
