// SPDX-License-Identifier: Apache-2.0
//
// A sample says: at at_ms the end was first seen at `end`, so records below it came no later. The
// oldest record not committed is thus as old as the first sample whose end lies beyond the
// committed offset. When the ring is full every second sample is dropped and new ones come at twice
// the distance, so that the ring spans any time with an even resolution.
#include "http/lag_clock.h"

static uint32_t slot(const struct lag_clock *clock, uint32_t index) {
    return (clock->first + index) % LAG_CLOCK_SAMPLES;
}

static void thin_out(struct lag_clock *clock, int64_t now_ms) {
    int64_t span_ms = now_ms - clock->samples[clock->first].at_ms;
    uint32_t kept = 0;
    // The first one is kept: it is what the lag is measured from.
    for (uint32_t i = 0; i < clock->count; i += 2)
        clock->samples[slot(clock, kept++)] = clock->samples[slot(clock, i)];
    clock->count = kept;
    clock->spacing_ms = span_ms / kept;
}

int64_t lag_clock_update(struct lag_clock *clock, int64_t now_ms, int64_t end, int64_t committed) {
    while (clock->count > 0 && clock->samples[clock->first].end <= committed) {
        clock->first = (clock->first + 1) % LAG_CLOCK_SAMPLES;
        clock->count--;
    }
    if (committed >= end) {
        clock->spacing_ms = 0;
        return 0;
    }
    if (clock->count == LAG_CLOCK_SAMPLES)
        thin_out(clock, now_ms);
    uint32_t last = slot(clock, clock->count > 0 ? clock->count - 1 : 0);
    if (clock->count == 0 || (clock->samples[last].end < end &&
                              now_ms - clock->samples[last].at_ms >= clock->spacing_ms)) {
        uint32_t at = slot(clock, clock->count++);
        clock->samples[at].at_ms = now_ms;
        clock->samples[at].end = end;
    }
    return now_ms - clock->samples[clock->first].at_ms;
}
