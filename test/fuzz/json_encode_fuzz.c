/*
 * json_encode_fuzz.c - any bytes at all become JSON or are refused, as each of the messages that
 * can be asked for.
 *
 * Properties: a refusal is the sender's fault, says why, and leaves the output as it was; what
 * comes out of a request is JSON that the decoder takes; from there on nothing changes any more.
 */

#undef NDEBUG
#include <assert.h>
#include <spangate/otlp/otlp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUTPUT_MAX = 1 << 26 };

/* Deeper than the encoder writes: 200 messages, each an object in an array. */
static const struct otlp_limits limits = {
    .body_bytes_max = OUTPUT_MAX,
    .spans_max = 100000,
    .depth_max = 32,
    .json_depth_max = 500,
};

static void assert_refusal(const struct error *err, const struct strbuf *out)
{
    assert(err->code == ERR_INVALID);
    assert(err->message[0] != '\0');
    assert(out->len == 0);
}

static void fuzz_request(enum otlp_signal signal, struct slice body)
{
    struct strbuf first;
    struct strbuf second;
    struct strbuf again;
    struct error err = {0};

    strbuf_init(&first, OUTPUT_MAX);
    strbuf_init(&second, OUTPUT_MAX);
    strbuf_init(&again, OUTPUT_MAX);
    if (otlp_json_encode(signal, body, &first, &err)) {
        assert(err.code == ERR_NONE);
        assert(otlp_json_decode(signal, strbuf_slice(&first), &limits, &again, &err));
        assert(otlp_json_encode(signal, strbuf_slice(&again), &second, &err));
        assert(slice_equal(strbuf_slice(&first), strbuf_slice(&second)));
    } else {
        assert_refusal(&err, &first);
    }
    strbuf_deinit(&again);
    strbuf_deinit(&second);
    strbuf_deinit(&first);
}

static void fuzz_part(bool (*encode)(struct slice, struct strbuf *, struct error *),
                      struct slice bytes)
{
    struct strbuf out;
    struct error err = {0};

    strbuf_init(&out, OUTPUT_MAX);
    if (encode(bytes, &out, &err)) {
        assert(out.len >= 2 && out.data[0] == '{' && out.data[out.len - 1] == '}');
    } else {
        assert_refusal(&err, &out);
    }
    strbuf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = {.data = data, .len = size};

    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        fuzz_request((enum otlp_signal)signal, bytes);
    }
    fuzz_part(otlp_json_encode_span, bytes);
    fuzz_part(otlp_json_encode_resource, bytes);
    fuzz_part(otlp_json_encode_scope, bytes);
    return 0;
}
