// SPDX-License-Identifier: Apache-2.0
//
// A parcel is queued, or in a request of a peer, or over:
//
//        put            send              answer: written, refused for good, unknown
//   ─────────▶ queued ─────────▶ sent ───────────────────────────────────▶ over ─▶ take
//                 ▲ │              │                                          ▲
//                 │ └──────────────┼──────────── its time is over ────────────┘
//                 └── held ◀───────┘ refused for the moment, or the connection lost
//
// The sequence number goes on only with what was written. Of what was refused nothing is in the
// log, so that the next batch may have the same number.
#include "wire_producer_state.h"

#include "wire/wire_code.h"
#include "wire/wire_produced.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { NO_ANSWER = INT32_MIN };

// ---- parcels -----------------------------------------------------------------------------------

void wire_parcels_add(struct wire_parcels *queue, struct wire_parcel *parcel) {
    parcel->next = NULL;
    *queue->end = parcel;
    queue->end = &parcel->next;
}

static void remove_at(struct wire_parcels *queue, struct wire_parcel **at) {
    *at = (*at)->next;
    if (!*at)
        queue->end = at;
}

static struct wire_slot *slot_of(const struct wire_producer *producer,
                                 const struct wire_parcel *parcel) {
    return &producer->topics[parcel->topic].slots[parcel->partition];
}

// As brokers count: after the highest number comes 0.
static int32_t sequence_after(int32_t sequence, int32_t count) {
    return (int32_t)(((uint32_t)sequence + (uint32_t)count) & INT32_MAX);
}

static void finish(struct wire_producer *producer, struct wire_parcel *parcel,
                   enum wire_fate fate) {
    struct wire_slot *slot = slot_of(producer, parcel);
    parcel->fate = fate;
    slot->is_taken = false;
    if (fate == WIRE_WRITTEN)
        slot->sequence = sequence_after(slot->sequence, parcel->batch.count);
    // The broker's next number is either of two. In a new epoch it is 0.
    if (fate == WIRE_UNKNOWN && slot->epoch == INT16_MAX)
        producer->is_worn = true;
    if (fate == WIRE_UNKNOWN && slot->epoch < INT16_MAX) {
        slot->epoch++;
        slot->sequence = 0;
    }
    wire_parcels_add(&producer->over, parcel);
}

static void give_up(struct wire_producer *producer, struct wire_parcel *parcel) {
    finish(producer, parcel, parcel->sent_blindly ? WIRE_UNKNOWN : WIRE_NOT_WRITTEN);
}

static void hold(struct wire_producer *producer, struct wire_parcel *parcel) {
    parcel->is_held = true;
    producer->wants_keeping = true;
    wire_parcels_add(&producer->queue, parcel);
}

void wire_producer_put(struct wire_producer *producer, struct wire_parcel *parcel) {
    struct wire_slot *slot = slot_of(producer, parcel);
    const struct wire_batch_owner owner = {
        .producer_id = producer->id, .producer_epoch = slot->epoch, .sequence = slot->sequence};
    struct error err;
    assert(parcel->partition < producer->topics[parcel->topic].count && !slot->is_taken);
    slot->is_taken = true;
    parcel->code = 0;
    parcel->sent_blindly = parcel->is_held = false;
    if (wire_batch_seal(&parcel->batch, &owner, producer->settings.wire->compression,
                        &parcel->bytes, &parcel->len, &err))
        wire_parcels_add(&producer->queue, parcel);
    else
        finish(producer, parcel, WIRE_NOT_WRITTEN);
}

struct wire_parcel *wire_producer_take(struct wire_producer *producer) {
    struct wire_parcel *parcel = producer->over.first;
    if (parcel)
        remove_at(&producer->over, &producer->over.first);
    return parcel;
}

// ---- peers -------------------------------------------------------------------------------------

struct wire_peer *wire_producer_peer(const struct wire_producer *producer, int32_t id) {
    for (size_t i = 0; i < producer->peers_count; i++)
        if (producer->peers[i]->id == id)
            return producer->peers[i];
    return NULL;
}

static struct wire_request *request_at(struct wire_peer *peer, size_t index) {
    return &peer->requests[(peer->first + index) % WIRE_IN_FLIGHT_MAX];
}

static bool is_begun(const struct wire_request *request) {
    return request->left_count == 0 || request->left > request->pieces ||
           request->left->iov_base != request->head.bytes;
}

