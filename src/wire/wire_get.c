// SPDX-License-Identifier: Apache-2.0
#include "wire/wire_get.h"

#include <string.h>

static const uint8_t *take(struct wire_reader *reader, size_t len) {
    if (reader->broken || (size_t)(reader->end - reader->at) < len) {
        reader->broken = true;
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += len;
    return at;
}

static uint64_t get_big(struct wire_reader *reader, size_t size) {
    const uint8_t *at = take(reader, size);
    uint64_t value = 0;
    for (size_t i = 0; at && i < size; i++)
        value = value << 8 | at[i];
    return value;
}

int8_t wire_get_i8(struct wire_reader *reader) {
    return (int8_t)get_big(reader, 1);
}

int16_t wire_get_i16(struct wire_reader *reader) {
    return (int16_t)get_big(reader, 2);
}

int32_t wire_get_i32(struct wire_reader *reader) {
    return (int32_t)get_big(reader, 4);
}

int64_t wire_get_i64(struct wire_reader *reader) {
    return (int64_t)get_big(reader, 8);
}

uint64_t wire_get_uvarint(struct wire_reader *reader) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t *at = take(reader, 1);
        if (!at)
            return 0;
        value |= (uint64_t)(*at & 0x7f) << shift;
        if (!(*at & 0x80))
            return value;
    }
    reader->broken = true;
    return 0;
}

static struct wire_view view_of(struct wire_reader *reader, size_t len) {
    const uint8_t *at = take(reader, len);
    return (struct wire_view){.ptr = (const char *)at, .len = at ? len : 0};
}

struct wire_view wire_get_string(struct wire_reader *reader) {
    const uint64_t len = wire_get_uvarint(reader);
    if (len == 0)
        return (struct wire_view){0};
    return view_of(reader, (size_t)(len - 1));
}

struct wire_view wire_get_string16(struct wire_reader *reader) {
    const int16_t len = wire_get_i16(reader);
    if (len < 0)
        return (struct wire_view){0};
    return view_of(reader, (size_t)len);
}

size_t wire_get_count(struct wire_reader *reader) {
    const uint64_t count = wire_get_uvarint(reader);
    if (count == 0)
        return 0;
    if (count - 1 > (uint64_t)(reader->end - reader->at)) {
        reader->broken = true;
        return 0;
    }
    return (size_t)(count - 1);
}

void wire_get_skip(struct wire_reader *reader, size_t len) {
    (void)take(reader, len);
}

void wire_get_tags(struct wire_reader *reader, struct wire_tags *ret) {
    *ret = (struct wire_tags){.left = wire_get_uvarint(reader)};
}

bool wire_get_tag(struct wire_reader *reader, struct wire_tags *tags) {
    if (tags->left == 0 || reader->broken)
        return false;
    tags->left--;
    tags->tag = wire_get_uvarint(reader);
    const uint64_t len = wire_get_uvarint(reader);
    const uint8_t *at = take(reader, (size_t)len);
    if (!at)
        return false;
    tags->value = (struct wire_reader){.at = at, .end = at + len};
    return true;
}

void wire_get_skip_tags(struct wire_reader *reader) {
    struct wire_tags tags;
    wire_get_tags(reader, &tags);
    while (wire_get_tag(reader, &tags))
        continue;
}

bool wire_view_is(struct wire_view view, const char *text) {
    return view.ptr && strlen(text) == view.len && memcmp(view.ptr, text, view.len) == 0;
}
