/*
 * fs_mem.c - see fs_mem.h. Lists, not trees: tests have a dozen files.
 */
#include "fs_mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spangate/base/mem.h>
#include <spangate/base/random.h>
#include <stdlib.h>

struct node {
    unsigned refs; /* entries live and durable, operations not yet durable, descriptors */
    uint8_t *live;
    uint8_t *disk;
    uint8_t *dirty; /* one byte a page: live differs from disk */
    size_t live_len, disk_len;
    size_t cap; /* of live and disk; pages * FS_MEM_PAGE */
};

struct entry {
    char *path;
    struct node *node; /* NULL: a folder */
};

struct entries {
    struct entry *list;
    size_t count;
};

/* A change of folder entries that no sync_dir() has made durable. */
struct change {
    char *removed;     /* NULL: none */
    char *added;       /* NULL: none */
    struct node *node; /* of added */
};

struct fs_mem {
    struct fs fs; /* first: the functions get a pointer to it */
    pthread_mutex_t lock;
    struct entries live, disk;
    struct change *changes;
    size_t change_count;
    struct node **fds;
    size_t fd_count;
    uint64_t space;
    bool down;
};

/* The table is const for its users, but it lives inside our struct. */
static struct fs_mem *enter(const struct fs *fs)
{
    struct fs_mem *mem = (struct fs_mem *)(uintptr_t)fs;

    (void)pthread_mutex_lock(&mem->lock);
    return mem;
}

static int64_t leave(struct fs_mem *mem, int64_t result)
{
    if (mem->down) {
        result = -EIO;
    }
    (void)pthread_mutex_unlock(&mem->lock);
    return result;
}

static void node_unref(struct node *node)
{
    if (node == NULL || --node->refs > 0) {
        return;
    }
    free(node->live);
    free(node->disk);
    free(node->dirty);
    free(node);
}

static struct node *node_ref(struct node *node)
{
    if (node != NULL) {
        node->refs++;
    }
    return node;
}

static void node_reserve(struct node *node, size_t len)
{
    size_t cap = (len + FS_MEM_PAGE - 1) / FS_MEM_PAGE * FS_MEM_PAGE;

    if (cap <= node->cap) {
        return;
    }
    cap = cap < 2 * node->cap ? 2 * node->cap : cap;
    node->live = mem_realloc(node->live, cap);
    node->disk = mem_realloc(node->disk, cap);
    node->dirty = mem_realloc(node->dirty, cap / FS_MEM_PAGE);
    memset(node->live + node->cap, 0, cap - node->cap);
    memset(node->disk + node->cap, 0, cap - node->cap);
    memset(node->dirty + node->cap / FS_MEM_PAGE, 0, (cap - node->cap) / FS_MEM_PAGE);
    node->cap = cap;
}

static void node_mark(struct node *node, size_t from, size_t to)
{
    for (size_t page = from / FS_MEM_PAGE; page * FS_MEM_PAGE < to; page++) {
        node->dirty[page] = 1;
    }
}

static void node_resize(struct node *node, size_t len)
{
    node_reserve(node, len);
    if (len < node->live_len) {
        memset(node->live + len, 0, node->live_len - len);
        node_mark(node, len, node->live_len);
    }
    node->live_len = len;
}

static void node_sync(struct node *node)
{
    for (size_t page = 0; page * FS_MEM_PAGE < node->cap; page++) {
        if (node->dirty[page]) {
            memcpy(node->disk + page * FS_MEM_PAGE, node->live + page * FS_MEM_PAGE, FS_MEM_PAGE);
            node->dirty[page] = 0;
        }
    }
    node->disk_len = node->live_len;
}

