// SPDX-License-Identifier: Apache-2.0
//
// What the query service's files share. A read is a function that answers a request from one
// database connection; it runs in a reader's thread or later in the waiting thread.
#ifndef ORDERLOG_HTTP_QUERY_STATE_H
#define ORDERLOG_HTTP_QUERY_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "event/id.h"
#include "http/personal.h"
#include "http/query.h"
#include "store/db.h"

struct query;

// Answers the request in any case: false means that the database did not, and err why; then the
// request is still to be answered.
typedef bool query_read_fn(struct http_request *request, struct query *query, struct db *db,
                           struct error *err);

struct query_waiting {
    struct http_request *request; // suspended
    query_read_fn *read;
    struct id command_id;
    int64_t deadline_ms;
};

enum { QUERY_WAITING_MAX = 4096, QUERY_READERS_MAX = 64 }; // the latter: of query.readers

struct query_waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool stopping;
    struct db *db; // the thread's
    struct query_waiting waiting[QUERY_WAITING_MAX];
    size_t count;
    // The thread's own.
    struct query_waiting taken[QUERY_WAITING_MAX];
    bool visible[QUERY_WAITING_MAX];
};

struct query {
    const struct config *config;
    struct http_server *server;
    atomic_bool ready;
    _Atomic int64_t complained_ms;
    struct query_pulse *pulse;
    struct query_waiter waiter;
    struct query_versions *versions;
    struct query_watch *watch;
    struct query_streams *streams;
    struct query_replicas *replicas; // NULL: none
    struct query_lookup *lookup;
    struct query_readers *readers;
    struct customer_keys_view people; // keys borrowed; NULL: nothing personal is shown
};

extern const char query_session_settings[];

struct query_streams;  // query_streams.h
struct query_replicas; // query_replicas.h
struct query_pulse;    // query_pulse.h

// 503; logs at most once a second.
void query_answer_unavailable(struct query *query, struct http_request *request,
                              const struct error *err);
void query_answer_not_yet(struct http_request *request);

// --- readers (query_readers.c) -------------------------------------------------------------------
//
// Threads with a connection each, for whatever is read but orders by id: HTTP threads do not wait
// for PostgreSQL.

bool query_readers_start(struct query *query, struct query_readers **ret, struct error *err);

// What waits is refused, and what comes later; who is being answered is answered.
void query_readers_stop(struct query_readers *readers);
void query_readers_free(struct query_readers *readers); // NULL is fine; after their stop

// One of those that wait is read, in the calling thread. False: none waits.
bool query_readers_answer_one(struct query_readers *readers, struct db *db);

// Answers by read, in another thread. In the handler.
void query_serve(struct http_request *request, struct query *query, query_read_fn *read);

// The same once the command is visible: it may take up to wait_ms.
void query_serve_after(struct http_request *request, struct query *query, query_read_fn *read,
                       const struct id *command_id, int64_t wait_ms);

// --- waiting ------------------------------------------------------------------------------------

bool query_waiter_start(struct query *query, struct error *err);

// Everything that waits is answered, and everything that comes later at once.
void query_waiter_stop(struct query *query);

// The request is suspended. False: there are too many, or the service stops.
bool query_waiter_add(struct query *query, const struct query_waiting *waiting);

// Which of the count commands (with their shops) are visible: ret_visible[i]. One query.
bool query_visible(struct db *db, const struct query_waiting *waiting, size_t count,
                   bool *ret_visible, struct error *err);

// --- versions of orders (query_versions.c) ------------------------------------------------------
//
// So that a caller who has an order already is told that it is unchanged without PostgreSQL being
// asked for it. What is said was true in PostgreSQL less than 100 ms ago, most often less than 10;
// an order that was read at a version is never said to be at an older one. Any thread.

bool query_versions_start(const struct query_pulse *pulse, struct query_versions **ret,
                          struct error *err);
void query_versions_stop(struct query_versions *versions); // NULL is fine

