/*
 * hash.h - seeded hashing (XXH3) for tables that hold input from outside.
 *
 * The seed is drawn once a process from the kernel, so that nobody can prepare keys that collide.
 * hash_stable() is not seeded: for values that go to disk.
 */
#ifndef SPANGATE_BASE_HASH_H
#define SPANGATE_BASE_HASH_H

#include <spangate/base/slice.h>

uint64_t hash_bytes(const void *data, size_t len);
uint64_t hash_stable(const void *data, size_t len);
uint64_t hash_mix(uint64_t a, uint64_t b);

/* CRC-32C (Castagnoli), as in RFC 3720; start with crc 0. SSE4.2 where the processor has it. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
