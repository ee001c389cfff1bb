// SPDX-License-Identifier: Apache-2.0
//
// What cannot be handled: set aside, or parked with its key until somebody has it retried or
// dropped. Everything is written in the open transaction, beside the offset. Inner to the loop.
#ifndef ORDERLOG_STREAM_PARK_H
#define ORDERLOG_STREAM_PARK_H

#include "txn_loop_state.h"

#include "stream/input.h"

// Bytes that cannot be decoded: into the dead letters, nothing waits for them. index: place in the
// group, PARKED_ALONE.
bool park_aside(struct txn_loop *loop, const struct input_record *record, int32_t index,
                struct view value, const struct error *why, struct error *err);

// One decoded message: handled by the role, or parked because it cannot be, or because something of
// its key is. *ret_done: it needs no answer of a call any more.
bool park_or_handle(struct txn_loop *loop, struct partition *partition,
                    const struct input_record *record, uint32_t index,
                    const struct message *message, uint32_t ordinal, bool *ret_done,
                    struct error *err);

// A deadline of this key cannot be decided.
bool park_deadline(struct txn_loop *loop, struct partition *partition, struct view key,
                   const struct error *why, struct error *err);

// The call for a parked letter has been answered. *ret_done: so have all of its retry.
bool park_answered(struct txn_loop *loop, struct partition *partition,
                   const struct stream_token *token, bool *ret_done, struct error *err);

// True when so much is parked that the partition takes no input; said once.
bool park_stops(struct txn_loop *loop, struct partition *partition, const rd_kafka_message_t *raw);

// A record of a partition that has stopped: only what is asked about parked letters is done, as it
// is what the partition waits for. Its position stays.
bool park_look_ahead(struct txn_loop *loop, struct partition *partition,
                     const rd_kafka_message_t *raw, struct error *err);

// The same for deadlines: more of them might have to be parked.
bool park_keeps_deadlines(struct txn_loop *loop, struct partition *partition);

// Takes up stopped partitions that have room again.
bool park_resume(struct txn_loop *loop, struct error *err);

#endif
