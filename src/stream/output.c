// SPDX-License-Identifier: Apache-2.0
//
// Routes are found once, from the folder a record's schema lies in.
#include "stream/output.h"

#include "event/codec_inline.h"
#include "event/message.h"
#include "record_headers.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/uninitialized.h"
#include "stream/address.h"
#include "stream/trace_headers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Room for the count in front of the items, and for the length in front of one.
enum { COUNT_ROOM = 5, LENGTH_ROOM = 5 };

struct group {
    uint8_t *items; // owned; grows up to OUTPUT_GROUP_BYTES_MAX and one message
    size_t len;
    size_t capacity;
    uint32_t messages_count;
    char *traces; // owned: contexts of those that are traced, OUTPUT_GROUP_MESSAGES_MAX at most
    size_t traces_len;
};

struct output {
    enum domain domain;
    const struct schema_ids *ids;
    int32_t partitions[TOPIC_COUNT];
    enum topic_id route[RECORD_COUNT]; // TOPIC_COUNT: several topics
    struct group *groups[TOPIC_COUNT]; // inboxes only, one per partition
    struct producer *producer;         // borrowed
    struct record_headers *types;      // owned, by record: what every event of it has
    struct trace_context cause;        // of what is being written
    struct span_batch spans;           // of the open transaction
};

struct output *output_new(enum domain domain, const struct schema_ids *ids,
                          const int32_t partitions[TOPIC_COUNT]) {
    struct output *output = calloc(1, sizeof(*output));
    assert(output);
    output->domain = domain;
    output->ids = ids;
    memcpy(output->partitions, partitions, sizeof(output->partitions));
    for (size_t record = 0; record < RECORD_COUNT; record++) {
        output->route[record] = TOPIC_COUNT;
        for (size_t topic = 0; topic < TOPIC_COUNT; topic++)
            if (strcmp(record_dirs[record], topics[topic].name) == 0)
                output->route[record] = (enum topic_id)topic;
    }
    output->types = calloc(RECORD_COUNT, sizeof(*output->types));
    assert(output->types);
    for (size_t record = 0; record < RECORD_COUNT; record++)
        record_headers_of_type(domain, (enum record_id)record, &output->types[record]);
    for (size_t topic = 0; topic < TOPIC_COUNT; topic++)
        if (topics[topic].kind == TOPIC_INBOX) {
            output->groups[topic] = calloc((size_t)partitions[topic], sizeof(struct group));
            assert(output->groups[topic]);
        }
    return output;
}

void output_free(struct output *output) {
    if (!output)
        return;
    for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
        for (int32_t p = 0; output->groups[topic] && p < output->partitions[topic]; p++) {
            free(output->groups[topic][p].items);
            free(output->groups[topic][p].traces);
        }
        free(output->groups[topic]);
    }
    span_batch_done(&output->spans);
    free(output->types);
    free(output);
}

void output_drop(struct output *output) {
    for (size_t topic = 0; topic < TOPIC_COUNT; topic++)
        for (int32_t p = 0; output->groups[topic] && p < output->partitions[topic]; p++) {
            struct group *group = &output->groups[topic][p];
            group->len = group->messages_count = 0;
            group->traces_len = 0;
        }
    span_batch_drop(&output->spans);
    output->cause.is_set = false;
}

struct span *output_cause(struct output *output, const struct trace_context *parent,
                          int64_t start_us) {
    output->cause = *parent;
    struct span *span = trace_is_sampled(parent) ? span_batch_add(&output->spans) : NULL;
    if (!span)
        return NULL;
    span_begin(span, parent, SPAN_CONSUMER, start_us);
    output->cause = span->self;
    return span;
}

void output_cause_end(struct output *output) {
    output->cause.is_set = false;
}

const struct trace_context *output_trace(const struct output *output) {
    return &output->cause;
}

void output_committed(struct output *output) {
    if (output->spans.count > 0)
        span_batch_commit(&output->spans, clock_now_us());
}

void output_begin(struct output *output, struct producer *producer) {
    output_drop(output);
    output->producer = producer;
}

