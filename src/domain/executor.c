// SPDX-License-Identifier: Apache-2.0
//
// The events of payment all have the same fields, those of shipping too: the table names the record
// for each result, one function fills it.
#include "domain/executor.h"

#include <assert.h>
#include <stddef.h>

// ---- payment -----------------------------------------------------------------------------------

#define PAYMENT_FIELD(record, field)                                                               \
    (offsetof(struct record, field) == offsetof(struct payment_authorized, field))
#define PAYMENT_EVENT(record)                                                                      \
    _Static_assert(sizeof(struct record) == sizeof(struct payment_authorized) &&                   \
                       PAYMENT_FIELD(record, event_id) && PAYMENT_FIELD(record, shop_id) &&        \
                       PAYMENT_FIELD(record, payment_id) && PAYMENT_FIELD(record, attempt) &&      \
                       PAYMENT_FIELD(record, occurred_at) &&                                       \
                       PAYMENT_FIELD(record, amount_minor) && PAYMENT_FIELD(record, currency) &&   \
                       PAYMENT_FIELD(record, reason),                                              \
                   "all events of payment have the same fields")
PAYMENT_EVENT(payment_declined);
PAYMENT_EVENT(payment_captured);
PAYMENT_EVENT(payment_voided);
PAYMENT_EVENT(payment_not_found);
PAYMENT_EVENT(payment_unknown);

static const enum record_id payment_events[PAYMENT_RESULT_COUNT] = {
    [PAYMENT_RESULT_AUTHORIZED] = RECORD_PAYMENT_AUTHORIZED,
    [PAYMENT_RESULT_DECLINED] = RECORD_PAYMENT_DECLINED,
    [PAYMENT_RESULT_CAPTURED] = RECORD_PAYMENT_CAPTURED,
    [PAYMENT_RESULT_VOIDED] = RECORD_PAYMENT_VOIDED,
    [PAYMENT_RESULT_NOT_FOUND] = RECORD_PAYMENT_NOT_FOUND,
    [PAYMENT_RESULT_UNKNOWN] = RECORD_PAYMENT_UNKNOWN,
};

void payment_decide_reply(struct decision *decision, const struct request_payment *request,
                          const struct payment_reply *reply) {
    assert(reply->result < PAYMENT_RESULT_COUNT);
    struct payment_authorized *event =
        decision_event(decision, payment_events[reply->result], sizeof(struct payment_authorized));
    struct payment_answered *answer =
        decision_message(decision, RECORD_PAYMENT_ANSWERED, sizeof(*answer));
    if (!event || !answer)
        return;

    event->event_id = id_derive(&request->message_id, 1);
    event->shop_id = request->shop_id;
    event->order_id = request->order_id;
    event->payment_id = request->payment_id;
    event->action = request->action;
    event->attempt = request->attempt;
    event->occurred_at = decision->now_us;
    event->causation_id = request->message_id;
    event->correlation_id = request->correlation_id;
    event->amount_minor = request->amount_minor;
    event->currency = request->currency;
    event->reason = reply->reason;

    answer->message_id = id_derive(&request->message_id, 2);
    answer->causation_id = event->event_id;
    answer->correlation_id = request->correlation_id;
    answer->shop_id = request->shop_id;
    answer->order_id = request->order_id;
    answer->payment_id = request->payment_id;
    answer->action = request->action;
    answer->attempt = request->attempt;
    answer->result = reply->result;
    answer->reason = reply->reason;
}

// ---- shipping ----------------------------------------------------------------------------------

#define SHIPMENT_FIELD(record, field)                                                              \
    (offsetof(struct record, field) == offsetof(struct shipment_booked, field))
#define SHIPMENT_EVENT(record)                                                                     \
    _Static_assert(sizeof(struct record) == sizeof(struct shipment_booked) &&                      \
                       SHIPMENT_FIELD(record, event_id) && SHIPMENT_FIELD(record, shop_id) &&      \
                       SHIPMENT_FIELD(record, shipment_id) && SHIPMENT_FIELD(record, action) &&    \
                       SHIPMENT_FIELD(record, occurred_at) && SHIPMENT_FIELD(record, tracking) &&  \
                       SHIPMENT_FIELD(record, reason),                                             \
                   "all events of shipping have the same fields")
