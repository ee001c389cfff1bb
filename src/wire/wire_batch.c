// SPDX-License-Identifier: Apache-2.0
#include "wire/wire_batch.h"

#include "wire/wire_crc32c.h"
#include "wire/wire_pack.h"
#include "wire/wire_put.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// Where the fields of a batch's header begin; the checksum covers everything behind itself.
enum {
    AT_LENGTH = 8,
    AT_MAGIC = 16,
    AT_CRC = 17,
    AT_ATTRIBUTES = 21,
    RECORDS_BEGIN = 61,
    MAGIC = 2,
    TRANSACTIONAL = 0x10,
    RECORD_ROOM = 1 + 6 * WIRE_VARINT_MAX, // of a record besides its key, value and headers
};

void wire_batch_done(struct wire_batch *batch) {
    free(batch->bytes);
    free(batch->packed);
    *batch = (struct wire_batch){0};
}

void wire_batch_reset(struct wire_batch *batch) {
    batch->len = 0;
    batch->count = 0;
}

size_t wire_record_size_max(const struct wire_record *record) {
    return RECORD_ROOM + record->key_len + record->value_len + record->headers.len;
}

static void grow(struct wire_batch *batch, size_t size) {
    size_t capacity = batch->capacity ? batch->capacity : 4096;
    while (capacity < size)
        capacity *= 2;
    batch->bytes = realloc(batch->bytes, capacity);
    assert(batch->bytes && "out of memory for a record batch");
    batch->capacity = capacity;
}

static uint8_t *put_blob(uint8_t *at, const void *bytes, size_t len) {
    if (!bytes)
        return wire_at_varint(at, -1);
    at = wire_at_varint(at, (int64_t)len);
    memcpy(at, bytes, len);
    return at + len;
}

static size_t blob_size(const void *bytes, size_t len) {
    return bytes ? wire_varint_size((int64_t)len) + len : 1;
}

void wire_batch_append(struct wire_batch *batch, const struct wire_record *record, int64_t now_ms) {
    if (batch->len == 0) {
        batch->len = RECORDS_BEGIN;
        batch->first_ms = batch->last_ms = now_ms;
    }
    const size_t room = batch->len + wire_record_size_max(record);
    if (room > batch->capacity)
        grow(batch, room);
    if (now_ms > batch->last_ms)
        batch->last_ms = now_ms;
    const int64_t later_ms = now_ms - batch->first_ms;
    const size_t len = 1 + wire_varint_size(later_ms) + wire_varint_size(batch->count) +
                       blob_size(record->key, record->key_len) +
                       blob_size(record->value, record->value_len) +
                       wire_varint_size(record->headers.count) + record->headers.len;
    uint8_t *at = batch->bytes + batch->len;
    at = wire_at_varint(at, (int64_t)len);
    *at++ = 0; // attributes: none are defined
    at = wire_at_varint(at, later_ms);
    at = wire_at_varint(at, batch->count);
    at = put_blob(at, record->key, record->key_len);
    at = put_blob(at, record->value, record->value_len);
    at = wire_at_varint(at, record->headers.count);
    if (record->headers.len > 0)
        memcpy(at, record->headers.bytes, record->headers.len);
    at += record->headers.len;
    batch->len = (size_t)(at - batch->bytes);
    batch->count++;
}

bool wire_batch_seal(struct wire_batch *batch, const struct wire_batch_owner *owner,
                     enum wire_compression compression, const uint8_t **ret, size_t *ret_len,
                     struct error *err) {
    assert(batch->count > 0);
    uint8_t *bytes = batch->bytes;
    size_t len = batch->len;
    if (compression != WIRE_UNCOMPRESSED) {
        const size_t room = RECORDS_BEGIN + wire_pack_bound(compression, len - RECORDS_BEGIN);
        if (room > batch->packed_capacity) {
            batch->packed = realloc(batch->packed, room);
            assert(batch->packed && "out of memory for a compressed batch");
            batch->packed_capacity = room;
        }
        size_t packed = wire_pack(compression, bytes + RECORDS_BEGIN, len - RECORDS_BEGIN,
                                  batch->packed + RECORDS_BEGIN, room - RECORDS_BEGIN);
        if (packed == 0)
            return error_set(err, DISP_ABORT, 0, "a record batch cannot be compressed");
        bytes = batch->packed;
        len = RECORDS_BEGIN + packed;
    }
    uint8_t *at = wire_at_i64(bytes, 0); // base offset: the broker's
    at = wire_at_i32(at, (int32_t)(len - AT_LENGTH - sizeof(int32_t)));
    (void)wire_at_i32(at, -1); // leader epoch: the broker's
    bytes[AT_MAGIC] = MAGIC;
    const int attributes = (int)compression | (owner->in_transaction ? TRANSACTIONAL : 0);
    at = wire_at_i16(bytes + AT_ATTRIBUTES, (int16_t)attributes);
    at = wire_at_i32(at, batch->count - 1);
    at = wire_at_i64(at, batch->first_ms);
    at = wire_at_i64(at, batch->last_ms);
    at = wire_at_i64(at, owner->producer_id);
    at = wire_at_i16(at, owner->producer_epoch);
    at = wire_at_i32(at, owner->sequence);
    at = wire_at_i32(at, batch->count);
    assert(at == bytes + RECORDS_BEGIN);
    (void)wire_at_i32(bytes + AT_CRC,
                      (int32_t)wire_crc32c(bytes + AT_ATTRIBUTES, len - AT_ATTRIBUTES));
    *ret = bytes;
    *ret_len = len;
    return true;
}

uint8_t *wire_header_put(uint8_t *at, const char *name, size_t name_len, const void *value,
                         size_t len) {
    return put_blob(put_blob(at, name, name_len), value, len);
}