int64_t output_events_count(const struct output *output, int32_t partition) {
    return (int64_t)output->producer->events[partition].count;
}

static bool too_large(const struct decided *decided, struct error *err) {
    return error_set(err, DISP_POISON, 0, "it leads to a %s of more than %d bytes",
                     record_types[decided->type]->name, OUTPUT_RECORD_BYTES_MAX);
}

// The record in wire format, in memory of the producer.
static uint8_t *encoded(struct output *output, enum topic_id topic, enum record_id type,
                        const void *body, size_t *ret_len, struct error *err) {
    const struct record_type *record = record_types[type];
    size_t room = MESSAGE_HEADER_LEN + record->size_max(body);
    uint8_t *payload = producer_memory(output->producer, room);
    if (!payload) {
        error_set(err, DISP_FATAL, 0, "out of memory for what a decision writes");
        return NULL;
    }
    uint8_t *end = message_encode(schema_ids_of(output->ids, topic, type), record, body, payload,
                                  payload + room);
    assert(end && "size_max is an upper bound");
    *ret_len = (size_t)(end - payload);
    return payload;
}

struct payload {
    uint8_t *bytes; // in memory of the producer
    size_t len;
};

// What cannot be written is found out before anything is sent.
static bool prepare(struct output *output, const struct decision *decision,
                    struct payload payloads[DECISION_EVENTS_MAX], struct error *err) {
    enum topic_id topic = domains[output->domain].events;
    if (decision->out_of_memory)
        return error_set(err, DISP_POISON, 0, "it leads to more output than memory is granted for");
    for (uint32_t i = 0; i < decision->events_count; i++) {
        const struct decided *event = &decision->events[i];
        assert(output->route[event->type] == topic && "an event of another domain");
        if (record_types[event->type]->size_max(event->body) > CODEC_MESSAGE_BYTES_MAX)
            return too_large(event, err);
        payloads[i].bytes = encoded(output, topic, event->type, event->body, &payloads[i].len, err);
        if (!payloads[i].bytes)
            return false;
        if (payloads[i].len > OUTPUT_RECORD_BYTES_MAX)
            return too_large(event, err);
    }
    for (uint32_t i = 0; i < decision->messages_count; i++) {
        const struct decided *message = &decision->messages[i];
        struct address address;
        if (record_types[message->type]->size_max(message->body) > OUTPUT_RECORD_BYTES_MAX)
            return too_large(message, err);
        if (!address_of_message(message->type, message->body, &address, err))
            return error_wrap(err, "it leads to a %s", record_types[message->type]->name);
    }
    return true;
}

static bool send_event(struct output *output, int32_t partition, const struct decided *event,
                       const struct payload *payload, struct error *err) {
    struct address address;
    if (!address_of_event(event->type, event->body, &address, err)) {
        err->what = DISP_FATAL; // what we decided ourselves cannot be addressed
        return false;
    }
    char key[TOPIC_KEY_MAX];
    UNINITIALIZED struct record_headers headers;
    record_headers_of_event(&output->types[event->type], address_event_id(event->body),
                            &output->cause, &headers);
    const struct wire_record record = {.key = key,
                                       .key_len = address_key(&address, key),
                                       .value = payload->bytes,
                                       .value_len = payload->len,
                                       .headers = record_headers_wire(&headers)};
    return producer_send_event(output->producer, partition, &record, err);
}

