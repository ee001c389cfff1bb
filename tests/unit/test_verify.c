// SPDX-License-Identifier: Apache-2.0
//
// A log as it should be passes; each kind of damage is found by the check that is there for it, and
// by no silence elsewhere.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/verify.h"
#include "domain/inventory.h"
#include "domain/order.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(literal) ((struct view){(literal), sizeof(literal) - 1})

struct world {
    struct verify_report report;
    struct verify verify;
    struct id order_id;
    int64_t order_version;
    int64_t sku_version;
    int64_t on_hand;
    int64_t reserved;
    int64_t sold;
    int64_t offset;
};

static int begin(void **state) {
    struct world *world = calloc(1, sizeof(*world));
    if (!world)
        return 1;
    world->verify.report = &world->report;
    world->verify.is_quiet = true;
    world->order_id = (struct id){{7}};
    *state = world;
    return 0;
}

static int end(void **state) {
    struct world *world = *state;
    verify_log_done(&world->verify);
    free(world);
    return 0;
}

static void fold(struct world *world, verify_fold *how, enum record_id type, void *body) {
    const struct message message = {.type = type, .body = body};
    const struct log_record record = {.offset = world->offset++};
    assert_true(how(&world->verify, &message, &record));
}

// ---- a good life --------------------------------------------------------------------------------

static void fill_order_head(struct world *world, void *body, enum order_status status,
                            enum reservation_status reservation, enum payment_status payment,
                            enum shipment_status shipment) {
    struct order_head *head = body;
    head->shop_id = TEXT("main");
    head->order_id = world->order_id;
    head->version = ++world->order_version;
    head->causation_id = (struct id){{1, (uint8_t)head->version}};
    head->event_id = id_derive(&head->causation_id, (uint64_t)head->version);
    head->occurred_at = 1000 + head->version;
    head->status = status;
    head->reservation_status = reservation;
    head->payment_status = payment;
    head->shipment_status = shipment;
}

static struct order_line lines[] = {
    {.sku = {"ant", 3}, .quantity = 2, .unit_price_minor = 100},
    {.sku = {"ant", 3}, .quantity = 1, .unit_price_minor = 90},
};

static struct order_placed make_placed(struct world *world) {
    struct order_placed placed = {.customer_id = TEXT("c"),
                                  .currency = TEXT("GBP"),
                                  .payment_method = TEXT("tok_ok"),
                                  .lines = lines,
                                  .lines_count = 2,
                                  .items_minor = 290,
                                  .shipping_minor = 10,
                                  .total_minor = 300};
    fill_order_head(world, &placed, ORDER_STATUS_PLACED, RESERVATION_STATUS_PENDING,
                    PAYMENT_STATUS_NONE, SHIPMENT_STATUS_NONE);
    return placed;
}

static void place(struct world *world) {
    struct order_placed placed = make_placed(world);
    fold(world, verify_fold_order, RECORD_ORDER_PLACED, &placed);
}

static void complete_saying(struct world *world, int64_t captured_minor) {
    struct order_payment_captured captured = {.amount_minor = 300};
    fill_order_head(world, &captured, ORDER_STATUS_DELIVERED, RESERVATION_STATUS_SOLD,
                    PAYMENT_STATUS_CAPTURED, SHIPMENT_STATUS_DELIVERED);
    fold(world, verify_fold_order, RECORD_ORDER_PAYMENT_CAPTURED, &captured);
    struct order_completed completed = {.has_folded = true,
                                        .folded = {.customer_id = TEXT("c"),
                                                   .currency = TEXT("GBP"),
                                                   .lines = lines,
                                                   .lines_count = 2,
                                                   .items_minor = 290,
                                                   .shipping_minor = 10,
                                                   .total_minor = 300,
                                                   .captured_minor = captured_minor}};
    fill_order_head(world, &completed, ORDER_STATUS_COMPLETED, RESERVATION_STATUS_SOLD,
                    PAYMENT_STATUS_CAPTURED, SHIPMENT_STATUS_DELIVERED);
    fold(world, verify_fold_order, RECORD_ORDER_COMPLETED, &completed);
}

