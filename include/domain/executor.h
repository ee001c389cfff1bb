// SPDX-License-Identifier: Apache-2.0
//
// Payment and shipping decide nothing: a request is a committed intent, a provider's reply is a
// fact. These functions turn a reply into the event and the answer to the order.
#ifndef ORDERLOG_DOMAIN_EXECUTOR_H
#define ORDERLOG_DOMAIN_EXECUTOR_H

#include "domain/decision.h"

struct payment_reply {
    enum payment_result result;
    struct view reason; // ptr NULL if none
};

// Appends one event of payments.events and one PaymentAnswered.
void payment_decide_reply(struct decision *decision, const struct request_payment *request,
                          const struct payment_reply *reply);

struct shipment_reply {
    enum shipment_result result;
    struct view tracking; // ptr NULL if none
    struct view reason;
    bool track_ready;     // the carrier will report when the parcel may leave: ask it to
    bool track_delivered; // likewise for delivery
};

// Appends one event of shipping.events (none for READY), one ShipmentAnswered (none for a
// CANCEL that was done) and, where the carrier reports by itself, a RequestShipment TRACK_* to
// shipping's own inbox.
void shipment_decide_reply(struct decision *decision, const struct request_shipment *request,
                           const struct shipment_reply *reply);

#endif
