/*
 * wal_support.c - see wal_support.h.
 */
#include "wal_support.h"

#include <spangate/base/hash.h>
#include <spangate/base/mem.h>
#include <spangate/base/random.h>

static uint64_t test_monotonic(const struct clock *clock)
{
    return ((const struct test_clock *)clock)->monotonic;
}

static uint64_t test_wall(const struct clock *clock)
{
    (void)clock;
    return UINT64_C(1700000000) * NS_PER_S;
}

void rig_init(struct rig *rig)
{
    *rig = (struct rig){0};
    rig->mem = fs_mem_new();
    fs_fault_init(&rig->fault, fs_mem_fs(rig->mem));
    rig->clock.clock = (struct clock){.monotonic_ns = test_monotonic, .wall_ns = test_wall};
    rig->config = (struct wal_config){
        .dir = mem_strdup(RIG_DIR), .durability = DURABILITY_SYNC, .segment_bytes = 4096};
}

void rig_deinit(struct rig *rig)
{
    rig_close(rig);
    assert_int_equal(fs_mem_open_count(rig->mem), 0);
    fs_fault_deinit(&rig->fault);
    fs_mem_free(rig->mem);
    free(rig->config.dir);
    free(rig->seen);
}

static bool remember(void *ctx, const struct wal_record *record, struct error *err)
{
    struct rig *rig = ctx;

    (void)err;
    rig->seen = mem_realloc(rig->seen, (rig->seen_count + 1) * sizeof(*rig->seen));
    rig->seen[rig->seen_count++] = (struct seen){
        .lsn = record->lsn,
        .key = payload_key(record->payload),
        .signal = record->signal,
        .route = record->route,
        .received_ns = record->received_ns,
        .len = record->payload.len,
    };
    return true;
}

bool rig_try_open(struct rig *rig, struct error *err)
{
    assert_null(rig->wal);
    rig->seen_count = 0;
    if (!wal_open(&rig->wal, &rig->config, &rig->fault.fs, &rig->clock.clock, err)) {
        assert_null(rig->wal);
        return false;
    }
    if (!wal_replay(rig->wal, remember, rig, &rig->report, err)) {
        rig_close(rig);
        return false;
    }
    for (size_t i = 1; i < rig->seen_count; i++) {
        assert_true(rig->seen[i].lsn > rig->seen[i - 1].lsn);
    }
    return true;
}

void rig_open(struct rig *rig)
{
    struct error err = {0};

    if (!rig_try_open(rig, &err)) {
        fail_msg("%s", err.message);
    }
}

void rig_close(struct rig *rig)
{
    wal_close(rig->wal);
    rig->wal = NULL;
}

void rig_reopen(struct rig *rig)
{
    rig_close(rig);
    rig_open(rig);
}

uint8_t *payload_make(uint64_t key, size_t len)
{
    uint8_t *data = mem_alloc(len);
    uint64_t seed = key;

    assert_true(len >= 16);
    for (size_t i = 8; i + 8 <= len; i += 8) {
        uint64_t word = random_next(&seed);
        memcpy(data + i, &word, sizeof(word));
    }
    memset(data + len / 8 * 8, 0x5a, len % 8);
    memcpy(data, &key, sizeof(key));
    return data;
}

uint64_t payload_key(struct slice payload)
{
    uint64_t key = 0;
    uint8_t *same;

    if (payload.len < 16) {
        return 0;
    }
    memcpy(&key, payload.data, sizeof(key));
    same = payload_make(key, payload.len);
    if (memcmp(same, payload.data, payload.len) != 0) {
        key = 0;
    }
    free(same);
    return key;
}

uint64_t rig_try_append(struct rig *rig, uint64_t key, size_t len, struct error *err)
{
    uint8_t *data = payload_make(key, len);
    struct wal_record record = {
        .signal = (enum otlp_signal)(key % OTLP_SIGNALS),
        .route = (uint32_t)key * 3,
        .received_ns = key * 1000,
        .payload = {data, len},
    };
    bool ok = wal_append(rig->wal, &record, err);

    free(data);
    return ok ? record.lsn : 0;
}

uint64_t rig_append(struct rig *rig, uint64_t key, size_t len)
{
    struct error err = {0};
    uint64_t lsn = rig_try_append(rig, key, len, &err);

    if (lsn == 0) {
        fail_msg("%s", err.message);
    }
    return lsn;
}

void rig_sync(struct rig *rig)
{
    struct error err = {0};

    if (!wal_sync(rig->wal, &err)) {
        fail_msg("%s", err.message);
    }
}

uint64_t rig_put(struct rig *rig, uint64_t key, size_t len)
{
    uint64_t lsn = rig_append(rig, key, len);

    rig_sync(rig);
    return lsn;
}

void rig_release(struct rig *rig, uint64_t lsn)
{
    wal_release(rig->wal, &lsn, 1);
}

void assert_seen(const struct rig *rig, const uint64_t *keys)
{
    size_t count = 0;

    while (keys[count] != 0) {
        count++;
    }
    assert_int_equal(rig->seen_count, count);
    for (size_t i = 0; i < count; i++) {
        const struct seen *seen = &rig->seen[i];
        assert_int_equal(seen->key, keys[i]);
        assert_int_equal(seen->signal, seen->key % OTLP_SIGNALS);
        assert_int_equal(seen->route, seen->key * 3);
        assert_int_equal(seen->received_ns, seen->key * 1000);
    }
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t len = strlen(name), tail = strlen(suffix);

    return len >= tail && strcmp(name + len - tail, suffix) == 0;
}

bool rig_segment(struct rig *rig, size_t n, char path[64])
{
    const struct fs *fs = fs_mem_fs(rig->mem);
    char **names = NULL;
    bool found = false;

    assert_int_equal(fs->list(fs, RIG_DIR, &names), 0);
    for (size_t i = 0; names[i] != NULL && !found; i++) {
        if (ends_with(names[i], ".seg") && n-- == 0) {
            (void)snprintf(path, 64, "%s/%s", RIG_DIR, names[i]);
            found = true;
        }
    }
    fs_free_names(names);
    return found;
}

size_t rig_file_count(struct rig *rig, const char *folder, const char *suffix)
{
    const struct fs *fs = fs_mem_fs(rig->mem);
    char **names = NULL;
    size_t count = 0;

    if (fs->list(fs, folder, &names) != 0) {
        return 0;
    }
    for (size_t i = 0; names[i] != NULL; i++) {
        count += ends_with(names[i], suffix);
    }
    fs_free_names(names);
    return count;
}

void rig_flip(struct rig *rig, const char *path, size_t offset, uint8_t mask)
{
    uint8_t *data = NULL;
    size_t len = 0;

    assert_true(fs_mem_read(rig->mem, path, &data, &len));
    assert_true(offset < len);
    data[offset] ^= mask;
    fs_mem_write(rig->mem, path, data, len);
    free(data);
}
