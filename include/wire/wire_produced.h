// SPDX-License-Identifier: Apache-2.0
//
// Reads a response to Produce (version 12): what has become of each batch.
#ifndef ORDERLOG_WIRE_PRODUCED_H
#define ORDERLOG_WIRE_PRODUCED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/wire_get.h"

struct wire_produced {
    struct wire_view topic;
    int32_t partition;
    int16_t code; // 0: written
    int64_t base_offset;
};

// False: such a batch was not in the request.
typedef bool wire_produced_fn(void *opaque, const struct wire_produced *produced);

// Calls take for each batch. False: the response cannot be read, or take has said false.
bool wire_produced_read(struct wire_reader *reader, wire_produced_fn *take, void *opaque);

#endif
