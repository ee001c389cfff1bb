// SPDX-License-Identifier: Apache-2.0
//
// From a Kafka record to its messages: whatever bytes somebody appends to an inbox, they are either
// messages of that inbox and partition, or set aside.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "event/types.h"
#include "simulated.h"
#include "stream/address.h"
#include "stream/input.h"
#include "stream/output.h"

#define VIEW(text) ((struct view){.ptr = (text), .len = sizeof(text) - 1})

enum {
    ID_PLACE = 11,
    ID_RECEIVE,
    ID_GROUP_ORDERS,
    ID_GROUP_INVENTORY,
    ID_RETRY_PARKED,
    PARTITIONS = 4,
    BYTES_MAX = 1 << 20,
};

static struct schema_ids *ids;
static struct arena arena;
static struct id order_id;
static int32_t home;

static int setup(void **state) {
    (void)state;
    struct error err;
    arena_init(&arena, 64 << 20);
    ids = schema_ids_new(NULL, &clock_system);
    bool known =
        schema_ids_add(ids, TOPIC_ORDERS_INBOX, RECORD_PLACE_ORDER, ID_PLACE, &err) &&
        schema_ids_add(ids, TOPIC_INVENTORY_INBOX, RECORD_RECEIVE_STOCK, ID_RECEIVE, &err) &&
        schema_ids_add(ids, TOPIC_ORDERS_INBOX, RECORD_MESSAGE_GROUP, ID_GROUP_ORDERS, &err) &&
        schema_ids_add(ids, TOPIC_INVENTORY_INBOX, RECORD_MESSAGE_GROUP, ID_GROUP_INVENTORY,
                       &err) &&
        schema_ids_add(ids, TOPIC_ORDERS_INBOX, RECORD_RETRY_PARKED, ID_RETRY_PARKED, &err);
    order_id = id_derive(&order_id, 1);
    char key[ID_TEXT_LEN];
    id_format(&order_id, key);
    home = topic_partition_of(key, sizeof(key), PARTITIONS);
    return known ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    ids = schema_ids_free(ids);
    arena_done(&arena);
    return 0;
}

static struct view encoded(int32_t id, const struct record_type *type, const void *body) {
    char *bytes = arena_alloc(&arena, BYTES_MAX);
    assert_non_null(bytes);
    uint8_t *end = message_encode(id, type, body, (uint8_t *)bytes, (uint8_t *)bytes + BYTES_MAX);
    assert_non_null(end);
    return (struct view){.ptr = bytes, .len = (uint32_t)((char *)end - bytes)};
}

static struct view place(void) {
    struct order_line line = {.sku = VIEW("A"), .quantity = 1, .unit_price_minor = 100};
    const struct place_order order = {
        .command_id = {{1}},
        .key_id = {{2}},
        .shop_id = VIEW("main"),
        .order_id = order_id,
        .idempotency_key = VIEW("k"),
        .customer_id = VIEW("c"),
        .currency = VIEW("GBP"),
        .payment_method = VIEW("tok_ok"),
        .lines = &line,
        .lines_count = 1,
    };
    return encoded(ID_PLACE, &place_order_type, &order);
}

static struct view group_of(struct view *messages, uint32_t count) {
    const struct message_group group = {.messages = messages, .messages_count = count};
    return encoded(ID_GROUP_ORDERS, &message_group_type, &group);
}

static rd_kafka_message_t raw_of(struct view value) {
    return (rd_kafka_message_t){
        .payload = (void *)(uintptr_t)value.ptr, .len = value.len, .partition = home, .offset = 42};
}

// Says no, and why.
static void assert_poison(struct view bytes, int32_t partition, const char *reason) {
    struct message message;
    struct error err = {0};
    assert_false(input_decode(ids, TOPIC_ORDERS_INBOX, partition, PARTITIONS, bytes, &arena,
                              &message, &err));
    assert_int_equal(err.what, DISP_POISON);
    if (!strstr(err.msg, reason))
        fail_msg("the reason should say '%s': %s", reason, err.msg);
}

