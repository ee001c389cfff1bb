// SPDX-License-Identifier: Apache-2.0
//
// Deadlines are memory of open orders only: orders that come and close long before their deadlines
// leave none behind, and those of the others still pass, also after an undo.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "domain/order.h"
#include "process/orders.h"

enum { ORDERS = 5000, OPEN_EVERY = 50, TIMERS_MAX = 512 };

static const struct policy policy = {.reservation_ttl_us = 900000000};
static struct arena arena;
static int64_t now_us = 1;

static struct view view(const char *text) {
    return (struct view){.ptr = text, .len = (uint32_t)strlen(text)};
}

static struct id id_of(uint32_t number) {
    struct id id = {.bytes = "an order"};
    return id_derive(&id, number);
}

static void give(struct orders *orders, uint32_t number, enum record_id type, const void *input) {
    struct id id = id_of(number);
    arena_reset(&arena);
    struct decision decision;
    decision_begin(&decision, &arena, &policy, now_us++);
    struct order *order = orders_edit(orders, &id);
    struct orders_before before = orders_before(order);
    struct remembered_command remembered = {0};
    order_decide(&decision, &order, order_input_key(type, input) ? &remembered : NULL, type, input);
    orders_keep(orders, &id, before, order, 0);
}

static void place(struct orders *orders, uint32_t number) {
    struct order_line line = {.sku = view("A"), .quantity = 1, .unit_price_minor = 5};
    struct id id = id_of(number);
    struct place_order place = {.command_id = id,
                                .key_id = id,
                                .shop_id = view("main"),
                                .order_id = id,
                                .idempotency_key = view("k"),
                                .customer_id = view("c"),
                                .currency = view("EUR"),
                                .payment_method = view("tok_ok"),
                                .lines = &line,
                                .lines_count = 1};
    give(orders, number, RECORD_PLACE_ORDER, &place);
}

static void reject(struct orders *orders, uint32_t number) {
    struct stock_answered answer = {.shop_id = view("main"),
                                    .order_id = id_of(number),
                                    .sku = view("A"),
                                    .result = STOCK_RESULT_OUT_OF_STOCK};
    give(orders, number, RECORD_STOCK_ANSWERED, &answer);
}

static void closed_orders_leave_no_deadlines(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    struct orders *orders = orders_new(1, 1);
    place(orders, 0); // before anybody asks
    assert_non_null(orders_next_deadline(orders));
    for (uint32_t number = 0; number < ORDERS; number++) {
        if (number > 0)
            place(orders, number);
        if (number % OPEN_EVERY != 0)
            reject(orders, number);
        orders_commit(orders);
        assert_true(orders->timers.count <= TIMERS_MAX);
    }
    assert_int_equal(soft_table_count(orders->open), ORDERS / OPEN_EVERY);
    // Closed in a transaction that is undone, they run again.
    for (uint32_t number = 0; number < ORDERS; number += OPEN_EVERY)
        reject(orders, number);
    assert_null(orders_next_deadline(orders));
    orders_undo(orders);
    for (uint32_t number = 0; number < ORDERS; number += OPEN_EVERY) {
        const struct timer *next = orders_next_deadline(orders);
        struct id id = id_of(number);
        assert_non_null(next);
        assert_true(id_equal(&next->key, &id));
        timers_pop(&orders->timers);
    }
    assert_null(orders_next_deadline(orders));
    orders_free(orders);
    arena_done(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_orders_leave_no_deadlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
