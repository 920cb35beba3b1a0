/*
 * write.c - structs back to YAML, by the same tables.
 *
 * What is written loads again to the same struct, but for secrets, which become "[REDACTED]".
 */
#include "values.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

enum { COMMENT_COLUMNS = 96 };

static const char redacted[] = "\"[REDACTED]\"";

/* Whether a plain scalar would be read back as this very text. */
static bool is_plain_safe(const char *text)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "off"};

    if (!isalpha((unsigned char)text[0]) && text[0] != '/' && text[0] != '_') {
        return false;
    }
    for (const char *c = text; *c != '\0'; c++) {
        bool colon_inside = *c == ':' && c[1] != '\0';
        if (!isalnum((unsigned char)*c) && strchr("_-./", *c) == NULL && !colon_inside) {
            return false;
        }
    }
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return false;
        }
    }
    return true;
}

void config_write_text(const char *text, struct strbuf *out)
{
    if (is_plain_safe(text)) {
        strbuf_append_text(out, text);
        return;
    }
    strbuf_putc(out, '"');
    for (const char *c = text; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte == '"' || byte == '\\') {
            strbuf_putc(out, '\\');
            strbuf_putc(out, *c);
        } else if (byte == '$') {
            strbuf_append_text(out, "$$");
        } else if (byte == '\n') {
            strbuf_append_text(out, "\\n");
        } else if (byte < 0x20 || byte == 0x7f) {
            strbuf_printf(out, "\\x%02x", byte);
        } else {
            strbuf_putc(out, *c);
        }
    }
    strbuf_putc(out, '"');
}

void config_write_url(const char *url, struct strbuf *out)
{
    struct strbuf clean;
    const char *scheme = strstr(url, "://");
    const char *host = scheme != NULL ? scheme + 3 : url;
    size_t authority = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', authority);

    strbuf_init(&clean, strlen(url) + 64);
    strbuf_append(&clean, url, (size_t)(host - url));
    if (at != NULL) {
        strbuf_append_text(&clean, "REDACTED@");
        host = at + 1;
    }
    size_t path = strcspn(host, "?#");
    strbuf_append(&clean, host, path);
    if (host[path] != '\0') {
        strbuf_append_text(&clean, "?REDACTED");
    }
    strbuf_putc(&clean, '\0');
    config_write_text(clean.data, out);
    strbuf_deinit(&clean);
}

static void put_indent(int indent, struct strbuf *out)
{
    for (int i = 0; i < indent; i++) {
        strbuf_putc(out, ' ');
    }
}

void config_write_comment(int indent, const char *text, struct strbuf *out)
{
    int column = 0;

    for (const char *word = text; *word != '\0';) {
        size_t len = strcspn(word, " ");
        if (column > 0 && column + 1 + (int)len > COMMENT_COLUMNS) {
            strbuf_putc(out, '\n');
            column = 0;
        }
        if (column == 0) {
            put_indent(indent, out);
            strbuf_putc(out, '#');
            column = indent + 1;
        }
        strbuf_putc(out, ' ');
        strbuf_append(out, word, len);
        column += 1 + (int)len;
        word += len;
        word += strspn(word, " ");
    }
    strbuf_putc(out, '\n');
}

static const char *at_text(const void *source, size_t at)
{
    const char *text;
    memcpy(&text, (const char *)source + at, sizeof(text));
    return text != NULL ? text : "";
}

static size_t at_count(const void *source, size_t at)
{
    size_t count;
    memcpy(&count, (const char *)source + at, sizeof(count));
    return count;
}

static void write_strings(const struct config_field *field, const void *source, struct strbuf *out)
{
    char **texts;
    size_t count = at_count(source, field->count_at);

    memcpy(&texts, (const char *)source + field->at, sizeof(texts));
    strbuf_append_text(out, " [");
    for (size_t i = 0; i < count; i++) {
        strbuf_append_text(out, i > 0 ? ", " : "");
        if (field->type == CONFIG_SECRETS) {
            strbuf_append_text(out, redacted);
        } else {
            config_write_text(texts[i], out);
        }
    }
    strbuf_append_text(out, "]\n");
}

static void write_headers(const struct config_field *field, const void *source, int indent,
                          struct strbuf *out)
{
    struct config_header *headers;
    size_t count = at_count(source, field->count_at);

