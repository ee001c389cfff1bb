// SPDX-License-Identifier: Apache-2.0
//
// One transactional producer, and the memory of what is encoded for its open transaction. Two of
// them are used in turn: after a commit has returned the coordinator still writes markers, and the
// same producer's next transaction would wait 20 to 50 ms for them.
//
// It speaks Kafka's protocol itself (wire/wire_txn.h): librdkafka spends 2 us on each of the dozen
// records of an order, a request on each partition, and two round trips more on each transaction.
// One thread.
#ifndef ORDERLOG_STREAM_PRODUCER_H
#define ORDERLOG_STREAM_PRODUCER_H

#include "service/arena.h"
#include "service/config.h"
#include "service/error.h"
#include "service/watchdog.h"
#include "stream/topics.h"
#include "wire/wire_txn.h"

struct producer_settings {
    const struct config *config; // borrowed
    const char *transactional_id;
    enum domain domain; // whose topics it writes to, and whose group's offsets it commits
    int32_t events_partitions;
    struct watchdog *watchdog; // borrowed
};

// The events that the transaction begun last sends to one partition: where each of them lies, once
// the broker has it, which commits wait for; -1 before.
struct events_sent {
    int64_t *offsets; // owned
    size_t count;
    size_t capacity;
};

struct producer {
    struct producer_settings settings;
    char transactional_id[128];
    char group[64];
    struct wire_settings wire;
    struct wire_txn *txn;       // owned
    int64_t now_ms;             // timestamp of records
    int64_t deadline_ms;        // of the open transaction, monotonic
    struct arena payload;       // see producer_memory()
    struct events_sent *events; // owned: per events partition
    bool suspect;               // something failed: reopened before the next transaction
};

// When it returns every predecessor with one of these ids is fenced and its open transaction
// aborted. False, and none is open: DISP_RETRY when brokers do not answer in time, DISP_FATAL when
// they are too old, will not have us, or a setting cannot be followed.
bool producers_open(struct producer *producers, const struct producer_settings *settings,
                    size_t count, struct error *err);

// Drops whatever is in flight, and gets a new epoch.
bool producer_reopen(struct producer *producer, struct error *err);

void producer_close(struct producer *producer);

// Reopens first where something has failed.
bool producer_begin(struct producer *producer, struct error *err);

// Memory for a payload that is valid until producer_memory_reset(); NULL past the bound.
void *producer_memory(struct producer *producer, size_t size);
void producer_memory_reset(struct producer *producer);

// Takes a copy. partition is explicit. May wait for the broker to take what has gathered, until the
// transaction's time-out.
bool producer_send(struct producer *producer, enum topic_id topic, int32_t partition,
                   const struct wire_record *record, struct error *err);

// The same for an event, to the domain's events.
bool producer_send_event(struct producer *producer, int32_t partition,
                         const struct wire_record *record, struct error *err);

// Records that are not with the broker yet.
size_t producer_waiting(const struct producer *producer);

// How a transaction ended, as far as this client can know.
enum commit_outcome {
    COMMIT_DONE,
    COMMIT_ABORT,   // nothing of it will be visible once it has been aborted
    COMMIT_UNKNOWN, // ask the stable committed offsets
    COMMIT_FENCED,  // somebody else has our transactional id, or our transaction timed out
};

enum commit_outcome producer_commit(struct producer *producer,
                                    const struct wire_group_member *member,
                                    const struct wire_offset *offsets, size_t count,
                                    struct error *err);

// Aborts what is open, then reopens. False: DISP_FATAL when fenced, DISP_RETRY otherwise.
bool producer_abort(struct producer *producer, struct error *err);

#endif
