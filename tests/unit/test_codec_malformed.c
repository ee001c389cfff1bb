// SPDX-License-Identifier: Apache-2.0
//
// Bytes that are no record: they are refused as poison, naming the field, and cost no more memory
// than their length justifies. Run under a sanitizer to see reads out of bounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec_cases.h"
#include "event/codec_inline.h"
#include "event/types.h"

enum { BYTES_MAX = 1 << 20, ARENA_MAX = 64 << 20 };

static struct codec_random test_random;
static uint8_t buffer[BYTES_MAX];
static struct arena arena;
static struct error err;

static size_t encode(const struct record_type *type, const void *record) {
    const uint8_t *end = type->encode(buffer, buffer + sizeof(buffer), record);
    assert_non_null(end);
    return (size_t)(end - buffer);
}

// In memory of exactly that size, so that a sanitizer sees one byte too many.
static bool decode(const struct record_type *type, const uint8_t *bytes, size_t len) {
    uint8_t *exact = malloc(len > 0 ? len : 1);
    void *record = malloc(type->struct_size);
    assert_true(exact && record);
    memcpy(exact, bytes, len);
    arena_reset(&arena);
    err = (struct error){0};
    bool ok = type->decode(exact, exact + len, &arena, record, &err);
    if (!ok)
        assert_int_equal(err.what, DISP_POISON);
    free(record);
    free(exact);
    return ok;
}

static void refuses(const struct record_type *type, const uint8_t *bytes, size_t len,
                    const char *why) {
    if (decode(type, bytes, len))
        fail_msg("%s was accepted", why);
    if (!strstr(err.msg, why))
        fail_msg("expected \"%s\", got \"%s\"", why, err.msg);
}

static void a_record_cut_anywhere_is_refused(void **state) {
    (void)state;
    for (int i = 0; i < RECORD_COUNT; i++) {
        const struct record_type *type = record_types[i];
        struct arena values;
        arena_init(&values, 0);
        void *record = arena_alloc(&values, type->struct_size);
        codec_sample_record(type, &values, record);
        size_t len = encode(type, record);
        assert_true(decode(type, buffer, len));
        for (size_t cut = 0; cut < len; cut++)
            if (decode(type, buffer, cut))
                fail_msg("%s of %zu bytes cut to %zu was accepted", type->name, len, cut);
        arena_done(&values);
    }
}

static void bytes_left_over_are_refused(void **state) {
    (void)state;
    for (int i = 0; i < RECORD_COUNT; i++) {
        const struct record_type *type = record_types[i];
        struct arena values;
        arena_init(&values, 0);
        void *record = arena_alloc(&values, type->struct_size);
        codec_sample_record(type, &values, record);
        size_t len = encode(type, record);
        buffer[len] = 0;
        refuses(type, buffer, len + 1, "but the message has");
        arena_done(&values);
    }
}

