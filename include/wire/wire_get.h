// SPDX-License-Identifier: Apache-2.0
//
// Kafka's primitive types, read from a response. Nothing is read past the end: what is not there is
// 0, NULL or empty, and the reader is broken from then on, which the caller asks once, at the end.
#ifndef ORDERLOG_WIRE_GET_H
#define ORDERLOG_WIRE_GET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_reader {
    const uint8_t *at; // borrowed
    const uint8_t *end;
    bool broken;
};

// Borrowed from the response; ptr is NULL for null.
struct wire_view {
    const char *ptr;
    size_t len;
};

int8_t wire_get_i8(struct wire_reader *reader);
int16_t wire_get_i16(struct wire_reader *reader);
int32_t wire_get_i32(struct wire_reader *reader);
int64_t wire_get_i64(struct wire_reader *reader);
uint64_t wire_get_uvarint(struct wire_reader *reader);
struct wire_view wire_get_string(struct wire_reader *reader);   // compact, strings and bytes
struct wire_view wire_get_string16(struct wire_reader *reader); // with a length of 16 bits

// Of a compact array, 0 for null. Never more than there are bytes left, as each element has one.
size_t wire_get_count(struct wire_reader *reader);

void wire_get_skip(struct wire_reader *reader, size_t len);
void wire_get_skip_tags(struct wire_reader *reader);

// Goes through tagged fields: false when there are no more. The value is a reader of its own.
struct wire_tags {
    uint64_t left;
    uint64_t tag;
    struct wire_reader value;
};
void wire_get_tags(struct wire_reader *reader, struct wire_tags *ret);
bool wire_get_tag(struct wire_reader *reader, struct wire_tags *tags);

bool wire_view_is(struct wire_view view, const char *text);

#endif
