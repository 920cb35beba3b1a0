/*
 * bind.h - from a tree to structs by tables, and back to YAML and to documentation.
 *
 * A table says for each key: name, type, where it goes, default, range, and help in sentences for
 * the person who chooses a value. It is the only place where a key is written: binding,
 * print-config and docs/configuration.md are made from it.
 *
 * Keys of the Collector that we know but do not act on are in the tables too: CONFIG_NO_EFFECT is
 * accepted with a warning (or silently, `quiet`), CONFIG_UNSUPPORTED is an error unless it says
 * what we do anyway.
 */
#ifndef SPANGATE_CONFIG_BIND_H
#define SPANGATE_CONFIG_BIND_H

#include <spangate/config/tree.h>

/* In brackets the type of the member. */
enum config_type {
    CONFIG_STRING,           /* char *: NULL when empty and without a fallback */
    CONFIG_URL,              /* char *: printed without user, password and query */
    CONFIG_SECRET,           /* char *: never printed */
    CONFIG_BOOL,             /* bool */
    CONFIG_UINT,             /* uint64_t */
    CONFIG_INT,              /* int64_t */
    CONFIG_DOUBLE,           /* double */
    CONFIG_DURATION,         /* uint64_t: nanoseconds; "1m30s" */
    CONFIG_BYTES,            /* uint64_t: "64MiB", "1024" */
    CONFIG_BYTES_OR_PERCENT, /* struct config_amount */
    CONFIG_ENUM,             /* int: value of the name in `names` */
    CONFIG_STRINGS,          /* char **, count_at */
    CONFIG_SECRETS,          /* char **, count_at: never printed */
    CONFIG_HEADERS,     /* struct config_header *, count_at: a map, or a list of {name, value} */
    CONFIG_STRUCT,      /* a struct inside, described by `schema` */
    CONFIG_STRUCTS,     /* pointer to structs of schema->size, count_at */
    CONFIG_SECTIONS,    /* a map with keys of the user's choice: left to the caller */
    CONFIG_NO_EFFECT,   /* known, accepted, changes nothing */
    CONFIG_UNSUPPORTED, /* known, an error unless null, empty or equal to `fallback` */
};

/* Exactly one is not zero. */
struct config_amount {
    uint64_t bytes;
    double percent;
};

struct config_header {
    char *name;
    char *value;
};

struct config_name {
    const char *name;
    int value; /* names with the same value are synonyms, the first is printed */
};

struct config_schema;

struct config_field {
    const char *key;
    enum config_type type;
    size_t at;       /* CONFIG_AT */
    size_t count_at; /* CONFIG_AT of a size_t: STRINGS, SECRETS, HEADERS, STRUCTS */
    size_t given_at; /* CONFIG_GIVEN of a bool: set when the key is in the file; 0: nobody asks */
    bool null_is_given;    /* STRUCT: `key:` with nothing after it means "with defaults" */
    bool required;         /* absent is an error */
    bool quiet;            /* NO_EFFECT: without a warning */
    const char *fallback;  /* the default in the user's notation; NULL: empty, zero, off */
    const char *min, *max; /* in the user's notation; NULL: no bound */
    const struct config_name *names; /* ENUM: up to an entry with a NULL name */
    const struct config_schema *schema;
    const char *help;
};

struct config_schema {
    const struct config_field *fields;
    size_t count;
    size_t size; /* of the struct the offsets are for */
};

#define CONFIG_SCHEMA(type, table)                                                                 \
    {                                                                                              \
        .fields = (table), .count = COUNT_OF(table), .size = sizeof(type)                          \
    }

/* The offset of a member, refused by the compiler if the member has another type. */
#define CONFIG_AT(type, member, member_type)                                                       \
    _Generic(((type *)0)->member, member_type : offsetof(type, member))
#define CONFIG_GIVEN(type, member) (CONFIG_AT(type, member, bool) + 1)

struct config_binder {
    struct arena *arena; /* strings and arrays of the bound structs */
    struct config_report *report;
    const char *owner; /* "receivers::otlp"; put before problems; "" for none */
};

/*
 * Fill target from a map by its table. node NULL or null: all defaults. place: of the section, for
 * what is missing in it. Problems go to the report; the target is usable as far as it goes.
 */
void config_bind(const struct config_binder *binder, const struct config_schema *schema,
                 const struct config_node *node, struct config_place place, void *target);

/* "", or ` (did you mean "x"?)` for the nearest of the words up to a NULL; out holds 100 bytes. */
void config_suggest(const char *word, const char *const *candidates, char *out, size_t cap);

/* How config_write() writes. */
struct config_style {
    int indent;    /* spaces before the keys */
    bool comments; /* help above each key, commented-out keys without value */
};

/*
 * The struct as YAML: every key with an effect. Secrets as "[REDACTED]", `$` doubled, so that it
 * loads again.
 */
void config_write(const struct config_schema *schema, const void *source,
                  const struct config_style *style, struct strbuf *out);

/* One scalar, quoted where YAML or expansion would read it as something else. */
void config_write_text(const char *text, struct strbuf *out);

/* A URL without user, password and query. */
void config_write_url(const char *url, struct strbuf *out);

/* Text as comment lines of at most 96 characters. */
void config_write_comment(int indent, const char *text, struct strbuf *out);

/* Rows of a Markdown table for docs/configuration.md, with its head. */
void config_write_markdown(const struct config_schema *schema, struct strbuf *out);

#endif