static bool group_send(struct output *output, enum topic_id topic, int32_t partition,
                       struct group *group, struct error *err) {
    size_t room = MESSAGE_HEADER_LEN + COUNT_ROOM + group->len + 1;
    producer_memory_reset(output->producer);
    uint8_t *payload = producer_memory(output->producer, room);
    if (!payload)
        return error_set(err, DISP_FATAL, 0, "out of memory for a group of messages");
    uint32_t id = (uint32_t)schema_ids_of(output->ids, topic, RECORD_MESSAGE_GROUP);
    uint8_t *at = payload;
    *at++ = 0;
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (uint8_t)(id >> shift);
    at = codec_put_long(at, group->messages_count);
    memcpy(at, group->items, group->len);
    at += group->len;
    *at++ = 0;
    struct wire_record record = {.value = payload, .value_len = (size_t)(at - payload)};
    if (group->traces_len > 0) {
        const size_t trace_room = strlen(TRACE_HEADER_GROUP) + group->traces_len + WIRE_HEADER_ROOM;
        uint8_t *trace = producer_memory(output->producer, trace_room);
        if (!trace)
            return error_set(err, DISP_FATAL, 0, "out of memory for traces of messages");
        const uint8_t *end = wire_header_put(trace, TRACE_HEADER_GROUP, strlen(TRACE_HEADER_GROUP),
                                             group->traces, group->traces_len);
        record.headers =
            (struct wire_headers){.bytes = trace, .len = (size_t)(end - trace), .count = 1};
    }
    group->len = group->messages_count = 0;
    group->traces_len = 0;
    return producer_send(output->producer, topic, partition, &record, err);
}

static void gather_trace(struct group *group, const struct trace_context *cause) {
    if (!group->traces)
        group->traces = malloc((size_t)OUTPUT_GROUP_MESSAGES_MAX * TRACE_ONE_MAX);
    if (!group->traces)
        return; // a trace is no reason to fail
    group->traces_len += trace_put_one(group->traces + group->traces_len, group->traces_len == 0,
                                       group->messages_count, cause);
}

static bool gather(struct output *output, const struct decided *message, struct error *err) {
    enum topic_id topic = output->route[message->type];
    assert(topic != TOPIC_COUNT && topics[topic].kind == TOPIC_INBOX);
    struct address address;
    bool addressed = address_of_message(message->type, message->body, &address, err);
    assert(addressed && "prepare() has seen it");
    char key[TOPIC_KEY_MAX];
    size_t key_len = address_key(&address, key);
    int32_t partition = topic_partition_of(key, key_len, output->partitions[topic]);
    struct group *group = &output->groups[topic][partition];

    const struct record_type *record = record_types[message->type];
    size_t room = LENGTH_ROOM + MESSAGE_HEADER_LEN + record->size_max(message->body);
    if (group->messages_count &&
        (group->len + room > OUTPUT_GROUP_BYTES_MAX ||
         group->messages_count == OUTPUT_GROUP_MESSAGES_MAX) &&
        !group_send(output, topic, partition, group, err))
        return false;
    if (group->len + room > group->capacity) {
        group->capacity = group->capacity ? group->capacity : 4096;
        while (group->len + room > group->capacity)
            group->capacity *= 2;
        group->items = realloc(group->items, group->capacity);
        assert(group->items && "out of memory for a message group");
    }
    // The length comes first and is known last: encode behind the largest one, then move down.
    uint8_t *start = group->items + group->len;
    uint8_t *body = start + LENGTH_ROOM;
    uint8_t *end = message_encode(schema_ids_of(output->ids, topic, message->type), record,
                                  message->body, body, group->items + group->capacity);
    assert(end && "size_max is an upper bound");
    uint8_t *at = codec_put_long(start, end - body);
    memmove(at, body, (size_t)(end - body));
    group->len += (size_t)(at - start) + (size_t)(end - body);
    if (output->cause.is_set)
        gather_trace(group, &output->cause);
    group->messages_count++;
    return true;
}

bool output_decision(struct output *output, int32_t partition, const struct decision *decision,
                     struct error *err) {
    struct payload payloads[DECISION_EVENTS_MAX];
    producer_memory_reset(output->producer);
    if (!prepare(output, decision, payloads, err))
        return false;
    for (uint32_t i = 0; i < decision->events_count; i++)
        if (!send_event(output, partition, &decision->events[i], &payloads[i], err))
            return false;
    for (uint32_t i = 0; i < decision->messages_count; i++)
        if (!gather(output, &decision->messages[i], err))
            return false;
    return true;
}

