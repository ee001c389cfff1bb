// SPDX-License-Identifier: Apache-2.0
//
//   time 0   primary: positions P0
//   time 1   replica: positions R ≥ P0: it is as of time 0 at least; primary: P1
//   time 2   replica: R < P1: still as of time 0; and after a while too old to be asked
#include "query_replicas.h"

#include "query_pulse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "service/clock.h"
#include "service/log.h"
#include "service/metrics.h"

enum { REPLICAS_MAX = 8, LOOK_EVERY_MS = 100 };

struct query_replica {
    char name[64];
    char *conninfo; // owned
    struct query_pulse *pulse;
    struct db *watch;         // the thread's
    _Atomic int64_t fresh_ms; // as of then; 0: not known
    bool was_fresh;           // the thread's
    pthread_mutex_t lock;     // of what follows
    struct db *all[QUERY_READERS_MAX];
    struct db *free[QUERY_READERS_MAX];
    size_t all_count;
    size_t free_count;
};

struct query_replicas {
    const struct config *config;
    struct query_replica replicas[REPLICAS_MAX];
    size_t count;
    _Atomic uint32_t turn;
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    pthread_t thread;
    bool running;
    bool stopping;
    struct db *primary; // the thread's
};

// --- how far ------------------------------------------------------------------------------------

static const char sql_positions[] =
    "SELECT COALESCE(sum(next_offset), 0)::int8 FROM projection_offsets";

static bool read_positions(struct db *db, int64_t *ret) {
    struct error ignored;
    DB_RESULT result = db_query(db, sql_positions, NULL, &ignored);
    if (result)
        *ret = db_int8(result, 0, 0);
    return result != NULL;
}

static void tell(struct query_replica *replica, bool fresh) {
    if (fresh == replica->was_fresh)
        return;
    replica->was_fresh = fresh;
    if (fresh)
        LOG(INFO, "a replica takes reads", F_STR("replica", replica->name));
    else
        LOG(WARN, "a replica is too far behind or away, the primary takes its reads",
            F_STR("replica", replica->name));
}

static bool is_fresh(const struct query_replicas *replicas, const struct query_replica *replica,
                     int64_t now_ms) {
    int64_t fresh_ms = atomic_load(&((struct query_replica *)replica)->fresh_ms);
    return fresh_ms != 0 && now_ms - fresh_ms <= replicas->config->query_replica_lag_ms_max;
}

// wanted: what the primary had at wanted_ms.
static void look(struct query_replicas *replicas, int64_t wanted, int64_t wanted_ms) {
    for (size_t i = 0; i < replicas->count; i++) {
        struct query_replica *replica = &replicas->replicas[i];
        int64_t positions;
        if (!read_positions(replica->watch, &positions))
            atomic_store(&replica->fresh_ms, 0);
        else if (wanted_ms != 0 && positions >= wanted)
            atomic_store(&replica->fresh_ms, wanted_ms);
        tell(replica, is_fresh(replicas, replica, clock_monotonic_ms()));
    }
}

static void *run(void *arg) {
    struct query_replicas *replicas = arg;
    int64_t wanted = 0;
    int64_t wanted_ms = 0; // 0: the primary has not been asked yet
    (void)pthread_mutex_lock(&replicas->lock);
    while (!replicas->stopping) {
        (void)pthread_mutex_unlock(&replicas->lock);
        look(replicas, wanted, wanted_ms);
        int64_t now_ms = clock_monotonic_ms();
        if (read_positions(replicas->primary, &wanted))
            wanted_ms = now_ms;
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_EVERY_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec++;
        }
        (void)pthread_mutex_lock(&replicas->lock);
        int waited = 0;
        while (!replicas->stopping && waited != ETIMEDOUT)
            waited = pthread_cond_timedwait(&replicas->stopped, &replicas->lock, &until);
    }
    (void)pthread_mutex_unlock(&replicas->lock);
    return NULL;
}

// --- connections --------------------------------------------------------------------------------

static struct db *take_free(struct query_replica *replica) {
    (void)pthread_mutex_lock(&replica->lock);
    struct db *db = replica->free_count > 0 ? replica->free[--replica->free_count] : NULL;
    (void)pthread_mutex_unlock(&replica->lock);
    return db;
}

