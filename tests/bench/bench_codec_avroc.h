// SPDX-License-Identifier: Apache-2.0
//
// The yardstick of the codec: OrderPlaced from and to avro-c's generic values, written out by hand
// as one who wants it fast would, by index and without a look-up of any name.
#ifndef ORDERLOG_BENCH_CODEC_AVROC_H
#define ORDERLOG_BENCH_CODEC_AVROC_H

#include <avro.h>

#include "event/types.h"

// Every text of the order must be followed by a NUL, so that none has to be copied for avro-c.
void bench_avroc_set(const struct order_placed *order, avro_value_t *value);

// Texts stay in the value; lines are the caller's, of whom lines_max are taken.
void bench_avroc_get(avro_value_t *value, struct order_line *lines, uint32_t lines_max,
                     struct order_placed *ret);

#endif
