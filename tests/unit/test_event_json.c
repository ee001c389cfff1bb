// SPDX-License-Identifier: Apache-2.0
//
// Records as people see them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event/event_json.h"
#include "event/types.h"

static void shows(const struct record_type *type, const void *record, const char *expected) {
    json_t *json = event_json(type, record);
    assert_non_null(json);
    char *text = json_dumps(json, JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(json);
}

static void a_record_shows_every_field_by_name(void **state) {
    (void)state;
    struct order_line lines[] = {
        {.sku = {"85123A", 6},
         .quantity = 6,
         .unit_price_minor = 255,
         .has_price_version = true,
         .price_version = 3},
        {.sku = {"\xe2\x82\xac", 3}, .quantity = 1, .unit_price_minor = -1},
    };
    struct place_order order = {.command_id = {{1}},
                                .shop_id = {"main", 4},
                                .idempotency_key = {"k", 1},
                                .received_at = 1700000000123456,
                                .customer_id = {"c", 1},
                                .currency = {"GBP", 3},
                                .payment_method = {"", 0},
                                .lines = lines,
                                .lines_count = 2,
                                .has_ordered_at = true};
    shows(&place_order_type, &order,
          "{\"command_id\":\"01000000-0000-0000-0000-000000000000\","
          "\"key_id\":\"00000000-0000-0000-0000-000000000000\",\"shop_id\":\"main\","
          "\"order_id\":\"00000000-0000-0000-0000-000000000000\",\"idempotency_key\":\"k\","
          "\"received_at\":\"2023-11-14T22:13:20.123456Z\",\"customer_id\":\"c\","
          "\"currency\":\"GBP\",\"reference\":null,"
          "\"ordered_at\":\"1970-01-01T00:00:00.000000Z\",\"payment_method\":\"\",\"lines\":["
          "{\"sku\":\"85123A\",\"quantity\":6,\"unit_price_minor\":255,\"price_version\":3},"
          "{\"sku\":\"\xe2\x82\xac\",\"quantity\":1,\"unit_price_minor\":-1,"
          "\"price_version\":null}],"
          "\"discount_minor\":0,\"shipping_minor\":0,\"tax_minor\":0,\"shipping_address\":null}");
}

static void bytes_are_base64_and_enums_names(void **state) {
    (void)state;
    struct view messages[] = {{"", 0}, {"f", 1}, {"fo", 2}, {"foo", 3}, {"\xff\xfe\xfd\xfc", 4}};
    struct message_group group = {.messages = messages, .messages_count = 5};
    shows(&message_group_type, &group,
          "{\"messages\":[\"\",\"Zg==\",\"Zm8=\",\"Zm9v\",\"//79/A==\"]}");

    struct stock_answered answer = {.result = STOCK_RESULT_OUT_OF_STOCK};
    json_t *json = event_json(&stock_answered_type, &answer);
    assert_string_equal(json_string_value(json_object_get(json, "result")), "OUT_OF_STOCK");
    json_decref(json);
}

static void a_time_without_a_calendar_is_a_number(void **state) {
    (void)state;
    struct product product = {.updated_at = INT64_MIN};
    json_t *json = event_json(&product_type, &product);
    assert_true(json_integer_value(json_object_get(json, "updated_at")) == INT64_MIN);
    json_decref(json);
    product.updated_at = INT64_C(253402300799999999);
    json = event_json(&product_type, &product);
    assert_string_equal(json_string_value(json_object_get(json, "updated_at")),
                        "9999-12-31T23:59:59.999999Z");
    json_decref(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_shows_every_field_by_name),
        cmocka_unit_test(bytes_are_base64_and_enums_names),
        cmocka_unit_test(a_time_without_a_calendar_is_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
