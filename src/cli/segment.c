// SPDX-License-Identifier: Apache-2.0
#include "cli/segment.h"

#include <string.h>

// baseOffset 8, batchLength 4, partitionLeaderEpoch 4, magic 1, crc 4, attributes 2,
// lastOffsetDelta 4, baseTimestamp 8, maxTimestamp 8, producerId 8, producerEpoch 2,
// baseSequence 4, count 4; the length counts what follows it.
enum {
    AT_LENGTH = 8,
    AT_LEADER_EPOCH = 12,
    AT_MAGIC = 16,
    AT_ATTRIBUTES = 21,
    AT_COUNT = 57,
    HEADER_LEN = 61,
    MAGIC = 2,
    COMPRESSION_BITS = 7,
    CONTROL_BIT = 32,
};

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static uint64_t big_endian(const uint8_t *at, size_t length) {
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++)
        value = value << 8 | at[i];
    return value;
}

// Zigzag, as in protocol buffers.
static int64_t take_varint(struct cursor *cursor) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
        const uint8_t byte = *cursor->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
    }
    cursor->failed = true;
    return 0;
}

// -1 as a length stands for NULL.
static const uint8_t *take_bytes(struct cursor *cursor, size_t *ret_length) {
    const int64_t length = take_varint(cursor);
    *ret_length = 0;
    if (cursor->failed || length == -1)
        return NULL;
    if (length < 0 || length > cursor->end - cursor->at) {
        cursor->failed = true;
        return NULL;
    }
    const uint8_t *bytes = cursor->at;
    cursor->at += length;
    *ret_length = (size_t)length;
    return bytes;
}

static bool read_record(struct cursor *batch, int64_t base_offset, struct segment_record *ret) {
    const int64_t length = take_varint(batch);
    if (batch->failed || length < 1 || length > batch->end - batch->at)
        return false;
    struct cursor record = {.at = batch->at + 1, .end = batch->at + length}; // attributes: unused
    batch->at += length;
    (void)take_varint(&record); // time
    ret->offset = (int64_t)((uint64_t)base_offset + (uint64_t)take_varint(&record));
    ret->key = take_bytes(&record, &ret->key_len);
    ret->value = take_bytes(&record, &ret->value_len);
    return !record.failed;
}

// False: its records are not as they should be.
static bool read_batch(const uint8_t *bytes, size_t length, segment_visit_fn *visit, void *state,
                       struct segment_counts *counts) {
    const int64_t base_offset = (int64_t)big_endian(bytes, 8);
    const unsigned attributes = (unsigned)big_endian(bytes + AT_ATTRIBUTES, 2);
    const uint32_t count = (uint32_t)big_endian(bytes + AT_COUNT, 4);
    struct cursor batch = {.at = bytes + HEADER_LEN, .end = bytes + length};
    if (attributes & CONTROL_BIT)
        return true;
    if (attributes & COMPRESSION_BITS) {
        counts->compressed++;
        return true;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct segment_record record;
        if (!read_record(&batch, base_offset, &record))
            return false;
        counts->records++;
        visit(state, &record);
    }
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

void segment_read(const uint8_t *bytes, size_t length, segment_visit_fn *visit, void *state,
                  struct segment_counts *ret) {
    *ret = (struct segment_counts){0};
    size_t at = 0;
    while (length - at >= HEADER_LEN) {
        const uint8_t *batch = bytes + at;
        const uint64_t size = AT_LEADER_EPOCH + big_endian(batch + AT_LENGTH, 4);
        if (size < HEADER_LEN || size > length - at || batch[AT_MAGIC] != MAGIC ||
            !read_batch(batch, size, visit, state, ret))
            break;
        at += size;
    }
    ret->unread = is_zero(bytes + at, length - at) ? 0 : length - at;
}
