// SPDX-License-Identifier: Apache-2.0
//
// Replies of provider and carrier become one event and one answer, whose ids follow from the
// request.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "domain/executor.h"

#include <string.h>

static struct arena arena;
static struct decision decision;
static const struct policy policy;

static int begin(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    decision_begin(&decision, &arena, &policy, 77);
    return 0;
}

static int end(void **state) {
    (void)state;
    arena_done(&arena);
    return 0;
}

static struct id id_of(const char *what) {
    return id_hash(&(struct id_part){.bytes = what, .len = strlen(what)}, 1);
}

static struct view view(const char *text) {
    return (struct view){.ptr = text, .len = (uint32_t)strlen(text)};
}

static void assert_derived(const struct id *id, const struct id *cause, uint64_t index) {
    struct id expected = id_derive(cause, index);
    assert_true(id_equal(id, &expected));
}

static void each_payment_result_has_its_event(void **state) {
    (void)state;
    static const char *const names[PAYMENT_RESULT_COUNT] = {"PaymentAuthorized", "PaymentDeclined",
                                                            "PaymentCaptured",   "PaymentVoided",
                                                            "PaymentNotFound",   "PaymentUnknown"};
    const struct request_payment request = {
        .message_id = id_of("request"),
        .correlation_id = id_of("place"),
        .shop_id = view("main"),
        .order_id = id_of("order"),
        .payment_id = id_of("payment"),
        .action = PAYMENT_ACTION_LOOKUP,
        .attempt = 3,
        .amount_minor = 1300,
        .currency = view("EUR"),
    };
    for (int result = 0; result < PAYMENT_RESULT_COUNT; result++) {
        decision_begin(&decision, &arena, &policy, 77);
        const struct payment_reply reply = {.result = (enum payment_result)result,
                                            .reason = view("why")};
        payment_decide_reply(&decision, &request, &reply);
        assert_int_equal(decision.events_count, 1);
        assert_int_equal(decision.messages_count, 1);
        assert_string_equal(record_types[decision.events[0].type]->name, names[result]);
        const struct payment_authorized *event = decision.events[0].body;
        assert_derived(&event->event_id, &request.message_id, 1);
        assert_true(id_equal(&event->causation_id, &request.message_id));
        assert_int_equal(event->attempt, 3);
        assert_int_equal(event->action, PAYMENT_ACTION_LOOKUP);
        assert_int_equal(event->amount_minor, 1300);
        assert_int_equal(event->occurred_at, 77);
        assert_int_equal(event->reason.len, 3);
        const struct payment_answered *answer = decision.messages[0].body;
        assert_derived(&answer->message_id, &request.message_id, 2);
        assert_int_equal(answer->result, result);
        assert_int_equal(answer->attempt, 3);
        assert_true(id_equal(&answer->payment_id, &request.payment_id));
        assert_true(id_equal(&answer->correlation_id, &request.correlation_id));
    }
}

static const struct request_shipment *shipment_request(void) {
    static struct request_shipment request;
    request = (struct request_shipment){
        .message_id = id_of("request"),
        .correlation_id = id_of("place"),
        .shop_id = view("main"),
        .order_id = id_of("order"),
        .shipment_id = id_of("shipment"),
        .action = SHIPMENT_ACTION_BOOK,
    };
    return &request;
}

static void a_booking_asks_shipping_to_track_it(void **state) {
    (void)state;
    const struct request_shipment *request = shipment_request();
    const struct shipment_reply reply = {
        .result = SHIPMENT_RESULT_BOOKED, .tracking = view("T-1"), .track_ready = true};
    shipment_decide_reply(&decision, request, &reply);
    assert_int_equal(decision.events_count, 1);
    assert_int_equal(decision.events[0].type, RECORD_SHIPMENT_BOOKED);
    assert_derived(&((const struct shipment_booked *)decision.events[0].body)->event_id,
                   &request->message_id, 1);
    assert_int_equal(decision.messages_count, 2);
    const struct shipment_answered *answer = decision.messages[0].body;
    assert_derived(&answer->message_id, &request->message_id, 2);
    assert_int_equal(answer->result, SHIPMENT_RESULT_BOOKED);
    assert_int_equal(answer->tracking.len, 3);
    const struct request_shipment *track = decision.messages[1].body;
    assert_derived(&track->message_id, &request->message_id, 3);
    assert_int_equal(track->action, SHIPMENT_ACTION_TRACK_READY);
    assert_true(id_equal(&track->shipment_id, &request->shipment_id));
}

static void news_that_a_parcel_is_ready_is_no_event(void **state) {
    (void)state;
    const struct shipment_reply reply = {.result = SHIPMENT_RESULT_READY};
    shipment_decide_reply(&decision, shipment_request(), &reply);
    assert_int_equal(decision.events_count, 0);
    assert_int_equal(decision.messages_count, 1);
}

static void decide_cancelled(enum shipment_action action) {
    struct request_shipment request = *shipment_request();
    request.action = action;
    const struct shipment_reply reply = {.result = SHIPMENT_RESULT_CANCELLED};
    decision_begin(&decision, &arena, &policy, 77);
    shipment_decide_reply(&decision, &request, &reply);
    assert_int_equal(decision.events_count, 1);
    assert_int_equal(decision.events[0].type, RECORD_SHIPMENT_CANCELLED);
}

static void a_cancel_that_was_done_is_not_answered(void **state) {
    (void)state;
    decide_cancelled(SHIPMENT_ACTION_CANCEL);
    assert_int_equal(decision.messages_count, 0);
}

static void whoever_waits_is_told_that_the_shipment_is_cancelled(void **state) {
    (void)state;
    for (int action = 0; action < SHIPMENT_ACTION_COUNT; action++) {
        if (action == SHIPMENT_ACTION_CANCEL)
            continue;
        decide_cancelled((enum shipment_action)action);
        assert_int_equal(decision.messages_count, 1);
        const struct shipment_answered *answer = decision.messages[0].body;
        assert_int_equal(answer->result, SHIPMENT_RESULT_CANCELLED);
        assert_int_equal(answer->action, action);
    }
}

static void a_dispatch_asks_shipping_to_track_the_delivery(void **state) {
    (void)state;
    const struct shipment_reply reply = {.result = SHIPMENT_RESULT_DISPATCHED,
                                         .track_delivered = true};
    shipment_decide_reply(&decision, shipment_request(), &reply);
    assert_int_equal(decision.events[0].type, RECORD_SHIPMENT_DISPATCHED);
    assert_int_equal(decision.messages_count, 2);
    const struct request_shipment *track = decision.messages[1].body;
    assert_int_equal(track->action, SHIPMENT_ACTION_TRACK_DELIVERED);
}

#define TOLD(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TOLD(each_payment_result_has_its_event),
        TOLD(a_booking_asks_shipping_to_track_it),
        TOLD(news_that_a_parcel_is_ready_is_no_event),
        TOLD(a_cancel_that_was_done_is_not_answered),
        TOLD(whoever_waits_is_told_that_the_shipment_is_cancelled),
        TOLD(a_dispatch_asks_shipping_to_track_the_delivery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
