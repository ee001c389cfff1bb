// SPDX-License-Identifier: Apache-2.0
//
// What the simulated provider and carrier have in common. Calls are queued; the next poll opens one
// turn of the ledger, lets every queued call take effect and commits; then they are answered when
// they are due. Killed before the commit, nothing has happened; killed after it, the same call
// asked again finds its effect and answers. Inner to the simulators.
#ifndef ORDERLOG_PROCESS_SIMULATION_H
#define ORDERLOG_PROCESS_SIMULATION_H

#include "pending.h"
#include "process/ledger.h"
#include "service/error.h"

// Calls are named by their place; owner is the simulator that keeps them.
struct simulation_kind {
    const char *trouble; // what the log says when the ledger fails
    const struct ledger_words *words;

    // What the call does and will be answered, kept with it; nothing of it counts before settle(),
    // and a turn that fails begins again. True: the filled in entry belongs into the ledger.
    bool (*decide)(void *owner, uint32_t place, int64_t now_us, struct ledger_entry *ret_entry);

    // It is on record: makes the place due, or leaves it without an answer.
    void (*settle)(void *owner, uint32_t place, int64_t now_us);
};

struct simulation {
    const struct simulation_kind *kind; // borrowed
    void *owner;                        // borrowed
    struct ledger *ledger;              // owned
    struct pending pending;
    int64_t retry_us; // after a failure of the ledger
};

// False with err; simulation_done() undoes it, also half done.
bool simulation_init(struct simulation *simulation, const struct simulation_kind *kind, void *owner,
                     const char *ledger_path, size_t in_flight_max, struct error *err);
void simulation_done(struct simulation *simulation);

// Lets the queued calls take effect; when the ledger fails they wait for a while.
void simulation_turn(struct simulation *simulation, int64_t now_us);

int64_t simulation_next_due_us(const struct simulation *simulation);

#endif
