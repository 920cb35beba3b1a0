/*
 * json_encode.c - OTLP protobuf to OTLP/JSON by the schema table (otlp.h, otlp_json_encode()).
 *
 * No recursion: a stack holds one level an open object. Before a message is written its fields are
 * surveyed: whether each row comes once, or in one run where it is repeated. Then they are written
 * as they stand. Otherwise the message is *tangled* and written row by row: runs are joined to one
 * array, of a scalar and of a oneof the last occurrence counts, and the parts of a message are
 * merged, all as protobuf demands of a reader.
 *
 * What the schema does not know, groups, and known fields of another wire type are left out.
 */
#include <spangate/otlp/otlp.h>

#include "json_reader.h"
#include "schema.h"
#include "wire.h"

#include <math.h>
#include <spangate/base/mem.h>
#include <spangate/base/text.h>
#include <spangate/otlp/attributes.h>
#include <stdlib.h>

enum {
    LEVELS_MAX = 200, /* more than what 200 levels of JSON can make */
    KEY_COPIED = 32,  /* keys are copied in one piece of this size */
    NUMBER_MAX = 24,  /* a 64-bit number with sign, quotes and a comma */
};

struct level {
    const struct schema_message *message;
    const struct schema_field *list; /* the field whose array is open, or NULL */
    const uint8_t *begin;
    const uint8_t *at;
    const uint8_t *end;
    const uint8_t *chosen_from; /* the oneof: where the last run of its last member begins */
    const struct schema_field *chosen;
    uint32_t seen; /* rows to write */
    unsigned row;  /* tangled: the row in work */
    bool tangled;
    bool has_member;
    bool has_element;
    uint8_t *merged; /* the bytes when they are a merged copy, to be freed */
};

struct encoder {
    struct slice body; /* what is read, but for merged copies */
    struct strbuf *out;
    struct error *err;
    size_t depth;
    size_t merge_left; /* bytes that merged copies may still take */
    bool failed;       /* err is filled; for functions whose result is something else */
    struct level levels[LEVELS_MAX];
};

static char *make_room(struct encoder *e, size_t bytes)
{
    if (!strbuf_reserve(e->out, bytes)) {
        error_set(e->err, ERR_TOO_LARGE, "as JSON the message is over %zu bytes", e->out->limit);
        return NULL;
    }
    return e->out->data + e->out->len;
}

/* Where the next bytes go, or NULL when the output is full. */
static inline char *room(struct encoder *e, size_t bytes)
{
    const struct strbuf *out = e->out;

    if (out->cap - out->len <= bytes || out->limit - out->len < bytes) {
        return make_room(e, bytes);
    }
    return out->data + out->len;
}

static inline void advance(struct encoder *e, const char *to)
{
    e->out->len = (size_t)(to - e->out->data);
}

static inline bool put_char(struct encoder *e, char c)
{
    char *to = room(e, 1);

    if (to == NULL) {
        return false;
    }
    *to = c;
    e->out->len++;
    return true;
}

/* What other modules appended to the output. */
static bool fits(struct encoder *e)
{
    return !e->out->overflow || room(e, 1) != NULL;
}

/* --- scalars ---------------------------------------------------------------------------------- */

static const char two_digits[] = "00010203040506070809101112131415161718192021222324"
                                 "25262728293031323334353637383940414243444546474849"
                                 "50515253545556575859606162636465666768697071727374"
                                 "75767778798081828384858687888990919293949596979899";

