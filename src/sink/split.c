/* split.c - see split.h. */
#include "split.h"

#include "cursor.h"

void split_init(struct split *split, size_t items_max, size_t bytes_max)
{
    size_t items = items_max == 0 ? SIZE_MAX : items_max;
    size_t bytes = bytes_max == 0 ? SIZE_MAX : bytes_max;

    *split = (struct split){
        .items_full = items,
        .bytes_full = bytes,
        .items_ceiling = items,
        .bytes_ceiling = bytes,
        .items = items,
        .bytes = bytes,
    };
}

static size_t half(size_t n)
{
    return n < 2 ? 1 : n / 2;
}

static size_t twice(size_t n, size_t max)
{
    return n > max / 2 ? max : n * 2;
}

/* What is refused one by one: traces, or records and points where there are no traces. */
static size_t parts_of(const struct sink_batch *batch)
{
    return batch->trace_count > 0 ? batch->trace_count : batch->item_count;
}

/* The batch is done with, one way or the other. */
static void settle(struct split *split, const struct sink_batch *batch,
                   const struct sink_cursor *next)
{
    if (!split->active) {
        return;
    }
    split->left -= batch->item_count < split->left ? batch->item_count : split->left;
    if (cursor_compare(next, &split->end) >= 0) {
        split->active = false;
        split->too_large = false;
        split->widening = false;
        split->left = 0;
        split->items = split->items_ceiling;
        split->bytes = split->bytes_ceiling;
    }
}

static void grow_ceiling(struct split *split)
{
    if (++split->taken < SPLIT_GROW_AFTER) {
        return;
    }
    split->taken = 0;
    split->items_ceiling = twice(split->items_ceiling, split->items_full);
    split->bytes_ceiling = twice(split->bytes_ceiling, split->bytes_full);
    if (!split->active) {
        split->items = split->items_ceiling;
        split->bytes = split->bytes_ceiling;
    }
}

void split_delivered(struct split *split, const struct sink_batch *batch,
                     const struct sink_cursor *next)
{
    split->alone = 0;
    if (split->hopeless) {
        split->hopeless = false;
        split->widening = split->active;
    }
    if (split->too_large) {
        split->too_large = false;
        split->items_ceiling = split->items;
        split->bytes_ceiling = split->bytes;
        split->taken = 0;
    }
    grow_ceiling(split);
    if (split->widening) {
        split->items = twice(split->items, split->items_ceiling);
        split->bytes = twice(split->bytes, split->bytes_ceiling);
    }
    settle(split, batch, next);
}

static void begin(struct split *split, const struct sink_batch *batch,
                  const struct sink_cursor *next)
{
    if (!split->active) {
        split->active = true;
        split->end = *next;
        split->left = batch->item_count;
        split->items_before = split->items_ceiling;
        split->bytes_before = split->bytes_ceiling;
    }
    split->widening = false;
}

/* The source gave more than it was asked for: it has nothing smaller. */
static bool is_smallest(const struct split *split, const struct sink_batch *batch)
{
    return batch->item_count <= 1 || batch->item_count > split->items;
}

enum split_answer split_too_large(struct split *split, const struct sink_batch *batch,
                                  const struct sink_cursor *next)
{
    if (is_smallest(split, batch)) {
        /* The item was, not the size of batches: what was learnt on the way to it is void. */
        split->too_large = false;
        if (split->active) {
            split->items_ceiling = split->items_before;
            split->bytes_ceiling = split->bytes_before;
        }
        return SPLIT_DROP;
    }
    begin(split, batch, next);
    split->too_large = true;
    split->items = half(batch->item_count);
    split->bytes = half(batch->body.len);
    return SPLIT_SMALLER;
}

static bool is_about_content(enum error_code why)
{
    return why != ERR_UNAUTHENTICATED && why != ERR_NOT_FOUND && why != ERR_UNSUPPORTED;
}

static size_t grain_of(size_t items)
{
    return items < SPLIT_HOPELESS_PARTS ? 1 : items / SPLIT_HOPELESS_PARTS;
}

enum split_answer split_rejected(struct split *split, const struct sink_batch *batch,
                                 const struct sink_cursor *next, enum error_code why)
{
    bool smallest = is_smallest(split, batch) || parts_of(batch) <= 1;

    if (!is_about_content(why)) {
        return SPLIT_DROP;
    }
    if (!split->active) {
        split->grain = grain_of(batch->item_count);
    }
    if (!smallest && !(split->hopeless && batch->item_count <= split->grain)) {
        begin(split, batch, next);
        split->items = split->hopeless ? split->grain : half(batch->item_count);
        return SPLIT_SMALLER;
    }
    if (++split->alone >= SPLIT_ALONE_MAX && !split->hopeless) {
        split->hopeless = true;
        split->grain = grain_of(split->left);
    }
    return SPLIT_DROP;
}

void split_dropped(struct split *split, const struct sink_batch *batch,
                   const struct sink_cursor *next)
{
    split->widening = !split->hopeless;
    if (split->hopeless && split->active) {
        split->items = split->grain;
    }
    settle(split, batch, next);
}