    memcpy(&headers, (const char *)source + field->at, sizeof(headers));
    if (count == 0) {
        strbuf_append_text(out, " {}\n");
        return;
    }
    strbuf_putc(out, '\n');
    /* A list, because a header may be there twice. */
    for (size_t i = 0; i < count; i++) {
        put_indent(indent + 2, out);
        strbuf_append_text(out, "- {name: ");
        config_write_text(headers[i].name, out);
        strbuf_append_text(out, ", value: ");
        strbuf_append_text(out, headers[i].value[0] == '\0' ? "\"\"" : redacted);
        strbuf_append_text(out, "}\n");
    }
}

static bool is_given(const struct config_field *field, const void *source)
{
    bool given = true;
    if (field->given_at != 0) {
        memcpy(&given, (const char *)source + field->given_at - 1, sizeof(given));
    }
    return given;
}

static void write_structs(const struct config_field *field, const void *source,
                          const struct config_style *style, struct strbuf *out)
{
    const char *items;
    size_t count = at_count(source, field->count_at);
    struct config_style below = {.indent = style->indent + 4, .comments = false};

    memcpy(&items, (const char *)source + field->at, sizeof(items));
    if (count == 0) {
        strbuf_append_text(out, " []\n");
        return;
    }
    strbuf_putc(out, '\n');
    for (size_t i = 0; i < count; i++) {
        put_indent(style->indent + 2, out);
        strbuf_append_text(out, "-\n");
        config_write(field->schema, items + i * field->schema->size, &below, out);
    }
}

static void write_scalar(const struct config_field *field, const void *source, struct strbuf *out)
{
    union config_value value = {0};
    char text[80];

    strbuf_putc(out, ' ');
    switch (field->type) {
    case CONFIG_STRING:
        config_write_text(at_text(source, field->at), out);
        break;
    case CONFIG_URL:
        config_write_url(at_text(source, field->at), out);
        break;
    case CONFIG_SECRET:
        strbuf_append_text(out, at_text(source, field->at)[0] == '\0' ? "\"\"" : redacted);
        break;
    default:
        memcpy(&value, (const char *)source + field->at, value_size(field->type));
        value_format(field, &value, text, sizeof(text));
        strbuf_append_text(out, text[0] == '\0' ? "\"\"" : text);
        break;
    }
    strbuf_putc(out, '\n');
}

/* A group all of whose keys have no effect or are not supported shows nothing. */
static bool has_effect(const struct config_field *field)
{
    if (field->type == CONFIG_NO_EFFECT || field->type == CONFIG_UNSUPPORTED ||
        field->type == CONFIG_SECTIONS) {
        return false;
    }
    if (field->type != CONFIG_STRUCT) {
        return true;
    }
    for (size_t i = 0; i < field->schema->count; i++) {
        if (has_effect(&field->schema->fields[i])) {
            return true;
        }
    }
    return false;
}

static void write_field(const struct config_field *field, const void *source,
                        const struct config_style *style, struct strbuf *out)
{
    bool is_struct = field->type == CONFIG_STRUCT;
    size_t begin = out->len;
    struct config_style below = {.indent = style->indent + 2, .comments = style->comments};

    if (style->comments && field->help != NULL) {
        config_write_comment(style->indent, field->help, out);
    }
    put_indent(style->indent, out);
    strbuf_append_text(out, field->key);
    strbuf_putc(out, ':');
    if (is_struct) {
        size_t head = out->len;
        strbuf_putc(out, '\n');
        config_write(field->schema, (const char *)source + field->at, &below, out);
        if (out->len == head + 1) {
            out->len = field->given_at != 0 ? head : begin;
            strbuf_append_text(out, field->given_at != 0 ? " {}\n" : "");
        }
    } else if (field->type == CONFIG_STRINGS || field->type == CONFIG_SECRETS) {
        write_strings(field, source, out);
    } else if (field->type == CONFIG_HEADERS) {
        write_headers(field, source, style->indent, out);
    } else if (field->type == CONFIG_STRUCTS) {
        write_structs(field, source, style, out);
    } else {
        write_scalar(field, source, out);
    }
}

void config_write(const struct config_schema *schema, const void *source,
                  const struct config_style *style, struct strbuf *out)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct config_field *field = &schema->fields[i];
        /* A group that is optional, and lists where none differs from empty, are left out. */
        bool optional = field->type == CONFIG_STRUCT || field->type == CONFIG_STRUCTS;
        if (has_effect(field) && (!optional || is_given(field, source))) {
            write_field(field, source, style, out);
        }
    }
}
