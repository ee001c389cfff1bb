// SPDX-License-Identifier: Apache-2.0
//
// Read from wire_txn_offsets() on: it is what a transaction comes to. Batches of one partition are
// numbered by sequence, and all of a broker's go over one connection, so that they arrive in order;
// none is ever sent twice.
#include "wire/wire_txn.h"

#include "service/clock.h"
#include "wire/wire_code.h"
#include "wire/wire_produced.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEND_AT_BYTES = 512 << 10, // of one partition; brokers take 1 MiB and a little by default
    PASSING_PAUSE_MS = 5,
    NOBODY = -1,
};

// One partition of one topic that this transaction has written to.
struct lane {
    size_t topic;
    int32_t partition;
    int32_t leader;
    struct wire_batch batch;
    int32_t sequence; // of the first record in batch
    bool is_open;     // listed in txn->open
};

// A batch under way.
struct sent {
    struct lane *lane;
    int32_t first;
    int32_t count;
};

// A request under way: which of txn->sent it holds.
struct request {
    int32_t node;
    size_t first;
    size_t count;
};

struct wire_txn {
    struct wire_txn_settings settings;
    struct wire_cluster cluster;
    int32_t txn_coordinator;
    int32_t group_coordinator;
    int64_t producer_id;
    int16_t producer_epoch;
    struct lane ***lanes; // owned: by topic, by partition, NULL where not written to yet
    int32_t *lanes_counts;
    struct lane **open; // owned: those written to since wire_txn_begin()
    size_t open_count;
    size_t open_capacity;
    struct sent *sent; // owned: under way, in the order of requests
    size_t sent_count;
    size_t sent_capacity;
    struct request *requests; // owned: under way
    size_t requests_count;
    size_t requests_capacity;
    struct iovec *pieces; // owned: of the request being made
    size_t pieces_capacity;
};

struct wire_txn *wire_txn_new(const struct wire_txn_settings *settings, struct error *err) {
    struct wire_txn *txn = calloc(1, sizeof(*txn));
    assert(txn);
    txn->settings = *settings;
    txn->lanes = calloc(settings->topics_count, sizeof(*txn->lanes));
    txn->lanes_counts = calloc(settings->topics_count, sizeof(*txn->lanes_counts));
    assert(txn->lanes && txn->lanes_counts);
    if (wire_cluster_init(&txn->cluster, settings->wire, settings->topics, settings->topics_count,
                          err))
        return txn;
    wire_txn_free(txn);
    return NULL;
}

void wire_txn_free(struct wire_txn *txn) {
    if (!txn)
        return;
    for (size_t topic = 0; topic < txn->settings.topics_count; topic++) {
        for (int32_t p = 0; p < txn->lanes_counts[topic]; p++)
            if (txn->lanes[topic][p]) {
                wire_batch_done(&txn->lanes[topic][p]->batch);
                free(txn->lanes[topic][p]);
            }
        free(txn->lanes[topic]);
    }
    wire_cluster_done(&txn->cluster);
    free(txn->lanes);
    free(txn->lanes_counts);
    free(txn->open);
    free(txn->sent);
    free(txn->requests);
    free(txn->pieces);
    free(txn);
}

// items of this size, with room for one more.
static void room_for_one(void **items, size_t size, size_t count, size_t *capacity) {
    if (count < *capacity)
        return;
    *capacity = *capacity ? 2 * *capacity : 16;
    *items = realloc(*items, *capacity * size);
    assert(*items && "out of memory for a transaction");
}

size_t wire_txn_waiting(const struct wire_txn *txn) {
    size_t records = 0;
    for (size_t i = 0; i < txn->open_count; i++)
        records += (size_t)txn->open[i]->batch.count;
    for (size_t i = 0; i < txn->sent_count; i++)
        records += (size_t)txn->sent[i].count;
    return records;
}

// ---- a new epoch -------------------------------------------------------------------------------

void wire_txn_begin(struct wire_txn *txn) {
    for (size_t i = 0; i < txn->open_count; i++) {
        wire_batch_reset(&txn->open[i]->batch);
        txn->open[i]->sequence = 0;
        txn->open[i]->is_open = false;
    }
    txn->open_count = txn->sent_count = txn->requests_count = 0;
    wire_cluster_renew(&txn->cluster, clock_monotonic_ms());
}