static void complete(struct world *world) {
    complete_saying(world, 300);
}

static void cancel_with(struct world *world, enum payment_status payment) {
    struct order_cancelled cancelled = {.reason = CANCEL_REASON_CUSTOMER};
    fill_order_head(world, &cancelled, ORDER_STATUS_CANCELLED, RESERVATION_STATUS_RELEASED, payment,
                    SHIPMENT_STATUS_CANCELLED);
    fold(world, verify_fold_order, RECORD_ORDER_CANCELLED, &cancelled);
}

static void cancel(struct world *world) {
    cancel_with(world, PAYMENT_STATUS_VOIDED);
}

static void fill_stock_head(struct world *world, void *body) {
    struct stock_head *head = body;
    head->shop_id = TEXT("main");
    head->sku = TEXT("ant");
    head->version = ++world->sku_version;
    head->causation_id = (struct id){{2, (uint8_t)head->version}};
    head->event_id = id_derive(&head->causation_id, (uint64_t)head->version);
    head->on_hand = world->on_hand;
    head->reserved = world->reserved;
    head->sold = world->sold;
}

static void receive(struct world *world, int64_t quantity) {
    struct stock_received received = {.quantity = quantity};
    world->on_hand += quantity;
    fill_stock_head(world, &received);
    fold(world, verify_fold_stock, RECORD_STOCK_RECEIVED, &received);
}

static void reserve(struct world *world, int64_t quantity) {
    struct stock_reserved reserved = {.order_id = world->order_id, .quantity = quantity};
    world->reserved += quantity;
    fill_stock_head(world, &reserved);
    fold(world, verify_fold_stock, RECORD_STOCK_RESERVED, &reserved);
}

static void release(struct world *world, int64_t quantity) {
    struct stock_released released = {.order_id = world->order_id, .quantity = quantity};
    world->reserved -= quantity;
    fill_stock_head(world, &released);
    fold(world, verify_fold_stock, RECORD_STOCK_RELEASED, &released);
}

static void sell(struct world *world, int64_t quantity) {
    struct stock_sold sold = {.order_id = world->order_id, .quantity = quantity};
    world->reserved -= quantity;
    world->on_hand -= quantity;
    world->sold += quantity;
    fill_stock_head(world, &sold);
    fold(world, verify_fold_stock, RECORD_STOCK_SOLD, &sold);
}

static void pay(struct world *world, enum record_id type, int64_t amount_minor) {
    struct payment_authorized event = {.order_id = world->order_id,
                                       .payment_id = id_derive(&world->order_id, 'P'),
                                       .causation_id = {{3, (uint8_t)world->offset}},
                                       .amount_minor = amount_minor};
    event.event_id = id_derive(&event.causation_id, 1);
    fold(world, verify_fold_payment, type, &event);
}

static void ship(struct world *world, enum record_id type) {
    struct shipment_booked event = {.order_id = world->order_id,
                                    .causation_id = {{4, (uint8_t)world->offset}}};
    event.event_id = id_derive(&event.causation_id, 1);
    fold(world, verify_fold_shipment, type, &event);
}

static void sell_and_pay(struct world *world) {
    receive(world, 10);
    reserve(world, 3);
    sell(world, 3);
    pay(world, RECORD_PAYMENT_AUTHORIZED, 300);
    pay(world, RECORD_PAYMENT_CAPTURED, 300);
    ship(world, RECORD_SHIPMENT_BOOKED);
    ship(world, RECORD_SHIPMENT_DISPATCHED);
    ship(world, RECORD_SHIPMENT_DELIVERED);
}

// Exactly this check is violated, or none at all (CHECK_COUNT).
static void assert_found(struct world *world, enum verify_check expected) {
    verify_books(&world->verify);
    for (int check = 0; check < CHECK_COUNT; check++) {
        const bool is_found = world->report.violations[check] > 0;
        if (is_found != (check == (int)expected))
            fail_msg("check %d: %s", check,
                     is_found ? world->report.texts[check][0] : "nothing was found");
    }
}

