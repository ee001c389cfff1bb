// SPDX-License-Identifier: Apache-2.0
//
// A replay in the making: a file of orders, what became of each, and the threads that talk to
// gateway and query service. The phases (src/cli/replay_*.c) run one after the other; within one,
// every item is worked on by exactly one thread.
#ifndef ORDERLOG_CLI_REPLAY_H
#define ORDERLOG_CLI_REPLAY_H

#include "cli/http_client.h"
#include "cli/order_file.h"
#include "event/id.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { REPLAY_THREADS_MAX = 64, REPLAY_REASON_MAX = 48 };

// The order in which the summary lists them.
enum replay_outcome {
    REPLAY_UNSENT,
    REPLAY_ACCEPTED, // by the gateway; not yet at an end
    REPLAY_COMPLETED,
    REPLAY_REJECTED,  // by the order processor, with a reason
    REPLAY_CANCELLED, // likewise
    REPLAY_EXPIRED,
    REPLAY_NEEDS_ATTENTION, // waits for people
    REPLAY_REFUSED,         // by the gateway, with a problem type
    REPLAY_NOT_APPLIED,     // accepted by the gateway, refused as a command
    REPLAY_FAILED,          // no answer that settles it, within the time given
    REPLAY_OUTCOMES_COUNT,
};

struct replay_order {
    enum replay_outcome outcome;
    char reason[REPLAY_REASON_MAX]; // "" where the outcome says all
    bool unexplained;               // should not have ended like this
    struct id order_id;
    struct id command_id;
    int64_t total_minor; // as the read model has it; -1: not known
};

struct replay_counts {
    _Atomic uint32_t products;
    _Atomic uint32_t receipts;
    _Atomic uint32_t refused; // products or receipts
};

struct replay {
    const struct order_file *file; // borrowed
    const char *gateway_url;
    const char *query_url;
    const char *token;
    int threads;
    int64_t rate;        // orders per second; 0: as fast as it goes
    int64_t stock;       // per SKU; -1: as much as the file's orders need
    int64_t patience_ms; // without progress, after which waiting ends

    struct replay_order *orders;                     // owned, one per order of the file
    struct http_client *gateway[REPLAY_THREADS_MAX]; // owned
    struct http_client *query[REPLAY_THREADS_MAX];   // owned
    struct replay_counts counts;
    _Atomic int64_t moved_ms; // when anything was last got done
    pthread_mutex_t lock;     // of first_error and of the progress line
    char first_error[512];
};

bool replay_init(struct replay *replay, struct error *err);
void replay_done(struct replay *replay);

// --- threads -------------------------------------------------------------------------------------

// The progress line on a terminal: one at a time. units: what one step stands for, in the rate.
struct replay_bar {
    const char *label;
    uint32_t total;
    uint32_t units;
    _Atomic uint32_t done;
    int64_t started_ms;
    int64_t drawn_ms; // under replay->lock
};

void replay_bar_begin(struct replay_bar *bar, const char *label, uint32_t total, uint32_t units);
void replay_bar_step(struct replay *replay, struct replay_bar *bar);
void replay_bar_end(struct replay *replay, struct replay_bar *bar);

// Calls work(replay, thread, item, state) for items 0..count-1 from replay->threads threads, each
// item once. bar counts them; NULL for none.
typedef void replay_work(struct replay *replay, int thread, uint32_t item, void *state);
bool replay_run(struct replay *replay, struct replay_bar *bar, uint32_t count, replay_work *work,
                void *state, struct error *err);

// Remembers the first thing that went wrong, for the summary.
void replay_note(struct replay *replay, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Something was got done; and: nothing has been for patience_ms.
void replay_moved(struct replay *replay);
bool replay_is_stuck(const struct replay *replay);

// Waits, growing with each attempt (0, 1, 2 …) up to 2 s, at least after_s.
void replay_back_off(int attempt, int after_s);

// True for answers after which the same call may succeed: 429, 503, 504.
bool replay_may_retry(long status);

// --- phases --------------------------------------------------------------------------------------

// Registers products, receives stock, and waits until each is known to be applied.
bool replay_stock(struct replay *replay, struct error *err);

// Places every order of the file, in batches.
bool replay_orders(struct replay *replay, struct error *err);

// Waits until every accepted order has come to an end, or nothing moves for patience_ms.
bool replay_wait(struct replay *replay, struct error *err);

// Prints what became of everything. True: nothing is unexplained.
bool replay_report(struct replay *replay, FILE *out);

#endif
