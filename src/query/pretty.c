/*
 * pretty.c - JSON laid out for people.
 */
#include "query_private.h"

#include <string.h>

enum { INDENT = 4, DEPTH_SHOWN = 200 };

static void new_line(struct strbuf *out, size_t depth)
{
    strbuf_putc(out, '\n');
    for (size_t i = 0; i < INDENT * (depth < DEPTH_SHOWN ? depth : DEPTH_SHOWN); i++) {
        strbuf_putc(out, ' ');
    }
}

/* The length of the string that begins at s.data[0], quotes included. */
static size_t string_len(struct slice s)
{
    size_t i = 1;

    while (i < s.len && s.data[i] != '"') {
        i += s.data[i] == '\\' ? 2 : 1;
    }
    return i < s.len ? i + 1 : s.len;
}

void json_indent(struct slice json, struct strbuf *out)
{
    size_t depth = 0;

    for (size_t i = 0; i < json.len; i++) {
        char c = (char)json.data[i];
        char next = (char)json.data[i + 1 < json.len ? i + 1 : i];
        switch (c) {
        case '"': {
            size_t len = string_len(slice_from(json, i));
            strbuf_append(out, json.data + i, len);
            i += len - 1;
            break;
        }
        case '{':
        case '[':
            strbuf_putc(out, c);
            if (next == '}' || next == ']') {
                strbuf_putc(out, next);
                i++;
            } else {
                new_line(out, ++depth);
            }
            break;
        case '}':
        case ']':
            depth -= depth > 0;
            new_line(out, depth);
            strbuf_putc(out, c);
            break;
        case ',':
            strbuf_putc(out, c);
            new_line(out, depth);
            break;
        case ':':
            strbuf_append_text(out, ": ");
            break;
        default:
            strbuf_putc(out, c);
            break;
        }
    }
}