/* The disk's fate of everything unsynced; then live is what the disk has. */
static void node_crash(struct node *node, uint64_t *seed)
{
    for (size_t page = 0; page * FS_MEM_PAGE < node->cap; page++) {
        size_t kept = 0;
        if (!node->dirty[page]) {
            continue;
        }
        switch (random_next(seed) % 4) {
        case 0:
            break;
        case 1:
            kept = random_next(seed) % (FS_MEM_PAGE / FS_MEM_SECTOR) * FS_MEM_SECTOR;
            break;
        default:
            kept = FS_MEM_PAGE;
            break;
        }
        memcpy(node->disk + page * FS_MEM_PAGE, node->live + page * FS_MEM_PAGE, kept);
        node->dirty[page] = 0;
    }
    if (random_next(seed) % 2 == 0) {
        node->disk_len = node->live_len;
    }
    if (node->cap > 0) {
        memset(node->disk + node->disk_len, 0, node->cap - node->disk_len);
        memcpy(node->live, node->disk, node->cap);
    }
    node->live_len = node->disk_len;
}

static struct entry *entries_find(struct entries *entries, const char *path)
{
    for (size_t i = 0; i < entries->count; i++) {
        if (strcmp(entries->list[i].path, path) == 0) {
            return &entries->list[i];
        }
    }
    return NULL;
}

static void entries_remove(struct entries *entries, const char *path)
{
    struct entry *entry = entries_find(entries, path);

    if (entry == NULL) {
        return;
    }
    free(entry->path);
    node_unref(entry->node);
    *entry = entries->list[--entries->count];
}

static void entries_put(struct entries *entries, const char *path, struct node *node)
{
    (void)node_ref(node); /* before the removal: it may be the same */
    entries_remove(entries, path);
    entries->list = mem_realloc(entries->list, (entries->count + 1) * sizeof(*entries->list));
    entries->list[entries->count++] = (struct entry){.path = mem_strdup(path), .node = node};
}

static void entries_free(struct entries *entries)
{
    while (entries->count > 0) {
        entries_remove(entries, entries->list[0].path);
    }
    free(entries->list);
}

static bool is_in(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return path != NULL && strncmp(path, dir, len) == 0 && path[len] == '/' &&
           strchr(path + len + 1, '/') == NULL;
}

static void change_apply(struct fs_mem *mem, const struct change *change)
{
    if (change->removed != NULL) {
        entries_remove(&mem->disk, change->removed);
    }
    if (change->added != NULL) {
        entries_put(&mem->disk, change->added, change->node);
    }
}

static void change_free(struct change *change)
{
    free(change->removed);
    free(change->added);
    node_unref(change->node);
}

static void change_add(struct fs_mem *mem, const char *removed, const char *added,
                       struct node *node)
{
    mem->changes = mem_realloc(mem->changes, (mem->change_count + 1) * sizeof(*mem->changes));
    mem->changes[mem->change_count++] = (struct change){
        .removed = removed == NULL ? NULL : mem_strdup(removed),
        .added = added == NULL ? NULL : mem_strdup(added),
        .node = node_ref(node),
    };
}

static struct node *node_of(struct fs_mem *mem, int fd)
{
    size_t index = (size_t)fd - FS_MEM_FD_FIRST;

    return fd >= FS_MEM_FD_FIRST && index < mem->fd_count ? mem->fds[index] : NULL;
}

static bool has_space(struct fs_mem *mem, const struct node *growing, size_t len)
{
    uint64_t used = len;

    for (size_t i = 0; i < mem->live.count; i++) {
        const struct node *node = mem->live.list[i].node;
        used += node == NULL || node == growing ? 0 : node->live_len;
    }
    return used <= mem->space;
}

static int open_locked(struct fs_mem *mem, const char *path, int flags)
{
    struct entry *entry = entries_find(&mem->live, path);
    struct node *node;

    if (mem->down) {
        return -EIO;
    }
    if (entry == NULL && (flags & O_CREAT) == 0) {
        return -ENOENT;
    }
    if (entry != NULL && (flags & O_EXCL) != 0) {
        return -EEXIST;
    }
    if (entry != NULL && entry->node == NULL) {
        return -EISDIR;
    }
    node = entry == NULL ? mem_zalloc(1, sizeof(*node)) : entry->node;
    if (entry == NULL) {
        entries_put(&mem->live, path, node);
        change_add(mem, NULL, path, node);
    }
    if ((flags & O_TRUNC) != 0) {
        node_resize(node, 0);
    }
    mem->fds = mem_realloc(mem->fds, (mem->fd_count + 1) * sizeof(*mem->fds));
    mem->fds[mem->fd_count] = node_ref(node);
    return FS_MEM_FD_FIRST + (int)mem->fd_count++;
}

