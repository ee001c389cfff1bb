// SPDX-License-Identifier: Apache-2.0
//
// Group commit, decided here and not by a fixed linger: a lane (one partition) has at most one
// burst on its way, and only a few lanes at one time. A command for an idle lane goes at once; what
// arrives while a burst is on its way leaves together when that has landed. So latency is that of
// one request while there is little to do, and the requests grow with the load.
//
// Why not librdkafka's own queue: with an idempotent producer at most 5 requests are in flight per
// broker, and its broker thread spins at full speed while more partitions than that have messages
// (measured: 100 µs of CPU per command, a third of that with bursts).
//
// No lock and no clock inside: the owner brings them.
#ifndef ORDERLOG_HTTP_COMMAND_LANES_H
#define ORDERLOG_HTTP_COMMAND_LANES_H

#include <stdbool.h>
#include <stdint.h>

enum { LANES_ACTIVE_MAX = 4, LANE_BURST_MAX = 10000 };

// Embedded in what waits.
struct lane_item {
    struct lane_item *next;
    uint32_t lane;
    int64_t queued_ms;
};

struct lane {
    struct lane_item *first;
    struct lane_item *last;
    uint32_t outstanding; // of the burst on its way
    bool ready;           // stands in the ready queue
};

struct command_lanes {
    struct lane *lanes; // owned
    uint32_t count;
    uint32_t *ready; // owned: a ring of lane numbers, first come first served
    uint32_t ready_first;
    uint32_t ready_count;
    uint32_t active;
};

// False when memory is out.
bool command_lanes_init(struct command_lanes *lanes, uint32_t count);
void command_lanes_done(struct command_lanes *lanes);

void command_lanes_push(struct command_lanes *lanes, struct lane_item *item);

// The next burst that may go, a list of one lane's items; NULL: none may now. Each of them must
// land once.
struct lane_item *command_lanes_take(struct command_lanes *lanes);

// So many of the lane's burst have landed.
void command_lanes_landed(struct command_lanes *lanes, uint32_t lane, uint32_t count);

// Takes out those that have waited since before_ms or longer: a list, NULL if none.
struct lane_item *command_lanes_expire(struct command_lanes *lanes, int64_t before_ms);

#endif
