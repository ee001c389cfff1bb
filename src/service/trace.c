// SPDX-License-Identifier: Apache-2.0
#include "service/trace.h"

#include <stdio.h>
#include <string.h>

// Version, trace id, span id, flags: "00-" 32 "-" 16 "-" 2.
enum { AT_TRACE = 3, AT_SPAN = 36, AT_FLAGS = 53 };

static int digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; // upper case is not allowed
}

static bool read_hex(const char *text, size_t count, uint8_t *ret) {
    for (size_t i = 0; i < count; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static char *put_hex(char *at, const uint8_t *bytes, size_t count) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
    return at;
}

static bool is_zero(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i])
            return false;
    return true;
}

bool trace_parse(const char *text, size_t length, struct trace_context *ret) {
    struct trace_context trace = {.is_set = true};
    *ret = (struct trace_context){0};
    if (length != TRACE_TEXT_LEN || memcmp(text, "00-", AT_TRACE) != 0 ||
        text[AT_SPAN - 1] != '-' || text[AT_FLAGS - 1] != '-' ||
        !read_hex(text + AT_TRACE, TRACE_ID_LEN, trace.trace_id) ||
        !read_hex(text + AT_SPAN, TRACE_SPAN_ID_LEN, trace.span_id) ||
        !read_hex(text + AT_FLAGS, 1, &trace.flags) || is_zero(trace.trace_id, TRACE_ID_LEN) ||
        is_zero(trace.span_id, TRACE_SPAN_ID_LEN))
        return false;
    *ret = trace;
    return true;
}

void trace_format(const struct trace_context *trace, char ret[TRACE_TEXT_LEN + 1]) {
    char *at = ret;
    memcpy(at, "00-", AT_TRACE);
    at = put_hex(at + AT_TRACE, trace->trace_id, TRACE_ID_LEN);
    *at++ = '-';
    at = put_hex(at, trace->span_id, TRACE_SPAN_ID_LEN);
    *at++ = '-';
    at = put_hex(at, &trace->flags, 1);
    *at = '\0';
}

void trace_id_format(const struct trace_context *trace, char ret[TRACE_ID_TEXT_LEN + 1]) {
    *put_hex(ret, trace->trace_id, TRACE_ID_LEN) = '\0';
}

size_t trace_put_one(char *ret, bool first, uint32_t index, const struct trace_context *trace) {
    char text[TRACE_ONE_MAX + 1];
    char parent[TRACE_TEXT_LEN + 1];
    trace_format(trace, parent);
    int length = snprintf(text, sizeof(text), "%s%u=%s", first ? "" : ",", index, parent);
    memcpy(ret, text, (size_t)length);
    return (size_t)length;
}

bool trace_next(const char **at, const char *end, uint32_t *ret_index, struct trace_context *ret) {
    const char *here = *at;
    if (here < end && *here == ',')
        here++;
    uint64_t index = 0;
    const char *digits = here;
    while (here < end && *here >= '0' && *here <= '9' && index <= UINT32_MAX)
        index = index * 10 + (uint64_t)(*here++ - '0');
    if (here == digits || index > UINT32_MAX || here >= end || *here != '=')
        return false;
    here++;
    if (end - here < TRACE_TEXT_LEN || !trace_parse(here, TRACE_TEXT_LEN, ret))
        return false;
    *ret_index = (uint32_t)index;
    *at = here + TRACE_TEXT_LEN;
    return true;
}
