/*
 * json_decode.c - OTLP/JSON to protobuf in one pass over the text (otlp.h, otlp_json_decode()).
 *
 * There is no tree and no recursion: a stack holds one frame an open message, a frame knows where
 * its protobuf began in the output, and the schema table says what a member's value has to be.
 *
 * Lengths come before what they measure. One or two bytes are kept free, and when the message ends
 * its content is moved if that was not right. Envelopes, and whatever is nested unusually deep, get
 * five bytes and are not moved, so the work stays linear in the input.
 *
 * Of equal names in one object the last one counts: what the earlier one wrote is cut out again.
 * Members of a oneof exclude each other in the same way. `null` takes back what stood there.
 */
#include <spangate/otlp/otlp.h>

#include "json_decoder.h"

#include <assert.h>
#include <spangate/base/mem.h>
#include <stdlib.h>

enum { SHALLOW_FRAMES = 12 }; /* frames below this keep few bytes for their length */

struct frame {
    const struct schema_message *message;
    const struct schema_field *list; /* the field whose array is being read, or NULL */
    size_t begun;                    /* where the bytes of its length begin */
    uint32_t seen;                   /* rows that were read */
    uint8_t length_bytes;
    uint8_t id;                /* enum schema_message_id */
    uint8_t last;              /* row that was read last */
    uint8_t chosen;            /* the member of the oneof, 0 if none */
    size_t at[SCHEMA_NUMBERS]; /* of every seen row: where its protobuf begins */
};

static const uint8_t *skip_written(const uint8_t *at, const uint8_t *end, uint32_t number)
{
    uint32_t tag;
    const uint8_t *value = wire_tag(at, end, &tag);

    assert(value != NULL);
    return tag >> 3 == number ? wire_skip(value, end, number, tag & 7) : NULL;
}

/* Cut out what the row has written: the run of its fields that begins at f->at[row]. */
static void forget(struct decoder *d, struct frame *f, unsigned row)
{
    uint8_t *data = (uint8_t *)d->out->data;
    const uint8_t *end = data + d->out->len;
    size_t from = f->at[row];
    const uint8_t *at = data + from;
    const uint8_t *next;

    while (at < end && (next = skip_written(at, end, f->message->fields[row].number)) != NULL) {
        at = next;
    }
    size_t cut = (size_t)(at - (data + from));
    memmove(data + from, at, (size_t)(end - at));
    d->out->len -= cut;
    for (unsigned i = 0; i < f->message->field_count; i++) {
        if ((f->seen & 1U << i) != 0 && f->at[i] > from) {
            f->at[i] -= cut;
        }
    }
    f->seen &= ~(1U << row);
    if (f->chosen == row) {
        f->chosen = 0;
    }
}

/* The field is about to be written. */
static inline void note(struct decoder *d, struct frame *f, const struct schema_field *field)
{
    unsigned row = (unsigned)(field - f->message->fields);

    if ((f->seen & 1U << row) != 0) {
        forget(d, f, row);
    }
    if ((field->flags & SCHEMA_ONEOF) != 0) {
        if (f->chosen != 0) {
            forget(d, f, f->chosen);
        }
        f->chosen = (uint8_t)row;
    }
    f->seen |= 1U << row;
    f->at[row] = d->out->len;
}

/* A frame above f for the object that begins at `at`; NULL with the error filled. */
static inline struct frame *open_message(struct decoder *d, struct frame *f,
                                         const struct schema_field *field, const uint8_t *at)
{
    struct frame *child = f + 1;

    if (!json_enter(&d->r, at)) {
        return NULL;
    }
    child->message = &schema_messages[field->of];
    child->id = field->of;
    child->list = NULL;
    child->seen = 0;
    child->last = 0;
    child->chosen = 0;
    child->length_bytes =
        child - d->frames < SHALLOW_FRAMES ? child->message->length_bytes : (uint8_t)LENGTH_MAX;
    return begin_length(d, field, child->length_bytes, &child->begun) ? child : NULL;
}

/* Whether the field's name with quotes and colon stands here. At least 32 bytes can be read. */
static inline bool key_is_here(const uint8_t *at, const struct schema_field *field)
{
#ifdef __SSE2__
    const char *key = field->key;
    uint32_t first = (uint32_t)_mm_movemask_epi8(
        _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)at),
                       _mm_loadu_si128((const __m128i *)(const void *)key)));
    uint32_t second = (uint32_t)_mm_movemask_epi8(
        _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)(at + 16)),
                       _mm_loadu_si128((const __m128i *)(const void *)(key + 16))));
    uint32_t mask = UINT32_MAX >> (32 - field->key_len);
    return ((first | second << 16) & mask) == mask;
