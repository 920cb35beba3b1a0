/*
 * text.c - hex, base64, edit distance.
 */
#include <spangate/base/text.h>

static const char hex_digits[] = "0123456789abcdef";

void hex_encode(const void *data, size_t len, char *out)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = hex_digits[bytes[i] >> 4];
        out[2 * i + 1] = hex_digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool hex_decode(struct slice text, void *out, size_t len)
{
    uint8_t *bytes = out;
    if (text.len != 2 * len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(text.data[2 * i]);
        int low = hex_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void base64_encode(struct slice bytes, struct strbuf *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        group |= left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)bytes.data[i + 2] : 0;
        char four[4] = {alphabet[group >> 18], alphabet[(group >> 12) & 63],
                        left > 1 ? alphabet[(group >> 6) & 63] : '=',
                        left > 2 ? alphabet[group & 63] : '='};
        strbuf_append(out, four, sizeof(four));
    }
}

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '+' || c == '-') {
        return 62;
    }
    return c == '/' || c == '_' ? 63 : -1;
}

bool base64_decode(struct slice text, struct strbuf *out)
{
    size_t len = text.len;
    size_t padding = 0;
    while (padding < 2 && len > 0 && text.data[len - 1] == '=') {
        len--;
        padding++;
    }
    /* With padding the whole must be groups of four; one digit alone carries no byte. */
    if ((padding > 0 && text.len % 4 != 0) || len % 4 == 1) {
        return false;
    }
    uint32_t group = 0;
    for (size_t i = 0; i < len; i++) {
        int value = base64_value(text.data[i]);
        if (value < 0) {
            return false;
        }
        group = group << 6 | (uint32_t)value;
        if (i % 4 == 3) {
            char three[3] = {(char)(group >> 16), (char)(group >> 8), (char)group};
            strbuf_append(out, three, sizeof(three));
            group = 0;
        }
    }
    if (len % 4 == 2) {
        strbuf_putc(out, (char)(group >> 4));
    } else if (len % 4 == 3) {
        char two[2] = {(char)(group >> 10), (char)(group >> 2)};
        strbuf_append(out, two, sizeof(two));
    }
    return true;
}

size_t text_distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    size_t row[LONGEST + 1];
    if (a_len > LONGEST || b_len > LONGEST) {
        return LONGEST;
    }
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[b_len];
}
