// SPDX-License-Identifier: Apache-2.0
//
// One transactional producer, and the memory of what its open transaction sends. Two of them are
// used in turn: after a commit has returned the coordinator still writes markers, and the same
// producer's next transaction would wait 20 to 50 ms for them.
//
// librdkafka has no KIP-890 part 2: after an abort, a time-out or a lost connection inside a
// transaction the producer is destroyed and made again, so that the new epoch fences stragglers.
// One thread.
#ifndef ORDERLOG_STREAM_PRODUCER_H
#define ORDERLOG_STREAM_PRODUCER_H

#include <librdkafka/rdkafka.h>

#include "service/arena.h"
#include "service/config.h"
#include "service/error.h"
#include "service/watchdog.h"
#include "stream/topics.h"

struct producer_settings {
    const struct config *config; // borrowed
    const char *transactional_id;
    enum topic_id events; // deliveries to this topic are watched
    int32_t events_partitions;
    struct watchdog *watchdog; // borrowed
};

// The events that the transaction begun last sends to one partition: where each of them lies, once
// its delivery was reported, which commits wait for; -1 before.
struct events_sent {
    int64_t *offsets; // owned
    size_t count;
    size_t capacity;
};

struct producer {
    struct producer_settings settings;
    char transactional_id[128];
    rd_kafka_t *client;                    // owned
    rd_kafka_topic_t *topics[TOPIC_COUNT]; // owned, made on first use
    struct arena payload;                  // what the open transaction sends; reset after it
    struct events_sent *events;            // owned: per events partition
    bool suspect; // a connection broke: reopened before the next transaction
};

// Creates the clients and calls init_transactions, of all at the same time: when it returns every
// predecessor with one of these ids is fenced and its open transaction aborted. False, and none is
// open: DISP_RETRY when brokers do not answer in time.
bool producers_open(struct producer *producers, const struct producer_settings *settings,
                    size_t count, struct error *err);

// Destroys the client, dropping whatever was in flight, and opens it anew.
bool producer_reopen(struct producer *producer, struct error *err);

void producer_close(struct producer *producer);

// Reopens first where the last transaction saw a broken connection.
bool producer_begin(struct producer *producer, struct error *err);

// Memory for a payload that stays valid until the transaction has ended; NULL past the bound.
void *producer_memory(struct producer *producer, size_t size);

// Takes headers in any case; key is copied, payload must come from producer_memory(). partition is
// explicit. A full queue is waited for, within a bound.
bool producer_send(struct producer *producer, enum topic_id topic, int32_t partition,
                   const void *key, size_t key_len, void *payload, size_t len,
                   rd_kafka_headers_t *headers, struct error *err);

// The same for an event, to settings.events.
bool producer_send_event(struct producer *producer, int32_t partition, const void *key,
                         size_t key_len, void *payload, size_t len, rd_kafka_headers_t *headers,
                         struct error *err);

// A copy of the payload is sent; for what is rare.
bool producer_send_copy(struct producer *producer, enum topic_id topic, int32_t partition,
                        const void *key, size_t key_len, const void *payload, size_t len,
                        rd_kafka_headers_t *headers, struct error *err);

// How a transaction ended, as far as this client can know.
enum commit_outcome {
    COMMIT_DONE,
    COMMIT_ABORT,   // nothing of it will be visible once it has been aborted
    COMMIT_UNKNOWN, // ask the stable committed offsets
    COMMIT_FENCED,  // somebody else has our transactional id, or our transaction timed out
};

enum commit_outcome producer_commit(struct producer *producer,
                                    const rd_kafka_topic_partition_list_t *offsets,
                                    const rd_kafka_consumer_group_metadata_t *group,
                                    struct error *err);

// Aborts what is open, then reopens. False: DISP_FATAL when fenced, DISP_RETRY otherwise.
bool producer_abort(struct producer *producer, struct error *err);

#endif
