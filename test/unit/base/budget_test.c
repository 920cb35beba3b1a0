/*
 * budget_test.c - counting bytes before they are allocated, and bufs that are charged.
 */
#include "unit.h"

#include <spangate/base/buf.h>

static void a_charge_over_the_limit_takes_nothing(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, 100, NULL);
    assert_true(budget_try_charge(&budget, 60));
    assert_false(budget_try_charge(&budget, 41));
    assert_false(budget_try_charge(&budget, SIZE_MAX));
    assert_int_equal(budget_used(&budget), 60);
    assert_int_equal(budget_level(&budget), 600);
    assert_true(budget_try_charge(&budget, 40));
    budget_release(&budget, 100);
    assert_int_equal(budget_used(&budget), 0);
    assert_int_equal(atomic_load(&budget.peak), 100);
}

static void a_parent_without_room_refuses_for_its_child(void **state)
{
    (void)state;
    struct budget parent;
    struct budget child;
    budget_init(&parent, 50, NULL);
    budget_init(&child, 100, &parent);
    assert_true(budget_try_charge(&child, 30));
    assert_false(budget_try_charge(&child, 30));
    assert_int_equal(budget_used(&child), 30);
    assert_int_equal(budget_used(&parent), 30);
    budget_charge(&child, 40);
    assert_int_equal(budget_level(&child), 1400);
    budget_release(&child, 70);
    assert_int_equal(budget_used(&parent), 0);
}

static void a_buf_is_charged_until_its_last_reference(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, 1000, NULL);
    struct buf *buf = buf_new(600, &budget);
    assert_non_null(buf);
    assert_null(buf_new(600, &budget));
    assert_false(buf_reserve(buf, 1001));
    assert_true(buf_reserve(buf, 1000));
    struct buf *again = buf_ref(buf);
    buf_unref(buf);
    assert_int_equal(budget_used(&budget), 1000);
    buf_unref(again);
    assert_int_equal(budget_used(&budget), 0);
    struct buf *copy = buf_copy(BYTES("four"), &budget);
    assert_true(slice_equal_text(buf_slice(copy), "four"));
    buf_unref(copy);
    buf_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_charge_over_the_limit_takes_nothing),
        cmocka_unit_test(a_parent_without_room_refuses_for_its_child),
        cmocka_unit_test(a_buf_is_charged_until_its_last_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
