// SPDX-License-Identifier: Apache-2.0
//
// Deadlines by key, as a min-heap that may hold outdated entries: whoever pops one asks the
// aggregate whether that deadline still runs. So setting is O(log n) and nothing is ever searched
// for. One thread.
#ifndef ORDERLOG_STREAM_TIMERS_H
#define ORDERLOG_STREAM_TIMERS_H

#include "event/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
    int64_t deadline_us;
    struct id key;
};

struct timers {
    struct timer *items; // owned heap
    size_t count;
    size_t capacity;
};

void timers_done(struct timers *timers);
void timers_push(struct timers *timers, int64_t deadline_us, const struct id *key);

// The earliest, or NULL.
const struct timer *timers_top(const struct timers *timers);
void timers_pop(struct timers *timers);

// Drops those that do not run any more.
void timers_filter(struct timers *timers,
                   bool (*runs)(const void *opaque, const struct timer *timer), const void *opaque);

#endif
