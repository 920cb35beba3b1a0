/* machine_test.c - limits of control groups, and where data goes by default. */
#include "unit.h"

#include <unistd.h>

#include "machine.h"

#include <spangate/base/fs.h>
#include <spangate/base/mem.h>

static char root[] = "/tmp/spangate-machine-XXXXXX";

static void put(const char *folder, const char *file, const char *text)
{
    struct error err = {0};
    char *dir = mem_printf("%s/sys/fs/cgroup%s", root, folder);
    char *path = mem_printf("%s/%s", dir, file);
    assert_true(fs_make_dirs(&fs_posix, dir, &err));
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    free(path);
    free(dir);
}

static int make_groups(void **state)
{
    (void)state;
    if (mkdtemp(root) == NULL) {
        return -1;
    }
    put("/a/b", "memory.max", "max\n");
    put("/a", "memory.max", "1000000\n");
    put("/c", "memory.max", "500\n");
    put("/memory/x", "memory.limit_in_bytes", "700\n");
    put("/memory", "memory.limit_in_bytes", "9223372036854771712\n");
    return 0;
}

static int remove_groups(void **state)
{
    (void)state;
    char *command = mem_printf("rm -rf %s", root);
    int rc = system(command);
    free(command);
    return rc;
}

static void the_least_limit_on_the_way_up_counts(void **state)
{
    (void)state;
    assert_int_equal(machine_memory_bytes_at(root, "0::/a/b\n", 5000000), 1000000);
    assert_int_equal(machine_memory_bytes_at(root, "0::/a/b\n", 999), 999);
    assert_int_equal(machine_memory_bytes_at(root, "0::/c", 5000000), 500);
    assert_int_equal(machine_memory_bytes_at(root, "3:cpu:/x\n5:memory:/x\n", 5000000), 700);
}

static void without_a_limit_physical_memory_counts(void **state)
{
    (void)state;
    assert_int_equal(machine_memory_bytes_at(root, "0::/none\n", 77), 77);
    assert_int_equal(machine_memory_bytes_at(root, "", 77), 77);
    assert_int_equal(machine_memory_bytes_at(root, "nonsense\n::\n:", 77), 77);
    assert_true(machine_memory_bytes() > 1 << 20);
}

static void expect_dir(const char *expected)
{
    char *dir = machine_data_dir();
    assert_string_equal(dir, expected);
    free(dir);
}

static void the_data_folder_follows_systemd_then_xdg_then_home(void **state)
{
    (void)state;
    assert_int_equal(setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two", 1), 0);
    assert_int_equal(setenv("XDG_STATE_HOME", "/xdg", 1), 0);
    assert_int_equal(setenv("HOME", "/home/u", 1), 0);
    expect_dir("/var/lib/one");
    assert_int_equal(unsetenv("STATE_DIRECTORY"), 0);
    expect_dir("/xdg/spangate");
    assert_int_equal(setenv("XDG_STATE_HOME", "relative", 1), 0);
    expect_dir(geteuid() == 0 ? "/var/lib/spangate" : "/home/u/.local/state/spangate");
    assert_int_equal(unsetenv("HOME"), 0);
    expect_dir("/var/lib/spangate");
}

static void the_room_on_a_disk_is_known_when_the_folder_is_there(void **state)
{
    (void)state;
    uint64_t before = machine_disk_bytes(root);
    assert_true(before > 0 && before < UINT64_MAX);
    assert_true(machine_disk_bytes("/nowhere/at/all") == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_limit_on_the_way_up_counts),
        cmocka_unit_test(the_room_on_a_disk_is_known_when_the_folder_is_there),
        cmocka_unit_test(without_a_limit_physical_memory_counts),
        cmocka_unit_test(the_data_folder_follows_systemd_then_xdg_then_home),
    };
    return cmocka_run_group_tests(tests, make_groups, remove_groups);
}
