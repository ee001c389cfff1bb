// SPDX-License-Identifier: Apache-2.0
//
// What the simulated carrier does with a call, given what its ledger says of the shipment; like
// provider_rules.h. It takes every booking that was not cancelled before. Pure.
#ifndef ORDERLOG_PROCESS_CARRIER_RULES_H
#define ORDERLOG_PROCESS_CARRIER_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "event/types.h"
#include "process/ledger.h"

struct carrier_effect {
    enum shipment_result result;
    const char *reason; // literal, or NULL
    bool recorded;      // belongs into the ledger
};

extern const struct ledger_words carrier_ledger_words;

// For TRACK_…: what is to be reported when its time has come.
struct carrier_effect carrier_rules_decide(enum shipment_action action, struct ledger_facts facts);

// The number that a booked shipment goes by: "SIM-0195a3c0".
enum { CARRIER_RULES_TRACKING_SIZE = 13 };
void carrier_rules_tracking(const struct id *shipment_id, char text[CARRIER_RULES_TRACKING_SIZE]);

#endif
