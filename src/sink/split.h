/*
 * split.h - how much to offer a destination at once, and what to do when it refuses.
 *
 * Too large: half of it is offered, down to a single item, which is dropped alone. A size that went
 * through after that is kept as the limit for the batches to come and doubled after every 64 of
 * them, because a destination with a smaller limit than ours has it every time.
 *
 * Rejected for good: half of it is offered, down to a single trace (record, point), which is
 * dropped alone, so that one poisonous trace costs about 2 log2(n) requests and nobody else. Two
 * things keep that from multiplying requests where everything is refused:
 *   - credentials, paths and formats (ERR_UNAUTHENTICATED, ERR_NOT_FOUND, ERR_UNSUPPORTED) are not
 *     about the content: the batch is dropped as it is, after one request;
 *   - when SPLIT_ALONE_MAX single traces in a row were refused it is *hopeless*: until something is
 *     taken again, pieces of a sixteenth of a batch are dropped whole.
 *
 * Knows no destination and no log: the runner asks and does. Owner: the runner's thread.
 */
#ifndef SPANGATE_SRC_SINK_SPLIT_H
#define SPANGATE_SRC_SINK_SPLIT_H

#include <spangate/sink/sink.h>

enum { SPLIT_ALONE_MAX = 16, SPLIT_HOPELESS_PARTS = 16, SPLIT_GROW_AFTER = 64 };

struct split {
    size_t items_full, bytes_full;       /* configured */
    size_t items_ceiling, bytes_ceiling; /* what is known to be taken */
    size_t items, bytes;                 /* to ask the source for now */
    unsigned taken;                      /* batches in a row since the ceiling was last changed */

    bool active;                       /* between the refusal of a batch and its end */
    bool too_large;                    /* a piece was too large and none was taken since */
    bool widening;                     /* the poison is out: pieces grow again */
    struct sink_cursor end;            /* of the batch that is split */
    size_t left;                       /* its items that are neither delivered nor dropped */
    size_t items_before, bytes_before; /* the ceiling when it began */

    unsigned alone; /* single traces refused in a row */
    bool hopeless;
    size_t grain; /* while hopeless: pieces of so many items are dropped whole */
};

enum split_answer {
    SPLIT_SMALLER, /* read again at the same place, with the new limits */
    SPLIT_DROP     /* drop this batch, then say so with split_dropped() */
};

/* A limit of 0 means none. */
void split_init(struct split *split, size_t items_max, size_t bytes_max);

/* The destination took the batch, which ended at next. */
void split_delivered(struct split *split, const struct sink_batch *batch,
                     const struct sink_cursor *next);

enum split_answer split_too_large(struct split *split, const struct sink_batch *batch,
                                  const struct sink_cursor *next);
enum split_answer split_rejected(struct split *split, const struct sink_batch *batch,
                                 const struct sink_cursor *next, enum error_code why);

/* A batch was dropped (after SPLIT_DROP, or for a reason of the runner's own) and ended at next. */
void split_dropped(struct split *split, const struct sink_batch *batch,
                   const struct sink_cursor *next);

#endif
