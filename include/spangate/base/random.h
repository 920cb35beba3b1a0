/* random.h - random numbers: from the kernel for secrets and seeds, cheap ones for jitter. */
#ifndef SPANGATE_BASE_RANDOM_H
#define SPANGATE_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *out, size_t len); /* getrandom(2); aborts if the kernel has none */

/* splitmix64: one state a user; the same seed gives the same numbers. */
uint64_t random_next(uint64_t *state);
double random_unit(uint64_t *state); /* 0 <= x < 1 */

#endif
