// SPDX-License-Identifier: Apache-2.0
//
// Start, stop and the pool.
#include "query_state.h"

#include <stdlib.h>

#include "http/respond.h"
#include "query_pulse.h"
#include "query_replicas.h"
#include "query_streams.h"
#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"

// Reads never write, and never hold up anything for long.
const char query_session_settings[] =
    "SET default_transaction_read_only = on; SET statement_timeout = '5s'; SET TimeZone = 'UTC'; "
    "SET jit = off; SET plan_cache_mode = force_generic_plan";

static size_t pool_size(const struct query *query) {
    return (size_t)query->config->query_threads;
}

// There are as many connections as threads: nobody waits for long.
static struct db *pool_take(struct query *query) {
    (void)pthread_mutex_lock(&query->pool_lock);
    if (query->pool_free == 0) {
        int64_t begun_us = clock_monotonic_us();
        while (query->pool_free == 0)
            (void)pthread_cond_wait(&query->pool_freed, &query->pool_lock);
        metrics_observe_us(METRIC_STEP, STEP_POOL, clock_monotonic_us() - begun_us);
    }
    struct db *db = query->pool[--query->pool_free];
    (void)pthread_mutex_unlock(&query->pool_lock);
    metrics_add(METRIC_POOL_BUSY, 0, 1);
    return db;
}

static void pool_give(struct query *query, struct db *db) {
    metrics_add(METRIC_POOL_BUSY, 0, -1);
    (void)pthread_mutex_lock(&query->pool_lock);
    query->pool[query->pool_free++] = db;
    (void)pthread_cond_signal(&query->pool_freed);
    (void)pthread_mutex_unlock(&query->pool_lock);
}

void query_answer_unavailable(struct query *query, struct http_request *request,
                              const struct error *err) {
    int64_t now_ms = clock_monotonic_ms();
    int64_t before_ms = atomic_load(&query->complained_ms);
    atomic_store(&query->ready, false);
    if (now_ms - before_ms >= 1000 &&
        atomic_compare_exchange_strong(&query->complained_ms, &before_ms, now_ms))
        LOG(ERROR, "reads are answered with 503", F_ERR(err));
    struct problem problem;
    problem_init(&problem);
    problem_set(&problem, PROBLEM_UNAVAILABLE, "the read models cannot be reached");
    problem.retry_after_s = 1;
    respond_problem(request, &problem);
}

void query_answer_not_yet(struct http_request *request) {
    struct problem problem;
    problem_init(&problem);
    problem_set(&problem, PROBLEM_NOT_YET, "the command's outcome is not visible yet");
    problem.retry_after_s = 1;
    respond_problem(request, &problem);
}

static void read_now(struct http_request *request, struct query *query, struct db *db,
                     query_read_fn *read) {
    struct error err;
    int64_t begun_us = clock_monotonic_us();
    if (read(request, query, db, &err) ||
        (db_may_retry(db, &err) && read(request, query, db, &err)))
        atomic_store(&query->ready, true);
    else
        query_answer_unavailable(query, request, &err);
    metrics_observe_us(METRIC_STEP, STEP_DATABASE, clock_monotonic_us() - begun_us);
}

// True: a replica has answered. after: the command that must be visible there, NULL where none is
// named.
static bool serve_from_replica(struct http_request *request, struct query *query,
                               query_read_fn *read, const struct query_waiting *after) {
    struct error ignored;
    struct db *db;
    bool visible = true;
    // Single orders are looked up together, and streams begin, where everything is current.
    bool can_be = read != query_read_order && read != query_read_stream;
    struct query_replica *replica = can_be ? query_replicas_take(query->replicas, &db) : NULL;
    if (!replica)
        return false;
    bool ok = !after || query_visible(db, after, 1, &visible, &ignored);
    if (ok && visible)
        ok = read(request, query, db, &ignored);
    query_replicas_give(replica, db, ok);
    if (ok && visible)
        metrics_add(METRIC_REPLICA_READS, 0, 1);
    return ok && visible;
}

