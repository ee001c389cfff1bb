// SPDX-License-Identifier: Apache-2.0
#include "wire_brokers.h"

#include "wire/wire_connection.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 65536, BOOTSTRAP_PORT = 100, CLOSED = -1, EPOCHS_KEPT = 5 };
enum { BATCH_HEADER = 61, AT_ATTRIBUTES = 21, AT_LAST_DELTA = 23, AT_PRODUCER_ID = 43 };

const char *const broker_topics[TOPICS] = {"apples", "pears"};

struct end { // of a connection, the broker's
    int fd;
    int32_t broker;
    uint8_t *in;
    size_t len;
    size_t capacity;
};

struct part {
    int32_t leader;
    int16_t epoch; // -1: no producer has written
    struct {
        int32_t first;
        int32_t last;
    } recent[EPOCHS_KEPT]; // the latest last
    int recent_count;
    int32_t marks[LOG_MAX];
    int count;
};

static struct end ends[CONNECTIONS_MAX];
static int ends_count;
static struct part parts[TOPICS][PARTITIONS];
static bool refuses[BROKERS + 1];
static bool id_given;
static int bootstrap_fd = CLOSED; // of who asked last

void brokers_reset(void) {
    brokers_done();
    for (size_t topic = 0; topic < TOPICS; topic++)
        for (int32_t p = 0; p < PARTITIONS; p++)
            parts[topic][p] = (struct part){.leader = 1, .epoch = -1};
    refuses[1] = refuses[2] = false;
    id_given = false;
}

static void hang_up(struct end *end) {
    if (end->fd != CLOSED)
        (void)close(end->fd);
    end->fd = CLOSED;
    free(end->in);
    end->in = NULL;
    end->len = end->capacity = 0;
}

void brokers_done(void) {
    for (int i = 0; i < ends_count; i++)
        hang_up(&ends[i]);
    ends_count = 0;
}

void brokers_lead(size_t topic, int32_t partition, int32_t broker) {
    parts[topic][partition].leader = broker;
}

void brokers_refuse(int32_t broker, bool refuse) {
    refuses[broker] = refuse;
}

int brokers_connected(int32_t broker) {
    int count = 0;
    for (int i = 0; i < ends_count; i++)
        count += ends[i].broker == broker;
    return count;
}

void brokers_hang_up(int32_t broker) {
    for (int i = 0; i < ends_count; i++)
        if (ends[i].broker == broker)
            hang_up(&ends[i]);
}

// ---- answers -----------------------------------------------------------------------------------

static void say(int fd, int32_t correlation, bool tagged, const void *bytes, size_t len) {
    struct wire_writer writer = {0};
    wire_put_i32(&writer, (int32_t)(len + sizeof(int32_t) + tagged));
    wire_put_i32(&writer, correlation);
    if (tagged)
        wire_put_no_tags(&writer);
    wire_put_bytes(&writer, bytes, len);
    if (fd != CLOSED)
        (void)send(fd, writer.bytes, writer.len, MSG_NOSIGNAL);
    wire_writer_done(&writer);
}

static void say_metadata(int fd) {
    struct wire_writer writer = {0};
    wire_put_i32(&writer, 0);
    wire_put_count(&writer, BROKERS);
    for (int32_t id = 1; id <= BROKERS; id++) {
        wire_put_i32(&writer, id);
        wire_put_string(&writer, "broker");
        wire_put_i32(&writer, BOOTSTRAP_PORT + id);
        wire_put_string(&writer, NULL);
        wire_put_no_tags(&writer);
    }
    wire_put_string(&writer, NULL);
    wire_put_i32(&writer, 1);
    wire_put_count(&writer, TOPICS);
    for (size_t topic = 0; topic < TOPICS; topic++) {
        static const uint8_t id[16] = {0};
        wire_put_i16(&writer, 0);
        wire_put_string(&writer, broker_topics[topic]);
        wire_put_bytes(&writer, id, sizeof(id));
        wire_put_i8(&writer, 0);
        wire_put_count(&writer, PARTITIONS);
        for (int32_t p = 0; p < PARTITIONS; p++) {
            wire_put_i16(&writer, 0);
            wire_put_i32(&writer, p);
            wire_put_i32(&writer, parts[topic][p].leader);
            wire_put_i32(&writer, 0);
            for (int list = 0; list < 3; list++)
                wire_put_count(&writer, 0);
            wire_put_no_tags(&writer);
        }
        wire_put_i32(&writer, 0);
        wire_put_no_tags(&writer);
    }
    wire_put_no_tags(&writer);
    say(fd, 1, true, writer.bytes, writer.len);
    wire_writer_done(&writer);
}

