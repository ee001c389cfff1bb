// SPDX-License-Identifier: Apache-2.0
//
// What the clients of a payment provider and a carrier behind HTTP have in common. Copied, but for
// the strings, which are borrowed for the client's life.
#ifndef ORDERLOG_PROCESS_HTTP_CLIENT_OPTIONS_H
#define ORDERLOG_PROCESS_HTTP_CLIENT_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

struct http_client_options {
    const char *name;     // for the log: "payment provider"
    const char *url;      // "https://provider.example"
    const char *bearer;   // sent as "Authorization: Bearer"; NULL: none
    size_t in_flight_max; // calls taken, waiting ones included
    int connections_max;  // calls on the wire
    int64_t connect_timeout_ms;
    int64_t timeout_ms;       // of one try, connecting included
    int64_t retries_max;      // after answers that are no use; unanswered tries are repeated
                              // until the call is forgotten
    int64_t backoff_max_ms;   // longest pause before a retry
    int64_t breaker_failures; // in a row, after which calls wait
    int64_t breaker_open_ms;  // until the first probe
};

#endif
