/*
 * partition.c - bookkeeping of one partition.
 */
#include "partition.h"

#include <inttypes.h>
#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* --- names --- */

enum { NAME_HOUR = 13, NAME_SECOND = 17, NAME_NANOSECOND = 27 };

void partition_format(uint64_t id, uint64_t partition_ns, char out[PARTITION_NAME_MAX])
{
    uint64_t start_ns = id * partition_ns;
    time_t seconds = (time_t)(start_ns / NS_PER_S);
    struct tm tm;

    (void)gmtime_r(&seconds, &tm);
    if (partition_ns % (3600 * NS_PER_S) == 0) {
        (void)strftime(out, PARTITION_NAME_MAX, "%Y-%m-%dT%H", &tm);
        return;
    }
    size_t len = strftime(out, PARTITION_NAME_MAX, "%Y-%m-%dT%H%M%S", &tm);
    if (partition_ns % NS_PER_S != 0) {
        (void)snprintf(out + len, PARTITION_NAME_MAX - len, ".%09" PRIu64, start_ns % NS_PER_S);
    }
}

/* `digits` digits at *text, which moves behind them. -1: something else. */
static int64_t take_digits(const char **text, int digits)
{
    int64_t value = 0;

    for (; digits > 0; digits--, (*text)++) {
        if (**text < '0' || **text > '9') {
            return -1;
        }
        value = value * 10 + (**text - '0');
    }
    return value;
}

static bool take_char(const char **text, char c)
{
    return **text == c && (*text)++ != NULL;
}

bool partition_parse(const char *name, uint64_t *start_ns)
{
    size_t len = strlen(name);
    const char *at = name;
    struct tm tm = {0};
    int64_t nanoseconds = 0;

    if (len != NAME_HOUR && len != NAME_SECOND && len != NAME_NANOSECOND) {
        return false;
    }
    int64_t year = take_digits(&at, 4);
    bool ok = take_char(&at, '-');
    int64_t month = take_digits(&at, 2);
    ok = take_char(&at, '-') && ok;
    int64_t day = take_digits(&at, 2);
    ok = take_char(&at, 'T') && ok;
    int64_t hour = take_digits(&at, 2);
    int64_t minute = len > NAME_HOUR ? take_digits(&at, 2) : 0;
    int64_t second = len > NAME_HOUR ? take_digits(&at, 2) : 0;
    if (len == NAME_NANOSECOND) {
        ok = take_char(&at, '.') && ok;
        nanoseconds = take_digits(&at, 9);
    }
    if (!ok || year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 ||
        hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 || nanoseconds < 0) {
        return false;
    }
    tm.tm_year = (int)year - 1900;
    tm.tm_mon = (int)month - 1;
    tm.tm_mday = (int)day;
    tm.tm_hour = (int)hour;
    tm.tm_min = (int)minute;
    tm.tm_sec = (int)second;
    *start_ns = (uint64_t)timegm(&tm) * NS_PER_S + (uint64_t)nanoseconds;
    return true;
}

/* --- the list --- */

void partition_deinit(struct partition *p)
{
    free(p->entries);
    free(p->files);
    *p = (struct partition){0};
}

static void count_file(struct partition *p, const struct block_entry *entry)
{
    if (p->file_count == 0 || p->files[p->file_count - 1].number != entry->file) {
        if (p->file_count == p->file_cap) {
            p->file_cap = p->file_cap == 0 ? 4 : p->file_cap * 2;
            p->files = mem_realloc(p->files, p->file_cap * sizeof(*p->files));
        }
        p->files[p->file_count++] = (struct partition_file){.number = entry->file};
    }
    struct partition_file *file = &p->files[p->file_count - 1];
    file->last_seq = entry->seq;
    file->lsn_max = entry->lsn_max > file->lsn_max ? entry->lsn_max : file->lsn_max;
    p->file_max = entry->file > p->file_max ? entry->file : p->file_max;
}

