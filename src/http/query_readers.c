// SPDX-License-Identifier: Apache-2.0
#include "query_state.h"

#include <pthread.h>
#include <stdlib.h>

#include "http/respond.h"
#include "query_pulse.h"
#include "query_replicas.h"
#include "service/clock.h"
#include "service/metrics.h"

struct reading {
    struct http_request *request; // suspended
    query_read_fn *read;
    bool is_after; // command_id must be visible
    struct id command_id;
    int64_t wait_ms;
    int64_t since_us;
};

struct reader {
    struct query_readers *all;
    struct db *db; // the thread's
    pthread_t thread;
    bool running;
};

struct query_readers {
    struct query *query;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    struct reading *waiting; // a ring of `size`: as many as there can be connections
    size_t size;
    size_t first;
    size_t count;
    struct reader *readers;
    size_t readers_count;
};

// --- one read ----------------------------------------------------------------------------------

static void read_now(struct query *query, const struct reading *reading, struct db *db) {
    struct error err;
    int64_t begun_us = clock_monotonic_us();
    if (reading->read(reading->request, query, db, &err) ||
        (db_may_retry(db, &err) && reading->read(reading->request, query, db, &err)))
        atomic_store(&query->ready, true);
    else
        query_answer_unavailable(query, reading->request, &err);
    metrics_observe_us(METRIC_STEP, STEP_DATABASE, clock_monotonic_us() - begun_us);
}

// True: a replica has answered. after: the command that must be visible there, NULL where none is
// named.
static bool read_from_replica(struct query *query, const struct reading *reading,
                              const struct query_waiting *after) {
    struct error ignored;
    struct db *db;
    bool visible = true;
    // Single orders are looked up together, and streams begin, where everything is current.
    bool can_be = reading->read != query_read_order && reading->read != query_read_stream;
    struct query_replica *replica = can_be ? query_replicas_take(query->replicas, &db) : NULL;
    if (!replica)
        return false;
    bool ok = !after || query_visible(db, after, 1, &visible, &ignored);
    if (ok && visible) {
        metrics_add(METRIC_REPLICA_READS, 0, 1); // before the caller knows
        ok = reading->read(reading->request, query, db, &ignored);
    }
    query_replicas_give(replica, db, ok);
    return ok && visible;
}

static void read_after(struct query *query, const struct reading *reading, struct db *db) {
    struct error err;
    bool visible = false;
    const struct query_waiting waiting = {.request = reading->request,
                                          .read = reading->read,
                                          .command_id = reading->command_id,
                                          .deadline_ms = clock_monotonic_ms() + reading->wait_ms};
    if (read_from_replica(query, reading, &waiting))
        return;
    if (!query_visible(db, &waiting, 1, &visible, &err) &&
        (!db_may_retry(db, &err) || !query_visible(db, &waiting, 1, &visible, &err)))
        query_answer_unavailable(query, reading->request, &err);
    else if (visible)
        read_now(query, reading, db);
    else if (reading->wait_ms == 0)
        query_answer_not_yet(reading->request);
    else if (!query_waiter_add(query, &waiting))
        respond_refuse(reading->request, PROBLEM_UNAVAILABLE, "too many reads are waiting");
}

static void answer(struct query *query, const struct reading *reading, struct db *db) {
    metrics_add(METRIC_POOL_BUSY, 0, 1);
    if (reading->is_after)
        read_after(query, reading, db);
    else if (!read_from_replica(query, reading, NULL))
        read_now(query, reading, db);
    metrics_add(METRIC_POOL_BUSY, 0, -1);
}

// --- the queue ---------------------------------------------------------------------------------

static void add(struct query_readers *readers, const struct reading *reading) {
    (void)pthread_mutex_lock(&readers->lock);
    const bool room = !readers->stopping && readers->count < readers->size;
    if (room) {
        // Before anybody can answer it.
        http_request_suspend(reading->request);
        readers->waiting[(readers->first + readers->count++) % readers->size] = *reading;
        (void)pthread_cond_signal(&readers->changed);
    }
    (void)pthread_mutex_unlock(&readers->lock);
    if (!room)
        respond_refuse(reading->request, PROBLEM_UNAVAILABLE, "too many reads are waiting");
}

void query_serve(struct http_request *request, struct query *query, query_read_fn *read) {
    add(query->readers,
        &(struct reading){.request = request, .read = read, .since_us = clock_monotonic_us()});
}