void wire_producer_lose(struct wire_producer *producer, struct wire_peer *peer,
                        const struct error *why) {
    wire_connection_close(&peer->connection);
    peer->wants_write = false;
    producer->wants_keeping = true;
    if (why)
        producer->trouble = *why;
    for (; peer->count > 0; peer->count--) {
        struct wire_request *request = request_at(peer, 0);
        for (size_t i = 0; i < request->count; i++) {
            if (is_begun(request))
                request->parcels[i]->sent_blindly = true;
            hold(producer, request->parcels[i]);
        }
        peer->first = (peer->first + 1) % WIRE_IN_FLIGHT_MAX;
    }
}

static void set_watched(struct wire_producer *producer, struct wire_peer *peer, int how) {
    struct epoll_event event = {.events = EPOLLIN | (peer->wants_write ? EPOLLOUT : 0)};
    const int failed = epoll_ctl(producer->epoll_fd, how, peer->connection.fd, &event);
    assert(failed == 0 && "a connection cannot be watched");
    (void)failed;
}

void wire_producer_watch(struct wire_producer *producer, struct wire_peer *peer) {
    peer->wants_write = false;
    set_watched(producer, peer, EPOLL_CTL_ADD);
}

static void want_write(struct wire_producer *producer, struct wire_peer *peer, bool wants) {
    if (peer->wants_write == wants)
        return;
    peer->wants_write = wants;
    set_watched(producer, peer, EPOLL_CTL_MOD);
}

// ---- requests ----------------------------------------------------------------------------------

static bool has_unsent(struct wire_peer *peer) {
    return peer->count > 0 && request_at(peer, peer->count - 1)->left_count > 0;
}

// Sends what it can of what is not sent yet. False: the connection is lost.
static bool push(struct wire_producer *producer, struct wire_peer *peer) {
    enum wire_progress progress = WIRE_DONE;
    for (size_t i = 0; i < peer->count && progress == WIRE_DONE; i++) {
        struct wire_request *request = request_at(peer, i);
        struct error err;
        progress =
            wire_connection_push(&peer->connection, &request->left, &request->left_count, &err);
        if (progress == WIRE_LOST) {
            wire_producer_lose(producer, peer, &err);
            return false;
        }
    }
    want_write(producer, peer, progress == WIRE_WANTS_WRITE);
    return true;
}

static void put_topic(struct wire_producer *producer, struct wire_request *request, size_t topic,
                      int *pieces, size_t *from) {
    struct wire_writer *head = &request->head;
    size_t count = 0;
    for (size_t i = 0; i < request->count; i++)
        count += request->parcels[i]->topic == topic;
    if (count == 0)
        return;
    wire_put_string(head, producer->settings.topics[topic]);
    wire_put_count(head, count);
    for (size_t i = 0; i < request->count; i++) {
        struct wire_parcel *parcel = request->parcels[i];
        if (parcel->topic != topic)
            continue;
        wire_put_i32(head, parcel->partition);
        wire_put_uvarint(head, parcel->len + 1);
        request->pieces[(*pieces)++].iov_len = head->len - *from;
        request->pieces[(*pieces)++] =
            (struct iovec){.iov_base = (void *)(uintptr_t)parcel->bytes, .iov_len = parcel->len};
        *from = head->len;
        wire_put_no_tags(head);
    }
    wire_put_no_tags(head);
}

// The parcels are in the request. Its texts lie in one piece of memory, which moves while it grows:
// addresses come last.
static void write_request(struct wire_producer *producer, struct wire_peer *peer,
                          struct wire_request *request) {
    struct wire_writer *head = &request->head;
    size_t topics = 0, from = 0;
    int pieces = 0;
    for (size_t i = 0; i < request->count; i++) {
        size_t before = 0;
        while (before < i && request->parcels[before]->topic != request->parcels[i]->topic)
            before++;
        topics += before == i;
    }
    wire_connection_request(&peer->connection, WIRE_PRODUCE, head);
    wire_put_string(head, NULL); // of no transaction
    wire_put_i16(head, -1);      // acknowledged by all that are in sync
    wire_put_i32(head, (int32_t)producer->settings.timeout_ms);
    wire_put_count(head, topics);
    for (size_t topic = 0; topic < producer->settings.topics_count; topic++)
        put_topic(producer, request, topic, &pieces, &from);
    wire_put_no_tags(head);
    request->pieces[pieces++].iov_len = head->len - from;
    uint8_t *at = head->bytes;
    for (int i = 0; i < pieces; i += 2) {
        request->pieces[i].iov_base = at;
        at += request->pieces[i].iov_len;
    }
    request->left = request->pieces;
    request->left_count = pieces;
    wire_connection_begin(&peer->connection, WIRE_PRODUCE, request->pieces, pieces);
}

