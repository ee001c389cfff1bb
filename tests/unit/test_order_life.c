// SPDX-License-Identifier: Apache-2.0
//
// Stories of one order, with what the events and requests say in them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "order_world.h"

#include <string.h>

static struct order_world world;

static int begin(void **state) {
    (void)state;
    order_world_init(&world);
    return 0;
}

static int end(void **state) {
    (void)state;
    order_world_done(&world);
    return 0;
}

static void reserve_all(void) {
    order_world_place(&world);
    order_world_stock(&world, "A", STOCK_RESULT_RESERVED, 5);
    order_world_stock(&world, "B", STOCK_RESULT_RESERVED, 5);
}

static void authorise(void) {
    reserve_all();
    order_world_payment(&world, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_AUTHORIZED);
}

static void book(void) {
    authorise();
    order_world_shipment(&world, SHIPMENT_ACTION_BOOK, SHIPMENT_RESULT_BOOKED);
}

static void ship(void) {
    book();
    order_world_shipment(&world, SHIPMENT_ACTION_TRACK_READY, SHIPMENT_RESULT_READY);
    order_world_shipment(&world, SHIPMENT_ACTION_DISPATCH, SHIPMENT_RESULT_DISPATCHED);
}

static void an_order_goes_all_the_way(void **state) {
    (void)state;
    ship();
    order_world_payment(&world, PAYMENT_ACTION_CAPTURE, PAYMENT_RESULT_CAPTURED);
    order_world_shipment(&world, SHIPMENT_ACTION_TRACK_DELIVERED, SHIPMENT_RESULT_DELIVERED);
    assert_int_equal(order_status(world.order), ORDER_STATUS_COMPLETED);
    assert_true(order_is_closed(world.order));
    // Placed, 2 reserved, payment requested, authorised, confirmed, booked, dispatch authorised,
    // dispatched, captured, delivered, completed.
    assert_int_equal(order_version(world.order), 12);
}

static void placing_tells_everything_about_the_order(void **state) {
    (void)state;
    order_world_place(&world);
    const struct order_placed *placed = order_world_last(&world, RECORD_ORDER_PLACED);
    assert_int_equal(placed->items_minor, 1300);
    assert_int_equal(placed->total_minor, 1300);
    assert_int_equal(placed->lines_count, 3);
    assert_int_equal(placed->status, ORDER_STATUS_PLACED);
    assert_true(placed->has_key_id);
    assert_int_equal(placed->reservation_deadline, world.now_us + 900000000);
    struct id command_id = order_world_id("content");
    assert_true(id_equal(&placed->causation_id, &command_id));
    assert_true(id_equal(&placed->correlation_id, &command_id));
}

// ---- the order in its closing event ------------------------------------------------------------

static void assert_line(const struct order_line *line, const struct order_line *ordered) {
    assert_int_equal(line->sku.len, ordered->sku.len);
    assert_memory_equal(line->sku.ptr, ordered->sku.ptr, ordered->sku.len);
    assert_int_equal(line->quantity, ordered->quantity);
    assert_int_equal(line->unit_price_minor, ordered->unit_price_minor);
    assert_int_equal(line->has_price_version, ordered->has_price_version);
    if (ordered->has_price_version)
        assert_int_equal(line->price_version, ordered->price_version);
}

