// SPDX-License-Identifier: Apache-2.0
#include "stream/input.h"

#include "stream/address.h"
#include "stream/output.h"

#include <string.h>

static bool id_of(struct view bytes, uint32_t *ret) {
    if (bytes.len < MESSAGE_HEADER_LEN || bytes.ptr[0] != 0)
        return false;
    const uint8_t *at = (const uint8_t *)bytes.ptr + 1;
    *ret = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    return true;
}

bool input_open(const struct schema_ids *ids, const rd_kafka_message_t *raw, struct arena *arena,
                struct input_record *ret, struct error *err) {
    *ret = (struct input_record){
        .partition = raw->partition,
        .offset = raw->offset,
        .key = {.ptr = raw->key, .len = (uint32_t)raw->key_len},
        .value = {.ptr = raw->payload, .len = (uint32_t)raw->len},
    };
    uint32_t id;
    enum record_id record;
    const struct resolution *resolution;
    struct error unknown;
    if (!raw->payload || !id_of(ret->value, &id) ||
        !schema_ids_resolve(ids, (int32_t)id, &record, &resolution, &unknown) ||
        record != RECORD_MESSAGE_GROUP) {
        // A single message, or something that its own decoding will name.
        ret->messages = arena_alloc(arena, sizeof(*ret->messages));
        if (!ret->messages)
            return error_set(err, DISP_FATAL, 0, "out of memory for a batch");
        ret->messages[0] = ret->value;
        ret->messages_count = 1;
        return true;
    }
    struct message message;
    if (!message_decode(ids, raw->payload, raw->len, arena, &message, err))
        return false;
    const struct message_group *group = message.body;
    if (group->messages_count > OUTPUT_GROUP_MESSAGES_MAX)
        return error_set(err, DISP_POISON, 0, "a group of %u messages: %d is the most",
                         group->messages_count, OUTPUT_GROUP_MESSAGES_MAX);
    ret->is_group = true;
    ret->messages = group->messages;
    ret->messages_count = group->messages_count;
    return true;
}

bool input_is_control(enum record_id type) {
    return type == RECORD_RETRY_PARKED || type == RECORD_DROP_PARKED;
}

bool input_is_control_record(const struct schema_ids *ids, const rd_kafka_message_t *raw) {
    const struct view value = {.ptr = raw->payload, .len = (uint32_t)raw->len};
    uint32_t id;
    enum record_id record;
    const struct resolution *resolution;
    struct error unknown;
    return raw->payload && id_of(value, &id) &&
           schema_ids_resolve(ids, (int32_t)id, &record, &resolution, &unknown) &&
           input_is_control(record);
}

size_t input_key(const struct message *message, char key[TOPIC_KEY_MAX], struct error *err) {
    if (!input_is_control(message->type)) {
        struct address address;
        if (!address_of_message(message->type, message->body, &address, err))
            return 0;
        return address_key(&address, key);
    }
    const struct view parked = message->type == RECORD_RETRY_PARKED
                                   ? ((const struct retry_parked *)message->body)->parked_key
                                   : ((const struct drop_parked *)message->body)->parked_key;
    if (parked.len == 0 || parked.len > TOPIC_KEY_MAX) {
        error_set(err, DISP_POISON, 0, "a parked key has 1 to %d bytes", TOPIC_KEY_MAX);
        return 0;
    }
    memcpy(key, parked.ptr, parked.len);
    return parked.len;
}

bool input_decode(const struct schema_ids *ids, enum topic_id topic, int32_t partition,
                  int32_t partitions_count, struct view bytes, struct arena *arena,
                  struct message *ret, struct error *err) {
    if (!bytes.ptr)
        return error_set(err, DISP_POISON, 0, "a tombstone: inboxes are not compacted");
    if (!message_decode(ids, (const uint8_t *)bytes.ptr, bytes.len, arena, ret, err))
        return false;
    if (strcmp(record_dirs[ret->type], topics[topic].name) != 0 && !input_is_control(ret->type))
        return error_set(err, DISP_POISON, 0, "%s does not belong into %s",
                         record_types[ret->type]->name, topics[topic].name);
    char key[TOPIC_KEY_MAX];
    size_t key_len = input_key(ret, key, err);
    if (key_len == 0)
        return false;
    int32_t home = topic_partition_of(key, key_len, partitions_count);
    if (home != partition)
        return error_set(err, DISP_POISON, 0, "its key %.*s belongs into partition %d",
                         (int)key_len, key, home);
    return true;
}