void query_serve_after(struct http_request *request, struct query *query, query_read_fn *read,
                       const struct id *command_id, int64_t wait_ms) {
    add(query->readers, &(struct reading){.request = request,
                                          .read = read,
                                          .is_after = true,
                                          .command_id = *command_id,
                                          .wait_ms = wait_ms,
                                          .since_us = clock_monotonic_us()});
}

// Under the lock.
static struct reading take(struct query_readers *readers) {
    const struct reading taken = readers->waiting[readers->first];
    readers->first = (readers->first + 1) % readers->size;
    readers->count--;
    return taken;
}

bool query_readers_answer_one(struct query_readers *readers, struct db *db) {
    struct reading reading = {0};
    (void)pthread_mutex_lock(&readers->lock);
    const bool waits = readers->count > 0;
    if (waits)
        reading = take(readers);
    (void)pthread_mutex_unlock(&readers->lock);
    if (!waits)
        return false;
    metrics_observe_us(METRIC_STEP, STEP_POOL, clock_monotonic_us() - reading.since_us);
    answer(readers->query, &reading, db);
    return true;
}

static void *run(void *arg) {
    const struct reader *reader = arg;
    struct query_readers *readers = reader->all;
    (void)pthread_mutex_lock(&readers->lock);
    while (!readers->stopping) {
        if (readers->count == 0) {
            (void)pthread_cond_wait(&readers->changed, &readers->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&readers->lock);
        (void)query_readers_answer_one(readers, reader->db);
        (void)pthread_mutex_lock(&readers->lock);
    }
    (void)pthread_mutex_unlock(&readers->lock);
    return NULL;
}

// --- start and stop ----------------------------------------------------------------------------

// Ready or not is known from the start.
static bool start(struct reader *reader, bool is_first) {
    struct query *query = reader->all->query;
    struct error unreachable;
    reader->db = query_pulse_connection(query->pulse, "orderlog query", query_session_settings);
    if (!reader->db)
        return false;
    if (is_first)
        atomic_store(&query->ready, db_connect(reader->db, &unreachable));
    reader->running = pthread_create(&reader->thread, NULL, run, reader) == 0;
    return reader->running;
}

bool query_readers_start(struct query *query, struct query_readers **ret, struct error *err) {
    const size_t count = (size_t)query->config->query_readers;
    struct query_readers *readers = calloc(1, sizeof(*readers));
    if (!readers)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    *ret = readers;
    readers->query = query;
    readers->size = (size_t)query->config->http_connections_max;
    readers->waiting = calloc(readers->size, sizeof(*readers->waiting));
    readers->readers = calloc(count, sizeof(*readers->readers));
    (void)pthread_mutex_init(&readers->lock, NULL);
    (void)pthread_cond_init(&readers->changed, NULL);
    bool started = readers->waiting && readers->readers;
    while (started && readers->readers_count < count) {
        struct reader *reader = &readers->readers[readers->readers_count++];
        reader->all = readers;
        started = start(reader, readers->readers_count == 1);
    }
    metrics_set(METRIC_POOL_SIZE, 0, (int64_t)count);
    if (started)
        return true;
    query_readers_stop(readers);
    return error_set(err, DISP_FATAL, 0, "out of memory or threads");
}

void query_readers_stop(struct query_readers *readers) {
    (void)pthread_mutex_lock(&readers->lock);
    readers->stopping = true;
    (void)pthread_cond_broadcast(&readers->changed);
    (void)pthread_mutex_unlock(&readers->lock);
    for (size_t i = 0; i < readers->readers_count; i++) {
        if (readers->readers[i].running)
            (void)pthread_join(readers->readers[i].thread, NULL);
        readers->readers[i].running = false;
    }
    while (readers->count > 0)
        respond_refuse(take(readers).request, PROBLEM_UNAVAILABLE, "the service is stopping");
}

void query_readers_free(struct query_readers *readers) {
    if (!readers)
        return;
    for (size_t i = 0; i < readers->readers_count; i++)
        db_free(readers->readers[i].db);
    (void)pthread_cond_destroy(&readers->changed);
    (void)pthread_mutex_destroy(&readers->lock);
    free(readers->waiting);
    free(readers->readers);
    free(readers);
}
