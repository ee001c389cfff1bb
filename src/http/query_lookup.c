// SPDX-License-Identifier: Apache-2.0
//
// Orders by id, gathered: while PostgreSQL looks up the orders that were asked for, new requests
// gather, and go to it together as one statement. With one caller that is a look-up as any other;
// with many, the way there and back, and the statement's beginning and end, are shared.
#include "query_state.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "http/respond.h"
#include "query_pulse.h"
#include "service/clock.h"
#include "service/metrics.h"
#include "store/pg_array.h"

enum { THREADS = 2, TOGETHER_MAX = 256 };

static const char sql_orders[] =
    "SELECT w.nth::int4, x.version, row_to_json(x)::text, x.customer_id "
    "FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY "
    "AS w (order_id, shop_id, customer_id, nth), "
    "LATERAL (SELECT order_id, version, status, reservation_status, payment_status, "
    "shipment_status, customer_id, reference, currency, items_minor, discount_minor, "
    "shipping_minor, tax_minor, total_minor, captured_minor, close_reason, close_detail, "
    "case_reason, tracking, ordered_at, placed_at, confirmed_at, dispatched_at, delivered_at, "
    "closed_at, updated_at, "
    "(SELECT json_agg(l) FROM (SELECT sku, quantity, unit_price_minor, price_version "
    "FROM order_lines WHERE order_id = o.order_id ORDER BY line_no) l) AS lines "
    "FROM orders o WHERE o.order_id = w.order_id AND o.shop_id = w.shop_id "
    "AND (w.customer_id = '' OR o.customer_id = w.customer_id)) x";

struct wanted {
    struct http_request *request; // suspended
    struct id order_id;
};

struct query_lookup {
    struct query *query;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    struct wanted *waiting; // a ring of `size`: as many as there can be connections
    size_t size;
    size_t first;
    size_t count;
    size_t threads_count;
    pthread_t threads[THREADS];
};

static bool add(struct query_lookup *lookup, struct http_request *request,
                const struct id *order_id) {
    (void)pthread_mutex_lock(&lookup->lock);
    bool room = !lookup->stopping && lookup->count < lookup->size;
    if (room) {
        // Before another thread can answer it.
        http_request_suspend(request);
        lookup->waiting[(lookup->first + lookup->count) % lookup->size] =
            (struct wanted){.request = request, .order_id = *order_id};
        lookup->count++;
        (void)pthread_cond_signal(&lookup->changed);
    }
    (void)pthread_mutex_unlock(&lookup->lock);
    return room;
}

void query_lookup_order(struct http_request *request, struct query *query) {
    struct id order_id;
    const char *text = http_request_param(request, "id");
    // What is no id cannot be there.
    if (!id_parse(text, strlen(text), &order_id))
        respond_refuse(request, PROBLEM_NOT_FOUND, "there is no such order");
    else if (!add(query->lookup, request, &order_id))
        respond_refuse(request, PROBLEM_UNAVAILABLE, "too many reads are waiting");
}

// Waits until something is wanted. 0: the end.
static size_t take(struct query_lookup *lookup, struct wanted *ret) {
    (void)pthread_mutex_lock(&lookup->lock);
    while (lookup->count == 0 && !lookup->stopping)
        (void)pthread_cond_wait(&lookup->changed, &lookup->lock);
    size_t count = lookup->count < TOGETHER_MAX ? lookup->count : TOGETHER_MAX;
    for (size_t i = 0; i < count; i++)
        ret[i] = lookup->waiting[(lookup->first + i) % lookup->size];
    lookup->first = (lookup->first + count) % lookup->size;
    lookup->count -= count;
    (void)pthread_mutex_unlock(&lookup->lock);
    return count;
}

struct lookup_arrays {
    struct pg_array ids;
    struct pg_array shops;
    struct pg_array customers; // "": everything of the shop is the caller's
};

static PGresult *ask(struct db *db, struct lookup_arrays *arrays, const struct wanted *wanted,
                     size_t count, struct error *err) {
    struct db_params params = {.count = 0};
    pg_array_clear(&arrays->ids);
    pg_array_clear(&arrays->shops);
    pg_array_clear(&arrays->customers);
    for (size_t i = 0; i < count; i++) {
        const struct http_caller *caller = http_request_caller(wanted[i].request);
        pg_array_add(&arrays->ids, wanted[i].order_id.bytes, sizeof(wanted[i].order_id.bytes));
        pg_array_add(&arrays->shops, caller->shop_id, strlen(caller->shop_id));
        pg_array_add(&arrays->customers, caller->customer_id, strlen(caller->customer_id));
    }
    if (!pg_array_finish(&arrays->ids, PG_UUID) || !pg_array_finish(&arrays->shops, PG_TEXT) ||
        !pg_array_finish(&arrays->customers, PG_TEXT)) {
        error_set(err, DISP_RETRY, 0, "out of memory");
        return NULL;
    }
    db_params_bytes(&params, arrays->ids.bytes, arrays->ids.length);
    db_params_bytes(&params, arrays->shops.bytes, arrays->shops.length);
    db_params_bytes(&params, arrays->customers.bytes, arrays->customers.length);
    int64_t begun_us = clock_monotonic_us();
    PGresult *result = db_query(db, sql_orders, &params, err);
    metrics_observe_us(METRIC_STEP, STEP_DATABASE, clock_monotonic_us() - begun_us);
    return result;
}

