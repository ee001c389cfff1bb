// SPDX-License-Identifier: Apache-2.0
//
// The books of the simulated provider and carrier: an append-only text file, one line per effect,
//
//   <microseconds> <payment or shipment id> <order id> <action> <result> <amount> <currency or ->
//
// shared by any number of processes. Whoever changes it holds its lock, has read what others
// appended, and writes all lines of its turn with one write(). A process killed in the middle
// leaves at most a torn last line, which never counted and is cut off by the next. One thread.
#ifndef ORDERLOG_PROCESS_LEDGER_H
#define ORDERLOG_PROCESS_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "event/id.h"
#include "service/error.h"

struct ledger;

// What actions and results are called in the file; borrowed, at most 8 of each.
struct ledger_words {
    const char *const *actions;
    uint32_t actions_count;
    const char *const *results;
    uint32_t results_count;
};

struct ledger_entry {
    int64_t at_us;
    struct id effect_id;
    struct id order_id;
    uint32_t action;
    uint32_t result;
    int64_t amount_minor;
    char currency[4]; // terminated; "" if none
};

// What is on record of one id.
struct ledger_facts {
    uint64_t happened;    // bits of ledger_bit()
    int64_t amount_minor; // of the first entry
    int64_t last_us;      // when the last entry was made
};

static inline uint64_t ledger_bit(uint32_t action, uint32_t result) {
    return UINT64_C(1) << (action * 8 + result);
}

// Creates the file if needed and reads it. "" is a ledger in memory.
struct ledger *ledger_open(const char *path, const struct ledger_words *words, struct error *err);

// Begins a turn: takes the lock and reads what others have appended since.
bool ledger_begin(struct ledger *ledger, struct error *err);

// Within a turn. Nothing on record: all zero.
struct ledger_facts ledger_find(const struct ledger *ledger, const struct id *effect_id);

// Within a turn. False: out of memory, and the turn must be ended with ledger_abandon().
bool ledger_append(struct ledger *ledger, const struct ledger_entry *entry, struct error *err);

// Ends the turn: writes and unlocks. After a failure nothing of the turn has happened.
bool ledger_commit(struct ledger *ledger, struct error *err);
void ledger_abandon(struct ledger *ledger);

// NULL is allowed. Returns NULL.
struct ledger *ledger_free(struct ledger *ledger);

// Copies the whole lines of a ledger file to out, while others may be appending.
bool ledger_dump(const char *path, FILE *out, struct error *err);

#endif
