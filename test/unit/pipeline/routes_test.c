/*
 * routes_test.c - the bit of a pipeline never changes, whatever the configuration becomes.
 */
#include "temp_folder.h"

#include "routes.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        temp_folder_test(bits_survive_a_changed_configuration),
        cmocka_unit_test(the_thirty_third_pipeline_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