static char *write_decimal(char *to, uint64_t value)
{
    char text[20];
    char *at = text + sizeof(text);

    while (value >= 100) {
        at -= 2;
        memcpy(at, two_digits + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(at, two_digits + value * 2, 2);
    } else {
        *--at = (char)('0' + value);
    }
    size_t len = (size_t)(text + sizeof(text) - at);
    memcpy(to, at, len);
    return to + len;
}

static char *write_signed(char *to, int64_t value)
{
    uint64_t magnitude = (uint64_t)value;

    if (value < 0) {
        *to++ = '-';
        magnitude = 0 - magnitude;
    }
    return write_decimal(to, magnitude);
}

/*
 * A double that is a short decimal, which most are: m / 10^k with both exact reads back as the same
 * double, and the smallest k is the shortest such text. false: it is not.
 */
static bool put_short_double(struct encoder *e, double value)
{
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    double magnitude = fabs(value);

    if (!(magnitude < 1e9) || (magnitude < 1e-3 && value != 0)) {
        return false;
    }
    for (unsigned k = 0; k < COUNT_OF(powers); k++) {
        uint64_t digits = (uint64_t)(magnitude * powers[k] + 0.5);
        if ((double)digits / powers[k] != magnitude) {
            continue;
        }
        char *to = room(e, NUMBER_MAX);
        if (to == NULL) {
            return true;
        }
        uint64_t scale = (uint64_t)powers[k];
        if (signbit(value)) {
            *to++ = '-';
        }
        to = write_decimal(to, digits / scale);
        if (k > 0) {
            char fraction[NUMBER_MAX];
            /* scale in front keeps the zeros behind the point */
            (void)write_decimal(fraction, scale + digits % scale);
            *to++ = '.';
            memcpy(to, fraction + 1, k);
            to += k;
        }
        advance(e, to);
        return true;
    }
    return false;
}

static bool put_double(struct encoder *e, uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof(value));
    if (put_short_double(e, value)) {
        return fits(e);
    }
    if (isfinite(value)) {
        double_to_text(value, e->out);
    } else {
        strbuf_putc(e->out, '"');
        double_to_text(value, e->out);
        strbuf_putc(e->out, '"');
    }
    return fits(e);
}

#ifdef __SSE2__
/* Which of 16 bytes a JSON string cannot take as they are, as bits. */
static inline unsigned special_bytes(__m128i bytes)
{
    /* As signed bytes, control characters and what is not ASCII are both below the space. */
    __m128i special = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                                _mm_cmplt_epi8(bytes, _mm_set1_epi8(' '))),
                                   _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')),
                                                _mm_cmpeq_epi8(bytes, _mm_set1_epi8('<'))));

    return (unsigned)_mm_movemask_epi8(special);
}

/*
 * Copy the text if it needs no escapes, 16 bytes a step: reads and writes up to 15 bytes more than
 * that. false: it needs some.
 */
static inline bool copy_plain(char *to, struct slice text)
{
    for (size_t i = 0; i < text.len; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text.data + i));
        unsigned special = special_bytes(bytes);
        size_t left = text.len - i;
        _mm_storeu_si128((__m128i *)(void *)(to + i), bytes);
        if (left < 16) {
            special &= (1U << left) - 1;
        }
        if (special != 0) {
            return false;
        }
    }
    return true;
}
#else
static inline bool copy_plain(char *to, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c < ' ' || c >= 0x80 || c == '"' || c == '\\' || c == '<') {
            return false;
        }
        to[i] = (char)c;
    }
    return true;
}
#endif

static bool put_string(struct encoder *e, struct slice text)
{
    /* Not near the end of the input, and not in a merged copy. */
    uintptr_t offset = (uintptr_t)text.data - (uintptr_t)e->body.data;
    bool may_read_on = offset < e->body.len && e->body.len - offset >= text.len + 16;

    if (may_read_on || text.len == 0) {
        char *to = room(e, text.len + 2 + 16);
        if (to == NULL) {
            return false;
        }
        if (copy_plain(to + 1, text)) {
            to[0] = '"';
            to[text.len + 1] = '"';
            e->out->len += text.len + 2;
            return true;
        }
    }
    json_put_string(e->out, text);
    return fits(e);
}

static bool put_hex(struct encoder *e, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *to = bytes.len <= SIZE_MAX / 4 ? room(e, 2 * bytes.len + 2) : NULL;

    if (to == NULL) {
        return false;
    }
    *to++ = '"';
    for (size_t i = 0; i < bytes.len; i++) {
        *to++ = digits[bytes.data[i] >> 4];
        *to++ = digits[bytes.data[i] & 15];
    }
    *to++ = '"';
    advance(e, to);
    return true;
}

static bool put_base64(struct encoder *e, struct slice bytes)
{
    strbuf_putc(e->out, '"');
    base64_encode(bytes, e->out);
    strbuf_putc(e->out, '"');
    return fits(e);
}

