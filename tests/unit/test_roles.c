// SPDX-License-Identifier: Apache-2.0
//
// What order and inventory hold, as the gauges tell it: of all partitions of the worker together,
// whichever was committed last, and without those it has lost.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "process/roles.h"
#include "service/metrics.h"

#include <string.h>

static struct view view(const char *text) {
    return (struct view){.ptr = text, .len = (uint32_t)strlen(text)};
}

static struct id id_of(uint64_t number) {
    return id_derive(&(struct id){{1}}, number);
}

static void fold(struct role *role, void *state, enum record_id type, const void *event) {
    struct error err = {0};
    if (!role->fold(role->context, state, type, event, 0, &err))
        fail_msg("%s", err.msg);
}

static void place(struct role *role, void *state, uint64_t number) {
    struct order_line line = {.sku = view("A"), .quantity = 1, .unit_price_minor = 100};
    const struct order_placed placed = {
        .event_id = id_of(1000 + number),
        .shop_id = view("main"),
        .order_id = id_of(number),
        .version = 1,
        .occurred_at = 1,
        .currency = view("EUR"),
        .payment_method = view("tok_ok"),
        .lines = &line,
        .lines_count = 1,
        .items_minor = 100,
        .total_minor = 100,
        .reservation_deadline = 1000000,
    };
    fold(role, state, RECORD_ORDER_PLACED, &placed);
}

static void create(struct role *role, void *state, const char *sku) {
    const struct product_created created = {
        .event_id = id_of(1),
        .shop_id = view("main"),
        .sku = view(sku),
        .version = 1,
        .name = view("a thing"),
        .price_minor = 100,
        .currency = view("EUR"),
        .price_version = 1,
    };
    fold(role, state, RECORD_PRODUCT_CREATED, &created);
}

static void orders_and_deadlines_of_all_partitions_are_counted(void **state) {
    (void)state;
    const struct config config = {.order_reservation_ttl_ms = 1000};
    struct role *role = order_role_new(&config, NULL);
    void *first = role->partition_new(role->context, 0);
    void *second = role->partition_new(role->context, 1);
    for (uint64_t i = 0; i < 5; i++)
        place(role, first, i);
    role->commit(role->context, first);
    for (uint64_t i = 0; i < 3; i++)
        place(role, second, i);
    role->commit(role->context, second);
    assert_int_equal(metrics_value(METRIC_AGGREGATES, 0), 8);
    // As at the end of a take-over.
    assert_int_equal(role->deadline_us(role->context, first), 1000000);
    assert_int_equal(role->deadline_us(role->context, second), 1000000);
    assert_int_equal(metrics_value(METRIC_TIMERS, 0), 8);
    role->commit(role->context, first);
    assert_int_equal(metrics_value(METRIC_AGGREGATES, 0), 8);
    role->partition_free(role->context, first);
    assert_int_equal(metrics_value(METRIC_AGGREGATES, 0), 3);
    assert_int_equal(metrics_value(METRIC_TIMERS, 0), 3);
    role->partition_free(role->context, second);
    assert_int_equal(metrics_value(METRIC_AGGREGATES, 0), 0);
    order_role_free(role);
}

static void skus_of_all_partitions_are_counted(void **state) {
    (void)state;
    const struct config config = {.order_command_window_ms = 60000};
    struct role *role = inventory_role_new(&config, NULL);
    void *first = role->partition_new(role->context, 0);
    void *second = role->partition_new(role->context, 1);
    create(role, first, "A");
    create(role, first, "B");
    role->commit(role->context, first);
    create(role, second, "C");
    role->commit(role->context, second);
    assert_int_equal(metrics_value(METRIC_AGGREGATES, 0), 3);
    role->partition_free(role->context, first);
    role->partition_free(role->context, second);
    assert_int_equal(metrics_value(METRIC_AGGREGATES, 0), 0);
    inventory_role_free(role);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_and_deadlines_of_all_partitions_are_counted),
        cmocka_unit_test(skus_of_all_partitions_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
