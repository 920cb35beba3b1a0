/*
 * schema_dump.c - print the schema table of the JSON transcoder, one line a thing, so that
 * test/interop/proto_numbers_test.py can compare it with the published descriptors.
 *
 *   message <name>
 *   field <number> <name> <JSON name> <type> <singular|presence|oneof|repeated|retired> <of or ->
 *   enum <name>
 *   value <number> <name>
 *
 * Types and names are as in .proto files, without "opentelemetry.proto.".
 */
#include "schema.h"

#include <stdio.h>

static const char *type_name(uint8_t type)
{
    static const char *const names[SCHEMA_TYPES] = {
        [SCHEMA_STRING] = "string",   [SCHEMA_BYTES] = "bytes",       [SCHEMA_TRACE_ID] = "bytes",
        [SCHEMA_SPAN_ID] = "bytes",   [SCHEMA_BOOL] = "bool",         [SCHEMA_ENUM] = "enum",
        [SCHEMA_INT32] = "int32",     [SCHEMA_SINT32] = "sint32",     [SCHEMA_UINT32] = "uint32",
        [SCHEMA_FIXED32] = "fixed32", [SCHEMA_INT64] = "int64",       [SCHEMA_UINT64] = "uint64",
        [SCHEMA_FIXED64] = "fixed64", [SCHEMA_SFIXED64] = "sfixed64", [SCHEMA_DOUBLE] = "double",
        [SCHEMA_MESSAGE] = "message",
    };

    return names[type];
}

static const char *label_name(uint8_t flags)
{
    if ((flags & SCHEMA_RETIRED) != 0) {
        return "retired";
    }
    if ((flags & SCHEMA_REPEATED) != 0) {
        return "repeated";
    }
    if ((flags & SCHEMA_ONEOF) != 0) {
        return "oneof";
    }
    return (flags & SCHEMA_OPTIONAL) != 0 ? "presence" : "singular";
}

static void dump_message(const struct schema_message *message)
{
    printf("message %s\n", message->name);
    for (size_t i = 0; i < message->field_count; i++) {
        const struct schema_field *field = &message->fields[i];
        const char *of = "-";
        if (field->name == NULL) {
            continue;
        }
        if (field->type == SCHEMA_MESSAGE) {
            of = schema_messages[field->of].name;
        } else if (field->type == SCHEMA_ENUM) {
            of = schema_enums[field->of].name;
        }
        printf("field %u %s %.*s %s %s %s\n", (unsigned)field->number, field->name,
               field->key_len - 3, field->key + 1, type_name(field->type), label_name(field->flags),
               of);
    }
}

int main(void)
{
    for (size_t i = 0; i < SCHEMA_MESSAGES; i++) {
        dump_message(&schema_messages[i]);
    }
    for (size_t i = 0; i < SCHEMA_ENUMS; i++) {
        printf("enum %s\n", schema_enums[i].name);
        for (size_t k = 0; k < schema_enums[i].value_count; k++) {
            printf("value %d %s\n", (int)schema_enums[i].values[k].number,
                   schema_enums[i].values[k].name);
        }
    }
    return 0;
}
