/*
 * json_scalar.c - the values of OTLP/JSON that are no objects: strings, bytes, ids, numbers, enums.
 */
#include "json_decoder.h"

#include <math.h>
#include <spangate/base/text.h>

enum { ID_ARRAY_MAX = 64 }; /* numbers of an id given as an array of bytes */

struct integer {
    uint64_t magnitude;
    bool negative;
    bool whole;                /* false: not integral or over 64 bits; see number */
    struct json_number number; /* set when the quick way did not work */
};

bool json_too_large(struct decoder *d)
{
    return error_set(d->r.err, ERR_TOO_LARGE, "as protobuf the request is over %zu bytes",
                     d->out->limit);
}

uint8_t *json_make_room(struct decoder *d, size_t bytes)
{
    if (!strbuf_reserve(d->out, bytes)) {
        (void)json_too_large(d);
        return NULL;
    }
    return (uint8_t *)d->out->data + d->out->len;
}

static inline bool has_presence(const struct schema_field *field)
{
    return (field->flags & (SCHEMA_OPTIONAL | SCHEMA_ONEOF | SCHEMA_REPEATED)) != 0;
}

/* --- strings, bytes, ids ---------------------------------------------------------------------- */

bool json_put_slice(struct decoder *d, const struct schema_field *field, struct slice bytes)
{
    uint8_t *to = room(d, bytes.len + SCALAR_MAX);

    if (to == NULL) {
        return false;
    }
    to = write_varint(write_tag(to, field, PB_BYTES), bytes.len);
    if (bytes.len > 0) {
        memcpy(to, bytes.data, bytes.len);
    }
    advance(d, to + bytes.len);
    return true;
}

const uint8_t *json_read_string(struct decoder *d, const uint8_t *at, struct slice *text)
{
    bool escaped;

    if (*at != '"') {
        return json_expected(&d->r, at, "a string");
    }
    at++;
    const uint8_t *close = json_plain_end(at, d->r.end);
    if (close < d->r.end && *close == '"') {
        *text = (struct slice){.data = at, .len = (size_t)(close - at)};
        return close + 1;
    }
    close = json_string_end(&d->r, at, &escaped);
    if (close == NULL) {
        return NULL;
    }
    struct slice raw = {.data = at, .len = (size_t)(close - at)};
    strbuf_clear(&d->scratch);
    (void)strbuf_reserve(&d->scratch, raw.len);
    text->data = (const uint8_t *)d->scratch.data;
    text->len = json_unescape(raw, (uint8_t *)d->scratch.data);
    return close + 1;
}

static const uint8_t *read_text(struct decoder *d, const uint8_t *at,
                                const struct schema_field *field, struct slice *text)
{
    if (*at != '"') {
        return json_fail(&d->r, at, "%s is not a string", field->name);
    }
    return json_read_string(d, at, text);
}

static const uint8_t *put_string(struct decoder *d, const uint8_t *at,
                                 const struct schema_field *field)
{
    struct slice text = {0};

    at = read_text(d, at, field, &text);
    if (at == NULL || (text.len == 0 && !has_presence(field))) {
        return at;
    }
    return json_put_slice(d, field, text) ? at : NULL;
}

static const uint8_t *put_base64(struct decoder *d, const uint8_t *at,
                                 const struct schema_field *field)
{
    struct slice text = {0};
    size_t begun;
    const uint8_t *after = read_text(d, at, field, &text);

    if (after == NULL || !begin_length(d, field, 1, &begun)) {
        return NULL;
    }
    bool good = base64_decode(text, d->out);
    if (d->out->overflow) {
        (void)json_too_large(d);
        return NULL;
    }
    if (!good) {
        return json_fail(&d->r, at, "%s is not base64", field->name);
    }
    return end_length(d, begun, 1) ? after : NULL;
}

