/*
 * blockfile.c - read and write one segment file of the trace log.
 *
 * Reading runs on any thread, writing on the store thread. The bytes are described in
 * docs/formats.md.
 */
#include "blockfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spangate/base/hash.h>
#include <spangate/base/log.h>
#include <spangate/base/mem.h>
#include <spangate/base/random.h>
#include <stdio.h>
#include <stdlib.h>

#define DIRECTORY_MAGIC "SGBLDIR\n"
#define TRAILER_MAGIC "SGBLEND\n"

enum { DIRECTORY_HEAD = 16, DIRECTORY_ENTRY = 64, TRAILER_BYTES = 32, TRAILER_CRC = 28 };

/* How much is read at once when a header was damaged and the next one is searched. */
enum { SCAN_BYTES = 64 * 1024 };

/* Tables are usually smaller than this, so that one read brings header and tables. */
enum { LOAD_AHEAD = 32 * 1024 };

static uint64_t aligned(uint64_t offset)
{
    return (offset + BLOCK_ALIGN - 1) & ~(uint64_t)(BLOCK_ALIGN - 1);
}

void entry_list_push(struct entry_list *list, const struct block_entry *entry)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 64 : list->cap * 2;
        list->entries = mem_realloc(list->entries, list->cap * sizeof(*list->entries));
    }
    list->entries[list->count++] = *entry;
}

bool blockfile_path(const char *dir, uint32_t number, char *out)
{
    int n = snprintf(out, PATH_MAX, "%s/%06" PRIu32 ".blk", dir, number);

    return n > 0 && n < PATH_MAX;
}

/* --- the directory --- */

static void encode_entry(const struct block_entry *entry, uint8_t *at)
{
    put_u64(at, entry->seq);
    put_u64(at + 8, entry->sealed_ns);
    put_u64(at + 16, entry->start_ns_min);
    put_u64(at + 24, entry->start_ns_max);
    put_u64(at + 32, entry->lsn_max);
    put_u64(at + 40, entry->stored_bytes);
    put_u32(at + 48, entry->trace_count);
    put_u32(at + 52, entry->span_count);
    put_u32(at + 56, entry->offset);
    put_u32(at + 60, 0);
}

static struct block_entry decode_entry(const uint8_t *at, uint32_t file)
{
    return (struct block_entry){
        .seq = get_u64(at),
        .sealed_ns = get_u64(at + 8),
        .start_ns_min = get_u64(at + 16),
        .start_ns_max = get_u64(at + 24),
        .lsn_max = get_u64(at + 32),
        .stored_bytes = get_u64(at + 40),
        .trace_count = get_u32(at + 48),
        .span_count = get_u32(at + 52),
        .file = file,
        .offset = get_u32(at + 56),
    };
}

static uint8_t *encode_directory(const struct block_entry *entries, size_t count, uint64_t offset,
                                 size_t *len)
{
    *len = DIRECTORY_HEAD + count * DIRECTORY_ENTRY + TRAILER_BYTES;
    uint8_t *bytes = mem_zalloc(1, *len);
    uint8_t *at = bytes + DIRECTORY_HEAD;

    for (size_t i = 0; i < count; i++, at += DIRECTORY_ENTRY) {
        encode_entry(&entries[i], at);
    }
    memcpy(bytes, DIRECTORY_MAGIC, BLOCK_MAGIC_BYTES);
    put_u32(bytes + 8, (uint32_t)count);
    put_u32(bytes + 12, crc32c(0, bytes + DIRECTORY_HEAD, count * DIRECTORY_ENTRY));

    memcpy(at, TRAILER_MAGIC, BLOCK_MAGIC_BYTES);
    put_u64(at + 8, offset);
    put_u32(at + 16, (uint32_t)count);
    put_u32(at + 20, get_u32(bytes + 12));
    put_u32(at + TRAILER_CRC, crc32c(0, at, TRAILER_CRC));
    return bytes;
}

