// SPDX-License-Identifier: Apache-2.0
#include "process/provider_rules.h"

#include <string.h>

static const int64_t delay_ms_max = 3600000;

const struct ledger_words provider_ledger_words = {
    .actions = payment_action_names,
    .actions_count = PAYMENT_ACTION_COUNT,
    .results = payment_result_names,
    .results_count = PAYMENT_RESULT_COUNT,
};

static bool happened(struct ledger_facts facts, enum payment_action action,
                     enum payment_result result) {
    return (facts.happened & ledger_bit(action, result)) != 0;
}

static bool is_held(struct ledger_facts facts) {
    return happened(facts, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_AUTHORIZED);
}

static bool is_captured(struct ledger_facts facts) {
    return happened(facts, PAYMENT_ACTION_CAPTURE, PAYMENT_RESULT_CAPTURED);
}

static bool is_voided(struct ledger_facts facts) {
    return happened(facts, PAYMENT_ACTION_VOID, PAYMENT_RESULT_VOIDED);
}

static bool is_declined(struct ledger_facts facts) {
    return happened(facts, PAYMENT_ACTION_AUTHORIZE, PAYMENT_RESULT_DECLINED);
}

// The number behind tok_delay_, in microseconds; 0 for any other method.
static int64_t delay_us(const char *method) {
    static const char prefix[] = "tok_delay_";
    if (strncmp(method, prefix, sizeof(prefix) - 1) != 0)
        return 0;
    int64_t ms = 0;
    for (const char *digit = method + sizeof(prefix) - 1; *digit >= '0' && *digit <= '9'; digit++) {
        ms = 10 * ms + (*digit - '0');
        if (ms > delay_ms_max)
            return delay_ms_max * 1000;
    }
    return ms * 1000;
}

static enum provider_answer answer_to(const char *method) {
    if (strcmp(method, "tok_lost") == 0)
        return PROVIDER_LOSES;
    if (strcmp(method, "tok_broken") == 0)
        return PROVIDER_BREAKS;
    return PROVIDER_ANSWERS;
}

static struct provider_effect authorize(const char *method, struct ledger_facts facts) {
    if (is_held(facts))
        return (struct provider_effect){.result = PAYMENT_RESULT_AUTHORIZED,
                                        .answer = answer_to(method)};
    if (is_declined(facts))
        return (struct provider_effect){.result = PAYMENT_RESULT_DECLINED,
                                        .reason = "declined before"};
    if (is_voided(facts))
        return (struct provider_effect){.result = PAYMENT_RESULT_DECLINED,
                                        .reason = "the payment was voided before",
                                        .recorded = true};
    if (strcmp(method, "tok_decline") == 0)
        return (struct provider_effect){.result = PAYMENT_RESULT_DECLINED,
                                        .reason = "the payment method was declined",
                                        .recorded = true};
    if (strcmp(method, "tok_timeout") == 0)
        return (struct provider_effect){.answer = PROVIDER_IS_SILENT};
    return (struct provider_effect){.result = PAYMENT_RESULT_AUTHORIZED,
                                    .delay_us = delay_us(method),
                                    .answer = answer_to(method),
                                    .recorded = true};
}

static struct provider_effect capture(int64_t amount_minor, const char *method,
                                      struct ledger_facts facts) {
    if (is_captured(facts))
        return (struct provider_effect){.result = PAYMENT_RESULT_CAPTURED};
    if (!is_held(facts) || is_voided(facts))
        return (struct provider_effect){.result = PAYMENT_RESULT_DECLINED,
                                        .reason = "nothing is held"};
    if (amount_minor > facts.amount_minor)
        return (struct provider_effect){.result = PAYMENT_RESULT_DECLINED,
                                        .reason = "more than was authorised"};
    if (strcmp(method, "tok_capture_decline") == 0)
        return (struct provider_effect){.result = PAYMENT_RESULT_DECLINED,
                                        .reason = "the capture was declined",
                                        .recorded = true};
    return (struct provider_effect){.result = PAYMENT_RESULT_CAPTURED, .recorded = true};
}

static struct provider_effect void_payment(struct ledger_facts facts) {
    if (is_captured(facts))
        return (struct provider_effect){.result = PAYMENT_RESULT_DECLINED,
                                        .reason = "already captured"};
    return (struct provider_effect){.result = PAYMENT_RESULT_VOIDED, .recorded = !is_voided(facts)};
}

static struct provider_effect look_up(struct ledger_facts facts) {
    if (is_voided(facts))
        return (struct provider_effect){.result = PAYMENT_RESULT_VOIDED};
    if (is_captured(facts))
        return (struct provider_effect){.result = PAYMENT_RESULT_CAPTURED};
    if (is_held(facts))
        return (struct provider_effect){.result = PAYMENT_RESULT_AUTHORIZED};
    if (is_declined(facts))
        return (struct provider_effect){.result = PAYMENT_RESULT_DECLINED,
                                        .reason = "declined before"};
    return (struct provider_effect){.result = PAYMENT_RESULT_NOT_FOUND};
}

struct provider_effect provider_rules_decide(enum payment_action action, int64_t amount_minor,
                                             const char *method, struct ledger_facts facts) {
    switch (action) {
    case PAYMENT_ACTION_AUTHORIZE:
        return authorize(method, facts);
    case PAYMENT_ACTION_CAPTURE:
        return capture(amount_minor, method, facts);
    case PAYMENT_ACTION_VOID:
        return void_payment(facts);
    case PAYMENT_ACTION_LOOKUP:
    case PAYMENT_ACTION_COUNT:
        break;
    }
    return look_up(facts);
}
