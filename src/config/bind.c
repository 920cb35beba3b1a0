/*
 * bind.c - from a tree to structs by tables. The only code that walks configuration values.
 *
 * It recurses over tables, which are ours, never over input.
 */
#include "tree.h"
#include "values.h"

#include <spangate/base/text.h>

#include <assert.h>
#include <stdio.h>

enum { PATH_MAX_LEN = 256, WHY_MAX = 256, WORD_MAX = 64 };

struct binding {
    const struct config_binder *binder;
    char path[PATH_MAX_LEN]; /* of the map being bound, inside the owner: "protocols.http" */
};

static bool bind_map(struct binding *b, const struct config_schema *schema,
                     const struct config_node *node, struct config_place place, void *target);

/* --- saying what is wrong --- */

static const char *divider(const char *left)
{
    return left[0] == '\0' ? "" : ": ";
}

/* "receivers::otlp: protocols.http.endpoint: why" */
static void refuse(struct binding *b, const struct config_field *field, struct config_place place,
                   const char *why)
{
    const char *owner = b->binder->owner;
    config_problem(b->binder->report, place, "%s%s%s%s%s: %s", owner, divider(owner), b->path,
                   b->path[0] == '\0' ? "" : ".", field->key, why);
}

/*
 * A value that is not what it should be. What came out of an expansion is not shown: it may be a
 * secret.
 */
static void refuse_value(struct binding *b, const struct config_field *field,
                         const struct config_node *node, const char *why)
{
    char text[WHY_MAX + 120];

    if (node->kind != CONFIG_SCALAR) {
        (void)snprintf(text, sizeof(text), "%s, found a %s", why,
                       node->kind == CONFIG_MAP ? "map" : "list");
    } else if (node->expanded) {
        (void)snprintf(text, sizeof(text), "%s, found something else after expansion", why);
    } else {
        (void)snprintf(text, sizeof(text), "%s, found \"%.80s\"", why, node->text);
    }
    refuse(b, field, node->place, text);
}

void config_suggest(const char *word, const char *const *candidates, char *out, size_t cap)
{
    const char *best = NULL;
    size_t best_distance = 3;

    out[0] = '\0';
    if (strlen(word) > WORD_MAX) {
        return;
    }
    for (size_t i = 0; candidates[i] != NULL; i++) {
        if (strlen(candidates[i]) > WORD_MAX) {
            continue;
        }
        size_t distance = text_distance(word, candidates[i]);
        /* A short word is near to everything: at least half of it must be right. */
        if (distance < best_distance && distance * 2 <= strlen(word)) {
            best = candidates[i];
            best_distance = distance;
        }
    }
    if (best != NULL) {
        (void)snprintf(out, cap, " (did you mean \"%s\"?)", best);
    }
}

static void refuse_unknown(struct binding *b, const struct config_schema *schema,
                           const struct config_entry *entry)
{
    const char *candidates[COUNT_OF(b->path)] = {NULL};
    char hint[100];

    for (size_t i = 0; i < schema->count && i + 1 < COUNT_OF(candidates); i++) {
        candidates[i] = schema->fields[i].key;
    }
    config_suggest(entry->key, candidates, hint, sizeof(hint));
    config_problem(b->binder->report, entry->place, "%s%s'%s' has invalid keys: %.80s%s",
                   b->binder->owner, divider(b->binder->owner), b->path, entry->key, hint);
}

/* --- storing --- */

static void *member(void *target, size_t at)
{
    return (char *)target + at;
}

static void store(void *target, size_t at, const void *value, size_t size)
{
    memcpy(member(target, at), value, size);
}

static char *keep_text(struct binding *b, const char *text)
{
    return (char *)(uintptr_t)arena_copy(b->binder->arena,
                                         (struct slice){(const uint8_t *)text, strlen(text) + 1})
        .data;
}

static bool is_text(enum config_type type)
{
    return type == CONFIG_STRING || type == CONFIG_URL || type == CONFIG_SECRET;
}

static bool is_scalar(enum config_type type)
{
    return is_text(type) || (type >= CONFIG_BOOL && type <= CONFIG_ENUM);
}

static void store_text(struct binding *b, const struct config_field *field, const char *text,
                       void *target)
{
    char *copy = text[0] == '\0' && field->fallback == NULL ? NULL : keep_text(b, text);
    store(target, field->at, &copy, sizeof(copy));
}

static void store_fallback(struct binding *b, const struct config_field *field, void *target)
{
    union config_value value = {0};
    char why[WHY_MAX];

    if (is_text(field->type)) {
        store_text(b, field, field->fallback != NULL ? field->fallback : "", target);
        return;
    }
    if (field->fallback != NULL) {
        bool ok = value_parse(field, field->fallback, &value, why, sizeof(why));
        assert(ok); /* the table is wrong */
    }
    store(target, field->at, &value, value_size(field->type));
}