/* Whether the entries describe blocks that lie one behind the other. */
static bool entries_fit(const struct block_entry *entries, size_t count, uint64_t end)
{
    uint64_t at = 0;

    for (size_t i = 0; i < count; i++) {
        const struct block_entry *e = &entries[i];
        if (e->seq == 0 || e->seq > BLOCK_SEQ_MAX || e->offset < at ||
            e->offset % BLOCK_ALIGN != 0 || e->offset > end ||
            e->stored_bytes < BLOCK_HEADER_BYTES || e->stored_bytes > end - e->offset) {
            return false;
        }
        at = e->offset + e->stored_bytes;
    }
    return true;
}

/* The directory at the end of the file. false: there is none, or it is damaged. */
static bool read_directory(const struct fs *fs, int fd, const char *path, uint32_t number,
                           uint64_t size, struct entry_list *out, uint64_t *good_len)
{
    uint8_t trailer[TRAILER_BYTES];
    struct error ignored;

    if (size < DIRECTORY_HEAD + TRAILER_BYTES ||
        !fs_read_at(fs, fd, path, trailer, sizeof(trailer), size - sizeof(trailer), &ignored) ||
        memcmp(trailer, TRAILER_MAGIC, BLOCK_MAGIC_BYTES) != 0 ||
        get_u32(trailer + TRAILER_CRC) != crc32c(0, trailer, TRAILER_CRC)) {
        return false;
    }
    uint64_t offset = get_u64(trailer + 8);
    uint64_t count = get_u32(trailer + 16);
    uint64_t len = DIRECTORY_HEAD + count * DIRECTORY_ENTRY;
    if (offset > size || size - offset != len + TRAILER_BYTES) {
        return false;
    }
    uint8_t *bytes = mem_alloc(len);
    size_t before = out->count;
    bool ok = fs_read_at(fs, fd, path, bytes, len, offset, &ignored) &&
              memcmp(bytes, DIRECTORY_MAGIC, BLOCK_MAGIC_BYTES) == 0 &&
              get_u32(bytes + 8) == count &&
              get_u32(bytes + 12) == crc32c(0, bytes + DIRECTORY_HEAD, count * DIRECTORY_ENTRY);
    for (size_t i = 0; ok && i < count; i++) {
        struct block_entry entry =
            decode_entry(bytes + DIRECTORY_HEAD + i * DIRECTORY_ENTRY, number);
        entry_list_push(out, &entry);
    }
    free(bytes);
    if (ok && !entries_fit(out->entries + before, count, offset)) {
        out->count = before;
        ok = false;
    }
    *good_len = offset;
    return ok;
}

/* --- walking --- */

struct walk {
    const struct fs *fs;
    int fd;
    const char *path;
    uint64_t size;
    uint64_t salt; /* of the first block found; the others have it too */
    bool has_salt;
    uint8_t *window; /* SCAN_BYTES, made when needed */
};

enum found { FOUND_BLOCK, FOUND_DIRECTORY, FOUND_NOTHING, FOUND_FAILURE };

static enum found parse_at(const struct walk *w, const uint8_t *bytes, struct block_header *header,
                           struct error *err)
{
    if (memcmp(bytes, DIRECTORY_MAGIC, BLOCK_MAGIC_BYTES) == 0) {
        return FOUND_DIRECTORY;
    }
    if (block_header_parse(bytes, header, err)) {
        if (w->has_salt && header->salt != w->salt) {
            return FOUND_NOTHING; /* made up by a sender: it lies within a span */
        }
        return FOUND_BLOCK;
    }
    return err->code == ERR_UNSUPPORTED ? FOUND_FAILURE : FOUND_NOTHING;
}

static enum found read_header(const struct walk *w, uint64_t offset, struct block_header *header,
                              struct error *err)
{
    uint8_t bytes[BLOCK_HEADER_BYTES] = {0};
    uint64_t left = w->size - offset;
    size_t len = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);

    if (!fs_read_at(w->fs, w->fd, w->path, bytes, len, offset, err)) {
        return err->code == ERR_CORRUPT ? FOUND_NOTHING : FOUND_FAILURE;
    }
    return parse_at(w, bytes, header, err);
}