static int mem_open(const struct fs *fs, const char *path, int flags, mode_t mode)
{
    struct fs_mem *mem = enter(fs);

    (void)mode;
    return (int)leave(mem, open_locked(mem, path, flags));
}

static int mem_close(const struct fs *fs, int fd)
{
    struct fs_mem *mem = enter(fs);
    struct node *node = node_of(mem, fd);

    if (node == NULL) {
        return (int)leave(mem, -EBADF);
    }
    mem->fds[fd - FS_MEM_FD_FIRST] = NULL; /* numbers are not used twice */
    node_unref(node);
    return (int)leave(mem, 0);
}

static int64_t mem_pread(const struct fs *fs, int fd, void *data, size_t len, uint64_t offset)
{
    struct fs_mem *mem = enter(fs);
    struct node *node = node_of(mem, fd);

    if (node == NULL) {
        return leave(mem, -EBADF);
    }
    if (offset >= node->live_len) {
        return leave(mem, 0);
    }
    if (len > node->live_len - offset) {
        len = node->live_len - (size_t)offset;
    }
    memcpy(data, node->live + offset, len);
    return leave(mem, (int64_t)len);
}

static int64_t mem_pwritev(const struct fs *fs, int fd, const struct iovec *iov, int count,
                           uint64_t offset)
{
    struct fs_mem *mem = enter(fs);
    struct node *node = node_of(mem, fd);
    size_t at = (size_t)offset;

    if (node == NULL || mem->down) {
        return leave(mem, -EBADF);
    }
    for (int i = 0; i < count; i++) {
        size_t end = at + iov[i].iov_len;
        if (end > node->live_len) {
            if (!has_space(mem, node, end)) {
                return leave(mem, at == offset ? -ENOSPC : (int64_t)(at - offset));
            }
            node_resize(node, end);
        }
        if (iov[i].iov_len > 0) {
            memcpy(node->live + at, iov[i].iov_base, iov[i].iov_len);
            node_mark(node, at, end);
        }
        at = end;
    }
    return leave(mem, (int64_t)(at - offset));
}

static int mem_fdatasync(const struct fs *fs, int fd)
{
    struct fs_mem *mem = enter(fs);
    struct node *node = node_of(mem, fd);

    if (node == NULL) {
        return (int)leave(mem, -EBADF);
    }
    if (!mem->down) {
        node_sync(node);
    }
    return (int)leave(mem, 0);
}

static int mem_allocate(const struct fs *fs, int fd, uint64_t len)
{
    struct fs_mem *mem = enter(fs);
    struct node *node = node_of(mem, fd);

    if (node == NULL || mem->down) {
        return (int)leave(mem, -EBADF);
    }
    if (len > node->live_len) {
        if (!has_space(mem, node, (size_t)len)) {
            return (int)leave(mem, -ENOSPC);
        }
        node_resize(node, (size_t)len);
    }
    return (int)leave(mem, 0);
}

static int mem_truncate(const struct fs *fs, int fd, uint64_t len)
{
    struct fs_mem *mem = enter(fs);
    struct node *node = node_of(mem, fd);

    if (node == NULL || mem->down) {
        return (int)leave(mem, -EBADF);
    }
    node_resize(node, (size_t)len);
    return (int)leave(mem, 0);
}

static int mem_rename(const struct fs *fs, const char *from, const char *to)
{
    struct fs_mem *mem = enter(fs);
    struct entry *entry = entries_find(&mem->live, from);
    struct node *node;

    if (entry == NULL || mem->down) {
        return (int)leave(mem, -ENOENT);
    }
    node = node_ref(entry->node);
    assert(node != NULL); /* folders are not renamed by anybody */
    entries_remove(&mem->live, from);
    entries_put(&mem->live, to, node);
    change_add(mem, from, to, node);
    node_unref(node);
    return (int)leave(mem, 0);
}

