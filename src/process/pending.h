// SPDX-License-Identifier: Apache-2.0
//
// Places for calls in flight in a simulated world, numbered 0 .. max-1: first in a queue until the
// next poll takes effect, then waiting for the moment of their answer. Inner to the simulators.
#ifndef ORDERLOG_PROCESS_PENDING_H
#define ORDERLOG_PROCESS_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pending_due {
    int64_t at_us;
    uint64_t order; // equal moments come out in the order they went in
    uint32_t place;
};

struct pending {
    uint32_t *free; // owned: a stack
    size_t free_count;
    uint32_t *queue; // owned
    size_t queue_count;
    struct pending_due *due; // owned: a heap, earliest first
    size_t due_count;
    uint64_t due_order;
    size_t max;
};

// False when memory is out. pending_done() undoes it, also half done.
bool pending_init(struct pending *pending, size_t max);
void pending_done(struct pending *pending);

// A free place, put at the end of the queue; false when all are taken.
bool pending_take(struct pending *pending, uint32_t *ret_place);

// After every place of the queue has been looked at: each is due, kept silent, or released.
void pending_queue_clear(struct pending *pending);
void pending_put_due(struct pending *pending, uint32_t place, int64_t at_us);

// The earliest place that is due by now; it stays taken until released.
bool pending_pop_due(struct pending *pending, int64_t now_us, uint32_t *ret_place);
int64_t pending_due_us(const struct pending *pending); // INT64_MAX: nothing is due

void pending_release(struct pending *pending, uint32_t place);

#endif