static bool send_one(struct output *output, enum topic_id topic, int32_t partition, struct view key,
                     const struct payload *payload, const struct trace_context *trace,
                     struct error *err) {
    UNINITIALIZED struct record_headers headers;
    record_headers_of_trace(trace, &headers);
    const struct wire_record record = {.key = key.ptr,
                                       .key_len = key.len,
                                       .value = payload->bytes,
                                       .value_len = payload->len,
                                       .headers = record_headers_wire(&headers)};
    return producer_send(output->producer, topic, partition, &record, err);
}

// One record of its own.
static bool send_keyed(struct output *output, enum topic_id topic, int32_t partition,
                       enum record_id type, const void *body, struct view key,
                       const struct trace_context *trace, struct error *err) {
    struct payload payload;
    producer_memory_reset(output->producer);
    payload.bytes = encoded(output, topic, type, body, &payload.len, err);
    return payload.bytes && send_one(output, topic, partition, key, &payload, trace, err);
}

bool output_product(struct output *output, int32_t partition, const struct product *product,
                    struct error *err) {
    char key[TOPIC_KEY_MAX];
    size_t key_len = topic_sku_key(product->shop_id.ptr, product->shop_id.len, product->sku.ptr,
                                   product->sku.len, key);
    return send_keyed(output, TOPIC_PRODUCTS, partition, RECORD_PRODUCT, product,
                      (struct view){.ptr = key, .len = (uint32_t)key_len}, NULL, err);
}

bool output_dead_letter(struct output *output, int32_t partition, const struct dead_letter *letter,
                        const struct trace_context *trace, struct error *err) {
    if (!send_keyed(output, domains[output->domain].deadletters, partition, RECORD_DEAD_LETTER,
                    letter, letter->parked_key.ptr ? letter->parked_key : letter->key, trace, err))
        return false;
    const bool parked = letter->parked_key.ptr != NULL;
    metrics_add(METRIC_DEAD_LETTERS, 0, 1);
    metrics_add(METRIC_ERRORS, parked ? ERROR_UNDECIDABLE : ERROR_UNDECODABLE, 1);
    LOG(WARN, parked ? "input parked with its key" : "input set aside in the dead letters",
        F_VIEW("topic", letter->topic.ptr, letter->topic.len),
        F_INT("partition", letter->partition), F_INT("offset", letter->offset),
        F_INT("index", letter->index), F_VIEW("error", letter->error.ptr, letter->error.len),
        parked ? F_VIEW("key", letter->parked_key.ptr, letter->parked_key.len)
               : F_STR("key", NULL));
    return true;
}

bool output_letter_settled(struct output *output, int32_t partition,
                           const struct dead_letter_settled *settled, struct error *err) {
    return send_keyed(output, domains[output->domain].deadletters, partition,
                      RECORD_DEAD_LETTER_SETTLED, settled, settled->parked_key, NULL, err);
}

bool output_retry(struct output *output, int32_t partition, const struct retry_parked *retry,
                  struct error *err) {
    return send_keyed(output, domains[output->domain].inbox, partition, RECORD_RETRY_PARKED, retry,
                      retry->parked_key, NULL, err);
}

bool output_snapshot(struct output *output, int32_t partition, const struct snapshot_row *row,
                     struct error *err) {
    enum topic_id topic = domains[output->domain].state;
    struct payload payload = {0}; // a tombstone
    producer_memory_reset(output->producer);
    if (row->body &&
        !(payload.bytes = encoded(output, topic, row->type, row->body, &payload.len, err)))
        return false;
    const struct view key = {.ptr = row->key, .len = (uint32_t)row->key_len};
    if (!send_one(output, topic, partition, key, &payload, &row->trace, err))
        return false;
    metrics_add(METRIC_SNAPSHOT_ROWS, 0, 1);
    return true;
}

bool output_flush(struct output *output, struct error *err) {
    for (size_t topic = 0; topic < TOPIC_COUNT; topic++)
        for (int32_t p = 0; output->groups[topic] && p < output->partitions[topic]; p++)
            if (output->groups[topic][p].messages_count &&
                !group_send(output, (enum topic_id)topic, p, &output->groups[topic][p], err))
                return false;
    return true;
}
