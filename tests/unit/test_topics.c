// SPDX-License-Identifier: Apache-2.0
//
// Topics and partitions are a contract with every other client: a key must lie where Java's
// producer puts it, and the topic table must agree with the schemas' folders.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "event/types.h"
#include "stream/topics.h"

// The first six are those of Apache Kafka's UtilsTest; the others were computed with kafka-python.
static void a_key_lies_where_java_puts_it(void **state) {
    (void)state;
    static const struct {
        const char *key;
        uint32_t murmur2;
    } cases[] = {
        {"21", 0xc5f2f8ec},
        {"foobar", 0xd0e47bbe},
        {"a-little-bit-long-string", 0xc53b1da0},
        {"a-little-bit-longer-string", 0xa768c9c3},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", 0xfc7d49cd},
        {"abc", 0x1c94221b},
        {"", 0x106e08d9},
        {"a", 0xa2d0b27c},
        {"ab", 0x12d8262a},
        {"abcd", 0xb11ab5f4},
        {"\xff\xfe\xfd", 0x3b85fe24},
        {"\x80", 0x331f517c},
        {"00000000-0000-0000-0000-000000000000", 0x2a860b7d},
        {"main/85123A", 0x03a756b9},
        {"main/BANK CHARGES", 0x6e6642e4},
    };
    static const int32_t counts[] = {1, 2, 3, 4, 7, 16, 1024, INT32_MAX};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t j = 0; j < sizeof(counts) / sizeof(counts[0]); j++)
            assert_int_equal(topic_partition_of(cases[i].key, strlen(cases[i].key), counts[j]),
                             (int32_t)(cases[i].murmur2 & 0x7fffffff) % counts[j]);
}

static void a_sku_key_is_shop_slash_sku(void **state) {
    (void)state;
    char key[TOPIC_KEY_MAX];
    assert_int_equal(topic_sku_key("main", 4, "BANK CHARGES", 12, key), 17);
    assert_memory_equal(key, "main/BANK CHARGES", 17);
    char longest[TOPIC_NAME_MAX];
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(topic_sku_key(longest, TOPIC_SHOP_MAX, longest, sizeof(longest), key),
                     TOPIC_KEY_MAX);
}

// A record whose folder is no topic's could never be written.
static void every_record_belongs_to_a_topic(void **state) {
    (void)state;
    for (size_t record = 0; record < RECORD_COUNT; record++) {
        size_t count = 0;
        for (size_t topic = 0; topic < TOPIC_COUNT; topic++)
            count += topic_allows(&topics[topic], record_dirs[record]);
        if (count == 0)
            fail_msg("%s lies in schemas/%s, which is no topic's folder",
                     record_types[record]->name, record_dirs[record]);
    }
}

static void every_domain_has_its_own_topics(void **state) {
    (void)state;
    for (size_t domain = 0; domain < DOMAIN_COUNT; domain++) {
        assert_int_equal(topics[domains[domain].inbox].kind, TOPIC_INBOX);
        assert_int_equal(topics[domains[domain].events].kind, TOPIC_EVENTS);
        assert_int_equal(topics[domains[domain].deadletters].kind, TOPIC_DEADLETTERS);
        // An event lies in the partition of the input that caused it.
        assert_int_equal(topics[domains[domain].inbox].partitions,
                         topics[domains[domain].events].partitions);
        assert_int_equal(topics[domains[domain].inbox].partitions,
                         topics[domains[domain].deadletters].partitions);
        if (domains[domain].state == TOPIC_COUNT)
            continue;
        assert_int_equal(topics[domains[domain].state].kind, TOPIC_STATE);
        assert_int_equal(topics[domains[domain].inbox].partitions,
                         topics[domains[domain].state].partitions);
    }
    for (size_t i = 0; i < TOPIC_COUNT; i++) {
        assert_non_null(topics[i].name);
        for (size_t j = i + 1; j < TOPIC_COUNT; j++)
            assert_string_not_equal(topics[i].name, topics[j].name);
    }
}

static void the_registry_is_told_every_topic_and_folder(void **state) {
    (void)state;
    struct schema_topic all[TOPIC_COUNT];
    topics_for_schemas(all);
    for (size_t i = 0; i < TOPIC_COUNT; i++) {
        assert_string_equal(all[i].name, topics[i].name);
        assert_string_equal(all[i].dirs[0], topics[i].name);
        assert_ptr_equal(all[i].dirs[1], topics[i].class_dir);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_lies_where_java_puts_it),
        cmocka_unit_test(a_sku_key_is_shop_slash_sku),
        cmocka_unit_test(every_record_belongs_to_a_topic),
        cmocka_unit_test(every_domain_has_its_own_topics),
        cmocka_unit_test(the_registry_is_told_every_topic_and_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
