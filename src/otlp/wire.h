/*
 * wire.h - the inner loop of reading protobuf wire format: inline, no errors, no copies.
 *
 * Every function takes where to read and where the message ends, and returns where it stopped, or
 * NULL when the bytes are malformed; wire_fault() then says in words what is wrong with the field.
 * pb.h is the same for callers who want errors.
 */
#ifndef SPANGATE_SRC_OTLP_WIRE_H
#define SPANGATE_SRC_OTLP_WIRE_H

#include <endian.h>
#include <spangate/otlp/pb.h>

enum {
    WIRE_GROUP = 3, /* beside enum pb_wire: only ever skipped */
    WIRE_GROUP_END = 4,
    WIRE_GROUP_DEPTH_MAX = 100,
};

#define WIRE_TAG(number, wire) ((uint32_t)(number) << 3 | (uint32_t)(wire))

/* Two bytes and more, or none at all. */
const uint8_t *wire_long_varint(const uint8_t *at, const uint8_t *end, uint64_t *value);

/* The value of any field, after its tag. */
const uint8_t *wire_skip(const uint8_t *at, const uint8_t *end, uint32_t number, unsigned wire);

/* What is wrong with the field that begins at `at`. */
const char *wire_fault(const uint8_t *at, const uint8_t *end);

static inline const uint8_t *wire_varint(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    if (at < end && *at < 0x80) {
        *value = *at;
        return at + 1;
    }
    return wire_long_varint(at, end, value);
}

static inline const uint8_t *wire_bytes(const uint8_t *at, const uint8_t *end, struct slice *out)
{
    uint64_t len;

    at = wire_varint(at, end, &len);
    if (at == NULL || len > (uint64_t)(end - at)) {
        return NULL;
    }
    *out = (struct slice){.data = at, .len = (size_t)len};
    return at + len;
}

static inline uint64_t wire_load64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

static inline const uint8_t *wire_fixed64(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    if (end - at < 8) {
        return NULL;
    }
    *value = wire_load64(at);
    return at + 8;
}

static inline const uint8_t *wire_fixed32(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    uint32_t word;

    if (end - at < 4) {
        return NULL;
    }
    memcpy(&word, at, sizeof(word));
    *value = le32toh(word);
    return at + 4;
}

/* A tag: the number is checked, the wire type is not. */
static inline const uint8_t *wire_tag(const uint8_t *at, const uint8_t *end, uint32_t *tag)
{
    uint64_t value;

    at = wire_varint(at, end, &value);
    if (at == NULL || value > UINT32_MAX || value < WIRE_TAG(1, 0)) {
        return NULL;
    }
    *tag = (uint32_t)value;
    return at;
}

/* The field at `at`. A group comes as one field with wire WIRE_GROUP and only `whole` set. */
static inline const uint8_t *wire_field(const uint8_t *at, const uint8_t *end,
                                        struct pb_field *field)
{
    const uint8_t *begin = at;
    uint32_t tag;

    at = wire_tag(at, end, &tag);
    if (at == NULL) {
        return NULL;
    }
    field->number = tag >> 3;
    field->wire = (enum pb_wire)(tag & 7);
    field->value = 0;
    field->bytes = (struct slice){0};
    switch (tag & 7) {
    case PB_VARINT:
        at = wire_varint(at, end, &field->value);
        break;
    case PB_FIXED64:
        at = wire_fixed64(at, end, &field->value);
        break;
    case PB_BYTES:
        at = wire_bytes(at, end, &field->bytes);
        break;
    case PB_FIXED32:
        at = wire_fixed32(at, end, &field->value);
        break;
    default:
        at = wire_skip(at, end, field->number, tag & 7);
        break;
    }
    if (at == NULL) {
        return NULL;
    }
    field->whole = (struct slice){.data = begin, .len = (size_t)(at - begin)};
    return at;
}

/* pb_next() for bytes that are known to be well-formed: false at the end, or at what is not. */
static inline bool wire_next(struct pb_reader *reader, struct pb_field *field)
{
    while (reader->at < reader->end) {
        const uint8_t *after = wire_field(reader->at, reader->end, field);
        if (after == NULL) {
            return false;
        }
        reader->at = after;
        if ((unsigned)field->wire != WIRE_GROUP) {
            return true;
        }
    }
    return false;
}

#endif
