/*
 * bucket.h - a token bucket: how many unusual frames a connection may still send.
 */
#ifndef SPANGATE_SRC_BUCKET_H
#define SPANGATE_SRC_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
    uint64_t tokens;
    uint64_t cap;
    uint64_t refill_ns; /* one token each */
    uint64_t filled_ns; /* tokens are counted up to here */
};

void bucket_init(struct bucket *bucket, uint64_t cap, uint64_t per_second, uint64_t now_ns);

/* Useful work done: tokens back, up to the cap. */
void bucket_earn(struct bucket *bucket, uint64_t tokens);

/* One token. false: there is none. */
bool bucket_take(struct bucket *bucket, uint64_t now_ns);

#endif
