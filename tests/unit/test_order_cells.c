// SPDX-License-Identifier: Apache-2.0
//
// The order's tables, written down a second time: every state that occurs, as the combination of
// its part states, against every input, with what must come of it. A cell's word stands for the
// events; the messages that go with them follow from the word, or from the state for those that end
// an order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "order_world.h"

#include <stdio.h>
#include <string.h>

// ---- inputs ------------------------------------------------------------------------------------

static void place_same(struct order_world *w) {
    order_world_place(w);
}

static void place_other(struct order_world *w) {
    struct place_order place = order_world_place_command("other content");
    order_world_give(w, RECORD_PLACE_ORDER, &place);
}

static void cancel(struct order_world *w) {
    order_world_cancel(w, "a cancel");
}

static void dispatch(struct order_world *w) {
    order_world_dispatch(w, "a dispatch");
}

static void deliver(struct order_world *w) {
    order_world_deliver(w, "a deliver");
}

static void b_reserved(struct order_world *w) {
    order_world_stock(w, "B", STOCK_RESULT_RESERVED, 9);
}

static void b_unknown(struct order_world *w) {
    order_world_stock(w, "B", STOCK_RESULT_UNKNOWN_SKU, 0);
}

static void b_out_of_stock(struct order_world *w) {
    order_world_stock(w, "B", STOCK_RESULT_OUT_OF_STOCK, 2);
}

static void c_reserved(struct order_world *w) { // not among the order's SKUs
    order_world_stock(w, "C", STOCK_RESULT_RESERVED, 9);
}