// The order is the caller's and at this version. False: not so, or not known.
bool query_versions_is(struct query_versions *versions, const struct id *order_id,
                       const struct http_caller *caller, int64_t version);

// Whose an order is and what its version is by a read that began after query_versions_look()
// returned look.
void query_versions_note(struct query_versions *versions, const struct id *order_id,
                         const char *shop, const char *customer, int64_t version, uint64_t look);
uint64_t query_versions_look(struct query_versions *versions);

// Who may read outcomes of commands about orders, about products and stock, or about customers:
// those who read the one or the other, and those who may have sent them.
#define QUERY_SCOPES_ORDERS (SCOPE_ORDERS_READ | SCOPE_ORDERS_WRITE | SCOPE_SHIPMENTS_WRITE)
#define QUERY_SCOPES_CUSTOMERS (SCOPE_CUSTOMERS_READ | SCOPE_CUSTOMERS_WRITE)
#define QUERY_SCOPES_STOCK (SCOPE_INVENTORY_READ | SCOPE_INVENTORY_WRITE | SCOPE_CATALOG_WRITE)

// --- what is to be seen in metrics (query_watch.c) ----------------------------------------------

// Measures every ten seconds, in a thread and on a connection of its own.
bool query_watch_start(const struct query_pulse *pulse, struct query_watch **ret,
                       struct error *err);
void query_watch_stop(struct query_watch *watch); // NULL is fine

// --- orders by id (query_lookup.c) --------------------------------------------------------------

bool query_lookup_start(struct query *query, struct error *err);

// Once the server has been started: its threads look orders up from now on.
void query_lookup_begin(struct query_lookup *lookup, struct http_server *server);

// Before the server is freed: what still waits is refused, and what comes later.
void query_lookup_stop(struct query_lookup *lookup);
void query_lookup_free(struct query_lookup *lookup); // after the server; NULL is fine

// Answers with the order, now or from its own thread. Any thread; the request may be suspended.
void query_lookup_order(struct http_request *request, struct query *query);

// --- reads --------------------------------------------------------------------------------------

query_read_fn query_read_order;
query_read_fn query_read_orders;
query_read_fn query_read_order_events;
query_read_fn query_read_inventory;
query_read_fn query_read_command;
query_read_fn query_read_customer;
query_read_fn query_read_customers;
query_read_fn query_read_stream;
query_read_fn query_read_sample;
query_read_fn query_read_stats;
query_read_fn query_read_customer_summary;

// Answers 304, if the caller has the order and it is known to be unchanged.
bool query_answer_unchanged(struct http_request *request, struct query *query);

// Adds the caller's shop and, for a customer's token, the customer, otherwise NULL: every read asks
// for what is theirs with both, as http_caller_owns() would.
void query_add_caller(struct db_params *params, const struct http_request *request);

// Answers with a JSON text of PostgreSQL, and its ETag when version >= 0 (or 304).
void query_answer_json(struct http_request *request, const char *json, size_t length,
                       int64_t version);

// --- addresses of orders ------------------------------------------------------------------------

// Are they shown to this caller? Then an order is answered by the other one, from a row with its
// address, with shipping_address added to its JSON: null, the address, {"erased": true}, or
// {"unavailable": true} while no key can be had.
bool query_shows_addresses(const struct query *query, const struct http_request *request);
void query_answer_addressed(struct http_request *request, const struct query *query,
                            const PGresult *result, int row, struct view json);

// --- pages --------------------------------------------------------------------------------------

enum { QUERY_CURSOR_MAX = 64 };

// The bytes that an earlier page gave to query_write_cursor(), min to max of them; none: length 0.
// False: refused.
bool query_parse_cursor(struct http_request *request, uint8_t *bytes, size_t min, size_t max,
                        size_t *ret_length);
bool query_refuse_cursor(struct http_request *request); // false

void query_write_cursor(struct jsonout *out, const void *bytes, size_t length);

// Answers with what was written; out is done afterwards.
void query_answer_list(struct http_request *request, struct jsonout *out);

#endif
