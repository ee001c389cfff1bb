// SPDX-License-Identifier: Apache-2.0
#include "causes.h"

#include "stream/address.h"

#include <stdio.h>
#include <string.h>

void causes_record(struct txn_loop *loop, const rd_kafka_message_t *raw, bool is_group) {
    if (is_group)
        group_traces_open(raw, &loop->traces);
    else
        trace_of_record(raw, &loop->traces.next);
}

// A request for stock is about a SKU, for an order.
static const struct id *order_of(const struct message *message) {
    struct address address;
    struct error ignored;
    if (message->type == RECORD_REQUEST_STOCK)
        return &((const struct request_stock *)message->body)->order_id;
    return address_of_message(message->type, message->body, &address, &ignored) ? address.order_id
                                                                                : NULL;
}

static void begin(struct txn_loop *loop, int32_t partition, const struct stream_cause *cause) {
    struct span *span = output_cause(loop->output, &cause->parent, cause->at_us);
    if (!span)
        return;
    (void)snprintf(span->name, SPAN_NAME_MAX, "process %s", record_types[cause->type]->name);
    span->topic = txn_loop_input_name(loop);
    span->partition = partition;
    span->offset = cause->offset;
    span->has_order_id = cause->has_order_id;
    memcpy(span->order_id, cause->order_id.bytes, sizeof(span->order_id));
}

static struct trace_context trace_of(struct txn_loop *loop, const struct input_record *record,
                                     int32_t index) {
    struct trace_context trace = loop->traces.next;
    if (record->is_group)
        group_traces_of(&loop->traces, (uint32_t)index, &trace);
    return trace;
}

static void handle(struct txn_loop *loop, int32_t partition, int64_t offset,
                   const struct trace_context *trace, const struct message *message) {
    struct stream_cause *cause = &loop->cause;
    *cause = (struct stream_cause){.parent = *trace, .type = message->type, .offset = offset};
    if (!trace->is_set)
        return;
    cause->at_us = clock_now_us();
    const struct id *order_id = order_of(message);
    cause->has_order_id = order_id != NULL;
    if (order_id)
        cause->order_id = *order_id;
    if (!loop->role->poll)
        begin(loop, partition, cause);
}

void causes_message(struct txn_loop *loop, const struct input_record *record, uint32_t index,
                    const struct message *message) {
    const struct trace_context trace = trace_of(loop, record, (int32_t)index);
    handle(loop, record->partition, record->offset, &trace, message);
}

void causes_letter(struct txn_loop *loop, int32_t partition, const struct parked_letter *letter,
                   const struct message *message) {
    handle(loop, partition, letter->at.offset, &letter->trace, message);
}

const struct trace_context *causes_undecoded(struct txn_loop *loop,
                                             const struct input_record *record, int32_t index) {
    loop->cause = (struct stream_cause){.parent = trace_of(loop, record, index)};
    return &loop->cause.parent;
}

const struct trace_context *causes_unwritten(struct txn_loop *loop) {
    loop->cause = (struct stream_cause){.parent = *output_trace(loop->output)};
    return &loop->cause.parent;
}

void causes_answer(struct txn_loop *loop, const struct stream_token *token) {
    if (token->cause.parent.is_set)
        begin(loop, token->partition, &token->cause);
}

void causes_tell(const void *opaque, struct log_about *ret) {
    const struct txn_loop *loop = opaque;
    const struct stream_cause *cause = loop->answered ? &loop->answered->cause : &loop->cause;
    const struct id *order_id = loop->message ? order_of(loop->message) : NULL;
    if (loop->message) {
        ret->topic = txn_loop_input_name(loop);
        ret->partition = loop->record->partition;
        ret->offset = loop->record->offset;
    } else if (loop->answered) {
        ret->topic = txn_loop_input_name(loop);
        ret->partition = loop->answered->partition;
        ret->offset = cause->parent.is_set ? cause->offset : -1;
    }
    // A retry is about the key, what is retried about an order.
    if (!order_id && cause->parent.is_set && cause->has_order_id)
        order_id = &cause->order_id;
    ret->trace = cause->parent;
    ret->has_order_id = order_id != NULL;
    if (order_id)
        memcpy(ret->order_id, order_id->bytes, sizeof(ret->order_id));
}

void causes_end(struct txn_loop *loop) {
    output_cause_end(loop->output);
    loop->cause.parent.is_set = false;
}
