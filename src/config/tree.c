/*
 * tree.c - libyaml's events to nodes, and looking things up. The only place that knows libyaml.
 *
 * The builder is a loop over events with a stack of open maps and lists, at most CONFIG_DEPTH_MAX
 * high, so input cannot make it recurse.
 */
#include "tree.h"

#include <spangate/base/mem.h>

#include <assert.h>
#include <stdio.h>
#include <yaml.h>

enum { ANCHORS_MAX = 256, PATH_PART_MAX = 128 };

void config_tree_init(struct config_tree *tree)
{
    *tree = (struct config_tree){0};
    arena_init(&tree->arena);
}

void config_tree_deinit(struct config_tree *tree)
{
    arena_deinit(&tree->arena);
}

bool node_new(struct config_tree *tree, enum config_kind kind, struct config_place place,
              struct config_node **out, struct error *err)
{
    if (tree->node_count == CONFIG_NODES_MAX) {
        return error_set(err, ERR_TOO_LARGE, "%s:%u:%u: more than %d values in the configuration",
                         place.source, place.line, place.column, CONFIG_NODES_MAX);
    }
    tree->node_count++;
    struct config_node *node = arena_alloc(&tree->arena, sizeof(*node));
    *node = (struct config_node){.kind = kind, .place = place};
    *out = node;
    return true;
}

bool node_append(struct config_tree *tree, struct config_node *parent, const char *key,
                 struct config_place place, struct config_node *value, struct error *err)
{
    if (parent->count == CONFIG_ENTRIES_MAX) {
        return error_set(err, ERR_TOO_LARGE, "%s:%u:%u: more than %d entries", place.source,
                         place.line, place.column, CONFIG_ENTRIES_MAX);
    }
    if (parent->count == parent->cap) {
        size_t cap = parent->cap == 0 ? 4 : parent->cap * 2;
        struct config_entry *entries = arena_alloc(&tree->arena, cap * sizeof(*entries));
        if (parent->count > 0) {
            memcpy(entries, parent->entries, parent->count * sizeof(*entries));
        }
        parent->entries = entries;
        parent->cap = cap;
    }
    parent->entries[parent->count++] =
        (struct config_entry){.key = key, .place = place, .value = value};
    return true;
}

struct config_entry *node_entry(const struct config_node *map, const char *key)
{
    if (map == NULL || map->kind != CONFIG_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->entries[i].key, key) == 0) {
            return &map->entries[i];
        }
    }
    return NULL;
}

static const char *copy_text(struct config_tree *tree, const void *text, size_t len)
{
    char *copy = arena_alloc(&tree->arena, len + 1);
    if (len > 0) {
        memcpy(copy, text, len);
    }
    copy[len] = '\0';
    return copy;
}

bool config_new_scalar(struct config_tree *tree, struct config_place place, const char *text,
                       struct config_node **out, struct error *err)
{
    if (!node_new(tree, CONFIG_SCALAR, place, out, err)) {
        return false;
    }
    (*out)->len = strlen(text);
    (*out)->text = copy_text(tree, text, (*out)->len);
    (*out)->plain = true;
    return true;
}

bool config_new_map(struct config_tree *tree, struct config_place place, const char *key,
                    struct config_node *value, struct config_node **out, struct error *err)
{
    return node_new(tree, CONFIG_MAP, place, out, err) &&
           node_append(tree, *out, copy_text(tree, key, strlen(key)), place, value, err);
}

/* --- the builder --- */

struct anchor {
    char *name; /* libyaml's copy is gone with its event: ours, freed with the builder */
    struct config_node *node;
};

struct open_node {
    struct config_node *node;
    const char *key; /* maps: the key whose value comes next; NULL: a key comes next */
    struct config_place key_place;
};

struct builder {
    struct config_tree *tree;
    const char *source;
    uint32_t order;
    yaml_parser_t parser;
    struct open_node stack[CONFIG_DEPTH_MAX];
    size_t depth;
    struct anchor anchors[ANCHORS_MAX];
    size_t anchor_count;
    struct config_node *document; /* NULL until the first node */
    unsigned document_count;
    struct error *err;
};

