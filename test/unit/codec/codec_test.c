/*
 * codec_test.c - compression: what goes in comes out, and no input makes us write past a cap.
 *
 * Raw deflate and zstd frames with odd windows are made by the libraries themselves; everything
 * else by codec_deflate(), whose gzip is checked against a stream written by hand.
 */
#include <unit.h>

#include <libdeflate.h>
#include <pthread.h>
#include <spangate/base/mem.h>
#include <spangate/base/random.h>
#include <spangate/codec/codec.h>
#include <zstd.h>

enum { MIB = 1024 * 1024 };

static const enum codec framed[] = {CODEC_GZIP, CODEC_ZLIB, CODEC_DEFLATE, CODEC_ZSTD};

/* Text with repetitions and noise, so that all kinds of blocks occur. */
static struct slice sample(size_t len)
{
    uint8_t *data = mem_alloc(len + 1);
    uint64_t seed = 7;

    for (size_t i = 0; i < len; i++) {
        data[i] =
            i % 97 < 70 ? (uint8_t)("service.name=checkout "[i % 22]) : (uint8_t)random_next(&seed);
    }
    return (struct slice){data, len};
}

static void free_slice(struct slice s)
{
    free((void *)(uintptr_t)s.data);
}

static struct slice compress(enum codec codec, struct slice in)
{
    struct strbuf out;
    struct error err = {0};
    size_t len;

    strbuf_init(&out, 64 * MIB);
    assert_true(codec_deflate(codec, 0, in, &out, &err));
    len = out.len;
    return (struct slice){(uint8_t *)strbuf_take(&out), len};
}

static struct slice compress_raw(struct slice in)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
    size_t cap = libdeflate_deflate_compress_bound(c, in.len);
    uint8_t *data = mem_alloc(cap);
    size_t len = libdeflate_deflate_compress(c, in.data, in.len, data, cap);

    assert_true(len > 0);
    libdeflate_free_compressor(c);
    return (struct slice){data, len};
}

/* A zstd frame as a streaming sender makes it: no declared length, the given window. */
static struct slice compress_zstd_stream(struct slice in, int window_log)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    size_t cap = ZSTD_compressBound(in.len) + 64;
    uint8_t *data = mem_alloc(cap);
    ZSTD_outBuffer out = {data, cap, 0};
    ZSTD_inBuffer first = {in.data, in.len / 2, 0};
    ZSTD_inBuffer second = {in.data + in.len / 2, in.len - in.len / 2, 0};

    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log)));
    assert_false(ZSTD_isError(ZSTD_compressStream2(c, &out, &first, ZSTD_e_flush)));
    assert_int_equal(ZSTD_compressStream2(c, &out, &second, ZSTD_e_end), 0);
    ZSTD_freeCCtx(c);
    return (struct slice){data, out.pos};
}

static struct slice concat(struct slice a, struct slice b)
{
    uint8_t *data = mem_alloc(a.len + b.len);

    memcpy(data, a.data, a.len);
    memcpy(data + a.len, b.data, b.len);
    return (struct slice){data, a.len + b.len};
}

static void assert_inflates(enum codec codec, struct slice in, struct slice expected)
{
    struct buf *out = NULL;
    struct error err = {0};

    if (!codec_inflate(codec, in, 64 * MIB, NULL, &out, &err)) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(err.code, ERR_NONE);
    assert_true(slice_equal(buf_slice(out), expected));
    buf_unref(out);
}

static void assert_refused(enum codec codec, struct slice in, size_t max, enum error_code code)
{
    struct buf *out = NULL;
    struct error err = {0};

    assert_false(codec_inflate(codec, in, max, NULL, &out, &err));
    assert_null(out);
    assert_int_equal(err.code, code);
    assert_memory_equal(err.message, codec_name(codec), strlen(codec_name(codec)));
    assert_memory_equal(err.message + strlen(codec_name(codec)), ": ", 2);
}

static void what_goes_in_comes_out(void **state)
{
    static const size_t lens[] = {0, 1, 2, 4095, 4096, 4097, 70000, 3 * MIB};
    (void)state;

    for (size_t l = 0; l < COUNT_OF(lens); l++) {
        struct slice plain = sample(lens[l]);
        for (size_t c = 0; c < COUNT_OF(framed); c++) {
            struct slice packed = compress(framed[c], plain);
            assert_inflates(framed[c], packed, plain);
            free_slice(packed);
        }
        assert_inflates(CODEC_NONE, plain, plain);
        free_slice(plain);
    }
}