static void a_completed_order_is_whole_in_its_closing_event(void **state) {
    (void)state;
    struct place_order place = order_world_place_command("content");
    struct order_line lines[3];
    memcpy(lines, order_world_lines, sizeof(lines));
    lines[2].has_price_version = true; // the same SKU twice, for other prices
    lines[2].price_version = 0;
    lines[2].unit_price_minor = 170;
    place.lines = lines;
    place.discount_minor = 50;
    place.shipping_minor = 490;
    place.tax_minor = 7;
    order_world_give(&world, RECORD_PLACE_ORDER, &place);
    order_world_stock(&world, "A", STOCK_RESULT_RESERVED, 5);
    order_world_stock(&world, "B", STOCK_RESULT_RESERVED, 5);
    order_world_payment(&world, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_AUTHORIZED);
    order_world_shipment(&world, SHIPMENT_ACTION_BOOK, SHIPMENT_RESULT_BOOKED);
    order_world_shipment(&world, SHIPMENT_ACTION_TRACK_READY, SHIPMENT_RESULT_READY);
    order_world_shipment(&world, SHIPMENT_ACTION_DISPATCH, SHIPMENT_RESULT_DISPATCHED);
    order_world_payment(&world, PAYMENT_ACTION_CAPTURE, PAYMENT_RESULT_CAPTURED);
    order_world_shipment(&world, SHIPMENT_ACTION_TRACK_DELIVERED, SHIPMENT_RESULT_DELIVERED);
    const struct folded_order *folded = order_event_folded(
        RECORD_ORDER_COMPLETED, order_world_last(&world, RECORD_ORDER_COMPLETED));
    assert_non_null(folded);
    assert_memory_equal(folded->customer_id.ptr, "c-17", folded->customer_id.len);
    assert_memory_equal(folded->currency.ptr, "EUR", folded->currency.len);
    assert_int_equal(folded->lines_count, 3);
    for (int i = 0; i < 3; i++)
        assert_line(&folded->lines[i], &lines[i]);
    assert_int_equal(folded->items_minor, 1270);
    assert_int_equal(folded->discount_minor, 50);
    assert_int_equal(folded->shipping_minor, 490);
    assert_int_equal(folded->tax_minor, 7);
    assert_int_equal(folded->total_minor, 1717);
    assert_int_equal(folded->captured_minor, 1717);
    struct id payment_id = id_derive(&place.order_id, 'P');
    struct id shipment_id = id_derive(&place.order_id, 'S');
    assert_true(folded->has_payment_id && id_equal(&folded->payment_id, &payment_id));
    assert_true(folded->has_shipment_id && id_equal(&folded->shipment_id, &shipment_id));
}

static void an_order_that_asked_for_no_money_closes_as_it_ends(void **state) {
    (void)state;
    order_world_place(&world);
    order_world_cancel(&world, "c");
    const struct folded_order *folded = order_event_folded(
        RECORD_ORDER_CANCELLED, order_world_last(&world, RECORD_ORDER_CANCELLED));
    assert_non_null(folded);
    assert_int_equal(folded->lines_count, 3);
    assert_int_equal(folded->captured_minor, 0);
    assert_false(folded->has_payment_id || folded->has_shipment_id);
}

static void an_order_that_holds_money_closes_when_it_is_let_go(void **state) {
    (void)state;
    book();
    order_world_cancel(&world, "c");
    assert_null(order_event_folded(RECORD_ORDER_CANCELLED,
                                   order_world_last(&world, RECORD_ORDER_CANCELLED)));
    order_world_payment(&world, PAYMENT_ACTION_VOID, PAYMENT_RESULT_VOIDED);
    const struct folded_order *folded = order_event_folded(
        RECORD_ORDER_PAYMENT_VOIDED, order_world_last(&world, RECORD_ORDER_PAYMENT_VOIDED));
    assert_non_null(folded);
    assert_int_equal(folded->total_minor, 1300);
    assert_true(folded->has_payment_id && folded->has_shipment_id);
}

static void requests_follow_from_their_event(void **state) {
    (void)state;
    order_world_place(&world);
    const struct order_placed *placed = order_world_last(&world, RECORD_ORDER_PLACED);
    for (uint32_t i = 0; i < world.sent_count; i++) {
        const struct request_stock *request = world.sent[i].body;
        struct id expected = id_derive(&placed->event_id, i);
        assert_true(id_equal(&request->message_id, &expected));
        assert_true(id_equal(&request->causation_id, &placed->event_id));
        assert_true(id_equal(&request->correlation_id, &placed->causation_id));
    }
}