static void flipped_bits_never_crash_nor_balloon(void **state) {
    (void)state;
    for (int i = 0; i < RECORD_COUNT; i++) {
        const struct record_type *type = record_types[i];
        struct arena values;
        arena_init(&values, 0);
        void *record = arena_alloc(&values, type->struct_size);
        codec_sample_record(type, &values, record);
        size_t len = encode(type, record);
        for (size_t bit = 0; bit < len * 8; bit++) {
            buffer[bit / 8] ^= (uint8_t)(1 << bit % 8);
            (void)decode(type, buffer, len);
            buffer[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (int round = 0; round < 2000; round++) {
            static uint8_t broken[BYTES_MAX];
            memcpy(broken, buffer, len);
            for (uint64_t hits = 1 + codec_random_below(&test_random, 6); hits > 0; hits--)
                broken[codec_random_below(&test_random, len)] =
                    (uint8_t)codec_random_next(&test_random);
            (void)decode(type, broken, len);
        }
        arena_done(&values);
    }
    assert_true(arena.bytes_held <= 1 << 20); // the samples have less than 1 KiB
}

// A group of messages is an array of byte strings and nothing else: arrays can be built by hand.
static const struct record_type *const group = &message_group_type;

static void a_huge_count_is_refused_before_memory_is_taken(void **state) {
    (void)state;
    arena_done(&arena);
    static const uint8_t million[] = {0x80, 0x89, 0x7a, 0}; // 1,000,000 items, none there
    refuses(group, million, sizeof(million), "more items than the message can hold");
    static const uint8_t most[] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
    refuses(group, most, sizeof(most), "too many items");
    static const uint8_t least[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0};
    refuses(group, least, sizeof(least), "too many items");
    assert_true(arena.bytes_held == 0);
}

static void more_items_than_the_bound_are_refused(void **state) {
    (void)state;
    size_t len = CODEC_ARRAY_ITEMS_MAX + 16;
    uint8_t *bytes = calloc(1, len); // items: empty byte strings
    assert_non_null(bytes);
    uint8_t *items = codec_put_long(bytes, CODEC_ARRAY_ITEMS_MAX);
    size_t total = (size_t)(items - bytes) + CODEC_ARRAY_ITEMS_MAX + 1;
    assert_true(decode(group, bytes, total));
    memset(bytes, 0, len);
    items = codec_put_long(bytes, CODEC_ARRAY_ITEMS_MAX + 1);
    total = (size_t)(items - bytes) + CODEC_ARRAY_ITEMS_MAX + 2;
    refuses(group, bytes, total, "too many items");
    free(bytes);
}

static void many_small_blocks_are_read_in_bounded_memory(void **state) {
    (void)state;
    arena_done(&arena);
    enum { BLOCKS = 200000 };
    uint8_t *bytes = malloc(2 * BLOCKS + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < BLOCKS; i++) {
        bytes[2 * i] = 2;     // one item
        bytes[2 * i + 1] = 0; // of no bytes
    }
    bytes[2 * BLOCKS] = 0;
    assert_true(decode(group, bytes, 2 * BLOCKS + 1));
    assert_true(arena.bytes_held < 5 * BLOCKS * sizeof(struct view));
    free(bytes);
}

static void items_of_all_blocks_are_kept_in_order(void **state) {
    (void)state;
    static const uint8_t bytes[] = {2, 2, 'a', 4, 2, 'b', 2, 'c', 5, 12, 2, 'd', 2, 'e', 2, 'f', 0};
    struct message_group value;
    arena_reset(&arena);
    assert_true(message_group_decode(bytes, bytes + sizeof(bytes), &arena, &value, &err));
    assert_int_equal(value.messages_count, 6);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(value.messages[i].ptr[0], "abcdef"[i]);
}

static void a_block_must_end_where_it_says(void **state) {
    (void)state;
    static const uint8_t right[] = {3, 6, 2, 'a', 0, 0}; // 2 items in 3 bytes
    assert_true(decode(group, right, sizeof(right)));
    static const uint8_t longer[] = {3, 8, 2, 'a', 0, 0}; // 4 bytes
    refuses(group, longer, sizeof(longer), "ends elsewhere than its block says");
    static const uint8_t shorter[] = {3, 4, 2, 'a', 0, 0}; // 2 bytes
    refuses(group, shorter, sizeof(shorter), "ends elsewhere than its block says");
    static const uint8_t beyond[] = {3, 80, 2, 'a', 0, 0};
    refuses(group, beyond, sizeof(beyond), "more than is left");
    static const uint8_t negative[] = {3, 1, 2, 'a', 0, 0};
    refuses(group, negative, sizeof(negative), "a length is negative");
}

static void a_fault_names_record_field_and_item(void **state) {
    (void)state;
    static const uint8_t second_too_long[] = {6, 0, 80, 'x', 0};
    refuses(group, second_too_long, sizeof(second_too_long), "MessageGroup.messages[1]: a length");
}

static void a_message_over_the_bound_is_refused_unread(void **state) {
    (void)state;
    uint8_t *bytes = calloc(1, CODEC_MESSAGE_BYTES_MAX + 1);
    assert_non_null(bytes);
    refuses(group, bytes, CODEC_MESSAGE_BYTES_MAX + 1, "too large");
    free(bytes);
}

static void a_full_arena_is_not_the_messages_fault(void **state) {
    (void)state;
    struct arena small;
    arena_init(&small, 1024);
    static uint8_t bytes[1003] = {0xd0, 0x0f}; // 1,000 empty items
    struct message_group value;
    assert_false(message_group_decode(bytes, bytes + sizeof(bytes), &small, &value, &err));
    assert_int_equal(err.what, DISP_RETRY);
    arena_done(&small);
}

// ---- single values, by the helpers that generated code is made of -------------------------------

static const char *why_long(const uint8_t *bytes, size_t len, int64_t *ret) {
    struct codec_fault fault;
    const uint8_t *at = codec_begin(bytes, bytes + len, &fault);
    at = codec_get_long(at, bytes + len, ret, &fault);
    assert_true(!at == !!fault.why);
    return at == bytes + len ? NULL : fault.why ? fault.why : "bytes left";
}

static void numbers_fit_their_type(void **state) {
    (void)state;
    int64_t value = 7;
    assert_null(why_long((const uint8_t[]){0x80, 0}, 2, &value)); // redundant, but fits
    assert_int_equal(value, 0);
    static const uint8_t least[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
    assert_null(why_long(least, sizeof(least), &value));
    assert_true(value == INT64_MIN);
    static const uint8_t over[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};
    assert_string_equal(why_long(over, sizeof(over), &value), "a number is longer than its type");
    static const uint8_t eleven[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0};
    assert_string_equal(why_long(eleven, 11, &value), "a number is longer than its type");
    assert_string_equal(why_long(eleven, 9, &value), "the message ends too early");

    struct codec_fault fault;
    int32_t small = 0;
    static const uint8_t int_least[] = {0xff, 0xff, 0xff, 0xff, 0x0f};
    assert_non_null(codec_get_int(int_least, int_least + 5, &small, &fault));
    assert_true(small == INT32_MIN);
    static const uint8_t int_over[] = {0x80, 0x80, 0x80, 0x80, 0x10};
    assert_null(codec_get_int(int_over, int_over + 5, &small, &fault));
    static const uint8_t int_six[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0};
    assert_null(codec_get_int(int_six, int_six + 6, &small, &fault));
}

static void booleans_branches_and_symbols_are_in_range(void **state) {
    (void)state;
    struct codec_fault fault;
    bool flag;
    uint32_t symbol;
    static const uint8_t bytes[] = {0, 1, 2, 3, 4, 6};
    const uint8_t *end = bytes + sizeof(bytes);
    assert_non_null(codec_get_boolean(bytes + 1, end, &flag, &fault));
    assert_true(flag);
    assert_null(codec_get_boolean(bytes + 2, end, &flag, &fault));
    assert_non_null(codec_get_branch(bytes + 2, end, &flag, &fault));
    assert_true(flag);
    assert_null(codec_get_branch(bytes + 3, end, &flag, &fault)); // -2
    assert_null(codec_get_branch(bytes + 4, end, &flag, &fault)); // 2
    assert_non_null(codec_get_enum(bytes + 4, end, 3, &symbol, &fault));
    assert_int_equal(symbol, 2);
    assert_null(codec_get_enum(bytes + 5, end, 3, &symbol, &fault)); // 3
    assert_null(codec_get_enum(bytes + 1, end, 3, &symbol, &fault)); // -1
}

static void text_is_utf8(void **state) {
    (void)state;
    static const char *const good[] = {
        "",
        "a",
        "abc",
        "12345678",
        "123456789",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "1234567890\xe2\x82\xac",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(codec_text_is_valid(good[i], strlen(good[i])));
    static const char *const bad[] = {
        "\x80",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xe2\x82",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "a\x80",
        "ab\x80",
        "abc\x80",
        "abcd\x80",
        "1234567\x80",
        "12345678\x80",
        "\x80"
        "12345678",
        "12345678\x80"
        "12345678",
        "\xe2\x28\xa1",
        "\xe2\x82\x28",
        "\xf0\x90\x28\xbc",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (codec_text_is_valid(bad[i], strlen(bad[i])))
            fail_msg("bad text %zu was accepted", i);
}

static void records_with_text_that_is_not_utf8_are_refused(void **state) {
    (void)state;
    struct access_key key = {.shop_id = {"main", 4}, .note = {"note", 4}};
    struct view scopes[] = {{"read", 4}, {"write", 5}};
    key.scopes = scopes;
    key.scopes_count = 2;
    size_t len = encode(&access_key_type, &key);
    assert_true(decode(&access_key_type, buffer, len));
    static const struct {
        const char *text;
        const char *why;
    } places[] = {
        {"main", "AccessKey.shop_id: a string is not UTF-8"},
        {"note", "AccessKey.note: a string is not UTF-8"},
        {"write", "AccessKey.scopes[1]: a string is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        uint8_t *at = memmem(buffer, len, places[i].text, strlen(places[i].text));
        assert_non_null(at);
        *at ^= 0x80;
        refuses(&access_key_type, buffer, len, places[i].why);
        *at ^= 0x80;
    }
}

static void a_length_may_take_all_that_is_left_and_no_more(void **state) {
    (void)state;
    struct codec_fault fault;
    struct view view;
    static uint8_t bytes[300];
    for (size_t len = 0; len < 280; len++) {
        const uint8_t *end = codec_put_long(bytes, (int64_t)len) + len;
        assert_ptr_equal(codec_get_bytes(bytes, end, &view, &fault), end);
        assert_int_equal(view.len, len);
        if (len > 0)
            assert_null(codec_get_bytes(bytes, end - 1, &view, &fault));
    }
}

static void uuids_are_uuids(void **state) {
    (void)state;
    struct order_completed value = {.version = 1};
    size_t len = encode(&order_completed_type, &value);
    assert_true(decode(&order_completed_type, buffer, len));
    buffer[3] = 'g';
    refuses(&order_completed_type, buffer, len, "OrderCompleted.event_id: a string is not a UUID");
}

int main(void) {
    test_random = codec_random_seed("test_codec_malformed");
    arena_init(&arena, ARENA_MAX);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_cut_anywhere_is_refused),
        cmocka_unit_test(bytes_left_over_are_refused),
        cmocka_unit_test(flipped_bits_never_crash_nor_balloon),
        cmocka_unit_test(a_huge_count_is_refused_before_memory_is_taken),
        cmocka_unit_test(more_items_than_the_bound_are_refused),
        cmocka_unit_test(many_small_blocks_are_read_in_bounded_memory),
        cmocka_unit_test(items_of_all_blocks_are_kept_in_order),
        cmocka_unit_test(a_block_must_end_where_it_says),
        cmocka_unit_test(a_fault_names_record_field_and_item),
        cmocka_unit_test(a_message_over_the_bound_is_refused_unread),
        cmocka_unit_test(a_full_arena_is_not_the_messages_fault),
        cmocka_unit_test(numbers_fit_their_type),
        cmocka_unit_test(booleans_branches_and_symbols_are_in_range),
        cmocka_unit_test(text_is_utf8),
        cmocka_unit_test(records_with_text_that_is_not_utf8_are_refused),
        cmocka_unit_test(a_length_may_take_all_that_is_left_and_no_more),
        cmocka_unit_test(uuids_are_uuids),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_done(&arena);
    return failed;
}
