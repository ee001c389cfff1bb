// SPDX-License-Identifier: Apache-2.0
//
// The reads: orders, their events, stock and outcomes of commands, from the read models. Each
// caller sees the shop of their key only; what belongs to another shop is not there (404).
//
// `after=COMMAND_ID` on any read answers only once the command's outcome is known and the read
// models over its topic have passed it; `wait=2s` (or 500ms) says for how long that may take.
// Without it, or when the time is over, the answer is 504 `not-yet` with Retry-After.
//
// Orders carry their version as ETag. A caller who has it (If-None-Match) may be told 304 by what
// the service remembers, which was true in PostgreSQL less than 100 ms ago, most often less than
// 10; never by less than what an earlier answer of this service said. `after=` always asks
// PostgreSQL.
//
// GET /v1/orders/{id}/stream goes on for as long as the client listens: every event of the order
// after the one it names (Last-Event-ID: the order's version), once and in order, whichever process
// it asks.
//
// Every HTTP thread has a database connection of its own from a pool; all waiting reads share one
// thread, which asks for all of them in one query every 10 ms.
#ifndef ORDERLOG_HTTP_QUERY_H
#define ORDERLOG_HTTP_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "http/router.h"
#include "http/server.h"
#include "privacy/customer_keys.h"
#include "service/config.h"
#include "service/error.h"

struct query;

extern const struct http_routes query_routes;

// Listens when it returns true; PostgreSQL need not be there yet (reads get 503). config and what
// access refers to are borrowed.
// people NULL: nothing personal is shown.
bool query_start(const struct config *config, struct http_access access,
                 const struct customer_keys_view *people, struct query **ret, struct error *err);

// Answers what waits with 503, lets running reads finish within shutdown.timeout.ms.
void query_stop(struct query *query); // NULL is fine

int query_port(const struct query *query);

// The index-th statement that lists orders, NULL behind the last one. For tests.
const char *query_list_statement(size_t index);

// PostgreSQL answered the last time it was asked. Any thread.
bool query_is_ready(const struct query *query);

#endif
