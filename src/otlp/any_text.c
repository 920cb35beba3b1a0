/*
 * any_text.c - attribute values as text and as JSON (attributes.h).
 */

#include <spangate/otlp/attributes.h>

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <spangate/base/text.h>
#include <stdio.h>
#include <stdlib.h>

enum { NESTED_MAX = 32 };

void double_to_text(double value, struct strbuf *out)
{
    char text[40];

    if (isnan(value)) {
        strbuf_append_text(out, "NaN");
        return;
    }
    if (isinf(value)) {
        strbuf_append_text(out, value > 0 ? "Infinity" : "-Infinity");
        return;
    }
    /*
     * Any decimal of up to 15 digits survives the way to double and back, so shorter forms come
     * out of 15 digits too. Only subnormal numbers have fewer digits than that in them.
     */
    int digits = fabs(value) < DBL_MIN ? 1 : 15;
    do {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
    } while (strtod(text, NULL) != value && ++digits <= 17);
    strbuf_append_text(out, text);
}

static void put_leaf(const struct any_value *value, struct strbuf *out)
{
    switch (value->type) {
    case ANY_STRING:
        json_put_string(out, value->bytes);
        break;
    case ANY_BOOL:
        strbuf_append_text(out, value->number != 0 ? "true" : "false");
        break;
    case ANY_INT:
        strbuf_printf(out, "%" PRId64, value->number);
        break;
    case ANY_DOUBLE:
        if (isfinite(value->real)) {
            double_to_text(value->real, out);
        } else { /* JSON has no such number */
            strbuf_putc(out, '"');
            double_to_text(value->real, out);
            strbuf_putc(out, '"');
        }
        break;
    case ANY_BYTES:
        strbuf_putc(out, '"');
        base64_encode(value->bytes, out);
        strbuf_putc(out, '"');
        break;
    case ANY_EMPTY:
    case ANY_ARRAY: /* nested too deep to show */
    case ANY_MAP:
        strbuf_append_text(out, "null");
        break;
    }
}

void any_to_json(const struct any_value *value, struct strbuf *out)
{
    struct level {
        bool map;
        bool begun;
        struct slice array;
        size_t at;
        struct attribute_iter entries;
    } levels[NESTED_MAX];
    size_t depth = 0;
    struct any_value here = *value;

    for (;;) {
        bool nests = here.type == ANY_ARRAY || here.type == ANY_MAP;
        if (nests && depth < NESTED_MAX) {
            struct level *level = &levels[depth++];
            *level = (struct level){.map = here.type == ANY_MAP, .array = here.bytes};
            if (level->map) {
                level->entries = any_map_entries(here.bytes);
            }
            strbuf_putc(out, level->map ? '{' : '[');
        } else {
            put_leaf(&here, out);
        }

        /* To the next value, closing what has no more. */
        for (;;) {
            if (depth == 0) {
                return;
            }
            struct level *level = &levels[depth - 1];
            struct attribute entry;
            bool more = level->map ? attribute_next(&level->entries, &entry)
                                   : any_array_next(level->array, &level->at, &here);
            if (!more) {
                strbuf_putc(out, level->map ? '}' : ']');
                depth--;
                continue;
            }
            if (level->begun) {
                strbuf_putc(out, ',');
            }
            level->begun = true;
            if (level->map) {
                json_put_string(out, entry.key);
                strbuf_putc(out, ':');
                here = entry.value;
            }
            break;
        }
    }
}

void any_to_text(const struct any_value *value, struct strbuf *out)
{
    switch (value->type) {
    case ANY_EMPTY:
        break;
    case ANY_STRING:
        strbuf_append_slice(out, value->bytes);
        break;
    case ANY_BYTES:
        base64_encode(value->bytes, out);
        break;
    case ANY_DOUBLE:
        double_to_text(value->real, out);
        break;
    case ANY_BOOL:
    case ANY_INT:
    case ANY_ARRAY:
    case ANY_MAP:
        any_to_json(value, out);
        break;
    }
}
