// SPDX-License-Identifier: Apache-2.0
//
// What the simulated payment provider does with a call, given what its ledger says of the payment:
// one set of rules for the provider that is built in and for the one behind HTTP. The payment
// method decides about AUTHORIZE:
//
//   tok_decline          declined
//   tok_delay_<ms>       charged at once, answered after so many milliseconds (at most an hour)
//   tok_timeout          neither charged nor answered: a look-up says NOT_FOUND
//   tok_lost             charged, but the answer is lost: a look-up says AUTHORIZED
//   tok_broken           charged, but answered with an internal error: likewise
//   tok_capture_decline  authorised; CAPTURE is declined
//   anything else        authorised at once
//
// Asked again, a call has no second effect. VOID of an unknown payment is remembered: a later
// AUTHORIZE of it is declined. Pure.
#ifndef ORDERLOG_PROCESS_PROVIDER_RULES_H
#define ORDERLOG_PROCESS_PROVIDER_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "event/types.h"
#include "process/ledger.h"

enum provider_answer {
    PROVIDER_ANSWERS,
    PROVIDER_IS_SILENT, // does nothing, and never answers
    PROVIDER_LOSES,     // the answer to what was done
    PROVIDER_BREAKS,    // answers with an internal error, done or not
};

struct provider_effect {
    enum payment_result result;
    enum provider_answer answer;
    const char *reason; // literal, or NULL
    int64_t delay_us;   // until the answer
    bool recorded;      // belongs into the ledger
};

extern const struct ledger_words provider_ledger_words;

// method is terminated.
struct provider_effect provider_rules_decide(enum payment_action action, int64_t amount_minor,
                                             const char *method, struct ledger_facts facts);

#endif
