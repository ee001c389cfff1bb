// SPDX-License-Identifier: Apache-2.0
//
// Two brokers as an idempotent producer sees them, played at the other ends of its sockets. They do
// nothing by themselves: a test says when they read, answer, hang up. Asked to write a batch they
// keep Kafka's rules of idempotence.
#ifndef ORDERLOG_TESTS_WIRE_BROKERS_H
#define ORDERLOG_TESTS_WIRE_BROKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BROKERS = 2, // with the ids 1 and 2
    TOPICS = 2,
    PARTITIONS = 8, // of each topic
    PRODUCER_ID = 4711,
    REQUEST_BATCHES_MAX = 32,
    LOG_MAX = 4096,
};

extern const char *const broker_topics[TOPICS];

struct broker_batch {
    size_t topic;
    int32_t partition;
    int64_t producer_id;
    int16_t epoch;
    int32_t sequence;
    int32_t count;
    int16_t attributes;
    uint32_t crc; // of the whole batch
    int32_t mark; // the first bytes of the first record's value
};

struct broker_request {
    int32_t correlation;
    int32_t broker;
    int32_t connection;
    int16_t acks;
    size_t count;
    struct broker_batch batches[REQUEST_BATCHES_MAX];
};

// Nobody is connected, nothing is written, broker 1 leads all.
void brokers_reset(void);
void brokers_done(void);

void brokers_lead(size_t topic, int32_t partition, int32_t broker);
void brokers_refuse(int32_t broker, bool refuse); // connections
int brokers_connected(int32_t broker);            // how often

// The next request to a broker that is there as a whole. What was sent over a connection that the
// producer has closed is still read.
bool brokers_read(int32_t broker, struct broker_request *ret);

// Writes a batch as a broker does, or not: returned is Kafka's code.
int16_t brokers_write(const struct broker_batch *batch);

// How often the batch of this mark is in its partition's log, and whether marks there only grow.
int brokers_have(size_t topic, int32_t partition, int32_t mark);
bool brokers_are_in_order(size_t topic, int32_t partition);

// Answers a request, with the same code for all of its batches, or with one for each.
void brokers_answer(const struct broker_request *request, int16_t code);
void brokers_answer_each(const struct broker_request *request, const int16_t *codes);

// Any bytes, behind a length and the request's number.
void brokers_say(const struct broker_request *request, const void *bytes, size_t len);

// Whoever is connected to it is so no longer.
void brokers_hang_up(int32_t broker);

#endif