static struct config_place place_at(const struct builder *b, yaml_mark_t mark)
{
    return (struct config_place){
        .source = b->source,
        .order = b->order,
        .line = (uint32_t)mark.line + 1,
        .column = (uint32_t)mark.column + 1,
    };
}

static bool refuse(const struct builder *b, struct config_place place, const char *what)
{
    return error_set(b->err, ERR_INVALID, "%s:%u:%u: %s", place.source, place.line, place.column,
                     what);
}

/* What is wrong with the bytes, in libyaml's words. */
static bool refuse_syntax(const struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    const char *problem = p->problem != NULL ? p->problem : "cannot be read";

    if (p->error == YAML_READER_ERROR) {
        return error_set(b->err, ERR_INVALID, "%s: byte %zu: %s", b->source, p->problem_offset,
                         problem);
    }
    struct config_place place = place_at(b, p->problem_mark);
    if (p->context != NULL) {
        return error_set(b->err, ERR_INVALID, "%s:%u:%u: %s (%s that begins in line %zu)",
                         b->source, place.line, place.column, problem, p->context,
                         p->context_mark.line + 1);
    }
    return refuse(b, place, problem);
}

/* Only `!!str` and `!` (both: a string) may stand before a value. */
static bool check_tag(const struct builder *b, const yaml_char_t *tag, struct config_place place,
                      bool *is_string)
{
    const char *text = (const char *)tag;

    *is_string = false;
    if (text == NULL) {
        return true;
    }
    if (strcmp(text, "!") == 0 || strcmp(text, YAML_STR_TAG) == 0) {
        *is_string = true;
        return true;
    }
    return error_set(b->err, ERR_INVALID, "%s:%u:%u: tags (%.60s) are not supported", place.source,
                     place.line, place.column, text);
}

static bool keep_anchor(struct builder *b, const yaml_char_t *name, struct config_node *node)
{
    if (name == NULL) {
        return true;
    }
    for (size_t i = 0; i < b->anchor_count; i++) {
        if (strcmp(b->anchors[i].name, (const char *)name) == 0) {
            b->anchors[i].node = node; /* YAML: the latest of a name counts */
            return true;
        }
    }
    if (b->anchor_count == ANCHORS_MAX) {
        return refuse(b, node->place, "too many anchors");
    }
    b->anchors[b->anchor_count++] =
        (struct anchor){.name = mem_strdup((const char *)name), .node = node};
    return true;
}

/* A value is complete or has begun: hang it where it belongs. */
static bool attach(struct builder *b, struct config_node *node)
{
    if (b->depth == 0) {
        b->document = node;
        return true;
    }
    struct open_node *top = &b->stack[b->depth - 1];
    struct config_place place = top->node->kind == CONFIG_MAP ? top->key_place : node->place;
    const char *key = top->key;
    top->key = NULL;
    return node_append(b->tree, top->node, key, place, node, b->err);
}

static bool is_key_next(const struct builder *b)
{
    return b->depth > 0 && b->stack[b->depth - 1].node->kind == CONFIG_MAP &&
           b->stack[b->depth - 1].key == NULL;
}

static bool take_key(struct builder *b, const yaml_event_t *event, struct config_place place)
{
    struct open_node *top = &b->stack[b->depth - 1];
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;

    if (memchr(text, '\0', len) != NULL) {
        return refuse(b, place, "a key holds a NUL character");
    }
    const struct config_entry *earlier = node_entry(top->node, text);
    if (earlier != NULL) {
        return error_set(b->err, ERR_INVALID,
                         "%s:%u:%u: mapping key \"%.80s\" already defined at line %u", place.source,
                         place.line, place.column, text, earlier->place.line);
    }
    top->key = copy_text(b->tree, text, len);
    top->key_place = place;
    return true;
}

