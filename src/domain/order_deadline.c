// SPDX-License-Identifier: Apache-2.0
//
// Deadlines that passed.
#include "order_turn.h"

void order_expire(struct order_turn *turn) {
    bool voids = order_payment_must_void(turn->order);
    struct order_expired *expired = order_event_begin(turn, RECORD_ORDER_EXPIRED, sizeof(*expired));
    if (!expired)
        return;
    expired->has_deadline = voids;
    if (voids)
        expired->deadline = order_payment_deadline_us(turn->decision, 0);
    order_event_end(turn);

    // SKUs that have not answered too: the release follows the request in inventory's inbox.
    order_request_stock(turn, STOCK_ACTION_RELEASE);
    if (voids)
        order_request_payment(turn, PAYMENT_ACTION_VOID);
}

static void ask_again(struct order_turn *turn, enum payment_action action) {
    int32_t attempt = order_opened(turn->order)->attempt + 1;
    if (attempt > turn->decision->policy->payment_lookups_max) {
        order_open_case(turn, CASE_REASON_PAYMENT_UNRESOLVED, "the provider does not answer");
        return;
    }
    struct order_payment_timed_out *timed_out =
        order_event_begin(turn, RECORD_ORDER_PAYMENT_TIMED_OUT, sizeof(*timed_out));
    if (!timed_out)
        return;
    timed_out->payment_id = order_payment_id(turn->order);
    timed_out->attempt = attempt;
    timed_out->deadline = order_payment_deadline_us(turn->decision, attempt);
    order_event_end(turn);
    order_request_payment(turn, action);
}

void order_lookup_due(struct order_turn *turn) {
    ask_again(turn, PAYMENT_ACTION_LOOKUP);
}

// A void may be repeated at will, and only VOIDED is news.
void order_void_due(struct order_turn *turn) {
    ask_again(turn, PAYMENT_ACTION_VOID);
}
