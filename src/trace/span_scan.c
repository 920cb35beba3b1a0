/*
 * span_scan.c - see span_scan.h.
 *
 * This runs several times for every span, so the common wire types are stepped over inline;
 * whatever is not common (groups, long varints, long tags) goes through pb_next().
 */
#include "span_scan.h"

#include <spangate/otlp/pb.h>

enum span_field_number {
    SPAN_SPAN_ID = 2,
    SPAN_PARENT_SPAN_ID = 4,
    SPAN_NAME = 5,
    SPAN_START_TIME = 7,
    SPAN_END_TIME = 8,
};

/* A varint of up to five bytes. NULL: longer or cut off. */
static inline const uint8_t *take_varint(const uint8_t *at, const uint8_t *end, uint64_t *out)
{
    uint64_t value = 0;

    if (at < end && *at < 0x80) {
        *out = *at;
        return at + 1;
    }

    for (unsigned shift = 0; shift < 35 && at < end; shift += 7) {
        uint8_t byte = *at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return at;
        }
    }
    return NULL;
}

static uint64_t little_endian(const uint8_t *at)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

static void take_id(struct slice bytes, struct span_id *out)
{
    *out = (struct span_id){{0}};
    if (bytes.len == sizeof(out->bytes)) {
        memcpy(out->bytes, bytes.data, sizeof(out->bytes));
    }
}

static void take_bytes(uint64_t number, struct slice bytes, struct span_fields *out)
{
    switch (number) {
    case SPAN_SPAN_ID:
        take_id(bytes, &out->span_id);
        break;
    case SPAN_PARENT_SPAN_ID:
        take_id(bytes, &out->parent_id);
        break;
    case SPAN_NAME:
        out->name = bytes;
        break;
    default:
        break;
    }
}

static void take_fixed64(uint64_t number, uint64_t value, struct span_fields *out)
{
    if (number == SPAN_START_TIME) {
        out->start_ns = value;
    } else if (number == SPAN_END_TIME) {
        out->end_ns = value;
    }
}

/* One field the careful way. NULL: the message ends or is malformed here. */
static const uint8_t *take_uncommon(const uint8_t *at, const uint8_t *end, struct span_fields *out)
{
    struct pb_reader reader = pb_over((struct slice){at, (size_t)(end - at)});
    struct pb_field field;
    struct error ignored;

    if (pb_next(&reader, &field, &ignored) != PB_FIELD) {
        return NULL;
    }
    if (field.wire == PB_BYTES) {
        take_bytes(field.number, field.bytes, out);
    } else if (field.wire == PB_FIXED64) {
        take_fixed64(field.number, field.value, out);
    }
    return reader.at;
}

/* The field at `at`, whose tag was read up to `value`. NULL when it is not a common one. */
static inline const uint8_t *take_common(uint64_t tag, const uint8_t *value, const uint8_t *end,
                                         struct span_fields *out)
{
    uint64_t number;

    switch (tag & 7) {
    case PB_BYTES:
        value = take_varint(value, end, &number);
        if (value == NULL || number > (uint64_t)(end - value)) {
            return NULL;
        }
        take_bytes(tag >> 3, (struct slice){value, (size_t)number}, out);
        return value + number;
    case PB_FIXED64:
        if (end - value < 8) {
            return NULL;
        }
        take_fixed64(tag >> 3, little_endian(value), out);
        return value + 8;
    case PB_VARINT:
        return take_varint(value, end, &number);
    case PB_FIXED32:
        return end - value < 4 ? NULL : value + 4;
    default:
        return NULL;
    }
}

static inline void scan(struct slice raw, uint64_t last_number, struct span_fields *out)
{
    const uint8_t *at = raw.data;
    const uint8_t *end = raw.data + raw.len;

    *out = (struct span_fields){0};
    while (at != NULL && at < end) {
        uint64_t tag;
        const uint8_t *next = take_varint(at, end, &tag);
        if (next != NULL && tag >> 3 > last_number) {
            return;
        }
        next = next != NULL ? take_common(tag, next, end, out) : NULL;
        at = next != NULL ? next : take_uncommon(at, end, out);
    }
}

void span_scan(struct slice raw, struct span_fields *out)
{
    scan(raw, UINT64_MAX, out);
}

void span_scan_front(struct slice raw, struct span_fields *out)
{
    scan(raw, SPAN_END_TIME, out);
}