static void a_log_as_it_should_be_passes(void **state) {
    struct world *world = *state;
    place(world);
    complete(world);
    sell_and_pay(world);
    assert_found(world, CHECK_COUNT);
    assert_int_equal(world->report.checked[CHECK_PAYMENTS], 1);
    assert_int_equal(world->report.checked[CHECK_ORDER_STOCK], 1); // two lines of one SKU
    assert_int_equal(world->report.checked[CHECK_STOCK_BOUNDS], 3);
}

static void a_cancelled_order_that_was_undone_everywhere_passes(void **state) {
    struct world *world = *state;
    place(world);
    cancel(world);
    receive(world, 10);
    reserve(world, 3);
    release(world, 3);
    pay(world, RECORD_PAYMENT_AUTHORIZED, 300);
    pay(world, RECORD_PAYMENT_VOIDED, 300);
    assert_found(world, CHECK_COUNT);
}

// ---- damage -------------------------------------------------------------------------------------

static void a_gap_in_an_orders_versions_is_found(void **state) {
    struct world *world = *state;
    place(world);
    world->order_version++;
    complete(world);
    sell_and_pay(world);
    assert_found(world, CHECK_ORDER_VERSIONS);
}

static void an_event_that_comes_twice_is_found(void **state) {
    struct world *world = *state;
    place(world);
    complete(world);
    sell_and_pay(world);
    world->order_version = 0;
    place(world);
    assert_found(world, CHECK_ORDER_VERSIONS);
}

static void an_id_that_does_not_follow_from_its_cause_is_found(void **state) {
    struct world *world = *state;
    struct order_placed placed = make_placed(world);
    placed.event_id.bytes[15] ^= 1;
    fold(world, verify_fold_order, RECORD_ORDER_PLACED, &placed);
    assert_found(world, CHECK_DERIVED_IDS);
}

static void amounts_that_do_not_add_up_are_found(void **state) {
    struct world *world = *state;
    struct order_placed placed = make_placed(world);
    placed.total_minor++;
    fold(world, verify_fold_order, RECORD_ORDER_PLACED, &placed);
    assert_found(world, CHECK_AMOUNTS);
}

static void a_closing_event_that_carries_another_order_is_found(void **state) {
    struct world *world = *state;
    place(world);
    complete_saying(world, 299);
    sell_and_pay(world);
    assert_found(world, CHECK_FOLDED);
}

static void a_gap_in_a_skus_versions_is_found(void **state) {
    struct world *world = *state;
    receive(world, 10);
    world->sku_version++;
    receive(world, 10);
    assert_found(world, CHECK_SKU_VERSIONS);
}

static void an_oversold_sku_is_found(void **state) {
    struct world *world = *state;
    place(world);
    receive(world, 2);
    reserve(world, 3);
    assert_found(world, CHECK_STOCK_BOUNDS);
}

static void a_level_that_does_not_follow_is_found(void **state) {
    struct world *world = *state;
    receive(world, 10);
    struct stock_adjusted adjusted = {.delta = -1, .reason = TEXT("broken")};
    fill_stock_head(world, &adjusted);
    fold(world, verify_fold_stock, RECORD_STOCK_ADJUSTED, &adjusted);
    verify_books(&world->verify);
    assert_int_equal(world->report.violations[CHECK_STOCK_STEPS], 1);
    assert_int_equal(world->report.violations[CHECK_STOCK_BALANCE], 1);
}

static void a_sale_of_less_than_was_ordered_is_found(void **state) {
    struct world *world = *state;
    place(world);
    complete(world);
    receive(world, 10);
    reserve(world, 2);
    sell(world, 2);
    pay(world, RECORD_PAYMENT_AUTHORIZED, 300);
    pay(world, RECORD_PAYMENT_CAPTURED, 300);
    ship(world, RECORD_SHIPMENT_DISPATCHED);
    assert_found(world, CHECK_ORDER_STOCK);
}

