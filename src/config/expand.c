/*
 * expand.c - finds the innermost ${…} of a value, puts in what it stands for, and looks again.
 *
 * Looking again is the Collector's rule: what comes from outside may itself hold expansions. Three
 * bounds keep that finite: expansions of one value, of the whole tree, and bytes of one value.
 */
#include "tree.h"

#include <spangate/base/mem.h>
#include <spangate/config/expand.h>
#include <spangate/config/source.h>

#include <ctype.h>
#include <stdlib.h>

struct expander {
    struct config_tree *tree;
    struct config_report *report;
    bool full; /* a limit of the tree was reached and reported: stop */
};

/* What an expansion stands for. */
struct meaning {
    char *text;  /* release with free() */
    char *label; /* "env:NAME", for places inside it; release with free() */
};

/*
 * The first `}` that closes a `${` gives the innermost expansion. Behind an odd number of dollar
 * signs `${` is escaped, and the search goes on behind that `}`.
 */
static bool find_innermost(struct slice text, struct slice *found)
{
    size_t from = 0;

    for (size_t close = 0; close < text.len; close++) {
        if (text.data[close] != '}') {
            continue;
        }
        size_t open = close;
        while (open > from && !(text.data[open] == '{' && text.data[open - 1] == '$')) {
            open--;
        }
        if (open > from) {
            size_t dollar = open - 1;
            size_t before = 0;
            while (before < dollar && text.data[dollar - 1 - before] == '$') {
                before++;
            }
            if (before % 2 == 0) {
                *found = (struct slice){text.data + dollar, close + 1 - dollar};
                return true;
            }
        }
        from = close + 1;
    }
    return false;
}

static bool is_variable_name(const char *name)
{
    if (!isalpha((unsigned char)name[0]) && name[0] != '_') {
        return false;
    }
    for (const char *c = name; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && *c != '_') {
            return false;
        }
    }
    return true;
}

static bool mean_variable(struct expander *x, struct config_place place, const char *expression,
                          struct meaning *out)
{
    const char *divider = strstr(expression, ":-");
    char *name = divider != NULL ? mem_strndup(expression, (size_t)(divider - expression))
                                 : mem_strdup(expression);
    bool ok = is_variable_name(name);

    if (!ok) {
        config_problem(x->report, place,
                       "environment variable \"%.80s\" has invalid name: must match regex "
                       "^[a-zA-Z_][a-zA-Z0-9_]*$",
                       name);
    } else {
        const char *text = getenv(name);
        if (text == NULL && divider == NULL) {
            config_warning(x->report, place,
                           "environment variable %s is not set: the value is empty", name);
        }
        if (text == NULL) {
            text = divider != NULL ? divider + 2 : "";
        }
        out->text = mem_strdup(text);
        out->label = mem_printf("env:%s", name);
    }
    free(name);
    return ok;
}

static bool mean_file(struct expander *x, struct config_place place, const char *path,
                      struct meaning *out)
{
    struct error err;
    size_t len = 0;

    if (!config_read_file(path, CONFIG_VALUE_MAX, &out->text, &len, &err)) {
        config_problem(x->report, place, "%s", err.message);
        return false;
    }
    /* Editors end a file with a newline; no password or header does. */
    while (len > 0 && (out->text[len - 1] == '\n' || out->text[len - 1] == '\r')) {
        len--;
    }
    if (memchr(out->text, '\0', len) != NULL) {
        config_problem(x->report, place, "file %.200s holds a NUL character", path);
        free(out->text);
        out->text = NULL;
        return false;
    }
    char *text = mem_strndup(out->text, len);
    free(out->text);
    out->text = text;
    out->label = mem_printf("file:%s", path);
    return true;
}

/* What the expression between `${` and `}` stands for. */
static bool mean(struct expander *x, struct config_place place, const char *expression,
                 struct meaning *out)
{
    const char *colon = strchr(expression, ':');
    size_t scheme = colon != NULL ? (size_t)(colon - expression) : 0;

    *out = (struct meaning){0};
    if (strchr(expression, '$') != NULL) {
        config_problem(x->report, place, "an expansion cannot have a '$' in it");
        return false;
    }
    if (colon == NULL || colon[1] == '-') {
        return mean_variable(x, place, expression, out);
    }
    if (scheme == 3 && strncmp(expression, "env", 3) == 0) {
        return mean_variable(x, place, colon + 1, out);
    }
    if (scheme == 4 && strncmp(expression, "file", 4) == 0) {
        return mean_file(x, place, colon + 1, out);
    }
    if (scheme == 4 && strncmp(expression, "yaml", 4) == 0) {
        out->text = mem_strdup(colon + 1);
        out->label = mem_strdup("yaml:");
        return true;
    }
    config_problem(x->report, place,
                   "${%.*s:…}: this scheme is not supported (supported: env file yaml)",
                   (int)(scheme > 40 ? 40 : scheme), expression);
    return false;
}

static void mark_expanded(struct config_node *node)
{
    node->expanded = true;
    for (size_t i = 0; i < node->count; i++) {
        mark_expanded(node->entries[i].value);
    }
}

