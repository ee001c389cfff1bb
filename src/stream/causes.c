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

void causes_message(struct txn_loop *loop, const struct input_record *record, uint32_t index,
                    const struct message *message) {
    struct stream_cause *cause = &loop->cause;
    *cause = (struct stream_cause){.type = message->type, .offset = record->offset};
    if (record->is_group)
        group_traces_of(&loop->traces, index, &cause->parent);
    else
        cause->parent = loop->traces.next;
    if (!cause->parent.is_set)
        return;
    cause->at_us = clock_now_us();
    const struct id *order_id = order_of(message);
    cause->has_order_id = order_id != NULL;
    if (order_id)
        cause->order_id = *order_id;
    if (!loop->role->poll)
        begin(loop, record->partition, cause);
}

void causes_answer(struct txn_loop *loop, const struct stream_token *token) {
    if (token->cause.parent.is_set)
        begin(loop, token->partition, &token->cause);
}

static void tell_order(const struct id *order_id, struct log_about *ret) {
    ret->has_order_id = order_id != NULL;
    if (order_id)
        memcpy(ret->order_id, order_id->bytes, sizeof(ret->order_id));
}

void causes_tell(const void *opaque, struct log_about *ret) {
    const struct txn_loop *loop = opaque;
    if (!loop->message && !loop->answered)
        return;
    ret->topic = txn_loop_input_name(loop);
    if (loop->message) {
        ret->partition = loop->record->partition;
        ret->offset = loop->record->offset;
        ret->trace = loop->cause.parent;
        tell_order(order_of(loop->message), ret);
        return;
    }
    const struct stream_cause *cause = &loop->answered->cause;
    ret->partition = loop->answered->partition;
    if (!cause->parent.is_set)
        return;
    ret->offset = cause->offset;
    ret->trace = cause->parent;
    tell_order(cause->has_order_id ? &cause->order_id : NULL, ret);
}

void causes_end(struct txn_loop *loop) {
    output_cause_end(loop->output);
    loop->cause.parent.is_set = false;
}
