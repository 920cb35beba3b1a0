/*
 * format_test.c - a block as bytes: nothing is lost, and no other bytes pass for a block.
 */
#include "block_sample.h"
#include "format.h"

/* What a reader does with a block's bytes. */
static bool decode(struct slice bytes, bool with_raw, struct block **out, struct error *err)
{
    struct block_header header;

    if (bytes.len < BLOCK_HEADER_BYTES) {
        return error_set(err, ERR_CORRUPT, "short");
    }
    if (!block_header_parse(bytes.data, &header, err)) {
        return false;
    }
    if (header.length != bytes.len) {
        return error_set(err, ERR_CORRUPT, "length");
    }
    size_t tables_len = block_tables_len(&header);
    struct slice tables = {bytes.data + BLOCK_HEADER_BYTES, tables_len};
    struct slice raw = {tables.data + tables_len, bytes.len - BLOCK_HEADER_BYTES - tables_len};
    return block_decode(&header, tables, raw, with_raw, NULL, out, err);
}

static struct block *sample(size_t traces, size_t spans)
{
    struct block *block = sample_block(1000, traces, spans, 77);

    block->seq = 3;
    return block;
}

static void assert_same_tables(const struct block *a, const struct block *b)
{
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->sealed_ns, b->sealed_ns);
    assert_int_equal(a->lsn_max, b->lsn_max);
    assert_int_equal(a->start_ns_min, b->start_ns_min);
    assert_int_equal(a->start_ns_max, b->start_ns_max);
    assert_int_equal(a->trace_count, b->trace_count);
    assert_int_equal(a->span_count, b->span_count);
    assert_int_equal(a->string_count, b->string_count);
    if (a->trace_count > 0) {
        assert_memory_equal(a->traces, b->traces, a->trace_count * sizeof(*a->traces));
        assert_memory_equal(a->spans, b->spans, a->span_count * sizeof(*a->spans));
    }
    for (uint32_t i = 0; i < a->string_count; i++) {
        assert_slice_equal(a->strings[i], b->strings[i]);
    }
    for (uint32_t i = 0; i < a->scope_count; i++) {
        assert_int_equal(a->scopes[i].resource, b->scopes[i].resource);
        assert_slice_equal(a->scopes[i].envelope, b->scopes[i].envelope);
    }
    for (uint32_t i = 0; i < a->resource_count; i++) {
        assert_int_equal(a->resources[i].service, b->resources[i].service);
        assert_slice_equal(a->resources[i].envelope, b->resources[i].envelope);
    }
}

static void round_trip(size_t traces, size_t spans, int level)
{
    struct block *block = sample(traces, spans);
    struct block_image image = {0};
    struct block *back = NULL;
    struct error err;

    block_encode(block, level, 42, &image);
    assert_true(decode((struct slice){image.data, image.len}, true, &back, &err));
    assert_same_tables(block, back);
    assert_slice_equal(block->raw, back->raw);
    assert_int_equal(back->stored_bytes, image.len);
    block_unref(back);
    assert_true(decode((struct slice){image.data, image.len}, false, &back, &err));
    assert_same_tables(block, back);
    assert_int_equal(back->raw.len, 0);
    block_unref(back);
    block_unref(block);
    free(image.data);
}

static void what_was_encoded_comes_back(void **state)
{
    (void)state;
    round_trip(200, 9, 1);
    round_trip(200, 9, BLOCK_LEVEL_NONE);
    round_trip(1, 1, 1);
    round_trip(0, 0, 1);
}

static void an_image_can_be_used_again(void **state)
{
    (void)state;
    struct block *large = sample(100, 10);
    struct block *small = sample(2, 2);
    struct block_image image = {0};
    struct block *back = NULL;
    struct error err;

    block_encode(large, 1, 42, &image);
    block_encode(small, 1, 42, &image);
    assert_true(decode((struct slice){image.data, image.len}, true, &back, &err));
    assert_same_tables(small, back);
    block_unref(back);
    block_unref(small);
    block_unref(large);
    free(image.data);
}

/* Extreme numbers in every column that holds numbers. */
static void extreme_values_survive(void **state)
{
    (void)state;
    struct arena arena;
    struct block_builder *builder = block_builder_new(NULL);
    uint64_t *lsns = NULL;
    size_t lsn_count = 0;
    struct block_image image = {0};
    struct block *back = NULL;
    struct error err;

    arena_init(&arena);
    struct finished_trace trace = sample_trace(&arena, 1, 3);
    struct finished_span spans[3];
    memcpy(spans, trace.spans, sizeof(spans));
    spans[0].span.start_ns = 0;
    spans[0].span.end_ns = UINT64_MAX;
    spans[1].span.start_ns = UINT64_MAX;
    spans[1].span.end_ns = UINT64_MAX;
    spans[2].span.kind = 255;
    spans[2].lsn = UINT64_MAX;
    trace.spans = spans;
    trace.revision = UINT32_MAX;
    trace.route = UINT32_MAX;
    block_builder_add(builder, &trace, NULL);
    struct block *block = block_builder_seal(builder, UINT64_MAX, &lsns, &lsn_count);
    block->seq = BLOCK_SEQ_MAX;
    block_encode(block, 1, 42, &image);
    assert_true(decode((struct slice){image.data, image.len}, true, &back, &err));
    assert_same_tables(block, back);
    block_unref(back);
    block_unref(block);
    block_builder_free(builder);
    free(lsns);
    free(image.data);
    arena_deinit(&arena);
}

