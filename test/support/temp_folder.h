/*
 * temp_folder.h - a folder for one test, removed with everything in it: setup and teardown for
 * cmocka; *state is its path.
 */
#ifndef SPANGATE_TEST_TEMP_FOLDER_H
#define SPANGATE_TEST_TEMP_FOLDER_H

#include "unit.h"

#include <ftw.h>
#include <unistd.h>

static inline int temp_folder_make(void **state)
{
    char *path = strdup("/tmp/spangate-test-XXXXXX");
    *state = path != NULL ? mkdtemp(path) : NULL;
    return *state == NULL;
}

static inline int temp_folder_unlink(const char *path, const struct stat *st, int type,
                                     struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int temp_folder_remove(void **state)
{
    int rc = nftw(*state, temp_folder_unlink, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return rc;
}

#define temp_folder_test(fn)                                                                       \
    cmocka_unit_test_setup_teardown(fn, temp_folder_make, temp_folder_remove)

#endif