struct query_replica *query_replicas_take(struct query_replicas *replicas, struct db **ret_db) {
    if (!replicas)
        return NULL;
    const int64_t now_ms = clock_monotonic_ms();
    const uint32_t first = atomic_fetch_add_explicit(&replicas->turn, 1, memory_order_relaxed);
    for (size_t i = 0; i < replicas->count; i++) {
        struct query_replica *replica = &replicas->replicas[(first + i) % replicas->count];
        if (is_fresh(replicas, replica, now_ms) && (*ret_db = take_free(replica)) != NULL)
            return replica;
    }
    return NULL;
}

void query_replicas_give(struct query_replica *replica, struct db *db, bool ok) {
    if (!ok)
        atomic_store(&replica->fresh_ms, 0);
    (void)pthread_mutex_lock(&replica->lock);
    replica->free[replica->free_count++] = db;
    (void)pthread_mutex_unlock(&replica->lock);
}

// --- start and stop -----------------------------------------------------------------------------

static bool add_replica(struct query_replicas *replicas, const char *conninfo, struct error *err) {
    if (replicas->count == REPLICAS_MAX)
        return error_set(err, DISP_FATAL, 0, "query.replicas: at most %d", REPLICAS_MAX);
    struct query_replica *replica = &replicas->replicas[replicas->count];
    (void)snprintf(replica->name, sizeof(replica->name), "%zu", replicas->count + 1);
    (void)pthread_mutex_init(&replica->lock, NULL);
    replicas->count++;
    replica->conninfo = strdup(conninfo);
    if (!replica->conninfo)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    if (!query_pulse_start(replicas->config, replica->conninfo, NULL, &replica->pulse, err))
        return false;
    replica->watch =
        query_pulse_connection(replica->pulse, "orderlog query replicas", query_session_settings);
    for (int64_t i = 0; replica->watch && i < replicas->config->query_readers; i++) {
        struct db *db =
            query_pulse_connection(replica->pulse, "orderlog query", query_session_settings);
        if (!db)
            return error_set(err, DISP_FATAL, 0, "out of memory");
        replica->all[replica->all_count++] = db;
        replica->free[replica->free_count++] = db;
    }
    return replica->watch || error_set(err, DISP_FATAL, 0, "out of memory");
}

static bool add_all(struct query_replicas *replicas, const char *list, struct error *err) {
    char *copy = strdup(list);
    char *rest = NULL;
    bool ok = copy || error_set(err, DISP_FATAL, 0, "out of memory");
    for (char *one = ok ? strtok_r(copy, ";", &rest) : NULL; ok && one;
         one = strtok_r(NULL, ";", &rest)) {
        one += strspn(one, " \t");
        ok = *one == '\0' || add_replica(replicas, one, err);
    }
    free(copy);
    return ok;
}

bool query_replicas_start(const struct config *config, const struct query_pulse *primary,
                          struct query_replicas **ret, struct error *err) {
    *ret = NULL;
    if (!config->query_replicas || !*config->query_replicas)
        return true;
    struct query_replicas *replicas = calloc(1, sizeof(*replicas));
    pthread_condattr_t monotonic;
    if (!replicas)
        return error_set(err, DISP_FATAL, 0, "out of memory");
    replicas->config = config;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&replicas->lock, NULL);
    (void)pthread_cond_init(&replicas->stopped, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    replicas->primary =
        query_pulse_connection(primary, "orderlog query replicas", query_session_settings);
    bool ok = add_all(replicas, config->query_replicas, err) && replicas->primary;
    replicas->running = ok && pthread_create(&replicas->thread, NULL, run, replicas) == 0;
    if (replicas->running) {
        *ret = replicas;
        return true;
    }
    query_replicas_stop(replicas);
    return ok ? error_set(err, DISP_FATAL, 0, "cannot start the thread of replicas") : false;
}

void query_replicas_stop(struct query_replicas *replicas) {
    if (!replicas)
        return;
    (void)pthread_mutex_lock(&replicas->lock);
    replicas->stopping = true;
    (void)pthread_cond_signal(&replicas->stopped);
    (void)pthread_mutex_unlock(&replicas->lock);
    if (replicas->running)
        (void)pthread_join(replicas->thread, NULL);
    for (size_t i = 0; i < replicas->count; i++) {
        struct query_replica *replica = &replicas->replicas[i];
        for (size_t c = 0; c < replica->all_count; c++)
            db_free(replica->all[c]);
        db_free(replica->watch);
        query_pulse_stop(replica->pulse);
        free(replica->conninfo);
        (void)pthread_mutex_destroy(&replica->lock);
    }
    db_free(replicas->primary);
    (void)pthread_cond_destroy(&replicas->stopped);
    (void)pthread_mutex_destroy(&replicas->lock);
    free(replicas);
}
