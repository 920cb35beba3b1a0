/*
 * answer_json.c - a pull reader for small JSON documents (answer_json.h).
 */

#include "answer_json.h"

#include <ctype.h>

struct answer_reader answer_over(struct slice json)
{
    return (struct answer_reader){.at = json.data, .end = json.data + json.len};
}

static int peek(struct answer_reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' ||
                                        *reader->at == '\n' || *reader->at == '\r')) {
        reader->at++;
    }
    return reader->at < reader->end ? *reader->at : -1;
}

/* A growing text that silently ends at its capacity, never within a character. */
struct fixed_text {
    char *out;
    size_t len;
    bool full;
};

static void put_bytes(struct fixed_text *text, const void *bytes, size_t len)
{
    if (text->full || text->len + len >= ANSWER_TEXT_MAX) {
        text->full = true;
        return;
    }
    memcpy(text->out + text->len, bytes, len);
    text->len += len;
    text->out[text->len] = '\0';
}

static void put_code_point(struct fixed_text *text, uint32_t code)
{
    uint8_t bytes[4];
    size_t len;

    if (code == 0 || (code >= 0xd800 && code <= 0xdfff)) {
        code = 0xfffd; /* NUL would end the text */
    }
    if (code < 0x80) {
        bytes[0] = (uint8_t)code;
        len = 1;
    } else if (code < 0x800) {
        bytes[0] = (uint8_t)(0xc0 | code >> 6);
        bytes[1] = (uint8_t)(0x80 | (code & 0x3f));
        len = 2;
    } else if (code < 0x10000) {
        bytes[0] = (uint8_t)(0xe0 | code >> 12);
        bytes[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        bytes[2] = (uint8_t)(0x80 | (code & 0x3f));
        len = 3;
    } else {
        bytes[0] = (uint8_t)(0xf0 | code >> 18);
        bytes[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        bytes[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        bytes[3] = (uint8_t)(0x80 | (code & 0x3f));
        len = 4;
    }
    put_bytes(text, bytes, len);
}

/* The four digits after \u. */
static bool read_hex4(struct answer_reader *reader, uint32_t *code)
{
    if (reader->end - reader->at < 4) {
        return false;
    }
    *code = 0;
    for (int i = 0; i < 4; i++) {
        int c = *reader->at++;
        if (c >= 0x80 || !isxdigit(c)) {
            return false;
        }
        *code = *code << 4 | (uint32_t)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
    }
    return true;
}

static bool read_escape(struct answer_reader *reader, struct fixed_text *text)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    uint32_t code;
    uint32_t low;

    if (reader->at == reader->end) {
        return false;
    }
    int c = *reader->at++;
    if (c == 'u') {
        if (!read_hex4(reader, &code)) {
            return false;
        }
        if (code >= 0xd800 && code <= 0xdbff && reader->end - reader->at >= 6 &&
            reader->at[0] == '\\' && reader->at[1] == 'u') {
            const uint8_t *back = reader->at;
            reader->at += 2;
            if (!read_hex4(reader, &low)) {
                return false;
            }
            if (low >= 0xdc00 && low <= 0xdfff) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            } else {
                reader->at = back;
            }
        }
        put_code_point(text, code);
        return true;
    }
    const char *name = c == '\0' ? NULL : strchr(names, c);
    if (name == NULL) {
        return false;
    }
    put_bytes(text, &values[name - names], 1);
    return true;
}

/* From the opening quote on. */
static bool read_string(struct answer_reader *reader, char *out)
{
    struct fixed_text text = {.out = out};

    out[0] = '\0';
    reader->at++;
    while (reader->at < reader->end) {
        const uint8_t *c = reader->at++;
        if (*c == '"') {
            return true;
        }
        if (*c == '\\') {
            if (!read_escape(reader, &text)) {
                return false;
            }
        } else if (*c == 0) {
            put_code_point(&text, 0);
        } else {
            put_bytes(&text, c, 1);
        }
    }
    return false;
}

/* A number or a name: everything up to what can follow a value. */
static bool read_word(struct answer_reader *reader, char *out)
{
    struct fixed_text text = {.out = out};

    out[0] = '\0';
    while (reader->at < reader->end &&
           (*reader->at >= 0x80 || isalnum(*reader->at) || *reader->at == '-' ||
            *reader->at == '+' || *reader->at == '.')) {
        put_bytes(&text, reader->at++, 1);
    }
    return text.len > 0 &&
           (isdigit((unsigned char)out[0]) || out[0] == '-' || strcmp(out, "true") == 0 ||
            strcmp(out, "false") == 0 || strcmp(out, "null") == 0);
}

/* Past the comma between members, and past a member's name and colon. */
static bool read_separators(struct answer_reader *reader, bool first)
{
    reader->key[0] = '\0';
    if (!first) {
        if (peek(reader) != ',') {
            return false;
        }
        reader->at++;
    }
    if (reader->depth > 0 && (reader->objects >> (reader->depth - 1) & 1) != 0) {
        if (peek(reader) != '"' || !read_string(reader, reader->key) || peek(reader) != ':') {
            return false;
        }
        reader->at++;
    }
    return true;
}

enum answer_event answer_next(struct answer_reader *reader)
{
    int c = peek(reader);
    bool object = reader->depth > 0 && (reader->objects >> (reader->depth - 1) & 1) != 0;

    if (reader->depth == 0 && reader->started) {
        return c == -1 ? ANSWER_END : ANSWER_ERROR;
    }
    if (reader->depth > 0 && c == (object ? '}' : ']')) {
        reader->at++;
        reader->depth--;
        reader->first = false;
        reader->key[0] = '\0';
        return ANSWER_FINISH;
    }
    if (!read_separators(reader, reader->depth == 0 || reader->first)) {
        return ANSWER_ERROR;
    }
    reader->started = true;
    reader->first = false;
    c = peek(reader);
    if (c == '{' || c == '[') {
        if (reader->depth == ANSWER_DEPTH_MAX) {
            return ANSWER_ERROR;
        }
        uint64_t bit = UINT64_C(1) << reader->depth;
        reader->objects = c == '{' ? reader->objects | bit : reader->objects & ~bit;
        reader->at++;
        reader->depth++;
        reader->first = true;
        return ANSWER_BEGIN;
    }
    if (c == '"') {
        return read_string(reader, reader->text) ? ANSWER_VALUE : ANSWER_ERROR;
    }
    if (!read_word(reader, reader->text)) {
        return ANSWER_ERROR;
    }
    return strcmp(reader->text, "null") == 0 ? ANSWER_NULL : ANSWER_VALUE;
}
