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
    lane->waiting_bytes += item->size;
    make_ready(lanes, item->lane);
}

static bool gathers(const struct lane *lane, int64_t now_us) {
    return now_us < lane->gather_until_us && lane->waiting_bytes < LANE_GATHER_BYTES;
}

static struct lane_item *cut_burst(struct lane *lane, int64_t now_us) {
    struct lane_item *burst = lane->first;
    struct lane_item *last = burst;
    size_t bytes = burst->size;
    lane->outstanding = 1;
    while (last->next && lane->outstanding < LANE_BURST_MAX &&
           bytes + last->next->size <= LANE_BURST_BYTES_MAX) {
        last = last->next;
        bytes += last->size;
        lane->outstanding++;
    }
    lane->first = last->next;
    last->next = NULL;
    lane->waiting_bytes -= bytes;
    lane->gather_until_us = lane->outstanding < LANE_GATHER_FROM ? 0 : now_us + LANE_GATHER_US;
    return burst;
}

struct lane_item *command_lanes_take(struct command_lanes *lanes, int64_t now_us) {
    for (uint32_t left = lanes->ready_count; left > 0 && lanes->active < LANES_ACTIVE_MAX; left--) {
        const uint32_t number = lanes->ready[lanes->ready_first];
        struct lane *lane = &lanes->lanes[number];
        lanes->ready_first = (lanes->ready_first + 1) % lanes->count;
        lanes->ready_count--;
        lane->ready = false;
        if (!lane->first)
            continue; // all have expired meanwhile
        if (gathers(lane, now_us)) {
            make_ready(lanes, number); // behind the others
            continue;
        }
        lanes->active++;
        return cut_burst(lane, now_us);
    }
    return NULL;
}

int64_t command_lanes_next_us(const struct command_lanes *lanes) {
    int64_t next_us = INT64_MAX;
    for (uint32_t i = 0; i < lanes->ready_count && lanes->active < LANES_ACTIVE_MAX; i++) {
        const struct lane *lane =
            &lanes->lanes[lanes->ready[(lanes->ready_first + i) % lanes->count]];
        if (lane->first && lane->gather_until_us < next_us)
            next_us = lane->gather_until_us;
    }
    return next_us;
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
            lane->waiting_bytes -= item->size;
            item->next = expired;
            expired = item;
        }
    }
    return expired;
}
