// SPDX-License-Identifier: Apache-2.0
//
// Orders by id, gathered: while PostgreSQL looks up the orders that were asked for, new requests
// gather, and go to it together as one statement. With one caller that is a look-up as any other;
// with many, the way there and back, and the statement's beginning and end, are shared.
//
// One thread asks at a time, at most every ROUND_US, so that what gathers is worth the way. Another
// one helps where ENOUGH wait, or takes its place where it has not come back for PATIENCE_MS:
//
//   asking:   asks PostgreSQL and answers; then takes what waits by then
//   watching: looks every PATIENCE_MS whether it is to help, as long as somebody asked lately
//   idle:     woken by the next request, or by the one that goes asking after a quiet time
#include "query_state.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http/respond.h"
#include "query_order.h"
#include "query_pulse.h"
#include "service/clock.h"
#include "service/jsonout.h"
#include "service/metrics.h"
#include "service/uninitialized.h"
#include "store/pg_array.h"

enum { THREADS = 2, TOGETHER_MAX = 256, ENOUGH = 64 };

enum { ROUND_US = 300, PATIENCE_MS = 20 };

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
    size_t asking;    // threads, of this turn
    uint64_t turn;    // another one when those who ask are not waited for any more
    size_t watching;  // threads
    int64_t begun_us; // when one went asking last
    size_t threads_count;
    pthread_t threads[THREADS];
};

static bool add(struct query_lookup *lookup, struct http_request *request,
                const struct id *order_id) {
    (void)pthread_mutex_lock(&lookup->lock);
    bool room = !lookup->stopping && lookup->count < lookup->size;
    if (room) {
        // Before another thread can answer it, which will want to know what the caller has.
        if (http_request_header(request, "If-None-Match"))
            http_request_suspend(request);
        else
            http_request_wait(request);
        lookup->waiting[(lookup->first + lookup->count) % lookup->size] =
            (struct wanted){.request = request, .order_id = *order_id};
        lookup->count++;
        if (lookup->asking == 0 || lookup->count == ENOUGH)
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

// Under the lock, as what follows.
static bool is_to_ask(struct query_lookup *lookup, int64_t now_us) {
    if (lookup->count > 0 && lookup->asking > 0 &&
        now_us - lookup->begun_us >= PATIENCE_MS * 1000) {
        lookup->turn++;
        lookup->asking = 0;
    }
    return lookup->count > 0 && (lookup->asking == 0 || lookup->count >= ENOUGH);
}

static void wait_for_more(struct query_lookup *lookup, int64_t now_us) {
    if (lookup->asking == 0 && now_us - lookup->begun_us > 2 * PATIENCE_MS * 1000) {
        (void)pthread_cond_wait(&lookup->changed, &lookup->lock);
        return;
    }
    const int64_t until_us = now_us + PATIENCE_MS * 1000;
    const struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};
    lookup->watching++;
    (void)pthread_cond_timedwait(&lookup->changed, &lookup->lock, &until);
    lookup->watching--;
}

// Lets more gather, if the last round has only begun.
static void rest(struct query_lookup *lookup) {
    const int64_t left_us = lookup->begun_us + ROUND_US - clock_monotonic_us();
    if (left_us <= 0 || lookup->count >= ENOUGH)
        return;
    (void)pthread_mutex_unlock(&lookup->lock);
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = left_us * 1000}, NULL);
    (void)pthread_mutex_lock(&lookup->lock);
}

static void come_back(struct query_lookup *lookup, uint64_t turn) {
    lookup->asking -= turn == lookup->turn;
}

// Waits until something is wanted. 0: the end.
static size_t take(struct query_lookup *lookup, struct wanted *ret, uint64_t *turn) {
    size_t count = 0;
    (void)pthread_mutex_lock(&lookup->lock);
    if (*turn > 0)
        come_back(lookup, *turn);
    while (count == 0 && !(lookup->stopping && lookup->count == 0)) {
        const int64_t now_us = clock_monotonic_us();
        if (!lookup->stopping && !is_to_ask(lookup, now_us)) {
            wait_for_more(lookup, now_us);
            continue;
        }
        lookup->asking++;
        *turn = lookup->turn;
        rest(lookup);
        count = lookup->count < TOGETHER_MAX ? lookup->count : TOGETHER_MAX;
        if (count == 0) // another one was quicker
            come_back(lookup, *turn);
    }
    for (size_t i = 0; i < count; i++)
        ret[i] = lookup->waiting[(lookup->first + i) % lookup->size];
    lookup->first = (lookup->first + count) % lookup->size;
    lookup->count -= count;
    lookup->begun_us = clock_monotonic_us();
    if (count > 0 && lookup->watching == 0)
        (void)pthread_cond_signal(&lookup->changed);
    (void)pthread_mutex_unlock(&lookup->lock);
    return count;
}

// What one thread uses again and again.
struct lookup_tools {
    struct db *db;
    struct pg_array ids;
    struct jsonout json; // of the order at hand
};

