// SPDX-License-Identifier: Apache-2.0
//
// What is sealed opens with its key, at its place, unchanged; and in no other way.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "privacy/seal.h"

#include <stdlib.h>
#include <string.h>

static const char text[] = "{\"name\":\"Ada Lovelace\"}";
enum { TEXT_LEN = sizeof(text) - 1, SEALED_LEN = TEXT_LEN + SEAL_TAG_LEN };

static struct view view_of(const void *bytes, size_t length) {
    return (struct view){bytes, (uint32_t)length};
}

static struct seal_place place(void) {
    return (struct seal_place){.kind = "customer",
                               .shop = view_of("main", 4),
                               .customer = view_of("c1", 2),
                               .subject = {{7}}};
}

static void what_is_sealed_opens_with_its_key(void **state) {
    (void)state;
    struct seal_key key;
    uint8_t nonce[SEAL_NONCE_LEN];
    uint8_t sealed[SEALED_LEN];
    uint8_t opened[TEXT_LEN];
    const struct seal_place here = place();
    assert_true(seal_key_make(&key));
    assert_true(seal_close(&key, &here, text, TEXT_LEN, nonce, sealed));
    assert_null(memmem(sealed, sizeof(sealed), "Ada", 3));
    assert_true(seal_open(&key, &here, view_of(nonce, sizeof(nonce)),
                          view_of(sealed, sizeof(sealed)), opened));
    assert_memory_equal(opened, text, TEXT_LEN);
}

static void the_same_text_is_sealed_differently_each_time(void **state) {
    (void)state;
    struct seal_key key;
    uint8_t nonces[2][SEAL_NONCE_LEN];
    uint8_t sealed[2][SEALED_LEN];
    const struct seal_place here = place();
    assert_true(seal_key_make(&key));
    for (int i = 0; i < 2; i++)
        assert_true(seal_close(&key, &here, text, TEXT_LEN, nonces[i], sealed[i]));
    assert_memory_not_equal(nonces[0], nonces[1], SEAL_NONCE_LEN);
    assert_memory_not_equal(sealed[0], sealed[1], SEALED_LEN);
}

static void a_changed_bit_anywhere_opens_nothing(void **state) {
    (void)state;
    struct seal_key key;
    uint8_t nonce[SEAL_NONCE_LEN];
    uint8_t sealed[SEALED_LEN];
    uint8_t opened[TEXT_LEN];
    const struct seal_place here = place();
    const struct view nonce_view = view_of(nonce, sizeof(nonce));
    const struct view sealed_view = view_of(sealed, sizeof(sealed));
    assert_true(seal_key_make(&key));
    assert_true(seal_close(&key, &here, text, TEXT_LEN, nonce, sealed));
    for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(seal_open(&key, &here, nonce_view, sealed_view, opened));
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof(nonce); bit++) {
        nonce[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(seal_open(&key, &here, nonce_view, sealed_view, opened));
        nonce[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof(key); bit++) {
        key.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(seal_open(&key, &here, nonce_view, sealed_view, opened));
        key.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(seal_open(&key, &here, nonce_view, sealed_view, opened));
}

static void what_is_cut_opens_nothing(void **state) {
    (void)state;
    struct seal_key key;
    uint8_t nonce[SEAL_NONCE_LEN];
    uint8_t sealed[SEALED_LEN];
    uint8_t opened[TEXT_LEN];
    const struct seal_place here = place();
    assert_true(seal_key_make(&key));
    assert_true(seal_close(&key, &here, text, TEXT_LEN, nonce, sealed));
    for (size_t length = 0; length < sizeof(sealed); length++)
        assert_false(
            seal_open(&key, &here, view_of(nonce, sizeof(nonce)), view_of(sealed, length), opened));
    assert_false(seal_open(&key, &here, view_of(nonce, sizeof(nonce) - 1),
                           view_of(sealed, sizeof(sealed)), opened));
}

static void what_is_moved_elsewhere_opens_nothing(void **state) {
    (void)state;
    struct seal_key key;
    uint8_t nonce[SEAL_NONCE_LEN];
    uint8_t sealed[SEALED_LEN];
    uint8_t opened[TEXT_LEN];
    const struct seal_place here = place();
    struct seal_place others[5];
    for (int i = 0; i < 5; i++)
        others[i] = here;
    others[0].kind = "order.shipping_address";
    others[1].shop = view_of("mai", 3);
    others[2].customer = view_of("c2", 2);
    others[3].subject.bytes[15] = 1;
    // The same bytes, parted elsewhere.
    others[4].shop = view_of("mainc", 5);
    others[4].customer = view_of("1", 1);
    assert_true(seal_key_make(&key));
    assert_true(seal_close(&key, &here, text, TEXT_LEN, nonce, sealed));
    for (int i = 0; i < 5; i++)
        assert_false(seal_open(&key, &others[i], view_of(nonce, sizeof(nonce)),
                               view_of(sealed, sizeof(sealed)), opened));
}

static void prints_tell_texts_apart_and_need_the_key(void **state) {
    (void)state;
    struct seal_key keys[2];
    uint8_t print[SEAL_PRINT_LEN];
    uint8_t other[SEAL_PRINT_LEN];
    const struct seal_place here = place();
    struct seal_place there = here;
    there.subject.bytes[0] = 8;
    assert_true(seal_key_make(&keys[0]) && seal_key_make(&keys[1]));
    assert_true(seal_print(&keys[0], &here, text, TEXT_LEN, print));
    assert_true(seal_print(&keys[0], &here, text, TEXT_LEN, other));
    assert_memory_equal(print, other, sizeof(print));
    assert_true(seal_print(&keys[0], &here, text, TEXT_LEN - 1, other));
    assert_memory_not_equal(print, other, sizeof(print));
    assert_true(seal_print(&keys[1], &here, text, TEXT_LEN, other));
    assert_memory_not_equal(print, other, sizeof(print));
    assert_true(seal_print(&keys[0], &there, text, TEXT_LEN, other));
    assert_memory_not_equal(print, other, sizeof(print));
}

// Made with the cryptography package of Python: HKDFExpand(SHA256, 32, "orderlog seal") of the key
// 00 01 02 …, then AESGCM over "hello"; the place as the byte 1, then each part behind its length.
static void an_independent_implementation_agrees(void **state) {
    (void)state;
    struct seal_key key;
    static const uint8_t nonce[SEAL_NONCE_LEN] = "123456789012";
    static const uint8_t sealed[] = {0x8d, 0xba, 0xff, 0xce, 0xaf, 0xad, 0xe3,
                                     0xc2, 0x3d, 0x62, 0x9a, 0xa2, 0x46, 0x95,
                                     0x3f, 0x69, 0x44, 0x55, 0xba, 0xcd, 0x23};
    uint8_t opened[5];
    for (size_t i = 0; i < sizeof(key); i++)
        key.bytes[i] = (uint8_t)i;
    const struct seal_place here = place();
    assert_true(seal_open(&key, &here, view_of(nonce, sizeof(nonce)),
                          view_of(sealed, sizeof(sealed)), opened));
    assert_memory_equal(opened, "hello", 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens_with_its_key),
        cmocka_unit_test(the_same_text_is_sealed_differently_each_time),
        cmocka_unit_test(a_changed_bit_anywhere_opens_nothing),
        cmocka_unit_test(what_is_cut_opens_nothing),
        cmocka_unit_test(what_is_moved_elsewhere_opens_nothing),
        cmocka_unit_test(prints_tell_texts_apart_and_need_the_key),
        cmocka_unit_test(an_independent_implementation_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