#define LOOKED_UP(name, result_)                                                                   \
    static void name(struct order_world *w) {                                                      \
        order_world_payment(w, PAYMENT_ACTION_LOOKUP, PAYMENT_RESULT_##result_);                   \
    }
LOOKED_UP(pay_authorized, AUTHORIZED)
LOOKED_UP(pay_declined, DECLINED)
LOOKED_UP(pay_captured, CAPTURED)
LOOKED_UP(pay_voided, VOIDED)
LOOKED_UP(pay_not_found, NOT_FOUND)
LOOKED_UP(pay_unknown, UNKNOWN)

#define SHIPPED(name, action_, result_)                                                            \
    static void name(struct order_world *w) {                                                      \
        order_world_shipment(w, SHIPMENT_ACTION_##action_, SHIPMENT_RESULT_##result_);             \
    }
SHIPPED(ship_booked, BOOK, BOOKED)
SHIPPED(ship_failed, BOOK, BOOKING_FAILED)
SHIPPED(ship_cancelled, BOOK, CANCELLED) // a CANCEL that was done is not answered
SHIPPED(ship_ready, TRACK_READY, READY)
SHIPPED(ship_dispatched, DISPATCH, DISPATCHED)
SHIPPED(ship_delivered, TRACK_DELIVERED, DELIVERED)

// The next deadline; where none runs, a long time after.
static void deadline(struct order_world *w) {
    int64_t due_us = w->order ? order_deadline_us(w->order) : INT64_MAX;
    order_world_time(w, due_us != INT64_MAX ? due_us : w->now_us + INT64_C(10000000000000));
}

typedef void step(struct order_world *w);
// clang-format off
static step *const inputs[] = {
    place_same, place_other, cancel, dispatch, deliver,
    b_reserved, b_unknown, b_out_of_stock, c_reserved,
    pay_authorized, pay_declined, pay_captured, pay_voided, pay_not_found, pay_unknown,
    ship_booked, ship_failed, ship_cancelled, ship_ready, ship_dispatched, ship_delivered,
    deadline,
};
enum { INPUTS = sizeof(inputs) / sizeof(inputs[0]), PATH_MAX_ = 10 };

// ---- states: how one gets there, its parts, and its row ----------------------------------------

static void reach_place(struct order_world *w) { order_world_place(w); }
static void a_reserved(struct order_world *w) { order_world_stock(w, "A", STOCK_RESULT_RESERVED, 9); }
static void a_refused(struct order_world *w) { order_world_stock(w, "A", STOCK_RESULT_OUT_OF_STOCK, 0); }
static void authorised(struct order_world *w) { order_world_payment(w, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_AUTHORIZED); }
static void captured(struct order_world *w) { order_world_payment(w, PAYMENT_ACTION_CAPTURE, PAYMENT_RESULT_CAPTURED); }
static void capture_declined(struct order_world *w) { order_world_payment(w, PAYMENT_ACTION_CAPTURE, PAYMENT_RESULT_DECLINED); }
static void voided(struct order_world *w) { order_world_payment(w, PAYMENT_ACTION_VOID, PAYMENT_RESULT_VOIDED); }
static void reach_cancel(struct order_world *w) { order_world_cancel(w, "cancelled before"); }

// A payment for which no look-up is left; the order's reservation runs on.
static void unresolved(struct order_world *w) {
    for (int i = 0; i <= w->policy.payment_lookups_max; i++)
        deadline(w);
}

// The reservation's deadline, whatever else is due by then.
static void expire(struct order_world *w) {
    const struct order_placed *placed = w->log[0].body;
    order_world_time(w, placed->reservation_deadline);
}

static const struct {
    const char *name;
    step *path[PATH_MAX_];
    const char *parts; // status reservation payment shipment
    const char *ends;  // messages that go with ending the order from here
    const char *row;   // a word per input
} states[] = {
    {"unknown", {0}, "", "",
     // place       cancel dispatch deliver | B reserved, unknown, out; C | auth decl capt void nofd unkn | book fail canc redy disp delv | deadline
     "plc plc       unk unk unk   . . . .         . . . . . .                 . . . . . .                  ."},
    {"placed", {reach_place}, "PLACED PENDING NONE NONE", "RELEASE:A:2 RELEASE:B:3",
     ". key         can nrd ndi   res ref ref .   . . . . . .                 cas cas cas cas cas cas      exp"},
    {"placed, one SKU held", {reach_place, a_reserved}, "PLACED PENDING NONE NONE", "RELEASE:A:2 RELEASE:B:3",
     ". key         can nrd ndi   rpr rju rjo .   . . . . . .                 cas cas cas cas cas cas      exp"},
    {"placed, one SKU refused", {reach_place, a_refused}, "PLACED PENDING NONE NONE", "RELEASE:B:3",
     ". key         can nrd ndi   rrj rju rjo .   . . . . . .                 cas cas cas cas cas cas      exp"},
    {"placed, contradicted", {reach_place, ship_dispatched}, "NEEDS_ATTENTION PENDING NONE NONE", "RELEASE:A:2 RELEASE:B:3",
     ". key         can nrd ndi   res ref ref .   . . . . . .                 . . . . . .                  exp"},
    {"authorising", {reach_place, a_reserved, b_reserved}, "AWAITING_PAYMENT RESERVED REQUESTED NONE", "RELEASE:A:2 RELEASE:B:3 VOID",
     ". key         can nrd ndi   . . . .         con dec . . rej pun         cas cas cas cas cas cas      tmo"},
    {"authorising, outcome unknown", {reach_place, a_reserved, b_reserved, pay_unknown}, "AWAITING_PAYMENT RESERVED UNKNOWN NONE", "RELEASE:A:2 RELEASE:B:3 VOID",
     ". key         can nrd ndi   . . . .         con dec . . rej .           cas cas cas cas cas cas      tmo"},
    {"authorising, timed out", {reach_place, a_reserved, b_reserved, deadline}, "AWAITING_PAYMENT RESERVED UNKNOWN NONE", "RELEASE:A:2 RELEASE:B:3 VOID",
     ". key         can nrd ndi   . . . .         con dec . . rej .           cas cas cas cas cas cas      tmo"},
    {"authorising, given up", {reach_place, a_reserved, b_reserved, unresolved}, "NEEDS_ATTENTION RESERVED UNKNOWN NONE", "RELEASE:A:2 RELEASE:B:3 VOID",
     ". key         can nrd ndi   . . . .         con dec . . rej .           cas cas cas cas cas cas      exp"},
    {"confirmed", {reach_place, a_reserved, b_reserved, authorised}, "CONFIRMED RESERVED AUTHORIZED REQUESTED", "RELEASE:A:2 RELEASE:B:3 VOID CANCEL",
     ". key         can nrd ndi   . . . .         . . . . . .                 bkd shf shf cas cas cas      ."},
    {"ready", {reach_place, a_reserved, b_reserved, authorised, ship_booked}, "READY_TO_SHIP RESERVED AUTHORIZED BOOKED", "RELEASE:A:2 RELEASE:B:3 VOID CANCEL",
     ". key         can aut ndi   . . . .         . . . . . .                 . cas cas aut cas cas        ."},
    {"ready, contradicted", {reach_place, a_reserved, b_reserved, authorised, ship_booked, ship_cancelled}, "NEEDS_ATTENTION RESERVED AUTHORIZED BOOKED", "RELEASE:A:2 RELEASE:B:3 VOID CANCEL",
     ". key         can aut ndi   . . . .         . . . . . .                 . . . aut . .                ."},
    {"dispatching", {reach_place, a_reserved, b_reserved, authorised, ship_booked, ship_ready}, "DISPATCHING RESERVED AUTHORIZED DISPATCH_AUTHORISED", "",
     ". key         dsp dsp ndi   . . . .         . . . . . .                 . cas cas . dis cas          ."},
    {"dispatched", {reach_place, a_reserved, b_reserved, authorised, ship_booked, ship_ready, ship_dispatched}, "DISPATCHED SOLD CAPTURE_REQUESTED DISPATCHED", "",
     ". key         dsp dsp del   . . . .         rcp cfl cap cfl cfl pun     . cas cas . . del            tmo"},
    {"dispatched, capture given up", {reach_place, a_reserved, b_reserved, authorised, ship_booked, ship_ready, ship_dispatched, unresolved}, "NEEDS_ATTENTION SOLD CAPTURE_REQUESTED DISPATCHED", "",
     ". key         dsp dsp del   . . . .         rcp cfl cap cfl cfl .       . cas cas . . del            ."},
    {"dispatched, captured", {reach_place, a_reserved, b_reserved, authorised, ship_booked, ship_ready, ship_dispatched, captured}, "DISPATCHED SOLD CAPTURED DISPATCHED", "",
     ". key         dsp dsp dco   . . . .         . . . . . .                 . cas cas . . dco            ."},
    {"dispatched, not paid", {reach_place, a_reserved, b_reserved, authorised, ship_booked, ship_ready, ship_dispatched, capture_declined}, "NEEDS_ATTENTION SOLD FAILED DISPATCHED", "",
     ". key         dsp dsp del   . . . .         . . . . . .                 . cas cas . . del            ."},
    {"delivered", {reach_place, a_reserved, b_reserved, authorised, ship_booked, ship_ready, ship_dispatched, ship_delivered}, "DELIVERED SOLD CAPTURE_REQUESTED DELIVERED", "",
     ". key         dsp dsp dlv   . . . .         rcp cfl cco cfl cfl pun     . cas cas . . .              tmo"},
    {"delivered, not paid", {reach_place, a_reserved, b_reserved, authorised, ship_booked, ship_ready, ship_dispatched, capture_declined, ship_delivered}, "NEEDS_ATTENTION SOLD FAILED DELIVERED", "",
     ". key         dsp dsp dlv   . . . .         . . . . . .                 . cas cas . . .              ."},
    {"completed", {reach_place, a_reserved, b_reserved, authorised, ship_booked, ship_ready, ship_dispatched, captured, ship_delivered}, "COMPLETED SOLD CAPTURED DELIVERED", "",
     ". key         cls dsp dlv   . . . .         . . . . . .                 . cas cas . . .              ."},
    {"cancelled before payment", {reach_place, a_reserved, reach_cancel}, "CANCELLED RELEASED NONE NONE", "",
     ". key         cls cls cls   . . . .         . . . . . .                 cas cas cas cas cas cas      ."},
    {"cancelled while authorising", {reach_place, a_reserved, b_reserved, reach_cancel}, "CANCELLED RELEASED VOID_REQUESTED NONE", "",
     ". key         cls cls cls   . . . .         . . . voi . .               cas cas cas cas cas cas      tmv"},
    {"cancelled while authorising, voided", {reach_place, a_reserved, b_reserved, reach_cancel, voided}, "CANCELLED RELEASED VOIDED NONE", "",
     ". key         cls cls cls   . . . .         . . . . . .                 cas cas cas cas cas cas      ."},
    {"cancelled when ready", {reach_place, a_reserved, b_reserved, authorised, ship_booked, reach_cancel}, "CANCELLED RELEASED VOID_REQUESTED CANCELLED", "",
     ". key         cls cls cls   . . . .         . . . voi . .               . . . . cas cas              tmv"},
    {"cancelled when ready, voided", {reach_place, a_reserved, b_reserved, authorised, ship_booked, reach_cancel, voided}, "CANCELLED RELEASED VOIDED CANCELLED", "",
     ". key         cls cls cls   . . . .         . . . . . .                 . . . . cas cas              ."},
    {"booking failed", {reach_place, a_reserved, b_reserved, authorised, ship_failed}, "CANCELLED RELEASED VOID_REQUESTED FAILED", "",
     ". key         cls cls cls   . . . .         . . . voi . .               cas . . cas cas cas          tmv"},
    {"booking failed, voided", {reach_place, a_reserved, b_reserved, authorised, ship_failed, voided}, "CANCELLED RELEASED VOIDED FAILED", "",
     ". key         cls cls cls   . . . .         . . . . . .                 cas . . cas cas cas          ."},
    {"rejected for stock", {reach_place, a_reserved, b_out_of_stock}, "REJECTED REFUSED NONE NONE", "",
     ". key         cls cls cls   . . . .         . . . . . .                 cas cas cas cas cas cas      ."},
    {"rejected for payment", {reach_place, a_reserved, b_reserved, pay_declined}, "REJECTED RELEASED DECLINED NONE", "",
     ". key         cls cls cls   . . . .         . . . . . .                 cas cas cas cas cas cas      ."},
    {"rejected, payment not found", {reach_place, a_reserved, b_reserved, pay_unknown, pay_not_found}, "REJECTED RELEASED VOID_REQUESTED NONE", "",
     ". key         cls cls cls   . . . .         . . . voi . .               cas cas cas cas cas cas      tmv"},
    {"rejected, payment not found, voided", {reach_place, a_reserved, b_reserved, pay_unknown, pay_not_found, voided}, "REJECTED RELEASED VOIDED NONE", "",
     ". key         cls cls cls   . . . .         . . . . . .                 cas cas cas cas cas cas      ."},
    {"expired before payment", {reach_place, a_reserved, expire}, "EXPIRED RELEASED NONE NONE", "",
     ". key         cls cls cls   . . . .         . . . . . .                 cas cas cas cas cas cas      ."},
    {"expired while authorising", {reach_place, a_reserved, b_reserved, unresolved, expire}, "EXPIRED RELEASED VOID_REQUESTED NONE", "",
     ". key         cls cls cls   . . . .         . . . voi . .               cas cas cas cas cas cas      tmv"},
    {"expired while authorising, voided", {reach_place, a_reserved, b_reserved, unresolved, expire, voided}, "EXPIRED RELEASED VOIDED NONE", "",
     ". key         cls cls cls   . . . .         . . . . . .                 cas cas cas cas cas cas      ."},
};

// ---- words -------------------------------------------------------------------------------------

static const struct {
    const char *word;
    const char *events;
    const char *messages; // NULL: the state's "ends"
} words[] = {
    {".",   "", ""},
    {"plc", "OrderPlaced", "RESERVE:A:2 RESERVE:B:3"},
    {"key", "OrderCommandRefused:KEY_REUSED", ""},
    {"unk", "OrderCommandRefused:UNKNOWN_ORDER", ""},
    {"cls", "OrderCommandRefused:ALREADY_CLOSED", ""},
    {"dsp", "OrderCommandRefused:ALREADY_DISPATCHED", ""},
    {"dlv", "OrderCommandRefused:ALREADY_DELIVERED", ""},
    {"nrd", "OrderCommandRefused:NOT_READY_TO_SHIP", ""},
    {"ndi", "OrderCommandRefused:NOT_DISPATCHED", ""},
    {"can", "OrderCancelled", NULL},
    {"aut", "OrderDispatchAuthorised", "DISPATCH"},
    {"del", "OrderDelivered", ""},
    {"dco", "OrderDelivered OrderCompleted", ""},
    {"res", "OrderStockReserved", ""},
    {"ref", "OrderStockRefused", ""},
    {"rpr", "OrderStockReserved OrderPaymentRequested", "AUTHORIZE"},
    {"rrj", "OrderStockReserved OrderRejected:OUT_OF_STOCK", "RELEASE:B:3"},
    {"rju", "OrderStockRefused OrderRejected:UNKNOWN_SKU", "(held)"},
    {"rjo", "OrderStockRefused OrderRejected:OUT_OF_STOCK", "(held)"},
    {"con", "OrderPaymentAuthorized OrderConfirmed", "BOOK"},
    {"dec", "OrderPaymentDeclined OrderRejected:PAYMENT_DECLINED", "RELEASE:A:2 RELEASE:B:3"},
    {"rej", "OrderRejected:PAYMENT_TIMED_OUT", NULL},
    {"pun", "OrderPaymentUnknown", "LOOKUP"},
    {"cap", "OrderPaymentCaptured", ""},
    {"cco", "OrderPaymentCaptured OrderCompleted", ""},
    {"rcp", "", "CAPTURE"},
    {"cfl", "OrderCaseOpened:CAPTURE_FAILED", ""},
    {"voi", "OrderPaymentVoided", ""},
    {"bkd", "OrderShipmentBooked", ""},
    {"shf", "OrderShipmentFailed OrderCancelled", "RELEASE:A:2 RELEASE:B:3 VOID"},
    {"dis", "OrderDispatched", "SELL:A:2 SELL:B:3 CAPTURE"},
    {"cas", "OrderCaseOpened:CARRIER_CONTRADICTION", ""},
    {"exp", "OrderExpired", NULL},
    {"tmo", "OrderPaymentTimedOut", "LOOKUP"},
    {"tmv", "OrderPaymentTimedOut", "VOID"},
};
// clang-format on

enum { STATES = sizeof(states) / sizeof(states[0]), WORDS = sizeof(words) / sizeof(words[0]) };

static void reach(struct order_world *world, size_t state) {
    order_world_init(world);
    for (size_t i = 0; i < PATH_MAX_ && states[state].path[i]; i++)
        states[state].path[i](world);
}

static void word_at(const char *row, size_t column, char word[4]) {
    for (size_t i = 0;; i++) {
        row += strspn(row, " ");
        size_t len = strcspn(row, " ");
        assert_in_range(len, 1, 3);
        if (i == column) {
            memcpy(word, row, len);
            word[len] = '\0';
            return;
        }
        row += len;
    }
}

static void every_state_is_what_its_row_says(void **state) {
    (void)state;
    static struct order_world world;
    for (size_t i = 1; i < STATES; i++) {
        reach(&world, i);
        char parts[256];
        (void)snprintf(parts, sizeof(parts), "%s %s %s %s",
                       order_status_names[order_status(world.order)],
                       reservation_status_names[world.head.reservation_status],
                       payment_status_names[world.head.payment_status],
                       shipment_status_names[world.head.shipment_status]);
        if (strcmp(parts, states[i].parts) != 0)
            fail_msg("%s: %s", states[i].name, parts);
        order_world_done(&world);
    }
}

static void every_input_in_every_state_has_its_answer(void **state) {
    (void)state;
    static struct order_world world;
    for (size_t i = 0; i < STATES; i++) {
        for (size_t j = 0; j < INPUTS; j++) {
            char word[4];
            word_at(states[i].row, j, word);
            size_t at = 0;
            while (at < WORDS && strcmp(words[at].word, word) != 0)
                at++;
            assert_in_range(at, 0, WORDS - 1);

            reach(&world, i);
            world.events[0] = world.messages[0] = '\0';
            inputs[j](&world);
            const char *messages = words[at].messages ? words[at].messages : states[i].ends;
            // The refused SKU itself is not released.
            if (strcmp(messages, "(held)") == 0)
                messages = strstr(states[i].name, "refused") ? "" : "RELEASE:A:2";
            if (strcmp(world.events, words[at].events) != 0 ||
                strcmp(world.messages, messages) != 0)
                fail_msg("%s, input %zu (%s): events \"%s\", messages \"%s\"", states[i].name, j,
                         word, world.events, world.messages);
            order_world_done(&world);
        }
    }
}

// Repeating any input at once must never do anything twice; a second identical answer is ignored.
static void the_same_command_twice_has_one_outcome(void **state) {
    (void)state;
    static struct order_world world;
    step *const commands[] = {place_same, cancel, dispatch, deliver};
    for (size_t i = 1; i < STATES; i++) {
        for (size_t j = 0; j < sizeof(commands) / sizeof(commands[0]); j++) {
            reach(&world, i);
            commands[j](&world);
            commands[j](&world);
            if (world.events[0] || world.messages[0])
                fail_msg("%s: %s %s", states[i].name, world.events, world.messages);
            order_world_done(&world);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_is_what_its_row_says),
        cmocka_unit_test(every_input_in_every_state_has_its_answer),
        cmocka_unit_test(the_same_command_twice_has_one_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
