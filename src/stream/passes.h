// SPDX-License-Identifier: Apache-2.0
//
// Passes of snapshots within the loop's transactions. Inner to the loop.
#ifndef ORDERLOG_STREAM_PASSES_H
#define ORDERLOG_STREAM_PASSES_H

#include "txn_loop_state.h"

// The last step before a commit: begins the passes that are due, writes the next rows of each, and
// the position where one ends.
bool passes_go_on(struct txn_loop *loop, struct error *err);

bool passes_running(const struct txn_loop *loop);

#endif