static void every_flipped_byte_is_noticed(void **state)
{
    (void)state;
    struct block *block = sample(6, 3);
    struct block_image image = {0};

    block_encode(block, 1, 42, &image);
    for (size_t i = 0; i < image.len; i++) {
        struct block *back = NULL;
        struct error err = {0};
        image.data[i] ^= (uint8_t)(1U << i % 8);
        assert_false(decode((struct slice){image.data, image.len}, true, &back, &err));
        assert_true(err.code == ERR_CORRUPT || err.code == ERR_UNSUPPORTED);
        image.data[i] ^= (uint8_t)(1U << i % 8);
    }
    block_unref(block);
    free(image.data);
}

static void every_shorter_block_is_refused(void **state)
{
    (void)state;
    struct block *block = sample(6, 3);
    struct block_image image = {0};

    block_encode(block, 1, 42, &image);
    for (size_t len = 0; len < image.len; len++) {
        struct block *back = NULL;
        struct error err = {0};
        uint8_t *prefix = mem_alloc(len + 1);
        memcpy(prefix, image.data, len);
        assert_false(decode((struct slice){prefix, len}, true, &back, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
        free(prefix);
    }
    block_unref(block);
    free(image.data);
}

/* Checksums that fit wrong content: what a mistake of ours or an attacker's hand could leave. */
static void forge(uint8_t *data)
{
    for (size_t i = 0, at = BLOCK_HEADER_BYTES; i < BLOCK_SECTIONS; i++) {
        uint8_t *entry = data + 88 + i * 24;
        uint64_t stored = get_u64(entry + 16);
        put_u32(entry + 4, crc32c(0, data + at, stored));
        at += stored;
    }
    put_u32(data + 252, crc32c(0, data, 252));
}

static void touch(const struct block *block)
{
    for (uint32_t t = 0; t < block->trace_count; t++) {
        struct trace_view view;
        trace_view_init(&view, &block->traces[t].trace_id);
        (void)block_view(block, &block->traces[t].trace_id, &view);
        trace_view_deinit(&view);
    }
}

static void wrong_content_with_right_checksums_never_leads_astray(void **state)
{
    (void)state;
    struct block *block = sample(4, 3);
    struct block_image image = {0};
    size_t accepted = 0;

    block_encode(block, BLOCK_LEVEL_NONE, 42, &image);
    uint8_t *copy = mem_alloc(image.len);
    for (size_t i = BLOCK_HEADER_BYTES; i < image.len; i++) {
        for (unsigned value = 0; value < 256; value += 51) {
            struct block *back = NULL;
            struct error err = {0};
            memcpy(copy, image.data, image.len);
            copy[i] = (uint8_t)value;
            forge(copy);
            if (decode((struct slice){copy, image.len}, true, &back, &err)) {
                touch(back);
                block_unref(back);
                accepted++;
            } else {
                assert_int_equal(err.code, ERR_CORRUPT);
            }
        }
    }
    assert_true(accepted > 0);
    free(copy);
    block_unref(block);
    free(image.data);
}

static void counts_beyond_the_bytes_are_refused_before_memory_is_taken(void **state)
{
    (void)state;
    struct block *block = sample(4, 3);
    struct block_image image = {0};

    block_encode(block, 1, 42, &image);
    for (size_t at = 64; at < 84; at += 4) {
        struct block_header header;
        struct error err = {0};
        uint32_t before = get_u32(image.data + at);
        put_u32(image.data + at, UINT32_MAX);
        forge(image.data);
        assert_false(block_header_parse(image.data, &header, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
        put_u32(image.data + at, before);
    }
    for (size_t i = 0; i < BLOCK_SECTIONS; i++) {
        struct block_header header;
        struct error err = {0};
        uint8_t *raw_len = image.data + 88 + i * 24 + 8;
        uint64_t before = get_u64(raw_len);
        put_u64(raw_len, UINT64_C(1) << 40);
        put_u32(image.data + 252, crc32c(0, image.data, 252));
        assert_false(block_header_parse(image.data, &header, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
        put_u64(raw_len, before);
    }
    block_unref(block);
    free(image.data);
}

static void a_newer_version_is_refused_by_name(void **state)
{
    (void)state;
    struct block *block = sample(1, 1);
    struct block_image image = {0};
    struct block_header header;
    struct error err = {0};

    block_encode(block, 1, 42, &image);
    put_u16(image.data + 8, 2);
    forge(image.data);
    assert_false(block_header_parse(image.data, &header, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_string_equal(err.message, "block format version 2: a newer spangate wrote it");
    block_unref(block);
    free(image.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_encoded_comes_back),
        cmocka_unit_test(an_image_can_be_used_again),
        cmocka_unit_test(extreme_values_survive),
        cmocka_unit_test(every_flipped_byte_is_noticed),
        cmocka_unit_test(every_shorter_block_is_refused),
        cmocka_unit_test(wrong_content_with_right_checksums_never_leads_astray),
        cmocka_unit_test(counts_beyond_the_bytes_are_refused_before_memory_is_taken),
        cmocka_unit_test(a_newer_version_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
