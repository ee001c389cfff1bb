// SPDX-License-Identifier: Apache-2.0
//
// The headers of one record, as they stand in it. What all events of a type have in common is made
// once: an event copies it and adds its id.
#ifndef ORDERLOG_STREAM_RECORD_HEADERS_H
#define ORDERLOG_STREAM_RECORD_HEADERS_H

#include "event/id.h"
#include "event/message.h"
#include "service/trace.h"
#include "stream/topics.h"
#include "wire/wire_batch.h"

enum { RECORD_HEADERS_BYTES_MAX = 512 }; // the longest text is the name of a type

struct record_headers {
    uint8_t bytes[RECORD_HEADERS_BYTES_MAX];
    size_t len;
    uint32_t count;
};

// CloudEvents, binary content mode of the Kafka protocol binding 1.0: all but the event's id.
void record_headers_of_type(enum domain domain, enum record_id type, struct record_headers *ret);

// An event's: those of its type, its id, and its trace where that is set.
void record_headers_of_event(const struct record_headers *of_type, const struct id *event_id,
                             const struct trace_context *trace, struct record_headers *ret);

// Of a record that has no others; trace may be NULL or not set.
void record_headers_of_trace(const struct trace_context *trace, struct record_headers *ret);

static inline struct wire_headers record_headers_wire(const struct record_headers *headers) {
    return (struct wire_headers){
        .bytes = headers->bytes, .len = headers->len, .count = headers->count};
}

#endif
