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

/*
 * The processor's crc32 instruction has a latency of three cycles and can begin one each cycle:
 * three stretches of LANE bytes are summed side by side. shift[] moves a sum over LANE zero bytes,
 * which is what putting the stretches together needs.
 */
enum { LANE = 1024 };

static struct {
    pthread_once_t once;
    uint32_t table[8][256];
    bool hardware;
    uint32_t shift[4][256];
} crc = {.once = PTHREAD_ONCE_INIT};

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint64_t crc_words(uint64_t value, const uint8_t *data,
                                                            size_t len)
{
    for (; len >= 8; len -= 8, data += 8) {
        uint64_t word;
        memcpy(&word, data, sizeof(word));
        value = __builtin_ia32_crc32di(value, word);
    }
    uint32_t narrow = (uint32_t)value;
    for (; len > 0; len--) {
        narrow = __builtin_ia32_crc32qi(narrow, *data++);
    }
    return narrow;
}

/* Sums are linear: the shift of a sum is the exclusive or of the shifts of its bits. */
static void make_shift(void)
{
    static const uint8_t zeros[LANE];
    uint32_t of_bit[32];
    for (unsigned bit = 0; bit < 32; bit++) {
        of_bit[bit] = (uint32_t)crc_words(UINT64_C(1) << bit, zeros, LANE);
    }
    for (unsigned byte = 0; byte < 4; byte++) {
        for (unsigned value = 0; value < 256; value++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                crc.shift[byte][value] ^= (value >> bit & 1) != 0 ? of_bit[byte * 8 + bit] : 0;
            }
        }
    }
}

static uint64_t shift_lane(uint64_t value)
{
    return crc.shift[0][value & 0xff] ^ crc.shift[1][(value >> 8) & 0xff] ^
           crc.shift[2][(value >> 16) & 0xff] ^ crc.shift[3][(value >> 24) & 0xff];
}

__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t start, const uint8_t *data,
                                                               size_t len)
{
    uint64_t value = start;
    for (; len >= 3 * LANE; len -= 3 * LANE, data += 3 * LANE) {
        uint64_t second = 0;
        uint64_t third = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            uint64_t words[3];
            memcpy(&words[0], data + i, sizeof(words[0]));
            memcpy(&words[1], data + LANE + i, sizeof(words[1]));
            memcpy(&words[2], data + 2 * LANE + i, sizeof(words[2]));
            value = __builtin_ia32_crc32di(value, words[0]);
            second = __builtin_ia32_crc32di(second, words[1]);
            third = __builtin_ia32_crc32di(third, words[2]);
        }
        value = shift_lane(shift_lane(value) ^ second) ^ third;
    }
    return (uint32_t)crc_words(value, data, len);
}
#endif

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
    if (crc.hardware) {
        make_shift();
    }
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
