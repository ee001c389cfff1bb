// SPDX-License-Identifier: Apache-2.0
//
// The brokers of a cluster, and which of them to send what to. Learned anew by each
// wire_cluster_learn(). One thread.
#ifndef ORDERLOG_WIRE_CLUSTER_H
#define ORDERLOG_WIRE_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/error.h"
#include "wire/wire_connection.h"

enum { WIRE_NODES_MAX = 1024, WIRE_PARTITIONS_MAX = 65536 };

struct wire_node {
    int32_t id;
    struct wire_connection connection;
};

struct wire_topic {
    const char *name; // borrowed; NULL: not asked for
    int16_t code;     // Kafka's: why there are no partitions
    int32_t *leaders; // owned: a node's id for each partition, -1 for none
    int32_t partitions;
};

struct wire_cluster {
    const struct wire_settings *settings; // borrowed
    struct wire_tls *tls;                 // owned
    struct wire_topic *topics;            // owned
    size_t topics_count;
    struct wire_node *nodes; // owned
    size_t nodes_count;
    struct wire_writer writer; // of requests in one piece
};

// names are borrowed; NULL where a topic is not to be asked for. False: DISP_FATAL.
bool wire_cluster_init(struct wire_cluster *cluster, const struct wire_settings *settings,
                       const char *const *names, size_t count, struct error *err);
void wire_cluster_done(struct wire_cluster *cluster);

// Asks for leaders: the first bootstrap server that answers, or else the first broker known from
// before; one that hangs leaves time for the next. Connections are kept as they are, but those to
// brokers that have moved. False: DISP_RETRY, or DISP_FATAL when no broker will have us.
bool wire_cluster_learn(struct wire_cluster *cluster, int64_t deadline_ms, struct error *err);

// NULL: unknown.
struct wire_node *wire_cluster_node(struct wire_cluster *cluster, int32_t id);

enum wire_coordinator { WIRE_COORDINATOR_GROUP = 0, WIRE_COORDINATOR_TXN = 1 };

// Who coordinates the group or transactional id of this name. False: DISP_RETRY, DISP_FATAL when
// we have no right to it.
bool wire_cluster_coordinator(struct wire_cluster *cluster, enum wire_coordinator kind,
                              const char *name, int32_t *ret_node, int64_t deadline_ms,
                              struct error *err);

// Sends what is in cluster->writer to a node and waits for the answer.
bool wire_cluster_call(struct wire_cluster *cluster, struct wire_node *node, enum wire_api api,
                       struct wire_reader *ret, int64_t deadline_ms, struct error *err);

// The same for the two requests (InitProducerId, EndTxn) that give a producer another epoch, and
// whose answers look alike. about: named in errors; may be NULL.
bool wire_cluster_epoch(struct wire_cluster *cluster, struct wire_node *node, enum wire_api api,
                        const char *name, const char *about, int64_t *ret_producer_id,
                        int16_t *ret_epoch, int64_t deadline_ms, struct error *err);

void wire_cluster_disconnect(struct wire_cluster *cluster);

// Closes connections that the broker has closed, as it does with idle ones, and those on which it
// is about to ask again who we are. Nothing may be under way.
void wire_cluster_renew(struct wire_cluster *cluster, int64_t now_ms);

#endif
