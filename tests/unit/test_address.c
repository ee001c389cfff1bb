// SPDX-License-Identifier: Apache-2.0
//
// Whom a record is about decides its key, and so its partition and its place in the order of
// things.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "event/types.h"
#include "stream/address.h"

#define VIEW(text) ((struct view){.ptr = (text), .len = sizeof(text) - 1})

static const struct id order_id = {{0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff}};
static const char order_key[] = "ab010203-0405-0607-0809-0a0b0c0d0eff";

static void what_is_about_an_order_has_its_id_as_key(void **state) {
    (void)state;
    const struct place_order place = {.shop_id = VIEW("main"), .order_id = order_id};
    const struct stock_answered answered = {
        .shop_id = VIEW("main"), .order_id = order_id, .sku = VIEW("A")};
    const struct request_payment payment = {.shop_id = VIEW("main"), .order_id = order_id};
    struct address address;
    struct error err;
    char key[TOPIC_KEY_MAX];
    assert_true(address_of_message(RECORD_PLACE_ORDER, &place, &address, &err));
    assert_int_equal(address_key(&address, key), ID_TEXT_LEN);
    assert_memory_equal(key, order_key, ID_TEXT_LEN);
    assert_true(address_of_message(RECORD_STOCK_ANSWERED, &answered, &address, &err));
    assert_int_equal(address_key(&address, key), ID_TEXT_LEN);
    assert_memory_equal(key, order_key, ID_TEXT_LEN);
    assert_true(address_of_message(RECORD_REQUEST_PAYMENT, &payment, &address, &err));
    assert_int_equal(address_key(&address, key), ID_TEXT_LEN);
    assert_memory_equal(key, order_key, ID_TEXT_LEN);

    const struct payment_captured event = {
        .event_id = {{7}}, .shop_id = VIEW("main"), .order_id = order_id};
    assert_true(address_of_event(RECORD_PAYMENT_CAPTURED, &event, &address, &err));
    assert_int_equal(address_key(&address, key), ID_TEXT_LEN);
    assert_memory_equal(key, order_key, ID_TEXT_LEN);
    assert_ptr_equal(address_event_id(&event), &event.event_id);
}

static void what_is_about_stock_has_shop_and_sku_as_key(void **state) {
    (void)state;
    const struct receive_stock receive = {.shop_id = VIEW("main"), .sku = VIEW("BANK CHARGES")};
    const struct request_stock request = {
        .shop_id = VIEW("main"), .sku = VIEW("BANK CHARGES"), .order_id = order_id};
    const struct stock_sold sold = {
        .shop_id = VIEW("main"), .sku = VIEW("BANK CHARGES"), .order_id = order_id};
    struct address address;
    struct error err;
    char key[TOPIC_KEY_MAX];
    assert_true(address_of_message(RECORD_RECEIVE_STOCK, &receive, &address, &err));
    assert_int_equal(address_key(&address, key), 17);
    assert_memory_equal(key, "main/BANK CHARGES", 17);
    assert_true(address_of_message(RECORD_REQUEST_STOCK, &request, &address, &err));
    assert_int_equal(address_key(&address, key), 17);
    assert_memory_equal(key, "main/BANK CHARGES", 17);
    assert_true(address_of_event(RECORD_STOCK_SOLD, &sold, &address, &err));
    assert_int_equal(address_key(&address, key), 17);
    assert_memory_equal(key, "main/BANK CHARGES", 17);
}

static void names_that_make_no_key_are_poison(void **state) {
    (void)state;
    static char longest[TOPIC_NAME_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    const struct view bad[] = {
        VIEW(""),     VIEW("a/b"),  VIEW("a\nb"),
        VIEW("a\0b"), VIEW("\x7f"), {.ptr = longest, .len = sizeof(longest)},
    };
    const struct view good[] = {
        VIEW("a"), VIEW("15056bl"), VIEW("\xc3\xa4 b"), {.ptr = longest, .len = TOPIC_SHOP_MAX}};
    struct address address;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error err = {0};
        const struct receive_stock sku = {.shop_id = VIEW("main"), .sku = bad[i]};
        assert_false(address_of_message(RECORD_RECEIVE_STOCK, &sku, &address, &err));
        assert_int_equal(err.what, DISP_POISON);
        const struct cancel_order shop = {.shop_id = bad[i], .order_id = order_id};
        err.what = DISP_NONE;
        assert_false(address_of_message(RECORD_CANCEL_ORDER, &shop, &address, &err));
        assert_int_equal(err.what, DISP_POISON);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct error err;
        const struct receive_stock sku = {.shop_id = good[i], .sku = good[i]};
        assert_true(address_of_message(RECORD_RECEIVE_STOCK, &sku, &address, &err));
    }
    struct error err;
    struct receive_stock sku = {.shop_id = VIEW("main"), .sku = {longest, TOPIC_NAME_MAX}};
    assert_true(address_of_message(RECORD_RECEIVE_STOCK, &sku, &address, &err));
    sku.shop_id = (struct view){longest, TOPIC_SHOP_MAX + 1};
    assert_false(address_of_message(RECORD_RECEIVE_STOCK, &sku, &address, &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_about_an_order_has_its_id_as_key),
        cmocka_unit_test(what_is_about_stock_has_shop_and_sku_as_key),
        cmocka_unit_test(names_that_make_no_key_are_poison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
