// SPDX-License-Identifier: Apache-2.0
//
// The simulated payment provider's side of HTTP.
#include "cli/simulator.h"
#include "process/provider_rules.h"

static void handle_authorize(struct http_request *request, void *state) {
    simulator_take(state, request, PAYMENT_ACTION_AUTHORIZE, true);
}

static void handle_capture(struct http_request *request, void *state) {
    simulator_take(state, request, PAYMENT_ACTION_CAPTURE, true);
}

static void handle_void(struct http_request *request, void *state) {
    simulator_take(state, request, PAYMENT_ACTION_VOID, true);
}

static void handle_look_up(struct http_request *request, void *state) {
    simulator_take(state, request, PAYMENT_ACTION_LOOKUP, false);
}

static const struct http_route rows[] = {
    {.method = "POST",
     .pattern = "/v1/payments/{id}/authorize",
     .flags = ROUTE_BODY,
     .summary = "Hold an amount",
     .handle = handle_authorize},
    {.method = "POST",
     .pattern = "/v1/payments/{id}/capture",
     .flags = ROUTE_BODY,
     .summary = "Take what is held",
     .handle = handle_capture},
    {.method = "POST",
     .pattern = "/v1/payments/{id}/void",
     .flags = ROUTE_BODY,
     .summary = "Let go of what is held, or see to it that nothing ever will be",
     .handle = handle_void},
    {.method = "GET",
     .pattern = "/v1/payments/{id}",
     .summary = "What has become of a payment",
     .handle = handle_look_up},
};
static const struct http_routes routes = {rows, sizeof(rows) / sizeof(rows[0])};

static enum simulator_manner manner_of(enum provider_answer answer) {
    switch (answer) {
    case PROVIDER_IS_SILENT:
        return SIMULATOR_SILENT;
    case PROVIDER_LOSES:
        return SIMULATOR_LOSES;
    case PROVIDER_BREAKS:
        return SIMULATOR_BREAKS;
    case PROVIDER_ANSWERS:
        break;
    }
    return SIMULATOR_ANSWERS;
}

static int status_of(enum payment_result result) {
    if (result == PAYMENT_RESULT_DECLINED)
        return 402;
    return result == PAYMENT_RESULT_NOT_FOUND ? 404 : 200;
}

static void decide(const struct simulator_options *options, const struct simulator_call *call,
                   struct ledger_facts facts, int64_t now_us, struct simulator_answer *ret) {
    (void)options;
    (void)now_us;
    static const char *const words[PAYMENT_RESULT_COUNT] = {
        [PAYMENT_RESULT_AUTHORIZED] = "authorized", [PAYMENT_RESULT_DECLINED] = "declined",
        [PAYMENT_RESULT_CAPTURED] = "captured",     [PAYMENT_RESULT_VOIDED] = "voided",
        [PAYMENT_RESULT_NOT_FOUND] = "not_found",   [PAYMENT_RESULT_UNKNOWN] = "unknown",
    };
    struct provider_effect effect = provider_rules_decide((enum payment_action)call->action,
                                                          call->amount_minor, call->method, facts);
    ret->manner = manner_of(effect.answer);
    ret->delay_us = effect.delay_us;
    ret->recorded = effect.recorded;
    ret->result = effect.result;
    ret->status = status_of(effect.result);
    ret->say = words[effect.result];
    ret->reason = effect.reason;
}

const struct simulator_kind simulator_provider = {
    .id_name = "payment_id",
    .words = &provider_ledger_words,
    .routes = &routes,
    .decide = decide,
};
