/*
 * containers_test.c - strbuf, arena, map.
 */
#include "unit.h"

#include <spangate/base/arena.h>
#include <spangate/base/map.h>
#include <spangate/base/random.h>
#include <spangate/base/strbuf.h>

static void strbuf_stops_at_its_limit_and_says_so(void **state)
{
    (void)state;
    struct strbuf sb;
    strbuf_init(&sb, 10);
    strbuf_append_text(&sb, "12345678");
    strbuf_printf(&sb, "%d", 9);
    assert_false(sb.overflow);
    strbuf_append_text(&sb, "ab");
    assert_true(sb.overflow);
    strbuf_putc(&sb, 'x');
    assert_string_equal(sb.data, "123456789");
    strbuf_clear(&sb);
    assert_false(sb.overflow);
    strbuf_append_text(&sb, "0123456789");
    assert_false(sb.overflow);
    char *text = strbuf_take(&sb);
    assert_string_equal(text, "0123456789");
    assert_int_equal(sb.len, 0);
    free(text);
}

static void arena_memory_is_aligned_and_reset_keeps_the_largest_block(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 1; i < 3000; i++) {
        uint8_t *memory = arena_alloc(&arena, i);
        assert_int_equal((uintptr_t)memory % 16, 0);
        memset(memory, (int)i, i);
    }
    struct slice copy = arena_copy(&arena, BYTES("kept"));
    assert_true(slice_equal_text(copy, "kept"));
    size_t before = arena.reserved;
    arena_reset(&arena);
    assert_true(arena.reserved < before);
    assert_true(arena.reserved > 0);
    size_t kept = arena.reserved;
    (void)arena_alloc(&arena, kept / 2);
    assert_int_equal(arena.reserved, kept);
    arena_deinit(&arena);
}

/* The map against an array that is obviously right. */
static void map_agrees_with_an_array_over_random_changes(void **state)
{
    (void)state;
    enum { KEYS = 200, STEPS = 20000 };
    static char keys[KEYS][8];
    static int values[KEYS];
    bool present[KEYS] = {false};
    uint64_t seed = 42;
    size_t count = 0;
    struct map map;
    map_init(&map);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "k%d", i);
    }
    for (int step = 0; step < STEPS; step++) {
        size_t k = random_next(&seed) % KEYS;
        if (random_next(&seed) % 2 == 0) {
            map_put(&map, slice_of(keys[k]), &values[k]);
            count += !present[k];
            present[k] = true;
        } else {
            assert_ptr_equal(map_remove(&map, slice_of(keys[k])), present[k] ? &values[k] : NULL);
            count -= present[k];
            present[k] = false;
        }
        assert_int_equal(map.count, count);
    }
    for (size_t k = 0; k < KEYS; k++) {
        assert_ptr_equal(map_get(&map, slice_of(keys[k])), present[k] ? &values[k] : NULL);
    }
    size_t seen = 0;
    for (size_t at = 0; map_next(&map, &at) != NULL;) {
        seen++;
    }
    assert_int_equal(seen, count);
    map_deinit(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strbuf_stops_at_its_limit_and_says_so),
        cmocka_unit_test(arena_memory_is_aligned_and_reset_keeps_the_largest_block),
        cmocka_unit_test(map_agrees_with_an_array_over_random_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
