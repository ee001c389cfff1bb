// SPDX-License-Identifier: Apache-2.0
//
// A fixed number of equal places for what is in flight, named by their number: the token a call
// carries. Nothing is allocated per call. One thread.
#ifndef ORDERLOG_PROCESS_SLOTS_H
#define ORDERLOG_PROCESS_SLOTS_H

#include <stddef.h>
#include <stdint.h>

struct slots {
    uint8_t *items;  // owned
    uint32_t *free_; // owned: stack of free places
    uint32_t count;
    uint32_t free_count;
    size_t item_size;
};

void slots_init(struct slots *slots, uint32_t count, size_t item_size); // asserts memory
void slots_done(struct slots *slots);

// A zeroed place and its number. Asserts that there is one: ask free_count first.
void *slots_take(struct slots *slots, uint64_t *ret_token);

void *slots_at(const struct slots *slots, uint64_t token);
void slots_give_back(struct slots *slots, const void *item);

#endif
