/*
 * memory.c - DURABILITY_MEMORY: no files; records wait in a queue for the readers that are open.
 *
 * Without readers nothing is kept, only lsn are given out. The queue is bounded by total_bytes_max.
 */
#include "log.h"

#include <inttypes.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

static struct memory_record **slot(const struct wal *wal, uint64_t lsn)
{
    size_t index = (size_t)(lsn - wal->shared.queue_first);

    return &wal->shared.queue[(wal->shared.queue_head + index) % wal->shared.queue_cap];
}

static void grow(struct wal *wal)
{
    size_t cap = wal->shared.queue_cap == 0 ? 64 : 2 * wal->shared.queue_cap;
    struct memory_record **queue = mem_zalloc(cap, sizeof(struct memory_record *));

    for (size_t i = 0; i < wal->shared.queue_count; i++) {
        queue[i] = *slot(wal, wal->shared.queue_first + i);
    }
    free(wal->shared.queue);
    wal->shared.queue = queue;
    wal->shared.queue_cap = cap;
    wal->shared.queue_head = 0;
}

static uint64_t cost(const struct wal_record *record)
{
    return sizeof(struct memory_record) + record->payload.len;
}

bool memory_append(struct wal *wal, struct wal_record *record, struct error *err)
{
    struct memory_record *copy = NULL;
    bool full = false;

    (void)pthread_mutex_lock(&wal->shared.lock);
    if (wal->shared.readers != NULL) {
        full = wal->config.total_bytes_max != 0 &&
               wal->shared.queue_bytes + cost(record) > wal->config.total_bytes_max;
    }
    if (!full) {
        record->lsn = wal->own.next_lsn++;
        wal->own.unpublished++;
        wal->own.unpublished_bytes += record->payload.len;
    }
    if (!full && wal->shared.readers != NULL) {
        copy = mem_alloc(sizeof(*copy) + record->payload.len);
        copy->record = *record;
        copy->record.payload.data = (const uint8_t *)(copy + 1);
        if (record->payload.len > 0) {
            memcpy(copy + 1, record->payload.data, record->payload.len);
        }
        if (wal->shared.queue_count == wal->shared.queue_cap) {
            grow(wal);
        }
        if (wal->shared.queue_count == 0) {
            wal->shared.queue_first = record->lsn;
        }
        *slot(wal, record->lsn) = copy;
        wal->shared.queue_count++;
        wal->shared.queue_bytes += cost(record);
    }
    (void)pthread_mutex_unlock(&wal->shared.lock);
    return !full ||
           error_set(err, ERR_LIMIT,
                     "the ingest log holds its limit of %" PRIu64 " bytes: destinations lag",
                     wal->config.total_bytes_max);
}

void memory_publish(struct wal *wal)
{
    (void)pthread_mutex_lock(&wal->shared.lock);
    wal->shared.last = wal->own.next_lsn - 1;
    wal_gauge(wal);
    (void)pthread_cond_broadcast(&wal->shared.published);
    (void)pthread_mutex_unlock(&wal->shared.lock);
}

static void drop_first(struct wal *wal)
{
    struct memory_record *record = wal->shared.queue[wal->shared.queue_head];

    wal->shared.queue_bytes -= cost(&record->record);
    wal->shared.queue_head = (wal->shared.queue_head + 1) % wal->shared.queue_cap;
    wal->shared.queue_first++;
    wal->shared.queue_count--;
    free(record);
}

void memory_trim(struct wal *wal)
{
    uint64_t least = wal_readers_least(wal);

    while (wal->shared.queue_count > 0 && wal->shared.queue_first < least) {
        drop_first(wal);
    }
    wal_gauge(wal);
}

void memory_free(struct wal *wal)
{
    while (wal->shared.queue_count > 0) {
        drop_first(wal);
    }
    free(wal->shared.queue);
}

const struct memory_record *memory_find(const struct wal *wal, uint64_t lsn)
{
    if (lsn < wal->shared.queue_first) {
        lsn = wal->shared.queue_first;
    }
    if (wal->shared.queue_count == 0 || lsn > wal->shared.last ||
        lsn - wal->shared.queue_first >= wal->shared.queue_count) {
        return NULL;
    }
    return *slot(wal, lsn);
}
