// SPDX-License-Identifier: Apache-2.0
//
// What people ask of an order that exists: cancel, dispatch, deliver.
#include "order_turn.h"

void order_ignore(struct order_turn *turn) {
    (void)turn;
}

// ---- cancel ------------------------------------------------------------------------------------

void order_cancel_for(struct order_turn *turn, enum cancel_reason reason, struct view note) {
    bool voids = order_payment_must_void(turn->order);
    bool booked = turn->order->shipment == SHIPMENT_STATUS_REQUESTED ||
                  turn->order->shipment == SHIPMENT_STATUS_BOOKED;
    struct order_cancelled *cancelled =
        order_event_begin(turn, RECORD_ORDER_CANCELLED, sizeof(*cancelled));
    if (!cancelled)
        return;
    cancelled->has_key_id = turn->key_id != NULL;
    if (turn->key_id)
        cancelled->key_id = *turn->key_id;
    cancelled->reason = reason;
    cancelled->note = note;
    cancelled->has_deadline = voids;
    if (voids)
        cancelled->deadline = order_payment_deadline_us(turn->decision, 0);
    order_event_end(turn);

    order_request_stock(turn, STOCK_ACTION_RELEASE);
    if (voids)
        order_request_payment(turn, PAYMENT_ACTION_VOID);
    if (booked)
        order_request_shipment(turn, SHIPMENT_ACTION_CANCEL);
}

void order_cancel(struct order_turn *turn) {
    const struct cancel_order *cancel = turn->input;
    order_cancel_for(turn, CANCEL_REASON_CUSTOMER, cancel->reason);
}

// ---- dispatch, by an operator's command or the carrier's news that the parcel is ready ---------

void order_authorise_dispatch(struct order_turn *turn) {
    struct order_dispatch_authorised *authorised =
        order_event_begin(turn, RECORD_ORDER_DISPATCH_AUTHORISED, sizeof(*authorised));
    if (!authorised)
        return;
    authorised->has_key_id = turn->key_id != NULL;
    if (turn->key_id)
        authorised->key_id = *turn->key_id;
    authorised->shipment_id = order_shipment_id(turn->order);
    order_event_end(turn);
    order_request_shipment(turn, SHIPMENT_ACTION_DISPATCH);
}

// ---- deliver, likewise -------------------------------------------------------------------------

void order_complete_if_done(struct order_turn *turn) {
    if (turn->order->payment != PAYMENT_STATUS_CAPTURED ||
        turn->order->shipment != SHIPMENT_STATUS_DELIVERED)
        return;
    if (order_event_begin(turn, RECORD_ORDER_COMPLETED, sizeof(struct order_completed)))
        order_event_end(turn);
}

void order_deliver(struct order_turn *turn) {
    struct order_delivered *delivered =
        order_event_begin(turn, RECORD_ORDER_DELIVERED, sizeof(*delivered));
    if (!delivered)
        return;
    delivered->has_key_id = turn->key_id != NULL;
    if (turn->key_id)
        delivered->key_id = *turn->key_id;
    delivered->shipment_id = order_shipment_id(turn->order);
    order_event_end(turn);
    order_complete_if_done(turn);
}

// ---- refusals ----------------------------------------------------------------------------------

void order_refuse_unknown(struct order_turn *turn) {
    order_refuse(turn, ORDER_REFUSAL_UNKNOWN_ORDER, "there is no such order");
}

void order_refuse_closed(struct order_turn *turn) {
    order_refuse(turn, ORDER_REFUSAL_ALREADY_CLOSED, "the order has ended");
}

void order_refuse_dispatched(struct order_turn *turn) {
    order_refuse(turn, ORDER_REFUSAL_ALREADY_DISPATCHED, "dispatch was authorised before");
}

void order_refuse_delivered(struct order_turn *turn) {
    order_refuse(turn, ORDER_REFUSAL_ALREADY_DELIVERED, "the order was delivered before");
}

void order_refuse_not_ready(struct order_turn *turn) {
    order_refuse(turn, ORDER_REFUSAL_NOT_READY_TO_SHIP, "no shipment is booked yet");
}

void order_refuse_not_dispatched(struct order_turn *turn) {
    order_refuse(turn, ORDER_REFUSAL_NOT_DISPATCHED, "the carrier has not dispatched it yet");
}
