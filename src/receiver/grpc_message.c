/*
 * grpc_message.c - one length-prefixed message out of DATA cut anywhere.
 */
#include "grpc_message.h"

#include <spangate/base/clock.h>
#include <strings.h>

/* Taken at once for a message that announces more; doubled as it fills. */
enum { FIRST_BYTES = 256 * 1024 };

void grpc_message_init(struct grpc_message *message, size_t max, struct budget *budget)
{
    *message = (struct grpc_message){.max = max, .budget = budget};
}

void grpc_message_deinit(struct grpc_message *message)
{
    buf_unref(message->body);
    message->body = NULL;
}

static void set_fault(struct grpc_message *message, enum grpc_fault fault)
{
    message->fault = fault;
    grpc_message_deinit(message);
}

static void read_head(struct grpc_message *message)
{
    const uint8_t *head = message->head;

    message->length = (uint32_t)head[1] << 24 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 8 |
                      (uint32_t)head[4];
    message->compressed = head[0] == 1;
    if (head[0] > 1) {
        set_fault(message, GRPC_FAULT_FLAG);
    } else if (message->length > message->max) {
        set_fault(message, GRPC_FAULT_TOO_LARGE);
    }
}

/* Room for len bytes in all. */
static bool make_room(struct grpc_message *message, size_t len)
{
    size_t cap = message->body == NULL ? FIRST_BYTES : message->body->cap;

    while (cap < len) {
        cap *= 2;
    }
    if (cap > message->length) {
        cap = message->length;
    }
    if (message->body == NULL) {
        message->body = buf_new(cap, message->budget);
        return message->body != NULL;
    }
    return buf_reserve(message->body, cap);
}

static void feed_body(struct grpc_message *message, struct slice data)
{
    size_t have = message->body == NULL ? 0 : message->body->len;

    if (data.len == 0) {
        return;
    }
    if (data.len > message->length - have) {
        set_fault(message, GRPC_FAULT_SECOND);
        return;
    }
    if (!make_room(message, have + data.len)) {
        set_fault(message, GRPC_FAULT_BUDGET);
        return;
    }
    memcpy(message->body->data + have, data.data, data.len);
    message->body->len = have + data.len;
}

void grpc_message_feed(struct grpc_message *message, struct slice data)
{
    if (message->fault != GRPC_FAULT_NONE) {
        return;
    }
    if (message->head_len < GRPC_HEAD) {
        size_t missing = GRPC_HEAD - message->head_len;
        size_t part = data.len < missing ? data.len : missing;
        if (part > 0) {
            memcpy(message->head + message->head_len, data.data, part);
        }
        message->head_len += part;
        if (message->head_len < GRPC_HEAD) {
            return;
        }
        read_head(message);
        data = slice_from(data, part);
    }
    if (message->fault == GRPC_FAULT_NONE) {
        feed_body(message, data);
    }
}

bool grpc_message_end(struct grpc_message *message)
{
    size_t have = message->body == NULL ? 0 : message->body->len;

    if (message->fault != GRPC_FAULT_NONE) {
        return false;
    }
    if (message->head_len == 0) {
        set_fault(message, GRPC_FAULT_EMPTY);
        return false;
    }
    if (message->head_len < GRPC_HEAD || have < message->length) {
        set_fault(message, GRPC_FAULT_CUT);
        return false;
    }
    return true;
}

struct buf *grpc_message_take(struct grpc_message *message)
{
    struct buf *body = message->body;

    message->body = NULL;
    return body;
}

static bool timeout_unit(uint8_t letter, uint64_t *ns)
{
    switch (letter) {
    case 'H':
        *ns = 3600 * NS_PER_S;
        return true;
    case 'M':
        *ns = 60 * NS_PER_S;
        return true;
    case 'S':
        *ns = NS_PER_S;
        return true;
    case 'm':
        *ns = NS_PER_MS;
        return true;
    case 'u':
        *ns = NS_PER_US;
        return true;
    case 'n':
        *ns = 1;
        return true;
    default:
        return false;
    }
}

bool grpc_timeout_parse(struct slice text, uint64_t *ns)
{
    uint64_t value = 0;
    uint64_t unit;

    if (text.len < 2 || text.len > 9 || !timeout_unit(text.data[text.len - 1], &unit)) {
        return false;
    }
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = 10 * value + (uint64_t)(text.data[i] - '0');
    }
    *ns = value > UINT64_MAX / unit ? UINT64_MAX : value * unit;
    return true;
}

bool grpc_content_type_is_ours(struct slice text)
{
    static const char type[] = "application/grpc";
    struct slice rest = slice_from(text, sizeof(type) - 1);

    if (text.len < sizeof(type) - 1 ||
        strncasecmp((const char *)text.data, type, sizeof(type) - 1) != 0) {
        return false;
    }
    if (rest.len >= 6 && strncasecmp((const char *)rest.data, "+proto", 6) == 0) {
        rest = slice_from(rest, 6);
    }
    return rest.len == 0 || rest.data[0] == ';' || rest.data[0] == ' ';
}