static struct wire_node *node_open(struct wire_txn *txn, int32_t id, int64_t deadline_ms,
                                   struct error *err) {
    struct wire_node *node = wire_cluster_node(&txn->cluster, id);
    if (!node) {
        error_set(err, DISP_RETRY, 0, "there is no broker %d", id);
        return NULL;
    }
    return wire_connection_open(&node->connection, deadline_ms, err) ? node : NULL;
}

static bool ask_epoch(struct wire_txn *txn, struct wire_node *node, enum wire_api api,
                      const char *name, int64_t deadline_ms, struct error *err) {
    return wire_cluster_epoch(&txn->cluster, node, api, name, txn->settings.transactional_id,
                              &txn->producer_id, &txn->producer_epoch, deadline_ms, err);
}

static bool ask_producer_id(struct wire_txn *txn, int64_t deadline_ms, struct error *err) {
    struct wire_node *node = node_open(txn, txn->txn_coordinator, deadline_ms, err);
    if (!node)
        return false;
    struct wire_writer *writer = &txn->cluster.writer;
    wire_connection_request(&node->connection, WIRE_INIT_PRODUCER_ID, writer);
    wire_put_string(writer, txn->settings.transactional_id);
    wire_put_i32(writer, (int32_t)txn->settings.timeout_ms);
    wire_put_i64(writer, NOBODY); // whoever had it before
    wire_put_i16(writer, NOBODY);
    wire_put_no_tags(writer);
    return ask_epoch(txn, node, WIRE_INIT_PRODUCER_ID, "InitProducerId", deadline_ms, err);
}

bool wire_txn_init(struct wire_txn *txn, int64_t deadline_ms, struct error *err) {
    // Of what is still under way nobody reads the answers.
    wire_txn_begin(txn);
    wire_cluster_disconnect(&txn->cluster);
    return wire_cluster_learn(&txn->cluster, deadline_ms, err) &&
           wire_cluster_coordinator(&txn->cluster, WIRE_COORDINATOR_TXN,
                                    txn->settings.transactional_id, &txn->txn_coordinator,
                                    deadline_ms, err) &&
           wire_cluster_coordinator(&txn->cluster, WIRE_COORDINATOR_GROUP, txn->settings.group,
                                    &txn->group_coordinator, deadline_ms, err) &&
           ask_producer_id(txn, deadline_ms, err);
}

// ---- records -----------------------------------------------------------------------------------

static struct lane *lane_of(struct wire_txn *txn, size_t topic, int32_t partition,
                            struct error *err) {
    const struct wire_topic *known = &txn->cluster.topics[topic];
    if (partition < 0 || partition >= known->partitions) {
        error_set(err, DISP_ABORT, 0, "%s has no partition %d, or we no right to it",
                  known->name ? known->name : "a topic", partition);
        return NULL;
    }
    if (partition >= txn->lanes_counts[topic]) {
        txn->lanes[topic] =
            realloc(txn->lanes[topic], (size_t)known->partitions * sizeof(*txn->lanes[topic]));
        assert(txn->lanes[topic]);
        for (int32_t p = txn->lanes_counts[topic]; p < known->partitions; p++)
            txn->lanes[topic][p] = NULL;
        txn->lanes_counts[topic] = known->partitions;
    }
    struct lane *lane = txn->lanes[topic][partition];
    if (!lane) {
        lane = txn->lanes[topic][partition] = calloc(1, sizeof(*lane));
        assert(lane);
        lane->topic = topic;
        lane->partition = partition;
    }
    if (lane->is_open)
        return lane;
    lane->is_open = true;
    lane->sequence = 0; // the epoch is new
    lane->leader = known->leaders[partition];
    room_for_one((void **)&txn->open, sizeof(*txn->open), txn->open_count, &txn->open_capacity);
    txn->open[txn->open_count++] = lane;
    return lane;
}

// ---- produce requests --------------------------------------------------------------------------

struct answer {
    struct wire_txn *txn;
    const struct request *request;
    size_t answered;
    int code; // the first error, 0: none
    const char *topic;
};

