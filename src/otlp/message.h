/*
 * message.h - the messages inside a span and its envelopes, as one table, and the two walks over
 * them that need the whole schema: checking and repairing.
 *
 * The tables hold what the walks need: wire types, which bytes are text, which are messages.
 * Fields that are not in them are unknown: skipped by the check, copied by the repair.
 */
#ifndef SPANGATE_SRC_OTLP_MESSAGE_H
#define SPANGATE_SRC_OTLP_MESSAGE_H

#include <spangate/base/slice.h>
#include <spangate/base/strbuf.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum message {
    MSG_RESOURCE_SPANS, /* without scope_spans: an envelope */
    MSG_SCOPE_SPANS,    /* without spans: an envelope */
    MSG_RESOURCE,
    MSG_SCOPE,
    MSG_ENTITY_REF,
    MSG_SPAN,
    MSG_EVENT,
    MSG_LINK,
    MSG_STATUS,
    MSG_KEY_VALUE,
    MSG_ANY_VALUE,
    MSG_ARRAY_VALUE,
    MSG_KEY_VALUE_LIST,
    MSG_COUNT
};

/* otlp_limits.depth_max is cut to this: what the stacks of the walks hold. */
enum { MESSAGE_DEPTH_MAX = 128 };

struct message_findings {
    size_t bad_strings;   /* strings that are not UTF-8 */
    bool too_deep;        /* AnyValues beyond depth_max; what is inside them was not looked at */
    const uint8_t *fault; /* the field that is malformed, NULL if none */
    const char *fault_why;
    enum message fault_in;
};

const char *message_name(enum message type);

/*
 * Walk the whole message. Adds to findings, which the caller has zeroed. false: malformed, see
 * `fault`: the wire format is broken, or a known field has another wire type.
 */
bool message_check(enum message type, struct slice bytes, size_t depth_max,
                   struct message_findings *findings);

/*
 * The same message with U+FFFD in place of bytes that are not UTF-8, appended to out. Only for
 * messages that message_check() passed without too_deep.
 */
void message_repair(enum message type, struct slice bytes, struct strbuf *out);

/* Whether all bytes are ASCII: the quick answer for nearly every string. */
static inline bool bytes_are_ascii(const uint8_t *at, size_t len)
{
    const uint64_t high = UINT64_C(0x8080808080808080);
    uint64_t seen = 0;
    uint64_t word;

    if (len >= 8) {
        const uint8_t *last = at + len - 8;
        for (; at < last; at += 8) {
            memcpy(&word, at, 8);
            seen |= word;
        }
        memcpy(&word, last, 8); /* overlaps what was read: the remainder without a loop */
        return ((seen | word) & high) == 0;
    }
    if (len >= 4) {
        uint32_t first;
        uint32_t second;
        memcpy(&first, at, 4);
        memcpy(&second, at + len - 4, 4);
        return ((first | second) & (uint32_t)high) == 0;
    }
    for (size_t i = 0; i < len; i++) {
        seen |= at[i];
    }
    return (seen & 0x80) == 0;
}

/*
 * The same where memory may be read up to `limit`, which is at or behind the end of the text: short
 * text is answered without a loop or a branch on its length, which would be mispredicted half the
 * time. That is half of what a span costs.
 */
static inline bool bytes_are_ascii_within(const uint8_t *at, size_t len, const uint8_t *limit)
{
#ifdef __SSE2__
    if (len <= 32 && limit - at >= 32) {
        __m128i low = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(at + 16));
        uint64_t bits = (uint32_t)_mm_movemask_epi8(low) | (uint32_t)_mm_movemask_epi8(high) << 16;
        return (bits & ((UINT64_C(1) << len) - 1)) == 0;
    }
#else
    (void)limit;
#endif
    return bytes_are_ascii(at, len);
}

#endif