static void a_keyed_command_is_one_message(void **state) {
    (void)state;
    arena_reset(&arena);
    struct view bytes = place();
    rd_kafka_message_t raw = raw_of(bytes);
    raw.key = (void *)(uintptr_t) "key";
    raw.key_len = 3;
    struct input_record record;
    struct message message;
    struct error err;
    assert_true(input_open(ids, &raw, &arena, &record, &err));
    assert_false(record.is_group);
    assert_int_equal(record.messages_count, 1);
    assert_int_equal(record.offset, 42);
    assert_int_equal(record.key.len, 3);
    assert_true(input_decode(ids, TOPIC_ORDERS_INBOX, home, PARTITIONS, record.messages[0], &arena,
                             &message, &err));
    assert_int_equal(message.type, RECORD_PLACE_ORDER);
    assert_true(id_equal(&((const struct place_order *)message.body)->order_id, &order_id));
}

static void a_group_is_its_messages_in_order(void **state) {
    (void)state;
    arena_reset(&arena);
    struct view messages[] = {place(), VIEW("garbage"), place()};
    struct view bytes = group_of(messages, 3);
    rd_kafka_message_t raw = raw_of(bytes);
    struct input_record record;
    struct message message;
    struct error err;
    assert_true(input_open(ids, &raw, &arena, &record, &err));
    assert_true(record.is_group);
    assert_int_equal(record.messages_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(record.messages[i].len, messages[i].len);
        assert_memory_equal(record.messages[i].ptr, messages[i].ptr, messages[i].len);
        // One bad message does not take its neighbours along.
        assert_int_equal(input_decode(ids, TOPIC_ORDERS_INBOX, home, PARTITIONS, record.messages[i],
                                      &arena, &message, &err),
                         i != 1);
    }
}

// A later version of the program says where a group came from, and counts its messages first.
static void a_group_in_another_version_is_read_by_its_schema(void **state) {
    (void)state;
    arena_reset(&arena);
    static struct liar registry_liar; // outlives a test that fails
    liar_start(&registry_liar,
               "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
               "{\"schema\": \"{\\\"type\\\": \\\"record\\\", \\\"name\\\": \\\"MessageGroup\\\","
               "\\\"namespace\\\": \\\"orderlog\\\", \\\"fields\\\": ["
               "{\\\"name\\\": \\\"count\\\", \\\"type\\\": \\\"int\\\"},"
               "{\\\"name\\\": \\\"messages\\\", \\\"type\\\": {\\\"type\\\": \\\"array\\\","
               "\\\"items\\\": \\\"bytes\\\"}},"
               "{\\\"name\\\": \\\"sender\\\", \\\"type\\\": \\\"string\\\"}]}\"}");
    struct error err = {0};
    struct registry *registry = registry_new(registry_liar.url, 5000, &err);
    struct schema_ids *with_registry = schema_ids_new(registry, &clock_system);
    assert_true(
        schema_ids_add(with_registry, TOPIC_ORDERS_INBOX, RECORD_PLACE_ORDER, ID_PLACE, &err));

    struct view messages[] = {place(), place()};
    struct view ours = group_of(messages, 2);
    uint32_t body_len = ours.len - MESSAGE_HEADER_LEN;
    char *bytes = arena_alloc(&arena, ours.len + 4);
    memcpy(bytes, "\0\0\0\0\x4d\x04", MESSAGE_HEADER_LEN + 1); // schema 77; two messages
    memcpy(bytes + MESSAGE_HEADER_LEN + 1, ours.ptr + MESSAGE_HEADER_LEN, body_len);
    memcpy(bytes + MESSAGE_HEADER_LEN + 1 + body_len, "\x04me", 3);
    rd_kafka_message_t raw = raw_of((struct view){.ptr = bytes, .len = ours.len + 4});
    for (int i = 0; i < 2; i++) { // the second time from memory
        struct input_record record;
        if (!input_open(with_registry, &raw, &arena, &record, &err))
            fail_msg("%s", err.msg);
        assert_true(record.is_group);
        assert_int_equal(record.messages_count, 2);
        struct message message;
        assert_true(input_decode(with_registry, TOPIC_ORDERS_INBOX, home, PARTITIONS,
                                 record.messages[1], &arena, &message, &err));
        assert_int_equal(message.type, RECORD_PLACE_ORDER);
    }
    assert_int_equal(atomic_load(&registry_liar.requests), 1);
    schema_ids_free(with_registry);
    registry_free(registry);
    liar_stop(&registry_liar);
}