static PGresult *ask(struct lookup_tools *tools, const struct wanted *wanted, size_t count,
                     struct error *err) {
    struct db_params params = {.count = 0};
    pg_array_clear(&tools->ids);
    for (size_t i = 0; i < count; i++)
        pg_array_add(&tools->ids, wanted[i].order_id.bytes, sizeof(wanted[i].order_id.bytes));
    if (!pg_array_finish(&tools->ids, PG_UUID)) {
        error_set(err, DISP_RETRY, 0, "out of memory");
        return NULL;
    }
    db_params_bytes(&params, tools->ids.bytes, tools->ids.length);
    int64_t begun_us = clock_monotonic_us();
    PGresult *result = db_query(tools->db, query_order_sql, &params, err);
    metrics_observe_us(METRIC_STEP, STEP_DATABASE, clock_monotonic_us() - begun_us);
    return result;
}

static void answer_order(struct query *query, struct lookup_tools *tools,
                         const struct wanted *wanted, int64_t version) {
    struct error err;
    struct http_request *request = wanted->request;
    const struct jsonout *json = &tools->json;
    if (json->failed)
        respond_refuse(request, PROBLEM_UNAVAILABLE, "out of memory");
    else if (!query_shows_addresses(query, request))
        query_answer_json(request, json->bytes, json->length, version);
    else if (!query_answer_addressed(request, query, tools->db, &wanted->order_id,
                                     (struct view){json->bytes, (uint32_t)json->length}, version,
                                     &err))
        query_answer_unavailable(query, request, &err);
}

// Who wants which order: several may want the same one. Ids are hashes, but callers choose them:
// one chain of all is as long as it gets.
enum { CHAINS = 512 };

struct lookup_index {
    uint16_t first[CHAINS]; // of the chain: its place in what is wanted, from 1; 0: none
    uint16_t next[TOGETHER_MAX];
};

static uint16_t *chain_of(struct lookup_index *index, const struct id *order_id) {
    uint32_t hash;
    memcpy(&hash, order_id->bytes, sizeof(hash));
    return &index->first[hash % CHAINS];
}

static void index_wanted(struct lookup_index *index, const struct wanted *wanted, size_t count) {
    memset(index->first, 0, sizeof(index->first));
    for (size_t i = 0; i < count; i++) {
        uint16_t *first = chain_of(index, &wanted[i].order_id);
        index->next[i] = *first;
        *first = (uint16_t)(i + 1);
    }
}

// To all who want it, as far as it is theirs. Who has been answered is no longer among the wanted.
static void answer_row(struct query *query, struct lookup_tools *tools, struct lookup_index *index,
                       struct wanted *wanted, const PGresult *result, int row, uint64_t look) {
    const struct id order_id = query_order_id(result, row);
    const int64_t version = query_order_version(result, row);
    const char *shop = query_order_shop(result, row);
    const char *customer = query_order_customer(result, row);
    jsonout_reset(&tools->json);
    query_order_write(&tools->json, result, row);
    query_versions_note(query->versions, &order_id, shop, customer, version, look);
    for (uint16_t at = *chain_of(index, &order_id); at > 0; at = index->next[at - 1]) {
        struct wanted *one = &wanted[at - 1];
        if (!id_equal(&one->order_id, &order_id) ||
            !http_caller_owns(http_request_caller(one->request), shop, customer))
            continue;
        answer_order(query, tools, one, version);
        one->request = NULL;
    }
}

static void answer(struct query *query, struct lookup_tools *tools, struct wanted *wanted,
                   size_t count, const PGresult *result, uint64_t look) {
    struct lookup_index index UNINITIALIZED;
    index_wanted(&index, wanted, count);
    for (int row = 0; row < PQntuples(result); row++)
        answer_row(query, tools, &index, wanted, result, row, look);
    for (size_t i = 0; i < count; i++) {
        if (wanted[i].request)
            respond_refuse(wanted[i].request, PROBLEM_NOT_FOUND, "there is no such order");
    }
}

static void serve(struct query *query, struct lookup_tools *tools, struct wanted *wanted,
                  size_t count) {
    struct error err;
    uint64_t look = query_versions_look(query->versions);
    DB_RESULT result = ask(tools, wanted, count, &err);
    if (!result && db_may_retry(tools->db, &err))
        result = ask(tools, wanted, count, &err);
    respond_together_begin();
    if (result) {
        atomic_store(&query->ready, true);
        answer(query, tools, wanted, count, result, look);
    }
    for (size_t i = 0; !result && i < count; i++)
        query_answer_unavailable(query, wanted[i].request, &err);
    respond_together_end();
}

static void *run(void *opaque) {
    struct query_lookup *lookup = opaque;
    struct query *query = lookup->query;
    struct wanted wanted[TOGETHER_MAX];
    struct lookup_tools tools = {
        .db = query_pulse_connection(query->pulse, "orderlog query orders", query_session_settings),
    };
    size_t count;
    uint64_t turn = 0; // 0: has not asked yet
    while ((count = take(lookup, wanted, &turn)) > 0) {
        if (tools.db)
            serve(query, &tools, wanted, count);
        for (size_t i = 0; !tools.db && i < count; i++)
            respond_refuse(wanted[i].request, PROBLEM_UNAVAILABLE, "out of memory");
    }
    pg_array_done(&tools.ids);
    jsonout_done(&tools.json);
    db_free(tools.db);
    return NULL;
}

bool query_lookup_start(struct query *query, struct error *err) {
    struct query_lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    query->lookup = lookup;
    lookup->query = query;
    lookup->turn = 1;
    lookup->size = (size_t)query->config->http_connections_max;
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&lookup->lock, NULL);
    (void)pthread_cond_init(&lookup->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
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
