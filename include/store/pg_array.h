// SPDX-License-Identifier: Apache-2.0
//
// A one-dimensional PostgreSQL array in binary form, built value by value in one buffer that is
// kept when the array is cleared. Every call appends one element; the element type is the caller's
// to keep. One thread at a time.
#ifndef ORDERLOG_STORE_PG_ARRAY_H
#define ORDERLOG_STORE_PG_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/id.h"

// Types of PostgreSQL's catalogue; these numbers never change.
enum pg_oid {
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_INT8 = 20,
    PG_INT4 = 23,
    PG_TEXT = 25,
    PG_TIMESTAMPTZ = 1184,
    PG_UUID = 2950,
    PG_JSONB = 3802,
};

// {0} is an empty array.
struct pg_array {
    uint8_t *bytes; // owned
    size_t length;
    size_t size;
    uint32_t count;
    bool has_null;
    bool failed; // memory was out: not to be sent
};

void pg_array_done(struct pg_array *array);
void pg_array_clear(struct pg_array *array);

// Room for one element of this length, to be filled by the caller; NULL when memory is out.
uint8_t *pg_array_extend(struct pg_array *array, size_t length);

void pg_array_add(struct pg_array *array, const void *bytes, size_t length);
void pg_array_add_null(struct pg_array *array);
void pg_array_add_int4(struct pg_array *array, int32_t value);
void pg_array_add_int8(struct pg_array *array, int64_t value);
void pg_array_add_time(struct pg_array *array, int64_t us); // since 1970

// Writes the header. bytes and length may be sent as a parameter until the next change. False when
// memory was out.
bool pg_array_finish(struct pg_array *array, enum pg_oid type);

// The first of its elements, which follow one another: for COPY, where a field looks the same.
const uint8_t *pg_array_elements(const struct pg_array *array);
size_t pg_array_element_length(const uint8_t *element); // with the four bytes that say it

#endif