/* Hex digits to their value plus one, anything else to 0. */
static const uint8_t hex_digit[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

static inline bool write_hex(uint8_t *to, const uint8_t *text, size_t bytes)
{
    bool good = true;

    for (size_t i = 0; i < bytes; i++) {
        unsigned high = hex_digit[text[2 * i]];
        unsigned low = hex_digit[text[2 * i + 1]];
        good &= high != 0 && low != 0;
        to[i] = (uint8_t)((high - 1) << 4 | ((low - 1) & 0xf));
    }
    return good;
}

/*
 * An id that is not `want` bytes in hex. Some other even number of hex digits stands for its bytes,
 * and anything else for its own text, so that the length is wrong and the decoder refuses the span
 * and can say what it was; a text that happens to have the right length gets a byte more.
 */
static bool put_odd_id(struct decoder *d, const struct schema_field *field, struct slice text,
                       size_t want)
{
    uint8_t *begin = room(d, text.len + 1 + SCALAR_MAX);

    if (begin == NULL) {
        return false;
    }
    begin = write_tag(begin, field, PB_BYTES);
    uint8_t *to = write_varint(begin, text.len / 2);
    if (text.len % 2 == 0 && write_hex(to, text.data, text.len / 2)) {
        advance(d, to + text.len / 2);
        return true;
    }
    bool longer = text.len == want;
    to = write_varint(begin, text.len + longer);
    memcpy(to, text.data, text.len);
    to[text.len] = '?';
    advance(d, to + text.len + longer);
    return true;
}

/* An id as a JSON array of bytes, which old senders write. */
static const uint8_t *put_id_array(struct decoder *d, const uint8_t *at,
                                   const struct schema_field *field)
{
    const uint8_t *end = d->r.end;
    const uint8_t *after = json_skip(&d->r, at);
    uint8_t bytes[ID_ARRAY_MAX];
    struct slice id = {.data = bytes, .len = 0};

    if (after == NULL) {
        return NULL;
    }
    /* It is well-formed; see whether it is all bytes. */
    at = json_space(at + 1, end);
    while (*at != ']') {
        uint64_t value;
        const uint8_t *stop = json_digits(at, end, &value);
        bool is_byte = stop > at && value <= UINT8_MAX;
        at = json_space(stop, end);
        if (!is_byte || id.len == sizeof(bytes) || (*at != ',' && *at != ']')) {
            bytes[0] = '?'; /* of a wrong length */
            id.len = 1;
            break;
        }
        bytes[id.len++] = (uint8_t)value;
        at = *at == ',' ? json_space(at + 1, end) : at;
    }
    return id.len == 0 || json_put_slice(d, field, id) ? after : NULL;
}

static const uint8_t *put_id(struct decoder *d, const uint8_t *at, const struct schema_field *field)
{
    size_t want = field->type == SCHEMA_TRACE_ID ? 16 : 8;
    struct slice text = {0};

    if (*at == '[') {
        return put_id_array(d, at, field);
    }
    if (*at == '"' && (size_t)(d->r.end - at) > 2 * want + 1 && at[2 * want + 1] == '"') {
        uint8_t *to = room(d, want + SCALAR_MAX);
        if (to == NULL) {
            return NULL;
        }
        to = write_tag(to, field, PB_BYTES);
        *to++ = (uint8_t)want;
        if (write_hex(to, at + 1, want)) {
            advance(d, to + want);
            return at + 2 * want + 2;
        }
    }
    at = read_text(d, at, field, &text);
    if (at == NULL || text.len == 0) {
        return at;
    }
    return put_odd_id(d, field, text, want) ? at : NULL;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static const uint8_t *not_a_number(struct decoder *d, const uint8_t *at,
                                   const struct schema_field *field)
{
    if (at >= d->r.end) {
        return json_expected(&d->r, at, "a number");
    }
    return json_fail(&d->r, at, "%s is not a number", field->name);
}

/* A number, quoted or not, that is not a plain run of digits. */
static const uint8_t *read_long_number(struct decoder *d, const uint8_t *at,
                                       const struct schema_field *field, struct json_number *number)
{
    struct slice text = {0};

    if (*at != '"') {
        const uint8_t *after =
            *at == '-' || (*at >= '0' && *at <= '9') ? json_number(&d->r, at, number) : at;
        return after != at ? after : not_a_number(d, at, field);
    }
    const uint8_t *after = json_read_string(d, at, &text);
    if (after != NULL && !json_number_of(text, number)) {
        return not_a_number(d, at, field);
    }
    return after;
}

static inline const uint8_t *read_integer(struct decoder *d, const uint8_t *at,
                                          const struct schema_field *field, struct integer *out)
{
    const uint8_t *end = d->r.end;
    const uint8_t *from = at;
    bool quoted = *from == '"';

    from += quoted ? 1 : 0;
    out->negative = from < end && *from == '-';
    from += out->negative ? 1 : 0;
    const uint8_t *after = json_digits(from, end, &out->magnitude);
    if (after > from && after < end && (*from != '0' || after == from + 1)) {
        bool done = quoted ? *after == '"' : *after == ',' || *after == '}' || *after == ']';
        if (done) {
            out->whole = true;
            return after + (quoted ? 1 : 0);
        }
    }
    at = read_long_number(d, at, field, &out->number);
    if (at != NULL) {
        out->negative = out->number.negative;
        out->whole = json_number_integer(&out->number, &out->magnitude);
    }
    return at;
}

/* Whether the integer fits the type; *value is then what goes on the wire. */
static inline bool integer_fits(const struct integer *in, enum schema_type type, uint64_t *value)
{
    uint64_t max;
    bool has_sign = false;

    if (!in->whole) {
        return false;
    }
    switch (type) {
    case SCHEMA_UINT32:
    case SCHEMA_FIXED32:
        max = UINT32_MAX;
        break;
    case SCHEMA_UINT64:
    case SCHEMA_FIXED64:
        max = UINT64_MAX;
        break;
    case SCHEMA_ENUM:
    case SCHEMA_INT32:
    case SCHEMA_SINT32:
        max = INT32_MAX;
        has_sign = true;
        break;
    default:
        max = INT64_MAX;
        has_sign = true;
        break;
    }
    if (in->negative && in->magnitude > 0) {
        if (!has_sign || in->magnitude > max + 1) {
            return false;
        }
        *value = 0 - in->magnitude;
    } else {
        if (in->magnitude > max) {
            return false;
        }
        *value = in->magnitude;
    }
    if (type == SCHEMA_SINT32) {
        *value = (uint32_t)*value << 1 ^ (in->negative && in->magnitude > 0 ? UINT32_MAX : 0);
    }
    return true;
}

static inline uint8_t *write_number(uint8_t *to, enum schema_type type, uint64_t value)
{
    uint32_t word;

    switch (type) {
    case SCHEMA_FIXED64:
    case SCHEMA_SFIXED64:
    case SCHEMA_DOUBLE:
        return write_fixed64(to, value);
    case SCHEMA_FIXED32:
        word = htole32((uint32_t)value);
        memcpy(to, &word, sizeof(word));
        return to + sizeof(word);
    default:
        return write_varint(to, value);
    }
}

/* A singular number. Zero is what absent means unless the field says otherwise. */
bool json_put_number(struct decoder *d, const struct schema_field *field, uint64_t value)
{
    if (value == 0 && !has_presence(field)) {
        return true;
    }
    uint8_t *to = room(d, SCALAR_MAX);
    if (to == NULL) {
        return false;
    }
    to = write_tag(to, field, schema_wires[field->type]);
    advance(d, write_number(to, field->type, value));
    return true;
}

static inline uint64_t double_bits(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* One of the three words, or a number with or without quotes. */
static const uint8_t *read_double(struct decoder *d, const uint8_t *at,
                                  const struct schema_field *field, uint64_t *bits)
{
    static const struct {
        const char *text;
        double value;
    } words[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
    struct json_number number;

    if (*at == '"') {
        for (size_t i = 0; i < COUNT_OF(words); i++) {
            size_t len = strlen(words[i].text);
            if ((size_t)(d->r.end - at) > len + 1 && at[len + 1] == '"' &&
                memcmp(at + 1, words[i].text, len) == 0) {
                *bits = double_bits(words[i].value);
                return at + len + 2;
            }
        }
    }
    at = read_long_number(d, at, field, &number);
    if (at != NULL) {
        *bits = double_bits(json_number_double(&number));
    }
    return at;
}

static const uint8_t *read_enum_name(struct decoder *d, const uint8_t *at,
                                     const struct schema_field *field, uint64_t *value)
{
    const struct schema_enum *type = &schema_enums[field->of];
    struct slice name;
    int32_t number;
    const uint8_t *after = json_read_string(d, at, &name);

    if (after == NULL) {
        return NULL;
    }
    if (!schema_enum_named(type, name, &number)) {
        return json_fail(&d->r, at, "\"%.*s\" is no value of %s",
                         (int)(name.len < 40 ? name.len : 40), (const char *)name.data,
                         field->name);
    }
    *value = (uint64_t)(int64_t)number;
    return after;
}

static bool is_number_text(const uint8_t *at, const uint8_t *end)
{
    return end - at > 1 && (at[1] == '-' || (at[1] >= '0' && at[1] <= '9'));
}

/* A number of any type in its wire form. */
static inline const uint8_t *read_number(struct decoder *d, const uint8_t *at,
                                         const struct schema_field *field, uint64_t *value)
{
    struct integer integer = {0};
    const uint8_t *after;

    if (field->type == SCHEMA_DOUBLE) {
        return read_double(d, at, field, value);
    }
    if (field->type == SCHEMA_ENUM && *at == '"' && !is_number_text(at, d->r.end)) {
        return read_enum_name(d, at, field, value);
    }
    after = read_integer(d, at, field, &integer);
    if (after != NULL && !integer_fits(&integer, field->type, value)) {
        return json_fail(&d->r, at, "%s is not an integer in its range", field->name);
    }
    return after;
}

const uint8_t *json_read_int_or_double(struct decoder *d, const uint8_t *at,
                                       const struct schema_field *field, uint64_t *value,
                                       bool *real)
{
    struct integer integer = {0};

    at = read_integer(d, at, field, &integer);
    if (at == NULL) {
        return NULL;
    }
    *real = !integer_fits(&integer, field->type, value);
    if (*real && integer.whole) {
        /* The digits fit into 64 bits, but not with this sign. */
        double magnitude = (double)integer.magnitude;
        *value = double_bits(integer.negative ? -magnitude : magnitude);
    } else if (*real) {
        *value = double_bits(json_number_double(&integer.number));
    }
    return at;
}

static const uint8_t *put_bool(struct decoder *d, const uint8_t *at,
                               const struct schema_field *field)
{
    bool value = *at == 't';

    if (*at != 't' && *at != 'f') {
        return json_fail(&d->r, at, "%s is neither true nor false", field->name);
    }
    at = json_word(&d->r, at, value ? "true" : "false");
    return at != NULL && json_put_number(d, field, value) ? at : NULL;
}

/* --- arrays ----------------------------------------------------------------------------------- */

/* Behind an element: *more tells whether another one follows, at which the result then points. */
static const uint8_t *next_element(struct decoder *d, const uint8_t *at, bool *more)
{
    at = json_space(at, d->r.end);
    if (at == d->r.end || (*at != ',' && *at != ']')) {
        return json_expected(&d->r, at, "',' or ']'");
    }
    *more = *at == ',';
    at++;
    if (*more) {
        at = json_space(at, d->r.end);
        if (at == d->r.end) {
            return json_expected(&d->r, at, "a value");
        }
    }
    return at;
}

/* Numbers become one packed field, strings one field each. at is behind the bracket. */
const uint8_t *json_put_scalars(struct decoder *d, const uint8_t *at,
                                const struct schema_field *field)
{
    bool packed = field->type != SCHEMA_STRING;
    bool more = true;
    size_t begun = 0;

    at = json_space(at, d->r.end);
    if (at < d->r.end && *at == ']') {
        return at + 1;
    }
    if (at == d->r.end) {
        return json_expected(&d->r, at, "a value");
    }
    if (packed && !begin_length(d, field, 1, &begun)) {
        return NULL;
    }
    while (more) {
        if (packed) {
            uint64_t value = 0;
            at = read_number(d, at, field, &value);
            uint8_t *to = at != NULL ? room(d, SCALAR_MAX) : NULL;
            if (to == NULL) {
                return NULL;
            }
            advance(d, write_number(to, field->type, value));
        } else {
            at = put_string(d, at, field);
            if (at == NULL) {
                return NULL;
            }
        }
        at = next_element(d, at, &more);
        if (at == NULL) {
            return NULL;
        }
    }
    return !packed || end_length(d, begun, 1) ? at : NULL;
}

const uint8_t *json_put_scalar(struct decoder *d, const uint8_t *at,
                               const struct schema_field *field)
{
    uint64_t value = 0;

    switch (field->type) {
    case SCHEMA_STRING:
        return put_string(d, at, field);
    case SCHEMA_TRACE_ID:
    case SCHEMA_SPAN_ID:
        return put_id(d, at, field);
    case SCHEMA_BYTES:
        return put_base64(d, at, field);
    case SCHEMA_BOOL:
        return put_bool(d, at, field);
    default:
        at = read_number(d, at, field, &value);
        return at != NULL && json_put_number(d, field, value) ? at : NULL;
    }
}
