// SPDX-License-Identifier: Apache-2.0
//
// The writing half of the transaction loop: one transactional producer that speaks Kafka's protocol
// itself. What librdkafka does with threads, queues and a copy of every record is done here by the
// thread that decides: records are written into the batches that go to the brokers, as few requests
// as there are brokers send them, and an error is not retried but ends the transaction, whose input
// is read again.
//
// The second version of transactions (KIP-890): a partition joins a transaction by being written
// to, the group's offsets by being sent, and each transaction that ends gives the producer a new
// epoch, so that nothing of it which is still on its way can get into the next.
//
// Waits are bounded by deadlines (monotonic, ms). Errors: DISP_RETRY and DISP_ABORT ask for an
// abort and wire_txn_init(), DISP_FATAL for an end; error.code is Kafka's (wire_code.h). One
// thread.
#ifndef ORDERLOG_WIRE_TXN_H
#define ORDERLOG_WIRE_TXN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/error.h"
#include "wire/wire_batch.h"
#include "wire/wire_cluster.h"

// Records of this transaction lie in the log: those that were the first-th to the first+count-1-th
// written to the partition, the first of them at base_offset.
typedef void wire_written_fn(void *opaque, size_t topic, int32_t partition, int32_t first,
                             int32_t count, int64_t base_offset);

struct wire_txn_settings {
    const struct wire_settings *wire; // borrowed
    const char *transactional_id;     // borrowed
    const char *group;                // borrowed; whose offsets are sent
    int64_t timeout_ms;               // the broker aborts what is open longer
    const char *const *topics;        // borrowed names, which records are sent to by number;
    size_t topics_count;              // NULL: not ours to write to
    wire_written_fn *written;
    void *opaque;
};

struct wire_txn;

// Connects to nobody yet. NULL: DISP_FATAL.
struct wire_txn *wire_txn_new(const struct wire_txn_settings *settings, struct error *err);
void wire_txn_free(struct wire_txn *txn); // NULL is fine

// Finds the brokers and gets a new epoch: every producer that had this transactional id is fenced
// from now on, and what it had open aborted. One try; DISP_RETRY: try again.
bool wire_txn_init(struct wire_txn *txn, int64_t deadline_ms, struct error *err);

// Forgets what was not sent.
void wire_txn_begin(struct wire_txn *txn);

// Takes a copy. Sends what has gathered for a partition when it is much.
bool wire_txn_append(struct wire_txn *txn, size_t topic, int32_t partition,
                     const struct wire_record *record, int64_t now_ms, int64_t deadline_ms,
                     struct error *err);

// An offset of our input that is committed with the transaction.
struct wire_offset {
    int32_t partition;
    int64_t offset;
    const char *metadata;
};

struct wire_group_member {
    int32_t generation;
    const char *member_id;
    const char *instance_id;
    const char *topic; // of all the offsets
};

// Sends all records and the offsets, and waits until the brokers have them.
bool wire_txn_offsets(struct wire_txn *txn, const struct wire_group_member *member,
                      const struct wire_offset *offsets, size_t count, int64_t deadline_ms,
                      struct error *err);

// Commits or aborts. False: unless err.code says that we are fenced nobody knows whether it has
// ended.
bool wire_txn_end(struct wire_txn *txn, bool commit, int64_t deadline_ms, struct error *err);

// Records that wait to be sent or acknowledged.
size_t wire_txn_waiting(const struct wire_txn *txn);

#endif
