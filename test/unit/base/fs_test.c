/*
 * fs_test.c - the wrappers over the POSIX file system, in a folder of their own.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <spangate/base/fs.h>
#include <unistd.h>

static int make_folder(void **state)
{
    static char path[] = "/tmp/spangate-fs-XXXXXX";
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    *state = mkdtemp(path);
    return *state == NULL;
}

static int remove_folder(void **state)
{
    char **names;
    char path[300];
    assert_int_equal(fs_posix.list(&fs_posix, *state, &names), 0);
    for (size_t i = 0; names[i] != NULL; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", (char *)*state, names[i]);
        if (unlink(path) != 0) {
            (void)rmdir(path);
        }
    }
    fs_free_names(names);
    return rmdir(*state);
}

static void replacing_a_file_leaves_the_new_content_and_no_other_file(void **state)
{
    char path[300];
    char *data;
    size_t len;
    char **names;
    struct error err = {0};
    (void)snprintf(path, sizeof(path), "%s/cursor", (char *)*state);
    assert_true(fs_replace_file(&fs_posix, path, BYTES("one"), &err));
    assert_true(fs_replace_file(&fs_posix, path, BYTES("second"), &err));
    assert_true(fs_read_file(&fs_posix, path, 100, &data, &len, &err));
    assert_string_equal(data, "second");
    assert_int_equal(len, 6);
    free(data);
    assert_int_equal(fs_posix.list(&fs_posix, *state, &names), 0);
    assert_string_equal(names[0], "cursor");
    assert_null(names[1]);
    fs_free_names(names);
    assert_false(fs_read_file(&fs_posix, path, 5, &data, &len, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

static void errors_name_the_operation_the_path_and_the_cause(void **state)
{
    int fd;
    char *data;
    size_t len;
    char path[300];
    char message[400];
    struct error err = {0};
    (void)snprintf(path, sizeof(path), "%s/missing", (char *)*state);
    (void)snprintf(message, sizeof(message), "open %s: No such file or directory", path);
    assert_false(fs_open(&fs_posix, path, O_RDONLY, &fd, &err));
    assert_string_equal(err.message, message);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(err.sys_errno, ENOENT);
    assert_false(fs_read_file(&fs_posix, path, 10, &data, &len, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void folders_are_made_with_their_parents_and_again_without_complaint(void **state)
{
    char path[300];
    char parent[300];
    struct error err = {0};
    (void)snprintf(parent, sizeof(parent), "%s/a", (char *)*state);
    (void)snprintf(path, sizeof(path), "%s/a/b", (char *)*state);
    assert_true(fs_make_dirs(&fs_posix, path, &err));
    assert_true(fs_make_dirs(&fs_posix, path, &err));
    assert_int_equal(fs_posix.rmdir(&fs_posix, path), 0);
    assert_int_equal(fs_posix.rmdir(&fs_posix, parent), 0);
}

static void a_short_file_is_damage_not_silence(void **state)
{
    int fd;
    char path[300];
    uint8_t data[8];
    struct error err = {0};
    struct iovec iov[3] = {{(void *)(uintptr_t) "ab", 2}, {NULL, 0}, {(void *)(uintptr_t) "cd", 2}};
    (void)snprintf(path, sizeof(path), "%s/short", (char *)*state);
    assert_true(fs_open(&fs_posix, path, O_RDWR | O_CREAT, &fd, &err));
    assert_true(fs_write_at(&fs_posix, fd, path, iov, 3, 0, &err));
    assert_true(fs_read_at(&fs_posix, fd, path, data, 4, 0, &err));
    assert_memory_equal(data, "abcd", 4);
    assert_false(fs_read_at(&fs_posix, fd, path, data, 8, 0, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    fs_close(&fs_posix, fd);
    fs_close(&fs_posix, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(replacing_a_file_leaves_the_new_content_and_no_other_file,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(errors_name_the_operation_the_path_and_the_cause,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(
            folders_are_made_with_their_parents_and_again_without_complaint, make_folder,
            remove_folder),
        cmocka_unit_test_setup_teardown(a_short_file_is_damage_not_silence, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