/* --- one function a shape of value --- */

static void bind_scalar(struct binding *b, const struct config_field *field,
                        const struct config_node *node, void *target)
{
    union config_value value = {0};
    char why[WHY_MAX];

    if (node->kind != CONFIG_SCALAR) {
        value_describe(field, why, sizeof(why));
        char expected[WHY_MAX + 16];
        (void)snprintf(expected, sizeof(expected), "expected %s", why);
        refuse_value(b, field, node, expected);
        return;
    }
    if (is_text(field->type)) {
        store_text(b, field, node->text, target);
        return;
    }
    if (!value_parse(field, node->text, &value, why, sizeof(why))) {
        refuse_value(b, field, node, why);
        return;
    }
    store(target, field->at, &value, value_size(field->type));
}

static void bind_strings(struct binding *b, const struct config_field *field,
                         const struct config_node *node, void *target)
{
    size_t count = node->kind == CONFIG_SCALAR ? 1 : node->count;
    char **texts = arena_alloc(b->binder->arena, (count + 1) * sizeof(*texts));

    if (node->kind == CONFIG_MAP) {
        refuse_value(b, field, node, "expected a list of texts");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        /* One text is a list of one, as in the Collector. */
        const struct config_node *one = node->kind == CONFIG_SCALAR ? node : node->entries[i].value;
        if (one->kind != CONFIG_SCALAR) {
            refuse_value(b, field, one, "expected a text in this list");
            return;
        }
        texts[i] = keep_text(b, one->text);
    }
    texts[count] = NULL;
    store(target, field->at, &texts, sizeof(texts));
    store(target, field->count_at, &count, sizeof(count));
}

static bool is_header_name(const char *name)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return name[0] != '\0' && strspn(name, token) == strlen(name);
}

