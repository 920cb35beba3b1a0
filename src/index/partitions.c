/* partitions.c - the list of partitions and the pool of readers. */
#include "partitions.h"

#include <inttypes.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

static void lock(struct partition_set *set)
{
    (void)pthread_mutex_lock(&set->lock);
}

static void unlock(struct partition_set *set)
{
    (void)pthread_mutex_unlock(&set->lock);
}

void partition_set_init(struct partition_set *set)
{
    *set = (struct partition_set){0};
    (void)pthread_mutex_init(&set->lock, NULL);
}

static void reader_free(struct index_reader *reader)
{
    db_close(&reader->db);
    free(reader);
}

static void drop_content(struct partition_set *set, struct index_partition *p)
{
    set->filter_bytes -= filter_bytes(&p->filter);
    filter_deinit(&p->filter);
    free(p->missing);
    p->missing = NULL;
    p->missing_count = 0;
}

void partition_set_deinit(struct partition_set *set)
{
    while (set->idle != NULL) {
        struct index_reader *next = set->idle->next;
        reader_free(set->idle);
        set->idle = next;
    }
    for (size_t i = 0; i < set->count; i++) {
        drop_content(set, &set->partitions[i]);
    }
    free(set->partitions);
    (void)pthread_mutex_destroy(&set->lock);
}

