// SPDX-License-Identifier: Apache-2.0
//
// Streaming replicas of the database (query.replicas): reads go to one that is not far behind. How
// far a replica is is told by the positions of the read models themselves: one that has what the
// primary had at a time is as of that time. A read that names a command (after=) goes to a replica
// only if the command is visible there. Single orders are always read from the primary.
#ifndef ORDERLOG_HTTP_QUERY_REPLICAS_H
#define ORDERLOG_HTTP_QUERY_REPLICAS_H

#include "query_state.h"

struct query_replicas;
struct query_replica;

// *ret is NULL where none are configured. Replicas that cannot be reached are left out until they
// can.
bool query_replicas_start(const struct config *config, const struct query_pulse *primary,
                          struct query_replicas **ret, struct error *err);
void query_replicas_stop(struct query_replicas *replicas); // NULL is fine

// One of those that are fresh enough, in turn, with a connection of its own; NULL: ask the primary.
struct query_replica *query_replicas_take(struct query_replicas *replicas, struct db **ret_db);

// ok: it answered. One that did not is not asked again until it is known to be fresh.
void query_replicas_give(struct query_replica *replica, struct db *db, bool ok);

#endif
