// SPDX-License-Identifier: Apache-2.0
//
// Start and stop.
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

static void destroy(struct query *query) {
    query_readers_free(query->readers);
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
    if (!query_pulse_start(config, config->postgres_dsn, &query->ready, &query->pulse, err) ||
        !query_versions_start(query->pulse, &query->versions, err) ||
        !query_watch_start(query->pulse, &query->watch, err) || !query_lookup_start(query, err) ||
        !query_replicas_start(config, query->pulse, &query->replicas, err) ||
        !query_streams_start(config, query->pulse, access, &query->streams, err) ||
        !query_waiter_start(query, err)) {
        destroy(query);
        return error_set(err, DISP_FATAL, 0, "out of memory");
    }
    if (!query_readers_start(query, &query->readers, err)) {
        query_waiter_stop(query);
        destroy(query);
        return false;
    }
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
        query_readers_stop(query->readers);
        query_waiter_stop(query);
        destroy(query);
        return false;
    }
    query_lookup_begin(query->lookup, query->server);
    *ret = query;
    return true;
}

void query_stop(struct query *query) {
    if (!query)
        return;
    query_streams_stop(query->streams);
    query_waiter_stop(query);
    (void)http_server_drain(query->server, query->config->shutdown_timeout_ms / 2);
    query_readers_stop(query->readers);
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
