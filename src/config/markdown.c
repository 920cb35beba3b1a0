/* markdown.c - the tables as documentation. */
#include "values.h"

#include <stdio.h>

enum { KEY_MAX = 256 };

static void put_cell(const char *text, struct strbuf *out)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '|') {
            strbuf_putc(out, '\\');
        }
        strbuf_putc(out, *c);
    }
}

static void put_range(const struct config_field *field, struct strbuf *out)
{
    if (field->min != NULL && field->max != NULL) {
        strbuf_printf(out, ", %s to %s", field->min, field->max);
    } else if (field->min != NULL) {
        strbuf_printf(out, ", at least %s", field->min);
    } else if (field->max != NULL) {
        strbuf_printf(out, ", at most %s", field->max);
    }
}

static void put_row(const struct config_field *field, const char *key, struct strbuf *out)
{
    char what[200];

    value_describe(field, what, sizeof(what));
    strbuf_printf(out, "| `%s` | ", key);
    put_cell(what, out);
    put_range(field, out);
    strbuf_append_text(out, " | ");
    if (field->type == CONFIG_UNSUPPORTED || field->type == CONFIG_NO_EFFECT) {
        strbuf_append_text(out, "–");
    } else if (field->required) {
        strbuf_append_text(out, "required");
    } else if (field->fallback != NULL && field->fallback[0] != '\0') {
        strbuf_printf(out, "`%s`", field->fallback);
    } else if (field->type == CONFIG_BOOL) {
        strbuf_append_text(out, "`false`");
    } else if (field->type == CONFIG_STRUCT) {
        strbuf_append_text(out, field->given_at != 0 ? "off" : "");
    } else {
        strbuf_append_text(out, "none");
    }
    strbuf_append_text(out, " | ");
    if (field->type == CONFIG_NO_EFFECT) {
        strbuf_append_text(out, "Accepted, no effect. ");
    }
    put_cell(field->help != NULL ? field->help : "", out);
    strbuf_append_text(out, " |\n");
}

static void put_rows(const struct config_schema *schema, const char *prefix, struct strbuf *out)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct config_field *field = &schema->fields[i];
        char key[KEY_MAX];
        (void)snprintf(key, sizeof(key), "%s%s", prefix, field->key);
        bool nested = field->type == CONFIG_STRUCT || field->type == CONFIG_STRUCTS;
        if (!nested || field->help != NULL) {
            put_row(field, key, out);
        }
        if (nested) {
            (void)snprintf(key, sizeof(key), "%s%s%s.", prefix, field->key,
                           field->type == CONFIG_STRUCTS ? "[]" : "");
            put_rows(field->schema, key, out);
        }
    }
}

void config_write_markdown(const struct config_schema *schema, struct strbuf *out)
{
    strbuf_append_text(out, "| Key | Value | Default | Meaning |\n|---|---|---|---|\n");
    put_rows(schema, "", out);
}
