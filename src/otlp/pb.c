/*
 * pb.c - reading and writing protobuf wire format (pb.h, wire.h).
 *
 * What counts as malformed: a varint of more than ten bytes or 64 bits, field number 0 or beyond
 * 2^29-1, a length that runs past its message, wire types 6 and 7, a group that does not end.
 * Lengths and tags longer than they need to be are legal.
 */

#include "wire.h"

#include <assert.h>

const uint8_t *wire_long_varint(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    uint64_t result = 0;

    for (unsigned shift = 0; shift < 70 && at < end; shift += 7) {
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1) {
            return NULL; /* more than 64 bits, or an eleventh byte to come */
        }
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return at;
        }
    }
    return NULL;
}

static const uint8_t *skip_scalar(const uint8_t *at, const uint8_t *end, unsigned wire)
{
    uint64_t value;
    struct slice bytes;

    switch (wire) {
    case PB_VARINT:
        return wire_varint(at, end, &value);
    case PB_FIXED64:
        return wire_fixed64(at, end, &value);
    case PB_BYTES:
        return wire_bytes(at, end, &bytes);
    case PB_FIXED32:
        return wire_fixed32(at, end, &value);
    default:
        return NULL;
    }
}

const uint8_t *wire_skip(const uint8_t *at, const uint8_t *end, uint32_t number, unsigned wire)
{
    uint32_t open[WIRE_GROUP_DEPTH_MAX];
    size_t depth = 0;

    if (wire != WIRE_GROUP) {
        return skip_scalar(at, end, wire);
    }
    open[depth++] = number;
    while (depth > 0) {
        uint32_t tag;
        at = wire_tag(at, end, &tag);
        if (at == NULL) {
            return NULL;
        }
        if ((tag & 7) == WIRE_GROUP) {
            if (depth == COUNT_OF(open)) {
                return NULL;
            }
            open[depth++] = tag >> 3;
        } else if ((tag & 7) == WIRE_GROUP_END) {
            if (open[--depth] != tag >> 3) {
                return NULL;
            }
        } else {
            at = skip_scalar(at, end, tag & 7);
            if (at == NULL) {
                return NULL;
            }
        }
    }
    return at;
}

const char *wire_fault(const uint8_t *at, const uint8_t *end)
{
    uint64_t value;
    const uint8_t *after = wire_varint(at, end, &value);

    if (after == NULL) {
        return "a tag that is cut off or too long";
    }
    if (value < WIRE_TAG(1, 0) || value > UINT32_MAX) {
        return "a field number out of range";
    }
    switch (value & 7) {
    case PB_VARINT:
        return "a number that is cut off or longer than 64 bits";
    case PB_BYTES:
        return "a length that runs past the end of the message";
    case PB_FIXED64:
    case PB_FIXED32:
        return "a fixed-size number that is cut off";
    case WIRE_GROUP:
        return "a group that does not end, or is nested too deep";
    case WIRE_GROUP_END:
        return "the end of a group that did not begin";
    default:
        return "an unknown wire type";
    }
}

struct pb_reader pb_over(struct slice message)
{
    const uint8_t *begin = message.data;

    return (struct pb_reader){
        .begin = begin, .at = begin, .end = begin == NULL ? NULL : begin + message.len};
}

enum pb_step pb_next(struct pb_reader *reader, struct pb_field *field, struct error *err)
{
    if (wire_next(reader, field)) {
        return PB_FIELD;
    }
    if (reader->at == reader->end) {
        return PB_END;
    }
    error_set(err, ERR_INVALID, "%s at byte %zu", wire_fault(reader->at, reader->end),
              (size_t)(reader->at - reader->begin));
    return PB_ERROR;
}

static size_t encode_varint(uint8_t *out, uint64_t value)
{
    size_t len = 0;

    while (value >= 0x80) {
        out[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[len++] = (uint8_t)value;
    return len;
}

void pb_put_varint(struct strbuf *out, uint64_t value)
{
    uint8_t bytes[10];

    strbuf_append(out, bytes, encode_varint(bytes, value));
}

void pb_put_tag(struct strbuf *out, uint32_t number, enum pb_wire wire)
{
    assert(number > 0 && number < 1U << 29);
    pb_put_varint(out, WIRE_TAG(number, wire));
}

void pb_put_uint(struct strbuf *out, uint32_t number, uint64_t value)
{
    uint8_t bytes[20];
    size_t len = encode_varint(bytes, WIRE_TAG(number, PB_VARINT));

    len += encode_varint(bytes + len, value);
    strbuf_append(out, bytes, len);
}

void pb_put_fixed64(struct strbuf *out, uint32_t number, uint64_t value)
{
    uint8_t bytes[20];
    size_t len = encode_varint(bytes, WIRE_TAG(number, PB_FIXED64));

    value = htole64(value);
    memcpy(bytes + len, &value, sizeof(value));
    strbuf_append(out, bytes, len + sizeof(value));
}

void pb_put_fixed32(struct strbuf *out, uint32_t number, uint32_t value)
{
    uint8_t bytes[20];
    size_t len = encode_varint(bytes, WIRE_TAG(number, PB_FIXED32));

    value = htole32(value);
    memcpy(bytes + len, &value, sizeof(value));
    strbuf_append(out, bytes, len + sizeof(value));
}

void pb_put_bytes(struct strbuf *out, uint32_t number, struct slice bytes)
{
    uint8_t head[20];
    size_t len = encode_varint(head, WIRE_TAG(number, PB_BYTES));

    len += encode_varint(head + len, bytes.len);
    if (strbuf_reserve(out, len + bytes.len)) {
        strbuf_append(out, head, len);
        strbuf_append(out, bytes.data, bytes.len);
    }
}

enum { LENGTH_BYTES = 5 }; /* of the length that pb_end() fills in: up to 32 GiB */

size_t pb_begin(struct strbuf *out, uint32_t number)
{
    static const uint8_t room[LENGTH_BYTES];

    pb_put_tag(out, number, PB_BYTES);
    strbuf_append(out, room, sizeof(room));
    return out->len;
}

void pb_end(struct strbuf *out, size_t begun)
{
    if (out->overflow) {
        return; /* something is missing, perhaps the very length we would fill in */
    }
    assert(begun >= LENGTH_BYTES && begun <= out->len);

    size_t len = out->len - begun;
    char *at = out->data + begun - LENGTH_BYTES;
    for (size_t i = 0; i < LENGTH_BYTES - 1; i++) {
        at[i] = (char)(uint8_t)(len | 0x80);
        len >>= 7;
    }
    assert(len < 0x80);
    at[LENGTH_BYTES - 1] = (char)len;
}
