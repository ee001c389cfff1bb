// SPDX-License-Identifier: Apache-2.0
#include "process/slots.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void slots_init(struct slots *slots, uint32_t count, size_t item_size) {
    *slots = (struct slots){.count = count, .free_count = count, .item_size = item_size};
    slots->items = calloc(count, item_size);
    slots->free_ = calloc(count, sizeof(*slots->free_));
    assert(slots->items && slots->free_);
    for (uint32_t i = 0; i < count; i++)
        slots->free_[i] = count - 1 - i;
}

void slots_done(struct slots *slots) {
    free(slots->items);
    free(slots->free_);
    *slots = (struct slots){0};
}

void *slots_at(const struct slots *slots, uint64_t token) {
    assert(token < slots->count);
    return slots->items + token * slots->item_size;
}

void *slots_take(struct slots *slots, uint64_t *ret_token) {
    assert(slots->free_count > 0);
    *ret_token = slots->free_[--slots->free_count];
    void *item = slots_at(slots, *ret_token);
    memset(item, 0, slots->item_size);
    return item;
}

void slots_give_back(struct slots *slots, const void *item) {
    size_t at = (size_t)((const uint8_t *)item - slots->items) / slots->item_size;
    assert(slots_at(slots, at) == item && slots->free_count < slots->count);
    slots->free_[slots->free_count++] = (uint32_t)at;
}