static void payment_is_asked_for_with_the_whole_amount(void **state) {
    (void)state;
    reserve_all();
    const struct request_payment *request = world.sent[0].body;
    assert_int_equal(request->amount_minor, 1300);
    assert_int_equal(request->attempt, 0);
    assert_memory_equal(request->currency.ptr, "EUR", 3);
    assert_int_equal(request->currency.len, 3);
    assert_memory_equal(request->payment_method.ptr, "tok_ok", request->payment_method.len);
    struct id payment_id = id_derive(&request->order_id, 'P');
    assert_true(id_equal(&request->payment_id, &payment_id));
    const struct order_payment_requested *event =
        order_world_last(&world, RECORD_ORDER_PAYMENT_REQUESTED);
    assert_int_equal(event->deadline, world.now_us + 30000000);
}

// ---- shortages ---------------------------------------------------------------------------------

static void a_rejection_lists_every_shortage(void **state) {
    (void)state;
    order_world_place(&world);
    order_world_stock(&world, "B", STOCK_RESULT_OUT_OF_STOCK, 2);
    assert_string_equal(world.events, "OrderStockRefused");
    order_world_stock(&world, "A", STOCK_RESULT_UNKNOWN_SKU, 0);
    const struct order_rejected *rejected = order_world_last(&world, RECORD_ORDER_REJECTED);
    assert_int_equal(rejected->reason, REJECT_REASON_UNKNOWN_SKU);
    assert_int_equal(rejected->shortages_count, 2);
    assert_memory_equal(rejected->shortages[0].sku.ptr, "A", 1);
    assert_int_equal(rejected->shortages[0].result, STOCK_RESULT_UNKNOWN_SKU);
    assert_int_equal(rejected->shortages[0].requested, 2);
    assert_memory_equal(rejected->shortages[1].sku.ptr, "B", 1);
    assert_int_equal(rejected->shortages[1].result, STOCK_RESULT_OUT_OF_STOCK);
    assert_int_equal(rejected->shortages[1].requested, 3);
    assert_int_equal(rejected->shortages[1].available, 2);
    assert_string_equal(world.messages, "");
}

static void a_declined_payment_lists_no_shortage(void **state) {
    (void)state;
    reserve_all();
    order_world_payment(&world, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_DECLINED);
    const struct order_rejected *rejected = order_world_last(&world, RECORD_ORDER_REJECTED);
    assert_int_equal(rejected->shortages_count, 0);
    assert_false(rejected->has_deadline);
}

// ---- cancel against dispatch -------------------------------------------------------------------

static void a_cancel_before_dispatch_wins(void **state) {
    (void)state;
    book();
    order_world_cancel(&world, "c");
    assert_string_equal(world.messages, "RELEASE:A:2 RELEASE:B:3 VOID CANCEL");
    order_world_dispatch(&world, "d");
    assert_string_equal(world.events, "OrderCommandRefused:ALREADY_CLOSED");
    order_world_shipment(&world, SHIPMENT_ACTION_TRACK_READY, SHIPMENT_RESULT_READY);
    assert_string_equal(world.events, "");
    assert_int_equal(order_status(world.order), ORDER_STATUS_CANCELLED);
}

static void a_dispatch_before_cancel_wins(void **state) {
    (void)state;
    book();
    order_world_dispatch(&world, "d");
    assert_string_equal(world.events, "OrderDispatchAuthorised");
    order_world_cancel(&world, "c");
    assert_string_equal(world.events, "OrderCommandRefused:ALREADY_DISPATCHED");
    assert_string_equal(world.messages, "");
    assert_int_equal(order_status(world.order), ORDER_STATUS_DISPATCHING);
}

static void a_booking_answered_cancelled_ends_the_order(void **state) {
    (void)state;
    authorise();
    order_world_shipment(&world, SHIPMENT_ACTION_BOOK, SHIPMENT_RESULT_CANCELLED);
    assert_string_equal(world.events, "OrderShipmentFailed OrderCancelled");
    assert_string_equal(world.messages, "RELEASE:A:2 RELEASE:B:3 VOID");
    order_world_payment(&world, PAYMENT_ACTION_VOID, PAYMENT_RESULT_VOIDED);
    assert_true(order_is_closed(world.order));
}