/* A number in its wire form. */
static bool put_number(struct encoder *e, enum schema_type type, uint64_t value)
{
    if (type == SCHEMA_DOUBLE) {
        return put_double(e, value);
    }
    char *to = room(e, NUMBER_MAX);
    if (to == NULL) {
        return false;
    }
    switch (type) {
    case SCHEMA_BOOL:
        memcpy(to, value != 0 ? "true" : "false", 5);
        to += value != 0 ? 4 : 5;
        break;
    case SCHEMA_ENUM:
    case SCHEMA_INT32:
        to = write_signed(to, (int32_t)(uint32_t)value);
        break;
    case SCHEMA_SINT32:
        to = write_signed(to, (int32_t)((uint32_t)value >> 1 ^ (0 - ((uint32_t)value & 1))));
        break;
    case SCHEMA_UINT32:
    case SCHEMA_FIXED32:
        to = write_decimal(to, (uint32_t)value);
        break;
    case SCHEMA_INT64:
    case SCHEMA_SFIXED64:
        *to++ = '"';
        to = write_signed(to, (int64_t)value);
        *to++ = '"';
        break;
    default: /* unsigned 64 bits */
        *to++ = '"';
        to = write_decimal(to, value);
        *to++ = '"';
        break;
    }
    advance(e, to);
    return true;
}

/* --- one message ------------------------------------------------------------------------------ */

/* The row of a field that can be written, or NULL. */
static inline const struct schema_field *row_for(const struct schema_message *message,
                                                 uint32_t number, unsigned wire)
{
    const struct schema_field *row = schema_field(message, number);

    if (row == NULL || (row->flags & SCHEMA_IGNORED) != 0) {
        return NULL;
    }
    bool packed = (row->flags & SCHEMA_REPEATED) != 0 && wire == PB_BYTES;
    return wire == schema_wires[row->type] || packed ? row : NULL;
}

static inline const struct schema_field *row_of(const struct schema_message *message,
                                                const struct pb_field *field)
{
    return row_for(message, field->number, field->wire);
}

/* Over one field; *tag is its tag. */
static inline const uint8_t *skip_field(const uint8_t *at, const uint8_t *end, uint32_t *tag)
{
    struct slice bytes;

    at = wire_tag(at, end, tag);
    if (at == NULL) {
        return NULL;
    }
    return (*tag & 7) == PB_BYTES ? wire_bytes(at, end, &bytes)
                                  : wire_skip(at, end, *tag >> 3, *tag & 7);
}

/* Read over the fields of the level: which rows there are, and whether they are tangled. */
static inline bool survey(struct encoder *e, struct level *l)
{
    const struct schema_field *last = NULL;
    uint32_t last_tag = 0;
    uint32_t others = 0; /* members of the oneof that were overwritten */
    uint32_t seen = 0;
    bool tangled = false;

    for (const uint8_t *at = l->begin; at < l->end;) {
        const uint8_t *from = at;
        uint32_t tag = 0;
        at = skip_field(from, l->end, &tag);
        if (at == NULL) {
            return error_set(e->err, ERR_INVALID, "%s: %s", l->message->name,
                             wire_fault(from, l->end));
        }
        if (last != NULL && tag == last_tag && (last->flags & SCHEMA_REPEATED) != 0) {
            continue; /* one more of a run */
        }
        const struct schema_field *row = row_for(l->message, tag >> 3, tag & 7);
        if (row == NULL) {
            continue;
        }
        last_tag = tag;
        if ((seen & schema_bit(row)) != 0) {
            tangled |= row != last || (row->flags & SCHEMA_REPEATED) == 0;
        }
        if ((row->flags & SCHEMA_ONEOF) != 0 && row != l->chosen) {
            if (l->chosen != NULL) {
                others |= schema_bit(l->chosen);
                tangled = true;
            }
            l->chosen = row;
            l->chosen_from = from;
        }
        seen |= schema_bit(row);
        last = row;
    }
    if (l->chosen != NULL) {
        seen &= ~(others & ~schema_bit(l->chosen));
    }
    if ((seen & 1) != 0 && (seen & 1U << 2) != 0) {
        seen &= ~1U; /* the retired field counts only where its successor is absent */
    }
    l->seen = seen;
    l->tangled = tangled;
    l->at = l->begin;
    return true;
}

/* A level for the message, whose opening brace is written. merged is taken. */
static inline bool open_level(struct encoder *e, enum schema_message_id id, struct slice bytes,
                              uint8_t *merged)
{
    if (e->depth == LEVELS_MAX) {
        free(merged);
        return error_set(e->err, ERR_INVALID, "messages are nested more than %d deep", LEVELS_MAX);
    }
    struct level *l = &e->levels[e->depth++];
    l->message = &schema_messages[id];
    l->list = NULL;
    l->begin = bytes.data;
    l->end = bytes.len > 0 ? bytes.data + bytes.len : bytes.data;
    l->chosen = NULL;
    l->row = 0;
    l->has_member = false;
    l->merged = merged;
    return survey(e, l) && put_char(e, '{');
}

