// SPDX-License-Identifier: Apache-2.0
//
// The simulated carrier's side of HTTP. How a parcel fares follows from the ledger and the time, so
// that it fares the same after a restart; who asks too early is told when to ask again.
#include "cli/simulator.h"
#include "http/respond.h"
#include "http/server.h"
#include "process/carrier_rules.h"

#include <string.h>

static const int64_t ask_again_us_max = 1000000;

static void handle_book(struct http_request *request, void *state) {
    simulator_take(state, request, SHIPMENT_ACTION_BOOK, true);
}

static void handle_cancel(struct http_request *request, void *state) {
    simulator_take(state, request, SHIPMENT_ACTION_CANCEL, true);
}

static void handle_dispatch(struct http_request *request, void *state) {
    simulator_take(state, request, SHIPMENT_ACTION_DISPATCH, true);
}

static void handle_status(struct http_request *request, void *state) {
    const char *until = http_request_query(request, "until");
    if (until && strcmp(until, "ready") == 0)
        simulator_take(state, request, SHIPMENT_ACTION_TRACK_READY, false);
    else if (until && strcmp(until, "delivered") == 0)
        simulator_take(state, request, SHIPMENT_ACTION_TRACK_DELIVERED, false);
    else
        respond_refuse(request, PROBLEM_INVALID_PARAMETER, "until is to be ready or delivered");
}

static const char *const status_query[] = {"until", NULL};

static const struct http_route rows[] = {
    {.method = "POST",
     .pattern = "/v1/shipments/{id}/book",
     .flags = ROUTE_BODY,
     .summary = "Book the transport of a parcel",
     .handle = handle_book},
    {.method = "POST",
     .pattern = "/v1/shipments/{id}/cancel",
     .flags = ROUTE_BODY,
     .summary = "Call a booking off, or see to it that there never will be one",
     .handle = handle_cancel},
    {.method = "POST",
     .pattern = "/v1/shipments/{id}/dispatch",
     .flags = ROUTE_BODY,
     .summary = "Fetch the parcel",
     .handle = handle_dispatch},
    {.method = "GET",
     .pattern = "/v1/shipments/{id}/status",
     .query = status_query,
     .summary = "Whether a parcel is ready, or delivered",
     .handle = handle_status},
};
static const struct http_routes routes = {rows, sizeof(rows) / sizeof(rows[0])};

static bool happened(struct ledger_facts facts, enum shipment_action action,
                     enum shipment_result result) {
    return (facts.happened & ledger_bit(action, result)) != 0;
}

// When what is asked for comes about; INT64_MAX: it is not in sight.
static int64_t report_due_us(const struct simulator_options *options,
                             const struct simulator_call *call, struct ledger_facts facts) {
    if (!options->automatic)
        return INT64_MAX;
    if (call->action == SHIPMENT_ACTION_TRACK_READY)
        return facts.last_us + options->dispatch_after_us;
    if (happened(facts, SHIPMENT_ACTION_DISPATCH, SHIPMENT_RESULT_DISPATCHED))
        return facts.last_us + options->deliver_after_us;
    return INT64_MAX;
}

static void not_known(struct simulator_answer *ret) {
    ret->status = 404;
    ret->say = "unknown";
    ret->reason = "no such shipment";
}

static void not_yet(struct simulator_answer *ret, int64_t in_us) {
    ret->say = "waiting";
    ret->ask_again_us = in_us < ask_again_us_max ? in_us : ask_again_us_max;
}

static int status_of(enum shipment_action action, enum shipment_result result) {
    if (result == SHIPMENT_RESULT_BOOKING_FAILED)
        return 422;
    bool crossed = (action == SHIPMENT_ACTION_CANCEL && result == SHIPMENT_RESULT_DISPATCHED) ||
                   (action == SHIPMENT_ACTION_DISPATCH && result == SHIPMENT_RESULT_CANCELLED);
    return crossed ? 409 : 200;
}

static void decide(const struct simulator_options *options, const struct simulator_call *call,
                   struct ledger_facts facts, int64_t now_us, struct simulator_answer *ret) {
    static const char *const words[SHIPMENT_RESULT_COUNT] = {
        [SHIPMENT_RESULT_BOOKED] = "booked",
        [SHIPMENT_RESULT_BOOKING_FAILED] = "booking_failed",
        [SHIPMENT_RESULT_CANCELLED] = "cancelled",
        [SHIPMENT_RESULT_READY] = "ready",
        [SHIPMENT_RESULT_DISPATCHED] = "dispatched",
        [SHIPMENT_RESULT_DELIVERED] = "delivered",
    };
    enum shipment_action action = (enum shipment_action)call->action;
    if (action == SHIPMENT_ACTION_TRACK_READY || action == SHIPMENT_ACTION_TRACK_DELIVERED) {
        int64_t due_us = report_due_us(options, call, facts);
        if (facts.happened == 0) {
            not_known(ret);
            return;
        }
        if (due_us > now_us) {
            not_yet(ret, due_us - now_us);
            return;
        }
    }
    struct carrier_effect effect = carrier_rules_decide(action, facts);
    ret->recorded = effect.recorded;
    ret->result = effect.result;
    ret->status = status_of(action, effect.result);
    ret->say = words[effect.result];
    ret->reason = effect.reason;
    if (action == SHIPMENT_ACTION_BOOK && effect.result == SHIPMENT_RESULT_BOOKED)
        carrier_rules_tracking(&call->effect_id, ret->tracking);
    ret->reports =
        options->automatic &&
        ((action == SHIPMENT_ACTION_BOOK && effect.result == SHIPMENT_RESULT_BOOKED) ||
         (action == SHIPMENT_ACTION_DISPATCH && effect.result == SHIPMENT_RESULT_DISPATCHED));
}

const struct simulator_kind simulator_carrier = {
    .id_name = "shipment_id",
    .words = &carrier_ledger_words,
    .routes = &routes,
    .decide = decide,
};