#else
    return memcmp(at, field->key, field->key_len) == 0;
#endif
}

/* The row of the name at `at`, NULL for one that the schema does not know. Stops at the value. */
static inline const uint8_t *read_key(struct decoder *d, struct frame *f, const uint8_t *at,
                                      const struct schema_field **field)
{
    uint8_t *guess = &d->guess[f->id][f->last];
    const struct schema_field *likely = &f->message->fields[*guess];
    struct slice name;

    if (likely->key_len != 0 && d->r.end - at > 32 && key_is_here(at, likely)) {
        *field = likely;
        f->last = *guess;
        at = json_space(at + likely->key_len, d->r.end);
        return at < d->r.end ? at : json_expected(&d->r, at, "a value");
    }
    if (*at != '"') {
        return json_expected(&d->r, at, "a name in quotes");
    }
    at = json_read_string(d, at, &name);
    if (at == NULL) {
        return NULL;
    }
    at = json_space(at, d->r.end);
    if (at == d->r.end || *at != ':') {
        return json_expected(&d->r, at, "a colon");
    }
    *field = schema_field_named(f->message, name);
    if (*field != NULL) {
        *guess = (uint8_t)(*field - f->message->fields);
        f->last = *guess;
    }
    at = json_space(at + 1, d->r.end);
    return at < d->r.end ? at : json_expected(&d->r, at, "a value");
}

static const uint8_t *put_null(struct decoder *d, struct frame *f, const uint8_t *at,
                               const struct schema_field *field)
{
    unsigned row = (unsigned)(field - f->message->fields);

    at = json_word(&d->r, at, "null");
    if (at != NULL && (f->seen & 1U << row) != 0) {
        forget(d, f, row);
    }
    return at;
}

/* An int_value, or the double_value it has to be instead. */
static const uint8_t *put_int_or_double(struct decoder *d, struct frame *f, const uint8_t *at,
                                        const struct schema_field *field)
{
    uint64_t value;
    bool real;

    at = json_read_int_or_double(d, at, field, &value, &real);
    if (at == NULL) {
        return NULL;
    }
    field += real ? 1 : 0;
    note(d, f, field);
    return json_put_number(d, field, value) ? at : NULL;
}

/* A null where an element of an array belongs. */
static const uint8_t *put_null_element(struct decoder *d, const uint8_t *at,
                                       const struct schema_field *field)
{
    if (field->of != MESSAGE_ANY_VALUE) {
        return json_fail(&d->r, at, "null inside %s", field->name);
    }
    at = json_word(&d->r, at, "null");
    return at != NULL && json_put_slice(d, field, (struct slice){0}) ? at : NULL;
}

/*
 * One member of the object of f. Where its value is a message, nothing of it is read and *open is
 * its field. Where it is an array of messages, only the bracket is read and f->list is its field.
 */
static inline const uint8_t *read_member(struct decoder *d, struct frame *f, const uint8_t *at,
                                         const struct schema_field **open)
{
    const struct schema_field *field = NULL;

    at = read_key(d, f, at, &field);
    if (at == NULL) {
        return NULL;
    }
    if (field == NULL || (field->flags & SCHEMA_IGNORED) != 0) {
        return json_skip(&d->r, at);
    }
    if (*at == 'n') {
        return put_null(d, f, at, field);
    }
    if ((field->flags & SCHEMA_REPEATED) == 0) {
        if ((field->flags & SCHEMA_OR_DOUBLE) != 0) {
            return put_int_or_double(d, f, at, field);
        }
        note(d, f, field);
        if (field->type != SCHEMA_MESSAGE) {
            return json_put_scalar(d, at, field);
        }
        *open = field;
        return at;
    }
    if (*at != '[') {
        return json_fail(&d->r, at, "%s is not an array", field->name);
    }
    note(d, f, field);
    if (field->type != SCHEMA_MESSAGE) {
        return json_put_scalars(d, at + 1, field);
    }
    f->list = field;
    return json_enter(&d->r, at) ? at + 1 : NULL;
}

