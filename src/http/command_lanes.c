// SPDX-License-Identifier: Apache-2.0
//
// A lane is idle, ready (it has items and stands in the ring) or active (its burst is on its way;
// items may queue behind it).
#include "http/command_lanes.h"

#include <assert.h>
#include <stdlib.h>

bool command_lanes_init(struct command_lanes *lanes, uint32_t count) {
    *lanes = (struct command_lanes){.count = count};
    lanes->lanes = calloc(count, sizeof(*lanes->lanes));
    lanes->ready = calloc(count, sizeof(*lanes->ready));
    return lanes->lanes && lanes->ready;
}

void command_lanes_done(struct command_lanes *lanes) {
    free(lanes->lanes);
    free(lanes->ready);
    *lanes = (struct command_lanes){0};
}

static void make_ready(struct command_lanes *lanes, uint32_t number) {
    struct lane *lane = &lanes->lanes[number];
    if (lane->ready || lane->outstanding > 0 || !lane->first)
        return;
    lane->ready = true;
    lanes->ready[(lanes->ready_first + lanes->ready_count++) % lanes->count] = number;
}

void command_lanes_push(struct command_lanes *lanes, struct lane_item *item) {
    assert(item->lane < lanes->count);
    struct lane *lane = &lanes->lanes[item->lane];
    item->next = NULL;
    if (lane->first)
        lane->last->next = item;
    else
        lane->first = item;
    lane->last = item;
    make_ready(lanes, item->lane);
}

struct lane_item *command_lanes_take(struct command_lanes *lanes) {
    while (lanes->ready_count > 0 && lanes->active < LANES_ACTIVE_MAX) {
        struct lane *lane = &lanes->lanes[lanes->ready[lanes->ready_first]];
        lanes->ready_first = (lanes->ready_first + 1) % lanes->count;
        lanes->ready_count--;
        lane->ready = false;
        struct lane_item *burst = lane->first;
        if (!burst)
            continue; // all have expired meanwhile
        struct lane_item *last = burst;
        lane->outstanding = 1;
        while (last->next && lane->outstanding < LANE_BURST_MAX) {
            last = last->next;
            lane->outstanding++;
        }
        lane->first = last->next;
        last->next = NULL;
        lanes->active++;
        return burst;
    }
    return NULL;
}

void command_lanes_landed(struct command_lanes *lanes, uint32_t number, uint32_t count) {
    struct lane *lane = &lanes->lanes[number];
    assert(count > 0 && lane->outstanding >= count);
    lane->outstanding -= count;
    if (lane->outstanding > 0)
        return;
    lanes->active--;
    make_ready(lanes, number);
}

struct lane_item *command_lanes_expire(struct command_lanes *lanes, int64_t before_ms) {
    struct lane_item *expired = NULL;
    for (uint32_t i = 0; i < lanes->count; i++) {
        struct lane *lane = &lanes->lanes[i];
        while (lane->first && lane->first->queued_ms <= before_ms) {
            struct lane_item *item = lane->first;
            lane->first = item->next;
            item->next = expired;
            expired = item;
        }
    }
    return expired;
}
