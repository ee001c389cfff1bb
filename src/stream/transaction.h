// SPDX-License-Identifier: Apache-2.0
//
// The one open transaction of a loop, from its first output to its end. Inner to the loop.
#ifndef ORDERLOG_STREAM_TRANSACTION_H
#define ORDERLOG_STREAM_TRANSACTION_H

#include "txn_loop_state.h"

// Opens a transaction if none is, and counts the partition to it: its offset will be sent.
bool transaction_begin(struct txn_loop *loop, struct partition *partition, struct error *err);

// Commits what is open, if anything. False: the process has to end.
bool transaction_finish(struct txn_loop *loop);

// Acts on what went wrong inside the transaction. False: the process has to end.
bool transaction_settle(struct txn_loop *loop, const struct error *err);

// Lets the consumer read on from where we stand, in one partition or (NULL) in all assigned; what
// it has fetched before is dropped.
bool transaction_seek(struct txn_loop *loop, const struct partition *only, struct error *err);

// Aborts on the broker and undoes in memory; with rewind, the input is read again from the
// committed offsets. False: the process has to end.
bool transaction_abort(struct txn_loop *loop, const struct error *why, bool rewind);

#endif
