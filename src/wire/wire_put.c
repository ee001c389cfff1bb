// SPDX-License-Identifier: Apache-2.0
#include "wire/wire_put.h"

#include <assert.h>
#include <stdlib.h>

void wire_writer_done(struct wire_writer *writer) {
    free(writer->bytes);
    *writer = (struct wire_writer){0};
}

void wire_put_room(struct wire_writer *writer, size_t size) {
    if (writer->capacity - writer->len >= size)
        return;
    size_t capacity = writer->capacity ? writer->capacity : 1024;
    while (capacity - writer->len < size)
        capacity *= 2;
    writer->bytes = realloc(writer->bytes, capacity);
    assert(writer->bytes && "out of memory for a request");
    writer->capacity = capacity;
}

void wire_put_bytes(struct wire_writer *writer, const void *bytes, size_t len) {
    wire_put_room(writer, len);
    if (len > 0)
        memcpy(writer->bytes + writer->len, bytes, len);
    writer->len += len;
}

void wire_put_i8(struct wire_writer *writer, int8_t value) {
    wire_put_bytes(writer, &value, 1);
}

void wire_put_i16(struct wire_writer *writer, int16_t value) {
    wire_put_room(writer, sizeof(value));
    (void)wire_at_i16(writer->bytes + writer->len, value);
    writer->len += sizeof(value);
}

void wire_put_i32(struct wire_writer *writer, int32_t value) {
    wire_put_room(writer, sizeof(value));
    (void)wire_at_i32(writer->bytes + writer->len, value);
    writer->len += sizeof(value);
}

void wire_put_i64(struct wire_writer *writer, int64_t value) {
    wire_put_room(writer, sizeof(value));
    (void)wire_at_i64(writer->bytes + writer->len, value);
    writer->len += sizeof(value);
}

void wire_put_uvarint(struct wire_writer *writer, uint64_t value) {
    wire_put_room(writer, WIRE_VARINT_MAX);
    uint8_t *at = writer->bytes + writer->len;
    writer->len += (size_t)(wire_at_uvarint(at, value) - at);
}

void wire_put_data(struct wire_writer *writer, const void *bytes, size_t len) {
    wire_put_uvarint(writer, len + 1);
    wire_put_bytes(writer, bytes, len);
}

void wire_put_string(struct wire_writer *writer, const char *text) {
    if (text)
        wire_put_data(writer, text, strlen(text));
    else
        wire_put_uvarint(writer, 0);
}

void wire_put_string16(struct wire_writer *writer, const char *text) {
    const size_t len = strlen(text);
    assert(len <= INT16_MAX);
    wire_put_i16(writer, (int16_t)len);
    wire_put_bytes(writer, text, len);
}

void wire_put_count(struct wire_writer *writer, size_t count) {
    wire_put_uvarint(writer, count + 1);
}

void wire_put_no_tags(struct wire_writer *writer) {
    wire_put_uvarint(writer, 0);
}
