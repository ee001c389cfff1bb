// SPDX-License-Identifier: Apache-2.0
//
// The wire format and what is known about ids without a registry. With a real one:
// tests/stream/test_registry.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "event/message.h"

enum { TOPIC_A, TOPIC_B };

static struct schema_ids *ids;
static struct arena arena;
static struct error err;

static struct receive_stock a_command(void) {
    return (struct receive_stock){.shop_id = {"main", 4},
                                  .sku = {"85123A", 6},
                                  .idempotency_key = {"k-1", 3},
                                  .received_at = 1700000000000000,
                                  .quantity = 12};
}

static void a_message_is_a_zero_the_id_and_the_record(void **state) {
    (void)state;
    struct receive_stock command = a_command();
    uint8_t bytes[256], body[256];
    uint8_t *end =
        message_encode(0x01020304, &receive_stock_type, &command, bytes, bytes + sizeof(bytes));
    uint8_t *body_end = receive_stock_encode(body, body + sizeof(body), &command);
    static const uint8_t header[] = {0, 1, 2, 3, 4};
    assert_memory_equal(bytes, header, sizeof(header));
    assert_int_equal(end - bytes, MESSAGE_HEADER_LEN + (body_end - body));
    assert_memory_equal(bytes + MESSAGE_HEADER_LEN, body, (size_t)(body_end - body));
}

static void what_was_encoded_is_decoded(void **state) {
    (void)state;
    struct receive_stock command = a_command();
    uint8_t bytes[256];
    int32_t id = schema_ids_of(ids, TOPIC_A, RECORD_RECEIVE_STOCK);
    uint8_t *end = message_encode(id, &receive_stock_type, &command, bytes, bytes + sizeof(bytes));
    struct message message;
    assert_true(message_decode(ids, bytes, (size_t)(end - bytes), &arena, &message, &err));
    assert_int_equal(message.type, RECORD_RECEIVE_STOCK);
    const struct receive_stock *decoded = message.body;
    assert_int_equal(decoded->quantity, 12);
    assert_memory_equal(decoded->sku.ptr, "85123A", 6);
}

static void a_message_needs_the_room_it_says(void **state) {
    (void)state;
    struct receive_stock command = a_command();
    uint8_t bytes[256];
    size_t size = message_size_max(&receive_stock_type, &command);
    assert_true(size <= sizeof(bytes));
    assert_non_null(message_encode(7, &receive_stock_type, &command, bytes, bytes + size));
    assert_null(message_encode(7, &receive_stock_type, &command, bytes, bytes + size - 1));
    assert_null(message_encode(7, &receive_stock_type, &command, bytes, bytes + 4));
}

static void a_message_no_reader_accepts_is_not_written(void **state) {
    (void)state;
    static struct view items[CODEC_ARRAY_ITEMS_MAX + 1];
    struct message_group group = {.messages = items, .messages_count = CODEC_ARRAY_ITEMS_MAX + 1};
    assert_true(message_size_max(&message_group_type, &group) == SIZE_MAX);

    static uint8_t bytes[CODEC_MESSAGE_BYTES_MAX + 64];
    static char large[CODEC_MESSAGE_BYTES_MAX];
    items[0] = (struct view){large, sizeof(large)};
    group.messages_count = 1;
    assert_null(message_encode(7, &message_group_type, &group, bytes, bytes + sizeof(bytes)));
    items[0].len -= 64;
    assert_non_null(message_encode(7, &message_group_type, &group, bytes, bytes + sizeof(bytes)));
}

static void refuses(const uint8_t *bytes, size_t len, const char *why) {
    struct message message;
    assert_false(message_decode(ids, bytes, len, &arena, &message, &err));
    assert_int_equal(err.what, DISP_POISON);
    if (!strstr(err.msg, why))
        fail_msg("expected \"%s\", got \"%s\"", why, err.msg);
}