// The parcel was to leave and the money to be captured: people must say what is to become of it.
static void a_dispatch_answered_cancelled_is_for_people(void **state) {
    (void)state;
    authorise();
    order_world_shipment(&world, SHIPMENT_ACTION_BOOK, SHIPMENT_RESULT_BOOKED);
    order_world_shipment(&world, SHIPMENT_ACTION_TRACK_READY, SHIPMENT_RESULT_READY);
    order_world_shipment(&world, SHIPMENT_ACTION_DISPATCH, SHIPMENT_RESULT_CANCELLED);
    assert_string_equal(world.events, "OrderCaseOpened:CARRIER_CONTRADICTION");
    assert_string_equal(world.messages, "");
    assert_int_equal(order_status(world.order), ORDER_STATUS_NEEDS_ATTENTION);
}

static void a_carriers_fact_never_flips_a_cancelled_order(void **state) {
    (void)state;
    book();
    order_world_cancel(&world, "c");
    order_world_shipment(&world, SHIPMENT_ACTION_DISPATCH, SHIPMENT_RESULT_DISPATCHED);
    assert_string_equal(world.events, "OrderCaseOpened:CARRIER_CONTRADICTION");
    order_world_shipment(&world, SHIPMENT_ACTION_TRACK_DELIVERED, SHIPMENT_RESULT_DELIVERED);
    assert_string_equal(world.events, "");
    assert_int_equal(order_status(world.order), ORDER_STATUS_CANCELLED);
}

// ---- deadlines ---------------------------------------------------------------------------------

static void an_unconfirmed_order_expires_and_lets_go_what_never_answered(void **state) {
    (void)state;
    order_world_place(&world);
    order_world_stock(&world, "A", STOCK_RESULT_RESERVED, 5);
    int64_t deadline_us = order_deadline_us(world.order);
    assert_int_equal(deadline_us, world.now_us + 900000000);
    order_world_time(&world, deadline_us - 1);
    assert_string_equal(world.events, "");
    order_world_time(&world, deadline_us);
    assert_string_equal(world.events, "OrderExpired");
    assert_string_equal(world.messages, "RELEASE:A:2 RELEASE:B:3");
    assert_int_equal(order_deadline_us(world.order), INT64_MAX);
    order_world_stock(&world, "B", STOCK_RESULT_RESERVED, 5);
    assert_string_equal(world.events, "");
}

static void a_deadlines_event_is_the_same_after_a_replay(void **state) {
    (void)state;
    order_world_place(&world);
    order_world_time(&world, order_deadline_us(world.order));
    const struct order_expired *expired = order_world_last(&world, RECORD_ORDER_EXPIRED);
    struct id cause = id_derive(&expired->order_id, 1);
    assert_true(id_equal(&expired->causation_id, &cause));
}

static void a_confirmed_order_does_not_expire(void **state) {
    (void)state;
    authorise();
    assert_int_equal(order_deadline_us(world.order), INT64_MAX);
}

static void look_ups_back_off_and_end_in_a_case(void **state) {
    (void)state;
    ship();
    static const int64_t waits_us[] = {30000000, 60000000, 120000000};
    for (int32_t i = 0; i < 3; i++) {
        order_world_time(&world, order_deadline_us(world.order));
        assert_string_equal(world.events, "OrderPaymentTimedOut");
        assert_string_equal(world.messages, "LOOKUP");
        const struct order_payment_timed_out *event =
            order_world_last(&world, RECORD_ORDER_PAYMENT_TIMED_OUT);
        assert_int_equal(event->attempt, i + 1);
        assert_int_equal(world.attempt, i + 1);
        assert_int_equal(event->deadline, world.now_us + waits_us[i]);
    }
    order_world_time(&world, order_deadline_us(world.order));
    assert_string_equal(world.events, "OrderCaseOpened:PAYMENT_UNRESOLVED");
    assert_int_equal(order_status(world.order), ORDER_STATUS_NEEDS_ATTENTION);
    assert_int_equal(order_deadline_us(world.order), INT64_MAX);
}

