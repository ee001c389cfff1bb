// SPDX-License-Identifier: Apache-2.0
//
// Reading one's own write. A command is visible to whom it concerns when its outcome is known and
// each read model over the topic of that outcome has passed it; one that has not begun has passed
// nothing. One thread asks for all that wait.
#include "query_state.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "http/respond.h"
#include "query_pulse.h"
#include "service/clock.h"
#include "service/metrics.h"
#include "store/pg_array.h"

enum { POLL_MS = 10 };

static const char sql_visible[] =
    "SELECT w.nth::int4 "
    "FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY "
    "AS w (command_id, shop_id, customer_id, nth) "
    "JOIN order_commands c USING (command_id, shop_id) "
    "WHERE (w.customer_id = '' OR c.customer_id = w.customer_id "
    "OR EXISTS (SELECT FROM orders o WHERE o.order_id = c.order_id "
    "AND o.shop_id = w.shop_id AND o.customer_id = w.customer_id)) "
    "AND (SELECT count(DISTINCT o.projection) = 2 AND bool_and(o.next_offset > c.log_offset) "
    "FROM projection_offsets o WHERE o.topic = 'orders.events' "
    "AND o.projection IN ('orders', 'order_timeline') AND o.partition = c.log_partition) "
    "UNION ALL "
    "SELECT w.nth::int4 "
    "FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY "
    "AS w (command_id, shop_id, customer_id, nth) "
    "JOIN stock_commands c USING (command_id, shop_id) "
    "WHERE w.customer_id = '' "
    "AND (SELECT bool_and(o.next_offset > c.log_offset) "
    "FROM projection_offsets o WHERE o.topic = 'inventory.events' "
    "AND o.projection = 'inventory' AND o.partition = c.log_partition) "
    "UNION ALL "
    "SELECT w.nth::int4 "
    "FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY "
    "AS w (command_id, shop_id, customer_id, nth) "
    "JOIN customer_commands c USING (command_id, shop_id) "
    "WHERE (w.customer_id = '' OR c.customer_id = w.customer_id) "
    "AND (SELECT bool_and(o.next_offset > c.log_offset) "
    "FROM projection_offsets o WHERE o.topic = 'customers' "
    "AND o.projection = 'customers' AND o.partition = c.log_partition)";

bool query_visible(struct db *db, const struct query_waiting *waiting, size_t count,
                   bool *ret_visible, struct error *err) {
    struct pg_array ids = {0};
    struct pg_array shops = {0};
    struct pg_array customers = {0}; // "": everything of the shop is the caller's
    for (size_t i = 0; i < count; i++) {
        const struct http_caller *caller = http_request_caller(waiting[i].request);
        pg_array_add(&ids, waiting[i].command_id.bytes, sizeof(waiting[i].command_id.bytes));
        pg_array_add(&shops, caller->shop_id, strlen(caller->shop_id));
        pg_array_add(&customers, caller->customer_id, strlen(caller->customer_id));
    }
    bool ok = pg_array_finish(&ids, PG_UUID) && pg_array_finish(&shops, PG_TEXT) &&
              pg_array_finish(&customers, PG_TEXT);
    if (!ok)
        error_set(err, DISP_RETRY, 0, "out of memory");
    struct db_params params = {.count = 0};
    db_params_bytes(&params, ids.bytes, ids.length);
    db_params_bytes(&params, shops.bytes, shops.length);
    db_params_bytes(&params, customers.bytes, customers.length);
    DB_RESULT result = ok ? db_query(db, sql_visible, &params, err) : NULL;
    for (size_t i = 0; i < count; i++)
        ret_visible[i] = false;
    for (int row = 0; result && row < PQntuples(result); row++)
        ret_visible[db_int4(result, row, 0) - 1] = true;
    pg_array_done(&ids);
    pg_array_done(&shops);
    pg_array_done(&customers);
    return result != NULL;
}

bool query_waiter_add(struct query *query, const struct query_waiting *waiting) {
    struct query_waiter *waiter = &query->waiter;
    (void)pthread_mutex_lock(&waiter->lock);
    bool room = !waiter->stopping && waiter->count < QUERY_WAITING_MAX;
    if (room) {
        waiter->waiting[waiter->count++] = *waiting;
        metrics_add(METRIC_READS_WAITING, 0, 1);
        (void)pthread_cond_signal(&waiter->changed);
    }
    (void)pthread_mutex_unlock(&waiter->lock);
    return room;
}

