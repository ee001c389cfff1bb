// SPDX-License-Identifier: Apache-2.0
//
// Shipping's answers and the carrier's news.
#include "order_turn.h"

void order_shipment_booked(struct order_turn *turn) {
    const struct shipment_answered *answer = turn->input;
    struct order_shipment_booked *booked =
        order_event_begin(turn, RECORD_ORDER_SHIPMENT_BOOKED, sizeof(*booked));
    if (!booked)
        return;
    booked->shipment_id = order_shipment_id(turn->order);
    booked->tracking = answer->tracking;
    order_event_end(turn);
}

void order_shipment_failed(struct order_turn *turn) {
    const struct shipment_answered *answer = turn->input;
    struct order_shipment_failed *failed =
        order_event_begin(turn, RECORD_ORDER_SHIPMENT_FAILED, sizeof(*failed));
    if (!failed)
        return;
    failed->shipment_id = order_shipment_id(turn->order);
    failed->reason = answer->reason;
    order_event_end(turn);
    order_cancel_for(turn, CANCEL_REASON_SHIPMENT_FAILED, answer->reason);
}

void order_shipment_dispatched(struct order_turn *turn) {
    struct order_dispatched *dispatched =
        order_event_begin(turn, RECORD_ORDER_DISPATCHED, sizeof(*dispatched));
    if (!dispatched)
        return;
    dispatched->shipment_id = order_shipment_id(turn->order);
    dispatched->deadline = order_payment_deadline_us(turn->decision, 0);
    order_event_end(turn);
    order_request_stock(turn, STOCK_ACTION_SELL);
    order_request_payment(turn, PAYMENT_ACTION_CAPTURE);
}

// Carriers err, and people sort it out: the order's own state stands. One case is enough.
void order_carrier_contradicts(struct order_turn *turn) {
    static const char *const details[] = {
        [SHIPMENT_RESULT_BOOKED] = "the carrier reports a booking that this order does not expect",
        [SHIPMENT_RESULT_BOOKING_FAILED] = "the carrier withdraws a booking it had confirmed",
        [SHIPMENT_RESULT_CANCELLED] = "the carrier cancelled without being asked",
        [SHIPMENT_RESULT_READY] = "the carrier reports a parcel ready that was never booked",
        [SHIPMENT_RESULT_DISPATCHED] = "the carrier reports a dispatch that was not authorised",
        [SHIPMENT_RESULT_DELIVERED] = "the carrier reports a delivery before its dispatch",
    };
    const struct shipment_answered *answer = turn->input;
    if (turn->order->cases & ORDER_CASE_CARRIER_CONTRADICTION)
        return;
    order_open_case(turn, CASE_REASON_CARRIER_CONTRADICTION, details[answer->result]);
}
