/*
 * output.h - the buffer that inflated bytes go into: it grows, but never past what is allowed.
 *
 * What is allowed is the smaller of the caller's max and the ratio guard. A size that the input
 * declares is only a hint for the first allocation, and only as far as the input's own length
 * makes it likely.
 */
#ifndef SPANGATE_SRC_CODEC_OUTPUT_H
#define SPANGATE_SRC_CODEC_OUTPUT_H

#include <spangate/base/buf.h>
#include <spangate/base/error.h>

struct output {
    const char *codec; /* for messages */
    struct buf *buf;   /* len: what is final so far */
    struct budget *budget;
    size_t in_len;
    size_t max;     /* the caller's */
    size_t allowed; /* max, or less by the ratio guard */
};

/* hint: the expected length. ERR_LIMIT when the budget refuses. */
bool output_open(struct output *output, const char *codec, size_t in_len, size_t max, size_t hint,
                 struct budget *budget, struct error *err) MUST_CHECK;
void output_close(struct output *output);

/* The free part behind what is final. */
static inline uint8_t *output_at(const struct output *output)
{
    return output->buf->data + output->buf->len;
}

static inline size_t output_room(const struct output *output)
{
    return output->buf->cap - output->buf->len;
}

/* Four times the room. ERR_TOO_LARGE when all that is allowed is there already; ERR_LIMIT. */
bool output_grow(struct output *output, struct error *err) MUST_CHECK;

/* Not one byte more than allowed fits: fill err. Returns false. */
bool output_too_large(const struct output *output, struct error *err);

/* Take the result out; what was reserved far too large is given back. */
struct buf *output_take(struct output *output);

#endif
