/*
 * bucket.c - a token bucket over time and over work done.
 */
#include "bucket.h"

#include <spangate/base/clock.h>

void bucket_init(struct bucket *bucket, uint64_t cap, uint64_t per_second, uint64_t now_ns)
{
    *bucket = (struct bucket){
        .tokens = cap,
        .cap = cap,
        .refill_ns = NS_PER_S / per_second,
        .filled_ns = now_ns,
    };
}

void bucket_earn(struct bucket *bucket, uint64_t tokens)
{
    uint64_t room = bucket->cap - bucket->tokens;

    bucket->tokens += tokens < room ? tokens : room;
}

bool bucket_take(struct bucket *bucket, uint64_t now_ns)
{
    if (now_ns > bucket->filled_ns) {
        uint64_t fresh = (now_ns - bucket->filled_ns) / bucket->refill_ns;
        bucket->filled_ns += fresh * bucket->refill_ns;
        bucket_earn(bucket, fresh);
    }
    if (bucket->tokens == 0) {
        return false;
    }
    bucket->tokens--;
    return true;
}