/* The next place at or behind `offset` where a block begins; the size if none. */
static bool find_next(struct walk *w, uint64_t offset, uint64_t *next, struct error *err)
{
    struct block_header header;

    if (w->window == NULL) {
        w->window = mem_alloc(SCAN_BYTES);
    }
    while (offset + BLOCK_MAGIC_BYTES <= w->size) {
        uint64_t left = w->size - offset;
        size_t len = left < SCAN_BYTES ? (size_t)left : SCAN_BYTES;
        if (!fs_read_at(w->fs, w->fd, w->path, w->window, len, offset, err)) {
            return false;
        }
        for (size_t at = 0; at + BLOCK_MAGIC_BYTES <= len; at += BLOCK_ALIGN) {
            if (memcmp(w->window + at, BLOCK_MAGIC, BLOCK_MAGIC_BYTES) != 0) {
                continue;
            }
            enum found found = read_header(w, offset + at, &header, err);
            if (found == FOUND_FAILURE) {
                return false;
            }
            if (found != FOUND_NOTHING) {
                *next = offset + at;
                return true;
            }
        }
        offset += len; /* a multiple of the alignment unless this was the end */
    }
    *next = w->size;
    return true;
}

static bool all_zero(const struct walk *w, uint64_t offset)
{
    uint8_t bytes[BLOCK_HEADER_BYTES];
    struct error ignored;

    if (w->size - offset > BLOCK_ALIGN ||
        !fs_read_at(w->fs, w->fd, w->path, bytes, (size_t)(w->size - offset), offset, &ignored)) {
        return false;
    }
    for (size_t i = 0; i < w->size - offset; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void entry_of(const struct block_header *header, uint32_t file, uint64_t offset,
                     struct block_entry *out)
{
    *out = (struct block_entry){
        .seq = header->seq,
        .sealed_ns = header->sealed_ns,
        .start_ns_min = header->start_ns_min,
        .start_ns_max = header->start_ns_max,
        .lsn_max = header->lsn_max,
        .stored_bytes = header->length,
        .trace_count = header->trace_count,
        .span_count = header->span_count,
        .file = file,
        .offset = (uint32_t)offset,
    };
}

static bool walk_blocks(struct walk *w, uint32_t number, struct entry_list *out,
                        struct blockfile_report *report, blockfile_damaged_fn *damaged, void *ctx,
                        struct error *err)
{
    uint64_t offset = 0;

    while (offset < w->size && offset <= UINT32_MAX) {
        struct block_header header;
        struct error why;
        enum found found = read_header(w, offset, &header, &why);
        if (found == FOUND_FAILURE) {
            *err = why;
            return false;
        }
        if (found == FOUND_DIRECTORY) {
            break;
        }
        if (found == FOUND_BLOCK && !w->has_salt) {
            w->has_salt = true;
            w->salt = header.salt;
        }
        if (found == FOUND_BLOCK && header.seq > report->seq_max) {
            report->seq_max = header.seq;
        }
        if (found == FOUND_BLOCK && header.length <= w->size - offset) {
            if ((header.flags & BLOCK_DEAD) == 0) {
                struct block_entry entry;
                entry_of(&header, number, offset, &entry);
                entry_list_push(out, &entry);
            }
            report->good_len = offset + header.length;
            offset = aligned(offset + header.length);
            continue;
        }
        if (found == FOUND_NOTHING && all_zero(w, offset)) {
            break;
        }
        uint64_t next = 0;
        if (!find_next(w, offset + BLOCK_ALIGN, &next, err)) {
            return false;
        }
        report->damaged++;
        if (damaged != NULL) {
            damaged(ctx, w->path, offset, next - offset);
        }
        offset = next;
    }
    return true;
}

bool blockfile_list(const struct fs *fs, const char *path, uint32_t number, struct entry_list *out,
                    struct blockfile_report *report, blockfile_damaged_fn *damaged, void *ctx,
                    struct error *err)
{
    struct walk w = {.fs = fs, .fd = -1, .path = path};
    size_t before = out->count;

    *report = (struct blockfile_report){0};
    int rc = fs->size(fs, path, &w.size);
    if (rc != 0) {
        return error_set_errno(err, -rc, "size of %s", path);
    }
    report->size = w.size;
    if (!fs_open(fs, path, O_RDONLY, &w.fd, err)) {
        return false;
    }
    bool ok = true;
    if (read_directory(fs, w.fd, path, number, w.size, out, &report->good_len)) {
        report->has_directory = true;
        for (size_t i = before; i < out->count; i++) {
            if (out->entries[i].seq > report->seq_max) {
                report->seq_max = out->entries[i].seq;
            }
        }
    } else {
        report->good_len = 0;
        ok = walk_blocks(&w, number, out, report, damaged, ctx, err);
    }
    fs_close(fs, w.fd);
    free(w.window);
    if (!ok) {
        out->count = before;
        return error_wrap(err, "list blocks in %s", path);
    }
    return true;
}

static bool write_directory(const struct fs *fs, int fd, const char *path, uint64_t offset,
                            const struct block_entry *entries, size_t count, struct error *err)
{
    size_t len = 0;
    uint8_t *bytes = encode_directory(entries, count, offset, &len);
    struct iovec iov = {.iov_base = bytes, .iov_len = len};

    bool ok = fs_write_at(fs, fd, path, &iov, 1, offset, err) && fs_sync(fs, fd, path, err);
    free(bytes);
    return ok;
}

bool blockfile_repair(const struct fs *fs, const char *path, uint64_t good_len,
                      const struct block_entry *entries, size_t count, struct error *err)
{
    int fd = -1;

    if (!fs_open(fs, path, O_RDWR, &fd, err)) {
        return false;
    }
    int rc = fs->truncate(fs, fd, good_len);
    bool ok = rc == 0 ? write_directory(fs, fd, path, aligned(good_len), entries, count, err)
                      : error_set_errno(err, -rc, "truncate %s", path);
    fs_close(fs, fd);
    return ok;
}

/* --- one block --- */

/* What a load has read so far: [entry->offset, + len) of the file. */
struct piece {
    uint8_t *data;
    size_t len;
};

static bool extend(const struct fs *fs, int fd, const char *path, const struct block_entry *entry,
                   struct piece *piece, uint64_t len, struct error *err)
{
    if (len <= piece->len) {
        return true;
    }
    piece->data = mem_realloc(piece->data, len);
    if (!fs_read_at(fs, fd, path, piece->data + piece->len, len - piece->len,
                    entry->offset + piece->len, err)) {
        return false;
    }
    piece->len = len;
    return true;
}

static bool load_from(const struct fs *fs, int fd, const char *path,
                      const struct block_entry *entry, bool with_raw, struct piece *piece,
                      struct budget *budget, struct block **out, struct error *err)
{
    struct block_header header;
    uint64_t first = entry->stored_bytes;

    if (!with_raw && first > LOAD_AHEAD) {
        first = LOAD_AHEAD;
    }
    if (!extend(fs, fd, path, entry, piece, first, err) ||
        !block_header_parse(piece->data, &header, err)) {
        return false;
    }
    if (header.seq != entry->seq || header.length != entry->stored_bytes) {
        return error_set(err, ERR_CORRUPT, "another block is in its place");
    }
    if ((header.flags & BLOCK_DEAD) != 0) {
        return error_set(err, ERR_NOT_FOUND, "the block was set aside as damaged");
    }
    uint64_t tables_len = block_tables_len(&header);
    if (!extend(fs, fd, path, entry, piece,
                with_raw ? header.length : BLOCK_HEADER_BYTES + tables_len, err)) {
        return false;
    }
    struct slice tables = {piece->data + BLOCK_HEADER_BYTES, tables_len};
    struct slice raw = {tables.data + tables.len, header.sections[SECTION_RAW].stored_len};
    return block_decode(&header, tables, with_raw ? raw : (struct slice){0}, with_raw, budget, out,
                        err);
}

bool blockfile_load(const struct fs *fs, const char *path, const struct block_entry *entry,
                    bool with_raw, struct budget *budget, struct block **out, struct error *err)
{
    struct piece piece = {0};
    int fd = -1;

    if (entry->stored_bytes < BLOCK_HEADER_BYTES) {
        return error_set(err, ERR_CORRUPT, "block of %" PRIu64 " bytes", entry->stored_bytes);
    }
    if (!fs_open(fs, path, O_RDONLY, &fd, err)) {
        return false;
    }
    bool ok = load_from(fs, fd, path, entry, with_raw, &piece, budget, out, err);
    fs_close(fs, fd);
    free(piece.data);
    return ok || error_wrap(err, "block %" PRIu64 " in %s", entry->seq, path);
}

/* The file's salt, from the first header; if that is damaged, as it stands in the block's own. */
static uint64_t salt_of(const struct fs *fs, int fd, const char *path,
                        const struct block_entry *entry)
{
    uint8_t bytes[BLOCK_HEADER_BYTES];
    struct block_header header;
    struct error ignored;

    if (fs_read_at(fs, fd, path, bytes, sizeof(bytes), 0, &ignored) &&
        block_header_parse(bytes, &header, &ignored)) {
        return header.salt;
    }
    if (fs_read_at(fs, fd, path, bytes, sizeof(bytes), entry->offset, &ignored)) {
        return block_header_salt(bytes);
    }
    return 0;
}

bool blockfile_mark_dead(const struct fs *fs, const char *path, const struct block_entry *entry,
                         struct error *err)
{
    uint8_t header[BLOCK_HEADER_BYTES];
    struct iovec iov = {.iov_base = header, .iov_len = sizeof(header)};
    int fd = -1;

    if (!fs_open(fs, path, O_RDWR, &fd, err)) {
        return false;
    }
    block_encode_dead(entry->seq, entry->stored_bytes, salt_of(fs, fd, path, entry), header);
    bool ok = fs_write_at(fs, fd, path, &iov, 1, entry->offset, err) && fs_sync(fs, fd, path, err);
    fs_close(fs, fd);
    return ok;
}

/* --- writing --- */

bool blockfile_create(struct blockfile_writer *w, const char *dir, uint32_t number,
                      struct error *err)
{
    assert(w->fd < 0);
    int n = snprintf(w->dir, sizeof(w->dir), "%s", dir);
    if (n < 0 || (size_t)n >= sizeof(w->dir) || !blockfile_path(w->dir, number, w->path)) {
        return error_set(err, ERR_INVALID, "path under %s is too long", dir);
    }
    int fd = w->fs->open(w->fs, w->path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -EEXIST) {
        return error_set(err, ERR_IN_USE, "%s exists", w->path);
    }
    if (fd < 0) {
        return error_set_errno(err, -fd, "create %s", w->path);
    }
    w->fd = fd;
    w->number = number;
    random_bytes(&w->salt, sizeof(w->salt));
    w->offset = 0;
    w->linked = false;
    w->entries.count = 0;
    return true;
}

bool blockfile_append(struct blockfile_writer *w, const struct block_image *image,
                      struct block_entry *entry, struct error *err)
{
    struct iovec iov = {.iov_base = image->data, .iov_len = image->len};

    assert(w->offset <= UINT32_MAX);
    if (!fs_write_at(w->fs, w->fd, w->path, &iov, 1, w->offset, err) ||
        !fs_sync(w->fs, w->fd, w->path, err)) {
        return false;
    }
    if (!w->linked && !fs_sync_dir(w->fs, w->dir, err)) {
        return false;
    }
    w->linked = true;
    entry->file = w->number;
    entry->offset = (uint32_t)w->offset;
    entry->stored_bytes = image->len;
    w->offset = aligned(w->offset + image->len);
    entry_list_push(&w->entries, entry);
    return true;
}

static void writer_close(struct blockfile_writer *w)
{
    fs_close(w->fs, w->fd);
    w->fd = -1;
    free(w->entries.entries);
    w->entries = (struct entry_list){0};
}

void blockfile_finish(struct blockfile_writer *w)
{
    struct error err;

    if (w->fd < 0) {
        return;
    }
    if (w->entries.count == 0) {
        (void)w->fs->unlink(w->fs, w->path);
    } else if (!write_directory(w->fs, w->fd, w->path, w->offset, w->entries.entries,
                                w->entries.count, &err)) {
        log_warn("trace_log", "directory of a segment not written, its headers will be walked",
                 "error=\"%s\"", err.message);
    }
    writer_close(w);
}

void blockfile_abandon(struct blockfile_writer *w)
{
    if (w->fd < 0) {
        return;
    }
    (void)w->fs->truncate(w->fs, w->fd, w->offset);
    if (w->entries.count == 0) {
        (void)w->fs->unlink(w->fs, w->path);
    }
    writer_close(w);
}
