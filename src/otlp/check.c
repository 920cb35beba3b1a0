/*
 * check.c - frame and item count of requests that pass through undecoded (otlp_check).
 *
 * The three signals nest alike: request, resource, scope, item. A metric goes two levels deeper,
 * to the points of whichever kind of data it holds. The walk is a loop over a table of levels.
 */

#include <spangate/otlp/otlp.h>

#include "wire.h"

enum { LEVELS_MAX = 5 };

/* Bit n of a level: field n leads one level down, or is an item at the last level. */
struct signal_shape {
    uint32_t fields[LEVELS_MAX];
    size_t levels;
};

#define FIELD(number) (UINT32_C(1) << (number))

static const struct signal_shape shapes[OTLP_SIGNALS] = {
    [OTLP_TRACES] = {{FIELD(1), FIELD(2), FIELD(2)}, 3},
    [OTLP_LOGS] = {{FIELD(1), FIELD(2), FIELD(2)}, 3},
    [OTLP_METRICS] =
        {
            {
                FIELD(1),
                FIELD(2),
                FIELD(2),
                /* gauge, sum, histogram, exponential_histogram, summary */
                FIELD(5) | FIELD(7) | FIELD(9) | FIELD(10) | FIELD(11),
                FIELD(1),
            },
            5,
        },
};

bool otlp_check(enum otlp_signal signal, struct slice body, const struct otlp_limits *limits,
                size_t *items, struct error *err)
{
    const struct signal_shape *shape = &shapes[signal];
    const uint8_t *ends[LEVELS_MAX];
    size_t level = 0;
    size_t count = 0;
    struct pb_reader reader = pb_over(body);

    if (body.len > limits->body_bytes_max) {
        return error_set(err, ERR_TOO_LARGE, "a request of %zu bytes, over the limit of %zu",
                         body.len, limits->body_bytes_max);
    }
    for (;;) {
        while (reader.at == reader.end) {
            if (level == 0) {
                *items = count;
                return true;
            }
            reader.end = ends[--level];
        }

        struct pb_field field;
        enum pb_step step = pb_next(&reader, &field, err);
        if (step == PB_ERROR) {
            return false;
        }
        if (step == PB_END || field.number >= 32 ||
            (shape->fields[level] & FIELD(field.number)) == 0) {
            continue;
        }
        if (field.wire != PB_BYTES) {
            return error_set(err, ERR_INVALID, "field %u at byte %zu has another wire type",
                             field.number, (size_t)(field.whole.data - reader.begin));
        }
        if (level + 1 == shape->levels) {
            count++;
            continue;
        }
        ends[level++] = reader.end;
        reader.at = field.bytes.data;
        reader.end = field.bytes.data + field.bytes.len;
    }
}