// Whoever is about to be asked again who we are is written to no more, and closed when it has
// answered.
static bool is_open(const struct wire_peer *peer, int64_t now_ms) {
    return peer && peer->connection.fd >= 0 && now_ms < peer->connection.renew_ms;
}

// A peer that something can be sent to now; NULL: none.
static struct wire_peer *next_peer(struct wire_producer *producer, int64_t now_ms) {
    for (struct wire_parcel *parcel = producer->queue.first; parcel; parcel = parcel->next) {
        if (parcel->is_held)
            continue;
        struct wire_peer *peer = wire_producer_peer(producer, slot_of(producer, parcel)->leader);
        if (is_open(peer, now_ms) && peer->count < WIRE_IN_FLIGHT_MAX)
            return peer;
        if (!is_open(peer, now_ms))
            producer->wants_keeping = true;
    }
    return NULL;
}

static void gather(struct wire_producer *producer, int32_t leader, struct wire_request *request) {
    request->count = 0;
    struct wire_parcel **at = &producer->queue.first;
    while (*at && request->count < WIRE_REQUEST_PARCELS_MAX) {
        struct wire_parcel *parcel = *at;
        if (parcel->is_held || slot_of(producer, parcel)->leader != leader) {
            at = &parcel->next;
            continue;
        }
        remove_at(&producer->queue, at);
        request->parcels[request->count++] = parcel;
    }
}

void wire_producer_send(struct wire_producer *producer, int64_t now_ms) {
    for (struct wire_peer *peer; (peer = next_peer(producer, now_ms));) {
        struct wire_request *request = request_at(peer, peer->count);
        gather(producer, peer->id, request);
        write_request(producer, peer, request);
        peer->count++;
        (void)push(producer, peer);
    }
}

// ---- answers -----------------------------------------------------------------------------------

static void settle(struct wire_producer *producer, struct wire_parcel *parcel, int code) {
    parcel->code = code;
    switch (wire_code_of_batch(code)) {
    case WIRE_BATCH_WRITTEN:
        parcel->code = 0;
        finish(producer, parcel, WIRE_WRITTEN);
        return;
    case WIRE_BATCH_NOT_YET:
        hold(producer, parcel);
        return;
    case WIRE_BATCH_PERHAPS:
        parcel->sent_blindly = true;
        hold(producer, parcel);
        return;
    case WIRE_BATCH_OUT_OF_STEP:
        finish(producer, parcel, WIRE_UNKNOWN);
        return;
    case WIRE_BATCH_REFUSED:
        give_up(producer, parcel);
        return;
    }
}

struct answer {
    const struct wire_producer *producer;
    struct wire_request *request;
    size_t count;
};

static bool take_one(void *opaque, const struct wire_produced *produced) {
    struct answer *answer = opaque;
    struct wire_request *request = answer->request;
    for (size_t i = 0; i < request->count; i++) {
        const struct wire_parcel *parcel = request->parcels[i];
        if (request->codes[i] == NO_ANSWER && parcel->partition == produced->partition &&
            wire_view_is(produced->topic, answer->producer->settings.topics[parcel->topic])) {
            request->codes[i] = produced->code;
            answer->count++;
            return true;
        }
    }
    return false;
}

// An answer counts as a whole or not at all.
static bool take_answer(struct wire_producer *producer, struct wire_peer *peer,
                        struct wire_reader *reader, struct error *err) {
    struct wire_request *request = request_at(peer, 0);
    struct answer answer = {.producer = producer, .request = request};
    for (size_t i = 0; i < request->count; i++)
        request->codes[i] = NO_ANSWER;
    // Nobody answers what has not been sent.
    if (request->left_count > 0 || !wire_produced_read(reader, take_one, &answer) ||
        answer.count != request->count)
        return wire_connection_broken(&peer->connection, err);
    peer->first = (peer->first + 1) % WIRE_IN_FLIGHT_MAX;
    peer->count--;
    for (size_t i = 0; i < request->count; i++)
        settle(producer, request->parcels[i], request->codes[i]);
    return true;
}

// How many answers were there; a connection that is lost counts as one.
static int pull(struct wire_producer *producer, struct wire_peer *peer) {
    int answers = 0;
    if (has_unsent(peer) && !push(producer, peer))
        return 1;
    do {
        struct wire_reader reader;
        struct error err;
        const enum wire_progress progress = wire_connection_pull(&peer->connection, &reader, &err);
        if (progress == WIRE_WANTS_READ)
            return answers;
        if (progress == WIRE_WANTS_WRITE) {
            want_write(producer, peer, true);
            return answers;
        }
        answers++;
        if (progress == WIRE_LOST || !take_answer(producer, peer, &reader, &err)) {
            wire_producer_lose(producer, peer, &err);
            return answers;
        }
    } while (peer->count > 0);
    return answers;
}