static bool is_header_value(const char *value)
{
    for (const char *c = value; *c != '\0'; c++) {
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* name and value nodes may be NULL or of any kind. */
static bool bind_header(struct binding *b, const struct config_field *field,
                        struct config_place place, const char *name,
                        const struct config_node *value, struct config_header *out)
{
    char why[WHY_MAX];

    if (name == NULL || !is_header_name(name)) {
        refuse(b, field, place, "a header needs a name of letters, digits and hyphens");
        return false;
    }
    if (value == NULL || value->kind != CONFIG_SCALAR) {
        (void)snprintf(why, sizeof(why), "the value of header %.80s must be a text", name);
        refuse(b, field, place, why);
        return false;
    }
    if (!is_header_value(value->text)) {
        (void)snprintf(why, sizeof(why), "the value of header %.80s holds a control character",
                       name);
        refuse(b, field, place, why);
        return false;
    }
    out->name = keep_text(b, name);
    out->value = keep_text(b, value->text);
    return true;
}

static void bind_headers(struct binding *b, const struct config_field *field,
                         const struct config_node *node, void *target)
{
    size_t count = 0;

    if (node->kind == CONFIG_SCALAR) {
        refuse_value(b, field, node, "expected a map of names and values");
        return;
    }
    struct config_header *headers =
        arena_alloc(b->binder->arena, (node->count + 1) * sizeof(*headers));
    for (size_t i = 0; i < node->count; i++) {
        const struct config_entry *entry = &node->entries[i];
        const char *name = entry->key;
        const struct config_node *value = entry->value;
        if (node->kind == CONFIG_LIST) {
            const struct config_node *named = config_get(entry->value, "name");
            name = named != NULL && named->kind == CONFIG_SCALAR ? named->text : NULL;
            value = config_get(entry->value, "value");
        }
        if (bind_header(b, field, entry->place, name, value, &headers[count])) {
            count++;
        }
    }
    store(target, field->at, &headers, sizeof(headers));
    store(target, field->count_at, &count, sizeof(count));
}

/* Bind what is below a key: the path grows for its messages. */
static bool bind_below(struct binding *b, const struct config_field *field,
                       const struct config_node *node, struct config_place place, void *target)
{
    size_t len = strlen(b->path);

    (void)snprintf(b->path + len, sizeof(b->path) - len, "%s%s", len > 0 ? "." : "", field->key);
    bool ok = bind_map(b, field->schema, node, place, target);
    b->path[len] = '\0';
    return ok;
}

static void bind_structs(struct binding *b, const struct config_field *field,
                         const struct config_node *node, void *target)
{
    if (node->kind != CONFIG_LIST) {
        refuse_value(b, field, node, "expected a list of maps");
        return;
    }
    size_t size = field->schema->size;
    char *items = arena_alloc(b->binder->arena, (node->count + 1) * size);
    memset(items, 0, (node->count + 1) * size);
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *one = node->entries[i].value;
        (void)bind_below(b, field, one, one->place, items + i * size);
    }
    void *pointer = items;
    store(target, field->at, &pointer, sizeof(pointer));
    store(target, field->count_at, &node->count, sizeof(node->count));
}

/* Whether a value says nothing, or what we do anyway. */
static bool is_harmless(const struct config_field *field, const struct config_node *node)
{
    if (node->kind != CONFIG_SCALAR) {
        return node->count == 0;
    }
    return node->len == 0 || config_is_null(node) ||
           (field->fallback != NULL && strcmp(node->text, field->fallback) == 0);
}

static void bind_unsupported(struct binding *b, const struct config_field *field,
                             const struct config_entry *entry)
{
    char why[WHY_MAX * 2];

    if (!is_harmless(field, entry->value)) {
        (void)snprintf(why, sizeof(why), "not supported by this version. %s", field->help);
        refuse(b, field, entry->place, why);
    }
}

static void bind_no_effect(struct binding *b, const struct config_field *field,
                           const struct config_entry *entry)
{
    const char *owner = b->binder->owner;

    if (!field->quiet && !is_harmless(field, entry->value)) {
        config_warning(b->binder->report, entry->place, "%s%s%s%s%s has no effect here: %s", owner,
                       divider(owner), b->path, b->path[0] == '\0' ? "" : ".", field->key,
                       field->help);
    }
}

static void bind_given(struct binding *b, const struct config_field *field,
                       const struct config_entry *entry, void *target)
{
    const struct config_node *node = entry->value;
    /* A text that expanded to nothing or to "null" is that text; everything else null is absent. */
    bool null = config_is_null(node) && !(is_text(field->type) && node->expanded);

    if (field->given_at != 0) {
        bool given = !null || field->null_is_given;
        store(target, field->given_at - 1, &given, sizeof(given));
    }
    if (field->type == CONFIG_STRUCT) {
        (void)bind_below(b, field, node, entry->place, member(target, field->at));
        return;
    }
    if (null || field->type == CONFIG_SECTIONS) {
        return;
    }
    switch (field->type) {
    case CONFIG_STRINGS:
    case CONFIG_SECRETS:
        bind_strings(b, field, node, target);
        break;
    case CONFIG_HEADERS:
        bind_headers(b, field, node, target);
        break;
    case CONFIG_STRUCTS:
        bind_structs(b, field, node, target);
        break;
    case CONFIG_NO_EFFECT:
        bind_no_effect(b, field, entry);
        break;
    case CONFIG_UNSUPPORTED:
        bind_unsupported(b, field, entry);
        break;
    default:
        bind_scalar(b, field, node, target);
        break;
    }
}

/* What holds when the key is not there. */
static void bind_absent(struct binding *b, const struct config_field *field,
                        struct config_place place, void *target)
{
    if (is_scalar(field->type)) {
        store_fallback(b, field, target);
    } else if (field->type == CONFIG_STRUCT) {
        (void)bind_below(b, field, NULL, place, member(target, field->at));
    } else if (field->count_at != 0) {
        void *none = NULL;
        size_t zero = 0;
        store(target, field->at, &none, sizeof(none));
        store(target, field->count_at, &zero, sizeof(zero));
    }
    if (field->given_at != 0) {
        bool given = false;
        store(target, field->given_at - 1, &given, sizeof(given));
    }
}

static bool bind_map(struct binding *b, const struct config_schema *schema,
                     const struct config_node *node, struct config_place place, void *target)
{
    const char *owner = b->binder->owner;

    if (config_is_null(node)) {
        node = NULL;
    } else if (node->kind != CONFIG_MAP) {
        config_problem(b->binder->report, node->place, "%s%s%s: expected a map, found a %s", owner,
                       b->path[0] == '\0' ? "" : divider(owner), b->path,
                       node->kind == CONFIG_LIST ? "list" : "text");
        node = NULL;
    }
    for (size_t i = 0; i < schema->count; i++) {
        const struct config_field *field = &schema->fields[i];
        const struct config_entry *entry = node_entry(node, field->key);
        bind_absent(b, field, place, target);
        if (entry != NULL) {
            bind_given(b, field, entry, target);
        } else if (field->required && node != NULL) {
            refuse(b, field, place, "is required");
        }
    }
    for (size_t i = 0; node != NULL && i < node->count; i++) {
        bool known = false;
        for (size_t k = 0; k < schema->count && !known; k++) {
            known = strcmp(node->entries[i].key, schema->fields[k].key) == 0;
        }
        if (!known) {
            refuse_unknown(b, schema, &node->entries[i]);
        }
    }
    return node != NULL;
}

void config_bind(const struct config_binder *binder, const struct config_schema *schema,
                 const struct config_node *node, struct config_place place, void *target)
{
    struct binding b = {.binder = binder};

    memset(target, 0, schema->size);
    (void)bind_map(&b, schema, node, place, target);
}
