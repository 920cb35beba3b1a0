/*
 * format_test.c - the two headers, and what is said about bytes that are none.
 */
#include <unit.h>

#include "../../../src/wal/format.h"

#include <spangate/base/hash.h>

static const uint64_t salt = 0x1122334455667788;

/* A whole record as it stands in a file. */
static size_t make_record(uint8_t out[256], struct slice payload)
{
    struct wal_record record = {
        .lsn = 42, .signal = OTLP_LOGS, .route = 7, .received_ns = 99, .payload = payload};
    struct record_header header;

    memset(out, 0, 256);
    record_header_make(&header, &record, 3, salt);
    memcpy(out, &header, sizeof(header));
    memcpy(out + sizeof(header), payload.data, payload.len);
    return (size_t)record_bytes(payload.len);
}

/* Seal it again after a change of the header. */
static void reseal(uint8_t record[256])
{
    uint32_t crc = crc32c(0, record, 48);

    memcpy(record + 48, &crc, sizeof(crc));
}

static void a_record_reads_back_as_written(void **state)
{
    uint8_t bytes[256];
    struct record_header header;
    struct error err = {0};
    size_t len = make_record(bytes, BYTES("payload"));
    (void)state;

    assert_int_equal(len, 64);
    assert_int_equal(record_header_check((struct slice){bytes, len}, 3, &salt, &header, &err),
                     HEADER_OK);
    assert_int_equal(header.lsn, 42);
    assert_int_equal(header.tag, 3);
    assert_int_equal(header.route, 7);
    assert_int_equal(header.received_ns, 99);
    assert_int_equal(header.length, 7);
    assert_true(record_payload_check(&header, (struct slice){bytes + 56, 7}, &err));
    assert_int_equal(err.code, ERR_NONE);
}

static void a_cut_record_is_too_short(void **state)
{
    uint8_t bytes[256];
    struct record_header header;
    size_t len = make_record(bytes, BYTES("payload"));
    (void)state;

    for (size_t cut = 0; cut < len - 1; cut++) { /* one byte of padding */
        struct error err = {0};
        uint8_t *exact = malloc(cut + (cut == 0));
        assert_non_null(exact);
        memcpy(exact, bytes, cut);
        enum header_verdict verdict =
            record_header_check((struct slice){exact, cut}, 3, &salt, &header, &err);
        if (cut < RECORD_HEADER_BYTES) {
            assert_int_equal(verdict, HEADER_DAMAGED);
        } else {
            assert_int_equal(verdict, HEADER_OK);
            assert_false(record_payload_check(&header, (struct slice){exact + 56, cut - 56}, &err));
        }
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_memory_equal(err.message, "too short", 9);
        free(exact);
    }
}

static void version_99_is_unsupported(void **state)
{
    uint8_t bytes[256];
    struct record_header header;
    struct error err = {0};
    size_t len = make_record(bytes, BYTES("payload"));
    (void)state;

    bytes[4] = 99;
    reseal(bytes);
    assert_int_equal(record_header_check((struct slice){bytes, len}, 3, &salt, &header, &err),
                     HEADER_UNSUPPORTED);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "unsupported WAL version 99"));
}

static void tag_77_is_unknown_but_its_length_holds(void **state)
{
    uint8_t bytes[256];
    struct record_header header;
    struct error err = {0};
    size_t len = make_record(bytes, BYTES("payload"));
    (void)state;

    bytes[5] = 77;
    reseal(bytes);
    assert_int_equal(record_header_check((struct slice){bytes, len}, 3, &salt, &header, &err),
                     HEADER_DAMAGED);
    assert_string_equal(err.message, "unknown WAL tag 77");
    assert_int_equal(header.length, 7);
}

static void every_flipped_bit_is_found(void **state)
{
    uint8_t bytes[256];
    size_t len = make_record(bytes, BYTES("payload"));
    (void)state;

    for (size_t bit = 0; bit < (len - 1) * 8; bit++) {
        struct record_header header;
        struct error err = {0};
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        enum header_verdict verdict =
            record_header_check((struct slice){bytes, len}, 3, &salt, &header, &err);
        if (verdict == HEADER_OK) {
            assert_false(record_payload_check(&header, (struct slice){bytes + 56, 7}, &err));
        }
        assert_true(verdict == HEADER_STALE || err.message[0] != '\0');
        if (bit / 8 == 30 || bit / 8 == 50 || bit / 8 == 60) {
            assert_non_null(strstr(err.message, "crc mismatch"));
        }
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void a_record_of_another_segment_or_life_is_stale(void **state)
{
    uint8_t bytes[256];
    struct record_header header;
    struct error err = {0};
    size_t len = make_record(bytes, BYTES("payload"));
    uint64_t other = salt + 1;
    (void)state;

    assert_int_equal(record_header_check((struct slice){bytes, len}, 4, &salt, &header, &err),
                     HEADER_STALE);
    assert_int_equal(record_header_check((struct slice){bytes, len}, 3, &other, &header, &err),
                     HEADER_STALE);
    assert_int_equal(record_header_check((struct slice){bytes, len}, 3, NULL, &header, &err),
                     HEADER_OK);
}

static void segment_headers_are_judged(void **state)
{
    struct segment_header header = {.number = 5, .salt = salt, .base_lsn = 10, .durable_lsn = 9};
    struct segment_header out;
    uint8_t bytes[SEGMENT_HEADER_BYTES] = {0};
    struct error err = {0};
    (void)state;

    assert_int_equal(segment_header_check(bytes, 5, &out, &err), HEADER_EMPTY);
    segment_header_seal(&header);
    memcpy(bytes, &header, sizeof(bytes));
    assert_int_equal(segment_header_check(bytes, 5, &out, &err), HEADER_OK);
    assert_int_equal(out.base_lsn, 10);
    assert_int_equal(segment_header_check(bytes, 6, &out, &err), HEADER_STALE);
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        err = (struct error){0};
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(segment_header_check(bytes, 5, &out, &err), HEADER_DAMAGED);
        assert_int_equal(err.code, ERR_CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    header.durable_lsn = 10; /* not before base_lsn */
    segment_header_seal(&header);
    memcpy(bytes, &header, sizeof(bytes));
    assert_int_equal(segment_header_check(bytes, 5, &out, &err), HEADER_DAMAGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_reads_back_as_written),
        cmocka_unit_test(a_cut_record_is_too_short),
        cmocka_unit_test(version_99_is_unsupported),
        cmocka_unit_test(tag_77_is_unknown_but_its_length_holds),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(a_record_of_another_segment_or_life_is_stale),
        cmocka_unit_test(segment_headers_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