static bool take_scalar(struct builder *b, const yaml_event_t *event)
{
    struct config_place place = place_at(b, event->start_mark);
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    struct config_node *node;
    bool is_string;

    if (!check_tag(b, event->data.scalar.tag, place, &is_string)) {
        return false;
    }
    if (is_key_next(b)) {
        return event->data.scalar.anchor == NULL ? take_key(b, event, place)
                                                 : refuse(b, place, "a key cannot be an anchor");
    }
    if (memchr(text, '\0', len) != NULL) {
        return refuse(b, place, "a value holds a NUL character");
    }
    if (!node_new(b->tree, CONFIG_SCALAR, place, &node, b->err)) {
        return false;
    }
    node->text = copy_text(b->tree, text, len);
    node->len = len;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !is_string;
    return attach(b, node) && keep_anchor(b, event->data.scalar.anchor, node);
}

static bool open_container(struct builder *b, const yaml_event_t *event, enum config_kind kind,
                           const yaml_char_t *anchor, const yaml_char_t *tag)
{
    struct config_place place = place_at(b, event->start_mark);
    struct config_node *node;

    if (tag != NULL) {
        bool is_string;
        return check_tag(b, tag, place, &is_string) &&
               refuse(b, place, "a map or list cannot be a string");
    }
    if (is_key_next(b)) {
        return refuse(b, place, "a key must be a text");
    }
    if (b->depth == CONFIG_DEPTH_MAX) {
        return refuse(b, place, "nested deeper than 64 levels");
    }
    if (!node_new(b->tree, kind, place, &node, b->err) || !attach(b, node) ||
        !keep_anchor(b, anchor, node)) {
        return false;
    }
    b->stack[b->depth++] = (struct open_node){.node = node};
    return true;
}

/* A copy for an alias. Its height is bounded as everything built is; the sum is checked here. */
static bool copy_node(struct builder *b, const struct config_node *node, size_t depth,
                      struct config_node **out)
{
    if (depth > CONFIG_DEPTH_MAX) {
        return refuse(b, node->place, "nested deeper than 64 levels by aliases");
    }
    if (!node_new(b->tree, node->kind, node->place, out, b->err)) {
        return false;
    }
    (*out)->text = node->text;
    (*out)->len = node->len;
    (*out)->plain = node->plain;
    for (size_t i = 0; i < node->count; i++) {
        const struct config_entry *entry = &node->entries[i];
        struct config_node *child;
        if (!copy_node(b, entry->value, depth + 1, &child) ||
            !node_append(b->tree, *out, entry->key, entry->place, child, b->err)) {
            return false;
        }
    }
    return true;
}

static bool take_alias(struct builder *b, const yaml_event_t *event)
{
    struct config_place place = place_at(b, event->start_mark);
    const char *name = (const char *)event->data.alias.anchor;
    const struct config_node *target = NULL;
    struct config_node *copy;

    if (is_key_next(b)) {
        return refuse(b, place, "a key cannot be an alias");
    }
    for (size_t i = 0; i < b->anchor_count; i++) {
        if (strcmp(b->anchors[i].name, name) == 0) {
            target = b->anchors[i].node;
        }
    }
    if (target == NULL) {
        return error_set(b->err, ERR_INVALID, "%s:%u:%u: unknown anchor \"%.80s\"", place.source,
                         place.line, place.column, name);
    }
    for (size_t i = 0; i < b->depth; i++) {
        if (b->stack[i].node == target) {
            return refuse(b, place, "an alias stands for something that contains it");
        }
    }
    return copy_node(b, target, b->depth + 1, &copy) && attach(b, copy);
}

/* `<<: *defaults` or `<<: [*a, *b]`: keys that the map itself does not have. */
static bool apply_merge_key(struct builder *b, struct config_node *map)
{
    struct config_entry *entry = node_entry(map, "<<");
    if (entry == NULL) {
        return true;
    }
    struct config_node *from = entry->value;
    size_t at = (size_t)(entry - map->entries);
    memmove(entry, entry + 1, (map->count - at - 1) * sizeof(*entry));
    map->count--;

    size_t count = from->kind == CONFIG_LIST ? from->count : 1;
    for (size_t i = 0; i < count; i++) {
        struct config_node *one = from->kind == CONFIG_LIST ? from->entries[i].value : from;
        if (one->kind != CONFIG_MAP) {
            return refuse(b, one->place, "<< needs a map or a list of maps");
        }
        for (size_t k = 0; k < one->count; k++) {
            const struct config_entry *add = &one->entries[k];
            if (node_entry(map, add->key) == NULL &&
                !node_append(b->tree, map, add->key, add->place, add->value, b->err)) {
                return false;
            }
        }
    }
    return true;
}

