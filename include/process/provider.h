// SPDX-License-Identifier: Apache-2.0
//
// A payment provider as the payment role sees it: asynchronous, many calls in flight, driven by one
// thread that polls. The payment id is the provider's idempotency key: the same payment id and
// action asked twice has one effect and the same answer. These are built in, to be stacked:
//
//   provider_calls    keeps one call per order at a time and answers UNKNOWN after a time-out
//     └ provider_sim    decides by the payment method and keeps its own ledger, or
//     └ provider_http   asks a provider behind HTTP
#ifndef ORDERLOG_PROCESS_PROVIDER_H
#define ORDERLOG_PROCESS_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/types.h"
#include "process/http_client_options.h"
#include "service/error.h"

enum { PROVIDER_METHOD_MAX = 256, PROVIDER_REASON_MAX = 64 };

struct provider_call {
    uint64_t token; // the caller's; comes back in the completion
    struct id payment_id;
    struct id order_id;
    enum payment_action action;
    int64_t amount_minor;
    struct view currency; // 3 letters
    struct view method;   // at most PROVIDER_METHOD_MAX bytes
};

struct provider_completion {
    uint64_t token;
    enum payment_result result;
    char reason[PROVIDER_REASON_MAX]; // terminated; "" if none
};

struct provider {
    // Takes a copy of the call. DISP_RETRY when as many calls as allowed are in flight already,
    // DISP_POISON when the call is malformed.
    bool (*submit)(struct provider *provider, const struct provider_call *call, struct error *err);

    // Calls that submit() would still take.
    size_t (*room)(struct provider *provider);

    // Up to max finished calls. An effect is on record before its completion is handed out.
    size_t (*poll)(struct provider *provider, int64_t now_us, struct provider_completion *out,
                   size_t max);

    // When poll() has something to do: 0 = now, INT64_MAX = not before the next submit().
    int64_t (*next_due_us)(struct provider *provider);

    // The answer to this call is no longer wanted; its effect may still happen.
    void (*forget)(struct provider *provider, uint64_t token);

    void (*free)(struct provider *provider);
};

// The simulated provider: what it does is in provider_rules.h. What happened is in a ledger
// (ledger.h) at ledger_path; "" keeps it in memory. A call that is never answered keeps its place
// until it is forgotten.
struct provider *provider_sim_new(const char *ledger_path, size_t in_flight_max, struct error *err);

// A provider behind HTTP:
//
//   POST URL/v1/payments/ID/authorize|capture|void   {"order_id","amount_minor","currency",
//                                                     "payment_method"}
//   GET  URL/v1/payments/ID                          what has become of it
//
// with the header Idempotency-Key: ID-ACTION. An answer is {"payment_id","status","reason"} with a
// status of authorized, declined, captured, voided or not_found. Tries that fail are repeated under
// the same key; when answers stay useless the call completes as UNKNOWN, when there is none it
// keeps its place until it is forgotten.
struct provider *provider_http_new(const struct http_client_options *options, struct error *err);

// Takes inner over (owned, freed with it; on failure too). Calls of one order are handed to inner
// one after the other, in the order of submit(): the next when the one before has completed or
// timed out. A call without an answer call_timeout_us after it was handed over completes as
// UNKNOWN, and its late answer is dropped. At most calls_max calls, waiting ones included.
struct provider *provider_calls_new(struct provider *inner, int64_t call_timeout_us,
                                    size_t calls_max, struct error *err);

#endif
