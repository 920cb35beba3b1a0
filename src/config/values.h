/*
 * values.h - one scalar: text to value and back, for every type of bind.h that is one.
 */
#ifndef SPANGATE_SRC_CONFIG_VALUES_H
#define SPANGATE_SRC_CONFIG_VALUES_H

#include <spangate/base/strbuf.h>
#include <spangate/config/bind.h>

/* Room for any of them. */
union config_value {
    char *text;
    bool yes;
    uint64_t uint;
    int64_t sint;
    double real;
    int choice;
    struct config_amount amount;
};

/*
 * Read text as the type of the field, within its min and max. On failure `why` (200 bytes) says
 * what was expected, without the text itself.
 */
bool value_parse(const struct config_field *field, const char *text, union config_value *out,
                 char *why, size_t cap) MUST_CHECK;

/* Where the bytes of a value of this type are within the union, and how many. */
size_t value_size(enum config_type type);

/* As the user would write it, unquoted; not for strings. */
void value_format(const struct config_field *field, const union config_value *value, char *out,
                  size_t cap);

/* "duration", "size", "one of sync, interval, memory": for messages and the documentation. */
void value_describe(const struct config_field *field, char *out, size_t cap);

#endif
