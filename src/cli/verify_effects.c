// SPDX-License-Identifier: Apache-2.0
//
// The folds of payments.events and shipping.events: what provider and carrier say they did. Their
// events have no version; their ids follow from the request that was answered.
#include "cli/verify.h"

#include <stddef.h>

// What all records of payments.events are; and of shipping.events.
#define SAME_LAYOUT(record, like)                                                                  \
    _Static_assert(sizeof(struct record) == sizeof(struct like) &&                                 \
                       offsetof(struct record, order_id) == offsetof(struct like, order_id) &&     \
                       offsetof(struct record, causation_id) ==                                    \
                           offsetof(struct like, causation_id),                                    \
                   "one layout for all")
SAME_LAYOUT(payment_captured, payment_authorized);
SAME_LAYOUT(payment_declined, payment_authorized);
SAME_LAYOUT(payment_not_found, payment_authorized);
SAME_LAYOUT(payment_unknown, payment_authorized);
SAME_LAYOUT(payment_voided, payment_authorized);
SAME_LAYOUT(shipment_booking_failed, shipment_booked);
SAME_LAYOUT(shipment_cancelled, shipment_booked);
SAME_LAYOUT(shipment_delivered, shipment_booked);
SAME_LAYOUT(shipment_dispatched, shipment_booked);

static void check_id(struct verify *verify, enum topic_id topic, const struct id *event_id,
                     const struct id *cause, const struct log_record *record) {
    verify->report->checked[CHECK_DERIVED_IDS]++;
    const struct id expected = id_derive(cause, 1);
    if (!id_equal(&expected, event_id))
        verify_violation(verify->report, CHECK_DERIVED_IDS,
                         "%s[%d] offset %lld: event id %s instead of %s", topics[topic].name,
                         record->partition, (long long)record->offset, id_text(event_id).text,
                         id_text(&expected).text);
}

// The order, NULL when it was placed after orders.events was read (or never: then that is said).
static struct verify_order *find_order(struct verify *verify, enum topic_id topic,
                                       enum verify_check check, const struct id *order_id,
                                       const struct log_record *record) {
    const uint32_t number =
        intern_find(&verify->order_ids, order_id->bytes, sizeof(order_id->bytes));
    if (number != INTERN_NONE)
        return &verify->orders[number];
    if (verify->is_quiet)
        verify_violation(verify->report, check, "%s[%d] offset %lld: order %s was never placed",
                         topics[topic].name, record->partition, (long long)record->offset,
                         id_text(order_id).text);
    return NULL;
}

static void keep_amount(struct verify *verify, const struct verify_order *order, const char *what,
                        int64_t amount_minor, int64_t *kept_minor) {
    if (*kept_minor != VERIFY_NULL && *kept_minor != amount_minor)
        verify_violation(
            verify->report, CHECK_PAYMENTS, "order %s: %s twice, with %lld and %lld minor units",
            id_text(&order->id).text, what, (long long)*kept_minor, (long long)amount_minor);
    *kept_minor = amount_minor;
}

bool verify_fold_payment(struct verify *verify, const struct message *message,
                         const struct log_record *record) {
    const struct payment_authorized *event = message->body;
    check_id(verify, TOPIC_PAYMENTS_EVENTS, &event->event_id, &event->causation_id, record);
    struct verify_order *order =
        find_order(verify, TOPIC_PAYMENTS_EVENTS, CHECK_PAYMENTS, &event->order_id, record);
    if (!order)
        return true;
    const struct id payment_id = id_derive(&order->id, 'P');
    if (!id_equal(&payment_id, &event->payment_id))
        verify_violation(verify->report, CHECK_PAYMENTS,
                         "order %s, payments.events[%d] offset %lld: payment %s is not its own",
                         id_text(&order->id).text, record->partition, (long long)record->offset,
                         id_text(&event->payment_id).text);

    struct verify_effects *effects = &order->effects;
    if (message->type == RECORD_PAYMENT_AUTHORIZED)
        keep_amount(verify, order, "authorised", event->amount_minor, &effects->authorized_minor);
    else if (message->type == RECORD_PAYMENT_CAPTURED)
        keep_amount(verify, order, "captured", event->amount_minor, &effects->captured_minor);
    else if (message->type == RECORD_PAYMENT_VOIDED)
        effects->voided = true;
    return true;
}

bool verify_fold_shipment(struct verify *verify, const struct message *message,
                          const struct log_record *record) {
    const struct shipment_booked *event = message->body;
    check_id(verify, TOPIC_SHIPPING_EVENTS, &event->event_id, &event->causation_id, record);
    struct verify_order *order =
        find_order(verify, TOPIC_SHIPPING_EVENTS, CHECK_SHIPMENTS, &event->order_id, record);
    if (!order)
        return true;
    struct verify_effects *effects = &order->effects;
    effects->booked |= message->type == RECORD_SHIPMENT_BOOKED;
    effects->dispatched |= message->type == RECORD_SHIPMENT_DISPATCHED;
    effects->delivered |= message->type == RECORD_SHIPMENT_DELIVERED;
    effects->shipment_cancelled |= message->type == RECORD_SHIPMENT_CANCELLED;
    return true;
}