static int mem_unlink(const struct fs *fs, const char *path)
{
    struct fs_mem *mem = enter(fs);
    struct entry *entry = entries_find(&mem->live, path);

    if (entry == NULL || entry->node == NULL || mem->down) {
        return (int)leave(mem, -ENOENT);
    }
    entries_remove(&mem->live, path);
    change_add(mem, path, NULL, NULL);
    return (int)leave(mem, 0);
}

static int mem_mkdir(const struct fs *fs, const char *path, mode_t mode)
{
    struct fs_mem *mem = enter(fs);

    (void)mode;
    if (!mem->down && entries_find(&mem->live, path) == NULL) {
        entries_put(&mem->live, path, NULL);
        entries_put(&mem->disk, path, NULL);
    }
    return (int)leave(mem, 0);
}

static int mem_rmdir(const struct fs *fs, const char *path)
{
    struct fs_mem *mem = enter(fs);
    struct entry *entry = entries_find(&mem->live, path);

    if (entry == NULL || entry->node != NULL || mem->down) {
        return (int)leave(mem, -ENOENT);
    }
    for (size_t i = 0; i < mem->live.count; i++) {
        if (is_in(mem->live.list[i].path, path)) {
            return (int)leave(mem, -ENOTEMPTY);
        }
    }
    entries_remove(&mem->live, path);
    entries_remove(&mem->disk, path);
    return (int)leave(mem, 0);
}

