// SPDX-License-Identifier: Apache-2.0
//
// Spans of what the loop handles, where traces are on: what comes of a message carries the span of
// its handling. Inner to the loop.
#ifndef ORDERLOG_STREAM_CAUSES_H
#define ORDERLOG_STREAM_CAUSES_H

#include "stream/input.h"
#include "txn_loop_state.h"

// The record that is to be handled next.
void causes_record(struct txn_loop *loop, const rd_kafka_message_t *raw, bool is_group);

// One of its messages is about to be handled: begins its span, but for calls, which end later and
// take loop->cause with them.
void causes_message(struct txn_loop *loop, const struct input_record *record, uint32_t index,
                    const struct message *message);

// The same for a parked one that is tried again: it goes on in the trace that it came with.
void causes_letter(struct txn_loop *loop, int32_t partition, const struct parked_letter *letter,
                   const struct message *message);

// What cannot be decoded, or was not written, has no span, but a trace; until causes_end().
const struct trace_context *causes_undecoded(struct txn_loop *loop,
                                             const struct input_record *record, int32_t index);
const struct trace_context *causes_unwritten(struct txn_loop *loop);

// A call is answered that a message asked for.
void causes_answer(struct txn_loop *loop, const struct stream_token *token);

// Over: what is written, or logged, from now on has another cause.
void causes_end(struct txn_loop *loop);

// For struct log_context: what the loop has in hand.
void causes_tell(const void *loop, struct log_about *ret);

#endif