static void an_empty_group_has_no_messages(void **state) {
    (void)state;
    arena_reset(&arena);
    rd_kafka_message_t raw = raw_of(group_of(NULL, 0));
    struct input_record record;
    struct error err;
    assert_true(input_open(ids, &raw, &arena, &record, &err));
    assert_int_equal(record.messages_count, 0);
}

static void a_group_of_too_many_is_refused_whole(void **state) {
    (void)state;
    arena_reset(&arena);
    static struct view messages[OUTPUT_GROUP_MESSAGES_MAX + 1];
    for (size_t i = 0; i < OUTPUT_GROUP_MESSAGES_MAX + 1; i++)
        messages[i] = VIEW("x");
    struct input_record record;
    struct error err = {0};
    rd_kafka_message_t raw = raw_of(group_of(messages, OUTPUT_GROUP_MESSAGES_MAX + 1));
    assert_false(input_open(ids, &raw, &arena, &record, &err));
    assert_int_equal(err.what, DISP_POISON);
    raw = raw_of(group_of(messages, OUTPUT_GROUP_MESSAGES_MAX));
    assert_true(input_open(ids, &raw, &arena, &record, &err));
    assert_int_equal(record.messages_count, OUTPUT_GROUP_MESSAGES_MAX);
}

static void a_group_within_a_group_is_refused(void **state) {
    (void)state;
    arena_reset(&arena);
    struct view inner = place();
    struct view nested = group_of(&inner, 1);
    assert_poison(nested, home, "does not belong into orders.inbox");
}

static void a_truncated_group_is_refused_whole(void **state) {
    (void)state;
    arena_reset(&arena);
    struct view messages[] = {place(), place()};
    struct view bytes = group_of(messages, 2);
    for (uint32_t len = MESSAGE_HEADER_LEN; len < bytes.len; len++) {
        struct input_record record;
        struct error err = {0};
        rd_kafka_message_t raw = raw_of((struct view){.ptr = bytes.ptr, .len = len});
        assert_false(input_open(ids, &raw, &arena, &record, &err));
        assert_int_equal(err.what, DISP_POISON);
    }
}

static void every_truncation_of_a_command_is_poison(void **state) {
    (void)state;
    arena_reset(&arena);
    struct view bytes = place();
    for (uint32_t len = 0; len < bytes.len; len++)
        assert_poison((struct view){.ptr = bytes.ptr, .len = len}, home, "");
    char *longer = arena_alloc(&arena, bytes.len + 1);
    memcpy(longer, bytes.ptr, bytes.len);
    longer[bytes.len] = 0;
    assert_poison((struct view){.ptr = longer, .len = bytes.len + 1}, home, "");
}

static void what_is_not_for_this_partition_is_poison(void **state) {
    (void)state;
    arena_reset(&arena);
    struct view bytes = place();
    for (int32_t partition = 0; partition < PARTITIONS; partition++)
        if (partition != home)
            assert_poison(bytes, partition, "belongs into partition");
}

static void what_is_not_for_this_inbox_is_poison(void **state) {
    (void)state;
    arena_reset(&arena);
    const struct receive_stock receive = {
        .command_id = {{1}},
        .key_id = {{2}},
        .shop_id = VIEW("main"),
        .sku = VIEW("A"),
        .idempotency_key = VIEW("k"),
        .quantity = 1,
    };
    assert_poison(encoded(ID_RECEIVE, &receive_stock_type, &receive), home,
                  "does not belong into orders.inbox");
}

static struct view retry_of(struct view key) {
    const struct retry_parked retry = {.command_id = {{1}}, .parked_key = key};
    return encoded(ID_RETRY_PARKED, &retry_parked_type, &retry);
}

static void a_retry_is_for_the_partition_of_its_key(void **state) {
    (void)state;
    arena_reset(&arena);
    char key[ID_TEXT_LEN];
    id_format(&order_id, key);
    struct view bytes = retry_of((struct view){.ptr = key, .len = sizeof(key)});
    struct message message;
    struct error err;
    assert_true(
        input_decode(ids, TOPIC_ORDERS_INBOX, home, PARTITIONS, bytes, &arena, &message, &err));
    assert_true(input_is_control(message.type));
    assert_poison(bytes, (home + 1) % PARTITIONS, "belongs into partition");
    static const char long_key[TOPIC_KEY_MAX + 1];
    assert_poison(retry_of((struct view){.ptr = long_key, .len = sizeof(long_key)}), home,
                  "parked key has 1 to");
    assert_poison(retry_of((struct view){.ptr = "", .len = 0}), home, "parked key has 1 to");
}

