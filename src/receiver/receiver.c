/*
 * receiver.c - the functions of receiver.h, passed on to the front door they are called with.
 */
#include "receiver.h"

uint16_t receiver_port(const struct receiver *receiver)
{
    return receiver->ops->port(receiver);
}

void receiver_drain(struct receiver *receiver)
{
    receiver->ops->drain(receiver);
}

void receiver_close(struct receiver *receiver)
{
    if (receiver != NULL) {
        receiver->ops->close(receiver);
    }
}
