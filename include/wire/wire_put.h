// SPDX-License-Identifier: Apache-2.0
//
// Kafka's primitive types, written into memory that grows ("The Kafka protocol guide", protocol
// primitive types). Compact forms only, but where the name says otherwise. One thread.
#ifndef ORDERLOG_WIRE_PUT_H
#define ORDERLOG_WIRE_PUT_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WIRE_VARINT_MAX = 10 }; // bytes of the longest one

struct wire_writer {
    uint8_t *bytes; // owned
    size_t len;
    size_t capacity;
};

void wire_writer_done(struct wire_writer *writer);

// Makes room for so many bytes more; asserts that there is memory.
void wire_put_room(struct wire_writer *writer, size_t size);

void wire_put_bytes(struct wire_writer *writer, const void *bytes, size_t len);
void wire_put_i8(struct wire_writer *writer, int8_t value);
void wire_put_i16(struct wire_writer *writer, int16_t value);
void wire_put_i32(struct wire_writer *writer, int32_t value);
void wire_put_i64(struct wire_writer *writer, int64_t value);
void wire_put_uvarint(struct wire_writer *writer, uint64_t value);
void wire_put_string(struct wire_writer *writer, const char *text); // NULL: null
void wire_put_data(struct wire_writer *writer, const void *bytes, size_t len);
void wire_put_string16(struct wire_writer *writer, const char *text); // with a length of 16 bits
void wire_put_count(struct wire_writer *writer, size_t count);        // of an array
void wire_put_no_tags(struct wire_writer *writer);

// Into memory that has the room: big-endian numbers, and both kinds of variable-length ones.
// Returned is what comes behind.
static inline uint8_t *wire_at_i16(uint8_t *at, int16_t value) {
    const uint16_t big = htobe16((uint16_t)value);
    memcpy(at, &big, sizeof(big));
    return at + sizeof(big);
}

static inline uint8_t *wire_at_i32(uint8_t *at, int32_t value) {
    const uint32_t big = htobe32((uint32_t)value);
    memcpy(at, &big, sizeof(big));
    return at + sizeof(big);
}

static inline uint8_t *wire_at_i64(uint8_t *at, int64_t value) {
    const uint64_t big = htobe64((uint64_t)value);
    memcpy(at, &big, sizeof(big));
    return at + sizeof(big);
}

static inline uint8_t *wire_at_uvarint(uint8_t *at, uint64_t value) {
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline uint64_t wire_zigzag(int64_t value) {
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static inline uint8_t *wire_at_varint(uint8_t *at, int64_t value) {
    return wire_at_uvarint(at, wire_zigzag(value));
}

// Bytes that wire_at_varint() takes.
static inline size_t wire_varint_size(int64_t value) {
    return (size_t)(70 - __builtin_clzll(wire_zigzag(value) | 1)) / 7;
}

#endif
