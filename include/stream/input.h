// SPDX-License-Identifier: Apache-2.0
//
// From a Kafka record to the messages in it: one keyed command, or a group of messages that one
// transaction sent. Undecodable bytes are told from what is ours here.
#ifndef ORDERLOG_STREAM_INPUT_H
#define ORDERLOG_STREAM_INPUT_H

#include <librdkafka/rdkafka.h>

#include "event/message.h"
#include "stream/topics.h"

struct input_record {
    int32_t partition;
    int64_t offset;
    struct view key;   // borrowed from the record; ptr NULL if none
    struct view value; // likewise
    bool is_group;
    struct view *messages; // in wire format; borrowed from the record or the arena
    uint32_t messages_count;
};

// Fills ret in any case; false (DISP_POISON): the record as a whole cannot be read.
bool input_open(const struct schema_ids *ids, const rd_kafka_message_t *raw, struct arena *arena,
                struct input_record *ret, struct error *err);

// Commands to the worker itself, about what is parked: they may stand in every inbox.
bool input_is_control(enum record_id type);

// The same of a record, without decoding it.
bool input_is_control_record(const struct schema_ids *ids, const rd_kafka_message_t *raw);

// The key of a message, which decides its partition. Returns its length, 0 with DISP_POISON.
size_t input_key(const struct message *message, char key[TOPIC_KEY_MAX], struct error *err);

// One message: decodes it and checks that it may be in this topic and belongs in this partition.
// False: DISP_POISON.
bool input_decode(const struct schema_ids *ids, enum topic_id topic, int32_t partition,
                  int32_t partitions_count, struct view bytes, struct arena *arena,
                  struct message *ret, struct error *err);

#endif