static void every_level_works_and_odd_levels_are_clamped(void **state)
{
    static const int levels[] = {-100, -5, -1, 0, 1, 3, 6, 9, 12, 19, 1000};
    struct slice plain = sample(20000);
    (void)state;

    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        for (size_t c = 0; c < COUNT_OF(framed); c++) {
            struct strbuf out;
            struct error err = {0};
            strbuf_init(&out, MIB);
            strbuf_append_text(&out, "head");
            assert_true(codec_deflate(framed[c], levels[i], plain, &out, &err));
            assert_memory_equal(out.data, "head", 4);
            assert_int_equal(out.data[out.len], 0);
            assert_inflates(framed[c], slice_from(strbuf_slice(&out), 4), plain);
            strbuf_deinit(&out);
        }
    }
    free_slice(plain);
}

static void gzip_written_by_hand_is_read(void **state)
{
    static const uint8_t hello[] = {
        0x1f, 0x8b, 8,    0x08, 0,    0,   0,   0,   0,   3,   /* header, file name follows */
        'a',  0,                                               /* file name */
        1,    5,    0,    0xfa, 0xff, 'h', 'e', 'l', 'l', 'o', /* one stored block */
        0x86, 0xa6, 0x10, 0x36, 5,    0,   0,   0,             /* CRC-32, length */
    };
    (void)state;
    assert_inflates(CODEC_GZIP, (struct slice){hello, sizeof(hello)}, slice_of("hello"));
}

static void several_gzip_members_and_zstd_frames_are_one_body(void **state)
{
    struct slice a = sample(50000);
    struct slice b = sample(3);
    struct slice both = concat(a, b);
    static const enum codec several[] = {CODEC_GZIP, CODEC_ZSTD};
    (void)state;

    for (size_t c = 0; c < COUNT_OF(several); c++) {
        struct slice pa = compress(several[c], a);
        struct slice pb = compress(several[c], b);
        struct slice packed = concat(pa, pb);
        assert_inflates(several[c], packed, both);
        free_slice(pa);
        free_slice(pb);
        free_slice(packed);
    }
    free_slice(a);
    free_slice(b);
    free_slice(both);
}

static void zstd_skippable_frames_are_stepped_over(void **state)
{
    static const uint8_t skippable[] = {0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'x', 'y', 'z'};
    struct slice plain = sample(1000);
    struct slice frame = compress(CODEC_ZSTD, plain);
    struct slice skip = {skippable, sizeof(skippable)};
    struct slice before = concat(skip, frame);
    struct slice after = concat(frame, skip);
    (void)state;

    assert_inflates(CODEC_ZSTD, before, plain);
    assert_inflates(CODEC_ZSTD, after, plain);
    free_slice(plain);
    free_slice(frame);
    free_slice(before);
    free_slice(after);
}

static void zstd_without_a_declared_length_is_read(void **state)
{
    struct slice plain = sample(2 * MIB);
    struct slice packed = compress_zstd_stream(plain, 23);
    (void)state;

    assert_int_equal(ZSTD_getFrameContentSize(packed.data, packed.len), ZSTD_CONTENTSIZE_UNKNOWN);
    assert_inflates(CODEC_ZSTD, packed, plain);
    free_slice(plain);
    free_slice(packed);
}

static void zstd_window_over_8_mib_is_refused(void **state)
{
    struct slice plain = sample(1000);
    struct slice packed = compress_zstd_stream(plain, 24);
    (void)state;

    assert_refused(CODEC_ZSTD, packed, MIB, ERR_INVALID);
    free_slice(plain);
    free_slice(packed);
}

static void deflate_means_zlib_or_raw(void **state)
{
    (void)state;
    for (size_t len = 0; len < 3000; len += 37) {
        struct slice plain = sample(len);
        struct slice zlib = compress(CODEC_ZLIB, plain);
        struct slice raw = compress_raw(plain);
        assert_inflates(CODEC_DEFLATE, zlib, plain);
        assert_inflates(CODEC_DEFLATE, raw, plain);
        assert_refused(CODEC_ZLIB, raw, MIB, ERR_INVALID);
        free_slice(plain);
        free_slice(zlib);
        free_slice(raw);
    }
}

/* Stored block with padding bits set, so that the first two bytes look like a zlib header. */
static void raw_deflate_that_begins_like_zlib_is_read(void **state)
{
    static const uint8_t head[] = {0x78, 0x01, 0x00, 0xfe, 0xff, 'x', 0x01, 0x00, 0x00, 0xff, 0xff};
    (void)state;
    assert_inflates(CODEC_DEFLATE, (struct slice){head, sizeof(head)}, slice_of("x"));
}