static int mem_sync_dir(const struct fs *fs, const char *path)
{
    struct fs_mem *mem = enter(fs);
    size_t kept = 0;

    for (size_t i = 0; i < mem->change_count && !mem->down; i++) {
        struct change *change = &mem->changes[i];
        if (is_in(change->removed, path) || is_in(change->added, path)) {
            change_apply(mem, change);
            change_free(change);
        } else {
            mem->changes[kept++] = *change;
        }
    }
    if (!mem->down) {
        mem->change_count = kept;
    }
    return (int)leave(mem, 0);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int mem_list(const struct fs *fs, const char *path, char ***names)
{
    struct fs_mem *mem = enter(fs);
    size_t count = 0;
    char **list;

    if (mem->down || entries_find(&mem->live, path) == NULL) {
        return (int)leave(mem, -ENOENT);
    }
    list = mem_zalloc(mem->live.count + 1, sizeof(*list));
    for (size_t i = 0; i < mem->live.count; i++) {
        if (is_in(mem->live.list[i].path, path)) {
            list[count++] = mem_strdup(mem->live.list[i].path + strlen(path) + 1);
        }
    }
    qsort(list, count, sizeof(*list), compare_names);
    *names = list;
    return (int)leave(mem, 0);
}

static int mem_size(const struct fs *fs, const char *path, uint64_t *size)
{
    struct fs_mem *mem = enter(fs);
    struct entry *entry = entries_find(&mem->live, path);

    if (entry == NULL) {
        return (int)leave(mem, -ENOENT);
    }
    *size = entry->node == NULL ? 0 : entry->node->live_len;
    return (int)leave(mem, 0);
}

static int mem_free_space(const struct fs *fs, const char *path, uint64_t *bytes)
{
    struct fs_mem *mem = enter(fs);
    uint64_t used = 0;

    (void)path;
    for (size_t i = 0; i < mem->live.count; i++) {
        used += mem->live.list[i].node == NULL ? 0 : mem->live.list[i].node->live_len;
    }
    *bytes = used < mem->space ? mem->space - used : 0;
    return (int)leave(mem, 0);
}

struct fs_mem *fs_mem_new(void)
{
    struct fs_mem *mem = mem_zalloc(1, sizeof(*mem));

    mem->fs = (struct fs){
        .open = mem_open,
        .close = mem_close,
        .pread = mem_pread,
        .pwritev = mem_pwritev,
        .fdatasync = mem_fdatasync,
        .allocate = mem_allocate,
        .truncate = mem_truncate,
        .rename = mem_rename,
        .unlink = mem_unlink,
        .mkdir = mem_mkdir,
        .rmdir = mem_rmdir,
        .sync_dir = mem_sync_dir,
        .list = mem_list,
        .size = mem_size,
        .free_space = mem_free_space,
    };
    (void)pthread_mutex_init(&mem->lock, NULL);
    mem->space = UINT64_MAX;
    return mem;
}

static void close_all(struct fs_mem *mem)
{
    for (size_t i = 0; i < mem->fd_count; i++) {
        node_unref(mem->fds[i]);
        mem->fds[i] = NULL;
    }
}

void fs_mem_free(struct fs_mem *mem)
{
    close_all(mem);
    free(mem->fds);
    for (size_t i = 0; i < mem->change_count; i++) {
        change_free(&mem->changes[i]);
    }
    free(mem->changes);
    entries_free(&mem->live);
    entries_free(&mem->disk);
    (void)pthread_mutex_destroy(&mem->lock);
    free(mem);
}

const struct fs *fs_mem_fs(struct fs_mem *mem)
{
    return &mem->fs;
}

void fs_mem_set_space(struct fs_mem *mem, uint64_t bytes)
{
    (void)enter(&mem->fs);
    mem->space = bytes;
    (void)leave(mem, 0);
}

void fs_mem_kill(struct fs_mem *mem)
{
    (void)enter(&mem->fs);
    close_all(mem);
    mem->down = true;
    (void)leave(mem, 0);
}

void fs_mem_crash(struct fs_mem *mem, uint64_t seed)
{
    size_t survive;

    (void)enter(&mem->fs);
    close_all(mem);
    survive = random_next(&seed) % (mem->change_count + 1);
    for (size_t i = 0; i < mem->change_count; i++) {
        if (i < survive) {
            change_apply(mem, &mem->changes[i]);
        }
        change_free(&mem->changes[i]);
    }
    mem->change_count = 0;
    while (mem->live.count > 0) {
        entries_remove(&mem->live, mem->live.list[0].path);
    }
    for (size_t i = 0; i < mem->disk.count; i++) {
        if (mem->disk.list[i].node != NULL) {
            node_crash(mem->disk.list[i].node, &seed);
        }
        entries_put(&mem->live, mem->disk.list[i].path, mem->disk.list[i].node);
    }
    mem->down = true;
    (void)leave(mem, 0);
}

void fs_mem_restart(struct fs_mem *mem)
{
    (void)enter(&mem->fs);
    mem->down = false;
    (void)leave(mem, 0);
}

bool fs_mem_read(struct fs_mem *mem, const char *path, uint8_t **data, size_t *len)
{
    struct entry *entry;

    (void)enter(&mem->fs);
    entry = entries_find(&mem->live, path);
    if (entry != NULL && entry->node != NULL) {
        *len = entry->node->live_len;
        *data = mem_alloc(*len + 1);
        if (*len > 0) {
            memcpy(*data, entry->node->live, *len);
        }
    }
    (void)leave(mem, 0);
    return entry != NULL && entry->node != NULL;
}

void fs_mem_write(struct fs_mem *mem, const char *path, const void *data, size_t len)
{
    struct entry *entry;
    struct node *node;

    (void)enter(&mem->fs);
    entry = entries_find(&mem->live, path);
    node = entry == NULL ? mem_zalloc(1, sizeof(*node)) : entry->node;
    assert(node != NULL);
    node_resize(node, len);
    if (len > 0) {
        memcpy(node->live, data, len);
        node_mark(node, 0, len);
    }
    node_sync(node);
    entries_put(&mem->live, path, node);
    entries_put(&mem->disk, path, node);
    (void)leave(mem, 0);
}

size_t fs_mem_open_count(struct fs_mem *mem)
{
    size_t count = 0;

    (void)enter(&mem->fs);
    for (size_t i = 0; i < mem->fd_count; i++) {
        count += mem->fds[i] != NULL;
    }
    (void)leave(mem, 0);
    return count;
}
