// SPDX-License-Identifier: Apache-2.0
//
// A plain binary heap.
#include "stream/timers.h"

#include <assert.h>
#include <stdlib.h>

void timers_done(struct timers *timers) {
    free(timers->items);
    *timers = (struct timers){0};
}

void timers_push(struct timers *timers, int64_t deadline_us, const struct id *key) {
    if (timers->count == timers->capacity) {
        timers->capacity = timers->capacity ? timers->capacity * 2 : 256;
        timers->items = realloc(timers->items, timers->capacity * sizeof(*timers->items));
        assert(timers->items && "out of memory for timers");
    }
    size_t at = timers->count++;
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (timers->items[parent].deadline_us <= deadline_us)
            break;
        timers->items[at] = timers->items[parent];
        at = parent;
    }
    timers->items[at] = (struct timer){.deadline_us = deadline_us, .key = *key};
}

const struct timer *timers_top(const struct timers *timers) {
    return timers->count ? &timers->items[0] : NULL;
}

// Puts the item where it belongs at or below a place that is free.
static void sink(struct timers *timers, size_t at, struct timer item) {
    for (size_t child; (child = at * 2 + 1) < timers->count; at = child) {
        if (child + 1 < timers->count &&
            timers->items[child + 1].deadline_us < timers->items[child].deadline_us)
            child++;
        if (item.deadline_us <= timers->items[child].deadline_us)
            break;
        timers->items[at] = timers->items[child];
    }
    timers->items[at] = item;
}

void timers_pop(struct timers *timers) {
    assert(timers->count);
    struct timer last = timers->items[--timers->count];
    if (timers->count)
        sink(timers, 0, last);
}

void timers_filter(struct timers *timers,
                   bool (*runs)(const void *opaque, const struct timer *timer),
                   const void *opaque) {
    size_t kept = 0;
    for (size_t i = 0; i < timers->count; i++)
        if (runs(opaque, &timers->items[i]))
            timers->items[kept++] = timers->items[i];
    timers->count = kept;
    for (size_t at = kept / 2; at-- > 0;)
        sink(timers, at, timers->items[at]);
}
