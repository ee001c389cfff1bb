// SPDX-License-Identifier: Apache-2.0
//
// A record batch, format 2, as it is sent and as it lies in the broker's segments
// (https://kafka.apache.org/documentation/#recordbatch). Records are written into it one by one;
// once sealed its bytes are ready to be sent. Memory is kept from batch to batch. One thread.
#ifndef ORDERLOG_WIRE_BATCH_H
#define ORDERLOG_WIRE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/error.h"

// Headers as they stand in a record, one after another: see wire_header_put().
struct wire_headers {
    const uint8_t *bytes;
    size_t len;
    uint32_t count;
};

struct wire_record {
    const void *key; // NULL: none
    size_t key_len;
    const void *value; // NULL: none, a tombstone
    size_t value_len;
    struct wire_headers headers;
};

enum wire_compression { // as the attributes of a batch number them
    WIRE_UNCOMPRESSED = 0,
    WIRE_GZIP = 1,
    WIRE_LZ4 = 3,
    WIRE_ZSTD = 4,
};

struct wire_batch {
    uint8_t *bytes; // owned: the batch's header, then records
    size_t len;     // 0: empty
    size_t capacity;
    int32_t count;
    int64_t first_ms; // timestamps
    int64_t last_ms;
    uint8_t *packed; // owned: the same compressed
    size_t packed_capacity;
};

void wire_batch_done(struct wire_batch *batch);
void wire_batch_reset(struct wire_batch *batch);

// Bytes that the record will take at most.
size_t wire_record_size_max(const struct wire_record *record);

void wire_batch_append(struct wire_batch *batch, const struct wire_record *record, int64_t now_ms);

// Whose batch it is, and the number of its first record among those to its partition.
struct wire_batch_owner {
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t sequence;
    bool in_transaction;
};

// *ret stays valid until the batch is changed. False: compressing failed.
bool wire_batch_seal(struct wire_batch *batch, const struct wire_batch_owner *owner,
                     enum wire_compression compression, const uint8_t **ret, size_t *ret_len,
                     struct error *err);

enum { WIRE_HEADER_ROOM = 10 }; // besides name and value

// One header into memory that has the room; returned is what comes behind.
uint8_t *wire_header_put(uint8_t *at, const char *name, size_t name_len, const void *value,
                         size_t len);

#endif