static const struct sent *sent_in(const struct wire_txn *txn, const struct request *request,
                                  struct wire_view topic, int32_t partition) {
    for (size_t i = request->first; i < request->first + request->count; i++) {
        const struct lane *lane = txn->sent[i].lane;
        if (lane->partition == partition &&
            wire_view_is(topic, txn->cluster.topics[lane->topic].name))
            return &txn->sent[i];
    }
    return NULL;
}

static bool take_answer(void *opaque, const struct wire_produced *produced) {
    struct answer *answer = opaque;
    const struct wire_txn *txn = answer->txn;
    const struct sent *sent = sent_in(txn, answer->request, produced->topic, produced->partition);
    if (!sent)
        return false;
    answer->answered++;
    if (!produced->code)
        txn->settings.written(txn->settings.opaque, sent->lane->topic, sent->lane->partition,
                              sent->first, sent->count, produced->base_offset);
    else if (!answer->code || wire_code_is_fenced(produced->code)) {
        answer->code = produced->code;
        answer->topic = txn->cluster.topics[sent->lane->topic].name;
    }
    return true;
}

// Reads the answer to the oldest request.
static bool produce_answered(struct wire_txn *txn, int64_t deadline_ms, struct error *err) {
    const struct request request = txn->requests[0];
    struct wire_node *node = wire_cluster_node(&txn->cluster, request.node);
    struct wire_reader reader;
    if (!wire_connection_receive(&node->connection, &reader, deadline_ms, err))
        return false;
    struct answer answer = {.txn = txn, .request = &request};
    if (!wire_produced_read(&reader, take_answer, &answer) || answer.answered != request.count)
        return wire_connection_broken(&node->connection, err);
    txn->requests_count--;
    memmove(txn->requests, txn->requests + 1, txn->requests_count * sizeof(*txn->requests));
    if (txn->requests_count == 0)
        txn->sent_count = 0;
    return !answer.code || wire_code_error(answer.code, "Produce", answer.topic, err);
}

static void piece_add(struct wire_txn *txn, size_t *count, const void *bytes, size_t len) {
    room_for_one((void **)&txn->pieces, sizeof(*txn->pieces), *count, &txn->pieces_capacity);
    txn->pieces[(*count)++] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
}

static bool lane_goes_to(const struct lane *lane, int32_t node, const struct lane *only) {
    return lane->batch.count > 0 && lane->leader == node && (!only || lane == only);
}

// Lanes of one topic stand together in a request: those from `from` on that are of its topic.
static size_t count_of_topic(const struct wire_txn *txn, size_t topic, int32_t node,
                             const struct lane *only) {
    size_t count = 0;
    for (size_t i = 0; i < txn->open_count; i++)
        count += txn->open[i]->topic == topic && lane_goes_to(txn->open[i], node, only);
    return count;
}

// The request's texts lie in the writer, whose memory may move while it grows: pieces of it are
// kept as how far it was, and become addresses at the end.
static bool put_lane(struct wire_txn *txn, struct lane *lane, size_t *pieces, size_t *from,
                     struct error *err) {
    struct wire_writer *writer = &txn->cluster.writer;
    const struct wire_batch_owner owner = {.producer_id = txn->producer_id,
                                           .producer_epoch = txn->producer_epoch,
                                           .sequence = lane->sequence,
                                           .in_transaction = true};
    const uint8_t *bytes;
    size_t len;
    if (!wire_batch_seal(&lane->batch, &owner, txn->settings.wire->compression, &bytes, &len, err))
        return false;
    wire_put_i32(writer, lane->partition);
    wire_put_uvarint(writer, len + 1);
    piece_add(txn, pieces, NULL, writer->len - *from);
    piece_add(txn, pieces, bytes, len);
    *from = writer->len;
    wire_put_no_tags(writer);
    room_for_one((void **)&txn->sent, sizeof(*txn->sent), txn->sent_count, &txn->sent_capacity);
    txn->sent[txn->sent_count++] =
        (struct sent){.lane = lane, .first = lane->sequence, .count = lane->batch.count};
    return true;
}