// Takes the ones at hand out of the list; others may be added meanwhile.
static size_t take_all(struct query_waiter *waiter, struct query_waiting *ret) {
    size_t count = waiter->count;
    memcpy(ret, waiter->waiting, count * sizeof(*ret));
    waiter->count = 0;
    return count;
}

static void put_back(struct query_waiter *waiter, const struct query_waiting *waiting) {
    (void)pthread_mutex_lock(&waiter->lock);
    bool room = waiter->count < QUERY_WAITING_MAX && !waiter->stopping;
    if (room)
        waiter->waiting[waiter->count++] = *waiting;
    (void)pthread_mutex_unlock(&waiter->lock);
    if (room)
        return;
    metrics_add(METRIC_READS_WAITING, 0, -1);
    query_answer_not_yet(waiting->request);
}

static void look(struct query *query, struct query_waiting *waiting, size_t count) {
    bool *visible = query->waiter.visible;
    struct error err;
    struct db *db = query->waiter.db;
    bool asked = query_visible(db, waiting, count, visible, &err) ||
                 (db_may_retry(db, &err) && query_visible(db, waiting, count, visible, &err));
    int64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < count; i++) {
        struct http_request *request = waiting[i].request;
        struct error read_err;
        const bool goes_on = !(asked && visible[i]) && now_ms < waiting[i].deadline_ms;
        metrics_add(METRIC_READS_WAITING, 0, goes_on ? 0 : -1);
        if (!http_request_holds(request)) {
            respond_refuse(request, PROBLEM_UNAUTHENTICATED, "the key was revoked meanwhile");
        } else if (asked && visible[i]) {
            if (!waiting[i].read(request, query, db, &read_err) &&
                (!db_may_retry(db, &read_err) || !waiting[i].read(request, query, db, &read_err)))
                query_answer_unavailable(query, request, &read_err);
        } else if (goes_on) {
            put_back(&query->waiter, &waiting[i]);
        } else if (asked) {
            query_answer_not_yet(request);
        } else {
            query_answer_unavailable(query, request, &err);
        }
    }
}

// Until the next look is due, or a stop is asked for. Under the lock.
static void rest(struct query_waiter *waiter) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += POLL_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    int waited = 0;
    while (!waiter->stopping && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&waiter->changed, &waiter->lock, &until);
}

static void *run(void *arg) {
    struct query *query = arg;
    struct query_waiter *waiter = &query->waiter;
    struct query_waiting *taken = waiter->taken;
    (void)pthread_mutex_lock(&waiter->lock);
    while (!waiter->stopping) {
        if (waiter->count == 0) {
            (void)pthread_cond_wait(&waiter->changed, &waiter->lock);
            continue;
        }
        size_t count = take_all(waiter, taken);
        (void)pthread_mutex_unlock(&waiter->lock);
        look(query, taken, count);
        (void)pthread_mutex_lock(&waiter->lock);
        rest(waiter);
    }
    size_t count = take_all(waiter, taken);
    (void)pthread_mutex_unlock(&waiter->lock);
    metrics_add(METRIC_READS_WAITING, 0, -(int64_t)count);
    for (size_t i = 0; i < count; i++)
        respond_refuse(taken[i].request, PROBLEM_UNAVAILABLE, "the service is stopping");
    return NULL;
}

bool query_waiter_start(struct query *query, struct error *err) {
    struct query_waiter *waiter = &query->waiter;
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&waiter->lock, NULL);
    (void)pthread_cond_init(&waiter->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    waiter->db =
        query_pulse_connection(query->pulse, "orderlog query waiting", query_session_settings);
    if (waiter->db && pthread_create(&waiter->thread, NULL, run, query) == 0)
        return true;
    return error_set(err, DISP_FATAL, 0, "cannot start the waiting thread");
}

void query_waiter_stop(struct query *query) {
    struct query_waiter *waiter = &query->waiter;
    (void)pthread_mutex_lock(&waiter->lock);
    waiter->stopping = true;
    (void)pthread_cond_broadcast(&waiter->changed);
    (void)pthread_mutex_unlock(&waiter->lock);
    (void)pthread_join(waiter->thread, NULL);
}
