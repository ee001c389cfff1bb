// SPDX-License-Identifier: Apache-2.0
//
// Orders by id, gathered: each HTTP thread has a line to PostgreSQL (query_line.h), and asks it in
// its own loop for the orders that its requests want. While one question is under way new requests
// gather, and go together as the next. With one caller that is a look-up as any other; with many,
// the way there and back, and the statement's beginning and end, are shared. No other thread is
// woken for it, and none waits: a database that stands still holds up look-ups, not the thread.
//
//   waiting ──▶ asked ──▶ answered
//                 ▲ │
//                 └─┘ once more, where it is worth it (db_may_retry)
#include "query_state.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "http/respond.h"
#include "query_line.h"
#include "query_order.h"
#include "query_pulse.h"
#include "service/clock.h"
#include "service/jsonout.h"
#include "service/metrics.h"
#include "service/uninitialized.h"
#include "store/pg_array.h"

// A question is asked at most every ROUND_US, so that what gathers is worth the way, unless ENOUGH
// wait.
enum { TOGETHER_MAX = 256, ENOUGH = 24, ROUND_US = 300 };

enum { LOOK_MS = 50 };

struct wanted {
    struct http_request *request; // waits, or is suspended
    struct id order_id;
};

// What one HTTP thread has of all this.
struct desk {
    struct query *query;
    struct http_side_work work;
    struct query_line *line;
    pthread_mutex_t lock;
    pthread_cond_t closed;
    bool stopping;
    bool is_closed;         // nothing is wanted, and nothing will be
    struct wanted *waiting; // a ring of `size`: as many as there can be connections
    size_t size;
    size_t first;
    size_t count;
    // The thread's own.
    struct wanted asked[TOGETHER_MAX];
    size_t asked_count;
    bool is_under_way;
    bool is_second; // attempt
    int64_t begun_us;
    uint64_t look; // of the versions, before it was asked
    struct pg_array ids;
    struct jsonout json; // of the order at hand
};

struct query_lookup {
    struct query *query;
    struct desk *desks; // owned; one of each HTTP thread
    size_t desks_count;
};

// --- what is wanted ----------------------------------------------------------------------------

static bool add(struct desk *desk, struct http_request *request, const struct id *order_id) {
    (void)pthread_mutex_lock(&desk->lock);
    const bool room = !desk->stopping && desk->count < desk->size;
    if (room) {
        // What the caller has will be asked for when the handler has returned.
        if (http_request_header(request, "If-None-Match"))
            http_request_suspend(request);
        else
            http_request_wait(request);
        desk->waiting[(desk->first + desk->count++) % desk->size] =
            (struct wanted){.request = request, .order_id = *order_id};
    }
    (void)pthread_mutex_unlock(&desk->lock);
    return room;
}

void query_lookup_order(struct http_request *request, struct query *query) {
    struct id order_id;
    struct desk *desk = &query->lookup->desks[http_request_thread(request)];
    const bool is_here = http_request_is_here(request);
    const char *text = http_request_param(request, "id");
    // What is no id cannot be there.
    if (!id_parse(text, strlen(text), &order_id))
        respond_refuse(request, PROBLEM_NOT_FOUND, "there is no such order");
    else if (!add(desk, request, &order_id))
        respond_refuse(request, PROBLEM_UNAVAILABLE, "too many reads are waiting");
    else if (!is_here)
        query_line_ring(desk->line);
}

// Up to `max` of those that wait longest.
static size_t take(struct desk *desk, struct wanted *ret, size_t max) {
    (void)pthread_mutex_lock(&desk->lock);
    const size_t count = desk->count < max ? desk->count : max;
    for (size_t i = 0; i < count; i++)
        ret[i] = desk->waiting[(desk->first + i) % desk->size];
    desk->first = (desk->first + count) % desk->size;
    desk->count -= count;
    (void)pthread_mutex_unlock(&desk->lock);
    return count;
}

// --- answers -----------------------------------------------------------------------------------

