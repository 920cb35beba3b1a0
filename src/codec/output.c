/*
 * output.c - see output.h.
 */
#include "output.h"

#include <assert.h>

enum {
    RATIO_MAX = 1000,         /* deflate can do 1032:1; telemetry does 5 to 30 */
    RATIO_FREE = 1024 * 1024, /* this much output is no bomb whatever the ratio */
    HINT_RATIO_MAX = 64,      /* a declared size beyond this must prove itself by growing */
    ROOM_MIN = 4096,
    GROWTH = 4,
};

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t multiply(size_t a, size_t b)
{
    size_t product;

    return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

static bool refuse_budget(const struct output *output, size_t cap, struct error *err)
{
    return error_set(err, ERR_LIMIT, "%s: no memory left in the budget for %zu bytes",
                     output->codec, cap);
}

bool output_open(struct output *output, const char *codec, size_t in_len, size_t max, size_t hint,
                 struct budget *budget, struct error *err)
{
    size_t guarded = multiply(in_len, RATIO_MAX);
    size_t cap = min_size(hint, multiply(in_len, HINT_RATIO_MAX));

    *output = (struct output){.codec = codec, .budget = budget, .in_len = in_len, .max = max};
    output->allowed = min_size(max, guarded > RATIO_FREE ? guarded : RATIO_FREE);
    cap = min_size(cap > ROOM_MIN ? cap : ROOM_MIN, output->allowed);
    output->buf = buf_new(cap, budget);
    return output->buf != NULL || refuse_budget(output, cap, err);
}

void output_close(struct output *output)
{
    buf_unref(output->buf);
    output->buf = NULL;
}

bool output_too_large(const struct output *output, struct error *err)
{
    if (output->allowed < output->max) {
        return error_set(err, ERR_TOO_LARGE, "%s: %zu bytes inflate to more than %d times as many",
                         output->codec, output->in_len, RATIO_MAX);
    }
    return error_set(err, ERR_TOO_LARGE, "%s: inflates to more than %zu bytes", output->codec,
                     output->max);
}

bool output_grow(struct output *output, struct error *err)
{
    size_t cap = min_size(multiply(output->buf->cap, GROWTH), output->allowed);

    if (output->buf->cap >= output->allowed) {
        return output_too_large(output, err);
    }
    return buf_reserve(output->buf, cap) || refuse_budget(output, cap, err);
}

struct buf *output_take(struct output *output)
{
    struct buf *buf = output->buf;

    assert(buf->len <= output->allowed);
    if (buf->cap > ROOM_MIN && buf->cap / 2 > buf->len) {
        struct buf *fitting = buf_copy(buf_slice(buf), output->budget);
        if (fitting != NULL) {
            buf_unref(buf);
            buf = fitting;
        }
    }
    output->buf = NULL;
    return buf;
}
