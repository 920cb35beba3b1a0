/*
 * replay_main.c - run a fuzz target over files instead of a fuzzer: the corpus as a test.
 *
 * Arguments are files and folders (not searched further down). Prints how many inputs ran and
 * fails when there were none, because a test that looks at nothing must not be green.
 */

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t len = 0;
    size_t cap = 0;
    size_t got;

    if (file == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    do {
        if (cap - len < 65536) {
            cap = 2 * cap + 65536;
            data = realloc(data, cap);
            if (data == NULL) {
                abort();
            }
        }
        got = fread(data + len, 1, cap - len, file);
        len += got;
    } while (got > 0);
    (void)fclose(file);

    /* In memory of exactly its size, so that a read too far is seen. */
    uint8_t *exact = malloc(len + (len == 0));
    if (exact == NULL) {
        abort();
    }
    memcpy(exact, data, len);
    free(data);
    (void)LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    return 1;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int replay(const char *path)
{
    struct stat st;
    struct dirent **entries;
    int count = 0;

    if (stat(path, &st) != 0) {
        perror(path);
        return 0;
    }
    if (!S_ISDIR(st.st_mode)) {
        return replay_file(path);
    }
    int n = scandir(path, &entries, is_visible, alphasort);
    for (int i = 0; i < n; i++) {
        char child[PATH_MAX];
        (void)snprintf(child, sizeof(child), "%s/%s", path, entries[i]->d_name);
        free(entries[i]);
        if (stat(child, &st) == 0 && S_ISREG(st.st_mode)) {
            count += replay_file(child);
        }
    }
    if (n >= 0) {
        free(entries);
    }
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++) {
        count += replay(argv[i]);
    }
    printf("%d inputs\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
