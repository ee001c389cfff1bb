// SPDX-License-Identifier: Apache-2.0
//
// A stack of free places, a queue, and a binary heap; all three bounded by max.
#include "pending.h"

#include <assert.h>
#include <stdlib.h>

bool pending_init(struct pending *pending, size_t max) {
    *pending = (struct pending){
        .free = calloc(max, sizeof(*pending->free)),
        .queue = calloc(max, sizeof(*pending->queue)),
        .due = calloc(max, sizeof(*pending->due)),
        .max = max,
    };
    if (!pending->free || !pending->queue || !pending->due)
        return false;
    while (pending->free_count < max) {
        pending->free[pending->free_count] = (uint32_t)(max - 1 - pending->free_count);
        pending->free_count++;
    }
    return true;
}

void pending_done(struct pending *pending) {
    free(pending->free);
    free(pending->queue);
    free(pending->due);
    *pending = (struct pending){0};
}

bool pending_take(struct pending *pending, uint32_t *ret_place) {
    if (pending->free_count == 0)
        return false;
    uint32_t place = pending->free[--pending->free_count];
    pending->queue[pending->queue_count++] = place;
    *ret_place = place;
    return true;
}

void pending_queue_clear(struct pending *pending) {
    pending->queue_count = 0;
}

static bool before(const struct pending_due *a, const struct pending_due *b) {
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

void pending_put_due(struct pending *pending, uint32_t place, int64_t at_us) {
    assert(pending->due_count < pending->max);
    struct pending_due due = {.at_us = at_us, .order = pending->due_order++, .place = place};
    size_t at = pending->due_count++;
    for (; at > 0 && before(&due, &pending->due[(at - 1) / 2]); at = (at - 1) / 2)
        pending->due[at] = pending->due[(at - 1) / 2];
    pending->due[at] = due;
}

bool pending_pop_due(struct pending *pending, int64_t now_us, uint32_t *ret_place) {
    if (pending->due_count == 0 || pending->due[0].at_us > now_us)
        return false;
    *ret_place = pending->due[0].place;
    struct pending_due last = pending->due[--pending->due_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < pending->due_count; at = child) {
        if (child + 1 < pending->due_count &&
            before(&pending->due[child + 1], &pending->due[child]))
            child++;
        if (!before(&pending->due[child], &last))
            break;
        pending->due[at] = pending->due[child];
    }
    pending->due[at] = last;
    return true;
}

int64_t pending_due_us(const struct pending *pending) {
    return pending->due_count > 0 ? pending->due[0].at_us : INT64_MAX;
}

void pending_release(struct pending *pending, uint32_t place) {
    assert(pending->free_count < pending->max);
    pending->free[pending->free_count++] = place;
}
