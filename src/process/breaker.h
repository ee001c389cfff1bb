// SPDX-License-Identifier: Apache-2.0
//
// A circuit breaker. Pure but for its own dice. Inner to the clients of provider and carrier.
//
//   CLOSED ──failures_max in a row──▶ OPEN ──after a while──▶ PROBING ──success──▶ CLOSED
//                                      ▲                         │
//                                      └────failure: twice as long
#ifndef ORDERLOG_PROCESS_BREAKER_H
#define ORDERLOG_PROCESS_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };

struct breaker {
    int64_t failures_max;
    int64_t open_us; // the first time; doubled with every probe that fails, up to 16 times
    uint64_t dice;   // seed, then state

    enum breaker_state state;
    int64_t failures; // in a row
    int doublings;
    int64_t until_us; // when OPEN: the time of the probe
};

// Whether a call may go out now: any while CLOSED, the probe when its time has come.
bool breaker_allows(const struct breaker *breaker, int64_t now_us);

// When breaker_allows() may change by itself; INT64_MAX: not before an outcome.
int64_t breaker_due_us(const struct breaker *breaker);

// One goes out. True: it is the probe, and its outcome decides.
bool breaker_send(struct breaker *breaker, int64_t now_us);

// Outcomes. True: this one closed, or opened, the breaker.
bool breaker_succeeded(struct breaker *breaker, bool was_probe);
bool breaker_failed(struct breaker *breaker, bool was_probe, int64_t now_us);

#endif