/* The brace or bracket of f was closed. NULL: the request has ended or the output is full. */
static inline struct frame *close_value(struct decoder *d, struct frame *f)
{
    d->r.depth--;
    if (f->list != NULL) {
        f->list = NULL;
        return f;
    }
    if (f == d->frames || !end_length(d, f->begun, f->length_bytes)) {
        return NULL;
    }
    return f - 1;
}

/*
 * To the next member of f, or element of its list, or to what closes it (*close). `first`: directly
 * behind the opening brace or bracket.
 */
static inline const uint8_t *find_next(struct decoder *d, const struct frame *f, const uint8_t *at,
                                       bool first, bool *close)
{
    bool in_list = f->list != NULL;
    bool comma = false;

    at = json_space(at, d->r.end);
    if (at < d->r.end && *at == ',' && !first) {
        comma = true;
        at = json_space(at + 1, d->r.end);
    }
    if (at == d->r.end) {
        return json_expected(&d->r, at, in_list ? "an element" : "a member");
    }
    *close = !comma && *at == (in_list ? ']' : '}');
    if (!*close && !comma && !first) {
        return json_expected(&d->r, at, in_list ? "',' or ']'" : "',' or '}'");
    }
    return at;
}

/* From behind the first brace of the request to behind its last. */
static const uint8_t *read_request(struct decoder *d, const uint8_t *at)
{
    struct frame *f = d->frames;
    bool first = true;

    for (;;) {
        bool close = false;
        at = find_next(d, f, at, first, &close);
        if (at == NULL) {
            return NULL;
        }
        if (close) {
            first = false;
            f = close_value(d, f);
            if (f == NULL) {
                return d->r.depth == 0 ? at + 1 : NULL;
            }
            at++;
            continue;
        }

        bool in_list = f->list != NULL;
        const struct schema_field *open = f->list;
        if (!in_list) {
            at = read_member(d, f, at, &open);
        } else if (*at == 'n') {
            at = put_null_element(d, at, open);
            open = NULL;
        }
        if (at == NULL) {
            return NULL;
        }
        first = !in_list && f->list != NULL;
        if (open == NULL) {
            continue;
        }
        if (*at != '{') {
            return json_fail(&d->r, at, "%s is not an object", open->name);
        }
        f = open_message(d, f, open, at);
        if (f == NULL) {
            return NULL;
        }
        at++;
        first = true;
    }
}

static bool decode(struct decoder *d, struct slice json)
{
    static const uint8_t bom[] = {0xef, 0xbb, 0xbf};
    const uint8_t *at = json.data;
    const uint8_t *end = d->r.end;

    if (json.len >= sizeof(bom) && memcmp(at, bom, sizeof(bom)) == 0) {
        at += sizeof(bom);
    }
    at = json_space(at, end);
    if (at == end || *at != '{') {
        return json_expected(&d->r, at, "an object") != NULL;
    }
    if (!json_enter(&d->r, at)) {
        return false;
    }
    at = read_request(d, at + 1);
    if (at == NULL) {
        return false;
    }
    at = json_space(at, end);
    return at == end || json_fail(&d->r, at, "more text behind the request") != NULL;
}

bool otlp_json_decode(enum otlp_signal signal, struct slice json, const struct otlp_limits *limits,
                      struct strbuf *out, struct error *err)
{
    static const uint8_t nothing;
    struct decoder d = {.out = out};
    size_t begun = out->len;
    size_t hint = json.len / 2;

    if (json.len == 0) {
        json.data = &nothing;
    }
    d.r = (struct json_reader){
        .begin = json.data,
        .end = json.data + json.len,
        .err = err,
        .depth_max = limits->json_depth_max,
    };
    d.frames = mem_alloc((limits->json_depth_max + 1) * (sizeof(*d.frames) + 1));
    d.r.nest = (uint8_t *)(d.frames + limits->json_depth_max + 1);
    d.frames[0] = (struct frame){.message = &schema_messages[signal], .id = (uint8_t)signal};
    strbuf_init(&d.scratch, json.len);

    bool ok;
    if (out->overflow || out->len > out->limit) {
        ok = json_too_large(&d);
    } else {
        size_t left = out->limit - out->len;
        (void)strbuf_reserve(out, hint < left ? hint : left);
        ok = decode(&d, json);
    }
    if (!ok) {
        out->len = begun;
    }
    if (out->data != NULL) {
        out->data[out->len] = '\0';
    }
    strbuf_deinit(&d.scratch);
    free(d.frames);
    return ok;
}
