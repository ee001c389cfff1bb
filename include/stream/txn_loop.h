// SPDX-License-Identifier: Apache-2.0
//
// THE transaction loop, the same for all four processors:
//
//   poll a batch -> decode -> decide/evolve -> produce -> send offsets -> commit -> next batch,
//   with the OTHER producer
//   on abort: undo soft state, rewind to the committed offsets, retry
//
// Runs in a thread of its own as a part of a service. What it cannot cure by itself ends the
// process through service_fail(): fenced by a successor in the same slot (EXIT_FENCED), offsets
// that do not belong to the events (EXIT_OFFSETS_DISAGREE), everything else fatal (EXIT_INTERNAL).
// A restart is always safe. /readyz says yes from when all partitions that the group has given it
// are taken over (none is enough) until it is told to hand them back.
#ifndef ORDERLOG_STREAM_TXN_LOOP_H
#define ORDERLOG_STREAM_TXN_LOOP_H

#include "service/config.h"
#include "stream/role.h"

struct txn_loop;

// Creates the clients; the new epochs of its producers fence predecessors in this slot. config,
// role and ids are borrowed until txn_loop_stop.
struct txn_loop *txn_loop_start(const struct config *config, const struct role *role,
                                const struct schema_ids *ids, struct error *err);

// Ends the thread: the open transaction is finished or aborted, the group is left silently (a
// static member keeps its partitions for the session time-out).
void txn_loop_stop(struct txn_loop *loop);

#endif