/* All parts of a singular message one behind the other: that is their merger. */
static bool merge(struct encoder *e, const struct level *l, const struct schema_field *row,
                  const uint8_t *from, struct pb_field *out, uint8_t **merged)
{
    struct pb_field field;
    size_t len = 0;

    for (const uint8_t *at = from; at < l->end;) {
        at = wire_field(at, l->end, &field);
        len += row_of(l->message, &field) == row ? field.bytes.len : 0;
    }
    if (len > e->merge_left) {
        e->failed = true;
        return error_set(e->err, ERR_INVALID, "%s: %s comes in too many parts", l->message->name,
                         row->name);
    }
    e->merge_left -= len;
    *merged = mem_alloc(len + 1);
    out->bytes = (struct slice){.data = *merged, .len = 0};
    for (const uint8_t *at = from; at < l->end;) {
        at = wire_field(at, l->end, &field);
        if (row_of(l->message, &field) == row && field.bytes.len > 0) {
            memcpy(*merged + out->bytes.len, field.bytes.data, field.bytes.len);
            out->bytes.len += field.bytes.len;
        }
    }
    return true;
}

/* The next field of l->row from l->at on. */
static bool find_field(struct level *l, const struct schema_field *row, struct pb_field *field)
{
    while (l->at < l->end) {
        l->at = wire_field(l->at, l->end, field);
        if (row_of(l->message, field) == row) {
            return true;
        }
    }
    return false;
}

/*
 * The next field of a tangled message, row by row; NULL at the end or on an error. What is singular
 * comes once, and *merged is then its bytes if they had to be put together.
 */
static const struct schema_field *next_tangled(struct encoder *e, struct level *l,
                                               struct pb_field *field, uint8_t **merged)
{
    for (; l->row < l->message->field_count; l->row++, l->at = l->begin) {
        const struct schema_field *row = &l->message->fields[l->row];
        struct pb_field found;
        size_t count = 0;

        if ((l->seen & 1U << l->row) == 0) {
            continue;
        }
        if ((row->flags & SCHEMA_REPEATED) != 0) {
            if (find_field(l, row, field)) {
                return row;
            }
            continue;
        }
        const uint8_t *from = (row->flags & SCHEMA_ONEOF) != 0 ? l->chosen_from : l->begin;
        l->at = from;
        while (find_field(l, row, &found)) {
            *field = found;
            count++;
        }
        l->row++;
        l->at = l->begin;
        if (row->type == SCHEMA_MESSAGE && count > 1 && !merge(e, l, row, from, field, merged)) {
            return NULL;
        }
        return row;
    }
    return NULL;
}

/* The next field to write; NULL at the end, and when e->failed. */
static inline const struct schema_field *next_field(struct encoder *e, struct level *l,
                                                    struct pb_field *field, uint8_t **merged)
{
    *merged = NULL;
    if (l->tangled) {
        return next_tangled(e, l, field, merged);
    }
    while (l->at < l->end) {
        l->at = wire_field(l->at, l->end, field);
        const struct schema_field *row = row_of(l->message, field);
        if (row != NULL && (l->seen & schema_bit(row)) != 0) {
            return row;
        }
    }
    return NULL;
}

/* A comma where one is due, and the name with its colon. */
static inline bool put_key(struct encoder *e, struct level *l, const struct schema_field *row)
{
    char *to = room(e, 2 + KEY_COPIED);

    if (to == NULL) {
        return false;
    }
    if (l->list != NULL) {
        *to++ = ']';
        l->list = NULL;
    }
    *to = ',';
    to += l->has_member ? 1 : 0;
    memcpy(to, row->key, KEY_COPIED);
    advance(e, to + row->key_len);
    l->has_member = true;
    return true;
}

/* The key and bracket of an array when it is not open yet. */
static inline bool open_list(struct encoder *e, struct level *l, const struct schema_field *row)
{
    if (l->list == row) {
        return true;
    }
    if (!put_key(e, l, row)) {
        return false;
    }
    l->list = row;
    l->has_element = false;
    return put_char(e, '[');
}

static inline bool open_element(struct encoder *e, struct level *l)
{
    bool comma = l->has_element;

    l->has_element = true;
    return !comma || put_char(e, ',');
}

/* The numbers of a packed field. */
static bool put_packed(struct encoder *e, struct level *l, const struct schema_field *row,
                       struct slice bytes)
{
    const uint8_t *at = bytes.data;
    const uint8_t *end = bytes.data + bytes.len;
    unsigned wire = schema_wires[row->type];

