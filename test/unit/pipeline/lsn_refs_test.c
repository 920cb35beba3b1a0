/*
 * lsn_refs_test.c - a record is free exactly when its last span is stored.
 */
#include "unit.h"

#include "lsn_refs.h"

#include <spangate/base/random.h>

static void a_record_is_free_with_its_last_span(void **state)
{
    (void)state;
    struct lsn_refs refs;
    lsn_refs_init(&refs);
    lsn_refs_set(&refs, 10, 2);
    lsn_refs_set(&refs, 12, 1); /* 11 was void */

    uint64_t first[] = {12, 10};
    assert_int_equal(lsn_refs_drop(&refs, first, 2), 1);
    assert_int_equal(first[0], 12);
    uint64_t second[] = {10};
    assert_int_equal(lsn_refs_drop(&refs, second, 1), 1);
    assert_int_equal(second[0], 10);

    lsn_refs_set(&refs, 13, 1); /* after everything was free */
    uint64_t third[] = {13};
    assert_int_equal(lsn_refs_drop(&refs, third, 1), 1);
    lsn_refs_deinit(&refs);
}

/* Spans of many records leave in random order; each record must be reported once, at its last. */
static void every_record_is_reported_once_in_any_order(void **state)
{
    (void)state;
    enum { RECORDS = 3000 };
    static uint32_t left[RECORDS + 1];
    static uint64_t spans[RECORDS * 4];
    uint64_t seed = 7;
    size_t count = 0;
    size_t reported = 0;
    struct lsn_refs refs;
    lsn_refs_init(&refs);
    for (uint64_t lsn = 1; lsn <= RECORDS; lsn++) {
        left[lsn] = (uint32_t)(random_next(&seed) % 4) + 1;
        lsn_refs_set(&refs, lsn, left[lsn]);
        for (uint32_t i = 0; i < left[lsn]; i++) {
            spans[count++] = lsn;
        }
    }
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = random_next(&seed) % (i + 1);
        uint64_t swap = spans[i];
        spans[i] = spans[j];
        spans[j] = swap;
    }
    for (size_t at = 0; at < count;) {
        uint64_t batch[50];
        size_t n = count - at < 50 ? count - at : 50;
        memcpy(batch, spans + at, n * sizeof(*batch));
        for (size_t i = 0; i < n; i++) {
            left[spans[at + i]]--;
        }
        size_t done = lsn_refs_drop(&refs, batch, n);
        for (size_t i = 0; i < done; i++) {
            assert_int_equal(left[batch[i]], 0);
        }
        reported += done;
        at += n;
    }
    assert_int_equal(reported, RECORDS);
    assert_int_equal(refs.len, 0);
    lsn_refs_deinit(&refs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_free_with_its_last_span),
        cmocka_unit_test(every_record_is_reported_once_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