static void answer_order(struct query *query, struct db *db, struct http_request *request,
                         const struct id *order_id, int64_t version, struct view json) {
    struct error err;
    if (!query_shows_addresses(query, request))
        query_answer_json(request, json.ptr, json.len, version);
    else if (!query_answer_addressed(request, query, db, order_id, json, version, &err))
        query_answer_unavailable(query, request, &err);
}

static void answer(struct query *query, struct db *db, const struct wanted *wanted, size_t count,
                   const PGresult *result, uint64_t look) {
    bool found[TOGETHER_MAX] = {false};
    for (int row = 0; row < PQntuples(result); row++) {
        const size_t nth = (size_t)db_int4(result, row, 0) - 1;
        struct http_request *request = wanted[nth].request;
        const int64_t version = db_int8(result, row, 1);
        query_versions_note(query->versions, &wanted[nth].order_id,
                            http_request_caller(request)->shop_id, PQgetvalue(result, row, 3),
                            version, look);
        answer_order(
            query, db, request, &wanted[nth].order_id, version,
            (struct view){PQgetvalue(result, row, 2), (uint32_t)PQgetlength(result, row, 2)});
        found[nth] = true;
    }
    for (size_t i = 0; i < count; i++) {
        if (!found[i])
            respond_refuse(wanted[i].request, PROBLEM_NOT_FOUND, "there is no such order");
    }
}

static void serve(struct query *query, struct db *db, struct lookup_arrays *arrays,
                  const struct wanted *wanted, size_t count) {
    struct error err;
    uint64_t look = query_versions_look(query->versions);
    DB_RESULT result = ask(db, arrays, wanted, count, &err);
    if (!result && db_may_retry(db, &err))
        result = ask(db, arrays, wanted, count, &err);
    if (result) {
        atomic_store(&query->ready, true);
        answer(query, db, wanted, count, result, look);
        return;
    }
    for (size_t i = 0; i < count; i++)
        query_answer_unavailable(query, wanted[i].request, &err);
}

static void *run(void *opaque) {
    struct query_lookup *lookup = opaque;
    struct query *query = lookup->query;
    struct wanted wanted[TOGETHER_MAX];
    struct lookup_arrays arrays = {0};
    struct db *db =
        query_pulse_connection(query->pulse, "orderlog query orders", query_session_settings);
    size_t count;
    while ((count = take(lookup, wanted)) > 0) {
        if (db)
            serve(query, db, &arrays, wanted, count);
        for (size_t i = 0; !db && i < count; i++)
            respond_refuse(wanted[i].request, PROBLEM_UNAVAILABLE, "out of memory");
    }
    pg_array_done(&arrays.ids);
    pg_array_done(&arrays.shops);
    pg_array_done(&arrays.customers);
    db_free(db);
    return NULL;
}

bool query_lookup_start(struct query *query, struct error *err) {
    struct query_lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    query->lookup = lookup;
    lookup->query = query;
    lookup->size = (size_t)query->config->http_connections_max;
    (void)pthread_mutex_init(&lookup->lock, NULL);
    (void)pthread_cond_init(&lookup->changed, NULL);
    lookup->waiting = calloc(lookup->size, sizeof(*lookup->waiting));
    while (lookup->waiting && lookup->threads_count < THREADS &&
           pthread_create(&lookup->threads[lookup->threads_count], NULL, run, lookup) == 0)
        lookup->threads_count++;
    return lookup->threads_count == THREADS ||
           error_set(err, DISP_FATAL, 0, "cannot start the threads that look orders up");
}

void query_lookup_stop(struct query_lookup *lookup) {
    (void)pthread_mutex_lock(&lookup->lock);
    lookup->stopping = true;
    (void)pthread_cond_broadcast(&lookup->changed);
    (void)pthread_mutex_unlock(&lookup->lock);
    while (lookup->threads_count > 0)
        (void)pthread_join(lookup->threads[--lookup->threads_count], NULL);
}

void query_lookup_free(struct query_lookup *lookup) {
    if (!lookup)
        return;
    query_lookup_stop(lookup);
    (void)pthread_cond_destroy(&lookup->changed);
    (void)pthread_mutex_destroy(&lookup->lock);
    free(lookup->waiting);
    free(lookup);
}
