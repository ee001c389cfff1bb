// SPDX-License-Identifier: Apache-2.0
//
// Compression of a batch's records, each in the frame that Kafka expects.
#ifndef ORDERLOG_WIRE_PACK_H
#define ORDERLOG_WIRE_PACK_H

#include "wire/wire_batch.h"

// The most that len bytes can become.
size_t wire_pack_bound(enum wire_compression compression, size_t len);

// Returns the length of the result, 0 when the library refuses.
size_t wire_pack(enum wire_compression compression, const void *bytes, size_t len, uint8_t *out,
                 size_t room);

#endif