static void a_late_answer_settles_an_unresolved_payment(void **state) {
    (void)state;
    look_ups_back_off_and_end_in_a_case(state);
    order_world_payment(&world, PAYMENT_ACTION_CAPTURE, PAYMENT_RESULT_CAPTURED);
    assert_string_equal(world.events, "OrderPaymentCaptured");
    assert_int_equal(order_status(world.order), ORDER_STATUS_DISPATCHED);
}

static void the_wait_for_a_look_up_is_bounded(void **state) {
    (void)state;
    world.policy.payment_lookups_max = 40;
    ship();
    for (int i = 0; i < 40; i++) {
        order_world_time(&world, order_deadline_us(world.order));
        assert_in_range(order_deadline_us(world.order) - world.now_us, 30000000, 240000000);
    }
}

static void two_deadlines_at_once_end_the_order(void **state) {
    (void)state;
    reserve_all();
    order_world_time(&world, world.now_us + 900000000);
    // The void it asked for is looked after from now on.
    assert_string_equal(world.events, "OrderExpired");
    assert_string_equal(world.messages, "RELEASE:A:2 RELEASE:B:3 VOID");
    order_world_time(&world, order_deadline_us(world.order));
    assert_string_equal(world.events, "OrderPaymentTimedOut");
    assert_string_equal(world.messages, "VOID");
    order_world_payment(&world, PAYMENT_ACTION_VOID, PAYMENT_RESULT_VOIDED);
    assert_true(order_is_closed(world.order));
}

// ---- unknown outcomes --------------------------------------------------------------------------

static void a_lost_answer_is_found_by_look_up(void **state) {
    (void)state;
    reserve_all();
    order_world_payment(&world, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_UNKNOWN);
    assert_string_equal(world.messages, "LOOKUP");
    assert_int_equal(world.attempt, 1);
    order_world_payment(&world, PAYMENT_ACTION_LOOKUP, PAYMENT_RESULT_AUTHORIZED);
    assert_string_equal(world.events, "OrderPaymentAuthorized OrderConfirmed");
    // The first answer after all: nothing is confirmed twice.
    order_world_payment(&world, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_AUTHORIZED);
    assert_string_equal(world.events, "");
}

// Every call fails after 2 s until the provider is back after 20; the look-ups allowed are few.
static void an_outage_opens_no_case_and_the_payment_is_found_after_it(void **state) {
    (void)state;
    reserve_all();
    int64_t back_us = world.now_us + 20000000;
    enum payment_action asked = PAYMENT_ACTION_AUTHORIZE;
    while (world.now_us < back_us) {
        world.now_us += 2000000;
        order_world_payment(&world, asked, PAYMENT_RESULT_UNKNOWN);
        if (!world.messages[0])
            order_world_time(&world, order_deadline_us(world.order));
        assert_string_equal(world.messages, "LOOKUP");
        asked = PAYMENT_ACTION_LOOKUP;
    }
    assert_int_equal(order_status(world.order), ORDER_STATUS_AWAITING_PAYMENT);
    assert_in_range(world.now_us, back_us, back_us + 15000000);
    order_world_payment(&world, PAYMENT_ACTION_LOOKUP, PAYMENT_RESULT_AUTHORIZED);
    assert_int_equal(order_status(world.order), ORDER_STATUS_CONFIRMED);
}

static void an_unknown_look_up_is_no_news(void **state) {
    (void)state;
    reserve_all();
    order_world_payment(&world, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_UNKNOWN);
    int64_t due_us = order_deadline_us(world.order);
    for (int i = 0; i < 20; i++) {
        order_world_payment(&world, PAYMENT_ACTION_LOOKUP, PAYMENT_RESULT_UNKNOWN);
        assert_string_equal(world.events, "");
        assert_string_equal(world.messages, "");
    }
    assert_int_equal(order_deadline_us(world.order), due_us);
    order_world_time(&world, due_us);
    assert_string_equal(world.messages, "LOOKUP");
    assert_int_equal(world.attempt, 2);
}