static void close_if_due(struct wire_producer *producer, struct wire_peer *peer, int64_t now_ms) {
    if (peer->connection.fd >= 0 && peer->count == 0 && now_ms >= peer->connection.renew_ms)
        wire_producer_lose(producer, peer, NULL);
}

void wire_producer_serve(struct wire_producer *producer, int64_t now_ms) {
    int answers = 0;
    for (size_t i = 0; i < producer->peers_count; i++)
        if (producer->peers[i]->count > 0) {
            answers += pull(producer, producer->peers[i]);
            close_if_due(producer, producer->peers[i], now_ms);
        }
    // Nobody has answered: perhaps one of those who have not been asked has hung up.
    for (size_t i = 0; answers == 0 && i < producer->peers_count; i++)
        if (producer->peers[i]->count == 0 && producer->peers[i]->connection.fd >= 0)
            (void)pull(producer, producer->peers[i]);
    wire_producer_send(producer, now_ms);
}

// ---- time --------------------------------------------------------------------------------------

static bool is_late(struct wire_peer *peer, int64_t now_ms) {
    for (size_t r = 0; r < peer->count; r++)
        for (size_t i = 0; i < request_at(peer, r)->count; i++)
            if (request_at(peer, r)->parcels[i]->deadline_ms <= now_ms)
                return true;
    return false;
}

void wire_producer_expire(struct wire_producer *producer, int64_t now_ms) {
    for (size_t i = 0; i < producer->peers_count; i++) {
        struct wire_peer *peer = producer->peers[i];
        close_if_due(producer, peer, now_ms);
        if (!is_late(peer, now_ms))
            continue;
        // Its answers would be taken for those of others.
        struct error err = {0};
        error_set(&err, DISP_RETRY, 0, "broker %s:%d: no answer in time", peer->connection.host,
                  peer->connection.port);
        wire_producer_lose(producer, peer, &err);
    }
    struct wire_parcel **at = &producer->queue.first;
    while (*at) {
        struct wire_parcel *parcel = *at;
        if (parcel->deadline_ms > now_ms) {
            at = &parcel->next;
            continue;
        }
        remove_at(&producer->queue, at);
        give_up(producer, parcel);
    }
}

// ---- the rest ----------------------------------------------------------------------------------

bool wire_producer_wants_keeping(struct wire_producer *producer, struct error *why) {
    if (why) {
        *why = producer->trouble;
        producer->trouble.what = DISP_NONE;
    }
    return producer->wants_keeping;
}

bool wire_producer_is_ready(const struct wire_producer *producer) {
    return producer->id >= 0;
}

bool wire_producer_is_worn(const struct wire_producer *producer) {
    return producer->is_worn;
}

int wire_producer_fd(const struct wire_producer *producer) {
    return producer->epoll_fd;
}

int32_t wire_producer_partitions(const struct wire_producer *producer, size_t topic,
                                 int *ret_code) {
    *ret_code = producer->topics[topic].code;
    return producer->topics[topic].count;
}

struct wire_producer *wire_producer_new(const struct wire_producer_settings *settings,
                                        struct error *err) {
    struct wire_producer *producer = calloc(1, sizeof(*producer));
    assert(producer);
    producer->settings = *settings;
    producer->id = -1;
    producer->queue.end = &producer->queue.first;
    producer->over.end = &producer->over.first;
    producer->topics = calloc(settings->topics_count, sizeof(*producer->topics));
    producer->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert(producer->topics && producer->epoll_fd >= 0);
    if (wire_cluster_init(&producer->cluster, settings->wire, settings->topics,
                          settings->topics_count, err))
        return producer;
    wire_producer_free(producer);
    return NULL;
}

void wire_peer_free(struct wire_peer *peer) {
    wire_connection_done(&peer->connection);
    for (size_t i = 0; i < WIRE_IN_FLIGHT_MAX; i++)
        wire_writer_done(&peer->requests[i].head);
    free(peer);
}

void wire_producer_free(struct wire_producer *producer) {
    if (!producer)
        return;
    for (size_t i = 0; i < producer->peers_count; i++)
        wire_peer_free(producer->peers[i]);
    free(producer->peers);
    for (size_t i = 0; i < producer->settings.topics_count; i++)
        free(producer->topics[i].slots);
    free(producer->topics);
    wire_cluster_done(&producer->cluster);
    (void)close(producer->epoll_fd);
    free(producer);
}
