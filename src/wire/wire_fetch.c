// SPDX-License-Identifier: Apache-2.0
//
// To each broker that leads some of the partitions goes one request at a time, which asks for all
// of them. When its answer is here, the headers of the batches tell where the next one begins, and
// that is sent before the first batch is unpacked. Meanwhile the answer stays in its connection's
// memory.
#include "wire/wire_fetch.h"

#include "wire/wire_code.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_COMMITTED = 1,
    WAIT_MS_MAX = 250, // that the broker may wait for something to send
    ANSWER_BYTES_MAX = 8 << 20,
    PARTITION_BYTES_MAX = 2 << 20,
    NO_REPLICA = -1,
};

struct aborted {
    int64_t producer_id;
    int64_t first_offset;
};

// What has come of a partition and is not handed over yet.
struct part {
    struct wire_reader batches;
    struct aborted *aborted; // owned
    size_t aborted_count;
    size_t aborted_capacity;
};

struct reading {
    struct wire_span span;
    int64_t position;   // of the next request
    int64_t taken;      // before it all is handed over
    int64_t stable_end; // as the last answer has it, -1 where it does not
    int32_t leader;
    struct part part;
};

struct wire_fetch {
    struct wire_cluster cluster;
    const char *topic;
    struct reading *readings; // owned
    size_t count;
    size_t first; // in the next request, as a broker fills its answer from the front
    size_t at;    // whose batches are handed over
    size_t node;  // who is heard next
    struct wire_unpacker unpacker;
    bool begun;
};

struct wire_fetch *wire_fetch_new(const struct wire_settings *settings, const char *topic,
                                  const struct wire_span *spans, size_t count, struct error *err) {
    struct wire_fetch *fetch = calloc(1, sizeof(*fetch));
    assert(fetch);
    fetch->topic = topic;
    if (!wire_cluster_init(&fetch->cluster, settings, &fetch->topic, 1, err)) {
        wire_fetch_free(fetch);
        return NULL;
    }
    fetch->readings = calloc(count ? count : 1, sizeof(*fetch->readings));
    assert(fetch->readings);
    fetch->count = count;
    for (size_t i = 0; i < count; i++)
        fetch->readings[i] =
            (struct reading){.span = spans[i], .position = spans[i].from, .taken = spans[i].from};
    return fetch;
}

void wire_fetch_free(struct wire_fetch *fetch) {
    if (!fetch)
        return;
    for (size_t i = 0; i < fetch->count; i++)
        free(fetch->readings[i].part.aborted);
    free(fetch->readings);
    wire_unpacker_done(&fetch->unpacker);
    wire_cluster_done(&fetch->cluster);
    free(fetch);
}

static bool wants(const struct reading *reading) {
    return reading->position < reading->span.end;
}

// ---- asking ------------------------------------------------------------------------------------

static bool find_leaders(struct wire_fetch *fetch, int64_t deadline_ms, struct error *err) {
    if (!wire_cluster_learn(&fetch->cluster, deadline_ms, err))
        return false;
    const struct wire_topic *topic = &fetch->cluster.topics[0];
    for (size_t i = 0; i < fetch->count; i++) {
        struct reading *reading = &fetch->readings[i];
        const int32_t partition = reading->span.partition;
        if (!wants(reading))
            continue;
        reading->leader = partition < topic->partitions ? topic->leaders[partition] : -1;
        struct wire_node *node = wire_cluster_node(&fetch->cluster, reading->leader);
        if (!node && topic->code)
            return wire_code_error(topic->code, "Metadata", fetch->topic, err);
        if (!node)
            return error_set(err, DISP_RETRY, 0, "%s[%d] has no leader", fetch->topic, partition);
        if (!wire_connection_open(&node->connection, deadline_ms, err))
            return false;
    }
    return true;
}

static size_t count_wanted(const struct wire_fetch *fetch, const struct wire_node *node) {
    size_t count = 0;
    for (size_t i = 0; i < fetch->count; i++)
        count += fetch->readings[i].leader == node->id && wants(&fetch->readings[i]);
    return count;
}