    while (at < end) {
        uint64_t value;
        switch (wire) {
        case PB_FIXED64:
            at = wire_fixed64(at, end, &value);
            break;
        case PB_FIXED32:
            at = wire_fixed32(at, end, &value);
            break;
        default:
            at = wire_varint(at, end, &value);
            break;
        }
        if (at == NULL) {
            return error_set(e->err, ERR_INVALID, "%s: a number of %s is cut off", l->message->name,
                             row->name);
        }
        if (!open_element(e, l) || !put_number(e, row->type, value)) {
            return false;
        }
    }
    return true;
}

static inline bool put_value(struct encoder *e, const struct schema_field *row,
                             const struct pb_field *field)
{
    switch (row->type) {
    case SCHEMA_STRING:
        return put_string(e, field->bytes);
    case SCHEMA_TRACE_ID:
    case SCHEMA_SPAN_ID:
        return put_hex(e, field->bytes);
    case SCHEMA_BYTES:
        return put_base64(e, field->bytes);
    default:
        return put_number(e, row->type, field->value);
    }
}

/* Whether the field says no more than its absence would. */
static inline bool is_default(const struct schema_field *row, const struct pb_field *field)
{
    if ((row->flags & (SCHEMA_OPTIONAL | SCHEMA_ONEOF)) != 0) {
        return false;
    }
    switch (row->type) {
    case SCHEMA_BOOL:
    case SCHEMA_FIXED64:
    case SCHEMA_SFIXED64:
    case SCHEMA_INT64:
    case SCHEMA_UINT64:
    case SCHEMA_DOUBLE:
        return field->value == 0 && field->bytes.len == 0;
    default:
        return (uint32_t)field->value == 0 && field->bytes.len == 0;
    }
}

/* A field that is no message. */
static inline bool put_field(struct encoder *e, struct level *l, const struct schema_field *row,
                             const struct pb_field *field)
{
    if ((row->flags & SCHEMA_REPEATED) == 0) {
        return is_default(row, field) || (put_key(e, l, row) && put_value(e, row, field));
    }
    if (field->wire == PB_BYTES && row->type != SCHEMA_STRING) {
        return field->bytes.len == 0 ||
               (open_list(e, l, row) && put_packed(e, l, row, field->bytes));
    }
    return open_list(e, l, row) && open_element(e, l) && put_value(e, row, field);
}

/*
 * A KeyValue as nearly all are, without a level for it: first the key, then an AnyValue that is one
 * scalar. *done is false, and nothing written, when it is something else.
 */
static inline bool put_attribute(struct encoder *e, struct slice bytes, bool *done)
{
    static const char key_text[] = "{\"key\":";
    static const char value_text[] = ",\"value\":{";
    const uint8_t *at = bytes.data;
    const uint8_t *end = bytes.data + bytes.len;
    struct slice key;
    struct slice value;
    struct pb_field field;

    *done = false;
    if (bytes.len < 4 || *at != WIRE_TAG(1, PB_BYTES) ||
        (at = wire_bytes(at + 1, end, &key)) == NULL || key.len == 0 || at == end ||
        *at != WIRE_TAG(2, PB_BYTES) || wire_bytes(at + 1, end, &value) != end || value.len == 0 ||
        wire_field(value.data, end, &field) != end) {
        return true;
    }
    const struct schema_field *row = row_of(&schema_messages[MESSAGE_ANY_VALUE], &field);
    if (row == NULL || row->type == SCHEMA_MESSAGE) {
        return true;
    }
    *done = true;
    char *to = room(e, sizeof(key_text));
    if (to == NULL) {
        return false;
    }
    memcpy(to, key_text, sizeof(key_text) - 1);
    e->out->len += sizeof(key_text) - 1;
    if (!put_string(e, key) || (to = room(e, sizeof(value_text) + KEY_COPIED)) == NULL) {
        return false;
    }
    memcpy(to, value_text, sizeof(value_text) - 1);
    to += sizeof(value_text) - 1;
    memcpy(to, row->key, KEY_COPIED);
    advance(e, to + row->key_len);
    if (!put_value(e, row, &field) || (to = room(e, 2)) == NULL) {
        return false;
    }
    memcpy(to, "}}", 2);
    e->out->len += 2;
    return true;
}

