/*
 * grpc_message_fuzz.c - any stream of bytes, cut anywhere, is one message or a fault; how it is cut
 * makes no difference, and all memory goes back to the budget.
 *
 * Input: first byte chooses how the rest is cut, the rest is the stream (and, once more, a timeout
 * and a content type).
 */
#include "grpc_message.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

enum { MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly this size, so that a sanitizer sees every byte read too far. */
static void feed(struct grpc_message *message, struct slice bytes)
{
    uint8_t *copy = malloc(bytes.len > 0 ? bytes.len : 1);
    assert(copy != NULL);
    if (bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    grpc_message_feed(message, (struct slice){copy, bytes.len});
    free(copy);
}

static void check_same(struct grpc_message *whole, struct grpc_message *cut)
{
    bool ok = grpc_message_end(whole);

    assert(grpc_message_end(cut) == ok);
    assert(whole->fault == cut->fault);
    assert(ok == (whole->fault == GRPC_FAULT_NONE));
    if (!ok) {
        assert(whole->body == NULL && cut->body == NULL);
        return;
    }
    struct buf *a = grpc_message_take(whole);
    struct buf *b = grpc_message_take(cut);
    assert((a == NULL) == (b == NULL) && (a == NULL) == (whole->length == 0));
    if (a != NULL) {
        assert(a->len == whole->length && slice_equal(buf_slice(a), buf_slice(b)));
        assert(a->len <= MAX);
    }
    buf_unref(a);
    buf_unref(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct budget budget;
    struct grpc_message whole;
    struct grpc_message cut;
    uint64_t ns;

    if (size == 0) {
        return 0;
    }
    size_t chunk = (size_t)data[0] + 1;
    struct slice stream = {data + 1, size - 1};

    budget_init(&budget, 4 * MAX, NULL);
    grpc_message_init(&whole, MAX, &budget);
    grpc_message_init(&cut, MAX, &budget);
    feed(&whole, stream);
    for (struct slice left = stream; left.len > 0; left = slice_from(left, chunk)) {
        feed(&cut, (struct slice){left.data, left.len < chunk ? left.len : chunk});
    }
    check_same(&whole, &cut);
    grpc_message_deinit(&whole);
    grpc_message_deinit(&cut);
    assert(budget_used(&budget) == 0);

    if (grpc_timeout_parse(stream, &ns)) {
        assert(stream.len >= 2 && stream.len <= 9);
    }
    if (grpc_content_type_is_ours(stream)) {
        assert(stream.len >= 16);
    }
    return 0;
}