// All that has gathered for one broker, or one lane of it, in one request.
static bool produce_send(struct wire_txn *txn, int32_t id, const struct lane *only,
                         int64_t deadline_ms, struct error *err) {
    struct wire_node *node = node_open(txn, id, deadline_ms, err);
    if (!node)
        return false;
    while (wire_connection_in_flight(&node->connection) == WIRE_IN_FLIGHT_MAX)
        if (!produce_answered(txn, deadline_ms, err))
            return false;
    struct wire_writer *writer = &txn->cluster.writer;
    size_t topics = 0;
    for (size_t topic = 0; topic < txn->settings.topics_count; topic++)
        topics += count_of_topic(txn, topic, id, only) > 0;
    wire_connection_request(&node->connection, WIRE_PRODUCE, writer);
    wire_put_string(writer, txn->settings.transactional_id);
    wire_put_i16(writer, -1); // acknowledged by all that are in sync
    wire_put_i32(writer, (int32_t)txn->settings.timeout_ms);
    wire_put_count(writer, topics);
    size_t pieces = 0, from = 0;
    const size_t sent_before = txn->sent_count;
    for (size_t topic = 0; topic < txn->settings.topics_count; topic++) {
        const size_t count = count_of_topic(txn, topic, id, only);
        if (count == 0)
            continue;
        wire_put_string(writer, txn->cluster.topics[topic].name);
        wire_put_count(writer, count);
        for (size_t i = 0; i < txn->open_count; i++)
            if (txn->open[i]->topic == topic && lane_goes_to(txn->open[i], id, only) &&
                !put_lane(txn, txn->open[i], &pieces, &from, err))
                return false;
        wire_put_no_tags(writer);
    }
    wire_put_no_tags(writer);
    piece_add(txn, &pieces, NULL, writer->len - from);
    uint8_t *at = writer->bytes;
    for (size_t i = 0; i < pieces; i += 2) {
        txn->pieces[i].iov_base = at;
        at += txn->pieces[i].iov_len;
    }
    if (!wire_connection_send(&node->connection, WIRE_PRODUCE, txn->pieces, (int)pieces,
                              deadline_ms, err))
        return false;
    room_for_one((void **)&txn->requests, sizeof(*txn->requests), txn->requests_count,
                 &txn->requests_capacity);
    txn->requests[txn->requests_count++] =
        (struct request){.node = id, .first = sent_before, .count = txn->sent_count - sent_before};
    for (size_t i = sent_before; i < txn->sent_count; i++) {
        struct lane *lane = txn->sent[i].lane;
        lane->sequence += lane->batch.count;
        wire_batch_reset(&lane->batch);
    }
    return true;
}

bool wire_txn_append(struct wire_txn *txn, size_t topic, int32_t partition,
                     const struct wire_record *record, int64_t now_ms, int64_t deadline_ms,
                     struct error *err) {
    struct lane *lane = lane_of(txn, topic, partition, err);
    if (!lane)
        return false;
    if (lane->batch.len > 0 && lane->batch.len + wire_record_size_max(record) > SEND_AT_BYTES &&
        !produce_send(txn, lane->leader, lane, deadline_ms, err))
        return false;
    wire_batch_append(&lane->batch, record, now_ms);
    return true;
}

static bool produce_rest(struct wire_txn *txn, int64_t deadline_ms, struct error *err) {
    for (size_t i = 0; i < txn->open_count; i++)
        if (txn->open[i]->batch.count > 0 &&
            !produce_send(txn, txn->open[i]->leader, NULL, deadline_ms, err))
            return false;
    return true;
}

static bool produce_all_answered(struct wire_txn *txn, int64_t deadline_ms, struct error *err) {
    while (txn->requests_count > 0)
        if (!produce_answered(txn, deadline_ms, err))
            return false;
    return true;
}

// ---- offsets -----------------------------------------------------------------------------------