// Fetch, without a session (KIP-227): each request says all that it wants.
static void put_request(struct wire_fetch *fetch, struct wire_node *node, size_t wanted) {
    struct wire_writer *writer = &fetch->cluster.writer;
    wire_connection_request(&node->connection, WIRE_FETCH, writer);
    wire_put_i32(writer, -1); // we are no replica
    wire_put_i32(writer, WAIT_MS_MAX);
    wire_put_i32(writer, 1); // byte at least
    wire_put_i32(writer, ANSWER_BYTES_MAX);
    wire_put_i8(writer, READ_COMMITTED);
    wire_put_i32(writer, 0); // session
    wire_put_i32(writer, -1);
    wire_put_count(writer, 1);
    wire_put_string(writer, fetch->topic);
    wire_put_count(writer, wanted);
    for (size_t i = 0; i < fetch->count; i++) {
        const struct reading *reading = &fetch->readings[(fetch->first + i) % fetch->count];
        if (reading->leader != node->id || !wants(reading))
            continue;
        wire_put_i32(writer, reading->span.partition);
        wire_put_i32(writer, -1); // whatever the leader's epoch
        wire_put_i64(writer, reading->position);
        wire_put_i32(writer, -1); // epoch of the last record
        wire_put_i64(writer, -1); // begin of a replica's log
        wire_put_i32(writer, PARTITION_BYTES_MAX);
        wire_put_no_tags(writer);
    }
    wire_put_no_tags(writer);
    wire_put_count(writer, 0);   // forgotten topics
    wire_put_string(writer, ""); // rack
    wire_put_no_tags(writer);
    fetch->first = (fetch->first + 1) % fetch->count;
}

static bool ask(struct wire_fetch *fetch, struct wire_node *node, int64_t deadline_ms,
                struct error *err) {
    const size_t wanted = count_wanted(fetch, node);
    if (wanted == 0)
        return true;
    put_request(fetch, node, wanted);
    return wire_connection_send_writer(&node->connection, WIRE_FETCH, &fetch->cluster.writer,
                                       deadline_ms, err);
}

static bool ask_all(struct wire_fetch *fetch, int64_t deadline_ms, struct error *err) {
    for (size_t i = 0; i < fetch->cluster.nodes_count; i++)
        if (!ask(fetch, &fetch->cluster.nodes[i], deadline_ms, err))
            return false;
    return true;
}

// ---- the answer --------------------------------------------------------------------------------

static int by_offset(const void *a, const void *b) {
    const struct aborted *one = a, *other = b;
    return (one->first_offset > other->first_offset) - (one->first_offset < other->first_offset);
}

static void take_aborted(struct part *part, struct wire_reader *reader) {
    const size_t count = wire_get_count(reader);
    part->aborted_count = 0;
    for (size_t i = 0; i < count && !reader->broken; i++) {
        if (part->aborted_count == part->aborted_capacity) {
            part->aborted_capacity = part->aborted_capacity ? part->aborted_capacity * 2 : 16;
            part->aborted = realloc(part->aborted, part->aborted_capacity * sizeof(*part->aborted));
            assert(part->aborted);
        }
        struct aborted *aborted = &part->aborted[part->aborted_count++];
        aborted->producer_id = wire_get_i64(reader);
        aborted->first_offset = wire_get_i64(reader);
        wire_get_skip_tags(reader);
    }
    if (part->aborted_count > 1)
        qsort(part->aborted, part->aborted_count, sizeof(*part->aborted), by_offset);
}

// Where the request after this begins.
static void take_batches(struct reading *reading, struct wire_view bytes,
                         struct wire_reader *reader) {
    struct wire_reader batches = {.at = (const uint8_t *)bytes.ptr,
                                  .end = (const uint8_t *)bytes.ptr + bytes.len};
    reading->part.batches = (struct wire_reader){.at = batches.at, .end = batches.at};
    struct wire_batch_head head;
    int64_t before = -1;
    while (wire_batch_head_read(&batches, &head)) {
        if (head.first_offset <= before) {
            reader->broken = true;
            return;
        }
        before = head.last_offset;
        if (head.last_offset >= reading->position)
            reading->position = head.last_offset + 1;
        reading->part.batches.end = batches.at;
    }
    // A broker sends whole batches first: at most the last one is cut.
    if (batches.broken || (bytes.len > 0 && reading->part.batches.at == reading->part.batches.end))
        reader->broken = true;
}

