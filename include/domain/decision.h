// SPDX-License-Identifier: Apache-2.0
//
// What one input leads to: events (facts, to the domain's own events topic), messages (to other
// domains' inboxes) and the state after them. A decider appends here and nowhere else; the
// transaction loop encodes and produces what it finds. Everything lives in the arena that was
// handed in, until the batch is committed or undone. Pure: no clock, no I/O, no global state.
#ifndef ORDERLOG_DOMAIN_DECISION_H
#define ORDERLOG_DOMAIN_DECISION_H

#include <stdbool.h>
#include <stdint.h>

#include "event/types.h"
#include "service/arena.h"

struct decided {
    enum record_id type;
    void *body; // the struct of that record, in the arena
};

enum { DECISION_EVENTS_MAX = 16 };

// Settings of the shop's life that deciders need; handed in, never read.
struct policy {
    int64_t reservation_ttl_us;
    int64_t payment_timeout_us;  // first look-up after this; the next ones back off
    int32_t payment_lookups_max; // then a case is opened
    int64_t command_window_us;   // how long an idempotency key is remembered
};

struct decision {
    struct arena *arena;         // borrowed
    const struct policy *policy; // borrowed
    int64_t now_us;

    struct decided events[DECISION_EVENTS_MAX];
    uint32_t events_count;
    struct decided *messages; // in the arena, grows by doubling
    uint32_t messages_count;
    uint32_t messages_capacity;
    bool out_of_memory; // the arena's bound was met: the decision must be thrown away
};

void decision_begin(struct decision *decision, struct arena *arena, const struct policy *policy,
                    int64_t now_us);

// Zeroed memory that lives as long as the decision; NULL when memory is out, and from then on.
void *decision_alloc(struct decision *decision, size_t size);

// A zeroed record of the given size appended to messages; NULL when memory is out.
void *decision_message(struct decision *decision, enum record_id type, size_t size);

// The same for events; asserts DECISION_EVENTS_MAX.
void *decision_event(struct decision *decision, enum record_id type, size_t size);

#endif