static void a_capture_that_is_lost_again_waits_for_its_deadline(void **state) {
    (void)state;
    ship();
    order_world_payment(&world, PAYMENT_ACTION_CAPTURE, PAYMENT_RESULT_UNKNOWN);
    order_world_payment(&world, PAYMENT_ACTION_LOOKUP, PAYMENT_RESULT_AUTHORIZED);
    assert_string_equal(world.messages, "CAPTURE");
    order_world_payment(&world, PAYMENT_ACTION_CAPTURE, PAYMENT_RESULT_UNKNOWN);
    assert_string_equal(world.messages, "");
    order_world_time(&world, order_deadline_us(world.order));
    assert_string_equal(world.messages, "LOOKUP");
}

static void a_charge_that_never_arrived_is_voided_too(void **state) {
    (void)state;
    reserve_all();
    order_world_payment(&world, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_UNKNOWN);
    order_world_payment(&world, PAYMENT_ACTION_LOOKUP, PAYMENT_RESULT_NOT_FOUND);
    assert_string_equal(world.events, "OrderRejected:PAYMENT_TIMED_OUT");
    assert_string_equal(world.messages, "RELEASE:A:2 RELEASE:B:3 VOID");
    order_world_payment(&world, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_AUTHORIZED);
    assert_string_equal(world.events, "");
    order_world_payment(&world, PAYMENT_ACTION_VOID, PAYMENT_RESULT_VOIDED);
    assert_string_equal(world.events, "OrderPaymentVoided");
    assert_true(order_is_closed(world.order));
}

static void an_answer_to_an_earlier_attempt_asks_for_no_second_look_up(void **state) {
    (void)state;
    reserve_all();
    order_world_time(&world, order_deadline_us(world.order));
    assert_int_equal(world.attempt, 1);
    world.attempt = 0;
    order_world_payment(&world, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_UNKNOWN);
    assert_string_equal(world.events, "");
}

static void an_answer_to_an_earlier_step_asks_for_no_look_up(void **state) {
    (void)state;
    ship();
    world.attempt = 3; // of a look-up while the payment was being authorised
    order_world_payment(&world, PAYMENT_ACTION_LOOKUP, PAYMENT_RESULT_UNKNOWN);
    assert_string_equal(world.events, "");
    assert_string_equal(world.messages, "");
}

static void a_capture_that_never_arrived_is_repeated(void **state) {
    (void)state;
    ship();
    order_world_payment(&world, PAYMENT_ACTION_CAPTURE, PAYMENT_RESULT_UNKNOWN);
    assert_string_equal(world.messages, "LOOKUP");
    order_world_payment(&world, PAYMENT_ACTION_LOOKUP, PAYMENT_RESULT_AUTHORIZED);
    assert_string_equal(world.events, "");
    assert_string_equal(world.messages, "CAPTURE");
    // A late answer of another step says nothing about the capture.
    order_world_payment(&world, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_DECLINED);
    assert_string_equal(world.events, "");
    order_world_payment(&world, PAYMENT_ACTION_CAPTURE, PAYMENT_RESULT_CAPTURED);
    const struct order_payment_captured *captured =
        order_world_last(&world, RECORD_ORDER_PAYMENT_CAPTURED);
    assert_int_equal(captured->amount_minor, 1300);
}

// ---- others' answers ---------------------------------------------------------------------------

