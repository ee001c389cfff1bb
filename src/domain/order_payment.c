// SPDX-License-Identifier: Apache-2.0
//
// Payment's answers. An unknown outcome is looked up with the same payment id, never charged a
// second time; what ends an order whose payment was asked for also voids it, so that a late charge
// does not survive.
#include "order_turn.h"

enum { DOUBLINGS_MAX = 3 };

bool order_payment_must_void(const struct order *order) {
    return order->payment == PAYMENT_STATUS_REQUESTED || order->payment == PAYMENT_STATUS_UNKNOWN ||
           order->payment == PAYMENT_STATUS_AUTHORIZED;
}

int64_t order_payment_deadline_us(const struct decision *decision, int32_t attempt) {
    int32_t doublings = attempt > 1 ? attempt - 1 : 0;
    doublings = doublings < DOUBLINGS_MAX ? doublings : DOUBLINGS_MAX;
    return decision->now_us + (decision->policy->payment_timeout_us << doublings);
}

void order_open_case(struct order_turn *turn, enum case_reason reason, const char *detail) {
    struct order_case_opened *opened =
        order_event_begin(turn, RECORD_ORDER_CASE_OPENED, sizeof(*opened));
    if (!opened)
        return;
    opened->reason = reason;
    opened->detail = order_view(detail);
    order_event_end(turn);
}

// ---- authorising -------------------------------------------------------------------------------

void order_payment_authorised(struct order_turn *turn) {
    struct order_payment_authorized *authorized =
        order_event_begin(turn, RECORD_ORDER_PAYMENT_AUTHORIZED, sizeof(*authorized));
    if (!authorized)
        return;
    authorized->payment_id = order_payment_id(turn->order);
    authorized->amount_minor = order_opened(turn->order)->total_minor;
    order_event_end(turn);

    struct order_confirmed *confirmed =
        order_event_begin(turn, RECORD_ORDER_CONFIRMED, sizeof(*confirmed));
    if (!confirmed)
        return;
    confirmed->shipment_id = order_shipment_id(turn->order);
    order_event_end(turn);
    order_request_shipment(turn, SHIPMENT_ACTION_BOOK);
}

void order_payment_declined(struct order_turn *turn) {
    const struct payment_answered *answer = turn->input;
    struct order_payment_declined *declined =
        order_event_begin(turn, RECORD_ORDER_PAYMENT_DECLINED, sizeof(*declined));
    if (!declined)
        return;
    declined->payment_id = order_payment_id(turn->order);
    declined->reason = answer->reason;
    order_event_end(turn);
    order_reject(turn, REJECT_REASON_PAYMENT_DECLINED, answer->reason);
}

void order_payment_not_found(struct order_turn *turn) {
    order_reject(turn, REJECT_REASON_PAYMENT_TIMED_OUT,
                 order_view("the provider knows nothing of the payment"));
}

// ---- unknown outcomes, of an authorisation or a capture ----------------------------------------

// An answer to an earlier attempt or step says nothing new: a look-up is on its way already.
static bool answers_present_step(const struct order *order, const struct payment_answered *answer) {
    bool capturing = order->payment == PAYMENT_STATUS_CAPTURE_REQUESTED;
    enum payment_action asked = capturing ? PAYMENT_ACTION_CAPTURE : PAYMENT_ACTION_AUTHORIZE;
    return answer->attempt == order_opened_const(order)->attempt &&
           (answer->action == asked || answer->action == PAYMENT_ACTION_LOOKUP);
}

// The first time the outcome is looked up at once: most often only the answer was lost. From then
// on the deadline asks again, however fast the provider fails: an outage must not use up the
// look-ups.
void order_payment_unknown(struct order_turn *turn) {
    bool looked_up_before = order_opened(turn->order)->attempt > 0;
    if (looked_up_before || !answers_present_step(turn->order, turn->input) ||
        turn->order->cases & ORDER_CASE_PAYMENT_UNRESOLVED)
        return;
    int32_t attempt = 1;
    if (attempt > turn->decision->policy->payment_lookups_max) {
        order_open_case(turn, CASE_REASON_PAYMENT_UNRESOLVED,
                        "the provider never said what became of the payment");
        return;
    }
    struct order_payment_unknown *unknown =
        order_event_begin(turn, RECORD_ORDER_PAYMENT_UNKNOWN, sizeof(*unknown));
    if (!unknown)
        return;
    unknown->payment_id = order_payment_id(turn->order);
    unknown->attempt = attempt;
    unknown->deadline = order_payment_deadline_us(turn->decision, attempt);
    order_event_end(turn);
    order_request_payment(turn, PAYMENT_ACTION_LOOKUP);
}

// ---- capturing ---------------------------------------------------------------------------------

void order_payment_captured(struct order_turn *turn) {
    struct order_payment_captured *captured =
        order_event_begin(turn, RECORD_ORDER_PAYMENT_CAPTURED, sizeof(*captured));
    if (!captured)
        return;
    captured->payment_id = order_payment_id(turn->order);
    captured->amount_minor = order_opened(turn->order)->authorised_minor;
    order_event_end(turn);
    order_complete_if_done(turn);
}

// The look-up found the amount still only held: the capture never arrived.
void order_capture_again(struct order_turn *turn) {
    const struct payment_answered *answer = turn->input;
    if (answer->action == PAYMENT_ACTION_LOOKUP)
        order_request_payment(turn, PAYMENT_ACTION_CAPTURE);
}

void order_capture_failed(struct order_turn *turn) {
    const struct payment_answered *answer = turn->input;
    if (answer->action == PAYMENT_ACTION_CAPTURE || answer->action == PAYMENT_ACTION_LOOKUP)
        order_open_case(turn, CASE_REASON_CAPTURE_FAILED,
                        "the parcel has left, but the provider does not pay");
}

// ---- voiding -----------------------------------------------------------------------------------

void order_payment_voided(struct order_turn *turn) {
    struct order_payment_voided *voided =
        order_event_begin(turn, RECORD_ORDER_PAYMENT_VOIDED, sizeof(*voided));
    if (!voided)
        return;
    voided->payment_id = order_payment_id(turn->order);
    order_event_end(turn);
}