static bool offsets_send(struct wire_txn *txn, struct wire_node *node,
                         const struct wire_group_member *member, const struct wire_offset *offsets,
                         size_t count, int64_t deadline_ms, struct error *err) {
    struct wire_writer *writer = &txn->cluster.writer;
    wire_connection_request(&node->connection, WIRE_TXN_OFFSET_COMMIT, writer);
    wire_put_string(writer, txn->settings.transactional_id);
    wire_put_string(writer, txn->settings.group);
    wire_put_i64(writer, txn->producer_id);
    wire_put_i16(writer, txn->producer_epoch);
    wire_put_i32(writer, member->generation);
    wire_put_string(writer, member->member_id);
    wire_put_string(writer, member->instance_id);
    wire_put_count(writer, 1);
    wire_put_string(writer, member->topic);
    wire_put_count(writer, count);
    for (size_t i = 0; i < count; i++) {
        wire_put_i32(writer, offsets[i].partition);
        wire_put_i64(writer, offsets[i].offset);
        wire_put_i32(writer, -1); // leader epoch: not known here
        wire_put_string(writer, offsets[i].metadata);
        wire_put_no_tags(writer);
    }
    wire_put_no_tags(writer);
    wire_put_no_tags(writer);
    return wire_connection_send_writer(&node->connection, WIRE_TXN_OFFSET_COMMIT, writer,
                                       deadline_ms, err);
}

static bool offsets_answered(struct wire_txn *txn, struct wire_node *node, int64_t deadline_ms,
                             struct error *err) {
    struct wire_reader reader;
    if (!wire_connection_receive(&node->connection, &reader, deadline_ms, err))
        return false;
    int16_t first = 0;
    (void)wire_get_i32(&reader); // throttled for
    for (size_t topics = wire_get_count(&reader); topics > 0 && !reader.broken; topics--) {
        (void)wire_get_string(&reader);
        for (size_t left = wire_get_count(&reader); left > 0 && !reader.broken; left--) {
            (void)wire_get_i32(&reader);
            const int16_t code = wire_get_i16(&reader);
            wire_get_skip_tags(&reader);
            first = first ? first : code;
        }
        wire_get_skip_tags(&reader);
    }
    if (reader.broken)
        return wire_connection_broken(&node->connection, err);
    return !first || wire_code_error(first, "TxnOffsetCommit", txn->settings.group, err);
}

// Where all of it goes to one broker the offsets follow the records without waiting: it takes the
// requests of a connection one after the other. Elsewhere both would ask the transaction's
// coordinator at once, and one of them be sent away.
bool wire_txn_offsets(struct wire_txn *txn, const struct wire_group_member *member,
                      const struct wire_offset *offsets, size_t count, int64_t deadline_ms,
                      struct error *err) {
    if (!produce_rest(txn, deadline_ms, err))
        return false;
    bool at_once = true;
    for (size_t i = 0; i < txn->requests_count; i++)
        at_once = at_once && txn->requests[i].node == txn->group_coordinator;
    if (txn->requests_count == WIRE_IN_FLIGHT_MAX)
        at_once = false;
    struct wire_node *node = node_open(txn, txn->group_coordinator, deadline_ms, err);
    return node && (at_once || produce_all_answered(txn, deadline_ms, err)) &&
           offsets_send(txn, node, member, offsets, count, deadline_ms, err) &&
           produce_all_answered(txn, deadline_ms, err) &&
           offsets_answered(txn, node, deadline_ms, err);
}

// ---- the end -----------------------------------------------------------------------------------

static bool end_once(struct wire_txn *txn, bool commit, int64_t deadline_ms, struct error *err) {
    struct wire_node *node = node_open(txn, txn->txn_coordinator, deadline_ms, err);
    if (!node)
        return false;
    struct wire_writer *writer = &txn->cluster.writer;
    wire_connection_request(&node->connection, WIRE_END_TXN, writer);
    wire_put_string(writer, txn->settings.transactional_id);
    wire_put_i64(writer, txn->producer_id);
    wire_put_i16(writer, txn->producer_epoch);
    wire_put_i8(writer, commit);
    wire_put_no_tags(writer);
    return ask_epoch(txn, node, WIRE_END_TXN, "EndTxn", deadline_ms, err);
}

bool wire_txn_end(struct wire_txn *txn, bool commit, int64_t deadline_ms, struct error *err) {
    // Answers that nobody has read would be taken for this one's.
    if (txn->requests_count > 0) {
        assert(!commit);
        wire_cluster_disconnect(&txn->cluster);
    }
    for (;;) {
        if (end_once(txn, commit, deadline_ms, err))
            return true;
        if (!wire_code_is_passing(err->code) || clock_monotonic_ms() >= deadline_ms)
            return false;
        (void)poll(NULL, 0, PASSING_PAUSE_MS);
    }
}
