/*
 * json_decode_fuzz.c - any bytes at all become protobuf or are refused, as each of the signals.
 *
 * Properties: a refusal is the sender's fault, says why, and leaves the output as it was; the bytes
 * that come out can be written as JSON; reading that JSON and writing it again changes nothing.
 */

#undef NDEBUG
#include <assert.h>
#include <spangate/otlp/otlp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUTPUT_MAX = 1 << 22 };

static const struct otlp_limits limits = {
    .body_bytes_max = OUTPUT_MAX,
    .spans_max = 100000,
    .depth_max = 32,
    .json_depth_max = 200,
};

static void assert_refusal(const struct error *err)
{
    assert(err->code == ERR_INVALID || err->code == ERR_TOO_LARGE);
    assert(err->message[0] != '\0');
}

/* JSON of the bytes, read and written again, is the same JSON. */
static void assert_stable(enum otlp_signal signal, struct slice body)
{
    struct strbuf first;
    struct strbuf second;
    struct strbuf again;
    struct error err = {0};

    strbuf_init(&first, 64 * (size_t)OUTPUT_MAX);
    strbuf_init(&second, 64 * (size_t)OUTPUT_MAX);
    strbuf_init(&again, 64 * (size_t)OUTPUT_MAX);
    assert(otlp_json_encode(signal, body, &first, &err));
    assert(otlp_json_decode(signal, strbuf_slice(&first), &limits, &again, &err));
    assert(otlp_json_encode(signal, strbuf_slice(&again), &second, &err));
    assert(slice_equal(strbuf_slice(&first), strbuf_slice(&second)));
    strbuf_deinit(&again);
    strbuf_deinit(&second);
    strbuf_deinit(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice json = {.data = data, .len = size};

    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        struct strbuf body;
        struct error err = {0};
        strbuf_init(&body, OUTPUT_MAX);
        if (otlp_json_decode((enum otlp_signal)signal, json, &limits, &body, &err)) {
            assert(err.code == ERR_NONE);
            assert(body.len <= OUTPUT_MAX);
            assert_stable((enum otlp_signal)signal, strbuf_slice(&body));
        } else {
            assert_refusal(&err);
            assert(body.len == 0);
        }
        strbuf_deinit(&body);
    }
    return 0;
}
