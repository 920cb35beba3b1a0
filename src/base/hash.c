/*
 * hash.c - XXH3 with a seed of this process, and CRC-32C.
 */
#include <spangate/base/hash.h>

#include <spangate/base/random.h>

#include <pthread.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static struct {
    pthread_once_t once;
    uint64_t value;
} seed = {.once = PTHREAD_ONCE_INIT};

static void draw_seed(void)
{
    random_bytes(&seed.value, sizeof(seed.value));
}

uint64_t hash_bytes(const void *data, size_t len)
{
    (void)pthread_once(&seed.once, draw_seed);
    return XXH3_64bits_withSeed(data, len, seed.value);
}

uint64_t hash_stable(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

uint64_t hash_mix(uint64_t a, uint64_t b)
{
    uint64_t pair[2] = {a, b};
    return XXH3_64bits(pair, sizeof(pair));
}

/* Reflected polynomial of CRC-32C. */
#define CRC32C_POLY UINT32_C(0x82f63b78)

static struct {
    pthread_once_t once;
    uint32_t table[8][256];
    bool hardware;
} crc = {.once = PTHREAD_ONCE_INIT};

static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) {
            value = (value >> 1) ^ ((value & 1) ? CRC32C_POLY : 0);
        }
        crc.table[0][i] = value;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int slice = 1; slice < 8; slice++) {
            uint32_t before = crc.table[slice - 1][i];
            crc.table[slice][i] = crc.table[0][before & 0xff] ^ (before >> 8);
        }
    }
#if defined(__x86_64__)
    __builtin_cpu_init();
    crc.hardware = __builtin_cpu_supports("sse4.2") != 0;
#endif
}

static uint32_t crc_software(uint32_t value, const uint8_t *data, size_t len)
{
    while (len >= 8) {
        uint64_t word;
        memcpy(&word, data, sizeof(word)); /* little-endian machines only, as the formats on disk */
        word ^= value;
        value = crc.table[7][word & 0xff] ^ crc.table[6][(word >> 8) & 0xff] ^
                crc.table[5][(word >> 16) & 0xff] ^ crc.table[4][(word >> 24) & 0xff] ^
                crc.table[3][(word >> 32) & 0xff] ^ crc.table[2][(word >> 40) & 0xff] ^
                crc.table[1][(word >> 48) & 0xff] ^ crc.table[0][word >> 56];
        data += 8;
        len -= 8;
    }
    for (; len > 0; len--) {
        value = crc.table[0][(value ^ *data++) & 0xff] ^ (value >> 8);
    }
    return value;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t start, const uint8_t *data,
                                                               size_t len)
{
    uint64_t value = start;
    while (len >= 8) {
        uint64_t word;
        memcpy(&word, data, sizeof(word));
        value = __builtin_ia32_crc32di(value, word);
        data += 8;
        len -= 8;
    }
    uint32_t narrow = (uint32_t)value;
    for (; len > 0; len--) {
        narrow = __builtin_ia32_crc32qi(narrow, *data++);
    }
    return narrow;
}
#endif

uint32_t crc32c(uint32_t start, const void *data, size_t len)
{
    (void)pthread_once(&crc.once, make_tables);
    uint32_t value = ~start;
#if defined(__x86_64__)
    if (crc.hardware) {
        return ~crc_hardware(value, data, len);
    }
#endif
    return ~crc_software(value, data, len);
}