/* Place of the first partition with an id of at least that. */
static size_t place_of(const struct partition_set *set, uint64_t id)
{
    size_t low = 0;
    size_t high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->partitions[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct index_partition *find(struct partition_set *set, uint64_t id)
{
    size_t at = place_of(set, id);

    return at < set->count && set->partitions[at].id == id ? &set->partitions[at] : NULL;
}

static struct index_partition *find_or_add(struct partition_set *set, uint64_t id)
{
    size_t at = place_of(set, id);

    if (at < set->count && set->partitions[at].id == id) {
        return &set->partitions[at];
    }
    if (set->count == set->cap) {
        set->cap = set->cap == 0 ? 16 : set->cap * 2;
        set->partitions = mem_realloc(set->partitions, set->cap * sizeof(*set->partitions));
    }
    struct index_partition *p = &set->partitions[at];
    memmove(p + 1, p, (set->count - at) * sizeof(*p));
    set->count++;
    *p = (struct index_partition){
        .id = id,
        .generation = ++set->generation,
        .start_min = INT64_MAX,
        .start_max = INT64_MIN,
    };
    return p;
}

/* Take idle connections of a partition out of the pool, as a list to be closed. */
static struct index_reader *take_all(struct partition_set *set, uint64_t id)
{
    struct index_reader *taken = NULL;
    struct index_reader **at = &set->idle;

    while (*at != NULL) {
        struct index_reader *reader = *at;
        if (reader->partition == id) {
            *at = reader->next;
            reader->next = taken;
            taken = reader;
            set->idle_count--;
        } else {
            at = &reader->next;
        }
    }
    return taken;
}

static void free_all(struct index_reader *readers)
{
    while (readers != NULL) {
        struct index_reader *next = readers->next;
        reader_free(readers);
        readers = next;
    }
}

struct partition_view *partition_set_views(struct partition_set *set, const uint64_t *hash,
                                           size_t *count, uint64_t *end)
{
    lock(set);
    *count = set->count;
    *end = set->end;
    struct partition_view *views = mem_zalloc(set->count + 1, sizeof(*views));
    for (size_t i = 0; i < set->count; i++) {
        const struct index_partition *p = &set->partitions[set->count - 1 - i];
        views[i] = (struct partition_view){
            .id = p->id,
            .generation = p->generation,
            .damaged = p->damaged,
            .may_have = hash == NULL || filter_may_have(&p->filter, *hash),
            .start_min = p->start_min,
            .start_max = p->start_max,
        };
        for (size_t k = 0; k < p->missing_count; k++) {
            seq_list_push(&views[i].missing, p->missing[k]);
        }
        seq_list_sort(&views[i].missing);
    }
    unlock(set);
    return views;
}

void partition_views_free(struct partition_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(views[i].missing.seqs);
    }
    free(views);
}

static void keep_filter(struct partition_set *set, struct index_partition *p, struct filter *filter)
{
    if (set->filter_bytes + filter_bytes(filter) <= FILTERS_BYTES_MAX) {
        set->filter_bytes -= filter_bytes(&p->filter);
        filter_deinit(&p->filter);
        p->filter = *filter;
        *filter = (struct filter){0};
        set->filter_bytes += filter_bytes(&p->filter);
    }
}

void partition_set_filter(struct partition_set *set, uint64_t id, struct filter *filter)
{
    lock(set);
    struct index_partition *p = find(set, id);
    if (p != NULL) {
        keep_filter(set, p, filter);
    }
    unlock(set);
    filter_deinit(filter);
}

static void reach(struct partition_set *set, uint64_t end)
{
    set->end = end > set->end ? end : set->end;
}

void partition_set_reach(struct partition_set *set, uint64_t end)
{
    lock(set);
    reach(set, end);
    unlock(set);
}

void partition_set_put(struct partition_set *set, uint64_t id, bool damaged,
                       const struct index_sums *sums, struct filter *filter)
{
    lock(set);
    struct index_partition *p = find_or_add(set, id);
    drop_content(set, p);
    p->generation = ++set->generation;
    p->damaged = damaged;
    p->start_min = INT64_MAX;
    p->start_max = INT64_MIN;
    if (sums != NULL && sums->blocks > 0) {
        p->start_min = sums->start_min;
        p->start_max = sums->start_max;
    }
    if (filter != NULL) {
        keep_filter(set, p, filter);
    }
    struct index_reader *old = take_all(set, id);
    unlock(set);
    if (filter != NULL) {
        filter_deinit(filter);
    }
    free_all(old);
}

bool partition_set_damage(struct partition_set *set, uint64_t id, uint64_t generation)
{
    lock(set);
    struct index_partition *p = find(set, id);
    bool known = p != NULL && (generation == 0 || p->generation == generation) && !p->damaged;
    if (known) {
        p->damaged = true;
        p->generation = ++set->generation;
    }
    unlock(set);
    return known;
}

void partition_set_remove(struct partition_set *set, uint64_t id)
{
    lock(set);
    struct index_partition *p = find(set, id);
    if (p != NULL) {
        size_t at = (size_t)(p - set->partitions);
        drop_content(set, p);
        set->count--;
        memmove(p, p + 1, (set->count - at) * sizeof(*p));
    }
    struct index_reader *old = take_all(set, id);
    unlock(set);
    free_all(old);
}

void partition_set_added(struct partition_set *set, const struct block *block, uint64_t id)
{
    lock(set);
    struct index_partition *p = find_or_add(set, id);
    int64_t start_min = db_time(block->start_ns_min);
    int64_t start_max = db_time(block->start_ns_max);
    p->start_min = start_min < p->start_min ? start_min : p->start_min;
    p->start_max = start_max > p->start_max ? start_max : p->start_max;
    /* The filter is of what was there before. */
    set->filter_bytes -= filter_bytes(&p->filter);
    filter_deinit(&p->filter);
    reach(set, block->seq + 1);
    unlock(set);
}

void partition_set_missing(struct partition_set *set, uint64_t id, uint64_t seq)
{
    lock(set);
    struct index_partition *p = find_or_add(set, id);
    if (p->missing_count == MISSING_MAX) {
        p->damaged = true;
        p->generation = ++set->generation;
    } else if (!p->damaged) {
        p->missing = mem_realloc(p->missing, (p->missing_count + 1) * sizeof(*p->missing));
        p->missing[p->missing_count++] = seq;
    }
    reach(set, seq + 1);
    unlock(set);
}

bool partition_set_ailing(struct partition_set *set, uint64_t *id, bool *damaged,
                          struct seq_list *missing)
{
    bool found = false;

    lock(set);
    for (size_t i = set->count; i > 0 && !found; i--) {
        const struct index_partition *p = &set->partitions[i - 1];
        found = p->damaged || p->missing_count > 0;
        if (found) {
            *id = p->id;
            *damaged = p->damaged;
            for (size_t k = 0; k < p->missing_count; k++) {
                seq_list_push(missing, p->missing[k]);
            }
        }
    }
    unlock(set);
    return found;
}

void partition_set_mended(struct partition_set *set, uint64_t id)
{
    lock(set);
    struct index_partition *p = find(set, id);
    if (p != NULL) {
        free(p->missing);
        p->missing = NULL;
        p->missing_count = 0;
    }
    unlock(set);
}

bool partition_set_knows(struct partition_set *set, uint64_t id, bool *damaged)
{
    lock(set);
    const struct index_partition *p = find(set, id);
    *damaged = p != NULL && p->damaged;
    unlock(set);
    return p != NULL;
}

uint64_t *partition_set_ids(struct partition_set *set, size_t *count)
{
    lock(set);
    uint64_t *ids = mem_alloc((set->count + 1) * sizeof(*ids));
    for (size_t i = 0; i < set->count; i++) {
        ids[i] = set->partitions[i].id;
    }
    *count = set->count;
    unlock(set);
    return ids;
}

struct index_reader *partition_set_take(struct partition_set *set, uint64_t id, uint64_t generation)
{
    struct index_reader *taken = NULL;

    lock(set);
    for (struct index_reader **at = &set->idle; *at != NULL; at = &(*at)->next) {
        if ((*at)->partition == id && (*at)->generation == generation) {
            taken = *at;
            *at = taken->next;
            set->idle_count--;
            break;
        }
    }
    unlock(set);
    return taken;
}

void partition_set_give(struct partition_set *set, struct index_reader *reader)
{
    struct index_reader *close = reader;

    lock(set);
    const struct index_partition *p = find(set, reader->partition);
    if (p != NULL && p->generation == reader->generation) {
        reader->next = set->idle;
        set->idle = reader;
        set->idle_count++;
        close = NULL;
        if (set->idle_count > READERS_IDLE_MAX) {
            struct index_reader **last = &set->idle;
            while ((*last)->next != NULL) {
                last = &(*last)->next;
            }
            close = *last;
            *last = NULL;
            set->idle_count--;
        }
    }
    unlock(set);
    if (close != NULL) {
        reader_free(close);
    }
}