void partition_push(struct partition *p, const struct block_entry *entry)
{
    if (p->block_count == 0 && p->first_seq == 0) {
        p->first_seq = entry->seq;
    }
    p->last_seq = entry->seq;
    p->bytes += entry->stored_bytes;
    p->block_count++;
    if (entry->sealed_ns > p->sealed_ns_max) {
        p->sealed_ns_max = entry->sealed_ns;
    }
    count_file(p, entry);
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 64 : p->cap * 2;
        p->entries = mem_realloc(p->entries, p->cap * sizeof(*p->entries));
    }
    p->entries[p->count++] = *entry;
    p->loaded = true;
}

struct block_entry *partition_lower(const struct partition *p, uint64_t from)
{
    size_t low = p->head;
    size_t high = p->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->entries[middle].seq < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return p->entries + low;
}

static void discount(struct partition *p, const struct block_entry *entry)
{
    p->bytes -= entry->stored_bytes;
    p->block_count--;
}

bool partition_remove(struct partition *p, uint64_t seq, struct block_entry *removed)
{
    struct block_entry *entry = partition_lower(p, seq);
    size_t at = (size_t)(entry - p->entries);

    if (at == p->count || entry->seq != seq) {
        return false;
    }
    *removed = *entry;
    discount(p, entry);
    if (at == p->head) {
        p->head++;
    } else {
        memmove(entry, entry + 1, (p->count - at - 1) * sizeof(*entry));
        p->count--;
    }
    return true;
}

void partition_remove_file(struct partition *p)
{
    uint32_t number = p->files[0].number;

    while (p->head < p->count && p->entries[p->head].file <= number) {
        discount(p, &p->entries[p->head++]);
    }
    p->first_seq = p->head < p->count ? p->entries[p->head].seq : p->last_seq + 1;
    p->file_count--;
    memmove(p->files, p->files + 1, p->file_count * sizeof(*p->files));
}

void partition_unload(struct partition *p)
{
    free(p->entries);
    p->entries = NULL;
    p->head = p->count = p->cap = 0;
    p->loaded = false;
}

/* --- files --- */

static bool parse_number(const char *name, uint32_t *number)
{
    char *end = NULL;

    /* %06 makes at least six digits; more of them only after a million files in one hour. */
    unsigned long value = strtoul(name, &end, 10);
    if (end - name < 6 || end - name > 9 || strcmp(end, ".blk") != 0 || name[0] < '0' ||
        name[0] > '9') {
        return false;
    }
    *number = (uint32_t)value;
    return true;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

bool partition_files(const struct fs *fs, const char *dir, uint32_t **numbers, size_t *count,
                     struct error *err)
{
    char **names = NULL;
    size_t n = 0;

    int rc = fs->list(fs, dir, &names);
    if (rc != 0) {
        return error_set_errno(err, -rc, "list %s", dir);
    }
    while (names[n] != NULL) {
        n++;
    }
    *numbers = mem_alloc((n + 1) * sizeof(**numbers));
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        *count += parse_number(names[i], &(*numbers)[*count]);
    }
    fs_free_names(names);
    qsort(*numbers, *count, sizeof(**numbers), compare_numbers);
    return true;
}

static int compare_entries(const void *a, const void *b)
{
    const struct block_entry *left = a;
    const struct block_entry *right = b;

    if (left->seq != right->seq) {
        return left->seq < right->seq ? -1 : 1;
    }
    if (left->file != right->file) {
        return left->file < right->file ? -1 : 1;
    }
    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

void entries_sort(struct block_entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (compare_entries(&entries[i - 1], &entries[i]) > 0) {
            qsort(entries, count, sizeof(*entries), compare_entries);
            return;
        }
    }
}

size_t entries_dedupe(struct block_entry *entries, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && entries[kept - 1].seq == entries[i].seq) {
            entries[kept - 1] = entries[i];
        } else {
            entries[kept++] = entries[i];
        }
    }
    return kept;
}