/* A field that is a message: its key, and a level for it. merged is taken. */
static inline bool put_message(struct encoder *e, struct level *l, const struct schema_field *row,
                               struct slice bytes, uint8_t *merged)
{
    if ((row->flags & SCHEMA_RETIRED) != 0) {
        row = &l->message->fields[2]; /* the same message under its new name */
    }
    bool ok = (row->flags & SCHEMA_REPEATED) != 0 ? open_list(e, l, row) && open_element(e, l)
                                                  : put_key(e, l, row);
    if (!ok) {
        free(merged);
        return false;
    }
    if (row->of == MESSAGE_KEY_VALUE) {
        bool done;
        if (!put_attribute(e, bytes, &done)) {
            return false;
        }
        if (done) {
            return true;
        }
    }
    return open_level(e, row->of, bytes, merged);
}

/* What is missing and must not be, and the closing brace. */
static inline bool close_level(struct encoder *e, struct level *l)
{
    unsigned always = l->message->always;
    if (always != 0 && (l->seen & 1U << always) == 0 &&
        !(put_key(e, l, &l->message->fields[always]) && put_char(e, '{') && put_char(e, '}'))) {
        return false;
    }
    char *to = room(e, 2);
    if (to == NULL) {
        return false;
    }
    if (l->list != NULL) {
        *to++ = ']';
    }
    *to++ = '}';
    advance(e, to);
    if (l->merged != NULL) {
        e->merge_left += (size_t)(l->end - l->begin);
        free(l->merged);
    }
    e->depth--;
    return true;
}

/* Until the outermost level is closed. */
static bool write_levels(struct encoder *e)
{
    struct pb_field field;
    uint8_t *merged = NULL;

    while (e->depth > 0) {
        struct level *l = &e->levels[e->depth - 1];
        const struct schema_field *row = next_field(e, l, &field, &merged);
        bool ok;
        if (row == NULL) {
            ok = !e->failed && close_level(e, l);
        } else if (row->type == SCHEMA_MESSAGE) {
            ok = put_message(e, l, row, field.bytes, merged);
        } else {
            ok = put_field(e, l, row, &field);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* The part of an envelope that is its field 1, whole. *merged as in next_tangled(). */
static bool find_head(struct encoder *e, enum schema_message_id id, struct slice envelope,
                      struct slice *out, uint8_t **merged)
{
    struct level l = {
        .message = &schema_messages[id],
        .begin = envelope.data,
        .end = envelope.len > 0 ? envelope.data + envelope.len : envelope.data,
    };
    struct pb_field field;

    if (!survey(e, &l)) {
        return false;
    }
    l.seen &= 1U << 1;
    if (next_tangled(e, &l, &field, merged) != NULL) {
        *out = field.bytes;
    }
    return !e->failed;
}

/* The message, or with `head` only the one in its field 1. */
static bool encode(enum schema_message_id id, struct slice bytes, bool head, struct strbuf *out,
                   struct error *err)
{
    struct encoder e;
    size_t begun = out->len;
    uint8_t *merged = NULL;

    e.body = bytes;
    e.out = out;
    e.err = err;
    e.depth = 0;
    e.merge_left = bytes.len;
    e.failed = false;
    if (out->overflow || out->len > out->limit) {
        return error_set(err, ERR_TOO_LARGE, "the output is full");
    }
    if (head) {
        struct slice part = {0};
        if (!find_head(&e, id, bytes, &part, &merged)) {
            return false;
        }
        id = schema_messages[id].fields[1].of;
        bytes = part;
    }
    bool ok = open_level(&e, id, bytes, merged) && write_levels(&e);
    if (!ok) {
        out->len = begun;
        while (e.depth > 0) {
            free(e.levels[--e.depth].merged);
        }
    }
    if (out->data != NULL) {
        out->data[out->len] = '\0';
    }
    return ok;
}

bool otlp_json_encode(enum otlp_signal signal, struct slice body, struct strbuf *out,
                      struct error *err)
{
    return encode((enum schema_message_id)signal, body, false, out, err);
}

bool otlp_json_encode_span(struct slice raw, struct strbuf *out, struct error *err)
{
    return encode(MESSAGE_SPAN, raw, false, out, err);
}

bool otlp_json_encode_resource(struct slice envelope, struct strbuf *out, struct error *err)
{
    return encode(MESSAGE_RESOURCE_SPANS, envelope, true, out, err);
}

bool otlp_json_encode_scope(struct slice envelope, struct strbuf *out, struct error *err)
{
    return encode(MESSAGE_SCOPE_SPANS, envelope, true, out, err);
}
