/*
 * backend_answer_fuzz.c - any bytes as the answer of a backend: read, or refused, and what is read
 * is a text that ends within its buffer and is UTF-8. The first byte chooses encoding and buffer.
 */

#undef NDEBUG
#include <assert.h>
#include <spangate/base/text.h>
#include <spangate/otlp/status.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_message(const char *message, size_t cap)
{
    assert(memchr(message, '\0', cap) != NULL);
    assert(utf8_is_valid(slice_of(message)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t caps[] = {1, 2, 8, 200};
    char message[200];
    uint64_t number;

    if (size == 0) {
        return 0;
    }
    enum otlp_encoding encoding = data[0] & 1 ? OTLP_JSON : OTLP_PROTOBUF;
    size_t cap = caps[data[0] >> 1 & 3];
    struct slice body = {data + 1, size - 1};

    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        struct strbuf again;
        if (!export_response_decode(encoding, (enum otlp_signal)signal, body, &number, message,
                                    cap)) {
            continue;
        }
        assert_message(message, cap);
        assert(number <= INT64_MAX);
        /* What we make of it says the same. */
        char second[200];
        uint64_t second_number;
        strbuf_init(&again, 4096);
        export_response_encode(encoding, (enum otlp_signal)signal, number, message, &again);
        bool read = export_response_decode(encoding, (enum otlp_signal)signal, strbuf_slice(&again),
                                           &second_number, second, cap);
        assert(read && second_number == number && strcmp(second, message) == 0);
        strbuf_deinit(&again);
    }
    if (status_decode(encoding, body, message, cap, &number)) {
        assert_message(message, cap);
        assert(number <= UINT64_C(366) * 24 * 3600 * 1000);
    }
    return 0;
}