static struct reading *reading_of(struct wire_fetch *fetch, const struct wire_node *node,
                                  int32_t partition) {
    for (size_t i = 0; i < fetch->count; i++)
        if (fetch->readings[i].span.partition == partition &&
            fetch->readings[i].leader == node->id && wants(&fetch->readings[i]))
            return &fetch->readings[i];
    return NULL;
}

struct answer {
    bool has_records;
    int code; // the first that is an error
    int32_t partition;
};

static void take_partition(struct wire_fetch *fetch, const struct wire_node *node,
                           struct wire_reader *reader, struct answer *answer) {
    const int32_t partition = wire_get_i32(reader);
    const int16_t code = wire_get_i16(reader);
    (void)wire_get_i64(reader); // high watermark
    const int64_t stable_end = wire_get_i64(reader);
    (void)wire_get_i64(reader); // begin of the log
    struct reading *reading = reading_of(fetch, node, partition);
    struct part none = {0};
    take_aborted(reading ? &reading->part : &none, reader);
    free(none.aborted);
    const int32_t elsewhere = wire_get_i32(reader); // a replica that is to be asked instead
    const struct wire_view bytes = wire_get_string(reader);
    wire_get_skip_tags(reader);
    if (reader->broken)
        return;
    // Not asked for, or told twice.
    if (!reading || reading->part.batches.at < reading->part.batches.end) {
        reader->broken = true;
        return;
    }
    if (code && !answer->code) {
        answer->code = code;
        answer->partition = partition;
    }
    reading->stable_end = elsewhere == NO_REPLICA ? stable_end : -1;
    take_batches(reading, bytes, reader);
    answer->has_records |= bytes.len > 0;
}

// Where an answer has nothing at all of a partition that it could have sent all of, there is
// nothing: the log ends with what compaction has taken away.
static void pass_holes(struct wire_fetch *fetch, const struct wire_node *node) {
    for (size_t i = 0; i < fetch->count; i++) {
        struct reading *reading = &fetch->readings[i];
        if (reading->leader == node->id && reading->stable_end >= reading->span.end)
            reading->position = reading->span.end;
    }
}

static bool take_answer(struct wire_fetch *fetch, struct wire_node *node,
                        struct wire_reader *reader, struct error *err) {
    struct answer answer = {0};
    for (size_t i = 0; i < fetch->count; i++)
        if (fetch->readings[i].leader == node->id)
            fetch->readings[i].stable_end = -1;
    (void)wire_get_i32(reader); // throttled for: then it is empty
    const int16_t code = wire_get_i16(reader);
    (void)wire_get_i32(reader); // session
    for (size_t topics = wire_get_count(reader); topics > 0 && !reader->broken; topics--) {
        (void)wire_get_string(reader);
        for (size_t left = wire_get_count(reader); left > 0 && !reader->broken; left--)
            take_partition(fetch, node, reader, &answer);
        wire_get_skip_tags(reader);
    }
    if (reader->broken)
        return wire_connection_broken(&node->connection, err);
    if (code)
        return wire_code_error(code, "Fetch", fetch->topic, err);
    if (answer.code)
        return wire_code_error(answer.code, "Fetch", fetch->topic, err);
    if (!answer.has_records)
        pass_holes(fetch, node);
    return true;
}

// The next broker in turn that has been asked; NULL: none.
static struct wire_node *next_asked(struct wire_fetch *fetch) {
    for (size_t i = 0; i < fetch->cluster.nodes_count; i++) {
        fetch->node = (fetch->node + 1) % fetch->cluster.nodes_count;
        struct wire_node *node = &fetch->cluster.nodes[fetch->node];
        if (node->connection.fd >= 0 && wire_connection_in_flight(&node->connection) > 0)
            return node;
    }
    return NULL;
}

