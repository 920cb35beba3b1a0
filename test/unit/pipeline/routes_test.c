/*
 * routes_test.c - the bit of a pipeline never changes, whatever the configuration becomes.
 */
#include "temp_folder.h"

#include "routes.h"

#include <limits.h>
#include <unistd.h>

static uint32_t mask_of(const struct routes *routes, const char *id)
{
    return routes_mask(routes, &id, 1);
}

static void bits_survive_a_changed_configuration(void **state)
{
    char path[200];
    struct routes routes;
    struct error err = {0};
    const struct pipeline_route first[] = {{"traces/a", OTLP_TRACES, 1},
                                           {"traces/b", OTLP_TRACES, 2}};
    const struct pipeline_route later[] = {{"traces/new", OTLP_TRACES, 1},
                                           {"traces/b", OTLP_TRACES, 3}};
    (void)snprintf(path, sizeof(path), "%s/routes", (char *)*state);

    assert_true(routes_open(&routes, path, &fs_posix, first, 2, &err));
    assert_int_equal(mask_of(&routes, "traces/a"), 1);
    assert_int_equal(mask_of(&routes, "traces/b"), 2);
    assert_int_equal(routes.by_receiver[0][OTLP_TRACES], 1);
    assert_int_equal(routes.by_receiver[1][OTLP_TRACES], 2);
    assert_int_equal(routes.by_receiver[0][OTLP_LOGS], 0);
    routes_deinit(&routes);

    assert_true(routes_open(&routes, path, &fs_posix, later, 2, &err));
    assert_int_equal(mask_of(&routes, "traces/b"), 2);
    assert_int_equal(mask_of(&routes, "traces/new"), 4);
    assert_int_equal(routes.by_receiver[0][OTLP_TRACES], 2 | 4);
    assert_int_equal(mask_of(&routes, "traces/unknown"), 0);
    routes_deinit(&routes);
}

static void the_thirty_third_pipeline_is_refused(void **state)
{
    (void)state;
    struct routes routes;
    struct error err = {0};
    char ids[ROUTES_MAX + 1][16];
    struct pipeline_route list[ROUTES_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(list); i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "traces/%zu", i);
        list[i] = (struct pipeline_route){ids[i], OTLP_TRACES, 1};
    }
    assert_true(routes_open(&routes, NULL, &fs_posix, list, ROUTES_MAX, &err));
    assert_int_equal(routes.by_receiver[0][OTLP_TRACES], UINT32_MAX);
    routes_deinit(&routes);
    assert_false(routes_open(&routes, NULL, &fs_posix, list, ROUTES_MAX + 1, &err));
    assert_int_equal(err.code, ERR_LIMIT);
}

/* The file after two pipelines got their bits, the second one first in the configuration of now. */
static const struct pipeline_route before[] = {{"traces/a", OTLP_TRACES, 1},
                                               {"traces/b", OTLP_TRACES, 1}};
static const struct pipeline_route after[] = {{"traces/b", OTLP_TRACES, 1},
                                              {"traces/a", OTLP_TRACES, 1}};

static size_t write_routes(const char *path, char *out, size_t cap)
{
    struct routes routes;
    struct error err = {0};
    char *text = NULL;
    size_t len = 0;
    (void)unlink(path);
    assert_true(routes_open(&routes, path, &fs_posix, before, 2, &err));
    routes_deinit(&routes);
    assert_true(fs_read_file(&fs_posix, path, cap, &text, &len, &err));
    memcpy(out, text, len);
    free(text);
    return len;
}

static void a_single_damaged_byte_changes_no_bit(void **state)
{
    char path[PATH_MAX];
    char whole[1024];
    (void)snprintf(path, sizeof(path), "%s/routes", (char *)*state);
    size_t len = write_routes(path, whole, sizeof(whole));
    for (size_t at = 0; at < len * 8; at++) {
        struct routes routes;
        struct error err = {0};
        whole[at / 8] = (char)(whole[at / 8] ^ 1 << at % 8);
        assert_true(
            fs_replace_file(&fs_posix, path, (struct slice){(const uint8_t *)whole, len}, &err));
        assert_true(routes_open(&routes, path, &fs_posix, after, 2, &err));
        assert_int_equal(mask_of(&routes, "traces/a"), 1);
        assert_int_equal(mask_of(&routes, "traces/b"), 2);
        routes_deinit(&routes);
        whole[at / 8] = (char)(whole[at / 8] ^ 1 << at % 8);
    }
}

static void a_file_cut_anywhere_still_opens_with_the_pipelines_of_the_configuration(void **state)
{
    char path[PATH_MAX];
    char whole[1024];
    (void)snprintf(path, sizeof(path), "%s/routes", (char *)*state);
    size_t len = write_routes(path, whole, sizeof(whole));
    for (size_t cut = 0; cut < len; cut++) {
        struct error err = {0};
        assert_true(
            fs_replace_file(&fs_posix, path, (struct slice){(const uint8_t *)whole, cut}, &err));
        for (int start = 0; start < 2; start++) { /* the file is whole again after the first */
            struct routes routes;
            assert_true(routes_open(&routes, path, &fs_posix, before, 2, &err));
            assert_int_equal(mask_of(&routes, "traces/a"), 1);
            assert_int_equal(mask_of(&routes, "traces/b"), 2);
            assert_int_equal(routes.count, 2);
            routes_deinit(&routes);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        temp_folder_test(bits_survive_a_changed_configuration),
        cmocka_unit_test(the_thirty_third_pipeline_is_refused),
        temp_folder_test(a_single_damaged_byte_changes_no_bit),
        temp_folder_test(a_file_cut_anywhere_still_opens_with_the_pipelines_of_the_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
