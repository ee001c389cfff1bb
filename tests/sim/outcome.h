// SPDX-License-Identifier: Apache-2.0
//
// What is asked of one world, and what came of it.
#ifndef ORDERLOG_TESTS_SIM_OUTCOME_H
#define ORDERLOG_TESTS_SIM_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TROUBLE_KINDS(X)                                                                           \
    X(ABORT, "commit aborted")                                                                     \
    X(UNKNOWN_COMMITTED, "commit unknown, had succeeded")                                          \
    X(UNKNOWN_ABORTED, "commit unknown, had failed")                                               \
    X(CRASH_BEFORE, "crash before commit")                                                         \
    X(CRASH_DURING, "crash during commit")                                                         \
    X(CRASH_AFTER, "crash after commit")                                                           \
    X(STALL, "worker stands still, then wakes")                                                    \
    X(TAKEN_OVER, "partition taken over from a worker that is away")                               \
    X(MOVED, "partition moved between living workers")                                             \
    X(CLOCK, "clock jumped")                                                                       \
    X(COPY, "answer delivered twice")                                                              \
    X(CALL_LOST, "call never arrived")                                                             \
    X(CALL_LATE, "call arrived after its time-out")                                                \
    X(ANSWER_LOST, "answer lost")                                                                  \
    X(ANSWER_LATE, "answer slow")                                                                  \
    X(ROGUE, "carrier said something untrue")

enum trouble_kind {
#define X(name, text) TROUBLE_##name,
    TROUBLE_KINDS(X)
#undef X
        TROUBLE_COUNT
};

enum { TROUBLES_MASKABLE = 4096, STATUSES_MAX = 16 };

struct sim_request {
    uint64_t seed;
    uint64_t orders_out;                           // bits: these orders are never placed
    uint64_t troubles_out[TROUBLES_MASKABLE / 64]; // likewise trouble, by its number
    FILE *tell;                                    // where the story of a failure goes, or NULL
};

struct sim_outcome {
    bool failed;
    char failure[512];
    int order, sku; // whom it happened to, or -1

    uint32_t troubles; // how many there were
    uint64_t digest;   // of every record written, in order: the same in every run of a world
    uint64_t by_trouble[TROUBLE_COUNT];
    uint64_t by_status[STATUSES_MAX]; // enum order_status
    uint64_t orders, unknown_orders;  // placed; refused before they existed
    uint64_t events, messages, refusals, transactions;
};

extern const char *const trouble_names[TROUBLE_COUNT];

// Runs one world. Returns false when it failed. outcome is added to, but for failed and troubles.
bool sim_run(const struct sim_request *request, struct sim_outcome *outcome);

// Leaves out orders and trouble while the same promise still breaks.
struct sim_request sim_shrink(const struct sim_request *request);

#endif
