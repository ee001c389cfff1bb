// SPDX-License-Identifier: Apache-2.0
//
// Where the trace context stands in a Kafka record: the header `traceparent` of a record that is
// one message or event (CloudEvents' extension for distributed tracing), the header `traceparents`
// of one that is a group of messages (service/trace.h). Dead letters and rows of snapshots have the
// former. Looked at only where traces are on, as librdkafka unpacks all headers of a record for it.
#ifndef ORDERLOG_STREAM_TRACE_HEADERS_H
#define ORDERLOG_STREAM_TRACE_HEADERS_H

#include <librdkafka/rdkafka.h>

#include "service/trace.h"
#include "wire/wire_batch.h"

#define TRACE_HEADER "traceparent"
#define TRACE_HEADER_GROUP "traceparents"

// Of a record with one message; is_set false: it has none that is well-formed.
void trace_of_record(const rd_kafka_message_t *record, struct trace_context *ret);

// The same of a record that we have read ourselves.
void trace_of_headers(const struct wire_headers *headers, struct trace_context *ret);

// Of the messages of a group, which are asked for in ascending order.
struct group_traces {
    const char *at; // borrowed from the record
    const char *end;
    uint32_t index; // of next
    struct trace_context next;
};

void group_traces_open(const rd_kafka_message_t *record, struct group_traces *ret);
void group_traces_of(struct group_traces *traces, uint32_t index, struct trace_context *ret);

#endif
