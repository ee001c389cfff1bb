// SPDX-License-Identifier: Apache-2.0
//
// Calls about the same thing go one after the other: each thing with calls has a lane, a list of
// places (numbers below max) whose head has its turn. Found by id through a hash of short chains;
// nothing is allocated per call. Inner to the wrappers and clients of provider and carrier.
#ifndef ORDERLOG_PROCESS_LANES_H
#define ORDERLOG_PROCESS_LANES_H

#include <stdbool.h>
#include <stdint.h>

#include "event/id.h"

#define LANES_NONE UINT32_MAX

struct lane_place {
    struct id id;
    uint32_t next;  // in the lane
    uint32_t last;  // of a head: the lane's end
    uint32_t chain; // of a head: the next head of the same bucket
};

struct lanes {
    struct lane_place *places; // owned
    uint32_t *buckets;         // owned: the first head of each chain
    uint32_t buckets_count;    // a power of two
};

// False when memory is out; lanes_done() undoes it, also half done.
bool lanes_init(struct lanes *lanes, uint32_t max);
void lanes_done(struct lanes *lanes);

// Puts a place at the end of the id's lane. True: it is the head, and has its turn.
bool lanes_join(struct lanes *lanes, uint32_t place, const struct id *id);

// The head's turn is over: who has it now, or LANES_NONE.
uint32_t lanes_leave(struct lanes *lanes, uint32_t place);

#endif
