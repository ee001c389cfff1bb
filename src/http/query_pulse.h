// SPDX-License-Identifier: Apache-2.0
//
// Whether a database server answers at all, asked a few times a second on a connection of its own.
// One that stands still, or has gone without a word, would hold up every thread that asks it.
#ifndef ORDERLOG_HTTP_QUERY_PULSE_H
#define ORDERLOG_HTTP_QUERY_PULSE_H

#include "query_state.h"

struct query_pulse;

// conninfo: borrowed. ready: kept up to date with what is found, NULL: nobody wants to know.
bool query_pulse_start(const struct config *config, const char *conninfo, atomic_bool *ready,
                       struct query_pulse **ret, struct error *err);

// After the connections of this server are freed. NULL is fine.
void query_pulse_stop(struct query_pulse *pulse);

// A connection to this server (db_new) that gives up when the server is away. NULL: out of memory.
struct db *query_pulse_connection(const struct query_pulse *pulse, const char *name,
                                  const char *settings);

// The server did not answer when it was asked last. Any thread.
bool query_pulse_is_away(const struct query_pulse *pulse);

#endif