static void what_is_no_message_is_poison(void **state) {
    (void)state;
    refuses((const uint8_t *)"", 0, "0 bytes are no message");
    refuses((const uint8_t[]){0, 0, 0, 0}, 4, "4 bytes are no message");
    refuses((const uint8_t[]){1, 0, 0, 0, 11, 0}, 6, "this with 0x01");
    refuses((const uint8_t *)"{\"order\": 1}", 12, "this with 0x7b");
    refuses((const uint8_t[]){0, 0, 0, 0, 99, 0}, 6, "schema id 99 is unknown");
    refuses((const uint8_t[]){0, 0xff, 0xff, 0xff, 0xff, 0}, 6, "schema id -1 is unknown");
    refuses((const uint8_t[]){0, 0, 0, 0, 11, 0}, 6, "ReceiveStock.command_id");
}

static void a_record_has_an_id_on_the_topics_that_carry_it(void **state) {
    (void)state;
    assert_int_equal(schema_ids_of(ids, TOPIC_A, RECORD_RECEIVE_STOCK), 11);
    assert_int_equal(schema_ids_of(ids, TOPIC_B, RECORD_RECEIVE_STOCK), -1);
    assert_int_equal(schema_ids_of(ids, TOPIC_A, RECORD_MESSAGE_GROUP), 12);
    assert_int_equal(schema_ids_of(ids, TOPIC_B, RECORD_MESSAGE_GROUP), 12);
    assert_int_equal(schema_ids_of(ids, SCHEMA_TOPICS_MAX, RECORD_MESSAGE_GROUP), -1);
}

static void one_id_cannot_mean_two_records(void **state) {
    (void)state;
    assert_false(schema_ids_add(ids, TOPIC_B, RECORD_PLACE_ORDER, 11, &err));
    assert_non_null(strstr(err.msg, "schema id 11 of PlaceOrder already means another record"));
    enum record_id record;
    const struct resolution *resolution;
    assert_true(schema_ids_resolve(ids, 11, &record, &resolution, &err));
    assert_int_equal(record, RECORD_RECEIVE_STOCK);
}

static void two_thousand_ids_are_found_again(void **state) {
    (void)state;
    struct schema_ids *many = schema_ids_new(NULL, &clock_system);
    assert_non_null(many);
    enum { IDS = 2048, STRIDE = 104729 }; // a prime: every second id is far from the one before
    for (int32_t i = 0; i < IDS; i++)
        assert_true(schema_ids_add(many, TOPIC_A, (enum record_id)(i % RECORD_COUNT),
                                   i % 2 * i * STRIDE + i, &err));
    assert_false(schema_ids_add(many, TOPIC_A, RECORD_MESSAGE_GROUP, 1 << 30, &err));
    for (int32_t i = 0; i < IDS; i++) {
        enum record_id record;
        const struct resolution *resolution;
        assert_true(schema_ids_resolve(many, i % 2 * i * STRIDE + i, &record, &resolution, &err));
        assert_null(resolution);
        assert_int_equal(record, i % RECORD_COUNT);
    }
    schema_ids_free(many);
}

int main(void) {
    arena_init(&arena, 1 << 20);
    ids = schema_ids_new(NULL, &clock_system);
    if (!ids || !schema_ids_add(ids, TOPIC_A, RECORD_RECEIVE_STOCK, 11, &err) ||
        !schema_ids_add(ids, TOPIC_A, RECORD_MESSAGE_GROUP, 12, &err) ||
        !schema_ids_add(ids, TOPIC_B, RECORD_MESSAGE_GROUP, 12, &err))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_a_zero_the_id_and_the_record),
        cmocka_unit_test(what_was_encoded_is_decoded),
        cmocka_unit_test(a_message_needs_the_room_it_says),
        cmocka_unit_test(a_message_no_reader_accepts_is_not_written),
        cmocka_unit_test(what_is_no_message_is_poison),
        cmocka_unit_test(a_record_has_an_id_on_the_topics_that_carry_it),
        cmocka_unit_test(one_id_cannot_mean_two_records),
        cmocka_unit_test(two_thousand_ids_are_found_again),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    schema_ids_free(ids);
    arena_done(&arena);
    return failed;
}
