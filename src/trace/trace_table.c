/* trace_table.c - see trace_table.h. */
#include "trace_table.h"

#include <spangate/base/hash.h>

#define WHOLE_TAG UINT32_MAX

static const struct fifo empty_fifo = {TRACE_NONE, TRACE_NONE};

void trace_table_init(struct trace_table *traces, struct account *account)
{
    slab_init(&traces->slab, sizeof(struct trace_record), account);
    tag_table_init(&traces->table, account);
    for (size_t i = 0; i < QUEUES; i++) {
        traces->queues[i] = empty_fifo;
    }
    traces->age = empty_fifo;
}

void trace_table_deinit(struct trace_table *traces)
{
    tag_table_deinit(&traces->table);
    slab_deinit(&traces->slab);
}

static uint32_t tag_for(const struct trace_id *id)
{
    return tag_of(hash_bytes(id->bytes, sizeof(id->bytes)));
}

/* Where in the table the entry of this id is, or TAG_NONE. */
static uint32_t place_of(const struct trace_table *traces, uint32_t tag, const struct trace_id *id)
{
    const struct tag_table *table = &traces->table;

    for (uint32_t at = tag_table_find(table, tag, WHOLE_TAG); at != TAG_NONE;
         at = tag_table_after(table, at, tag, WHOLE_TAG)) {
        if (trace_id_equal(&trace_at(traces, table->slots[at].value)->id, id)) {
            return at;
        }
    }
    return TAG_NONE;
}

uint32_t trace_table_find(const struct trace_table *traces, const struct trace_id *id)
{
    uint32_t at = place_of(traces, tag_for(id), id);
    return at == TAG_NONE ? TRACE_NONE : traces->table.slots[at].value;
}

uint32_t trace_table_insert(struct trace_table *traces, const struct trace_id *id)
{
    uint32_t index = slab_alloc(&traces->slab);

    *trace_at(traces, index) = (struct trace_record){
        .id = *id,
        .span_first = UINT32_MAX,
        .span_last = UINT32_MAX,
        .link = {{TRACE_NONE, TRACE_NONE}, {TRACE_NONE, TRACE_NONE}},
        .queue = QUEUES,
    };
    tag_table_put(&traces->table, tag_for(id), index);
    fifo_append(traces, &traces->age, LINK_AGE, index);
    return index;
}

void trace_table_forget(struct trace_table *traces, uint32_t index)
{
    const struct trace_id *id = &trace_at(traces, index)->id;
    uint32_t at = place_of(traces, tag_for(id), id);

    assert(at != TAG_NONE && traces->table.slots[at].value == index);
    tag_table_remove_at(&traces->table, at);
}

void trace_table_free(struct trace_table *traces, uint32_t index)
{
    slab_free(&traces->slab, index);
}

void fifo_append(struct trace_table *traces, struct fifo *fifo, enum trace_link which,
                 uint32_t index)
{
    struct link *link = &trace_at(traces, index)->link[which];

    *link = (struct link){.prev = fifo->last, .next = TRACE_NONE};
    if (fifo->last != TRACE_NONE) {
        trace_at(traces, fifo->last)->link[which].next = index;
    } else {
        fifo->first = index;
    }
    fifo->last = index;
}

void fifo_remove(struct trace_table *traces, struct fifo *fifo, enum trace_link which,
                 uint32_t index)
{
    const struct link *link = &trace_at(traces, index)->link[which];

    if (link->prev != TRACE_NONE) {
        trace_at(traces, link->prev)->link[which].next = link->next;
    } else {
        fifo->first = link->next;
    }
    if (link->next != TRACE_NONE) {
        trace_at(traces, link->next)->link[which].prev = link->prev;
    } else {
        fifo->last = link->prev;
    }
}

void trace_table_queue(struct trace_table *traces, uint32_t index, enum trace_queue queue)
{
    struct trace_record *record = trace_at(traces, index);

    if (record->queue != QUEUES) {
        fifo_remove(traces, &traces->queues[record->queue], LINK_QUIET, index);
    }
    record->queue = (uint8_t)queue;
    if (queue != QUEUES) {
        fifo_append(traces, &traces->queues[queue], LINK_QUIET, index);
    }
}