static void an_empty_input_is_refused(void **state)
{
    struct buf *out = NULL;
    struct error err = {0};
    (void)state;

    for (size_t c = 0; c < COUNT_OF(framed); c++) {
        assert_refused(framed[c], (struct slice){0}, MIB, ERR_INVALID);
    }
    assert_true(codec_inflate(CODEC_NONE, (struct slice){0}, MIB, NULL, &out, &err));
    assert_int_equal(out->len, 0);
    buf_unref(out);
}

static void every_prefix_is_refused(void **state)
{
    struct slice plain = sample(600);
    (void)state;

    for (size_t c = 0; c < COUNT_OF(framed); c++) {
        struct slice packed = compress(framed[c], plain);
        for (size_t len = 0; len < packed.len; len++) {
            uint8_t *prefix = mem_alloc(len + (len == 0)); /* exact, so that ASan sees overreads */
            memcpy(prefix, packed.data, len);
            assert_refused(framed[c], (struct slice){prefix, len}, MIB, ERR_INVALID);
            free(prefix);
        }
        free_slice(packed);
    }
    free_slice(plain);
}

static void a_byte_behind_the_end_is_refused(void **state)
{
    struct slice plain = sample(600);
    (void)state;

    for (size_t c = 0; c < COUNT_OF(framed); c++) {
        struct slice packed = compress(framed[c], plain);
        for (unsigned byte = 0; byte < 256; byte++) {
            uint8_t tail = (uint8_t)byte;
            struct slice longer = concat(packed, (struct slice){&tail, 1});
            assert_refused(framed[c], longer, MIB, ERR_INVALID);
            free_slice(longer);
        }
        free_slice(packed);
    }
    free_slice(plain);
}

/* With a checksum in the frame (gzip, zlib) no flip may give other bytes. */
static void flipped_bits_never_give_other_bytes(void **state)
{
    static const enum codec checked[] = {CODEC_GZIP, CODEC_ZLIB};
    struct slice plain = sample(300);
    (void)state;

    for (size_t c = 0; c < COUNT_OF(checked); c++) {
        struct slice packed = compress(checked[c], plain);
        uint8_t *copy = mem_alloc(packed.len);
        for (size_t bit = 0; bit < packed.len * 8; bit++) {
            struct buf *out = NULL;
            struct error err = {0};
            memcpy(copy, packed.data, packed.len);
            copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
            if (codec_inflate(checked[c], (struct slice){copy, packed.len}, MIB, NULL, &out,
                              &err)) {
                assert_true(slice_equal(buf_slice(out), plain)); /* time stamp, system */
                buf_unref(out);
            } else {
                assert_int_equal(err.code, ERR_INVALID);
            }
        }
        free(copy);
        free_slice(packed);
    }
    free_slice(plain);
}

static void output_may_reach_max_and_not_one_byte_more(void **state)
{
    static const size_t lens[] = {1, 100, 4096, 5000, 100000};
    (void)state;

    for (size_t l = 0; l < COUNT_OF(lens); l++) {
        struct slice plain = sample(lens[l]);
        for (size_t c = 0; c < COUNT_OF(framed); c++) {
            struct slice packed = compress(framed[c], plain);
            struct buf *out = NULL;
            struct error err = {0};
            assert_true(codec_inflate(framed[c], packed, plain.len, NULL, &out, &err));
            assert_int_equal(out->len, plain.len);
            buf_unref(out);
            assert_refused(framed[c], packed, plain.len - 1, ERR_TOO_LARGE);
            free_slice(packed);
        }
        assert_refused(CODEC_NONE, plain, plain.len - 1, ERR_TOO_LARGE);
        free_slice(plain);
    }
}

