// SPDX-License-Identifier: Apache-2.0
#include "wire/wire_records.h"

#include "wire/wire_crc32c.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    FRAME_LEN = 12,  // offset and length, before what the length counts
    HEAD_LEN = 61,   // the whole header
    CHECKED_AT = 21, // where that begins which the checksum is of
    MAGIC = 2,
    COMPRESSION_BITS = 7, // of the attributes
    TRANSACTIONAL = 0x10,
    CONTROL = 0x20,
    RECORD_LEN_MIN =
        7,     // a byte each: length, attributes, time, offset, no key, no value, no header
    ABORT = 0, // type of a control record
};

bool wire_batch_head_read(struct wire_reader *reader, struct wire_batch_head *ret) {
    if (reader->broken || reader->end - reader->at < FRAME_LEN)
        return false;
    struct wire_reader head = *reader;
    ret->first_offset = wire_get_i64(&head);
    const int32_t len = wire_get_i32(&head);
    if (len < HEAD_LEN - FRAME_LEN || ret->first_offset < 0) {
        reader->broken = true;
        return false;
    }
    if (len > head.end - head.at)
        return false;
    const uint8_t *begin = reader->at, *end = head.at + len;
    (void)wire_get_i32(&head); // leader epoch
    const int8_t magic = wire_get_i8(&head);
    ret->checksum = (uint32_t)wire_get_i32(&head);
    const int16_t attributes = wire_get_i16(&head);
    const int32_t last = wire_get_i32(&head);
    (void)wire_get_i64(&head); // timestamps
    (void)wire_get_i64(&head);
    ret->producer_id = wire_get_i64(&head);
    (void)wire_get_i16(&head); // its epoch
    (void)wire_get_i32(&head); // its sequence
    ret->count = wire_get_i32(&head);
    if (magic != MAGIC || last < 0 || ret->count < 0 || ret->first_offset > INT64_MAX - last - 1) {
        reader->broken = true;
        return false;
    }
    ret->last_offset = ret->first_offset + last;
    ret->compression = attributes & COMPRESSION_BITS;
    ret->is_transactional = attributes & TRANSACTIONAL;
    ret->is_control = attributes & CONTROL;
    ret->checked = (struct wire_view){.ptr = (const char *)begin + CHECKED_AT,
                                      .len = (size_t)(end - begin) - CHECKED_AT};
    ret->records = (struct wire_view){.ptr = (const char *)begin + HEAD_LEN,
                                      .len = (size_t)(end - begin) - HEAD_LEN};
    reader->at = end;
    return true;
}

// ---- records -----------------------------------------------------------------------------------

void wire_records_done(struct wire_records *records) {
    free(records->items);
    wire_room_done(&records->room);
    *records = (struct wire_records){0};
}

// Most are of one byte or two.
static inline int64_t get_varint(struct wire_reader *reader) {
    uint64_t value;
    if (reader->end - reader->at >= 2 && !(reader->at[0] & 0x80)) {
        value = *reader->at++;
    } else if (reader->end - reader->at >= 2 && !(reader->at[1] & 0x80)) {
        value = (reader->at[0] & 0x7f) | (uint64_t)reader->at[1] << 7;
        reader->at += 2;
    } else {
        value = wire_get_uvarint(reader);
    }
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

// A length of -1 is null.
static inline bool get_blob(struct wire_reader *reader, const void **ret, size_t *ret_len) {
    const int64_t len = get_varint(reader);
    if (reader->broken || len < -1 || len > reader->end - reader->at)
        return false;
    *ret = len < 0 ? NULL : reader->at;
    *ret_len = len < 0 ? 0 : (size_t)len;
    reader->at += *ret_len;
    return true;
}

static bool get_record(struct wire_reader *reader, const struct wire_batch_head *head,
                       struct wire_read_record *ret) {
    const int64_t len = get_varint(reader);
    if (reader->broken || len < 1 || len > reader->end - reader->at)
        return false;
    struct wire_reader one = {.at = reader->at + 1, .end = reader->at + len}; // no attributes
    reader->at = one.end;
    (void)get_varint(&one); // time
    const int64_t later = get_varint(&one);
    if (one.broken || later < 0 || later > head->last_offset - head->first_offset)
        return false;
    struct wire_record *record = &ret->record;
    ret->offset = head->first_offset + later;
    if (!get_blob(&one, &record->key, &record->key_len) ||
        !get_blob(&one, &record->value, &record->value_len))
        return false;
    const int64_t headers = get_varint(&one);
    if (one.broken || headers < 0 || headers > one.end - one.at)
        return false;
    record->headers = (struct wire_headers){
        .bytes = one.at, .len = (size_t)(one.end - one.at), .count = (uint32_t)headers};
    return true;
}

static bool get_records(const struct wire_batch_head *head, size_t len, struct wire_records *ret) {
    const size_t count = (size_t)head->count;
    ret->count = 0;
    if (count > len / RECORD_LEN_MIN)
        return false;
    if (count > ret->capacity) {
        ret->items = realloc(ret->items, count * sizeof(*ret->items));
        assert(ret->items && "out of memory for records");
        ret->capacity = count;
    }
    struct wire_reader reader = {.at = ret->room.bytes, .end = ret->room.bytes + len};
    int64_t before = -1;
    for (size_t i = 0; i < count; i++) {
        if (!get_record(&reader, head, &ret->items[i]) || ret->items[i].offset <= before)
            return false;
        before = ret->items[i].offset;
    }
    if (reader.at != reader.end)
        return false;
    ret->count = count;
    return true;
}

static bool is_wrong(const struct wire_batch_head *head, const char *why, struct error *err) {
    return error_set(err, DISP_RETRY, 0, "the record batch at offset %lld %s",
                     (long long)head->first_offset, why);
}

bool wire_batch_is_sound(const struct wire_batch_head *head, struct error *err) {
    return wire_crc32c(head->checked.ptr, head->checked.len) == head->checksum ||
           is_wrong(head, "has a wrong checksum", err);
}

bool wire_records_read(const struct wire_batch_head *head, struct wire_unpacker *unpacker,
                       struct wire_records *ret, struct error *err) {
    size_t len = 0;
    ret->count = 0;
    if (!wire_unpack(unpacker, head->compression, (const uint8_t *)head->records.ptr,
                     head->records.len, &ret->room, &len))
        return is_wrong(head, "cannot be decompressed", err);
    return get_records(head, len, ret) || is_wrong(head, "has records that do not fit it", err);
}

bool wire_record_is_abort(const struct wire_record *record) {
    struct wire_reader key = {.at = record->key, .end = (const uint8_t *)record->key};
    if (record->key)
        key.end += record->key_len;
    (void)wire_get_i16(&key); // version
    const int16_t type = wire_get_i16(&key);
    return !key.broken && type == ABORT;
}

struct wire_view wire_header_find(const struct wire_headers *headers, const char *name) {
    struct wire_reader reader = {.at = headers->bytes, .end = headers->bytes + headers->len};
    struct wire_view found = {0};
    for (uint32_t left = headers->count; left > 0; left--) {
        const void *key, *value;
        size_t key_len, value_len;
        if (!get_blob(&reader, &key, &key_len) || !get_blob(&reader, &value, &value_len))
            break;
        if (wire_view_is((struct wire_view){.ptr = key, .len = key_len}, name))
            found = (struct wire_view){.ptr = value, .len = value_len};
    }
    return found;
}
