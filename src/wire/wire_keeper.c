// SPDX-License-Identifier: Apache-2.0
//
// The half of an idempotent producer that waits. It looks at the cluster and connects with means of
// its own, without the lock; what it has found is handed over under it.
#include "wire_producer_state.h"

#include "service/clock.h"

#include <assert.h>
#include <stdlib.h>

static void lock(const struct wire_producer *producer) {
    (void)pthread_mutex_lock(producer->settings.lock);
}

static void unlock(const struct wire_producer *producer) {
    (void)pthread_mutex_unlock(producer->settings.lock);
}

// ---- without the lock --------------------------------------------------------------------------

// Any broker gives one.
static bool ask_id(struct wire_producer *producer, int64_t *ret_id, int16_t *ret_epoch,
                   int64_t step_ms, struct error *err) {
    struct wire_cluster *cluster = &producer->cluster;
    error_set(err, DISP_RETRY, 0, "the cluster has no brokers");
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        struct wire_node *node = &cluster->nodes[i];
        const int64_t deadline_ms = clock_monotonic_ms() + step_ms;
        if (!wire_connection_open(&node->connection, deadline_ms, err))
            continue;
        struct wire_writer *writer = &cluster->writer;
        wire_connection_request(&node->connection, WIRE_INIT_PRODUCER_ID, writer);
        wire_put_string(writer, NULL); // of no transaction
        wire_put_i32(writer, INT32_MAX);
        wire_put_i64(writer, -1); // there is none to go on from
        wire_put_i16(writer, -1);
        wire_put_no_tags(writer);
        if (wire_cluster_epoch(cluster, node, WIRE_INIT_PRODUCER_ID, "InitProducerId", NULL, ret_id,
                               ret_epoch, deadline_ms, err))
            return true;
    }
    return false;
}

static bool leads(const struct wire_cluster *cluster, int32_t id) {
    for (size_t topic = 0; topic < cluster->topics_count; topic++)
        for (int32_t p = 0; p < cluster->topics[topic].partitions; p++)
            if (cluster->topics[topic].leaders[p] == id)
                return true;
    return false;
}

static bool is_connected(struct wire_producer *producer, const struct wire_node *node) {
    lock(producer);
    const struct wire_peer *peer = wire_producer_peer(producer, node->id);
    const bool connected = peer && peer->connection.fd >= 0;
    unlock(producer);
    return connected;
}

static bool connect_leaders(struct wire_producer *producer, int64_t step_ms, struct error *err) {
    struct wire_cluster *cluster = &producer->cluster;
    bool all = true;
    for (size_t i = 0; i < cluster->nodes_count; i++) {
        struct wire_node *node = &cluster->nodes[i];
        if (leads(cluster, node->id) && !is_connected(producer, node))
            all =
                wire_connection_open(&node->connection, clock_monotonic_ms() + step_ms, err) && all;
    }
    return all;
}

// ---- under the lock ----------------------------------------------------------------------------

static struct wire_peer *peer_of(struct wire_producer *producer, int32_t id) {
    struct wire_peer *peer = wire_producer_peer(producer, id);
    if (peer)
        return peer;
    peer = calloc(1, sizeof(*peer));
    producer->peers =
        realloc(producer->peers, (producer->peers_count + 1) * sizeof(struct wire_peer *));
    assert(peer && producer->peers && "out of memory for a broker");
    peer->id = id;
    peer->connection.fd = -1;
    producer->peers[producer->peers_count++] = peer;
    return peer;
}

// A peer that stands keeps its connection, whatever the cluster says of its address.
static void take_connection(struct wire_producer *producer, struct wire_node *node) {
    struct wire_connection *open = &node->connection;
    struct wire_peer *peer = peer_of(producer, node->id);
    peer->is_known = true;
    if (open->fd < 0 || peer->connection.fd >= 0) {
        wire_connection_close(open);
        return;
    }
    wire_connection_done(&peer->connection);
    peer->connection = *open;
    wire_connection_init(open, open->settings, open->tls, peer->connection.host, open->port);
    wire_producer_watch(producer, peer);
}

static void forget_peer(struct wire_producer *producer, size_t index) {
    struct wire_peer *peer = producer->peers[index];
    wire_producer_lose(producer, peer, NULL);
    wire_peer_free(peer);
    producer->peers[index] = producer->peers[--producer->peers_count];
}

static void take_peers(struct wire_producer *producer) {
    for (size_t i = 0; i < producer->peers_count; i++)
        producer->peers[i]->is_known = false;
    for (size_t i = 0; i < producer->cluster.nodes_count; i++)
        take_connection(producer, &producer->cluster.nodes[i]);
    for (size_t i = producer->peers_count; i-- > 0;)
        if (!producer->peers[i]->is_known)
            forget_peer(producer, i);
}

static void take_leaders(struct wire_producer *producer, size_t topic) {
    const struct wire_topic *known = &producer->cluster.topics[topic];
    int32_t *count = &producer->topics[topic].count;
    producer->topics[topic].code = known->code;
    if (*count == 0 && known->partitions > 0) {
        struct wire_slot *slots = calloc((size_t)known->partitions, sizeof(*slots));
        assert(slots && "out of memory for partitions");
        producer->topics[topic].slots = slots;
        *count = known->partitions;
        for (int32_t p = 0; p < *count; p++)
            slots[p].epoch = producer->first_epoch;
    }
    for (int32_t p = 0; p < *count; p++)
        producer->topics[topic].slots[p].leader = p < known->partitions ? known->leaders[p] : -1;
}

static bool all_led(const struct wire_producer *producer) {
    for (size_t topic = 0; topic < producer->settings.topics_count; topic++)
        for (int32_t p = 0; p < producer->topics[topic].count; p++) {
            const struct wire_peer *peer =
                wire_producer_peer(producer, producer->topics[topic].slots[p].leader);
            if (!peer || peer->connection.fd < 0)
                return false;
        }
    return true;
}

static void hand_over(struct wire_producer *producer) {
    take_peers(producer);
    for (size_t topic = 0; topic < producer->settings.topics_count; topic++)
        take_leaders(producer, topic);
    for (struct wire_parcel *parcel = producer->queue.first; parcel; parcel = parcel->next)
        parcel->is_held = false;
    if (!all_led(producer))
        producer->wants_keeping = true;
    wire_producer_send(producer, clock_monotonic_ms());
}

bool wire_producer_keep(struct wire_producer *producer, int64_t step_ms, struct error *err) {
    int64_t id = producer->id; // nobody else sets it
    int16_t epoch = producer->first_epoch;
    lock(producer);
    producer->wants_keeping = false; // what is wanted from now on is for the next time
    unlock(producer);
    if (!wire_cluster_learn(&producer->cluster, clock_monotonic_ms() + step_ms, err) ||
        (id < 0 && !ask_id(producer, &id, &epoch, step_ms, err))) {
        lock(producer);
        producer->wants_keeping = true;
        unlock(producer);
        return false;
    }
    const bool connected = connect_leaders(producer, step_ms, err);
    lock(producer);
    producer->id = id;
    producer->first_epoch = epoch;
    hand_over(producer);
    unlock(producer);
    return connected;
}
