/* sample.h - a table with one field of every type, for the tests of binding and writing. */
#ifndef SPANGATE_TEST_CONFIG_SAMPLE_H
#define SPANGATE_TEST_CONFIG_SAMPLE_H

#include <spangate/config/bind.h>

struct sample_item {
    char *name;
    uint64_t weight;
};

struct sample_inner {
    bool inner_given;
    char *ca_file;
    uint64_t timeout_ns;
};

struct sample {
    bool flag;
    bool flag_given, tls_given, plain_given;
    char *text, *url, *secret, *needed;
    uint64_t count;
    int64_t level;
    double ratio;
    uint64_t wait_ns;
    uint64_t bytes;
    struct config_amount amount;
    int mode;
    char **names;
    size_t name_count;
    struct config_header *headers;
    size_t header_count;
    struct sample_item *items;
    size_t item_count;
    struct sample_inner tls, plain;
};

enum { MODE_FAST, MODE_SAFE };

static const struct config_name sample_modes[] = {
    {"fast", MODE_FAST}, {"safe", MODE_SAFE}, {"sure", MODE_SAFE}, {NULL, 0}};

static const struct config_field sample_item_fields[] = {
    {.key = "name",
     .type = CONFIG_STRING,
     .at = CONFIG_AT(struct sample_item, name, char *),
     .required = true},
    {.key = "weight",
     .type = CONFIG_UINT,
     .at = CONFIG_AT(struct sample_item, weight, uint64_t),
     .fallback = "1"},
};
static const struct config_schema sample_item_schema =
    CONFIG_SCHEMA(struct sample_item, sample_item_fields);

static const struct config_field sample_inner_fields[] = {
    {.key = "ca_file",
     .type = CONFIG_STRING,
     .at = CONFIG_AT(struct sample_inner, ca_file, char *)},
    {.key = "timeout",
     .type = CONFIG_DURATION,
     .at = CONFIG_AT(struct sample_inner, timeout_ns, uint64_t),
     .fallback = "5s"},
};
static const struct config_schema sample_inner_schema =
    CONFIG_SCHEMA(struct sample_inner, sample_inner_fields);

static const struct config_field sample_fields[] = {
    {.key = "flag",
     .type = CONFIG_BOOL,
     .at = CONFIG_AT(struct sample, flag, bool),
     .fallback = "true",
     .given_at = CONFIG_GIVEN(struct sample, flag_given),
     .help = "Whether it flies."},
    {.key = "text",
     .type = CONFIG_STRING,
     .at = CONFIG_AT(struct sample, text, char *),
     .fallback = "hello"},
    {.key = "endpoint", .type = CONFIG_URL, .at = CONFIG_AT(struct sample, url, char *)},
    {.key = "secret", .type = CONFIG_SECRET, .at = CONFIG_AT(struct sample, secret, char *)},
    {.key = "needed",
     .type = CONFIG_STRING,
     .at = CONFIG_AT(struct sample, needed, char *),
     .required = true,
     .help = "What cannot | be missing."},
    {.key = "count",
     .type = CONFIG_UINT,
     .at = CONFIG_AT(struct sample, count, uint64_t),
     .fallback = "10",
     .min = "1",
     .max = "100"},
    {.key = "level",
     .type = CONFIG_INT,
     .at = CONFIG_AT(struct sample, level, int64_t),
     .fallback = "-1",
     .min = "-1"},
    {.key = "ratio",
     .type = CONFIG_DOUBLE,
     .at = CONFIG_AT(struct sample, ratio, double),
     .fallback = "0.5",
     .min = "0",
     .max = "1"},
    {.key = "wait",
     .type = CONFIG_DURATION,
     .at = CONFIG_AT(struct sample, wait_ns, uint64_t),
     .fallback = "200ms",
     .max = "1h"},
    {.key = "bytes",
     .type = CONFIG_BYTES,
     .at = CONFIG_AT(struct sample, bytes, uint64_t),
     .fallback = "64MiB",
     .min = "1KiB"},
    {.key = "amount",
     .type = CONFIG_BYTES_OR_PERCENT,
     .at = CONFIG_AT(struct sample, amount, struct config_amount),
     .fallback = "256MiB",
     .min = "1MiB"},
    {.key = "mode",
     .type = CONFIG_ENUM,
     .at = CONFIG_AT(struct sample, mode, int),
     .fallback = "fast",
     .names = sample_modes},
    {.key = "names",
     .type = CONFIG_STRINGS,
     .at = CONFIG_AT(struct sample, names, char **),
     .count_at = CONFIG_AT(struct sample, name_count, size_t)},
    {.key = "headers",
     .type = CONFIG_HEADERS,
     .at = CONFIG_AT(struct sample, headers, struct config_header *),
     .count_at = CONFIG_AT(struct sample, header_count, size_t)},
    {.key = "items",
     .type = CONFIG_STRUCTS,
     .at = CONFIG_AT(struct sample, items, struct sample_item *),
     .count_at = CONFIG_AT(struct sample, item_count, size_t),
     .schema = &sample_item_schema},
    {.key = "tls",
     .type = CONFIG_STRUCT,
     .at = CONFIG_AT(struct sample, tls, struct sample_inner),
     .given_at = CONFIG_GIVEN(struct sample, tls_given),
     .schema = &sample_inner_schema},
    {.key = "plain",
     .type = CONFIG_STRUCT,
     .at = CONFIG_AT(struct sample, plain, struct sample_inner),
     .given_at = CONFIG_GIVEN(struct sample, plain_given),
     .null_is_given = true,
     .schema = &sample_inner_schema},
    {.key = "buffer", .type = CONFIG_NO_EFFECT, .help = "Buffers grow as needed."},
    {.key = "hush", .type = CONFIG_NO_EFFECT, .quiet = true, .help = "Nothing to say."},
    {.key = "auth", .type = CONFIG_UNSUPPORTED, .help = "Put a proxy in front."},
    {.key = "meta", .type = CONFIG_UNSUPPORTED, .fallback = "false", .help = "It is dropped."},
};
static const struct config_schema sample_schema = CONFIG_SCHEMA(struct sample, sample_fields);

#endif
