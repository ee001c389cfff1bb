// SPDX-License-Identifier: Apache-2.0
//
// Once memory is out, nothing more is handed out: a decision is whole or thrown away, and no
// smaller record may slip in behind one that did not fit.
#include "domain/decision.h"

#include <assert.h>
#include <string.h>

enum { MESSAGES_CAPACITY_FIRST = 8 };

void decision_begin(struct decision *decision, struct arena *arena, const struct policy *policy,
                    int64_t now_us) {
    decision->arena = arena;
    decision->policy = policy;
    decision->now_us = now_us;
    decision->events_count = 0;
    decision->messages = NULL;
    decision->messages_count = 0;
    decision->messages_capacity = 0;
    decision->out_of_memory = false;
}

void *decision_alloc(struct decision *decision, size_t size) {
    if (decision->out_of_memory)
        return NULL;
    void *memory = arena_alloc(decision->arena, size);
    if (!memory) {
        decision->out_of_memory = true;
        return NULL;
    }
    memset(memory, 0, size);
    return memory;
}

static bool messages_grow(struct decision *decision) {
    uint32_t capacity =
        decision->messages_capacity ? 2 * decision->messages_capacity : MESSAGES_CAPACITY_FIRST;
    struct decided *messages = decision_alloc(decision, capacity * sizeof(*messages));
    if (!messages)
        return false;
    if (decision->messages_count > 0)
        memcpy(messages, decision->messages, decision->messages_count * sizeof(*messages));
    decision->messages = messages;
    decision->messages_capacity = capacity;
    return true;
}

void *decision_message(struct decision *decision, enum record_id type, size_t size) {
    if (decision->messages_count == decision->messages_capacity && !messages_grow(decision))
        return NULL;
    void *body = decision_alloc(decision, size);
    if (!body)
        return NULL;
    decision->messages[decision->messages_count++] = (struct decided){.type = type, .body = body};
    return body;
}

void *decision_event(struct decision *decision, enum record_id type, size_t size) {
    assert(decision->events_count < DECISION_EVENTS_MAX);
    void *body = decision_alloc(decision, size);
    if (!body)
        return NULL;
    decision->events[decision->events_count++] = (struct decided){.type = type, .body = body};
    return body;
}