static void answers_that_are_not_for_this_order_are_ignored(void **state) {
    (void)state;
    reserve_all();
    struct id order_id = order_world_id("the order");
    struct payment_answered payment = {
        .message_id = order_world_id("m"),
        .shop_id = order_world_view("main"),
        .order_id = order_id,
        .payment_id = order_world_id("another payment"),
        .result = PAYMENT_RESULT_AUTHORIZED,
    };
    order_world_give(&world, RECORD_PAYMENT_ANSWERED, &payment);
    assert_string_equal(world.events, "");
    payment.payment_id = id_derive(&order_id, 'P');
    payment.shop_id = order_world_view("other");
    order_world_give(&world, RECORD_PAYMENT_ANSWERED, &payment);
    assert_string_equal(world.events, "");
    struct shipment_answered shipment = {
        .message_id = order_world_id("m"),
        .shop_id = order_world_view("main"),
        .order_id = order_id,
        .shipment_id = order_world_id("another shipment"),
        .result = SHIPMENT_RESULT_DISPATCHED,
    };
    order_world_give(&world, RECORD_SHIPMENT_ANSWERED, &shipment);
    assert_string_equal(world.events, "");
}

static void an_empty_sku_is_nobodys(void **state) {
    (void)state;
    order_world_place(&world);
    order_world_stock(&world, "", STOCK_RESULT_RESERVED, 5);
    assert_string_equal(world.events, "");
}

// ---- memory ------------------------------------------------------------------------------------

static void a_closed_order_is_small_and_still_answers(void **state) {
    (void)state;
    order_world_place(&world);
    size_t open_size = order_size(world.order);
    order_world_stock(&world, "A", STOCK_RESULT_OUT_OF_STOCK, 0);
    order_world_stock(&world, "B", STOCK_RESULT_OUT_OF_STOCK, 0);
    assert_true(order_is_closed(world.order));
    assert_true(order_size(world.order) < open_size);
    assert_int_equal(order_size(world.order), ORDER_RECALLED_SIZE);
    order_world_place(&world);
    assert_string_equal(world.events, "");
    order_world_cancel(&world, "c");
    assert_string_equal(world.events, "OrderCommandRefused:ALREADY_CLOSED");
}

#define TOLD(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TOLD(an_order_goes_all_the_way),
        TOLD(placing_tells_everything_about_the_order),
        TOLD(a_completed_order_is_whole_in_its_closing_event),
        TOLD(an_order_that_asked_for_no_money_closes_as_it_ends),
        TOLD(an_order_that_holds_money_closes_when_it_is_let_go),
        TOLD(requests_follow_from_their_event),
        TOLD(payment_is_asked_for_with_the_whole_amount),
        TOLD(a_rejection_lists_every_shortage),
        TOLD(a_declined_payment_lists_no_shortage),
        TOLD(a_cancel_before_dispatch_wins),
        TOLD(a_dispatch_before_cancel_wins),
        TOLD(a_booking_answered_cancelled_ends_the_order),
        TOLD(a_dispatch_answered_cancelled_is_for_people),
        TOLD(a_carriers_fact_never_flips_a_cancelled_order),
        TOLD(an_unconfirmed_order_expires_and_lets_go_what_never_answered),
        TOLD(a_deadlines_event_is_the_same_after_a_replay),
        TOLD(a_confirmed_order_does_not_expire),
        TOLD(look_ups_back_off_and_end_in_a_case),
        TOLD(a_late_answer_settles_an_unresolved_payment),
        TOLD(the_wait_for_a_look_up_is_bounded),
        TOLD(two_deadlines_at_once_end_the_order),
        TOLD(a_lost_answer_is_found_by_look_up),
        TOLD(an_outage_opens_no_case_and_the_payment_is_found_after_it),
        TOLD(an_unknown_look_up_is_no_news),
        TOLD(a_capture_that_is_lost_again_waits_for_its_deadline),
        TOLD(a_charge_that_never_arrived_is_voided_too),
        TOLD(an_answer_to_an_earlier_attempt_asks_for_no_second_look_up),
        TOLD(an_answer_to_an_earlier_step_asks_for_no_look_up),
        TOLD(a_capture_that_never_arrived_is_repeated),
        TOLD(answers_that_are_not_for_this_order_are_ignored),
        TOLD(an_empty_sku_is_nobodys),
        TOLD(a_closed_order_is_small_and_still_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
