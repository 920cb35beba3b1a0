/*
 * hash_test.c - checksums that go to disk must never change.
 */
#include "unit.h"

#include <spangate/base/hash.h>
#include <spangate/base/random.h>

static void crc32c_gives_the_values_of_rfc_3720(void **state)
{
    (void)state;
    uint8_t data[32] = {0};
    assert_int_equal(crc32c(0, data, 32), 0x8a9136aa);
    memset(data, 0xff, 32);
    assert_int_equal(crc32c(0, data, 32), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++) {
        data[i] = i;
    }
    assert_int_equal(crc32c(0, data, 32), 0x46dd794e);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
}

static void crc32c_in_pieces_is_the_same_as_in_one(void **state)
{
    (void)state;
    const char *text = "a text that is cut at every place";
    size_t len = strlen(text);
    uint32_t whole = crc32c(0, text, len);
    for (size_t cut = 0; cut <= len; cut++) {
        assert_int_equal(crc32c(crc32c(0, text, cut), text + cut, len - cut), whole);
    }
}

/* Long inputs are summed in three lanes: the sum must be that of the definition, bit by bit. */
static void long_inputs_sum_as_the_definition_says(void **state)
{
    (void)state;
    static uint8_t data[10000];
    uint64_t seed = 3;
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)random_next(&seed);
    }
    uint32_t slow = UINT32_MAX;
    for (size_t len = 0; len <= sizeof(data); len++) {
        if (len % 97 == 0 || (len >= 3070 && len <= 3080)) {
            assert_int_equal(crc32c(0, data, len), ~slow);
        }
        if (len < sizeof(data)) {
            slow ^= data[len];
            for (int bit = 0; bit < 8; bit++) {
                slow = (slow >> 1) ^ ((slow & 1) != 0 ? UINT32_C(0x82f63b78) : 0);
            }
        }
    }
}

static void the_stable_hash_is_stable_and_the_seeded_one_is_not_it(void **state)
{
    (void)state;
    assert_int_equal(hash_stable("spangate", 8), hash_stable("spangate", 8));
    assert_int_equal(hash_stable("", 0), UINT64_C(0x2d06800538d394c2));
    assert_int_equal(hash_bytes("spangate", 8), hash_bytes("spangate", 8));
    assert_int_not_equal(hash_bytes("spangate", 8), hash_stable("spangate", 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_gives_the_values_of_rfc_3720),
        cmocka_unit_test(crc32c_in_pieces_is_the_same_as_in_one),
        cmocka_unit_test(long_inputs_sum_as_the_definition_says),
        cmocka_unit_test(the_stable_hash_is_stable_and_the_seeded_one_is_not_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