static void answer_order(struct desk *desk, struct http_request *request, const PGresult *result,
                         int row) {
    const struct jsonout *json = &desk->json;
    if (json->failed)
        respond_refuse(request, PROBLEM_UNAVAILABLE, "out of memory");
    else if (query_shows_addresses(desk->query, request))
        query_answer_addressed(request, desk->query, result, row,
                               (struct view){json->bytes, (uint32_t)json->length});
    else
        query_answer_json(request, json->bytes, json->length, query_order_version(result, row));
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
static void answer_row(struct desk *desk, struct lookup_index *index, const PGresult *result,
                       int row) {
    const struct id order_id = query_order_id(result, row);
    const int64_t version = query_order_version(result, row);
    const char *shop = query_order_shop(result, row);
    const char *customer = query_order_customer(result, row);
    jsonout_reset(&desk->json);
    query_order_write(&desk->json, result, row);
    query_versions_note(desk->query->versions, &order_id, shop, customer, version, desk->look);
    for (uint16_t at = *chain_of(index, &order_id); at > 0; at = index->next[at - 1]) {
        struct wanted *one = &desk->asked[at - 1];
        if (!one->request || !id_equal(&one->order_id, &order_id) ||
            !http_caller_owns(http_request_caller(one->request), shop, customer))
            continue;
        answer_order(desk, one->request, result, row);
        one->request = NULL;
    }
}

static void answer(struct desk *desk, const PGresult *result) {
    struct lookup_index index UNINITIALIZED;
    index_wanted(&index, desk->asked, desk->asked_count);
    respond_together_begin();
    for (int row = 0; row < PQntuples(result); row++)
        answer_row(desk, &index, result, row);
    for (size_t i = 0; i < desk->asked_count; i++) {
        if (desk->asked[i].request)
            respond_refuse(desk->asked[i].request, PROBLEM_NOT_FOUND, "there is no such order");
    }
    respond_together_end();
    desk->asked_count = 0;
}

// err NULL: the service stops.
static void refuse(struct desk *desk, const struct error *err) {
    for (size_t i = 0; i < desk->asked_count; i++) {
        if (err)
            query_answer_unavailable(desk->query, desk->asked[i].request, err);
        else
            respond_refuse(desk->asked[i].request, PROBLEM_UNAVAILABLE, "the service is stopping");
    }
    desk->asked_count = 0;
}

static void refuse_all(struct desk *desk, const struct error *err) {
    respond_together_begin();
    do
        refuse(desk, err);
    while ((desk->asked_count = take(desk, desk->asked, TOGETHER_MAX)) > 0);
    respond_together_end();
}

// --- PostgreSQL --------------------------------------------------------------------------------

static bool want_addresses(const struct desk *desk) {
    for (size_t i = 0; i < desk->asked_count; i++)
        if (query_shows_addresses(desk->query, desk->asked[i].request))
            return true;
    return false;
}

static bool send(struct desk *desk, struct error *err) {
    struct db_params params = {.count = 0};
    pg_array_clear(&desk->ids);
    for (size_t i = 0; i < desk->asked_count; i++)
        pg_array_add(&desk->ids, desk->asked[i].order_id.bytes,
                     sizeof(desk->asked[i].order_id.bytes));
    if (!pg_array_finish(&desk->ids, PG_UUID))
        return error_set(err, DISP_RETRY, 0, "out of memory");
    db_params_bytes(&params, desk->ids.bytes, desk->ids.length);
    desk->look = query_versions_look(desk->query->versions);
    desk->begun_us = clock_monotonic_us();
    return db_send(query_line_db(desk->line),
                   want_addresses(desk) ? query_order_addressed_sql : query_order_sql, &params,
                   err);
}

// What was asked has failed: once more, now or when there is a connection again, or not.
static void fail(struct desk *desk, const struct error *err) {
    const bool again = !desk->is_second && db_may_retry(query_line_db(desk->line), err);
    desk->is_under_way = false;
    desk->is_second = true;
    query_line_call(desk->line);
    if (again)
        return;
    respond_together_begin();
    refuse(desk, err);
    respond_together_end();
}

static void ask(struct desk *desk) {
    struct error err;
    if (desk->asked_count == 0) {
        desk->asked_count = take(desk, desk->asked, TOGETHER_MAX);
        desk->is_second = false;
    }
    if (desk->asked_count == 0)
        return;
    desk->is_under_way = send(desk, &err);
    if (!desk->is_under_way)
        fail(desk, &err);
}

static void hear(struct desk *desk) {
    struct error err;
    DB_RESULT result = NULL;
    switch (db_take(query_line_db(desk->line), &result, &err)) {
    case DB_NOT_YET:
        break;
    case DB_ANSWERED:
        metrics_observe_us(METRIC_STEP, STEP_DATABASE, clock_monotonic_us() - desk->begun_us);
        atomic_store(&desk->query->ready, true);
        desk->is_under_way = false;
        answer(desk, result);
        break;
    case DB_FAILED:
        fail(desk, &err);
        break;
    }
}

static bool is_wanted(struct desk *desk) {
    (void)pthread_mutex_lock(&desk->lock);
    const bool is = desk->count > 0;
    (void)pthread_mutex_unlock(&desk->lock);
    return is || desk->asked_count > 0;
}

// Without a connection.
static void await_line(struct desk *desk) {
    struct error err;
    query_line_call(desk->line);
    if (query_line_look(desk->line, &err) == QUERY_LINE_DOWN)
        refuse_all(desk, &err);
    else if (query_pulse_is_away(desk->query->pulse)) {
        (void)error_set(&err, DISP_RETRY, DB_ERROR_SILENCE, "PostgreSQL does not answer");
        refuse_all(desk, &err);
    }
}

static void close_desk(struct desk *desk) {
    refuse_all(desk, NULL);
    desk->is_under_way = false;
    (void)pthread_mutex_lock(&desk->lock);
    desk->is_closed = true;
    (void)pthread_cond_signal(&desk->closed);
    (void)pthread_mutex_unlock(&desk->lock);
}

// --- in the HTTP thread ------------------------------------------------------------------------

// Only then is the connection this thread's.
static bool is_up(const struct desk *desk) {
    struct error ignored;
    return query_line_look(desk->line, &ignored) == QUERY_LINE_UP;
}

// More is to gather.
static bool is_early(struct desk *desk) {
    const int64_t due_us = desk->begun_us + ROUND_US;
    if (desk->asked_count > 0 || desk->count >= ENOUGH || clock_monotonic_us() >= due_us)
        return false;
    desk->work.due_us = due_us;
    return true;
}

static void go_on(void *state) {
    struct desk *desk = state;
    if (desk->is_under_way && db_is_overdue(query_line_db(desk->line)))
        hear(desk);
    const bool wanted = is_wanted(desk);
    desk->work.due_us = 0;
    if (wanted && !desk->is_under_way && !is_early(desk)) {
        if (is_up(desk))
            ask(desk);
        else
            await_line(desk);
    }
    desk->work.pause_ms_max = wanted ? LOOK_MS : -1;
}

static void serve(void *state) {
    struct desk *desk = state;
    query_line_hush(desk->line);
    if (is_up(desk))
        hear(desk);
    (void)pthread_mutex_lock(&desk->lock);
    const bool stopping = desk->stopping;
    (void)pthread_mutex_unlock(&desk->lock);
    if (stopping)
        close_desk(desk);
    else
        go_on(desk);
}

// --- start and stop ----------------------------------------------------------------------------

static bool open_desk(struct desk *desk, struct query *query, struct error *err) {
    static const char *const plain[] = {query_order_sql, NULL};
    static const char *const addressed[] = {query_order_sql, query_order_addressed_sql, NULL};
    desk->query = query;
    desk->size = (size_t)query->config->http_connections_max;
    desk->waiting = calloc(desk->size, sizeof(*desk->waiting));
    if (!desk->waiting)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    return query_line_open(query->pulse, "orderlog query orders",
                           query->people.keys ? addressed : plain, &desk->line, err);
}

bool query_lookup_start(struct query *query, struct error *err) {
    struct query_lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    query->lookup = lookup;
    lookup->desks = calloc((size_t)query->config->query_threads, sizeof(*lookup->desks));
    while (lookup->desks && lookup->desks_count < (size_t)query->config->query_threads) {
        struct desk *desk = &lookup->desks[lookup->desks_count++];
        (void)pthread_mutex_init(&desk->lock, NULL);
        (void)pthread_cond_init(&desk->closed, NULL);
        if (!open_desk(desk, query, err))
            return false;
    }
    return lookup->desks || error_set(err, DISP_FATAL, 0, "out of memory");
}

void query_lookup_begin(struct query_lookup *lookup, struct http_server *server) {
    for (size_t i = 0; i < lookup->desks_count; i++) {
        struct desk *desk = &lookup->desks[i];
        desk->work = (struct http_side_work){.serve = serve,
                                             .fd = query_line_fd(desk->line),
                                             .pause_ms_max = -1,
                                             .round_ends = go_on,
                                             .state = desk};
        http_server_add_work(server, (int)i, &desk->work);
    }
}

void query_lookup_stop(struct query_lookup *lookup) {
    for (size_t i = 0; i < lookup->desks_count; i++) {
        struct desk *desk = &lookup->desks[i];
        (void)pthread_mutex_lock(&desk->lock);
        desk->stopping = true;
        query_line_ring(desk->line);
        while (!desk->is_closed)
            (void)pthread_cond_wait(&desk->closed, &desk->lock);
        (void)pthread_mutex_unlock(&desk->lock);
    }
}

void query_lookup_free(struct query_lookup *lookup) {
    if (!lookup)
        return;
    for (size_t i = 0; i < lookup->desks_count; i++) {
        struct desk *desk = &lookup->desks[i];
        query_line_close(desk->line);
        pg_array_done(&desk->ids);
        jsonout_done(&desk->json);
        free(desk->waiting);
        (void)pthread_cond_destroy(&desk->closed);
        (void)pthread_mutex_destroy(&desk->lock);
    }
    free(lookup->desks);
    free(lookup);
}