static void say_id(int fd) {
    struct wire_writer writer = {0};
    wire_put_i32(&writer, 0);
    wire_put_i16(&writer, 0);
    wire_put_i64(&writer, PRODUCER_ID);
    wire_put_i16(&writer, 0);
    wire_put_no_tags(&writer);
    say(fd, 1, true, writer.bytes, writer.len);
    wire_writer_done(&writer);
}

// Answers that the producer waits for are there before it asks: it numbers its requests from 1.
bool __wrap_wire_connection_open(struct wire_connection *connection, int64_t deadline_ms,
                                 struct error *err);
bool __wrap_wire_connection_open(struct wire_connection *connection, int64_t deadline_ms,
                                 struct error *err) {
    (void)deadline_ms;
    const int32_t broker = connection->port - BOOTSTRAP_PORT;
    int pair[2];
    if (connection->fd >= 0)
        return true;
    if (refuses[broker])
        return error_set(err, DISP_RETRY, 0, "broker %d is not there", broker);
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    connection->fd = pair[0];
    connection->renew_ms = INT64_MAX;
    if (broker == 0) {
        say_metadata(pair[1]);
        if (bootstrap_fd != CLOSED)
            (void)close(bootstrap_fd);
        bootstrap_fd = pair[1]; // what it is asked nobody reads
        return true;
    }
    if (!id_given)
        say_id(pair[1]);
    id_given = true;
    assert(ends_count < CONNECTIONS_MAX);
    ends[ends_count++] = (struct end){.fd = pair[1], .broker = broker};
    return true;
}

void brokers_say(const struct broker_request *request, const void *bytes, size_t len) {
    say(ends[request->connection].fd, request->correlation, true, bytes, len);
}

void brokers_answer_each(const struct broker_request *request, const int16_t *codes) {
    struct wire_writer writer = {0};
    wire_put_count(&writer, request->count);
    for (size_t i = 0; i < request->count; i++) { // one topic for each, which is allowed
        wire_put_string(&writer, broker_topics[request->batches[i].topic]);
        wire_put_count(&writer, 1);
        wire_put_i32(&writer, request->batches[i].partition);
        wire_put_i16(&writer, codes[i]);
        wire_put_i64(&writer, 0);
        wire_put_i64(&writer, -1);
        wire_put_i64(&writer, 0);
        wire_put_count(&writer, 0);
        wire_put_string(&writer, codes[i] ? "no" : NULL);
        wire_put_no_tags(&writer);
        wire_put_no_tags(&writer);
    }
    wire_put_i32(&writer, 0);
    wire_put_no_tags(&writer);
    brokers_say(request, writer.bytes, writer.len);
    wire_writer_done(&writer);
}

void brokers_answer(const struct broker_request *request, int16_t code) {
    int16_t codes[REQUEST_BATCHES_MAX];
    for (size_t i = 0; i < request->count; i++)
        codes[i] = code;
    brokers_answer_each(request, codes);
}

// ---- requests ----------------------------------------------------------------------------------

static void receive(struct end *end) {
    for (;;) {
        if (end->capacity - end->len < 65536) {
            end->capacity = 2 * end->capacity + 65536;
            end->in = realloc(end->in, end->capacity);
            assert(end->in);
        }
        const ssize_t got = recv(end->fd, end->in + end->len, end->capacity - end->len, 0);
        if (got <= 0)
            return;
        end->len += (size_t)got;
    }
}

static uint32_t number_of(struct wire_reader reader, size_t at) {
    wire_get_skip(&reader, at);
    return (uint32_t)wire_get_i32(&reader);
}

static uint32_t hash_of(struct wire_view view) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < view.len; i++)
        hash = (hash ^ (uint8_t)view.ptr[i]) * 16777619u;
    return hash;
}

// The value of the first record, which has no key: behind length, attributes, two deltas and -1.
static int32_t mark_in(struct wire_reader records) {
    int32_t mark;
    (void)wire_get_uvarint(&records);
    (void)wire_get_i8(&records);
    for (int i = 0; i < 4; i++)
        (void)wire_get_uvarint(&records);
    assert((size_t)(records.end - records.at) >= sizeof(mark));
    memcpy(&mark, records.at, sizeof(mark));
    return mark;
}

static void read_batch(struct wire_reader *reader, size_t topic, struct broker_batch *batch) {
    batch->topic = topic;
    batch->partition = wire_get_i32(reader);
    const struct wire_view view = wire_get_string(reader);
    wire_get_skip_tags(reader);
    assert(view.len > BATCH_HEADER);
    struct wire_reader bytes = {.at = (const uint8_t *)view.ptr,
                                .end = (const uint8_t *)view.ptr + view.len};
    batch->crc = hash_of(view);
    batch->count = (int32_t)number_of(bytes, AT_LAST_DELTA) + 1;
    struct wire_reader at = bytes;
    wire_get_skip(&at, AT_ATTRIBUTES);
    batch->attributes = wire_get_i16(&at);
    at = bytes;
    wire_get_skip(&at, AT_PRODUCER_ID);
    batch->producer_id = wire_get_i64(&at);
    batch->epoch = wire_get_i16(&at);
    batch->sequence = wire_get_i32(&at);
    assert(wire_get_i32(&at) == batch->count);
    batch->mark = mark_in(at);
}

