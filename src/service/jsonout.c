// SPDX-License-Identifier: Apache-2.0
//
// Writes JSON as it is told; bytes that are not UTF-8 become U+FFFD, so that what leaves is always
// valid.
#include "service/jsonout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSONOUT_FIRST = 512 };

void jsonout_init(struct jsonout *out) {
    *out = (struct jsonout){0};
}

void jsonout_done(struct jsonout *out) {
    free(out->bytes);
    jsonout_init(out);
}

void jsonout_reset(struct jsonout *out) {
    out->length = 0;
    out->comma = false;
    out->failed = false;
}

char *jsonout_take(struct jsonout *out, size_t *ret_length) {
    if (out->failed || !out->bytes) {
        jsonout_done(out);
        return NULL;
    }
    char *bytes = out->bytes;
    *ret_length = out->length;
    jsonout_init(out);
    return bytes;
}

static bool reserve(struct jsonout *out, size_t more) {
    if (out->failed)
        return false;
    // One byte is kept for the terminating NUL.
    if (out->size - out->length > more)
        return true;
    size_t size = out->size ? out->size : JSONOUT_FIRST;
    while (size - out->length <= more) {
        if (__builtin_mul_overflow(size, 2, &size)) {
            out->failed = true;
            return false;
        }
    }
    char *bytes = realloc(out->bytes, size);
    if (!bytes) {
        out->failed = true;
        return false;
    }
    out->bytes = bytes;
    out->size = size;
    return true;
}

static void put(struct jsonout *out, const char *bytes, size_t length) {
    if (!reserve(out, length))
        return;
    memcpy(out->bytes + out->length, bytes, length);
    out->length += length;
    out->bytes[out->length] = '\0';
}

static size_t utf8_length(const unsigned char *at, size_t left) {
    size_t length = at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
    if (at[0] < 0xC2 || at[0] > 0xF4 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    }
    bool overlong = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90);
    bool beyond = (at[0] == 0xED && at[1] > 0x9F) || (at[0] == 0xF4 && at[1] > 0x8F);
    return overlong || beyond ? 0 : length;
}

// Sixteen bytes at once; the compiler makes SSE2, NEON or plain code of it.
typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint64_t halves2 __attribute__((vector_size(16)));

static bool are_plain(const unsigned char *at) {
    bytes16 bytes;
    memcpy(&bytes, at, sizeof(bytes));
    halves2 special =
        (halves2)((bytes < 0x20) | (bytes >= 0x80) | (bytes == '"') | (bytes == '\\'));
    return (special[0] | special[1]) == 0;
}

static size_t plain_run(const unsigned char *at, const unsigned char *end) {
    const unsigned char *from = at;
    while (end - at >= (ptrdiff_t)sizeof(bytes16) && are_plain(at))
        at += sizeof(bytes16);
    while (at < end && *at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return (size_t)(at - from);
}

static void put_string(struct jsonout *out, const char *value, size_t length) {
    const unsigned char *at = (const unsigned char *)value;
    const unsigned char *end = at + length;
    size_t run = plain_run(at, end);
    if (run == length) { // nearly always
        if (!reserve(out, length + 2))
            return;
        char *to = out->bytes + out->length;
        to[0] = to[length + 1] = '"';
        memcpy(to + 1, value, length);
        to[length + 2] = '\0';
        out->length += length + 2;
        return;
    }
    put(out, "\"", 1);
    for (; at < end; run = plain_run(at, end)) {
        put(out, (const char *)at, run);
        at += run;
        if (at == end)
            break;
        size_t width = *at >= 0x80 ? utf8_length(at, (size_t)(end - at)) : 1;
        char escape[8];
        if (width == 0) {
            put(out, "\xEF\xBF\xBD", 3);
            width = 1;
        } else if (width > 1) {
            put(out, (const char *)at, width);
        } else if (*at == '"' || *at == '\\') {
            put(out, (char[]){'\\', (char)*at}, 2);
        } else {
            (void)snprintf(escape, sizeof(escape), "\\u%04x", *at);
            put(out, escape, 6);
        }
        at += width;
    }
    put(out, "\"", 1);
}

static void put_name(struct jsonout *out, const char *name) {
    if (out->comma)
        put(out, ",", 1);
    out->comma = true;
    if (!name)
        return;
    put_string(out, name, strlen(name));
    put(out, ":", 1);
}

static void open_with(struct jsonout *out, const char *name, const char *bracket) {
    put_name(out, name);
    put(out, bracket, 1);
    out->comma = false;
}

static void close_with(struct jsonout *out, const char *bracket) {
    put(out, bracket, 1);
    out->comma = true;
}

void jsonout_object_begin(struct jsonout *out, const char *name) {
    open_with(out, name, "{");
}

void jsonout_object_end(struct jsonout *out) {
    close_with(out, "}");
}

void jsonout_array_begin(struct jsonout *out, const char *name) {
    open_with(out, name, "[");
}

void jsonout_array_end(struct jsonout *out) {
    close_with(out, "]");
}

void jsonout_string_n(struct jsonout *out, const char *name, const char *value, size_t length) {
    put_name(out, name);
    put_string(out, value, length);
}

void jsonout_string(struct jsonout *out, const char *name, const char *value) {
    if (!value) {
        jsonout_null(out, name);
        return;
    }
    jsonout_string_n(out, name, value, strlen(value));
}

void jsonout_int(struct jsonout *out, const char *name, int64_t value) {
    char number[24];
    char *at = number + sizeof(number);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    put_name(out, name);
    put(out, at, (size_t)(number + sizeof(number) - at));
}

void jsonout_bool(struct jsonout *out, const char *name, bool value) {
    jsonout_raw(out, name, value ? "true" : "false", value ? 4 : 5);
}

void jsonout_null(struct jsonout *out, const char *name) {
    jsonout_raw(out, name, "null", 4);
}

void jsonout_raw(struct jsonout *out, const char *name, const char *json, size_t length) {
    put_name(out, name);
    put(out, json, length);
}

void jsonout_newline(struct jsonout *out) {
    put(out, "\n", 1);
    out->comma = false;
}
