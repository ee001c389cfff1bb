// SPDX-License-Identifier: Apache-2.0
//
// What wire_pack.h does, undone, for bytes of anybody's: a topic may make its broker compress anew,
// so all that Kafka knows is known. Contexts and memory are kept from batch to batch. One thread.
#ifndef ORDERLOG_WIRE_UNPACK_H
#define ORDERLOG_WIRE_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_SNAPPY = 2, // besides wire_batch.h's, which are those that we write
    WIRE_UNPACKED_BYTES_MAX = 64 << 20,
};

// Memory that grows to what is put into it.
struct wire_room {
    uint8_t *bytes; // owned
    size_t capacity;
};

void wire_room_done(struct wire_room *room);

// Asserts that there is memory. What was in it is kept.
void wire_room_make(struct wire_room *room, size_t size);

struct wire_unpacker {
    void *lz4;  // owned, once needed
    void *zstd; // owned, once needed
};

void wire_unpacker_done(struct wire_unpacker *unpacker);

// Decompresses (or copies) into room, of which *ret_len bytes are used then. compression as the
// attributes of a batch number it. False: not of that kind, broken, or more than
// WIRE_UNPACKED_BYTES_MAX.
bool wire_unpack(struct wire_unpacker *unpacker, int compression, const uint8_t *bytes, size_t len,
                 struct wire_room *room, size_t *ret_len);

#endif