static void read_produce(struct wire_reader *reader, struct broker_request *ret) {
    ret->count = 0;
    assert(!wire_get_string(reader).ptr); // of no transaction
    ret->acks = wire_get_i16(reader);
    (void)wire_get_i32(reader);
    for (size_t left = wire_get_count(reader); left > 0; left--) {
        const struct wire_view name = wire_get_string(reader);
        size_t topic = 0;
        while (!wire_view_is(name, broker_topics[topic]))
            assert(++topic < TOPICS);
        for (size_t count = wire_get_count(reader); count > 0; count--) {
            assert(ret->count < REQUEST_BATCHES_MAX);
            read_batch(reader, topic, &ret->batches[ret->count++]);
        }
        wire_get_skip_tags(reader);
    }
    wire_get_skip_tags(reader);
    assert(!reader->broken && reader->at == reader->end);
}

static bool read_one(int index, struct broker_request *ret) {
    struct end *end = &ends[index];
    receive(end);
    struct wire_reader reader = {.at = end->in, .end = end->in + end->len};
    const int32_t len = wire_get_i32(&reader);
    if (reader.broken || end->len < sizeof(len) + (size_t)len)
        return false;
    reader.end = reader.at + len;
    const int16_t key = wire_get_i16(&reader);
    (void)wire_get_i16(&reader);
    ret->correlation = wire_get_i32(&reader);
    ret->broker = end->broker;
    ret->connection = index;
    (void)wire_get_string16(&reader);
    wire_get_skip_tags(&reader);
    if (key == 0)
        read_produce(&reader, ret);
    const size_t size = sizeof(len) + (size_t)len;
    memmove(end->in, end->in + size, end->len - size);
    end->len -= size;
    return key == 0 || read_one(index, ret); // that for an id is answered already
}

bool brokers_read(int32_t broker, struct broker_request *ret) {
    for (int i = 0; i < ends_count; i++)
        if (ends[i].broker == broker && ends[i].fd != CLOSED && read_one(i, ret))
            return true;
    return false;
}

// ---- logs --------------------------------------------------------------------------------------

static void remember(struct part *part, const struct broker_batch *batch) {
    if (part->recent_count == EPOCHS_KEPT)
        memmove(part->recent, part->recent + 1, sizeof(part->recent[0]) * --part->recent_count);
    part->recent[part->recent_count].first = batch->sequence;
    part->recent[part->recent_count++].last =
        (int32_t)(((uint32_t)batch->sequence + (uint32_t)batch->count - 1) & INT32_MAX);
}

// ProducerStateManager and ProducerAppendInfo of Kafka, in short.
int16_t brokers_write(const struct broker_batch *batch) {
    struct part *part = &parts[batch->topic][batch->partition];
    if (batch->epoch < part->epoch)
        return 47; // INVALID_PRODUCER_EPOCH
    if (batch->epoch == part->epoch) {
        const int32_t last =
            (int32_t)(((uint32_t)batch->sequence + (uint32_t)batch->count - 1) & INT32_MAX);
        for (int i = 0; i < part->recent_count; i++)
            if (part->recent[i].first == batch->sequence && part->recent[i].last == last)
                return 0; // answered as if it were new
        const int32_t next =
            (int32_t)(((uint32_t)part->recent[part->recent_count - 1].last + 1) & INT32_MAX);
        if (batch->sequence != next)
            return 45; // OUT_OF_ORDER_SEQUENCE_NUMBER
    } else if (part->epoch >= 0 && batch->sequence != 0) {
        return 45;
    } else {
        part->recent_count = 0;
    }
    part->epoch = batch->epoch;
    remember(part, batch);
    assert(part->count < LOG_MAX);
    part->marks[part->count++] = batch->mark;
    return 0;
}

int brokers_have(size_t topic, int32_t partition, int32_t mark) {
    int count = 0;
    for (int i = 0; i < parts[topic][partition].count; i++)
        count += parts[topic][partition].marks[i] == mark;
    return count;
}

bool brokers_are_in_order(size_t topic, int32_t partition) {
    const struct part *part = &parts[topic][partition];
    for (int i = 1; i < part->count; i++)
        if (part->marks[i] <= part->marks[i - 1])
            return false;
    return true;
}