static void a_command_to_the_worker_is_known_without_decoding(void **state) {
    (void)state;
    arena_reset(&arena);
    rd_kafka_message_t raw = raw_of(retry_of(VIEW("k")));
    assert_true(input_is_control_record(ids, &raw));
    raw.len = MESSAGE_HEADER_LEN - 1;
    assert_false(input_is_control_record(ids, &raw));
    raw = raw_of((struct view){0});
    assert_false(input_is_control_record(ids, &raw));
    raw = raw_of(place());
    assert_false(input_is_control_record(ids, &raw));
    struct view message = retry_of(VIEW("k"));
    raw = raw_of(group_of(&message, 1));
    assert_false(input_is_control_record(ids, &raw));
}

static void a_tombstone_is_poison(void **state) {
    (void)state;
    arena_reset(&arena);
    rd_kafka_message_t raw = raw_of((struct view){0});
    struct input_record record;
    struct error err;
    assert_true(input_open(ids, &raw, &arena, &record, &err));
    assert_int_equal(record.messages_count, 1);
    assert_poison(record.messages[0], home, "tombstone");
}

static void an_unknown_schema_is_poison_and_named(void **state) {
    (void)state;
    arena_reset(&arena);
    static const char bytes[] = "\0\0\0\x30\x39rest";
    assert_poison((struct view){.ptr = bytes, .len = sizeof(bytes) - 1}, home, "12345");
}

// Flips and random bytes: no crash, and what is accepted is a message of this inbox and partition.
static void garbage_is_refused_or_is_no_garbage(void **state) {
    (void)state;
    const char *given = getenv("ORDERLOG_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    printf("seed: ORDERLOG_TEST_SEED=%u\n", seed);
    srandom(seed);
    for (int round = 0; round < 20000; round++) {
        arena_reset(&arena);
        struct view messages[] = {place(), place()};
        struct view bytes = round % 2 ? group_of(messages, 2) : place();
        char *copy = arena_alloc(&arena, bytes.len);
        memcpy(copy, bytes.ptr, bytes.len);
        for (long flips = 1 + random() % 4; flips > 0; flips--)
            copy[(size_t)random() % bytes.len] ^= (char)(1 << random() % 8);
        rd_kafka_message_t raw = raw_of((struct view){.ptr = copy, .len = bytes.len});
        struct input_record record;
        struct message message;
        struct error err = {0};
        if (!input_open(ids, &raw, &arena, &record, &err)) {
            assert_int_equal(err.what, DISP_POISON);
            continue;
        }
        for (uint32_t i = 0; i < record.messages_count; i++) {
            if (!input_decode(ids, TOPIC_ORDERS_INBOX, home, PARTITIONS, record.messages[i], &arena,
                              &message, &err)) {
                assert_int_equal(err.what, DISP_POISON);
                continue;
            }
            struct address address;
            char key[TOPIC_KEY_MAX];
            assert_int_equal(message.type, RECORD_PLACE_ORDER);
            assert_true(address_of_message(message.type, message.body, &address, &err));
            assert_int_equal(topic_partition_of(key, address_key(&address, key), PARTITIONS), home);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_keyed_command_is_one_message),
        cmocka_unit_test(a_group_is_its_messages_in_order),
        cmocka_unit_test(a_group_in_another_version_is_read_by_its_schema),
        cmocka_unit_test(an_empty_group_has_no_messages),
        cmocka_unit_test(a_group_of_too_many_is_refused_whole),
        cmocka_unit_test(a_group_within_a_group_is_refused),
        cmocka_unit_test(a_truncated_group_is_refused_whole),
        cmocka_unit_test(every_truncation_of_a_command_is_poison),
        cmocka_unit_test(what_is_not_for_this_partition_is_poison),
        cmocka_unit_test(what_is_not_for_this_inbox_is_poison),
        cmocka_unit_test(a_retry_is_for_the_partition_of_its_key),
        cmocka_unit_test(a_command_to_the_worker_is_known_without_decoding),
        cmocka_unit_test(a_tombstone_is_poison),
        cmocka_unit_test(an_unknown_schema_is_poison_and_named),
        cmocka_unit_test(garbage_is_refused_or_is_no_garbage),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