static void stock_that_a_cancelled_order_still_holds_is_found(void **state) {
    struct world *world = *state;
    place(world);
    cancel(world);
    receive(world, 10);
    reserve(world, 3);
    pay(world, RECORD_PAYMENT_VOIDED, 300);
    assert_found(world, CHECK_ORDER_STOCK);
}

static void money_captured_for_a_cancelled_order_is_found(void **state) {
    struct world *world = *state;
    place(world);
    cancel(world);
    pay(world, RECORD_PAYMENT_AUTHORIZED, 300);
    pay(world, RECORD_PAYMENT_VOIDED, 300);
    pay(world, RECORD_PAYMENT_CAPTURED, 300);
    assert_found(world, CHECK_PAYMENTS);
}

static void another_amount_than_the_total_is_found(void **state) {
    struct world *world = *state;
    place(world);
    complete(world);
    receive(world, 10);
    reserve(world, 3);
    sell(world, 3);
    pay(world, RECORD_PAYMENT_AUTHORIZED, 300);
    pay(world, RECORD_PAYMENT_CAPTURED, 299);
    ship(world, RECORD_SHIPMENT_DISPATCHED);
    assert_found(world, CHECK_PAYMENTS);
}

static void money_held_for_a_cancelled_order_is_found(void **state) {
    struct world *world = *state;
    place(world);
    cancel(world);
    pay(world, RECORD_PAYMENT_AUTHORIZED, 300);
    assert_found(world, CHECK_PAYMENTS);
}

static void an_order_whose_money_is_being_let_go_is_not_at_its_end(void **state) {
    struct world *world = *state;
    place(world);
    cancel_with(world, PAYMENT_STATUS_VOID_REQUESTED);
    pay(world, RECORD_PAYMENT_AUTHORIZED, 300);
    assert_found(world, CHECK_COUNT);
    assert_int_equal(world->verify.in_flight, 1);
}

static void a_parcel_of_a_cancelled_order_is_found(void **state) {
    struct world *world = *state;
    place(world);
    cancel(world);
    pay(world, RECORD_PAYMENT_VOIDED, 300);
    ship(world, RECORD_SHIPMENT_DISPATCHED);
    assert_found(world, CHECK_SHIPMENTS);
}

static void stock_for_an_order_that_nobody_placed_is_found(void **state) {
    struct world *world = *state;
    receive(world, 10);
    reserve(world, 3);
    assert_found(world, CHECK_ORDER_STOCK);
}

static void orders_under_way_are_not_judged_while_the_system_works(void **state) {
    struct world *world = *state;
    world->verify.is_quiet = false;
    world->verify.now_us = 2000;
    place(world);
    cancel(world);
    pay(world, RECORD_PAYMENT_AUTHORIZED, 300);
    assert_found(world, CHECK_COUNT);
    assert_int_equal(world->verify.in_flight, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_log_as_it_should_be_passes),
        CASE(a_cancelled_order_that_was_undone_everywhere_passes),
        CASE(a_gap_in_an_orders_versions_is_found),
        CASE(an_event_that_comes_twice_is_found),
        CASE(an_id_that_does_not_follow_from_its_cause_is_found),
        CASE(amounts_that_do_not_add_up_are_found),
        CASE(a_closing_event_that_carries_another_order_is_found),
        CASE(a_gap_in_a_skus_versions_is_found),
        CASE(an_oversold_sku_is_found),
        CASE(a_level_that_does_not_follow_is_found),
        CASE(a_sale_of_less_than_was_ordered_is_found),
        CASE(stock_that_a_cancelled_order_still_holds_is_found),
        CASE(money_captured_for_a_cancelled_order_is_found),
        CASE(another_amount_than_the_total_is_found),
        CASE(money_held_for_a_cancelled_order_is_found),
        CASE(an_order_whose_money_is_being_let_go_is_not_at_its_end),
        CASE(a_parcel_of_a_cancelled_order_is_found),
        CASE(stock_for_an_order_that_nobody_placed_is_found),
        CASE(orders_under_way_are_not_judged_while_the_system_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