/*
 * The value is one expansion: it becomes what the text is as YAML. What is no YAML is plain text.
 */
static void replace_whole(struct expander *x, struct config_node *node,
                          const struct meaning *meaning)
{
    struct config_node *parsed = NULL;
    struct error ignored;

    node->plain = true;
    if (config_parse(x->tree, meaning->label, slice_of(meaning->text), &parsed, &ignored) &&
        parsed->kind != CONFIG_SCALAR) {
        struct config_place place = node->place;
        *node = *parsed;
        node->place = place;
        mark_expanded(node);
        return;
    }
    size_t len = strlen(meaning->text);
    node->text = (const char *)arena_copy(&x->tree->arena,
                                          (struct slice){(const uint8_t *)meaning->text, len + 1})
                     .data;
    node->len = len;
    node->expanded = true;
}

/* Put the meaning in where the expansion was found. */
static bool replace_part(struct expander *x, struct config_node *node, struct slice found,
                         const struct meaning *meaning)
{
    struct config_node *parsed = NULL;
    struct error ignored;
    size_t before = (size_t)(found.data - (const uint8_t *)node->text);
    size_t middle = strlen(meaning->text);
    size_t after = node->len - before - found.len;

    if (config_parse(x->tree, meaning->label, slice_of(meaning->text), &parsed, &ignored) &&
        parsed->kind != CONFIG_SCALAR) {
        config_problem(x->report, node->place,
                       "%s is a map or list and cannot stand within a longer text", meaning->label);
        return false;
    }
    if (before + middle + after > CONFIG_VALUE_MAX) {
        config_problem(x->report, node->place, "the expanded value is larger than %d bytes",
                       CONFIG_VALUE_MAX);
        return false;
    }
    char *text = arena_alloc(&x->tree->arena, before + middle + after + 1);
    memcpy(text, node->text, before);
    memcpy(text + before, meaning->text, middle);
    memcpy(text + before + middle, found.data + found.len, after);
    text[before + middle + after] = '\0';
    node->text = text;
    node->len = before + middle + after;
    node->expanded = true;
    return true;
}

/* `$$` is a dollar sign. */
static void unescape(struct expander *x, struct config_node *node)
{
    if (node->kind != CONFIG_SCALAR || strstr(node->text, "$$") == NULL) {
        return;
    }
    char *text = arena_alloc(&x->tree->arena, node->len + 1);
    size_t len = 0;
    for (size_t i = 0; i < node->len; i++) {
        text[len++] = node->text[i];
        i += node->text[i] == '$' && node->text[i + 1] == '$';
    }
    text[len] = '\0';
    node->text = text;
    node->len = len;
}

/* Whether one more expansion is allowed; says so once when not. */
static bool count_expansion(struct expander *x, const struct config_node *node, size_t of_value)
{
    x->full = x->tree->expansions == CONFIG_EXPANSIONS_MAX ||
              x->tree->arena.reserved > CONFIG_EXPANDED_BYTES_MAX;
    if (x->full || of_value == CONFIG_EXPANSIONS_PER_VALUE) {
        config_problem(x->report, node->place, "too many recursive expansions");
        return false;
    }
    x->tree->expansions++;
    return true;
}

static bool expand_scalar(struct expander *x, struct config_node *node)
{
    struct slice found;

    for (size_t n = 0;
         node->kind == CONFIG_SCALAR &&
         find_innermost((struct slice){(const uint8_t *)node->text, node->len}, &found);
         n++) {
        struct meaning meaning = {0};
        if (!count_expansion(x, node, n)) {
            return false;
        }
        char *expression = mem_strndup(found.data + 2, found.len - 3);
        bool ok = mean(x, node->place, expression, &meaning);
        free(expression);
        if (ok && strlen(meaning.text) > CONFIG_VALUE_MAX) {
            config_problem(x->report, node->place, "%s is larger than %d bytes", meaning.label,
                           CONFIG_VALUE_MAX);
            ok = false;
        }
        if (ok && found.len == node->len) {
            replace_whole(x, node, &meaning);
        } else if (ok) {
            ok = replace_part(x, node, found, &meaning);
        }
        free(meaning.text);
        free(meaning.label);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static void expand(struct expander *x, struct config_node *node, size_t depth)
{
    if (x->full) {
        return;
    }
    if (depth > CONFIG_DEPTH_MAX) {
        config_problem(x->report, node->place, "nested deeper than %d levels by expansions",
                       CONFIG_DEPTH_MAX);
        return;
    }
    if (node->kind == CONFIG_SCALAR && !expand_scalar(x, node)) {
        return;
    }
    unescape(x, node);
    for (size_t i = 0; i < node->count; i++) {
        expand(x, node->entries[i].value, depth + 1);
    }
}

void config_expand(struct config_tree *tree, struct config_report *report)
{
    struct expander x = {.tree = tree, .report = report};
    if (tree->root != NULL) {
        expand(&x, tree->root, 1);
    }
}
