// SPDX-License-Identifier: Apache-2.0
//
// Turns offsets into time: remembers when the end of one partition stood where, and tells how long
// ago the end was at the committed offset. Pure: fed by whoever asks the brokers.
#ifndef ORDERLOG_HTTP_LAG_CLOCK_H
#define ORDERLOG_HTTP_LAG_CLOCK_H

#include <stdint.h>

enum { LAG_CLOCK_SAMPLES = 256 };

struct lag_clock {
    struct {
        int64_t at_ms;
        int64_t end;
    } samples[LAG_CLOCK_SAMPLES]; // a ring, ends strictly rising
    uint32_t first;
    uint32_t count;
    int64_t spacing_ms; // of the samples, grows with the time they span
};

// Returns the lag in milliseconds at now_ms: 0 when committed has reached end. What was there
// before the first call counts from that call on. Exact to the period of calls, or to 1 % of the
// lag.
int64_t lag_clock_update(struct lag_clock *clock, int64_t now_ms, int64_t end, int64_t committed);

#endif
