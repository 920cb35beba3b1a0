/*
 * receiver.h - what both front doors share: the base struct, its table of functions.
 */
#ifndef SPANGATE_SRC_RECEIVER_H
#define SPANGATE_SRC_RECEIVER_H

#include <spangate/receiver/receiver.h>

struct receiver_ops {
    uint16_t (*port)(const struct receiver *receiver);
    void (*drain)(struct receiver *receiver);
    void (*close)(struct receiver *receiver);
};

/* First member of struct http_receiver and struct grpc_receiver. */
struct receiver {
    const struct receiver_ops *ops;
};

#endif
