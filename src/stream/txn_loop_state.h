// SPDX-License-Identifier: Apache-2.0
//
// The loop's own variables, shared by the files it is written in: txn_loop.c (the turn, start and
// stop), transaction.c (begin and end), assignment.c (partitions come and go).
#ifndef ORDERLOG_STREAM_TXN_LOOP_STATE_H
#define ORDERLOG_STREAM_TXN_LOOP_STATE_H

#include "service/backoff.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/service.h"
#include "service/watchdog.h"
#include "stream/offset_metadata.h"
#include "stream/output.h"
#include "stream/partition.h"
#include "stream/producer.h"
#include "stream/trace_headers.h"
#include "stream/txn_loop.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    PRODUCERS = 2,
    TXN_LOOP_BACKOFF_BASE_MS = 50,
    TXN_LOOP_BACKOFF_MAX_MS = 500, // less than a stall
    TXN_LOOP_CALL_TIMEOUT_MS = 10000,
    TXN_LOOP_TAKEOVER_MS_MAX = 120000, // well below max.poll.interval.ms
    TXN_LOOP_STALL_MS = 1000,          // a turn that takes longer may have been a sleep
};

struct txn_loop {
    const struct config *config;
    const struct role *role;
    const struct schema_ids *ids;
    struct watchdog *watchdog;
    pthread_t thread;

    rd_kafka_t *consumer;
    rd_kafka_t *uncommitted;              // asks for ends, reads nothing
    struct producer producers[PRODUCERS]; // used in turn
    unsigned current;                     // producer of the open or next transaction
    struct output *output;
    struct arena arena; // one batch

    struct partition *partitions;
    int32_t partitions_count;
    struct wire_offset *offsets;               // owned: room for each partition's
    char (*offset_texts)[OFFSET_METADATA_MAX]; // owned: and for its metadata
    char instance[64];                         // of the group
    uint32_t by;                               // names this process in offset metadata
    int32_t generation;                        // of the group, when our partitions were assigned

    _Atomic(const char *) unready; // why /readyz says no; NULL: the partitions are at work

    bool open; // a transaction is
    bool paused;
    bool done;    // service_fail() was called
    int failures; // transactions in a row that were not committed
    uint64_t dice;
    size_t messages;
    // For lines of log: what is in hand; message NULL: nothing.
    struct log_context log_context;
    const struct input_record *record;
    const struct message *message;
    const struct stream_token *answered; // or a call that is answered; NULL: none

    // Where traces are on.
    struct group_traces traces; // of the record in hand; of a single message: only next
    struct stream_cause cause;  // of the message in hand

    // For the metrics; monotonic but for the last.
    int64_t first_us;  // the batch's first record was read; 0: none
    int64_t begun_us;  // the transaction
    int64_t oldest_ms; // when the batch's oldest record was written; INT64_MAX: none
    int64_t now_us;    // last time handed to a decider
    int64_t turn_started_ms;
    int64_t interval_ms;        // the batch may take, from its first message on
    bool more_waits;            // that time ended it
    int64_t gather_us;          // how long after the last commit
    int64_t gather_until_us;    // a commit before that would be a small one: see take_input()
    int64_t uncertain_until_ms; // until then the slot may have been given away in our sleep
    int64_t lag_due_ms;
    int64_t settle_due_ms;
};

// The time handed to deciders. It never stands still: the ids of refusals are made from the command
// and the time, and two of them must differ.
static inline int64_t txn_loop_tick_us(struct txn_loop *loop) {
    int64_t now_us = clock_now_us();
    loop->now_us = now_us > loop->now_us ? now_us : loop->now_us + 1;
    return loop->now_us;
}

static inline const char *txn_loop_input_name(const struct txn_loop *loop) {
    return topics[domains[loop->role->domain].inbox].name;
}

// Called at each turn's end, and before anything that would fence a successor in our slot.
static inline void txn_loop_note_stall(struct txn_loop *loop) {
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms - loop->turn_started_ms > TXN_LOOP_STALL_MS)
        loop->uncertain_until_ms = now_ms + loop->config->session_timeout_ms / 4 + 1000;
    loop->turn_started_ms = now_ms;
}

// Before what failed is tried again; tries: how often it has failed before.
static inline void txn_loop_back_off(struct txn_loop *loop, int tries) {
    int64_t pause_us = backoff_us(&loop->dice, TXN_LOOP_BACKOFF_BASE_MS * 1000,
                                  TXN_LOOP_BACKOFF_MAX_MS * 1000, tries);
    (void)service_wait_stop((int)(pause_us / 1000));
}

// The process has to end: nothing more is begun.
static inline void txn_loop_fail(struct txn_loop *loop, enum exit_code code,
                                 const struct error *err) {
    loop->done = true;
    service_fail(code, err);
}

#endif
