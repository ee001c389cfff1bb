// SPDX-License-Identifier: Apache-2.0
#include "stream/trace_headers.h"

#include "wire/wire_records.h"

static const char *find(const rd_kafka_message_t *record, const char *name, size_t *ret_len) {
    rd_kafka_headers_t *headers = NULL;
    const void *value = NULL;
    if (rd_kafka_message_headers((rd_kafka_message_t *)record, &headers) ||
        rd_kafka_header_get_last(headers, name, &value, ret_len))
        return NULL;
    return value;
}

void trace_of_record(const rd_kafka_message_t *record, struct trace_context *ret) {
    size_t len = 0;
    const char *text = find(record, TRACE_HEADER, &len);
    if (!text || !trace_parse(text, len, ret))
        *ret = (struct trace_context){0};
}

void trace_of_headers(const struct wire_headers *headers, struct trace_context *ret) {
    const struct wire_view text = wire_header_find(headers, TRACE_HEADER);
    if (!text.ptr || !trace_parse(text.ptr, text.len, ret))
        *ret = (struct trace_context){0};
}

static void step(struct group_traces *traces) {
    if (!traces->at || !trace_next(&traces->at, traces->end, &traces->index, &traces->next))
        *traces = (struct group_traces){0};
}

void group_traces_open(const rd_kafka_message_t *record, struct group_traces *ret) {
    size_t len = 0;
    *ret = (struct group_traces){.at = find(record, TRACE_HEADER_GROUP, &len)};
    if (!ret->at)
        return;
    ret->end = ret->at + len;
    step(ret);
}

void group_traces_of(struct group_traces *traces, uint32_t index, struct trace_context *ret) {
    while (traces->next.is_set && traces->index < index)
        step(traces);
    *ret = traces->next.is_set && traces->index == index ? traces->next : (struct trace_context){0};
}
