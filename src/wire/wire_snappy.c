// SPDX-License-Identifier: Apache-2.0
#include "wire_snappy.h"

#include "wire/wire_get.h"

#include <string.h>

enum { TAG_LITERAL, TAG_COPY_1, TAG_COPY_2, TAG_COPY_4 };
enum { LITERAL_IN_TAG_MAX = 60, JAVA_HEADER_LEN = 16 };

static const uint8_t java_magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

static uint32_t get_little(struct wire_reader *reader, unsigned size) {
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)(uint8_t)wire_get_i8(reader) << 8 * i;
    return value;
}

// What one tag says: so many bytes, from the input (distance 0) or from so far back in the output.
struct piece {
    size_t len;
    size_t distance;
};

static struct piece get_piece(struct wire_reader *reader) {
    const uint8_t tag = (uint8_t)wire_get_i8(reader);
    const size_t upper = tag >> 2;
    switch (tag & 3) {
    case TAG_LITERAL:
        if (upper < LITERAL_IN_TAG_MAX)
            return (struct piece){.len = upper + 1};
        return (struct piece){
            .len = (size_t)get_little(reader, (unsigned)upper - LITERAL_IN_TAG_MAX + 1) + 1};
    case TAG_COPY_1:
        return (struct piece){.len = 4 + (upper & 7),
                              .distance = (upper >> 3) << 8 | get_little(reader, 1)};
    case TAG_COPY_2:
        return (struct piece){.len = upper + 1, .distance = get_little(reader, 2)};
    case TAG_COPY_4:
    default:
        return (struct piece){.len = upper + 1, .distance = get_little(reader, 4)};
    }
}

// One block, behind what lies in room already.
static bool unpack(struct wire_reader *reader, struct wire_room *room, size_t *len) {
    const uint64_t size = wire_get_uvarint(reader);
    if (reader->broken || size > WIRE_UNPACKED_BYTES_MAX - *len)
        return false;
    wire_room_make(room, *len + size + 1); // there is memory even for nothing
    uint8_t *begin = room->bytes + *len, *at = begin, *end = begin + size;
    while (at < end) {
        const bool is_literal = reader->at < reader->end && (*reader->at & 3) == TAG_LITERAL;
        const struct piece piece = get_piece(reader);
        if (reader->broken || piece.len > (size_t)(end - at))
            return false;
        if (is_literal) {
            const uint8_t *from = reader->at;
            wire_get_skip(reader, piece.len);
            if (reader->broken)
                return false;
            memcpy(at, from, piece.len);
            at += piece.len;
            continue;
        }
        if (piece.distance == 0 || piece.distance > (size_t)(at - begin))
            return false;
        for (size_t i = 0; i < piece.len; i++, at++) // it may reach into itself
            *at = *(at - piece.distance);
    }
    *len += size;
    return true;
}

bool wire_snappy(const uint8_t *bytes, size_t len, struct wire_room *room, size_t *ret_len) {
    struct wire_reader reader = {.at = bytes, .end = bytes + len};
    *ret_len = 0;
    if (len < JAVA_HEADER_LEN || memcmp(bytes, java_magic, sizeof(java_magic)) != 0)
        return unpack(&reader, room, ret_len) && reader.at == reader.end;
    wire_get_skip(&reader, JAVA_HEADER_LEN);
    while (reader.at < reader.end) {
        const uint32_t size = (uint32_t)wire_get_i32(&reader);
        struct wire_reader block = {.at = reader.at};
        if (reader.broken || size > (size_t)(reader.end - reader.at))
            return false;
        block.end = block.at + size;
        if (!unpack(&block, room, ret_len) || block.at != block.end)
            return false;
        wire_get_skip(&reader, size);
    }
    return true;
}
