/*
 * schema.h - the OTLP messages as one table: what the JSON reader and the JSON writer know.
 *
 * A message is an array of rows indexed by field number, so finding a row by number is one look,
 * and a bit mask of numbers says which fields were seen. Row 0, which no field can have, holds the
 * retired field 1000 of the resource envelopes. To add an OTLP field, add its row in schema.c.
 */
#ifndef SPANGATE_OTLP_SCHEMA_H
#define SPANGATE_OTLP_SCHEMA_H

#include <spangate/base/slice.h>
#include <spangate/otlp/span.h>

enum schema_type {
    SCHEMA_STRING,
    SCHEMA_BYTES,    /* base64 in JSON */
    SCHEMA_TRACE_ID, /* bytes, hex in JSON */
    SCHEMA_SPAN_ID,  /* bytes, hex in JSON */
    SCHEMA_BOOL,
    SCHEMA_ENUM,
    SCHEMA_INT32,
    SCHEMA_SINT32,
    SCHEMA_UINT32,
    SCHEMA_FIXED32,
    SCHEMA_INT64, /* from here to SFIXED64: decimal strings in JSON */
    SCHEMA_UINT64,
    SCHEMA_FIXED64,
    SCHEMA_SFIXED64,
    SCHEMA_DOUBLE,
    SCHEMA_MESSAGE,
    SCHEMA_TYPES,
};

enum schema_flag {
    SCHEMA_REPEATED = 1,   /* numbers are packed */
    SCHEMA_OPTIONAL = 2,   /* a zero is not the same as absent */
    SCHEMA_ONEOF = 4,      /* likewise; a message has at most one oneof */
    SCHEMA_IGNORED = 8,    /* read over in both directions: means something in profiles only */
    SCHEMA_OR_DOUBLE = 16, /* a number that is no int64 becomes the double of the next row */
    SCHEMA_RETIRED = 32,   /* field 1000: written to JSON as field 2 where there is no field 2 */
};

enum { SCHEMA_NUMBERS = 17, SCHEMA_KEY_MAX = 40 };

enum schema_message_id {
    MESSAGE_TRACES, /* in the order of enum otlp_signal */
    MESSAGE_METRICS,
    MESSAGE_LOGS,
    MESSAGE_ANY_VALUE,
    MESSAGE_ARRAY_VALUE,
    MESSAGE_KEY_VALUE_LIST,
    MESSAGE_KEY_VALUE,
    MESSAGE_SCOPE,
    MESSAGE_ENTITY_REF,
    MESSAGE_RESOURCE,
    MESSAGE_RESOURCE_SPANS,
    MESSAGE_SCOPE_SPANS,
    MESSAGE_LIBRARY_SPANS,
    MESSAGE_SPAN,
    MESSAGE_EVENT,
    MESSAGE_LINK,
    MESSAGE_STATUS,
    MESSAGE_RESOURCE_METRICS,
    MESSAGE_SCOPE_METRICS,
    MESSAGE_LIBRARY_METRICS,
    MESSAGE_METRIC,
    MESSAGE_GAUGE,
    MESSAGE_SUM,
    MESSAGE_HISTOGRAM,
    MESSAGE_EXPONENTIAL_HISTOGRAM,
    MESSAGE_SUMMARY,
    MESSAGE_NUMBER_POINT,
    MESSAGE_HISTOGRAM_POINT,
    MESSAGE_EXPONENTIAL_POINT,
    MESSAGE_BUCKETS,
    MESSAGE_SUMMARY_POINT,
    MESSAGE_QUANTILE,
    MESSAGE_EXEMPLAR,
    MESSAGE_RESOURCE_LOGS,
    MESSAGE_SCOPE_LOGS,
    MESSAGE_LIBRARY_LOGS,
    MESSAGE_LOG_RECORD,
    SCHEMA_MESSAGES,
};

enum schema_enum_id {
    ENUM_SPAN_KIND,
    ENUM_STATUS_CODE,
    ENUM_AGGREGATION_TEMPORALITY,
    ENUM_SEVERITY_NUMBER,
    SCHEMA_ENUMS,
};

struct schema_field {
    const char *name;         /* as in the .proto file; NULL: no such field */
    char key[SCHEMA_KEY_MAX]; /* the JSON name as it stands in text: "traceId": */
    uint8_t name_len;
    uint8_t key_len;
    uint16_t number;
    uint8_t type;  /* enum schema_type */
    uint8_t flags; /* enum schema_flag */
    uint8_t of;    /* SCHEMA_MESSAGE: enum schema_message_id, SCHEMA_ENUM: enum schema_enum_id */
};

struct schema_message {
    const char *name; /* without "opentelemetry.proto." */
    const struct schema_field *fields;
    uint8_t field_count;
    uint8_t length_bytes; /* what its protobuf length usually takes: kept free when writing */
    uint8_t always;       /* the number of a message that JSON gets as {} when absent, or 0 */
};

struct schema_value {
    const char *name;
    int32_t number;
};

struct schema_enum {
    const char *name;
    const char *prefix; /* what every name begins with */
    const struct schema_value *values;
    uint8_t value_count;
};

extern const uint8_t schema_wires[SCHEMA_TYPES]; /* enum pb_wire of one value of the type */
extern const struct schema_message schema_messages[SCHEMA_MESSAGES];
extern const struct schema_enum schema_enums[SCHEMA_ENUMS];

/* The row of a field number, NULL for a number that the table does not know. */
static inline const struct schema_field *schema_field(const struct schema_message *message,
                                                      uint32_t number)
{
    const struct schema_field *field = &message->fields[number < message->field_count ? number : 0];
    return field->name != NULL && field->number == number ? field : NULL;
}

/* The row of a JSON name, camelCase or as in the .proto file. NULL: unknown. */
const struct schema_field *schema_field_named(const struct schema_message *message,
                                              struct slice name);

/* An enum value by name, in any case, with or without the prefix. */
bool schema_enum_named(const struct schema_enum *type, struct slice name, int32_t *number);

/* The bit of a row in a mask of seen fields. */
static inline uint32_t schema_bit(const struct schema_field *field)
{
    return 1U << (field->flags & SCHEMA_RETIRED ? 0 : field->number);
}

#endif
