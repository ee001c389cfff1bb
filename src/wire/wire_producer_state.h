// SPDX-License-Identifier: Apache-2.0
//
// What wire_producer.c (parcels, requests, answers) and wire_keeper.c (finding brokers) share.
#ifndef ORDERLOG_WIRE_PRODUCER_STATE_H
#define ORDERLOG_WIRE_PRODUCER_STATE_H

#include "wire/wire_cluster.h"
#include "wire/wire_producer.h"

enum { WIRE_REQUEST_PARCELS_MAX = 16, WIRE_REQUEST_PIECES_MAX = 2 * WIRE_REQUEST_PARCELS_MAX + 1 };

struct wire_request {
    struct wire_writer head; // all but the batches
    struct wire_parcel *parcels[WIRE_REQUEST_PARCELS_MAX];
    int codes[WIRE_REQUEST_PARCELS_MAX]; // as its answer is read
    size_t count;
    struct iovec pieces[WIRE_REQUEST_PIECES_MAX];
    struct iovec *left; // of pieces: what is not sent yet
    int left_count;
};

// A broker as it is written to.
struct wire_peer {
    int32_t id;
    bool is_known;    // to the cluster, when it was looked at last
    bool wants_write; // watched for that, too
    struct wire_connection connection;
    struct wire_request requests[WIRE_IN_FLIGHT_MAX]; // a ring, in the order of sending
    size_t first;
    size_t count;
};

struct wire_slot {    // a partition
    int32_t leader;   // -1: none is known
    int32_t sequence; // of the next record
    int16_t epoch;
    bool is_taken; // a parcel of it is under way
};

struct wire_parcels { // a queue
    struct wire_parcel *first;
    struct wire_parcel **end;
};

struct wire_producer {
    struct wire_producer_settings settings;
    struct wire_cluster cluster; // of the thread that keeps
    int64_t id;                  // -1: none yet
    int16_t first_epoch;
    struct {
        struct wire_slot *slots; // owned
        int32_t count;
        int code;
    } * topics;               // owned
    struct wire_peer **peers; // owned
    size_t peers_count;
    struct wire_parcels queue; // to be sent
    struct wire_parcels over;
    int epoll_fd;
    bool wants_keeping;
    bool is_worn;
    struct error trouble; // what == DISP_NONE: none since it was asked for
};

void wire_parcels_add(struct wire_parcels *queue, struct wire_parcel *parcel);

void wire_peer_free(struct wire_peer *peer);

// NULL: none of this id.
struct wire_peer *wire_producer_peer(const struct wire_producer *producer, int32_t id);

// Closes the connection; what was sent over it goes out again once the cluster has been looked at.
void wire_producer_lose(struct wire_producer *producer, struct wire_peer *peer,
                        const struct error *why);

// The connection stands: from now on it is written to.
void wire_producer_watch(struct wire_producer *producer, struct wire_peer *peer);

#endif
