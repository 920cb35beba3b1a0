/*
 * wal_recover_fuzz.c - any bytes as a folder of segments: the log starts, or says that a later
 * version wrote them; what it hands out lies in order, and a second start hands out the same.
 *
 * The input is cut at each "WALFUZZ!" into files 1.seg, 2.seg … So that mutations get behind the
 * checksums, those of headers at the usual places are corrected unless the first byte says
 * otherwise.
 */
#include <assert.h>
#include <fs_mem.h>
#include <inttypes.h>
#include <spangate/base/hash.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/wal/wal.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILES_MAX = 4, HEADER = 64, RECORD = 56 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct replayed {
    uint64_t count, last, hash;
};

static bool check_record(void *ctx, const struct wal_record *record, struct error *err)
{
    struct replayed *replayed = ctx;

    (void)err;
    assert(record->lsn > replayed->last);
    assert(record->signal < OTLP_SIGNALS);
    replayed->last = record->lsn;
    replayed->count++;
    replayed->hash =
        hash_mix(replayed->hash, record->payload.len == 0
                                     ? record->lsn
                                     : hash_stable(record->payload.data, record->payload.len));
    return true;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
}

/* Walk from the first record by the lengths that stand there. */
static void correct_checksums(uint8_t *file, size_t len)
{
    size_t at = HEADER;

    if (len >= HEADER) {
        put_u32(file + HEADER - 4, crc32c(0, file, HEADER - 4));
    }
    while (at + RECORD <= len) {
        uint32_t length, crc;
        memcpy(&length, file + at + 44, sizeof(length));
        crc = crc32c(0, file + at, 48);
        put_u32(file + at + 48, crc);
        if (length > len - at - RECORD) {
            return;
        }
        put_u32(file + at + 52, crc32c(crc, file + at + RECORD, length));
        at += (RECORD + (size_t)length + 7) / 8 * 8;
    }
}

static void write_files(struct fs_mem *mem, const uint8_t *data, size_t size, bool correct)
{
    static const char cut[] = "WALFUZZ!";
    const uint8_t *end = data + size;

    for (unsigned number = 1; number <= FILES_MAX && data <= end; number++) {
        const uint8_t *next = memmem(data, (size_t)(end - data), cut, sizeof(cut) - 1);
        size_t len = (size_t)((next == NULL ? end : next) - data);
        uint8_t *file = mem_alloc(len + 1);
        char path[40];
        if (len > 0) {
            memcpy(file, data, len);
        }
        if (correct) {
            correct_checksums(file, len);
        }
        (void)snprintf(path, sizeof(path), "/w/%016x.seg", number);
        fs_mem_write(mem, path, file, len);
        free(file);
        data = next == NULL ? end + 1 : next + sizeof(cut) - 1;
    }
}

static void follow(struct wal_reader *reader, uint64_t last, uint64_t *count)
{
    uint64_t lsn = 1;

    while (lsn <= last) {
        struct wal_record record;
        struct error err = {0};
        uint64_t asked = lsn;
        bool ok = wal_reader_next(reader, &lsn, 0, &record, &err);
        assert(ok || err.code == ERR_CORRUPT);
        assert(lsn >= asked);
        if (ok && record.lsn == 0) {
            break;
        }
        *count += ok;
        lsn++;
    }
}

/* Start, look at everything, append one record, stop. false: refused. */
static bool start(struct fs_mem *mem, struct replayed *replayed)
{
    struct wal_config config = {.dir = (char[]){"/w"}, .segment_bytes = 4096};
    struct wal_recovery report;
    struct wal_reader *reader;
    struct wal_record record = {.payload = {(const uint8_t *)"again", 5}};
    struct wal *wal = NULL;
    struct error err = {0};
    uint64_t read = 0;
    bool ok;

    ok = wal_open(&wal, &config, fs_mem_fs(mem), &clock_system, &err);
    assert(ok);
    reader = wal_reader_open(wal, 1);
    if (!wal_replay(wal, check_record, replayed, &report, &err)) {
        assert(err.code == ERR_UNSUPPORTED);
        wal_reader_close(reader);
        wal_close(wal);
        return false;
    }
    assert(report.records == replayed->count);
    assert(wal_last(wal) >= replayed->last);
    follow(reader, replayed->last, &read);
    assert(read == replayed->count);
    ok = wal_append(wal, &record, &err) && wal_sync(wal, &err);
    assert(ok);
    assert(record.lsn > replayed->last);
    wal_reader_close(reader);
    wal_close(wal);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fs_mem *mem;
    struct error err = {0};
    struct replayed first = {0}, second = {0};

    if (size == 0) {
        return 0;
    }
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT); /* damage is what this is about */
    mem = fs_mem_new();
    if (!fs_make_dirs(fs_mem_fs(mem), "/w", &err)) {
        abort();
    }
    write_files(mem, data + 1, size - 1, data[0] % 4 != 0);
    if (start(mem, &first)) {
        uint64_t hash = hash_mix(first.hash, hash_stable("again", 5));
        if (!start(mem, &second)) {
            abort();
        }
        assert(second.count == first.count + 1);
        assert(second.hash == hash);
    }
    assert(fs_mem_open_count(mem) == 0);
    fs_mem_free(mem);
    return 0;
}
