// SPDX-License-Identifier: Apache-2.0
//
// The five bytes before the record.
#include "event/message.h"

size_t message_size_max(const struct record_type *type, const void *record) {
    size_t size = type->size_max(record);
    return size == SIZE_MAX ? SIZE_MAX : MESSAGE_HEADER_LEN + size;
}

uint8_t *message_encode(int32_t schema_id, const struct record_type *type, const void *record,
                        uint8_t *at, const uint8_t *end) {
    if (end - at < MESSAGE_HEADER_LEN)
        return NULL;
    uint8_t *body = at + MESSAGE_HEADER_LEN;
    uint8_t *stop = type->encode(body, end, record);
    if (!stop || stop - body > CODEC_MESSAGE_BYTES_MAX)
        return NULL;
    at[0] = 0;
    at[1] = (uint8_t)((uint32_t)schema_id >> 24);
    at[2] = (uint8_t)((uint32_t)schema_id >> 16);
    at[3] = (uint8_t)((uint32_t)schema_id >> 8);
    at[4] = (uint8_t)schema_id;
    return stop;
}

bool message_decode(const struct schema_ids *ids, const uint8_t *bytes, size_t len,
                    struct arena *arena, struct message *ret, struct error *err) {
    if (len < MESSAGE_HEADER_LEN)
        return error_set(err, DISP_POISON, 0, "%zu bytes are no message: its header has %d", len,
                         MESSAGE_HEADER_LEN);
    if (bytes[0] != 0)
        return error_set(err, DISP_POISON, 0,
                         "a message begins with byte 0x00 (schema id follows), this with 0x%02x",
                         bytes[0]);
    int32_t id = (int32_t)((uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 |
                           (uint32_t)bytes[3] << 8 | bytes[4]);
    enum record_id record;
    const struct resolution *resolution = NULL;
    if (!schema_ids_resolve(ids, id, &record, &resolution, err))
        return false;

    const struct record_type *type = record_types[record];
    void *body = arena_alloc(arena, type->struct_size);
    if (!body)
        return error_set(err, DISP_RETRY, 0, "%s: no memory left for the record", type->name);
    const uint8_t *at = bytes + MESSAGE_HEADER_LEN;
    const uint8_t *end = bytes + len;
    if (resolution && !resolution_apply(resolution, at, end, arena, &at, &end, err))
        return error_wrap(err, "schema id %d", id);
    if (!type->decode(at, end, arena, body, err))
        return false;
    *ret = (struct message){record, body};
    return true;
}
