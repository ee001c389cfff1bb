// SPDX-License-Identifier: Apache-2.0
//
// The simulated carrier: books, dispatches and delivers by itself or when told, once each.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "process/carrier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/orderlog-carrier-XXXXXX";
static char path[64];
static struct carrier *carrier;
static int64_t now_us;

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/ledger", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

static void start(bool automatic) {
    const struct carrier_sim_options options = {.ledger_path = path,
                                                .automatic = automatic,
                                                .dispatch_after_us = 200,
                                                .deliver_after_us = 300,
                                                .in_flight_max = 3};
    struct error err;
    carrier = carrier_sim_new(&options, &err);
    if (!carrier)
        fail_msg("%s", err.msg);
}

static int begin(void **state) {
    (void)state;
    now_us = 1000000;
    start(true);
    return 0;
}

static int end(void **state) {
    (void)state;
    carrier->free(carrier);
    return unlink(path);
}

static bool ask(uint64_t token, enum shipment_action action) {
    const struct carrier_call call = {
        .token = token,
        .shipment_id = id_hash(&(struct id_part){.bytes = "shipment", .len = 8}, 1),
        .action = action,
    };
    return carrier->submit(carrier, &call, NULL);
}

static struct carrier_completion asked(enum shipment_action action) {
    static uint64_t token = 100;
    assert_true(ask(++token, action));
    struct carrier_completion done[2];
    assert_int_equal(carrier->poll(carrier, now_us, done, 2), 1);
    assert_int_equal(done[0].token, token);
    return done[0];
}

static void a_booking_has_a_tracking_number_and_asks_to_be_tracked(void **state) {
    (void)state;
    struct carrier_completion booked = asked(SHIPMENT_ACTION_BOOK);
    assert_int_equal(booked.result, SHIPMENT_RESULT_BOOKED);
    assert_true(booked.track_ready && !booked.track_delivered);
    assert_true(strlen(booked.tracking) > 4);
    struct carrier_completion again = asked(SHIPMENT_ACTION_BOOK);
    assert_int_equal(again.result, SHIPMENT_RESULT_BOOKED);
    assert_string_equal(again.tracking, booked.tracking);
}

static void news_comes_when_it_is_due(void **state) {
    (void)state;
    struct carrier_completion done[2];
    assert_true(ask(1, SHIPMENT_ACTION_TRACK_READY));
    assert_int_equal(carrier->poll(carrier, now_us, done, 2), 0);
    assert_int_equal(carrier->next_due_us(carrier), now_us + 200);
    assert_int_equal(carrier->poll(carrier, now_us + 199, done, 2), 0);
    assert_int_equal(carrier->poll(carrier, now_us + 200, done, 2), 1);
    assert_int_equal(done[0].result, SHIPMENT_RESULT_READY);
    struct carrier_completion dispatched = asked(SHIPMENT_ACTION_DISPATCH);
    assert_int_equal(dispatched.result, SHIPMENT_RESULT_DISPATCHED);
    assert_true(dispatched.track_delivered);
    assert_true(ask(2, SHIPMENT_ACTION_TRACK_DELIVERED));
    assert_int_equal(carrier->poll(carrier, now_us, done, 2), 0);
    assert_int_equal(carrier->poll(carrier, now_us + 300, done, 2), 1);
    assert_int_equal(done[0].result, SHIPMENT_RESULT_DELIVERED);
}

static void a_cancel_is_not_held_up_by_tracking(void **state) {
    (void)state;
    assert_true(ask(1, SHIPMENT_ACTION_TRACK_READY));
    assert_int_equal(asked(SHIPMENT_ACTION_CANCEL).result, SHIPMENT_RESULT_CANCELLED);
}

static void what_was_cancelled_is_neither_booked_nor_dispatched(void **state) {
    (void)state;
    assert_int_equal(asked(SHIPMENT_ACTION_CANCEL).result, SHIPMENT_RESULT_CANCELLED);
    struct carrier_completion booked = asked(SHIPMENT_ACTION_BOOK);
    assert_int_equal(booked.result, SHIPMENT_RESULT_BOOKING_FAILED);
    assert_false(booked.track_ready);
    assert_true(booked.reason[0]);
    assert_int_equal(asked(SHIPMENT_ACTION_DISPATCH).result, SHIPMENT_RESULT_CANCELLED);
}

static void what_has_left_cannot_be_cancelled(void **state) {
    (void)state;
    (void)asked(SHIPMENT_ACTION_BOOK);
    (void)asked(SHIPMENT_ACTION_DISPATCH);
    assert_int_equal(asked(SHIPMENT_ACTION_CANCEL).result, SHIPMENT_RESULT_DISPATCHED);
}

static void a_manual_carrier_waits_for_people(void **state) {
    (void)state;
    carrier->free(carrier);
    start(false);
    assert_false(asked(SHIPMENT_ACTION_BOOK).track_ready);
    assert_false(asked(SHIPMENT_ACTION_DISPATCH).track_delivered);
}

static void the_books_outlive_the_carrier(void **state) {
    (void)state;
    assert_int_equal(asked(SHIPMENT_ACTION_CANCEL).result, SHIPMENT_RESULT_CANCELLED);
    carrier->free(carrier);
    start(true);
    assert_int_equal(asked(SHIPMENT_ACTION_BOOK).result, SHIPMENT_RESULT_BOOKING_FAILED);
}

static void calls_in_flight_are_bounded(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(carrier->room(carrier), 3 - i);
        assert_true(ask(i, SHIPMENT_ACTION_TRACK_READY));
    }
    struct error err;
    const struct carrier_call call = {.token = 9};
    assert_false(carrier->submit(carrier, &call, &err));
    assert_int_equal(err.what, DISP_RETRY);
}

#define TOLD(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TOLD(a_booking_has_a_tracking_number_and_asks_to_be_tracked),
        TOLD(news_comes_when_it_is_due),
        TOLD(a_cancel_is_not_held_up_by_tracking),
        TOLD(what_was_cancelled_is_neither_booked_nor_dispatched),
        TOLD(what_has_left_cannot_be_cancelled),
        TOLD(a_manual_carrier_waits_for_people),
        TOLD(the_books_outlive_the_carrier),
        TOLD(calls_in_flight_are_bounded),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
