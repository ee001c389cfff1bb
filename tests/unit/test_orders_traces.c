// SPDX-License-Identifier: Apache-2.0
//
// An order's trace is kept with it, so that its deadlines go on in it: through undo and snapshots,
// and at no cost for orders that have none.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "domain/order.h"
#include "process/orders.h"
#include "service/spans.h"

enum { TRACE_BYTES = 26 };

static const struct policy policy = {.reservation_ttl_us = 900000000};
static const struct id order_id = {.bytes = "an order's id"};
static struct arena arena;
static struct orders *orders;
static int64_t now_us = 1;

static struct view view(const char *text) {
    return (struct view){.ptr = text, .len = (uint32_t)strlen(text)};
}

static struct trace_context trace(uint8_t id, uint8_t span) {
    return (struct trace_context){
        .is_set = true, .flags = TRACE_SAMPLED, .trace_id = {id, 1}, .span_id = {span, 2}};
}

static void give(const struct trace_context *cause, enum record_id type, const void *input) {
    arena_reset(&arena);
    struct decision decision;
    decision_begin(&decision, &arena, &policy, now_us++);
    struct order *order = orders_edit(orders, &order_id);
    struct orders_before before = orders_before(order);
    struct remembered_command remembered = {0};
    order_decide(&decision, &order, order_input_key(type, input) ? &remembered : NULL, type, input);
    assert_true(decision.events_count > 0);
    orders->cause = *cause;
    orders_keep(orders, &order_id, before, order, 0);
}

static void place(const struct trace_context *cause) {
    static struct order_line lines[2];
    lines[0] = (struct order_line){.sku = view("A"), .quantity = 1, .unit_price_minor = 5};
    lines[1] = (struct order_line){.sku = view("B"), .quantity = 1, .unit_price_minor = 5};
    const struct place_order place = {.command_id = order_id,
                                      .key_id = order_id,
                                      .shop_id = view("main"),
                                      .order_id = order_id,
                                      .idempotency_key = view("k"),
                                      .customer_id = view("c"),
                                      .currency = view("EUR"),
                                      .payment_method = view("tok_ok"),
                                      .lines = lines,
                                      .lines_count = 2};
    give(cause, RECORD_PLACE_ORDER, &place);
}

static void answer(const struct trace_context *cause, const char *sku) {
    const struct stock_answered answer = {.shop_id = view("main"),
                                          .order_id = order_id,
                                          .sku = view(sku),
                                          .result = STOCK_RESULT_RESERVED};
    give(cause, RECORD_STOCK_ANSWERED, &answer);
}

static void assert_trace(const struct orders *of, const struct trace_context *expected) {
    const struct trace_context found = orders_trace(of, &order_id);
    assert_int_equal(found.is_set, expected->is_set);
    assert_int_equal(found.flags, expected->flags);
    assert_memory_equal(found.trace_id, expected->trace_id, TRACE_ID_LEN);
    assert_memory_equal(found.span_id, expected->span_id, TRACE_SPAN_ID_LEN);
}

static const struct trace_context none;

static int setup(void **state) {
    (void)state;
    atomic_store(&spans_on, true);
    arena_init(&arena, 1 << 20);
    orders = orders_new(1, 1);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    orders_free(orders);
    arena_done(&arena);
    atomic_store(&spans_on, false);
    return 0;
}

static void an_order_stays_in_the_trace_that_it_began_in(void **state) {
    (void)state;
    const struct trace_context began = trace(1, 1), later = trace(1, 2), foreign = trace(2, 3);
    place(&began);
    assert_trace(orders, &began);
    answer(&later, "A");
    assert_trace(orders, &later);
    answer(&foreign, "B");
    assert_trace(orders, &later);
}

static void what_is_not_traced_changes_nothing(void **state) {
    (void)state;
    const struct trace_context began = trace(1, 1);
    place(&began);
    answer(&none, "A");
    assert_trace(orders, &began);
}

static void an_undo_takes_the_span_back(void **state) {
    (void)state;
    const struct trace_context began = trace(1, 1), later = trace(1, 2);
    place(&began);
    orders_commit(orders);
    answer(&later, "A");
    orders_undo(orders);
    assert_trace(orders, &began);
}

static bool restore(void *opaque, const struct snapshot_row *row, struct error *err) {
    return orders_restore(opaque, row, err);
}

static void a_snapshot_carries_it(void **state) {
    (void)state;
    const struct trace_context began = trace(1, 1);
    struct error err;
    place(&began);
    struct orders *again = orders_new(1, 1);
    const struct snapshot_sink sink = {.put = restore, .opaque = again};
    assert_true(orders_rows(orders, &arena, &sink, &err));
    assert_trace(again, &began);
    const struct order *order = orders_edit(orders, &order_id);
    const struct order *restored = orders_edit(again, &order_id);
    assert_int_equal(order_size(order), order_size(restored));
    assert_memory_equal(order, restored, order_size(order));
    orders_free(again);
}

static void deadlines_pass_as_without_it(void **state) {
    (void)state;
    const struct trace_context began = trace(1, 1);
    place(&began);
    const struct timer *top = orders_next_deadline(orders);
    assert_non_null(top);
    assert_int_equal(top->deadline_us, order_deadline_us(orders_edit(orders, &order_id)));
}

static void an_order_without_a_trace_costs_nothing_for_it(void **state) {
    (void)state;
    const struct trace_context began = trace(1, 1);
    size_t bytes[3];
    for (int i = 0; i < 3; i++) {
        orders_free(orders);
        orders = orders_new(1, 1);
        atomic_store(&spans_on, i > 0);
        place(i == 2 ? &began : &none);
        bytes[i] = soft_table_bytes(orders->open);
    }
    assert_int_equal(bytes[1], bytes[0]);
    assert_int_equal(bytes[2], bytes[0] + TRACE_BYTES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_order_stays_in_the_trace_that_it_began_in),
        TEST(what_is_not_traced_changes_nothing),
        TEST(an_undo_takes_the_span_back),
        TEST(a_snapshot_carries_it),
        TEST(deadlines_pass_as_without_it),
        TEST(an_order_without_a_trace_costs_nothing_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
