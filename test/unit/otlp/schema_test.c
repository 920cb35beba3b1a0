/*
 * schema_test.c - the promises that the table makes to its two readers.
 */

#include "schema.h"
#include "unit.h"

#include <spangate/base/compiler.h>
#include <spangate/otlp/pb.h>

static void rows_stand_at_their_numbers(void **state)
{
    (void)state;
    for (size_t m = 0; m < SCHEMA_MESSAGES; m++) {
        const struct schema_message *message = &schema_messages[m];
        assert_non_null(message->name);
        assert_in_range(message->field_count, 1, SCHEMA_NUMBERS);
        assert_in_range(message->length_bytes, 1, 5);
        for (size_t i = 0; i < message->field_count; i++) {
            const struct schema_field *field = &message->fields[i];
            if (field->name == NULL) {
                assert_int_equal(field->key_len, 0);
                continue;
            }
            bool retired = (field->flags & SCHEMA_RETIRED) != 0;
            assert_int_equal(i == 0, retired);
            assert_int_equal(field->number, retired ? 1000 : i);
            assert_ptr_equal(schema_field(message, field->number), field);
        }
        assert_null(schema_field(message, 999));
        assert_null(schema_field(message, 1U << 28));
    }
}

static void rows_are_consistent(void **state)
{
    (void)state;
    for (size_t m = 0; m < SCHEMA_MESSAGES; m++) {
        const struct schema_message *message = &schema_messages[m];
        for (size_t i = 0; i < message->field_count; i++) {
            const struct schema_field *field = &message->fields[i];
            if (field->name == NULL) {
                continue;
            }
            bool repeated = (field->flags & SCHEMA_REPEATED) != 0;
            assert_int_equal(field->name_len, strlen(field->name));
            assert_int_equal(field->key_len, strlen(field->key));
            assert_in_range(field->key_len, 4, 32);
            assert_true(field->type < SCHEMA_TYPES);
            assert_true(field->type != SCHEMA_MESSAGE || field->of < SCHEMA_MESSAGES);
            assert_true(field->type != SCHEMA_ENUM || field->of < SCHEMA_ENUMS);
            assert_false(repeated && (field->flags & (SCHEMA_OPTIONAL | SCHEMA_ONEOF)) != 0);
            /* What arrays are read for. */
            if (repeated && schema_wires[field->type] == PB_BYTES) {
                assert_true(field->type == SCHEMA_MESSAGE || field->type == SCHEMA_STRING);
            }
            if ((field->flags & SCHEMA_OR_DOUBLE) != 0) {
                assert_int_equal(field->type, SCHEMA_INT64);
                assert_int_equal(field[1].type, SCHEMA_DOUBLE);
                assert_int_equal(field[1].number, field->number + 1);
            }
            if ((field->flags & SCHEMA_RETIRED) != 0) {
                assert_true(repeated && field->type == SCHEMA_MESSAGE);
                assert_int_equal(message->fields[2].type, SCHEMA_MESSAGE);
            }
        }
        if (message->always != 0) {
            const struct schema_field *always = schema_field(message, message->always);
            assert_non_null(always);
            assert_int_equal(always->type, SCHEMA_MESSAGE);
        }
    }
}

static void fields_are_found_by_either_name(void **state)
{
    (void)state;
    for (size_t m = 0; m < SCHEMA_MESSAGES; m++) {
        const struct schema_message *message = &schema_messages[m];
        for (size_t i = 0; i < message->field_count; i++) {
            const struct schema_field *field = &message->fields[i];
            if (field->name != NULL) {
                struct slice camel = {(const uint8_t *)field->key + 1, field->key_len - 3U};
                assert_ptr_equal(schema_field_named(message, camel), field);
                assert_ptr_equal(schema_field_named(message, slice_of(field->name)), field);
            }
        }
        assert_null(schema_field_named(message, slice_of("")));
        assert_null(schema_field_named(message, slice_of("noSuchName")));
    }
}

static void enum_values_are_found_with_and_without_prefix(void **state)
{
    (void)state;
    for (size_t e = 0; e < SCHEMA_ENUMS; e++) {
        const struct schema_enum *type = &schema_enums[e];
        for (size_t i = 0; i < type->value_count; i++) {
            const char *name = type->values[i].name;
            int32_t number = -1;
            assert_memory_equal(name, type->prefix, strlen(type->prefix));
            assert_true(schema_enum_named(type, slice_of(name), &number));
            assert_int_equal(number, type->values[i].number);
            assert_true(schema_enum_named(type, slice_of(name + strlen(type->prefix)), &number));
            assert_int_equal(number, type->values[i].number);
        }
        int32_t number = 7;
        assert_false(schema_enum_named(type, slice_of(""), &number));
        assert_false(schema_enum_named(type, slice_of(type->prefix), &number));
        assert_int_equal(number, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_stand_at_their_numbers),
        cmocka_unit_test(rows_are_consistent),
        cmocka_unit_test(fields_are_found_by_either_name),
        cmocka_unit_test(enum_values_are_found_with_and_without_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
