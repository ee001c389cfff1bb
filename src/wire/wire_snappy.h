// SPDX-License-Identifier: Apache-2.0
//
// Snappy, as Java's clients and brokers frame it, and bare
// (https://github.com/google/snappy/blob/main/format_description.txt; snappy-java's
// SnappyOutputStream: a header, then blocks behind their lengths). We write none, but a topic may
// make its broker do so.
#ifndef ORDERLOG_WIRE_SNAPPY_H
#define ORDERLOG_WIRE_SNAPPY_H

#include "wire/wire_unpack.h"

// False: broken, or more than WIRE_UNPACKED_BYTES_MAX.
bool wire_snappy(const uint8_t *bytes, size_t len, struct wire_room *room, size_t *ret_len);

#endif
