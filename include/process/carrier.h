// SPDX-License-Identifier: Apache-2.0
//
// A carrier as the shipping role sees it: the same shape as provider.h. The shipment id is the
// carrier's idempotency key. Calls about one shipment take effect in the order of submit(); TRACK_*
// calls only wait for news and hold up nothing.
#ifndef ORDERLOG_PROCESS_CARRIER_H
#define ORDERLOG_PROCESS_CARRIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/types.h"
#include "process/http_client_options.h"
#include "service/error.h"

enum { CARRIER_TRACKING_MAX = 32, CARRIER_REASON_MAX = 64 };

struct carrier_call {
    uint64_t token; // the caller's; comes back in the completion
    struct id shipment_id;
    struct id order_id;
    enum shipment_action action;
};

struct carrier_completion {
    uint64_t token;
    enum shipment_result result;
    char tracking[CARRIER_TRACKING_MAX]; // terminated; "" if none
    char reason[CARRIER_REASON_MAX];     // terminated; "" if none
    bool track_ready;                    // ask TRACK_READY: the carrier will say when
    bool track_delivered;                // likewise TRACK_DELIVERED
};

struct carrier {
    // Takes a copy of the call; DISP_RETRY when as many calls as allowed are in flight already.
    bool (*submit)(struct carrier *carrier, const struct carrier_call *call, struct error *err);

    // Calls that submit() would still take.
    size_t (*room)(struct carrier *carrier);

    // Up to max finished calls. An effect is on record before its completion is handed out.
    size_t (*poll)(struct carrier *carrier, int64_t now_us, struct carrier_completion *out,
                   size_t max);

    // When poll() has something to do: 0 = now, INT64_MAX = not before the next submit().
    int64_t (*next_due_us)(struct carrier *carrier);

    void (*free)(struct carrier *carrier);
};

// The simulated carrier. It takes every booking that was not cancelled before. When automatic, it
// reports READY dispatch_after_us after being asked to track, and DELIVERED likewise; otherwise it
// asks for no tracking, and operators say when. Ledger as in provider.h.
struct carrier_sim_options {
    const char *ledger_path;
    bool automatic;
    int64_t dispatch_after_us;
    int64_t deliver_after_us;
    size_t in_flight_max;
};

struct carrier *carrier_sim_new(const struct carrier_sim_options *options, struct error *err);

// A carrier behind HTTP:
//
//   POST URL/v1/shipments/ID/book|cancel|dispatch            {"order_id"}
//   GET  URL/v1/shipments/ID/status?until=ready|delivered
//
// with the header Idempotency-Key: ID-ACTION. An answer is {"shipment_id","status","reason",
// "tracking","reports","ask_again_ms"} with a status of booked, booking_failed, cancelled,
// dispatched, ready, delivered, waiting (ask again) or unknown; "reports" says that the carrier
// knows by itself when the parcel is ready or delivered, and can be asked. Tries that fail are
// repeated under the same key until there is an answer (retries_max does not matter).
struct carrier *carrier_http_new(const struct http_client_options *options, struct error *err);

#endif
