// SPDX-License-Identifier: Apache-2.0
#include "process/carrier_rules.h"

#include <assert.h>
#include <stdio.h>

const struct ledger_words carrier_ledger_words = {
    .actions = shipment_action_names,
    .actions_count = SHIPMENT_ACTION_COUNT,
    .results = shipment_result_names,
    .results_count = SHIPMENT_RESULT_COUNT,
};

static bool happened(struct ledger_facts facts, enum shipment_action action,
                     enum shipment_result result) {
    return (facts.happened & ledger_bit(action, result)) != 0;
}

static struct carrier_effect book(struct ledger_facts facts) {
    if (happened(facts, SHIPMENT_ACTION_BOOK, SHIPMENT_RESULT_BOOKED))
        return (struct carrier_effect){.result = SHIPMENT_RESULT_BOOKED};
    if (happened(facts, SHIPMENT_ACTION_CANCEL, SHIPMENT_RESULT_CANCELLED))
        return (struct carrier_effect){.result = SHIPMENT_RESULT_BOOKING_FAILED,
                                       .reason = "the shipment was cancelled before"};
    return (struct carrier_effect){.result = SHIPMENT_RESULT_BOOKED, .recorded = true};
}

static struct carrier_effect cancel(struct ledger_facts facts) {
    if (happened(facts, SHIPMENT_ACTION_DISPATCH, SHIPMENT_RESULT_DISPATCHED))
        return (struct carrier_effect){.result = SHIPMENT_RESULT_DISPATCHED,
                                       .reason = "the parcel has left"};
    return (struct carrier_effect){
        .result = SHIPMENT_RESULT_CANCELLED,
        .recorded = !happened(facts, SHIPMENT_ACTION_CANCEL, SHIPMENT_RESULT_CANCELLED)};
}

static struct carrier_effect dispatch(struct ledger_facts facts) {
    if (happened(facts, SHIPMENT_ACTION_CANCEL, SHIPMENT_RESULT_CANCELLED))
        return (struct carrier_effect){.result = SHIPMENT_RESULT_CANCELLED,
                                       .reason = "the shipment was cancelled before"};
    return (struct carrier_effect){
        .result = SHIPMENT_RESULT_DISPATCHED,
        .recorded = !happened(facts, SHIPMENT_ACTION_DISPATCH, SHIPMENT_RESULT_DISPATCHED)};
}

struct carrier_effect carrier_rules_decide(enum shipment_action action, struct ledger_facts facts) {
    switch (action) {
    case SHIPMENT_ACTION_BOOK:
        return book(facts);
    case SHIPMENT_ACTION_CANCEL:
        return cancel(facts);
    case SHIPMENT_ACTION_DISPATCH:
        return dispatch(facts);
    case SHIPMENT_ACTION_TRACK_READY:
        return (struct carrier_effect){.result = SHIPMENT_RESULT_READY};
    case SHIPMENT_ACTION_TRACK_DELIVERED:
        return (struct carrier_effect){.result = SHIPMENT_RESULT_DELIVERED,
                                       .recorded = !happened(facts, SHIPMENT_ACTION_TRACK_DELIVERED,
                                                             SHIPMENT_RESULT_DELIVERED)};
    case SHIPMENT_ACTION_COUNT:
        break;
    }
    assert(!"an action that the codec lets through");
    return (struct carrier_effect){0};
}

void carrier_rules_tracking(const struct id *shipment_id, char text[CARRIER_RULES_TRACKING_SIZE]) {
    struct id_text shipment = id_text(shipment_id);
    (void)snprintf(text, CARRIER_RULES_TRACKING_SIZE, "SIM-%.8s", shipment.text);
}
