// SPDX-License-Identifier: Apache-2.0
//
// What is written into a batch is read back by the reader of segments, which shares nothing with
// it, and, compressed, by the one for take-overs. (The checksum of a batch is looked at by every
// broker that a test of the loop writes to.)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/segment.h"
#include "wire/wire_batch.h"
#include "wire/wire_crc32c.h"
#include "wire/wire_put.h"
#include "wire/wire_records.h"

enum { RECORDS = 3000, NOW_MS = 1700000000, BATCH_HEADER = 61 };

static void a_checksum_is_that_of_rfc_3720(void **state) {
    (void)state;
    uint8_t bytes[32];
    assert_int_equal(wire_crc32c("123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(wire_crc32c(bytes, sizeof(bytes)), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(wire_crc32c(bytes, sizeof(bytes)), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(wire_crc32c(bytes, sizeof(bytes)), 0x46dd794e);
}

static void a_varint_takes_the_bytes_that_are_counted(void **state) {
    (void)state;
    uint8_t bytes[WIRE_VARINT_MAX];
    for (int bit = 0; bit < 63; bit++)
        for (int64_t near = -2; near <= 2; near++) {
            const int64_t values[] = {(INT64_C(1) << bit) + near, -(INT64_C(1) << bit) + near};
            for (size_t i = 0; i < 2; i++)
                assert_int_equal(wire_at_varint(bytes, values[i]) - bytes,
                                 wire_varint_size(values[i]));
        }
    assert_int_equal(wire_varint_size(INT64_MIN), 10);
    assert_int_equal(wire_varint_size(INT64_MAX), 10);
}

static size_t seen;

static void check(void *state, const struct segment_record *record) {
    (void)state;
    const size_t number = seen++;
    if (number % 3 == 0)
        assert_null(record->key);
    else
        assert_int_equal(record->key_len, number % 97);
    if (number % 5 == 0) {
        assert_null(record->value);
        return;
    }
    assert_int_equal(record->value_len, number);
    for (size_t i = 0; i < number; i++)
        assert_int_equal(record->value[i], (uint8_t)(number + i));
}

static void fill(struct wire_batch *batch) {
    static uint8_t value[RECORDS];
    static const char key[97] = "any";
    uint8_t header[64];
    for (size_t number = 0; number < RECORDS; number++) {
        for (size_t i = 0; i < number; i++)
            value[i] = (uint8_t)(number + i);
        const uint8_t *end = wire_header_put(header, "name", 4, "value", 5);
        const struct wire_record record = {
            .key = number % 3 ? key : NULL,
            .key_len = number % 97,
            .value = number % 5 ? value : NULL,
            .value_len = number,
            .headers = {.bytes = header, .len = (size_t)(end - header), .count = number % 2}};
        struct wire_record plain = record;
        if (number % 2 == 0)
            plain.headers.len = 0;
        wire_batch_append(batch, &plain, NOW_MS + (int64_t)(number / 2));
    }
}

static void what_is_appended_is_read_back_in_order(void **state) {
    (void)state;
    struct wire_batch batch = {0};
    struct error err;
    const uint8_t *bytes;
    size_t len;
    const struct wire_batch_owner owner = {
        .producer_id = 4711, .producer_epoch = 3, .sequence = 17};
    for (int turn = 0; turn < 2; turn++) { // memory is used again
        fill(&batch);
        assert_true(wire_batch_seal(&batch, &owner, WIRE_UNCOMPRESSED, &bytes, &len, &err));
        struct segment_counts counts;
        seen = 0;
        segment_read(bytes, len, check, NULL, &counts);
        assert_int_equal(counts.records, RECORDS);
        assert_int_equal(seen, RECORDS);
        assert_int_equal(counts.unread, 0);
        wire_batch_reset(&batch);
        assert_int_equal(batch.len, 0);
    }
    wire_batch_done(&batch);
}

// As check() has it; where the segment's reader sees bytes, this one has views.
static void check_read(const struct wire_records *records) {
    seen = 0;
    for (size_t i = 0; i < records->count; i++) {
        const struct wire_record *read = &records->items[i].record;
        assert_int_equal(records->items[i].offset, i);
        const struct wire_view header = wire_header_find(&read->headers, "name");
        assert_int_equal(header.len, i % 2 ? 5 : 0);
        if (i % 2)
            assert_memory_equal(header.ptr, "value", 5);
        const struct segment_record record = {.key = read->key,
                                              .key_len = read->key_len,
                                              .value = read->value,
                                              .value_len = read->value_len};
        check(NULL, &record);
    }
    assert_int_equal(seen, RECORDS);
}

static void a_batch_is_unpacked_whole_or_not_at_all(void **state) {
    (void)state;
    struct wire_batch batch = {0};
    struct wire_unpacker unpacker = {0};
    struct wire_records records = {0};
    struct error err;
    const struct wire_batch_owner owner = {.producer_id = 4711, .in_transaction = true};
    fill(&batch);
    static const enum wire_compression all[] = {WIRE_UNCOMPRESSED, WIRE_GZIP, WIRE_LZ4, WIRE_ZSTD};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const uint8_t *bytes;
        size_t len;
        assert_true(wire_batch_seal(&batch, &owner, all[i], &bytes, &len, &err));
        struct wire_reader reader = {.at = bytes, .end = bytes + len};
        struct wire_batch_head head;
        assert_true(wire_batch_head_read(&reader, &head));
        assert_ptr_equal(reader.at, reader.end);
        assert_int_equal(head.producer_id, 4711);
        assert_int_equal(head.last_offset, RECORDS - 1);
        assert_true(head.is_transactional && !head.is_control);
        assert_true(wire_batch_is_sound(&head, &err));
        assert_true(wire_records_read(&head, &unpacker, &records, &err));
        check_read(&records);
        head.records.len--;
        assert_false(wire_records_read(&head, &unpacker, &records, &err));
        assert_int_equal(err.what, DISP_RETRY);
        head.checked.len--;
        assert_false(wire_batch_is_sound(&head, &err));
        reader = (struct wire_reader){.at = bytes, .end = bytes + len - 1};
        assert_false(wire_batch_head_read(&reader, &head));
        assert_false(reader.broken);
    }
    wire_records_done(&records);
    wire_unpacker_done(&unpacker);
    wire_batch_done(&batch);
}

static void a_compressed_batch_is_smaller_and_says_so(void **state) {
    (void)state;
    struct wire_batch batch = {0};
    struct error err;
    const uint8_t *bytes;
    size_t plain, len;
    const struct wire_batch_owner owner = {.producer_id = 1};
    fill(&batch);
    assert_true(wire_batch_seal(&batch, &owner, WIRE_UNCOMPRESSED, &bytes, &plain, &err));
    static const enum wire_compression all[] = {WIRE_GZIP, WIRE_LZ4, WIRE_ZSTD};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        assert_true(wire_batch_seal(&batch, &owner, all[i], &bytes, &len, &err));
        assert_true(len > BATCH_HEADER && len < plain);
        assert_int_equal(bytes[22] & 7, all[i]);
        struct segment_counts counts;
        segment_read(bytes, len, check, NULL, &counts);
        assert_int_equal(counts.compressed, 1);
    }
    wire_batch_done(&batch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checksum_is_that_of_rfc_3720),
        cmocka_unit_test(a_varint_takes_the_bytes_that_are_counted),
        cmocka_unit_test(what_is_appended_is_read_back_in_order),
        cmocka_unit_test(a_compressed_batch_is_smaller_and_says_so),
        cmocka_unit_test(a_batch_is_unpacked_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