void query_serve_after(struct http_request *request, struct query *query, query_read_fn *read,
                       const struct id *command_id, int64_t wait_ms) {
    struct error err;
    bool visible = false;
    const struct query_waiting waiting = {.request = request,
                                          .read = read,
                                          .command_id = *command_id,
                                          .deadline_ms = clock_monotonic_ms() + wait_ms};
    if (serve_from_replica(request, query, read, &waiting))
        return;
    struct db *db = pool_take(query);
    if (!query_visible(db, &waiting, 1, &visible, &err) &&
        (!db_may_retry(db, &err) || !query_visible(db, &waiting, 1, &visible, &err)))
        query_answer_unavailable(query, request, &err);
    else if (visible)
        read_now(request, query, db, read);
    else if (wait_ms == 0)
        query_answer_not_yet(request);
    else if (!query_waiter_add(query, &waiting))
        respond_refuse(request, PROBLEM_UNAVAILABLE, "too many reads are waiting");
    pool_give(query, db);
}

void query_serve(struct http_request *request, struct query *query, query_read_fn *read) {
    if (serve_from_replica(request, query, read, NULL))
        return;
    struct db *db = pool_take(query);
    read_now(request, query, db, read);
    pool_give(query, db);
}

static bool pool_open(struct query *query) {
    for (size_t i = 0; i < pool_size(query); i++) {
        struct db *db =
            query_pulse_connection(query->pulse, "orderlog query", query_session_settings);
        if (!db)
            return false;
        query->pool[query->pool_free++] = db;
    }
    metrics_set(METRIC_POOL_SIZE, 0, (int64_t)pool_size(query));
    return true;
}

static void destroy(struct query *query) {
    for (size_t i = 0; i < query->pool_free; i++)
        db_free(query->pool[i]);
    db_free(query->waiter.db);
    query_lookup_free(query->lookup);
    query_versions_stop(query->versions);
    query_replicas_stop(query->replicas);
    query_watch_stop(query->watch);
    query_streams_free(query->streams);
    query_pulse_stop(query->pulse);
    free(query);
}

bool query_start(const struct config *config, struct http_access access,
                 const struct customer_keys_view *people, struct query **ret, struct error *err) {
    struct query *query = calloc(1, sizeof(*query));
    if (!query)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    query->config = config;
    if (people)
        query->people = *people;
    (void)pthread_mutex_init(&query->pool_lock, NULL);
    (void)pthread_cond_init(&query->pool_freed, NULL);
    if (!query_pulse_start(config, config->postgres_dsn, &query->ready, &query->pulse, err) ||
        !pool_open(query) || !query_versions_start(query->pulse, &query->versions, err) ||
        !query_watch_start(query->pulse, &query->watch, err) || !query_lookup_start(query, err) ||
        !query_replicas_start(config, query->pulse, &query->replicas, err) ||
        !query_streams_start(config, query->pulse, access, &query->streams, err) ||
        !query_waiter_start(query, err)) {
        destroy(query);
        return error_set(err, DISP_FATAL, 0, "out of memory");
    }
    // Ready or not is known from the start.
    struct error unreachable;
    struct db *db = pool_take(query);
    atomic_store(&query->ready, db_connect(db, &unreachable));
    pool_give(query, db);
    const struct http_server_options options = {
        .host = config->query_host,
        .port = (int)config->query_port,
        .threads = (int)config->query_threads,
        .connections_max = (int)config->http_connections_max,
        .connections_per_ip_max = (int)config->http_connections_per_ip_max,
        .requests_max = config->http_requests_max,
        .body_bytes_max = config->http_body_bytes_max,
        .bodies_bytes_max = config->http_bodies_bytes_max,
        .rate_per_second = config->http_rate_per_second,
        .rate_burst = config->http_rate_burst,
        .tls_certificate_file = config->http_tls_certificate_file,
        .tls_key_file = config->http_tls_key_file,
        .tls_1_2 = config->http_tls_1_2,
        .idle_timeout_ms = config->http_idle_timeout_ms,
        .read_timeout_ms = config->http_read_timeout_ms,
        .measured = true,
        .routes = &query_routes,
        .access = access,
        .state = query,
        .openapi = OPENAPI_QUERY,
    };
    if (!http_server_start(&options, &query->server, err)) {
        query_waiter_stop(query);
        destroy(query);
        return false;
    }
    *ret = query;
    return true;
}

void query_stop(struct query *query) {
    if (!query)
        return;
    query_streams_stop(query->streams);
    query_waiter_stop(query);
    (void)http_server_drain(query->server, query->config->shutdown_timeout_ms / 2);
    query_lookup_stop(query->lookup);
    http_server_free(query->server);
    destroy(query);
}

int query_port(const struct query *query) {
    return http_server_port(query->server);
}

bool query_is_ready(const struct query *query) {
    return atomic_load(&((struct query *)query)->ready);
}