SHIPMENT_EVENT(shipment_booking_failed);
SHIPMENT_EVENT(shipment_cancelled);
SHIPMENT_EVENT(shipment_dispatched);
SHIPMENT_EVENT(shipment_delivered);

static const enum record_id shipment_events[SHIPMENT_RESULT_COUNT] = {
    [SHIPMENT_RESULT_BOOKED] = RECORD_SHIPMENT_BOOKED,
    [SHIPMENT_RESULT_BOOKING_FAILED] = RECORD_SHIPMENT_BOOKING_FAILED,
    [SHIPMENT_RESULT_CANCELLED] = RECORD_SHIPMENT_CANCELLED,
    [SHIPMENT_RESULT_READY] = RECORD_COUNT, // news for the order only
    [SHIPMENT_RESULT_DISPATCHED] = RECORD_SHIPMENT_DISPATCHED,
    [SHIPMENT_RESULT_DELIVERED] = RECORD_SHIPMENT_DELIVERED,
};

static void shipment_event(struct decision *decision, const struct request_shipment *request,
                           const struct shipment_reply *reply) {
    enum record_id type = shipment_events[reply->result];
    if (type == RECORD_COUNT)
        return;
    struct shipment_booked *event = decision_event(decision, type, sizeof(*event));
    if (!event)
        return;
    event->event_id = id_derive(&request->message_id, 1);
    event->shop_id = request->shop_id;
    event->order_id = request->order_id;
    event->shipment_id = request->shipment_id;
    event->action = request->action;
    event->occurred_at = decision->now_us;
    event->causation_id = request->message_id;
    event->correlation_id = request->correlation_id;
    event->tracking = reply->tracking;
    event->reason = reply->reason;
}

static void shipment_answer(struct decision *decision, const struct request_shipment *request,
                            const struct shipment_reply *reply) {
    // Who asked to cancel waits for nothing; to any other request it is the answer.
    if (request->action == SHIPMENT_ACTION_CANCEL && reply->result == SHIPMENT_RESULT_CANCELLED)
        return;
    struct shipment_answered *answer =
        decision_message(decision, RECORD_SHIPMENT_ANSWERED, sizeof(*answer));
    if (!answer)
        return;
    answer->message_id = id_derive(&request->message_id, 2);
    answer->causation_id = request->message_id;
    answer->correlation_id = request->correlation_id;
    answer->shop_id = request->shop_id;
    answer->order_id = request->order_id;
    answer->shipment_id = request->shipment_id;
    answer->action = request->action;
    answer->result = reply->result;
    answer->tracking = reply->tracking;
    answer->reason = reply->reason;
}

static void shipment_track(struct decision *decision, const struct request_shipment *request,
                           enum shipment_action action) {
    struct request_shipment *track =
        decision_message(decision, RECORD_REQUEST_SHIPMENT, sizeof(*track));
    if (!track)
        return;
    track->message_id = id_derive(&request->message_id, 3);
    track->causation_id = request->message_id;
    track->correlation_id = request->correlation_id;
    track->shop_id = request->shop_id;
    track->order_id = request->order_id;
    track->shipment_id = request->shipment_id;
    track->action = action;
}

void shipment_decide_reply(struct decision *decision, const struct request_shipment *request,
                           const struct shipment_reply *reply) {
    assert(reply->result < SHIPMENT_RESULT_COUNT);
    assert(!reply->track_ready || !reply->track_delivered);
    shipment_event(decision, request, reply);
    shipment_answer(decision, request, reply);
    if (reply->track_ready)
        shipment_track(decision, request, SHIPMENT_ACTION_TRACK_READY);
    if (reply->track_delivered)
        shipment_track(decision, request, SHIPMENT_ACTION_TRACK_DELIVERED);
}
