/*
 * utf8.c - is it UTF-8 (RFC 3629), and making it so.
 */
#include <spangate/base/text.h>

/* Length of the valid sequence that starts at `at`, 0 when there is none. ASCII is the caller's. */
static size_t sequence_len(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    size_t len;

    if (lead >= 0xc2 && lead <= 0xdf) {
        len = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        len = 3;
        low = lead == 0xe0 ? 0xa0 : 0x80;  /* no overlong forms */
        high = lead == 0xed ? 0x9f : 0xbf; /* no surrogates */
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        len = 4;
        low = lead == 0xf0 ? 0x90 : 0x80;
        high = lead == 0xf4 ? 0x8f : 0xbf; /* nothing over U+10FFFF */
    } else {
        return 0;
    }
    if (left < len || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

static bool is_ascii8(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return (word & UINT64_C(0x8080808080808080)) == 0;
}

bool utf8_is_valid(struct slice text)
{
    const uint8_t *at = text.data;
    size_t left = text.len;
    while (left > 0) {
        if (left >= 8 && is_ascii8(at)) {
            at += 8;
            left -= 8;
            continue;
        }
        size_t len = *at < 0x80 ? 1 : sequence_len(at, left);
        if (len == 0) {
            return false;
        }
        at += len;
        left -= len;
    }
    return true;
}

void utf8_sanitize(struct slice text, struct strbuf *out)
{
    const uint8_t *at = text.data;
    size_t left = text.len;
    while (left > 0) {
        size_t len = *at < 0x80 ? 1 : sequence_len(at, left);
        if (len == 0) {
            strbuf_append(out, "\xef\xbf\xbd", 3);
            len = 1;
        } else {
            strbuf_append(out, at, len);
        }
        at += len;
        left -= len;
    }
}

void json_put_string(struct strbuf *out, struct slice text)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *at = text.data;
    size_t left = text.len;

    strbuf_putc(out, '"');
    while (left > 0) {
        /* The plain run first: it is nearly everything. */
        size_t run = 0;
        while (run < left && at[run] >= 0x20 && at[run] < 0x80 && at[run] != '"' &&
               at[run] != '\\' && at[run] != '<') {
            run++;
        }
        strbuf_append(out, at, run);
        at += run;
        left -= run;
        if (left == 0) {
            break;
        }
        uint8_t c = *at;
        size_t len = 1;
        if (c == '"' || c == '\\') {
            char pair[2] = {'\\', (char)c};
            strbuf_append(out, pair, 2);
        } else if (c == '\n') {
            strbuf_append(out, "\\n", 2);
        } else if (c == '\r') {
            strbuf_append(out, "\\r", 2);
        } else if (c == '\t') {
            strbuf_append(out, "\\t", 2);
        } else if (c < 0x80) {
            char code[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
            strbuf_append(out, code, sizeof(code));
        } else {
            len = sequence_len(at, left);
            if (len == 0) {
                strbuf_append(out, "\xef\xbf\xbd", 3);
                len = 1;
            } else if (len == 3 && at[0] == 0xe2 && at[1] == 0x80 &&
                       (at[2] == 0xa8 || at[2] == 0xa9)) {
                strbuf_append(out, at[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
            } else {
                strbuf_append(out, at, len);
            }
        }
        at += len;
        left -= len;
    }
    strbuf_putc(out, '"');
}