/* deflate reaches 1032:1 at most, so it is mostly the cap that stops it; zstd meets the ratio. */
static void a_bomb_is_stopped_and_never_fills_the_budget(void **state)
{
    static const struct {
        enum codec codec;
        size_t max;
        const char *message;
    } cases[] = {
        {CODEC_GZIP, 16 * MIB, "gzip: inflates to more than 16777216 bytes"},
        {CODEC_ZLIB, 16 * MIB, "zlib: inflates to more than 16777216 bytes"},
        {CODEC_DEFLATE, 16 * MIB, "deflate: inflates to more than 16777216 bytes"},
        {CODEC_ZSTD, 16 * MIB, "bytes inflate to more than 1000 times as many"},
    };
    struct slice zeros = {mem_zalloc(48, MIB), 48 * (size_t)MIB};
    (void)state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct slice packed = compress(cases[i].codec, zeros);
        struct budget budget;
        struct buf *out = NULL;
        struct error err = {0};

        budget_init(&budget, 16 * MIB, NULL);
        assert_false(codec_inflate(cases[i].codec, packed, cases[i].max, &budget, &out, &err));
        assert_int_equal(err.code, ERR_TOO_LARGE);
        assert_non_null(strstr(err.message, cases[i].message));
        assert_int_equal(budget_used(&budget), 0);
        free_slice(packed);
    }
    free_slice(zeros);
}

static void one_mebibyte_is_no_bomb_whatever_the_ratio(void **state)
{
    uint8_t *zeros = mem_zalloc(1, MIB);
    struct slice plain = {zeros, MIB};
    (void)state;

    for (size_t c = 0; c < COUNT_OF(framed); c++) {
        struct slice packed = compress(framed[c], plain);
        assert_inflates(framed[c], packed, plain);
        free_slice(packed);
    }
    free(zeros);
}

