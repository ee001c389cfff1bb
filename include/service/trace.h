// SPDX-License-Identifier: Apache-2.0
//
// W3C trace context (https://www.w3.org/TR/trace-context/): which trace something belongs to, and
// which span caused it. Pure functions, any thread.
#ifndef ORDERLOG_SERVICE_TRACE_H
#define ORDERLOG_SERVICE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRACE_ID_LEN = 16,
    TRACE_SPAN_ID_LEN = 8,
    TRACE_TEXT_LEN = 55,
    TRACE_ID_TEXT_LEN = 32,
    TRACE_SAMPLED = 1,
};

struct trace_context {
    bool is_set;   // all else is nothing where it is not
    uint8_t flags; // TRACE_SAMPLED: its spans are wanted
    uint8_t trace_id[TRACE_ID_LEN];
    uint8_t span_id[TRACE_SPAN_ID_LEN]; // all zero: there is no span yet
};

// A traceparent. False, and *ret not set: it is none of version 00 (text need not be terminated).
bool trace_parse(const char *text, size_t length, struct trace_context *ret);

// 55 characters and a NUL.
void trace_format(const struct trace_context *trace, char ret[TRACE_TEXT_LEN + 1]);

// The trace id in hexadecimal, and a NUL.
void trace_id_format(const struct trace_context *trace, char ret[TRACE_ID_TEXT_LEN + 1]);

static inline bool trace_is_sampled(const struct trace_context *trace) {
    return trace->is_set && (trace->flags & TRACE_SAMPLED);
}

// Several in one header value, for a record that holds a group of messages: "0=00-…-01,3=00-…-01",
// by message in ascending order. Returns the number of bytes that trace_put_one() wrote, at most
// TRACE_ONE_MAX; first: no comma in front.
enum { TRACE_ONE_MAX = 1 + 10 + 1 + TRACE_TEXT_LEN };
size_t trace_put_one(char *ret, bool first, uint32_t index, const struct trace_context *trace);

// Steps through them. False: no more, or the rest is not well-formed.
bool trace_next(const char **at, const char *end, uint32_t *ret_index, struct trace_context *ret);

#endif
