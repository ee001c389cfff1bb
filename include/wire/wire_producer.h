// SPDX-License-Identifier: Apache-2.0
//
// An idempotent producer that never waits: batches go out over connections that stand, several
// requests at a time, and answers are taken when they are there. A batch that was refused for the
// moment, or whose connection was lost before an answer came, goes out again as it is, with the
// same sequence number, so that the broker writes it once; until its time is over.
//
// One batch per partition at a time: so none can overtake another, and it is always known which of
// them an error is about. What is not known of a batch that is given up (it was sent, and no answer
// came) is kept from becoming a lie about the next: the partition goes on in a new epoch, and a
// broker refuses what is left of the old one.
//
// Whatever waits (names, connecting, logging in, asking for leaders) is done by
// wire_producer_keep(), for which a thread is to be at hand.
//
// All calls are made under one lock, the owner's; wire_producer_keep() takes it by itself.
#ifndef ORDERLOG_WIRE_PRODUCER_H
#define ORDERLOG_WIRE_PRODUCER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/error.h"
#include "wire/wire_batch.h"
#include "wire/wire_settings.h"

enum wire_fate {
    WIRE_WRITTEN,     // all in-sync replicas have it
    WIRE_NOT_WRITTEN, // certainly not: it was never sent, or each time refused
    WIRE_UNKNOWN,     // it was sent, and once at least nobody said what came of it
};

// One batch to one partition. The owner's memory, the producer's from wire_producer_put() until
// wire_producer_take().
struct wire_parcel {
    size_t topic;
    int32_t partition;
    struct wire_batch batch; // at least one record
    int64_t deadline_ms;     // monotonic

    enum wire_fate fate; // from here on the producer's
    int code;            // of the last answer, Kafka's; 0: none, or a good one
    bool sent_blindly;   // it was sent, and nobody has said what came of it
    bool is_held;        // until the cluster has been looked at anew
    const uint8_t *bytes;
    size_t len;
    struct wire_parcel *next;
};

struct wire_producer_settings {
    const struct wire_settings *wire; // borrowed
    pthread_mutex_t *lock;            // borrowed; not held by who makes and frees the producer
    int64_t timeout_ms;               // which brokers take at most until all in sync have a batch
    const char *const *topics;        // borrowed names, which parcels are sent to by number;
    size_t topics_count;              // NULL: not ours to write to
};

struct wire_producer;

// Connects to nobody yet. NULL: DISP_FATAL.
struct wire_producer *wire_producer_new(const struct wire_producer_settings *settings,
                                        struct error *err);
void wire_producer_free(struct wire_producer *producer); // NULL is fine

// --- by one thread, without the lock ------------------------------------------------------------

// Finds leaders, connects to those that are not connected, gets a producer id where there is none,
// and sends on what had to wait for that. No broker is waited for longer than step_ms. False: what
// could not be reached (DISP_RETRY; DISP_FATAL when a broker will not have us): try again.
bool wire_producer_keep(struct wire_producer *producer, int64_t step_ms, struct error *err);

// --- under the lock -----------------------------------------------------------------------------

// That there is something for wire_producer_keep() to do. why, which may be NULL, is set where a
// connection was lost.
bool wire_producer_wants_keeping(struct wire_producer *producer, struct error *why);

// Whether it can take parcels: it has an id, and knows the topics' partitions.
bool wire_producer_is_ready(const struct wire_producer *producer);

// As they were first learned; 0 with Kafka's code where the topic is missing or not for us.
int32_t wire_producer_partitions(const struct wire_producer *producer, size_t topic, int *ret_code);

// Readable when wire_producer_serve() has something to do. It is one of epoll, which nobody waits
// on: whatever else is to wake the same thread may be added to it.
int wire_producer_fd(const struct wire_producer *producer);

// Makes a parcel ready to be sent. Of its partition no other may be under way.
void wire_producer_put(struct wire_producer *producer, struct wire_parcel *parcel);

// Sends what can be sent now: to each broker one request with all there is for it.
void wire_producer_send(struct wire_producer *producer, int64_t now_ms);

// Takes answers, and goes on with sending.
void wire_producer_serve(struct wire_producer *producer, int64_t now_ms);

// Gives up parcels whose time is over; to be called often enough for their owner.
void wire_producer_expire(struct wire_producer *producer, int64_t now_ms);

// A parcel whose fate is known; NULL: none.
struct wire_parcel *wire_producer_take(struct wire_producer *producer);

// No epoch is left for a partition: the producer is to be made anew.
bool wire_producer_is_worn(const struct wire_producer *producer);

#endif