static void a_false_length_in_the_gzip_trailer_allocates_nothing_big(void **state)
{
    struct slice plain = sample(200);
    struct slice packed = compress(CODEC_GZIP, plain);
    uint8_t *tail = mem_alloc(packed.len);
    struct budget budget;
    struct buf *out = NULL;
    struct error err = {0};
    (void)state;

    memcpy(tail, packed.data, packed.len);
    memset(tail + packed.len - 4, 0xff, 4);
    budget_init(&budget, 64 * 1024, NULL);
    assert_false(
        codec_inflate(CODEC_GZIP, (struct slice){tail, packed.len}, 64 * MIB, &budget, &out, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_equal(budget_used(&budget), 0);
    free(tail);
    free_slice(packed);
    free_slice(plain);
}

static void a_budget_that_refuses_means_limit_and_is_left_as_it_was(void **state)
{
    struct slice plain = sample(100000);
    (void)state;

    for (size_t c = 0; c < COUNT_OF(framed); c++) {
        struct slice packed = compress(framed[c], plain);
        for (size_t limit = 1000; limit < 60000; limit += 9000) {
            struct budget budget;
            struct buf *out = NULL;
            struct error err = {0};
            budget_init(&budget, limit, NULL);
            assert_false(codec_inflate(framed[c], packed, MIB, &budget, &out, &err));
            assert_int_equal(err.code, ERR_LIMIT);
            assert_int_equal(budget_used(&budget), 0);
        }
        free_slice(packed);
    }
    free_slice(plain);
}

static void what_is_kept_is_not_much_larger_than_the_content(void **state)
{
    struct slice plain = sample(100000);
    (void)state;

    for (size_t c = 0; c < COUNT_OF(framed); c++) {
        struct slice packed = compress(framed[c], plain);
        struct budget budget;
        struct buf *out = NULL;
        struct error err = {0};
        budget_init(&budget, 64 * (size_t)MIB, NULL);
        assert_true(codec_inflate(framed[c], packed, 64 * MIB, &budget, &out, &err));
        assert_true(budget_used(&budget) <= 2 * plain.len + 8192);
        buf_unref(out);
        assert_int_equal(budget_used(&budget), 0);
        free_slice(packed);
    }
    free_slice(plain);
}

static void output_over_the_limit_of_the_strbuf_is_too_large(void **state)
{
    struct slice plain = sample(5000);
    static const enum codec all[] = {CODEC_NONE, CODEC_GZIP, CODEC_ZLIB, CODEC_DEFLATE, CODEC_ZSTD};
    (void)state;

    for (size_t c = 0; c < COUNT_OF(all); c++) {
        struct slice packed = compress(all[c], plain);
        struct strbuf out;
        struct error err = {0};
        strbuf_init(&out, packed.len / 2);
        assert_false(codec_deflate(all[c], 0, plain, &out, &err));
        assert_int_equal(err.code, ERR_TOO_LARGE);
        strbuf_deinit(&out);
        free_slice(packed);
    }
    free_slice(plain);
}

static void names_are_known_in_any_case(void **state)
{
    static const struct {
        const char *name;
        enum codec codec;
    } good[] = {
        {"", CODEC_NONE},           {"Identity", CODEC_NONE}, {"none", CODEC_NONE},
        {"GZIP", CODEC_GZIP},       {"x-gzip", CODEC_GZIP},   {"zlib", CODEC_ZLIB},
        {"Deflate", CODEC_DEFLATE}, {"zstd", CODEC_ZSTD},
    };
    static const char *const bad[] = {"br", "gzi", "gzipp", "snappy", "gzip, zstd"};
    (void)state;

    for (size_t i = 0; i < COUNT_OF(good); i++) {
        enum codec codec = CODEC_ZSTD;
        struct error err = {0};
        assert_true(codec_parse(slice_of(good[i].name), &codec, &err));
        assert_int_equal(codec, good[i].codec);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        enum codec codec;
        struct error err = {0};
        assert_false(codec_parse(slice_of(bad[i]), &codec, &err));
        assert_int_equal(err.code, ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, bad[i]));
    }
}

static void zstd_sections_have_an_exact_length(void **state)
{
    struct slice plain = sample(10000);
    size_t cap = codec_zstd_bound(plain.len);
    uint8_t *packed = mem_alloc(cap);
    uint8_t *back = mem_alloc(plain.len + 1);
    size_t len = codec_zstd(plain.data, plain.len, packed, cap, 0);
    struct error err = {0};
    (void)state;

    assert_true(len > 0 && len < plain.len);
    assert_int_equal(codec_zstd(plain.data, plain.len, packed, len - 1, 0), 0);
    assert_true(codec_zstd(plain.data, plain.len, packed, cap, 1) == len);
    assert_true(codec_unzstd((struct slice){packed, len}, back, plain.len, &err));
    assert_memory_equal(back, plain.data, plain.len);
    assert_false(codec_unzstd((struct slice){packed, len}, back, plain.len - 1, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_false(codec_unzstd((struct slice){packed, len}, back, plain.len + 1, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_false(codec_unzstd((struct slice){packed, len - 1}, back, plain.len, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    free(packed);
    free(back);
    free_slice(plain);
}

static void *use_every_codec(void *arg)
{
    struct slice plain = sample(3000);

    for (size_t c = 0; c < COUNT_OF(framed); c++) {
        struct slice packed = compress(framed[c], plain);
        assert_inflates(framed[c], packed, plain);
        free_slice(packed);
    }
    if (arg != NULL) {
        codec_thread_exit();
        codec_thread_exit(); /* twice does no harm */
    }
    free_slice(plain);
    return NULL;
}

/* LeakSanitizer is the judge. */
static void contexts_are_freed_with_their_thread(void **state)
{
    int explicit = 1;
    (void)state;

    for (size_t i = 0; i < 4; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, use_every_codec, i % 2 ? &explicit : NULL),
                         0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    codec_thread_exit();
    (void)use_every_codec(NULL); /* works again after the exit */
    codec_thread_exit();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(every_level_works_and_odd_levels_are_clamped),
        cmocka_unit_test(gzip_written_by_hand_is_read),
        cmocka_unit_test(several_gzip_members_and_zstd_frames_are_one_body),
        cmocka_unit_test(zstd_skippable_frames_are_stepped_over),
        cmocka_unit_test(zstd_without_a_declared_length_is_read),
        cmocka_unit_test(zstd_window_over_8_mib_is_refused),
        cmocka_unit_test(deflate_means_zlib_or_raw),
        cmocka_unit_test(raw_deflate_that_begins_like_zlib_is_read),
        cmocka_unit_test(an_empty_input_is_refused),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(a_byte_behind_the_end_is_refused),
        cmocka_unit_test(flipped_bits_never_give_other_bytes),
        cmocka_unit_test(output_may_reach_max_and_not_one_byte_more),
        cmocka_unit_test(a_bomb_is_stopped_and_never_fills_the_budget),
        cmocka_unit_test(one_mebibyte_is_no_bomb_whatever_the_ratio),
        cmocka_unit_test(a_false_length_in_the_gzip_trailer_allocates_nothing_big),
        cmocka_unit_test(a_budget_that_refuses_means_limit_and_is_left_as_it_was),
        cmocka_unit_test(what_is_kept_is_not_much_larger_than_the_content),
        cmocka_unit_test(output_over_the_limit_of_the_strbuf_is_too_large),
        cmocka_unit_test(names_are_known_in_any_case),
        cmocka_unit_test(zstd_sections_have_an_exact_length),
        cmocka_unit_test(contexts_are_freed_with_their_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
