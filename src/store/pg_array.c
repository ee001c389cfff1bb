// SPDX-License-Identifier: Apache-2.0
#include "store/pg_array.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "store/db.h"

enum {
    HEADER_LEN = 20, // dimensions, null flag, element type, size, lower bound: 4 bytes each
    EMPTY_LEN = 12,  // no dimensions, hence neither size nor bound
    FIRST_SIZE = 1024,
};

static void put_u32(uint8_t *at, uint32_t value) {
    uint32_t big = htobe32(value);
    memcpy(at, &big, sizeof(big));
}

void pg_array_done(struct pg_array *array) {
    free(array->bytes);
    *array = (struct pg_array){0};
}

void pg_array_clear(struct pg_array *array) {
    array->length = 0;
    array->count = 0;
    array->has_null = false;
    array->failed = false;
}

static bool reserve(struct pg_array *array, size_t needed) {
    if (needed <= array->size)
        return true;
    size_t size = array->size ? array->size : FIRST_SIZE;
    while (size < needed)
        size *= 2;
    uint8_t *bytes = realloc(array->bytes, size);
    if (!bytes) {
        array->failed = true;
        return false;
    }
    array->bytes = bytes;
    array->size = size;
    return true;
}

uint8_t *pg_array_extend(struct pg_array *array, size_t length) {
    size_t begin = array->count > 0 ? array->length : HEADER_LEN;
    if (array->failed || !reserve(array, begin + sizeof(uint32_t) + length))
        return NULL;
    put_u32(array->bytes + begin, (uint32_t)length);
    array->length = begin + sizeof(uint32_t) + length;
    array->count++;
    return array->bytes + begin + sizeof(uint32_t);
}

void pg_array_add(struct pg_array *array, const void *bytes, size_t length) {
    uint8_t *at = pg_array_extend(array, length);
    if (at && length > 0)
        memcpy(at, bytes, length);
}

void pg_array_add_null(struct pg_array *array) {
    uint8_t *at = pg_array_extend(array, 0);
    if (at)
        put_u32(at - sizeof(uint32_t), UINT32_MAX);
    array->has_null = true;
}

void pg_array_add_int4(struct pg_array *array, int32_t value) {
    uint32_t big = htobe32((uint32_t)value);
    pg_array_add(array, &big, sizeof(big));
}

void pg_array_add_int8(struct pg_array *array, int64_t value) {
    uint64_t big = htobe64((uint64_t)value);
    pg_array_add(array, &big, sizeof(big));
}

// A time before what a timestamptz can hold is the server's to refuse; here only the subtraction
// must not overflow.
void pg_array_add_time(struct pg_array *array, int64_t us) {
    pg_array_add_int8(array, us < INT64_MIN + DB_EPOCH_US ? INT64_MIN + 1 : us - DB_EPOCH_US);
}

bool pg_array_finish(struct pg_array *array, enum pg_oid type) {
    if (array->failed || !reserve(array, HEADER_LEN))
        return false;
    put_u32(array->bytes, array->count > 0 ? 1 : 0);
    put_u32(array->bytes + 4, array->has_null ? 1 : 0);
    put_u32(array->bytes + 8, (uint32_t)type);
    put_u32(array->bytes + 12, array->count);
    put_u32(array->bytes + 16, 1);
    if (array->count == 0)
        array->length = EMPTY_LEN;
    return true;
}

const uint8_t *pg_array_elements(const struct pg_array *array) {
    return array->bytes + HEADER_LEN;
}

size_t pg_array_element_length(const uint8_t *element) {
    uint32_t big;
    memcpy(&big, element, sizeof(big));
    const uint32_t length = be32toh(big);
    return sizeof(big) + (length == UINT32_MAX ? 0 : length);
}
