// SPDX-License-Identifier: Apache-2.0
//
// From our structs to avro-c's generic values.
#ifndef ORDERLOG_TESTS_CODEC_AVROC_H
#define ORDERLOG_TESTS_CODEC_AVROC_H

#include <avro.h>

#include "event/codec.h"

// Resets the value, which must be of the record's schema, and fills it. Fails the test on errors.
void codec_avroc_set(const struct record_type *type, const void *record, avro_value_t *value);

#endif