static bool close_container(struct builder *b)
{
    assert(b->depth > 0);
    struct config_node *node = b->stack[--b->depth].node;
    return node->kind != CONFIG_MAP || apply_merge_key(b, node);
}

static bool take_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->document_count++ > 0) {
            return refuse(b, place_at(b, event->start_mark), "a second document begins here");
        }
        return true;
    case YAML_SCALAR_EVENT:
        return take_scalar(b, event);
    case YAML_ALIAS_EVENT:
        return take_alias(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_container(b, event, CONFIG_LIST, event->data.sequence_start.anchor,
                              event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return open_container(b, event, CONFIG_MAP, event->data.mapping_start.anchor,
                              event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_container(b);
    default:
        return true; /* begin and end of the stream, end of the document */
    }
}

static bool build(struct builder *b)
{
    for (bool done = false; !done;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event)) {
            return refuse_syntax(b);
        }
        done = event.type == YAML_STREAM_END_EVENT;
        bool ok = take_event(b, &event);
        yaml_event_delete(&event);
        if (!ok) {
            return false;
        }
    }
    return true;
}

bool config_parse(struct config_tree *tree, const char *name, struct slice text,
                  struct config_node **out, struct error *err)
{
    struct config_node *empty;

    if (text.len > CONFIG_TEXT_MAX) {
        return error_set(err, ERR_TOO_LARGE, "%s: larger than %d bytes", name, CONFIG_TEXT_MAX);
    }
    struct builder *b = mem_zalloc(1, sizeof(*b));
    b->tree = tree;
    b->source = copy_text(tree, name, strlen(name));
    b->order = ++tree->source_count;
    b->err = err;
    struct config_place start = {.source = b->source, .order = b->order, .line = 1, .column = 1};
    if (!yaml_parser_initialize(&b->parser)) {
        free(b);
        return error_set(err, ERR_LIMIT, "%s: no memory for the parser", name);
    }
    yaml_parser_set_input_string(&b->parser, text.len > 0 ? text.data : (const uint8_t *)"",
                                 text.len);
    bool ok = build(b);
    if (ok && b->document == NULL) {
        ok = config_new_scalar(tree, start, "", &empty, err);
        b->document = empty;
    }
    if (ok) {
        *out = b->document;
    }
    yaml_parser_delete(&b->parser);
    for (size_t i = 0; i < b->anchor_count; i++) {
        free(b->anchors[i].name);
    }
    free(b);
    return ok;
}

/* --- looking things up --- */

bool config_is_null(const struct config_node *node)
{
    if (node == NULL) {
        return true;
    }
    return node->kind == CONFIG_SCALAR && node->plain &&
           (node->len == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0 ||
            strcmp(node->text, "Null") == 0 || strcmp(node->text, "NULL") == 0);
}

struct config_node *config_get(const struct config_node *node, const char *key)
{
    const struct config_entry *entry = node_entry(node, key);
    return entry != NULL ? entry->value : NULL;
}

/* The entry at the end of a path. *nearest: the place of the last one found on the way. */
static struct config_entry *walk(const struct config_node *node, const char *path,
                                 struct config_place *nearest)
{
    struct config_entry *entry = NULL;

    for (const char *part = path; *part != '\0';) {
        char key[PATH_PART_MAX];
        size_t len = strcspn(part, ".");
        assert(len < sizeof(key));
        memcpy(key, part, len);
        key[len] = '\0';
        entry = node_entry(node, key);
        if (entry == NULL) {
            return NULL;
        }
        *nearest = entry->place;
        node = entry->value;
        part += len + (part[len] == '.');
    }
    return entry;
}

struct config_node *config_find(const struct config_node *node, const char *path)
{
    struct config_place nearest;
    struct config_entry *entry = walk(node, path, &nearest);
    return entry != NULL ? entry->value : NULL;
}

struct config_place config_place_of(const struct config_node *node, const char *path)
{
    struct config_place nearest = node != NULL ? node->place : (struct config_place){0};
    (void)walk(node, path, &nearest);
    return nearest;
}