// ---- handing over ------------------------------------------------------------------------------

// Whether the batch is of a transaction that will end, or has ended, with an abort.
static bool is_aborted(const struct part *part, const struct wire_batch_head *head) {
    for (size_t i = 0; i < part->aborted_count; i++) {
        if (part->aborted[i].first_offset > head->last_offset)
            return false;
        if (part->aborted[i].producer_id == head->producer_id)
            return true;
    }
    return false;
}

// Its producer's next transaction may be a committed one.
static void end_aborted(struct part *part, const struct wire_batch_head *marker) {
    size_t kept = 0;
    for (size_t i = 0; i < part->aborted_count; i++) {
        const struct aborted *aborted = &part->aborted[i];
        if (aborted->producer_id != marker->producer_id ||
            aborted->first_offset > marker->last_offset)
            part->aborted[kept++] = *aborted;
    }
    part->aborted_count = kept;
}

// A batch may begin before what was asked for, and end behind what is wanted.
static void cut(struct wire_records *records, int64_t from, int64_t end) {
    size_t first = 0;
    while (first < records->count && records->items[first].offset < from)
        first++;
    while (records->count > first && records->items[records->count - 1].offset >= end)
        records->count--;
    records->count -= first;
    if (first > 0)
        memmove(records->items, records->items + first, records->count * sizeof(*records->items));
}

// The next batch of what has come of this partition; WIRE_FETCH_WAITS: there is none.
static enum wire_fetched hand_over(struct wire_fetch *fetch, struct reading *reading,
                                   struct wire_records *ret, struct error *err) {
    struct part *part = &reading->part;
    struct wire_batch_head head;
    while (wire_batch_head_read(&part->batches, &head)) {
        // Also of what is left out: it has to be what it says.
        if (!wire_batch_is_sound(&head, err)) {
            (void)error_wrap(err, "partition %d", reading->span.partition);
            return WIRE_FETCH_FAILED;
        }
        const bool is_ours = !head.is_control && head.last_offset >= reading->taken &&
                             head.first_offset < reading->span.end &&
                             !(head.is_transactional && is_aborted(part, &head));
        if (head.count == 0 || !(is_ours || head.is_control))
            continue;
        if (!wire_records_read(&head, &fetch->unpacker, ret, err)) {
            (void)error_wrap(err, "partition %d", reading->span.partition);
            return WIRE_FETCH_FAILED;
        }
        if (head.is_control) {
            if (wire_record_is_abort(&ret->items[0].record))
                end_aborted(part, &head);
            continue;
        }
        cut(ret, reading->taken, reading->span.end);
        reading->taken = head.last_offset + 1;
        return WIRE_FETCHED;
    }
    return WIRE_FETCH_WAITS;
}

enum wire_fetched wire_fetch_next(struct wire_fetch *fetch, struct wire_records *ret_records,
                                  size_t *ret_span, int64_t deadline_ms, struct error *err) {
    if (!fetch->begun &&
        (!find_leaders(fetch, deadline_ms, err) || !ask_all(fetch, deadline_ms, err)))
        return WIRE_FETCH_FAILED;
    fetch->begun = true;
    for (; fetch->at < fetch->count; fetch->at++) {
        const enum wire_fetched found =
            hand_over(fetch, &fetch->readings[fetch->at], ret_records, err);
        *ret_span = fetch->at;
        if (found != WIRE_FETCH_WAITS)
            return found;
    }
    struct wire_node *node = next_asked(fetch);
    if (!node)
        return WIRE_FETCH_ENDED;
    struct wire_reader answer;
    if (!wire_connection_receive(&node->connection, &answer, deadline_ms, err) ||
        !take_answer(fetch, node, &answer, err) || !ask(fetch, node, deadline_ms, err))
        return WIRE_FETCH_FAILED;
    fetch->at = 0;
    return WIRE_FETCH_WAITS;
}
