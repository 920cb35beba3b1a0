/* machine.c - memory limits of control groups (v2 and v1), room on a disk, the folder for state. */
#include "machine.h"

#include <spangate/base/mem.h>
#include <spangate/config/source.h>

#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { SMALL_FILE_MAX = 64 * 1024 };

/* The number in a file, UINT64_MAX when there is none ("max" means no limit). */
static uint64_t read_limit(const char *root, const char *folder, const char *group,
                           const char *file)
{
    char path[PATH_MAX];
    char *data = NULL;
    size_t len = 0;
    struct error ignored;
    uint64_t limit = UINT64_MAX;

    int n = snprintf(path, sizeof(path), "%s/sys/fs/cgroup%s%s/%s", root, folder, group, file);
    if (n < 0 || (size_t)n >= sizeof(path) ||
        !config_read_file(path, SMALL_FILE_MAX, &data, &len, &ignored)) {
        return UINT64_MAX;
    }
    if (data[0] >= '0' && data[0] <= '9') {
        limit = strtoull(data, NULL, 10);
    }
    free(data);
    return limit;
}

/* The least limit of a group and all above it. */
static uint64_t least_limit(const char *root, const char *folder, const char *group,
                            const char *file)
{
    char *name = mem_strdup(group);
    uint64_t least = UINT64_MAX;

    for (;;) {
        uint64_t limit = read_limit(root, folder, name, file);
        least = limit < least ? limit : least;
        char *slash = strrchr(name, '/');
        if (slash == NULL) {
            break;
        }
        *slash = '\0';
    }
    free(name);
    return least;
}

/* Lines are "0::/group" (v2) or "5:memory:/group" (v1). */
uint64_t machine_memory_bytes_at(const char *root, const char *cgroup_text, uint64_t physical)
{
    uint64_t least = physical;

    for (const char *line = cgroup_text; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        char *copy = mem_strndup(line, len);
        char *controllers = strchr(copy, ':');
        char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        uint64_t limit = UINT64_MAX;
        if (group != NULL) {
            *group++ = '\0';
            controllers++;
            if (controllers[0] == '\0') {
                limit = least_limit(root, "", group, "memory.max");
            } else if (strcmp(controllers, "memory") == 0) {
                limit = least_limit(root, "/memory", group, "memory.limit_in_bytes");
            }
        }
        least = limit < least ? limit : least;
        free(copy);
        line += len + (line[len] == '\n');
    }
    return least;
}

uint64_t machine_memory_bytes(void)
{
    char *data = NULL;
    size_t len = 0;
    struct error ignored;
    long pages = sysconf(_SC_PHYS_PAGES);
    long page = sysconf(_SC_PAGESIZE);
    uint64_t physical =
        pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_C(1) << 30;

    if (!config_read_file("/proc/self/cgroup", SMALL_FILE_MAX, &data, &len, &ignored)) {
        return physical;
    }
    uint64_t bytes = machine_memory_bytes_at("", data, physical);
    free(data);
    return bytes;
}

uint64_t machine_disk_bytes(const char *folder)
{
    char *copy = mem_strdup(folder);
    char *const roots[] = {copy, NULL};
    uint64_t bytes = UINT64_MAX;
    struct statvfs disk;

    if (statvfs(folder, &disk) == 0) {
        bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
        FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
        FTSENT *entry;
        while (walk != NULL && (entry = fts_read(walk)) != NULL) {
            if (entry->fts_info == FTS_F) {
                bytes += (uint64_t)entry->fts_statp->st_blocks * 512;
            }
        }
        if (walk != NULL) {
            (void)fts_close(walk);
        }
    }
    free(copy);
    return bytes;
}

char *machine_data_dir(void)
{
    const char *state = getenv("STATE_DIRECTORY");
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (state != NULL && state[0] == '/') {
        return mem_strndup(state, strcspn(state, ":")); /* systemd may name several */
    }
    if (xdg != NULL && xdg[0] == '/') {
        return mem_printf("%s/spangate", xdg);
    }
    if (geteuid() != 0 && home != NULL && home[0] == '/') {
        return mem_printf("%s/.local/state/spangate", home);
    }
    return mem_strdup("/var/lib/spangate");
}
